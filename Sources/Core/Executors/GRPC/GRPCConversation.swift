/// One call of a method of a gRPC server, described by the server itself.
///
///     asking ─► (asking by the older name) ─► calling ─► ended
///
/// `asking` collects the descriptors of the service, over the same connection. Time is HTTP/2's:
/// the server may think as long as the job allows, and a machine that vanished is found by the
/// connection's own keep-alive.
struct GRPCConversation: Conversation {
    private let job: GRPCJob
    private var client: GRPCClient?
    private var reflection: GRPCReflection
    /// The names of the reflection service not asked for yet.
    private var reflectionMethods = GRPCReflection.methods[...]
    /// The call of the reflection service, then the job's own.
    private var call: UInt64 = 0
    private var method: ProtobufMethod?
    private var firstOpened: Instant?

    init(_ job: GRPCJob) {
        self.job = job
        reflection = GRPCReflection(service: job.service)
    }

    var servers: [ConversationServer] { [job.server] }
    var isCommitted: Bool { method != nil }

    /// How long nothing need happen while HTTP/2 waits for nothing.
    private static let pause = Duration.seconds(3_600)

    // MARK: Events

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        firstOpened = firstOpened ?? now.monotonic
        client = GRPCClient(
            authority: server.name, scheme: server.tls == nil ? "http" : "https",
            at: now.monotonic)
        reflection = GRPCReflection(service: job.service)
        reflectionMethods = GRPCReflection.methods[...]
        ask(at: now, into: &steps)
        goOn(at: now, into: &steps)
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        client?.http.receive(bytes.span, at: now.monotonic)
        goOn(at: now, into: &steps)
    }

    mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {
        client?.expire(at: now.monotonic)
        goOn(at: now, into: &steps)
    }

    /// Takes what has come of it, says what there is to say, and waits.
    private mutating func goOn(at now: Now, into steps: inout [ConversationStep]) {
        while let event = client?.nextEvent(at: now.monotonic) {
            guard take(event, at: now, into: &steps) else { return }
        }
        flush(at: now, into: &steps)
        let deadline = client?.deadline ?? .distantFuture
        steps.append(
            .wait(deadline == .distantFuture ? Self.pause : max(deadline - now.monotonic, .zero)))
    }

    private mutating func flush(at now: Now, into steps: inout [ConversationStep]) {
        // Whoever sends takes all of it.
        while let bytes = client?.http.outgoing, !bytes.isEmpty {
            let piece = Array(bytes)
            steps.append(.send(piece))
            client?.http.didSend(piece.count, at: now.monotonic)
        }
    }

    /// - Returns: false once the conversation is over.
    private mutating func take(
        _ event: GRPCClientEvent, at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        switch event {
        case .metadata, .writable: return true
        case .message(let number, let bytes) where number == call:
            return isCommitted
                ? show(bytes, into: &steps) : learn(bytes, at: now, into: &steps)
        case .finished(let number, let status, _) where number == call:
            flush(at: now, into: &steps)
            return isCommitted
                ? finish(status, into: &steps) : askAgain(status, at: now, into: &steps)
        case .message, .finished: return true
        case .closed(let failure):
            flush(at: now, into: &steps)
            let reason = failure?.description ?? "the server closed the connection"
            steps.append(
                isCommitted ? .end(error: "\(name): \(reason)") : .leave(reason: reason))
            return false
        }
    }

    // MARK: Asking

    /// Asks the reflection service by the next of its names.
    private mutating func ask(at now: Now, into steps: inout [ConversationStep]) {
        guard let path = reflectionMethods.popFirst(), let request = reflection.request,
            let number = try? client?.call(path, answers: .stream, at: now.monotonic)
        else { return }
        call = number
        client?.send(number, request, last: false, at: now.monotonic)
    }

    /// - Returns: false once the conversation is over.
    private mutating func askAgain(
        _ status: GRPCStatus, at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        if status.code == .unsupported, !reflectionMethods.isEmpty {
            ask(at: now, into: &steps)
            return true
        }
        // The connection's end says more, and another address may do.
        if client?.isUsable == false { return true }
        let reason =
            status.code == .unsupported
            ? "the server has no reflection service" : "\(status.code.shortName): \(status.message)"
        steps.append(.end(error: "\(name): the reflection service failed: \(reason)"))
        return false
    }

    /// - Returns: false once the conversation is over.
    private mutating func learn(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        do throws(GRPCStatus) { try reflection.receive(bytes) } catch {
            flush(at: now, into: &steps)
            steps.append(.end(error: "\(name): \(error.message)"))
            return false
        }
        if let request = reflection.request {
            client?.send(call, request, last: false, at: now.monotonic)
            return true
        }
        client?.finish(call, at: now.monotonic)
        do throws(ProtobufError) { try begin(at: now) } catch {
            flush(at: now, into: &steps)
            steps.append(.end(error: "\(name): \(error)"))
            return false
        }
        return true
    }

    // MARK: Calling

    /// Begins the job's own call, all of whose messages are sent at once.
    private mutating func begin(at now: Now) throws(ProtobufError) {
        let method = try reflection.schema.method(job.service, job.method)
        guard method.streamsRequests || job.messages.count <= 1 else {
            throw ProtobufError(
                "\(job.method) takes one message, and the body has \(job.messages.count)")
        }
        let json = ProtobufJSON(reflection.schema)
        var requests: [[UInt8]] = []
        for (index, text) in job.messages.enumerated() {
            do throws(ProtobufError) {
                guard let document = try? JSONDocument(text) else {
                    throw ProtobufError("it is not JSON")
                }
                requests.append(
                    try json.encode(document.root, of: document, as: method.input))
            } catch { throw error.inside(job.messages.count == 1 ? "body" : "body[\(index)]") }
        }
        if requests.isEmpty, !method.streamsRequests { requests = [[]] }
        let left = job.timeout.map {
            max($0 - (now.monotonic - (firstOpened ?? now.monotonic)), .milliseconds(1))
        }
        do throws(GRPCStatus) {
            guard
                let number = try client?.call(
                    job.path, metadata: job.metadata,
                    answers: method.streamsAnswers ? .stream : .one, timeout: left,
                    at: now.monotonic)
            else { return }
            call = number
        } catch { throw ProtobufError(error.message) }
        self.method = method
        for request in requests { client?.send(call, request, last: false, at: now.monotonic) }
        client?.finish(call, at: now.monotonic)
    }

    /// Puts an answer into the output, a line of JSON.
    /// - Returns: false once the conversation is over.
    private func show(_ bytes: [UInt8], into steps: inout [ConversationStep]) -> Bool {
        guard let method else { return true }
        var writer = JSONWriter(.compact, escaping: .minimal)
        do throws(ProtobufError) {
            try ProtobufJSON(reflection.schema).decode(bytes, as: method.output, to: &writer)
        } catch {
            steps.append(.end(error: "\(name): the answer is no \(method.output): \(error)"))
            return false
        }
        steps.append(.output(writer.take() + [0x0a]))
        return true
    }

    /// - Returns: false, always: the conversation is over.
    private func finish(_ status: GRPCStatus, into steps: inout [ConversationStep]) -> Bool {
        let code = status.code.shortName
        let rest = status.message.isEmpty ? "" : ": \(status.message.prefix(1_000))"
        guard status.code == job.expectedCode else {
            let expected = job.expectedCode.shortName
            steps.append(
                .end(error: "\(name): server returned \(code) code, expected \(expected)\(rest)"))
            return false
        }
        if !status.isOK { steps.append(.output(Array("\(code)\(rest)\n".utf8))) }
        steps.append(.end(error: ""))
        return false
    }

    private var name: String { job.server.name }
}
