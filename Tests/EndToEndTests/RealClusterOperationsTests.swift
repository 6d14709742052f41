import Glibc
import Testing

/// What a person on call does to a cluster.
extension EndToEnd.RealClusterTests {
    private func offline(
        _ server: Server, _ more: String..., status: Int32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let arguments = ["raft", "recover", "--data-dir", server.dataDirectory] + more
        let (ending, output) = try run([binary] + arguments, in: server.scratch)
        #expect(ending == .exited(status), "\(output)", sourceLocation: sourceLocation)
        return output
    }

    @Test("a lost majority: one server is recovered, the others come back with empty directories")
    func recoverQuorum() throws {
        let servers = RealCluster.make("q")
        try RealCluster.start(servers)
        let first = try #require(RealCluster.leader(of: servers))
        try first.save(shellJob("beat", "true", schedule: "@every 1s"))
        // The servers' addresses are in the log by now, so that they can be asked.
        #expect(
            eventually(15) { RealCluster.successes(of: "beat", on: first) >= 4 }, "\(first.log)")
        let others = servers.filter { $0 !== first }

        let inUse = try offline(first, status: 1)
        #expect(inUse.contains("in use by process"), "\(inUse)")
        first.crash()
        let alive = try offline(first, status: 1)
        #expect(alive.contains("answers at 127.0.0.1:\(others[0].rpcPort)"), "\(alive)")
        #expect(alive.contains("does not need this"), "\(alive)")
        #expect(alive.contains("Nothing was changed"), "\(alive)")

        for other in others { other.crash() }
        let dry = try offline(first, "--dry-run")
        #expect(dry.contains("does not answer at 127.0.0.1:\(others[0].rpcPort)"), "\(dry)")
        #expect(dry.contains("nothing was changed"), "\(dry)")
        let done = try offline(first)
        #expect(done.contains("only voter now"), "\(done)")
        let again = try offline(first, status: 1)
        #expect(again.contains("only voter already"), "\(again)")
        let nowhere = try run(
            [binary, "raft", "recover", "--data-dir", first.scratch.path("none")],
            in: first.scratch)
        #expect(nowhere.0 == .exited(1) && nowhere.1.contains("no server's data"), "\(nowhere.1)")
        #expect(access(first.scratch.path("none"), F_OK) != 0, "nothing was made")

        try first.launch()
        #expect(eventually(20) { RealCluster.leads(first) }, "\(first.log.suffix(2_000))")
        let before = RealCluster.successes(of: "beat", on: first)
        #expect(before >= 4)
        #expect(eventually(15) { RealCluster.successes(of: "beat", on: first) >= before + 2 })
        #expect(try RealCluster.seats(on: first).count == 1)

        // One that comes back with the old data stops, and says what to do.
        try others[0].launch()
        #expect(others[0].process?.wait(60) == .exited(2), "\(others[0].log.suffix(2_000))")
        #expect(others[0].log.contains("was recovered without this server"), "\(others[0].log)")
        _ = try run(["rm", "-rf", others[0].dataDirectory], in: first.scratch)
        try others[0].launch()
        #expect(
            eventually(60) {
                (try? RealCluster.seats(on: first).count { $0.value.last == "true" }) == 2
            },
            "\(first.log.suffix(2_000)) \(others[0].log.suffix(2_000))")
        #expect(eventually(20) { others[0].isServing })
    }

    @Test("an agent is drained, gets work again, and leaves in order when it is stopped")
    func drainAndStop() throws {
        let server = Server("dsrv")
        server.extraArguments = ["--profile", "local"]
        try server.start()
        let agent = Server("dagt", in: server.scratch)
        agent.isServer = false
        agent.extraArguments = [
            "--retry-join", "127.0.0.1:\(server.gossipPort)", "--retry-interval", "1s",
            "--profile", "local", "--tag", "role=web",
        ]
        try agent.start()
        #expect(
            eventually(10) { RealCluster.names(on: server, status: "alive") == ["dagt", "dsrv"] })
        let only = #", "tags": {"role": "web"}"#
        try server.save(shellJob("slow", "sleep 3", more: only))
        #expect(eventually(15) { server.send("POST", "/v1/jobs/slow/run?wait=0s")?.status == 202 })
        _ = try server.execution(of: "slow") { $0["started_at"].string != nil }
        let began = uptime()
        let drained = try RealCluster.dkron(server, "drain", "dagt")
        #expect(drained.contains("1 execution not ended there yet"), "\(drained)")
        #expect(drained.contains("nothing runs on dagt any more"), "\(drained)")
        #expect(uptime() - began > 1, "it waited")
        #expect(server.send("POST", "/v1/jobs/slow/run")?.status == 409)
        #expect(try RealCluster.dkron(server, "members").contains("alive, drained"))
        _ = try RealCluster.dkron(server, "undrain", "dagt")
        let unknown = try RealCluster.dkron(server, "drain", "nobody", status: 1)
        #expect(unknown.contains("no node named"), "\(unknown)")

        // Stopped while it works: the run ends, its result arrives, and nobody waits for a lease.
        #expect(server.send("POST", "/v1/jobs/slow/run?wait=0s")?.status == 202)
        #expect(eventually(10) { server.executions(of: "slow").count == 2 })
        _ = eventually(5) {
            server.executions(of: "slow").allSatisfy { $0["started_at"].string != nil }
        }
        agent.process?.signal(SIGTERM)
        #expect(agent.process?.wait(30) == .exited(0), "\(agent.log.suffix(2_000))")
        #expect(agent.log.contains("left the cluster"), "\(agent.log)")
        #expect(RealCluster.names(on: server, status: "left") == ["dagt"])
        #expect(
            eventually(5) { RealCluster.successes(of: "slow", on: server) == 2 }, "\(server.log)")
        // Back again, and told to leave from afar.
        try agent.start()
        #expect(
            eventually(20) { RealCluster.names(on: server, status: "alive") == ["dagt", "dsrv"] })
        _ = try RealCluster.dkron(server, "leave", "dagt")
        #expect(agent.process?.wait(30) == .exited(0), "\(agent.log.suffix(2_000))")
        #expect(
            try RealCluster.dkron(server, "ledger", "rewind").contains("no job's last decision"))
        _ = try RealCluster.dkron(server, "ledger", "rewind", "nobody", status: 1)
        server.crashWithSupervisor()
    }

    @Test("any server shows what runs on an agent while it prints, and ends it")
    func followFromAnywhere() throws {
        let servers = RealCluster.make("f")
        try RealCluster.start(servers)
        let agent = Server("fagt", in: servers[0].scratch)
        agent.isServer = false
        agent.extraArguments = RealCluster.joining(servers) + ["--tag", "role=web"]
        try agent.start()
        let leader = try #require(RealCluster.leader(of: servers))
        #expect(
            eventually(20) { RealCluster.names(on: leader, status: "alive").contains("fagt") })
        let go = agent.scratch.path("go")
        let only = #", "tags": {"role": "web"}"#
        let wait = "while [ ! -e \(go) ]; do sleep 0.1; done"
        try leader.save(shellJob("talk", "echo one; \(wait); echo two; sleep 60", more: only))
        #expect(eventually(15) { leader.send("POST", "/v1/jobs/talk/run?wait=0s")?.status == 202 })
        let run = try leader.execution(of: "talk") { $0["started_at"].string != nil }
        let id = try #require(run["id"].string)
        var readers: [(process: ChildProcess, log: String)] = []
        for server in servers {
            let log = server.scratch.path("followed-at-\(server.node)")
            let address = "http://127.0.0.1:\(server.httpPort)"
            let order = [binary, "job", "logs", "talk", id, "-f", "--address", address]
            readers.append((try ChildProcess(order, log: log), log))
        }
        for (_, log) in readers {
            #expect(eventually(15) { readText(log) == "one\n" }, "\(readText(log))")
        }
        writeText("", to: go)
        for (_, log) in readers {
            #expect(eventually(15) { readText(log) == "one\ntwo\n" }, "\(readText(log))")
        }
        // One that does not lead ends it.
        let other = try #require(servers.first { $0 !== leader })
        _ = try RealCluster.dkron(other, "job", "kill", "talk", id)
        for (process, log) in readers {
            #expect(process.wait(20) != nil, "it ended with the run")
            #expect(readText(log).hasPrefix("one\ntwo\n"), "\(readText(log))")
        }
        #expect(agent.process?.poll() == nil)
        agent.process?.signal(SIGTERM)
        agent.process?.wait(30)
    }
}
