// A backup on its way to a client. It holds the state of the moment it began: copies of the store
// and of the index of outputs cost nothing, and the history keeps its files while there is one.

struct BackupStream {
    enum Step {
        case piece([UInt8], last: Bool)
        case read(FileName, offset: UInt64, length: Int)
        /// An output can't be read, so the backup goes without it.
        case unreadable(FileName)
    }

    /// How many bytes a piece has, about.
    private static let pieceSize = 64 << 10

    let call: Call
    let index: LogIndex
    /// A record was asked for; what a client takes meanwhile changes nothing.
    private(set) var isReading = false
    private(set) var byteCount = 0
    private var writer: BackupWriter
    private var slices: RecordSlices?
    private let hash: RecordHash
    private let history: HistoryStore
    /// The outputs before this one, and it itself, are written or in `pieces`.
    private var key: ByteKey?
    private var pieces: ArraySlice<HistoryPiece> = []
    /// What was read of this output. It is written when all of it is there.
    private var records: [[UInt8]] = []
    private var problem: FileName?

    init(_ call: Call, _ context: APIContext) {
        self.call = call
        index = context.store.appliedIndex
        hash = context.store.hash
        history = context.history
        slices = RecordSlices(of: context.store)
        writer = BackupWriter(
            BackupHead(
                index: index, term: context.appliedTerm, stamp: context.store.cluster.lastStamp,
                node: context.config.nodeName.text, version: context.config.version,
                jobs: UInt64(context.store.counters.jobs)), dataID: context.config.dataID)
    }

    /// The next piece. O(a piece).
    mutating func advance() -> Step {
        while writer.bytes.count < Self.pieceSize {
            if let problem {
                self.problem = nil
                return .unreadable(problem)
            }
            if let slice = slices?.next(limit: Self.pieceSize) {
                writer.slice(slice)
                continue
            }
            slices = nil
            guard let piece = nextOutput() else {
                writer.finish(hash)
                return emit(last: true)
            }
            switch piece {
            case .memory(let record): gather(record)
            case .file(let file, let offset, let length):
                isReading = true
                return .read(file, offset: offset, length: length)
            }
        }
        return emit(last: false)
    }

    /// Takes the record that `.read` asked for, nil if it could not be read.
    mutating func take(_ record: [UInt8]?) {
        isReading = false
        guard let record, HistoryChunk(record: record)?.key == key else {
            if case .file(let file, _, _)? = pieces.first { problem = file }
            (pieces, records) = ([], [])
            return
        }
        gather(record)
    }

    private mutating func gather(_ record: [UInt8]) {
        pieces.removeFirst()
        records.append(record)
        guard pieces.isEmpty else { return }
        for record in records { writer.output(record) }
        records = []
    }

    private mutating func nextOutput() -> HistoryPiece? {
        while pieces.isEmpty {
            guard let next = history.records(after: key) else { return nil }
            key = next.key
            pieces = next.pieces[...]
        }
        return pieces.first
    }

    private mutating func emit(last: Bool) -> Step {
        byteCount += writer.bytes.count
        return .piece(writer.takeBytes(), last: last)
    }
}

extension API {
    /// Whether files of the history must stay.
    var isBackingUp: Bool { backup != nil }

    mutating func takeBackup(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard backup == nil else {
            throw APIError(
                409, "backup_under_way",
                "Another backup is being taken from this server; try again when it has ended.")
        }
        var answer = Answer(200, streamOf: "application/octet-stream")
        let name = "dkron-\(context.store.appliedIndex).backup"
        answer.headers.append("Content-Disposition", "attachment; filename=\"\(name)\"")
        if call.isHead {
            respond(call, answer, context, &actions)
            return actions.append(.respondChunk(call.id, [], last: true))
        }
        try wait(call.id, for: .backup)
        backup = BackupStream(call, context)
        respond(call, answer, context, &actions)
        advanceBackup(&actions)
    }

    mutating func advanceBackup(_ actions: inout [APIAction]) {
        // Taken out while it works, so that nothing it holds is copied.
        guard var stream = backup, !stream.isReading else { return }
        backup = nil
        let id = stream.call.id
        let step = stream.advance()
        backup = stream
        switch step {
        case .read(let file, let offset, let length):
            actions.append(
                .read(makeTicket(for: id), .read(file, offset: offset, length: length)))
        case .piece(let bytes, let last):
            actions.append(.respondChunk(id, bytes, last: last))
            guard last else { return }
            log(
                "backup taken", stream.call,
                [.init("index", "\(stream.index)"), .init("bytes", "\(stream.byteCount)")],
                &actions)
            endBackup()
        case .unreadable(let file):
            actions.append(
                .log(
                    LogRecord(
                        .error,
                        "an output in \(SegmentFault.path(file)) can't be read from the disk; the"
                            + " backup goes without it")))
            advanceBackup(&actions)
        }
    }

    mutating func endBackup() {
        if let backup { pending.remove(backup.call.id) }
        backup = nil
    }
}
