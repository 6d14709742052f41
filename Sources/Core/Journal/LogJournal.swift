// The write-ahead log below Raft.

/// What a log journal tells its owner.
package enum LogJournalAction: Hashable, Sendable {
    /// Recovery read who founds the cluster; comes before the entries that were written after it.
    case founded([DataID])
    /// Recovery read this entry; they come in order of their index.
    case entry(LogEntry)
    /// Recovery found that the entries from this index on were taken back later.
    case truncated(from: LogIndex)
    /// Recovery is over; the journal accepts records.
    case recovered(LogRecovery)
    /// Everything asked for up to here survives a crash: the entries of the *present* log through
    /// this index (entries taken back meanwhile do not count) and this term and vote.
    case durable(through: LogIndex, hardState: HardState)
    /// The log can't be trusted or written. Nothing more will be written; the node must stop.
    case halt(reason: String)
}

/// What recovery found.
package struct LogRecovery: Hashable, Sendable {
    package var hardState: HardState
    /// The last index of the log; the snapshot's index if there is no later entry.
    package var lastIndex: LogIndex
    /// Bytes at the end that were never known to be synced and could not be read: cut off.
    package var tornBytes: UInt64
}

/// Writes Raft's entries, term and vote ahead of everything that relies on them.
///
/// Events: `recover` once, then `append`, `truncate`, `compact` as needed, `flush` at the end of
/// each step, `handle` for every answer to a ticket of `.journal`, `deadline` when `nextDeadline`
/// has come.
package struct LogJournal: Sendable {
    private enum Change {
        case entry(LogIndex)
        case hardState(HardState)
        case truncate(from: LogIndex)
        case restart(after: LogIndex)
    }

    private var log: SegmentedLog
    /// What was appended and is not durable yet.
    private var pending: RingBuffer<(sequence: UInt64, change: Change)> = RingBuffer()
    private var durableIndex: LogIndex = 0
    private var durableHardState = HardState()

    private var snapshotIndex: LogIndex = 0
    private var snapshotTerm: Term?
    /// What recovery reads now follows another entry than the snapshot's last: a snapshot from
    /// elsewhere became durable and the crash came before the log began anew.
    private var isSuperseded = false
    /// The first and last entry that recovery knows of; nil before it has met one.
    private var recoveredFirst: LogIndex?
    private var recoveredLast: LogIndex?

    /// The last index appended or recovered.
    package private(set) var lastIndex: LogIndex = 0

    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
        log = SegmentedLog(
            SegmentedLog.Configuration(
                directory: .log, owner: .journal, prefix: "", dataID: dataID, tunables: tunables,
                prefaceType: LogJournalRecord.hardStateType, indexedType: LogJournalRecord.entryType
            ))
    }

    /// Reads what the disk holds. Entries up to `snapshotIndex` are in the snapshot and are not
    /// reported; a log that begins later than the entry after it halts.
    /// - Parameter term: of the snapshot's last entry. Entries that follow one of another term in
    ///   its place are void, for the snapshot came from elsewhere; nil believes them.
    package mutating func recover(
        after snapshotIndex: LogIndex, term: Term? = nil, into requests: inout [StorageRequest]
    ) {
        self.snapshotIndex = snapshotIndex
        snapshotTerm = term
        log.recover(into: &requests)
    }

    /// Queues an entry. Its index must follow the last one's, and its payload stay 32 bytes below
    /// the record limit.
    package mutating func append(_ entry: LogEntry) {
        invariant(log.isReady || log.isHalted, "a log is recovered before it is written")
        invariant(entry.index == lastIndex + 1, "log entries have no gap")
        lastIndex = entry.index
        write(.entry(entry), .entry(entry.index))
    }

    /// Queues a new term and vote.
    package mutating func append(_ hardState: HardState) {
        write(.hardState(hardState), .hardState(hardState))
    }

    /// Takes back the entries from `index` on.
    package mutating func truncate(from index: LogIndex) {
        invariant(index > 0 && index <= lastIndex + 1, "only entries that exist are taken back")
        lastIndex = index - 1
        write(.truncate(from: index), .truncate(from: index))
    }

    /// Makes `index + 1` the next entry's index: a snapshot from elsewhere, durable by now,
    /// replaced the log.
    package mutating func restart(after index: LogIndex) {
        lastIndex = index
        write(.restart(after: index), .restart(after: index))
    }

    private mutating func write(_ record: LogJournalRecord, _ change: Change) {
        let sequence = log.append(type: record.type, payload: record.payload)
        if !log.isHalted { pending.append((sequence, change)) }
    }

    /// Asks the disk to write what is queued, unless a write is in flight: then it goes out with
    /// the next.
    package mutating func flush(into requests: inout [StorageRequest]) {
        log.flush(into: &requests)
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [LogJournalAction]
    ) {
        var events: [SegmentedLog.Event] = []
        log.handle(result, for: ticket, at: now, into: &requests, events: &events)
        for event in events where !log.isHalted || event.isHalt {
            switch event {
            case .record(let type, let payload): recover(type, payload, actions: &actions)
            case .recovered(let tornBytes):
                finishRecovery(tornBytes, into: &requests, actions: &actions)
            case .durable(let sequence):
                becomeDurable(through: sequence, into: &requests, actions: &actions)
            case .replaced: break
            case .halt(let reason): actions.append(.halt(reason: reason))
            }
        }
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { log.nextDeadline }

    /// Marks an idle log. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
        log.deadline(at: now, into: &requests)
    }

    /// Removes the segments that hold nothing above `index`, never the one being written. The
    /// snapshot through `index`, and the history, must be durable.
    package mutating func compact(through index: LogIndex, into requests: inout [StorageRequest]) {
        log.remove(through: index, into: &requests)
    }

    /// Bytes in all segments.
    package var byteCount: UInt64 { log.byteCount }
    /// Payload bytes that wait for a flush. The owner keeps this bounded.
    package var queuedBytes: Int { log.queuedBytes }
    /// No write is queued or in flight.
    package var isIdle: Bool { log.isIdle }

    // MARK: Durability

    private mutating func becomeDurable(
        through sequence: UInt64, into requests: inout [StorageRequest],
        actions: inout [LogJournalAction]
    ) {
        var restarted: LogIndex?
        while let first = pending.first, first.sequence <= sequence {
            switch first.change {
            case .entry(let index): durableIndex = index
            case .hardState(let hardState): durableHardState = hardState
            case .truncate(let index): durableIndex = min(durableIndex, index - 1)
            case .restart(let index):
                durableIndex = index
                restarted = index
            }
            _ = pending.popFirst()
        }
        // Entries taken back while they were being written are not entries of the present log: a
        // follower that counted them would acknowledge what its log no longer holds.
        var reported = durableIndex
        for (_, change) in pending {
            switch change {
            case .truncate(let index): reported = min(reported, index - 1)
            // The snapshot has everything through there, and of what follows nothing is durable.
            case .restart(let index): reported = index
            case .entry, .hardState: break
            }
        }
        actions.append(.durable(through: reported, hardState: durableHardState))
        // Not before: without the record, what goes may be all that tells the rest void.
        if let restarted { compact(through: restarted, into: &requests) }
    }

    // MARK: Recovery

    private mutating func recover(
        _ type: UInt8, _ payload: [UInt8], actions: inout [LogJournalAction]
    ) {
        guard let record = LogJournalRecord(type: type, payload: payload) else {
            return distrust("a record of type \(type) can't be understood", actions: &actions)
        }
        switch record {
        case .hardState(let hardState):
            if let founders = hardState.founders, founders != durableHardState.founders {
                actions.append(.founded(founders))
            }
            durableHardState = hardState
        case .entry(let entry):
            guard entry.index > 0, recoveredLast.map({ entry.index == $0 + 1 }) ?? true else {
                return distrust("entry \(entry.index) is out of place", actions: &actions)
            }
            recoveredFirst = recoveredFirst ?? entry.index
            recoveredLast = entry.index
            if entry.index == snapshotIndex, let snapshotTerm {
                isSuperseded = entry.term != snapshotTerm
            }
            if entry.index > snapshotIndex, !isSuperseded { actions.append(.entry(entry)) }
        case .truncate(let index):
            guard index > 0, recoveredLast.map({ index <= $0 + 1 }) ?? true else {
                return distrust("a truncation from \(index) is out of place", actions: &actions)
            }
            recoveredFirst = min(recoveredFirst ?? index, index)
            recoveredLast = index - 1
            guard !isSuperseded else {
                isSuperseded = index > snapshotIndex
                return
            }
            actions.append(.truncated(from: max(index, snapshotIndex + 1)))
        case .restart(let index):
            if let last = recoveredLast, last > snapshotIndex, !isSuperseded {
                actions.append(.truncated(from: snapshotIndex + 1))
            }
            isSuperseded = false
            recoveredFirst = index + 1
            recoveredLast = index
        }
    }

    private mutating func finishRecovery(
        _ tornBytes: UInt64, into requests: inout [StorageRequest],
        actions: inout [LogJournalAction]
    ) {
        if let first = recoveredFirst, first > snapshotIndex + 1 {
            return distrust(
                "it begins with entry \(first), but the newest snapshot ends with entry"
                    + " \(snapshotIndex)", actions: &actions)
        }
        let last = isSuperseded ? 0 : recoveredLast ?? 0
        lastIndex = max(last, snapshotIndex)
        durableIndex = lastIndex
        // A crash came between a snapshot from elsewhere and the restart of the log.
        if last < snapshotIndex { restart(after: snapshotIndex) }
        actions.append(
            .recovered(
                LogRecovery(
                    hardState: durableHardState, lastIndex: lastIndex, tornBytes: tornBytes)))
        log.flush(into: &requests)
    }

    /// What was read is whole, but makes no sense: a bug, or a person who moved files.
    private mutating func distrust(_ what: String, actions: inout [LogJournalAction]) {
        var events: [SegmentedLog.Event] = []
        log.halt("The log can't be trusted: \(what). \(SegmentFault.remedy)", events: &events)
        for case .halt(let reason) in events { actions.append(.halt(reason: reason)) }
    }
}
