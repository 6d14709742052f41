// Files: recovery at start, what the journals tell, snapshots.

/// What recovery still waits for.
struct RecoveryState {
    var snapshot: SnapshotHead?
    var isLogRecovered = false
    var isRunLogRecovered = false
    var tornBytes: UInt64 = 0
}

/// A snapshot under way.
struct SnapshotState {
    /// The records as they were when it began, less those that are written.
    var slices: RecordSlices?
    var head: SnapshotHead?
    var bytesWritten = 0
    /// Log bytes applied since the last snapshot.
    var logBytes = 0
    /// Outputs of entries through here are safe, of those that were asked for last. A snapshot is
    /// finished only when those through its own index are: a start reads none of the entries below
    /// it again.
    var historyDurable: LogIndex = 0
    /// The size of the last snapshot: a large store is not written again for little.
    var lastSize = 0
    /// Term of the last applied entry.
    var appliedTerm: Term = 0
    /// The last configuration that was applied, encoded; empty while the first one holds.
    var configuration: [UInt8] = []
}

extension Node {
    // MARK: Sub-machines of files

    mutating func withLog(
        _ out: inout Outbox,
        _ body: (inout LogJournal, inout [StorageRequest], inout [LogJournalAction]) -> Void
    ) {
        var requests: [StorageRequest] = []
        var actions: [LogJournalAction] = []
        body(&log, &requests, &actions)
        emit(requests, &out)
        for action in actions where !isHalted { perform(action, &out) }
    }

    mutating func withSnapshots(
        _ out: inout Outbox,
        _ body: (inout SnapshotStore, inout [StorageRequest], inout [SnapshotAction]) -> Void
    ) {
        var requests: [StorageRequest] = []
        var actions: [SnapshotAction] = []
        body(&snapshots, &requests, &actions)
        emit(requests, &out)
        for action in actions where !isHalted { perform(action, &out) }
    }

    mutating func withHistory(
        _ out: inout Outbox,
        _ body: (inout HistoryStore, inout [StorageRequest], inout [HistoryAction]) -> Void
    ) {
        var requests: [StorageRequest] = []
        var actions: [HistoryAction] = []
        body(&history, &requests, &actions)
        emit(requests, &out)
        for action in actions where !isHalted { perform(action, &out) }
        tellDropped(&out)
    }

    mutating func withRunLog(
        _ out: inout Outbox,
        _ body: (inout RunJournal, inout [StorageRequest], inout [RunJournalAction]) -> Void
    ) {
        var requests: [StorageRequest] = []
        var actions: [RunJournalAction] = []
        body(&runLog, &requests, &actions)
        emit(requests, &out)
        for action in actions where !isHalted { perform(action, &out) }
    }

    // MARK: What they tell

    private mutating func perform(_ action: SnapshotAction, _ out: inout Outbox) {
        switch action {
        case .none: snapshotRecovered(nil, &out)
        case .opened: break
        case .slice(let bytes): restore(slice: bytes)
        case .loaded(let head): snapshotRecovered(head, &out)
        case .written(let head):
            if takeOver(head, &out) { return }
            out.mark(.snapshotTaken)
            compactLog(through: head.index, &out)
        case .abandoned(let failure):
            if transfers.receiver.ownsSnapshot {
                return withReceiver(&out) { $0.diskFailed(failure.message, into: &$2) }
            }
            snapshotting.slices = nil
            out.log(
                .warning, "a snapshot was given up and will be tried again: \(failure.message)")
        case .halt(let reason): halt(reason, &out)
        }
    }

    private mutating func perform(_ action: HistoryAction, _ out: inout Outbox) {
        switch action {
        case .recovered(let found):
            recovery.tornBytes += found.tornBytes
            phase = .recovering(.logs)
            let snapshot = recovery.snapshot
            withLog(&out) { log, requests, _ in
                log.recover(
                    after: snapshot?.index ?? 0, term: snapshot?.term, into: &requests)
            }
            withRunLog(&out) { log, requests, _ in log.recover(into: &requests) }
        case .durable(let index):
            snapshotting.historyDurable = index
        case .degraded(let failure):
            out.log(.error, "outputs wait in memory, the disk is full: \(failure.message)")
        case .restored: out.log(.info, "outputs are written again")
        case .dropped:
            out.mark(.outputDropped)
            diskWatch.dropped += 1
        case .unreadable(let reason): out.log(.warning, reason)
        case .halt(let reason): halt(reason, &out)
        }
    }

    private mutating func perform(_ action: LogJournalAction, _ out: inout Outbox) {
        switch action {
        case .founded(let founders): raft.recoverFounders(founders)
        case .entry(let entry): withRaft(&out) { $0.recover(entry, into: &$1) }
        case .truncated(let index): raft.recoverTruncation(from: index)
        case .recovered(let found):
            if found.tornBytes > 0 { out.mark(.tornTailCut) }
            recovery.tornBytes += found.tornBytes
            raft.recovered(found.hardState)
            recovery.isLogRecovered = true
            finishRecovery(&out)
        case .durable(let index, let hardState):
            let now = now
            withRaft(&out) {
                $0.persisted(through: index, hardState, at: now.monotonic, into: &$1)
            }
        case .halt(let reason): halt(reason, &out)
        }
    }

    private mutating func perform(_ action: RunJournalAction, _ out: inout Outbox) {
        switch action {
        case .record(let record):
            do throws(ByteError) {
                try runner.recover(kind: record.kind, key: record.key, payload: record.payload)
            } catch {
                halt("the journal of runs can't be understood: \(error)", &out)
            }
        case .recovered(let torn):
            if torn > 0 { out.mark(.tornTailCut) }
            recovery.tornBytes += torn
            recovery.isRunLogRecovered = true
            finishRecovery(&out)
        case .durable(let sequence):
            let now = now
            withRunner(&out) { $0.durable(through: sequence, at: now, into: &$1) }
        case .rewritten: break
        case .halt(let reason): halt(reason, &out)
        }
    }

    // MARK: Recovery

    /// Begins to read the data directory. An agent has a journal of its runs and nothing else.
    mutating func beginRecovery(_ out: inout Outbox) {
        guard config.isServer else {
            phase = .recovering(.logs)
            recovery.isLogRecovered = true
            return withRunLog(&out) { log, requests, _ in log.recover(into: &requests) }
        }
        withSnapshots(&out) { snapshots, requests, _ in snapshots.recover(into: &requests) }
    }

    private mutating func restore(slice: [UInt8]) {
        do throws(ByteError) { try store.restore(slice: slice) } catch {
            fatalError("invariant broken: a verified slice of a snapshot can't be read: \(error)")
        }
    }

    private mutating func snapshotRecovered(_ head: SnapshotHead?, _ out: inout Outbox) {
        recovery.snapshot = head
        if let head {
            out.mark(.snapshotRestored)
            if let reason = store.refusal(knowing: config.featureLevel) {
                return halt(
                    "the snapshot \(reason); start the version that wrote it, or a newer one", &out)
            }
            store.finishRestoring(at: head.index)
            snapshotting.configuration = head.meta
            raft.restore(
                snapshotIndex: head.index, term: head.term,
                configuration: head.meta.isEmpty
                    ? nil : try? RaftConfiguration(decoding: head.meta))
            snapshotting.appliedTerm = head.term
        }
        phase = .recovering(.history)
        withHistory(&out) { history, requests, _ in
            history.recover(through: head?.index ?? 0, into: &requests)
        }
    }

    private mutating func finishRecovery(_ out: inout Outbox) {
        guard recovery.isLogRecovered, recovery.isRunLogRecovered else { return }
        phase = .running
        beginJoining()
        var fields = [
            LogRecord.Field("jobs", "\(store.counters.jobs)"),
            LogRecord.Field("index", "\(store.appliedIndex)"),
        ]
        if !store.cluster.clusterID.isEmpty {
            let zone = store.cluster.settings.defaultTimezone
            fields.append(LogRecord.Field("default_timezone", zone))
        }
        if recovery.tornBytes > 0 {
            fields.append(LogRecord.Field("torn_bytes", "\(recovery.tornBytes)"))
        }
        out.log(.info, "recovered the data directory", fields)
        watchDisk(&out)
        let now = now
        if config.isServer {
            if raft.isFounded, snapshotting.configuration.isEmpty {
                snapshotting.configuration = raft.configuration.encoded
            }
            belong(to: raft.hardState.cluster, &out)
            belongToCluster(&out)
            beginFounding(&out)
            transfers.retain()
        }
        withRunner(&out) { $0.recovered(at: now, into: &$1) }
    }

    /// A slice of dropping outputs that belong to nothing. The files still have those of executions
    /// that were deleted before the last snapshot, and a start finds them again. What a transfer
    /// brings belongs to a state that is not here yet, so nothing is dropped during one.
    mutating func continueRetaining() {
        guard transfers.isRetaining, !transfers.receiver.isActive else { return }
        let store = store
        let next = history.retain(from: transfers.cursor, limit: 1_000) { key in
            var reader = ByteReader(key.bytes)
            guard let generation = try? reader.u64(), let number = try? reader.i64() else {
                return false
            }
            let place = ExecutionKey(generation: generation, number: number)
            // Those who are still to be told of an execution may outlast it.
            let execution = store.execution(place) ?? store.notice(place)?.execution
            return execution?.historyKey(generation) == key.bytes
        }
        transfers.retained(through: next)
    }

    // MARK: Snapshots

    /// Begins a snapshot when enough was applied since the last, and feeds the one under way. A
    /// server that waits for its runs before it stops takes entries as long as they take.
    mutating func continueSnapshot(_ out: inout Outbox) {
        guard phase == .running || phase == .stopping else { return }
        beginSnapshotIfDue(&out)
        let limit = config.tunables.snapshotSlice
        while snapshots.wantsSlice, snapshotting.slices != nil {
            if let slice = snapshotting.slices?.next(limit: limit) {
                snapshotting.bytesWritten += slice.count
                withSnapshots(&out) { snapshots, requests, _ in
                    snapshots.write(slice: slice, into: &requests)
                }
            } else {
                let index = snapshotting.head?.index ?? 0
                guard snapshotting.historyDurable >= index else { return }
                snapshotting.slices = nil
                snapshotting.lastSize = snapshotting.bytesWritten
                withSnapshots(&out) { snapshots, requests, _ in
                    snapshots.finish(into: &requests)
                }
            }
        }
    }

    private mutating func beginSnapshotIfDue(_ out: inout Outbox) {
        let threshold = max(config.tunables.snapshotBytes, snapshotting.lastSize)
        guard snapshotting.logBytes >= threshold, !snapshots.isWriting,
            store.appliedIndex > (snapshots.newest?.index ?? 0)
        else { return }
        let head = SnapshotHead(
            index: store.appliedIndex, term: snapshotting.appliedTerm,
            meta: snapshotting.configuration)
        snapshotting.head = head
        snapshotting.slices = RecordSlices(of: store)
        snapshotting.bytesWritten = 0
        snapshotting.logBytes = 0
        withSnapshots(&out) { snapshots, requests, _ in snapshots.begin(head, into: &requests) }
        syncHistory(through: head.index, &out)
    }

    /// Outputs of entries through here shall be durable, in whatever order they came.
    mutating func syncHistory(through index: LogIndex, _ out: inout Outbox) {
        // An earlier sync, for a transfer that came to nothing, does not count.
        snapshotting.historyDurable = 0
        withHistory(&out) { history, requests, _ in
            history.sync(through: index, into: &requests)
        }
    }

    mutating func compactLog(through index: LogIndex, _ out: inout Outbox) {
        withLog(&out) { log, requests, _ in log.compact(through: index, into: &requests) }
    }

    /// Writes the agent's journal afresh when most of it is dead.
    mutating func rewriteRunLog(_ out: inout Outbox) {
        guard recovery.isRunLogRecovered, runLog.wantsRewrite(liveBytes: runner.liveBytes) else {
            return
        }
        let records = runner.liveRecords().map {
            RunRecord(kind: $0.kind, key: $0.key, payload: $0.payload)
        }
        withRunLog(&out) { log, requests, _ in log.rewrite(records, into: &requests) }
    }
}
