// Reads a segment's records from chunks of the file, and judges what it can't read.

/// Walks a segment from its first record. Holds at most one record and one chunk in memory.
struct RecordScanner: Sendable {
    enum Step: Hashable {
        case record(SegmentRecord)
        /// The next record is not complete: feed the next chunk, or, at the end of the file, take
        /// what is left as torn.
        case needsBytes
        /// The bytes at `position` are no record.
        case damage
    }

    /// A point between two records.
    struct Boundary: Hashable {
        var offset: UInt64
        var chain: UInt32
    }

    let header: SegmentHeader
    private let seed: UInt32
    private let recordLimit: Int
    /// The next record's first byte, counted from the file's first.
    private(set) var position = UInt64(SegmentHeader.size)
    /// The highest logical offset that anything read so far knows to be synced.
    private(set) var synced: UInt64
    /// The last boundary at or below `synced`, and those after it.
    private(set) var boundaries: RingBuffer<Boundary> = RingBuffer()
    private var buffer: [UInt8] = []
    private var cursor = 0
    /// The next record's predecessor was not read.
    private var trustsNext = false

    /// Starts in the middle, at a record that follows whatever it says it follows.
    init(header: SegmentHeader, recordLimit: Int, position: UInt64) {
        self.init(header: header, recordLimit: recordLimit)
        self.position = position
        trustsNext = true
        boundaries.removeAll()
        boundaries.append(Boundary(offset: offset, chain: header.chain))
    }

    init(header: SegmentHeader, recordLimit: Int) {
        self.header = header
        self.recordLimit = recordLimit
        seed = header.seed
        synced = header.synced
        boundaries.append(Boundary(offset: header.base, chain: header.chain))
    }

    /// The logical offset of the next record.
    var offset: UInt64 { logicalOffset(of: position) }
    /// The checksum of the last record.
    var chain: UInt32 { boundaries.last?.chain ?? header.chain }
    /// Bytes fed and not yet consumed.
    var leftOver: Int { buffer.count - cursor }
    /// Where the next chunk to feed begins in the file.
    var nextRead: UInt64 { position + UInt64(leftOver) }

    mutating func feed(_ bytes: [UInt8]) {
        if leftOver == 0 {
            buffer = bytes
            cursor = 0
            return
        }
        if cursor > 0 {
            buffer.removeSubrange(..<cursor)
            cursor = 0
        }
        buffer.append(contentsOf: bytes)
    }

    mutating func next() -> Step {
        switch parse(at: cursor, position: position) {
        case .incomplete: return .needsBytes
        case .nothing: return .damage
        case .found(let found):
            guard trustsNext || found.previous == chain else { return .damage }
            trustsNext = false
            let start = cursor + SegmentRecord.headerSize
            let record = SegmentRecord(
                type: found.type, payload: Array(buffer[start..<start + found.length]),
                position: position, checksum: found.checksum)
            cursor += record.size
            position += UInt64(record.size)
            synced = max(synced, found.synced)
            boundaries.append(Boundary(offset: offset, chain: found.checksum))
            while boundaries.count > 1, boundaries[1].offset <= synced {
                _ = boundaries.popFirst()
            }
            return .record(record)
        }
    }

    /// Looks behind damage for a record which knows that the damaged bytes had been synced, in what
    /// was fed so far. Forgets what it has looked through, so that the rest of the file can be fed.
    /// `atEnd` says that nothing follows.
    mutating func findsProofOfSync(above damage: UInt64, atEnd: Bool) -> Bool {
        while true {
            skipWhatIsOutOfPlace()
            guard leftOver >= SegmentRecord.headerSize else { return false }
            switch parse(at: cursor, position: position) {
            case .found(let found) where found.synced > damage: return true
            case .incomplete where !atEnd: return false
            case .found, .incomplete, .nothing:
                cursor += 1
                position += 1
            }
        }
    }

    /// Goes on to the next place whose bytes say that they are a record of this place, or to where
    /// no record fits any more: almost every place behind damage is ruled out by that.
    private mutating func skipWhatIsOutOfPlace() {
        let start = cursor
        let offset = logicalOffset(of: position)
        let skipped = buffer.withUnsafeBytes { bytes in
            let most = bytes.count - SegmentRecord.headerSize - start
            var skipped = 0
            while skipped <= most,
                UInt64(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: start &+ skipped &+ SegmentRecord.offsetPosition,
                        as: UInt64.self)) != offset &+ UInt64(truncatingIfNeeded: skipped)
            {
                skipped &+= 1
            }
            return skipped
        }
        cursor += skipped
        position += UInt64(skipped)
    }

    private struct Found {
        var checksum: UInt32
        var previous: UInt32
        var length: Int
        var synced: UInt64
        var type: UInt8
    }

    private enum Parsed {
        case found(Found)
        case incomplete
        case nothing
    }

    /// A record that is whole, undamaged and in its place; who came before is not looked at.
    private func parse(at start: Int, position: UInt64) -> Parsed {
        guard buffer.count - start >= SegmentRecord.headerSize else { return .incomplete }
        return buffer.withUnsafeBytes { bytes in
            func u32(_ at: Int) -> UInt32 {
                UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: start + at, as: UInt32.self))
            }
            func u64(_ at: Int) -> UInt64 {
                UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: start + at, as: UInt64.self))
            }
            // The offset is the cheapest thing to rule out almost every position.
            let offset = logicalOffset(of: position)
            guard u64(SegmentRecord.offsetPosition) == offset, u64(20) <= offset,
                u32(8) <= UInt32(clamping: recordLimit)
            else { return .nothing }
            let length = Int(u32(8))
            let end = start + SegmentRecord.headerSize + length
            guard end <= bytes.count else { return .incomplete }
            let content = UnsafeRawBufferPointer(rebasing: bytes[(start + 4)..<end])
            guard Checksum.crc32c(content, continuing: seed) == u32(0) else { return .nothing }
            return .found(
                Found(
                    checksum: u32(0), previous: u32(4), length: length, synced: u64(20),
                    type: bytes[start + 28]))
        }
    }

    private func logicalOffset(of position: UInt64) -> UInt64 {
        header.base &+ (position - UInt64(SegmentHeader.size))
    }
}
