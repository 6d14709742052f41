// How entries get from the leader to the others and are committed.

extension Raft {
    // MARK: Leader

    /// Appends a command if this server leads and does not hand over.
    /// - Returns: the entry's index, or nil without leadership.
    package mutating func propose(_ payload: [UInt8], into actions: inout [Action]) -> LogIndex? {
        guard isLeading, !isTransferring else { return nil }
        append(.command, payload, into: &actions)
        return lastIndex
    }

    mutating func append(
        _ kind: EntryKind, _ payload: [UInt8], into actions: inout [Action]
    ) {
        let entry = LogEntry(
            index: lastIndex + 1, term: hardState.term, kind: kind.rawValue, payload: payload)
        take(entry)
        actions.append(.persistEntry(entry))
    }

    /// A heartbeat is due: without answers from a majority for long, this server leads nobody.
    mutating func beat(at now: Instant, into actions: inout [Action]) {
        let heard = peers.count {
            configuration.isVoter($0.id) && now - $0.heardAt < tunables.electionMaximum
        }
        let own = configuration.isVoter(id) ? 1 : 0
        guard heard + own >= Quorum.size(of: configuration.voters.count) else {
            return step(downAt: now, into: &actions)
        }
        heartbeatDue = peers.isEmpty ? .distantFuture : now + tunables.heartbeat
        sendHeartbeats(into: &actions)
    }

    mutating func sendHeartbeats(into actions: inout [Action]) {
        round += 1
        for peer in peers {
            // Of what it is not known to have, it must not hear that it is committed.
            let commit = min(commitIndex, peer.matched)
            reply(.heartbeat(round: round, commit: commit), to: peer.id, into: &actions)
        }
    }

    mutating func sendEntries(to position: Int, into actions: inout [Action]) {
        while peers[position].mayReceive(tunables) {
            let peer = peers[position]
            guard peer.mode == .probe || peer.next <= lastIndex else { return }
            let previous = peer.next - 1
            guard let term = log.term(at: previous) else {
                peers[position].needsSnapshot()
                return actions.append(.sendSnapshot(peer.id))
            }
            let entries = log.entries(from: peer.next, limit: tunables.messageBytes)
            peers[position].sent(entries, round: round)
            let body = RaftMessage.Body.append(
                previousIndex: previous, previousTerm: term, entries: entries, commit: commitIndex)
            reply(body, to: peer.id, into: &actions)
        }
    }

    /// A follower's answer.
    mutating func answer(
        _ body: RaftMessage.Body, of sender: ServerID, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let position = peers.firstIndex(where: { $0.id == sender }) else { return }
        peers[position].isHeard(at: now)
        switch body {
        case .appendReply(let matched):
            if peers[position].mode == .probe { peers[position].beginReplicating() }
            matches(position, through: matched, at: now, into: &actions)
        case .appendRefused(let previous, let hint, let term):
            refused(position, previous, hint, term)
        case .heartbeatReply(let round, let matched, let received):
            peers[position].answered(round: round, received: received)
            confirmReads(into: &actions)
            matches(position, through: matched, at: now, into: &actions)
        default: break
        }
    }

    private mutating func matches(
        _ position: Int, through index: LogIndex, at now: Instant, into actions: inout [Action]
    ) {
        guard index <= lastIndex, peers[position].matches(through: index) else { return }
        // A snapshot that came through is told by what the follower has.
        if peers[position].mode == .snapshot, index >= log.base {
            peers[position].beginReplicating()
        }
        advanceCommit(at: now, into: &actions)
        continueTransfer(into: &actions)
    }

    private mutating func refused(
        _ position: Int, _ previous: LogIndex, _ hint: LogIndex, _ term: Term
    ) {
        let peer = peers[position]
        guard previous > peer.matched else { return }
        switch peer.mode {
        case .snapshot: return
        case .probe: guard previous == peer.next - 1 else { return }
        case .replicate: guard peers[position].mayGoBack(round: round) else { return }
        }
        let agreeing = log.lastIndex(upTo: hint, termAtMost: term)
        peers[position].probe(from: min(previous, agreeing + 1))
    }

    /// The transfer of a snapshot to a follower has ended, well or not: entries go on from where it
    /// says it is.
    package mutating func snapshotSent(to id: ServerID) {
        guard let position = peers.firstIndex(where: { $0.id == id }),
            peers[position].mode == .snapshot
        else { return }
        peers[position].probe(from: lastIndex + 1)
    }

    /// A follower gets a snapshot that ends here; nil: not yet, or no longer.
    package mutating func sendsSnapshot(through index: LogIndex?, to id: ServerID) {
        guard let position = peers.firstIndex(where: { $0.id == id }) else { return }
        peers[position].snapshotIndex = index
    }

    /// The entries after this index are needed by some follower that answered one of the last
    /// heartbeats.
    var neededAfter: LogIndex {
        let recent = round < 10 ? 0 : round - 10
        return peers.reduce(.max) { least, peer in
            peer.round < recent ? least : min(least, peer.goesOnAfter ?? .max)
        }
    }

    /// Whether a follower waits for a snapshot: between `sendSnapshot` and its end.
    package func needsSnapshot(_ id: ServerID) -> Bool {
        peers.contains { $0.id == id && $0.mode == .snapshot }
    }

    /// Whether another member has about all that is committed on its disk: what a learner must have
    /// before it votes. One that needs a snapshot has nothing until the state and all outputs with
    /// it are durable there. Always false at a server that does not lead.
    package func hasCaughtUp(_ id: ServerID) -> Bool {
        peers.contains {
            $0.id == id && $0.matched > 0 && $0.matched + Self.closeBehind >= commitIndex
        }
    }

    /// Entries that a server may still lack when it begins to vote.
    private static var closeBehind: LogIndex { 64 }

    /// Commits what a majority has, if it is of this term (section 5.4.2: an entry of an earlier
    /// term is never committed by counting).
    mutating func advanceCommit(at now: Instant, into actions: inout [Action]) {
        guard role == .leader else { return }
        let reached = configuration.voters.map { voter in
            voter == id ? durableIndex : peers.first { $0.id == voter }?.matched ?? 0
        }
        let majority = Quorum.index(of: reached)
        if majority >= firstOfTerm { commit(through: majority, into: &actions) }
        deliver(into: &actions)
        if !isLeading, deliveredIndex >= firstOfTerm {
            isLeading = true
            actions.append(.lead(hardState.term))
        }
        resignIfRemoved(at: now, into: &actions)
    }

    // MARK: Follower

    /// Entries from the leader of this term.
    mutating func append(
        _ entries: [LogEntry], after previousIndex: LogIndex, _ previousTerm: Term,
        _ leaderCommit: LogIndex, into actions: inout [Action]
    ) {
        var entries = entries[...]
        var previous = previousIndex
        if previous < commitIndex {
            // What is committed here equals the leader's without looking.
            entries = entries.drop { $0.index <= commitIndex }
            previous = commitIndex
        } else if log.term(at: previous) != previousTerm {
            let hint = log.lastIndex(upTo: previous, termAtMost: previousTerm)
            let body = RaftMessage.Body.appendRefused(
                previousIndex: previous, hintIndex: hint, hintTerm: log.term(at: hint) ?? 0)
            return reply(body, to: leader!, into: &actions)
        }
        var last = previous
        for entry in entries {
            invariant(entry.index == last + 1, "entries of one message have no gap")
            last = entry.index
            if let term = log.term(at: entry.index) {
                if term == entry.term { continue }
                truncateMemory(from: entry.index)
                actions.append(.truncate(from: entry.index))
            }
            take(entry)
            actions.append(.persistEntry(entry))
        }
        verifiedIndex = max(verifiedIndex, last)
        // With the disk behind, the answer follows the sync.
        if durableIndex >= last { acknowledge(into: &actions) }
        commit(through: min(leaderCommit, verifiedIndex), into: &actions)
    }

    /// Tells the leader what agrees with it and is on the disk.
    mutating func acknowledge(into actions: inout [Action]) {
        guard let leader, verifiedIndex > 0, !isRestrained else { return }
        acknowledgedIndex = min(verifiedIndex, durableIndex)
        reply(.appendReply(matched: acknowledgedIndex), to: leader, into: &actions)
    }

    /// Has a follower keep its acknowledgements to itself, or tell them again: a leader sends no
    /// more than a window ahead of them, so a server that can't carry out entries as fast as they
    /// come is not sent more than it can hold. Commits wait for it only where a majority needs it.
    package mutating func restrain(_ isRestrained: Bool, into actions: inout [Action]) {
        guard isRestrained != self.isRestrained else { return }
        self.isRestrained = isRestrained
        if role == .follower { acknowledge(into: &actions) }
    }

    mutating func heartbeat(
        _ round: UInt64, _ leaderCommit: LogIndex, into actions: inout [Action]
    ) {
        commit(through: min(leaderCommit, verifiedIndex), into: &actions)
        var matched = min(verifiedIndex, durableIndex)
        if isRestrained { matched = min(matched, acknowledgedIndex) }
        let body = RaftMessage.Body.heartbeatReply(
            round: round, matched: matched, received: verifiedIndex)
        reply(body, to: leader!, into: &actions)
    }

    /// Compares the log with a leader's snapshot, whose entries are committed. If it has all of
    /// them, they are known to be committed from now on, and nothing must be installed: entries
    /// behind the snapshot that were acknowledged would be lost.
    package mutating func holds(
        snapshotIndex index: LogIndex, term: Term, into actions: inout [Action]
    ) -> Bool {
        if index <= commitIndex { return true }
        guard log.term(at: index) == term else { return false }
        verifiedIndex = max(verifiedIndex, index)
        commit(through: index, into: &actions)
        return true
    }

    /// A snapshot from the leader that the log does not hold replaced the log and the state; it is
    /// durable. What the log had behind it followed another entry, so no leader ever counted it
    /// toward a commit.
    package mutating func installed(
        snapshotIndex index: LogIndex, term: Term, configuration: RaftConfiguration,
        at now: Instant, into actions: inout [Action]
    ) {
        invariant(role != .leader, "a leader needs nobody's snapshot")
        invariant(index > commitIndex, "a snapshot that is held already is not installed")
        restore(snapshotIndex: index, term: term, configuration: configuration)
        verifiedIndex = leader == nil ? 0 : index
        acknowledge(into: &actions)
        rest(at: now)
    }
}
