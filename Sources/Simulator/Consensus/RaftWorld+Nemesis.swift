import Core

extension RaftWorld {
    // MARK: Clients

    mutating func actAsClient() {
        let pace = Duration.milliseconds(Int64(random.int(in: 5...400)))
        push(.client, after: pace)
        let index = random.int(in: 0..<servers.count)
        switch random.below(10) {
        case 0..<5: propose(index)
        case 5..<7: read(index)
        case 7 where changesMembers && !isCalm: change(index)
        case 8 where !isCalm && random.chance(1, 3):
            let target = servers[random.int(in: 0..<servers.count)].id
            step(index) { _ = $0.transferLeadership(to: target, at: $1, into: &$2) }
        default: if changesMembers, !isCalm { change(index) }
        }
    }

    mutating func propose(_ index: Int) {
        let count = random.int(in: 1...5)
        let payloads = (0..<count).map { _ in
            [UInt8](repeating: UInt8(random.below(256)), count: random.int(in: 0...60))
        }
        step(index) { raft, _, actions in
            for payload in payloads { _ = raft.propose(payload, into: &actions) }
        }
    }

    private mutating func read(_ index: Int) {
        guard servers[index].raft?.isLeading ?? false else { return }
        nextRead += 1
        let id = nextRead
        judge.beginRead(id)
        step(index) { raft, _, actions in
            _ = raft.read(id, into: &actions)
        }
    }

    private mutating func change(_ index: Int) {
        // Often two at once, of which the second must be refused.
        let ids = (0..<random.int(in: 1...2)).map { _ in
            servers[random.int(in: 0..<servers.count)].id
        }
        let kind = random.below(4)
        step(index) { raft, _, actions in
            for id in ids {
                let change: RaftConfigurationChange =
                    switch kind {
                    case 0: .addLearner(id)
                    case 1, 2: .promote(id)
                    default: .remove(id)
                    }
                _ = try? raft.change(change, into: &actions)
            }
        }
    }

    // MARK: Faults

    mutating func strike() {
        push(.nemesis, after: .milliseconds(Int64(random.int(in: 50...4_000))))
        let index = random.int(in: 0..<servers.count)
        switch random.below(6) {
        case 0:
            if servers[index].raft == nil { start(index) } else { crash(index) }
        case 1: for other in servers.indices where servers[other].raft == nil { start(other) }
        case 2: cuts = []
        case 3:
            // One side from the other, one way or both.
            let isOneWay = random.chance(1, 3)
            for a in servers.indices where random.chance(1, 2) {
                for b in servers.indices where b != a && random.chance(2, 3) {
                    cuts.insert(a * 16 + b)
                    if !isOneWay { cuts.insert(b * 16 + a) }
                }
            }
        case 4:
            // The leader alone.
            let leader = servers.firstIndex { $0.raft?.role == .leader } ?? index
            for other in servers.indices where other != leader {
                cuts.insert(leader * 16 + other)
                cuts.insert(other * 16 + leader)
            }
        default: if random.chance(1, 8) { for other in servers.indices { crash(other) } }
        }
    }

    /// What leaders of several terms leave behind at a few servers each is where counting copies
    /// goes wrong (Raft dissertation, section 3.6.2). By chance alone that hardly ever comes about.
    mutating func beginReign(of index: Int) {
        cuts = []
        for other in servers.indices where servers[other].raft == nil && random.chance(1, 2) {
            start(other)
        }
        for other in servers.indices where other != index && random.chance(1, 2) {
            cuts.insert(index * 16 + other)
            cuts.insert(other * 16 + index)
        }
        let length = meanDelay * Int64(random.int(in: 0...8)) + .milliseconds(1)
        push(.reignEnds(index, life: servers[index].life), after: length)
    }

    mutating func endReign(of index: Int) {
        cuts = []
        if random.chance(1, 2) { return crash(index) }
        for other in servers.indices where other != index {
            cuts.insert(index * 16 + other)
            cuts.insert(other * 16 + index)
        }
    }

    /// From here on everything works, but perhaps for one server that hears nobody, though all hear
    /// it: it never heals, and must not disturb the others.
    mutating func calm() {
        isCalm = true
        cuts = []
        loss = 0
        for index in servers.indices where servers[index].raft == nil { start(index) }
        let candidate = random.int(in: 0..<servers.count)
        guard random.chance(1, 2), canSpare(candidate) else { return }
        outcast = candidate
        for other in servers.indices where other != candidate {
            cuts.insert(other * 16 + candidate)
        }
    }

    /// Whatever members anybody believes in, the others are a majority of them.
    func canSpare(_ index: Int) -> Bool {
        servers.allSatisfy { server in
            let voters = server.raft!.configuration.voters
            return voters.isEmpty || !voters.contains(servers[index].id)
                || (voters.count - 1) * 2 > voters.count
        }
    }

    /// The members of the present leader.
    var leader: Server? {
        servers.filter { $0.raft?.isLeading ?? false }.max {
            $0.raft!.hardState.term < $1.raft!.hardState.term
        }
    }
}
