package import Core
internal import Glibc

/// The sockets of the API: accepts clients, runs Core's `HTTPConnection` on each, hands whole
/// requests to the node as inputs and takes its answers.
///
/// Answers are only collected by `respond…`; `flush` sends them, so that answers to pipelined
/// requests leave together. Inputs that arise here are appended to the array that the caller
/// passes: an abandoned request is told exactly once, and never after its answer.
package final class HTTPListener {
    let loop: EventLoop
    let log: LogWriter
    private let limits: HTTPLimits
    private let timeouts: HTTPTimeouts
    let handshakes: TLSHandshakes
    /// Nil: the API is spoken in the clear.
    var tls: (settings: TLSServerSettings, context: TLSContext)?
    private let mostConnections: Int
    private let mostHeldBytes: Int
    /// Of requests that are coming in or not answered, of all clients.
    private var heldBytes = 0
    private let acceptor: Acceptor
    /// By serial numbers, which are never used twice.
    var clients: [UInt64: HTTPClient] = [:]
    private var nextSerial: UInt64 = 1
    /// Clients with something to send or to look after.
    private var dirty: [HTTPClient] = []
    /// No connection has a deadline before this one. Deadlines mostly move away again, so it is
    /// only brought up to date when it is reached.
    private var earliestDeadline = Instant.distantFuture
    private var refusalLoggedAt: Instant?
    private var isClosing = false
    /// Where received bytes land first.
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// - Parameter mostHeldBytes: of requests that are coming in or not answered; beyond, those
    ///   that are not small are refused.
    package init(
        loop: EventLoop, log: LogWriter, handshakes: TLSHandshakes, mostConnections: Int = 1_024,
        mostHeldBytes: Int = 512 << 20, limits: HTTPLimits = HTTPLimits(),
        timeouts: HTTPTimeouts = HTTPTimeouts()
    ) {
        self.loop = loop
        acceptor = Acceptor(loop, .listener)
        self.log = log
        self.mostConnections = mostConnections
        self.mostHeldBytes = mostHeldBytes
        self.limits = limits
        self.timeouts = timeouts
        self.handshakes = handshakes
    }

    deinit {
        buffer.deallocate()
    }

    // MARK: Listening

    /// Starts to listen on every address of an endpoint. Returns the addresses with their ports.
    @discardableResult
    package func listen(on endpoint: Endpoint) throws(AddressError) -> [SocketAddress] {
        if endpoint.host.isEmpty { return [try endpoint.first(listen)] }
        var bound: [SocketAddress] = []
        var lastFailure: AddressError?
        for address in try SocketAddress.resolve(endpoint) {
            do {
                bound.append(try listen(on: address))
            } catch {
                lastFailure = AddressError(endpoint, error.reason)
                lastFailure?.isMissingHere = error.meansNoSuchAddress
                // A host without IPv6 may still know `::1` by the name `localhost`.
                guard error.meansNoSuchAddress else { break }
            }
        }
        if let lastFailure, bound.isEmpty || !lastFailure.isMissingHere { throw lastFailure }
        return bound
    }

    private func listen(on address: SocketAddress) throws(SystemError) -> SocketAddress {
        let socket = try ListeningSocket(address)
        acceptor.add(socket)
        return socket.address
    }

    /// Stops accepting; connections end when what is under way on them is answered.
    package func beginClosing(at now: Now) {
        isClosing = true
        acceptor.close()
        for client in clients.values {
            client.http.beginShutdown(at: now.monotonic)
            markDirty(client)
        }
    }

    /// No answer waits to be sent.
    package var isSent: Bool { clients.values.allSatisfy { !$0.http.hasOutgoing } }

    package var connectionCount: Int { clients.count }

    // MARK: Events

    package func handle(_ event: EventLoop.Event, at now: Now, into inputs: inout [Input]) {
        if event.token.owner == .listener {
            accept(event.token.number, at: now)
        } else if let client = clients[event.token.number] {
            if client.isAgreeing { return agree(client) }
            if event.broken {
                client.http.abort()
            } else {
                if event.readable { receive(client, at: now) }
            }
            advance(client, at: now, into: &inputs)
        }
    }

    /// When `expire` has something to do if nothing else happens.
    package var nextDeadline: Instant? {
        let deadline = min(earliestDeadline, acceptor.nextDeadline)
        return deadline == .distantFuture ? nil : deadline
    }

    /// Acts on time-outs that are due. Linear in the number of connections, but only once per
    /// shortest time-out.
    package func expire(at now: Now, into inputs: inout [Input]) {
        acceptor.expire(at: now.monotonic)
        guard earliestDeadline <= now.monotonic else { return }
        earliestDeadline = .distantFuture
        for client in clients.values.sorted(by: { $0.serial < $1.serial }) {
            client.http.expire(at: now)
            advance(client, at: now, into: &inputs)
        }
    }

    // MARK: Answers

    package func respond(_ id: RequestID, _ response: HTTPResponse, at now: Now) {
        guard let client = clients[id.connection] else { return }
        var response = response
        if id.ordinal >= RequestID.lastOrdinal { response.close = true }
        if response.body != .stream { client.unanswered.removeAll { $0 == id.ordinal } }
        client.http.respond(id.ordinal, response, at: now)
        markDirty(client)
    }

    package func respondChunk(_ id: RequestID, _ piece: [UInt8], last: Bool, at now: Now) {
        guard let client = clients[id.connection] else { return }
        if last { client.unanswered.removeAll { $0 == id.ordinal } }
        client.http.respondChunk(id.ordinal, piece, last: last, at: now)
        markDirty(client)
    }

    /// Closes the connection in the middle of an answer.
    package func abort(_ id: RequestID) {
        guard let client = clients[id.connection] else { return }
        client.unanswered.removeAll { $0 == id.ordinal }
        client.http.abort()
        markDirty(client)
    }

    /// Sends what the answers since the last call left to send.
    package func flush(at now: Now, into inputs: inout [Input]) {
        let batch = dirty
        dirty.removeAll(keepingCapacity: true)
        for client in batch {
            client.isDirty = false
            if clients[client.serial] != nil { advance(client, at: now, into: &inputs) }
        }
    }

    private func markDirty(_ client: HTTPClient) {
        guard !client.isDirty else { return }
        client.isDirty = true
        dirty.append(client)
    }

    // MARK: Accepting

    private func accept(_ token: UInt64, at now: Now) {
        let failure = acceptor.accept(token, at: now.monotonic) { descriptor, address in
            guard clients.count < mostConnections else {
                return refuse(descriptor, at: now.monotonic)
            }
            let http = HTTPConnection(
                clientAddress: address.description, limits: limits, timeouts: timeouts,
                at: now.monotonic)
            let socket = StreamSocket(descriptor, tls: tls.map { .server($0.context) })
            let client = HTTPClient(nextSerial, address.description, socket, http)
            nextSerial += 1
            clients[client.serial] = client
            guard !client.isAgreeing else {
                if let deadline = http.deadline {
                    earliestDeadline = min(earliestDeadline, deadline)
                }
                return agree(client)
            }
            watch(client, http)
        }
        guard let failure else { return }
        let error = LogRecord.Field("error", failure)
        logRefusal("http: can't accept clients for now", [error], at: now.monotonic)
    }

    private func refuse(_ descriptor: Int32, at now: Instant) {
        let socket = StreamSocket(descriptor)
        // An answer in the clear would mean nothing to a client that speaks TLS.
        if tls == nil { dismiss(socket, Self.refusal) }
        let limit = LogRecord.Field("connections", String(mostConnections))
        logRefusal("http: too many clients, new ones are refused", [limit], at: now)
    }

    /// Says something in the clear to a client, and no more.
    func dismiss(_ socket: StreamSocket, _ answer: [UInt8]) {
        answer.withUnsafeBytes { bytes in
            _ = send(socket.descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        }
        shutdown(socket.descriptor, Int32(SHUT_WR))
        // Unread bytes would turn the close into a reset, which can overtake the answer.
        _ = recv(socket.descriptor, buffer.baseAddress, buffer.count, 0)
    }

    func logRefusal(_ message: String, _ fields: [LogRecord.Field], at now: Instant) {
        if let last = refusalLoggedAt, now - last < .seconds(10) { return }
        refusalLoggedAt = now
        log.write(.warning, message, fields)
    }

    // MARK: One connection

    private func receive(_ client: HTTPClient, at now: Now) {
        guard client.http.wantsRead else { return }
        switch client.socket.receive(into: buffer) {
        case .bytes(let count):
            let received = UnsafeBufferPointer(rebasing: buffer[..<count])
            client.http.receive(received.span, at: now.monotonic)
        case .end: client.http.receiveEnd(at: now.monotonic)
        case .blocked: break
        case .failed: client.http.abort()
        }
    }

    /// Does everything that a connection wants, after anything that happened to it.
    func advance(_ client: HTTPClient, at now: Now, into inputs: inout [Input]) {
        // Whoever is not done with TLS in time has said nothing that could be answered.
        if client.isAgreeing, !client.http.hasOutgoing, !client.http.isClosed {
            if let deadline = client.http.deadline {
                earliestDeadline = min(earliestDeadline, deadline)
            }
            return
        }
        if client.isAgreeing { return drop(client, into: &inputs) }
        // Lent as a whole: each look at it through the client would copy it.
        let isClosed = converse(client, &client.http, at: now, into: &inputs)
        if isClosed { drop(client, into: &inputs) }
    }

    /// Returns whether the conversation is over.
    private func converse(
        _ client: HTTPClient, _ http: inout HTTPConnection, at now: Now, into inputs: inout [Input]
    ) -> Bool {
        hold(http, client)
        if heldBytes > mostHeldBytes, client.heldBytes > Self.smallRequest {
            http.refuseForMemory(at: now)
            hold(http, client)
            let limit = LogRecord.Field("bytes", String(mostHeldBytes))
            logRefusal(
                "http: too much is being sent at once, large requests are refused", [limit],
                at: now.monotonic)
        }
        while true {
            while let (number, request) = http.nextRequest(at: now) {
                client.unanswered.append(number)
                inputs.append(.request(RequestID(client.serial, number), request))
            }
            guard http.hasOutgoing, transmit(client.socket, &http, at: now.monotonic) else {
                break
            }
        }
        while let number = http.nextDrained() {
            inputs.append(.drained(RequestID(client.serial, number)))
        }
        if http.wantsShutdown && !client.isShut {
            client.isShut = true
            client.socket.endSending()
        }
        if isClosing { http.beginShutdown(at: now.monotonic) }
        if http.isClosed { return true }
        watch(client, http)
        if let deadline = http.deadline { earliestDeadline = min(earliestDeadline, deadline) }
        return false
    }

    /// Counts what a client's requests take up now.
    private func hold(_ http: borrowing HTTPConnection, _ client: HTTPClient) {
        let held = http.heldBytes
        heldBytes += held - client.heldBytes
        client.heldBytes = held
    }

    /// Sends once. True if all of it left, so that there may be room for more.
    private func transmit(
        _ socket: StreamSocket, _ http: inout HTTPConnection, at now: Instant
    ) -> Bool {
        switch http.outgoing.withUnsafeBytes(socket.send) {
        case .bytes(let count):
            http.didSend(count, at: now)
            return !http.hasOutgoing
        case .blocked: return false
        case .end, .failed:
            http.abort()
            return false
        }
    }

    private func watch(_ client: HTTPClient, _ http: borrowing HTTPConnection) {
        var interest: EventLoop.Interest = []
        if http.wantsRead { interest.insert(.read) }
        if http.hasOutgoing { interest.insert(.write) }
        guard interest != client.interest else { return }
        client.interest = interest
        loop.watch(client.socket.descriptor, for: interest, as: .init(.connection, client.serial))
    }

    func drop(_ client: HTTPClient, into inputs: inout [Input]) {
        clients[client.serial] = nil
        heldBytes -= client.heldBytes
        for number in client.unanswered {
            inputs.append(.requestAbandoned(RequestID(client.serial, number)))
        }
        loop.forget(client.socket.descriptor)
    }

    /// Bytes up to which a client's requests are taken however much the others hold.
    private static let smallRequest = 64 << 10

    private static let refusal: [UInt8] = {
        let body = #"{"error":"too many clients are connected; try again","code":"busy"}"#
        let head = [
            "HTTP/1.1 503 Service Unavailable", "Content-Type: application/json; charset=utf-8",
            "Content-Length: \(body.utf8.count)", "Retry-After: 1", "Connection: close", "", "",
        ]
        return Array((head.joined(separator: "\r\n") + body).utf8)
    }()
}

// The number of a request id is the connection's serial number over the request's number on it.
extension RequestID {
    fileprivate init(_ connection: UInt64, _ ordinal: UInt64) {
        self.init(connection << Self.ordinalBits | ordinal)
    }

    fileprivate var connection: UInt64 { number >> Self.ordinalBits }
    fileprivate var ordinal: UInt64 { number & (1 << Self.ordinalBits - 1) }

    private static let ordinalBits: UInt64 = 24
    /// The connection ends with this request, so that the numbers never wrap.
    fileprivate static let lastOrdinal: UInt64 = 1 << ordinalBits - 1_000
}
