/// One message for a RabbitMQ server (AMQP 0-9-1, with RabbitMQ's confirmations of what was
/// published).
///
///     greeting ─► authenticating ─► preparing ─► publishing ─► ended
///
/// `preparing` opens a channel and declares what the job wants declared, one request after the
/// other. The message is sent as one that a queue must take (mandatory): success is the server's
/// confirmation, and a message that comes back is a failure.
///
/// The server's heartbeats are answered with ours: as long as it is there, so are we.
struct AMQPConversation: Conversation {
    private enum Stage {
        case greeting
        case authenticating
        case preparing
        case publishing
    }

    private let job: AMQPJob
    private let execution: ExecutionID
    private var server: AMQPJob.Server
    private var stage = Stage.greeting
    private var deframer = AMQPDeframer()
    private var frameLimit = AMQPFrame.leastLimit
    /// What is still to be asked for, the next one last; the very last waits for its answer.
    private var requests: [AMQPRequest] = []
    private var isBlocked = false
    private(set) var isCommitted = false

    /// Seconds; the server speaks twice in that time.
    private static let heartbeat: UInt16 = 10

    init(_ job: AMQPJob, _ execution: ExecutionID) {
        self.job = job
        self.execution = execution
        server = job.servers[0]
    }

    var servers: [ConversationServer] { job.servers.map(\.place) }

    // MARK: Events

    mutating func opened(
        _ place: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        server = job.servers.first { $0.place == place } ?? job.servers[0]
        stage = .greeting
        deframer = AMQPDeframer()
        steps.append(.send(AMQPFrame.greeting))
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        deframer.receive(bytes)
        do throws(AMQPError) {
            while let frame = try deframer.next() {
                guard try take(frame, into: &steps) else { return }
            }
        } catch { refuse(error.description, into: &steps) }
    }

    /// - Returns: false once the conversation is over.
    private mutating func take(
        _ frame: AMQPFrame, into steps: inout [ConversationStep]
    ) throws(AMQPError) -> Bool {
        switch frame.kind {
        case .method: return try take(AMQPAnswer(frame.payload), into: &steps)
        case .heartbeat:
            guard stage == .preparing || stage == .publishing else {
                throw AMQPError("the server sends a heartbeat before anything is agreed on")
            }
            steps.append(.send(AMQPFrame.heartbeat.bytes))
            return true
        case .header, .body: throw AMQPError("the server sends a message that nobody asked for")
        }
    }

    private mutating func take(
        _ answer: AMQPAnswer, into steps: inout [ConversationStep]
    ) throws(AMQPError) -> Bool {
        switch (answer, stage) {
        case (.start(let properties, let mechanisms), .greeting):
            try authenticate(properties, mechanisms, into: &steps)
        case (.tune(let limit, let heartbeat), .authenticating):
            try agree(limit, heartbeat, into: &steps)
        case (.secure, .authenticating):
            throw AMQPError("the server wants more than a user name and a password")
        case (.done(let method), .preparing) where method == requests.last?.method.done:
            requests.removeLast()
            askNext(into: &steps)
        case (.blocked(let reason), .preparing), (.blocked(let reason), .publishing):
            guard !isBlocked else { return true }
            isBlocked = true
            let words = "The server takes no messages for now: \(reason)\n"
            steps.append(.output(Array(words.utf8)))
        case (.unblocked, _): break
        case (.taken(let number, let upTo), .publishing):
            guard concerns(number, upTo) else { throw Self.strangeNumber }
            // Nothing depends on the answer to this.
            steps.append(.send(AMQPFrame.close.bytes))
            steps.append(.end(error: ""))
            return false
        default: return try fail(answer, into: &steps)
        }
        return true
    }

    /// Takes what ends the conversation without a success.
    private mutating func fail(
        _ answer: AMQPAnswer, into steps: inout [ConversationStep]
    ) throws(AMQPError) -> Bool {
        switch answer {
        case .connectionClosed(let reason):
            steps.append(.send(AMQPFrame.closeDone.bytes))
            let caveat = isCommitted ? "; it may have the message" : ""
            refuse("\(refused): \(reason)\(caveat)", into: &steps)
        case .channelClosed(let reason):
            steps.append(.send(AMQPFrame.close.bytes))
            refuse("\(refused): \(reason)", into: &steps)
        case .returned(let reason) where stage == .publishing:
            steps.append(.send(AMQPFrame.close.bytes))
            refuse("no queue took the message for \(destination): \(reason)", into: &steps)
        case .refused(let number, let upTo) where stage == .publishing:
            guard concerns(number, upTo) else { throw Self.strangeNumber }
            steps.append(.send(AMQPFrame.close.bytes))
            refuse("the server could not keep the message for \(destination)", into: &steps)
        default: throw AMQPError("the server says something that nobody asked for")
        }
        return false
    }

    /// Ours is the first message, and the only one.
    private func concerns(_ number: UInt64, _ upTo: Bool) -> Bool {
        number == 1 || (upTo && number == 0)
    }

    private static let strangeNumber = AMQPError(
        "the server confirms a message that it was not sent")

    private var destination: String {
        let key = "\"\(job.queue.name)\""
        return job.exchange.name.isEmpty
            ? "the queue \(key)" : "the exchange \"\(job.exchange.name)\" and the key \(key)"
    }

    /// What the server did not do.
    private var refused: String {
        switch stage {
        case .greeting, .authenticating: "the server refuses the user \"\(server.user)\""
        case .preparing: requests.last.map { "can't \($0.purpose)" } ?? "the server refuses"
        case .publishing: "the server refuses the message for \(destination)"
        }
    }

    // MARK: Stages

    private mutating func authenticate(
        _ properties: AMQPTable, _ mechanisms: String, into steps: inout [ConversationStep]
    ) throws(AMQPError) {
        guard mechanisms.split(separator: " ").contains("PLAIN") else {
            throw AMQPError(
                "the server takes no user name and password (PLAIN), only "
                    + "\(mechanisms.prefix(200))")
        }
        guard case .table(let abilities)? = properties["capabilities"],
            case .bool(true)? = abilities["publisher_confirms"]
        else { throw AMQPError("the server does not confirm messages") }
        stage = .authenticating
        steps.append(
            .send(AMQPFrame.startDone(user: server.user, password: server.password).bytes))
    }

    private mutating func agree(
        _ limit: UInt32, _ heartbeat: UInt16, into steps: inout [ConversationStep]
    ) throws(AMQPError) {
        // 0 is no limit.
        frameLimit = min(limit == 0 ? .max : Int(limit), AMQPFrame.mostBytes)
        guard frameLimit >= AMQPFrame.leastLimit else {
            throw AMQPError("the server takes only frames of up to \(limit) bytes")
        }
        stage = .preparing
        requests = job.requests(server).reversed()
        let seconds = heartbeat == 0 ? Self.heartbeat : min(heartbeat, Self.heartbeat)
        let answer = AMQPFrame.tuneDone(frameLimit: UInt32(frameLimit), heartbeat: seconds)
        steps.append(.send(answer.bytes))
        askNext(into: &steps)
    }

    private mutating func askNext(into steps: inout [ConversationStep]) {
        if let next = requests.last { return steps.append(.send(next.frame.bytes)) }
        stage = .publishing
        isCommitted = true
        steps.append(.send(publication))
    }

    /// The message: what to do with it, what it is, and its body in as many frames as it takes.
    private var publication: [UInt8] {
        var bytes: [UInt8] = []
        let publish = AMQPFrame.method(AMQPMethodID(60, 40), channel: 1) { writer in
            writer.short(0)
            writer.shortText(job.exchange.name)
            writer.shortText(job.queue.name)
            // A queue must take it; that a consumer does so at once is not asked for.
            writer.bits(true, false)
        }
        publish.write(to: &bytes)
        AMQPFrame(kind: .header, channel: 1, payload: properties[...]).write(to: &bytes)
        var rest = job.message.body[...]
        while !rest.isEmpty {
            let piece = rest.prefix(frameLimit - AMQPFrame.overhead)
            AMQPFrame(kind: .body, channel: 1, payload: piece).write(to: &bytes)
            rest = rest.dropFirst(piece.count)
        }
        return bytes
    }

    /// The properties that are there have a bit each, from the highest on, and stand in that order.
    private var properties: [UInt8] {
        let message = job.message
        // An id is cut by nobody: one that is too long is none.
        let id = message.id ?? (execution.text.utf8.count <= 255 ? execution.text : "")
        let headers = message.headers.fields.map {
            (name: $0.name, value: AMQPValue.text(Array($0.value.utf8)))
        }
        var flags: UInt16 = 1 << 15
        if !headers.isEmpty { flags |= 1 << 13 }
        if message.deliveryMode > 0 { flags |= 1 << 12 }
        if !id.isEmpty { flags |= 1 << 7 }
        var writer = AMQPWriter()
        writer.short(60)
        writer.short(0)
        writer.longLong(UInt64(message.body.count))
        writer.short(flags)
        writer.shortText(message.contentType)
        if !headers.isEmpty { writer.table(AMQPTable(headers)) }
        if message.deliveryMode > 0 { writer.octet(message.deliveryMode) }
        if !id.isEmpty { writer.shortText(id) }
        return writer.output
    }

    /// Before the message was sent another server may take it.
    private func refuse(_ reason: String, into steps: inout [ConversationStep]) {
        steps.append(
            isCommitted ? .end(error: "\(server.place.name): \(reason)") : .leave(reason: reason))
    }
}
