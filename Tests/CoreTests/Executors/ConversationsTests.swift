import Testing

@testable import Core

private let greeting = #"INFO {"headers":true,"max_payload":100}"# + "\r\n"
private let plain = [("url", "nats://10.0.0.1"), ("subject", "a.b"), ("message", "hello")]

@Suite("Conversations, by the example of NATS")
struct ConversationsTests {
    @Test("greeting, credentials, message, and the answer to the ping behind it")
    func message() throws {
        var f = ConversationFixture()
        let more = [("userName", "me"), ("password", "p\"w")]
        #expect(try f.begin(1, plain + more) == ["open 1 10.0.0.1 4222", "1 started"])
        #expect(f.take(.opened(1)) == [])
        #expect(f.receive(1, String(greeting.prefix(9))) == [])
        #expect(f.receive(1, String(greeting.dropFirst(9))) == ["send 1"])
        let connect = try #require(f.sent[1])
        #expect(connect.hasPrefix("CONNECT {\"verbose\":false"))
        #expect(
            connect.contains(#""user":"me","pass":"p\"w""#) && connect.hasSuffix("\r\nPING\r\n"))
        f.sent = [:]
        #expect(f.receive(1, "+OK\r\nPING\r\nPONG\r\n") == ["send 1", "send 1"])
        #expect(f.sent[1] == "PONG\r\nPUB a.b 5\r\nhello\r\nPING\r\n")
        #expect(
            f.receive(1, "PONG\r\n")
                == ["close 1", "1 printed Result: Message successfully sent\n", "1 finished: "])
        #expect(f.calls.count == 0)
    }

    @Test("a server that won't do is followed by the next; once the message is out, by none")
    func nextServer() throws {
        var f = ConversationFixture()
        let two = [("url", "nats://h,tls://u:p@10.0.0.2:99"), ("subject", "a")]
        #expect(try f.begin(1, two) == ["resolve h", "1 started"])
        #expect(
            f.take(.resolved(host: "h", addresses: ["10.0.0.1", "10.0.0.3"], problem: ""))
                == ["open 1 10.0.0.1 4222"])
        #expect(
            f.take(.failed(1, reason: "Connection refused"))
                == ["close 1", "open 2 10.0.0.3 4222"])
        _ = f.take(.opened(2))
        #expect(
            f.receive(2, "-ERR 'Authorization Violation'\r\n")
                == ["close 2", "open 3 10.0.0.2 99"])
        _ = f.take(.opened(3))
        #expect(f.receive(3, "INFO {\"tls_available\":true}\r\n") == ["secure 3 10.0.0.2"])
        #expect(f.take(.opened(3)) == ["send 3"])
        #expect(f.sent[3]?.contains(#""user":"u","pass":"p""#) == true)
        #expect(f.receive(3, "PONG\r\n") == ["send 3"])
        let words = f.take(.receivedEnd(3))
        #expect(
            words == [
                "close 3",
                "1 finished: 10.0.0.2:99: the server closed the connection; it may have carried "
                    + "out what it was asked for",
            ])
    }

    @Test("the last server's reason is told when none would do")
    func nobody() throws {
        var f = ConversationFixture()
        _ = try f.begin(1, [("url", "nats://h,nats://10.0.0.1"), ("subject", "a")])
        #expect(
            f.take(.resolved(host: "h", addresses: [], problem: "Name or service not known"))
                == ["open 1 10.0.0.1 4222"])
        _ = f.take(.opened(1))
        #expect(
            f.receive(1, "HTTP/1.1 400 Bad Request\r\n").last
                == "1 finished: 10.0.0.1:4222: what answers does not speak NATS")
    }

    @Test("with jetstream a stream's word is waited for, and its refusal is a failure")
    func stream() throws {
        let answers = [
            (#"{"stream":"S","seq":7}"#, "1 printed Result: Message successfully sent\nStream: S"),
            (#"{"error":{"code":400,"description":"no room"}}"#, "not stored: no room"),
        ]
        for (answer, expected) in answers {
            var f = ConversationFixture()
            _ = try f.begin(1, plain + [("jetstream", "true")])
            _ = f.take(.opened(1))
            _ = f.receive(1, greeting)
            f.sent = [:]
            _ = f.receive(1, "PONG\r\n")
            let sent = try #require(f.sent[1])
            #expect(sent.hasPrefix("SUB _INBOX.dkron1n 1\r\nHPUB a.b _INBOX.dkron1n 30 35\r\n"))
            #expect(sent.contains("NATS/1.0\r\nNats-Msg-Id: 1-n\r\n\r\nhello\r\n"))
            #expect(f.receive(1, "PONG\r\nMSG _INBOX.dkron1n 1 \(answer.utf8.count)\r\n") == [])
            let words = f.receive(1, answer + "\r\n").joined(separator: ", ")
            #expect(words.contains(expected), "\(words)")
        }
        var f = ConversationFixture()
        _ = try f.begin(1, plain + [("jetstream", "true")])
        _ = f.take(.opened(1))
        _ = f.receive(1, greeting)
        _ = f.receive(1, "PONG\r\n")
        let head = "NATS/1.0 503\r\n\r\n"
        let words = f.receive(
            1, "HMSG _INBOX.x 1 \(head.utf8.count) \(head.utf8.count)\r\n\(head)\r\n")
        #expect(words.last?.contains("no stream stores messages of the subject \"a.b\"") == true)
    }

    @Test("a message that is too long, headers that nobody takes")
    func limits() throws {
        var f = ConversationFixture()
        let long = String(repeating: "x", count: 101)
        _ = try f.begin(1, [("url", "nats://10.0.0.1"), ("subject", "a"), ("message", long)])
        _ = f.take(.opened(1))
        _ = f.receive(1, greeting)
        #expect(f.receive(1, "PONG\r\n").last?.contains("has 101 bytes") == true)
        _ = try f.begin(2, plain + [("headers", #"["A: b"]"#)])
        _ = f.take(.opened(2))
        _ = f.receive(2, "INFO {}\r\n")
        #expect(f.receive(2, "PONG\r\n").last?.contains("takes no headers") == true)
    }

    @Test("time-outs of every phase, fences, and ends by hand")
    func times() throws {
        var f = ConversationFixture()
        _ = try f.begin(1, [("url", "nats://h"), ("subject", "a"), ("timeout", "5")])
        #expect(
            f.wait(.seconds(5))
                == ["1 timedOut: the address of h:4222 was not found within the time-out of 5s"])
        _ = try f.begin(2, plain + [("timeout", "0")])
        #expect(
            f.wait(.seconds(10)).last
                == "2 finished: can't connect to 10.0.0.1:4222: no answer within 10s")
        _ = try f.begin(3, plain + [("timeout", "0")])
        _ = f.take(.opened(2))
        #expect(f.wait(.seconds(29)) == [])
        _ = f.receive(2, "INF")
        #expect(f.wait(.seconds(29)) == [])
        #expect(
            f.wait(.seconds(1)).last == "3 finished: 10.0.0.1:4222: no word of the server for 30s")
        _ = try f.begin(4, plain + [("timeout", "0")], fence: .seconds(3))
        #expect(f.wait(.seconds(3)).last == "4 fenced: ")
        _ = try f.begin(5, plain)
        #expect(f.hangUp(5).last == "5 stopped: ")
        #expect(f.hangUp(5) == [])
        #expect(f.calls.count == 0)
    }

    @Test("what comes after a phase that took too long has its own time-out, and its fence")
    func laterPhases() throws {
        var f = ConversationFixture()
        let two = [("url", "nats://h,nats://10.0.0.1"), ("subject", "a"), ("timeout", "0")]
        _ = try f.begin(1, two)
        #expect(f.wait(.seconds(10)) == ["open 1 10.0.0.1 4222"])
        #expect(f.wait(.seconds(10)).last?.contains("no answer within 10s") == true)
        _ = try f.begin(2, two, fence: .seconds(15))
        #expect(f.wait(.seconds(10)) == ["open 2 10.0.0.1 4222"])
        #expect(f.wait(.seconds(5)).last == "2 fenced: ")
    }

    @Test("beyond the limit of connections calls wait, in order")
    func waiting() throws {
        var f = ConversationFixture { $0.connections = 1 }
        _ = try f.begin(1, plain)
        #expect(try f.begin(2, plain) == [])
        #expect(try f.begin(3, plain) == [])
        #expect(f.calls.waitingCount == 2)
        #expect(f.hangUp(2) == ["2 stopped: "])
        #expect(f.hangUp(1) == ["close 1", "open 2 10.0.0.1 4222", "1 stopped: ", "3 started"])
    }

    @Test("a call that waits for others to end has its fence from when it was asked for")
    func waitingFence() throws {
        var f = ConversationFixture { $0.connections = 1 }
        _ = try f.begin(1, plain)
        _ = try f.begin(2, plain, fence: .seconds(3))
        _ = try f.begin(3, plain, fence: .seconds(5))
        #expect(f.wait(.seconds(2)) == [])
        #expect(f.wait(.seconds(1)) == ["2 fenced: "])
        #expect(f.hangUp(1).last == "3 started")
        #expect(f.wait(.seconds(2)).last == "3 fenced: ")
        #expect(f.calls.count == 0)
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("url", "", "a url is required"), ("url", "http://h", "must be nats or tls"),
            ("url", "nats://h,", "server 2"), ("url", "nats://h:0", "1 to 65535"),
            ("subject", "", "required"), ("subject", "a b", "no subject"),
            ("subject", "a.>", "no subject"), ("subject", "a..b", "no subject"),
            ("headers", "x", "not JSON"), ("jetstream", "maybe", "neither true nor false"),
            ("timeout", "soon", "number"), ("frobnicate", "1", "no setting"),
        ])
    func refusals(key: String, value: String, words: String) {
        let settings = [("url", "nats://h"), ("subject", "a")].filter { $0.0 != key }
        let error = #expect(throws: ExecutorSettingError.self) {
            try NATSJob.parse((settings + [(key, value)]).map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.key == key)
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }
}
