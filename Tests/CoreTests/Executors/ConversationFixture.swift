@testable import Core

/// Calls whose network and server are the test. What they want is told in words.
struct ConversationFixture {
    var calls: Conversations
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_000))
    var out = CallOutput()
    var sent: [ConnectionNumber: String] = [:]
    /// The same as bytes; taken out by whoever answers.
    var sentBytes: [ConnectionNumber: [UInt8]] = [:]

    init(_ change: (inout Conversations.Limits) -> Void = { _ in }) {
        var limits = Conversations.Limits()
        change(&limits)
        calls = Conversations(limits: limits)
    }

    mutating func begin(
        _ number: Int64, _ settings: [(String, String)], fence: Duration? = nil
    ) throws -> [String] {
        let config = settings.map { (key: $0.0, value: $0.1) }
        return begin(number, .nats(try NATSJob.parse(config)), fence: fence)
    }

    mutating func begin(
        _ number: Int64, _ task: ConversationTask, identity: [EnvironmentEntry] = [],
        fence: Duration? = nil
    ) -> [String] {
        let call = ConversationCall(
            execution: ExecutionID("\(number)-n"), task: task, identity: identity, fence: fence)
        calls.begin(call, at: now, into: &out)
        return take()
    }

    mutating func take(_ event: SocketEvent) -> [String] {
        calls.take(event, at: now, into: &out)
        return take()
    }

    mutating func receive(_ connection: ConnectionNumber, _ text: String) -> [String] {
        take(.received(connection, Array(text.utf8)))
    }

    mutating func wait(_ time: Duration) -> [String] {
        now.monotonic = now.monotonic + time
        calls.deadline(at: now, into: &out)
        return take()
    }

    mutating func hangUp(_ number: Int64) -> [String] {
        calls.hangUp(ExecutionID("\(number)-n"), at: now, into: &out)
        return take()
    }

    private mutating func take() -> [String] {
        defer { out = CallOutput() }
        var words: [String] = []
        for action in out.sockets {
            switch action {
            case .resolve(let host): words.append("resolve \(host)")
            case .open(let number, let address, let port, _):
                words.append("open \(number) \(address) \(port)")
            case .secure(let number, let peer): words.append("secure \(number) \(peer.host)")
            case .send(let number, let bytes):
                sent[number, default: ""] += String(decoding: bytes, as: UTF8.self)
                sentBytes[number, default: []] += bytes
                words.append("send \(number)")
            case .close(let number): words.append("close \(number)")
            }
        }
        for (execution, event) in out.news {
            let number = execution.number ?? 0
            switch event {
            case .started: words.append("\(number) started")
            case .output(let bytes):
                words.append("\(number) printed \(String(decoding: bytes, as: UTF8.self))")
            case .wholeOutput(let bytes):
                words.append("\(number) printed all \(String(decoding: bytes, as: UTF8.self))")
            case .ended(let end): words.append("\(number) \(end.cause): \(end.error)")
            }
        }
        return words
    }
}
