import Glibc
import Testing

extension EndToEnd {
    @Suite("Commands for a running server", .serialized)
    struct RemoteCommandTests {
        /// Runs the program against a server, expects the status and gives what it printed.
        @discardableResult
        private func dkron(
            _ server: Server, _ arguments: String..., status: Int32 = 0, seconds: Double = 30,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> String {
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            let (ending, output) = try run(
                [binary] + arguments + address, in: server.scratch, seconds: seconds)
            #expect(
                ending == .exited(status), "\(arguments): \(output)",
                sourceLocation: sourceLocation)
            return output
        }

        private func file(_ text: String, in server: Server) -> String {
            let path = server.scratch.path("jobs-\(server.scratch.unique()).json")
            writeText(text, to: path)
            return path
        }

        @Test("a job's life: create, list, show, run, logs, toggle, delete")
        func life() throws {
            let server = Server("life")
            try server.start()
            let job = file(shellJob("greet", "echo hello; echo $DKRON_JOB_NAME"), in: server)
            #expect(try dkron(server, "job", "create", job) == "greet: created\n")
            let again = try dkron(server, "job", "create", job, status: 1)
            #expect(again.contains("exists already"), "\(again)")
            #expect(try dkron(server, "job", "apply", job) == "greet: unchanged\n")

            let list = try dkron(server, "job", "list").split(separator: "\n")
            #expect(list.count == 2 && list[0].hasPrefix("NAME"), "\(list)")
            #expect(list[1].hasPrefix("greet") && list[1].hasSuffix("@manually"), "\(list)")
            #expect(!list.contains { $0.contains("\u{1b}") }, "no colours but on a terminal")

            #expect(try dkron(server, "job", "run", "greet", "--wait") == "hello\ngreet\n")
            #expect(try dkron(server, "job", "logs", "greet") == "hello\ngreet\n")
            let show = try dkron(server, "job", "show", "greet")
            #expect(show.contains("1 succeeded, 0 failed") && show.contains("echo hello"))
            let executions = try dkron(server, "job", "executions", "greet")
            #expect(executions.contains("success") && executions.contains("life"))

            #expect(try dkron(server, "job", "toggle", "greet") == "greet: disabled\n")
            #expect(try dkron(server, "job", "list", "--disabled").contains("greet"))
            #expect(try dkron(server, "job", "toggle", "greet").hasPrefix("greet: enabled"))
            #expect(try dkron(server, "job", "delete", "greet") == "greet: deleted\n")
            let gone = try dkron(server, "job", "show", "greet", status: 1)
            #expect(gone.contains("There is no job named \"greet\"."), "\(gone)")
        }

        @Test("files of many jobs, standard input, and what a server refuses")
        func files() throws {
            let server = Server("files")
            try server.start()
            let child =
                #"{"name": "b", "parent_job": "a", "executor": "shell","#
                + #" "executor_config": {"command": "true"}}"#
            let many = file("[\(child), \(shellJob("a", "true"))]", in: server)
            #expect(try dkron(server, "job", "apply", many) == "a: created\nb: created\n")
            #expect(try dkron(server, "job", "list").contains("after a"))
            let parent = try dkron(server, "job", "delete", "a", status: 1)
            #expect(parent.contains("parent of b"), "\(parent)")

            // What is shown as JSON can be applied, changed or not.
            let address = "--address 127.0.0.1:\(server.httpPort)"
            let pipe =
                "'\(binary)' job show a --json \(address) | sed s/true/false/"
                + " | '\(binary)' job apply - \(address)"
            let (ending, output) = try run(["/bin/sh", "-c", pipe], in: server.scratch)
            #expect(ending == .exited(0) && output == "a: updated\n", "\(output)")

            let wrong = file("[\(shellJob("c", "true")), {\"name\": \"d\", \"x\": 1}]", in: server)
            let refused = try dkron(server, "job", "create", wrong, status: 1)
            #expect(refused.hasPrefix("c: created\n") && refused.contains("1 of 2"), "\(refused)")
            let malformed = file("[{]", in: server)
            let place = try dkron(server, "job", "create", malformed, status: 2)
            #expect(place.contains("line 1, column 3"), "\(place)")
            let missing = try dkron(server, "job", "apply", "/nowhere.json", status: 2)
            #expect(missing.contains("No such file"), "\(missing)")
        }

        @Test("a run that fails, one that is followed, one that is killed, and the ledger")
        func runs() throws {
            let server = Server("runs")
            try server.start()
            try server.save(shellJob("bad", "echo oh; exit 3"))
            let bad = try dkron(server, "job", "run", "bad", "--wait", status: 1)
            #expect(bad.hasPrefix("oh\n") && bad.contains("exit status 3"), "\(bad)")

            try server.save(
                shellJob("slow", "for i in 1 2 3 4; do echo line $i; sleep 0.4; done"))
            #expect(try dkron(server, "job", "run", "slow").contains("started group"))
            let followed = try dkron(server, "job", "logs", "slow", "-f")
            #expect(followed.hasPrefix("line 1\nline 2\nline 3\nline 4\nslow: success after"))

            // Longer than the server may be silent, so that it is asked more than once.
            let waited = try dkron(server, "job", "run", "slow", "-w", "--timeout", "1s")
            #expect(waited == "line 1\nline 2\nline 3\nline 4\n", "\(waited)")
            #expect(server.executions(of: "slow").count == 2)

            try server.save(shellJob("long", "sleep 61"))
            try dkron(server, "job", "run", "long")
            let execution = try server.execution(of: "long") { $0["state"].string == "running" }
            let id = try #require(execution["id"].string)
            #expect(try dkron(server, "job", "list").contains("running"))
            try dkron(server, "job", "kill", "long", id)
            _ = try server.execution(of: "long") { $0["state"].string == "killed" }
            let killed = try dkron(server, "job", "kill", "long", "1-2-3", status: 1)
            #expect(killed.contains("no execution"), "\(killed)")
            let ticks = try dkron(server, "job", "ticks", "long")
            #expect(ticks.contains("ran on request"), "\(ticks)")
            let none = try dkron(server, "job", "logs", "nope", status: 1)
            #expect(none.contains("There is no job"), "\(none)")
        }

        @Test("many jobs come whole, and as JSON")
        func manyJobs() throws {
            let server = Server("many")
            try server.start()
            let jobs = (0..<300).map {
                shellJob("job\($0)", "echo \(String(repeating: "x", count: 500))")
            }
            let path = file("[" + jobs.joined(separator: ",\n") + "]", in: server)
            let exported = try run(
                ["curl", "-s", "-F", "file=@\(path)", "127.0.0.1:\(server.httpPort)/v1/restore"],
                in: server.scratch)
            #expect(exported.ending == .exited(0))
            #expect(try dkron(server, "job", "list").split(separator: "\n").count == 301)
            #expect(
                try dkron(server, "job", "list", "--limit", "7").split(separator: "\n").count == 8)
            let json = JSON(Array(try dkron(server, "job", "list", "--json").utf8))
            #expect(json.elements.count == 300)
            #expect(
                try dkron(server, "job", "list", "--search", "job29").split(separator: "\n").count
                    == 12)
        }

        @Test("members, status, settings, pause")
        func cluster() throws {
            let server = Server("cluster", arguments: ["--tag", "role=web"])
            try server.start()
            let members = try dkron(server, "members")
            #expect(members.contains("alive") && members.contains("role=web"), "\(members)")
            let status = try dkron(server, "status")
            #expect(status.contains("ready") && status.contains("cluster"), "\(status)")
            try dkron(server, "settings", "set", "group_retention=50", "catch_up_window=30m")
            #expect(try dkron(server, "settings", "get", "group_retention") == "50\n")
            #expect(try dkron(server, "settings").contains("30m0s"))
            let unknown = try dkron(server, "settings", "set", "no_such=1", status: 1)
            #expect(unknown.contains("There is no setting \"no_such\""), "\(unknown)")
            #expect(try dkron(server, "pause").hasPrefix("paused"))
            #expect(try dkron(server, "status").contains("paused"))
            let job = file(shellJob("a", "true"), in: server)
            let paused = try dkron(server, "job", "create", job, status: 1)
            #expect(paused.contains("paused"), "\(paused)")
            try dkron(server, "unpause")
            let line = "DKRON_ADDRESS=http://127.0.0.1:\(server.httpPort) exec '\(binary)' status"
            let (ending, output) = try run(["/bin/sh", "-c", line], in: server.scratch)
            #expect(ending == .exited(0) && output.contains(":\(server.httpPort)"), "\(output)")
            try dkron(server, "job", "create", job)
        }

        @Test("without a server, with something else in its place, and with one that is silent")
        func noServer() throws {
            let scratch = Scratch("no-server")
            func status(_ port: Int, _ more: String...) throws -> String {
                let address = ["--address", "http://127.0.0.1:\(port)"]
                let (ending, output) = try run(
                    [binary, "status"] + address + more, in: scratch)
                #expect(ending == .exited(3), "\(output)")
                return output
            }
            let none = try status(freePort())
            #expect(none.contains("There is no server at http://127.0.0.1:"), "\(none)")
            #expect(none.contains("DKRON_ADDRESS"), "\(none)")

            let port = freePort()
            let listener = try Self.listen(on: port)
            defer { close(listener) }
            let began = uptime()
            let silent = try status(port, "--timeout", "300ms")
            #expect(silent.contains("has been silent for 300ms"), "\(silent)")
            #expect(uptime() - began < 5)

            // The kernel has this connection ready; what is sent on it waits for the client.
            let served = [
                ("SSH-2.0-x\r\n", "does not speak HTTP"), ("HTTP/1.1 200 OK\r\n\r\n[", "not JSON"),
                ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "complete"),
            ]
            for (answer, words) in served {
                let log = scratch.path("other-\(scratch.unique())")
                let other = try ChildProcess(
                    [binary, "status", "--address", "127.0.0.1:\(port)"], log: log,
                    environment: scratch.mark)
                let isDone = eventually(10) {
                    Self.answerNext(on: listener, answer)
                    return other.poll() != nil
                }
                let output = readText(log)
                #expect(isDone && other.ending == .exited(3), "\(answer): \(output)")
                #expect(output.contains(words), "\(answer): \(output)")
            }
        }

        @Test("without a leader it reads what the server knows, and says so")
        func stale() throws {
            let scratch = Scratch("stale")
            let port = freePort()
            let listener = try Self.listen(on: port)
            defer { close(listener) }
            let log = scratch.path("list")
            let list = try ChildProcess(
                [binary, "job", "list", "--json", "--address", "127.0.0.1:\(port)"], log: log,
                environment: scratch.mark)
            func answer(_ status: String, _ body: String) -> String {
                "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            }
            let refusal = #"{"error": "No leader.", "code": "no_leader"}"#
            var answers = [answer("503 Service Unavailable", refusal), answer("200 OK", "[]")]
            var requests: [String] = []
            let isDone = eventually(10) {
                if let next = answers.first,
                    let request = Self.answerNext(on: listener, next)
                {
                    requests.append(request)
                    answers.removeFirst()
                }
                return list.poll() != nil
            }
            let output = readText(log)
            #expect(isDone && list.ending == .exited(0), "\(output)")
            #expect(output.contains("has no leader") && output.hasSuffix("[]\n"), "\(output)")
            let targets = requests.map { $0.split(separator: " ").dropFirst().first ?? "" }
            #expect(targets == ["/v1/jobs", "/v1/jobs?stale"])
        }

        static func listen(on port: Int) throws -> Int32 {
            let listener = socket(AF_INET, tcp, 0)
            var address = loopback(port)
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            try #require(bound == 0 && Glibc.listen(listener, 8) == 0)
            return listener
        }

        /// Reads a request if one comes soon, says the text to whoever sent it, and gives it.
        @discardableResult
        static func answerNext(on listener: Int32, _ text: String) -> String? {
            var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 50) == 1 else { return nil }
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return nil }
            defer { close(connection) }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(connection, &buffer, buffer.count, 0)
            send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL))
            return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        }

        @Test("usage errors, guesses and help need no server")
        func usage() throws {
            let scratch = Scratch("usage")
            func check(_ line: String, _ status: Int32, _ words: String...) throws {
                let arguments = line.split(separator: " ").map(String.init)
                let (ending, output) = try run([binary] + arguments, in: scratch)
                #expect(ending == .exited(status), "\(line): \(output)")
                for word in words { #expect(output.contains(word), "\(line): \(output)") }
            }
            try check("jbo list", 2, "did you mean \"dkron job\"?")
            try check("lsit", 2, "did you mean \"dkron job list\"?")
            try check("frobnicate", 2, "unknown command", "job list", "agent")
            try check("--json status", 2, "behind the command")
            try check("job", 2, "a command is missing", "job executions")
            try check("job lsit", 2, "did you mean \"dkron job list\"?")
            try check("job list --jsno", 2, "did you mean --json?", "dkron job list --help")
            try check("job list extra", 2, "one argument too many")
            try check("settings gte", 2, "did you mean \"dkron settings get\"?")
            try check("status --address ftp://127.0.0.1", 2, "only http://HOST:PORT")
            try check(
                "status --address https://127.0.0.1 --tls-cert x", 2,
                "--tls-cert and --tls-key are given together")
            try check("status --timeout soon", 2, "--timeout")
            try check("job --help", 0, "job kill NAME EXECUTION")
            try check("job run --help", 0, "Usage: dkron job run NAME", "--wait", "Example")
            try check("help job run", 0, "Usage: dkron job run NAME")
            try check("help members", 0, "Usage: dkron members")
        }
    }
}
