internal import Adapters
internal import Core

/// A file that may hold a backup. Everything that goes wrong with it is a `BackupFault`.
struct BackupSource {
    let isBackup: Bool
    private let file: InputFile
    private let first: [UInt8]

    init(_ path: String) throws(BackupFault) {
        let file = try Self.mending { () throws(SystemError) in try InputFile(path) }
        self.file = file
        first = try Self.mending { () throws(SystemError) in try file.read() }
        isBackup = first.starts(with: BackupReader.magic)
    }

    /// Bytes of the file, if that is known.
    var length: UInt64? { file.length }

    func readAll() throws(BackupFault) -> [UInt8] {
        var bytes = first
        while true {
            let more = try next()
            if more.isEmpty { return bytes }
            bytes += more
        }
    }

    /// Reads the backup to its end and checks every byte of it.
    ///
    /// - Parameter progress: is told how many bytes have been read.
    /// - Throws: also when the file ends before the backup does.
    func audit(
        progress: (UInt64) -> Void = { _ in },
        each take: (BackupReader.Step) throws(BackupFault) -> Void
    ) throws(BackupFault) -> BackupAudit {
        var audit = BackupAudit()
        var bytes = first
        var count: UInt64 = 0
        while !bytes.isEmpty {
            try audit.feed(bytes, each: take)
            count += UInt64(bytes.count)
            progress(count)
            bytes = try next()
        }
        guard audit.isWhole else { throw audit.shortfall }
        return audit
    }

    /// Goes back to the beginning. The first bytes are still here.
    func again() throws(BackupFault) {
        try Self.mending { () throws(SystemError) in try file.seek(to: first.count) }
    }

    private func next() throws(BackupFault) -> [UInt8] {
        try Self.mending { () throws(SystemError) in try file.read() }
    }

    private static func mending<Result>(
        _ body: () throws(SystemError) -> Result
    ) throws(BackupFault) -> Result {
        do throws(SystemError) { return try body() } catch {
            throw BackupFault(description: "\(error)")
        }
    }
}

/// Reads a backup through and keeps nothing of it but what it says about itself.
struct BackupAudit {
    private(set) var head: BackupHead?
    private(set) var isWhole = false
    private(set) var outputs = 0
    private var reader = BackupReader()
    private var hash = RecordHash.zero

    /// Why bytes that have come to their end are no backup.
    var shortfall: BackupFault { reader.shortfall }

    mutating func feed(
        _ bytes: [UInt8], each take: (BackupReader.Step) throws(BackupFault) -> Void = { _ in }
    ) throws(BackupFault) {
        try reader.feed(bytes)
        while true {
            let step = try reader.next()
            switch step {
            case .needsBytes: return
            case .head(let head): self.head = head
            case .slice(let records):
                do throws(ByteError) { hash &+= try Store.hash(ofSlice: records) } catch {
                    throw BackupFault(description: "its records can't be read")
                }
            case .output: outputs += 1
            case .end(let promised):
                guard promised == hash else {
                    throw BackupFault(description: "its records are not those that it promises")
                }
                isWhole = true
            }
            try take(step)
        }
    }
}
