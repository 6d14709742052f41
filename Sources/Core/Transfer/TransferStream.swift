/// The parts of one transfer, made as there is room for them.
struct TransferStream: Sendable {
    enum Step {
        case part(UInt64, TransferPart)
        /// Another step makes more.
        case more
        /// Tell what is there.
        case read(StorageOperation)
        /// There is no room, or a record is being read, or that was all.
        case wait
    }

    private enum Stage: Sendable {
        case head
        case slices
        case outputs
        case ended
    }

    /// Keys of the history that one step looks at.
    private static let keysInAStep = 1_000
    /// Most commands print little: what is bounded by bytes alone would take too long.
    private static let chunksInAPart = 500

    let head: SnapshotHead
    /// Sent and not answered, oldest first.
    private(set) var window: [(place: UInt64, part: TransferPart)] = []
    private var windowBytes = 0
    /// The number of the next part.
    private var next: UInt64 = 0
    private var stage = Stage.head
    private var slices: RecordSlices?
    private let hash: RecordHash
    private let sliceSize: Int
    /// Outputs of these entries are to be sent.
    private let entries: ClosedRange<LogIndex>?

    /// The outputs before this one, and it itself, are sent or in `chunks` or `gathered`.
    private var key: ByteKey?
    private var chunks: ArraySlice<(number: UInt32, piece: HistoryPiece)> = []
    /// Whether places have been looked up again, since the first of `chunks` was not there.
    private var isSecondTry = false
    private var gathered: [[UInt8]] = []
    private var gatheredBytes = 0
    /// The read under way.
    var awaited: StorageTicket?

    init(_ head: SnapshotHead, outputsAfter index: LogIndex, _ store: Store, sliceSize: Int) {
        self.head = head
        self.sliceSize = sliceSize
        slices = RecordSlices(of: store)
        hash = store.hash
        entries = index < head.index ? index + 1...head.index : nil
    }

    /// How many parts the follower is known to have taken.
    var acknowledged: UInt64 { window.first?.place ?? next }

    /// The follower has taken so many parts.
    /// - Returns: whether that is news.
    mutating func taken(_ count: UInt64) -> Bool {
        guard count <= next else { return false }
        let before = window.count
        while let first = window.first, first.place < count {
            windowBytes -= first.part.byteCount
            window.removeFirst()
        }
        return window.count < before
    }

    /// The next part. O(a part + log n).
    mutating func next(_ history: HistoryStore, _ tunables: TransferTunables) -> Step {
        guard awaited == nil,
            window.isEmpty
                || window.count < Int(tunables.windowParts)
                    && windowBytes + sliceSize <= tunables.windowBytes
        else { return .wait }
        switch stage {
        case .head:
            stage = .slices
            return emit(.head(head))
        case .slices:
            if let slice = slices?.next(limit: sliceSize) { return emit(.slice(slice)) }
            slices = nil
            stage = .outputs
            return .more
        case .outputs: return nextOutput(history)
        case .ended: return .wait
        }
    }

    private mutating func emit(_ part: TransferPart) -> Step {
        let place = next
        next += 1
        window.append((place, part))
        windowBytes += part.byteCount
        return .part(place, part)
    }

    private mutating func nextOutput(_ history: HistoryStore) -> Step {
        while gatheredBytes < sliceSize, gathered.count < Self.chunksInAPart {
            guard let first = chunks.first else {
                guard let entries else { return end() }
                switch history.nextOutput(after: key, of: entries, limit: Self.keysInAStep) {
                case .output(let next, let found):
                    key = next
                    chunks = found[...]
                    continue
                case .more(let last):
                    key = last
                    return .more
                case .end: return end()
                }
            }
            switch first.piece {
            case .memory(let record): gather(record)
            case .file(let file, let offset, let length):
                return .read(.read(file, offset: offset, length: length))
            }
        }
        return emitGathered()
    }

    private mutating func end() -> Step {
        if !gathered.isEmpty { return emitGathered() }
        stage = .ended
        return emit(.end(hash))
    }

    private mutating func emitGathered() -> Step {
        let records = gathered
        gathered = []
        gatheredBytes = 0
        return emit(.outputs(records))
    }

    private mutating func gather(_ record: [UInt8]) {
        chunks.removeFirst()
        isSecondTry = false
        gathered.append(record)
        gatheredBytes += record.count
    }

    /// Takes what was read.
    /// - Returns: the file in which an output can't be read, which is left out.
    mutating func take(_ result: StorageResult, _ history: HistoryStore) -> FileName? {
        awaited = nil
        guard let first = chunks.first, let key else { return nil }
        if case .bytes(let record) = result, let chunk = HistoryChunk(record: record),
            chunk.key == key, chunk.number == first.number
        {
            gather(record)
            return nil
        }
        // The history moves chunks from file to file, and drops the oldest.
        if !isSecondTry, let entries {
            isSecondTry = true
            chunks = history.records(of: key, entries).filter { $0.number >= first.number }[...]
            return nil
        }
        isSecondTry = false
        chunks = []
        guard case .file(let file, _, _) = first.piece else { return nil }
        return file
    }
}
