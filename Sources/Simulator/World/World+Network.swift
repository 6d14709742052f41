// Messages between nodes, and who may hear whom.

import Core

extension World {
    /// The nodes that agree on the log, and those that only run commands.
    var servers: Range<Int> { 0..<plan.servers }
    var agents: Range<Int> { plan.servers..<nodes.count }

    /// The identity of a node's first data directory, and of the one after another.
    static func firstIdentity(of index: Int) -> DataID { 0xD0 + DataID(index) }
    static func nextIdentity(after id: DataID) -> DataID { id + 0x1_0000 }

    /// The node that has or had a data directory with this identity.
    static func position(of id: DataID) -> Int { Int((id - 0xD0) & 0xFFFF) }

    mutating func transmit(_ bytes: [UInt8], from index: Int, to id: ServerID) {
        var target = Self.position(of: id)
        guard nodes.indices.contains(target) else {
            return fail(.B3, "\(nodes[index].name) writes to \(id), which there is not")
        }
        if parameters.gossips {
            // To an address that it was not told nothing can be sent.
            guard let told = nodes[index].peers.position(of: id) else { return }
            target = told
        }
        statistics.messages += 1
        let passage = network.pass(from: index, to: target, on: .peers, at: time)
        if passage.isDisturbed {
            checkers.didDisturbNetwork(until: passage.arrivals.max() ?? time)
        }
        let envelope = nodes[index].peers.envelope(bytes, to: id)
        // Production's connections repeat nothing, least of all to another process.
        var life: UInt64?
        for arrival in passage.arrivals {
            queue.push(
                .message(envelope, to: target, life: life), at: arrival,
                lane: Lane.link(index, target))
            life = nodes[target].incarnation
        }
    }

    /// A message arrives, in whatever life the node is by now, unless it is for one only.
    mutating func arrive(_ envelope: PeerEnvelope, at target: Int, life: UInt64?) {
        guard life ?? nodes[target].incarnation == nodes[target].incarnation else { return }
        let sender = Self.position(of: envelope.from)
        guard !network.isCut(from: sender, to: target, on: .peers) else {
            return checkers.didDisturbNetwork(until: time)
        }
        guard nodes[target].peers.takes(envelope) else { return }
        offer(
            .peer(envelope.from, envelope.bytes), to: target, life: nodes[target].incarnation)
    }

    // MARK: Partitions

    mutating func partition(
        _ side: [Plan.Target], from rest: [Plan.Target]?, _ direction: Plan.Direction,
        on channel: Network.Channel?, for length: Duration
    ) {
        let side = resolve(side)
        let others = rest.map { resolve($0) } ?? nodes.indices.filter { !side.contains($0) }
        guard !side.isEmpty, !others.isEmpty else { return }
        let cut = network.cut(
            side, from: others, direction, on: channel.map { [$0] } ?? Network.Channel.allCases)
        trace.note(
            time, "network",
            "\(side.map { nodes[$0].name }) is cut from \(others.map { nodes[$0].name })")
        checkers.didDisturbNetwork(until: time + length)
        queue.push(.heal(cut), at: time + length, lane: Lane.plan)
    }

    mutating func heal(_ cut: [Int]) {
        // In peace nothing is healed that is cut for good.
        guard !faultsAreOver else { return }
        trace.note(time, "network", "heals")
        network.heal(cut)
    }

    mutating func clog(_ from: Plan.Target, _ to: Plan.Target, for length: Duration) {
        guard let from = resolve(from), let to = resolve(to), from != to else { return }
        checkers.didDisturbNetwork(until: time + length)
        network.clog(from: from, to: to, until: time + length)
    }

    mutating func beLossy(_ perMille: Int, for length: Duration) {
        checkers.didDisturbNetwork(until: time + length)
        network.beLossy(UInt64(perMille), until: time + length)
    }

    // MARK: Targets

    /// The server that leads, or is on its way to.
    var leader: Int? {
        let running = servers.filter { nodes[$0].isRunning }
        return running.filter { nodes[$0].core!.node.raft.role == .leader }.max {
            nodes[$0].core!.node.raft.hardState.term < nodes[$1].core!.node.raft.hardState.term
        }
    }

    /// The node a symbolic target stands for now.
    func resolve(_ target: Plan.Target) -> Int? {
        switch target {
        case .server(let index): return servers.contains(index) ? index : nil
        case .agent(let index):
            return agents.contains(servers.count + index) ? servers.count + index : nil
        case .leader: return leader ?? servers.first { nodes[$0].isRunning } ?? 0
        case .follower(let number):
            let leader = leader
            let others = servers.filter { $0 != leader }
            return others.indices.contains(number - 1) ? others[number - 1] : nil
        case .minority: return resolve([target]).first
        }
    }

    private func resolve(_ targets: [Plan.Target]) -> [Int] {
        var found: [Int] = []
        for target in targets {
            if case .minority = target {
                let leader = leader
                found += servers.filter { $0 != leader }.suffix((servers.count - 1) / 2)
            } else if let index = resolve(target) {
                found.append(index)
            }
        }
        return found.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}
