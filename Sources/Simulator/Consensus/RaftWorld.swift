import Core

/// Rafts alone on a bad network, on disks that forget what was not synced, judged by somebody who
/// sees all of them. Everything follows from the seed.
struct RaftWorld {
    struct Server {
        var id: ServerID
        var raft: Raft?
        var life = 0
        var disk = RaftDisk()
        /// Asked of the disk and not synced yet.
        var unsynced: [RaftDisk.Change] = []
        var isSyncing = false
        /// What was committed here, from index 1 on.
        var applied: [LogEntry] = []
        var rate: Int64 = 1_000
        /// The earliest wake-up that is queued.
        var wakesAt = Instant.distantFuture
        /// Since when it has led without a majority that it could reach.
        var aloneSince: TrueTime?
    }

    enum Event {
        case deliver(RaftMessage, from: Int, to: Int)
        case snapshot([LogEntry], RaftConfiguration, from: Int, to: Int)
        case synced(Int, life: Int)
        case wake(Int, life: Int)
        case client
        case nemesis
        case reignEnds(Int, life: Int)
    }

    private struct Item: Comparable {
        var time: Instant
        var order: UInt64
        var event: Event
        static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
        static func == (a: Self, b: Self) -> Bool { (a.time, a.order) == (b.time, b.order) }
    }

    var random: PRNG
    var servers: [Server]
    var tunables = RaftTunables()
    var time = Instant.zero
    private var queue = MinHeap<Item>()
    private var sequence: UInt64 = 0
    /// Pairs (from, to) that are cut.
    var cuts: Set<Int> = []
    var loss: UInt64 = 0
    var duplication: UInt64 = 0
    var meanDelay: Duration
    var isCalm = false
    /// In peace: the one server that hears nobody.
    var outcast: Int?
    var changesMembers: Bool
    /// Nobody leads for long, and each leader reaches few others.
    var hasShortReigns: Bool
    var judge = RaftJudge()
    /// The entries that were committed anywhere.
    private var committed: [LogEntry] = []
    var nextRead: UInt64 = 0
    var steps = 0
    var snapshots = 0

    /// How much clients write in a second of peace, at most about.
    static let mostInASecond = 60

    init(seed: Seed) {
        random = PRNG(seed: seed)
        let count = random.int(in: 1...5)
        changesMembers = random.chance(1, 2)
        meanDelay = .milliseconds(Int64(random.int(in: 1...60)))
        loss = random.chance(1, 2) ? random.below(25) : 0
        duplication = random.chance(1, 2) ? random.below(25) : 0
        tunables.cacheBytes = random.chance(1, 2) ? random.int(in: 0...300) : 1 << 20
        tunables.followerCacheBytes = random.chance(4, 5) ? random.int(in: 0...300) : 1 << 20
        tunables.messageBytes = random.chance(1, 2) ? random.int(in: 1...100) : 256 << 10
        tunables.inFlightMessages = random.int(in: 1...64)
        hasShortReigns = random.chance(1, 5)
        if hasShortReigns {
            // So that a reign may end between one entry and the next.
            tunables.messageBytes = random.int(in: 1...60)
            tunables.inFlightMessages = random.int(in: 1...2)
        }
        let voters = RaftConfiguration(voters: (0..<count).map { ServerID($0 + 1) })
        let spare = changesMembers ? 2 : 0
        servers = (0..<count + spare).map { Server(id: ServerID($0 + 1)) }
        for index in servers.indices {
            servers[index].rate = Int64(random.int(in: 990...1_010))
            servers[index].disk.firstConfiguration = index < count ? voters : .empty
            servers[index].disk.configuration = servers[index].disk.firstConfiguration
            start(index)
        }
        push(.client, after: .seconds(1))
        push(.nemesis, after: .seconds(2))
    }

    mutating func push(_ event: Event, after delay: Duration) {
        sequence += 1
        // Equal times come in any order.
        let order = random.next() << 32 | sequence & 0xffff_ffff
        queue.insert(Item(time: time + delay, order: order, event: event))
    }

    mutating func run(until end: Instant) {
        while let item = queue.first, item.time <= end, judge.violation == nil {
            _ = queue.popFirst()
            time = item.time
            judge.time = time - .zero
            steps += 1
            handle(item.event)
        }
        time = end
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .deliver(let message, let from, let to):
            let sender = servers[from].id
            step(to) { $0.receive(message, from: sender, at: $1, into: &$2) }
        case .snapshot(let entries, let configuration, let from, let to):
            install(entries, configuration, from: from, on: to)
        case .synced(let index, let life):
            if servers[index].life == life, servers[index].raft != nil { finishSync(index) }
        case .wake(let index, let life):
            guard servers[index].life == life else { return }
            servers[index].wakesAt = .distantFuture
            step(index) { _, _, _ in }
        case .client: actAsClient()
        case .nemesis: if !isCalm { strike() }
        case .reignEnds(let index, let life):
            if servers[index].life == life, !isCalm { endReign(of: index) }
        }
    }

    // MARK: Steps

    func clock(_ index: Int) -> Instant {
        Instant(nanoseconds: time.nanoseconds / 1_000 * servers[index].rate)
    }

    mutating func step(_ index: Int, _ body: (inout Raft, Instant, inout [Raft.Action]) -> Void) {
        guard servers[index].raft != nil else { return }
        let now = clock(index)
        var actions: [Raft.Action] = []
        body(&servers[index].raft!, now, &actions)
        servers[index].raft!.deadline(at: now, into: &actions)
        servers[index].raft!.flush(at: now, into: &actions)
        servers[index].raft!.checkInvariants()
        for action in actions {
            perform(action, index)
            // A crash between any two effects.
            if !isCalm, servers[index].raft != nil, random.chance(1, 20_000) { crash(index) }
            guard servers[index].raft != nil else { return }
        }
        sync(index)
        let deadline = servers[index].raft!.nextDeadline
        if deadline < servers[index].wakesAt {
            servers[index].wakesAt = deadline
            let wait = max(deadline - now, .zero)
            push(.wake(index, life: servers[index].life), after: wait + .microseconds(100))
        }
        watch(index)
    }

    private mutating func watch(_ index: Int) {
        let raft = servers[index].raft!
        let isAlone = raft.role == .leader && !canReachMajority(index)
        servers[index].aloneSince = isAlone ? servers[index].aloneSince ?? time - .zero : nil
        judge.watch(
            raft, aloneSince: servers[index].aloneSince,
            slack: .milliseconds(200) + meanDelay * 20)
    }

    private mutating func perform(_ action: Raft.Action, _ index: Int) {
        switch action {
        case .persist(let state): servers[index].unsynced.append(.state(state))
        case .persistEntry(let entry): servers[index].unsynced.append(.entry(entry))
        case .truncate(let first): servers[index].unsynced.append(.truncate(from: first))
        case .commit(let entry):
            servers[index].applied.append(entry)
            judge.committed(EntryMark(entry), at: servers[index].applied.count)
            if committed.count < judge.canonical.count { committed.append(entry) }
        case .lead:
            judge.leads(servers[index].raft!)
            if hasShortReigns, !isCalm { beginReign(of: index) }
        case .resign: break
        case .send(let id, let message):
            judge.sends(
                message, from: servers[index].id, to: id, state: servers[index].disk.state,
                lastIndex: servers[index].disk.lastIndex)
            send(message, from: index, to: id)
        case .sendSnapshot(let id): sendSnapshot(from: index, to: id)
        case .readReady(let id, let readIndex): judge.read(id, answeredAt: readIndex)
        case .readFailed(let id): judge.readFailed(id)
        }
    }

    private mutating func send(_ message: RaftMessage, from: Int, to id: ServerID) {
        guard let to = servers.firstIndex(where: { $0.id == id }) else { return }
        // What travels is bytes.
        var writer = ByteWriter()
        message.encode(into: &writer)
        var reader = ByteReader(writer.output)
        guard let copy = try? RaftMessage(from: &reader), copy == message, reader.isAtEnd else {
            return judge.fail(.R3, "a message does not survive its encoding: \(message)")
        }
        let copies = random.chance(duplication, 100) ? 2 : 1
        for _ in 0..<copies where !isCut(from, to) && !random.chance(loss, 100) {
            push(.deliver(copy, from: from, to: to), after: delay())
        }
    }

    private mutating func delay() -> Duration {
        let tail: Int64 = !isCalm && random.chance(1, 200) ? 10 : 1
        return .microseconds(
            Int64(random.below(UInt64(meanDelay.nanoseconds / 500))) * tail + 50)
    }

    func isCut(_ from: Int, _ to: Int) -> Bool { cuts.contains(from * 16 + to) }

    /// Whether this server and servers that it reaches both ways are a majority.
    private func canReachMajority(_ index: Int) -> Bool {
        guard let raft = servers[index].raft else { return false }
        let voters = raft.configuration.voters
        let reached = voters.count { voter in
            guard let other = servers.firstIndex(where: { $0.id == voter }) else { return false }
            return other == index
                || servers[other].raft != nil && !isCut(index, other) && !isCut(other, index)
        }
        return reached * 2 > voters.count
    }

    // MARK: Disks

    private mutating func sync(_ index: Int) {
        guard !servers[index].isSyncing, !servers[index].unsynced.isEmpty else { return }
        servers[index].isSyncing = true
        servers[index].disk.writing = servers[index].unsynced
        servers[index].unsynced = []
        let isSlow = !isCalm && random.chance(1, 100)
        let wait = Duration.microseconds(Int64(random.below(isSlow ? 2_000_000 : 5_000)))
        push(.synced(index, life: servers[index].life), after: wait)
    }

    private mutating func finishSync(_ index: Int) {
        servers[index].isSyncing = false
        servers[index].disk.sync()
        // As the journal reports it: entries taken back since then do not count.
        var through = servers[index].disk.lastIndex
        for case .truncate(let first) in servers[index].unsynced {
            through = min(through, first - 1)
        }
        let state = servers[index].disk.state
        step(index) { $0.persisted(through: through, state, at: $1, into: &$2) }
        if random.chance(1, 50) { takeSnapshot(index) }
    }

    private mutating func takeSnapshot(_ index: Int) {
        guard servers[index].raft != nil, let last = servers[index].applied.last else { return }
        let configuration = configuration(of: servers[index].applied)
        servers[index].disk.compact(
            through: last, configuration ?? servers[index].disk.configuration)
    }

    private func configuration(of entries: [LogEntry]) -> RaftConfiguration? {
        entries.last { $0.kind == Raft.EntryKind.configuration.rawValue }.flatMap {
            try? RaftConfiguration(decoding: $0.payload)
        }
    }

    private mutating func sendSnapshot(from: Int, to id: ServerID) {
        let to = servers.firstIndex { $0.id == id }!
        let configuration =
            configuration(of: servers[from].applied) ?? servers[0].disk.firstConfiguration
        if !isCut(from, to), !random.chance(loss, 100) {
            let entries = servers[from].applied
            servers[from].raft?.sendsSnapshot(through: entries.last?.index, to: id)
            push(
                .snapshot(entries, configuration, from: from, to: to), after: delay() + delay())
        } else {
            step(from) { raft, _, _ in raft.snapshotSent(to: id) }
        }
    }

    private mutating func install(
        _ entries: [LogEntry], _ configuration: RaftConfiguration, from: Int, on to: Int
    ) {
        let id = servers[to].id
        var isHeld = entries.isEmpty
        if let last = entries.last {
            step(to) { raft, _, actions in
                isHeld = raft.holds(
                    snapshotIndex: last.index, term: last.term, into: &actions)
            }
        }
        if servers[to].raft != nil, !isHeld, let last = entries.last {
            judge.installs(last, servers[to])
            // Durable as a whole before the consensus hears of it.
            for change in servers[to].disk.writing + servers[to].unsynced {
                if case .state(let state) = change { servers[to].disk.state = state }
            }
            servers[to].disk.writing = []
            servers[to].unsynced = []
            servers[to].isSyncing = false
            servers[to].life += 1
            servers[to].wakesAt = .distantFuture
            servers[to].disk.install(last, configuration)
            snapshots += 1
            servers[to].applied = entries
            let state = servers[to].disk.state
            step(to) {
                $0.installed(
                    snapshotIndex: last.index, term: last.term, configuration: configuration,
                    at: $1, into: &$2)
                $0.persisted(through: last.index, state, at: $1, into: &$2)
            }
        }
        step(from) { raft, _, _ in raft.snapshotSent(to: id) }
    }

    // MARK: Lives

    mutating func start(_ index: Int) {
        let disk = servers[index].disk
        servers[index].life += 1
        servers[index].wakesAt = .distantFuture
        servers[index].isSyncing = false
        servers[index].unsynced = []
        servers[index].applied = Array(committed.prefix(Int(disk.base)))
        var raft = Raft(
            id: servers[index].id, configuration: disk.firstConfiguration, tunables: tunables,
            random: random.split(number: UInt64(index * 1_000 + servers[index].life)))
        raft.restore(
            snapshotIndex: disk.base, term: disk.baseTerm, configuration: disk.configuration)
        var actions: [Raft.Action] = []
        for entry in disk.entries { raft.recover(entry, into: &actions) }
        raft.recovered(disk.state)
        servers[index].raft = raft
        for action in actions { perform(action, index) }
        step(index) { $0.start(at: $1, into: &$2) }
    }

    mutating func crash(_ index: Int) {
        guard servers[index].raft != nil else { return }
        servers[index].raft = nil
        servers[index].life += 1
        let kept = random.int(in: 0...servers[index].disk.writing.count)
        servers[index].disk.crash(keeping: kept)
        servers[index].unsynced = []
    }
}
