// How segments come and go.

extension SegmentedLog {
    /// A segment being made under a temporary name.
    struct Creation: Sendable {
        enum Content: Sendable {
            case nothing
            /// Bytes of an older segment, from `position` up to `end` in its file.
            case copy(FileName, position: UInt64, end: UInt64)
            /// The preface, where it could not come first.
            case preface
            /// Records, from the given one on.
            case records([Record], from: Int)
        }

        enum Stage: Sendable {
            case filling
            case syncing
            case naming
        }

        /// What happens once the segment has its name.
        enum Outcome: Sendable {
            case rotated
            case replaced(through: UInt64)
            case recovered(tornBytes: UInt64)
        }

        var number: UInt64
        var length: UInt64
        var content: Content
        var outcome: Outcome
        var highestIndex: UInt64 = 0
        var stage = Stage.filling
        var answers = 2
    }

    /// The segment after the present ones.
    var nextNumber: UInt64 { (segments.last?.number ?? 0) + 1 }

    func temporaryFile(_ number: UInt64) -> FileName {
        FileName(
            configuration.directory,
            SegmentName.format(number, prefix: configuration.prefix, suffix: ".tmp"))
    }

    /// Goes on in a new segment, which begins with the preface.
    mutating func beginRotation(
        outcome: Creation.Outcome = .rotated, into requests: inout [StorageRequest]
    ) {
        var bytes = header(base: encoder, contentSize: prefaceSize).encoded()
        encodePreface(into: &bytes)
        beginSegment(bytes, content: .nothing, outcome: outcome, into: &requests)
    }

    /// Goes on in a new segment that makes all older ones void.
    mutating func beginReplacement(
        _ records: [Record], into requests: inout [StorageRequest]
    ) {
        let size = records.reduce(0) { $0 + SegmentRecord.headerSize + $1.payload.count }
        var header = header(base: encoder, contentSize: size)
        header.flags |= SegmentHeader.freshFlag
        replacement = nil
        writtenSequence = lastSequence - UInt64(queue.count)
        beginSegment(
            header.encoded(), content: .records(records, from: 0),
            outcome: .replaced(through: writtenSequence), into: &requests)
    }

    /// Writes what recovery could read of the last segment to the platter once more: a short
    /// segment whole, in place of itself; of a long one what lies above the proven end, to a new
    /// segment.
    mutating func beginRescue(
        above proven: RecordScanner.Boundary, _ end: RecordScanner.Boundary,
        of old: SegmentHeader, _ tornBytes: UInt64, into requests: inout [StorageRequest]
    ) {
        let name = file(old.number)
        let endPosition = UInt64(SegmentHeader.size) + (end.offset - old.base)
        encoder.offset = end.offset
        encoder.chain = end.chain
        if endPosition <= UInt64(tunables.renewalLimit) {
            var renewed = old
            renewed.synced = end.offset
            beginSegment(
                renewed.encoded(), number: old.number,
                content: .copy(
                    name, position: UInt64(SegmentHeader.size), end: endPosition),
                outcome: .recovered(tornBytes: tornBytes), into: &requests)
        } else {
            let size = end.offset - proven.offset
            let base = RecordEncoder(
                seed: encoder.seed, chain: proven.chain, offset: proven.offset)
            beginSegment(
                header(base: base, contentSize: Int(size) + prefaceSize).encoded(),
                content: .copy(name, position: endPosition - size, end: endPosition),
                outcome: .recovered(tornBytes: tornBytes), into: &requests)
        }
        creation?.highestIndex = segments.last?.highestIndex ?? 0
    }

    /// The header of the next segment. All its content is synced before it gets its name.
    private func header(base: RecordEncoder, contentSize: Int) -> SegmentHeader {
        SegmentHeader(
            kind: configuration.directory, number: nextNumber, base: base.offset,
            synced: base.offset + UInt64(contentSize), dataID: configuration.dataID,
            chain: base.chain)
    }

    private var prefaceSize: Int { preface.map { SegmentRecord.headerSize + $0.count } ?? 0 }

    private mutating func encodePreface(into bytes: inout [UInt8]) {
        guard let preface, let type = configuration.prefaceType else { return }
        encode(Record(type: type, payload: preface), into: &bytes, segment: nil)
    }

    private mutating func beginSegment(
        _ bytes: [UInt8], number: UInt64? = nil, content: Creation.Content,
        outcome: Creation.Outcome, into requests: inout [StorageRequest]
    ) {
        let number = number ?? nextNumber
        creation = Creation(
            number: number, length: UInt64(bytes.count), content: content, outcome: outcome)
        let file = temporaryFile(number)
        tickets.ask(.create(file), .creation, into: &requests)
        tickets.ask(.append(file, offset: 0, bytes: bytes), .creation, into: &requests)
    }

    /// An operation of the segment being made has been done.
    mutating func advanceCreation(
        _ result: StorageResult, into requests: inout [StorageRequest], events: inout [Event]
    ) {
        guard var made = creation else { fatalError("invariant broken: no segment is made") }
        if case .bytes(let bytes) = result {
            guard case .copy(let source, let position, let end) = made.content,
                !bytes.isEmpty, UInt64(bytes.count) <= end - position
            else {
                let name = SegmentFault.path(temporaryFile(made.number))
                return halt(
                    "\(name): its source changed while it was copied; does another process write to"
                        + " this data directory?", events: &events)
            }
            made.content = .copy(source, position: position + UInt64(bytes.count), end: end)
            creation = made
            return fillCreation(with: bytes, into: &requests)
        }
        made.answers -= 1
        creation = made
        guard made.answers == 0 else { return }
        switch made.stage {
        case .filling: fillCreation(into: &requests)
        case .syncing:
            creation?.stage = .naming
            creation?.answers = 2
            let name = temporaryFile(made.number)
            tickets.ask(.rename(name, to: file(made.number)), .creation, into: &requests)
            tickets.ask(.syncDirectory(configuration.directory), .creation, into: &requests)
        case .naming:
            creation = nil
            finishCreation(made, into: &requests, events: &events)
        }
    }

    /// Asks for the next piece of content, or for the sync when there is none.
    private mutating func fillCreation(into requests: inout [StorageRequest]) {
        guard let made = creation else { return }
        switch made.content {
        case .copy(let source, let position, let end) where position < end:
            let length = Int(min(end - position, UInt64(tunables.readChunk)))
            creation?.answers = 1
            tickets.ask(
                .read(source, offset: position, length: length), .creation, into: &requests)
        case .copy where made.number == nextNumber:
            creation?.content = .preface
            fillCreation(into: &requests)
        case .preface:
            creation?.content = .nothing
            var bytes: [UInt8] = []
            encodePreface(into: &bytes)
            fillCreation(with: bytes, into: &requests)
        case .records(let records, let start) where start < records.count:
            var bytes: [UInt8] = []
            var next = start
            while next < records.count,
                bytes.isEmpty
                    || bytes.count + records[next].payload.count <= tunables.batchLimit
            {
                encode(records[next], into: &bytes, segment: nil)
                next += 1
            }
            creation?.content = .records(records, from: next)
            fillCreation(with: bytes, into: &requests)
        case .nothing, .copy, .records:
            creation?.stage = .syncing
            creation?.answers = 1
            tickets.ask(.sync(temporaryFile(made.number)), .creation, into: &requests)
        }
    }

    private mutating func fillCreation(
        with bytes: [UInt8], into requests: inout [StorageRequest]
    ) {
        guard let made = creation else { return }
        guard !bytes.isEmpty else { return fillCreation(into: &requests) }
        creation?.answers = 1
        creation?.length += UInt64(bytes.count)
        let file = temporaryFile(made.number)
        tickets.ask(.append(file, offset: made.length, bytes: bytes), .creation, into: &requests)
    }

    private mutating func finishCreation(
        _ made: Creation, into requests: inout [StorageRequest], events: inout [Event]
    ) {
        if segments.last?.number == made.number { segments.removeLast() }
        segments.append(
            Segment(
                number: made.number, length: made.length, highestIndex: made.highestIndex))
        synced = encoder.offset
        switch made.outcome {
        case .rotated: break
        case .replaced(let sequence):
            removeBelow = made.number
            if sequence > durableSequence { events.append(.durable(through: sequence)) }
            durableSequence = sequence
            events.append(.replaced)
        case .recovered(let tornBytes):
            phase = .ready
            events.append(.recovered(tornBytes: tornBytes))
        }
        removeNext(into: &requests)
        flush(into: &requests)
    }

    // MARK: Removal

    /// Removes the oldest segments that hold nothing of the indexed type above `index`.
    mutating func remove(through index: UInt64, into requests: inout [StorageRequest]) {
        guard isReady else { return }
        for (segment, next) in zip(segments, segments.dropFirst()) {
            guard segment.highestIndex <= index else { break }
            removeBelow = max(removeBelow, next.number)
        }
        removeNext(into: &requests)
    }

    /// One at a time, oldest first, each made durable before the next: whatever a crash undoes, the
    /// segments left have no gap.
    mutating func removeNext(into requests: inout [StorageRequest]) {
        guard isReady, !isRemoving, let oldest = segments.first, oldest.number < removeBelow,
            segments.count > 1
        else { return }
        isRemoving = true
        tickets.ask(.remove(file(oldest.number)), .removal, into: &requests)
        tickets.ask(.syncDirectory(configuration.directory), .removed, into: &requests)
    }

    mutating func advanceRemoval(into requests: inout [StorageRequest]) {
        isRemoving = false
        segments.removeFirst()
        removeNext(into: &requests)
    }
}
