// Two questions, two modes. In the safety phase anything may fail and nothing bad may happen. Then
// faults end for good, and the good things must happen in bounded time; at last everything stops,
// and the records are compared with what really happened.

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
    }

    let horizon: Duration
    var stage = Stage.safety
    var excuse: String?
    /// When the node last had as much to do at once as it may.
    var lastSaturation = TrueTime.zero

    static let settleBound = Duration.minutes(20)
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
        }
        let pace: Duration
        if case .draining = phases.stage { pace = .seconds(5) } else { pace = .seconds(1) }
        queue.push(.phase, at: time + pace, lane: Lane.plan)
    }

    /// From here on the machines are healthy for good.
    private mutating func beginLiveness() {
        trace.note(time, "phase", "faults are over")
        faultsAreOver = true
        zoneFolder.absent.removeAll()
        for node in nodes.indices {
            nodes[node].disk.faults = DiskFaults()
            nodes[node].pausedUntil = time
            nodes[node].busyUntil = min(nodes[node].busyUntil, time)
            nodes[node].mayHalt = nil
            nodes[node].restartAfter = min(nodes[node].restartAfter, .seconds(1))
            steadyClock(node)
            if nodes[node].isRunning {
                if !nodes[node].heldWeb.isEmpty { wakeWeb(node, at: time) }
                offer(.control(.reload(tags: nil)), to: node, life: nodes[node].incarnation)
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

    /// The clock stops jumping. It goes on from the latest time it ever showed to the node: stamps
    /// never decrease, so a clock set back would make every job wait for the old reading.
    private mutating func steadyClock(_ node: Int) {
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
        guard nodes[0].isRunning else {
            return fail(.L2, "the node does not come back: \(nodes[0].life)")
        }
        submit(Plan.Draft(method: "POST", target: "/v1/unpause"), client: 0, isProbe: true)
        let body =
            #"{"name":"\#(Phases.probeJob)","schedule":"@every 2s","executor":"shell","#
            + #""executor_config":{"command":"sim run=100ms"}}"#
        let operation = submit(
            Plan.Draft(method: "POST", target: "/v1/jobs", body: body), client: 0, isProbe: true)
        phases.stage = .probing(since: time, operation: operation)
    }

    private mutating func probe(_ since: TrueTime, _ operation: Int) {
        guard operations[operation].isDone else {
            if time - since > Phases.fireBound { fail(.L3, "the probe's creation is not answered") }
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
        if runLog.runs.contains(where: { $0.job == Phases.probeJob }) {
            phases.stage = .quiet(since: time)
        } else if isSaturated, checkers.hasActiveGroup(of: Phases.probeJob) {
            // Launched in time; its turn comes when others end.
            phases.stage = .quiet(since: time)
        } else if time - since > Phases.fireBound {
            fail(.L9, "a new job does not fire")
        }
    }

    /// As many commands run as the node may run at once, or as many requests as it may have
    /// connections.
    private var isSaturated: Bool {
        let running = nodes[0].supervisor.runningCount + nodes[0].web.executions.count
        return running >= configuration(of: 0).tunables.maxRunning || nodes[0].web.waitingCount > 0
    }

    private mutating func stayQuiet(_ since: TrueTime) {
        // One decision of a job waits for the one before it to be on the disk.
        let disk = parameters.stallOneIn > 0 ? Duration.seconds(30) : parameters.meanSync * 40
        guard time - since >= Phases.quietLength + disk else {
            return checkers.becomeCalm(bound: .seconds(1) + disk)
        }
        checkers.becomeCalm(bound: nil)
        checkers.requireTotality(
            now: nodes[0].clock.wall(at: time), bound: .seconds(5) + disk, at: time)
        let operation = submit(
            Plan.Draft(method: "POST", target: "/v1/pause"), client: 0, isProbe: true)
        phases.stage = .pausing(operation: operation)
    }

    private mutating func awaitPause(_ operation: Int) {
        guard operations[operation].isDone else { return }
        if !operations[operation].isAcknowledged {
            return fail(.L3, "the pause is not acknowledged")
        }
        phases.stage = .draining(since: time, lastKill: time)
    }

    private mutating func drain(_ since: TrueTime, _ lastKill: TrueTime) {
        let open = checkers.view.groups.count
        if open == 0, clientsAreIdle, isAllReleased, time - since > .seconds(30) {
            checkers.requireAllEnded(nodes[0], runLog, at: time)
            trace.note(time, "phase", "drained")
            return finish()
        }
        if time - since > Phases.drainBound {
            checkers.requireAllEnded(nodes[0], runLog, at: time)
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

    /// With room for it, whatever waits for its start gets it.
    private mutating func requireStarts(_ since: TrueTime) {
        if isSaturated { phases.lastSaturation = time }
        let calm = max(since, phases.lastSaturation)
        guard time - calm > Phases.startBound else { return }
        checkers.requireStarted(createdBefore: time - Phases.startBound, at: time)
    }

    /// Commands of deleted jobs may go on for ever.
    private var isAllReleased: Bool {
        nodes.allSatisfy {
            $0.supervisor.heldRuns == checkers.orphans(of: $0.supervisor)
                && $0.web.executions.count == checkers.orphans(of: $0.web)
                && $0.web.keptCount == 0
        }
    }
}
