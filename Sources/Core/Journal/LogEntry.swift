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

    package init(term: Term = 0, votedFor: [UInt8]? = nil) {
        self.term = term
        self.votedFor = votedFor
    }
}
