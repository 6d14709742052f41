// The output of one execution on its way to a client, whole or as it is printed.
//
// Nothing is queued for a reader: what it has not taken stays in the tail that the runner keeps
// anyway, and the reader has a place in it. However slow it is, it costs one piece; when the tail
// has moved on past its place, it goes on at the tail's beginning and is told what it missed. Once
// the execution has ended and the runner has let go of it, the rest comes from the history.

struct OutputStream {
    enum Format {
        /// The bytes as they were printed.
        case text
        /// Server-sent events (WHATWG HTML, section 9.2).
        case events
    }

    /// What has to happen before the next piece.
    enum Awaits { case news, drain, read }

    enum Step {
        /// Nothing to send before something is printed.
        case wait
        /// The same, and it is printed elsewhere.
        case ask
        case piece([UInt8], last: Bool)
        case read(FileName, offset: UInt64, length: Int)
        /// The stored output can't be shown.
        case failed(ShownOutput.Problem)
    }

    /// How many bytes of output a piece has.
    static let pieceSize = 64 << 10

    let call: Call
    let key: ExecutionKey
    let format: Format
    /// Goes on until the execution has ended; otherwise everything there is leaves in one piece.
    let follows: Bool
    var awaits = Awaits.news
    var hasBegun = false
    /// Something of the output's beginning is not kept.
    private(set) var isCut = false

    /// What was sent: bytes of the output through here, counted from the first ever printed.
    private var position: UInt64
    private var isResumed: Bool
    /// Bytes ever printed, as far as the runner told.
    private var total: UInt64?
    private var fetch: OutputFetch?
    /// What the history had, and the place of its first byte.
    private var stored: (bytes: [UInt8], start: UInt64)?
    private var notes: [String] = []

    init(_ call: Call, _ key: ExecutionKey, _ format: Format, follows: Bool, resumesAt: UInt64?) {
        self.call = call
        self.key = key
        self.format = format
        self.follows = follows
        position = resumesAt ?? 0
        isResumed = resumesAt != nil
    }

    // MARK: Steps

    /// What is to be done next. O(a piece).
    mutating func advance(_ context: APIContext) -> Step {
        if fetch != nil { return advanceFetch(context) }
        if stored != nil { return takeStored(context) }
        guard let execution = context.store.execution(key) else {
            notes.append("the execution was deleted")
            return .piece(framed([], ending: "deleted"), last: true)
        }
        look(context)
        if let tail = context.liveTail(key) {
            return take(from: tail, execution)
        }
        guard execution.state.isEnded else {
            if execution.node == context.config.nodeName {
                return follows ? .wait : .piece([], last: true)
            }
            guard let mirror = context.mirror(key) else { return .ask }
            return mirror.isWhole || follows ? take(from: mirror.tail, execution) : .wait
        }
        fetch = OutputFetch(
            execution.historyKey(key.generation), hasOutput: execution.outputChunks > 0,
            limit: nil, context.history)
        return advanceFetch(context)
    }

    /// Remembers how much was printed, while the runner still knows. O(1).
    mutating func look(_ context: APIContext) {
        if let tail = context.liveTail(key) {
            total = tail.totalBytes
        } else if let mirror = context.mirror(key) {
            total = mirror.total
        }
    }

    /// Takes the bytes that `.read` asked for, nil if they could not be read.
    mutating func take(_ bytes: [UInt8]?, _ context: APIContext) {
        fetch?.take(bytes, context.history)
    }

    /// What keeps connections open and shows that the server lives.
    static let beat = Array(":\n\n".utf8)

    // MARK: Live

    private mutating func take(from tail: OutputTail, _ execution: Execution) -> Step {
        guard follows else {
            isCut = tail.isTruncated
            return .piece(Array(tail.bytes), last: true)
        }
        skip(to: tail.start)
        let isLast = execution.state.isEnded
        let most = tail.bytes(from: position, limit: Self.pieceSize)
        let rest = tail.totalBytes - min(tail.totalBytes, position)
        let isAll = UInt64(most.count) == rest
        let bytes = whole(most, mayHoldBack: !(isLast && isAll))
        position += UInt64(bytes.count)
        if isLast, isAll {
            return .piece(framed(bytes, ending: execution.state.text), last: true)
        }
        return bytes.isEmpty && notes.isEmpty
            ? .wait : .piece(framed(bytes, ending: nil), last: false)
    }

    /// Goes on where there is something, and says what is left out.
    private mutating func skip(to start: UInt64) {
        guard position < start else { return }
        let missing = start - position
        isCut = true
        if hasBegun || isResumed {
            notes.append("\(missing) bytes of output were skipped: they came too fast")
        } else if format == .events {
            notes.append("the first \(missing) bytes of the output are not kept")
        }
        position = start
    }

    // MARK: Stored

    private mutating func advanceFetch(_ context: APIContext) -> Step {
        switch fetch?.next() {
        case .read(let file, let offset, let length):
            return .read(file, offset: offset, length: length)
        case .done(let shown):
            fetch = nil
            if let problem = shown.problem {
                if !hasBegun { return .failed(problem) }
                notes.append(problem.rawValue)
                return .piece(framed([], ending: "unreadable"), last: true)
            }
            place(shown.bytes, context)
            return takeStored(context)
        case nil: return .wait
        }
    }

    /// Finds out where the stored bytes lie in the whole output.
    private mutating func place(_ bytes: [UInt8], _ context: APIContext) {
        let length = UInt64(bytes.count)
        if context.store.execution(key)?.hasProcessedOutput ?? false, position > 0 {
            // What this reader has is of another output, and all of that.
            notes.append("the job's processors have put another output in the place of this one")
            stored = ([], position)
            return
        }
        let isTruncated = context.store.execution(key)?.isOutputTruncated ?? false
        isCut = isCut || isTruncated
        if let total, total >= length {
            stored = (bytes, total - length)
            return skip(to: total - length)
        }
        stored = (bytes, 0)
        guard isTruncated else { return }
        // Nobody knows any more how much came before: better twice than not at all.
        if position > 0 {
            notes.append("all that is kept of the output follows")
        } else if hasBegun || format == .events {
            // The head has left, and could not say so.
            notes.append("the beginning of the output is not kept")
        }
        position = 0
    }

    private mutating func takeStored(_ context: APIContext) -> Step {
        guard let stored else { return .wait }
        let from = min(position - min(position, stored.start), UInt64(stored.bytes.count))
        let rest = stored.bytes[Int(from)...]
        guard follows else { return .piece(Array(rest), last: true) }
        let most = rest.prefix(Self.pieceSize)
        let isLast = most.count == rest.count
        let bytes = whole(most, mayHoldBack: !isLast)
        position = stored.start + from + UInt64(bytes.count)
        let state = context.store.execution(key)?.state.text ?? "deleted"
        return .piece(framed(bytes, ending: isLast ? state : nil), last: isLast)
    }

    // MARK: Framing

    /// An event holds whole characters and whole ends of lines; what is not whole comes with the
    /// next. Text has no such parts.
    private func whole(_ bytes: ArraySlice<UInt8>, mayHoldBack: Bool) -> ArraySlice<UInt8> {
        guard format == .events, mayHoldBack else { return bytes }
        if bytes.last == UInt8(ascii: "\r") { return bytes.dropLast() }
        var index = bytes.endIndex
        for length in 1...4 where index > bytes.startIndex {
            index -= 1
            let byte = bytes[index]
            if byte & 0xc0 == 0x80 { continue }
            let needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
            return needed > length ? bytes[..<index] : bytes
        }
        return bytes
    }

    /// The bytes with what is to be said before them, and the end after them.
    private mutating func framed(_ bytes: ArraySlice<UInt8>, ending: String?) -> [UInt8] {
        var output: [UInt8] = []
        for note in notes {
            output += (format == .text ? "\n[dkron: \(note)]\n" : ": \(note)\n\n").utf8
        }
        notes = []
        guard format == .events else { return output + bytes }
        if !bytes.isEmpty {
            output += "id: \(position)\n".utf8
            Self.appendData(bytes, to: &output)
        }
        if let ending { output += "event: end\nid: end\ndata: \(ending)\n\n".utf8 }
        return output
    }

    /// `data` fields, one for each line; CR, LF and CR LF end lines in events.
    private static func appendData(_ bytes: ArraySlice<UInt8>, to output: inout [UInt8]) {
        output += "data: ".utf8
        var isAfterReturn = false
        for byte in bytes {
            let isReturn = byte == UInt8(ascii: "\r")
            if byte == UInt8(ascii: "\n"), isAfterReturn {
                isAfterReturn = false
                continue
            }
            isAfterReturn = isReturn
            if isReturn || byte == UInt8(ascii: "\n") {
                output += "\ndata: ".utf8
            } else {
                output.append(byte)
            }
        }
        output += "\n\n".utf8
    }
}
