import Glibc
import Testing

extension EndToEnd {
    @Suite("Executor plugins", .serialized, .enabled(if: GoPlugins.isThere, "needs go-plugin"))
    struct ExecutorPluginTests {
        /// A server with plugins beside its configuration file.
        private func server(
            _ name: String, plugins: [String] = ["modern"], arguments: [String] = []
        ) throws -> Server {
            let scratch = Scratch(name)
            let folder = scratch.path("etc/plugins")
            mkdir(scratch.path("etc"), 0o755)
            mkdir(folder, 0o755)
            writeText("log-level: debug\n", to: scratch.path("etc/dkron.yml"))
            let program = try GoPlugins.program("executor")
            for plugin in plugins { symlink(program, "\(folder)/dkron-executor-\(plugin)") }
            return Server(
                name, in: scratch,
                arguments: ["--config", scratch.path("etc/dkron.yml")] + arguments)
        }

        private func job(
            _ name: String, _ settings: String, executor: String = "modern", more: String = ""
        ) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "\(executor)",
             "executor_config": {\(settings)}\(more)}
            """
        }

        private func run(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        private func plugins(of server: Server) -> [pid_t] {
            server.scratch.processes { $0.contains("dkron-executor-") }
        }

        @Test("plugins of all generations run unmodified, with status updates")
        func generations() throws {
            let names = ["modern", "older", "oldest"]
            let server = try server("generations", plugins: names)
            try server.start()
            for name in names {
                let done = try run(
                    server, name, job(name, #""do": "echo", "k": "a:b,c""#, executor: name))
                let lines = (done["output"].string ?? "").split(separator: "\n")
                #expect(done["state"].string == "success", "\(server.log.suffix(2_000))")
                #expect(lines.first == "job \(name)"[...])
                #expect(lines.contains("k=a:b,c"))
                #expect(lines.contains("dkron-attempt: 1"))
            }
            for name in names.dropLast() {
                let told = try run(
                    server, "tell-\(name)",
                    job("tell-\(name)", #""do": "tell", "count": "3""#, executor: name))
                #expect(told["output"].string == "line 1\nline 2\nline 3\n")
            }
        }

        @Test("failures of the plugin's own, and outputs of any length")
        func results() throws {
            let server = try server("results")
            try server.start()
            let failed = try run(server, "fail", job("fail", #""do": "fail""#))
            #expect(failed["state"].string == "failed")
            #expect(failed["error"].string == "it did not work")
            #expect(failed["output"].string == "half of it\n")
            let refused = try run(server, "refuse", job("refuse", #""do": "refuse""#))
            #expect(
                refused["error"].string == "rpc error: code = Unknown desc = no such thing")
            let big = try run(server, "big", job("big", #""do": "big", "count": "10""#))
            #expect(big["state"].string == "success")
            #expect(big["output_truncated"].bool == true)
            let output = big["output"].string ?? ""
            #expect(output.utf8.count == 256_000 && output.hasSuffix("0123456789abcde\n"))
        }

        @Test("a plugin that dies fails its runs with the reason and is started again")
        func death() throws {
            let server = try server("death")
            try server.start()
            try server.save(
                job("wait", #""do": "wait", "count": "60", "child": "61""#))
            #expect(server.send("POST", "/v1/jobs/wait/run?wait=0")?.status == 202)
            _ = try server.execution(of: "wait") { $0["state"].string == "running" }
            #expect(eventually(5) { !server.scratch.processes { $0 == "sleep 61 " }.isEmpty })
            let crashed = try run(server, "crash", job("crash", #""do": "crash""#))
            #expect(crashed["output"].string == "about to crash\n")
            let reason =
                "it ended with exit status 2; its last words: \"panic: nothing works\""
            let expected = "the plugin modern did not finish: \(reason)"
            #expect(crashed["error"].string == expected)
            let other = try server.execution(of: "wait") { $0["state"].string == "failed" }
            #expect(other["error"].string == expected)
            // What it had started is gone with it.
            #expect(eventually(5) { server.scratch.processes { $0 == "sleep 61 " }.isEmpty })
            let after = try run(server, "after", job("after", #""do": "echo""#))
            #expect(after["state"].string == "success")
            for number in plugins(of: server) { kill(number, SIGKILL) }
            let again = try run(server, "again", job("again", #""do": "echo""#))
            #expect(again["state"].string == "success")
        }

        @Test("a run is killed by cancelling its call")
        func killing() throws {
            let server = try server("killing")
            try server.start()
            let file = server.scratch.path("cancelled")
            try server.save(
                job("wait", #""do": "wait", "count": "60", "file": "\#(file)""#))
            #expect(server.send("POST", "/v1/jobs/wait/run?wait=0")?.status == 202)
            let running = try server.execution(of: "wait") { $0["state"].string == "running" }
            let id = try #require(running["id"].string)
            #expect(
                eventually(5) {
                    server.executions(of: "wait").first?["output"].string == "waiting\n"
                })
            let answer = server.send("POST", "/v1/jobs/wait/executions/\(id)/kill")
            #expect((answer?.status ?? 0) < 300, "\(answer?.text ?? "")")
            let killed = try server.execution(of: "wait") { $0["state"].string == "killed" }
            #expect(
                killed["error"].string == "killed by request; the call was cancelled, but what the "
                    + "plugin has started may go on")
            #expect(eventually(5) { readText(file) == "context canceled" })
        }

        @Test("two hundred runs at a time have a socket each")
        func many() throws {
            let server = try server("many")
            try server.start()
            try server.save(job("many", #""do": "wait", "count": "1""#))
            for _ in 0..<200 {
                #expect(server.send("POST", "/v1/jobs/many/run?wait=0")?.status == 202)
            }
            // At least the newest hundred are kept.
            let isDone = eventually(60) {
                let runs = server.executions(of: "many")
                return runs.count >= 100 && runs.allSatisfy { $0["state"].string == "success" }
            }
            let states = server.executions(of: "many").map { $0["error"].string ?? "-" }
            #expect(isDone, "\(Set(states))")
            #expect(eventually(5) { sockets(of: server) == [] })
        }

        private func sockets(of server: Server) -> [String] {
            guard let directory = opendir(server.dataDirectory + "/plugins") else { return [] }
            defer { closedir(directory) }
            var names: [String] = []
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if !name.hasPrefix(".") { names.append(name) }
            }
            return names
        }

        @Test("files that are no plugins are told of, and stop nothing; a stop leaves nothing")
        func strangers() throws {
            let server = try server("strangers", plugins: ["modern", "shell"])
            let folder = server.scratch.path("etc/plugins")
            writeText("#!/bin/sh\necho hello\nsleep 60\n", to: "\(folder)/dkron-executor-noisy")
            writeText("#!/bin/sh\necho no >&2; exit 3\n", to: "\(folder)/dkron-executor-short")
            writeText("#!/bin/sh\nexec sleep 62\n", to: "\(folder)/dkron-executor-mute")
            for name in ["noisy", "short", "mute"] {
                chmod("\(folder)/dkron-executor-\(name)", 0o755)
            }
            writeText("a: b\n", to: "\(folder)/dkron-executor-x.yml")
            mkdir("\(folder)/dkron-executor-folder", 0o755)
            try server.start()
            let log = [
                "executor noisy is not running: the first line that it printed is no handshake",
                "executor short is not running: it ended with exit status 3 before its handshake;",
                "executor shell is not started: this program has it built in",
                "executor modern is ready",
                "executed\" path=\(folder)/dkron-executor-x.yml",
            ]
            for line in log { #expect(server.logs(line), "\(line): \(server.log)") }
            let done = try run(server, "fine", job("fine", #""do": "echo""#))
            #expect(done["state"].string == "success")
            #expect(server.scratch.processes { $0 == "sleep 62 " }.count == 1)
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(20) == .exited(0))
            #expect(plugins(of: server) == [])
            #expect(server.scratch.processes { $0.hasPrefix("sleep") } == [])
            #expect(sockets(of: server) == [])
        }
    }
}
