/// One message for a NATS server (client protocol of release 2, docs.nats.io "NATS Protocol").
///
///     greeting ─► (TLS) ─► connecting ─► publishing ─► ended
///
/// The server has the message when it answers the ping behind it: it reads in order. With
/// `jetstream` a stream's acknowledgement says that it is stored; the execution's id goes along as
/// the message's, so that a stream stores one that is sent twice once.
struct NATSConversation: Conversation {
    private enum Stage {
        case greeting
        case securing
        case connecting
        case publishing
    }

    private let job: NATSJob
    private let execution: ExecutionID
    private var stage = Stage.greeting
    private var server: NATSJob.Server
    private var buffer: ArraySlice<UInt8> = []
    /// Before this place of the buffer no line ends, so that each byte is looked at once.
    private var searched = 0
    private var mostPayload = Int.max
    private var takesHeaders = false
    private(set) var isCommitted = false
    /// What the stream answered, once it has.
    private var acknowledged: String?
    private var isPonged = false

    /// A greeting names the servers of a cluster; nothing else is nearly as long.
    private static let mostBuffered = 1 << 20

    init(_ job: NATSJob, _ execution: ExecutionID) {
        self.job = job
        self.execution = execution
        server = job.servers[0]
    }

    var servers: [ConversationServer] {
        // Also one that speaks TLS greets in the clear.
        job.servers.map { ConversationServer(host: $0.host, port: $0.port) }
    }

    // MARK: Events

    mutating func opened(
        _ place: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        if case .securing = stage { return connect(into: &steps) }
        server =
            job.servers.first { $0.host == place.host && $0.port == place.port } ?? job.servers[0]
        stage = .greeting
        (buffer, searched) = ([], 0)
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        buffer += bytes
        while let line = nextLine() {
            guard take(line, into: &steps) else { return }
        }
        guard buffer.count <= Self.mostBuffered else {
            return refuse("what answers does not speak NATS", into: &steps)
        }
    }

    /// A line without its end, taken out of the buffer with the payload that it announces; nil
    /// while not all of it is there.
    private mutating func nextLine() -> (words: [String], payload: [UInt8])? {
        guard let end = buffer[max(searched, buffer.startIndex)...].firstIndex(of: 0x0a) else {
            searched = buffer.endIndex
            return nil
        }
        var line = buffer[..<end]
        if line.last == 0x0d { line.removeLast() }
        // The text of an error and a greeting's JSON hold blanks of their own.
        let text = String(decoding: line, as: UTF8.self)
        let operation = text.prefix { $0 != " " && $0 != "\t" }
        let rest = text.dropFirst(operation.count).drop { $0 == " " || $0 == "\t" }
        guard operation.uppercased().hasSuffix("MSG") else {
            buffer = buffer[(end + 1)...]
            return ([operation.uppercased(), String(rest)], [])
        }
        let words = rest.split(separator: " ").map(String.init)
        let size = words.last.flatMap { Int($0) } ?? 0
        guard size >= 0, size <= Self.mostBuffered, buffer.endIndex >= end + 1 + size + 2 else {
            return size > Self.mostBuffered ? (["-ERR", "a message of \(size) bytes"], []) : nil
        }
        let payload = Array(buffer[(end + 1)..<(end + 1 + size)])
        buffer = buffer[(end + 1 + size + 2)...]
        return ([operation.uppercased()] + words, payload)
    }

    /// - Returns: false once the conversation is over.
    private mutating func take(
        _ line: (words: [String], payload: [UInt8]), into steps: inout [ConversationStep]
    ) -> Bool {
        let rest = line.words.count > 1 ? line.words[1] : ""
        switch line.words[0] {
        case "INFO":
            guard case .greeting = stage else { return true }
            return greeted(rest, into: &steps)
        case "PING": steps.append(.send(Array("PONG\r\n".utf8)))
        case "+OK": break
        case "PONG":
            switch stage {
            case .connecting: return publish(into: &steps)
            case .publishing:
                isPonged = true
                return finish(into: &steps)
            case .greeting, .securing: break
            }
        case "MSG", "HMSG":
            acknowledge(line, into: &steps)
            return finish(into: &steps)
        case "-ERR":
            let text = rest.split(separator: "'").first.map(String.init) ?? rest
            refuse("the server refuses: \(text.prefix(200))", into: &steps)
            return false
        default:
            refuse("what answers does not speak NATS", into: &steps)
            return false
        }
        return true
    }

    // MARK: Stages

    private mutating func greeted(
        _ text: String, into steps: inout [ConversationStep]
    ) -> Bool {
        guard let info = try? JSONDocument(Array(text.utf8)) else {
            refuse("what answers does not speak NATS", into: &steps)
            return false
        }
        func flag(_ name: String) -> Bool {
            info.member(named: name, of: info.root).flatMap { info.bool($0) } ?? false
        }
        takesHeaders = flag("headers")
        if let most = info.member(named: "max_payload", of: info.root).flatMap({ info.int64($0) }) {
            mostPayload = Int(clamping: most)
        }
        if job.isVerbose { steps.append(.output(Array("< INFO \(text)\n".utf8))) }
        guard server.isSecure || flag("tls_required") else {
            connect(into: &steps)
            return true
        }
        guard flag("tls_required") || flag("tls_available") else {
            steps.append(.leave(reason: "the server does not offer TLS, which tls:// asks for"))
            return false
        }
        stage = .securing
        steps.append(.secure(TLSPeer(host: server.host, settings: job.tls)))
        return true
    }

    private mutating func connect(into steps: inout [ConversationStep]) {
        stage = .connecting
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("verbose", false)
        writer.member("pedantic", false)
        writer.member("name", "dkron")
        writer.member("lang", "swift")
        writer.member("version", "1")
        writer.member("protocol", 1)
        writer.member("headers", true)
        writer.member("no_responders", true)
        writer.member("echo", false)
        let user = job.user ?? server.user
        let password = job.user == nil ? server.password : job.password
        if let token = job.token ?? (password == nil ? user : nil) {
            writer.member("auth_token", token)
        } else if let user {
            writer.member("user", user)
            writer.member("pass", password ?? "")
        }
        writer.endObject()
        steps.append(.send(Array("CONNECT ".utf8) + writer.bytes + Array("\r\nPING\r\n".utf8)))
    }

    /// - Returns: false once the conversation is over.
    private mutating func publish(into steps: inout [ConversationStep]) -> Bool {
        var fields = job.headers
        if job.wantsStream, !fields.contains("Nats-Msg-Id") {
            fields.append("Nats-Msg-Id", execution.text)
        }
        guard fields.fields.isEmpty || takesHeaders else {
            refuse("the server takes no headers", into: &steps)
            return false
        }
        var head: [UInt8] = []
        if !fields.fields.isEmpty {
            let lines = fields.fields.map { "\($0.name): \($0.value)\r\n" }.joined()
            head = Array("NATS/1.0\r\n\(lines)\r\n".utf8)
        }
        let size = head.count + job.message.count
        guard size <= mostPayload else {
            steps.append(
                .end(
                    error: "\(name): the message has \(size) bytes, and the server takes at most "
                        + "\(mostPayload)"))
            return false
        }
        var text = ""
        var reply = ""
        if job.wantsStream {
            reply = "_INBOX.\(inbox) "
            text = "SUB _INBOX.\(inbox) 1\r\n"
        }
        text += head.isEmpty ? "PUB " : "HPUB "
        text += "\(job.subject) \(reply)" + (head.isEmpty ? "" : "\(head.count) ") + "\(size)\r\n"
        stage = .publishing
        isCommitted = true
        steps.append(.send(Array(text.utf8) + head + job.message + Array("\r\nPING\r\n".utf8)))
        return true
    }

    /// Letters and digits that nobody else uses on this connection.
    private var inbox: String {
        "dkron" + execution.text.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    private mutating func acknowledge(
        _ line: (words: [String], payload: [UInt8]), into steps: inout [ConversationStep]
    ) {
        var payload = line.payload[...]
        if line.words[0] == "HMSG" {
            let headSize = line.words.dropLast().last.flatMap { Int($0) } ?? 0
            let head = String(decoding: payload.prefix(max(0, headSize)), as: UTF8.self)
            guard !head.hasPrefix("NATS/1.0 503") else {
                acknowledged = ""
                return steps.append(
                    .end(
                        error: "\(name): no stream stores messages of the subject "
                            + "\"\(job.subject)\""))
            }
            payload = payload.dropFirst(max(0, headSize))
        }
        guard let answer = try? JSONDocument(Array(payload)) else { return }
        func text(_ name: String, _ value: JSONValue) -> String? {
            answer.member(named: name, of: value).flatMap { answer.string($0) }
        }
        if let error = answer.member(named: "error", of: answer.root) {
            acknowledged = ""
            let reason = text("description", error) ?? "the stream gives no reason"
            return steps.append(.end(error: "\(name): not stored: \(reason.prefix(200))"))
        }
        guard let stream = text("stream", answer.root) else { return }
        let number = answer.member(named: "seq", of: answer.root).flatMap { answer.int64($0) } ?? 0
        acknowledged = "Stream: \(stream), message \(number)\n"
    }

    /// - Returns: false once the conversation is over.
    private func finish(into steps: inout [ConversationStep]) -> Bool {
        if case .end = steps.last { return false }
        guard isPonged, !job.wantsStream || acknowledged != nil else { return true }
        let words = "Result: Message successfully sent\n" + (acknowledged ?? "")
        steps.append(.output(Array(words.utf8)))
        steps.append(.end(error: ""))
        return false
    }

    /// Before the message was sent another server may take it.
    private func refuse(_ reason: String, into steps: inout [ConversationStep]) {
        steps.append(isCommitted ? .end(error: "\(name): \(reason)") : .leave(reason: reason))
    }

    private var name: String {
        ConversationServer(host: server.host, port: server.port).name
    }
}
