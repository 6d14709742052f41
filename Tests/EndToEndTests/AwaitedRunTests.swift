import Glibc
import Testing

extension EndToEnd {
    @Suite("Waiting for a run from the command line", .serialized)
    struct AwaitedRunTests {
        private typealias Told = (ending: ChildProcess.Ending?, output: String)

        /// A command on its way, with what it prints.
        private struct Asked {
            let process: ChildProcess
            let log: String

            func end(_ seconds: Double = 30) -> Told {
                let ending = process.wait(seconds)
                return (ending, readText(log))
            }
        }

        private func runWaiting(
            _ job: String, _ more: String..., on server: Server
        ) throws -> Asked {
            let log = server.scratch.path("asked-\(server.scratch.unique())")
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            let process = try ChildProcess(
                [binary, "job", "run", job, "--wait"] + more + address, log: log,
                environment: server.scratch.mark)
            return Asked(process: process, log: log)
        }

        /// What the command says of answers that somebody else gives.
        private func told(_ answers: [String]) throws -> Told {
            let scratch = Scratch("told")
            let port = freePort()
            let listener = try RemoteCommandTests.listen(on: port)
            defer { close(listener) }
            let log = scratch.path("run")
            let command = try ChildProcess(
                [binary, "job", "run", "j", "--wait", "--address", "127.0.0.1:\(port)"], log: log,
                environment: scratch.mark)
            var rest = answers
            let isDone = eventually(10) {
                if let next = rest.first,
                    RemoteCommandTests.answerNext(on: listener, next) != nil
                {
                    rest.removeFirst()
                }
                return command.poll() != nil
            }
            let output = readText(log)
            #expect(isDone && rest.isEmpty, "\(output)")
            return (command.ending, output)
        }

        private func answer(_ body: String, status: String = "200 OK") -> String {
            "HTTP/1.1 \(status)\r\nX-Execution-Group: 5\r\nContent-Length: \(body.utf8.count)\r\n"
                + "\r\n\(body)"
        }

        private func execution(
            _ number: Int, _ node: String, _ attempt: Int, _ state: String
        ) -> String {
            #"{"id":"\#(number)-\#(node)","node_name":"\#(node)","group_id":"5","#
                + #""attempt":\#(attempt),"state":"\#(state)"}"#
        }

        /// The newest is first.
        private func told(of executions: [String]) throws -> Told {
            try told(
                [answer("{}"), answer("{}"), answer("[\(executions.joined(separator: ","))]")]
                    + executions.reversed().map { answer($0) })
        }

        @Test("what failed is no success as JSON either")
        func json() throws {
            let server = Server("json")
            try server.start()
            try server.save(shellJob("bad", "exit 3"))
            let (ending, output) = try runWaiting("bad", "--json", on: server).end()
            #expect(ending == .exited(1), "\(output)")
            #expect(output.contains(#""name":"bad""#) && output.contains("exit status 3"))
            try server.save(shellJob("good", "true"))
            let good = try runWaiting("good", "--json", on: server).end()
            #expect(good.ending == .exited(0) && good.output.hasPrefix("{"), "\(good.output)")
        }

        @Test("a run that is replaced while it waits has not succeeded")
        func replaced() throws {
            let server = Server("replaced")
            try server.start()
            let begun = server.scratch.path("begun")
            try server.save(
                shellJob(
                    "swap", "trap '' TERM; touch \(begun); sleep 61; sleep 61",
                    more: #", "concurrency": "replace""#))
            let first = try runWaiting("swap", on: server)
            #expect(eventually(20) { access(begun, F_OK) == 0 })
            let second = try runWaiting("swap", on: server)
            // The first one is told to end and takes its time; the second one waits for that.
            #expect(
                eventually(10) {
                    server.get("/v1/jobs/swap")?.json["running"].integer == 2
                })
            let third = try runWaiting("swap", on: server)
            let (ending, output) = second.end()
            #expect(ending == .exited(1), "\(output)")
            #expect(output.contains("before anything of it began"), "\(output)")
            server.crashWithSupervisor()
            _ = (first.end().ending, third.end().ending)
        }

        @Test("an attempt on another node belongs to the same target")
        func otherNode() throws {
            let moved = try told(of: [
                execution(7, "b", 2, "success"), execution(6, "a", 1, "lost"),
            ])
            #expect(moved.ending == .exited(0), "\(moved.output)")
            #expect(moved.output.contains("== b, attempt 2: success"), "\(moved.output)")
            let one = try told(of: [
                execution(8, "b", 2, "failed"), execution(7, "c", 1, "success"),
                execution(6, "a", 1, "lost"),
            ])
            #expect(one.ending == .exited(1), "\(one.output)")
            #expect(one.output.contains("1 of 2 targets failed"), "\(one.output)")
            let all = try told(of: [
                execution(7, "b", 2, "failed"), execution(6, "a", 1, "failed"),
            ])
            #expect(all.ending == .exited(1), "\(all.output)")
            #expect(all.output.contains("b: failed"), "\(all.output)")
        }

        @Test("a deleted job has succeeded only where a success deletes it")
        func deleted() throws {
            let server = Server("deleted")
            try server.start()
            try server.save(shellJob("long", "sleep 61"))
            let asked = try runWaiting("long", on: server)
            _ = try server.execution(of: "long") { $0["state"].string == "running" }
            #expect(server.send("DELETE", "/v1/jobs/long?kill=true")?.status == 200)
            let (ending, output) = asked.end()
            #expect(ending == .exited(1), "\(output)")
            #expect(output.contains("somebody deleted the job"), "\(output)")

            let ephemeral = #", "ephemeral": true"#
            try server.save(shellJob("once", "true", more: ephemeral))
            let once = try runWaiting("once", on: server).end()
            #expect(once.ending == .exited(0), "\(once.output)")
            #expect(once.output.contains("as ephemeral jobs are"), "\(once.output)")
            try server.save(shellJob("failing", "false", more: ephemeral))
            let failing = try runWaiting("failing", on: server).end()
            #expect(failing.ending == .exited(1), "\(failing.output)")
        }

        @Test("a job may go between two requests")
        func deletedBetween() throws {
            let gone = #"{"error": "There is no such job.", "code": "unknown_job"}"#
            for (isEphemeral, status) in [(true, Int32(0)), (false, 1)] {
                let job = #"{"ephemeral":\#(isEphemeral)}"#
                let (ending, output) = try told([
                    answer("{}"), answer(job, status: "202 Accepted"),
                    answer(gone, status: "404 Not Found"),
                ])
                #expect(ending == .exited(status), "\(output)")
            }
            let unknown = try told([answer(gone, status: "404 Not Found")])
            #expect(unknown.ending == .exited(1), "\(unknown.output)")
            #expect(unknown.output.contains("There is no such job."), "\(unknown.output)")
        }
    }
}
