// What nodes say to each other on the RPC port. The contract is whole messages, each of which may
// be lost, repeated or late; connections are an optimisation of whoever carries them.

/// A message between two nodes of one cluster.
package enum PeerMessage: Hashable, Sendable {
    /// Between servers, about the log.
    case raft(RaftMessage)
    /// Between a leader and a server that needs more than the log.
    case transfer(TransferMessage)
    /// With whom the sender has promised to found a cluster, in ascending order.
    case promise([ServerID], wantsAnswer: Bool)
    /// The state's hash at this entry, which all servers look at.
    case checkpoint(LogIndex, RecordHash)
    /// The receiver's state differs there from that of most servers.
    case deviates(LogIndex)
    /// The leader asks for the time, at this reading of its own clock.
    case askTime(Instant)
    /// What the wall clock showed when the question came.
    case tellTime(WallTime, askedAt: Instant)
    /// The receiver's clock is so far ahead of the cluster's time.
    case clockIsWrong(by: Duration)
    /// The sender leads this cluster. Every node answers with a heartbeat.
    case leads(Term, cluster: String)
    /// From the leader to an agent.
    case assignment(AgentMessage)
    /// From an agent to the leader.
    case report(AgentReport)
    /// A report of an agent that does not hear the leader, by way of another server.
    case relayedReport(AgentReport, of: ServerID)
    /// The leader's answer to it, the same way back.
    case relayedOrder(AgentMessage, to: ServerID)
    /// Tell what the run prints after this place, as far as the sender has it.
    case watchOutput(ExecutionKey, from: UInt64)
    /// The answer to that.
    case printed(PrintedOutput)
    /// A client's request that only the leader can answer. It is forwarded once: a server that
    /// does not lead refuses it.
    case request(ForwardID, HTTPRequest)
    /// The client went away.
    case requestAbandoned(ForwardID)
    /// The client has taken the head and so many pieces: everything that was sent so far.
    case requestDrained(ForwardID, taken: UInt64)
    /// The answer's head, with its body unless that is a stream.
    case response(ForwardID, HTTPResponse)
    /// A piece of a streamed body; they are counted from 0, so that none is missed or taken twice.
    case responseChunk(ForwardID, number: UInt64, [UInt8], last: Bool)
}

/// Names a forwarded request: the server that took it, its life, and its number there.
package struct ForwardID: Hashable, Comparable, Sendable {
    package var incarnation: UInt64
    package var request: RequestID

    package init(incarnation: UInt64, request: RequestID) {
        self.incarnation = incarnation
        self.request = request
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.incarnation, a.request) < (b.incarnation, b.request)
    }
}
