// Who takes part in the consensus, as the leader arranges it by what gossip tells: servers that
// come are taken in and vote once they have everything, those that left give up their seats at
// once, those that are dead for long lose theirs. One change at a time, and never one after which
// those that answer would be no majority.

struct Seats {
    static let interval = Duration.seconds(1)

    var nextLook = Instant.distantFuture
    /// Servers whose name another one has now.
    var replaced = SortedMap<ServerID, Bool>()
    /// Since when this leader has not heard a server.
    var silentSince = SortedMap<ServerID, Instant>()
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
        guard let (change, reason) = dueChange() else { return }
        var isMade = false
        withRaft(&out) { raft, actions in
            isMade = (try? raft.change(change, into: &actions)) != nil
        }
        guard isMade else { return }
        let id: ServerID
        switch change {
        case .addLearner(let server), .promote(let server), .remove(let server): id = server
        }
        if case .remove = change { seats.replaced.remove(id) }
        out.log(
            .info, reason,
            [.init("server", name(of: id)), .init("id", Hexadecimal.text(ofIdentity: id))])
    }

    private func dueChange() -> (RaftConfigurationChange, String)? {
        let configuration = raft.configuration
        for id in configuration.members where id != config.dataID && mayRemove(id) {
            if member(id)?.status == .left {
                return (.remove(id), "a server left, and its seat with it")
            }
            if seats.replaced.contains(id) {
                return (.remove(id), "another server has this one's name, and its seat is given up")
            }
            if isDeadForLong(id) {
                return (.remove(id), "a server was dead for long, and lost its seat")
            }
        }
        for id in configuration.learners where isCaughtUp(id) {
            return (.promote(id), "a server has caught up and votes from now on")
        }
        for member in members where member.isServer && member.status == .alive {
            guard let id = member.id, !configuration.contains(id),
                member.clusterID == nil || member.clusterID == clusterID
            else { continue }
            return (.addLearner(id), "a server is taken into the cluster")
        }
        return nil
    }

    func isAnswering(_ id: ServerID) -> Bool {
        if id == config.dataID { return true }
        guard let peer = raft.peers.first(where: { $0.id == id }) else { return false }
        return now.monotonic - peer.heardAt < raft.tunables.electionMaximum
    }

    /// Those that answer are a majority with the server and without it.
    private func mayRemove(_ id: ServerID) -> Bool {
        guard raft.configuration.isVoter(id) else { return true }
        let voters = raft.configuration.voters
        let rest = voters.filter { $0 != id }
        return voters.count(where: isAnswering) >= Quorum.size(of: voters.count)
            && rest.count(where: isAnswering) >= Quorum.size(of: rest.count)
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

    /// It has the state, the outputs, and about all of the log.
    private func isCaughtUp(_ id: ServerID) -> Bool {
        isAnswering(id) && raft.hasCaughtUp(id)
    }

    // MARK: Handing over

    /// Hands the lead to the server that lacks least.
    /// - Returns: false if there is none that answers.
    mutating func handOver(_ out: inout Outbox) -> Bool {
        let candidates = raft.peers.filter {
            raft.configuration.isVoter($0.id) && isAnswering($0.id)
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
}
