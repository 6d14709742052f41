// All judges of one run, and who hears of what.

import Core

struct Checkers {
    private var verdict = Verdict()
    private let parameters: Parameters
    private(set) var view = StoreView()
    private var reference = ReferenceLog()
    /// The index that the node has applied.
    private var nodeIndex: LogIndex = 0
    private var steps: UInt64 = 0
    /// A forward step of the wall clock that is not to be believed yet.
    private var clockGuard: (since: TrueTime, wall: WallTime)?
    private(set) var schedule = ScheduleChecker()
    private(set) var executions: ExecutionChecker
    private(set) var durability = DurabilityChecker()
    private(set) var api = APIChecker()
    private var replay: ReplayChecker
    private var resources: ResourceChecker
    private var backups: BackupChecker
    /// Places of the newest ledger rows seen, to find runs without a tick.
    private var lastRows: [Generation: LedgerPlace] = [:]
    private(set) var marks: UInt64 = 0

    var violation: Violation? { verdict.violation }
    var ticksJudged: Int { schedule.ticksJudged }

    init(parameters: Parameters, samplesReplay: Bool) {
        self.parameters = parameters
        replay = ReplayChecker(isOn: samplesReplay)
        resources = ResourceChecker(TunableNames.tunables(parameters.tunables))
        backups = BackupChecker(parameters.tunables)
        executions = ExecutionChecker(
            outputLimit: TunableNames.tunables(parameters.tunables).outputLimit)
    }

    mutating func fail(_ id: InvariantID, _ message: String, at time: TrueTime) {
        verdict.time = time
        verdict.fail(id, message)
    }

    /// How far a wall clock of this run may be from the truth; nil if any distance.
    private var clockBound: Duration? {
        switch parameters.clockClass {
        case .exact: .milliseconds(1)
        case .bounded: .seconds(2)
        case .wild: nil
        }
    }

    // MARK: Lives

    mutating func beginLife(
        of disk: Disk, _ life: UInt64, _ config: Config, seed: UInt64, now: Now, at time: TrueTime
    ) {
        verdict.time = time
        clockGuard = nil
        reference.beginLife(disk)
        durability.beginLife()
        api.beginLife()
        executions.life = life
        replay.begin(config, seed: seed, now: now)
    }

    mutating func endLife(of node: VirtualNode, at time: TrueTime) {
        verdict.time = time
        executions.beUncertain(until: time)
        replay.end(into: &verdict)
    }

    mutating func didHalt(_ node: VirtualNode, reason: String, at time: TrueTime) {
        verdict.time = time
        verdict.require(
            node.mayHalt != nil, .D2, "the node halted on a healthy disk: \(reason)")
    }

    mutating func didLosePower(_ node: VirtualNode, at time: TrueTime) {
        executions.beUncertain(until: time)
    }

    mutating func didDamage(_ node: Int, _ place: String) { durability.didDamage(place) }

    /// - Parameter wall: what the clock showed before.
    mutating func didStepClock(by: Duration, from wall: WallTime, at time: TrueTime) {
        executions.beUncertain(until: time)
        // Steps upon steps are judged by their first.
        // Stamps may have been ahead of the clock already.
        let latest = max(wall, view.cluster.lastStamp)
        clockGuard = by > .seconds(60) && clockGuard == nil ? (time, latest) : nil
    }

    /// Until then the disk may take longer than anybody waits for an answer.
    mutating func didSlowDisk(until time: TrueTime) { executions.beUncertain(until: time) }

    mutating func didPause(at time: TrueTime) {
        executions.beUncertain(until: time)
        clockGuard = nil
    }

    /// A forward step of more than a minute must stand for a minute before anything is stamped by
    /// it.
    private mutating func judgeStamp(at time: TrueTime) {
        guard let clockGuard, time - clockGuard.since < .seconds(59) else { return }
        let latest = clockGuard.wall + (time - clockGuard.since) + .seconds(61)
        verdict.require(
            view.cluster.lastStamp <= latest, .S8,
            "a stamp follows a step of the clock that has stood for "
                + durationText(time - clockGuard.since))
    }

    mutating func didLoseSupervisor(at time: TrueTime) { executions.beUncertain(until: time) }

    // MARK: Steps

    mutating func willStep(
        _ node: Int, _ input: Input, isFollowed: Bool, now: Now, at time: TrueTime
    ) {
        verdict.time = time
        replay.record(input, isFollowed: isFollowed, now)
        durability.willStep(input)
    }

    /// Right after a step, before anything it wants is performed.
    mutating func didEmit(
        _ core: VirtualNode.Core, _ effects: [Effect], _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        replay.record(effects)
        resources.judge(effects, &verdict)
        nodeIndex = core.node.store.appliedIndex
        followLog(upTo: nodeIndex, log, at: time)
        durability.judge(
            core.node.store.appliedIndex, core.node.store.hash, reference, into: &verdict)
        // The call copies the node, so not after each step.
        steps += 1
        if steps % 64 == 0 { core.node.checkInvariants() }
    }

    /// Takes the reference on to where the node is, as far as the platter goes.
    private mutating func followLog(upTo index: LogIndex, _ log: RunLog, at time: TrueTime) {
        while true {
            let (applied, command) = reference.applyNext(upTo: index, into: &verdict)
            guard applied else { return }
            guard let command else { continue }
            let changes = view.look(at: reference.store, changed: reference.changedKeys)
            // With a full ledger a new row leaves a job's state as it was.
            var isChild = false
            if case .decideChild = command.body { isChild = true }
            if changes.isEmpty, !isChild { continue }
            judgeStamp(at: time)
            executions.isRestoring = api.isRestoring
            schedule.observe(changes, view, reference.store, into: &verdict)
            executions.observe(changes, view, log, at: time, into: &verdict)
            api.observe(changes, view, into: &verdict)
            observeRows(changes, ofAll: isChild)
        }
    }

    private mutating func observeRows(_ changes: StoreChanges, ofAll: Bool) {
        let sights = ofAll ? view.jobs : changes.created + changes.changed.map(\.after)
        for sight in sights where changes.ledgers.contains(sight.state.generation) {
            let generation = sight.state.generation
            let last = lastRows[generation]
            for (place, row) in StoreView.rows(of: generation, after: last, in: reference.store)
            where last.map({ place > $0 }) ?? true {
                executions.observeRow(row, of: sight, into: &verdict)
                lastRows[generation] = place
            }
        }
        for sight in changes.removed { lastRows[sight.state.generation] = nil }
    }

    mutating func willPerform(
        _ effect: Effect, _ node: VirtualNode, _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        durability.willPerform(
            effect, node, behind: nodeIndex - min(nodeIndex, reference.store.appliedIndex),
            into: &verdict)
        switch effect {
        case .start(let spec):
            let job = spec.command.environment.last { $0.name == "DKRON_JOB_NAME" }?.value ?? ""
            executions.willStart(spec.execution, of: job, timeout: spec.timeout, into: &verdict)
        case .call(let call):
            let job = call.exchange.openHeaders["Dkron-Job-Name"] ?? ""
            executions.willStart(call.execution, of: job, timeout: call.timeout, into: &verdict)
        case .release(let id): executions.willRelease(id, into: &verdict)
        default: break
        }
    }

    mutating func didPerform(
        _ ticket: StorageTicket, _ operation: StorageOperation, _ result: StorageResult,
        _ node: VirtualNode, at time: TrueTime
    ) {
        durability.didPerform(ticket, operation, result)
        backups.didPerform(operation, result)
        guard case .done = result else { return }
        switch operation {
        case .sync(let file) where file.directory == .log: reference.refresh(node.disk, file)
        case .syncDirectory(.log): reference.refresh(node.disk)
        default: break
        }
    }

    mutating func didStep(
        _ node: VirtualNode, _ input: Input?, _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        resources.didStep(node, at: time, &verdict)
    }

    mutating func didRun(_ log: RunLog, at time: TrueTime) {
        verdict.time = time
        executions.observe(
            log, clockBound: clockBound, epoch: parameters.epoch, into: &verdict)
    }

    // MARK: Clients

    mutating func didArrive(_ operation: Operation, _ index: Int) {
        api.didArrive(operation, index)
        let path = operation.target.split(separator: "/")
        if path.count == 6, path[5] == "lost" { executions.didGiveUp(String(path[4])) }
    }

    /// The hash of the state that clients see now.
    var referenceHash: RecordHash { reference.store.hash }

    mutating func didTakeBackup(_ body: [UInt8], hash: RecordHash) {
        backups.judge(body, hash: hash, into: &verdict)
    }

    mutating func didReportLowDisk() { executions.diskWasLow = true }

    /// The newest index that clients have seen in this life.
    var newestAnswerIndex: LogIndex { api.newestAnswerIndex }

    mutating func didAnswer(
        _ operation: Operation, _ reply: Reply, arrivedAfter floor: LogIndex, at time: TrueTime
    ) {
        verdict.time = time
        if (200..<300).contains(reply.status), let index = reply.index {
            durability.didRecover(index: index, into: &verdict)
        }
        durability.didAnswer(reply, into: &verdict)
        api.didAnswer(operation, reply, arrivedAfter: floor, into: &verdict)
        api.judgeAcknowledgement(operation, reply, view, into: &verdict)
    }

    mutating func didConclude(_ operation: Operation, _ index: Int, at time: TrueTime) {
        verdict.time = time
        api.didConclude(operation, index)
    }

    // MARK: Liveness

    mutating func becomeCalm(bound: Duration?) { schedule.calmBound = bound }

    mutating func zonesMayBeAbsent() { schedule.zonesMayBeAbsent = true }

    func hasActiveGroup(of job: String) -> Bool {
        view.groups.values.contains { $0.job.text == job }
    }

    mutating func requireTotality(now: WallTime, bound: Duration, at time: TrueTime) {
        verdict.time = time
        schedule.requireTotality(view, now: now, bound: bound, into: &verdict)
    }

    mutating func requireAllEnded(_ node: VirtualNode, _ log: RunLog, at time: TrueTime) {
        verdict.time = time
        executions.requireAllEnded(view, into: &verdict)
        resources.requireNothingOpen(
            node, orphans: orphans(of: node.supervisor), orphanCalls: orphans(of: node.web),
            &verdict)
    }

    mutating func requireStarted(createdBefore bound: TrueTime, at time: TrueTime) {
        verdict.time = time
        executions.requireStarted(view, createdBefore: bound, into: &verdict)
    }

    /// How many commands run of jobs that are gone: nobody waits for them.
    func orphans(of supervisor: Supervisor) -> Int {
        supervisor.runningExecutions.count { executions.isOrphan($0) }
    }

    func orphans(of web: Web) -> Int { web.executions.count { executions.isOrphan($0) } }
}
