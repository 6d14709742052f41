// Calls over one HTTP/2 connection: the client's side.
//
// The driver drives `http` as any connection, but takes events from here, and arms its timer for
// `deadline` of this value. Calls that the connection has no room for wait here.

/// What a client hears of its calls.
package enum GRPCClientEvent: Hashable, Sendable {
    /// What the server sent ahead of its messages.
    case metadata(call: UInt64, GRPCMetadata)
    case message(call: UInt64, [UInt8])
    /// `hasRoom` was false and is true now.
    case writable(call: UInt64)
    /// The call is over: its status, and what the server sent behind its messages.
    case finished(call: UInt64, GRPCStatus, GRPCMetadata)
    /// The connection is over; all calls have finished before. It is the last event.
    case closed(HTTP2Failure?)
}

package struct GRPCClient: Sendable {
    /// The connection below, for the driver: bytes in and out.
    package var http: HTTP2Connection
    private let authority: String
    private let scheme: String
    private let messageLimit: Int
    private let waitingLimit: Int
    private var calls: [UInt64: Call] = [:]
    private var numbers: [UInt32: UInt64] = [:]
    private var waiting = RingBuffer<UInt64>()
    private var deadlines = GRPCDeadlines()
    private var events = RingBuffer<GRPCClientEvent>()
    private var nextNumber: UInt64 = 1
    private var isOver = false

    private struct Call: Sendable {
        /// Nil while it waits for room.
        var stream: UInt32?
        var request: HTTP2Fields
        /// Messages that wait with it.
        var outbox: [UInt8] = []
        var isDone = false
        var deadline: Instant?
        let answers: GRPCCount
        var deframer: GRPCDeframer
        var messages = 0
        var hasHead = false
    }

    /// - Parameters:
    ///   - messageLimit: the largest message that is taken, in bytes.
    ///   - waitingLimit: how many calls may wait for room on the connection.
    package init(
        authority: String, scheme: String = "http", limits: HTTP2Limits = HTTP2Limits(),
        timeouts: HTTP2Timeouts = HTTP2Timeouts(), messageLimit: Int = 4 << 20,
        waitingLimit: Int = 1_000, at now: Instant
    ) {
        http = HTTP2Connection(role: .client, limits: limits, timeouts: timeouts, at: now)
        self.authority = authority
        self.scheme = scheme
        self.messageLimit = messageLimit
        self.waitingLimit = waitingLimit
    }

    /// Whether a further call has a chance: the connection is not ending.
    package var isUsable: Bool { !isOver && http.isUsable }

    package var openCalls: Int { calls.count }

    // MARK: Calls

    /// Begins a call of `/package.Service/Method`. Throws UNAVAILABLE when the connection is
    /// ending, RESOURCE_EXHAUSTED when too many calls wait, and INVALID_ARGUMENT for a method that
    /// can't be sent.
    ///
    /// - Parameters:
    ///   - answers: how many messages the server sends. If it is one, the call fails when there are
    ///     fewer or more.
    ///   - timeout: after which the call ends with DEADLINE_EXCEEDED, here and there; nil for none.
    package mutating func call(
        _ method: String, metadata: GRPCMetadata = GRPCMetadata(), answers: GRPCCount = .one,
        timeout: Duration? = nil, at now: Instant
    ) throws(GRPCStatus) -> UInt64 {
        guard isUsable else { throw GRPCStatus(.unavailable, "the connection is ending") }
        guard waiting.count < waitingLimit else {
            throw GRPCStatus(.resourceExhausted, "\(waitingLimit) calls wait for the connection")
        }
        var request: HTTP2Fields = [
            HTTP2Field(":method", "POST"), HTTP2Field(":scheme", scheme),
            HTTP2Field(":path", method), HTTP2Field(":authority", authority),
            HTTP2Field("te", "trailers"), HTTP2Field("content-type", "application/grpc"),
            HTTP2Field("grpc-accept-encoding", "identity"), HTTP2Field("user-agent", "dkron"),
        ]
        metadata.write(to: &request)
        do { try request.check(.request) } catch {
            throw GRPCStatus(.invalidArgument, error.reason)
        }
        let number = nextNumber
        nextNumber += 1
        var call = Call(
            request: request, answers: answers, deframer: GRPCDeframer(limit: messageLimit))
        if let timeout {
            let at = now + timeout
            call.deadline = at
            deadlines.insert(number, at: at)
        }
        calls[number] = call
        waiting.append(number)
        openWaiting(at: now)
        return number
    }

    /// Sends a message; `last` if none follows. False if the call is gone or has sent its last.
    @discardableResult
    package mutating func send(
        _ number: UInt64, _ message: [UInt8], last: Bool, at now: Instant
    ) -> Bool {
        push(number, GRPCFraming.frame(message), last: last, at: now)
    }

    /// Says that no message follows. False as `send`.
    @discardableResult
    package mutating func finish(_ number: UInt64, at now: Instant) -> Bool {
        push(number, [], last: true, at: now)
    }

    /// Whether a call's messages should go on.
    package func hasRoom(_ number: UInt64) -> Bool {
        guard let call = calls[number] else { return false }
        guard let stream = call.stream else { return call.outbox.count < http.limits.unsentStream }
        return http.hasRoom(stream)
    }

    /// Gives a call up; it finishes with CANCELLED. Nothing happens if it is gone.
    package mutating func cancel(_ number: UInt64, at now: Instant) {
        end(number, GRPCStatus(.cancelled, "the call was cancelled"), .cancel, at: now)
    }

    // MARK: Events and time

    /// The next event. Call it until it gives nil, after everything else, `http`'s functions
    /// included. What is not taken makes the server wait.
    package mutating func nextEvent(at now: Instant) -> GRPCClientEvent? {
        while true {
            if let event = events.popFirst() { return event }
            guard let event = http.nextEvent() else {
                openWaiting(at: now)
                return events.popFirst()
            }
            take(event, at: now)
        }
    }

    /// When `expire` has something to do if nothing else happens.
    package var deadline: Instant? { deadlines.next(orElse: http.deadline) }

    /// Ends calls whose time is over, and does what the connection has to.
    package mutating func expire(at now: Instant) {
        while let number = deadlines.popDue(at: now) {
            let status = GRPCStatus(.deadlineExceeded, "the call's time was over")
            end(number, status, .cancel, at: now)
        }
        http.expire(at: now)
    }

    // MARK: Private

    private mutating func push(
        _ number: UInt64, _ bytes: [UInt8], last: Bool, at now: Instant
    ) -> Bool {
        guard let call = calls[number], !call.isDone else { return false }
        calls[number]?.isDone = last
        if let stream = call.stream { return http.send(stream, bytes, ends: last, at: now) }
        calls[number]?.outbox += bytes
        return true
    }

    private mutating func openWaiting(at now: Instant) {
        while !waiting.isEmpty, http.canOpen || !isUsable {
            guard let number = waiting.popFirst(), var call = calls[number] else { continue }
            guard isUsable else {
                let status = GRPCStatus(.unavailable, "the connection ended before the call began")
                end(number, status, .cancel, at: now)
                continue
            }
            if let deadline = call.deadline {
                call.request.append("grpc-timeout", GRPCTimeout.print(deadline - now))
            }
            do throws(HTTP2Failure) {
                let stream = try http.open(call.request, ends: false, at: now)
                if !call.outbox.isEmpty || call.isDone {
                    http.send(stream, call.outbox, ends: call.isDone, at: now)
                }
                call.stream = stream
                call.outbox = []
                call.request = []
                calls[number] = call
                numbers[stream] = number
            } catch {
                end(number, GRPCStatus(.invalidArgument, error.reason), .cancel, at: now)
            }
        }
        compactDeadlines()
    }

    private mutating func compactDeadlines() {
        deadlines.compact(to: calls.count) { [calls] in calls[$0] != nil }
    }

    /// Ends a call from our side, or after its stream has ended.
    private mutating func end(
        _ number: UInt64, _ status: GRPCStatus, _ code: HTTP2Code,
        _ trailers: GRPCMetadata = GRPCMetadata(), at now: Instant
    ) {
        guard let call = calls.removeValue(forKey: number) else { return }
        if let stream = call.stream {
            numbers[stream] = nil
            http.reset(stream, code, at: now)
        }
        events.append(.finished(call: number, status, trailers))
    }

    private mutating func take(_ event: HTTP2Event, at now: Instant) {
        switch event {
        case .interim, .goAway: break
        case .writable(let stream):
            if let number = numbers[stream] { events.append(.writable(call: number)) }
        case .head(let stream, let fields, let ends):
            if let number = numbers[stream] { takeHead(number, fields, ends, at: now) }
        case .data(let stream, let bytes, let ends):
            http.consume(stream, bytes.count, at: now)
            if let number = numbers[stream] { takeData(number, bytes, ends, at: now) }
        case .trailers(let stream, let fields):
            if let number = numbers[stream] { takeEnd(number, fields, at: now) }
        case .reset(let stream, let reset):
            if let number = numbers[stream] { end(number, GRPCStatus(reset), .cancel, at: now) }
        case .closed(let failure):
            isOver = true
            let reason = failure?.description ?? "the connection was closed"
            for number in calls.keys.sorted() {
                end(number, GRPCStatus(.unavailable, reason), .cancel, at: now)
            }
            events.append(.closed(failure))
        }
    }

    private mutating func takeHead(
        _ number: UInt64, _ fields: HTTP2Fields, _ ends: Bool, at now: Instant
    ) {
        let type = fields["content-type"] ?? ""
        guard fields.status == 200, type.hasPrefix("application/grpc") else {
            let status =
                fields.status == 200
                ? GRPCStatus(.unknown, "the answer's content-type is \"\(type)\", not gRPC's")
                : GRPCStatus(httpStatus: fields.status ?? 0)
            return end(number, status, .cancel, at: now)
        }
        if ends { return takeEnd(number, fields, at: now) }
        calls[number]?.hasHead = true
        events.append(.metadata(call: number, GRPCMetadata(fields)))
    }

    private mutating func takeData(
        _ number: UInt64, _ bytes: [UInt8], _ ends: Bool, at now: Instant
    ) {
        calls[number]?.deframer.receive(bytes)
        do throws(GRPCStatus) {
            while let message = try calls[number]?.deframer.next() {
                calls[number]?.messages += 1
                if calls[number]?.answers == .one, calls[number]?.messages == 2 {
                    throw GRPCStatus(.internalError, "the server sent a second answer")
                }
                events.append(.message(call: number, message))
            }
            if ends {
                throw GRPCStatus(.internalError, "the server ended the call without a status")
            }
        } catch { end(number, error, .cancel, at: now) }
    }

    private mutating func takeEnd(_ number: UInt64, _ fields: HTTP2Fields, at now: Instant) {
        guard let call = calls[number] else { return }
        var status = GRPCStatus(trailers: fields)
        if status.isOK, !call.deframer.isEmpty {
            status = GRPCStatus(.internalError, "the call ended within a message")
        } else if status.isOK, call.answers == .one, call.messages == 0 {
            status = GRPCStatus(.internalError, "the server ended the call without an answer")
        }
        end(number, status, .noError, GRPCMetadata(fields), at: now)
    }
}
