import Testing

@testable import Core

/// A machine whose files and variables are the test's, and which signs with a word.
private struct PaperHost: ExecutorHost {
    var variables: [String: String] = [:]
    var files: [String: String] = [:]

    func digest(_ kind: DigestKind, of bytes: [UInt8]) throws(ExecutorHostError) -> [UInt8] { [] }
    func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [] }
    func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [] }
    func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8] {
        guard key == "pem" else { throw ExecutorHostError("no key") }
        return [0xfb, 0xff, UInt8(bytes.count & 255)]
    }
    func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8] { [] }
    func variable(_ name: String) -> String? { variables[name] }
    func file(_ path: String) throws(ExecutorHostError) -> [UInt8]? {
        files[path].map { Array($0.utf8) }
    }
}

private struct Fixture {
    var calls: Conversations
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_700_000_000))
    var out = CallOutput()
    var sent = ""

    init(_ host: PaperHost, _ settings: [(String, String)]) throws {
        calls = Conversations(on: host)
        let job = try PubSubJob.parse(settings.map { (key: $0.0, value: $0.1) })
        calls.begin(
            ConversationCall(execution: ExecutionID("1-n"), task: .gcppubsub(job), fence: nil),
            at: now, into: &out)
    }

    mutating func take(_ event: SocketEvent? = nil) -> [String] {
        if let event { calls.take(event, at: now, into: &out) }
        defer { out = CallOutput() }
        var words: [String] = []
        for action in out.sockets {
            switch action {
            case .open(let number, let address, let port, let tls):
                words.append("open \(number) \(address) \(port)\(tls == nil ? "" : " tls")")
            case .send(let number, let bytes):
                sent = String(decoding: bytes, as: UTF8.self)
                words.append("send \(number)")
            case .close(let number): words.append("close \(number)")
            case .resolve(let host): words.append("resolve \(host)")
            case .secure: words.append("\(action)")
            }
        }
        for (_, event) in out.news {
            switch event {
            case .started, .wholeOutput: break
            case .output(let bytes): words.append("out " + String(decoding: bytes, as: UTF8.self))
            case .ended(let end): words.append("\(end.cause): \(end.error)")
            }
        }
        return words
    }

    mutating func answer(
        _ connection: ConnectionNumber, _ body: String, status: Int = 200
    ) -> [String] {
        let text = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        return take(.received(connection, Array(text.utf8)))
    }

    mutating func wait(_ time: Duration) -> [String] {
        now.monotonic = now.monotonic + time
        calls.deadline(at: now, into: &out)
        return take()
    }
}

private let message = [
    ("project", "p"), ("topic", "t"), ("data", "aGk="), ("endpoint", "https://10.0.0.9"),
]
private let published = #"{"messageIds":["17"]}"#

@Suite("Executor gcppubsub")
struct PubSubTests {
    @Test("a claim is signed, exchanged for a token, and the message published with it")
    func serviceAccount() throws {
        let host = PaperHost(
            variables: ["GOOGLE_APPLICATION_CREDENTIALS": "/k"],
            files: [
                "/k": #"{"type":"service_account","client_email":"e@x","private_key":"pem","#
                    + #""private_key_id":"k1","token_uri":"http://10.0.0.1/token"}"#
            ])
        var f = try Fixture(host, message + [("attributes", #"{"a":"b"}"#)])
        #expect(f.take() == ["open 1 10.0.0.1 80"])
        #expect(f.take(.opened(1)) == ["send 1"])
        #expect(f.sent.hasPrefix("POST /token HTTP/1.1\r\n"))
        let assertion = f.sent.components(after: "&assertion=").split(separator: ".")
        #expect(assertion.count == 3 && assertion[2].hasPrefix("-_"))
        let claims = try Base64Text.decode(padded(assertion[1]))
        #expect(
            String(decoding: claims, as: UTF8.self)
                == #"{"iss":"e@x","scope":"https://www.googleapis.com/auth/pubsub","#
                + #""aud":"http://10.0.0.1/token","iat":1700000000,"exp":1700003600}"#)
        let head = try Base64Text.decode(padded(assertion[0]))
        #expect(
            String(decoding: head, as: UTF8.self) == #"{"alg":"RS256","typ":"JWT","kid":"k1"}"#)
        #expect(f.answer(1, #"{"access_token":"tok"}"#) == ["close 1", "open 2 10.0.0.9 443 tls"])
        #expect(f.take(.opened(2)) == ["send 2"])
        #expect(f.sent.hasPrefix("POST /v1/projects/p/topics/t:publish HTTP/1.1\r\n"))
        #expect(f.sent.contains("Authorization: Bearer tok\r\n"))
        #expect(
            f.sent.hasSuffix(#"{"messages":[{"data":"aGk=","attributes":{"a":"b"}}]}"#),
            "\(f.sent)")
        #expect(f.answer(2, published) == ["close 2", "out 17", "finished: "])
    }

    @Test("what passes is asked again, also when the connection ends in between")
    func again() throws {
        var f = try Fixture(
            PaperHost(variables: ["PUBSUB_EMULATOR_HOST": "10.0.0.2:8085"]),
            Array(message.prefix(3)))
        #expect(f.take() == ["open 1 10.0.0.2 8085"])
        _ = f.take(.opened(1))
        #expect(!f.sent.contains("Authorization"))
        #expect(f.answer(1, "{}", status: 503) == [])
        #expect(f.wait(.milliseconds(100)) == [])
        #expect(f.take(.receivedEnd(1)) == ["close 1"])
        #expect(f.wait(.milliseconds(149)) == [])
        #expect(f.wait(.milliseconds(1)) == ["open 2 10.0.0.2 8085"])
        #expect(f.take(.failed(2, reason: "Connection refused")) == ["close 2"])
        #expect(f.wait(.milliseconds(500)) == ["open 3 10.0.0.2 8085"])
        _ = f.take(.opened(3))
        #expect(
            f.take(.receivedEnd(3)) == [
                "close 3",
                "finished: 10.0.0.2:8085: the connection was closed without an answer; it may have "
                    + "carried out what it was asked for",
            ])
        var g = try Fixture(
            PaperHost(variables: ["PUBSUB_EMULATOR_HOST": "10.0.0.2:8085"]),
            Array(message.prefix(3)))
        for connection in UInt64(1)...3 {
            _ = g.take(.failed(connection, reason: "Connection refused"))
            if connection < 3 { _ = g.wait(.seconds(1)) }
        }
        #expect(g.calls.count == 0)
    }

    @Test("an answer that says no more, and ends with its connection, counts")
    func untilClosed() throws {
        var f = try Fixture(
            PaperHost(variables: ["PUBSUB_EMULATOR_HOST": "10.0.0.2"]), Array(message.prefix(3)))
        _ = f.take(.opened(1))
        #expect(f.take(.received(1, Array("HTTP/1.0 200 OK\r\n\r\n\(published)".utf8))) == [])
        #expect(f.take(.receivedEnd(1)) == ["close 1", "out 17", "finished: "])
    }

    @Test("credentials that can't be used say where they are and what is wrong with them")
    func credentials() throws {
        let key = "GOOGLE_APPLICATION_CREDENTIALS"
        let account = #"{"type":"service_account","client_email":"e","private_key":"x"}"#
        for (host, words) in [
            (PaperHost(variables: [key: "/n"]), "names /n, which does not exist"),
            (PaperHost(variables: [key: "/k"], files: ["/k": "x"]), "no JSON object"),
            (PaperHost(variables: [key: "/k"], files: ["/k": "{}"]), "there is no \"type\""),
            (
                PaperHost(variables: [key: "/k"], files: ["/k": #"{"type":"external_account"}"#]),
                "service_account and authorized_user are understood"
            ),
            (PaperHost(variables: [key: "/k"], files: ["/k": account]), "finished: no key"),
            (PaperHost(variables: ["GCE_METADATA_HOST": "a b"]), "which is no host"),
        ] {
            var f = try Fixture(host, message)
            let last = f.take().last ?? ""
            #expect(last.contains(words), "\(last)")
            #expect(f.calls.count == 0)
        }
        var machine = try Fixture(PaperHost(), message)
        #expect(machine.take() == ["resolve metadata.google.internal"])
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("project", "", "required"), ("project", "a/b", "no project"),
            ("topic", "a/b", "no topic"), ("data", "a b", "base64"),
            ("attributes", "[]", "object of strings"), ("attributes", #"{"a":1}"#, "not a string"),
            ("endpoint", "ftp://h", "http or https"), ("timeout", "-1s", "negative"),
            ("topics", "x", "no setting"),
        ])
    func refusals(key: String, value: String, words: String) {
        let settings = message.filter { $0.0 != key } + [(key, value)]
        let error = #expect(throws: ExecutorSettingError.self) {
            try PubSubJob.parse(settings.map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.key == key)
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }
}

private func padded(_ text: Substring) -> String {
    text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : String($0) }.joined()
        + String(repeating: "=", count: (4 - text.count % 4) % 4)
}

extension String {
    fileprivate func components(after marker: String) -> Substring {
        guard let range = firstRange(of: marker) else { return "" }
        return self[range.upperBound...]
    }
}
