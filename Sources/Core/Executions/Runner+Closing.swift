// An agent that goes takes nothing more, and waits for nothing but its results to be settled.

extension Runner {
    mutating func close(at now: Instant) {
        guard !isClosed else { return }
        isClosed = true
        tellAllAgain(at: now)
    }

    /// Ends an order for something new at once, so that the leader can turn to another agent. It is
    /// written down like any result: the next life of this agent may get the order again, while the
    /// word that this one started nothing is still under way.
    mutating func decline(
        _ key: ExecutionKey, _ run: Run, at wall: WallTime, into actions: inout [Action]
    ) {
        let reason = "the node is stopping and took no new executions"
        finish(key, unstarted(run, .failed, reason, wall), into: &actions)
    }
}
