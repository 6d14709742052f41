import Testing

@testable import Core

/// A conversation whose brokers are the test.
private struct Fixture {
    var calls: Conversations
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_700_000_000))
    var out = CallOutput()
    /// The body of the last request behind its header, and its key and correlation.
    var asked: (key: Int16, version: Int16, correlation: UInt32, body: [UInt8]) = (-1, 0, 0, [])

    init(_ settings: [(String, String)] = [], host: any ExecutorHost = BareHost()) throws {
        calls = Conversations(on: host)
        let config = [("brokerAddress", "10.0.0.1"), ("topic", "t"), ("message", "m")] + settings
        let job = try KafkaJob.parse(config.map { (key: $0.0, value: $0.1) })
        calls.begin(
            ConversationCall(execution: ExecutionID("1-n"), task: .kafka(job), fence: nil),
            at: now, into: &out)
    }

    mutating func take(_ event: SocketEvent) -> [String] {
        calls.take(event, at: now, into: &out)
        return take()
    }

    mutating func wait(_ time: Duration) -> [String] {
        now.monotonic = now.monotonic + time
        calls.deadline(at: now, into: &out)
        return take()
    }

    /// Answers the last request.
    mutating func answer(
        _ connection: ConnectionNumber, _ body: (inout KafkaWriter) -> Void
    ) -> [String] {
        var reply = KafkaWriter()
        reply.uint32(asked.correlation)
        body(&reply)
        var frame = KafkaWriter()
        frame.int32(Int32(reply.bytes.count))
        frame.raw(reply.bytes)
        return take(.received(connection, frame.bytes))
    }

    mutating func answerVersions(_ connection: ConnectionNumber, produce: Int16 = 8) -> [String] {
        let ranges: [[Int16]] = [
            [0, 3, produce], [3, 1, 12], [17, 0, 1], [18, 0, 3], [22, 0, 4], [36, 0, 2],
        ]
        return answer(connection) {
            $0.int16(0)
            $0.int32(Int32(ranges.count))
            for value in ranges.joined() { $0.int16(value) }
        }
    }

    /// Two brokers, 1 at 10.0.0.1 and 2 at 10.0.0.2, and partitions with these leaders.
    mutating func answerMetadata(
        _ connection: ConnectionNumber, error: Int16 = 0, leaders: [Int32]
    ) -> [String] {
        answer(connection) { reply in
            reply.int32(0)
            reply.int32(2)
            for id in 1...2 {
                reply.int32(Int32(id))
                reply.string("10.0.0.\(id)")
                reply.int32(9092)
                reply.string(nil)
            }
            reply.string("cluster")
            reply.int32(1)
            reply.int32(1)
            reply.int16(error)
            reply.string("t")
            reply.int8(0)
            reply.int32(Int32(leaders.count))
            for (index, leader) in leaders.enumerated() {
                reply.int16(leader < 0 ? 5 : 0)
                reply.int32(Int32(index))
                reply.int32(leader)
                for _ in 0..<2 {
                    reply.int32(1)
                    reply.int32(leader)
                }
                reply.int32(0)
            }
        }
    }

    mutating func answerProducer(_ connection: ConnectionNumber) -> [String] {
        answer(connection) {
            $0.int32(0)
            $0.int16(0)
            $0.int64(77)
            $0.int16(3)
        }
    }

    mutating func answerProduced(
        _ connection: ConnectionNumber, error: Int16 = 0, words: String? = nil
    ) -> [String] {
        answer(connection) {
            $0.int32(1)
            $0.string("t")
            $0.int32(1)
            $0.int32(0)
            $0.int16(error)
            $0.int64(error == 0 ? 42 : -1)
            $0.int64(-1)
            $0.int64(0)
            $0.int32(0)
            $0.string(words)
            $0.int32(0)
        }
    }

    private mutating func take() -> [String] {
        defer { out = CallOutput() }
        var words: [String] = []
        for action in out.sockets {
            switch action {
            case .open(let number, let address, let port, let tls):
                words.append("open \(number) \(address) \(port)\(tls == nil ? "" : " tls")")
            case .send(let number, let bytes):
                note(bytes)
                words.append("ask \(number) \(asked.key)")
            case .close(let number): words.append("close \(number)")
            case .resolve, .secure: words.append("\(action)")
            }
        }
        for (_, event) in out.news {
            switch event {
            case .started, .wholeOutput: break
            case .output(let bytes): words.append(String(decoding: bytes, as: UTF8.self))
            case .ended(let end): words.append("\(end.cause): \(end.error)")
            }
        }
        return words
    }

    private mutating func note(_ bytes: [UInt8]) {
        var reader = KafkaReader(bytes[4...])
        let size = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard size == bytes.count - 4, let key = try? reader.int16(),
            let version = try? reader.int16(), let correlation = try? reader.int32(),
            (try? reader.string()) == "dkron"
        else {
            Issue.record("a request without its header: \(bytes)")
            return
        }
        asked = (key, version, UInt32(bitPattern: correlation), Array(bytes[(4 + 8 + 7)...]))
    }
}

@Suite("Executor kafka")
struct KafkaTests {
    @Test(
        "partitions are those of the Java client",
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("abc", 479_470_107),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ])
    func murmur(key: String, hash: Int) {
        #expect(Int(Int32(bitPattern: KafkaRecords.hash(Array(key.utf8)))) == hash)
        #expect(
            KafkaRecords.partition(of: Array(key.utf8), among: 7)
                == Int(Int32(truncatingIfNeeded: hash) & 0x7fff_ffff) % 7)
    }

    @Test("a batch, byte by byte")
    func batch() {
        let bytes = KafkaRecords.batch(
            key: nil, value: Array("hi".utf8), headers: [.init("a", "")], at: 0x0102_0304_0506,
            by: KafkaProducer(id: 5, epoch: 1))
        let body: [UInt8] =
            [0, 0, 0, 0, 0, 0] + [0, 0, 1, 2, 3, 4, 5, 6] + [0, 0, 1, 2, 3, 4, 5, 6]
            + [0, 0, 0, 0, 0, 0, 0, 5] + [0, 1] + [0, 0, 0, 0] + [0, 0, 0, 1]
            // Length 11: attributes, deltas, no key, "hi", one header "a" with an empty value.
            + [22, 0, 0, 0, 1, 4, 0x68, 0x69, 2, 2, 0x61, 0]
        let crc = Checksum.crc32c(body)
        let checksum = (0..<4).map { UInt8(truncatingIfNeeded: crc >> (24 - 8 * $0)) }
        let head: [UInt8] =
            [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, UInt8(body.count + 9)] + [255, 255, 255, 255] + [2]
        #expect(bytes == head + checksum + body)
    }

    @Test("versions, metadata, a producer, the leader, and success only after its word")
    func message() throws {
        var f = try Fixture([("partition", "1"), ("debug", "1")])
        #expect(f.take(.opened(1)) == ["open 1 10.0.0.1 9092", "ask 1 18"])
        #expect(f.answerVersions(1) == ["ask 1 3"])
        #expect(f.asked.version == 5)
        #expect(f.asked.body == [0, 0, 0, 1, 0, 1, 0x74, 1])
        let words = "< topic t: 2 partitions; 10.0.0.2:9092 leads partition 1\n"
        #expect(f.answerMetadata(1, leaders: [1, 2]) == ["ask 1 22", words])
        #expect(f.answerProducer(1) == ["close 1", "open 2 10.0.0.2 9092"])
        #expect(f.take(.opened(2)) == ["ask 2 18"])
        #expect(f.answerVersions(2) == ["ask 2 0"])
        #expect(f.asked.version == 8)
        // No transaction, acks of all replicas, 30 seconds, one topic, partition 1.
        #expect(
            Array(f.asked.body.prefix(23))
                == [255, 255, 255, 255, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, 0x74]
                + [0, 0, 0, 1, 0, 0, 0, 1])
        #expect(
            f.answerProduced(2) == [
                "close 2",
                "Result: successfully produced the message on Kafka broker\n"
                    + "Partition 0, offset 42\n",
                "finished: ",
            ])
        #expect(f.calls.count == 0)
    }

    @Test("after a broken connection the very same batch is sent again, to the same partition")
    func again() throws {
        var f = try Fixture([("timeout", "0")])
        _ = f.take(.opened(1))
        _ = f.answerVersions(1)
        _ = f.answerMetadata(1, leaders: [1])
        #expect(f.answerProducer(1) == ["ask 1 0"])
        let first = f.asked.body
        #expect(f.take(.receivedEnd(1)) == ["close 1"])
        #expect(f.wait(.milliseconds(99)) == [])
        f.now.wall = f.now.wall + .seconds(5)
        #expect(f.wait(.milliseconds(1)) == ["open 2 10.0.0.2 9092"])
        #expect(f.take(.failed(2, reason: "Connection refused")) == ["close 2"])
        #expect(f.wait(.milliseconds(200)) == ["open 3 10.0.0.1 9092"])
        _ = f.take(.opened(3))
        #expect(f.answerVersions(3) == ["ask 3 3"])
        // More partitions by now, and another one might be chosen.
        #expect(f.answerMetadata(3, leaders: [1, 1, 1]) == ["ask 3 0"])
        #expect(f.asked.body == first)
        // NOT_LEADER is no answer to the first try: it may be stored.
        #expect(f.answerProduced(3, error: 10).last?.contains("MESSAGE_TOO_LARGE") == true)
    }

    @Test("an error after a try that may have gone well says so")
    func uncertain() throws {
        var f = try Fixture()
        _ = f.take(.opened(1))
        _ = f.answerVersions(1)
        _ = f.answerMetadata(1, leaders: [1])
        _ = f.answerProducer(1)
        #expect(f.answerProduced(1, error: 7) == ["close 1"])
        _ = f.wait(.milliseconds(100))
        _ = f.take(.opened(2))
        _ = f.answerVersions(2)
        _ = f.answerMetadata(2, leaders: [2])
        #expect(
            f.answerProduced(2, error: 29, words: "no").last
                == "finished: 10.0.0.2:9092: the user may not write to the topic "
                + "(TOPIC_AUTHORIZATION_FAILED): no; the message may be stored all the same")
        var known = try Fixture()
        _ = known.take(.opened(1))
        _ = known.answerVersions(1)
        _ = known.answerMetadata(1, leaders: [1])
        _ = known.answerProducer(1)
        #expect(known.answerProduced(1, error: 46).last == "finished: ")
    }

    @Test("a topic that nobody knows, partitions without leader, the time-out with its reason")
    func patience() throws {
        var f = try Fixture([("timeout", "3")])
        _ = f.take(.opened(1))
        _ = f.answerVersions(1)
        #expect(f.answerMetadata(1, leaders: [-1]) == ["close 1"])
        _ = f.wait(.milliseconds(100))
        _ = f.take(.opened(2))
        #expect(
            f.wait(.seconds(3)).last
                == "timedOut: 10.0.0.2:9092 did not answer within the time-out of 3s (before that: "
                + "10.0.0.1:9092: the partition has no leader at present (LEADER_NOT_AVAILABLE))")
        var g = try Fixture()
        _ = g.take(.opened(1))
        _ = g.answerVersions(1)
        #expect(g.answerMetadata(1, error: 3, leaders: []) == ["close 1"])
        _ = g.wait(.seconds(6))
        _ = g.take(.opened(2))
        _ = g.answerVersions(2)
        #expect(
            g.answerMetadata(2, error: 3, leaders: []).last
                == "finished: 10.0.0.2:9092: there is no topic \"t\", and none was created")
        var h = try Fixture([("partition", "2")])
        _ = h.take(.opened(1))
        _ = h.answerVersions(1)
        #expect(
            h.answerMetadata(1, leaders: [1, 1]).last
                == "finished: 10.0.0.1:9092: the topic \"t\" has no partition 2, but 0 to 1")
    }

    @Test("brokers that were never reached are given up soon; old and odd peers are told apart")
    func peers() throws {
        var f = try Fixture()
        #expect(f.take(.failed(1, reason: "Connection refused")).last == "close 1")
        #expect(f.wait(.milliseconds(100)) == ["open 2 10.0.0.1 9092"])
        _ = f.take(.failed(2, reason: "Connection refused"))
        #expect(f.wait(.milliseconds(200)) == ["open 3 10.0.0.1 9092"])
        #expect(
            f.take(.failed(3, reason: "Connection refused")).last
                == "finished: can't connect to 10.0.0.1:9092: Connection refused")
        var old = try Fixture()
        _ = old.take(.opened(1))
        _ = old.answerVersions(1, produce: 3)
        _ = old.answerMetadata(1, leaders: [1])
        _ = old.answerProducer(1)
        #expect(old.asked.version == 3)
        for (bytes, words) in [
            (Array("HTTP/1.1 400".utf8), "does not speak Kafka"),
            ([0x15, 0x03, 0x03, 0, 2, 2, 80], "it speaks TLS, which tlsEnable is for"),
            ([0, 0, 0, 4, 9, 9, 9, 9], "does not speak Kafka"), ([0, 0, 0, 3], "not speak Kafka"),
            ([0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 127, 255, 255, 255], "does not speak Kafka"),
        ] as [([UInt8], String)] {
            var f = try Fixture([("timeout", "50ms")])
            _ = f.take(.opened(1))
            let words2 = f.take(.received(1, bytes)).last ?? ""
            #expect(words2.contains(words), "\(words2)")
        }
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("brokerAddress", "", "such as"), ("brokerAddress", "h,", "broker 2"),
            ("brokerAddress", "http://h", "no host and port"), ("brokerAddress", "h:0", "65535"),
            ("topic", "", "required"), ("topic", "a b", "no topic"), ("topic", "..", "no topic"),
            ("partition", "-1", "from 0 on"), ("partition", "x", "from 0 on"),
            ("saslUsername", "u", "saslPassword"), ("saslPassword", "p", "saslUsername"),
            ("saslMechanism", "sha256", "saslUsername"), ("headers", "x", "not JSON"),
            ("tlsEnable", "yes", "neither true nor false"),
            ("tlsRootCAsFile", "/f", "no effect without tlsEnable"),
            ("timeout", "soon", "number"), ("acks", "1", "no setting"),
        ])
    func refusals(key: String, value: String, words: String) {
        let settings = [("brokerAddress", "h"), ("topic", "a")].filter { $0.0 != key }
        let error = #expect(throws: ExecutorSettingError.self) {
            try KafkaJob.parse((settings + [(key, value)]).map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }

    @Test("mechanisms, and brokers with and without port and TLS")
    func login() throws {
        let login = [("saslUsername", "u"), ("saslPassword", "p"), ("saslMechanism", "md5")]
        let config = [("brokerAddress", "h, [::1]:1"), ("topic", "a"), ("tlsEnable", "true")]
        let error = #expect(throws: ExecutorSettingError.self) {
            try KafkaJob.parse((config + login).map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.message == "\"md5\" is not known; it must be plain, sha256 or sha512")
        let more = [("tlsInsecureSkipVerify", "true")]
        let job = try KafkaJob.parse((config + more).map { (key: $0.0, value: $0.1) })
        #expect(job.servers.map(\.name) == ["h:9092", "[::1]:1"])
        #expect(job.servers[1].tls?.host == "::1")
        #expect(job.servers[0].tls?.settings.verifiesPeer == false)
    }
}
