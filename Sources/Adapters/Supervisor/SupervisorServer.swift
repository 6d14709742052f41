// The supervisor: one thread around one poll set, which owns the child processes of an agent.
// Others only start them (`LaunchPool`).
//
// What happens is recorded on the runs it concerns (a pipe closed, a child was collected, the agent
// asked for a stop); then `turn` draws the conclusions for all of them. Files by aspect: `+Events`
// (what the poll set reports), `+Agent` (the connection), `+Runs` (start and end), `+Limits`
// (deadlines, memory), `+News` (what the agent is told).

internal import CSystem
internal import Core
internal import Glibc

final class SupervisorServer {
    let poll: Int32
    let timer: Int32
    let signals: Int32
    let directory: Int32
    let log: SupervisorLog
    let processID = getpid()
    var listener: Int32 = -1

    var launcher = ProcessLauncher()
    let launches: LaunchPool
    /// Those whose outcome was not taken yet, by number of the run.
    var launching: [UInt64: Launch] = [:]
    /// Every run that is not yet released, oldest first, and the same by id and by number. The list
    /// also keeps forgotten ones until there are many of them.
    var runs: [SupervisedRun] = []
    var runsByID: [ExecutionID: SupervisedRun] = [:]
    var runsByNumber: [UInt64: SupervisedRun] = [:]
    /// Runs whose first process is not yet collected.
    var runsByProcess: [Int32: SupervisedRun] = [:]
    var nextNumber: UInt64 = 1
    /// Runs to which something has happened since the last turn.
    private var touched: [SupervisedRun] = []
    /// When a turn is to look at all runs, which takes too long for each turn: not later than the
    /// first of their deadlines.
    private var lookAt = Int64.min
    /// How many of the list are forgotten.
    var forgotten = 0
    /// What the timer is set to; -1 when it is not, or has fired.
    var armed: Int64 = -1
    /// Outputs of ended runs that descendants still write to; read and forgotten, because closing
    /// them would end the writers.
    var drains: [Int32] = []

    var agent: AgentConnection?
    /// Somebody waits at the listener. Answered after everything else of a turn: a dead agent's
    /// connection closes before its successor's is looked at.
    var isKnocked = false
    var isEnding = false
    /// The agent's end is that of everything.
    var isBound = false
    /// Since when nobody has needed this process.
    var idleSince: Int64?
    /// When to give back memory that only work needed; nil when that was done.
    var trimAt: Int64?
    var nextMemorySample: Int64 = 0
    /// Where the last round of news stopped, so that each run gets its share.
    var newsStart = 0
    /// The connection was full before everybody's news were sent.
    var hasUnsentNews = false

    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)

    /// `connection` is the socket to the agent that started this process.
    init(
        directory: Int32, log: SupervisorLog, connection: Int32, openFiles: UInt64
    ) throws(SystemError) {
        self.directory = directory
        self.log = log
        launcher.openFiles = openFiles
        launcher.emptyInput = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard launcher.emptyInput >= 0 else { throw .last("open /dev/null") }
        launches = try LaunchPool()
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw .last("make a poll set") }
        signals = dkron_child_signal_descriptor()
        guard signals >= 0 else { throw .last("watch for ended children") }
        timer = dkron_boot_timer()
        guard timer >= 0 else { throw .last("make a timer") }
        guard dkron_become_subreaper() == 0 else { throw .last("become the parent of orphans") }
        watch(signals, .signals)
        watch(timer, .timer)
        watch(launches.fileDescriptor, .launches)
        try listen()
        accept(connection)
        trimAt = saturatingSum(BootClock.now(), Self.trimDelay)
    }

    /// Serves until nobody needs it any more.
    func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            arm(nextDeadline)
            let count = epoll_wait(poll, &events, Int32(events.count), -1)
            for event in events.prefix(Int(max(0, count))) { handle(event) }
            if turn(now: BootClock.now()) { return }
        }
    }

    /// The next turn looks at this run.
    func touch(_ run: SupervisedRun) {
        guard !run.isTouched else { return }
        run.isTouched = true
        touched.append(run)
    }

    /// The next turn looks at all runs.
    func touchAll() { lookAt = .min }

    /// Draws the conclusions of everything that was recorded; true when this process may end.
    func turn(now: Int64) -> Bool {
        if launches.checkDeadline(now: now) { warnOfLaunches() }
        if hasUnsentNews {
            flushAgent()
            if hasRoom { touchAll() }
        }
        let isFull = now >= lookAt
        if isFull { lookAt = .max }
        let concerned = isFull ? runs : touched
        for run in touched { run.isTouched = false }
        touched.removeAll(keepingCapacity: true)
        checkDeadlines(of: concerned, now: now)
        if isFull { sampleMemory(now: now) }
        settle(concerned, now: now)
        if isKnocked { answerKnocks() }
        sendNews(of: concerned, now: now)
        for run in concerned { schedule(run) }
        trimMemory(now: now)
        return mayLeave(now: now)
    }

    /// Sees to it that all runs are looked at when something is due for this one.
    private func schedule(_ run: SupervisedRun) {
        guard !run.isForgotten else { return }
        if let time = run.nextDeadline { lookAt = min(lookAt, time) }
        // Without room for it, all are looked at when there is some.
        if !hasUnsentNews, let time = run.nextNewsTime { lookAt = min(lookAt, time) }
        if run.isMemoryWatched { lookAt = min(lookAt, nextMemorySample) }
    }

    /// When nothing was started for a while: an idle supervisor must weigh next to nothing.
    private func trimMemory(now: Int64) {
        guard let at = trimAt, now >= at else { return }
        trimAt = nil
        dkron_trim_memory()
    }

    private func warnOfLaunches() {
        log.write(
            .warning,
            "supervisor: no command can be started: the files and directories of those before it "
                + "(\(launching.count) with those that wait), or the directory service that knows "
                + "their users, do not answer")
    }

    /// How to tell the orphans of runs from this process's other children. Those being launched are
    /// none, and to look closely at one whose start hangs could take as long as that.
    var orphans: OrphanSearch {
        var leaders = Set(runsByProcess.keys)
        for launch in launching.values { leaders.insert(launch.processID) }
        return OrphanSearch(reaper: processID, leaders: leaders)
    }

    // MARK: Time

    private var nextDeadline: Int64? {
        var earliest = touched.isEmpty ? lookAt : .min
        func consider(_ time: Int64?) {
            if let time { earliest = min(earliest, time) }
        }
        consider(launches.nextDeadline)
        consider(trimAt)
        consider(idleSince.map { saturatingSum($0, Self.idleDelay) })
        return earliest == .max ? nil : max(earliest, 0)
    }

    private func arm(_ time: Int64?) {
        let time = time ?? -1
        guard time != armed else { return }
        armed = time
        _ = dkron_boot_timer_set(timer, time)
    }

    // MARK: Leaving

    /// Nobody is connected, nothing is held: after a moment (an agent that restarts comes back
    /// soon) this process has no reason to be. Asked to end, it leaves with its last run.
    private func mayLeave(now: Int64) -> Bool {
        if isEnding, runs.allSatisfy(\.isOver) { return leave(evenIfKnocked: true) }
        guard agent == nil, runsByNumber.isEmpty else {
            idleSince = nil
            return false
        }
        guard let since = idleSince else {
            idleSince = now
            return false
        }
        return now >= saturatingSum(since, Self.idleDelay) && leave(evenIfKnocked: false)
    }

    /// Takes the name away first, so that nobody can come in after the last look at the door.
    private func leave(evenIfKnocked: Bool) -> Bool {
        unlinkat(directory, SupervisorMain.socketName, 0)
        if !evenIfKnocked {
            answerKnocks()
            if agent != nil {
                close(listener)
                do { try listen() } catch { log.write(.error, "\(error)") }
                return false
            }
        }
        log.write(.debug, "supervisor: nothing left to do")
        return true
    }

    func listen() throws(SystemError) {
        listener = dkron_unix_listen(directory, SupervisorMain.socketName)
        guard listener >= 0 else { throw .last("listen on \(SupervisorMain.socketName)") }
        watch(listener, .listener)
    }

    private static let idleDelay: Int64 = 2_000_000_000
    static let trimDelay: Int64 = 3_000_000_000
}

/// The clock that deadlines of runs use: it goes on while the machine sleeps.
enum BootClock {
    static func now() -> Int64 {
        var time = timespec()
        let result = clock_gettime(CLOCK_BOOTTIME, &time)
        invariant(result == 0, "clock_gettime failed: \(errno)")
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
