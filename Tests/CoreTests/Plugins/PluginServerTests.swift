import Testing

@testable import Core

@Suite("Plugins: serving")
struct PluginServerTests {
    private func output(_ call: UInt64, _ text: String) -> PluginServerEvent {
        .output(call, Array(text.utf8), isError: false)
    }

    // MARK: Executors

    @Test("a run: what it is told, what it tells meanwhile, and its end")
    func execution() {
        let pair = PluginPair(.executor)
        #expect(pair.execute(1, [("k", "a:b,c")]) == ["begin 1", "1 started"])
        let work = PluginServerCall.Work.execute(
            job: "job", config: [ProtobufEntry("k", "a:b,c")],
            identity: [EnvironmentEntry(name: "DKRON_ATTEMPT", value: "2")])
        #expect(pair.calls.map(\.work) == [work])
        #expect(pair.take(output(1, "one\n")) == ["1 told one\n"])
        #expect(pair.take(output(1, "two\n")) == ["1 told two\n"])
        #expect(
            pair.take(.finished(1, .executed(error: ""))) == [
                "1 printed one\ntwo\n", "1 finished: ",
            ])
        #expect(pair.execute(2) == ["begin 2", "2 started"])
        #expect(
            pair.take(.finished(2, .executed(error: "it broke"))) == ["2 finished: it broke"])
        #expect(pair.server.callCount == 0)
    }

    @Test("a run that is hung up is cancelled, and what it says later is passed over")
    func cancel() {
        let pair = PluginPair(.executor)
        _ = pair.execute(1)
        #expect(pair.hangUp(1) == ["cancel 1", "1 stopped: "])
        #expect(pair.take(output(1, "late")) == [])
        #expect(pair.take(.finished(1, .executed(error: "late"))) == [])
    }

    @Test("many runs at a time keep their outputs apart")
    func many() {
        let pair = PluginPair(.executor)
        for number in 1...200 { _ = pair.execute(Int64(number)) }
        for number in 1...200 {
            #expect(
                pair.take(output(UInt64(number), "o\(number)")) == ["\(number) told o\(number)"])
        }
        for number in (1...200).reversed() {
            let told = pair.take(.finished(UInt64(number), .executed(error: "")))
            #expect(told == ["\(number) printed o\(number)", "\(number) finished: "])
        }
    }

    @Test("an output of any length has its end kept")
    func longOutput() {
        var tail = PluginOutputTail()
        for index in 0..<100 { tail.append([UInt8](repeating: UInt8(index), count: 10_000)) }
        #expect(tail.bytes.count == PluginOutputTail.limit)
        #expect(tail.bytes.last == 99)
        tail.append([UInt8](repeating: 7, count: 2 * PluginOutputTail.limit))
        #expect(tail.bytes.count == PluginOutputTail.limit && tail.bytes.first == 7)
    }

    @Test("what the process prints reaches the host's log, once it is there to read")
    func prints() {
        let pair = PluginPair(.executor)
        _ = pair.take(.printed(Array("[WARN] mind the gap\n".utf8)))
        #expect(
            pair.hostLog.contains { $0.level == .warning && $0.message == "mind the gap" })
    }

    // MARK: Processors

    @Test("a processor gets the execution with sorted settings, and what it leaves comes back")
    func processing() {
        let pair = PluginPair(.processor)
        var execution = PluginExecution(
            job: "j", isSuccess: true, output: [1, 2], node: "n", group: 9, attempt: 3,
            startedAt: WallTime(seconds: 5) + .nanoseconds(7))
        #expect(pair.process(4, execution) == ["begin 1"])
        let config = [ProtobufEntry("a", "2"), ProtobufEntry("z", "1")]
        #expect(pair.calls.map(\.work) == [.process(execution, config: config)])
        execution.output = [UInt8](repeating: 3, count: 1 << 20)
        execution.isSuccess = false
        _ = pair.take(.finished(1, .processed(execution)))
        #expect(pair.processed.map(\.number) == [4])
        #expect(pair.processed.map(\.outcome) == [.processed(execution)])
        _ = pair.take(.printed(Array("hello\n".utf8)))
        #expect(pair.hostLog.contains { $0.message == "hello" })
    }

    @Test("a refusal is answered to hosts that survive it, and logged for others")
    func refusal() {
        let execution = PluginExecution(
            job: "j", isSuccess: true, output: [1], node: "n", group: 9, attempt: 3)
        let ours = PluginPair(.processor)
        _ = ours.process(4, execution)
        _ = ours.take(.finished(1, .refused("no room")))
        #expect(
            ours.processed.map(\.outcome) == [.failed("the processor refused: no room")])
        let theirs = PluginPair(.processor, takesErrors: false)
        _ = theirs.process(4, execution)
        _ = theirs.take(.finished(1, .refused("no room")))
        #expect(theirs.processed.map(\.outcome) == [.processed(execution)])
        #expect(
            theirs.serverLog.map(\.message) == ["the processor could not do its work: no room"])
    }

    // MARK: The end

    @Test(
        "asked to end, it cancels what runs and goes when that has ended",
        arguments: [
            PluginKind.executor, .processor,
        ])
    func stop(_ kind: PluginKind) {
        let idle = PluginPair(kind)
        #expect(idle.stop().contains("exit"))
        let busy = PluginPair(.executor)
        _ = busy.execute(1)
        let told = busy.stop()
        #expect(told.contains("cancel 1") && !told.contains("exit"))
        #expect(busy.take(.finished(1, .executed(error: "ended"))).contains("exit"))
        let stuck = PluginPair(.executor)
        _ = stuck.execute(1)
        _ = stuck.take(.stop("a signal"))
        #expect(!stuck.isOver && stuck.wait(.milliseconds(1_400)) == [])
        #expect(stuck.wait(.milliseconds(100)).contains("exit"))
    }

    @Test("it ends when its host has gone, and when none comes")
    func lonely() {
        for kind in PluginKind.allCases {
            let pair = PluginPair(kind)
            if kind == .executor { _ = pair.execute(1) }
            let told = pair.loseHost()
            #expect(told == (kind == .executor ? ["cancel 1"] : []))
            #expect(pair.wait(.milliseconds(900)) == [])
            #expect(pair.wait(.milliseconds(100)).contains("exit"))
            var alone = PluginServer(kind, takesErrors: true, at: .zero)
            var actions: [PluginServerAction] = []
            #expect(alone.nextDeadline == .zero + .seconds(60))
            alone.expire(at: .zero + .seconds(59), into: &actions)
            #expect(actions == [])
            alone.expire(at: .zero + .seconds(60), into: &actions)
            #expect(actions.last == .exit)
        }
    }

    @Test("garbage and half a message end a connection, and nothing else")
    func garbage() {
        for kind in PluginKind.allCases {
            for bytes in [
                Array("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0xff, count: 99),
            ] {
                var server = PluginServer(kind, takesErrors: true, at: .zero)
                var actions: [PluginServerAction] = []
                server.take(.accepted(1), at: .zero, into: &actions)
                server.take(.received(1, bytes), at: .zero, into: &actions)
                server.take(.receivedEnd(1), at: .zero, into: &actions)
                #expect(actions.contains(.close(1)), "\(kind)")
                #expect(!actions.contains(.exit))
                server.take(.accepted(3), at: .zero, into: &actions)
                #expect(!actions.contains(.close(3)))
            }
        }
    }

    @Test("its first line is what hosts read, and by hand it says what it is")
    func handshake() throws {
        let line = PluginHandshake.line(.local("/tmp/plugin1"), of: .executor)
        #expect(line == "1|1|unix|/tmp/plugin1|grpc|\n")
        #expect(
            try PluginHandshake(line: line.utf8.dropLast(), of: .executor).address
                == .local("/tmp/plugin1"))
        let tcp = PluginHandshake.line(.tcp(host: "127.0.0.1", port: 9), of: .processor)
        #expect(tcp == "1|1|tcp|127.0.0.1:9|netrpc|\n")
        var variables = Dictionary(
            PluginHandshake.environment.map { ($0.name, $0.value) }
        ) { $1 }
        #expect(PluginHandshake.refusal { variables[$0] } == nil)
        #expect(PluginHandshake.allowsRefusals { variables[$0] })
        variables["PLUGIN_CLIENT_CERT"] = "-----BEGIN"
        #expect(
            PluginHandshake.refusal { variables[$0] }?.contains("mutual TLS") == true)
        let byHand = PluginHandshake.refusal { _ in nil }
        #expect(byHand?.hasPrefix("This program is a plugin of dkron") == true)
        #expect(!PluginHandshake.allowsRefusals { _ in nil })
    }
}

@Suite("Plugins: the server's side of an executor")
struct ExecutorServerLinkTests {
    /// A client of gRPC at a link.
    private struct Client {
        var client = GRPCClient(authority: "x", at: .zero)
        var link = ExecutorServerLink(at: .zero)
        var news: [PluginServerNews] = []
        var events: [GRPCClientEvent] = []

        mutating func call(_ method: String, _ message: [UInt8]?) -> UInt64 {
            let count: GRPCCount = message == nil ? .stream : .one
            let call = (try? client.call(method, answers: count, at: .zero)) ?? 0
            if let message { client.send(call, message, last: true, at: .zero) }
            settle()
            return call
        }

        mutating func settle() {
            var moved = true
            while moved {
                let bytes = Array(client.http.outgoing)
                client.http.didSend(bytes.count, at: .zero)
                link.received(bytes, at: .zero)
                link.drain(at: .zero, &news)
                let answer = link.takeOutgoing() ?? []
                link.wrote(answer.count, at: .zero)
                client.http.receive(answer.span, at: .zero)
                while let event = client.nextEvent(at: .zero) { events.append(event) }
                moved = !bytes.isEmpty || !answer.isEmpty
            }
        }

        func status(of call: UInt64) -> GRPCStatus? {
            for case .finished(call, let status, _) in events { return status }
            return nil
        }
    }

    @Test("every name of the service is served, and no other")
    func names() {
        var client = Client()
        for name in ExecutorService.execute {
            let call = client.call(name, ExecuteRequest().protobuf)
            guard case .begin(let token, _, 0)? = client.news.last else {
                Issue.record("\(name) begins nothing")
                continue
            }
            client.link.answer(token, .executed(error: "e"), output: [1], at: .zero)
            client.settle()
            #expect(client.status(of: call)?.isOK == true)
        }
        let other = client.call("/types.Executor/Other", [])
        #expect(client.status(of: other)?.code == .unsupported)
        let broken = client.call(ExecutorService.execute[0], [0x0a, 0x05, 0x41])
        #expect(client.status(of: broken)?.code == .invalidArgument)
        #expect(client.news.count == ExecutorService.execute.count)
    }

    @Test("the health service answers, and Shutdown is answered before the end")
    func services() {
        var client = Client()
        var question = HealthService.Question()
        question.service = "plugin"
        let asked = client.call(HealthService.check, question.protobuf)
        #expect(client.status(of: asked)?.isOK == true)
        #expect(client.events.contains(.message(call: asked, [0x08, 0x01])))
        question.service = "other"
        let unknown = client.call(HealthService.check, question.protobuf)
        #expect(client.status(of: unknown)?.code == .notFound)
        let end = client.call(ExecutorService.shutdown, [])
        #expect(client.status(of: end)?.isOK == true)
        guard case .stop? = client.news.last else {
            Issue.record("it does not end")
            return
        }
    }

    @Test("places for updates are told by the broker, and strange ones are passed over")
    func broker() {
        var client = Client()
        let call = client.call(ExecutorService.broker, nil)
        for (network, address) in [
            ("unix", "/tmp/s1"), ("tcp", "127.0.0.1:99"), ("unix", "relative"), ("x", "y"),
            ("tcp", "8.8.8.8:1"),
        ] {
            var info = ConnectionInfo()
            (info.service, info.network, info.address) = (7, network, address)
            client.client.send(call, info.protobuf, last: false, at: .zero)
        }
        client.client.send(call, [0xff], last: false, at: .zero)
        client.settle()
        let addresses = client.news.compactMap { news -> String? in
            guard case .announced(7, let address) = news else { return nil }
            return address.description
        }
        #expect(addresses == ["/tmp/s1", "127.0.0.1:99"])
    }
}

@Suite("Plugins: telling updates")
struct StatusClientTests {
    /// A host that knows one name of the service.
    private func tell(_ pieces: [(String, Bool)], methods: [String]) -> (
        [StatusUpdateRequest], StatusClient
    ) {
        var updates: [StatusUpdateRequest] = []
        var server = GRPCServer(methods: methods.map { GRPCMethod($0) }, at: .zero)
        var client = StatusClient(service: 0, at: .zero)
        for (text, isError) in pieces { client.tell(Array(text.utf8), isError: isError, at: .zero) }
        client.opened(at: .zero)
        var moved = true
        while moved {
            client.drain(at: .zero)
            let bytes = client.takeOutgoing() ?? []
            client.wrote(bytes.count, at: .zero)
            server.http.receive(bytes.span, at: .zero)
            while let event = server.nextEvent(at: .zero) {
                guard case .request(let call, _, _, let message) = event else { continue }
                if let update = try? StatusUpdateRequest(protobuf: message) {
                    updates.append(update)
                }
                server.answer(call, [], at: .zero)
            }
            let answer = Array(server.http.outgoing)
            server.http.didSend(answer.count, at: .zero)
            client.received(answer, at: .zero)
            moved = !bytes.isEmpty || !answer.isEmpty
        }
        return (updates, client)
    }

    @Test("small pieces of a kind go together, and the older name is found")
    func names() {
        for methods in [ExecutorService.update, [ExecutorService.update[1]]] {
            let (updates, client) = tell(
                [("a", false), ("b", false), ("c", true), ("d", false)], methods: methods)
            #expect(updates.map { String(decoding: $0.output, as: UTF8.self) } == ["ab", "c", "d"])
            #expect(updates.map(\.isError) == [false, true, false])
            #expect(client.service == 2 - methods.count && !client.isOver)
        }
        let (none, client) = tell([("a", false)], methods: ["/x.Y/Z"])
        #expect(none.isEmpty && client.isOver)
    }

    @Test("of what nobody takes the end is kept")
    func bounds() {
        let (updates, _) = tell(
            (0..<20).map { (String(repeating: "\($0 % 10)", count: 32 << 10), false) },
            methods: ExecutorService.update)
        #expect(updates.count == 8)
        #expect(updates.map { $0.output.count }.allSatisfy { $0 == 32 << 10 })
        #expect(updates.last?.output.first == UInt8(ascii: "9"))
    }
}
