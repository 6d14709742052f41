import Glibc
import Testing

extension EndToEnd {
    @Suite("Three servers", .serialized)
    struct RealClusterTests {
        /// Servers on ports of their own, each told of all.
        func makeCluster(
            _ name: String, count: Int = 3, more: [String] = []
        ) -> [Server] {
            let first = Server("\(name)1")
            let others = (1..<count).map { Server("\(name)\($0 + 1)", in: first.scratch) }
            let servers = [first] + others
            let addresses = servers.map { "127.0.0.1:\($0.gossipPort)" }.joined(separator: ",")
            for server in servers {
                server.extraArguments =
                    [
                        "--bootstrap-expect", "\(count)", "--retry-join", addresses,
                        "--retry-interval", "1s", "--profile", "local",
                    ] + more
            }
            return servers
        }

        func start(_ servers: [Server]) throws {
            for server in servers { try server.launch() }
            let isReady = eventually(30) { servers.allSatisfy(\.isServing) }
            let logs = servers.map { $0.log.suffix(1_500) }.joined(separator: "\n")
            try #require(isReady, "not ready: \(logs)")
        }

        /// The one server that says that it leads, once exactly one does.
        func leader(of servers: [Server], within seconds: Double = 20) -> Server? {
            var found: [Server] = []
            _ = eventually(seconds) {
                found = servers.filter(leads)
                return found.count == 1
            }
            return found.count == 1 ? found[0] : nil
        }

        func names(on server: Server, status: String) -> [String] {
            let members = server.get("/v1/members")?.json.elements ?? []
            return members.filter { $0["statusText"].string == status }
                .compactMap { $0["Name"].string }.sorted()
        }

        func successes(of job: String, on server: Server) -> Int {
            server.executions(of: job).count { $0["success"].bool == true }
        }

        @Test(
            "they find a leader, and jobs go on firing when it is killed", arguments: [false, true])
        func failOver(isSealed: Bool) throws {
            let key = ["--encrypt", "7mJt0k1l6xVw3m0Qe3rYvA=="]
            let servers = makeCluster("s", more: isSealed ? key : [])
            try start(servers)
            let leader = try #require(self.leader(of: servers))
            let all = servers.map(\.node).sorted()
            for server in servers {
                #expect(eventually(10) { names(on: server, status: "alive") == all })
            }
            // Any server takes it.
            let follower = try #require(servers.first { $0 !== leader })
            try follower.save(shellJob("beat", "true", schedule: "@every 1s"))
            for server in servers {
                #expect(
                    eventually(15) { successes(of: "beat", on: server) >= 2 },
                    "\(server.node): \(server.log.suffix(2_000))")
            }
            leader.crashWithSupervisor()
            let rest = servers.filter { $0 !== leader }
            let next = try #require(
                self.leader(of: rest), "\(rest.map { $0.log.suffix(2_000) })")
            let before = successes(of: "beat", on: next)
            #expect(
                eventually(20) { successes(of: "beat", on: next) >= before + 3 },
                "\(next.log.suffix(2_000))")
            #expect(
                eventually(30) { names(on: next, status: "failed") == [leader.node] })
            // No tick is missing, and none stands there twice.
            let ledger = Ledger(of: "beat", on: next)
            #expect(ledger.gaps(every: 1) == [])
            #expect(ledger.repeatedGroups == [])
            try leader.launch()
            #expect(eventually(30) { leader.isServing }, "\(leader.log.suffix(2_000))")
            #expect(eventually(20) { names(on: next, status: "alive") == all })
        }

        func dkron(
            _ server: Server, _ arguments: String..., status: Int32 = 0,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> String {
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            let (ending, output) = try run([binary] + arguments + address, in: server.scratch)
            #expect(
                ending == .exited(status), "\(arguments): \(output)",
                sourceLocation: sourceLocation)
            return output
        }

        /// The rows of `raft list-peers` by the names of their nodes: id, address, state, voter.
        func seats(on server: Server) throws -> [String: [Substring]] {
            let lines = try dkron(server, "raft", "list-peers").split(separator: "\n")
            #expect(lines.first?.hasPrefix("NODE") == true)
            return lines.dropFirst().reduce(into: [:]) { seats, line in
                let cells = line.split(separator: " ")
                if let name = cells.first { seats[String(name)] = Array(cells.dropFirst()) }
            }
        }

        @Test("seats by hand: the lead goes over, a server leaves, a dead one is removed")
        func seatsByHand() throws {
            let servers = makeCluster("p")
            try start(servers)
            let first = try #require(leader(of: servers))
            let before = try seats(on: first)
            #expect(before.count == 3, "\(before)")
            for server in servers {
                let row = try #require(before[server.node])
                let state: Substring = server === first ? "leader" : "follower"
                #expect(row.dropFirst() == ["127.0.0.1:\(server.rpcPort)", state, "true"])
            }
            _ = try dkron(first, "raft", "transfer-leader")
            #expect(
                eventually(10) { servers.contains { $0 !== first && leads($0) } && !leads(first) })
            let second = try #require(leader(of: servers))

            // The first leaves: it ends, and its seat with it.
            _ = try dkron(first, "leave")
            #expect(first.process?.wait(30) == .exited(0), "\(first.log.suffix(2_000))")
            #expect(eventually(20) { (try? seats(on: second).count) == 2 }, "\(second.log)")

            let third = try #require(servers.first { $0 !== first && $0 !== second })
            let row = try #require(try seats(on: second)[third.node])
            let refused = try dkron(second, "raft", "remove-peer", status: 2)
            #expect(refused.contains("--peer-id is missing"), "\(refused)")
            let unknown = try dkron(
                second, "raft", "remove-peer", "--peer-id", "nobody", status: 1)
            #expect(unknown.contains("has a seat"), "\(unknown)")
            // It is answered when it is done. A server that lives is taken in again later.
            _ = try dkron(second, "raft", "remove-peer", "--peer-id", String(row[0]))
            try second.save(shellJob("after", "true"))
        }

        func leads(_ server: Server) -> Bool {
            server.get("/v1/isleader", timeout: 2)?.status == 200
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
            #expect(eventually(10) { names(on: server, status: "alive") == ["agt", "srv"] })
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

        @Test("a server with another key stays outside, and both logs say why")
        func otherKey() throws {
            let inside = Server("inside")
            inside.extraArguments = ["--encrypt", "7mJt0k1l6xVw3m0Qe3rYvA=="]
            try inside.start()
            let outside = Server("outside", in: inside.scratch)
            outside.extraArguments = [
                "--bootstrap-expect", "0", "--retry-join", "127.0.0.1:\(inside.gossipPort)",
                "--encrypt", "AAAAAAAAAAAAAAAAAAAAAA==",
            ]
            try outside.launch()
            #expect(
                eventually(20) { inside.log.contains("none of this node's keys opens it") },
                "\(inside.log)")
            #expect(names(on: inside, status: "alive") == ["inside"])
            #expect(!outside.isServing)
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
