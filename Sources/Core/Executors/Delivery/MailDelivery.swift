/// How a connection with a mail server gets private.
package enum MailSecurity: UInt8, Hashable, Sendable {
    /// STARTTLS (RFC 3207) if the server offers it.
    case offered
    /// STARTTLS, or nothing is sent.
    case required
    /// TLS from the first byte on (RFC 8314).
    case implicit
    case none
}

/// A mail for a server, which is to deliver it further.
package struct MailDelivery: ConversationJob {
    package var host: String
    package var port: UInt16
    package var security = MailSecurity.offered
    package var tls = TLSSettings()
    package var user: String?
    package var password: String?
    package var sender: String
    package var recipients: [String]
    /// Header fields and body, lines ending with CR LF.
    package var message: [UInt8]
    package var timeout: Duration?

    package init(
        host: String, port: UInt16, sender: String, recipients: [String], message: [UInt8],
        timeout: Duration?
    ) {
        self.host = host
        self.port = port
        self.sender = sender
        self.recipients = recipients
        self.message = message
        self.timeout = timeout
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        MailConversation(self)
    }
}

/// A client of the Simple Mail Transfer Protocol (RFC 5321) with STARTTLS (RFC 3207) and the
/// mechanisms PLAIN and LOGIN of AUTH (RFC 4954).
///
///     greeting ─► hello ─► (starting TLS ─► hello) ─► (authenticating) ─► sender ─► recipients
///     ─► data ─► message ─► ended
struct MailConversation: Conversation {
    private enum Stage: Equatable {
        case greeting, hello, startingTLS, securing, authenticating, loginUser, loginPassword
        case sender
        case recipient(Int)
        case data, message
    }

    private let delivery: MailDelivery
    private var stage = Stage.greeting
    private var isSecure: Bool
    private var buffer: [UInt8] = []
    /// Lines of the answer so far.
    private var answer: [String] = []
    private(set) var isCommitted = false

    /// An answer's lines are short, and of EHLO there are some dozens.
    private static let mostBuffered = 64 << 10

    init(_ delivery: MailDelivery) {
        self.delivery = delivery
        isSecure = delivery.security == .implicit
    }

    var servers: [ConversationServer] {
        let peer = TLSPeer(host: delivery.host, settings: delivery.tls)
        return [
            ConversationServer(
                host: delivery.host, port: delivery.port,
                tls: delivery.security == .implicit ? peer : nil)
        ]
    }

    // MARK: Events

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        buffer = []
        answer = []
        if stage == .securing {
            isSecure = true
            return hello(into: &steps)
        }
        stage = .greeting
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        // Whoever speaks between the two could say what is believed later (RFC 3207 section 6).
        if stage == .securing { return }
        buffer += bytes
        while let end = buffer.firstIndex(of: 0x0a) {
            var line = buffer[..<end]
            if line.last == 0x0d { line.removeLast() }
            let text = String(decoding: line, as: UTF8.self)
            buffer.removeSubrange(...end)
            guard let code = Self.code(of: text), answer.count < 100 else {
                return give(up: "what answers does not speak SMTP", into: &steps)
            }
            let rest = Array(text.utf8.dropFirst(3))
            let isLast = rest.first != UInt8(ascii: "-")
            answer.append(String(decoding: rest.dropFirst(), as: UTF8.self))
            guard isLast else { continue }
            let lines = answer
            answer = []
            answered(code, lines, into: &steps)
            if case .end = steps.last { return }
            if case .secure = steps.last { return }
        }
        guard buffer.count <= Self.mostBuffered else {
            return give(up: "what answers does not speak SMTP", into: &steps)
        }
    }

    private static func code(of line: String) -> Int? {
        let digits = line.utf8.prefix(3)
        guard digits.count == 3, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Int(String(decoding: Array(digits), as: UTF8.self))
    }

    // MARK: Stages

    private mutating func answered(
        _ code: Int, _ lines: [String], into steps: inout [ConversationStep]
    ) {
        let wanted: [Int] =
            switch stage {
            case .greeting: [220]
            case .hello: [250]
            case .startingTLS: [220]
            case .authenticating: [235]
            case .loginUser, .loginPassword: [334]
            case .sender: [250]
            case .recipient: [250, 251, 252]
            case .data: [354]
            case .message: [250]
            case .securing: []
            }
        guard wanted.contains(code) else {
            let text = lines.joined(separator: " ").prefix(300)
            return give(up: "the server refuses \(what): \(code) \(text)", into: &steps)
        }
        switch stage {
        case .greeting: hello(into: &steps)
        case .hello: greeted(lines, into: &steps)
        case .startingTLS:
            stage = .securing
            buffer = []
            steps.append(.secure(TLSPeer(host: delivery.host, settings: delivery.tls)))
        case .loginUser:
            stage = .loginPassword
            say(Base64Text.encode(Array((delivery.user ?? "").utf8)), into: &steps)
        case .loginPassword:
            stage = .authenticating
            say(Base64Text.encode(Array((delivery.password ?? "").utf8)), into: &steps)
        case .authenticating: mail(into: &steps)
        case .sender:
            stage = .recipient(0)
            say("RCPT TO:<\(delivery.recipients[0])>", into: &steps)
        case .recipient(let index) where index + 1 < delivery.recipients.count:
            stage = .recipient(index + 1)
            say("RCPT TO:<\(delivery.recipients[index + 1])>", into: &steps)
        case .recipient:
            stage = .data
            say("DATA", into: &steps)
        case .data:
            stage = .message
            isCommitted = true
            steps.append(.send(Self.stuffed(delivery.message)))
        case .message:
            say("QUIT", into: &steps)
            steps.append(.end(error: ""))
        case .securing: break
        }
    }

    private mutating func hello(into steps: inout [ConversationStep]) {
        stage = .hello
        say("EHLO dkron", into: &steps)
    }

    private mutating func greeted(_ lines: [String], into steps: inout [ConversationStep]) {
        let offers = lines.dropFirst().map { $0.uppercased() }
        let offersTLS = offers.contains("STARTTLS")
        switch delivery.security {
        case .required where !isSecure && !offersTLS:
            return give(up: "the server offers no STARTTLS, which is required", into: &steps)
        case .required where !isSecure, .offered where !isSecure && offersTLS:
            stage = .startingTLS
            return say("STARTTLS", into: &steps)
        case .offered, .required, .implicit, .none: break
        }
        guard delivery.user != nil else { return mail(into: &steps) }
        // A password in the clear goes to this very machine only.
        guard isSecure || isLocal else {
            return give(
                up: "the server offers no TLS, and the password is not sent without it",
                into: &steps)
        }
        let mechanisms =
            offers.first(where: { $0.hasPrefix("AUTH ") })?.split(separator: " ") ?? []
        if mechanisms.contains("PLAIN") {
            stage = .authenticating
            let pair = "\0\(delivery.user ?? "")\0\(delivery.password ?? "")"
            say("AUTH PLAIN \(Base64Text.encode(Array(pair.utf8)))", into: &steps)
        } else if mechanisms.contains("LOGIN") {
            stage = .loginUser
            say("AUTH LOGIN", into: &steps)
        } else {
            give(
                up: "the server offers neither PLAIN nor LOGIN to authenticate with",
                into: &steps)
        }
    }

    private var isLocal: Bool {
        delivery.host == "localhost" || delivery.host == "::1" || delivery.host.hasPrefix("127.")
    }

    private mutating func mail(into steps: inout [ConversationStep]) {
        stage = .sender
        say("MAIL FROM:<\(delivery.sender)>", into: &steps)
    }

    /// What was asked for last, for messages.
    private var what: String {
        switch stage {
        case .greeting: "the connection"
        case .hello: "EHLO"
        case .startingTLS, .securing: "STARTTLS"
        case .authenticating, .loginUser, .loginPassword: "the user \(delivery.user ?? "")"
        case .sender: "the sender \(delivery.sender)"
        case .recipient(let index): "the recipient \(delivery.recipients[index])"
        case .data, .message: "the message"
        }
    }

    private func say(_ line: String, into steps: inout [ConversationStep]) {
        steps.append(.send(Array("\(line)\r\n".utf8)))
    }

    /// - Parameter up: the reason.
    private func give(up reason: String, into steps: inout [ConversationStep]) {
        steps.append(.end(error: "\(servers[0].name): \(reason)"))
    }

    /// The message with its end; a line that begins with a dot gets another one (RFC 5321 section
    /// 4.5.2).
    private static func stuffed(_ message: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(message.count + 16)
        var isAtStart = true
        for byte in message {
            if isAtStart, byte == UInt8(ascii: ".") { bytes.append(byte) }
            bytes.append(byte)
            isAtStart = byte == 0x0a
        }
        if !isAtStart { bytes += [0x0d, 0x0a] }
        return bytes + ".\r\n".utf8
    }
}
