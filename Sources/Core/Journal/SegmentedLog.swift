// A log of records in segment files: the mechanism below `LogJournal` and `RunJournal`.
//
// Writing: records queue; at most one append with its sync is in flight, and what queues meanwhile
// goes out with the next. A segment is always made under a temporary name, filled, synced and then
// renamed, so a file with a segment's name has a whole header or is damaged.
//
// Recovery: every byte that some later record knows to be synced must be intact, else the log
// halts. What lies above the highest known-synced offset is never trusted to be on the platter just
// because it can be read: after a crash of the process alone, or after a failed sync, a page cache
// shows bytes that no disk holds, and writing on behind them would leave a hole. So the readable
// part is written anew, under a temporary name like every segment: a short last segment whole, in
// its own place; of a long one only that part, to a new segment whose `base` says from where on the
// old one is superseded. Nothing is ever cut or changed in place, and a crash in the middle of
// recovery changes nothing.

struct SegmentedLog: Sendable {
    struct Configuration: Sendable {
        var directory: StorageDirectory
        var owner: StorageOwner
        /// What a segment's name begins with, before sixteen digits and `.log`.
        var prefix: String
        var dataID: DataID
        var tunables: JournalTunables
        /// The newest record of this type is repeated at the start of each segment, so that older
        /// segments can go.
        var prefaceType: UInt8?
        /// Payloads of this type begin with a 64-bit index, which `remove(through:)` goes by.
        var indexedType: UInt8?
    }

    enum Event: Sendable {
        /// Recovery read this record.
        case record(type: UInt8, payload: [UInt8])
        case recovered(tornBytes: UInt64)
        /// Records through this sequence number survive a crash.
        case durable(through: UInt64)
        /// A replacement asked for by `replace` is in force.
        case replaced
        case halt(String)

        var isHalt: Bool { if case .halt = self { true } else { false } }
    }

    struct Segment: Sendable {
        var number: UInt64
        /// Bytes of the file.
        var length: UInt64
        /// The highest index of its records of the indexed type.
        var highestIndex: UInt64 = 0
        /// Something was written to it after it was made. An unused segment is never followed by
        /// another one, however large its preface.
        var isUsed = false
    }

    struct Record: Sendable {
        var type: UInt8
        var payload: [UInt8]
    }

    enum Phase: Sendable {
        case unopened
        /// In a box of its own: every step asks for the phase, and would copy all of this.
        indirect case recovering(Recovery)
        case ready
        case halted
    }

    enum Purpose: Sendable {
        case list
        case readHeader(Int)
        case readRecords
        case openDirectory
        /// Part of the append and sync in flight.
        case batch
        /// Part of making a segment.
        case creation
        case removal
        /// Makes a removal durable.
        case removed
        /// Temporary files of an earlier incarnation.
        case cleaning
    }

    let configuration: Configuration
    var phase = Phase.unopened
    var tickets: Tickets<Purpose>
    /// Oldest first; the last one is being written.
    var segments: [Segment] = []
    /// Segments with smaller numbers are to be removed.
    var removeBelow: UInt64 = 0
    var isRemoving = false

    var encoder: RecordEncoder
    /// Every record below this logical offset is known to be synced.
    var synced: UInt64 = 0
    var preface: [UInt8]?

    var queue: RingBuffer<Record> = RingBuffer()
    var queuedBytes = 0
    var lastSequence: UInt64 = 0
    /// The sequence number of the last record handed to the disk.
    var writtenSequence: UInt64 = 0
    var durableSequence: UInt64 = 0
    /// Answers still to come for the append and sync in flight.
    var batchAnswers = 0
    var creation: Creation?
    /// Records that take the place of everything, once nothing is in flight.
    var replacement: [Record]?
    /// When an idle log writes a mark.
    var markDue: Instant?

    init(_ configuration: Configuration) {
        self.configuration = configuration
        tickets = Tickets(owner: configuration.owner)
        let header = SegmentHeader(
            kind: configuration.directory, number: 0, base: 0, synced: 0,
            dataID: configuration.dataID)
        encoder = RecordEncoder(seed: header.seed, chain: 0, offset: 0)
    }

    var tunables: JournalTunables { configuration.tunables }
    var isReady: Bool { if case .ready = phase { true } else { false } }
    var isHalted: Bool { if case .halted = phase { true } else { false } }
    var isIdle: Bool { queue.isEmpty && !isWriting && replacement == nil }
    var isWriting: Bool { batchAnswers > 0 || creation != nil }
    var byteCount: UInt64 { segments.reduce(0) { $0 + $1.length } }
    var nextDeadline: Instant? { isReady && isIdle ? markDue : nil }

    // Not inlined, it would be handed a copy of the whole log where it is called in a change.
    @inline(__always)
    func file(_ number: UInt64) -> FileName {
        FileName(
            configuration.directory,
            SegmentName.format(number, prefix: configuration.prefix, suffix: ".log"))
    }

    // MARK: Events

    /// Queues a record and returns its sequence number.
    mutating func append(type: UInt8, payload: [UInt8]) -> UInt64 {
        invariant(payload.count <= tunables.recordLimit, "a record keeps below its limit")
        lastSequence += 1
        // A halted log keeps nothing: nothing more will be written.
        guard !isHalted else { return lastSequence }
        queue.append(Record(type: type, payload: payload))
        queuedBytes += payload.count
        return lastSequence
    }

    /// Replaces everything appended so far.
    mutating func replace(with records: [Record]) {
        invariant(replacement == nil && isReady, "one replacement at a time, after recovery")
        queue.removeAll()
        queuedBytes = 0
        replacement = records
    }

    mutating func flush(into requests: inout [StorageRequest]) {
        guard isReady, !isWriting, let active = segments.last else { return }
        if let records = replacement {
            beginReplacement(records, into: &requests)
        } else if queue.isEmpty {
            return
        } else if active.isUsed, active.length >= UInt64(tunables.segmentSize) {
            beginRotation(into: &requests)
        } else {
            writeBatch(into: &requests)
        }
    }

    mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
        guard let due = nextDeadline, due <= now else { return }
        markDue = nil
        queue.append(Record(type: SegmentRecord.markType, payload: []))
        flush(into: &requests)
    }

    mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], events: inout [Event]
    ) {
        let purpose = tickets.redeem(ticket)
        guard !isHalted else { return }
        if case .failed(let failure) = result {
            // Files to be cleaned away may be gone already.
            if case .cleaning = purpose, failure.reason == .notFound { return }
            return halt(failure.message, events: &events)
        }
        switch purpose {
        case .list, .readHeader, .readRecords, .openDirectory:
            recover(purpose, result, into: &requests, events: &events)
        case .batch:
            batchAnswers -= 1
            if batchAnswers == 0 { batchIsDurable(at: now, into: &requests, events: &events) }
        case .creation:
            advanceCreation(result, into: &requests, events: &events)
        case .removed:
            advanceRemoval(into: &requests)
        case .removal, .cleaning:
            break
        }
    }

    mutating func halt(_ reason: String, events: inout [Event]) {
        phase = .halted
        queue.removeAll()
        queuedBytes = 0
        events.append(.halt(reason))
    }

    // MARK: Group commit

    private mutating func writeBatch(into requests: inout [StorageRequest]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            min(queuedBytes, tunables.batchLimit) + queue.count * SegmentRecord.headerSize)
        let isMark = queue.count == 1 && queue[0].type == SegmentRecord.markType
        while let record = queue.first,
            bytes.isEmpty || bytes.count + record.payload.count <= tunables.batchLimit
        {
            _ = queue.popFirst()
            queuedBytes -= record.payload.count
            encode(record, into: &bytes, segment: segments.count - 1)
            if record.type != SegmentRecord.markType { writtenSequence += 1 }
        }
        let last = segments.count - 1
        let file = file(segments[last].number)
        let offset = segments[last].length
        segments[last].length += UInt64(bytes.count)
        segments[last].isUsed = true
        batchAnswers = 2
        // A mark needs no mark.
        if !isMark { markDue = .distantFuture }
        tickets.ask(.append(file, offset: offset, bytes: bytes), .batch, into: &requests)
        tickets.ask(.sync(file), .batch, into: &requests)
    }

    private mutating func batchIsDurable(
        at now: Instant, into requests: inout [StorageRequest], events: inout [Event]
    ) {
        synced = encoder.offset
        if writtenSequence > durableSequence {
            durableSequence = writtenSequence
            events.append(.durable(through: durableSequence))
        }
        if markDue != nil { markDue = now + tunables.markDelay }
        flush(into: &requests)
    }

    /// Adds a record to bytes that will follow everything written so far.
    mutating func encode(_ record: Record, into bytes: inout [UInt8], segment: Int?) {
        encoder.encode(type: record.type, payload: record.payload, synced: synced, into: &bytes)
        note(record, segment: segment)
    }

    /// Keeps what has to be known about each record, written or recovered.
    mutating func note(_ record: Record, segment: Int?) {
        if record.type == configuration.prefaceType { preface = record.payload }
        if record.type == configuration.indexedType, let segment, record.payload.count >= 8 {
            var reader = ByteReader(record.payload)
            let index = (try? reader.u64()) ?? 0
            segments[segment].highestIndex = max(segments[segment].highestIndex, index)
        }
    }
}
