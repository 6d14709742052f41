// Deciding and carrying out: scheduler, dispatcher, runner and API.

extension Node {
    // MARK: Scheduler

    /// Ticks may be decided now.
    var canDecide: Bool {
        // Asked in each step, where a getter would be handed a copy of the whole node.
        @inline(__always) get {
            phase == .running && isLeading && !raft.isTransferring && scheduler.isComplete
                && !store.cluster.clusterID.isEmpty && !store.cluster.isPaused
                && !clusterTime.isGuarding && store.appliedIndex >= edits.barrier
        }
    }

    mutating func withScheduler(
        _ out: inout Outbox,
        _ body: (inout Scheduler, Store, ZoneTable, inout [Scheduler.Action]) -> Void
    ) {
        var actions: [Scheduler.Action] = []
        body(&scheduler, store, zones, &actions)
        for action in actions { perform(action, &out) }
    }

    private mutating func perform(_ action: Scheduler.Action, _ out: inout Outbox) {
        switch action {
        case .propose(let decisions): propose(decisions, &out)
        case .loadZone(let name):
            if zones.beginLoading(name) { out.emit(.loadZone(name)) }
        case .zoneMissing(let job, let zone, let reason):
            out.log(
                .error, "ticks are not decided: \(reason)",
                [.init("job", job.text), .init("timezone", zone)])
        }
    }

    private mutating func propose(_ decisions: [JobDecision], _ out: inout Outbox) {
        let stamp = stamp
        let limit = min(config.tunables.entryBytes, entryLimit - 64)
        for batch in JobDecision.batches(decisions, limit: limit) {
            append(Command(stamp: stamp, decisions: batch, body: .decide), &out)
        }
    }

    /// Decides what is due, one slice.
    mutating func decideDueTicks(_ out: inout Outbox) {
        guard canDecide, let due = scheduler.nextDue, due <= time else { return }
        let (candidates, awaited) = (candidates, awaitedNodes)
        let time = time
        var random = random
        withScheduler(&out) { scheduler, store, zones, actions in
            _ = scheduler.decide(at: time, store, zones, into: &actions) { tags in
                !awaited.isEmpty && !TargetSelection.matching(tags, awaited).candidates.isEmpty
            } chooseTargets: {
                TargetSelection.choose($0, candidates, using: &random)
            }
        }
        self.random = random
    }

    mutating func readZonesAgain(_ out: inout Outbox) {
        for name in zones.names where zones.beginLoading(name) { out.emit(.loadZone(name)) }
    }

    mutating func zoneLoaded(_ name: String, _ bytes: [UInt8]?, _ out: inout Outbox) {
        zones.loaded(name, bytes)
        withScheduler(&out) { $0.zoneLoaded(name, $1, $2, into: &$3) }
        withAPI(&out) { $0.zoneLoaded(name, $1, into: &$2) }
        proposeHeldEdits(&out)
    }

    /// Work that goes over everything, a slice per step.
    mutating func continueSlices(_ out: inout Outbox) {
        guard isLeading else { return }
        proposeHeldEdits(&out)
        if !scheduler.isComplete {
            withScheduler(&out) { $0.continueRebuild($1, $2, into: &$3) }
            if scheduler.isComplete {
                out.log(.info, "scheduling", [.init("jobs", "\(store.counters.jobs)")])
                proposeHeldEdits(&out)
            }
        }
        if dispatcher.wantsStep {
            let (store, stamp, monotonic) = (store, stamp, now.monotonic)
            withDispatcher(&out) {
                $0.proceed(store, stamp: stamp, at: monotonic, into: &$1)
            }
        }
        continueProcessors(&out)
        continueNotifications(&out)
    }

    // MARK: Dispatcher

    mutating func withDispatcher(
        _ out: inout Outbox, _ body: (inout Dispatcher, inout [Dispatcher.Action]) -> Void
    ) {
        var actions: [Dispatcher.Action] = []
        body(&dispatcher, &actions)
        for action in actions { perform(action, &out) }
    }

    private mutating func perform(_ action: Dispatcher.Action, _ out: inout Outbox) {
        switch action {
        case .send(let node, let message):
            if case .heartbeatHeard(let heartbeat) = message, !raft.isAlone {
                // It renews a lease: only a leader may say it, that is one who still leads now.
                confirmLeadership(for: .heartbeat(node, heartbeat), &out)
            } else {
                deliver(message, to: node, &out)
            }
        case .report(let report): intake.take(report)
        case .retry(let retry): start(retry, &out)
        case .decideChild(let trigger): decideChild(trigger, &out)
        case .mark(let mark): out.mark(mark)
        }
    }

    /// Starts an attempt whose back-off is over, on the same node if it lives, else on another.
    private mutating func start(_ retry: PendingRetry, _ out: inout Outbox) {
        // While stopping it stays in the store, for the next leader.
        guard phase == .running, let group = store.group(retry.generation, retry.group),
            group.targets.indices.contains(retry.target),
            group.targets[retry.target].attempts.last == retry.after,
            group.targets[retry.target].retryDue != nil
        else { return }
        let before = group.targets[retry.target].node
        let isAlive = candidates.contains { $0.name == before }
        let tags = store.document(retry.job)?.tags ?? []
        let others = isAlive ? [] : candidates
        let node = TargetSelection.replacement(
            tags, others, besides: group.targets.map(\.node), using: &random)
        propose(
            .startRetry(
                RetryStart(
                    job: retry.job, generation: retry.generation, group: retry.group,
                    target: retry.target, after: retry.after, node: node ?? before)),
            for: nil, &out)
    }

    mutating func decideChild(_ trigger: ChildTrigger, _ out: inout Outbox) {
        guard phase == .running else { return }
        let tags = store.document(trigger.child)?.tags ?? []
        propose(
            .decideChild(
                ChildDecision(trigger: trigger.number, targets: targets(of: tags))),
            for: nil, &out)
    }

    // MARK: Runner

    mutating func receive(_ message: AgentMessage, _ out: inout Outbox) {
        let now = now
        withRunner(&out) { runner, actions in
            switch message {
            case .run(let assignment, let heartbeat):
                runner.assign(assignment, after: heartbeat, at: now, into: &actions)
                runner.startQueued(at: now, into: &actions)
            case .kill(let key): runner.kill(key, at: now.wall, into: &actions)
            case .settle(let key): runner.settle(key, at: now.monotonic, into: &actions)
            case .heartbeatHeard(let heartbeat):
                runner.heard(heartbeat, at: now, into: &actions)
            case .leave, .farewell: break
            }
        }
        if case .leave = message { take(.leave, &out) }
        if case .farewell = message { heardFarewell(&out) }
    }

    mutating func withRunner(
        _ out: inout Outbox, _ body: (inout Runner, inout [Runner.Action]) -> Void
    ) {
        var actions: [Runner.Action] = []
        body(&runner, &actions)
        for action in actions { perform(action, &out) }
    }

    private mutating func perform(_ action: Runner.Action, _ out: inout Outbox) {
        switch action {
        case .journal(let kind, let key, let payload):
            runLog.append(RunRecord(kind: kind, key: key, payload: payload))
        case .start(let spec):
            watchDisk(&out)
            out.emit(.start(spec))
        case .adopt(let id, let identity): out.emit(.adopt(id, identity))
        case .readSecrets(let id, let names): out.emit(.readSecrets(id, names))
        case .stop(let id): out.emit(.stop(id))
        case .release(let id): out.emit(.release(id))
        case .call(let call):
            watchDisk(&out)
            out.emit(.call(call))
        case .converse(let call):
            watchDisk(&out)
            out.emit(.converse(call))
        case .execute(let call):
            watchDisk(&out)
            out.emit(.execute(call))
        case .hangUp(let id): out.emit(.hangUp(id))
        case .renewFences(let ago): out.emit(.renewFences(ago: ago))
        case .report(let told):
            if case .news(let news) = told, case .ended = news.news { runEnded(news.key, &out) }
            report(told, &out)
        case .log(let record): out.emit(.log(record))
        case .mark(let mark): out.mark(mark)
        }
    }

    /// A report of an agent for the leader.
    mutating func receive(
        _ report: AgentReport, from node: NodeName, _ out: inout Outbox
    ) {
        guard isLeading else { return }
        let monotonic = now.monotonic
        switch report {
        case .accepted(let key): dispatcher.accepted(key)
        case .news(let news):
            // It never heard of what it was told to end, and the one before it may have.
            if news.job.text.isEmpty, !mayOrder(node) { return }
            let execution = news.isOfResult ? store.execution(news.key) : nil
            switch intake.verdict(on: news, of: execution, isFull: isFull) {
            case .passedOver: break
            case .heldBack:
                out.mark(.resultHeldBack)
                if node == config.nodeName { heldBack[news.key] = true }
            case .taken:
                if case .started = news.news { dispatcher.started(news.key) }
                intake.take(news, from: node)
            }
        case .heartbeat(let heartbeat):
            withDispatcher(&out) { $0.heard(heartbeat, from: node, at: monotonic, into: &$1) }
        case .goodbye: heardGoodbye(of: node, &out)
        }
    }

    /// Bytes of outputs that wait for a disk, and on a leader for a majority. What waits for its
    /// own log waits for both.
    private var backlog: Int { history.queuedBytes + max(log.queuedBytes, intake.bytes) }

    /// Whether outputs have to stay with their agents for now. They come in as fast as commands
    /// print and are written twice, so without a bound they would pile up in memory and in a log
    /// that can't be cut before they are safe.
    private var isFull: Bool { backlog > config.tunables.backlogLimit }

    /// A server whose outputs wait for its disk says so by answering the leader later: what it is
    /// sent would pile up in memory, and in a log that can't be cut.
    mutating func restrainLeader(_ out: inout Outbox) {
        let limit = config.tunables.backlogLimit
        let restrains =
            !isLeading && history.queuedBytes > (raft.isRestrained ? limit / 2 : limit)
        guard restrains != raft.isRestrained else { return }
        if restrains { out.mark(.leaderRestrained) }
        withRaft(&out) { $0.restrain(restrains, into: &$1) }
    }

    /// Has results of its own agent told again that were held back, as many as there is room for.
    /// Those of other agents come by themselves.
    mutating func askForHeldBack(_ out: inout Outbox) {
        let room = config.tunables.backlogLimit / 2
        while !isHalted, backlog <= room, let first = heldBack.first {
            heldBack.remove(first.key)
            withRunner(&out) { $0.tellNow(first.key, into: &$1) }
        }
        proposeReports(&out)
    }

    /// Proposes the news that came in, in entries of bounded size. They leave half of the log's
    /// room to requests and wait for each other instead, to share an entry. While leadership is
    /// handed over they wait too: it may yet stay here.
    mutating func proposeReports(_ out: inout Outbox) {
        let limit = max(1, config.tunables.proposalLimit / 2)
        while intake.waitingCount > 0, isLeading, !raft.isTransferring,
            raft.pendingCount - proposals.count < limit
        {
            var batch = intake.nextBatch(limit: config.tunables.entryBytes)
            for index in batch.indices {
                batch[index].jitter = Int16(random.int(in: -200...200))
            }
            propose(.reports(batch), for: nil, &out)
        }
    }

    // MARK: API

    mutating func withAPI(
        _ out: inout Outbox, _ body: (inout API, APIContext, inout [APIAction]) -> Void
    ) {
        for action in actions(of: body) { perform(action, &out) }
    }

    /// Followers of an execution are told that there is something new.
    mutating func outputChanged(_ key: ExecutionKey, _ out: inout Outbox) {
        guard api.isFollowed(key) else { return }
        withAPI(&out) { $0.outputChanged(key, $1, into: &$2) }
    }

    /// The context shares the store's memory; it must be gone before anything is changed.
    private mutating func actions(
        of body: (inout API, APIContext, inout [APIAction]) -> Void
    ) -> [APIAction] {
        var actions: [APIAction] = []
        let (runner, mirrors) = (runner, mirrors.runs)
        var context = APIContext(
            now: now, stamp: stamp, store: store, config: config, role: role, zones: zones,
            members: members, history: history, appliedTerm: snapshotting.appliedTerm,
            liveTail: { runner.liveTail(of: $0) })
        context.mirror = { mirrors[$0] }
        context.configuration = raft.configuration
        context.leaderID = leaderID
        body(&api, context, &actions)
        return actions
    }

    /// It leads, and knows when everything is due.
    var takesRequests: Bool {
        @inline(__always) get {
            isLeading && scheduler.isComplete && !store.cluster.clusterID.isEmpty
        }
    }

    var role: APIContext.Role {
        // As `canDecide`.
        @inline(__always) get {
            if phase == .running, takesRequests { return .leader }
            // Elected and not ready yet, it knows no leader.
            let leader = leaderID == config.dataID ? nil : leaderID
            let name = leader.flatMap { id in members.first { $0.id == id } }?.name
            return Self.role(phase, leader: name, appliedIndex: store.appliedIndex)
        }
    }

    /// Of a node that does not lead.
    private static func role(
        _ phase: Phase, leader: NodeName?, appliedIndex: LogIndex
    ) -> APIContext.Role {
        switch phase {
        case .recovering(.snapshot): .recovering("reading the snapshot")
        case .recovering(.history): .recovering("reading the index of outputs")
        case .recovering(.logs): .recovering("replaying the log, \(appliedIndex) entries so far")
        case .stopping, .exited: .stopping
        case .halted(let reason): .halted(reason)
        case .running: .follower(leader: leader)
        }
    }

    private mutating func perform(_ action: APIAction, _ out: inout Outbox) {
        switch action {
        case .respond(let id, let response):
            respond(id, response, &out)
        case .measure(let id): measure(id, &out)
        case .arrange(let id, let order): arrange(order, for: id, &out)
        case .respondChunk(let id, let bytes, let last):
            respond(id, chunk: bytes, last: last, &out)
        case .propose(let id, let body): propose(body, for: id, &out)
        case .read(let ticket, let operation): out.emit(.store(ticket, operation))
        case .mirror(let key): mirrorOutput(key, &out)
        case .loadZone(let name):
            if zones.beginLoading(name) { out.emit(.loadZone(name)) }
        case .log(let record): out.emit(.log(record))
        case .mark(let mark): out.mark(mark)
        }
    }
}
