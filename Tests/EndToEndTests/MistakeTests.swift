// What an operator may get wrong with a cluster. Each case ends in a sentence where somebody looks
// for it: in the log of the process concerned, or in the answer.

import Glibc
import Testing

extension EndToEnd {
    @Suite("Mistakes with clusters", .serialized)
    struct MistakeTests {
        private static let key = "7mJt0k1l6xVw3m0Qe3rYvA=="
        private static let otherKey = "AAAAAAAAAAAAAAAAAAAAAA=="
        private static let beat = shellJob("beat", "true", schedule: "@every 1s")

        @Test("a majority is lost: what is missing stands in the log and in every answer")
        func lostMajority() throws {
            let servers = RealCluster.make("m")
            try RealCluster.start(servers)
            try servers[0].save(Self.beat)
            #expect(eventually(10) { RealCluster.successes(of: "beat", on: servers[0]) > 0 })
            #expect(
                eventually(5) { servers[0].get("/v1/jobs?stale")?.json.elements.count == 1 })
            let (last, gone) = (servers[0], servers.dropFirst())
            for server in gone { server.crashWithSupervisor() }
            #expect(last.logs("nothing is decided and nothing is acknowledged"), "\(last.log)")
            #expect(last.logs("missing=\"m2 m3\"", within: 60), "\(last.log)")
            #expect(last.log.contains("voters=3 needed=2"))

            let need = "of its 3 servers 2 are needed, and gossip misses m2 m3"
            let shown = try #require(last.get("/v1/jobs"))
            #expect(shown.status == 503)
            #expect(shown.json["code"].string == "no_leader")
            #expect(shown.text.contains("2 are needed, and gossip misses m2 m3"), "\(shown.text)")
            #expect(shown.text.contains("?stale"))
            let stale = last.get("/v1/jobs?stale")
            #expect(stale?.json.elements.count == 1, "\(stale?.text ?? "")")
            let refused = try #require(last.send("POST", "/v1/jobs", shellJob("late", "true")))
            #expect(refused.status == 503)
            #expect(refused.json["code"].string == "no_leader")
            #expect(refused.header("retry-after") != nil)
            #expect(last.get("/health")?.status == 200)
            #expect(last.get("/ready")?.text.contains(need) == true)
            let status = try RealCluster.dkron(last, "status", status: 1)
            #expect(status.contains("not ready") && status.contains(need), "\(status)")

            try servers[1].launch()
            #expect(last.logs("there is a leader again"), "\(RealCluster.logs(of: servers))")
            #expect(eventually(10) { last.isServing })
            // Who was just elected refuses what comes before it has taken over.
            #expect(
                eventually(10) {
                    last.send("POST", "/v1/jobs", shellJob("late", "true"))?.status == 201
                })
            #expect(last.get("/v1/jobs")?.json.elements.count == 2)
        }

        @Test(
            "a wrong key, or none: both logs say what is wrong",
            arguments: [
                (key, otherKey, "none of this node's keys opens it", "has another --encrypt key"),
                (key, nil, "it is not encrypted", "start the node with its --encrypt key"),
                (nil, key, "this node has no key", "start the node without --encrypt"),
            ] as [(String?, String?, String, String)])
        func wrongKey(
            inside: String?, outside: String?, insideSays: String, outsideSays: String
        ) throws {
            func option(_ key: String?) -> [String] { key.map { ["--encrypt", $0] } ?? [] }
            let first = Server("inside", arguments: option(inside))
            try first.start()
            let encrypted = first.get("/v1")?.json["serf"]["encrypted"].string
            #expect(encrypted == (inside == nil ? "false" : "true"))
            let second = Server("outside", in: first.scratch)
            second.extraArguments =
                ["--bootstrap-expect", "0"] + RealCluster.joining([first]) + option(outside)
            try second.launch()
            #expect(first.logs(insideSays), "\(first.log)")
            #expect(second.logs(outsideSays), "\(second.log)")
            #expect(RealCluster.names(on: first, status: "alive") == ["inside"])
            #expect(!second.isServing)
        }

        @Test("two clusters begun separately meet, with the same name in both: both go on")
        func twoClusters() throws {
            let first = Server("same")
            try first.start()
            let second = Server("same", in: first.scratch)
            second.dataDirectory = first.scratch.path("data-of-the-second")
            try second.start()
            try first.save(shellJob("one", "true"))
            try second.save(shellJob("two", "true"))
            second.crash()
            second.extraArguments = RealCluster.joining([first])
            try second.launch()
            for server in [first, second] {
                #expect(server.logs("a node of another cluster is left alone"), "\(server.log)")
                #expect(server.log.contains("POST /v1/restore"))
            }
            #expect(second.logs("another cluster ("), "\(second.log)")
            pause(2)
            for (server, job) in [(first, "one"), (second, "two")] {
                #expect(server.process?.poll() == nil, "\(server.log)")
                #expect(RealCluster.names(on: server, status: "alive") == ["same"])
                #expect(server.get("/v1/jobs")?.json.elements.map(\.["name"].string) == [job])
                #expect(try RealCluster.seats(on: server).count == 1)
            }
        }

        @Test("different --bootstrap-expect: each says who expects what, and none begins")
        func differentExpectations() throws {
            let servers = RealCluster.make("e")
            servers[0].extraArguments += ["--bootstrap-expect", "2"]
            for server in servers { try server.launch() }
            #expect(servers[0].logs("e2 expects 3, e3 expects 3"), "\(servers[0].log)")
            #expect(servers[1].logs("e1 expects 2"), "\(servers[1].log)")
            #expect(servers[1].log.contains("give all the same --bootstrap-expect"))
            #expect(servers.allSatisfy { !$0.isServing })
            let ready = servers[1].get("/ready")
            #expect(ready?.status == 503)
            #expect(ready?.text.contains("belongs to no cluster yet") == true)
            // Mended, it begins.
            servers[0].process?.signal(SIGTERM)
            servers[0].process?.wait(10)
            servers[0].extraArguments.removeLast(2)
            try servers[0].launch()
            #expect(eventually(30) { servers.allSatisfy(\.isServing) })
        }

        @Test("two nodes of one name: the later one stops and says so", arguments: [true, false])
        func duplicateName(isServer: Bool) throws {
            let server = Server("first")
            try server.start()
            let join = RealCluster.joining([server])
            func node(_ directory: String) -> Server {
                let node = Server("twin", in: server.scratch)
                node.dataDirectory = server.scratch.path(directory)
                node.isServer = isServer
                node.extraArguments = (isServer ? ["--bootstrap-expect", "0"] : []) + join
                return node
            }
            let earlier = node("earlier")
            try earlier.launch()
            func twins() -> [String] { RealCluster.names(on: server, status: "alive") }
            #expect(eventually(15) { twins() == ["first", "twin"] }, "\(server.log)")
            let later = node("later")
            try later.launch()
            #expect(later.process?.wait(20) == .exited(2), "\(later.log)")
            #expect(later.log.contains("has the name twin too"), "\(later.log)")
            #expect(later.log.contains("--node-name"))
            #expect(server.logs("two nodes use one name"), "\(server.log)")
            guard !isServer else { return }
            // The other way round, too: once the name is free for the later one, the earlier one
            // takes it back.
            earlier.crash()
            try later.launch()
            #expect(
                eventually(60) { twins() == ["first", "twin"] && later.process?.poll() == nil })
            earlier.rpcPort = freePort()
            earlier.gossipPort = freePort()
            try earlier.launch()
            #expect(later.process?.wait(10) == .exited(2), "\(later.log)")
            #expect(earlier.process?.poll() == nil, "\(earlier.log)")
        }

        @Test("a copy of a data directory beside the original: both say so and stop")
        func copiedDirectory() throws {
            let server = Server("first")
            try server.start()
            let nodes = ["original", "copy"].map { directory in
                let node = Server("node", in: server.scratch)
                node.dataDirectory = server.scratch.path(directory)
                node.isServer = false
                node.extraArguments = RealCluster.joining([server])
                return node
            }
            try nodes[0].start()
            let command = ["cp", "-r", nodes[0].dataDirectory, nodes[1].dataDirectory]
            #expect(try run(command, in: server.scratch).ending == .exited(0))
            try nodes[1].launch()
            for node in nodes {
                #expect(node.process?.wait(30) == .exited(2), "\(node.log)")
                #expect(node.log.contains("a copy of this node's data directory"), "\(node.log)")
            }
        }

        @Test("all addresses change at once, and the agent that was told of both finds them")
        func movedServers() throws {
            let servers = RealCluster.make("a")
            try RealCluster.start(servers)
            let later = (0..<3).map { _ in freePort() }
            let agent = Server("agent", in: servers[0].scratch)
            agent.isServer = false
            agent.extraArguments = RealCluster.joining(servers)
            agent.extraArguments[1] += ",127.0.0.1:\(later[1])"
            agent.extraArguments += ["--tag", "kind=worker"]
            try agent.start()
            let only = #", "tags": {"kind": "worker"}"#
            try servers[0].save(shellJob("beat", "true", schedule: "@every 1s", more: only))
            func successes() -> Int { RealCluster.successes(of: "beat", on: servers[0]) }
            #expect(eventually(20) { successes() > 1 }, "\(agent.log)")
            let before = successes()
            for server in servers { server.crash() }
            for (server, port) in zip(servers, later) {
                server.gossipPort = port
                server.rpcPort = freePort()
            }
            for server in servers {
                server.extraArguments.removeLast(6)
                server.extraArguments += RealCluster.joining(servers)
            }
            try RealCluster.start(servers)
            #expect(
                eventually(60) { successes() >= before + 2 },
                "\(agent.log) \(RealCluster.logs(of: servers))")
            let seats = try RealCluster.seats(on: servers[0])
            #expect(seats.count == 3)
            for server in servers {
                #expect(seats[server.node]?[1] == "127.0.0.1:\(server.rpcPort)")
            }
        }

        @Test("the address of a dead server belongs to another cluster: both logs say so")
        func staleAddress() throws {
            let servers = RealCluster.make("o")
            try RealCluster.start(servers)
            let gone = servers[2]
            gone.crashWithSupervisor()
            let other = Server("other", in: gone.scratch)
            (other.gossipPort, other.rpcPort) = (gone.gossipPort, gone.rpcPort)
            try other.start()
            let rest = Array(servers.dropLast())
            let isTold = eventually(20) {
                rest.contains { $0.log.contains("another node than the expected one") }
            }
            #expect(isTold, "\(RealCluster.logs(of: rest))")
            #expect(other.logs("a connection was refused"), "\(other.log)")
            _ = try #require(RealCluster.leader(of: rest), "\(RealCluster.logs(of: rest))")
            try rest[0].save(Self.beat)
            #expect(other.get("/v1/jobs")?.json.elements.isEmpty == true)
            #expect(!RealCluster.names(on: rest[0], status: "alive").contains("other"))
            #expect(RealCluster.names(on: other, status: "alive") == ["other"])
        }

        @Test("a data directory of another cluster: the server stays outside and says why")
        func movedDirectory() throws {
            let home = Server("home")
            try home.start()
            let guest = Server("guest", in: home.scratch)
            guest.extraArguments = ["--bootstrap-expect", "0"] + RealCluster.joining([home])
            try guest.launch()
            let isIn = try eventually(30) {
                try RealCluster.seats(on: home)["guest"]?[3] == "true"
            }
            #expect(isIn, "\(home.log)")
            guest.process?.signal(SIGTERM)
            guest.process?.wait(10)
            let abroad = Server("abroad", in: home.scratch)
            try abroad.start()
            guest.extraArguments = ["--bootstrap-expect", "0"] + RealCluster.joining([abroad])
            try guest.launch()
            #expect(
                guest.logs("than the one to which the data directory of this node belongs"),
                "\(guest.log)")
            #expect(guest.log.contains("empty --data-dir"))
            #expect(abroad.logs("a node of another cluster is left alone"), "\(abroad.log)")
            #expect(try RealCluster.seats(on: abroad).count == 1)
            #expect(!guest.isServing)
        }

        @Test("a damaged log: the server refuses to start, and on an empty disk gets everything")
        func damagedLog() throws {
            let servers = RealCluster.make("d")
            try RealCluster.start(servers)
            try servers[0].save(Self.beat)
            let last = servers[2]
            #expect(eventually(20) { RealCluster.successes(of: "beat", on: last) >= 2 })
            last.crashWithSupervisor()
            let segment = last.dataDirectory + "/journal/0000000000000001.log"
            let descriptor = open(segment, O_RDWR)
            try #require(descriptor >= 0)
            var bytes = [UInt8](repeating: 0, count: 8)
            try #require(pread(descriptor, &bytes, 8, 700) == 8)
            bytes = bytes.map { ~$0 }
            try #require(pwrite(descriptor, bytes, 8, 700) == 8)
            close(descriptor)
            try last.launch()
            #expect(last.process?.wait(20) == .exited(2), "\(last.log)")
            #expect(last.log.contains("journal/0000000000000001.log is damaged at byte"))
            #expect(last.log.contains("catches up from the others"), "\(last.log)")
            // The others go on, and fill an empty disk.
            let before = RealCluster.successes(of: "beat", on: servers[0])
            #expect(
                eventually(20) { RealCluster.successes(of: "beat", on: servers[0]) > before })
            removeTree(last.dataDirectory)
            try last.launch()
            #expect(eventually(30) { last.isServing }, "\(last.log)")
            let isVoter = try eventually(30) {
                let seats = try RealCluster.seats(on: servers[0])
                return seats.count == 3 && seats[last.node]?[3] == "true"
            }
            #expect(isVoter, "\(RealCluster.logs(of: servers))")
            // What it has itself, not what the leader would answer.
            let agree = eventually(20) {
                let answers = [servers[0], last].map {
                    $0.get("/v1/jobs/beat/ticks?stale&_end=3")?.text
                }
                return answers[0] != nil && answers[0] == answers[1]
            }
            #expect(agree, "\(last.log)")
        }

        private static let canMoveClocks = access("/usr/bin/faketime", X_OK) == 0

        @Test(
            "a clock a day ahead moves no tick, whoever leads; both logs name it",
            .enabled(if: canMoveClocks, "there is no faketime on this machine"))
        func wrongClock() throws {
            let servers = RealCluster.make("c")
            let wrong = servers[2]
            wrong.wrapper = ["faketime", "-f", "+1d"]
            wrong.environment = ["FAKETIME_DONT_FAKE_MONOTONIC": "1"]
            try RealCluster.start(servers)
            try servers[0].save(Self.beat)
            for isLeader in [false, true] {
                let (from, to) = isLeader ? (servers[0], wrong) : (wrong, servers[0])
                if RealCluster.leads(from) || !RealCluster.leads(to) {
                    _ = try RealCluster.dkron(from, "raft", "transfer-leader", to.node)
                }
                #expect(eventually(15) { RealCluster.leads(to) }, "\(to.log)")
                #expect(wrong.logs("the clock of this machine is wrong"), "\(wrong.log)")
                let before = RealCluster.successes(of: "beat", on: servers[0])
                #expect(
                    eventually(20) {
                        RealCluster.successes(of: "beat", on: servers[0]) >= before + 3
                    }, "\(RealCluster.logs(of: servers))")
            }
            #expect(
                servers.dropLast().contains { $0.log.contains("a server's clock is wrong") },
                "\(RealCluster.logs(of: servers))")
            let ledger = Ledger(of: "beat", on: servers[0])
            #expect(ledger.gaps(every: 1) == [])
            #expect(ledger.outcomes == ["ran"])
            let now = Int64(time(nil))
            #expect(ledger.rows.allSatisfy { abs($0.from - now) < 120 }, "\(ledger.rows)")
        }
    }
}
