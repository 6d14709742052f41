import Testing

@testable import Core

@Suite("Plugins: the host")
struct PluginHostTests {
    @Test("a call: its socket, its settings, what it tells meanwhile, and its end")
    func call() {
        let f = PluginFixture("/p/dkron-executor-x")
        #expect(f.start() == ["launch x"])
        #expect(f.take(.launched(1)) == [])
        #expect(f.prints("1|1|unix|/tmp/p|grpc|\nmore") == ["connect /tmp/p"])
        #expect(f.logs.map(\.message) == ["plugin: executor x is ready"])
        #expect(
            f.begin(7, [("k", "v")]) == [
                "listen 1 /d/s1", "types.v1.ExecutorService job 1 attempt 1", "7 started",
            ])
        #expect(f.infos.map { [$0.network, $0.address] } == [["unix", "/d/s1"]])
        #expect(f.infos[0].service == 1)
        #expect(f.requests[0].2.config == [ProtobufEntry("k", "v")])
        #expect(f.tell(1, "a\n") == ["told: OK", "7 told a\n"])
        #expect(f.tell(1, "b\n", method: 1) == ["told: OK", "7 told b\n"])
        #expect(
            f.answer("a\nb\n") == [
                "unlisten 1", "close", "close", "7 printed a\nb\n", "7 finished: ",
            ])
        #expect(f.host.count == 0)
        #expect(f.tell(1, "too late") == ["close"])
        #expect(f.begin(8)[1] == "types.v1.ExecutorService job 2 attempt 1")
        #expect(
            f.answer("half", error: "no luck\n").suffix(2) == [
                "8 printed half", "8 finished: no luck",
            ])
        #expect(f.begin(9)[0] == "listen 3 /d/s3")
        #expect(
            f.refuse(GRPCStatus(.internalError, "oh")).last
                == "9 finished: rpc error: code = Internal desc = oh")
    }

    @Test("names of services are tried from the newest on, and remembered")
    func generations() {
        for (index, name) in ["types.v1.ExecutorService", "types.Executor", "dkron.Executor"]
            .enumerated()
        {
            let method = GRPCMethod(ExecutorService.execute[index])
            let f = PluginFixture.ready(methods: [method] + PluginFixture.helpers)
            #expect(f.begin(1) == ["listen 1 /d/s1", "\(name) job 1 attempt 1", "1 started"])
            _ = f.answer("")
            // Known now: what the plugin's own code says is an answer.
            _ = f.begin(2)
            #expect(
                f.refuse(GRPCStatus(.unsupported, "not today")).last
                    == "2 finished: rpc error: code = Unimplemented desc = not today")
        }
        let f = PluginFixture.ready(methods: PluginFixture.helpers)
        #expect(f.begin(1).last?.contains("it offers none of /types.v1") == true)
    }

    @Test("calls that wait for room when a plugin ends are for its next life")
    func waitingAtItsEnd() {
        let f = PluginFixture.ready { $0.calls = 1 }
        #expect(f.begin(1).last == "1 started")
        #expect(f.begin(2) == [])
        let words = f.take(.exited(f.life, .code(3)))
        #expect(words.last?.hasPrefix("1 finished: the plugin x did not finish") == true)
        #expect(!words.contains("2 started"))
        #expect(f.wait(.seconds(1)) == ["launch x"])
        _ = f.take(.launched(f.life))
        #expect(f.prints("1|1|unix|/tmp/p|grpc|\n").last == "2 started")
        #expect(f.answer("done").last == "2 finished: ")
    }

    @Test("a plugin without broker and output stream works, too")
    func plain() {
        let f = PluginFixture.ready(methods: PluginFixture.all)
        #expect(f.begin(1).count == 3)
        #expect(f.answer("done").last == "1 finished: ")
        #expect(f.infos == [])
    }

    @Test("what a plugin prints becomes lines of the log")
    func prints() {
        let f = PluginFixture.ready()
        _ = f.say(1, "one\n[ERROR] tw")
        _ = f.say(2, "err\n")
        _ = f.say(1, "o\n")
        _ = f.take(.complained(1, Array("raw\n".utf8)))
        #expect(
            f.logs.suffix(4).map { "\($0.level) \($0.message)" }
                == ["info one", "info err", "[ERROR] two", "debug raw"].map {
                    $0.hasPrefix("[ERROR]") ? "error two" : $0
                })
        let flood = PluginFixture.ready { $0.lines = HTTP2Rate(burst: 10, perSecond: 1) }
        _ = flood.say(1, String(repeating: "x\n", count: 100))
        #expect(flood.logs.count { $0.message == "x" } == 10)
        flood.now.monotonic = flood.now.monotonic + .seconds(1)
        _ = flood.say(1, "y\n")
        #expect(flood.logs.suffix(2).map(\.message)[0].contains("lines were dropped"))
        #expect(flood.logs.suffix(2)[flood.logs.count - 2].fields.last?.value == "90")
    }

    @Test("a plugin that dies fails its calls with the reason, and comes back")
    func death() {
        let f = PluginFixture.ready()
        _ = f.begin(1)
        _ = f.take(.complained(1, Array("panic: ouch\ngoroutine 1\n".utf8)))
        #expect(f.take(.receivedEnd(2)) == ["kill 1"])
        // Calls that come now wait for it.
        #expect(f.begin(2) == [])
        let reason = "it ended with exit status 2; its last words: \"panic: ouch\""
        #expect(
            f.take(.exited(1, .code(2))) == [
                "remove /tmp/p", "unlisten 1", "1 finished: the plugin x did not finish: \(reason)",
            ])
        #expect(f.logs.last?.message == "plugin: executor x is not running: \(reason)")
        #expect(f.wait(.milliseconds(999)) == [])
        #expect(f.wait(.milliseconds(1)) == ["launch x"])
        _ = f.take(.launched(2))
        #expect(
            f.prints("1|1|unix|/tmp/q|grpc\n").suffix(2) == [
                "types.v1.ExecutorService job 2 attempt 1", "2 started",
            ])
        #expect(f.answer("").last == "2 finished: ")
    }

    @Test("a connection that breaks ends the plugin, for the reason of the connection")
    func lostConnection() {
        let f = PluginFixture.ready()
        _ = f.begin(1)
        #expect(f.take(.received(2, Array(repeating: 0xff, count: 100))) == ["kill 1"])
        let last = f.take(.exited(1, .signal(9))).last ?? ""
        #expect(last.hasPrefix("1 finished: the plugin x did not finish: "))
        #expect(!last.contains("signal"))
    }

    @Test("plugins that do not start are tried again, later each time; calls give up waiting")
    func failures() {
        let f = PluginFixture("/p/dkron-executor-x")
        _ = f.start()
        var pauses: [String] = []
        for _ in 0..<8 {
            _ = f.take(.launched(f.life))
            #expect(f.prints("hello\n") == ["kill \(f.life)"])
            _ = f.take(.exited(f.life, .signal(9)))
            pauses.append(f.logs.last?.fields.last?.value ?? "")
            #expect(f.logs.last?.message.contains("no handshake of a plugin: \"hello\"") == true)
            if f.host.count == 0 { _ = f.begin(1) }
            _ = f.wait(.seconds(60))
        }
        #expect(pauses == ["1s", "2s", "4s", "8s", "16s", "32s", "1m0s", "1m0s"])
        let early = PluginFixture("/p/dkron-executor-x")
        _ = early.start()
        _ = early.begin(1)
        _ = early.take(.launched(1))
        _ = early.take(.complained(1, Array("wrong cookie".utf8)))
        _ = early.take(.exited(1, .code(1)))
        let reason =
            "it ended with exit status 1 before its handshake; its last words: \"wrong cookie\""
        #expect(early.logs.last?.message == "plugin: executor x is not running: \(reason)")
        _ = early.wait(.seconds(1))
        _ = early.take(.refused(2, reason: "no permission"))
        #expect(
            early.wait(.seconds(9)).first == "launch x" || early.host.count == 0)
        #expect(early.host.count == 0)
    }

    @Test("a plugin that says nothing is given up: before its handshake, and after it")
    func silence() {
        let f = PluginFixture("/p/dkron-executor-x")
        _ = f.start()
        _ = f.take(.launched(1))
        #expect(f.wait(.seconds(59)) == [])
        #expect(f.wait(.seconds(1)) == ["kill 1"])
        _ = f.take(.exited(1, .signal(9)))
        #expect(f.logs.last?.message.contains("it printed no handshake within 1m0s") == true)
        let endless = PluginFixture("/p/dkron-executor-x")
        _ = endless.start()
        _ = endless.take(.launched(1))
        #expect(endless.prints(String(repeating: "x", count: 5_000)) == ["kill 1"])
        let refused = PluginFixture("/p/dkron-executor-x")
        _ = refused.start()
        #expect(refused.take(.refused(1, reason: "no such file")) == [])
        #expect(refused.logs.last?.message.contains("can't be started: no such file") == true)
    }

    @Test("time-outs, fences and requests cancel a call")
    func ends() {
        let f = PluginFixture.ready()
        _ = f.begin(1, [("timeout", "5")])
        #expect(f.wait(.seconds(14)) == [])
        #expect(
            f.wait(.seconds(1)).last?.hasPrefix(
                "1 timedOut: the plugin x did not answer within 15s") == true)
        #expect(f.cancelled.count == 1)
        _ = f.begin(2, [("timeout", "soon")], fence: .seconds(20))
        #expect(f.wait(.seconds(19)) == [])
        f.host.renewFences(ago: .seconds(9), at: f.now)
        #expect(f.wait(.seconds(10)) == [])
        #expect(f.wait(.seconds(1)).last == "2 fenced: ")
        _ = f.begin(3)
        #expect(f.hangUp(3) == ["unlisten 3", "3 stopped: "])
        #expect(f.hangUp(3) == [])
        #expect(f.cancelled.count == 3)
        _ = f.begin(4)
        #expect(
            f.take(.listenFailed(4, reason: "no descriptors")).last
                == "4 finished: no socket for the status updates of the plugin: no descriptors")
        #expect(
            f.begin(5, plugin: "y") == ["5 finished: executor \"y\" is not available on this node"])
        #expect(f.host.count == 0)
    }

    @Test("beyond the limit calls wait, the oldest first")
    func limit() {
        let f = PluginFixture.ready { $0.calls = 1 }
        _ = f.begin(1)
        #expect(f.begin(2) == [])
        #expect(f.begin(3) == [])
        #expect(f.wait(.seconds(100)) == [])
        #expect(f.hangUp(2) == ["2 stopped: "])
        #expect(f.answer("").last == "3 started")
    }

    @Test("a call that waits has its fence from when it was asked for, also for a plugin that died")
    func waitingFence() {
        let f = PluginFixture.ready { $0.calls = 1 }
        _ = f.begin(1)
        _ = f.begin(2, fence: .seconds(6))
        _ = f.begin(3, fence: .seconds(8))
        #expect(f.wait(.seconds(5)) == [])
        #expect(f.wait(.seconds(1)) == ["2 fenced: "])
        #expect(f.answer("").last == "3 started")
        #expect(f.wait(.seconds(2)).last == "3 fenced: ")
        _ = f.begin(4)
        _ = f.begin(5, fence: .seconds(3))
        _ = f.take(.exited(f.life, .code(3)))
        #expect(f.wait(.seconds(3)).contains("5 fenced: "))
        #expect(f.host.count == 0)
    }

    @Test("plugins are asked to end, and ended when they do not")
    func stop() {
        let f = PluginFixture.ready()
        #expect(f.stop() == ["asked to end"])
        #expect(!f.host.isStopped)
        #expect(f.take(.exited(1, .code(0))) == ["remove /tmp/p"])
        #expect(f.host.isStopped)
        #expect(f.wait(.seconds(100)) == [])
        let deaf = PluginFixture.ready()
        _ = deaf.stop()
        #expect(deaf.wait(.seconds(2)) == ["kill 1"])
        _ = deaf.take(.exited(1, .signal(9)))
        #expect(deaf.host.isStopped)
        let late = PluginFixture("/p/dkron-executor-x")
        _ = late.start()
        #expect(late.stop() == [])
        #expect(late.take(.launched(1)) == ["kill 1"])
        _ = late.take(.exited(1, .signal(9)))
        #expect(late.host.isStopped)
    }
}
