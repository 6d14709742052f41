// The server as the first process of a container, here of a PID namespace: the parent of every
// orphan in it.

import Glibc
import Testing

private let unshare = [
    "unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc",
]

private let canUnshare: Bool = {
    let scratch = Scratch("unshare")
    return withExtendedLifetime(scratch) {
        (try? run(unshare + ["true"], in: scratch))?.ending == .exited(0)
    }
}()

extension EndToEnd {
    @Suite(
        "As process 1", .serialized,
        .enabled(if: canUnshare, "this machine allows no PID namespaces to this user"))
    struct FirstProcessTests {
        private func start(_ name: String) throws -> (server: Server, agent: pid_t) {
            let server = Server(name)
            server.wrapper = unshare
            try server.start()
            let agents = server.scratch.processes { $0.hasPrefix("\(binary) agent") }
            try #require(agents.count == 1)
            let status = readText("/proc/\(agents[0])/status").split(separator: "\n")
            let number = status.first { $0.hasPrefix("NSpid:") }?.split(separator: "\t").last
            try #require(number == "1", "it is not the first process")
            return (server, agents[0])
        }

        @Test("orphans of commands leave no zombies, and SIGTERM stops it with status 0")
        func orphans() throws {
            let (server, agent) = try start("first")
            try server.save(
                shellJob("forks", "(setsid sleep 0.4 & sleep 0.2 & true) ; echo forked"))
            #expect(server.send("POST", "/v1/jobs/forks/run")?.status == 200)
            pause(0.6)
            let all = [agent] + server.supervisors
            #expect(eventually(5) { all.allSatisfy { zombies(of: $0).isEmpty } })
            kill(agent, SIGTERM)
            #expect(server.process?.wait(10) == .exited(0), "\(server.log)")
        }

        @Test("what a killed supervisor leaves behind is collected by the server")
        func adopted() throws {
            let (server, agent) = try start("first-adopts")
            try server.save(shellJob("many", "sleep 71 & sleep 72 & sleep 73 & wait"))
            _ = server.send("POST", "/v1/jobs/many/run?wait=0")
            _ = try server.execution(of: "many") { $0["state"].string == "running" }
            let sleeps = { server.scratch.processes { $0.hasPrefix("sleep 7") } }
            #expect(eventually(5) { sleeps().count == 3 })
            let left = sleeps()
            for process in server.supervisors { kill(process, SIGKILL) }
            _ = try server.execution(of: "many") { $0["state"].string == "lost" }
            #expect(eventually(5) { sleeps().isEmpty })
            #expect(eventually(5) { zombies(of: agent).isEmpty }, "\(zombies(of: agent))")
            #expect(left.allSatisfy { kill($0, 0) != 0 }, "still in the process table")
            // The server has lost no child of its own over it.
            try server.save(shellJob("next", "echo fine"))
            #expect(server.send("POST", "/v1/jobs/next/run")?.status == 200)
            kill(agent, SIGTERM)
            #expect(server.process?.wait(10) == .exited(0), "\(server.log)")
        }
    }
}
