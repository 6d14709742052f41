// Requests out of bytes (RFC 9112), as they come.
//
// Strict where leniency has let attackers smuggle requests past a proxy (section 11.2): lines end
// with CR LF and nothing else, fields are not folded, a body has exactly one length. Where a
// request ends and what it means depends only on the bytes, never on how they were cut up; a
// refused one ends the connection, because nothing behind it can be trusted.

/// Turns the bytes of one connection into requests. Push bytes with `receive`, then call `next`
/// until it gives nil.
package struct HTTPRequestParser: Sendable {
    package enum Event: Hashable, Sendable {
        /// A whole request.
        case request(HTTPRequest)
        /// The client waits for `100 Continue` before it sends the body of the next request.
        case needContinue
        /// What came is refused. Always the last event.
        case failure(HTTPFailure)
    }

    /// What the next byte belongs to.
    package enum Phase: Hashable, Sendable {
        case idle
        case head
        case body
    }

    private enum State: Hashable, Sendable {
        case requestLine
        case fields
        case body(remaining: Int)
        case chunkSize
        case chunk(remaining: Int)
        case chunkEnd
        case trailers
        case failed
    }

    private let limits: HTTPLimits
    private let clientAddress: String
    private var state = State.requestLine
    private var buffer: [UInt8] = []
    /// Where the unread part of the buffer starts.
    private var start = 0
    /// Where the search for a line end goes on.
    private var scanned = 0

    /// The request that is being read.
    private var request = HTTPRequest(method: .get, target: "/")
    private var emptyLines = 0
    private var fieldBytes = 0
    private var bodyLimit = 0

    package init(limits: HTTPLimits = HTTPLimits(), clientAddress: String = "") {
        self.limits = limits
        self.clientAddress = clientAddress
    }

    // MARK: Events

    /// Takes bytes as they came. After a failure they are dropped.
    package mutating func receive(_ bytes: Span<UInt8>) {
        guard state != .failed else { return }
        if start == buffer.count {
            // A large body must not pin its memory for the rest of the connection.
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 << 10)
            (start, scanned) = (0, 0)
        } else if start > 64 << 10 || start > buffer.count / 2 {
            buffer.removeFirst(start)
            scanned -= start
            start = 0
        }
        bytes.withUnsafeBufferPointer { buffer.append(contentsOf: $0) }
    }

    /// The next thing that the bytes so far say; nil if it takes more of them.
    package mutating func next() -> Event? {
        do throws(HTTPFailure) {
            while let step = try step() {
                if case .event(let event) = step { return event }
            }
            return nil
        } catch {
            giveUp()
            return .failure(error)
        }
    }

    /// Reads no further, and lets go of what came.
    package mutating func giveUp() {
        state = .failed
        (buffer, start, scanned) = ([], 0, 0)
        request = HTTPRequest(method: .get, target: "/")
    }

    // MARK: Queries

    /// Bytes of requests that are not whole.
    package var heldBytes: Int { buffer.count - start + request.body.count }

    package var phase: Phase {
        switch state {
        case .failed: .idle
        case .requestLine: start == buffer.count ? .idle : .head
        case .fields: .head
        case .body, .chunkSize, .chunk, .chunkEnd, .trailers: .body
        }
    }

    /// Part of a request has come, and the rest has not.
    package var isMidRequest: Bool { phase != .idle }

    /// Bytes have come that no event has used up yet.
    package var hasBufferedBytes: Bool { start < buffer.count }

    // MARK: Steps

    private enum Step {
        case event(Event)
        case goOn
    }

    /// Moves on by one line or piece of body; nil if it takes more bytes.
    private mutating func step() throws(HTTPFailure) -> Step? {
        switch state {
        case .requestLine: return try requestLine()
        case .fields: return try field()
        case .body(let remaining):
            let taken = takeBody(remaining)
            if taken == remaining { return finish() }
            state = .body(remaining: remaining - taken)
            return nil
        case .chunkSize: return try chunkSize()
        case .chunk(let remaining):
            let taken = takeBody(remaining)
            guard taken == remaining else {
                state = .chunk(remaining: remaining - taken)
                return nil
            }
            state = .chunkEnd
            return .goOn
        case .chunkEnd:
            guard let line = try takeLine(limit: 0, else: .chunkTooLong) else { return nil }
            invariant(line.isEmpty, "a line of at most no bytes is empty")
            state = .chunkSize
            return .goOn
        case .trailers: return try trailer()
        case .failed: return nil
        }
    }

    private mutating func requestLine() throws(HTTPFailure) -> Step? {
        guard start < buffer.count else { return nil }
        // Told by its first byte, because what is no request may never send a line end.
        let first = buffer[start]
        guard first == UInt8(ascii: "\r") || HTTPSyntax.isToken(first) else {
            throw first == 0x16 ? .tlsOnPlainPort : .malformedRequestLine
        }
        guard let line = try takeLine(limit: limits.requestLine, else: .requestLineTooLong) else {
            return nil
        }
        if line.isEmpty {
            // Some clients end a body with a line end too many (section 2.2).
            emptyLines += 1
            if emptyLines > 2 { throw .malformedRequestLine }
            return .goOn
        }
        emptyLines = 0
        fieldBytes = 0
        request = try HTTPRequest(requestLine: buffer[line])
        request.clientAddress = clientAddress
        state = .fields
        return .goOn
    }

    private mutating func field() throws(HTTPFailure) -> Step? {
        let room = max(0, limits.fieldBytes - fieldBytes)
        guard let line = try takeLine(limit: room, else: .fieldsTooLong) else { return nil }
        if line.isEmpty { return try headIsComplete() }
        fieldBytes += line.count + 2
        guard request.headers.fields.count < limits.fields else { throw .tooManyFields }
        let (name, value) = try HTTPSyntax.field(buffer[line])
        request.headers.append(name, value)
        return .goOn
    }

    private mutating func headIsComplete() throws(HTTPFailure) -> Step {
        try request.checkHost()
        bodyLimit = limits.body(of: request.path)
        switch try request.bodyLength() {
        case .none:
            try checkExpectation(awaitsBody: false)
            return finish()
        case .known(let length):
            guard length <= bodyLimit else { throw .bodyTooLong(bodyLimit) }
            state = .body(remaining: length)
            request.body.reserveCapacity(min(length, 64 << 10))
        case .chunked:
            fieldBytes = 0
            state = .chunkSize
        }
        return try checkExpectation(awaitsBody: true) ? .event(.needContinue) : .goOn
    }

    @discardableResult
    private func checkExpectation(awaitsBody: Bool) throws(HTTPFailure) -> Bool {
        guard request.minorVersion > 0 else { return false }
        guard let expectation = request.headers["Expect"] else { return false }
        guard request.headers.count(of: "Expect") == 1,
            HTTPHeaders.equal(expectation, "100-continue")
        else {
            throw .unknownExpectation
        }
        return awaitsBody
    }

    private mutating func chunkSize() throws(HTTPFailure) -> Step? {
        guard let line = try takeLine(limit: limits.chunkLine, else: .chunkLineTooLong) else {
            return nil
        }
        let size = try HTTPSyntax.chunkSize(buffer[line])
        guard size <= UInt64(bodyLimit - request.body.count) else { throw .bodyTooLong(bodyLimit) }
        state = size == 0 ? .trailers : .chunk(remaining: Int(size))
        return .goOn
    }

    /// Trailers are checked and dropped: merging them into the header would let a body change
    /// what was decided before it came (RFC 9110 section 6.5.1).
    private mutating func trailer() throws(HTTPFailure) -> Step? {
        let room = max(0, limits.fieldBytes - fieldBytes)
        guard let line = try takeLine(limit: room, else: .fieldsTooLong) else { return nil }
        if line.isEmpty { return finish() }
        fieldBytes += line.count + 2
        _ = try HTTPSyntax.field(buffer[line])
        return .goOn
    }

    private mutating func finish() -> Step {
        var finished = HTTPRequest(method: .get, target: "/")
        swap(&finished, &request)
        state = .requestLine
        return .event(.request(finished))
    }

    // MARK: Bytes

    /// Moves up to `wanted` bytes into the body and returns how many there were.
    private mutating func takeBody(_ wanted: Int) -> Int {
        let taken = min(wanted, buffer.count - start)
        if taken > 0 { request.body.append(contentsOf: buffer[start..<(start + taken)]) }
        start += taken
        scanned = start
        return taken
    }

    /// Takes a line and returns its place without its line end; nil if its end has not come. The
    /// place is good until the next `receive`.
    ///
    /// What is wrong with a line shows when it ends or outgrows its limit, not earlier, so that
    /// the answer is the same however the bytes are cut up.
    private mutating func takeLine(
        limit: Int, else tooLong: HTTPFailure
    ) throws(HTTPFailure) -> Range<Int>? {
        guard let end = firstLineFeed() else {
            // The CR of its end may be the last byte that came.
            if buffer.count - start > limit + 1 { throw tooLong }
            return nil
        }
        guard end - start <= limit + 1 else { throw tooLong }
        guard end > start, buffer[end - 1] == UInt8(ascii: "\r") else { throw .bareLineFeed }
        let line = start..<(end - 1)
        start = end + 1
        scanned = start
        return line
    }

    private mutating func firstLineFeed() -> Int? {
        let found = Self.firstLineFeed(in: buffer.span, from: max(scanned, start))
        scanned = found ?? buffer.count
        return found
    }

    private static func firstLineFeed(in bytes: Span<UInt8>, from start: Int) -> Int? {
        for index in start..<bytes.count where bytes[index] == UInt8(ascii: "\n") {
            return index
        }
        return nil
    }
}
