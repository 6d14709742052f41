import Testing

@testable import Core

/// What a server says, as frames.
private enum Say {
    static func method(
        _ group: UInt16, _ number: UInt16, channel: UInt16 = 1,
        _ write: (inout AMQPWriter) -> Void = { _ in }
    ) -> [UInt8] {
        AMQPFrame.method(AMQPMethodID(group, number), channel: channel, write).bytes
    }

    static func start(_ mechanisms: String = "AMQPLAIN PLAIN", confirms: Bool = true) -> [UInt8] {
        method(10, 10, channel: 0) {
            $0.octet(0)
            $0.octet(9)
            let abilities = AMQPTable([("publisher_confirms", .bool(confirms))])
            $0.table(AMQPTable([("x", .other), ("capabilities", .table(abilities))]))
            $0.longBytes(Array(mechanisms.utf8))
            $0.longBytes(Array("en_US".utf8))
        }
    }

    static func tune(frameLimit: UInt32 = 131_072, heartbeat: UInt16 = 60) -> [UInt8] {
        method(10, 30, channel: 0) {
            $0.short(2_047)
            $0.long(frameLimit)
            $0.short(heartbeat)
        }
    }

    static let openDone = method(10, 41, channel: 0) { $0.shortText("") }
    static let channelDone = method(20, 11) { $0.longBytes([]) }
    static let confirmDone = method(85, 11)
    static let heartbeat = AMQPFrame.heartbeat.bytes

    static func taken(_ number: UInt64, upTo: Bool = false) -> [UInt8] {
        method(60, 80) {
            $0.longLong(number)
            $0.bits(upTo)
        }
    }

    static func closed(_ group: UInt16, _ number: UInt16, _ code: UInt16, _ text: String) -> [UInt8]
    {
        method(group, number, channel: group == 10 ? 0 : 1) {
            $0.short(code)
            $0.shortText(text)
            $0.short(0)
            $0.short(0)
        }
    }

    static func returned(_ code: UInt16, _ text: String) -> [UInt8] {
        method(60, 50) {
            $0.short(code)
            $0.shortText(text)
            $0.shortText("")
            $0.shortText("q")
        }
    }
}

/// What the client has sent, as words.
private func words(_ bytes: [UInt8]) throws -> [String] {
    var deframer = AMQPDeframer()
    var rest = bytes
    var words: [String] = []
    if rest.starts(with: "AMQP".utf8) {
        words.append("greeting")
        rest.removeFirst(8)
    }
    deframer.receive(rest)
    while let frame = try deframer.next() {
        guard frame.kind == .method else {
            words.append("\(frame.kind) \(frame.payload.count)")
            continue
        }
        var reader = AMQPReader(frame.payload)
        words.append("\(try reader.short()).\(try reader.short())")
    }
    return words
}

extension ConversationFixture {
    fileprivate mutating func begin(_ number: Int64, rabbit settings: [(String, String)]) throws
        -> [String]
    {
        let config = settings.map { (key: $0.0, value: $0.1) }
        return begin(number, .rabbitmq(try AMQPJob.parse(config)))
    }

    /// What is sent and told when the server says all this.
    fileprivate mutating func hear(
        _ connection: ConnectionNumber, _ pieces: [UInt8]...
    ) throws -> [String] {
        sentBytes[connection] = []
        let told = take(.received(connection, pieces.flatMap { $0 }))
        return try words(sentBytes[connection] ?? [])
            + told.filter { !$0.hasPrefix("send") && !$0.hasPrefix("close") }
    }

    /// Up to the message.
    fileprivate mutating func publish(_ connection: ConnectionNumber) throws -> [String] {
        _ = take(.opened(connection))
        return try hear(
            connection, Say.start(), Say.tune(), Say.openDone, Say.channelDone, Say.confirmDone)
    }
}

private let plain = [
    ("url", "amqp://10.0.0.1"), ("queue.name", "q"), ("message.body", "hello"), ("timeout", "0"),
]

@Suite("AMQP")
struct AMQPTests {
    @Test("greeting, credentials, declarations, message, confirmation")
    func message() throws {
        var f = ConversationFixture()
        let more = [
            ("queue.create", "yes"), ("queue.durable", "true"), ("exchange", "e"),
            ("exchange.type", "direct"), ("queue.bind", "true"),
        ]
        #expect(try f.begin(1, rabbit: plain + more) == ["open 1 10.0.0.1 5672", "1 started"])
        _ = f.take(.opened(1))
        #expect(f.sentBytes[1] == Array("AMQP".utf8) + [0, 0, 9, 1])
        #expect(try f.hear(1, Say.start()) == ["10.11"])
        let login = try #require(f.sentBytes[1])
        #expect(
            String(decoding: login, as: UTF8.self).contains("\u{5}PLAIN\0\0\0\u{c}\0guest\0guest"))
        // Of the frames the larger limit is theirs, of the seconds the smaller one is ours.
        #expect(try f.hear(1, Say.tune()) == ["10.31", "10.40"])
        #expect(
            f.sentBytes[1]?.prefix(20)
                == [1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 31, 0, 1, 0, 2, 0, 0, 0, 10, 0xce])
        #expect(try f.hear(1, Say.openDone) == ["20.10"])
        #expect(try f.hear(1, Say.heartbeat, Say.channelDone) == ["heartbeat 0", "85.10"])
        #expect(try f.hear(1, Say.confirmDone) == ["40.10"])
        #expect(try f.hear(1, Say.method(40, 11)) == ["50.10"])
        #expect(try f.hear(1, Say.method(50, 11)) == ["50.20"])
        #expect(f.calls.count == 1)
        #expect(try f.hear(1, Say.method(50, 21)) == ["60.40", "header 29", "body 5"])
        #expect(try f.hear(1, Say.taken(1)) == ["10.50", "1 finished: "])
        #expect(f.calls.count == 0)
    }

    @Test("the message byte by byte")
    func bytes() throws {
        var f = ConversationFixture()
        let more = [
            ("message.delivery_mode", "2"), ("message.messageId", "id"),
            ("message.headers", #"["a: b:c"]"#), ("message.content_type", "t/x"),
        ]
        _ = try f.begin(1, rabbit: plain + more)
        _ = try f.publish(1)
        let method: [UInt8] = [1, 0, 1, 0, 0, 0, 10, 0, 60, 0, 40, 0, 0, 0, 1] + [0x71, 1, 0xce]
        let header: [UInt8] =
            [2, 0, 1, 0, 0, 0, 36, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0b1011_0000, 0b1000_0000]
            + [3] + Array("t/x".utf8)
            + [0, 0, 0, 10, 1] + Array("aS".utf8) + [0, 0, 0, 3] + Array("b:c".utf8)
            + [2, 2] + Array("id".utf8) + [0xce]
        let body: [UInt8] = [3, 0, 1, 0, 0, 0, 5] + Array("hello".utf8) + [0xce]
        let sent = try #require(f.sentBytes[1])
        #expect(
            Array(sent.suffix(method.count + header.count + body.count)) == method + header + body)
    }

    @Test("a long body goes in frames that the server takes, an empty one in none")
    func frames() throws {
        for (count, expected) in [(0, 0), (4_088, 1), (4_089, 2), (10_000, 3)] {
            var f = ConversationFixture()
            let body = String(repeating: "x", count: count)
            _ = try f.begin(
                1, rabbit: plain.filter { $0.0 != "message.body" } + [("message.body", body)])
            _ = f.take(.opened(1))
            _ = try f.hear(
                1, Say.start(), Say.tune(frameLimit: 4_096), Say.openDone, Say.channelDone)
            let sent = try f.hear(1, Say.confirmDone).filter { $0.hasPrefix("body") }
            #expect(sent.count == expected)
            #expect(sent.allSatisfy { Int($0.dropFirst(5)) ?? 0 <= 4_088 })
        }
    }

    @Test("the same, however the server's bytes are cut")
    func cuts() throws {
        var f = ConversationFixture()
        _ = try f.begin(1, rabbit: plain)
        _ = f.take(.opened(1))
        var told: [String] = []
        let all = [
            Say.start(), Say.tune(), Say.openDone, Say.channelDone, Say.confirmDone, Say.taken(1),
        ]
        for byte in all.flatMap({ $0 }) { told += f.take(.received(1, [byte])) }
        #expect(told.last == "1 finished: ")
    }

    @Test("success is the server's confirmation of this message, and nothing else")
    func endings() throws {
        let name = "1 finished: 10.0.0.1:5672"
        let cases: [([UInt8], String)] = [
            (Say.taken(1), "1 finished: "), (Say.taken(0, upTo: true), "1 finished: "),
            (Say.taken(2), "\(name): the server confirms a message that it was not sent"),
            (
                Say.returned(312, "NO_ROUTE") + Say.taken(1),
                "\(name): no queue took the message for the queue \"q\": NO_ROUTE (312)"
            ),
            (
                Say.method(60, 120) {
                    $0.longLong(1)
                    $0.octet(0)
                }, "\(name): the server could not keep the message for the queue \"q\""
            ),
            (
                Say.closed(20, 40, 404, "NOT_FOUND - no exchange 'e'"),
                "\(name): the server refuses the message for the queue \"q\": "
                    + "NOT_FOUND - no exchange 'e' (404)"
            ),
            (
                Say.closed(10, 50, 320, "CONNECTION_FORCED"),
                "\(name): the server refuses the message for the queue \"q\": "
                    + "CONNECTION_FORCED (320); it may have the message"
            ),
            (
                Say.method(60, 60) { $0.shortText("t") },
                "\(name): the server says something that nobody asked for"
            ),
            (Array("HTTP/1.1 400".utf8), "\(name): what answers does not speak AMQP"),
        ]
        for (bytes, expected) in cases {
            var f = ConversationFixture()
            _ = try f.begin(1, rabbit: plain)
            #expect(try f.publish(1).suffix(3) == ["60.40", "header 29", "body 5"])
            #expect(try f.hear(1, bytes).last == expected)
            #expect(f.calls.count == 0)
        }
    }

    @Test("a server that won't do before it has the message is followed by the next")
    func nextServer() throws {
        let refusals: [([[UInt8]], String)] = [
            (
                [Say.start("EXTERNAL")],
                "the server takes no user name and password (PLAIN), only EXTERNAL"
            ),
            ([Say.start(confirms: false)], "the server does not confirm messages"),
            (
                [Say.start(), Say.closed(10, 50, 403, "ACCESS_REFUSED")],
                "the server refuses the user \"u:s\": ACCESS_REFUSED (403)"
            ),
            ([Say.start(), Say.heartbeat], "heartbeat before anything is agreed on"),
            ([Say.start(), Say.method(10, 20, channel: 0)], "more than a user name"),
            ([Say.start(), Say.tune(frameLimit: 100)], "only frames of up to 100 bytes"),
            (
                [Say.start(), Say.tune(), Say.closed(10, 50, 530, "NOT_ALLOWED")],
                "can't open the virtual host \"v/w\": NOT_ALLOWED (530)"
            ),
            ([Say.start(), Say.tune(), Say.channelDone], "something that nobody asked for"),
            ([Array("AMQP".utf8) + [1, 1, 0, 10]], "AMQP 1-0-10, and 0-9-1 is wanted"),
            ([[1, 0, 0, 0xff, 0, 0, 0, 1]], "a frame of 4278190080 bytes"),
            ([[1, 0, 0, 0, 0, 0, 0, 1]], "does not end as it should"),
            ([[1, 0, 0, 0, 0, 0, 1, 7, 0xce]], "can't be read"),
            ([[3, 0, 0, 0, 0, 0, 0, 0xce]], "a message that nobody asked for"),
        ]
        for (said, reason) in refusals {
            var f = ConversationFixture()
            let two = [
                ("url", "amqp://u%3As:p@10.0.0.1/v%2Fw, amqps://10.0.0.2:99"), ("queue", "q"),
            ]
            _ = try f.begin(1, rabbit: two)
            _ = f.take(.opened(1))
            #expect(f.take(.received(1, said.flatMap { $0 })).last == "open 2 10.0.0.2 99")
            let last = f.take(.failed(2, reason: "Connection refused")).last
            #expect(last == "1 finished: can't connect to 10.0.0.2:99: Connection refused")

            _ = try f.begin(1, rabbit: [("url", "amqp://u%3As:p@10.0.0.1/v%2Fw"), ("queue", "q")])
            _ = f.take(.opened(3))
            let alone = f.take(.received(3, said.flatMap { $0 })).last
            #expect(alone?.contains(reason) == true, "\(alone ?? "")")
        }
    }

    @Test("a server that falls silent, goes away or never stops ends nothing but the execution")
    func badServers() throws {
        var f = ConversationFixture()
        _ = try f.begin(1, rabbit: plain)
        _ = f.take(.opened(1))
        #expect(
            f.wait(.seconds(30)).last == "1 finished: 10.0.0.1:5672: no word of the server for 30s")

        _ = try f.begin(2, rabbit: plain)
        _ = try f.publish(2)
        let gone = f.take(.receivedEnd(2)).last
        #expect(
            gone?.hasSuffix("closed the connection; it may have carried out what it was asked for")
                == true)

        _ = try f.begin(3, rabbit: plain)
        _ = f.take(.opened(3))
        _ = f.take(.received(3, Array(Say.start().dropLast(3))))
        #expect(
            f.take(.receivedEnd(3)).last
                == "3 finished: 10.0.0.1:5672: the server closed the connection")

        _ = try f.begin(4, rabbit: plain.dropLast() + [("timeout", "60")])
        _ = try f.publish(4)
        let blocked = Say.method(10, 60, channel: 0) { $0.shortText("low on memory") }
        #expect(
            try f.hear(4, blocked, blocked)
                == ["4 printed The server takes no messages for now: low on memory\n"])
        for _ in 0..<5 {
            #expect(f.wait(.seconds(10)) == [])
            #expect(try f.hear(4, Say.heartbeat) == ["heartbeat 0"])
        }
        #expect(
            f.wait(.seconds(10)).last
                == "4 timedOut: 10.0.0.1:5672 did not answer within the time-out of 1m0s; it may "
                + "have carried out what it was asked for")
    }

    @Test("tables in tables, but not without end")
    func tables() throws {
        let table = AMQPTable([
            ("t", .bool(true)), ("s", .text([1, 2])), ("l", .list([.bool(false), .other])),
            ("f", .table(AMQPTable([("x", .other)]))),
        ])
        var writer = AMQPWriter()
        writer.table(table)
        var reader = AMQPReader(writer.output[...])
        #expect(try reader.table() == table)
        // Numbers of every kind are read over.
        let numbers: [(String, Int)] = [
            ("b", 1), ("B", 1), ("s", 2), ("u", 2), ("I", 4), ("i", 4), ("f", 4), ("D", 5),
            ("l", 8), ("L", 8), ("d", 8), ("T", 8), ("V", 0),
        ]
        var bytes: [UInt8] = []
        for (letter, size) in numbers {
            bytes += [1, 0x6e] + Array(letter.utf8) + [UInt8](repeating: 7, count: size)
        }
        reader = AMQPReader(([0, 0, 0, UInt8(bytes.count)] + bytes)[...])
        #expect(try reader.table().entries.count == numbers.count)
        var deep = AMQPTable()
        for _ in 0..<20 { deep = AMQPTable([("d", .table(deep))]) }
        writer = AMQPWriter()
        writer.table(deep)
        reader = AMQPReader(writer.output[...])
        #expect(throws: ByteError.self) { try reader.table() }
    }

    @Test("the settings of old mean what they meant")
    func oldSettings() throws {
        let job = try AMQPJob.parse([
            (key: "url", value: "amqp://h/?heartbeat=10"), (key: "queue", value: "q"),
            (key: "base64", value: "AP8="),
        ])
        #expect(job.queue == AMQPJob.Queue(name: "q", isDeclared: true))
        #expect(job.message.body == [0, 255])
        #expect(job.servers[0].virtualHost == "/")
        #expect(job.servers[0].user == "guest" && job.servers[0].password == "guest")
        let new = try AMQPJob.parse([
            (key: "url", value: "amqps://u@h//"), (key: "queue.name", value: "q"),
            (key: "queue.create", value: "false"), (key: "tlsNoVerifyPeer", value: "true"),
        ])
        #expect(!new.queue.isDeclared)
        #expect(new.servers[0].virtualHost == "/" && new.servers[0].password == "")
        #expect(new.servers[0].place.port == 5671)
        #expect(new.servers[0].place.tls?.settings.verifiesPeer == false)
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("url", "", "a url is required"), ("url", "nats://h", "must be amqp or amqps"),
            ("url", "amqp://h,amqp://h", "twice"), ("url", "amqp://h/%zz", "hexadecimal"),
            ("url", "amqps://h?cacertfile=x", "can't be set in the URL"),
            ("queue.name", "", "required"), ("queue", "r", "leave one of them out"),
            ("queue.name", String(repeating: "x", count: 256), "at most 255"),
            ("queue.durable", "maybe", "neither true nor false"),
            ("queue.bind", "true", "set exchange"), ("exchange.type", "direct", "set exchange"),
            ("message.base64Body", "AA==", "can't be given both"), ("text", "x", "leave one"),
            ("message.delivery_mode", "256", "is no mode"), ("message.headers", "x", "not JSON"),
            ("timeout", "soon", "number"), ("frobnicate", "1", "no setting"),
            ("tlsCertificateFile", "x", "needs both"),
        ])
    func refusals(key: String, value: String, words: String) {
        let usual = [("url", "amqp://h"), ("queue.name", "q"), ("message.body", "x")]
        let settings = usual.filter { $0.0 != key } + [(key, value)]
        let error = #expect(throws: ExecutorSettingError.self) {
            try AMQPJob.parse(settings.map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
        if key != "tlsCertificateFile" { #expect(error?.key == key) }
    }
}
