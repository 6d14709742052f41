// What an agent must not forget: runs accepted, results not confirmed yet.

package struct RunRecord: Hashable, Sendable {
    /// What the payload is; the journal stores it and does not look at it.
    package var kind: UInt8
    package var key: [UInt8]
    package var payload: [UInt8]

    package init(kind: UInt8, key: [UInt8], payload: [UInt8]) {
        self.kind = kind
        self.key = key
        self.payload = payload
    }
}

package enum RunJournalAction: Hashable, Sendable {
    /// Recovery read this record; they come in the order in which they were appended.
    case record(RunRecord)
    /// Recovery is over; the journal accepts records. The bytes were cut off the end, never known
    /// to be synced.
    case recovered(tornBytes: UInt64)
    /// The records through this sequence number survive a crash.
    case durable(through: UInt64)
    /// The rewrite is durable; only its records and later ones are left.
    case rewritten
    /// The journal can't be trusted or written. Nothing more will be written; the node must stop.
    case halt(reason: String)
}

/// A small log of records for the agent, written like `LogJournal`.
package struct RunJournal: Sendable {
    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
    }

    package mutating func recover(into requests: inout [StorageRequest]) {
    }

    /// Queues a record and returns its sequence number, counted from 1 in each incarnation.
    @discardableResult
    package mutating func append(_ record: RunRecord) -> UInt64 { 0 }

    /// Asks the disk to write what is queued, unless a write is in flight.
    package mutating func flush(into requests: inout [StorageRequest]) {
    }

    /// Most of a large journal is dead, given the bytes of records that still matter.
    package func wantsRewrite(liveBytes: UInt64) -> Bool { false }

    /// Replaces everything appended so far by `records`. What is appended afterwards follows them.
    package mutating func rewrite(
        _ records: [RunRecord], into requests: inout [StorageRequest]
    ) {
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [RunJournalAction]
    ) {
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { nil }

    /// Marks an idle journal. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
    }

    /// Bytes in all segments.
    package var byteCount: UInt64 { 0 }
    /// No write is queued or in flight.
    package var isIdle: Bool { true }
}
