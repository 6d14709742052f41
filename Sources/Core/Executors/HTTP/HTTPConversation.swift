// Executors that ask web services several things, one after another: the next request depends on
// the last answer. What is asked is a dialogue's matter; here are connections, bytes and ends.

/// What comes next in a dialogue.
enum HTTPDialogueStep: Sendable {
    /// - Parameter isRepeatable: asking twice is as good as asking once.
    case ask(HTTPExchange, isRepeatable: Bool)
    case wait(Duration)
    /// A sentence without the full stop, or nothing for a success.
    case end(output: [UInt8], error: String)

    static func ask(_ exchange: HTTPExchange) -> HTTPDialogueStep {
        .ask(exchange, isRepeatable: exchange.method.isIdempotent)
    }

    static func fail(_ error: String) -> HTTPDialogueStep { .end(output: [], error: error) }
}

protocol HTTPDialogue: Sendable {
    /// Bytes of an answer's body beyond which it is refused.
    var mostBody: Int { get }

    /// The first step, and the one after a wait.
    mutating func next(at now: Now) -> HTTPDialogueStep
    /// The answer to what was asked last, whatever its status; redirects are not followed.
    mutating func answered(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep
    /// What was asked last was not taken by anybody, for this reason.
    mutating func failed(_ reason: String, at now: Now) -> HTTPDialogueStep
}

extension HTTPDialogue {
    var mostBody: Int { 1 << 20 }
}

/// Holds a dialogue over HTTP/1.1, each request over a connection of its own.
struct HTTPConversation<Dialogue: HTTPDialogue>: Conversation {
    private var dialogue: Dialogue
    private var isBegun = false
    private var exchange: HTTPExchange?
    private var isRepeatable = false
    private var parser = HTTPResponseParser()
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []
    /// Nothing is asked until then.
    private var waitsUntil: Instant?
    private(set) var isCommitted = false

    init(_ dialogue: Dialogue) { self.dialogue = dialogue }

    /// Whom to ask is told by the first step.
    var servers: [ConversationServer] { [] }

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        guard let exchange else { return }
        var limits = HTTPResponseLimits()
        limits.body = dialogue.mostBody
        parser = HTTPResponseParser(limits: limits, isHead: exchange.method == .head)
        (head, body) = (nil, [])
        isCommitted = !isRepeatable
        steps.append(.send(exchange.bytes))
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        parser.receive(bytes.span)
        read(at: now, into: &steps)
    }

    mutating func closed(at now: Now, into steps: inout [ConversationStep]) {
        if goOnWaiting(at: now, into: &steps) { return }
        parser.receiveEnd()
        read(at: now, into: &steps)
    }

    mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {
        waitsUntil = nil
        perform(dialogue.next(at: now), at: now, into: &steps)
    }

    mutating func exhausted(
        reason: String, at now: Now, into steps: inout [ConversationStep]
    ) {
        if goOnWaiting(at: now, into: &steps) { return }
        let step = isBegun ? dialogue.failed(reason, at: now) : dialogue.next(at: now)
        isBegun = true
        perform(step, at: now, into: &steps)
    }

    /// The connection of an answer that has come may end before the wait does.
    private func goOnWaiting(at now: Now, into steps: inout [ConversationStep]) -> Bool {
        guard let waitsUntil else { return false }
        steps.append(.wait(max(.zero, waitsUntil - now.monotonic)))
        return true
    }

    private mutating func read(at now: Now, into steps: inout [ConversationStep]) {
        while let event = parser.next() {
            switch event {
            case .head(let head): self.head = head
            case .body(let piece): body += piece
            case .end:
                guard let head else { return }
                isCommitted = false
                return perform(dialogue.answered(head, body, at: now), at: now, into: &steps)
            case .failure(let failure):
                guard isCommitted, let exchange else {
                    return steps.append(.leave(reason: failure.description))
                }
                let error = "\(exchange.url.authority): \(failure)" + Conversations.caveat
                return steps.append(.end(error: error))
            }
        }
    }

    private mutating func perform(
        _ step: HTTPDialogueStep, at now: Now, into steps: inout [ConversationStep]
    ) {
        switch step {
        case .ask(let exchange, let isRepeatable):
            self.exchange = exchange
            self.isRepeatable = isRepeatable
            let url = exchange.url
            steps.append(
                .move(
                    to: ConversationServer(host: url.host, port: url.port, tls: exchange.peer)))
        case .wait(let time):
            waitsUntil = now.monotonic + time
            steps.append(.wait(time))
        case .end(let output, let error):
            if !output.isEmpty { steps.append(.output(output)) }
            steps.append(.end(error: error))
        }
    }
}
