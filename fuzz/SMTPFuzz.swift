// Any bytes as what a mail server says, behind a beginning that the first of them choose, cut at
// places that the others choose: they mean the same as when they come whole, nothing is said after
// the end, a mail is sent before it is a success, and a password never goes in the clear.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSMTP(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    let beginning = beginnings[Int(input[0]) % beginnings.count]
    let mail = mail(input[1])
    var cuts = (0..<random.int(in: 0...10)).map { _ in random.int(in: 0...bytes.count) }
    cuts.sort()
    let whole = steps(mail, beginning, bytes, [])
    invariant(steps(mail, beginning, bytes, cuts) == whole, "how bytes are cut changes nothing")
    invariant(
        steps(mail, beginning, bytes, Array(bytes.indices)) == whole, "nor does it when they drip")
    return 0
}

private let secret = "c2VjcmV0"

private func mail(_ choice: UInt8) -> MailDelivery {
    var mail = MailDelivery(
        host: "mail.example", port: 25, sender: "a@b.example",
        recipients: ["c@d.example", "e@f.example"], message: Array(".one\r\n..two\r\n".utf8),
        timeout: nil)
    mail.security = [.offered, .required, .implicit, MailSecurity.none][Int(choice & 3)]
    // With a user of one letter the password looks the same in Base64 by LOGIN and by PLAIN.
    if choice & 4 != 0 { (mail.user, mail.password) = ("u", "secret") }
    return mail
}

/// What a server says up to several points.
private let beginnings: [[UInt8]] = [
    "", "220 hello\r\n", "220 hello\r\n250-mail.example\r\n250 STARTTLS\r\n",
    "220-hello\r\n220 there\r\n250-mail.example\r\n250 AUTH LOGIN PLAIN\r\n",
    "220 hello\r\n250 mail.example\r\n250 ok\r\n250 ok\r\n251 ok\r\n354 go on\r\n",
].map { Array($0.utf8) }

private func steps(
    _ mail: MailDelivery, _ beginning: [UInt8], _ bytes: [UInt8], _ cuts: [Int]
) -> [ConversationStep] {
    let now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var conversation = MailConversation(mail)
    var steps: [ConversationStep] = []
    conversation.opened(conversation.servers[0], at: now, into: &steps)
    var start = 0
    let all = beginning + bytes
    for cut in [beginning.count] + cuts.map({ beginning.count + $0 }) + [all.count] {
        if isOver(steps, conversation) { return steps }
        conversation.received(Array(all[start..<cut]), at: now, into: &steps)
        start = cut
    }
    if mail.security != .implicit {
        for case .send(let bytes) in steps {
            let text = String(decoding: bytes, as: UTF8.self)
            invariant(!text.contains(secret), "a password is not sent in the clear")
        }
    }
    return steps
}

private func isOver(_ steps: [ConversationStep], _ conversation: MailConversation) -> Bool {
    switch steps.last {
    case .end(let error):
        invariant(!error.isEmpty || conversation.isCommitted, "success has a mail")
        return true
    // What was said before TLS is not believed.
    case .secure: return true
    default: return false
    }
}
