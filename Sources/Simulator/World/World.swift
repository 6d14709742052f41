// The world: machines, clients and true time. One queue of events, one step at a time, no threads.
// It drives the very `Node` that production drives, and everything around it is a model.

import Core

/// What happens in the world.
enum Event {
    case item(Int)
    case start(node: Int)
    case input(node: Int, life: UInt64, Input)
    /// The node has time again for what waits in its inbox.
    case wake(node: Int, life: UInt64)
    case timer(node: Int, life: UInt64, generation: UInt64)
    case disk(node: Int, life: UInt64, StorageTicket, StorageOperation)
    case supervisor(node: Int, life: UInt64, run: Int, SupervisorStep)
    indirect case outside(node: Int, life: UInt64, OutsideStep)
    /// A process that was paused looks at its sockets again.
    case outsideWake(node: Int, life: UInt64)
    case clientTurn(Int)
    case arrival(client: Int, operation: Int, attempt: Int)
    case reply(client: Int, operation: Int, attempt: Int, Reply?)
    case clientTimeout(client: Int, operation: Int, attempt: Int)
    case endOfFault(node: Int, Plan.DiskFault)
    /// A message between nodes, at its goal. A repeated one is for the process only that ran when
    /// it was sent.
    case message(PeerEnvelope, to: Int, life: UInt64?)
    /// A packet of gossip, at its goal.
    case gossip(from: Int, to: Int, [UInt8])
    /// The message of an exchange, at its goal.
    case exchange(VirtualNode.Asker, to: Int, [UInt8])
    /// The end of an exchange, back at who began it.
    case exchangeEnd(VirtualNode.Asker, ExchangeEnd)
    /// A partition ends.
    case heal([Int])
    case phase
}

struct World {
    private let handedByAddress = HandedByAddress()
    let plan: Plan
    let parameters: Parameters
    let draws: Draws
    var queue: EventQueue<Event>
    var trace: Trace
    var time = TrueTime.zero
    var nodes: [VirtualNode]
    var network: Network
    /// Which node has an address.
    let positions: [IPAddress: Int]
    var clients: [Client]
    var operations: [Operation] = []
    var runLog = RunLog()
    var checkers: Checkers
    var phases: Phases
    var out = Outbox()
    var supervisorOut = Supervisor.Output()
    var outsideOut = OutsideOutput()
    /// Requests whose answer began in this step and has no piece yet.
    var loneHeads: [RequestID] = []
    var zoneFolder = ZoneFolder()
    var faultsAreOver = false
    var statistics = Statistics()
    var budget: Budget
    private(set) var isOver = false

    init(plan: Plan, options: RunOptions) {
        self.plan = plan
        let parameters = Parameters(plan)
        self.parameters = parameters
        let draws = Draws(seed: plan.seed)
        self.draws = draws
        queue = EventQueue(ties: draws.stream("order"))
        trace = Trace(lines: options.lines, checkpoints: options.keepsCheckpoints)
        checkers = Checkers(
            parameters: parameters, servers: plan.servers,
            nodes: (0..<plan.servers + plan.agents).map {
                TargetChecker.Node(name: plan.name(of: $0), tags: plan.fixedTags(of: $0))
            }, samplesReplay: options.samplesReplay)
        phases = Phases(horizon: plan.horizon)
        budget = Budget(horizon: plan.horizon, servers: plan.servers)
        let count = plan.servers + plan.agents
        network = Network(nodes: count, draws: draws, weather: parameters.weather)
        positions = Dictionary(
            uniqueKeysWithValues: (0..<count).map { (Self.address(of: $0).ip, $0) })
        nodes = (0..<count).map { index in
            VirtualNode(
                index: index, name: plan.name(of: index),
                clock: parameters.clock(of: index, named: plan.name(of: index), draws),
                disk: Disk(
                    draws: draws, path: "disk/\(index + 1)", meanSync: parameters.meanSync,
                    stallOneIn: parameters.stallOneIn),
                supervisor: Supervisor(
                    node: index, draws: draws, spawnMean: parameters.spawnMean),
                outside: Outside(
                    node: index, draws: draws, latency: parameters.clientLatency,
                    plugins: parameters.plugins),
                cpu: draws.stream("cpu/\(index + 1)"))
        }
        var clientCount = 1
        for case .request(let client, _) in plan.items.map(\.action) {
            clientCount = max(clientCount, client + 1)
        }
        clients = (0..<clientCount).map { Client(index: $0, draws: draws) }
        schedulePlan()
    }

    private mutating func schedulePlan() {
        var boot = draws.stream("boot")
        for node in nodes.indices {
            queue.push(
                .start(node: node), at: boot.duration(.zero, .milliseconds(50)),
                lane: Lane.node(node))
        }
        for (index, item) in plan.items.enumerated() {
            switch item.when {
            case .at(let time):
                queue.push(.item(index), at: min(time, plan.horizon), lane: Lane.plan)
            case .onEffect(let kind, let count, let node):
                guard let node = resolve(node) else { continue }
                nodes[node].triggers[kind, default: []].append((count, index))
            }
        }
        for node in nodes {
            for kind in EffectKind.allCases { node.triggers[kind]?.sort { $0.count < $1.count } }
        }
        queue.push(.phase, at: plan.horizon, lane: Lane.plan)
    }

    // MARK: The loop

    mutating func run() -> RunResult {
        while !isOver, checkers.violation == nil {
            guard let (at, event) = queue.pop() else {
                fail(.B4, "nothing is left to happen before the run's end")
                break
            }
            if let problem = budget.problem(advancing: time, to: at, events: trace.events) {
                fail(.B4, problem)
                break
            }
            time = at
            trace.beginEvent(at: at)
            handle(event)
        }
        return result()
    }

    private mutating func handle(_ event: consuming Event) {
        switch event {
        case .item(let index): act(plan.items[index].action)
        case .start(let node): start(node)
        case .input(let node, let life, let input): offer(input, to: node, life: life)
        case .wake(let node, let life): wake(node, life: life)
        case .timer(let node, let life, let generation):
            guard nodes[node].isRunning, nodes[node].incarnation == life,
                nodes[node].timerGeneration == generation
            else { return }
            nodes[node].armedDeadline = nil
            offer(.deadline, to: node, life: life)
        case .disk(let node, let life, let ticket, let operation):
            performStorage(node, life, ticket, operation)
        case .supervisor(let node, let life, let run, let step):
            stepSupervisor(node, life, run, step)
        case .outside(let node, let life, let step): stepOutside(node, life, step)
        case .outsideWake(let node, let life): resumeOutside(node, life)
        case .clientTurn(let client): beginNextOperation(client)
        case .arrival(let client, let operation, let attempt):
            arrive(client, operation, attempt)
        case .reply(let client, let operation, let attempt, let reply):
            receive(client, operation, attempt, reply)
        case .clientTimeout(let client, let operation, let attempt):
            loseClientPatience(client, operation, attempt)
        case .endOfFault(let node, let fault): endFault(node, fault)
        case .message(let envelope, let to, let life): arrive(envelope, at: to, life: life)
        case .gossip(let from, let to, let bytes): arrive(gossip: bytes, from: from, at: to)
        case .exchange(let asker, let to, let bytes): arrive(bytes, of: asker, at: to)
        case .exchangeEnd(let asker, let end): conclude(asker, end)
        case .heal(let cut): heal(cut)
        case .phase: advancePhase()
        }
    }

    mutating func finish() { isOver = true }

    mutating func fail(_ id: InvariantID, _ message: String) {
        checkers.fail(id, message, at: time)
    }

    private mutating func result() -> RunResult {
        for node in nodes.indices where nodes[node].isRunning {
            checkers.endLife(of: nodes[node], at: time)
        }
        statistics.ticksJudged = checkers.ticksJudged
        return RunResult(
            planName: plan.name, seed: plan.seed, violation: checkers.violation,
            excuse: phases.excuse, hash: trace.hash, events: trace.events,
            statistics: statistics, virtualTime: time, checkpoints: trace.checkpoints,
            lines: trace.lines)
    }
}

/// Lanes of the event queue: what shares one keeps its order at equal times.
enum Lane {
    static let plan: UInt64 = 1
    static func node(_ index: Int) -> UInt64 { 0x1_0000 + UInt64(index) }
    static func disk(_ index: Int, _ directory: StorageDirectory) -> UInt64 {
        0x2_0000 + UInt64(index) * 8 + UInt64(directory.rawValue)
    }
    static func supervisor(_ index: Int) -> UInt64 { 0x3_0000 + UInt64(index) }
    static func outside(_ index: Int) -> UInt64 { 0x5_0000 + UInt64(index) }
    static func client(_ index: Int) -> UInt64 { 0x4_0000 + UInt64(index) }
    static func link(_ from: Int, _ to: Int) -> UInt64 {
        0x6_0000 + UInt64(from) * 0x100 + UInt64(to)
    }
}

/// How one run is to be watched.
struct RunOptions: Sendable {
    var keepsCheckpoints = false
    /// How many of the last lines of the trace are wanted.
    var lines = 0
    var samplesReplay = false
}

struct Statistics: Sendable {
    var steps: UInt64 = 0
    var requests = 0
    var runs = 0
    var crashes = 0
    var syncs = 0
    /// Union of the core's marks.
    var marks: UInt64 = 0
    /// Union of `PeerMark`s.
    var peerMarks: UInt64 = 0
    var acknowledged = 0
    var ticksJudged = 0
    /// Between nodes, besides gossip.
    var messages = 0
    /// Of gossip.
    var packets = 0

    mutating func add(_ other: Statistics) {
        steps += other.steps
        requests += other.requests
        runs += other.runs
        crashes += other.crashes
        syncs += other.syncs
        marks |= other.marks
        peerMarks |= other.peerMarks
        acknowledged += other.acknowledged
        ticksJudged += other.ticksJudged
        messages += other.messages
        packets += other.packets
    }
}

struct RunResult: Sendable {
    var planName: String
    var seed: UInt64
    var violation: Violation?
    /// Why the end was not judged, if it was not.
    var excuse: String?
    var hash: UInt64
    var events: UInt64
    var statistics: Statistics
    var virtualTime: TrueTime
    var checkpoints: [UInt64]
    var lines: [String]
}

/// A run that can't end is a failure.
struct Budget {
    let maximumTime: TrueTime
    let maximumEvents: UInt64
    let maximumPerSecond: UInt64
    private var second: Int64 = -1
    private var eventsAtSecond: UInt64 = 0

    /// Each server may write a snapshot in many small slices.
    init(horizon: Duration, servers: Int) {
        maximumTime = horizon + .hours(12)
        maximumEvents = 20_000_000
        maximumPerSecond = 200_000 * UInt64(servers)
    }

    mutating func problem(advancing from: TrueTime, to time: TrueTime, events: UInt64) -> String? {
        if time > maximumTime { return "the run does not come to an end" }
        if events > maximumEvents { return "more than \(maximumEvents) events" }
        if time.wholeSeconds != second {
            second = time.wholeSeconds
            eventsAtSecond = events
        } else if events - eventsAtSecond > maximumPerSecond {
            return "more than \(maximumPerSecond) events in one virtual second"
        }
        return nil
    }
}
