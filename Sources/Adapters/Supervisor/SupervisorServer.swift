// The supervisor: one thread around one poll set, which owns the child processes of an agent.
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
    /// Every run that is not yet released, oldest first, and the same by id and by number.
    var runs: [SupervisedRun] = []
    var runsByID: [ExecutionID: SupervisedRun] = [:]
    var runsByNumber: [UInt64: SupervisedRun] = [:]
    /// Runs whose first process is not yet collected.
    var runsByProcess: [Int32: SupervisedRun] = [:]
    var nextNumber: UInt64 = 1
    /// Outputs of ended runs that descendants still write to; read and forgotten, because closing
    /// them would end the writers.
    var drains: [Int32] = []

    var agent: AgentConnection?
    /// Somebody waits at the listener. Answered after everything else of a turn: a dead agent's
    /// connection closes before its successor's is looked at.
    var isKnocked = false
    var isEnding = false
    /// Since when nobody has needed this process.
    var idleSince: Int64?
    /// When to give back memory that only work needed; nil when that was done.
    var trimAt: Int64?
    var nextMemorySample: Int64 = 0
    /// Where the last round of news stopped, so that each run gets its share.
    var newsStart = 0

    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)

    /// `connection` is the socket to the agent that started this process.
    init(
        directory: Int32, log: SupervisorLog, connection: Int32, openFiles: UInt64
    ) throws(SystemError) {
        self.directory = directory
        self.log = log
        launcher.openFiles = openFiles
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw .last("make a poll set") }
        signals = dkron_child_signal_descriptor()
        guard signals >= 0 else { throw .last("watch for ended children") }
        timer = dkron_boot_timer()
        guard timer >= 0 else { throw .last("make a timer") }
        guard dkron_become_subreaper() == 0 else { throw .last("become the parent of orphans") }
        watch(signals, .signals)
        watch(timer, .timer)
        try listen()
        accept(connection)
        trimAt = saturatingSum(BootClock.now(), Self.trimDelay)
    }

    /// Serves until nobody needs it any more.
    func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            arm(nextDeadline(now: BootClock.now()))
            let count = epoll_wait(poll, &events, Int32(events.count), -1)
            for event in events.prefix(Int(max(0, count))) { handle(event) }
            if turn(now: BootClock.now()) { return }
        }
    }

    /// Draws the conclusions of everything that was recorded; true when this process may end.
    func turn(now: Int64) -> Bool {
        checkDeadlines(now: now)
        sampleMemory(now: now)
        settleRuns(now: now)
        if isKnocked { answerKnocks() }
        sendNews(now: now)
        trimMemory(now: now)
        return mayLeave(now: now)
    }

    /// When nothing was started for a while: an idle supervisor must weigh next to nothing.
    private func trimMemory(now: Int64) {
        guard let at = trimAt, now >= at else { return }
        trimAt = nil
        dkron_trim_memory()
    }

    /// How to tell the orphans of runs from this process's other children.
    var orphans: OrphanSearch {
        OrphanSearch(reaper: processID, leaders: Set(runsByProcess.keys))
    }

    // MARK: Time

    private func nextDeadline(now: Int64) -> Int64? {
        var earliest: Int64?
        func consider(_ time: Int64?) {
            guard let time else { return }
            earliest = min(earliest ?? time, time)
        }
        for run in runs { consider(run.nextDeadline) }
        if runs.contains(where: { $0.isMemoryWatched }) { consider(nextMemorySample) }
        consider(nextNewsTime(now: now))
        consider(trimAt)
        consider(idleSince.map { saturatingSum($0, Self.idleDelay) })
        return earliest
    }

    private func arm(_ time: Int64?) { _ = dkron_boot_timer_set(timer, time ?? -1) }

    // MARK: Leaving

    /// Nobody is connected, nothing is held: after a moment (an agent that restarts comes back
    /// soon) this process has no reason to be. Asked to end, it leaves with its last run.
    private func mayLeave(now: Int64) -> Bool {
        if isEnding, runs.allSatisfy(\.isOver) { return leave(evenIfKnocked: true) }
        guard agent == nil, runs.isEmpty else {
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
