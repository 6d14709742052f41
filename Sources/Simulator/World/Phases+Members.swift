// What is required of membership in peace: all know each other, who can't be heard is found to have
// failed, and who leaves has left and votes no more.

import Core

extension World {
    /// Some server is about to leave, or holds one to have left: its seat may be given up yet.
    var isSomebodyLeaving: Bool {
        servers.contains { server in
            guard let node = nodes[server].core?.node else { return nodes[server].life == .stopped }
            return node.phase == .stopping
                || node.members.contains { $0.isServer && [.left, .leaving].contains($0.status) }
        }
    }

    var disagreement: String? {
        GossipChecker.disagreement(among: core.map { nodes[$0] })
    }

    /// Once all nodes know each other they go on knowing.
    mutating func requireMembers() {
        // Everybody against everybody: of many nodes not each second.
        guard phases.areMembersKnown, parameters.gossips,
            time.wholeSeconds % Int64(1 + nodes.count / 10) == 0, let problem = disagreement
        else { return }
        fail(.G5, problem)
    }

    /// Who can't be heard is found to have failed, and is forgotten in time.
    private mutating func requireFailures() {
        guard parameters.gossips else { return }
        // What is heard of somebody, by way of others too, may be that it lives.
        let isSilent = [.down, .cut].contains(parameters.fate)
        let isForgotten = parameters.forgetsAfter.map {
            isSilent && time - phases.peaceBegan > $0 + Phases.forgettingBound
        }
        for outcast in phases.outcasts {
            let problem = GossipChecker.dissenter(
                among: core.map { nodes[$0] },
                from: isForgotten ?? false ? [.left] : [.failed, .left], of: nodes[outcast].name)
            if let problem { return fail(isForgotten ?? false ? .G8 : .G3, problem) }
        }
    }

    /// Who is dead for long has no vote, where enough seats are left.
    private mutating func requireVacantSeats() {
        guard let patience = parameters.deadServerTimeout, let leader = phases.leader?.server,
            [.down, .cut].contains(parameters.fate),
            time - phases.leaderKnownAt > patience + Phases.seatBound
        else { return }
        let votes = checkers.voters.committed
        guard votes.count > max(1, configuration(of: leader).bootstrapExpect) else {
            return
        }
        for outcast in phases.outcasts where votes.contains(nodes[outcast].identity) {
            return fail(.R13, "\(nodes[outcast].name) is dead for long and has its vote yet")
        }
    }

    mutating func beginLeave() {
        requireFailures()
        requireVacantSeats()
        guard parameters.gossips, let node = leaver else { return beginIdle() }
        phases.areMembersKnown = false
        nodes[node].isBanned = true
        offer(.control(.leave), to: node, life: nodes[node].incarnation)
        phases.outcasts.append(node)
        phases.stage = .leaving(since: time, node: node)
    }

    /// A server gives up its seat only if those that answer are a majority without it. Leaders of
    /// the first feature level take a seat back once its server is gone, which two can't survive.
    private var leaver: Int? {
        let agent = core.last { agents.contains($0) }
        guard let leader = phases.leader?.server, voters.count == servers.count,
            servers.count > 2 || configuration(of: leader).featureLevel >= FeatureLevel.second,
            agent == nil || plan.seed % 2 == 0
        else { return agent }
        return voters.last { $0 != leader } ?? agent
    }

    mutating func awaitLeave(_ since: TrueTime, _ node: Int) {
        // It first works off what runs there.
        if nodes[node].isRunning {
            if time - since > Phases.stopBound { fail(.G6, "\(nodes[node].name) is still there") }
            return
        }
        let leftAt = phases.leftAt ?? time
        phases.leftAt = leftAt
        let bound = phases.isDetour ? Phases.leaveBoundByDetour : Phases.leaveBound
        guard time - leftAt > bound else { return }
        let problem = GossipChecker.dissenter(
            among: core.map { nodes[$0] }, from: [.left], of: nodes[node].name)
        if let problem { return fail(.G6, problem) }
        if checkers.voters.committed.contains(nodes[node].identity) {
            return fail(.G6, "\(nodes[node].name) has left and still has its vote")
        }
        beginIdle()
    }
}
