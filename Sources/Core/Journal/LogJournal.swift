// The write-ahead log below Raft.

/// What a log journal tells its owner.
package enum LogJournalAction: Hashable, Sendable {
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
    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
    }

    /// Reads what the disk holds. Entries up to `snapshotIndex` are in the snapshot and are not
    /// reported; a log that begins later than the entry after it halts.
    package mutating func recover(
        after snapshotIndex: LogIndex, into requests: inout [StorageRequest]
    ) {
    }

    /// Queues an entry. Its index must follow the last one's.
    package mutating func append(_ entry: LogEntry) {
    }

    /// Queues a new term and vote.
    package mutating func append(_ hardState: HardState) {
    }

    /// Takes back the entries from `index` on.
    package mutating func truncate(from index: LogIndex) {
    }

    /// Makes `index + 1` the next entry's index: a snapshot from elsewhere replaced the log.
    package mutating func restart(after index: LogIndex) {
    }

    /// Asks the disk to write what is queued, unless a write is in flight: then it goes out with
    /// the next.
    package mutating func flush(into requests: inout [StorageRequest]) {
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [LogJournalAction]
    ) {
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { nil }

    /// Marks an idle log. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
    }

    /// Removes the segments that hold nothing above `index`, never the one being written. The
    /// snapshot through `index`, and the history, must be durable.
    package mutating func compact(through index: LogIndex, into requests: inout [StorageRequest]) {
    }

    /// The last index appended or recovered.
    package var lastIndex: LogIndex { 0 }
    /// Bytes in all segments.
    package var byteCount: UInt64 { 0 }
    /// Payload bytes that wait for a flush. The owner keeps this bounded.
    package var queuedBytes: Int { 0 }
    /// No write is queued or in flight.
    package var isIdle: Bool { true }
}
