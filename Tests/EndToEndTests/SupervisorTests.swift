import Glibc
import Testing

extension EndToEnd {
    @Suite("Agent and supervisor killed separately", .serialized)
    struct SupervisorTests {
        /// A server with one run of the job `task`; `COUNT` in the command is a file to write to.
        private func serverWithRun(_ name: String, _ command: String) throws -> Server {
            let server = Server(name)
            try server.start()
            let text = command.split(separator: "COUNT", omittingEmptySubsequences: false)
                .joined(separator: server.scratch.path("count"))
            try server.save(shellJob("task", text))
            _ = server.send("POST", "/v1/jobs/task/run?wait=0")
            _ = try server.execution(of: "task") { $0["state"].string == "running" }
            return server
        }

        @Test("the agent dies: the run goes on, and its result and output are taken up")
        func agent() throws {
            let server = try serverWithRun(
                "agent-dies", "echo before; sleep 1.5; echo after; echo x >> COUNT")
            server.crash()
            #expect(server.scratch.processes { $0.contains("sleep 1.5") }.count >= 1)
            pause(0.3)
            try server.start()
            let execution = try server.execution(of: "task") { $0["state"].string == "success" }
            #expect(execution["output"].string == "before\nafter\n")
            #expect(server.executions(of: "task").count == 1)
            #expect(readText(server.scratch.path("count")) == "x\n")
        }

        @Test("the agent dies and comes back only after the run has ended")
        func agentStaysAway() throws {
            let server = try serverWithRun("agent-away", "sleep 0.5; echo result")
            server.crash()
            pause(1.5)
            try server.start()
            let execution = try server.execution(of: "task") { $0["state"].string == "success" }
            #expect(execution["output"].string == "result\n")
        }

        @Test("the supervisor dies: what is left of the run is killed, the execution is lost")
        func supervisor() throws {
            let server = try serverWithRun("supervisor-dies", "sleep 66; echo never")
            let supervisors = server.supervisors
            #expect(supervisors.count == 1)
            for process in supervisors { kill(process, SIGKILL) }
            _ = try server.execution(of: "task") { $0["state"].string == "lost" }
            #expect(eventually(5) { server.scratch.processes { $0.contains("sleep 66") }.isEmpty })
            // A new one is there for the next run.
            let answer = server.send("POST", "/v1/jobs/task/toggle")
            #expect(answer?.status == 200)
            try server.save(shellJob("next", "echo fine"))
            #expect(server.send("POST", "/v1/jobs/next/run")?.status == 200)
            #expect(server.executions(of: "next").first?["state"].string == "success")
        }

        @Test("both die: the run ends as lost, and nothing of it is left")
        func both() throws {
            let server = try serverWithRun("both-die", "sleep 67; echo never")
            server.crashWithSupervisor()
            try server.start()
            _ = try server.execution(of: "task") { $0["state"].string == "lost" }
            #expect(eventually(5) { server.scratch.processes { $0.contains("sleep 67") }.isEmpty })
            #expect(server.executions(of: "task").count == 1)
        }
    }
}
