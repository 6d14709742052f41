// The way of a change: proposed, committed, applied, and told to those whom it concerns.

/// What waits to be applied, in order.
enum Committed {
    case entry(LogEntry)
    /// The election is over once everything before this is applied.
    case lead(Term)
}

extension Node {
    mutating func withRaft(_ out: inout Outbox, _ body: (inout Raft, inout [Raft.Action]) -> Void) {
        var actions: [Raft.Action] = []
        body(&raft, &actions)
        for action in actions { perform(action, &out) }
        if let leader = raft.leader, leader != config.dataID { hasFollowed = true }
    }

    private mutating func perform(_ action: Raft.Action, _ out: inout Outbox) {
        switch action {
        case .persist(let state): log.append(state)
        case .persistEntry(let entry): log.append(entry)
        case .commit(let entry):
            // What a start reads back was committed, and counted, before.
            if phase != .recovering(.logs) { metrics.committed(entry.index, at: now.monotonic) }
            applyQueue.append(.entry(entry))
        case .lead(let term): applyQueue.append(.lead(term))
        case .truncate(let index): log.truncate(from: index)
        case .resign: resign(&out)
        case .send(let id, let message): send(.raft(message), to: id, &out)
        case .sendSnapshot(let id): withSender(&out) { $0.begin(id, $1, into: &$2) }
        case .readReady(let id, let index): readConfirmed(id, index, &out)
        case .readFailed(let id): readRefused(id, &out)
        }
    }

    /// The most bytes of entries applied in one step, except that one entry always is. A launch
    /// takes about a hundred bytes and some tens of microseconds.
    private static var applyBytes: Int { 16 << 10 }

    /// Applies what is committed, a slice per step; all of it while nobody waits for the node yet.
    mutating func applyCommitted(_ out: inout Outbox) {
        guard !putsDecisionsFirst() else { return }
        var bytes = 0
        let limit = phase == .recovering(.logs) ? Int.max : Self.applyBytes
        while bytes < limit, !isHalted, let next = applyQueue.popFirst() {
            switch next {
            case .entry(let entry):
                bytes += entry.payload.count
                apply(entry, &out)
                checkpoints.applied(store.appliedIndex, store.hash)
            case .lead(let term): takeLead(term, &out)
            }
        }
    }

    /// How long what is committed waits while ticks are being decided. After that both take turns,
    /// so that neither answers nor starts stand still while very many ticks are due.
    static let decisionsFirst = Duration.milliseconds(100)

    /// Whether what is committed waits for ticks that are due to be decided. A decision costs
    /// microseconds, but a start keeps a processor busy for almost a millisecond: those that are
    /// started in between would delay the decisions of the others.
    private mutating func putsDecisionsFirst() -> Bool {
        guard canDecide, let due = scheduler.nextDue, due <= time else {
            decidingSince = nil
            return false
        }
        let since = decidingSince ?? now.monotonic
        decidingSince = since
        return now.monotonic - since < Self.decisionsFirst
    }

    // MARK: Leadership

    mutating func lead(_ term: Term, _ out: inout Outbox) {
        // It may have been lost again before this came up.
        guard raft.isLeading, raft.hardState.term == term else { return }
        out.log(
            .info, "this server leads",
            [.init("term", "\(term)"), .init("node", config.nodeName.text)])
        isLeading = true
        scheduler.forgetProposals()
        scheduler.rebuild()
        readZonesAgain(&out)
        dispatcher.gainLeadership(at: now.monotonic)
        tellLeadership(&out)
        seats.departing = SortedMap()
        seats.silentSince = SortedMap()
        seats.nextLook = now.monotonic
        memory = NodeMemory()
        levelProposed = 0
        notifyingProposed = nil
        sender.gainLeadership()
        rewindIndex = 0
        isStampReported = false
        if store.cluster.clusterID.isEmpty { bootstrap(&out) } else { comeUpPaused(&out) }
        // Whoever sent them was told that nothing was imported, or was not told anything.
        for id in store.stagedRestores { propose(.restoreAbandon(id: id), for: nil, &out) }
        raiseLevel(&out)
        reportStampAhead(&out)
    }

    /// Says once that stamps are far ahead of the time: a clock was wrong when they were made, or
    /// is wrong now.
    mutating func reportStampAhead(_ out: inout Outbox) {
        guard isLeading, !clusterTime.isGuarding else { return }
        let ahead = store.cluster.lastStamp - time
        guard ahead > Rewind.tolerance else { return isStampReported = false }
        guard !isStampReported else { return }
        isStampReported = true
        out.log(
            .warning,
            "the last decision is stamped \(DurationText.print(ahead)) ahead of the time; check "
                + "the servers' clocks: ticks up to that stamp count as decided and do not run. "
                + "If the clocks are right now, 'dkron ledger rewind' makes them due again")
    }

    /// The first to lead since the cluster came up stops the ticks, if it is told to: from the last
    /// decision on, so that nothing is caught up with either. A server that comes back to a cluster
    /// at work does not.
    private mutating func comeUpPaused(_ out: inout Outbox) {
        guard config.startPaused, !hasFollowed, !store.cluster.isPaused else { return }
        let pause = Command.Body.pause(editsAllowed: false)
        let index = append(Command(stamp: store.cluster.lastStamp, body: pause), &out)
        edits.proposed(pause, at: index, changesSchedules: true)
        out.log(.info, "all schedules are paused, as --start-paused asks for")
    }

    private mutating func bootstrap(_ out: inout Outbox) {
        var settings = ClusterSettings()
        settings.defaultTimezone = config.defaultZone
        let first = random.next()
        let second = random.next()
        let clusterID = Hexadecimal.text(of: first) + Hexadecimal.text(of: second)
        propose(
            .bootstrap(clusterID: clusterID, settings: settings, paused: config.startPaused),
            for: nil, &out)
        out.log(
            .info, "bootstrapped a cluster",
            [
                .init("servers", "\(raft.configuration.voters.count)"),
                .init("cluster_id", clusterID), .init("default_timezone", config.defaultZone),
            ])
    }

    /// Says once, as soon as the cluster's settings are known, that an option has no effect:
    /// whoever gave it expects other instants than those at which the jobs run.
    mutating func reportOtherZone(_ out: inout Outbox) {
        guard !isZoneCompared, phase == .running, !store.cluster.clusterID.isEmpty else { return }
        isZoneCompared = true
        let zone = store.cluster.settings.defaultTimezone
        guard config.isZoneGiven, config.defaultZone != zone else { return }
        out.log(
            .warning,
            "default-timezone \(config.defaultZone) has no effect: jobs that name no zone follow "
                + "\(zone), the default zone of this cluster, which was fixed when the cluster was "
                + "made and can't be changed. Give the jobs that are to follow "
                + "\(config.defaultZone) that \"timezone\", and take the option away")
    }

    // MARK: Proposing

    /// Stamps a command, adds what it must carry, and appends it to the log.
    mutating func propose(_ body: Command.Body, for id: ProposalID?, _ out: inout Outbox) {
        guard isLeading, !raft.isTransferring else {
            if let id { fail(id, .noLeader, &out) }
            return
        }
        if let id {
            guard
                raft.pendingCount + heldEdits.count < config.tunables.proposalLimit
                    || body.takesBack
            else {
                out.mark(.requestRefusedBusy)
                return fail(id, .busy, &out)
            }
        }
        guard body.featureLevel <= agreedLevel else {
            invariant(id != nil, "a leader proposes nothing that some server does not know")
            if let id {
                out.mark(.featureAwaited)
                fail(id, .outdatedServers, &out)
            }
            return
        }
        let changesSchedules = changesSchedules(body)
        if changesSchedules, !heldEdits.isEmpty || !knowsTicks(changedBy: body) {
            return heldEdits.append((body, id))
        }
        let complete = completed(body)
        if case .rewind = body {
            proposedStamp = time
            rewindIndex = raft.lastIndex + 1
        }
        let stamp = stamp
        if time < stamp { out.mark(.stampHeldBack) }
        let bare = Command(stamp: stamp, basis: store.basis(of: complete), body: complete)
        let encoded = bare.encoded
        let size = encoded.count
        guard size < entryLimit else {
            invariant(id != nil, "what the node proposes by itself fits an entry")
            if let id { fail(id, .tooLarge, &out) }
            return
        }
        let decisions = decisionsCarried(by: complete, at: stamp)
        if !decisions.isEmpty { out.mark(.editCarriedTicks) }
        // More than one entry holds: the first ones go ahead, under the same stamp and sync.
        let room = min(config.tunables.entryBytes, entryLimit - size)
        var batches = JobDecision.batches(decisions, limit: room)
        let last = batches.popLast() ?? []
        for batch in batches {
            append(Command(stamp: stamp, decisions: batch, body: .decide), &out)
        }
        var command = bare
        command.decisions = last
        let index = append(command, encoded: last.isEmpty ? encoded : nil, &out)
        edits.proposed(body, at: index, changesSchedules: changesSchedules)
        if let id { proposals[index] = id }
    }

    /// Whether the ticks that a change must bring along can be told now. What changes all jobs must
    /// know all: an edit on its way makes ticks that nobody sees yet. An edit of one job is
    /// computed again if another one came before it, and waits for what is on its way for all. A
    /// result is not: it waits for the edits of its job.
    private func knowsTicks(changedBy body: Command.Body) -> Bool {
        guard scheduler.knowsTicks, store.appliedIndex >= edits.barrier else { return false }
        switch body {
        case .restoreCommit, .pause, .settings: return store.appliedIndex >= edits.last
        case .reports(let reports): return !store.hasSuccess(reports, amid: edits)
        case .processed(let processed): return !store.hasSuccess(processed, amid: edits)
        default: return true
        }
    }

    /// Whether ticks due before it must be decided with it.
    private func changesSchedules(_ body: Command.Body) -> Bool {
        switch body {
        case .putJob(let put): store.opensRevision(put.document)
        case .deleteJob, .restoreCommit, .pause, .settings: true
        case .reports(let reports):
            store.hasSuccess(reports, amid: edits) || !store.endedEphemeralJobs(reports).isEmpty
        case .processed(let processed):
            store.hasSuccess(processed, amid: edits) || store.endedEphemeralJob(processed) != nil
        case .decide, .bootstrap, .deleteExecutions, .runNow, .decideChild, .startRetry, .kill,
            .unpause, .restorePart, .restoreAbandon, .raiseLevel, .nodes, .drain, .rewind,
            .succeed, .notifying, .notified:
            false
        }
    }

    mutating func proposeHeldEdits(_ out: inout Outbox) {
        guard let first = heldEdits.first, knowsTicks(changedBy: first.body) else { return }
        let held = heldEdits
        heldEdits = []
        for edit in held { propose(edit.body, for: edit.id, &out) }
    }

    /// Bytes of a command that a record of the log is sure to hold.
    var entryLimit: Int { config.tunables.journal.recordLimit - 1_024 }

    /// Appends a command that fits an entry; only while leading.
    /// - Parameter encoded: the command's bytes, if they are known already.
    @discardableResult
    mutating func append(
        _ command: Command, encoded: [UInt8]? = nil, _ out: inout Outbox
    ) -> LogIndex {
        proposedStamp = max(proposedStamp, command.stamp)
        let payload = encoded ?? command.encoded
        var index: LogIndex?
        withRaft(&out) { index = $0.propose(payload, into: &$1) }
        guard let index else { fatalError("invariant broken: a leader takes every proposal") }
        metrics.proposed(index, at: now.monotonic)
        return index
    }

    mutating func fail(
        _ id: ProposalID, _ failure: ProposalFailure, _ out: inout Outbox
    ) {
        withAPI(&out) { $0.failed(id, failure, $1, into: &$2) }
    }

    /// The decisions of ticks due up to the stamp that a change of schedules must bring along.
    private mutating func decisionsCarried(
        by body: Command.Body, at stamp: WallTime
    ) -> [JobDecision] {
        switch body {
        case .putJob(let put) where store.opensRevision(put.document):
            return decisions(of: put.document.name, at: stamp)
        case .deleteJob(let name, _, _): return decisions(of: name, at: stamp)
        case .reports(let reports):
            return store.endedEphemeralJobs(reports).flatMap { decisions(of: $0, at: stamp) }
        case .processed(let processed):
            return store.endedEphemeralJob(processed).map { decisions(of: $0, at: stamp) } ?? []
        case .pause where !store.cluster.isPaused: return allDecisions(at: stamp)
        case .restoreCommit(let id, _):
            let edited = scheduler.hasJobsWithoutZone ? store.stagedNames(restore: id) : []
            return allDecisions(at: stamp, edited: edited)
        case .settings(let settings)
        where settings.defaultTimezone != store.cluster.settings.defaultTimezone:
            return allDecisions(at: stamp)
        case .decide, .bootstrap, .putJob, .deleteExecutions, .runNow, .decideChild, .startRetry,
            .kill, .pause, .unpause, .settings, .restorePart, .restoreAbandon, .raiseLevel,
            .nodes, .drain, .rewind, .succeed, .notifying, .notified:
            return []
        }
    }

    private mutating func decisions(of name: JobName, at stamp: WallTime) -> [JobDecision] {
        let candidates = candidates
        var random = random
        defer { self.random = random }
        return scheduler.decisionsBeforeEdit(of: name, at: stamp, store, zones) {
            TargetSelection.choose($0, candidates, using: &random)
        }.map { [$0] } ?? []
    }

    private mutating func allDecisions(
        at stamp: WallTime, edited: [JobName] = []
    ) -> [JobDecision] {
        let candidates = candidates
        var random = random
        defer { self.random = random }
        return scheduler.decisionsBeforeEditOfAll(at: stamp, edited: edited, store, zones) {
            TargetSelection.choose($0, candidates, using: &random)
        }
    }

    /// Fills in what only the leader knows: the nodes of runs by hand, the time.
    private mutating func completed(_ body: Command.Body) -> Command.Body {
        switch body {
        case .runNow(var run):
            run.targets = targets(of: store.document(run.job)?.tags ?? [])
            return .runNow(run)
        case .putJob(var put):
            guard put.runOnCreate != nil else { return body }
            put.runOnCreate?.targets = targets(of: put.document.tags)
            return .putJob(put)
        case .rewind(var rewind):
            rewind.time = time
            return .rewind(rewind)
        default: return body
        }
    }

    mutating func targets(of tags: [Setting]) -> [NodeName] {
        TargetSelection.choose(tags, candidates, using: &random)
    }

    // MARK: Applying

    private mutating func apply(_ entry: LogEntry, _ out: inout Outbox) {
        snapshotting.logBytes += entry.payload.count + 32
        snapshotting.appliedTerm = entry.term
        guard entry.kind == Raft.EntryKind.command.rawValue else {
            if entry.kind == Raft.EntryKind.configuration.rawValue {
                snapshotting.configuration = entry.payload
            }
            store.applyNothing(at: entry.index)
            return
        }
        let command: Command
        do throws(ByteError) {
            command = try Command(decoding: entry.payload)
        } catch {
            halt(
                "entry \(entry.index) of the log holds a command that this version does not know "
                    + "(\(error)); start the version that wrote it, or a newer one", &out)
            return
        }
        guard command.body.neededLevel <= config.featureLevel else {
            return halt(
                "entry \(entry.index) of the log is of feature level \(command.body.neededLevel), "
                    + "and this version knows levels up to \(config.featureLevel); start the "
                    + "version that wrote it, or a newer one", &out)
        }
        var events: [StoreEvent] = []
        let isOutdated = store.isOutdated(command)
        edits.applied(command.body, at: entry.index)
        let result = store.apply(command, at: entry.index, into: &events)
        if isLeading, case .reports(let reports) = command.body { intake.applied(reports) }
        for event in events { tell(event, at: entry.index, &out) }
        guard isLeading else { return }
        for decision in command.decisions {
            withScheduler(&out) { $0.decided(decision.job, $1, $2, into: &$3) }
        }
        // Another edit of the job came in between: compute this one again.
        if isOutdated, let id = proposals.remove(entry.index) {
            propose(command.body, for: id, &out)
            return
        }
        if let id = proposals.remove(entry.index) {
            withAPI(&out) { $0.applied(id, result, at: entry.index, $1, into: &$2) }
        }
    }

    /// Tells an event of the store to those whom it concerns. Before this server leads, only the
    /// history listens: the others are built from the store when it does.
    private mutating func tell(
        _ event: StoreEvent, at index: LogIndex, _ out: inout Outbox
    ) {
        switch event {
        case .output(let key, let chunk, let bytes):
            history.append(
                index: index, key: ByteKey(key.historyKey), chunk: chunk, bytes: bytes)
        case .processedOutput(let key, let chunk, let bytes):
            history.append(
                index: index, key: ByteKey(key.processedHistoryKey), chunk: chunk, bytes: bytes)
        case .forgetOutput(let key):
            history.remove(ByteKey(key.historyKey))
            history.remove(ByteKey(key.processedHistoryKey))
        case .clusterChanged: belongToCluster(&out)
        case .mark(let mark): out.mark(mark)
        case .ephemeralEnded:
            out.mark(.ephemeralDeleted)
            if isLeading { tellLeader(event, &out) }
        case .executionEnded(let key, _) where !isLeading: outputChanged(key, &out)
        default:
            if isLeading { tellLeader(event, &out) }
        }
    }

    private mutating func tellLeader(_ event: StoreEvent, _ out: inout Outbox) {
        let now = now
        countAsLeader(event)
        switch event {
        case .jobChanged(let name):
            withScheduler(&out) { $0.jobChanged(name, $1, $2, into: &$3) }
        case .launch(let assignment):
            withDispatcher(&out) { $0.launch(assignment, at: now.monotonic, into: &$1) }
        case .executionEnded(let key, _):
            dispatcher.ended(key)
            outputChanged(key, &out)
        case .groupEnded(let job, let generation, let group):
            withAPI(&out) { $0.groupEnded(job, generation, group, $1, into: &$2) }
        case .killRequested(let key, let node):
            withDispatcher(&out) { $0.killRequested(key, node, into: &$1) }
        case .retryScheduled(let retry):
            // From the report's stamp on, so that a wall clock that jumps shortens no back-off.
            dispatcher.scheduled(
                retry, stamp: store.cluster.lastStamp, at: now.monotonic)
        case .childTriggered(let trigger): decideChild(trigger, &out)
        case .settled(let key):
            // Before the runner forgets how much was printed.
            outputChanged(key, &out)
            let node = intake.settled(key) ?? store.execution(key)?.node ?? config.nodeName
            deliver(.settle(key), to: node, &out)
        case .resultIncomplete(let key): _ = intake.settled(key)
        case .ephemeralEnded(let job, let isDeleted):
            out.log(
                .info, isDeleted ? "job deleted" : "job disabled",
                [.init("job", job.text), .init("reason", "ephemeral, and it has succeeded")])
        case .rewound: scheduler.rebuild()
        case .journalReplaced(let node): dispatcher.journalReplaced(node, at: now.monotonic)
        case .processingEnded(let key): withProcessors(&out) { $0.ended(key, into: &$2) }
        case .noticeOwed(let key):
            if let notice = store.notice(key) {
                withNotifications(&out) { $0.owed(notice, into: &$2) }
            }
        case .noticeSettled(let key, let delivered, let givenUp):
            let channels = delivered.union(givenUp)
            withNotifications(&out) { $0.settled(key, channels, into: &$2) }
        case .clusterChanged, .output, .processedOutput, .forgetOutput, .decided, .started, .mark:
            break
        }
    }
}

extension Command.Body {
    /// Undoes something and must not be lost because much else goes on.
    fileprivate var takesBack: Bool {
        switch self {
        case .restoreAbandon, .unpause: true
        default: false
        }
    }
}
