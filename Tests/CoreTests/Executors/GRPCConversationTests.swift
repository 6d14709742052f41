import Testing

@testable import Core

/// A server that describes itself, over no network.
private struct DescribedServer {
    var server: GRPCServer
    /// The names under which it describes itself.
    let reflection: [String]
    private var reflecting: Set<UInt64> = []
    private(set) var requests: [[UInt8]] = []
    private(set) var metadata = GRPCMetadata()

    init(_ reflection: [String], at now: Instant) {
        self.reflection = reflection
        let methods = ["One", "Many", "Collect", "Fail", "Never"].map {
            GRPCMethod("/shop.Shop/\($0)", requests: $0 == "Collect" ? .stream : .one)
        }
        server = GRPCServer(
            methods: methods + reflection.map { GRPCMethod($0, requests: .stream) }, at: now)
    }

    /// Two files, of which one needs the other.
    private static func file(_ name: String?) -> ProtobufFile {
        var file = ProtobufFile()
        file.package = "shop"
        guard name == "order.proto" else {
            file.name = "shop.proto"
            file.dependencies = ["order.proto"]
            var service = ProtobufServiceDescriptor()
            service.name = "Shop"
            service.methods = ["One", "Many", "Collect", "Fail", "Never"].map { name in
                var method = ProtobufServiceDescriptor.Method()
                (method.name, method.input, method.output) = (name, ".shop.Order", ".shop.Order")
                method.streamsRequests = name == "Collect"
                method.streamsAnswers = name == "Many"
                return method
            }
            file.services = [service]
            return file
        }
        file.name = "order.proto"
        var order = ProtobufMessageDescriptor()
        order.name = "Order"
        var field = ProtobufFieldDescriptor()
        (field.name, field.number, field.label, field.type) = ("count", 1, 1, 5)
        order.members = [field]
        file.messages = [order]
        return file
    }

    /// What it says to this.
    mutating func hear(_ bytes: [UInt8], at now: Instant) -> [UInt8] {
        server.http.receive(bytes.span, at: now)
        while let event = server.nextEvent(at: now) {
            switch event {
            case .opened(let call, let method, let metadata):
                if method.contains("reflection") {
                    reflecting.insert(call)
                } else {
                    self.metadata = metadata
                }
            case .message(let call, let bytes):
                if reflecting.contains(call) {
                    describe(call, bytes, at: now)
                } else {
                    requests.append(bytes)
                }
            case .halfClosed(let call):
                if reflecting.contains(call) {
                    server.finish(call, at: now)
                } else {
                    server.answer(call, [8, UInt8(requests.count)], at: now)
                }
            case .request(let call, let method, let metadata, let bytes):
                requests.append(bytes)
                self.metadata = metadata
                answer(call, method, bytes, at: now)
            default: break
            }
        }
        var said: [UInt8] = []
        while server.http.hasOutgoing {
            let piece = Array(server.http.outgoing)
            said += piece
            server.http.didSend(piece.count, at: now)
        }
        return said
    }

    private mutating func describe(_ call: UInt64, _ bytes: [UInt8], at now: Instant) {
        guard let question = try? GRPCReflection.Question(protobuf: bytes) else { return }
        var answer = GRPCReflection.Answer()
        if question.symbol == "shop.Shop" || question.file != nil {
            answer.files = GRPCReflection.Files(files: [Self.file(question.file).protobuf])
        } else {
            answer.failure = GRPCReflection.Failure(code: 5, message: "Symbol not found.")
        }
        server.send(call, answer.protobuf, at: now)
    }

    private mutating func answer(
        _ call: UInt64, _ method: String, _ bytes: [UInt8], at now: Instant
    ) {
        switch method {
        case "/shop.Shop/One": server.answer(call, bytes, at: now)
        case "/shop.Shop/Many":
            for _ in 0..<3 { server.send(call, bytes, at: now) }
            server.finish(call, at: now)
        case "/shop.Shop/Fail":
            server.finish(call, GRPCStatus(.notFound, "no such order"), at: now)
        default: break
        }
    }
}

/// A conversation with such a server, until nobody has anything to say.
private struct Exchange {
    var f = ConversationFixture()
    var peer: DescribedServer
    private(set) var told: [String] = []

    init(
        _ settings: [(String, String)], reflection: [String] = [GRPCReflection.methods[0]]
    ) throws {
        peer = DescribedServer(reflection, at: .zero)
        let config = settings.map { (key: $0.0, value: $0.1) }
        let identity = [EnvironmentEntry(name: "DKRON_JOB_NAME", value: "j")]
        told = f.begin(1, .grpc(try GRPCJob.parse(config)), identity: identity)
        told += f.take(.opened(1))
        while let bytes = f.sentBytes.removeValue(forKey: 1), f.calls.count > 0 {
            let answer = peer.hear(bytes, at: f.now.monotonic)
            if answer.isEmpty { break }
            told += f.take(.received(1, answer))
        }
    }

    var news: [String] { told.filter { $0.hasPrefix("1 ") && $0 != "1 started" } }
}

private func settings(
    _ method: String, _ body: String = #"{"count": 7}"#, _ more: [(String, String)] = []
) -> [(String, String)] {
    [("url", "10.0.0.1:50051/shop.Shop/\(method)"), ("body", body)] + more
}

@Suite("Executor grpc: conversation")
struct GRPCConversationTests {
    @Test("a method is called as the server describes it, and its answers are the output")
    func calls() throws {
        for reflection in [GRPCReflection.methods, [GRPCReflection.methods[1]]] {
            let headers = [("headers", #"["A: b:c", "B-bin: AP8="]"#)]
            let one = try Exchange(
                settings("One", "{\"count\": 7}", headers), reflection: reflection)
            #expect(one.news == ["1 printed {\"count\":7}\n", "1 finished: "])
            #expect(one.peer.requests == [[8, 7]])
            #expect(
                one.peer.metadata["a"] == "b:c" && one.peer.metadata.bytes("b-bin") == [0, 255])
            #expect(one.peer.metadata["dkron-job-name"] == "j")
        }
        let many = try Exchange(settings("Many"))
        #expect(
            many.news == Array(repeating: "1 printed {\"count\":7}\n", count: 3) + ["1 finished: "])
        let collected = try Exchange(settings("Collect", #"{"count": 1}{"count": 2} {"count":3}"#))
        #expect(collected.news == ["1 printed {\"count\":3}\n", "1 finished: "])
        #expect(collected.peer.requests == [[8, 1], [8, 2], [8, 3]])
        let nothing = try Exchange(settings("One", ""))
        #expect(nothing.news == ["1 printed {}\n", "1 finished: "])
        #expect(nothing.peer.requests == [[]])
    }

    @Test("a status is judged by the one that is expected")
    func statuses() throws {
        let failed = try Exchange(settings("Fail"))
        #expect(
            failed.news == [
                "1 finished: 10.0.0.1:50051: server returned NotFound code, expected OK: "
                    + "no such order"
            ])
        let wanted = try Exchange(settings("Fail", "{}", [("expectCode", "5")]))
        #expect(wanted.news == ["1 printed NotFound: no such order\n", "1 finished: "])
        let other = try Exchange(settings("One", "{}", [("expectCode", "5")]))
        #expect(other.news.last?.hasSuffix("server returned OK code, expected NotFound") == true)
    }

    @Test("what can't be called is not called, and says why")
    func refusals() throws {
        let cases: [([(String, String)], [String], String)] = [
            (settings("Buy"), GRPCReflection.methods, "has no method Buy; it has One, Many"),
            (settings("One", #"{"cuont": 1}"#), GRPCReflection.methods, "body.cuont: the message"),
            (settings("Collect", #"{} {"count": "x"}"#), GRPCReflection.methods, "body[1].count: "),
            (settings("One", "{} {}"), GRPCReflection.methods, "takes one message, and the body"),
            (
                [("url", "10.0.0.1:50051/shop.Cellar/One")], GRPCReflection.methods,
                "shop.Cellar: Symbol not found."
            ),
            (settings("One"), [], "the server has no reflection service"),
        ]
        for (settings, reflection, words) in cases {
            let exchange = try Exchange(settings, reflection: reflection)
            let last = try #require(exchange.news.last)
            #expect(
                last.hasPrefix("1 finished: 10.0.0.1:50051: ") && last.contains(words), "\(last)")
            #expect(exchange.peer.requests == [])
        }
    }

    @Test("a server that falls silent, goes away or never stops ends nothing but the execution")
    func badServers() throws {
        func begun(_ more: [(String, String)] = []) throws -> ConversationFixture {
            var f = ConversationFixture()
            let config = settings("Never", "{}", more).map { (key: $0.0, value: $0.1) }
            _ = f.begin(1, .grpc(try GRPCJob.parse(config)))
            _ = f.take(.opened(1))
            return f
        }
        var silent = try begun([("timeout", "0")])
        #expect(
            silent.wait(.seconds(10)).last
                == "1 finished: 10.0.0.1:50051: the other side sent no SETTINGS in time "
                + "(SETTINGS_TIMEOUT)")
        var early = try begun()
        #expect(
            early.take(.receivedEnd(1)).last
                == "1 finished: 10.0.0.1:50051: the server closed the connection")
        var garbage = try begun()
        let web = garbage.receive(1, "HTTP/1.1 400 Bad Request\r\n\r\n").last
        #expect(web?.hasPrefix("1 finished: 10.0.0.1:50051: ") == true, "\(web ?? "")")

        // Whoever has been asked may think as long as the job allows.
        var never = try Exchange(settings("Never", "{}", [("timeout", "2h")]))
        #expect(never.news == [])
        #expect(never.peer.requests == [[]])
        #expect(never.f.wait(.seconds(3_600)) == [])
        #expect(
            never.f.wait(.seconds(3_600)).last
                == "1 timedOut: 10.0.0.1:50051 did not answer within the time-out of 2h0m0s; it "
                + "may have carried out what it was asked for")
        var gone = try Exchange(settings("Never"))
        #expect(
            gone.f.take(.receivedEnd(1)).last
                == "1 finished: 10.0.0.1:50051: the server closed the connection; it may have "
                + "carried out what it was asked for")
        #expect(gone.f.calls.count == 0)
    }

    @Test("messages behind each other are taken apart")
    func sequences() {
        let cases: [(String, [String])] = [
            ("", []), (" \n", []), ("{}", ["{}"]),
            ("{\"a}\": \"\\\"{\"} []", ["{\"a}\": \"\\\"{\"}", "[]"]),
            ("1 2\"x\"true{}", ["1", "2", "\"x\"", "true", "{}"]), ("{", ["{"]),
            ("}{}", ["}", "{}"]),
            ("\"\\", ["\"\\"]), ("[1,2][3]", ["[1,2]", "[3]"]),
        ]
        for (text, expected) in cases {
            let found = JSONSequence.split(Array(text.utf8)).map {
                String(decoding: $0, as: UTF8.self)
            }
            #expect(found == expected)
        }
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("url", "", "a url is required"), ("url", "grpc://h:1/s/m", "without a scheme"),
            ("url", "h/s/m", "a host and a port"), ("url", "h:1/s", "a service and a method"),
            ("url", "h:1/s/m/x", "a service and a method"), ("url", "h:0/s/m", "1 to 65535"),
            ("url", "h:1/s /m", "a service and a method"), ("url", "ä:1/s/m", "column 1"),
            ("body", "{", "not JSON"), ("body", "{} {]", "message 2"),
            ("headers", "x", "not JSON"), ("headers", #"["grpc-timeout: 1"]"#, "gRPC's own"),
            ("headers", #"["a-bin: ?"]"#, "must be base64"),
            ("headers", #"["Dkron-x: 1"]"#, "set by"),
            ("expectCode", "NotFound", "not the number"), ("timeout", "soon", "number"),
            ("tlsEnable", "maybe", "neither true nor false"),
            ("tlsRootCAsFile", "x", "tlsEnable is not true"), ("frobnicate", "1", "no setting"),
        ])
    func refusedSettings(key: String, value: String, words: String) {
        let settings = [("url", "h:1/s.S/m")].filter { $0.0 != key } + [(key, value)]
        let error = #expect(throws: ExecutorSettingError.self) {
            try GRPCJob.parse(settings.map { (key: $0.0, value: $0.1) })
        }
        #expect(error?.key == key)
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }

    @Test("with TLS the server must speak HTTP/2")
    func tls() throws {
        let job = try GRPCJob.parse([
            (key: "url", value: "[::1]:443/s.S/m"), (key: "tlsEnable", value: "true"),
            (key: "tlsRootCAsFile", value: "/roots.pem"),
        ])
        #expect(job.server.tls?.protocols == ["h2"])
        #expect(job.server.tls?.host == "::1")
        #expect(job.server.tls?.settings.rootsFile == "/roots.pem")
    }
}
