import Glibc
import Testing

extension EndToEnd {
    @Suite("Three servers", .serialized)
    struct RealClusterTests {
        @Test(
            "they find a leader, and jobs go on firing when it is killed", arguments: [false, true])
        func failOver(isSealed: Bool) throws {
            let key = ["--encrypt", "7mJt0k1l6xVw3m0Qe3rYvA=="]
            let servers = RealCluster.make("s", more: isSealed ? key : [])
            try RealCluster.start(servers)
            let leader = try #require(RealCluster.leader(of: servers))
            let all = servers.map(\.node).sorted()
            for server in servers {
                #expect(eventually(10) { RealCluster.names(on: server, status: "alive") == all })
            }
            // Any server takes it.
            let follower = try #require(servers.first { $0 !== leader })
            try follower.save(shellJob("beat", "true", schedule: "@every 1s"))
            for server in servers {
                #expect(
                    eventually(15) { RealCluster.successes(of: "beat", on: server) >= 2 },
                    "\(server.node): \(server.log.suffix(2_000))")
            }
            leader.crashWithSupervisor()
            let rest = servers.filter { $0 !== leader }
            let next = try #require(
                RealCluster.leader(of: rest), "\(rest.map { $0.log.suffix(2_000) })")
            let before = RealCluster.successes(of: "beat", on: next)
            #expect(
                eventually(20) { RealCluster.successes(of: "beat", on: next) >= before + 3 },
                "\(next.log.suffix(2_000))")
            #expect(
                eventually(30) { RealCluster.names(on: next, status: "failed") == [leader.node] })
            // No tick is missing, and none stands there twice.
            let ledger = Ledger(of: "beat", on: next)
            #expect(ledger.gaps(every: 1) == [])
            #expect(ledger.repeatedGroups == [])
            try leader.launch()
            #expect(eventually(30) { leader.isServing }, "\(leader.log.suffix(2_000))")
            #expect(eventually(20) { RealCluster.names(on: next, status: "alive") == all })
        }

        @Test("seats by hand: the lead goes over, a server leaves, a dead one is removed")
        func seatsByHand() throws {
            let servers = RealCluster.make("p")
            try RealCluster.start(servers)
            let first = try #require(RealCluster.leader(of: servers))
            let before = try RealCluster.seats(on: first)
            #expect(before.count == 3, "\(before)")
            for server in servers {
                let row = try #require(before[server.node])
                let state: Substring = server === first ? "leader" : "follower"
                #expect(row.dropFirst() == ["127.0.0.1:\(server.rpcPort)", state, "true"])
            }
            _ = try RealCluster.dkron(first, "raft", "transfer-leader")
            #expect(
                eventually(10) {
                    servers.contains { $0 !== first && RealCluster.leads($0) }
                        && !RealCluster.leads(first)
                })
            let second = try #require(RealCluster.leader(of: servers))

            // The first leaves: it ends, and its seat with it.
            _ = try RealCluster.dkron(first, "leave")
            #expect(first.process?.wait(30) == .exited(0), "\(first.log.suffix(2_000))")
            #expect(
                eventually(20) { (try? RealCluster.seats(on: second).count) == 2 }, "\(second.log)")

            let third = try #require(servers.first { $0 !== first && $0 !== second })
            let row = try #require(try RealCluster.seats(on: second)[third.node])
            let refused = try RealCluster.dkron(second, "raft", "remove-peer", status: 2)
            #expect(refused.contains("--peer-id is missing"), "\(refused)")
            let unknown = try RealCluster.dkron(
                second, "raft", "remove-peer", "--peer-id", "nobody", status: 1)
            #expect(unknown.contains("has a seat"), "\(unknown)")
            // It is answered when it is done. A server that lives is taken in again later.
            _ = try RealCluster.dkron(second, "raft", "remove-peer", "--peer-id", String(row[0]))
            try second.save(shellJob("after", "true"))
        }

        @Test("an agent runs what the server decides, also after each of them was killed")
        func agent() throws {
            let server = Server("srv")
            server.extraArguments = ["--profile", "local"]
            try server.start()
            let agent = Server("agt", in: server.scratch)
            agent.isServer = false
            agent.extraArguments = [
                "--retry-join", "localhost:\(server.gossipPort)", "--retry-interval", "1s",
                "--profile", "local", "--tag", "role=web",
            ]
            try agent.start()
            #expect(
                eventually(10) { RealCluster.names(on: server, status: "alive") == ["agt", "srv"] })
            let only = #", "tags": {"role": "web"}"#
            try server.save(shellJob("beat", "true", schedule: "@every 1s", more: only))
            func runs() -> Int {
                server.executions(of: "beat").count {
                    $0["success"].bool == true && $0["node_name"].string == "agt"
                }
            }
            #expect(eventually(15) { runs() >= 2 }, "\(server.log)\(agent.log)")
            server.crash()
            try server.start()
            let afterServer = runs()
            #expect(eventually(30) { runs() >= afterServer + 2 }, "\(server.log)\(agent.log)")
            agent.crash()
            try agent.start()
            let afterAgent = runs()
            #expect(eventually(30) { runs() >= afterAgent + 2 }, "\(server.log)\(agent.log)")
            #expect(agent.get("/metrics")?.status == 200)
        }

        @Test("giving up retry-join ends the process")
        func givingUp() throws {
            let server = Server("lonely")
            let nobody = "127.0.0.1:\(freePort())"
            server.extraArguments = [
                "--retry-join", "\(nobody),127.0.0.1:\(server.gossipPort)", "--retry-max", "1",
                "--retry-interval", "200ms",
            ]
            try server.launch()
            #expect(server.process?.wait(15) == .exited(2), "\(server.log)")
            #expect(server.log.contains("\(nobody): Connection refused"), "\(server.log)")
            #expect(server.log.contains("in 2 attempts"), "\(server.log)")
        }

        @Test("an address that is taken ends the start with its flag")
        func taken() throws {
            let first = Server("first")
            try first.start()
            for (flag, value) in [
                ("--bind-addr", "127.0.0.1:\(first.gossipPort)"),
                ("--rpc-port", "\(first.rpcPort)"),
            ] {
                let second = Server("second", in: first.scratch, arguments: [flag, value])
                try second.launch()
                #expect(second.process?.wait(10) == .exited(1))
                #expect(second.log.contains(flag) && second.log.contains("in use"), "\(second.log)")
            }
        }

        @Test("the port for nodes tells an HTTP client where the API is")
        func wrongPort() throws {
            let server = Server("port")
            try server.start()
            let answer = try #require(exchange(port: server.rpcPort, "GET", "/v1/jobs"))
            #expect(answer.status == 400)
            #expect(answer.text.contains("--http-addr"))
        }
    }
}
