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
                #", "method": "GET", "expectCode": "200", "debug": "true","#
                + #" "expectBody": "\"name\":\\s*\"good\"""#
            try server.save(job("good", server, "/v1/jobs/good", good))
            #expect(server.send("POST", "/v1/jobs/good/run?wait=20")?.status == 200)
            let execution = try server.execution(of: "good") { $0["state"].string == "success" }
            #expect(execution["output"].string?.contains(#""executor":"http""#) == true)
            #expect(
                execution["output"].string?.contains("> Dkron-Node: http-executor\n") == true,
                "\(execution["output"].string ?? "")")
            #expect(execution["started_at"].string?.hasPrefix("2") == true)
            let bad = #", "method": "DELETE", "expectCode": "200,204""#
            try server.save(job("bad", server, "/v1/jobs/nobody", bad))
            #expect(server.send("POST", "/v1/jobs/bad/run?wait=20")?.status == 200)
            let failure = try server.execution(of: "bad") { $0["state"].string == "failed" }
            #expect(failure["error"].string?.contains("status 404") == true)
            #expect(failure["output"].string?.contains("nobody") == true)
        }

        @Test(
            "statuses of a list, redirects, bodies up to their limit, connections used again",
            .enabled(if: PythonListener.knows("http.server"), "needs python3"))
        func peers() throws {
            let server = Server("http-peers")
            let port = freePort()
            let peer = try PythonListener(Self.web, ["\(port)"], in: server.scratch)
            try server.start()
            func run(_ path: String, _ method: String = "GET", _ more: String = "") throws -> JSON {
                let name = "run-\(server.scratch.unique())"
                try server.save(
                    """
                    {"name": "\(name)", "schedule": "@manually", "executor": "http",
                     "executor_config": {"url": "http://127.0.0.1:\(port)\(path)",
                      "method": "\(method)"\(more)}}
                    """)
                #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
                return try server.execution(of: name) {
                    ["success", "failed"].contains($0["state"].string)
                }
            }
            let codes = #", "expectCode": "200, 201""#
            #expect(try run("/status/201", "GET", codes)["state"].string == "success")
            #expect(try run("/status/500")["state"].string == "success", "nothing is expected")
            for status in [202, 204, 500] {
                let failed = try run("/status/\(status)", "GET", codes)
                #expect(failed["error"].string?.contains("status \(status)") == true)
            }
            let body = #", "body": "abc""#
            #expect(try run("/move/307", "POST", body)["output"].string == "POST /end abc")
            #expect(try run("/move/302", "POST", body)["output"].string == "GET /end ")
            let lost = try run("/move/308-to-itself")
            #expect(
                lost["error"].string?.contains("redirects once more after 10 redirects") == true,
                "\(lost["error"].string ?? "")")
            #expect(try run("/bytes/67108864")["state"].string == "success")
            let long = try run("/bytes/67108865")
            #expect(
                long["error"].string?.contains("longer than the 67108864 bytes allowed") == true,
                "\(long["error"].string ?? "")")
            let before = peer.heard.ranges(of: "connection").count
            for _ in 0..<10 { #expect(try run("/end")["output"].string == "GET /end ") }
            #expect(peer.heard.ranges(of: "connection").count - before <= 2, "\(peer.heard)")
        }

        private static let web = """
            import http.server, sys
            class Handler(http.server.BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"
                def setup(self):
                    print("connection", flush=True)
                    super().setup()
                def answer(self, status, body=b"", **fields):
                    self.send_response(status)
                    for name, value in fields.items(): self.send_header(name, value)
                    if status != 204: self.send_header("Content-Length", len(body))
                    self.end_headers()
                    self.wfile.write(body)
                def take(self):
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    kind, _, rest = self.path[1:].partition("/")
                    if kind == "status": self.answer(int(rest))
                    elif kind == "move":
                        place = self.path if "itself" in rest else "/end"
                        self.answer(int(rest[:3]), Location=place)
                    elif kind == "bytes": self.answer(200, b"x" * int(rest))
                    else: self.answer(200, f"{self.command} {self.path} ".encode() + body)
                do_POST = do_GET = take
                def log_message(self, *_): pass
            server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
            print("ready", flush=True)
            server.serve_forever()
            """

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
