import Testing

@testable import Core

/// An engine that is the test: what is asked of it is told in words.
private struct EngineFixture {
    var fixture = ConversationFixture()
    private var connection: ConnectionNumber = 0

    mutating func begin(
        _ settings: [(String, String)] = [], fence: Duration? = nil, isResumed: Bool = false
    ) throws -> [String] {
        let all = [("image", "team/tool:1"), ("host", "unix:///e.sock")] + settings
        let job = try DockerJob.parse(all.map { (key: $0.0, value: $0.1) })
        let call = ConversationCall(
            execution: ExecutionID("17-n/1"), task: .docker(job),
            identity: [EnvironmentEntry(name: "DKRON_JOB_NAME", value: "j")], fence: fence,
            isResumed: isResumed)
        fixture.calls.begin(call, at: fixture.now, into: &fixture.out)
        return told(flush()) + told(fixture.wait(.zero))
    }

    /// An event of no consequence; what is wanted by now comes out.
    private mutating func flush() -> [String] {
        fixture.take(.resolved(host: "nobody", addresses: [], problem: ""))
    }

    /// Requests in place of the connections that they need.
    private mutating func told(_ words: [String]) -> [String] {
        var result: [String] = []
        for word in words {
            guard word.hasPrefix("open ") else {
                let isNoise = word.hasPrefix("close ") || word.hasPrefix("17 started")
                if !isNoise { result.append(word) }
                continue
            }
            let parts = word.split(separator: " ")
            #expect(parts.dropFirst(2) == ["/e.sock", "0"])
            connection = ConnectionNumber(parts[1]) ?? 0
            result += told(fixture.take(.opened(connection)))
            let request = fixture.sent[connection] ?? ""
            let line = request.split(separator: "\r\n").first?.dropLast(" HTTP/1.1".count)
            result[result.count - 1] = String(line ?? "")
        }
        return result
    }

    var sent: String { fixture.sent[connection] ?? "" }

    mutating func answer(_ status: Int, _ body: String = "") -> [String] {
        told(
            fixture.receive(
                connection,
                "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"))
    }

    mutating func receive(_ bytes: [UInt8]) -> [String] {
        told(fixture.take(.received(connection, bytes)))
    }

    mutating func end() -> [String] { told(fixture.take(.receivedEnd(connection))) }
    mutating func fail() -> [String] {
        told(fixture.take(.failed(connection, reason: "Connection refused")))
    }
    mutating func wait(_ time: Duration) -> [String] { told(fixture.wait(time)) }
    mutating func hangUp() -> [String] {
        fixture.calls.hangUp(ExecutionID("17-n/1"), at: fixture.now, into: &fixture.out)
        return told(flush())
    }

    /// To where the container runs and its output is followed.
    mutating func run(_ settings: [(String, String)] = []) throws {
        #expect(try begin(settings) == ["GET /images/team/tool:1/json"])
        #expect(answer(200, "{}") == ["POST /containers/create?name=dkron-17-n_1"])
        #expect(answer(201, "{}") == ["POST /containers/dkron-17-n_1/start"])
        #expect(
            answer(204) == ["GET /containers/dkron-17-n_1/logs?stdout=1&stderr=1&follow=1"])
        #expect(receive(Array("HTTP/1.1 200 OK\r\n\r\n".utf8)) == [])
    }
}

private func frame(_ kind: UInt8, _ text: String) -> [UInt8] {
    [kind, 0, 0, 0, 0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8)
}

private func state(_ status: String, code: Int = 0, label: String = "17-n/1") -> String {
    """
    {"State":{"Status":"\(status)","Running":\(status == "running"),"ExitCode":\(code),
    "OOMKilled":false,"Error":""},"Config":{"Labels":{"dkron.execution":"\(label)"}}}
    """
}

private let inspect = "GET /containers/dkron-17-n_1/json"
private let remove = "DELETE /containers/dkron-17-n_1?force=1&v=1"

@Suite("Executor docker")
struct DockerTests {
    @Test("a container is made, followed and removed; its exit status is the outcome")
    func runs() throws {
        var f = EngineFixture()
        try f.run([("command", "a 'b c'"), ("env", "X=1"), ("memory", "1k"), ("cpus", "1.5")])
        let created = f.fixture.sent[2] ?? ""
        #expect(
            created.hasSuffix(
                #"{"Image":"team/tool:1","Cmd":["a","b c"],"Env":["X=1","DKRON_JOB_NAME=j"],"#
                    + #""Labels":{"dkron.execution":"17-n/1","dkron.job":"j"},"#
                    + #""HostConfig":{"Memory":1024,"NanoCpus":1500000000}}"#), "\(created)")
        #expect(f.receive(frame(1, "out\n") + frame(2, "err\n")[..<9]) == ["17 printed out\ne"])
        #expect(f.receive(Array("rr\n".utf8)) == ["17 printed rr\n"])
        // It may print nothing for a day.
        #expect(f.wait(.minutes(9)) == [])
        #expect(f.end() == [inspect])
        #expect(f.answer(200, state("exited", code: 3)) == [remove])
        #expect(f.answer(204) == ["17 finished: exit status 3"])
    }

    @Test("an image that is not there is pulled; what the engine says in between is heard")
    func pulls() throws {
        var f = EngineFixture()
        _ = try f.begin([("registry.username", "u"), ("registry.password", "p?>")])
        #expect(
            f.answer(404, #"{"message":"no"}"#)
                == ["POST /images/create?fromImage=team%2Ftool&tag=1"])
        #expect(
            f.sent.contains("X-Registry-Auth: eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA_PiJ9\r\n"))
        #expect(f.receive(Array("HTTP/1.1 200 OK\r\n\r\n{\"status\":".utf8)) == [])
        #expect(f.wait(.minutes(5)) == [])
        #expect(f.receive(Array("\"x\"}\r\n{\"error\":\"denied\"".utf8)) == [])
        #expect(
            f.receive(Array("}\n".utf8))
                == ["17 finished: can't pull the image team/tool:1: denied"])
    }

    @Test("what was printed before is not printed again when the output breaks off")
    func again() throws {
        var f = EngineFixture()
        try f.run()
        #expect(f.receive(frame(1, "one") + frame(2, "two")[..<10]) == ["17 printed onetw"])
        #expect(f.end() == [])
        #expect(f.wait(.milliseconds(250)) == [inspect])
        #expect(
            f.answer(200, state("exited")) == [
                "GET /containers/dkron-17-n_1/logs?stdout=1&stderr=1&follow=1"
            ])
        let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
        #expect(
            f.receive(head + frame(1, "one") + frame(2, "two") + frame(1, "end"))
                == ["17 printed oend"])
        #expect(f.end() == [inspect])
        #expect(f.answer(200, state("exited")) == [remove])
        #expect(f.answer(404) == ["17 finished: "])
    }

    @Test("a time-out and a kill stop the container, print the rest, and have an end themselves")
    func ends() throws {
        var f = EngineFixture()
        try f.run([("timeout", "60s"), ("stop_timeout", "3s")])
        #expect(f.wait(.seconds(60)) == ["POST /containers/dkron-17-n_1/stop?t=3"])
        #expect(f.hangUp() == [])
        let gather = f.answer(204)
        #expect(gather == ["GET /containers/dkron-17-n_1/logs?stdout=1&stderr=1"])
        #expect(
            f.receive(Array("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n".utf8) + frame(1, "bye"))
                == [remove, "17 printed bye"])
        #expect(
            f.answer(204) == [
                "17 timedOut: the container did not end within the time-out of 1m0s; the container "
                    + "was stopped and removed"
            ])
        var g = EngineFixture()
        try g.run([("stop_timeout", "3s")])
        #expect(g.hangUp() == ["POST /containers/dkron-17-n_1/stop?t=3"])
        var words: [String] = []
        for _ in 0..<24 { words += g.wait(.seconds(1)) }
        #expect(words.contains(remove))
        #expect(
            words.last
                == "17 stopped: the container dkron-17-n_1 may be left: /e.sock did not remove it "
                + "in time", "\(words)")
        #expect(g.fixture.calls.count == 0)
    }

    @Test("a fence that runs out removes the container at once; nothing made, nothing removed")
    func fences() throws {
        var f = EngineFixture()
        _ = try f.begin(fence: .seconds(10))
        #expect(f.wait(.seconds(10)) == ["17 fenced: no container was created"])
        var g = EngineFixture()
        #expect(try g.begin(fence: .zero, isResumed: true) == [inspect, remove])
        #expect(g.answer(204) == ["17 fenced: the container was removed"])
        // However many calls there are: what an earlier life started must not be left behind.
        var full = EngineFixture()
        full.fixture = ConversationFixture { $0.connections = 0 }
        #expect(try full.begin(fence: .zero, isResumed: true) == [inspect, remove])
        var h = EngineFixture()
        _ = try h.begin([("pull", "never")])
        #expect(h.hangUp() == [])
        #expect(h.answer(201, "{}") == [remove])
        #expect(h.answer(204) == ["17 stopped: the container was removed"])
    }

    @Test("what an earlier life of the agent began is found and watched, and never begun")
    func resumes() throws {
        var f = EngineFixture()
        #expect(try f.begin(isResumed: true) == [inspect])
        let follow = f.answer(200, state("running"))
        #expect(follow == ["GET /containers/dkron-17-n_1/logs?stdout=1&stderr=1&follow=1"])
        for (status, body, words) in [
            (404, "{}", "how far it got is not known: the container is not there any more"),
            (200, state("exited", label: "18-n"), "not of this execution"),
        ] {
            var g = EngineFixture()
            _ = try g.begin(isResumed: true)
            let last = g.answer(status, body).last ?? ""
            #expect(last.contains(words), "\(last)")
        }
        var h = EngineFixture()
        _ = try h.begin(isResumed: true)
        #expect(h.answer(200, state("created")) == [remove])
        #expect(
            h.answer(204) == ["17 finished: the agent ended before the container was started"])
    }

    @Test("an answer that got lost makes no second container; an engine that is gone is told")
    func lost() throws {
        var f = EngineFixture()
        _ = try f.begin([("pull", "never")])
        #expect(f.end() == [])
        #expect(f.wait(.milliseconds(250)) == [inspect])
        #expect(f.answer(200, state("created")) == ["POST /containers/dkron-17-n_1/start"])
        var g = EngineFixture()
        try g.run()
        #expect(g.end() == [inspect])
        var words: [String] = []
        for _ in 0..<60 where g.fixture.calls.count > 0 { words += g.fail() + g.wait(.seconds(4)) }
        #expect(
            words.last
                == "17 finished: /e.sock: Connection refused; the container dkron-17-n_1 may still "
                + "run", "\(words)")
    }

    @Test("frames are taken apart however they are cut; what is none is refused")
    func stream() throws {
        let bytes = frame(1, "hello ") + frame(2, "") + frame(3, "world")
        for cut in bytes.indices {
            var stream = DockerLogStream()
            let text = try stream.take(Array(bytes[..<cut])) + stream.take(Array(bytes[cut...]))
            #expect(text == Array("hello world".utf8) && stream.isWhole)
        }
        for wrong in [[4, 0, 0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 0, 1]] as [[UInt8]] {
            var stream = DockerLogStream()
            #expect(throws: DockerStreamError.self) { try stream.take(wrong) }
        }
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("image", "", "required"), ("image", "a b", "no image"),
            ("image", "a/../b", "no image"),
            ("command", "a | b", "sh"), ("command", "[1]", "not a string"),
            ("env", "x", "NAME=value"), ("volumes", "/a", "source:target"),
            ("volumes", "a:b", "source:target"), ("memory", "much", "size"),
            ("cpus", "0", "greater than 0"), ("cpus", "1.2.3", "such as"),
            ("init", "perhaps", "neither"), ("pull", "maybe", "always, missing, never"),
            ("registry.username", "me", "both"), ("registry.address", "r", "says nothing"),
            ("host", "ftp://h", "tcp or http or https"), ("host", "unix://e", "path of a socket"),
            ("host", "tcp://h/x", "only a host"), ("stop_timeout", "1h", "at most 5m"),
            ("timeout", "-1s", "negative"), ("images", "x", "no setting"),
        ])
    func refusals(key: String, value: String, words: String) {
        let settings = [("image", "i")].filter { $0.0 != key } + [(key, value)]
        let error = #expect(throws: ExecutorSettingError.self) {
            try DockerJob.parse(settings.map { (key: $0.0, value: $0.1) })
        }
        let place = key == "registry.username" ? "registry.password" : key
        #expect(error?.key == place)
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }
}
