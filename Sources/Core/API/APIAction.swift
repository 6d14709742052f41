// What goes in and out of the API besides requests: a machine of the node that turns HTTP requests
// into reads of the store, proposals for the log and answers.

/// Names one proposal of the API until it is applied or fails.
package struct ProposalID: Hashable, Comparable, Sendable {
    package var number: UInt64

    package init(number: UInt64) { self.number = number }

    package static func < (a: ProposalID, b: ProposalID) -> Bool { a.number < b.number }
}

/// Why a proposal came to nothing, or may have.
package enum ProposalFailure: Hashable, Sendable {
    /// Certainly not done: nobody leads.
    case noLeader
    /// May still take effect.
    case outcomeUnknown
    /// Certainly not done: too much is in flight.
    case busy
    /// Certainly not done: this node is stopping.
    case stopping
    /// Certainly not done: one entry of the log can't hold it.
    case tooLarge
    /// Certainly not done: some server runs a version that does not know it.
    case outdatedServers
}

/// What the API wants done, in order.
package enum APIAction: Sendable {
    case respond(RequestID, HTTPResponse)
    case respondChunk(RequestID, [UInt8], last: Bool)
    /// The node stamps it, adds the decisions that the edit has to carry, chooses the targets of a
    /// run by hand, and proposes it.
    case propose(ProposalID, Command.Body)
    case read(StorageTicket, StorageOperation)
    case loadZone(String)
    /// What a run of another node prints is wanted here. The node answers with
    /// `API.outputChanged` whenever there is more, and at least once.
    case mirror(ExecutionKey)
    /// The node answers with `API.measured`, in the same step.
    case measure(RequestID)
    /// The node answers with `API.arranged` when it is done or refused.
    case arrange(RequestID, SeatOrder)
    case log(LogRecord)
    case mark(Mark)
}

/// What the API may look at during one event; made anew for each.
package struct APIContext {
    package enum Role: Hashable, Sendable {
        case leader
        case follower(leader: NodeName?)
        /// Reading its files after a start; the sentence says how far it is.
        case recovering(String)
        case stopping
        /// Can't go on; the sentence says why.
        case halted(String)
    }

    package var now: Now
    /// Cluster time.
    package var stamp: WallTime
    package var store: Store
    package var config: Config
    package var role: Role
    package var zones: ZoneTable
    package var members: [Member]
    /// The seats of the servers, and who leads.
    package var configuration = RaftConfiguration.empty
    package var leaderID: ServerID?
    package var history: HistoryStore
    /// The term of the last entry that the store has applied.
    package var appliedTerm: Term
    /// What a run of this node has printed so far; nil for runs that are not here.
    package var liveTail: (ExecutionKey) -> OutputTail?
    /// The same of runs of other nodes that were asked for.
    package var mirror: (ExecutionKey) -> OutputMirror? = { _ in nil }
    /// The nodes that take new executions.
    package var candidates: [Member] {
        TargetSelection.candidates(members, region: config.region, store.cluster.drained)
    }
    package var isRecovering: Bool {
        if case .recovering = role { true } else { false }
    }

    package init(
        now: Now, stamp: WallTime, store: Store, config: Config, role: Role, zones: ZoneTable,
        members: [Member], history: HistoryStore, appliedTerm: Term = 0,
        liveTail: @escaping (ExecutionKey) -> OutputTail?
    ) {
        self.now = now
        self.stamp = stamp
        self.store = store
        self.config = config
        self.role = role
        self.zones = zones
        self.members = members
        self.history = history
        self.appliedTerm = appliedTerm
        self.liveTail = liveTail
    }

    /// Why requests can't be served, as the rest of a sentence about the server; nil if they can.
    var hindrance: String? {
        switch role {
        case .leader, .follower(leader: .some): nil
        case .follower(leader: .none) where configuration.voters.isEmpty:
            "it belongs to no cluster yet, and its log says what it waits for"
        case .follower(leader: .none) where configuration.voters.count == 1:
            "the cluster has no leader"
        case .follower(leader: .none):
            "the cluster has no leader; of \(Electorate(configuration, members).sentence)"
        case .recovering(let progress): "it is still reading its data: \(progress)"
        case .stopping: "it is stopping"
        case .halted(let why): "it has stopped working: \(why)"
        }
    }

    /// There is no leader: certainly nothing was done.
    var noLeader: APIError {
        let servers = Electorate(configuration, members)
        let missing = servers.voters.count > 1 ? " Of \(servers.sentence)." : ""
        return APIError(
            503, "no_leader",
            "The cluster has no leader at the moment; nothing was done.\(missing) Add ?stale to"
                + " read what this server knows.", retryAfter: 1)
    }

    /// What a proposal's failure means to whoever sent the request.
    func error(_ failure: ProposalFailure) -> APIError {
        switch failure {
        case .noLeader: noLeader
        case .outcomeUnknown: .outcomeUnknown
        case .busy: .busy
        case .stopping: .stopping
        case .outdatedServers: .outdatedServers
        case .tooLarge: .tooLarge
        }
    }

    /// The last bytes of what a run of this node has printed so far.
    func liveOutput(_ key: ExecutionKey) -> [UInt8]? { liveTail(key).map { Array($0.bytes) } }
}
