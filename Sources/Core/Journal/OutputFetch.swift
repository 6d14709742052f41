// Gathers the stored output of one execution, from its last piece backwards, so that whoever wants
// only the end reads only the end.

struct OutputFetch {
    enum Step: Equatable {
        case done(ShownOutput)
        case read(FileName, offset: UInt64, length: Int)
    }

    private let key: ByteKey
    private let limit: Int?
    private var pieces: [HistoryPiece]
    /// Chunks gathered so far, the last one first.
    private var chunks: [[UInt8]] = []
    private var length = 0
    private var problem: ShownOutput.Problem?
    /// The history moves files; a place that is gone is asked for again, once.
    private var mayLookAgain = true

    /// - Parameters:
    ///   - key: of the output in the history.
    ///   - hasOutput: something was stored once.
    ///   - limit: the most bytes wanted, of the end.
    init(_ key: [UInt8], hasOutput: Bool, limit: Int?, _ history: HistoryStore) {
        self.key = ByteKey(key)
        self.limit = limit
        pieces = history.pieces(of: self.key)
        if hasOutput, pieces.isEmpty { problem = .dropped }
    }

    mutating func next() -> Step {
        while problem == nil, length < limit ?? .max, let piece = pieces.last {
            switch piece {
            case .memory(let bytes):
                pieces.removeLast()
                gather(bytes)
            case .file(let file, let offset, let length):
                return .read(file, offset: offset, length: length)
            }
        }
        return .done(shown())
    }

    /// Takes the bytes that were to be read, nil if they could not be.
    mutating func take(_ bytes: [UInt8]?, _ history: HistoryStore) {
        if let bytes, let chunk = HistoryStore.chunk(in: bytes) {
            pieces.removeLast()
            return gather(chunk)
        }
        if mayLookAgain {
            mayLookAgain = false
            let gathered = chunks.count
            pieces = history.pieces(of: key)
            // What was gathered already counts from the end.
            pieces.removeLast(min(gathered, pieces.count))
            if !pieces.isEmpty { return }
        }
        problem = history.contains(key) ? .unreadable : .dropped
    }

    private mutating func gather(_ chunk: [UInt8]) {
        chunks.append(chunk)
        length += chunk.count
    }

    private func shown() -> ShownOutput {
        var output = ShownOutput(problem: problem)
        output.bytes.reserveCapacity(length)
        for chunk in chunks.reversed() { output.bytes += chunk }
        // Pieces that were not read lie before what is shown.
        output.isCut = !pieces.isEmpty
        if let limit { output.keepLast(limit) }
        return output
    }
}

/// What is shown of an execution's output.
struct ShownOutput: Hashable, Sendable {
    var bytes: [UInt8] = []
    /// The beginning is missing.
    var isCut = false
    /// Why the output can't be shown, if so.
    var problem: Problem?

    enum Problem: String, Sendable {
        case unreadable = "a part of the stored output can't be read"
        case dropped = """
            the output is not stored any more: the oldest go when all together pass \
            --history-max-bytes
            """
    }

    /// Keeps the last bytes, at most `limit`, beginning with a whole character.
    mutating func keepLast(_ limit: Int) {
        guard bytes.count > limit else { return }
        isCut = true
        var start = bytes.count - limit
        while start < bytes.count, bytes[start] & 0xc0 == 0x80 { start += 1 }
        bytes.removeFirst(start)
    }
}
