// All judges of one run, and who hears of what.

import Core

struct Checkers {
    var verdict = Verdict()
    private let parameters: Parameters
    private(set) var view = StoreView()
    private(set) var reference = ReferenceLog()
    /// What was committed, elections and votes.
    private(set) var consensus = RaftJudge()
    private(set) var seats: [Seat]
    private(set) var voters: VoterChecker
    /// How many of these are servers, the first ones.
    private let servers: Int
    private var steps: UInt64 = 0
    /// A forward step of the wall clock that is not to be believed yet.
    private var clockGuard: (since: TrueTime, wall: WallTime)?
    var schedule = ScheduleChecker()
    var executions: ExecutionChecker
    private(set) var api = APIChecker()
    var notifications = NotificationChecker()
    var resources: ResourceChecker
    private var gossip: GossipChecker?
    /// The cluster that nodes belong to.
    private var cluster: String?
    private var backups: BackupChecker
    /// Places of the newest ledger rows seen, to find runs without a tick.
    private var lastRows: [Generation: LedgerPlace] = [:]
    private(set) var marks: UInt64 = 0

    var violation: Violation? { verdict.violation }
    var ticksJudged: Int { schedule.ticksJudged }

    /// The present life of each node.
    private var lives: [Int: UInt64] = [:]

    init(
        parameters: Parameters, servers: Int, nodes: [TargetChecker.Node], samplesReplay: Bool
    ) {
        self.parameters = parameters
        self.servers = servers
        seats = nodes.map { _ in
            Seat(samplesReplay: samplesReplay)
        }
        resources = ResourceChecker(TunableNames.tunables(parameters.tunables))
        backups = BackupChecker(parameters.tunables)
        executions = ExecutionChecker(
            TunableNames.tunables(parameters.tunables),
            targets: TargetChecker(nodes: nodes, isStatic: !parameters.gossips))
        if parameters.gossips {
            gossip = GossipChecker(
                nodes: nodes.map(\.name), forgets: parameters.forgetsAfter != nil)
        }
        let founders = parameters.gossips ? max(1, servers - parameters.lateServers) : servers
        voters = VoterChecker(founders: founders)
    }

    mutating func fail(_ id: InvariantID, _ message: String, at time: TrueTime) {
        verdict.time = time
        verdict.fail(id, message)
    }

    /// There is nobody to agree with.
    private var isAlone: Bool { servers == 1 }

    /// How far a wall clock of this run may be from the truth; nil if any distance.
    private var clockBound: Duration? {
        // Servers tell each other the time in messages that may take half a second there and back.
        let telling = isAlone ? Duration.zero : .milliseconds(260)
        return switch parameters.clockClass {
        case .exact: .milliseconds(1) + telling
        case .bounded, .minority: .seconds(2) + telling
        case .wild: nil
        }
    }

    // MARK: Lives

    mutating func beginLife(
        of node: VirtualNode, _ config: Config, seed: UInt64, now: Now, at time: TrueTime
    ) {
        verdict.time = time
        clockGuard = nil
        seats[node.index].beginLife(node, config, seed: seed, now: now)
        executions.beginLife(of: node, at: time)
        lives[node.index] = node.incarnation
        gossip?.beginLife(of: node.index)
    }

    mutating func endLife(of node: VirtualNode, at time: TrueTime) {
        verdict.time = time
        executions.endLife(of: node, at: time)
        gossip?.endLife(of: node)
        seats[node.index].replay.end(into: &verdict)
    }

    mutating func didHalt(_ node: VirtualNode, reason: String, at time: TrueTime) {
        verdict.time = time
        verdict.require(
            node.mayHalt != nil, .D2, "the node halted on a healthy disk: \(reason)")
    }

    mutating func didLosePower(_ node: VirtualNode, at time: TrueTime) {
        executions.beUncertain(until: time)
    }

    mutating func didDamage(_ node: Int, _ place: String) {
        seats[node].durability.didDamage(place)
    }

    /// A message between servers was lost, repeated or held up.
    mutating func didDisturbNetwork(until time: TrueTime) { executions.beUncertain(until: time) }

    /// - Parameter wall: what the clock showed before.
    mutating func didStepClock(by: Duration, from wall: WallTime, at time: TrueTime) {
        executions.beUncertain(until: time)
        // Steps upon steps are judged by their first.
        // Stamps may have been ahead of the clock already.
        let latest = max(wall, view.cluster.lastStamp)
        clockGuard = isAlone && by > .seconds(60) && clockGuard == nil ? (time, latest) : nil
    }

    /// Until then the disk may take longer than anybody waits for an answer.
    mutating func didSlowDisk(until time: TrueTime) { executions.beUncertain(until: time) }

    /// A node stands still until then.
    mutating func didPause(until time: TrueTime) {
        executions.beUncertain(until: time)
        clockGuard = nil
    }

    /// A forward step of more than a minute must stand for a minute before anything is stamped by
    /// it.
    private mutating func judgeStamp(at time: TrueTime) {
        if let bound = clockBound {
            let ahead = view.cluster.lastStamp - (parameters.epoch + time)
            verdict.require(
                ahead <= bound, .S11,
                "a stamp is \(durationText(ahead)) ahead, though most clocks are not")
        }
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
        seats[node].replay.record(input, isFollowed: isFollowed, now)
        seats[node].durability.willStep(input)
        if case .processed(let run, let outcome) = input {
            executions.processors.ended(run, outcome, on: node, life: lives[node] ?? 0)
        }
        if case .peer(let id, _) = input {
            if World.position(of: id) < servers { seats[node].heardAt[id] = time }
        }
    }

    /// Right after a step, before anything it wants is performed.
    mutating func didEmit(
        _ core: VirtualNode.Core, _ node: Int, _ effects: [Effect], _ log: RunLog,
        at time: TrueTime
    ) {
        verdict.time = time
        consensus.time = time
        seats[node].replay.record(effects)
        resources.judge(effects, &verdict)
        let index = core.node.store.appliedIndex
        verdict.require(
            index >= seats[node].applied, .R5, "applied \(seats[node].applied), then \(index)")
        if core.node.raft.role == .leader {
            seats[node].didPropose(
                through: core.node.raft.lastIndex, in: core.node.raft.hardState.term,
                having: seats[node].applied)
        }
        seats[node].applied = index
        followLog(of: node, log, at: time)
        seats[node].durability.judge(index, core.node.store.hash, reference, into: &verdict)
        watchConsensus(core, node, at: time)
        // The call copies the node, so not after each step.
        steps += 1
        if steps % 64 == 0 { core.node.checkInvariants() }
    }

    /// Compares what a server applied with what is canonical, and takes that on to where the server
    /// is, as far as its platter goes.
    private mutating func followLog(of node: Int, _ log: RunLog, at time: TrueTime) {
        while seats[node].followed < seats[node].applied {
            let index = seats[node].followed + 1
            let canonical = LogIndex(consensus.canonical.count)
            // What is in the snapshot is judged by the hash of the state; the log below it is void
            // if the snapshot came from a leader.
            if index <= seats[node].platter.snapshot, index <= canonical {
                seats[node].followed = index
                continue
            }
            // Otherwise it is not on the platter yet.
            guard let mark = seats[node].platter.mark(at: index) else { return }
            verdict.require(
                index <= canonical + 1, .D2,
                "the log on the platter goes on with \(index) after \(canonical)")
            consensus.committed(mark, at: Int(index))
            guard takeOver() else { return }
            seats[node].followed = index
            if index > canonical { observe(mark, from: node, log, at: time) }
        }
    }

    /// Makes the consensus judge's verdict the run's.
    private mutating func takeOver() -> Bool {
        if let found = consensus.violation { verdict.fail(found.id, found.message) }
        return verdict.violation == nil
    }

    /// An entry that was committed now.
    private mutating func observe(
        _ mark: EntryMark, from node: Int, _ log: RunLog, at time: TrueTime
    ) {
        let payload = seats[node].platter.takePayload(at: mark.index)
        let all = seats.prefix(servers)
        verdict.require(
            voters.isSafe(mark, payload, all), .D1,
            "entry \(mark.index) is committed and on the platter of "
                + "\(all.indices.filter { all[$0].platter.holds(mark) }.map { $0 + 1 }) only")
        guard let command = reference.apply(mark, payload, into: &verdict) else { return }
        let lastStamp = view.cluster.lastStamp
        let changes = view.look(at: reference.store, changed: reference.changedKeys)
        notifications.observe(command, changes, view, reference.store, into: &verdict)
        if case .drain = command.body {
            executions.targets.noticed(drained: view.cluster.drained, at: mark.index)
        }
        // With a full ledger a new row leaves a job's state as it was.
        var isChild = false
        if case .decideChild = command.body { isChild = true }
        if changes.isEmpty, !isChild { return }
        judgeStamp(at: time)
        executions.isRestoring = api.isRestoring
        let proposer = seats.indices.first { seats[$0].proposingTerm == mark.term }
        executions.index = mark.index
        executions.basis = proposer.flatMap { seats[$0].basis(of: mark.index) }
        schedule.observe(changes, view, reference.store, after: lastStamp, into: &verdict)
        executions.observe(changes, view, log, at: time, into: &verdict)
        api.observe(changes, view, into: &verdict)
        observeRows(changes, ofAll: isChild)
    }

    /// Elections, and leaders that are alone.
    private mutating func watchConsensus(
        _ core: VirtualNode.Core, _ node: Int, at time: TrueTime
    ) {
        guard core.node.raft.role == .leader else {
            seats[node].voters = nil
            return seats[node].lead = nil
        }
        if gossip != nil {
            let voters = core.node.raft.configuration.voters
            seats[node].voters = voters
            self.voters.leads(voters)
        }
        let term = core.node.raft.hardState.term
        if seats[node].lead?.term != term {
            seats[node].lead = (term, time)
            if !isAlone { executions.epoch += 1 }
            consensus.leads(core.node.raft)
        }
        if !isAlone {
            let patience = core.node.raft.tunables.electionMaximum * 2 + .milliseconds(500)
            let others = (seats[node].voters ?? voters.committed).filter {
                $0 != seats[node].identity
            }
            let since = seats[node].aloneSince(
                others.map { seats[node].heardAt[$0] ?? .zero }, for: patience, at: time)
            consensus.watch(core.node.raft, aloneSince: since, slack: .milliseconds(500))
        }
        _ = takeOver()
    }

    private mutating func observeRows(_ changes: StoreChanges, ofAll: Bool) {
        defer { for sight in changes.removed { lastRows[sight.state.generation] = nil } }
        if changes.ledgers.isEmpty { return }
        // The ticks that an edit carries come before it.
        var rulings = (ofAll ? view.jobs : changes.created).map { (before: $0, after: $0) }
        if !ofAll { rulings += changes.changed }
        for (before, sight) in rulings
        where changes.ledgers.contains(sight.state.generation) {
            let generation = sight.state.generation
            let last = lastRows[generation]
            for (place, row) in StoreView.rows(of: generation, after: last, in: reference.store)
            where last.map({ place > $0 }) ?? true {
                executions.observeRow(row, of: sight, into: &verdict)
                notifications.observeRow(row, of: before, view)
                lastRows[generation] = place
            }
        }
    }

    mutating func willPerform(
        _ effect: Effect, _ node: VirtualNode, _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        let behind = seats[node.index].behind
        seats[node.index].durability.willPerform(effect, node, behind: behind, into: &verdict)
        switch effect {
        case .send(let id, let bytes): judge(bytes, from: node, to: id, at: time)
        case .start(let spec):
            let job = spec.command.environment.last { $0.name == "DKRON_JOB_NAME" }?.value ?? ""
            executions.willStart(spec.execution, of: job, timeout: spec.timeout, into: &verdict)
        case .call(let call):
            let job = call.exchange.openHeaders["Dkron-Job-Name"] ?? ""
            executions.willStart(call.execution, of: job, timeout: call.timeout, into: &verdict)
        case .converse(let call):
            let job = call.identity.last { $0.name == "DKRON_JOB_NAME" }?.value ?? ""
            executions.willStart(call.execution, of: job, timeout: call.timeout, into: &verdict)
        case .execute(let call):
            executions.willStart(
                call.execution, of: call.job.text, timeout: call.timeout, into: &verdict)
        case .process(let run) where NotificationSender.owns(run.id):
            let isCurrent = seats[node.index].followed == seats[node.index].applied
            notifications.willSend(
                run, view, reference.store, isCurrent: isCurrent, into: &verdict)
        case .process(let run):
            executions.processors.willProcess(
                run, on: node.index, life: node.incarnation,
                term: node.core?.node.raft.hardState.term ?? 0, into: &verdict)
        case .abandonProcessor(let run):
            executions.processors.ended(
                run, .failed("given up"), on: node.index, life: node.incarnation)
        case .release(let id): executions.willRelease(id, into: &verdict)
        default: break
        }
    }

    /// A message to another server, against what the sender's platter holds.
    private mutating func judge(
        _ bytes: [UInt8], from node: VirtualNode, to id: ServerID, at time: TrueTime
    ) {
        guard let message = try? PeerMessage(decoding: bytes) else {
            return verdict.fail(.B3, "\(node.name) sends what nobody can read")
        }
        guard case .raft(let message) = message else { return }
        consensus.time = time
        consensus.sends(
            message, from: node.identity, to: id,
            state: seats[node.index].platter.state,
            lastIndex: seats[node.index].platter.lastIndex)
        _ = takeOver()
    }

    mutating func didPerform(
        _ ticket: StorageTicket, _ operation: StorageOperation, _ result: StorageResult,
        _ node: VirtualNode, at time: TrueTime
    ) {
        seats[node.index].durability.didPerform(ticket, operation, result)
        backups.didPerform(operation, result)
        guard case .done = result else { return }
        switch operation {
        case .sync(let file) where file.directory == .log:
            seats[node.index].platter.refresh(node.disk, file)
        case .syncDirectory(.log): seats[node.index].platter.refresh(node.disk)
        case .syncDirectory(.snapshots): seats[node.index].platter.refreshSnapshot(node.disk)
        default: break
        }
    }

    mutating func didStep(
        _ node: VirtualNode, among nodes: [VirtualNode], at time: TrueTime
    ) {
        verdict.time = time
        resources.didStep(node, at: time, &verdict)
        gossip?.didStep(node, among: nodes, into: &verdict)
    }

    mutating func didRun(_ log: RunLog, at time: TrueTime) {
        verdict.time = time
        executions.observe(
            log, clockBound: clockBound, epoch: parameters.epoch, into: &verdict)
    }

    // MARK: Gossip

    mutating func didSendPacket(_ bytes: Int, _ node: VirtualNode, at time: TrueTime) {
        verdict.time = time
        verdict.require(
            bytes <= GossipChecker.packetBytes, .B3,
            "\(node.name) sends a packet of \(bytes) bytes")
    }

    mutating func didBelong(_ node: VirtualNode, to cluster: String, at time: TrueTime) {
        verdict.time = time
        verdict.require(
            self.cluster ?? cluster == cluster, .R12,
            "\(node.name) belongs to the cluster \(cluster), and others to \(self.cluster ?? "")")
        self.cluster = cluster
    }

    mutating func didReplace(_ node: VirtualNode, at time: TrueTime) {
        executions.didReplace(node.name, at: time)
        let former = seats[node.index]
        if node.index < servers { voters.didReplace(former.identity, former.platter) }
    }

    // MARK: Clients

    mutating func didArrive(_ operation: Operation, _ index: Int) {
        api.didArrive(operation, index)
        let path = operation.target.split(separator: "/")
        if path.count == 6, path[5] == "lost" { executions.didGiveUp(String(path[4])) }
    }

    mutating func didTakeBackup(_ body: [UInt8], at index: LogIndex) {
        guard let hash = reference.hash(at: index) else {
            return verdict.fail(.D5, "a backup is of index \(index), which was not committed")
        }
        backups.judge(body, hash: hash, into: &verdict)
    }

    mutating func didCastOut(_ servers: [String]) { executions.outcasts = Set(servers) }

    mutating func didReportLowDisk() { executions.diskWasLow = true }

    /// The least index at which a request that arrives now may be answered.
    func floor(of operation: Operation, at node: Int) -> LogIndex {
        isAlone || !operation.isLocal ? api.newestAnswerIndex : seats[node].newestLocal
    }

    mutating func didAnswer(
        _ operation: Operation, _ reply: Reply, by node: Int, arrivedAfter floor: LogIndex,
        at time: TrueTime
    ) {
        verdict.time = time
        if let index = reply.index, (200..<300).contains(reply.status) {
            verdict.require(
                index <= LogIndex(consensus.canonical.count), .D1,
                "an answer tells of index \(index), which was not committed")
            if isAlone {
                seats[node].durability.didRecover(index: index, into: &verdict)
                seats[node].durability.didAnswer(reply, into: &verdict)
            }
            if operation.isLocal { seats[node].newestLocal = max(seats[node].newestLocal, index) }
        }
        api.didAnswer(operation, reply, arrivedAfter: floor, into: &verdict)
        api.judgeAcknowledgement(operation, reply, view, into: &verdict)
    }

    mutating func didAnswerReader(
        _ operation: Operation, _ reply: Reply, _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        OutputReadChecker.judge(
            operation, reply, log, isProcessed: { executions.processed.contains($0) },
            isSuccess: { executions.known[$0]?.state == .success }, into: &verdict)
    }

    mutating func didConclude(_ operation: Operation, _ index: Int, at time: TrueTime) {
        verdict.time = time
        api.didConclude(operation, index)
    }
}
