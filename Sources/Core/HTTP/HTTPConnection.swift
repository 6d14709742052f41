// One client's connection without its socket: bytes and answers in, requests and bytes out.
//
// The driver owns the socket and does, whenever something happened: read while `wantsRead` and
// push with `receive` (at the end of the stream `receiveEnd`), hand every `nextRequest` to the
// node, send `outgoing` and tell `didSend`, shut its sending side once `wantsShutdown`, close the
// socket once `isClosed`, and arm a timer for `deadline` that calls `expire`.
//
// Answers may come in any order; they leave in the order of their requests. What bounds a client:
// the parser's limits, the number of requests under way, and the bytes that wait to be sent.

package struct HTTPConnection: Sendable {
    private let limits: HTTPLimits
    private let timeouts: HTTPTimeouts
    private var parser: HTTPRequestParser

    /// Requests that are not answered to the end, oldest first.
    private var slots: [Slot] = []
    private var nextNumber: UInt64 = 1
    private var output: [UInt8] = []
    private var sent = 0
    private var stage = Stage.open
    private var isStopping = false
    private var clientHasEnded = false
    /// The client waits for `100 Continue`, which may not overtake earlier answers.
    private var owesContinue = false

    /// When the last request was answered.
    private var idleSince: Instant
    /// When the first byte of a half come header came.
    private var headSince: Instant?
    /// When a byte last came, or reading went on after a pause.
    private var receivedAt: Instant
    /// When a byte last went, or began to wait.
    private var sentAt: Instant

    private enum Stage: Hashable, Sendable {
        /// Requests are read.
        case open
        /// No further request is read; what is under way is answered.
        case finishing
        /// Everything is sent and our end is shut; what the client still sends is dropped until it
        /// shuts its end, because closing at once could destroy the answer on its way (RFC 9112
        /// section 9.6).
        case lingering(since: Instant)
        case closed
    }

    /// A request on its way to being answered.
    private struct Slot: Sendable {
        let number: UInt64
        let isHead: Bool
        let minorVersion: Int
        /// Of the request's body, which the node has until it answers.
        let bodyBytes: Int
        var keepAlive: Bool
        /// Nil until the answer's header is there.
        var framing: HTTPFraming?
        var isFinished = false
        /// What leaves when all earlier answers have left.
        var bytes: [UInt8] = []
        /// A piece of the stream came since `nextDrained` last named this one.
        var owesDrained = false
    }

    package init(
        clientAddress: String, limits: HTTPLimits = HTTPLimits(),
        timeouts: HTTPTimeouts = HTTPTimeouts(), at now: Instant
    ) {
        self.limits = limits
        self.timeouts = timeouts
        parser = HTTPRequestParser(limits: limits, clientAddress: clientAddress)
        (idleSince, receivedAt, sentAt) = (now, now, now)
    }

    // MARK: From the client

    /// Takes bytes that came. They are dropped once no further request is read.
    package mutating func receive(_ bytes: Span<UInt8>, at now: Instant) {
        guard bytes.count > 0, stage == .open else { return }
        receivedAt = now
        parser.receive(bytes)
    }

    /// The client has shut its end: what is under way is answered, nothing more is read.
    package mutating func receiveEnd(at now: Instant) {
        clientHasEnded = true
        switch stage {
        case .open, .finishing:
            stage = .finishing
            endIfDone(at: now)
        case .lingering: stage = .closed
        case .closed: break
        }
    }

    /// The next request for the node, under the number that its answer carries. Call it until it
    /// gives nil, after `receive` and after `didSend`.
    package mutating func nextRequest(at now: Now) -> (number: UInt64, request: HTTPRequest)? {
        while stage == .open, hasRoom, let event = parser.next() {
            switch event {
            case .needContinue:
                owesContinue = true
                flush(at: now.monotonic)
            case .failure(let failure): refuse(failure, at: now)
            case .request(let request):
                headSince = nil
                owesContinue = false
                return (admit(request), request)
            }
        }
        if parser.phase != .head {
            headSince = nil
        } else if headSince == nil {
            headSince = now.monotonic
        }
        return nil
    }

    // MARK: From the node

    /// Gives a request its answer, or the answer's header if the body is a stream. False if the
    /// request is gone, with its connection or because an earlier answer closed it: the node
    /// should abandon a stream then.
    @discardableResult
    package mutating func respond(
        _ number: UInt64, _ response: HTTPResponse, at now: Now
    ) -> Bool {
        guard stage != .closed, let index = slots.firstIndex(where: { $0.number == number }),
            slots[index].framing == nil
        else { return false }
        var slot = slots[index]
        let isLast = index == slots.count - 1
        if response.close || isLast && stage == .finishing
            || slot.minorVersion == 0 && response.body == .stream
        {
            slot.keepAlive = false
        }
        let framing = HTTPResponseWriter.write(
            response, isHead: slot.isHead, minorVersion: slot.minorVersion,
            keepAlive: slot.keepAlive, date: now.wall, to: &slot.bytes)
        slot.framing = framing
        slot.isFinished = response.body != .stream
        slot.owesDrained = response.body == .stream
        slots[index] = slot
        if !slot.keepAlive {
            stage = .finishing
            slots.removeLast(slots.count - 1 - index)
        }
        flush(at: now.monotonic)
        return true
    }

    /// Appends a piece to the stream that answers a request. False if the request is gone.
    @discardableResult
    package mutating func respondChunk(
        _ number: UInt64, _ piece: [UInt8], last: Bool, at now: Now
    ) -> Bool {
        guard stage != .closed, let index = slots.firstIndex(where: { $0.number == number }),
            let framing = slots[index].framing, !slots[index].isFinished
        else { return false }
        HTTPResponseWriter.piece(piece, last: last, framing: framing, to: &slots[index].bytes)
        slots[index].isFinished = last
        slots[index].owesDrained = !last
        flush(at: now.monotonic)
        return true
    }

    /// The number of a stream whose pieces have all been sent since it was last named here, and
    /// which wants its next one. Call it until it gives nil, after `didSend` and `respond…`.
    package mutating func nextDrained() -> UInt64? {
        guard let first = slots.first, first.owesDrained, !hasOutgoing, stage != .closed else {
            return nil
        }
        slots[0].owesDrained = false
        return first.number
    }

    // MARK: To the client

    /// What waits to be sent. Drop this value before `didSend`, or its memory is copied.
    package var outgoing: ArraySlice<UInt8> { output[sent...] }

    package var hasOutgoing: Bool { sent < output.count }

    /// The socket took the first `count` bytes of `outgoing`.
    package mutating func didSend(_ count: Int, at now: Instant) {
        invariant(0 <= count && count <= output.count - sent, "no more is sent than was there")
        guard count > 0 else { return }
        let hadRoom = hasRoom
        sent += count
        sentAt = now
        if sent == output.count {
            // A large answer must not pin its memory for the rest of the connection.
            output.removeAll(keepingCapacity: output.capacity <= 64 << 10)
            sent = 0
        }
        if !hadRoom { resume(at: now) }
        endIfDone(at: now)
    }

    // MARK: Ends

    /// Refuses the request that is coming in: others hold the memory for it.
    package mutating func refuseForMemory(at now: Now) {
        if stage == .open, parser.isMidRequest { refuse(.noMemory, at: now) }
    }

    /// Finishes what is under way and closes. A request that has started to come in is still
    /// taken, answered, and the last.
    package mutating func beginShutdown(at now: Instant) {
        isStopping = true
        guard stage == .open, !parser.isMidRequest else { return }
        stage = slots.isEmpty && !hasOutgoing ? .closed : .finishing
    }

    /// The socket failed, or the driver gives up: nothing more is sent or taken.
    package mutating func abort() {
        stage = .closed
        output = []
        sent = 0
    }

    // MARK: Queries

    /// Whether the driver should read from the socket. False puts pressure on the client: it has
    /// too many requests under way or does not take its answers.
    package var wantsRead: Bool {
        switch stage {
        case .open: hasRoom
        // Reading on is how the client's end is seen.
        case .lingering: true
        case .finishing, .closed: false
        }
    }

    /// Whether the driver should shut the socket's sending side (once).
    package var wantsShutdown: Bool {
        if case .lingering = stage { true } else { false }
    }

    /// Whether the driver should close the socket and forget the connection. Requests that are
    /// still in `unanswered` are abandoned.
    package var isClosed: Bool { stage == .closed }

    /// Nothing is under way: no request half come, unanswered or half sent.
    package var isDrained: Bool { slots.isEmpty && !hasOutgoing && !parser.isMidRequest }

    /// The numbers of requests that have no whole answer yet.
    package var unanswered: [UInt64] { slots.filter { !$0.isFinished }.map(\.number) }

    /// Bytes of requests that are coming in or not answered.
    package var heldBytes: Int {
        slots.reduce(parser.heldBytes) { $0 + ($1.framing == nil ? $1.bodyBytes : 0) }
    }

    /// When `expire` has something to do if nothing else happens; nil while the node is waited for.
    package var deadline: Instant? { nextTimeout?.deadline }

    /// Whether `expire` has something to do now.
    package func timedOut(at now: Instant) -> Bool {
        nextTimeout.map { $0.deadline <= now } ?? false
    }

    /// Acts on a time-out that is due: refuses a request that comes too slowly with 408, ends a
    /// connection that is idle, stalled or lingers. Does nothing before `deadline`.
    package mutating func expire(at now: Now) {
        guard let timeout = nextTimeout, timeout.deadline <= now.monotonic else { return }
        switch timeout.reason {
        case .idle, .write, .linger: abort()
        case .head: refuse(.headTooSlow, at: now)
        case .body: refuse(.bodyTooSlow, at: now)
        }
    }

    // MARK: Private

    private enum TimeoutReason {
        case idle
        case head
        case body
        case write
        case linger
    }

    private var nextTimeout: (deadline: Instant, reason: TimeoutReason)? {
        switch stage {
        case .closed: return nil
        case .lingering(let since): return (since + timeouts.linger, .linger)
        case .open, .finishing: break
        }
        let write = hasOutgoing ? sentAt + timeouts.write : .distantFuture
        if stage == .open, hasRoom {
            let read: (deadline: Instant, reason: TimeoutReason)? =
                switch parser.phase {
                case .idle: isDrained ? (idleSince + timeouts.idle, .idle) : nil
                case .head: headSince.map { ($0 + timeouts.head, .head) }
                case .body: (receivedAt + timeouts.body, .body)
                }
            if let read, read.deadline < write { return read }
        }
        return hasOutgoing ? (write, .write) : nil
    }

    private var hasRoom: Bool {
        slots.count < limits.pipelined && output.count - sent < limits.unsent
    }

    /// Reading goes on after a pause that was ours: the client's time starts anew.
    private mutating func resume(at now: Instant) {
        guard hasRoom else { return }
        receivedAt = now
        if headSince != nil { headSince = now }
    }

    private mutating func admit(_ request: HTTPRequest) -> UInt64 {
        let options = request.headers.list("Connection")
        let wantsClose = options.contains { HTTPHeaders.equal($0, "close") }
        let wantsMore =
            request.minorVersion > 0 || options.contains { HTTPHeaders.equal($0, "keep-alive") }
        return open(
            isHead: request.method == .head, minorVersion: request.minorVersion,
            bodyBytes: request.body.count, keepAlive: wantsMore && !wantsClose && !isStopping)
    }

    private mutating func open(
        isHead: Bool, minorVersion: Int, bodyBytes: Int, keepAlive: Bool
    ) -> UInt64 {
        let number = nextNumber
        nextNumber += 1
        slots.append(
            Slot(
                number: number, isHead: isHead, minorVersion: minorVersion, bodyBytes: bodyBytes,
                keepAlive: keepAlive))
        if !keepAlive { stage = .finishing }
        return number
    }

    /// Answers what cannot be read in the shape of all errors, and reads no further.
    private mutating func refuse(_ failure: HTTPFailure, at now: Now) {
        let number = open(isHead: false, minorVersion: 1, bodyBytes: 0, keepAlive: false)
        parser.giveUp()
        headSince = nil
        owesContinue = false
        // The sentences are ours and need no escapes.
        let body = "{\"error\":\"\(failure.message)\",\"code\":\"\(failure.code)\"}"
        var headers: HTTPHeaders = ["Content-Type": "application/json; charset=utf-8"]
        if failure.status == 503 { headers.append("Retry-After", "5") }
        respond(
            number,
            HTTPResponse(
                status: failure.status, headers: headers, body: .bytes(Array(body.utf8))), at: now)
    }

    /// Moves what may leave now to the output.
    private mutating func flush(at now: Instant) {
        let hadRoom = hasRoom
        while let first = slots.first, first.framing != nil {
            append(first.bytes, at: now)
            guard first.isFinished else {
                slots[0].bytes = []
                break
            }
            slots.removeFirst()
        }
        if slots.isEmpty, owesContinue {
            owesContinue = false
            var bytes: [UInt8] = []
            HTTPResponseWriter.writeContinue(to: &bytes)
            append(bytes, at: now)
        }
        if !hadRoom { resume(at: now) }
        endIfDone(at: now)
    }

    private mutating func append(_ bytes: [UInt8], at now: Instant) {
        guard !bytes.isEmpty else { return }
        if !hasOutgoing { sentAt = now }
        if output.isEmpty {
            output = bytes
            return
        }
        if sent > output.count / 2 {
            output.removeFirst(sent)
            sent = 0
        }
        output.append(contentsOf: bytes)
    }

    private mutating func endIfDone(at now: Instant) {
        guard slots.isEmpty, !hasOutgoing else { return }
        switch stage {
        case .open: idleSince = now
        case .finishing: stage = clientHasEnded ? .closed : .lingering(since: now)
        case .lingering, .closed: break
        }
    }
}
