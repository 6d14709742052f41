// The connection with an executor plugin: gRPC with the plugin as the server.
//
// At its start two streams are opened that last as long as it does: one on which the plugin is told
// where status updates are taken, and one that brings what it prints. A plugin that knows one of
// them not goes on without. Which of the releases' names its service has is tried at the first
// call, the newest first: a name that is not known is refused before anything is done.

struct ExecutorLink: PluginLink {
    private struct Attempt: Sendable {
        let number: UInt64
        let request: [UInt8]
        let identity: GRPCMetadata
        let service: Int
        var response: [UInt8]?
    }

    private var client: GRPCClient
    let connection: ConnectionNumber
    private var pipe = HTTP2Pipe()
    private var broker: UInt64?
    private var prints: UInt64?
    private var attempts = SortedMap<UInt64, Attempt>()
    /// Which of `ExecutorService.execute` it knows.
    private var service: Int?
    private var isReady = false
    private var isLost = false
    /// Calls that could not be begun.
    private var refused: [(number: UInt64, status: GRPCStatus)] = []

    /// Go's servers take a PING every five minutes; more of them are an offence.
    private static let ping = Duration.minutes(6)
    /// Bytes of an answer.
    static let messageLimit = 64 << 20

    /// - Parameter calls: how many at a time.
    init(_ connection: ConnectionNumber, calls: Int, at now: Instant) {
        var limits = HTTP2Limits()
        limits.streams = calls + 8
        limits.streamWindow = 1 << 20
        var timeouts = HTTP2Timeouts()
        timeouts.ping = Self.ping
        client = GRPCClient(
            authority: "localhost", limits: limits, timeouts: timeouts,
            messageLimit: Self.messageLimit, waitingLimit: calls + 8, at: now)
        self.connection = connection
        broker = try? client.call(ExecutorService.broker, answers: .stream, at: now)
        prints = try? client.call(ExecutorService.output, answers: .stream, at: now)
        if let prints { client.send(prints, [], last: true, at: now) }
    }

    var deadline: Instant? { client.deadline }

    // MARK: Calls

    mutating func begin(
        _ number: UInt64, _ order: PluginOrder, socket: PluginSocket?, at now: Instant
    ) {
        guard case .execute(let call) = order, let socket else { return }
        if let broker {
            var info = ConnectionInfo()
            (info.service, info.network, info.address) = (socket.service, "unix", socket.path)
            client.send(broker, info.protobuf, last: false, at: now)
        }
        var request = ExecuteRequest()
        (request.job, request.config) = (call.job.text, call.config)
        request.statusServer = socket.service
        begin(
            Attempt(
                number: number, request: request.protobuf, identity: Self.metadata(call),
                service: service ?? 0), at: now)
    }

    private static func metadata(_ call: PluginCall) -> GRPCMetadata {
        var metadata = GRPCMetadata()
        for entry in call.identity {
            let name = entry.name.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 }
            // A value that can't be sent is not worth the call.
            try? metadata.append(String(decoding: name, as: UTF8.self), entry.value)
        }
        return metadata
    }

    private mutating func begin(_ attempt: Attempt, at now: Instant) {
        let method = ExecutorService.execute[attempt.service]
        do throws(GRPCStatus) {
            let call = try client.call(method, metadata: attempt.identity, at: now)
            client.send(call, attempt.request, last: true, at: now)
            attempts[call] = attempt
        } catch { refused.append((attempt.number, error)) }
    }

    mutating func cancel(_ number: UInt64, at now: Instant) {
        for (call, attempt) in attempts where attempt.number == number {
            attempts.remove(call)
            return client.cancel(call, at: now)
        }
    }

    mutating func shutDown(at now: Instant) {
        if let broker { client.finish(broker, at: now) }
        if let call = try? client.call(ExecutorService.shutdown, at: now) {
            client.send(call, [], last: true, at: now)
        }
    }

    // MARK: Events

    mutating func received(_ bytes: [UInt8], at now: Instant) {
        client.http.receive(bytes.span, at: now)
    }

    mutating func wrote(_ count: Int, at now: Instant) {
        pipe.wrote(count, &client.http, at: now)
    }

    mutating func receivedEnd(at now: Instant) { client.http.receiveEnd(at: now) }

    mutating func failed(_ reason: String) { client.http.abort(reason) }

    mutating func expire(at now: Instant) { client.expire(at: now) }

    mutating func drain(
        at now: Instant, into out: inout PluginOutput, _ news: inout [PluginNews]
    ) {
        while let event = client.nextEvent(at: now) { take(event, at: now, &news) }
        for (number, status) in refused { news.append(.executed(number, .failure(status))) }
        refused = []
        if !isLost, !client.isUsable, attempts.isEmpty {
            isLost = true
            news.append(.lost("it takes no more calls"))
        }
        if !isReady, client.http.isEstablished {
            isReady = true
            news.append(.ready)
        }
        if let bytes = pipe.next(of: client.http) { out.actions.append(.send(connection, bytes)) }
    }

    private mutating func take(
        _ event: GRPCClientEvent, at now: Instant, _ news: inout [PluginNews]
    ) {
        switch event {
        case .metadata, .writable: break
        case .message(let call, let bytes) where call == prints:
            guard let piece = try? StandardOutput(protobuf: bytes), !piece.data.isEmpty else {
                return
            }
            news.append(.printed(piece.data, isError: piece.channel != 1))
        case .message(let call, let bytes): attempts.update(call) { $0.response = bytes }
        case .finished(let call, let status, _):
            if call == broker { broker = nil }
            if call == prints { prints = nil }
            guard let attempt = attempts.remove(call) else { return }
            finished(attempt, status, at: now, &news)
        case .closed(let failure):
            guard !isLost else { return }
            isLost = true
            news.append(.lost(failure?.reason ?? "it closed the connection"))
        }
    }

    private mutating func finished(
        _ attempt: Attempt, _ status: GRPCStatus, at now: Instant, _ news: inout [PluginNews]
    ) {
        guard client.isUsable || status.code != .unavailable else {
            // The connection ends: what becomes of its calls is told with that.
            return
        }
        if status.code == .unsupported, service == nil {
            guard attempt.service + 1 < ExecutorService.execute.count else {
                let names = ExecutorService.execute.joined(separator: ", ")
                let status = GRPCStatus(.unsupported, "it offers none of \(names)")
                return news.append(.executed(attempt.number, .failure(status)))
            }
            return begin(
                Attempt(
                    number: attempt.number, request: attempt.request, identity: attempt.identity,
                    service: attempt.service + 1), at: now)
        }
        if status.code != .unsupported { service = attempt.service }
        news.append(.executed(attempt.number, Self.answer(attempt, status)))
    }

    private static func answer(
        _ attempt: Attempt, _ status: GRPCStatus
    ) -> Result<ExecuteResponse, GRPCStatus> {
        guard status.isOK else { return .failure(status) }
        do throws(ProtobufError) {
            return .success(try ExecuteResponse(protobuf: attempt.response ?? []))
        } catch {
            return .failure(
                GRPCStatus(.internalError, "its answer can't be read: \(error.description)"))
        }
    }
}
