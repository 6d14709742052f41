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
    private static let recordType: UInt8 = 1

    private var log: SegmentedLog
    private var isRewriting = false
    /// What a rewrite left: the next one waits until the journal has doubled, or it would repeat
    /// itself for ever where live records and their frames are all there is.
    private var bytesAfterRewrite: UInt64 = 0

    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
        log = SegmentedLog(
            SegmentedLog.Configuration(
                directory: .runs, owner: .runs, prefix: "runs-", dataID: dataID,
                tunables: tunables))
    }

    package mutating func recover(into requests: inout [StorageRequest]) {
        log.recover(into: &requests)
    }

    /// Queues a record and returns its sequence number, counted from 1 in each incarnation. Key and
    /// payload together stay 32 bytes below the record limit.
    @discardableResult
    package mutating func append(_ record: RunRecord) -> UInt64 {
        invariant(log.isReady || log.isHalted, "a journal is recovered before it is written")
        return log.append(type: Self.recordType, payload: Self.encode(record))
    }

    /// Asks the disk to write what is queued, unless a write is in flight.
    package mutating func flush(into requests: inout [StorageRequest]) {
        log.flush(into: &requests)
    }

    /// Most of a large journal is dead, given the bytes of records that still matter.
    package func wantsRewrite(liveBytes: UInt64) -> Bool {
        log.isReady && !isRewriting && byteCount >= UInt64(log.tunables.rewriteSize)
            && byteCount / 2 >= max(liveBytes, bytesAfterRewrite)
    }

    /// Replaces everything appended so far by `records`, which become durable in one piece: after a
    /// crash there are either the old records or these. What is appended afterwards follows them.
    /// Only one rewrite at a time.
    package mutating func rewrite(
        _ records: [RunRecord], into requests: inout [StorageRequest]
    ) {
        guard !log.isHalted else { return }
        isRewriting = true
        log.replace(
            with: records.map {
                SegmentedLog.Record(type: Self.recordType, payload: Self.encode($0))
            })
        log.flush(into: &requests)
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [RunJournalAction]
    ) {
        var events: [SegmentedLog.Event] = []
        log.handle(result, for: ticket, at: now, into: &requests, events: &events)
        for event in events where !log.isHalted || event.isHalt {
            switch event {
            case .record(let type, let payload):
                if type == Self.recordType, let record = Self.decode(payload) {
                    actions.append(.record(record))
                } else {
                    distrust(type, actions: &actions)
                }
            case .recovered(let tornBytes): actions.append(.recovered(tornBytes: tornBytes))
            case .durable(let sequence): actions.append(.durable(through: sequence))
            case .replaced:
                isRewriting = false
                bytesAfterRewrite = byteCount
                actions.append(.rewritten)
            case .halt(let reason): actions.append(.halt(reason: reason))
            }
        }
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { log.nextDeadline }

    /// Marks an idle journal. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
        log.deadline(at: now, into: &requests)
    }

    /// Bytes in all segments.
    package var byteCount: UInt64 { log.byteCount }
    /// No write is queued or in flight.
    package var isIdle: Bool { log.isIdle }

    private mutating func distrust(_ type: UInt8, actions: inout [RunJournalAction]) {
        var events: [SegmentedLog.Event] = []
        log.halt(
            "The run journal can't be trusted: a record of type \(type) can't be understood."
                + " \(SegmentFault.remedy)", events: &events)
        for case .halt(let reason) in events { actions.append(.halt(reason: reason)) }
    }

    private static func encode(_ record: RunRecord) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + record.key.count + record.payload.count)
        writer.u8(record.kind)
        writer.bytes(record.key)
        writer.raw(record.payload)
        return writer.output
    }

    private static func decode(_ payload: [UInt8]) -> RunRecord? {
        var reader = ByteReader(payload)
        do throws(ByteError) {
            return RunRecord(
                kind: try reader.u8(), key: try reader.bytes(), payload: Array(reader.rest()))
        } catch {
            return nil
        }
    }
}
