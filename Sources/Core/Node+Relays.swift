// An agent that does not reach the leader, though another server does, speaks with it by way of
// that one: results arrive, leases are renewed, orders come. One server passes on, never two.

/// How this node is in touch with the leader.
struct Contact {
    /// Without an answer of the leader for so long a node turns to other servers.
    static let patience = Duration.seconds(12)
    static let interval = Duration.seconds(5)

    /// When the leader last answered by itself.
    var leaderHeardAt = Instant.zero
    var nextTouch = Instant.zero
    /// As the leader: by way of which server a node is heard.
    var routes = SortedMap<NodeName, ServerID>()
}

extension Node {
    /// The leader is known and this node speaks with it by itself.
    private var hearsLeader: Bool {
        guard leaderID != nil else { return false }
        return now.monotonic - contact.leaderHeardAt < Contact.patience
    }

    /// A server that may reach the leader when this node does not: another one every ten seconds.
    private var relay: ServerID? {
        let servers = members.filter {
            $0.isServer && $0.status == .alive && isOfRegion($0) && $0.id != config.dataID
                && $0.id != leaderID && $0.featureLevel >= FeatureLevel.second
                && $0.clusterID == clusterID
        }
        guard clusterID != nil, !servers.isEmpty else { return nil }
        return servers[Int(now.monotonic.nanoseconds / 10_000_000_000) % servers.count].id
    }

    /// A report of this node's agent, for the leader: dropped without one, and told again later.
    mutating func report(_ report: AgentReport, _ out: inout Outbox) {
        if isLeading { return receive(report, from: config.nodeName, &out) }
        if membership != nil, !hearsLeader, let relay {
            return send(.relayedReport(report, of: config.dataID), to: relay, &out)
        }
        guard let leader = leaderID, leader != config.dataID else { return }
        let level = member(leader)?.featureLevel ?? FeatureLevel.first
        if case .goodbye = report, level < FeatureLevel.second { return }
        send(.report(report), to: leader, &out)
    }

    /// Shows the leader by way of another server that this node lives.
    mutating func keepInTouch(_ out: inout Outbox) {
        guard let due = nextTouch(), now.monotonic >= due else { return }
        contact.nextTouch = now.monotonic + Contact.interval
        guard !hearsLeader else { return }
        if clusterID == nil { belongToOnlyCluster(&out) }
        report(.heartbeat(runner.heartbeat(at: now.monotonic)), &out)
    }

    /// An agent that no leader has reached since its start takes the cluster of the servers that it
    /// sees for its own, if they are all of one.
    private mutating func belongToOnlyCluster(_ out: inout Outbox) {
        let clusters = members.filter { $0.isServer && $0.isThere && isOfRegion($0) }
            .compactMap(\.clusterID)
        guard let first = clusters.first, clusters.allSatisfy({ $0 == first }) else { return }
        belong(to: first, &out)
    }

    /// When `keepInTouch` wants to be called.
    func nextTouch() -> Instant? {
        guard membership != nil, clusterID != nil || !config.isServer, !isLeading else {
            return nil
        }
        return phase == .running || phase == .stopping
            ? max(contact.nextTouch, contact.leaderHeardAt + Contact.patience) : nil
    }

    // MARK: Passing on

    /// An agent's report came, for this server to pass on or from one that did.
    mutating func receive(
        _ report: AgentReport, of agent: ServerID, by sender: ServerID, _ out: inout Outbox
    ) {
        guard let name = member(agent)?.name else { return }
        if isLeading {
            guard sender == agent || raft.configuration.contains(sender) else { return }
            contact.routes[name] = sender == agent ? nil : sender
            return receive(report, from: name, &out)
        }
        guard sender == agent, let leader = raft.leader, leader != config.dataID,
            member(leader)?.featureLevel ?? 0 >= FeatureLevel.second
        else { return }
        out.mark(.reportPassedOn)
        send(.relayedReport(report, of: agent), to: leader, &out)
    }

    /// An order of the leader came, for this server to pass on.
    mutating func receive(
        _ message: AgentMessage, for agent: ServerID, by sender: ServerID, _ out: inout Outbox
    ) {
        guard sender == raft.leader else { return }
        if agent == config.dataID { return receive(message, &out) }
        send(.assignment(message), to: agent, &out)
    }

    /// Brings a message of the leader to an agent, this node's own or another's.
    mutating func deliver(_ message: AgentMessage, to node: NodeName, _ out: inout Outbox) {
        if case .run = message, !mayOrder(node) { return }
        if node == config.nodeName { return receive(message, &out) }
        // One that is not known now is told again, or given up, by the dispatcher.
        guard let id = member(named: node)?.id else { return }
        if let route = contact.routes[node] {
            return send(.relayedOrder(message, to: id), to: route, &out)
        }
        send(.assignment(message), to: id, &out)
    }
}
