// Snapshots of the replicated state on disk.

/// What a snapshot says about itself.
package struct SnapshotHead: Hashable, Sendable {
    /// The last log entry whose effects it holds.
    package var index: LogIndex
    /// That entry's term.
    package var term: Term
    /// Whatever the owner wants to know before the first slice.
    package var meta: [UInt8]

    package init(index: LogIndex, term: Term, meta: [UInt8]) {
        self.index = index
        self.term = term
        self.meta = meta
    }
}

package enum SnapshotAction: Hashable, Sendable {
    /// Recovery found no snapshot.
    case none
    /// Recovery reads this snapshot; its slices follow in order.
    case opened(SnapshotHead)
    case slice([UInt8])
    /// Every slice has been handed over and the whole verified.
    case loaded(SnapshotHead)
    /// A new snapshot survives a crash from now on; older ones are being removed.
    case written(SnapshotHead)
    /// The snapshot being written was given up and its file removed; nothing is lost, try later.
    case abandoned(StorageFailure)
    /// The snapshots can't be trusted. The node must stop.
    case halt(reason: String)
}

/// Writes one snapshot at a time in slices, and reads the newest one at start.
///
/// Events: `recover` once; `begin`, then `write` whenever `wantsSlice`, then `finish`; `handle` for
/// every answer to a ticket of `.snapshots`.
package struct SnapshotStore: Sendable {
    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
    }

    /// Reads the newest snapshot: `.opened`, `.slice`…, `.loaded`; or `.none`.
    package mutating func recover(into requests: inout [StorageRequest]) {
    }

    /// Starts a snapshot. None may be under way, and its index is above the newest one's.
    package mutating func begin(_ head: SnapshotHead, into requests: inout [StorageRequest]) {
    }

    /// The next slice may be written: a snapshot is under way and no append is in flight.
    package var wantsSlice: Bool { false }

    /// Adds 1 … `recordLimit` bytes. Only when `wantsSlice`.
    package mutating func write(slice: [UInt8], into requests: inout [StorageRequest]) {
    }

    /// Ends the snapshot; `.written` or `.abandoned` follows. Only when `wantsSlice`.
    package mutating func finish(into requests: inout [StorageRequest]) {
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket,
        into requests: inout [StorageRequest], actions: inout [SnapshotAction]
    ) {
    }

    /// A snapshot is being written; `begin` must wait.
    package var isWriting: Bool { false }
    /// The newest snapshot that survives a crash.
    package var newest: SnapshotHead? { nil }
}
