import Core

/// One seed of the consensus alone: a minute of faults, in which nothing bad may happen, and then
/// peace, in which the good must.
struct RaftRun {
    static let faultTime = Duration.seconds(60)
    /// So long after the faults everything has to be in order.
    static let healTime = Duration.seconds(15)
    static let quietTime = Duration.seconds(5)

    let seed: UInt64
    private(set) var violation: Violation?
    private(set) var steps = 0
    private(set) var elections = 0
    private(set) var readsAnswered = 0
    private(set) var committed = 0
    private(set) var snapshots = 0

    init(seed: UInt64) {
        self.seed = seed
        var world = RaftWorld(seed: seed)
        world.run(until: .zero + Self.faultTime)
        world.calm()
        world.run(until: world.time + Self.healTime)
        if world.judge.violation == nil { Self.judgePeace(&world) }
        violation = world.judge.violation
        steps = world.steps
        elections = world.judge.elections
        readsAnswered = world.judge.readsAnswered
        committed = world.judge.canonical.count
        snapshots = world.snapshots
    }

    private static func judgePeace(_ world: inout RaftWorld) {
        guard let leader = world.leader else { return world.judge.fail(.L1, "nobody leads") }
        let index = world.servers.firstIndex { $0.id == leader.id }!
        let before = world.judge.canonical.count
        world.propose(index)
        world.run(until: world.time + quietTime)
        guard world.judge.violation == nil else { return }
        let term = leader.raft!.hardState.term
        guard isStill(leader.id, term, world) else {
            return world.judge.fail(.L8, "the leader changes without a reason")
        }
        if world.judge.canonical.count <= before {
            return world.judge.fail(.L1, "nothing is committed")
        }
        comeBack(to: leader.id, term, &world)
        guard world.judge.violation == nil, let now = world.leader?.raft else { return }
        // What was committed a moment ago is on its way.
        let last = world.judge.canonical.count - RaftWorld.mostInASecond
        for (index, server) in world.servers.enumerated()
        where now.configuration.contains(server.id) && index != world.outcast {
            if server.applied.count < last {
                world.judge.fail(
                    .L2, "\(server.id) has \(server.applied.count) of \(last) entries")
            }
        }
    }

    private static func isStill(_ leader: ServerID, _ term: Term, _ world: RaftWorld) -> Bool {
        let now = world.leader?.raft
        return now?.id == leader && now?.hardState.term == term
    }

    /// Somebody whom nobody needs is cut off for a while and comes back: the others keep their
    /// leader.
    private static func comeBack(
        to leader: ServerID, _ term: Term, _ world: inout RaftWorld
    ) {
        guard world.outcast == nil,
            let away = world.servers.firstIndex(where: { $0.id != leader }),
            world.canSpare(away)
        else { return }
        for other in world.servers.indices where other != away {
            world.cuts.insert(other * 16 + away)
            world.cuts.insert(away * 16 + other)
        }
        world.run(until: world.time + quietTime)
        world.cuts = []
        world.run(until: world.time + quietTime)
        guard world.judge.violation == nil, !isStill(leader, term, world) else { return }
        world.judge.fail(.R11, "a server that comes back deposes the leader")
    }

    var line: String {
        guard let violation else { return "ok seed \(seed)" }
        let time = violation.time.wholeMilliseconds
        return
            "FAIL \(violation.id.rawValue): raft seed \(seed) at \(time) ms: \(violation.message)"
    }
}
