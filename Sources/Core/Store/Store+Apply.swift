// Applying commands. Everything that must happen exactly once happens here: decisions against the
// cursor, overlap, numbers, retries, children, counters.

extension Store {
    /// Applies one entry of the log and appends what it changed to `events`.
    ///
    /// Deterministic: the same store, command and index give the same store, events and result.
    package mutating func apply(
        _ command: Command, at index: LogIndex, into events: inout [StoreEvent]
    ) -> ApplyResult {
        invariant(index > appliedIndex, "entry \(index) comes after \(appliedIndex)")
        cluster.lastStamp = max(cluster.lastStamp, command.stamp)
        let stamp = cluster.lastStamp
        let isOutdated = isOutdated(command)
        for decision in command.decisions { apply(decision, stamp, &events) }
        let result =
            isOutdated
            ? .rejected(.preconditionFailed) : apply(command.body, at: index, stamp, &events)
        appliedIndex = index
        persistCluster()
        return result
    }

    /// Whether another edit of the same job was applied since this one was computed. Such a command
    /// changes nothing; its proposer computes it again.
    package func isOutdated(_ command: Command) -> Bool {
        guard let basis = command.basis else { return false }
        return EditBasis(job: basis.job, state(basis.job)) != basis
    }

    /// Applies an entry that carries no command (a leader's first entry of a term).
    package mutating func applyNothing(at index: LogIndex) {
        invariant(index > appliedIndex, "entry \(index) comes after \(appliedIndex)")
        appliedIndex = index
    }

    private mutating func apply(
        _ body: Command.Body, at index: LogIndex, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        switch body {
        case .decide: return .applied
        case .bootstrap(let clusterID, let settings, let paused):
            guard cluster.clusterID.isEmpty else { return .applied }
            cluster.clusterID = clusterID
            cluster.settings = settings
            if paused { cluster.pauses.append(PauseInterval(from: stamp, to: nil)) }
            events.append(.clusterChanged)
            return .applied
        case .putJob(let put): return apply(put, at: index, stamp, &events)
        case .deleteJob(let name, let precondition, let kill):
            return delete(name, precondition, kill: kill, &events)
        case .deleteExecutions(let name): return deleteExecutions(of: name, &events)
        case .runNow(let run): return launch(run, stamp, &events)
        case .decideChild(let decision): return apply(decision, stamp, &events)
        case .startRetry(let retry): return apply(retry, stamp, &events)
        case .reports(let reports):
            for report in reports { apply(report, stamp, &events) }
            return .applied
        case .kill(let job, let key): return kill(job, key, stamp, &events)
        case .pause(let editsAllowed): return pause(editsAllowed: editsAllowed, stamp, &events)
        case .unpause: return unpause(stamp, &events)
        case .settings(let settings):
            if settings.defaultTimezone != cluster.settings.defaultTimezone {
                cluster.defaultZoneSince = stamp
            }
            cluster.settings = settings
            events.append(.clusterChanged)
            return .applied
        case .restorePart(let id, let jobs):
            return stage(jobs, restore: id)
        case .restoreCommit(let id, let parts):
            return commitRestore(id, parts: parts, at: index, stamp, &events)
        case .restoreAbandon(let id):
            for key in keys(withPrefix: Key.prefix(.staged, id)) { remove(key) }
            return .applied
        case .raiseLevel(let level): return raise(to: level, &events)
        case .nodes(let nodes, let gone): return remember(nodes, gone: gone, stamp, &events)
        case .drain(let node, let isDrained): return drain(node, isDrained)
        case .rewind(let rewind): return self.rewind(rewind, &events)
        case .succeed(let id): return succeed(id, &events)
        case .processed(let processed): return apply(processed, stamp, &events)
        case .notifying(let channels): return setNotifying(channels)
        case .notified(let news): return apply(news, &events)
        }
    }

    // MARK: Decisions

    private mutating func apply(
        _ decision: JobDecision, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        guard var state = state(decision.job), state.generation == decision.generation,
            state.revision == decision.revision, let document = document(decision.job)
        else { return }
        for var ticks in decision.ticks where ticks.to > cluster.cursor(of: state) {
            // A range of which an earlier entry decided the beginning: the rest must not escape.
            ticks.from = max(ticks.from, cluster.cursor(of: state) + .nanoseconds(1))
            let outcome: Outcome
            switch ticks.verdict {
            case .run where cluster.isPause(at: ticks.from):
                // An edit that was proposed while the pause was on its way did not know of it.
                outcome = .skipped(.paused)
                events.append(.mark(.pausedSkipped))
            case .run(let targets):
                outcome = launch(
                    document, &state, .tick(ticks.from), targets: targets, stamp, &events)
                if stamp - ticks.from > cluster.settings.onTime {
                    events.append(.mark(.lateTickRan))
                }
            case .skip(let reason):
                outcome = .skipped(reason)
                if reason == .noTarget { events.append(.mark(.noTarget)) }
                if reason == .paused { events.append(.mark(.pausedSkipped)) }
            case .miss(let reason):
                outcome = .missed(reason)
                events.append(.mark(reason.mark))
            }
            state.cursor = ticks.to
            events.append(.decided(outcome, tick: ticks.from))
            let row = LedgerRow(
                from: ticks.from, to: ticks.to, outcome: outcome, decidedAt: stamp,
                revision: state.revision)
            // Of equal ones in a row people are told once.
            if record(row, &state) {
                oweNothingRan(row, document, state.generation, stamp, &events)
            }
        }
        put(decision.job, state)
        events.append(.jobChanged(decision.job))
    }

    /// Adds a row for ticks; equal neighbours of one revision become one row.
    /// - Returns: whether it is a row of its own.
    private mutating func record(_ row: LedgerRow, _ state: inout JobState) -> Bool {
        if case .ran = row.outcome {
        } else if let last = lastTickRow(of: state.generation), last.row.outcome == row.outcome,
            last.row.revision == row.revision
        {
            var merged = last.row
            merged.to = row.to
            merged.decidedAt = row.decidedAt
            put(Key.ledger(state.generation, last.place), merged.encoded)
            return false
        }
        add(row, at: LedgerPlace(time: row.from, sequence: 0), &state)
        return true
    }

    /// The newest row, when it is one of ticks: rows of runs without a tick end a neighbourhood.
    private func lastTickRow(of generation: Generation) -> (place: LedgerPlace, row: LedgerRow)? {
        guard let last = ledger(of: generation, limit: 1).first, last.place.sequence == 0 else {
            return nil
        }
        return last
    }

    /// Adds a row for a run without a tick.
    @discardableResult
    mutating func record(
        _ outcome: Outcome, cause: Trigger, _ stamp: WallTime, _ state: inout JobState,
        _ events: inout [StoreEvent]
    ) -> LedgerRow {
        events.append(.decided(outcome, tick: nil))
        let row = LedgerRow(
            from: stamp, to: stamp, outcome: outcome, decidedAt: stamp, revision: state.revision,
            cause: cause)
        add(row, at: LedgerPlace(time: stamp, sequence: nextNumber(stamp)), &state)
        return row
    }

    private mutating func add(
        _ row: LedgerRow, at place: LedgerPlace, _ state: inout JobState
    ) {
        put(Key.ledger(state.generation, place), row.encoded)
        state.ledgerRows += 1
        let oldest = cluster.settings.ageRetention.map { row.decidedAt - $0 } ?? .distantPast
        var removals = Self.retireLimit
        while removals > 0,
            let first = records.first(atOrAfter: ByteKey(Key.prefix(.ledger, state.generation))),
            first.key.bytes.starts(with: Key.prefix(.ledger, state.generation)),
            state.ledgerRows > cluster.settings.ledgerRetention
                || LedgerRow(stored: first.value).decidedAt < oldest
        {
            remove(first.key)
            state.ledgerRows -= 1
            removals -= 1
        }
    }

    // MARK: Launching

    /// A number unique in the cluster that grows with time. A clock at the end of time leaves room
    /// for the numbers that follow.
    mutating func nextNumber(_ stamp: WallTime) -> Int64 {
        cluster.lastNumber = max(
            min(stamp.nanoseconds, .max - (1 << 48)), cluster.lastNumber + 1)
        return cluster.lastNumber
    }

    /// Creates a group, unless the concurrency policy or a lack of targets forbids it.
    mutating func launch(
        _ document: JobDocument, _ state: inout JobState, _ trigger: Trigger, targets: [NodeName],
        _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> Outcome {
        guard !targets.isEmpty else {
            events.append(.mark(.noTarget))
            return .skipped(.noTarget)
        }
        if document.concurrency == .forbid, state.activeGroups > 0 {
            events.append(.mark(.overlapSkipped))
            return .skipped(.overlap)
        }
        var group = Group(
            id: nextNumber(stamp), trigger: trigger, startedAt: stamp, endedAt: nil, state: .active,
            targets: targets.map { Group.Target(node: $0) })
        if document.concurrency == .replace, state.activeGroups > 0 {
            replaceActiveGroups(document, &state, stamp, &events)
            // Those that ended at once (nothing was left of them to end) make room at once.
            if state.activeGroups > 0 {
                group.state = .waiting
                state.waitingGroup = group.id
                events.append(.mark(.replaceWaited))
            }
        }
        state.activeGroups += 1
        state.storedGroups += 1
        markActive(state.generation, group.id, job: document.name)
        if group.state == .active { begin(&group, document, state, stamp, &events) }
        put(state.generation, group)
        if case .request(let id) = trigger {
            var writer = ByteWriter(capacity: 8)
            writer.i64(group.id)
            put(Key.request(state.generation, id), writer.output)
        }
        retire(&state, stamp, &events)
        return .ran(group: group.id)
    }

    /// Creates the first attempt on every target.
    mutating func begin(
        _ group: inout Group, _ document: JobDocument, _ state: JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        for index in group.targets.indices {
            let node = group.targets[index].node
            addAttempt(to: &group, target: index, on: node, document, state, stamp, &events)
        }
    }

    mutating func addAttempt(
        to group: inout Group, target: Int, on node: NodeName, _ document: JobDocument,
        _ state: JobState, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        let number = nextNumber(stamp)
        group.targets[target].node = node
        group.targets[target].attempts.append(number)
        var execution = Execution(
            number: number, node: node, group: group.id,
            attempt: UInt32(group.targets[target].attempts.count), scheduledAt: group.scheduledAt)
        execution.lostAfter = lostAfter(of: document)
        execution.isFenced = isFenced(document)
        put(state.generation, execution)
        events.append(.launch(assignment(of: execution, document, state.generation)))
    }

    /// What an agent is told of an execution.
    package func assignment(
        of execution: Execution, _ document: JobDocument, _ generation: Generation
    ) -> Assignment {
        Assignment(
            key: ExecutionKey(generation: generation, number: execution.number),
            job: document.name, node: execution.node, group: execution.group,
            attempt: execution.attempt, scheduledAt: execution.scheduledAt,
            executor: document.executor, config: document.executorConfig,
            lostAfter: execution.lostAfter ?? lostAfter(of: document),
            isFenced: execution.lostAfter == nil ? isFenced(document) : execution.isFenced)
    }

    private func isFenced(_ document: JobDocument) -> Bool {
        document.fence ?? (document.concurrency != .allow)
    }

    /// For how long the silence of an agent says nothing about a job's executions there.
    private func lostAfter(of document: JobDocument) -> Duration {
        let settings = cluster.settings
        return document.lostAfter
            ?? (isFenced(document) ? settings.lostAfterFenced : settings.lostAfter)
    }

    /// Ends what a new group of a `replace` job replaces: the waiting group at once and unstarted,
    /// waiting retries at once, running executions by their agents.
    private mutating func replaceActiveGroups(
        _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        // The waiting one first: it must not begin when the one before it ends.
        if let waiting = state.waitingGroup, var group = group(state.generation, waiting) {
            state.waitingGroup = nil
            events.append(.mark(.replaceKilledWaiting))
            end(&group, as: .killed, document, &state, stamp, &events)
        }
        for id in activeGroups(of: state.generation) {
            guard var group = group(state.generation, id) else { continue }
            requestEnd(of: &group, document, &state, stamp, &events)
        }
    }

    private mutating func requestEnd(
        of group: inout Group, _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        for index in group.targets.indices {
            let isFinal = cancelRetry(
                of: &group, target: index, document.name, state.generation)
            guard let number = group.targets[index].attempts.last else { continue }
            if isFinal { oweEnd(of: number, document, state.generation, &events) }
            let key = ExecutionKey(generation: state.generation, number: number)
            guard var execution = execution(key),
                !execution.state.isEnded || execution.isProcessing
            else { continue }
            execution.isKillRequested = true
            put(state.generation, execution)
            if !execution.state.isEnded {
                events.append(.killRequested(key, execution.node))
            }
        }
        put(state.generation, group)
        endIfComplete(&group, document, &state, stamp, &events)
        release(&group, document, &state, stamp, &events)
    }

    /// Removes the oldest ended groups beyond the retention. Unfinished groups are never evicted.
    private mutating func retire(
        _ state: inout JobState, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) {
        let oldest = cluster.settings.ageRetention.map { stamp - $0 } ?? .distantPast
        let table = Key.prefix(.group, state.generation)
        var cursor = records.first(atOrAfter: Key.group(state.generation, state.endedFrom))
        var looks = Self.activeLookLimit
        var removals = Self.retireLimit
        while looks > 0, removals > 0, let entry = cursor, entry.key.bytes.starts(with: table) {
            let isTooMany = state.storedGroups > cluster.settings.groupRetention
            // Ids are stamps or more, so the oldest group tells the age of all.
            guard isTooMany || Key.lastNumber(of: entry.key) < oldest.nanoseconds else { return }
            // Active groups may be the oldest: look past them, by their keys alone, and but once.
            let id = Key.lastNumber(of: entry.key)
            if records.contains(Key.active(state.generation, id)) {
                looks -= 1
                state.endedFrom = id
            } else {
                removals -= 1
                forget(Group(stored: entry.value), &state, &events)
            }
            cursor = records.next(after: entry.key)
        }
    }

    /// The most groups, or rows of a ledger, that one step of a job removes.
    private static var retireLimit: Int { 64 }
    /// How many unfinished groups are passed by in the search for ended ones.
    private static var activeLookLimit: Int { 4_096 }

    /// Removes a group, its executions and their outputs.
    mutating func forget(_ group: Group, _ state: inout JobState, _ events: inout [StoreEvent]) {
        for number in group.targets.flatMap(\.attempts) {
            let key = ExecutionKey(generation: state.generation, number: number)
            remove(Key.execution(key))
            forgetOutput(of: key, &events)
        }
        if case .request(let id) = group.trigger { remove(Key.request(state.generation, id)) }
        remove(Key.group(state.generation, group.id))
        state.storedGroups -= 1
    }
}

extension MissReason {
    fileprivate var mark: Mark {
        switch self {
        case .window: .tickMissedWindow
        case .superseded: .tickMissedSuperseded
        case .policy: .tickMissedPolicy
        case .zone: .tickMissedZone
        }
    }
}
