// An answer out of bytes (RFC 9112), as they come: the client's side of a connection.
//
// A body is handed on in pieces and never collected, so that an answer without end costs no more
// than its head. What an answer means depends only on its bytes and on where they end, never on how
// they were cut up. One parser reads one answer; `leavesConnectionUsable` says whether another one
// may be asked for behind it, and what a server adds unasked speaks against it.

/// The head of an answer.
package struct HTTPResponseHead: Hashable, Sendable {
    /// 200 ... 999: the last digits of the classes are not checked (RFC 9110 section 15).
    package var status: Int
    /// What stands behind the status, perhaps nothing. Bytes that are not UTF-8 become U+FFFD.
    package var reason: String
    package var headers: HTTPHeaders
    /// The minor version: 0 or 1.
    package var minorVersion: Int

    package init(
        status: Int, reason: String = "", headers: HTTPHeaders = [:], minorVersion: Int = 1
    ) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.minorVersion = minorVersion
    }
}

/// Turns the bytes of a connection into one answer. Push bytes with `receive`, their end with
/// `receiveEnd`, and after each call `next` until it gives nil.
///
/// Lenient where RFC 9112 lets a client be and servers need it: a bare line feed ends a line of the
/// head, a folded field is unfolded, interim answers are skipped, a length that is repeated alike
/// counts once. Strict about where a body ends.
package struct HTTPResponseParser: Sendable {
    package enum Event: Hashable, Sendable {
        /// The head of the final answer; comes once and first.
        case head(HTTPResponseHead)
        /// The next bytes of the body, at least one.
        case body([UInt8])
        /// The answer is whole. Always the last event.
        case end
        /// What came is no answer, or not all of it. Always the last event.
        case failure(HTTPResponseFailure)
    }

    private enum State: Hashable, Sendable {
        case statusLine
        case fields
        case body(remaining: Int)
        case bodyUntilClose
        case chunkSize
        case chunk(remaining: Int)
        case chunkEnd
        case trailers
        case complete
        case finished
    }

    private let limits: HTTPResponseLimits
    private let isHead: Bool
    private var state = State.statusLine
    private var buffer: [UInt8] = []
    /// Where the unread part of the buffer starts.
    private var start = 0
    /// Where the search for a line end goes on.
    private var scanned = 0
    private var hasEnded = false
    /// A byte of the answer has come.
    package private(set) var hasBegun = false
    /// The answer is whole, its end was told by its length or its chunks, the server means to go
    /// on, and nothing came behind it: the connection may carry another request.
    package private(set) var leavesConnectionUsable = false
    /// The body's end is that of the connection.
    private var endsWithConnection = false

    private var head = HTTPResponseHead(status: 200)
    private var fieldBytes = 0
    private var interim = 0
    private var bodyBytes = 0

    /// - Parameter isHead: the request was HEAD, so that no body follows whatever the head says.
    package init(limits: HTTPResponseLimits = HTTPResponseLimits(), isHead: Bool = false) {
        self.limits = limits
        self.isHead = isHead
    }

    // MARK: Events

    /// Takes bytes as they came. After the last event they are dropped.
    package mutating func receive(_ bytes: Span<UInt8>) {
        guard state != .finished, !hasEnded, bytes.count > 0 else { return }
        hasBegun = true
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            (start, scanned) = (0, 0)
        } else if start > buffer.count / 2 {
            buffer.removeFirst(start)
            scanned -= start
            start = 0
        }
        bytes.withUnsafeBufferPointer { buffer.append(contentsOf: $0) }
    }

    /// The server has closed its side: no more bytes follow.
    package mutating func receiveEnd() { hasEnded = true }

    /// The next thing that the bytes so far say; nil if it takes more of them, or after the last
    /// event.
    package mutating func next() -> Event? {
        do throws(HTTPResponseFailure) {
            while let step = try step() {
                guard case .event(let event) = step else { continue }
                if event == .end {
                    leavesConnectionUsable =
                        start == buffer.count && !hasEnded && !endsWithConnection
                        && head.keepsConnection
                    finish()
                }
                return event
            }
            guard hasEnded, state != .finished else { return nil }
            return try end()
        } catch {
            finish()
            return .failure(error)
        }
    }

    /// Whether the last event has been given.
    package var isFinished: Bool { state == .finished }

    private mutating func finish() {
        state = .finished
        (buffer, start, scanned) = ([], 0, 0)
    }

    /// What the end of the connection means when nothing is left that could be read.
    private mutating func end() throws(HTTPResponseFailure) -> Event {
        switch state {
        case .bodyUntilClose:
            finish()
            return .end
        case .statusLine where !hasBegun: throw .noAnswer
        case .statusLine, .fields: throw .endedInHead
        default: throw .endedInBody
        }
    }

    // MARK: Steps

    private enum Step {
        case event(Event)
        case goOn
    }

    /// Moves on by one line or piece of body; nil if it takes more bytes.
    private mutating func step() throws(HTTPResponseFailure) -> Step? {
        switch state {
        case .statusLine: return try statusLine()
        case .fields: return try field()
        case .body(let remaining):
            guard let piece = take(remaining) else { return nil }
            let rest = remaining - piece.count
            state = rest == 0 ? .complete : .body(remaining: rest)
            return .event(.body(piece))
        case .bodyUntilClose:
            guard start < buffer.count else { return nil }
            guard let piece = take(limits.body - bodyBytes) else {
                throw .bodyTooLong(limits.body)
            }
            bodyBytes += piece.count
            return .event(.body(piece))
        case .chunkSize: return try chunkSize()
        case .chunk(let remaining):
            guard let piece = take(remaining) else { return nil }
            let rest = remaining - piece.count
            state = rest == 0 ? .chunkEnd : .chunk(remaining: rest)
            return .event(.body(piece))
        case .chunkEnd:
            guard let line = try takeLine(limit: 0, else: .malformedChunk, strict: true) else {
                return nil
            }
            invariant(line.isEmpty, "a line of at most no bytes is empty")
            state = .chunkSize
            return .goOn
        case .trailers: return try trailer()
        case .complete: return .event(.end)
        case .finished: return nil
        }
    }

    private mutating func statusLine() throws(HTTPResponseFailure) -> Step? {
        // Told by its first bytes, because what is no answer may never send a line end.
        for (offset, wanted) in "HTTP/".utf8.enumerated() where start + offset < buffer.count {
            guard buffer[start + offset] == wanted else {
                throw buffer[start] == 0x15 || buffer[start] == 0x16 ? .tls : .notHTTP
            }
        }
        guard let line = try takeLine(limit: limits.statusLine, else: .headTooLong) else {
            return nil
        }
        head = try HTTPResponseHead(statusLine: buffer[line])
        fieldBytes = 0
        state = .fields
        return .goOn
    }

    private mutating func field() throws(HTTPResponseFailure) -> Step? {
        let room = max(0, limits.fieldBytes - fieldBytes)
        guard let line = try takeLine(limit: room, else: .headTooLong) else { return nil }
        if line.isEmpty { return try headIsComplete() }
        fieldBytes += line.count + 2
        if HTTPSyntax.isSpace(buffer[line.lowerBound]) {
            try head.unfold(buffer[line])
            return .goOn
        }
        guard head.headers.fields.count < limits.fields else { throw .headTooLong }
        let (name, value) = try Self.field(buffer[line])
        head.headers.append(name, value)
        return .goOn
    }

    private static func field(
        _ line: ArraySlice<UInt8>
    ) throws(HTTPResponseFailure) -> (String, String) {
        do throws(HTTPFailure) { return try HTTPSyntax.field(line) } catch {
            throw .malformedField
        }
    }

    private mutating func headIsComplete() throws(HTTPResponseFailure) -> Step {
        if head.status < 200 {
            // We never ask for another protocol, and what follows would be one.
            if head.status == 101 { throw .switchedProtocol }
            interim += 1
            if interim > limits.interim { throw .tooManyInterim }
            state = .statusLine
            return .goOn
        }
        let length = try head.bodyLength()
        if isHead || head.status == 204 || head.status == 304 {
            state = .complete
            return .event(.head(head))
        }
        switch length {
        case .chunked: state = .chunkSize
        case .none:
            state = .bodyUntilClose
            endsWithConnection = true
        case .known(let count):
            guard count <= limits.body else { throw .bodyTooLong(limits.body) }
            state = count == 0 ? .complete : .body(remaining: count)
        }
        fieldBytes = 0
        return .event(.head(head))
    }

    private mutating func chunkSize() throws(HTTPResponseFailure) -> Step? {
        guard
            let line = try takeLine(limit: limits.chunkLine, else: .malformedChunk, strict: true)
        else { return nil }
        let size: UInt64
        do throws(HTTPFailure) { size = try HTTPSyntax.chunkSize(buffer[line]) } catch {
            throw .malformedChunk
        }
        guard size <= UInt64(limits.body - bodyBytes) else { throw .bodyTooLong(limits.body) }
        bodyBytes += Int(size)
        state = size == 0 ? .trailers : .chunk(remaining: Int(size))
        return .goOn
    }

    /// Trailers are checked and dropped: nothing here waits for what a body says of itself.
    private mutating func trailer() throws(HTTPResponseFailure) -> Step? {
        let room = max(0, limits.fieldBytes - fieldBytes)
        guard let line = try takeLine(limit: room, else: .headTooLong, strict: true) else {
            return nil
        }
        if line.isEmpty {
            state = .complete
            return .goOn
        }
        fieldBytes += line.count + 2
        _ = try Self.field(buffer[line])
        return .goOn
    }

    // MARK: Bytes

    /// Takes up to `wanted` bytes; nil if there are none, or none are wanted.
    private mutating func take(_ wanted: Int) -> [UInt8]? {
        let count = min(wanted, buffer.count - start)
        guard count > 0 else { return nil }
        let piece = Array(buffer[start..<(start + count)])
        start += count
        scanned = start
        return piece
    }

    /// Takes a line and returns its place without its line end; nil if its end has not come. The
    /// place is good until the next `receive`.
    ///
    /// - Parameter strict: a line ends with CR LF; otherwise the CR may be missing.
    private mutating func takeLine(
        limit: Int, else tooLong: HTTPResponseFailure, strict: Bool = false
    ) throws(HTTPResponseFailure) -> Range<Int>? {
        guard let feed = buffer[max(scanned, start)...].firstIndex(of: UInt8(ascii: "\n")) else {
            scanned = buffer.count
            // The CR of its end may be the last byte that came.
            if buffer.count - start > limit + 1 { throw tooLong }
            return nil
        }
        let hasReturn = feed > start && buffer[feed - 1] == UInt8(ascii: "\r")
        let end = hasReturn ? feed - 1 : feed
        guard end - start <= limit else { throw tooLong }
        if strict, !hasReturn { throw .malformedChunk }
        let line = start..<end
        start = feed + 1
        scanned = start
        return line
    }
}

extension HTTPResponseHead {
    /// Whether the server keeps the connection open behind this answer (section 9.3).
    fileprivate var keepsConnection: Bool {
        guard !headers.list("Connection", contains: "close") else { return false }
        return minorVersion > 0 || headers.list("Connection", contains: "keep-alive")
    }

    /// Version, status, and perhaps a reason (RFC 9112 section 4). The space before an absent
    /// reason may be missing too.
    init(statusLine line: ArraySlice<UInt8>) throws(HTTPResponseFailure) {
        let bytes = Array(line)
        guard bytes.count >= 12, bytes.starts(with: "HTTP/".utf8), bytes[6] == UInt8(ascii: "."),
            bytes[5] &- 0x30 < 10, bytes[7] &- 0x30 < 10, bytes[8] == 0x20
        else { throw .malformedStatusLine }
        guard bytes[5] == UInt8(ascii: "1") else { throw .unknownVersion }
        var status = 0
        for byte in bytes[9..<12] {
            guard byte &- 0x30 < 10 else { throw .malformedStatusLine }
            status = status * 10 + Int(byte - 0x30)
        }
        guard status >= 100, bytes.count == 12 || bytes[12] == 0x20 else {
            throw .malformedStatusLine
        }
        let reason = bytes.dropFirst(13)
        for byte in reason where HTTPSyntax.isControl(byte) { throw .malformedStatusLine }
        self.init(
            status: status, reason: String(decoding: reason, as: UTF8.self),
            minorVersion: bytes[7] == UInt8(ascii: "0") ? 0 : 1)
    }

    /// Joins a folded line to the field before it by one space (section 5.2). Behind the status
    /// line there is none to join: such a line is how answers are split.
    fileprivate mutating func unfold(
        _ line: ArraySlice<UInt8>
    ) throws(HTTPResponseFailure) {
        guard let last = headers.fields.last else { throw .malformedField }
        var rest = line.drop(while: HTTPSyntax.isSpace)
        while let byte = rest.last, HTTPSyntax.isSpace(byte) { rest.removeLast() }
        for byte in rest where HTTPSyntax.isControl(byte) { throw .malformedField }
        let joined = last.value + " " + String(decoding: rest, as: UTF8.self)
        headers.replaceLast(with: .init(last.name, rest.isEmpty ? last.value : joined))
    }

    /// Where the body ends (section 6.3). Chunks win over a length; lengths that differ are
    /// refused.
    fileprivate func bodyLength() throws(HTTPResponseFailure) -> HTTPBodyLength {
        if headers.contains("Transfer-Encoding") {
            let codings = headers.list("Transfer-Encoding")
            guard codings.count == 1, HTTPHeaders.equal(codings[0], "chunked") else {
                throw .unknownCoding
            }
            return .chunked
        }
        let fields = headers.values(of: "Content-Length")
        guard !fields.isEmpty else { return .none }
        let lengths = headers.list("Content-Length")
        guard let first = lengths.first, lengths.allSatisfy({ $0 == first }),
            first.utf8.allSatisfy({ $0 &- 0x30 < 10 })
        else { throw .ambiguousLength }
        // A number beyond Int is beyond every limit too.
        return .known(Int(first) ?? .max)
    }
}
