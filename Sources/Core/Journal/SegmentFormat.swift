// The bytes of a segment: what all four kinds of file below the data directory have in common.
//
//     segment  = header record*
//     header   = magic[8] version:u16 kind:u8 0:u8 crc:u32            (the same in every version)
//                number:u64 base:u64 synced:u64 dataID:u64,u64 chain:u32 flags:u32 crc:u32
//     record   = crc:u32 previous:u32 length:u32 offset:u64 synced:u64 type:u8 payload[length]
//
// Integers are little-endian. A record proves where it belongs: its checksum is seeded with the
// identity of the data directory, it repeats the checksum of the record before it, and it carries
// its own *logical offset*. That counts the bytes of records since the log began, headers left out,
// so it goes on growing from file to file. `synced` is the logical offset up to which everything
// was known to be synced when the record was written: damage below the highest one is loss of
// something acknowledged, damage above it may be the tail of a write that a crash cut short.

/// The first bytes of a segment.
package struct SegmentHeader: Hashable, Sendable {
    /// Replaces everything in earlier segments.
    static let freshFlag: UInt32 = 1
    /// A backup, which no server takes for a file of its own.
    static let backupFlag: UInt32 = 2
    static let size = 68
    static let preambleSize = 16
    static let magic: [UInt8] = Array("DKRONSEG".utf8)

    var kind: StorageDirectory
    /// The segment's number, as in its file name; a snapshot's log index.
    var number: UInt64
    /// The logical offset of the first record.
    var base: UInt64
    /// Everything before this logical offset was synced before the file got its name.
    var synced: UInt64
    var dataID: DataID
    /// The checksum of the record before the first one.
    var chain: UInt32 = 0
    var flags: UInt32 = 0

    /// Why a header can't be used.
    enum Fault: Error, Hashable {
        case unreadable(String)
        /// Written by a newer program.
        case version(UInt16)
        case otherDataDirectory
    }

    func encoded(version: UInt16 = DataFormat.version) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.raw(Self.magic)
        writer.u16(version)
        writer.u8(kind.rawValue)
        writer.u8(0)
        writer.u32(Checksum.crc32c(writer.output))
        writer.u64(number)
        writer.u64(base)
        writer.u64(synced)
        writer.u64(UInt64(truncatingIfNeeded: dataID >> 64))
        writer.u64(UInt64(truncatingIfNeeded: dataID))
        writer.u32(chain)
        writer.u32(flags)
        writer.u32(0)
        writer.patch(
            u32: Checksum.crc32c(writer.output.dropLast(4)), at: writer.count - 4)
        return writer.output
    }

    /// Reads and checks a header that must be of this kind, number and data directory.
    static func decode(
        _ bytes: [UInt8], kind: StorageDirectory, number: UInt64, dataID: DataID
    ) throws(Fault) -> SegmentHeader {
        let header = try decode(bytes)
        guard header.dataID == dataID else { throw .otherDataDirectory }
        guard header.kind == kind, header.number == number, header.isPlausible else {
            throw .unreadable("its header belongs to another file")
        }
        return header
    }

    /// Reads and checks the header of a backup from wherever it comes.
    static func decode(backup bytes: [UInt8]) throws(Fault) -> SegmentHeader {
        let header = try decode(bytes)
        guard header.kind == .snapshots, header.isPlausible, header.flags & backupFlag != 0 else {
            throw .unreadable("it is a file of a data directory, and no backup")
        }
        return header
    }

    private static func decode(_ bytes: [UInt8]) throws(Fault) -> SegmentHeader {
        guard bytes.count >= preambleSize, bytes[..<8] == magic[...] else {
            throw .unreadable("it does not begin like a file of this program")
        }
        do {
            var reader = ByteReader(bytes[8...])
            let version = try reader.u16()
            let foundKind = try reader.u8()
            _ = try reader.u8()
            guard try reader.u32() == Checksum.crc32c(bytes[..<12]) else {
                throw Fault.unreadable("the first bytes of its header are damaged")
            }
            guard version <= DataFormat.version else { throw Fault.version(version) }
            guard let kind = StorageDirectory(rawValue: foundKind) else {
                throw Fault.unreadable("its header belongs to another file")
            }
            let header = SegmentHeader(
                kind: kind, number: try reader.u64(), base: try reader.u64(),
                synced: try reader.u64(),
                dataID: DataID(try reader.u64()) << 64 | DataID(try reader.u64()),
                chain: try reader.u32(), flags: try reader.u32())
            guard try reader.u32() == Checksum.crc32c(bytes[..<(size - 4)]) else {
                throw Fault.unreadable("its header is damaged")
            }
            return header
        } catch let fault as Fault {
            throw fault
        } catch {
            throw .unreadable("it ends inside its header")
        }
    }

    /// Offsets that files of this kind can have; far from any overflow.
    private var isPlausible: Bool {
        guard base <= synced, synced < 1 << 62 else { return false }
        switch kind {
        case .log, .runs: return true
        case .snapshots, .history: return base == 0 && chain == 0
        }
    }

    /// What the checksums of this segment's records begin with. The log's and the run journal's
    /// records may move to the next segment; those of outputs and snapshots belong to one file.
    var seed: UInt32 {
        var writer = ByteWriter(capacity: 32)
        writer.u64(UInt64(truncatingIfNeeded: dataID >> 64))
        writer.u64(UInt64(truncatingIfNeeded: dataID))
        writer.u8(kind.rawValue)
        switch kind {
        case .log, .runs: break
        case .snapshots, .history: writer.u64(number)
        }
        return Checksum.crc32c(writer.output)
    }
}

/// A record as found in, or put into, a segment.
struct SegmentRecord: Hashable, Sendable {
    static let headerSize = 29
    /// Where in a record its logical offset stands.
    static let offsetPosition = 12
    /// A record without content; it only carries what is known to be synced.
    static let markType: UInt8 = 0

    var type: UInt8
    var payload: [UInt8]
    /// Where the record begins, counted from the file's first byte.
    var position: UInt64
    var checksum: UInt32

    /// Bytes in the file.
    var size: Int { Self.headerSize + payload.count }
}

/// Appends records to a byte buffer, each chained to the one before.
struct RecordEncoder: Hashable, Sendable {
    let seed: UInt32
    /// The checksum of the last record.
    var chain: UInt32
    /// The logical offset of the next record.
    var offset: UInt64

    mutating func encode(
        type: UInt8, payload: [UInt8], synced: UInt64, into bytes: inout [UInt8]
    ) {
        let start = bytes.count
        var writer = ByteWriter(continuing: bytes)
        bytes = []
        writer.u32(0)
        writer.u32(chain)
        writer.u32(UInt32(payload.count))
        writer.u64(offset)
        writer.u64(synced)
        writer.u8(type)
        writer.raw(payload)
        chain = Checksum.crc32c(writer.output[(start + 4)...], continuing: seed)
        writer.patch(u32: chain, at: start)
        offset += UInt64(SegmentRecord.headerSize + payload.count)
        bytes = writer.output
    }
}
