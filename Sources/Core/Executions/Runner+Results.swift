// From the supervisor's news to the result that the cluster records.

/// Why an assignment can't be carried out here.
struct AssignmentError: Error, Hashable, Sendable {
    var sentence: String
}

extension Runner {
    // MARK: Events from the supervisor

    mutating func event(
        _ id: ExecutionID, _ event: RunEvent, at now: Now, into actions: inout [Action]
    ) {
        if case .output(let bytes, let skipped) = event {
            // In place: beside a copy of the run, all that was printed would be copied.
            if let key = key(of: id) {
                runs.update(key) { run in
                    guard case .running = run.phase else { return }
                    run.print(bytes, skipped: skipped)
                }
            }
            return
        }
        guard let key = key(of: id), var run = runs[key] else {
            // A run that nobody waits for any more: let the supervisor forget it when it is over.
            if case .ended = event { actions.append(.release(id)) }
            return
        }
        guard case .running = run.phase else { return }
        switch event {
        case .started(let identity, let at):
            if run.isAdopted { actions.append(.mark(.runAdopted)) }
            guard run.identity == nil else { return }
            run.startedAt = at
            run.identity = identity
            runs[key] = run
            _ = noteSecrets(key)
            let start = Self.encode(identity, startedAt: at, runs[key]?.secretDigest)
            journal(.started, key, start, into: &actions)
            tell(run, .started(at: at), into: &actions)
        case .output: break
        case .ended(let end):
            runningCount -= 1
            finish(key, result(of: run, end, into: &actions), into: &actions)
            startQueued(at: now, into: &actions)
        case .refused(let reason):
            runningCount -= 1
            actions.append(.mark(.runRefused))
            let state: Execution.State = run.isKillRequested ? .killed : .failed
            finish(key, unstarted(run, state, reason, now.wall), into: &actions)
            startQueued(at: now, into: &actions)
        case .vanished(let reason):
            runningCount -= 1
            actions.append(.mark(.runVanished))
            var result = ExecutionResult(
                state: .lost, startedAt: run.startedAt, finishedAt: now.wall, error: reason)
            result.isOutputTruncated = run.tail.isTruncated
            finish(key, result, into: &actions)
            startQueued(at: now, into: &actions)
        }
    }

    // MARK: Results

    func unstarted(
        _ run: Run, _ state: Execution.State, _ error: String, _ wall: WallTime
    ) -> ExecutionResult {
        ExecutionResult(state: state, startedAt: nil, finishedAt: wall, error: error)
    }

    private func result(
        of run: Run, _ end: RunEnd, into actions: inout [Action]
    ) -> ExecutionResult {
        var result = ExecutionResult(
            state: .failed, startedAt: run.startedAt, finishedAt: end.at)
        result.error = end.failure(stopped: stopReason ?? "killed by request")
        switch end.cause {
        case .finished: if result.error.isEmpty { result.state = .success }
        case .timedOut: actions.append(.mark(.runTimedOut))
        case .stopped: result.state = .killed
        case .outOfMemory, .fenced: break
        }
        result.exitCode = end.exitCode
        result.signal = end.signal
        result.cpuTime = end.cpuTime
        result.peakMemory = end.peakMemory
        result.isOutputTruncated = run.tail.isTruncated
        if run.tail.isTruncated { actions.append(.mark(.outputTruncated)) }
        return result
    }

    /// Writes the result down; it is told when it is safe.
    mutating func finish(
        _ key: ExecutionKey, _ outcome: ExecutionResult, into actions: inout [Action]
    ) {
        runs.update(key) { $0.endPrinting() }
        guard let run = runs[key] else { return }
        var result = outcome
        result.error = Execution.shortened(run.secrets.hide(in: result.error))
        let output = Array(run.tail.bytes.suffix(outputLimit))
        if output.count < run.tail.bytes.count { result.isOutputTruncated = true }
        result.outputLength = UInt64(output.count)
        result.outputChunks = UInt32((output.count + Self.chunkLimit - 1) / Self.chunkLimit)
        result.outputDigest = Checksum.crc32c(output)
        if result.outputChunks > 1 { actions.append(.mark(.outputChunked)) }
        let sequence = journal(
            .finished, key, Self.encode(result, output: output), into: &actions)
        runs.update(key) {
            $0.result = result
            $0.phase = .finishing(sequence: sequence)
        }
        unsynced.append((sequence, key))
    }

    func tellResult(_ run: Run, into actions: inout [Action]) {
        guard let result = run.result else { return }
        let output = run.tail.bytes.suffix(Int(result.outputLength))
        var chunk: UInt32 = 0
        var start = output.startIndex
        while start < output.endIndex {
            let end = min(start + Self.chunkLimit, output.endIndex)
            tell(run, .output(chunk: chunk, bytes: Array(output[start..<end])), into: &actions)
            chunk += 1
            start = end
        }
        tell(run, .ended(result), into: &actions)
    }

    /// Tells a result that is finished, outside of its turn.
    func tellNow(_ key: ExecutionKey, into actions: inout [Action]) {
        guard let run = runs[key], case .finished = run.phase else { return }
        tellResult(run, into: &actions)
    }

    func tell(_ run: Run, _ news: Report.News, into actions: inout [Action]) {
        actions.append(
            .report(
                .news(Report(job: run.assignment.job, key: run.assignment.key, news: news))))
    }

    // MARK: Events of calls

    mutating func event(
        _ id: ExecutionID, _ event: CallEvent, at now: Now, into actions: inout [Action]
    ) {
        guard let key = key(of: id) else { return }
        if case .output(let bytes) = event {
            // In place, for the reason above.
            runs.update(key) { run in
                if case .running = run.phase { run.print(bytes) }
            }
            return
        }
        guard let run = runs[key], case .running = run.phase else { return }
        switch event {
        case .started(let at):
            runs.update(key) { $0.startedAt = at }
            if noteSecrets(key) {
                let start = Self.encode(nil, startedAt: at, runs[key]?.secretDigest)
                journal(.started, key, start, into: &actions)
            }
            tell(run, .started(at: at), into: &actions)
        case .output: break
        case .wholeOutput(let bytes):
            runs.update(key) {
                $0.endPrinting(isOver: false)
                $0.tail = OutputTail(limit: tunables.outputLimit)
                $0.print(bytes)
            }
        case .ended(let end):
            runningCount -= 1
            finish(key, result(of: run, end, into: &actions), into: &actions)
            startQueued(at: now, into: &actions)
        }
    }

    private func result(
        of run: Run, _ end: CallEnd, into actions: inout [Action]
    ) -> ExecutionResult {
        var result = ExecutionResult(
            state: .failed, startedAt: run.startedAt, finishedAt: end.at, error: end.error)
        let caveat = end.error.isEmpty ? run.carrier.caveat : "; \(end.error)"
        switch end.cause {
        case .finished: if end.error.isEmpty { result.state = .success }
        case .timedOut: actions.append(.mark(.runTimedOut))
        case .stopped:
            result.state = .killed
            let reason = stopReason ?? "killed by request"
            // One that still waited for a connection has sent nothing.
            result.error =
                run.startedAt == nil ? "\(reason) before the request was sent" : reason + caveat
        case .fenced:
            let reason =
                run.isAdopted
                ? "the agent ended while it had this under way, so its lease may have run out"
                : "the lease of this node was not renewed in time"
            let isBegun = run.startedAt != nil || run.isAdopted
            result.error = isBegun ? reason + caveat : "\(reason) before it began"
        }
        result.exitCode = end.exitCode
        result.isOutputTruncated = run.tail.isTruncated
        if run.tail.isTruncated { actions.append(.mark(.outputTruncated)) }
        return result
    }

    // MARK: What is to be run

    /// After which silence of the leader a fenced run must be over, so that nobody starts another
    /// meanwhile.
    static func fence(of assignment: Assignment) -> Duration {
        Duration(nanoseconds: assignment.lostAfter.nanoseconds / 10 * 8)
    }

    /// The action that carries an assignment out.
    /// - Parameter leaseAge: how long ago the leader has surely heard this agent. A fence counts
    ///   from then, and not from the start.
    func start(of run: Run, leaseAge: Duration) -> Swift.Result<Action, AssignmentError> {
        let assignment = run.assignment
        let fence = assignment.isFenced ? Self.fence(of: assignment) - leaseAge : nil
        if let sentence = offers.refusal(of: assignment.executor) {
            return .failure(AssignmentError(sentence: sentence))
        }
        do throws(ExecutorSettingError) {
            let settings = try run.settings()
            let name = assignment.executor
            let call = try BuiltInExecutor(rawValue: name)?.call(
                settings, execution: assignment.id, job: assignment.job,
                identity: identity(of: assignment), grace: tunables.grace, fence: fence,
                isResumed: run.isAdopted)
            switch call {
            case .start(let spec): return .success(.start(spec))
            case .call(let call): return .success(.call(call))
            case .converse(let call): return .success(.converse(call))
            case nil: break
            }
            if offers.plugins.contains(name) {
                let call = PluginCall(
                    execution: assignment.id, plugin: name, job: assignment.job,
                    config: settings, identity: identity(of: assignment),
                    grace: tunables.grace, fence: fence)
                return .success(.execute(call))
            }
            let sentence =
                name.isEmpty
                ? "the job names no executor; set \"executor\", for example to shell"
                : "executor \"\(name)\" is not available on this node"
            return .failure(AssignmentError(sentence: sentence))
        } catch {
            return .failure(AssignmentError(sentence: error.description))
        }
    }

    /// What tells the attempt from others (its idempotency key), and where it is made: a command's
    /// environment, a request's headers.
    private func identity(of assignment: Assignment) -> [EnvironmentEntry] {
        [
            EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: assignment.id.text),
            EnvironmentEntry(name: "DKRON_GROUP", value: "\(assignment.group)"),
            EnvironmentEntry(name: "DKRON_ATTEMPT", value: "\(assignment.attempt)"),
            EnvironmentEntry(
                name: "DKRON_SCHEDULED_AT", value: RFC3339.print(assignment.scheduledAt)),
            EnvironmentEntry(name: "DKRON_JOB_NAME", value: assignment.job.text),
        ] + place
    }
}
