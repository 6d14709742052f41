// Outputs of executions on disk.

/// Where a chunk of output is.
package enum HistoryPiece: Hashable, Sendable {
    /// Not written yet.
    case memory([UInt8])
    /// Read so many bytes there and give them to `HistoryStore.chunk(in:)`. The file can be gone
    /// (`.notFound`) if `pieces` was asked long before: ask again.
    case file(FileName, offset: UInt64, length: Int)
}

package enum HistoryAction: Hashable, Sendable {
    /// Recovery is over; the store accepts chunks.
    case recovered(HistoryRecovery)
    /// Every chunk of log entries through this index survives a crash.
    case durable(through: LogIndex)
    /// The disk is full: chunks wait in memory, `.durable` is late, and writing is tried again.
    case degraded(StorageFailure)
    /// Writing works again.
    case restored
    /// The history can't be trusted or written. The node must stop.
    case halt(reason: String)
}

package struct HistoryRecovery: Hashable, Sendable {
    /// Keys with at least one chunk.
    package var keys: Int
    /// Bytes at the end of the last segment that were never known to be synced: cut off.
    package var tornBytes: UInt64
}

/// Keeps outputs in append-only segments and an index of them in memory.
///
/// Events: `recover` once; `append` and `remove` as commands are applied; `flush` at the end of each
/// step; `sync` before a snapshot lets log entries go; `handle` for every answer to a ticket of
/// `.history`; `deadline` when `nextDeadline` has come.
package struct HistoryStore: Sendable {
    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
    }

    /// Reads the index. Chunks of log entries above `snapshotIndex` are dropped: those entries are
    /// about to be applied again and bring them back.
    package mutating func recover(
        through snapshotIndex: LogIndex, into requests: inout [StorageRequest]
    ) {
    }

    /// Adds a chunk; the same key and number replaces.
    package mutating func append(
        index: LogIndex, key: ByteKey, chunk: UInt32, bytes: [UInt8]
    ) {
    }

    /// Forgets a key and all its chunks.
    package mutating func remove(_ key: ByteKey) {
    }

    package func contains(_ key: ByteKey) -> Bool { false }

    /// Where the chunks of a key are, in order of their numbers.
    package func pieces(of key: ByteKey) -> [HistoryPiece] { [] }

    /// The content of a chunk as read from a `.file` piece, or nil if the bytes are damaged.
    package static func chunk(in bytes: [UInt8]) -> [UInt8]? { nil }

    /// Removes keys that nobody knows any more: visits up to `limit` keys after `start` (nil: the
    /// first ones), keeps those for which `isLive` says so, and returns where to go on, or nil at
    /// the end.
    package mutating func retain(
        from start: ByteKey?, limit: Int, isLive: (ByteKey) -> Bool
    ) -> ByteKey? {
        nil
    }

    /// Asks the disk to write what is queued, unless a write is in flight.
    package mutating func flush(into requests: inout [StorageRequest]) {
    }

    /// Wants `.durable(through:)` of at least this index.
    package mutating func sync(through index: LogIndex, into requests: inout [StorageRequest]) {
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [HistoryAction]
    ) {
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { nil }

    /// Tries again after a full disk. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
    }

    /// Keys with at least one chunk.
    package var keyCount: Int { 0 }
    /// Bytes of chunks that are indexed.
    package var liveBytes: UInt64 { 0 }
    /// Bytes of all segments.
    package var byteCount: UInt64 { 0 }
    /// Chunk bytes that wait in memory. Bounded by what the owner appends while degraded.
    package var queuedBytes: Int { 0 }
}
