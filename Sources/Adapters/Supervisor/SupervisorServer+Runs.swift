internal import CSystem
internal import Core
internal import Glibc

extension SupervisorServer {
    /// At most one start per execution: a second one is answered with what is known.
    func start(_ spec: RunSpec) {
        if let run = runsByID[spec.execution] {
            run.told = SupervisedRun.Told()
            touch(run)
            return
        }
        let now = BootClock.now()
        let run = SupervisedRun(spec, number: nextNumber, at: Clocks.wall(), now: now)
        nextNumber += 1
        run.told = SupervisedRun.Told()
        trimAt = saturatingSum(now, Self.trimDelay)
        runs.append(run)
        runsByID[run.id] = run
        runsByNumber[run.number] = run
        touch(run)
        guard !isEnding else {
            run.result = .refused("the supervisor is ending")
            return
        }
        let launch = Launch(run.number, spec, launcher)
        run.launch = launch
        launching[run.number] = launch
        launches.add(launch)
    }

    /// Takes in what has become of the runs that were to be launched.
    func takeLaunches() {
        for launch in launches.receive() {
            launching[launch.number] = nil
            // It is held until its launch is over.
            guard let run = runsByNumber[launch.number] else { continue }
            run.launch = nil
            touch(run)
            switch launch.outcome {
            case .success(let process):
                run.launched(process)
                runsByProcess[process.identity.processID] = run
                // Whoever asked for the end meanwhile asked no program.
                run.ending?.isAsked = false
                run.ending?.isKilled = false
                watch(run.output, .output, number: run.number)
                if run.input >= 0 {
                    watch(run.input, .input, number: run.number, writing: true)
                    feed(run)
                }
            case .failure(let refusal):
                let cause = refusal.isCancelled ? run.ending?.cause : nil
                run.result = cause.map(Self.notStarted) ?? .refused(refusal.reason)
            case nil: invariant(false, "what is in the mailbox has its outcome")
            }
        }
    }

    func forget(_ run: SupervisedRun) {
        closePipes(run)
        run.isForgotten = true
        run.ring = OutputRing()
        run.told = nil
        runsByID[run.id] = nil
        runsByNumber[run.number] = nil
        forgotten += 1
        guard forgotten > runsByNumber.count + 16 else { return }
        forgotten = 0
        runs.removeAll { $0.isForgotten }
    }

    // MARK: Ending a run

    /// Asks the whole tree to end; after its grace it is killed. Ending it already, or ended by
    /// itself, nothing changes.
    func beginEnding(_ run: SupervisedRun, _ cause: RunEnd.Cause, now: Int64) {
        guard !run.isOver, run.ending == nil else { return }
        touch(run)
        if run.exit != nil, cause != .stopped { return }
        var grace = max(run.spec.grace, .zero)
        // What eats memory gets no long farewell.
        if cause == .outOfMemory { grace = min(grace, .seconds(1)) }
        var killAt = saturatingSum(now, grace.nanoseconds)
        if let fence = run.fenceAt { killAt = min(killAt, max(fence, now)) }
        run.ending = SupervisedRun.Ending(cause: cause, killAt: killAt)
        run.lookAgain = now
        if let launch = run.launch, launches.cancel(launch) {
            run.launch = nil
            launching[run.number] = nil
            run.result = Self.notStarted(cause)
        }
        if cause != .stopped {
            log.write(
                .warning, "supervisor: ending a run, \(cause.words)",
                [LogRecord.Field("execution", run.id.text)])
        }
    }

    private static func notStarted(_ cause: RunEnd.Cause) -> RunEvent {
        .refused("the command was not started: \(cause.words)")
    }

    /// Sends the polite signal to the trees of all runs that are to end and have not had it yet.
    /// Those being launched have no tree: they are given up, and asked again if that was too late.
    func askTrees(of concerned: [SupervisedRun]) {
        var due = concerned.filter { $0.ending?.isAsked == false && !$0.isOver }
        for run in due {
            run.ending?.isAsked = true
            run.launch?.giveUp()
        }
        due.removeAll { $0.launch != nil }
        guard !due.isEmpty else { return }
        for run in due {
            // Until it is collected, its number cannot be anybody else's. Once to each: to many
            // programs a second one says that they are to leave everything as it is.
            guard run.exit == nil, let leader = run.identity?.processID else { continue }
            kill(-leader, SIGTERM)
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
    func killTrees(of concerned: [SupervisedRun], now: Int64) {
        var due = concerned.filter { run in
            guard !run.isOver, let ending = run.ending else { return false }
            return !ending.isKilled && now >= ending.killAt
        }
        for run in due {
            run.ending?.isKilled = true
            run.launch?.kill()
        }
        due.removeAll { $0.launch != nil }
        guard !due.isEmpty else { return }
        for run in due {
            if run.exit == nil, let leader = run.identity?.processID { kill(-leader, SIGKILL) }
        }
        TreeKiller.kill(due.map(\.mark), orphans: orphans)
    }

    // MARK: The end of a run

    /// A run ends when its process has ended and its pipes are closed. After a normal exit nothing
    /// is killed: descendants hold the run open for a while only. A run that is being ended is over
    /// when its whole tree is.
    func settle(_ concerned: [SupervisedRun], now: Int64) {
        settleTrees(of: concerned, now: now)
        for run in concerned where !run.isOver && run.exit != nil {
            if run.ending != nil, run.lookAgain != nil { continue }
            if run.output < 0 {
                finish(run, isHeld: false)
            } else if let until = run.heldUntil {
                if now >= until { finish(run, isHeld: true) }
            } else {
                run.heldUntil = saturatingSum(now, Self.longestHold)
            }
        }
        for run in concerned where run.isOver && !run.isForgotten {
            closePipes(run)
            if run.isReleased { forget(run) }
        }
    }

    /// Looks whether the trees of runs that were asked to end are empty by now, when their first
    /// process is gone: if not, what is left keeps its grace, and what was killed a while to die.
    private func settleTrees(of concerned: [SupervisedRun], now: Int64) {
        let waiting = concerned.filter { run in
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
