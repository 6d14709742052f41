import Glibc
import Testing

extension EndToEnd {
    @Suite("Stopping", .serialized)
    struct StopTests {
        @Test("an idle server stops at once with status 0", arguments: [SIGTERM, SIGINT])
        func idle(signal: Int32) throws {
            let server = Server("idle")
            try server.start()
            server.process?.signal(signal)
            #expect(server.process?.wait(5) == .exited(0), "\(server.log)")
            #expect(eventually(5) { server.scratch.processes().isEmpty })
        }

        @Test("a stop waits for what runs, and its result is kept")
        func waits() throws {
            let server = Server("waits")
            try server.start()
            try server.save(shellJob("short", "sleep 1.5; echo done"))
            _ = server.send("POST", "/v1/jobs/short/run?wait=0")
            _ = try server.execution(of: "short") { $0["state"].string == "running" }
            server.process?.signal(SIGTERM)
            pause(0.5)
            #expect(server.process?.poll() == nil, "it did not wait")
            #expect(server.process?.wait(8) == .exited(0))
            try server.start()
            let execution = try server.execution(of: "short") { $0["state"].string == "success" }
            #expect(execution["output"].string == "done\n")
        }

        @Test("what outlasts --shutdown-timeout is ended and recorded as killed: node stopped")
        func timesOut() throws {
            let server = Server("times-out", arguments: ["--shutdown-timeout", "1s"])
            try server.start()
            try server.save(shellJob("long", "sleep 64"))
            _ = server.send("POST", "/v1/jobs/long/run?wait=0")
            _ = try server.execution(of: "long") { $0["state"].string == "running" }
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(15) == .exited(0), "\(server.log)")
            #expect(eventually(5) { server.scratch.processes().isEmpty })
            try server.start()
            let execution = try server.execution(of: "long") { $0["state"].string == "killed" }
            #expect(execution["error"].string?.contains("node stopped") == true)
        }

        @Test("a second signal ends the wait")
        func secondSignal() throws {
            let server = Server("second")
            try server.start()
            try server.save(shellJob("long", "sleep 65"))
            _ = server.send("POST", "/v1/jobs/long/run?wait=0")
            _ = try server.execution(of: "long") { $0["state"].string == "running" }
            server.process?.signal(SIGTERM)
            pause(0.5)
            #expect(server.process?.poll() == nil, "it did not wait")
            let began = uptime()
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(10) == .exited(0), "\(server.log)")
            #expect(uptime() - began < 4)
            #expect(server.log.contains("long") || server.log.contains("run"), "what it waits for")
        }

        @Test("SIGUSR2 stops at once; commands go on, and the next start takes them up")
        func detaches() throws {
            let server = Server("detach")
            try server.start()
            try server.save(shellJob("long", "echo before; sleep 2.5; echo after"))
            _ = server.send("POST", "/v1/jobs/long/run?wait=0")
            _ = try server.execution(of: "long") { $0["state"].string == "running" }
            let supervisor = server.supervisors
            let began = uptime()
            server.process?.signal(SIGUSR2)
            #expect(server.process?.wait(5) == .exited(0), "\(server.log)")
            #expect(uptime() - began < 2, "it waited for the command")
            #expect(server.log.contains("running commands go on without it"))
            #expect(server.scratch.processes { $0.contains("sleep 2.5") }.count >= 1)
            #expect(server.supervisors == supervisor)
            try server.start()
            let execution = try server.execution(of: "long") { $0["state"].string == "success" }
            #expect(execution["output"].string == "before\nafter\n")
            #expect(server.executions(of: "long").count == 1)
            #expect(server.supervisors == supervisor)
        }

        @Test("ticks that fall into a stop are decided after the next start")
        func ledgerOverStop() throws {
            let server = Server("ledger")
            try server.start()
            try server.save(shellJob("ticker", "true", schedule: "@every 1s"))
            _ = try server.execution(of: "ticker") { $0["state"].string == "success" }
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(8) == .exited(0))
            pause(2)
            try server.start()
            pause(1.5)
            let ledger = Ledger(of: "ticker", on: server)
            #expect(ledger.gaps(every: 1) == [])
            #expect(ledger.outcomes == ["ran"])
        }
    }
}
