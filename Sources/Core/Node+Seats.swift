// Who takes part in the consensus, as the leader arranges it by what gossip tells: servers that
// come are taken in and vote once they have everything, those that left give up their seats at
// once, those that are dead for long lose theirs. One change at a time, and never one after which
// those that answer would be no majority.

struct Seats {
    static let interval = Duration.seconds(1)
    /// A server without a vote that is known to nobody for so long loses its seat.
    static let vanishing = Duration.minutes(1)

    var nextLook = Instant.distantFuture
    /// Servers that have said good-bye and wait for their seats to be given up.
    var departing = SortedMap<ServerID, Bool>()
    /// Who asked for changes that are not committed yet.
    var waiting: [(index: LogIndex, request: RequestID)] = []
    /// Since when this leader has not heard a server.
    var silentSince = SortedMap<ServerID, Instant>()
    /// Servers that were named because their programs are too old.
    var outdated = SortedMap<ServerID, Bool>()
}

extension Node {
    /// Makes the next change that is due, if any.
    mutating func arrangeSeats(_ out: inout Outbox) {
        guard isLeading, membership != nil, phase == .running, now.monotonic >= seats.nextLook
        else { return }
        seats.nextLook = now.monotonic + Seats.interval
        for id in raft.configuration.members {
            if isAnswering(id) {
                seats.silentSince.remove(id)
            } else if seats.silentSince[id] == nil {
                seats.silentSince[id] = now.monotonic
            }
        }
        guard !raft.isChanging, !raft.isTransferring, clusterID != nil else { return }
        raiseLevel(&out)
        guard let (change, reason) = dueChange(&out) else { return }
        var isMade = false
        withRaft(&out) { raft, actions in
            isMade = (try? raft.change(change, into: &actions)) != nil
        }
        guard isMade else { return }
        let id: ServerID
        switch change {
        case .addLearner(let server), .promote(let server), .remove(let server): id = server
        }
        seats.departing.remove(id)
        out.log(
            .info, reason,
            [.init("server", name(of: id)), .init("id", Hexadecimal.text(ofIdentity: id))])
    }

    private mutating func dueChange(
        _ out: inout Outbox
    ) -> (RaftConfigurationChange, String)? {
        let configuration = raft.configuration
        for id in configuration.members where id != config.dataID && mayRemove(id) {
            let status = member(id)?.status
            if status == .left || status == .leaving && seats.departing.contains(id) {
                return (.remove(id), "a server left, and its seat with it")
            }
            if isReplaced(id) {
                return (.remove(id), "another server has this one's name, and its seat is given up")
            }
            if isDeadForLong(id) {
                return (.remove(id), "a server was dead for long, and lost its seat")
            }
        }
        for id in configuration.learners where isCaughtUp(id) {
            return (.promote(id), "a server has caught up and votes from now on")
        }
        for id in configuration.learners where isVanished(id) {
            return (.remove(id), "a server that was being taken in is not there any more")
        }
        for member in members where member.isServer && member.status == .alive {
            guard let id = member.id, !configuration.contains(id),
                member.clusterID == nil || member.clusterID == clusterID,
                isOfRegion(member), understandsLog(member, &out)
            else { continue }
            return (.addLearner(id), "a server is taken into the cluster")
        }
        return nil
    }

    /// A server that leaves votes until its seat is given up: one of two servers could not decide
    /// without the other that the other's vote does not count any more.
    /// - Returns: whether that is still to come. It says good-bye again.
    mutating func takesBackSeat(of node: NodeName) -> Bool {
        guard let member = member(named: node), member.isServer, let id = member.id else {
            return false
        }
        guard raft.configuration.contains(id) else { return raft.isChanging }
        seats.departing[id] = true
        seats.nextLook = min(seats.nextLook, now.monotonic)
        return true
    }

    func isAnswering(_ id: ServerID) -> Bool {
        if id == config.dataID { return true }
        guard let peer = raft.peers.first(where: { $0.id == id }) else { return false }
        return peer.hasAnswered && now.monotonic - peer.heardAt < raft.tunables.electionMaximum
    }

    /// Those that answer are a majority with the server and without it.
    private func mayRemove(_ id: ServerID) -> Bool {
        guard raft.configuration.isVoter(id) else { return true }
        let voters = raft.configuration.voters
        let rest = voters.filter { $0 != id }
        return voters.count(where: isAnswering) >= Quorum.size(of: voters.count)
            && rest.count(where: isAnswering) >= Quorum.size(of: rest.count)
    }

    /// Another server has the name of this one. The log says so, which remembers every server that
    /// was ever alive under a leader: whoever leads by now may not have seen the old one, or the
    /// change. Who died before the log knew it keeps its seat: founders, and those who were gone
    /// when the level was raised at which the log begins to remember.
    private func isReplaced(_ id: ServerID) -> Bool {
        guard store.cluster.featureLevel >= FeatureLevel.third, member(id) == nil, !isAnswering(id)
        else { return false }
        let remembered = store.rememberedNodes
        let isAnyReplaced =
            store.cluster.lastNumber == 0
            || remembered.contains { $0.lastFormerNumber > 0 && $0.tag("server") != nil }
        guard isAnyReplaced, !remembered.contains(where: { $0.id == id }) else { return false }
        let configuration = raft.configuration
        guard configuration.isVoter(id) else { return true }
        let newcomers = members.count { member in
            guard member.isServer, member.status == .alive, let id = member.id else { return false }
            return !configuration.isVoter(id)
        }
        // The log forgets who is gone for long, whose seat may have to be kept for longer yet.
        let isForgottenAfterSeat = (config.deadServerTimeout ?? .max) <= KnownNode.memory
        guard newcomers > 0 || isForgottenAfterSeat else { return false }
        return configuration.voters.count + newcomers > max(1, config.bootstrapExpect)
    }

    /// A seat that is kept for a server that may come back is kept for a time only, and not given
    /// up if fewer servers than the cluster began with would be left.
    private func isDeadForLong(_ id: ServerID) -> Bool {
        guard let timeout = config.deadServerTimeout, let since = seats.silentSince[id] else {
            return false
        }
        if raft.configuration.isVoter(id),
            raft.configuration.voters.count <= max(1, config.bootstrapExpect)
        {
            return false
        }
        return now.monotonic - since >= timeout
    }

    /// A server without a vote that gossip does not know: it has turned out to be of another
    /// cluster, or was forgotten.
    private func isVanished(_ id: ServerID) -> Bool {
        guard member(id) == nil, let since = seats.silentSince[id] else { return false }
        return now.monotonic - since >= Seats.vanishing
    }

    /// It has the state, the outputs, and about all of the log.
    private func isCaughtUp(_ id: ServerID) -> Bool {
        isAnswering(id) && raft.hasCaughtUp(id)
    }

    // MARK: Handing over

    /// Hands the lead to that server, or to the one that lacks least.
    /// - Returns: false if there is none that answers.
    mutating func handOver(to target: ServerID? = nil, _ out: inout Outbox) -> Bool {
        let candidates = raft.peers.filter {
            target ?? $0.id == $0.id && raft.configuration.isVoter($0.id) && isAnswering($0.id)
                && member($0.id)?.status ?? .alive == .alive
        }
        guard let best = candidates.max(by: { $0.matched < $1.matched }) else { return false }
        let monotonic = now.monotonic
        var isBegun = false
        withRaft(&out) {
            isBegun = $0.transferLeadership(to: best.id, at: monotonic, into: &$1)
        }
        return isBegun
    }

    // MARK: By hand

    /// Does what a person wants, and answers once it is committed or refused.
    mutating func arrange(_ order: SeatOrder, for request: RequestID, _ out: inout Outbox) {
        switch order {
        case .leave:
            withAPI(&out) { $0.arranged(request, .done, $1, into: &$2) }
            beginLeaving(&out)
        case .transfer(let target): transfer(to: target, for: request, &out)
        case .remove(let id): removeSeat(id, for: request, &out)
        case .dismiss(let id):
            send(.assignment(.leave), to: id, &out)
            withAPI(&out) { $0.arranged(request, .done, $1, into: &$2) }
        }
    }

    private mutating func transfer(
        to target: ServerID?, for request: RequestID, _ out: inout Outbox
    ) {
        let outcome: SeatOutcome
        if let target, target == config.dataID {
            outcome = .done
        } else if let target, !isAnswering(target) {
            outcome = .refused("That server does not answer, so it can't lead.")
        } else if raft.isTransferring {
            outcome = .refused("The lead is being handed over already.")
        } else {
            let isBegun = handOver(to: target, &out)
            outcome = isBegun ? .done : .refused("No other server could lead now.")
        }
        withAPI(&out) { $0.arranged(request, outcome, $1, into: &$2) }
    }

    private mutating func removeSeat(
        _ id: ServerID, for request: RequestID, _ out: inout Outbox
    ) {
        var refusal: SeatOutcome?
        if !raft.configuration.contains(id) {
            refusal = .unknownServer
        } else if id == config.dataID {
            refusal = .refused(
                "That server leads; POST /v1/raft/transfer first, or POST /v1/leave there.")
        } else if !mayRemove(id) {
            refusal = .refused(
                "Without that server the servers that answer would be no majority, and nothing"
                    + " could be decided any more.")
        }
        var index: LogIndex?
        if refusal == nil {
            withRaft(&out) { raft, actions in
                do throws(MembershipRefusal) {
                    index = try raft.change(.remove(id), into: &actions)
                } catch {
                    switch error {
                    case .changeUnderWay:
                        refusal = .refused("Another change of seats is under way; try again.")
                    case .notLeading: refusal = .failed(.noLeader)
                    case .meaningless:
                        refusal = .refused("The cluster would have no server left.")
                    }
                }
            }
        }
        if let index { return seats.waiting.append((index, request)) }
        withAPI(&out) { $0.arranged(request, refusal ?? .unknownServer, $1, into: &$2) }
    }

    /// Answers those whose change is committed, or may not be.
    mutating func answerSeats(_ out: inout Outbox) {
        guard !seats.waiting.isEmpty else { return }
        let done = raft.commitIndex
        let waiting = seats.waiting
        seats.waiting = waiting.filter { isLeading && $0.index > done }
        for (index, request) in waiting where !isLeading || index <= done {
            let outcome: SeatOutcome = isLeading ? .done : .failed(.outcomeUnknown)
            withAPI(&out) { $0.arranged(request, outcome, $1, into: &$2) }
        }
    }
}
