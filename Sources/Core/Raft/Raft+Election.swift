// How a leader comes about and goes.

extension Raft {
    /// A leader of this term was heard lately, or is this server itself.
    func hearsLeader(at now: Instant) -> Bool {
        role == .leader || leader != nil && now - leaderHeardAt < tunables.electionMinimum
    }

    /// Whether this server may lead. One that is being removed still may: until that is committed
    /// its log can be the only one that wins (thesis, section 4.2.2).
    var mayCampaign: Bool { !abstains && configurations.contains { $0.configuration.isVoter(id) } }

    /// Waits for a leader for a while.
    mutating func rest(at now: Instant) {
        guard mayCampaign else { return electionDeadline = .distantFuture }
        let wait = random.duration(
            from: tunables.electionMinimum, through: tunables.electionMaximum)
        electionDeadline = now + wait
    }

    /// Somebody is in a later term.
    mutating func adopt(_ term: Term, at now: Instant, into actions: inout [Action]) {
        hardState.begin(term)
        actions.append(.persist(hardState))
        step(downAt: now, into: &actions)
    }

    /// Becomes a follower that knows no leader.
    mutating func step(downAt now: Instant, into actions: inout [Action]) {
        let led = role == .leader
        role = .follower
        leader = nil
        verifiedIndex = 0
        waitingCandidate = nil
        votes = []
        if led {
            isLeading = false
            peers = []
            transfer = nil
            heartbeatDue = .distantFuture
            for read in confirmingReads + waitingReads { actions.append(.readFailed(read.id)) }
            confirmingReads = []
            waitingReads = []
            actions.append(.resign)
        }
        rest(at: now)
    }

    /// Hears the leader of this term.
    mutating func follow(
        _ sender: ServerID, at now: Instant, into actions: inout [Action]
    ) {
        invariant(role != .leader, "a term has one leader")
        if role != .follower { step(downAt: now, into: &actions) }
        invariant(leader == nil || leader == sender, "a term has one leader")
        leader = sender
        leaderHeardAt = now
        rest(at: now)
    }

    // MARK: Candidates

    /// The silence was long enough: asks first whether an election could be won, so that a server
    /// that was cut off does not come back with a term that deposes a healthy leader.
    mutating func seekElection(at now: Instant, into actions: inout [Action]) {
        guard mayCampaign else { return electionDeadline = .distantFuture }
        if isAlone { return campaign(isTransfer: false, at: now, into: &actions) }
        role = .preCandidate
        leader = nil
        votes = []
        rest(at: now)
        for voter in configuration.voters where voter != id {
            reply(
                .preVote(lastIndex: lastIndex, lastTerm: log.lastTerm), to: voter, into: &actions)
        }
    }

    /// Begins an election.
    mutating func campaign(isTransfer: Bool, at now: Instant, into actions: inout [Action]) {
        role = .candidate
        leader = nil
        isTransferred = isTransfer
        verifiedIndex = 0
        votes = []
        // A vote of the term before that waits for the disk is void.
        waitingCandidate = nil
        hardState.begin(hardState.term + 1)
        hardState.votedFor = Self.bytes(of: id)
        actions.append(.persist(hardState))
        // Its own vote, once durable, is all that one alone waits for.
        if isAlone { electionDeadline = .distantFuture } else { rest(at: now) }
    }

    /// The present term and vote are on the disk.
    mutating func voteIsDurable(at now: Instant, into actions: inout [Action]) {
        if role == .candidate, !votes.contains(where: { $0.id == id }) {
            for voter in configuration.voters where voter != id {
                let body = RaftMessage.Body.vote(
                    lastIndex: lastIndex, lastTerm: log.lastTerm, isTransfer: isTransferred)
                reply(body, to: voter, into: &actions)
            }
            count(true, of: id, at: now, into: &actions)
        }
        if let candidate = waitingCandidate {
            waitingCandidate = nil
            reply(.voteReply(isGranted: true), to: candidate, into: &actions)
        }
    }

    /// A voter's answer to this candidate or pre-candidate.
    mutating func count(
        _ isGranted: Bool, of voter: ServerID, at now: Instant, into actions: inout [Action]
    ) {
        guard configuration.isVoter(voter), !votes.contains(where: { $0.id == voter }) else {
            return
        }
        votes.append((voter, isGranted))
        let size = Quorum.size(of: configuration.voters.count)
        // A pre-candidate asks nobody for its own opinion.
        let own = role == .preCandidate && configuration.isVoter(id) ? 1 : 0
        if votes.count(where: \.isGranted) + own >= size {
            if role == .preCandidate {
                campaign(isTransfer: false, at: now, into: &actions)
            } else {
                becomeLeader(at: now, into: &actions)
            }
        } else if votes.count(where: { !$0.isGranted }) > configuration.voters.count - size {
            // Lost: the next attempt comes after another silence.
            role = .follower
            votes = []
        }
    }

    private mutating func becomeLeader(at now: Instant, into actions: inout [Action]) {
        role = .leader
        leader = id
        votes = []
        electionDeadline = .distantFuture
        peers = []
        meetPeers(heardAt: now)
        firstOfTerm = lastIndex + 1
        append(.nothing, [], into: &actions)
        beat(at: now, into: &actions)
    }

    // MARK: Voters

    mutating func vote(
        for candidate: ServerID, _ index: LogIndex, _ term: Term, at now: Instant,
        into actions: inout [Action]
    ) {
        let choice = Self.bytes(of: candidate)
        if hardState.votedFor == choice {
            // Asked again: the first answer may be lost, or wait for the disk still.
            if durableState == hardState {
                reply(.voteReply(isGranted: true), to: candidate, into: &actions)
            }
            return
        }
        guard role == .follower, leader == nil, hardState.votedFor == nil,
            log.isCovered(byIndex: index, term: term)
        else { return reply(.voteReply(isGranted: false), to: candidate, into: &actions) }
        hardState.votedFor = choice
        waitingCandidate = candidate
        actions.append(.persist(hardState))
        rest(at: now)
    }

    package static func bytes(of id: ServerID) -> [UInt8] {
        withUnsafeBytes(of: id.littleEndian) { Array($0) }
    }

    // MARK: Handing over

    /// Hands leadership to `target`, which must be a voter; proposals are refused meanwhile. It is
    /// over when this server resigns, or `isTransferring` is false again.
    /// - Returns: false if this server does not lead or the target is no other voter.
    package mutating func transferLeadership(
        to target: ServerID, at now: Instant, into actions: inout [Action]
    ) -> Bool {
        guard isLeading, target != id, configuration.isVoter(target) else { return false }
        transfer = (target, now + tunables.electionMaximum)
        continueTransfer(into: &actions)
        return true
    }

    /// Leadership is being handed over.
    package var isTransferring: Bool { transfer != nil }

    /// Once the successor has everything, it may campaign at once.
    mutating func continueTransfer(into actions: inout [Action]) {
        guard let target = transfer?.target,
            let peer = peers.first(where: { $0.id == target }), peer.matched == lastIndex
        else { return }
        reply(.timeoutNow, to: target, into: &actions)
    }
}
