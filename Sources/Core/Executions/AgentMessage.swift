/// What a leader tells an agent.
package enum AgentMessage: Hashable, Sendable {
    /// Carry this out, at most once however often it is said.
    case run(Assignment)
    /// End it, or never start it.
    case kill(ExecutionKey)
    /// Its result is committed, or nobody wants it any more.
    case settle(ExecutionKey)
    /// The heartbeat sent at this reading of the agent's clock was heard.
    case heartbeatHeard(sentAt: Instant)
}

/// What an agent tells the leader.
package enum AgentReport: Hashable, Sendable {
    /// The assignment is in the agent's journal.
    case accepted(ExecutionKey)
    case news(Report)
    /// Renews the lease on everything this agent runs.
    case heartbeat(sentAt: Instant)
}
