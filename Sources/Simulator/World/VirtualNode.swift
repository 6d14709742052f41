// One machine of the simulated cluster: the core under test and everything around it.

import Core

/// A class, and the core in a box of its own: a node is a large value, and a copy of it per step
/// would cost more than the step.
final class VirtualNode {
    final class Core {
        var node: Node

        init(_ node: Node) { self.node = node }
    }

    enum Life: Hashable {
        case down
        case running
        /// Stopped by itself because it can't be trusted any more.
        case halted(reason: String)
        /// Ended after a request to stop.
        case stopped
    }

    let index: Int
    let name: String
    // What every event asks for is not checked at run time for overlapping accesses, twenty checks
    // a step: each is over at once, and there are no threads. The large parts are checked.
    @exclusivity(unchecked) var life = Life.down
    @exclusivity(unchecked) var core: Core?
    /// Counts starts; everything on its way to an earlier life is dropped.
    @exclusivity(unchecked) var incarnation: UInt64 = 0
    var startedAt = TrueTime.zero
    /// The core computes until then; what arrives meanwhile waits in `inbox`.
    @exclusivity(unchecked) var busyUntil = TrueTime.zero
    @exclusivity(unchecked) var pausedUntil = TrueTime.zero
    @exclusivity(unchecked) var inbox = RingBuffer<Input>()
    /// What sockets brought during a pause, oldest first.
    @exclusivity(unchecked) var heldSteps: [OutsideStep] = []
    /// Steps in a row that were followed by another at once.
    var followed = 0
    @exclusivity(unchecked) var isWakeScheduled = false
    /// Only the newest timer counts.
    @exclusivity(unchecked) var timerGeneration: UInt64 = 0
    @exclusivity(unchecked) var armedDeadline: Instant?
    @exclusivity(unchecked) var clock: Clock
    var disk: Disk
    var supervisor: Supervisor
    var outside: Outside
    @exclusivity(unchecked) var cpu: DrawStream
    var nextRequest: UInt64 = 1
    /// Who waits for which answer.
    var requests: [RequestID: OpenRequest] = [:]
    /// Counts of effects by kind over the whole run, for triggers.
    @exclusivity(unchecked) var effectCounts = [Int](repeating: 0, count: EffectKind.allCases.count)
    /// Faults of the disk that entitle the node to halt.
    var mayHalt: String?
    var restartAfter: Duration = .seconds(1)
    /// It is down for good.
    var isBanned = false
    /// Pending triggers by kind of effect, soonest first.
    @exclusivity(unchecked) var triggers: [EffectKind: [(count: Int, item: Int)]] = [:]
    /// What it says to other nodes and hears of them.
    var peers: PeerEnd
    /// Exchanges that it began and whose end it has not heard.
    var exchanges: Set<GossipExchange> = []
    /// Who waits for which of its answers to an exchange.
    var askers: [GossipRequest: Asker] = [:]
    var nextAsker: GossipRequest = 1
    /// The node's tags since a reload that brought some.
    var tags: [TagEntry]?

    init(
        index: Int, name: String, clock: Clock, disk: Disk, supervisor: Supervisor,
        outside: Outside, cpu: DrawStream
    ) {
        self.index = index
        peers = PeerEnd(identity: World.firstIdentity(of: index))
        self.name = name
        self.clock = clock
        self.disk = disk
        self.supervisor = supervisor
        self.outside = outside
        self.cpu = cpu
    }

    /// Who began an exchange.
    struct Asker {
        var node: Int
        var life: UInt64
        var exchange: GossipExchange
    }

    struct OpenRequest {
        var client: Int
        var operation: Int
        /// The least index at which it may be answered.
        var floor: LogIndex
        var body: [UInt8] = []
        var response: HTTPResponse?
        /// The client has gone, and the node has not heard of it yet: an answer goes nowhere.
        var isAbandoned = false
    }

    var isRunning: Bool { life == .running }

    /// Identifies its data directory.
    var identity: DataID { peers.identity }
}

/// Kinds of effects that a plan's triggers can name.
enum EffectKind: String, CaseIterable {
    case append, sync, name, read, respond, send, start, release, zone, log, halt, other

    init(_ effect: Effect) {
        switch effect {
        case .respond, .respondChunk, .abort: self = .respond
        case .store(_, let operation):
            switch operation {
            case .append: self = .append
            case .sync, .syncDirectory: self = .sync
            case .create, .rename, .remove, .truncate: self = .name
            case .list, .read: self = .read
            }
        case .start, .call, .converse, .execute: self = .start
        case .send: self = .send
        case .release: self = .release
        case .loadZone: self = .zone
        case .log: self = .log
        case .halt: self = .halt
        case .adopt, .stop, .process, .abandonProcessor, .readSecrets, .hangUp, .renewFences,
            .measureDisk, .reach, .belong, .packet, .exchange, .closeExchange, .answerExchange,
            .changeKeys, .resolve, .exit:
            self = .other
        }
    }
}
