/// What a leader tells an agent.
package enum AgentMessage: Hashable, Sendable {
    /// Carry this out, at most once however often it is said. The leader last heard this of the
    /// agent: an order that was long under way, or meant for an earlier life, starts nothing.
    case run(Assignment, after: Heartbeat)
    /// End it, or never start it.
    case kill(ExecutionKey)
    /// Its result is committed, or nobody wants it any more.
    case settle(ExecutionKey)
    /// This was heard, by a leader that still leads.
    case heartbeatHeard(Heartbeat)
    /// Leave the cluster and stop: a person wants it so.
    case leave
    /// The leader waits for nothing of this agent any more, which is about to go.
    case farewell
}

/// What an agent tells the leader.
package enum AgentReport: Hashable, Sendable {
    /// The assignment is in the agent's journal.
    case accepted(ExecutionKey)
    case news(Report)
    /// Renews the lease on everything this agent runs.
    case heartbeat(Heartbeat)
    /// The agent goes: nothing runs on it, and nothing that it is told to run will.
    case goodbye
}

/// That an agent lives, in its own terms: nobody else's clock can be compared with it.
package struct Heartbeat: Hashable, Sendable {
    /// Which life of the agent.
    package var incarnation: UInt64
    /// By the agent's monotonic clock.
    package var sentAt: Instant

    package init(incarnation: UInt64, sentAt: Instant) {
        self.incarnation = incarnation
        self.sentAt = sentAt
    }
}
