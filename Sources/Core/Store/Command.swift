// What the replicated log carries. A command holds everything that applying it needs: times were
// stamped and targets chosen by the leader that proposed it, so apply reads no clock, no zone and
// no generator.

/// One entry of the log for the store.
package struct Command: Hashable, Sendable {
    /// Cluster time at the proposal; apply takes the maximum with the last stamp.
    package var stamp: WallTime
    /// Decisions of ticks due up to the stamp, applied before the body. An edit carries those of
    /// the job it changes, so that no tick escapes through it.
    package var decisions: [JobDecision]
    /// The job that an edit was computed from; another edit that slipped in between makes this one
    /// outdated.
    package var basis: EditBasis?
    package var body: Body

    package enum Body: Hashable, Sendable {
        /// Decisions alone.
        case decide
        /// The first entry of a cluster.
        case bootstrap(clusterID: String, settings: ClusterSettings, paused: Bool)
        case putJob(PutJob)
        case deleteJob(JobName, Precondition, kill: Bool)
        case deleteExecutions(JobName)
        case runNow(RunNow)
        case decideChild(ChildDecision)
        case startRetry(RetryStart)
        case reports([Report])
        /// Asks for the end of one execution.
        case kill(JobName, ExecutionKey)
        case pause(editsAllowed: Bool)
        case unpause
        case settings(ClusterSettings)
        case restorePart(id: UInt64, jobs: [RestoredJob])
        case restoreCommit(id: UInt64, parts: UInt32)
        case restoreAbandon(id: UInt64)
        /// Every server understands this level.
        case raiseLevel(UInt32)
        /// Nodes that are alive, new ones and changed ones, and some that are so no longer.
        case nodes([KnownNode], gone: [NodeName])
        /// The node gets no new executions, or gets them again.
        case drain(NodeName, Bool)
        case rewind(Rewind)
        /// The cluster was recovered on one server, and is another from here on.
        case succeed(clusterID: String)
        /// What the processors of one execution left.
        case processed(Processed)
        /// What the leader can tell people by.
        case notifying(NotificationChannels)
        /// What came of telling people.
        case notified([Notified])
    }

    package init(
        stamp: WallTime, decisions: [JobDecision] = [], basis: EditBasis? = nil, body: Body
    ) {
        self.stamp = stamp
        self.decisions = decisions
        self.basis = basis
        self.body = body
    }
}

/// What the proposer of an edit saw of the job. The decisions that the edit carries are those of
/// this revision: had another edit opened a new one meanwhile, ticks between the two would get no
/// outcome.
package struct EditBasis: Hashable, Sendable {
    package var job: JobName
    /// Zero for a job that does not exist.
    package var generation: Generation
    package var revision: UInt64

    package init(job: JobName, _ state: JobState?) {
        self.job = job
        generation = state?.generation ?? 0
        revision = state?.revision ?? 0
    }

    init(job: JobName, generation: Generation, revision: UInt64) {
        self.job = job
        self.generation = generation
        self.revision = revision
    }
}

/// The outcomes of the next ticks of one job, in order of time.
package struct JobDecision: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        /// Launch on these nodes, unless apply finds an overlap.
        case run(targets: [NodeName])
        case skip(SkipReason)
        case miss(MissReason)
    }

    package struct Ticks: Hashable, Sendable {
        package var from: WallTime
        package var to: WallTime
        package var verdict: Verdict

        package init(from: WallTime, to: WallTime, verdict: Verdict) {
            self.from = from
            self.to = to
            self.verdict = verdict
        }
    }

    package var job: JobName
    package var generation: Generation
    package var revision: UInt64
    package var ticks: [Ticks]

    package init(job: JobName, generation: Generation, revision: UInt64, ticks: [Ticks]) {
        self.job = job
        self.generation = generation
        self.revision = revision
        self.ticks = ticks
    }
}

/// What must hold of the stored job for an edit to take effect.
package enum Precondition: Hashable, Sendable {
    case none
    /// No job of this name exists (`If-None-Match: *`).
    case absent
    /// The job exists with this version (`If-Match`).
    case version(UInt64)
    /// Both generation and version are those that the edit was computed from.
    case exactly(Generation, version: UInt64)
}

package struct PutJob: Hashable, Sendable {
    package var document: JobDocument
    package var precondition: Precondition
    /// A toggle goes through while paused; a submission does not.
    package var isAllowedWhilePaused: Bool
    /// Also start a run at once, on these nodes.
    package var runOnCreate: RunNow?

    package init(
        document: JobDocument, precondition: Precondition = .none,
        isAllowedWhilePaused: Bool = false, runOnCreate: RunNow? = nil
    ) {
        self.document = document
        self.precondition = precondition
        self.isAllowedWhilePaused = isAllowedWhilePaused
        self.runOnCreate = runOnCreate
    }
}

package struct RunNow: Hashable, Sendable {
    package var job: JobName
    /// Repeating a request id of this job answers with the group it made.
    package var requestID: String
    package var targets: [NodeName]

    package init(job: JobName, requestID: String, targets: [NodeName]) {
        self.job = job
        self.requestID = requestID
        self.targets = targets
    }
}

/// Decides one run that a parent's success asked for.
package struct ChildDecision: Hashable, Sendable {
    /// The number of the pending child trigger.
    package var trigger: Int64
    package var targets: [NodeName]
}

/// Takes cursors that lie ahead of the time back to it.
package struct Rewind: Hashable, Sendable {
    /// A cursor that is less far ahead is none of a clock that was wrong.
    package static let tolerance = Duration.seconds(60)

    /// Cluster time, filled in by the leader.
    package var time: WallTime
    /// One job; nil: all of them, a slice at a time.
    package var job: JobName?
    /// The slice begins behind this job.
    package var after: JobName?

    package init(time: WallTime, job: JobName? = nil, after: JobName? = nil) {
        self.time = time
        self.job = job
        self.after = after
    }
}

/// Starts the attempt that waited.
package struct RetryStart: Hashable, Sendable {
    package var job: JobName
    package var generation: Generation
    package var group: GroupID
    package var target: Int
    /// The attempt that failed; a retry that was decided for another one is void.
    package var after: Int64
    package var node: NodeName
}

/// News of one execution.
package struct Report: Hashable, Sendable {
    package enum News: Hashable, Sendable {
        case started(at: WallTime)
        /// A piece of output, numbered from 0.
        case output(chunk: UInt32, bytes: [UInt8])
        case ended(ExecutionResult)
        /// Given up by the leader or by a person.
        case lost(reason: String)
    }

    /// An agent tells it again until it is settled.
    var isOfResult: Bool {
        switch news {
        case .output, .ended: true
        case .started, .lost: false
        }
    }

    package var job: JobName
    package var key: ExecutionKey
    package var news: News
    /// Drawn by the leader: where between −20 % and +20 % a back-off that follows lies, in
    /// thousandths (−200 … 200).
    package var jitter: Int16

    package init(job: JobName, key: ExecutionKey, news: News, jitter: Int16 = 0) {
        self.job = job
        self.key = key
        self.news = news
        self.jitter = jitter
    }
}

/// How an execution ended, as its agent saw it.
package struct ExecutionResult: Hashable, Sendable {
    package var state: Execution.State
    package var startedAt: WallTime?
    package var finishedAt: WallTime
    package var exitCode: Int32?
    package var signal: Int32?
    package var cpuTime: Duration?
    package var peakMemory: UInt64?
    package var error: String
    package var outputLength: UInt64
    package var outputChunks: UInt32
    package var isOutputTruncated: Bool
    /// CRC-32C over the whole output.
    package var outputDigest: UInt32

    package init(
        state: Execution.State, startedAt: WallTime?, finishedAt: WallTime, error: String = ""
    ) {
        self.state = state
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.error = error
        outputLength = 0
        outputChunks = 0
        isOutputTruncated = false
        outputDigest = 0
    }
}

/// A job from an export, with the run-time facts that it brought along.
package struct RestoredJob: Hashable, Sendable {
    package var document: JobDocument
    package var successCount: Int64
    package var errorCount: Int64
    package var lastSuccess: WallTime?
    package var lastError: WallTime?
    package var everyAnchor: WallTime?

    package init(
        document: JobDocument, successCount: Int64 = 0, errorCount: Int64 = 0,
        lastSuccess: WallTime? = nil, lastError: WallTime? = nil, everyAnchor: WallTime? = nil
    ) {
        self.document = document
        self.successCount = successCount
        self.errorCount = errorCount
        self.lastSuccess = lastSuccess
        self.lastError = lastError
        self.everyAnchor = everyAnchor
    }
}

/// What applying a command came to, for whoever proposed it.
package enum ApplyResult: Hashable, Sendable {
    case applied
    /// The job was created or changed (or found identical) and now has this version.
    case stored(created: Bool, version: UInt64)
    /// A run was started, or this request id had started one before.
    case launched(group: GroupID, repeated: Bool)
    case restored(created: UInt32, updated: UInt32, unchanged: UInt32)
    /// So many jobs go on from the present; those behind `next` were not looked at yet.
    case rewound(jobs: UInt32, next: JobName?)
    case rejected(Rejection)
}

/// Why a command changed nothing.
package enum Rejection: Error, Hashable, Sendable {
    case unknownJob
    case unknownExecution
    case executionEnded
    case unknownParent(JobName)
    /// Making `JobName` the parent would close a circle.
    case parentCycle(JobName)
    case hasChildren([JobName])
    case preconditionFailed
    case paused
    case overlap
    /// No node that is alive matches the job's tags.
    case noTarget
    case notPending
}
