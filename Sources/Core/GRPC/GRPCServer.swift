// Calls over one HTTP/2 connection: the server's side.
//
// The driver drives `http` as any connection, but takes events from here, and arms its timer for
// `deadline` of this value. What no method is declared for is answered here.

/// A method that a server offers.
package struct GRPCMethod: Hashable, Sendable {
    /// `/package.Service/Method`.
    package let path: String
    /// How many messages the client sends.
    package let requests: GRPCCount

    package init(_ path: String, requests: GRPCCount = .one) {
        self.path = path
        self.requests = requests
    }
}

/// What a server hears of its calls.
package enum GRPCServerEvent: Hashable, Sendable {
    /// A whole call of a method that takes one message.
    case request(call: UInt64, method: String, GRPCMetadata, [UInt8])
    /// A call of a method that takes a stream of messages.
    case opened(call: UInt64, method: String, GRPCMetadata)
    case message(call: UInt64, [UInt8])
    /// The client has sent its last message.
    case halfClosed(call: UInt64)
    /// `hasRoom` was false and is true now.
    case writable(call: UInt64)
    /// A call that was told is over before we have ended it: cancelled, too late, or cut off.
    case ended(call: UInt64, GRPCStatus)
    /// The connection is over; all calls have ended before. It is the last event.
    case closed(HTTP2Failure?)
}

package struct GRPCServer: Sendable {
    /// The connection below, for the driver: bytes in and out.
    package var http: HTTP2Connection
    private let methods: [GRPCMethod]
    private let messageLimit: Int
    private var calls: [UInt64: Call] = [:]
    private var deadlines = GRPCDeadlines()
    private var events = RingBuffer<GRPCServerEvent>()

    private struct Call: Sendable {
        let method: GRPCMethod
        let metadata: GRPCMetadata
        let stream: UInt32
        var deframer: GRPCDeframer
        /// Of a method that takes one message.
        var message: [UInt8]?
        /// The user has heard of it.
        var isTold = false
        var hasSentHead = false
    }

    /// - Parameters:
    ///   - methods: what is offered; anything else is UNIMPLEMENTED.
    ///   - messageLimit: the largest message that is taken, in bytes.
    package init(
        methods: [GRPCMethod], limits: HTTP2Limits = HTTP2Limits(),
        timeouts: HTTP2Timeouts = HTTP2Timeouts(), messageLimit: Int = 4 << 20, at now: Instant
    ) {
        http = HTTP2Connection(role: .server, limits: limits, timeouts: timeouts, at: now)
        self.methods = methods
        self.messageLimit = messageLimit
    }

    package var openCalls: Int { calls.count }

    // MARK: Answers

    /// Sends metadata ahead of the first message. False if the call is gone or has begun to answer.
    @discardableResult
    package mutating func sendMetadata(
        _ number: UInt64, _ metadata: GRPCMetadata, at now: Instant
    ) -> Bool {
        guard let call = calls[number], !call.hasSentHead else { return false }
        calls[number]?.hasSentHead = true
        var fields = Self.head
        metadata.write(to: &fields)
        return respond(call.stream, fields, ends: false, at: now)
    }

    /// Sends a message. False if the call is gone.
    @discardableResult
    package mutating func send(_ number: UInt64, _ message: [UInt8], at now: Instant) -> Bool {
        guard let call = calls[number] else { return false }
        sendMetadata(number, GRPCMetadata(), at: now)
        return http.send(call.stream, GRPCFraming.frame(message), ends: false, at: now)
    }

    /// Ends a call. False if it is gone.
    @discardableResult
    package mutating func finish(
        _ number: UInt64, _ status: GRPCStatus = .ok, trailers: GRPCMetadata = GRPCMetadata(),
        at now: Instant
    ) -> Bool {
        guard let call = calls.removeValue(forKey: number) else { return false }
        compactDeadlines()
        var fields = call.hasSentHead ? HTTP2Fields() : Self.head
        status.write(to: &fields)
        trailers.write(to: &fields)
        guard call.hasSentHead else {
            return respond(call.stream, fields, ends: true, at: now)
        }
        return (try? http.sendTrailers(call.stream, fields, at: now)) ?? false
    }

    /// Sends the only message of an answer and ends the call. False if it is gone.
    @discardableResult
    package mutating func answer(_ number: UInt64, _ message: [UInt8], at now: Instant) -> Bool {
        guard send(number, message, at: now) else { return false }
        return finish(number, at: now)
    }

    /// Whether a call's messages should go on.
    package func hasRoom(_ number: UInt64) -> Bool {
        calls[number].map { http.hasRoom($0.stream) } ?? false
    }

    // MARK: Events and time

    /// The next event. Call it until it gives nil, after everything else, `http`'s functions
    /// included. What is not taken makes the client wait.
    package mutating func nextEvent(at now: Instant) -> GRPCServerEvent? {
        while true {
            if let event = events.popFirst() { return event }
            guard let event = http.nextEvent() else { return nil }
            take(event, at: now)
        }
    }

    /// When `expire` has something to do if nothing else happens.
    package var deadline: Instant? { deadlines.next(orElse: http.deadline) }

    /// Ends calls whose time is over, and does what the connection has to.
    package mutating func expire(at now: Instant) {
        while let number = deadlines.popDue(at: now) {
            let status = GRPCStatus(.deadlineExceeded, "the call's time was over")
            breakOff(number, status, at: now)
        }
        http.expire(at: now)
    }

    // MARK: Private

    private static let head: HTTP2Fields = [
        HTTP2Field(":status", "200"), HTTP2Field("content-type", "application/grpc"),
    ]

    private mutating func respond(
        _ stream: UInt32, _ fields: HTTP2Fields, ends: Bool, at now: Instant
    ) -> Bool {
        (try? http.respond(stream, fields, ends: ends, at: now)) ?? false
    }

    private mutating func compactDeadlines() {
        deadlines.compact(to: calls.count) { [calls] in calls[$0] != nil }
    }

    /// Ends a call for a reason of its own, and tells whoever has heard of it.
    private mutating func breakOff(_ number: UInt64, _ status: GRPCStatus, at now: Instant) {
        guard let isTold = calls[number]?.isTold else { return }
        finish(number, status, at: now)
        if isTold { events.append(.ended(call: number, status)) }
    }

    private mutating func take(_ event: HTTP2Event, at now: Instant) {
        switch event {
        case .interim, .goAway: break
        case .writable(let stream): events.append(.writable(call: UInt64(stream)))
        case .head(let stream, let fields, let ends):
            takeHead(stream, fields, ends, at: now)
        case .data(let stream, let bytes, let ends):
            http.consume(stream, bytes.count, at: now)
            takeData(UInt64(stream), bytes, ends, at: now)
        case .trailers(let stream, _): takeData(UInt64(stream), [], true, at: now)
        case .reset(let stream, let reset):
            gone(UInt64(stream), GRPCStatus(reset))
        case .closed(let failure):
            let reason = failure?.description ?? "the connection was closed"
            for number in calls.keys.sorted() { gone(number, GRPCStatus(.cancelled, reason)) }
            events.append(.closed(failure))
        }
    }

    /// The stream of a call has ended by itself.
    private mutating func gone(_ number: UInt64, _ status: GRPCStatus) {
        guard let call = calls.removeValue(forKey: number) else { return }
        if call.isTold { events.append(.ended(call: number, status)) }
        compactDeadlines()
    }

    private mutating func takeHead(
        _ stream: UInt32, _ fields: HTTP2Fields, _ ends: Bool, at now: Instant
    ) {
        let type = fields["content-type"] ?? ""
        guard fields.method == "POST", type.hasPrefix("application/grpc") else {
            let status = fields.method == "POST" ? "415" : "405"
            _ = respond(stream, [HTTP2Field(":status", status)], ends: true, at: now)
            return
        }
        let path = fields.path ?? ""
        let encoding = fields["grpc-encoding"] ?? "identity"
        let timeout = fields["grpc-timeout"].map { GRPCTimeout.parse($0) }
        guard let method = methods.first(where: { $0.path == path }) else {
            return refuse(
                stream, GRPCStatus(.unsupported, "there is no method \(path) here"), at: now)
        }
        guard encoding == "identity" else {
            let status = GRPCStatus(
                .unsupported, "messages in \(encoding) are not read; identity is allowed")
            return refuse(stream, status, at: now)
        }
        if case .some(nil) = timeout {
            return refuse(
                stream, GRPCStatus(.internalError, "grpc-timeout can't be read"), at: now)
        }
        let number = UInt64(stream)
        var call = Call(
            method: method, metadata: GRPCMetadata(fields), stream: stream,
            deframer: GRPCDeframer(limit: messageLimit))
        if let timeout, let left = timeout {
            deadlines.insert(number, at: now + left)
        }
        if method.requests == .stream {
            call.isTold = true
            events.append(.opened(call: number, method: path, call.metadata))
        }
        calls[number] = call
        if ends { takeData(number, [], true, at: now) }
    }

    private mutating func refuse(_ stream: UInt32, _ status: GRPCStatus, at now: Instant) {
        var fields = Self.head
        status.write(to: &fields)
        fields.append("grpc-accept-encoding", "identity")
        _ = respond(stream, fields, ends: true, at: now)
    }

    private mutating func takeData(
        _ number: UInt64, _ bytes: [UInt8], _ ends: Bool, at now: Instant
    ) {
        guard let method = calls[number]?.method else { return }
        calls[number]?.deframer.receive(bytes)
        do throws(GRPCStatus) {
            while let message = try calls[number]?.deframer.next() {
                if method.requests == .stream {
                    events.append(.message(call: number, message))
                } else if calls[number]?.message == nil {
                    calls[number]?.message = message
                } else {
                    throw GRPCStatus(
                        .unsupported, "\(method.path) takes one message, and a second came")
                }
            }
            if ends { try endRequest(number, method) }
        } catch { breakOff(number, error, at: now) }
    }

    private mutating func endRequest(
        _ number: UInt64, _ method: GRPCMethod
    ) throws(GRPCStatus) {
        guard let call = calls[number], call.deframer.isEmpty else {
            throw GRPCStatus(.internalError, "the request ends within a message")
        }
        if method.requests == .stream { return events.append(.halfClosed(call: number)) }
        guard let message = call.message else {
            throw GRPCStatus(.unsupported, "\(method.path) takes one message, and none came")
        }
        calls[number]?.message = nil
        calls[number]?.isTold = true
        events.append(
            .request(call: number, method: method.path, call.metadata, message))
    }
}
