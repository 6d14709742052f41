internal import CSystem
internal import Core
internal import Glibc

extension SupervisorServer {
    /// At most one start per execution: a second one is answered with what is known.
    func start(_ spec: RunSpec) {
        if let run = runsByID[spec.execution] {
            run.told = SupervisedRun.Told()
            return
        }
        let now = BootClock.now()
        let number = nextNumber
        nextNumber += 1
        let run: SupervisedRun
        do throws(LaunchRefusal) {
            if isEnding { throw LaunchRefusal(reason: "the supervisor is ending") }
            let launched = try launcher.launch(spec)
            run = SupervisedRun(
                spec, number: number, launched: launched, at: Clocks.wall(), now: now)
            runsByProcess[launched.processID] = run
        } catch {
            run = SupervisedRun(spec, number: number, launched: nil, at: Clocks.wall(), now: now)
            run.result = .refused(error.reason)
        }
        run.told = SupervisedRun.Told()
        trimAt = saturatingSum(now, Self.trimDelay)
        runs.append(run)
        runsByID[run.id] = run
        runsByNumber[number] = run
        if run.output >= 0 { watch(run.output, .output, number: number) }
        if run.report >= 0 { watch(run.report, .report, number: number) }
        if run.input >= 0 {
            watch(run.input, .input, number: number, writing: true)
            feed(run)
        }
    }

    func forget(_ run: SupervisedRun) {
        closePipes(run)
        runsByID[run.id] = nil
        runsByNumber[run.number] = nil
        runs.removeAll { $0 === run }
    }

    // MARK: Ending a run

    /// Asks the whole tree to end; after its grace it is killed. Ending it already, or ended by
    /// itself, nothing changes.
    func beginEnding(_ run: SupervisedRun, _ cause: RunEnd.Cause, now: Int64) {
        guard !run.isOver, run.ending == nil else { return }
        if run.exit != nil, cause != .stopped { return }
        var grace = max(run.spec.grace, .zero)
        // What eats memory gets no long farewell.
        if cause == .outOfMemory { grace = min(grace, .seconds(1)) }
        var killAt = saturatingSum(now, grace.nanoseconds)
        if let fence = run.fenceAt { killAt = min(killAt, max(fence, now)) }
        run.ending = SupervisedRun.Ending(cause: cause, killAt: killAt)
        run.lookAgain = now
        if cause != .stopped {
            log.write(
                .warning, "supervisor: ending a run, \(cause.words)",
                [LogRecord.Field("execution", run.id.text)])
        }
    }

    /// Sends the polite signal to the trees of all runs that are to end and have not had it yet.
    func askTrees() {
        let due = runs.filter { $0.ending?.isAsked == false && !$0.isOver }
        guard !due.isEmpty else { return }
        for run in due {
            run.ending?.isAsked = true
            // Until it is collected, its number cannot be anybody else's.
            guard run.exit == nil, let leader = run.identity?.processID else { continue }
            kill(-leader, SIGTERM)
            kill(leader, SIGTERM)
        }
        for (entry, index) in ProcessTable.read().members(of: due.map(\.mark), orphans: orphans)
        where !entry.isGone {
            let run = due[index]
            if run.exit != nil || entry.group != run.identity?.processID {
                kill(entry.processID, SIGTERM)
            }
            // A stopped process would never hear of it.
            kill(entry.processID, SIGCONT)
        }
    }

    /// Kills the trees of all runs whose grace is over, together, since each look at all processes
    /// takes its time.
    func killTrees(now: Int64) {
        let due = runs.filter { run in
            guard !run.isOver, let ending = run.ending else { return false }
            return !ending.isKilled && now >= ending.killAt
        }
        guard !due.isEmpty else { return }
        for run in due {
            run.ending?.isKilled = true
            if run.exit == nil, let leader = run.identity?.processID { kill(-leader, SIGKILL) }
        }
        TreeKiller.kill(due.map(\.mark), orphans: orphans)
    }

    // MARK: The end of a run

    /// A run ends when its process has ended and its pipes are closed. After a normal exit nothing
    /// is killed: descendants hold the run open for a while only. A run that is being ended is over
    /// when its whole tree is.
    func settleRuns(now: Int64) {
        settleTrees(now: now)
        for run in runs where !run.isOver && run.exit != nil {
            guard run.report < 0 else { continue }
            if run.ending != nil, run.lookAgain != nil { continue }
            if run.output < 0 {
                finish(run, isHeld: false)
            } else if let until = run.heldUntil {
                if now >= until { finish(run, isHeld: true) }
            } else {
                run.heldUntil = saturatingSum(now, Self.longestHold)
            }
        }
        for run in runs where run.isOver {
            closePipes(run)
            if run.isReleased { forget(run) }
        }
    }

    /// Looks whether the trees of runs that were asked to end are empty by now, when their first
    /// process is gone: if not, what is left keeps its grace, and what was killed a while to die.
    private func settleTrees(now: Int64) {
        let waiting = runs.filter { run in
            guard !run.isOver, run.exit != nil, let again = run.lookAgain else { return false }
            return now >= again
        }
        guard !waiting.isEmpty else { return }
        var alive = Set<Int>()
        let table = ProcessTable.read()
        for (entry, index) in table.members(of: waiting.map(\.mark), orphans: orphans)
        where !entry.isGone {
            alive.insert(index)
        }
        for (index, run) in waiting.enumerated() {
            guard alive.contains(index), let ending = run.ending,
                now < saturatingSum(ending.killAt, Self.longestHold)
            else {
                run.lookAgain = nil
                continue
            }
            let distance = ending.isKilled ? Self.lookDistance / 10 : Self.lookDistance
            run.lookAgain = saturatingSum(now, distance)
        }
    }

    private func finish(_ run: SupervisedRun, isHeld: Bool) {
        guard let exit = run.exit else { return }
        run.result = .ended(
            RunEnd(
                cause: run.ending?.cause ?? .finished,
                exitCode: exit.signal == 0 ? exit.code : nil,
                signal: exit.signal == 0 ? nil : exit.signal,
                cpuTime: .nanoseconds(exit.cpu_nanoseconds), peakMemory: exit.peak_bytes,
                at: Clocks.wall(), outputHeldOpen: isHeld))
        if isHeld { keepDraining(run) }
    }

    private static let longestHold: Int64 = 5_000_000_000
    private static let lookDistance: Int64 = 100_000_000
}

extension RunEnd.Cause {
    var words: String {
        switch self {
        case .finished: "it finished"
        case .timedOut: "its time is over"
        case .stopped: "a stop was asked for"
        case .outOfMemory: "it takes more memory than its limit"
        case .fenced: "the lease of this node was not renewed"
        }
    }
}
