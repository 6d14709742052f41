// What requests wait for.

/// What an unanswered request waits for.
enum Pending {
    case proposal(ProposalID)
    /// Worked on from the start again once the zone is known.
    case zone(String, Call)
    case group(GroupWait)
    /// See `API.streams`.
    case stream
    /// See `API.outputs`.
    case output
    /// For what the node has counted.
    case measurement(Call)
    /// For a change of the seats.
    case seats(Call, SeatOrder)
    /// See `API.scrapes`.
    case metrics
    /// See `API.backup`.
    case backup
    /// See `API.restore`.
    case restore
}

/// A command on its way through the log, and what its outcome means to the request.
struct Proposal {
    let call: Call
    let intent: Intent
    var isAbandoned = false

    init(call: Call, intent: Intent) {
        self.call = call
        self.intent = intent
    }
}

enum Intent {
    case saveJob(JobEdit)
    /// With the job as it was, which is the answer's body.
    case deleteJob(JobName, body: [UInt8])
    case deleteExecutions(JobName)
    case run(JobName, wait: Duration)
    case kill(JobName, ExecutionKey)
    case giveUp(JobName, ExecutionKey)
    case pause
    case settings
    case drain(NodeName)
    /// Of one job or of all, and how many jobs were rewound so far.
    case rewind(JobName?, total: UInt32)
    case restorePart
    case restoreCommit
    case restoreAbandon

    var isRestore: Bool {
        switch self {
        case .restorePart, .restoreCommit, .restoreAbandon: true
        case .saveJob, .deleteJob, .deleteExecutions, .run, .kill, .giveUp, .pause, .settings,
            .drain, .rewind:
            false
        }
    }
}

/// An edit of a job under way.
struct JobEdit {
    enum Kind {
        case submission
        /// Computed from the stored job: computed again when that has changed meanwhile.
        case patch, toggle
    }

    var kind: Kind
    var document: JobDocument
    var warnings: [String] = []
    /// The client said which state it means, so a change meanwhile is its business.
    var isConditional: Bool
    var recomputations = 0
}

/// One request that waits for one group.
struct GroupWaiter: Hashable, Comparable {
    var generation: Generation
    var group: GroupID
    var request: RequestID

    static func < (a: Self, b: Self) -> Bool {
        (a.generation, a.group, a.request) < (b.generation, b.group, b.request)
    }
}

/// When a request stops waiting for a group.
struct WaitEnd: Hashable, Comparable {
    var at: Instant
    var request: RequestID

    static func < (a: Self, b: Self) -> Bool { (a.at, a.request) < (b.at, b.request) }
}

struct GroupWait {
    let call: Call
    let job: JobName
    let waiter: GroupWaiter
    let end: WaitEnd
}
