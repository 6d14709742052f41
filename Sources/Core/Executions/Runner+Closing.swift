// An agent that goes takes nothing more, and waits for nothing but its results to be settled.

extension Runner {
    mutating func close(at now: Instant) {
        guard !isClosed else { return }
        isClosed = true
        tellAllAgain(at: now)
    }

    /// Answers an order for something new, if this agent has been closed, so that the leader can
    /// turn to another at once.
    /// - Returns: whether it was declined; what is known already goes on.
    mutating func declines(
        _ assignment: Assignment, at wall: WallTime, into actions: inout [Action]
    ) -> Bool {
        let key = assignment.key
        guard isClosed, runs[key] == nil, !settledKeys.contains(key) else { return false }
        let result = ExecutionResult(
            state: .failed, startedAt: nil, finishedAt: wall,
            error: "the node is stopping and took no new executions")
        let report = Report(job: assignment.job, key: key, news: .ended(result))
        actions.append(.report(.news(report)))
        return true
    }
}
