// Results, retries, children: what follows from an execution that ended.

extension Store {
    // MARK: Reports

    mutating func apply(_ report: Report, _ stamp: WallTime, _ events: inout [StoreEvent]) {
        let report = named(report)
        guard var execution = execution(report.key), var state = state(report.job),
            state.generation == report.key.generation
        else {
            // The job or the execution is gone: the agent may forget it, and nothing changes.
            switch report.news {
            case .ended:
                events.append(.mark(.resultForDeletedJob))
                events.append(.settled(report.key))
                remove(Key.orphan(report.key))
            case .lost: remove(Key.orphan(report.key))
            case .started, .output: break
            }
            return
        }
        switch report.news {
        case .started(let at):
            guard execution.state == .pending else { return }
            execution.state = .running
            execution.startedAt = at
            put(state.generation, execution)
            oweStart(of: execution, report.job, state.generation, &events)
            if execution.attempt == 1 {
                events.append(.started(due: execution.scheduledAt, at: at))
            }
        case .output(let chunk, let bytes):
            guard !execution.state.isEnded, chunk == execution.outputChunks else { return }
            execution.outputChunks += 1
            execution.outputLength += UInt64(bytes.count)
            put(state.generation, execution)
            events.append(.output(report.key, chunk: chunk, bytes: bytes))
        case .ended(let result):
            // Pieces of its output may have been lost or overtaken on the way: the agent keeps the
            // result until it is settled, and tells all of it again.
            let isWhole = execution.outputChunks >= result.outputChunks
            guard isWhole || execution.state.isEnded else {
                return events.append(.resultIncomplete(report.key))
            }
            if execution.state == .lost {
                events.append(.settled(report.key))
                attachLate(result, to: execution, &state, report.job, stamp, &events)
            } else if !execution.state.isEnded {
                let isNews = execution.state == .pending && result.startedAt != nil
                execution.take(result)
                // The word of its start was overtaken.
                if isNews { oweStart(of: execution, report.job, state.generation, &events) }
                if !awaitsProcessors(report.job) { events.append(.settled(report.key)) }
                complete(execution, report, &state, stamp, &events)
            } else if !execution.isProcessing {
                events.append(.settled(report.key))
            }
        case .lost(let reason):
            guard !execution.state.isEnded else { return }
            // What is given up before it was started must not start afterwards.
            if execution.state == .pending {
                events.append(.killRequested(report.key, execution.node))
            }
            execution.state = .lost
            execution.finishedAt = stamp
            execution.error = Execution.shortened(reason)
            complete(execution, report, &state, stamp, &events)
        }
    }

    /// An agent that was told to end what it never heard of can't name the job. Its word counts
    /// for what has not started, unless another journal would know whether it has.
    private func named(_ report: Report) -> Report {
        guard report.job.text.isEmpty, let execution = execution(report.key),
            execution.state == .pending, !isOfFormerJournal(report.key, on: execution.node),
            let job = bytes(Key.active(report.key.generation, execution.group))
        else { return report }
        var report = report
        report.job = JobName(String(decoding: job, as: UTF8.self))
        return report
    }

    /// Records the end of an execution. What follows from it waits for its processors, if the job
    /// has some.
    private mutating func complete(
        _ execution: Execution, _ report: Report, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        put(state.generation, execution)
        events.append(.executionEnded(report.key, execution.node))
        if awaitsProcessors(report.job) {
            beginProcessing(execution, of: report.job, &state, stamp, &events)
        } else {
            conclude(
                execution, of: report.job, jitter: report.jitter, &state, stamp, &events)
        }
    }

    /// Counts the end of an execution and finds out what follows: a retry, or the group's end.
    mutating func conclude(
        _ execution: Execution, of job: JobName, jitter: Int16, _ state: inout JobState,
        _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        let finished = execution.finishedAt ?? stamp
        if execution.state == .success {
            state.successCount += 1
            state.lastSuccess = max(state.lastSuccess ?? finished, finished)
        } else {
            state.errorCount += 1
            state.lastError = max(state.lastError ?? finished, finished)
        }
        guard var group = group(state.generation, execution.group),
            let document = document(job),
            let target = group.targets.firstIndex(where: { $0.attempts.last == execution.number })
        else {
            put(job, state)
            return
        }
        if wantsRetry(execution, document), resume(&group, for: execution, document, &state) {
            let delay = RetryPolicy.delay(
                afterAttempt: execution.attempt, jitter: Int64(jitter))
            schedule(
                PendingRetry(
                    due: stamp + delay, job: job, generation: state.generation,
                    group: group.id, target: target, after: execution.number),
                in: &group, &events)
        } else {
            oweEnd(of: execution.number, document, state.generation, &events)
        }
        put(state.generation, group)
        endIfComplete(&group, document, &state, stamp, &events)
        if hasJob(job) { put(job, state) }
    }

    /// A killed attempt is never retried, nor one that was to be killed but ended before, nor one
    /// that turned out to have ended after it had been given up.
    func wantsRetry(_ execution: Execution, _ document: JobDocument) -> Bool {
        guard execution.state == .failed || execution.state == .lost else { return false }
        return !execution.isKillRequested && execution.lateResult == nil
            && execution.attempt <= document.retries
    }

    /// A result for an attempt that had been given up: noted, and a waiting retry is not needed.
    private mutating func attachLate(
        _ result: ExecutionResult, to execution: Execution, _ state: inout JobState,
        _ job: JobName, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        guard execution.lateResult == nil else { return }
        var execution = execution
        execution.lateResult = result.state
        put(state.generation, execution)
        guard var group = group(state.generation, execution.group), let document = document(job),
            let target = group.targets.firstIndex(where: { $0.attempts.last == execution.number }),
            group.targets[target].retryDue != nil
        else { return }
        events.append(.mark(.retryCancelledByLateResult))
        cancelRetry(of: &group, target: target, job, state.generation)
        oweEnd(of: execution.number, document, state.generation, &events)
        put(state.generation, group)
        endIfComplete(&group, document, &state, stamp, &events)
        if hasJob(job) { put(job, state) }
    }

    // MARK: Retries

    private mutating func schedule(
        _ retry: PendingRetry, in group: inout Group, _ events: inout [StoreEvent]
    ) {
        group.targets[retry.target].retryDue = retry.due
        put(Key.retry(retry), retry.encoded)
        events.append(.mark(.retryScheduled))
        events.append(.retryScheduled(retry))
    }

    /// - Returns: whether one waited.
    @discardableResult
    mutating func cancelRetry(
        of group: inout Group, target: Int, _ job: JobName, _ generation: Generation
    ) -> Bool {
        guard let due = group.targets[target].retryDue,
            let after = group.targets[target].attempts.last
        else { return false }
        group.targets[target].retryDue = nil
        remove(
            Key.retry(
                PendingRetry(
                    due: due, job: job, generation: generation, group: group.id, target: target,
                    after: after)))
        return true
    }

    mutating func apply(
        _ retry: RetryStart, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard let state = state(retry.job), state.generation == retry.generation,
            let document = document(retry.job), var group = group(retry.generation, retry.group),
            group.targets.indices.contains(retry.target),
            group.targets[retry.target].retryDue != nil,
            group.targets[retry.target].attempts.last == retry.after
        else { return .rejected(.notPending) }
        cancelRetry(of: &group, target: retry.target, retry.job, retry.generation)
        addAttempt(
            to: &group, target: retry.target, on: retry.node, document, state, stamp, &events)
        put(retry.generation, group)
        return .applied
    }

    // MARK: The end of a group

    /// Ends a group whose every target has its last result and no retry waiting.
    mutating func endIfComplete(
        _ group: inout Group, _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        guard group.state == .active || group.state == .processing else { return }
        var successes = 0
        for target in group.targets {
            guard target.retryDue == nil, let number = target.attempts.last,
                let last = execution(ExecutionKey(generation: state.generation, number: number)),
                last.state.isEnded, !last.isProcessing
            else { return }
            if last.state == .success { successes += 1 }
        }
        let outcome: Group.State =
            successes == group.targets.count
            ? .success : (successes == 0 ? .failed : .partiallyFailed)
        end(&group, as: outcome, document, &state, stamp, &events)
    }

    mutating func end(
        _ group: inout Group, as outcome: Group.State, _ document: JobDocument,
        _ state: inout JobState, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        invariant(!group.state.isEnded && outcome.isEnded, "a group ends once")
        if group.state != .processing { state.activeGroups -= 1 }
        group.state = outcome
        group.endedAt = stamp
        put(state.generation, group)
        unmarkActive(state.generation, group.id)
        state.endedFrom = min(state.endedFrom, group.id)
        state.status =
            switch outcome {
            case .success: .success
            case .partiallyFailed: .partiallyFailed
            case .failed, .killed, .waiting, .active, .processing: .failed
            }
        events.append(.groupEnded(document.name, state.generation, group.id))
        events.append(.jobChanged(document.name))
        if outcome == .success {
            triggerChildren(of: document.name, state, group.id, stamp, &events)
            endEphemeral(document, &state, stamp, &events)
        }
        beginWaiting(document, &state, stamp, &events)
    }

    /// Begins the group that waits under `replace` when nothing is left to wait for.
    mutating func beginWaiting(
        _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        // An edit may have lifted the rule that it waits for.
        if let waiting = state.waitingGroup,
            state.activeGroups == 1 || document.concurrency == .allow
        {
            state.waitingGroup = nil
            guard var next = self.group(state.generation, waiting) else { return }
            next.state = .active
            begin(&next, document, state, stamp, &events)
            put(state.generation, next)
        }
    }

    private mutating func triggerChildren(
        of parent: JobName, _ state: JobState, _ group: GroupID, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        for child in state.children {
            guard let childState = self.state(child) else { continue }
            let trigger = ChildTrigger(
                number: nextNumber(stamp), child: child, childGeneration: childState.generation,
                parent: parent, parentGroup: group)
            put(Key.childTrigger(trigger.number), trigger.encoded)
            events.append(.childTriggered(trigger))
        }
    }

    /// An ephemeral job ends with its first success: it is deleted, or disabled if it has children.
    private mutating func endEphemeral(
        _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        guard document.isEphemeral else { return }
        events.append(.ephemeralEnded(document.name, isDeleted: state.children.isEmpty))
        put(document.name, state)
        if state.children.isEmpty {
            erase(document.name, state, kill: false, &events)
        } else if !document.isDisabled {
            var disabled = document
            disabled.isDisabled = true
            put(disabled)
            state.revision += 1
            state.version += 1
            state.cursor = max(state.cursor, stamp)
            put(document.name, state)
        }
    }

    // MARK: Children

    mutating func apply(
        _ decision: ChildDecision, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        let key = Key.childTrigger(decision.trigger)
        guard let bytes = bytes(key) else { return .rejected(.notPending) }
        let trigger = ChildTrigger(stored: bytes)
        remove(key)
        guard var state = state(trigger.child), state.generation == trigger.childGeneration,
            let document = document(trigger.child)
        else { return .rejected(.unknownJob) }
        let cause = Trigger.parent(job: trigger.parent, group: trigger.parentGroup)
        let outcome: Outcome
        if document.isDisabled {
            outcome = .skipped(.disabled)
        } else if cluster.isPaused {
            outcome = .skipped(.paused)
            events.append(.mark(.pausedSkipped))
        } else if document.startsAt.map({ stamp < $0 }) ?? false
            || document.expiresAt.map({ stamp > $0 }) ?? false
        {
            outcome = .skipped(.disabled)
        } else {
            outcome = launch(
                document, &state, cause, targets: decision.targets, stamp, &events)
            if case .ran = outcome { events.append(.mark(.childLaunched)) }
        }
        let row = record(outcome, cause: cause, stamp, &state, &events)
        oweNothingRan(row, document, state.generation, stamp, &events)
        put(trigger.child, state)
        return .applied
    }
}

extension Execution {
    /// The most bytes of a sentence on what went wrong. Whoever wrote it may have quoted something
    /// huge, and the sentence becomes a part of records that must stay small.
    static var errorLimit: Int { 8_192 }

    /// The beginning of a text, cut between characters and marked where it was cut.
    static func shortened(_ text: String) -> String {
        guard text.utf8.count > errorLimit else { return text }
        let bytes = Array(text.utf8.prefix(errorLimit - 8))
        var end = bytes.count
        while end > 0, bytes[end - 1] & 0xc0 == 0x80 { end -= 1 }
        if end > 0, bytes[end - 1] >= 0xc0 { end -= 1 }
        return String(decoding: bytes[..<end], as: UTF8.self) + " …"
    }

    fileprivate mutating func take(_ result: ExecutionResult) {
        state = result.state
        startedAt = result.startedAt ?? startedAt
        finishedAt = result.finishedAt
        exitCode = result.exitCode
        signal = result.signal
        cpuTime = result.cpuTime
        peakMemory = result.peakMemory
        error = Self.shortened(result.error)
        outputLength = result.outputLength
        outputChunks = result.outputChunks
        isOutputTruncated = result.isOutputTruncated
        outputDigest = result.outputDigest
    }
}

/// How long a failed attempt waits for the next.
package enum RetryPolicy {
    /// No delay is longer.
    package static let longest = Duration.minutes(6)

    /// From one second, doubling, at most five minutes; then −20 % to +20 %.
    /// - Parameter jitter: thousandths, −200 … 200.
    package static func delay(afterAttempt attempt: UInt32, jitter: Int64) -> Duration {
        let doublings = min(Int64(attempt) - 1, 9)
        let base = min(Duration.seconds(1 << doublings), .minutes(5))
        return Duration(nanoseconds: base.nanoseconds / 1_000 * (1_000 + jitter))
    }
}
