// A backup: the state of one moment, and every output that it knows of, in one file.
//
//     backup = segment header (kind snapshots, number = log index, flags = backup) record*
//     record = head | slice | output | footer        (in this order)
//     head   = index:u64 term:u64 stamp:i64 node:string version:string jobs:u64
//     slice  = (key:bytes value:bytes)*               as in a snapshot
//     output = a chunk's record, as in a history segment
//     footer = slices:u64 outputs:u64 state hash:u64,u64
//
// Every record is chained to the one before and to the header, so a file that reads to its footer
// is whole.

package struct BackupHead: Hashable, Sendable {
    /// The last log entry whose effects the backup holds.
    package var index: LogIndex
    package var term: Term
    /// Cluster time when it was taken.
    package var stamp: WallTime
    /// The server it was taken from, and its program's version.
    package var node: String
    package var version: String
    package var jobs: UInt64

    package init(
        index: LogIndex, term: Term, stamp: WallTime, node: String, version: String, jobs: UInt64
    ) {
        self.index = index
        self.term = term
        self.stamp = stamp
        self.node = node
        self.version = version
        self.jobs = jobs
    }
}

enum BackupRecord {
    static let head: UInt8 = 1
    static let slice: UInt8 = 2
    static let output: UInt8 = 3
    static let footer: UInt8 = 4
}

/// Writes a backup to a buffer that its owner empties.
struct BackupWriter {
    private var encoder: RecordEncoder
    private var slices: UInt64 = 0
    private var outputs: UInt64 = 0
    /// What was written since the buffer was taken.
    private(set) var bytes: [UInt8]

    init(_ head: BackupHead, dataID: DataID) {
        var header = SegmentHeader(
            kind: .snapshots, number: head.index, base: 0, synced: 0, dataID: dataID)
        header.flags = SegmentHeader.backupFlag
        bytes = header.encoded()
        encoder = RecordEncoder(seed: header.seed, chain: 0, offset: 0)
        var writer = ByteWriter()
        writer.u64(head.index)
        writer.u64(head.term)
        writer.i64(head.stamp.nanoseconds)
        writer.string(head.node)
        writer.string(head.version)
        writer.u64(head.jobs)
        append(BackupRecord.head, writer.output)
    }

    mutating func slice(_ records: [UInt8]) {
        slices += 1
        append(BackupRecord.slice, records)
    }

    mutating func output(_ chunk: [UInt8]) {
        outputs += 1
        append(BackupRecord.output, chunk)
    }

    mutating func finish(_ hash: RecordHash) {
        var writer = ByteWriter()
        writer.u64(slices)
        writer.u64(outputs)
        writer.u64(UInt64(truncatingIfNeeded: hash.value >> 64))
        writer.u64(UInt64(truncatingIfNeeded: hash.value))
        append(BackupRecord.footer, writer.output)
    }

    mutating func takeBytes() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func append(_ type: UInt8, _ payload: [UInt8]) {
        encoder.encode(type: type, payload: payload, synced: 0, into: &bytes)
    }
}

/// Why a file can't be used as a backup: a sentence.
package struct BackupFault: Error, Hashable, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Reads a backup from its bytes as they come, and checks every one of them.
package struct BackupReader {
    package enum Step: Sendable {
        case head(BackupHead)
        /// Records of the state.
        case slice([UInt8])
        case output(HistoryChunk)
        /// The backup is whole. The hash is that of the state.
        case end(hash: RecordHash)
        /// Feed more; at the end of the file the backup is not whole.
        case needsBytes
    }

    /// What every backup begins with.
    package static let magic = SegmentHeader.magic

    private var scanner: RecordScanner?
    private var preamble: [UInt8] = []
    private var hasHead = false
    private var hasEnded = false
    private var slices: UInt64 = 0
    private var outputs: UInt64 = 0

    package init() {}

    package mutating func feed(_ bytes: [UInt8]) throws(BackupFault) {
        guard scanner == nil else {
            scanner?.feed(bytes)
            return
        }
        preamble += bytes
        guard preamble.count >= SegmentHeader.size else { return }
        do throws(SegmentHeader.Fault) {
            let header = try SegmentHeader.decode(
                backup: Array(preamble.prefix(SegmentHeader.size)))
            var scanner = RecordScanner(
                header: header, recordLimit: JournalTunables().recordLimit)
            scanner.feed(Array(preamble.dropFirst(SegmentHeader.size)))
            self.scanner = scanner
            preamble = []
        } catch {
            throw Self.fault(error)
        }
    }

    package mutating func next() throws(BackupFault) -> Step {
        guard scanner != nil else { return .needsBytes }
        let position = scanner?.position ?? 0
        switch scanner?.next() {
        case .record(let record): return try take(record)
        case .damage: throw BackupFault(description: "it is damaged at byte \(position)")
        case .needsBytes, nil:
            if hasEnded, (scanner?.leftOver ?? 0) > 0 { throw Self.misplaced(position) }
            return .needsBytes
        }
    }

    /// Why a file that ended before `.end` is none, for whoever fed all of it.
    package var shortfall: BackupFault {
        BackupFault(
            description: scanner == nil
                ? "it is too short for a backup"
                : "it ends at byte \(scanner?.position ?? 0), before its end is written: the copy"
                    + " was cut short")
    }

    private mutating func take(_ record: SegmentRecord) throws(BackupFault) -> Step {
        guard !hasEnded, hasHead != (record.type == BackupRecord.head) else {
            throw Self.misplaced(record.position)
        }
        var reader = ByteReader(record.payload)
        do throws(ByteError) {
            switch record.type {
            case BackupRecord.head:
                hasHead = true
                return .head(
                    BackupHead(
                        index: try reader.u64(), term: try reader.u64(),
                        stamp: WallTime(nanoseconds: try reader.i64()),
                        node: try reader.string(), version: try reader.string(),
                        jobs: try reader.u64()))
            case BackupRecord.slice where outputs == 0:
                slices += 1
                return .slice(record.payload)
            case BackupRecord.output:
                outputs += 1
                if let chunk = HistoryChunk(record: record.payload) { return .output(chunk) }
            case BackupRecord.footer:
                hasEnded = true
                guard try reader.u64() == slices, try reader.u64() == outputs else { break }
                let value = UInt128(try reader.u64()) << 64 | UInt128(try reader.u64())
                return .end(hash: RecordHash(value: value))
            default: break
            }
        } catch {
            throw Self.misplaced(record.position)
        }
        throw Self.misplaced(record.position)
    }

    private static func misplaced(_ position: UInt64) -> BackupFault {
        BackupFault(description: "what it has at byte \(position) does not belong there")
    }

    private static func fault(_ fault: SegmentHeader.Fault) -> BackupFault {
        switch fault {
        case .unreadable(let what): BackupFault(description: what)
        case .version(let version):
            BackupFault(
                description: "it is of data format \(version), which a newer program wrote; this"
                    + " one reads formats up to \(DataFormat.version)")
        case .otherDataDirectory: BackupFault(description: "its header is damaged")
        }
    }
}

/// A piece of an execution's output with its place in the history.
package struct HistoryChunk: Hashable, Sendable {
    package var index: LogIndex
    package var key: ByteKey
    package var number: UInt32
    package var bytes: [UInt8]

    /// Nil if the record is damaged.
    init?(record: [UInt8]) {
        guard let chunk = HistoryFormat.decodeChunk(record) else { return nil }
        index = chunk.index
        key = chunk.key
        number = chunk.number
        bytes = Array(chunk.data)
    }
}
