// Two questions, two modes. In the safety phase anything may fail and nothing bad may happen. Then
// faults end for good, and the good things must happen in bounded time; at last everything stops,
// and the records are compared with what really happened.
//
// Of several servers a majority is enough for that: the others may stay down, or cut off, for good.
// So may some agents.

import Core

struct Phases {
    enum Stage {
        case safety
        /// Faults are over; clients finish what they began.
        case settling(since: TrueTime)
        /// A new job must fire.
        case probing(since: TrueTime, operation: Int)
        case firing(since: TrueTime)
        /// Nothing new for a while: totality must hold and stay true.
        case quiet(since: TrueTime)
        case pausing(operation: Int)
        /// No more ticks; what runs comes to its end.
        case draining(since: TrueTime, lastKill: TrueTime)
        /// A node leaves for good, and all hear of it.
        case leaving(since: TrueTime, node: Int)
        /// Nothing is left to do but to hear of each other.
        case idle(since: TrueTime, steps: UInt64, messages: Int, isBusy: Bool)
    }

    /// What becomes of the nodes that peace does not need.
    enum Fate: String, CaseIterable, Sendable {
        case healthy, down, cut, deaf, mute
        /// All are healthy, and one agent and the leader do not reach each other.
        case detour
    }

    let horizon: Duration
    var stage = Stage.safety
    var excuse: String?
    /// An agent and the leader do not reach each other.
    var isDetour = false
    /// Nodes that are not healed, in order.
    var outcasts: [Int] = []
    /// When the faults ended.
    var peaceBegan = TrueTime.zero
    /// Who leads in peace, and in which term, and since when that is known.
    var leader: (server: Int, term: Term)?
    var leaderKnownAt = TrueTime.zero
    /// Since when nothing is left to do but to catch up.
    var restingSince: TrueTime?
    /// All healthy nodes know each other, once and from then on.
    var areMembersKnown = false
    /// When the node last had as much to do at once as it may.
    var lastSaturation = TrueTime.zero
    /// When the leader last had more to replicate than it may send at once.
    var lastCongestion = TrueTime.zero - congestion - .seconds(1)
    /// When the process of the node that was told to leave had ended.
    var leftAt: TrueTime?

    static let settleBound = Duration.minutes(20)
    /// After so long every server votes.
    static let seatsBound = Duration.minutes(19)
    /// After so long a leader is known to all.
    static let electionBound = Duration.minutes(3)
    /// So long after its time, and the time in which it is found to have failed, nobody knows a
    /// node any more that can't be heard.
    static let forgettingBound = Duration.seconds(75)
    /// So long after its time the seat of a dead server is given up.
    static let seatBound = Duration.seconds(30)
    /// So long after the end of a process that left all know of it; and where two nodes do not
    /// reach each other, so that rumours and exchanges of states come to nothing.
    static let leaveBound = Duration.seconds(45)
    static let leaveBoundByDetour = Duration.minutes(4)
    /// Commands of deleted jobs may hold up the end of a process for so long.
    static let stopBound = Duration.minutes(3)
    /// After so long without anything new a healthy server has everything.
    static let catchUpBound = Duration.minutes(30)
    static let idleLength = Duration.seconds(5)
    /// For so long after it decisions may be late.
    static let congestion = Duration.seconds(10)
    static let fireBound = Duration.minutes(3)
    static let quietLength = Duration.seconds(15)
    static let drainPatience = Duration.minutes(5)
    /// How long an execution may wait for its start while the node has room.
    static let startBound = Duration.minutes(2)
    static let drainBound = Duration.hours(8)
    static let probeJob = "liveness-probe"

    init(horizon: Duration) { self.horizon = horizon }
}

extension World {
    mutating func advancePhase() {
        switch phases.stage {
        case .safety: beginLiveness()
        case .settling(let since): settle(since)
        case .probing(let since, let operation): probe(since, operation)
        case .firing(let since): awaitFire(since)
        case .quiet(let since): stayQuiet(since)
        case .pausing(let operation): awaitPause(operation)
        case .draining(let since, let lastKill): drain(since, lastKill)
        case .leaving(let since, let node): awaitLeave(since, node)
        case .idle(let since, let steps, let messages, let isBusy):
            idle(since, steps, messages, isBusy)
        }
        if checkers.violation == nil { requireLeader() }
        if checkers.violation == nil { requireMembers() }
        let pace: Duration
        if case .draining = phases.stage { pace = .seconds(5) } else { pace = .seconds(1) }
        queue.push(.phase, at: time + pace, lane: Lane.plan)
    }

    /// From here on the machines are healthy for good.
    private mutating func beginLiveness() {
        trace.note(time, "phase", "faults are over")
        faultsAreOver = true
        phases.peaceBegan = time
        zoneFolder.absent.removeAll()
        chooseOutcasts()
        for node in nodes.indices {
            nodes[node].disk.faults = DiskFaults()
            nodes[node].pausedUntil = time
            nodes[node].busyUntil = min(nodes[node].busyUntil, time)
            nodes[node].mayHalt = nil
            nodes[node].restartAfter = min(nodes[node].restartAfter, .seconds(1))
            steadyClock(node)
            if nodes[node].isRunning {
                if !nodes[node].heldSteps.isEmpty { wakeOutside(node, at: time) }
                offer(
                    .control(.reload(tags: nil, notifications: nil)), to: node,
                    life: nodes[node].incarnation)
                if !nodes[node].inbox.isEmpty {
                    queue.push(
                        .wake(node: node, life: nodes[node].incarnation), at: time,
                        lane: Lane.node(node))
                }
            } else {
                start(node)
            }
        }
        phases.stage = .settling(since: time)
    }

    /// Fewer than half of the servers stay as bad as they can be.
    private mutating func chooseOutcasts() {
        network.becomeCalm()
        let fate = parameters.fate
        guard fate != .healthy, fate != .detour else { return }
        var draws = draws.stream("core")
        // Where some have no vote yet, or others that are gone still have one, every server counts;
        // and a cluster that is not founded yet needs every one of its founders once.
        let isFounded = !checkers.view.cluster.clusterID.isEmpty
        let all = servers.map { nodes[$0] }
        let isComplete =
            checkers.voters.problem(with: all) == nil && !checkers.voters.isChanging
            && !isSomebodyLeaving
        let spare = isFounded && isComplete ? (servers.count - 1) / 2 : 0
        var count = spare > 0 ? draws.int(1...spare) : 0
        while count > 0 {
            let server = draws.int(0...servers.count - 1)
            guard !phases.outcasts.contains(server) else { continue }
            phases.outcasts.append(server)
            count -= 1
        }
        phases.outcasts.sort()
        let lost = Set(phases.outcasts)
        for agent in agents {
            // One that starts again knows no server but those that it was told to join.
            let isLost = parameters.gossips && lost.isSuperset(of: hosts(joinedBy: agent))
            if draws.chance(1, 4) || isLost { phases.outcasts.append(agent) }
        }
        guard !phases.outcasts.isEmpty else { return }
        checkers.didCastOut(phases.outcasts.map { nodes[$0].name })
        trace.note(time, "phase", "\(phases.outcasts.map { nodes[$0].name }) stay \(fate)")
        let core = core
        switch fate {
        case .healthy, .detour: break
        case .down:
            for server in phases.outcasts {
                if nodes[server].isRunning { end(server, .down) }
                nodes[server].isBanned = true
            }
        case .cut: _ = network.cut(phases.outcasts, from: core, .both)
        case .deaf: _ = network.cut(phases.outcasts, from: core, .inward)
        case .mute: _ = network.cut(phases.outcasts, from: core, .outward)
        }
    }

    /// An agent works by way of other servers, if all of them know how to.
    private mutating func cutAgent(from leader: Int) {
        guard parameters.gossips, servers.count > 1, let agent = agents.first,
            nodes.indices.allSatisfy({
                configuration(of: $0).featureLevel >= FeatureLevel.second
            })
        else { return }
        _ = network.cut([agent], from: [leader], .both)
        phases.isDetour = true
        trace.note(
            time, "phase", "\(nodes[agent].name) and \(nodes[leader].name) stay cut off")
    }

    /// The nodes that are healthy in peace, and the servers among them.
    var core: [Int] { nodes.indices.filter { !phases.outcasts.contains($0) } }
    var voters: [Int] { servers.filter { !phases.outcasts.contains($0) } }

    /// The leader whom all healthy nodes know.
    private var agreedLeader: (server: Int, term: Term)? {
        let core = core
        guard core.allSatisfy({ nodes[$0].core?.node.phase == .running }),
            let leader = voters.first(where: { nodes[$0].core!.node.raft.isLeading })
        else { return nil }
        let term = nodes[leader].core!.node.raft.hardState.term
        let isKnown = core.allSatisfy {
            guard nodes[$0].core!.node.leaderID == nodes[leader].identity else { return false }
            return agents.contains($0) || nodes[$0].core!.node.raft.hardState.term == term
        }
        return isKnown ? (leader, term) : nil
    }

    /// Once there is peace, the leader stays.
    private mutating func requireLeader() {
        guard let leader = phases.leader else { return }
        let now = agreedLeader
        guard now?.server != leader.server || now?.term != leader.term else { return }
        fail(.L8, "\(nodes[leader.server].name) led in term \(leader.term) and does not any more")
    }

    mutating func beginIdle() {
        // What deleted jobs left behind may go on, print, and end in these very seconds.
        let isBusy = core.contains {
            nodes[$0].supervisor.heldRuns > 0 || !nodes[$0].outside.executions.isEmpty
        }
        phases.stage = .idle(
            since: time, steps: statistics.steps, messages: statistics.messages, isBusy: isBusy)
    }

    /// The clock stops jumping. It goes on from the latest time it ever showed to the node: stamps
    /// never decrease, so a clock set back would make every job wait for the old reading.
    /// One that is wrong beside those of a healthy majority stays so; with servers missing it
    /// could be one of two, of which nobody can tell which is right.
    private mutating func steadyClock(_ node: Int) {
        if parameters.isWild(nodes[node].name) {
            let mayStay = voters.count == servers.count
            let error = mayStay ? nodes[node].clock.error(at: time) : .zero
            return nodes[node].clock.set(offset: error)
        }
        let latest = checkers.view.cluster.lastStamp
        var error = nodes[node].clock.error(at: time)
        let behind = latest - (nodes[node].clock.epoch + time + error)
        if behind > .zero { error = error + behind }
        nodes[node].clock.set(offset: error)
    }

    private var clientsAreIdle: Bool {
        clients.allSatisfy { $0.current == nil && $0.queue.isEmpty }
    }

    private mutating func settle(_ since: TrueTime) {
        if time - since > Phases.settleBound {
            return fail(.L3, "a client operation is not answered long after the faults ended")
        }
        // A forward step of the clock must stand for a minute before it is believed.
        guard clientsAreIdle, time - since > .seconds(75) else { return }
        for node in core where !nodes[node].isRunning {
            return fail(.L2, "\(nodes[node].name) does not come back: \(nodes[node].life)")
        }
        guard let leader = agreedLeader else {
            if time - since > Phases.electionBound {
                fail(.L1, "nobody leads whom all healthy nodes know")
            }
            return
        }
        if parameters.gossips, let problem = disagreement {
            if time - since > Phases.electionBound { fail(.G5, problem) }
            return
        }
        if parameters.gossips,
            let problem = checkers.voters.problem(
                with: servers.map { nodes[$0] },
                without: parameters.deadServerTimeout == nil ? [] : phases.outcasts)
        {
            // Who is taken in first gets all of the state, piece by piece.
            if time - since > Phases.seatsBound { fail(.R13, problem) }
            return
        }
        phases.leader = leader
        phases.leaderKnownAt = time
        // Two that do not reach each other may suspect each other, until others contradict.
        phases.areMembersKnown = parameters.fate != .detour
        if parameters.fate == .detour { cutAgent(from: leader.server) }
        submit(Plan.Draft(method: "POST", target: "/v1/unpause"), client: 0, isProbe: true)
        for node in checkers.view.cluster.drained {
            let target = "/v1/members/\(node)/undrain"
            submit(Plan.Draft(method: "POST", target: target), client: 0, isProbe: true)
        }
        let body =
            #"{"name":"\#(Phases.probeJob)","schedule":"@every 2s","executor":"shell","#
            + #""executor_config":{"command":"sim run=100ms"}}"#
        let operation = submit(
            Plan.Draft(method: "POST", target: "/v1/jobs", body: body), client: 0, isProbe: true)
        phases.stage = .probing(since: time, operation: operation)
    }

    private mutating func probe(_ since: TrueTime, _ operation: Int) {
        guard operations[operation].isDone else {
            // Voters that get all of the state, piece by piece, can be the majority.
            let bound = isSomebodyBehind ? Phases.catchUpBound : Phases.fireBound
            if time - since > bound { fail(.L3, "the probe's creation is not answered") }
            return
        }
        guard operations[operation].isAcknowledged else {
            let reply = operations[operation].reply
            let words = reply.map {
                "\($0.status) \(String(decoding: $0.body.prefix(200), as: UTF8.self))"
            }
            return fail(.L9, "a new job is not accepted: \(words ?? "no answer")")
        }
        phases.stage = .firing(since: time)
    }

    private mutating func awaitFire(_ since: TrueTime) {
        let missing = nodesWithoutProbe
        if missing.isEmpty {
            phases.stage = .quiet(since: time)
        } else if isSaturated, checkers.hasActiveGroup(of: Phases.probeJob) {
            // Launched in time; its turn comes when others end.
            phases.stage = .quiet(since: time)
        } else if time - since > Phases.fireBound {
            let names = missing.map { nodes[$0].name }.joined(separator: ", ")
            fail(.L9, "a new job does not fire on \(names)")
        }
    }

    /// Healthy nodes on which the probe, which any node may run, has not run yet.
    private var nodesWithoutProbe: [Int] {
        let fired = Set(runLog.runs.lazy.filter { $0.job == Phases.probeJob }.map(\.node))
        return core.filter { !fired.contains($0) }
    }

    /// As many commands run as the node may run at once, or as many requests as it may have
    /// connections.
    private var isSaturated: Bool {
        let room = configuration(of: 0).tunables.maxRunning
        return nodes.contains {
            $0.supervisor.runningCount + $0.outside.executions.count >= room
                || $0.outside.waitingCount > 0
        }
    }

    private mutating func stayQuiet(_ since: TrueTime) {
        // One decision of a job waits for the one before it to be on the disk.
        var disk = parameters.stallOneIn > 0 ? Duration.seconds(30) : parameters.meanSync * 40
        // On the disks of a majority, over a network that takes its time.
        if nodes.count > 1 { disk = disk + Network.calmMean * 150 }
        if isCongested { phases.lastCongestion = time }
        let isCalm = time - phases.lastCongestion > Phases.congestion
        guard time - since >= Phases.quietLength + disk else {
            return checkers.becomeCalm(bound: isCalm ? .seconds(1) + disk : nil)
        }
        checkers.becomeCalm(bound: nil)
        if isCalm {
            checkers.requireTotality(now: clusterTime, bound: .seconds(5) + disk, at: time)
        }
        let operation = submit(
            Plan.Draft(method: "POST", target: "/v1/pause"), client: 0, isProbe: true)
        phases.stage = .pausing(operation: operation)
    }

    /// Small windows may let less through than there is to decide and to record.
    private var isCongested: Bool {
        guard let leader = phases.leader, let core = nodes[leader.server].core else { return false }
        return core.node.raft.pendingCount
            > configuration(of: leader.server).tunables.raft.inFlightMessages
    }

    /// What the leader decides by: of several servers no single clock.
    private var clusterTime: WallTime {
        let leader = phases.leader?.server ?? 0
        let own = nodes[leader].clock.wall(at: time)
        guard servers.count > 1, let core = nodes[leader].core else { return own }
        return core.node.time
    }

    private mutating func awaitPause(_ operation: Int) {
        guard operations[operation].isDone else { return }
        if !operations[operation].isAcknowledged {
            return fail(.L3, "the pause is not acknowledged")
        }
        phases.stage = .draining(since: time, lastKill: time)
    }

    /// Some healthy voter lacks what is committed.
    private var isSomebodyBehind: Bool { voters.contains { !checkers.hasAll($0) } }

    private mutating func drain(_ since: TrueTime, _ lastKill: TrueTime) {
        let open = checkers.view.groups.count
        let healthy = core.map { nodes[$0] }
        let isAllTold = !checkers.isSomebodyOwed
        if open == 0, clientsAreIdle, isAllReleased, isAllTold, time - since > .seconds(30) {
            // Who was behind may still be taking over all of the state, piece by piece.
            phases.restingSince = phases.restingSince ?? time
            if isSomebodyBehind, time - phases.restingSince! < Phases.catchUpBound { return }
            checkers.requireAllEnded(healthy, runLog, at: time)
            trace.note(time, "phase", "drained")
            guard nodes.count > 1 else { return finish() }
            return beginLeave()
        }
        if time - since > Phases.drainBound {
            checkers.requireAllEnded(healthy, runLog, at: time)
            return fail(.L5, "the drain does not end: \(open) groups open")
        }
        requireStarts(since)
        guard time - since > Phases.drainPatience, time - lastKill > .minutes(2), clientsAreIdle
        else { return }
        // Commands that never end are ended through the API, as a person would.
        phases.stage = .draining(since: since, lastKill: time)
        let groups = checkers.view.groups.values.sorted { $0.group.id < $1.group.id }
        for group in groups.prefix(50) {
            for (_, sight) in group.executions.sorted(by: { $0.key < $1.key }) {
                let target = "/v1/jobs/\(group.job)/executions/\(sight.execution.id)/kill"
                submit(Plan.Draft(method: "POST", target: target), client: 0, isProbe: true)
            }
        }
    }

    /// Nodes that have nothing to do say and do little, and servers agree.
    private mutating func idle(
        _ since: TrueTime, _ steps: UInt64, _ messages: Int, _ isBusy: Bool
    ) {
        guard time - since >= Phases.idleLength else { return }
        // What was committed a moment ago is known to the leader first.
        if isSomebodyBehind, time - since < Phases.idleLength * 6 { return }
        let beat = max(.milliseconds(1), configuration(of: 0).tunables.raft.heartbeat)
        let beats = UInt64((time - since).nanoseconds / beat.nanoseconds)
        // Each agent's heartbeat is answered after a majority has confirmed the lead.
        let bound =
            beats * 4 * UInt64(servers.count) + UInt64(agents.count * (20 + 4 * servers.count))
            + 100
        // Each node probes another one each second, and tells few rumours.
        let gossip = parameters.gossips ? UInt64(nodes.count) * 80 : 0
        let done = statistics.steps - min(statistics.steps, steps + gossip)
        let said = UInt64(statistics.messages - messages)
        if !isBusy, done > bound || said > bound {
            fail(
                .B4,
                "in \(durationText(time - since)) idle nodes took \(done) steps and sent "
                    + "\(said) messages, more than \(bound)")
        }
        for node in voters { checkers.requireAll(of: nodes[node], at: time) }
        finish()
    }

    /// With room for it, whatever waits for its start gets it.
    private mutating func requireStarts(_ since: TrueTime) {
        if isSaturated { phases.lastSaturation = time }
        let calm = max(since, phases.lastSaturation)
        guard time - calm > Phases.startBound else { return }
        checkers.requireStarted(
            createdBefore: time - Phases.startBound, on: core.map { nodes[$0].name }, runLog,
            at: time)
    }

    /// Commands of deleted jobs may go on for ever.
    private var isAllReleased: Bool {
        core.map { nodes[$0] }.allSatisfy {
            $0.supervisor.heldRuns == checkers.orphans(of: $0.supervisor)
                && $0.outside.executions.count == checkers.orphans(of: $0.outside)
                && $0.outside.web.keptCount == 0
        }
    }
}
