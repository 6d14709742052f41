/// What becomes of a job while it runs: small, rewritten at every tick and every result.
package struct JobState: Hashable, Sendable {
    /// The log index at which the job was created.
    package var generation: Generation
    /// Grows with every change of what decides the ticks.
    package var revision: UInt64 = 1
    /// Counts changes of what the user can set; printed and compared as the ETag.
    package var version: UInt64 = 1
    /// The last decided tick, or the stamp of the edit that opened this revision. Ticks after it
    /// are undecided.
    package var cursor: WallTime
    /// Where `@every` counts from, cut to the second.
    package var everyAnchor: WallTime
    package var successCount: Int64 = 0
    package var errorCount: Int64 = 0
    package var lastSuccess: WallTime?
    package var lastError: WallTime?
    package var status = JobStatus.none
    /// Groups that have not ended, the waiting one included.
    package var activeGroups: UInt32 = 0
    /// Stored groups, ended or not.
    package var storedGroups: UInt32 = 0
    /// No group with a smaller id has ended: where the search for groups to remove begins.
    package var endedFrom: GroupID = 0
    /// Stored rows of the ledger.
    package var ledgerRows: UInt32 = 0
    /// The group that waits for its predecessors under `replace`.
    package var waitingGroup: GroupID?
    /// Jobs whose parent this is, in order of attachment.
    package var children: [JobName] = []

    init(generation: Generation, stamp: WallTime) {
        self.generation = generation
        cursor = stamp
        everyAnchor = WallTime(seconds: stamp.seconds)
    }
}

package enum JobStatus: UInt8, Sendable {
    case none, success, failed, partiallyFailed

    package var text: String {
        switch self {
        case .none: ""
        case .success: "success"
        case .failed: "failed"
        case .partiallyFailed: "partially_failed"
        }
    }
}

extension JobState: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.varint(generation)
        writer.varint(revision)
        writer.varint(version)
        writer.time(cursor)
        writer.time(everyAnchor)
        writer.i64(successCount)
        writer.i64(errorCount)
        writer.optionalTime(lastSuccess)
        writer.optionalTime(lastError)
        writer.u8(status.rawValue)
        writer.varint(UInt64(activeGroups))
        writer.varint(UInt64(storedGroups))
        writer.i64(endedFrom)
        writer.varint(UInt64(ledgerRows))
        writer.optional(waitingGroup) { $0.i64($1) }
        writer.array(children) { $0.string($1.text) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a job's state")
        generation = try reader.varint()
        revision = try reader.varint()
        version = try reader.varint()
        cursor = try reader.time()
        everyAnchor = try reader.time()
        successCount = try reader.i64()
        errorCount = try reader.i64()
        lastSuccess = try reader.optionalTime()
        lastError = try reader.optionalTime()
        status = try reader.choice("a job status")
        activeGroups = UInt32(truncatingIfNeeded: try reader.varint())
        storedGroups = UInt32(truncatingIfNeeded: try reader.varint())
        endedFrom = try reader.i64()
        ledgerRows = UInt32(truncatingIfNeeded: try reader.varint())
        waitingGroup = try reader.optional { reader throws(ByteError) in try reader.i64() }
        children = try reader.array { reader throws(ByteError) in JobName(try reader.string()) }
    }
}
