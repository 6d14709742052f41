// The process supervisor of one machine, behind the contract of Core's `RunSpec`: it owns the
// commands, outlives the agent, ends what is over its time, and keeps results until released.

import Core

/// What the supervisor wants to happen later.
enum SupervisorStep: Sendable {
    case spawn
    /// The command has written up to this offset.
    case write(upTo: Int)
    case finish
    case timeout
    /// The polite signal takes effect.
    case yield
    /// The grace is over: the deadly signal.
    case kill
    case fence
    /// The wait for a pipe held open is over: the end is told.
    case report
}

struct Supervisor: Sendable {
    struct Output {
        var later: [(time: TrueTime, run: Int, step: SupervisorStep)] = []
        var news: [(execution: ExecutionID, event: RunEvent, delay: Duration)] = []
    }

    private struct Run: Sendable {
        var spec: RunSpec
        var behaviour: Behaviour
        var draws: DrawStream
        var outputKey: UInt64
        var log: Int?
        var identity: ProcessIdentity?
        var startedWall = WallTime(nanoseconds: 0)
        var startedAt = TrueTime.zero
        var written = 0
        var ending: RealRun.Ending?
        var heldOpen = Duration.zero
        /// Why it is being ended.
        var cause: RunEnd.Cause?
        /// The end as told, once it can be told.
        var end: RunEnd?
        var refusal: String?
        /// Whether the living agent follows this run.
        var isAttached = true
    }

    /// Output kept per run, as the real supervisor's ring does.
    static let keptOutput = 256_000

    let node: Int
    private(set) var boot: UInt64 = 1
    private(set) var life: UInt64 = 1
    private var runs: [Int: Run] = [:]
    private var byExecution: [ExecutionID: Int] = [:]
    private var nextRun = 0
    private var nextProcessID: Int32 = 1_000
    private var startsOfJob: [String: UInt64] = [:]
    private let draws: Draws
    private var delays: DrawStream
    private let spawnMean: Duration
    private var fencesFrom = TrueTime.zero

    init(node: Int, draws: Draws, spawnMean: Duration) {
        self.node = node
        self.draws = draws
        self.spawnMean = spawnMean
        delays = draws.stream("supervisor/\(node)/delay")
    }

    /// Runs held for the agent: started or starting, and not released.
    var heldRuns: Int { runs.count }
    /// Those of them whose command runs.
    var runningExecutions: [ExecutionID] {
        runs.values.filter { $0.ending == nil && $0.refusal == nil }.map(\.spec.execution)
    }
    var runningCount: Int { runs.values.count { $0.end == nil && $0.refusal == nil } }

    // MARK: What the agent asks

    mutating func start(
        _ spec: RunSpec, at time: TrueTime, into out: inout Output
    ) {
        let index = nextRun
        nextRun += 1
        let job = Self.environment(spec, "DKRON_JOB_NAME") ?? "?"
        let count = startsOfJob[job, default: 0]
        startsOfJob[job] = count + 1
        let path = node == 0 ? "proc/\(job)" : "proc/\(job)@\(node + 1)"
        var stream = draws.stream(path).child(count)
        let key = stream.next()
        let behaviour = Behaviour(command: spec.command.arguments) ?? Behaviour()
        runs[index] = Run(spec: spec, behaviour: behaviour, draws: stream, outputKey: key)
        byExecution[spec.execution] = index
        out.later.append((time + delays.exponential(spawnMean), index, .spawn))
    }

    mutating func stop(_ execution: ExecutionID, at time: TrueTime, into out: inout Output) {
        guard let index = byExecution[execution] else { return }
        end(index, cause: .stopped, at: time, into: &out)
    }

    mutating func adopt(
        _ execution: ExecutionID, at time: TrueTime, into out: inout Output
    ) {
        guard let index = byExecution[execution], runs[index] != nil else {
            let delay = delays.exponential(.milliseconds(20))
            out.news.append((execution, .vanished("the supervisor does not know this run"), delay))
            return
        }
        runs[index]!.isAttached = true
        let run = runs[index]!
        guard let identity = run.identity else {
            if let refusal = run.refusal {
                out.news.append((execution, .refused(refusal), .zero))
            } else if let end = run.end {
                // Stopped before it was spawned.
                out.news.append((execution, .ended(end), .zero))
            }
            return
        }
        out.news.append((execution, .started(identity, at: run.startedWall), .zero))
        let from = max(0, run.written - Self.keptOutput)
        if run.written > 0 {
            let bytes = RealRun.output(
                run.outputKey, from..<run.written, binary: run.behaviour.isBinary)
            out.news.append((execution, .output(bytes, skipped: UInt64(from)), .zero))
        }
        if let end = run.end { out.news.append((execution, .ended(end), .zero)) }
    }

    mutating func release(_ execution: ExecutionID) {
        guard let index = byExecution[execution] else { return }
        guard let run = runs[index], run.end != nil || run.refusal != nil else { return }
        byExecution[execution] = nil
        runs[index] = nil
    }

    mutating func renewFences(ago: Duration, at time: TrueTime) { fencesFrom = time - ago }

    // MARK: What happens by itself

    mutating func step(
        _ index: Int, _ step: SupervisorStep, at time: TrueTime, clock: Clock, agentLife: UInt64,
        log: inout RunLog, into out: inout Output
    ) {
        guard let run = runs[index], run.end == nil, run.refusal == nil else { return }
        switch step {
        case .spawn: spawn(index, at: time, clock: clock, agentLife, &log, &out)
        case .write(let length):
            guard run.ending == nil else { return }
            write(index, upTo: length, &log, &out)
        case .finish:
            guard run.ending == nil else { return }
            // One that is being ended and gets there by itself was ended all the same.
            let ending = run.cause.map(Self.ending) ?? naturalEnding(index)
            finish(index, ending, at: time, clock: clock, &log, &out)
        case .timeout: end(index, cause: .timedOut, at: time, into: &out)
        case .fence:
            guard let fence = run.spec.fence else { return }
            let due = max(fencesFrom, run.startedAt) + fence
            guard due <= time else { return out.later.append((due, index, .fence)) }
            end(index, cause: .fenced, at: time, into: &out)
        case .yield, .kill:
            guard run.ending == nil, let cause = run.cause else { return }
            finish(index, Self.ending(cause), at: time, clock: clock, &log, &out)
        case .report: report(index, at: time, clock: clock, &out)
        }
    }

    private mutating func spawn(
        _ index: Int, at time: TrueTime, clock: Clock, _ agentLife: UInt64, _ log: inout RunLog,
        _ out: inout Output
    ) {
        var run = runs[index]!
        defer { runs[index] = run }
        let refuses = run.behaviour.refuses
        if run.cause != nil || run.draws.chance(refuses.numerator, refuses.denominator) {
            let why = run.cause != nil ? "stopped before it was started" : "no such program"
            run.refusal = why
            log.refuse(run.spec.execution.text)
            tell(run, .refused(why), &out)
            return
        }
        nextProcessID += 1
        let wall = clock.wall(at: time)
        let identity = ProcessIdentity(
            processID: nextProcessID, startTicks: UInt64(time.wholeMilliseconds / 10),
            boot: "boot-\(node)-\(boot)")
        run.identity = identity
        run.startedWall = wall
        run.startedAt = time
        let environment = { Self.environment(run.spec, $0) ?? "" }
        run.log = log.begin(
            RealRun(
                execution: run.spec.execution.text, job: environment("DKRON_JOB_NAME"),
                group: environment("DKRON_GROUP"),
                attempt: Int(environment("DKRON_ATTEMPT")) ?? 0,
                scheduledAt: environment("DKRON_SCHEDULED_AT"), node: node,
                agentLife: agentLife, timeout: run.spec.timeout, grace: run.spec.grace,
                isFenced: run.spec.fence != nil, behaviour: run.behaviour,
                outputKey: run.outputKey, startedAt: time, startedWall: wall))
        tell(run, .started(identity, at: wall), &out)
        schedule(&run, index, at: time, &out)
    }

    private func schedule(
        _ run: inout Run, _ index: Int, at time: TrueTime, _ out: inout Output
    ) {
        let length: Duration?
        switch run.behaviour.length {
        case .fixed(let fixed): length = fixed
        case .exponential(let mean): length = run.draws.exponential(mean)
        case .forever: length = nil
        }
        if let length { out.later.append((time + length, index, .finish)) }
        if let timeout = run.spec.timeout { out.later.append((time + timeout, index, .timeout)) }
        if let fence = run.spec.fence {
            out.later.append((max(fencesFrom, time) + fence, index, .fence))
        }
        let total = run.behaviour.output
        guard total > 0 else { return }
        let span = length ?? .seconds(30)
        var written = 0
        var at = Duration.zero
        let pieces = run.draws.int(1...6)
        for piece in 1...pieces where written < total {
            at = piece == pieces ? span : run.draws.duration(at, span)
            written = piece == pieces ? total : run.draws.int(written...total)
            out.later.append((time + at, index, .write(upTo: written)))
        }
    }

    private mutating func write(
        _ index: Int, upTo length: Int, _ log: inout RunLog, _ out: inout Output
    ) {
        var run = runs[index]!
        defer { runs[index] = run }
        guard length > run.written else { return }
        let from = max(run.written, length - Self.keptOutput)
        let skipped = UInt64(from - run.written)
        let bytes = RealRun.output(
            run.outputKey, from..<length, binary: run.behaviour.isBinary)
        run.written = length
        if let index = run.log { log.wrote(index, upTo: length) }
        tell(run, .output(bytes, skipped: skipped), &out)
    }

    private mutating func naturalEnding(_ index: Int) -> RealRun.Ending {
        let behaviour = runs[index]!.behaviour
        let signal = behaviour.diesOfSignal
        if runs[index]!.draws.chance(signal.numerator, signal.denominator) {
            return .signalled(11)
        }
        let fails = runs[index]!.draws.chance(
            behaviour.fails.numerator, behaviour.fails.denominator)
        return .exited(fails ? Int32(1 + runs[index]!.draws.below(200)) : 0)
    }

    private static func ending(_ cause: RunEnd.Cause) -> RealRun.Ending {
        switch cause {
        case .timedOut: .timedOut
        case .fenced: .fenced
        default: .stopped
        }
    }

    /// Begins to end a run: the polite signal now, the deadly one after the grace.
    private mutating func end(
        _ index: Int, cause: RunEnd.Cause, at time: TrueTime, into out: inout Output
    ) {
        guard var run = runs[index], run.cause == nil, run.end == nil, run.ending == nil,
            run.refusal == nil
        else { return }
        run.cause = cause
        let ignores = run.behaviour.ignoresTerm
        if run.draws.chance(ignores.numerator, ignores.denominator) {
            out.later.append((time + run.spec.grace, index, .kill))
        } else {
            let delay = min(run.draws.exponential(.milliseconds(5)), run.spec.grace)
            out.later.append((time + delay, index, .yield))
        }
        runs[index] = run
    }

    private mutating func finish(
        _ index: Int, _ ending: RealRun.Ending, at time: TrueTime, clock: Clock,
        _ log: inout RunLog, _ out: inout Output
    ) {
        if case .exited = ending, runs[index]!.written < runs[index]!.behaviour.output {
            write(index, upTo: runs[index]!.behaviour.output, &log, &out)
        }
        runs[index]!.ending = ending
        if let entry = runs[index]!.log { log.end(entry, ending, at: time) }
        let hold = runs[index]!.cause == nil ? runs[index]!.behaviour.holdsOutput : .zero
        guard hold > .zero else { return report(index, at: time, clock: clock, &out) }
        // The wait for background children that keep the output open is five seconds.
        let wait = min(hold, .seconds(5))
        runs[index]!.heldOpen = hold
        if let entry = runs[index]!.log { log.heldOpen(entry, wait) }
        out.later.append((time + wait, index, .report))
    }

    private mutating func report(
        _ index: Int, at time: TrueTime, clock: Clock, _ out: inout Output
    ) {
        let run = runs[index]!
        guard run.end == nil, let ending = run.ending else { return }
        var exitCode: Int32?
        var signal: Int32?
        switch ending {
        case .exited(let code): exitCode = code
        case .signalled(let number): signal = number
        case .timedOut, .stopped, .fenced:
            // Every other command catches the signal and leaves with success; that changes nothing.
            if run.outputKey.isMultiple(of: 2) { exitCode = 0 } else { signal = 15 }
        case .answered, .agentLost, .supervisorLost, .powerLost: return
        }
        let end = RunEnd(
            cause: run.cause ?? .finished, exitCode: exitCode, signal: signal,
            cpuTime: .milliseconds(Int64(run.outputKey % 1_000)),
            peakMemory: 1 << 20 + run.outputKey % 4_096, at: clock.wall(at: time),
            outputHeldOpen: run.heldOpen > .seconds(5))
        runs[index]!.end = end
        tell(run, .ended(end), &out)
    }

    private func tell(_ run: Run, _ event: RunEvent, _ out: inout Output) {
        guard run.isAttached else { return }
        out.news.append((run.spec.execution, event, .zero))
    }

    // MARK: Deaths

    /// The agent is gone: nobody hears anything until somebody adopts.
    mutating func agentDied() {
        for index in runs.keys { runs[index]!.isAttached = false }
        // What had been asked for and not begun dies with the request.
    }

    /// The supervisor is killed with all it owned. A living agent is told so for each run.
    mutating func die(at time: TrueTime, log: inout RunLog, into out: inout Output) {
        for index in runs.keys.sorted() {
            let run = runs[index]!
            if let entry = run.log, run.ending == nil { log.end(entry, .supervisorLost, at: time) }
            guard run.isAttached, run.end == nil, run.refusal == nil else { continue }
            let delay = delays.exponential(.milliseconds(50))
            out.news.append(
                (run.spec.execution, .vanished("the supervisor was lost"), delay))
        }
        forgetEverything()
        life += 1
    }

    /// The machine loses its power.
    mutating func powerLoss(at time: TrueTime, log: inout RunLog) {
        for index in runs.keys.sorted() {
            if let entry = runs[index]!.log, runs[index]!.ending == nil {
                log.end(entry, .powerLost, at: time)
            }
        }
        forgetEverything()
        life += 1
        boot += 1
        fencesFrom = .zero
    }

    private mutating func forgetEverything() {
        runs.removeAll()
        byExecution.removeAll()
    }

    private static func environment(_ spec: RunSpec, _ name: String) -> String? {
        spec.command.environment.last { $0.name == name }?.value
    }
}
