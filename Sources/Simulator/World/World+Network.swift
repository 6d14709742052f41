// Messages between servers, and who may hear whom.

import Core

extension World {
    /// The identity of a server's data directory.
    static func identity(of index: Int) -> DataID { 0xD0 + DataID(index) }

    /// The server with this identity.
    static func position(of id: DataID) -> Int { Int(id - 0xD0) }

    mutating func transmit(_ bytes: [UInt8], from index: Int, to id: ServerID) {
        let target = Self.position(of: id)
        guard nodes.indices.contains(target) else {
            return fail(.B3, "\(nodes[index].name) writes to \(id), which there is not")
        }
        statistics.messages += 1
        let passage = network.pass(from: index, to: target, at: time)
        if passage.isDisturbed {
            checkers.didDisturbNetwork(until: passage.arrivals.max() ?? time)
        }
        for arrival in passage.arrivals {
            queue.push(
                .packet(from: index, to: target, bytes), at: arrival,
                lane: Lane.link(index, target))
        }
    }

    /// A message arrives, in whatever life the server is by now.
    mutating func arrive(_ bytes: [UInt8], from index: Int, at target: Int) {
        guard !network.isCut(from: index, to: target) else {
            return checkers.didDisturbNetwork(until: time)
        }
        offer(
            .peer(Self.identity(of: index), bytes), to: target, life: nodes[target].incarnation)
    }

    // MARK: Partitions

    mutating func partition(
        _ side: [Plan.Target], from rest: [Plan.Target]?, _ direction: Plan.Direction,
        for length: Duration
    ) {
        let side = resolve(side)
        let others = rest.map { resolve($0) } ?? nodes.indices.filter { !side.contains($0) }
        guard !side.isEmpty, !others.isEmpty else { return }
        let cut = network.cut(side, from: others, direction)
        trace.note(time, "network", "\(side.map { $0 + 1 }) is cut from \(others.map { $0 + 1 })")
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
        let running = nodes.indices.filter { nodes[$0].isRunning }
        return running.filter { nodes[$0].core!.node.raft.role == .leader }.max {
            nodes[$0].core!.node.raft.hardState.term < nodes[$1].core!.node.raft.hardState.term
        }
    }

    /// The server a symbolic target stands for now.
    func resolve(_ target: Plan.Target) -> Int? {
        switch target {
        case .server(let index): return nodes.indices.contains(index) ? index : nil
        case .leader: return leader ?? nodes.firstIndex { $0.isRunning } ?? 0
        case .follower(let number):
            let leader = leader
            let others = nodes.indices.filter { $0 != leader }
            return others.indices.contains(number - 1) ? others[number - 1] : nil
        case .minority: return resolve([target]).first
        }
    }

    private func resolve(_ targets: [Plan.Target]) -> [Int] {
        var found: [Int] = []
        for target in targets {
            if case .minority = target {
                let leader = leader
                found += nodes.indices.filter { $0 != leader }.suffix((nodes.count - 1) / 2)
            } else if let index = resolve(target) {
                found.append(index)
            }
        }
        return found.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}
