// Who takes part, one change at a time (thesis, chapter 4).

/// Why a change of members is refused.
package enum MembershipRefusal: Error, Hashable, Sendable {
    /// This server does not lead, or has just begun to: earlier changes may not be known yet.
    case notLeading
    /// Another change is not committed yet; majorities of two steps need not overlap.
    case changeUnderWay
    /// It would change nothing, or leave nobody to vote.
    case meaningless
}

extension Raft {
    /// Proposes a change of one member. It is in force at once, and final when its entry is
    /// committed.
    package mutating func change(
        _ change: RaftConfigurationChange, into actions: inout [Action]
    ) throws(MembershipRefusal) -> LogIndex {
        guard isLeading, !isTransferring else { throw .notLeading }
        guard configurations.last!.index <= commitIndex else { throw .changeUnderWay }
        guard let next = configuration.applying(change) else { throw .meaningless }
        append(.configuration, next.encoded, into: &actions)
        if heartbeatDue == .distantFuture, !peers.isEmpty { heartbeatDue = .zero }
        return lastIndex
    }

    /// Changes of members that are not known to be committed.
    package var openChanges: Int { configurations.count { $0.index > commitIndex } }
    /// The latest change of members is not committed yet.
    package var isChanging: Bool { configurations.last!.index > commitIndex }

    /// Begins with new members and forgets those that left.
    mutating func meetPeers(heardAt now: Instant = .zero) {
        let members = configuration.members.filter { $0 != id }
        let known = peers
        peers = members.map { member in
            known.first { $0.id == member } ?? Peer(member, next: lastIndex + 1, heardAt: now)
        }
    }

    /// A leader that was removed leads until that is committed, and not a moment longer.
    mutating func resignIfRemoved(at now: Instant, into actions: inout [Action]) {
        guard role == .leader, !isChanging, !configuration.isVoter(id) else { return }
        step(downAt: now, into: &actions)
    }
}
