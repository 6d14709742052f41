import Glibc
import Testing

extension EndToEnd {
    /// The server's own API serves the requests of its jobs.
    @Suite("Executor http", .serialized)
    struct HTTPExecutorTests {
        private func job(_ name: String, _ server: Server, _ path: String, _ more: String) -> String
        {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "http", "executor_config":
             {"url": "http://127.0.0.1:\(server.httpPort)\(path)"\(more)}}
            """
        }

        @Test("a request goes out, its answer is judged, its body is the output")
        func answers() throws {
            let server = Server("http-executor")
            try server.start()
            let good =
                #", "method": "GET", "expectCode": "200", "expectBody": "\"name\":\\s*\"good\"""#
            try server.save(job("good", server, "/v1/jobs/good", good))
            #expect(server.send("POST", "/v1/jobs/good/run?wait=20")?.status == 200)
            let execution = try server.execution(of: "good") { $0["state"].string == "success" }
            #expect(execution["output"].string?.contains(#""executor":"http""#) == true)
            #expect(execution["started_at"].string?.hasPrefix("2") == true)
            let bad = #", "method": "DELETE", "expectCode": "200,204""#
            try server.save(job("bad", server, "/v1/jobs/nobody", bad))
            #expect(server.send("POST", "/v1/jobs/bad/run?wait=20")?.status == 200)
            let failure = try server.execution(of: "bad") { $0["state"].string == "failed" }
            #expect(failure["error"].string?.contains("status 404") == true)
            #expect(failure["output"].string?.contains("nobody") == true)
        }

        @Test("settings that can't work are refused with their key")
        func refusals() throws {
            let server = Server("http-refusals")
            try server.start()
            let settings = #", "method": "GET", "expectBody": "(a)\\1""#
            let answer = server.send("POST", "/v1/jobs", job("x", server, "/", settings))
            #expect(answer?.status == 400)
            #expect(answer?.json["field"].string == "executor_config.expectBody")
            #expect(answer?.text.contains("references to groups") == true)
        }

        @Test("a kill ends a request that waits; a crash of the agent makes it fail, once")
        func endings() throws {
            let server = Server("http-endings")
            try server.start()
            // Asks for a run that takes longer than the test, and waits for it.
            try server.save(shellJob("sleeper", "sleep 30"))
            let slow = #", "method": "POST", "timeout": "0""#
            try server.save(job("slow", server, "/v1/jobs/sleeper/run?wait=30", slow))
            _ = server.send("POST", "/v1/jobs/slow/run?wait=0")
            let first = try server.execution(of: "slow") { $0["state"].string == "running" }
            let id = try #require(first["id"].string)
            _ = server.send("POST", "/v1/jobs/slow/executions/\(id)/kill")
            let killed = try server.execution(of: "slow") { $0["state"].string == "killed" }
            #expect(killed["error"].string?.contains("connection was closed") == true)
            _ = server.send("POST", "/v1/jobs/slow/run?wait=0")
            _ = try server.execution(of: "slow") { $0["state"].string == "running" }
            server.crash()
            try server.start()
            let failed = try server.execution(of: "slow") { $0["state"].string == "failed" }
            #expect(failed["error"].string?.contains("the agent ended while") == true)
            pause(1)
            #expect(server.executions(of: "slow").count == 2, "nothing is sent again")
        }
    }
}
