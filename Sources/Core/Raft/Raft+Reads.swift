// Linearizable reads without writing (thesis, section 6.4): the commit index of the moment counts
// once a majority has confirmed, after that moment, that this server still leads.

extension Raft {
    /// Asks from which index on the state answers a read that arrives now. `readReady` or
    /// `readFailed` follows for each, at the earliest with the next `flush`.
    /// - Returns: false, and nothing follows, if this server does not lead.
    package mutating func read(_ id: UInt64, into actions: inout [Action]) -> Bool {
        guard isLeading else { return false }
        if isAlone {
            actions.append(.readReady(id, commitIndex))
        } else {
            waitingReads.append((id, commitIndex))
        }
        return true
    }

    /// Lets those readers go whose heartbeat was answered by a majority.
    mutating func confirmReads(into actions: inout [Action]) {
        guard !confirmingReads.isEmpty else { return }
        let confirmed = peers.count { configuration.isVoter($0.id) && $0.round >= readRound }
        let own = configuration.isVoter(id) ? 1 : 0
        guard confirmed + own >= Quorum.size(of: configuration.voters.count) else { return }
        for read in confirmingReads { actions.append(.readReady(read.id, read.index)) }
        confirmingReads = []
    }
}
