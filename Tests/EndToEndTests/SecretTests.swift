// What nobody may find in a log: values of executor and processor settings, and secrets of options.

import Glibc
import Testing

extension EndToEnd {
    @Suite("Secrets", .serialized)
    struct SecretTests {
        private static let secret = "tell-nobody-\(UInt32.random(in: 1 ... .max))"
        /// The same as a payload is written: base64 of `payload-SECRET`, from a place where it is
        /// aligned.
        private static var payload: String { base64(Array(("payload-" + secret).utf8)) }

        private static func base64(_ bytes: [UInt8]) -> String {
            let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
            var text = ""
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let group = bytes[start..<min(start + 3, bytes.count)]
                let bits = (0..<3).reduce(0) { bits, index in
                    bits << 8 | (index < group.count ? Int(group[start + index]) : 0)
                }
                for index in 0..<4 {
                    let digit = digits[bits >> (18 - 6 * index) & 63]
                    text.append(index <= group.count ? digit : "=")
                }
            }
            return text
        }

        @Test("a busy session at level debug writes none of them to any log")
        func busy() throws {
            let secret = Self.secret
            let server = Server("secrets")
            let file = server.scratch.path("dkron.yml")
            writeText("mail-password: \(secret)\n", to: file)
            server.environment = ["DKRON_WEBHOOK_HEADERS": "Authorization: \(secret)"]
            server.extraArguments = [
                "--log-level", "debug", "--config", file, "--webhook-payload", secret,
            ]
            try server.start()
            try saveJobs(server)
            refusedRequests(server)
            for job in ["shell", "words", "nowhere", "refused", "late", "other"] {
                _ = server.send("POST", "/v1/jobs/\(job)/run?wait=5")
            }
            _ = server.send("POST", "/v1/jobs/long/run?wait=0")
            let running = try server.execution(of: "long") { $0["state"].string == "running" }
            let id = try #require(running["id"].string)
            _ = server.send("POST", "/v1/jobs/long/executions/\(id)/kill")
            _ = try server.execution(of: "long") { $0["state"].string == "killed" }
            _ = server.send("POST", "/v1/jobs/long/run?wait=0")
            _ = try server.execution(of: "long") { $0["state"].string == "running" }
            for process in server.supervisors { kill(process, SIGKILL) }
            _ = try server.execution(of: "long") { $0["state"].string == "lost" }
            writeText("mail-password: \(secret)\nencrypt: \(secret)\n", to: file)
            server.process?.signal(SIGHUP)
            #expect(eventually(5) { server.log.contains("encrypt") })
            writeText("mail-password: \(secret)\n", to: file)
            server.crash()
            try server.start()
            let export = try #require(server.get("/v1/jobs"))
            #expect(export.text.contains(secret))
            #expect(server.send("POST", "/v1/restore", export.text)?.status == 200)
            let logs = server.log + readText(server.dataDirectory + "/supervisor.log")
            #expect(logs.split(separator: "\n").count > 30)
            let found = logs.split(separator: "\n").filter {
                $0.contains(secret) || $0.contains(Self.payload.prefix(24))
            }
            #expect(found == [])
            for path in ["/metrics", "/debug/vars"] {
                #expect(server.get(path)?.text.contains(secret) == false, "\(path)")
            }
        }

        @Test("a secret that a setting names is read when the job runs, and hidden in its output")
        func named() throws {
            let server = Server("named-secrets")
            let folder = server.scratch.path("secrets")
            #expect(mkdir(folder, 0o700) == 0)
            writeText("\(Self.secret)\n", to: folder + "/token")
            server.environment = ["DKRON_SECRET_API_KEY": "key-of-the-environment"]
            server.extraArguments = ["--secrets-dir", folder, "--log-level", "debug"]
            try server.start()
            try server.save(
                """
                {"name": "tell", "schedule": "@manually", "executor": "shell", "executor_config": {
                "shell": "true", "command": "echo $A; echo $B | tr a-z A-Z; echo $A",
                "env": "A=${secret:token},B=${secret:api-key}"}}
                """)
            func output() throws -> String {
                let ran = try #require(server.send("POST", "/v1/jobs/tell/run?wait=10"))
                return try #require(server.executions(of: "tell").first)["output"].string
                    ?? ran.text
            }
            #expect(try output() == "***\nKEY-OF-THE-ENVIRONMENT\n***\n")
            // The next run takes what is there then.
            writeText("another", to: folder + "/token")
            #expect(try output() == "***\nKEY-OF-THE-ENVIRONMENT\n***\n")
            unlink(folder + "/token")
            _ = try output()
            let failed = try #require(server.executions(of: "tell").first)
            #expect(failed["state"].string == "failed")
            #expect(
                failed["error"].string
                    == "the secret \"token\" is not on this node: there is no file in \(folder) "
                    + "and no variable DKRON_SECRET_TOKEN")
            #expect(!server.log.contains(Self.secret))
            #expect(!server.log.contains("DKRON_SECRET"), "no warning about an unknown variable")
        }

        @Test("a run that outlives its agent prints no secret to the next one")
        func adopted() throws {
            let server = Server("kept-secrets")
            let folder = server.scratch.path("secrets")
            #expect(mkdir(folder, 0o700) == 0)
            writeText(Self.secret, to: folder + "/token")
            server.extraArguments = ["--secrets-dir", folder]
            try server.start()
            for job in ["keep", "swap", "lose"] {
                try server.save(
                    """
                    {"name": "\(job)", "schedule": "@manually", "executor": "shell",
                    "executor_config": {"shell": "true", "env": "A=${secret:token}",
                    "command": "echo first $A; sleep 4; echo last $A"}}
                    """)
            }
            let withheld =
                "(the output is withheld: the secrets that the job was given can't be read any "
                + "more, so they can't be hidden in it)\n"
            for (job, expected) in [
                ("keep", "first ***\nlast ***\n"), ("swap", withheld), ("lose", withheld),
            ] {
                _ = server.send("POST", "/v1/jobs/\(job)/run?wait=0")
                _ = try server.execution(of: job) { $0["state"].string == "running" }
                server.crash()
                if job == "swap" { writeText("another", to: folder + "/token") }
                if job == "lose" { unlink(folder + "/token") }
                try server.start()
                let ended = try server.execution(of: job) { $0["state"].string == "success" }
                #expect(ended["output"].string == expected)
            }
        }

        private func saveJobs(_ server: Server) throws {
            let secret = Self.secret
            func job(_ name: String, _ config: String, more: String = "") throws {
                try server.save(
                    """
                    {"name": "\(name)", "schedule": "@manually", "executor": "shell",
                     "metadata": {"note": "\(secret)"}, "executor_config": {\(config)}\(more)}
                    """)
            }
            try job(
                "shell",
                """
                "shell": "true", "command": "echo \(secret); cat; exit 3", "env": "TOKEN=\(secret)",
                "payload": "\(Self.payload)"
                """, more: #", "retries": 1"#)
            try job("words", #""command": "/bin/echo \#(secret)""#)
            try job("nowhere", #""command": "/nonexistent/\#(secret) \#(secret)""#)
            try job("refused", #""command": "true", "cwd": "/nonexistent/\#(secret)""#)
            try job("late", #""command": "sleep 75 \#(secret)", "shell": "true", "timeout": "1s""#)
            try job("long", #""command": "sleep 76; echo \#(secret)", "shell": "true""#)
            try server.save(
                """
                {"name": "other", "schedule": "@manually", "executor": "http",
                 "executor_config": {"method": "GET", "url": "http://127.0.0.1:1/\(secret)",
                 "headers": "[\\"Authorization: Bearer \(secret)\\"]"},
                 "processors": {"slack": {"token": "\(secret)"}}}
                """)
        }

        /// Requests that come to nothing, with the secret where it can be.
        private func refusedRequests(_ server: Server) {
            let secret = Self.secret
            let bodies = [
                "{\"name\": \"\(secret)",
                #"{"name": "x", "executor": "shell", "executor_config": {"no": "\#(secret)"}}"#,
                #"{"name": "x", "schedule": "@daily", "executor_config": "\#(secret)"}"#,
            ]
            for body in bodies {
                let answer = server.send("POST", "/v1/jobs", body)
                #expect(answer?.status == 400)
            }
            let headers = [("Authorization", "Bearer \(secret)"), ("Idempotency-Key", secret)]
            _ = server.send("POST", "/v1/jobs/words/run", headers: headers)
            _ = server.send("GET", "/v1/nothing?token=\(secret)", headers: headers)
            let patch = #"{"executor_config": {"command": "echo \#(secret)", "timeout": "?"}}"#
            _ = server.send("PATCH", "/v1/jobs/words", patch)
        }
    }
}
