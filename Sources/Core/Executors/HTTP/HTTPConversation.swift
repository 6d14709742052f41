// Executors that ask web services several things, one after another: the next request depends on
// the last answer. What is asked is a dialogue's matter; here are connections, bytes and ends.

/// What comes next in a dialogue.
indirect enum HTTPDialogueStep: Sendable {
    /// Leaves what was asked before, if it was not answered yet.
    /// - Parameters:
    ///   - isRepeatable: asking twice is as good as asking once.
    ///   - patience: for the answer's beginning or, where its body is collected, for all of it;
    ///     nil: that of every server.
    case ask(HTTPExchange, isRepeatable: Bool, patience: Duration? = nil)
    case wait(Duration)
    /// What was asked last goes on being answered.
    case goOn
    case print([UInt8], then: HTTPDialogueStep)
    /// The outcome stands: a sentence without the full stop, or nothing for a success. What is done
    /// then is cleaning up.
    case conclude(error: String, exitCode: Int32?, then: HTTPDialogueStep)
    /// A sentence without the full stop, or nothing for a success; behind `conclude` what became of
    /// the cleaning up, if that is worth a word.
    case end(output: [UInt8], error: String)

    static func ask(_ exchange: HTTPExchange) -> HTTPDialogueStep {
        .ask(exchange, isRepeatable: exchange.method.isIdempotent)
    }

    static func fail(_ error: String) -> HTTPDialogueStep { .end(output: [], error: error) }
}

protocol HTTPDialogue: Sendable {
    /// Bytes of an answer's body beyond which it is refused, unless it is streamed.
    var mostBody: Int { get }
    /// Who is asked, whatever the URLs say; nil: who they say.
    var server: ConversationServer? { get }
    /// See `Conversation`.
    var farewell: Duration { get }
    var pending: String? { get }
    var remains: String { get }

    /// The first step, and the one after a wait.
    mutating func next(at now: Now) -> HTTPDialogueStep
    /// The answer to what was asked last, whatever its status; redirects are not followed.
    mutating func answered(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep
    /// What was asked last was not taken by anybody, for this reason.
    mutating func failed(_ reason: String, at now: Now) -> HTTPDialogueStep
    /// The head of an answer has come. Nil: its body is collected. Else it is streamed: `took` gets
    /// it in pieces, `answered` an empty one, and it may be as long as it likes and keep silent for
    /// so long.
    mutating func streams(_ head: HTTPResponseHead) -> Duration?
    mutating func took(_ piece: [UInt8], at now: Now) -> HTTPDialogueStep
    /// It was ended from outside, and its farewell begins. With `goOn` what was asked last has five
    /// more seconds for its answer.
    mutating func interrupted(_ cause: CallEnd.Cause, at now: Now) -> HTTPDialogueStep
}

extension HTTPDialogue {
    var mostBody: Int { 1 << 20 }
    var server: ConversationServer? { nil }
    var farewell: Duration { .zero }
    var pending: String? { nil }
    var remains: String { "" }
    mutating func streams(_ head: HTTPResponseHead) -> Duration? { nil }
    mutating func took(_ piece: [UInt8], at now: Now) -> HTTPDialogueStep { .goOn }
    mutating func interrupted(_ cause: CallEnd.Cause, at now: Now) -> HTTPDialogueStep { .goOn }
}

/// Holds a dialogue over HTTP/1.1, each request over a connection of its own.
struct HTTPConversation<Dialogue: HTTPDialogue>: Conversation {
    private var dialogue: Dialogue
    private var isBegun = false
    private var exchange: HTTPExchange?
    private var isRepeatable = false
    private var patience: Duration?
    /// How long a body that is streamed may keep silent.
    private var silence: Duration?
    private var parser = HTTPResponseParser()
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []
    /// Nothing is asked until then.
    private var waitsUntil: Instant?
    private(set) var isCommitted = false

    init(_ dialogue: Dialogue) { self.dialogue = dialogue }

    /// Whom to ask is told by the first step.
    var servers: [ConversationServer] { [] }
    var farewell: Duration { dialogue.farewell }
    var pending: String? { dialogue.pending }
    var remains: String { dialogue.remains }

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        guard let exchange else { return }
        // What is collected is bounded where it is.
        var limits = HTTPResponseLimits()
        limits.body = .max
        parser = HTTPResponseParser(limits: limits, isHead: exchange.method == .head)
        (head, body, silence) = (nil, [], nil)
        isCommitted = !isRepeatable
        steps.append(.send(exchange.bytes))
        if let patience { steps.append(.wait(patience)) }
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

    mutating func interrupted(
        _ cause: CallEnd.Cause, at now: Now, into steps: inout [ConversationStep]
    ) {
        let step = dialogue.interrupted(cause, at: now)
        guard !perform(step, at: now, into: &steps), waitsUntil == nil else { return }
        patience = .seconds(5)
        steps.append(.wait(.seconds(5)))
    }

    mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {
        guard waitsUntil != nil else {
            let time = DurationText.print(silence ?? patience ?? .zero)
            return broken("no word of the server for \(time)", into: &steps)
        }
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
            case .head(let head):
                self.head = head
                silence = dialogue.streams(head)
                if let silence { steps.append(.wait(silence)) }
            case .body(let piece):
                guard let silence else {
                    body += piece
                    if body.count <= dialogue.mostBody { continue }
                    let failure = HTTPResponseFailure.bodyTooLong(dialogue.mostBody)
                    return broken(failure.description, into: &steps)
                }
                steps.append(.wait(silence))
                if perform(dialogue.took(piece, at: now), at: now, into: &steps) { return }
            case .end:
                guard let head else { return }
                isCommitted = false
                perform(dialogue.answered(head, body, at: now), at: now, into: &steps)
                return
            case .failure(let failure): return broken(failure.description, into: &steps)
            }
        }
    }

    /// The answer won't come, or not be whole.
    private mutating func broken(_ reason: String, into steps: inout [ConversationStep]) {
        // Nothing more is read of this connection.
        parser = HTTPResponseParser()
        parser.receiveEnd()
        guard isCommitted, let exchange else { return steps.append(.leave(reason: reason)) }
        let error = "\(exchange.url.authority): \(reason)" + Conversations.caveat
        steps.append(.end(error: error))
    }

    /// - Returns: whether the answer that is under way is not read any further.
    @discardableResult
    private mutating func perform(
        _ step: HTTPDialogueStep, at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        switch step {
        case .ask(let exchange, let isRepeatable, let patience):
            self.exchange = exchange
            self.isRepeatable = isRepeatable
            self.patience = patience
            waitsUntil = nil
            let url = exchange.url
            steps.append(
                .move(
                    to: dialogue.server
                        ?? ConversationServer(host: url.host, port: url.port, tls: exchange.peer)))
        case .wait(let time):
            waitsUntil = now.monotonic + time
            steps.append(.wait(time))
        case .goOn: return false
        case .print(let bytes, let next):
            if !bytes.isEmpty { steps.append(.output(bytes)) }
            return perform(next, at: now, into: &steps)
        case .conclude(let error, let exitCode, let next):
            steps.append(.conclude(error: error, exitCode: exitCode))
            return perform(next, at: now, into: &steps)
        case .end(let output, let error):
            if !output.isEmpty { steps.append(.output(output)) }
            steps.append(.end(error: error))
        }
        return true
    }
}
