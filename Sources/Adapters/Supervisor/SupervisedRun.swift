internal import CSystem
internal import Core

/// One run that the supervisor holds: from its start until the agent has its result.
///
/// All deadlines are nanoseconds of the boot-time clock, which goes on while the machine sleeps.
final class SupervisedRun {
    /// Why and until when a run is being ended.
    struct Ending {
        var cause: RunEnd.Cause
        /// When politeness is over.
        var killAt: Int64
        var isAsked = false
        var isKilled = false
    }

    let spec: RunSpec
    /// Tells its descriptors apart in the poll set.
    let number: UInt64
    /// Nil while there is no process.
    private(set) var identity: ProcessIdentity?
    /// When the program began to run; before that, when it was asked for.
    private(set) var startedAt: WallTime
    private(set) var started: Int64
    /// Under way until its outcome is taken.
    var launch: Launch?

    /// Descriptors, -1 when closed.
    var output: Int32 = -1
    var input: Int32 = -1
    /// What is still to be fed to standard input.
    var payload: [UInt8] = []
    var fed = 0

    /// The first process ended and was collected.
    var exit: dkron_exit?
    var ending: Ending?
    /// When the wait for descendants that hold the output is given up.
    var heldUntil: Int64?
    /// When to look again whether the tree of a run being ended is empty.
    var lookAgain: Int64?
    /// From when the fence counts.
    var fenceBase: Int64
    var isFenceAnnounced = false

    /// `ended` or `refused`; nil while the run lasts.
    var result: RunEvent?
    var ring = OutputRing()

    /// What the connected agent was told.
    struct Told {
        var start = false
        var offset: UInt64 = 0
        /// No piece of output before then: a chatty run must not keep the agent busy.
        var nextOutput: Int64 = 0
        var result = false
    }
    /// Nil while no agent has started or adopted it on the present connection.
    var told: Told?
    /// Nobody wants the result any more.
    var isReleased = false
    /// The next turn looks at it.
    var isTouched = false
    /// The supervisor holds it no more.
    var isForgotten = false

    init(_ spec: RunSpec, number: UInt64, at wall: WallTime, now: Int64) {
        self.number = number
        startedAt = wall
        started = now
        fenceBase = now
        payload = spec.command.payload
        var spec = spec
        spec.command.payload = []
        self.spec = spec
    }

    /// Its program runs.
    func launched(_ process: LaunchedProcess) {
        identity = process.identity
        startedAt = process.at
        started = process.bootTime
        output = process.output
        input = process.input
    }

    var id: ExecutionID { spec.execution }
    var isOver: Bool { result != nil }

    var mark: RunMark {
        RunMark(
            execution: id, leader: identity?.processID ?? 0, startTicks: identity?.startTicks)
    }

    // MARK: Deadlines

    var timeoutAt: Int64? { spec.timeout.map { saturatingSum(started, $0.nanoseconds) } }

    /// When a run that is not renewed must be over.
    var fenceAt: Int64? { spec.fence.map { saturatingSum(fenceBase, $0.nanoseconds) } }

    /// When it must be asked to end, so that its grace fits before `fenceAt`.
    var fencePoliteAt: Int64? {
        spec.fence.map {
            let grace = min(max(spec.grace, .zero).nanoseconds, $0.nanoseconds / 2)
            return saturatingSum(fenceBase, $0.nanoseconds - grace)
        }
    }

    /// When the log says that this will happen.
    var fenceAnnouncedAt: Int64? {
        spec.fence.map { saturatingSum(fenceBase, $0.nanoseconds / 2) }
    }

    /// The next moment at which something is due without any event.
    var nextDeadline: Int64? {
        guard !isOver else { return nil }
        var earliest: Int64?
        func consider(_ time: Int64?) {
            if let time { earliest = min(earliest ?? time, time) }
        }
        if exit != nil {
            consider(heldUntil)
            consider(lookAgain)
        }
        if let ending {
            if !ending.isKilled { consider(ending.killAt) }
        } else if exit == nil {
            consider(timeoutAt)
            consider(fencePoliteAt)
            if !isFenceAnnounced { consider(fenceAnnouncedAt) }
        }
        return earliest
    }
}
