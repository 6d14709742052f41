// Gossip between nodes: packets that may be lost, and exchanges over streams, which come whole or
// not at all.

import Core

extension World {
    private static let gossipPort: UInt16 = 8946

    /// Where a node takes gossip, and messages of others.
    static func address(of index: Int) -> GossipAddress {
        GossipAddress(
            IPAddress([10, 0, UInt8(index / 250), UInt8(index % 250 + 1)])!, gossipPort)
    }

    private func position(of address: GossipAddress) -> Int? { positions[address.ip] }

    // MARK: Configuration

    /// How many servers found the cluster.
    var founders: Int { max(1, servers.count - parameters.lateServers) }

    func setGossip(of index: Int, _ config: inout Config) {
        let address = Self.address(of: index)
        config.gossipAddress = address.ip.description
        config.gossipPort = address.port
        config.rpcAddress = config.gossipAddress
        var gossip = GossipSettings()
        gossip.profile = MembershipProfile.named(plan["gossip.profile"] ?? "lan") ?? .lan
        gossip.retryJoin = hosts(joinedBy: index).map {
            // A few by names, which are looked up.
            JoinAddress(
                host: $0 % 3 == 2 ? Self.host(of: $0) : Self.address(of: $0).ip.description,
                port: Self.gossipPort)
        }
        if let patience = parameters.forgetsAfter { gossip.reconnectTimeout = patience }
        if let patience = parameters.deadServerTimeout { config.deadServerTimeout = patience }
        if index < founders { config.bootstrapExpect = founders }
        config.gossip = gossip
    }

    /// Whom a node is told to join.
    func hosts(joinedBy index: Int) -> [Int] {
        let hosts = servers.filter { $0 != index }
        // Who has no other server founds the cluster all the same, because it expects itself only.
        if hosts.isEmpty { return Array(agents) }
        guard agents.contains(index), hosts.count > 2 else { return hosts }
        // Any two do, and not the same for all.
        var draws = draws.stream("gossip/\(index + 1)/join")
        let first = draws.element(hosts)
        return [first, draws.element(hosts.filter { $0 != first })]
    }

    private static func host(of index: Int) -> String { "node-\(index).sim" }

    /// Another machine with an empty disk takes the place of a node.
    mutating func replace(_ index: Int) {
        guard parameters.gossips, isRemembered(nodes[index]),
            agents.contains(index) || mayLose(index)
        else { return }
        nodes[index].peers.identity = Self.nextIdentity(after: nodes[index].identity)
        nodes[index].disk = Disk(
            draws: draws, path: "disk/\(index + 1)/\(nodes[index].identity)",
            meanSync: parameters.meanSync, stallOneIn: parameters.stallOneIn)
        nodes[index].supervisor.powerLoss(at: time, log: &runLog)
        nodes[index].mayHalt = nil
        checkers.didReplace(nodes[index], at: time)
    }

    /// A server that founds a cluster alone does so again if it can't reach those that it joins.
    /// And where one is about to leave, the leader gives its seat up while it takes all others, of
    /// whom it heard a moment ago, to be there.
    private func mayLose(_ server: Int) -> Bool {
        (founders > 1 || server >= founders) && !isSomebodyLeaving
            && checkers.voters.mayLose(server, of: nodes)
    }

    /// Whether the log knows which data directory a node has. Before, which is for a second after
    /// it came and as long as the feature level is below the third, nobody could tell another one
    /// from it, and nothing is promised of what it was told.
    private func isRemembered(_ lost: VirtualNode) -> Bool {
        nodes.contains { node in
            guard let store = node.core?.node.store,
                store.cluster.featureLevel >= FeatureLevel.third
            else { return false }
            return store.rememberedNode(NodeName(lost.name))?.id == lost.identity
        }
    }

    // MARK: Effects

    mutating func gossip(_ effect: Effect, of index: Int) {
        guard parameters.gossips else {
            return fail(.B3, "the nodes of this plan know each other from the start")
        }
        switch effect {
        case .reach(let id, let address):
            nodes[index].peers.reach(id, at: address.flatMap { position(of: $0) })
        case .belong(let cluster):
            nodes[index].peers.belong(to: cluster)
            checkers.didBelong(nodes[index], to: cluster, at: time)
        case .packet(let address, let bytes): send(bytes, from: index, to: address)
        case .exchange(let exchange, let address, let bytes):
            nodes[index].exchanges.insert(exchange)
            let asker = VirtualNode.Asker(
                node: index, life: nodes[index].incarnation, exchange: exchange)
            ask(bytes, asker, address)
        case .closeExchange(let exchange): nodes[index].exchanges.remove(exchange)
        case .answerExchange(let request, let bytes):
            guard let asker = nodes[index].askers.removeValue(forKey: request) else {
                return fail(.A6, "an answer to exchange \(request), which nobody waits for")
            }
            answer(asker, bytes.map { .answered($0) } ?? .failed("closed"), from: index)
        case .resolve(let host):
            let found = servers.first { Self.host(of: $0) == host }
            queue.push(
                .input(
                    node: index, life: nodes[index].incarnation,
                    .resolved(
                        host: host, found.map { [Self.address(of: $0).ip] } ?? [],
                        problem: "no such host")),
                at: time + nodes[index].cpu.exponential(.milliseconds(2)),
                lane: Lane.node(index))
        default: fail(.B3, "nobody asks for other keys")
        }
    }

    private mutating func send(_ bytes: [UInt8], from index: Int, to address: GossipAddress) {
        checkers.didSendPacket(bytes.count, nodes[index], at: time)
        guard let target = position(of: address), target != index else { return }
        statistics.packets += 1
        let passage = network.pass(from: index, to: target, on: .gossip, at: time)
        if passage.isDisturbed {
            checkers.didDisturbNetwork(until: passage.arrivals.max() ?? time)
        }
        for arrival in passage.arrivals {
            queue.push(
                .gossip(from: index, to: target, bytes), at: arrival,
                lane: Lane.link(index, target))
        }
    }

    mutating func arrive(gossip bytes: [UInt8], from index: Int, at target: Int) {
        guard !network.isCut(from: index, to: target, on: .gossip) else { return }
        offer(
            .packet(from: Self.address(of: index), bytes), to: target,
            life: nodes[target].incarnation)
    }

    // MARK: Exchanges

    private mutating func ask(
        _ bytes: [UInt8], _ asker: VirtualNode.Asker, _ address: GossipAddress
    ) {
        guard let target = position(of: address) else {
            return answer(asker, .failed("no route to host"), from: asker.node)
        }
        // Nobody answers across a cut: who asked gives up by itself.
        guard let at = network.carry(from: asker.node, to: target, on: .gossip, at: time) else {
            return checkers.didDisturbNetwork(until: time)
        }
        queue.push(
            .exchange(asker, to: target, bytes), at: at, lane: Lane.link(asker.node, target))
    }

    mutating func arrive(_ bytes: [UInt8], of asker: VirtualNode.Asker, at target: Int) {
        guard !network.isCut(from: asker.node, to: target, on: .gossip) else { return }
        guard nodes[target].isRunning else {
            return answer(asker, .failed("connection refused"), from: target)
        }
        let request = nodes[target].nextAsker
        nodes[target].nextAsker += 1
        nodes[target].askers[request] = asker
        offer(
            .exchangeRequest(request, from: Self.address(of: asker.node), bytes), to: target,
            life: nodes[target].incarnation)
    }

    private mutating func answer(
        _ asker: VirtualNode.Asker, _ end: ExchangeEnd, from index: Int
    ) {
        guard let at = network.carry(from: index, to: asker.node, on: .gossip, at: time) else {
            return
        }
        queue.push(.exchangeEnd(asker, end), at: at, lane: Lane.link(index, asker.node))
    }

    mutating func conclude(_ asker: VirtualNode.Asker, _ end: ExchangeEnd) {
        guard nodes[asker.node].incarnation == asker.life,
            nodes[asker.node].exchanges.remove(asker.exchange) != nil
        else { return }
        offer(.exchange(asker.exchange, end), to: asker.node, life: asker.life)
    }

    /// A process ends, and its connections with it.
    mutating func endAskers(of index: Int) {
        let askers = nodes[index].askers.sorted { $0.key < $1.key }
        nodes[index].askers.removeAll()
        for (_, asker) in askers { answer(asker, .failed("connection reset"), from: index) }
    }
}
