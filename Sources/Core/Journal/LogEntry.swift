/// One entry of the replicated log.
package struct LogEntry: Hashable, Sendable {
    package var index: LogIndex
    package var term: Term
    /// What the payload is; the journal stores it and does not look at it.
    package var kind: UInt8
    package var payload: [UInt8]

    package init(index: LogIndex, term: Term, kind: UInt8, payload: [UInt8]) {
        self.index = index
        self.term = term
        self.kind = kind
        self.payload = payload
    }
}

/// What Raft must remember besides its log (Ongaro and Ousterhout, figure 2, "persistent state").
package struct HardState: Hashable, Sendable {
    package var term: Term
    /// The identity of the candidate voted for in `term`, if any.
    package var votedFor: [UInt8]?
    /// The servers that this one has promised to found a cluster with, in ascending order; said
    /// once and for ever. None: it was taken into a cluster that was there. Nil: nothing was said.
    package var founders: [DataID]?
    /// The cluster that this server belongs to, so that it knows that before it knows what of its
    /// log is committed. Kept only beside founders; empty while it is not known.
    package var cluster: String

    package init(
        term: Term = 0, votedFor: [UInt8]? = nil, founders: [DataID]? = nil, cluster: String = ""
    ) {
        self.term = term
        self.votedFor = votedFor
        self.founders = founders
        self.cluster = cluster
    }

    /// Nobody has this server's vote in a new term.
    package mutating func begin(_ term: Term) {
        self.term = term
        votedFor = nil
    }
}
