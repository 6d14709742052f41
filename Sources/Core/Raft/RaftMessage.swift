/// What servers say to each other about the log. Any message may be lost, repeated or late.
package struct RaftMessage: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// Would you vote for me in the term after mine? Changes nothing at anybody (thesis,
        /// section 9.6).
        case preVote(lastIndex: LogIndex, lastTerm: Term)
        case preVoteReply(isGranted: Bool)
        case vote(lastIndex: LogIndex, lastTerm: Term, isTransfer: Bool)
        case voteReply(isGranted: Bool)
        /// Entries that follow the one at `previousIndex`; none to find out where the logs agree.
        case append(
            previousIndex: LogIndex, previousTerm: Term, entries: [LogEntry], commit: LogIndex)
        /// The log agrees with the leader's and is on the disk through here.
        case appendReply(matched: LogIndex)
        /// The log has another entry, or none, at `previousIndex`; it may agree up to the hint.
        case appendRefused(previousIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term)
        /// Apart from the entries, so that it never waits behind them.
        case heartbeat(round: UInt64, commit: LogIndex)
        /// - Parameters:
        ///   - matched: as in `appendReply`.
        ///   - received: agrees with the leader's log through here, on the disk or not yet.
        case heartbeatReply(round: UInt64, matched: LogIndex, received: LogIndex)
        /// Campaign at once: leadership is handed over.
        case timeoutNow
    }

    /// The sender's term.
    package var term: Term
    package var body: Body

    package init(term: Term, body: Body) {
        self.term = term
        self.body = body
    }
}
