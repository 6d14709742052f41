// Many `Membership` values on a network with virtual time: packets are late, lost and cut off;
// streams need the whole way there and back.

@testable import Core

/// A network in which everything is decided by one seed.
struct GossipNetwork {
    /// What happens to packets between two nodes.
    struct Weather {
        var delay = Duration.microseconds(200)...Duration.milliseconds(5)
        /// In a thousand.
        var loss: UInt64 = 0
        /// In a thousand; the copy comes up to ten seconds later.
        var doubled: UInt64 = 0
    }

    struct Node {
        var machine: Membership
        var address: GossipAddress
        var isUp = true
        /// In the order in which they happened.
        var events: [(at: Instant, event: MembershipEvent)] = []
        var conversation = Conversation()
    }

    /// Streams that a node has begun.
    struct Conversation {
        var open: [GossipExchange: Bool] = [:]
    }

    private enum Event {
        case wake(Int)
        case packet(to: Int, life: Int?, from: GossipAddress, [UInt8])
        case request(to: Int, asker: Int, askerLife: Int, GossipExchange, [UInt8])
        case answer(to: Int, life: Int, GossipExchange, [UInt8])
        case failure(to: Int, life: Int, GossipExchange)
    }

    private struct Due: Comparable {
        var at: Instant
        var tie: UInt64
        var number: Int

        static func < (a: Due, b: Due) -> Bool { (a.at, a.tie, a.number) < (b.at, b.tie, b.number) }
    }

    var weather = Weather()
    /// Nodes of different sides do not reach each other.
    var sides: [Int] = []
    private(set) var nodes: [Node] = []
    private(set) var now = Instant.zero + .seconds(1_000)
    private(set) var packetCount = 0
    private(set) var packetBytes = 0
    private(set) var streamCount = 0
    private(set) var stepCount = 0
    /// Lives of each node so far.
    private var lives: [Int] = []
    private var events: [Int: Event] = [:]
    private var queue = MinHeap<Due>()
    private var nextNumber = 0
    private var random: PRNG

    init(seed: UInt64) { random = PRNG(seed: seed) }

    // MARK: Nodes

    static func address(_ number: Int) -> GossipAddress {
        GossipAddress(IPAddress([10, 0, UInt8(number / 250), UInt8(number % 250 + 1)])!, 8946)
    }

    static func name(_ number: Int) -> NodeName { NodeName("node-\(number)") }

    /// Adds a node; its number is its place in `nodes`.
    @discardableResult
    mutating func add(
        _ change: (inout MembershipConfig) -> Void = { _ in }
    ) -> Int {
        let number = nodes.count
        var config = MembershipConfig(
            name: Self.name(number), address: Self.address(number),
            tags: [MemberTag("dc", "dc1"), MemberTag("number", "\(number)")])
        change(&config)
        nodes.append(Node(machine: make(config), address: config.address))
        sides.append(0)
        lives.append(1)
        return number
    }

    private mutating func make(_ config: MembershipConfig) -> Membership {
        do {
            return try Membership(config, seed: random.next(), at: now)
        } catch {
            fatalError("\(error)")
        }
    }

    /// The machine is gone from one moment to the next, and silent.
    mutating func crash(_ number: Int) {
        nodes[number].isUp = false
        lives[number] += 1
    }

    /// It comes back and remembers nothing.
    mutating func restart(_ number: Int, _ change: (inout MembershipConfig) -> Void = { _ in }) {
        var config = nodes[number].machine.config
        change(&config)
        nodes[number].machine = make(config)
        nodes[number].address = config.address
        nodes[number].isUp = true
        lives[number] += 1
    }

    /// Calls a node's machine and does what it wants.
    mutating func with(
        _ number: Int,
        _ body: (inout Membership, Instant, inout [Membership.Action]) -> Void
    ) {
        var actions: [Membership.Action] = []
        body(&nodes[number].machine, now, &actions)
        stepCount += 1
        for action in actions { perform(action, of: number) }
        rearm(number)
    }

    mutating func join(_ number: Int, _ others: Int...) {
        let addresses = others.map { nodes[$0].address }
        with(number) { $0.join(addresses, at: $1, into: &$2) }
    }

    /// `count` nodes that know each other.
    mutating func cluster(
        of count: Int, _ change: (inout MembershipConfig) -> Void = { _ in }
    ) {
        for _ in 0..<count { add(change) }
        for number in 1..<count { join(number, 0) }
    }

    // MARK: Time

    mutating func run(_ duration: Duration) { run(until: now + duration) }

    mutating func run(until end: Instant) {
        while let due = queue.first, due.at <= end {
            _ = queue.popFirst()
            now = max(now, due.at)
            if let event = events.removeValue(forKey: due.number) { happen(event) }
        }
        now = end
    }

    /// Goes on until the condition holds; returns how long that took, or nil if it never did.
    mutating func run(
        atMost limit: Duration, until condition: (borrowing GossipNetwork) -> Bool
    ) -> Duration? {
        let start = now
        while now - start <= limit {
            if condition(self) { return now - start }
            run(.milliseconds(200))
        }
        return nil
    }

    private mutating func schedule(_ event: Event, at instant: Instant) {
        nextNumber += 1
        events[nextNumber] = event
        queue.insert(Due(at: instant, tie: random.next(), number: nextNumber))
    }

    private mutating func rearm(_ number: Int) {
        guard nodes[number].isUp, let next = nodes[number].machine.nextDeadline else { return }
        schedule(.wake(number), at: max(next, now))
    }

    private mutating func happen(_ event: Event) {
        switch event {
        case .wake(let number):
            // An earlier one may have done it, or moved it.
            guard nodes[number].isUp, let next = nodes[number].machine.nextDeadline, next <= now
            else { return }
            with(number) { $0.deadline(at: $1, into: &$2) }
        case .packet(let number, let life, let source, let bytes):
            guard nodes[number].isUp, life == nil || life == lives[number] else { return }
            with(number) { $0.packet(from: source, bytes[...], at: $1, into: &$2) }
        case .request(let number, let asker, let askerLife, let exchange, let bytes):
            receive(bytes, at: number, from: asker, askerLife, exchange)
        case .answer(let number, let life, let exchange, let bytes):
            guard lives[number] == life else { return }
            with(number) { $0.exchangeAnswered(exchange, bytes[...], at: $1, into: &$2) }
        case .failure(let number, let life, let exchange):
            guard lives[number] == life else { return }
            with(number) { $0.exchangeFailed(exchange, "cut off", at: $1, into: &$2) }
        }
    }

    /// A request arrives; its answer goes back at once.
    private mutating func receive(
        _ bytes: [UInt8], at number: Int, from asker: Int, _ askerLife: Int,
        _ exchange: GossipExchange
    ) {
        guard nodes[number].isUp, sides[number] == sides[asker] else { return }
        let source = nodes[asker].address
        var actions: [Membership.Action] = []
        nodes[number].machine.request(1, from: source, bytes[...], at: now, into: &actions)
        stepCount += 1
        let back = now + delay()
        for action in actions {
            switch action {
            case .answer(_, let answer):
                guard sides[number] == sides[asker] else { break }
                schedule(.answer(to: asker, life: askerLife, exchange, answer), at: back)
            case .drop:
                schedule(.failure(to: asker, life: askerLife, exchange), at: back)
            case .send, .open, .close, .keys, .event, .log: perform(action, of: number)
            }
        }
        rearm(number)
    }

    // MARK: Actions

    private mutating func perform(_ action: Membership.Action, of number: Int) {
        switch action {
        case .send(let address, let bytes): send(bytes, from: number, to: address)
        case .open(let exchange, let address, let bytes):
            streamCount += 1
            let life = lives[number]
            guard let target = nodes.firstIndex(where: { $0.address == address && $0.isUp })
            else {
                return schedule(
                    .failure(to: number, life: life, exchange), at: now + .milliseconds(1))
            }
            // Behind a cut nothing answers; the machine's own time-out ends it.
            guard sides[target] == sides[number] else { return }
            schedule(
                .request(to: target, asker: number, askerLife: life, exchange, bytes),
                at: now + delay())
        case .event(let event): nodes[number].events.append((now, event))
        case .close, .answer, .drop, .keys, .log: break
        }
    }

    private mutating func send(_ bytes: [UInt8], from number: Int, to address: GossipAddress) {
        packetCount += 1
        packetBytes += bytes.count
        guard let target = nodes.firstIndex(where: { $0.address == address }),
            sides[target] == sides[number], !random.chance(weather.loss, 1_000)
        else { return }
        let event = Event.packet(
            to: target, life: nil, from: nodes[number].address, bytes)
        schedule(event, at: now + delay())
        if random.chance(weather.doubled, 1_000) {
            let later = random.duration(from: .zero, through: .seconds(10))
            schedule(event, at: now + later)
        }
    }

    private mutating func delay() -> Duration {
        random.duration(from: weather.delay.lowerBound, through: weather.delay.upperBound)
    }

    // MARK: What is seen

    func status(of number: Int, at observer: Int) -> GossipMember.Status? {
        nodes[observer].machine.member(Self.name(number))?.status
    }

    /// All nodes that are up hold this of the one.
    func allSee(_ number: Int, as status: GossipMember.Status?) -> Bool {
        nodes.indices.allSatisfy { observer in
            !nodes[observer].isUp || observer == number
                || self.status(of: number, at: observer) == status
        }
    }

    /// All nodes that are up and of one side see the same members. Those that are gone don't
    /// count: who comes later never hears of them.
    var isConverged: Bool {
        var first: [Int: [GossipMember]] = [:]
        for (number, node) in nodes.enumerated() where node.isUp {
            let members = node.machine.members.filter { $0.status == .alive }
            if let other = first[sides[number]] {
                guard other == members else { return false }
            } else {
                first[sides[number]] = members
            }
        }
        return true
    }

    /// Members that are alive and up, as all of them see it.
    var isWhole: Bool {
        isConverged
            && nodes.indices.allSatisfy { number in
                !nodes[number].isUp || allSee(number, as: .alive)
            }
    }

    func checkInvariants() {
        for node in nodes { node.machine.checkInvariants() }
    }

    /// Events of one kind that any node has told of a member.
    func told(_ kind: (MembershipEvent) -> GossipMember?, of number: Int) -> Int {
        nodes.reduce(0) { sum, node in
            sum + node.events.count { kind($0.event)?.name == Self.name(number) }
        }
    }
}

extension MembershipEvent {
    var failedMember: GossipMember? { if case .failed(let member) = self { member } else { nil } }
    var leftMember: GossipMember? { if case .left(let member) = self { member } else { nil } }
    var joinedMember: GossipMember? { if case .joined(let member) = self { member } else { nil } }
    var reapedMember: GossipMember? { if case .reaped(let member) = self { member } else { nil } }
}
