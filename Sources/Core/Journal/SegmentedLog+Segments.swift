// How segments come and go.

extension SegmentedLog {
    /// A segment being made under a temporary name.
    struct Creation: Sendable {
        enum Content: Sendable {
            case nothing
            /// Bytes of an older segment, from `position` up to `end` in its file.
            case copy(FileName, position: UInt64, end: UInt64)
            /// Records, from the given one on.
            case records([Record], from: Int)
        }

        enum Stage: Sendable {
            case filling
            case syncing
            case naming
        }

        /// What happens once the segment can be written.
        enum Outcome: Sendable {
            case rotated
            case replaced(through: UInt64)
            case recovered(tornBytes: UInt64)
        }

        var number: UInt64
        var length: UInt64 = 0
        var content: Content
        var outcome: Outcome
        var highestIndex: UInt64 = 0
        var stage = Stage.filling
        var answers = 0
    }

    /// The next segment, empty but for the preface.
    mutating func beginRotation(into requests: inout [StorageRequest]) {
        beginSegment(
            number: (segments.last?.number ?? 0) + 1, outcome: .rotated, into: &requests)
    }

    mutating func beginReplacement(
        _ records: [Record], into requests: inout [StorageRequest]
    ) {
        replacement = nil
        let size = records.reduce(0) { $0 + SegmentRecord.headerSize + $1.payload.count }
        writtenSequence = lastSequence - UInt64(queue.count)
        beginSegment(
            number: (segments.last?.number ?? 0) + 1, flags: SegmentHeader.freshFlag,
            content: .records(records, from: 0), contentSize: size,
            outcome: .replaced(through: writtenSequence), into: &requests)
    }

    /// A segment that continues at the encoder's place.
    mutating func beginSegment(
        number: UInt64, flags: UInt32 = 0, content: Creation.Content = .nothing,
        contentSize: Int = 0, outcome: Creation.Outcome, into requests: inout [StorageRequest]
    ) {
        let prefaceSize = preface.map { SegmentRecord.headerSize + $0.count } ?? 0
        var header = SegmentHeader(
            kind: configuration.directory, number: number, base: encoder.offset,
            synced: encoder.offset + UInt64(prefaceSize + contentSize),
            dataID: configuration.dataID, chain: encoder.chain, flags: flags)
        var bytes: [UInt8]
        if case .copy = content {
            // The copied records come first, with the offsets they have; see `fillCreation`.
            header.synced += 0
            bytes = header.encoded()
        } else {
            bytes = header.encoded()
            encodePreface(into: &bytes)
        }
        encoder = RecordEncoder(seed: header.seed, chain: encoder.chain, offset: encoder.offset)
        creation = Creation(number: number, content: content, outcome: outcome)
        creation?.length = UInt64(bytes.count)
        creation?.answers = 2
        let file = temporaryFile(number)
        tickets.ask(.create(file), .creation, into: &requests)
        tickets.ask(.append(file, offset: 0, bytes: bytes), .creation, into: &requests)
    }

    private mutating func encodePreface(into bytes: inout [UInt8]) {
        guard let preface, let type = configuration.prefaceType else { return }
        encode(Record(type: type, payload: preface), into: &bytes, segment: nil)
    }

    func temporaryFile(_ number: UInt64) -> FileName {
        FileName(configuration.directory, configuration.prefix + hex16(number) + ".tmp")
    }
}
