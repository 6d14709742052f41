// Executions as they really begin, against what is recorded of them.

import Core

extension ExecutionChecker {
    // MARK: Effects and real runs

    mutating func willStart(
        _ id: ExecutionID, of job: String, timeout: Duration?, into verdict: inout Verdict
    ) {
        let text = id.text
        let number = Int64(text.prefix { $0 != "-" }) ?? 0
        guard let execution = known[number] else {
            // A deletion carries the launches of ticks due before it: they came and went unseen.
            let limit = removedBy[job].map { $0 + .milliseconds(1) } ?? .distantPast
            return verdict.require(
                number <= limit.nanoseconds, .X1, "\(text) is started, but no log entry knows it")
        }
        verdict.require(
            !execution.state.isEnded, .X2,
            "\(text) is started after it was recorded as \(execution.state)")
        verdict.require(
            timeouts[execution.generation]?[execution.firstTimeout...]
                .contains(timeout?.nanoseconds) ?? true, .X17,
            "\(text) is started with the time-out \(timeout.map(durationText) ?? "none")")
    }

    func willRelease(_ id: ExecutionID, into verdict: inout Verdict) {
        guard let number = Int64(id.text.prefix { $0 != "-" }), let execution = known[number]
        else { return }
        verdict.require(
            !execution.isProcessing || execution.state == .lost
                || goneGenerations.contains(execution.generation), .X5,
            "\(id) is released before its processors have run")
        verdict.require(
            execution.state.isEnded || goneGenerations.contains(execution.generation), .X5,
            "\(id) is released while recorded as \(execution.state)")
    }

    /// New real runs since the last call.
    mutating func observe(
        _ log: RunLog, clockBound: Duration?, epoch: WallTime, into verdict: inout Verdict
    ) {
        while judgedRuns < log.runs.count {
            let run = log.runs[judgedRuns]
            judgedRuns += 1
            judgeStart(of: run, log, &verdict)
            if let bound = clockBound, let due = oracleParseTime(run.scheduledAt) {
                let started = (epoch + run.startedAt).nanoseconds
                verdict.require(
                    started >= due - bound.nanoseconds, .S5,
                    "\(run.execution) of \(run.job) started before its tick \(run.scheduledAt)")
            }
            judgeOverlap(of: run, log, &verdict)
        }
    }

    private func judgeStart(of run: RealRun, _ log: RunLog, _ verdict: inout Verdict) {
        verdict.require(
            log.runs(of: run.execution).count == 1, .X2,
            "\(run.execution) of \(run.job) was really started twice")
    }

    mutating func didReplace(_ node: String, at time: TrueTime) {
        replaced.insert(node)
        beUncertain(until: time)
    }

    private func judgeOverlap(of run: RealRun, _ log: RunLog, _ verdict: inout Verdict) {
        guard let own = watch(of: run), !allowsOverlap.contains(own.generation) else { return }
        for index in log.alive {
            let other = log.runs[index]
            guard other.execution != run.execution, let theirs = watch(of: other),
                theirs.generation == own.generation, theirs.group != own.group,
                // It is for the newcomer to keep away, by the policy under which it came.
                exclusive[own.generation]?.contains(max(theirs.group, own.group)) ?? false
            else { continue }
            // Given up without a fence: that overlap was accepted with `fence: false`.
            if theirs.state == .lost, !other.isFenced || givenUp.contains(other.execution) {
                continue
            }
            verdict.fail(
                .X9, "\(run.execution) and \(other.execution) of \(run.job) run together")
        }
    }

    private func watch(of run: RealRun) -> Known? {
        Int64(run.execution.prefix { $0 != "-" }).flatMap { known[$0] }
    }

    /// Whether nobody waits for a run: its job is gone, or it was given up.
    func isOrphan(_ id: ExecutionID) -> Bool {
        guard let number = Int64(id.text.prefix { $0 != "-" }), let execution = known[number]
        else { return true }
        return goneGenerations.contains(execution.generation) || execution.state == .lost
    }
}
