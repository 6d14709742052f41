import Testing

@testable import Core

/// A conversation whose server is the test.
private struct Talk {
    var conversation: any Conversation
    let now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1))

    init(_ job: any ConversationJob, task: ConversationTask) {
        conversation = job.begin(
            ConversationCall(execution: ExecutionID("1-n"), task: task, fence: nil),
            on: BareHost())
    }

    mutating func open() -> [String] {
        var steps: [ConversationStep] = []
        conversation.opened(conversation.servers[0], at: now, into: &steps)
        return steps.map(Self.words)
    }

    mutating func hear(_ text: String) -> [String] {
        var steps: [ConversationStep] = []
        conversation.received(Array(text.utf8), at: now, into: &steps)
        return steps.map(Self.words)
    }

    static func words(_ step: ConversationStep) -> String {
        switch step {
        case .send(let bytes): String(decoding: bytes, as: UTF8.self)
        case .secure(let peer): "secure \(peer.host)"
        case .output: "output"
        case .move: "move"
        case .wait(let time): "wait \(time.wholeMilliseconds)"
        case .leave(let reason): "leave: \(reason)"
        case .conclude(let error, _): "conclude: \(error)"
        case .end(let error): "end: \(error)"
        }
    }
}

@Suite("Deliveries: mail and syslog")
struct DeliveryTests {
    private func mail(_ change: (inout MailDelivery) -> Void = { _ in }) -> Talk {
        var delivery = MailDelivery(
            host: "mail.example", port: 25, sender: "a@b", recipients: ["c@d", "e@f"],
            message: Array("Subject: x\r\n\r\n.dot\r\n..\r\nend".utf8), timeout: .seconds(9))
        change(&delivery)
        return Talk(delivery, task: .mail(delivery))
    }

    @Test func aMailGoesThroughAllItsStages() {
        var talk = mail { ($0.user, $0.password) = ("u", "p") }
        #expect(talk.open() == [])
        #expect(talk.hear("220-hello\r\n220 there\r\n") == ["EHLO dkron\r\n"])
        #expect(talk.hear("250-me\r\n250-STARTT") == [])
        #expect(talk.hear("LS\r\n250 AUTH PLAIN\r\n") == ["STARTTLS\r\n"])
        // What comes before TLS is there is not believed.
        #expect(talk.hear("220 go\r\n250 AUTH LOGIN\r\n") == ["secure mail.example"])
        #expect(talk.hear("250 injected\r\n") == [])
        #expect(talk.open() == ["EHLO dkron\r\n"])
        #expect(talk.hear("250-me\r\n250 AUTH LOGIN PLAIN\r\n") == ["AUTH PLAIN AHUAcA==\r\n"])
        #expect(talk.hear("235 ok\r\n") == ["MAIL FROM:<a@b>\r\n"])
        #expect(talk.hear("250 ok\r\n") == ["RCPT TO:<c@d>\r\n"])
        #expect(talk.hear("250 ok\r\n") == ["RCPT TO:<e@f>\r\n"])
        #expect(talk.hear("251 ok\r\n") == ["DATA\r\n"])
        #expect(!talk.conversation.isCommitted)
        #expect(
            talk.hear("354 go\r\n") == ["Subject: x\r\n\r\n..dot\r\n...\r\nend\r\n.\r\n"])
        #expect(talk.conversation.isCommitted)
        #expect(talk.hear("250 taken\r\n") == ["QUIT\r\n", "end: "])
    }

    @Test func theOtherMechanismAndNone() {
        var talk = mail { ($0.user, $0.password, $0.host) = ("u", "p", "127.0.0.1") }
        _ = talk.open()
        _ = talk.hear("220 x\r\n")
        #expect(talk.hear("250-x\r\n250 AUTH LOGIN\r\n") == ["AUTH LOGIN\r\n"])
        #expect(talk.hear("334 VXNlcm5hbWU6\r\n") == ["dQ==\r\n"])
        #expect(talk.hear("334 UGFzc3dvcmQ6\r\n") == ["cA==\r\n"])
        #expect(talk.hear("235 ok\r\n") == ["MAIL FROM:<a@b>\r\n"])
        var other = mail { ($0.user, $0.password, $0.host) = ("u", "p", "127.0.0.1") }
        _ = other.open()
        _ = other.hear("220 x\r\n")
        #expect(
            other.hear("250 x\r\n") == [
                "end: 127.0.0.1:25: the server offers neither PLAIN nor LOGIN to authenticate with"
            ])
    }

    @Test func noPasswordGoesOverAnOpenLineAndRequiredMeansIt() {
        var talk = mail { ($0.user, $0.password) = ("u", "p") }
        _ = talk.open()
        _ = talk.hear("220 x\r\n")
        #expect(talk.hear("250 AUTH PLAIN\r\n").first?.contains("not sent without it") == true)
        var required = mail { $0.security = .required }
        _ = required.open()
        _ = required.hear("220 x\r\n")
        #expect(required.hear("250 x\r\n").first?.contains("which is required") == true)
    }

    @Test func refusalsSayWhatWasRefused() {
        var talk = mail()
        _ = talk.open()
        #expect(
            talk.hear("554 no\r\n") == [
                "end: mail.example:25: the server refuses the connection: 554 no"
            ])
        var second = mail()
        _ = second.open()
        _ = second.hear("220 x\r\n")
        _ = second.hear("250 x\r\n")
        _ = second.hear("250 x\r\n")
        #expect(
            second.hear("550 5.1.1 unknown\r\n") == [
                "end: mail.example:25: the server refuses the recipient c@d: 550 5.1.1 unknown"
            ])
    }

    @Test func whatIsNoMailServerIsLeft() {
        for text in ["HTTP/1.1 400\r\n", "\r\n", "22\r\n", "é é\n"] {
            var talk = mail()
            _ = talk.open()
            #expect(talk.hear(text).last?.hasSuffix("does not speak SMTP") == true, "\(text)")
        }
        var endless = mail()
        _ = endless.open()
        #expect(
            endless.hear(String(repeating: "a", count: 100_000)).last?
                .hasSuffix("does not speak SMTP") == true)
        var lines = mail()
        _ = lines.open()
        #expect(
            lines.hear(String(repeating: "220-a\r\n", count: 200)).last?
                .hasSuffix("does not speak SMTP") == true)
    }

    @Test func aSyslogMessageIsDeliveredOnceItIsTaken() {
        let delivery = SyslogDelivery(
            server: ConversationServer(host: "h", port: 601), message: Array("<1>1 x".utf8),
            timeout: nil)
        var talk = Talk(delivery, task: .syslog(delivery))
        #expect(talk.open() == ["6 <1>1 x"])
        #expect(talk.conversation.isCommitted)
        var steps: [ConversationStep] = []
        talk.conversation.wrote(5, at: talk.now, into: &steps)
        #expect(steps.isEmpty)
        #expect(talk.hear("noise") == [])
        talk.conversation.wrote(3, at: talk.now, into: &steps)
        #expect(steps == [.wait(.milliseconds(300))])
        steps = []
        talk.conversation.resumed(at: talk.now, into: &steps)
        #expect(steps == [.end(error: "")])
    }
}
