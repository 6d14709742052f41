// What a cluster promises in figures: short by default, long by variables of the environment, which
// CONTRIBUTING.md lists. They are printed; what must hold in any case is checked.

import Glibc
import Testing

extension EndToEnd {
    @Suite("Endurance of a cluster", .serialized)
    struct EnduranceTests {
        private static func number(_ name: String, _ standard: Int) -> Int {
            environmentNumber(name).map(Int.init) ?? standard
        }

        @Test("the leader is killed again and again under a writer: nothing acknowledged is lost")
        func leaderKills() throws {
            let kills = Self.number("END_TO_END_LEADER_KILLS", 2)
            let jobs = Self.number("END_TO_END_JOBS", 200)
            let servers = RealCluster.make("k")
            try RealCluster.start(servers)
            let settings = #"{"group_retention": 10000, "ledger_retention": 100000}"#
            try #require(servers[0].send("PUT", "/v1/settings", settings)?.status == 200)
            try servers[0].restore((0..<jobs).map { shellJob("bulk-\($0)", "true") })
            let tick = shellJob(
                "tick", "true", schedule: "@every 1s", more: #", "tags": {"server": "true:1"}"#)
            try servers[0].save(tick)
            var writer = Writer()
            writer.write(to: servers, seconds: 3)
            var killedAt: [Int64] = []
            for _ in 0..<kills {
                let leader = try #require(RealCluster.leader(of: servers))
                killedAt.append(wallNanoseconds())
                leader.crash()
                writer.write(to: servers.filter { $0 !== leader }, seconds: 3)
                try leader.launch()
                writer.write(to: servers, seconds: 3)
            }
            pause(3)
            let leader = try #require(RealCluster.leader(of: servers))
            let ledger = Ledger(of: "tick", on: leader)
            let stamps = ledger.rows.compactMap(\.group).sorted()
            let gaps = killedAt.compactMap { killed in
                stamps.first { $0 > killed }.map { Double($0 - killed) / 1e9 }
            }
            let stored = leader.get("/v1/jobs?_end=10000000", timeout: 60)?.json.elements ?? []
            let names = Set(stored.compactMap { $0["name"].string })
            let lost = writer.acknowledged.filter { !names.contains($0) }
            print(
                """
                \(kills) kills of the leader with \(jobs) jobs: the next one decides its first \
                tick after \(medianAndWorst(gaps)); \(ledger.rows.count) ticks, \
                \(ledger.gaps(every: 1).count) places where one is missing or told twice, \
                lateness \(medianAndWorst(ledger.lateness)); \(writer.acknowledged.count) writes \
                acknowledged, \(lost.count) lost
                """)
            #expect(gaps.count == kills)
            #expect(ledger.gaps(every: 1) == [])
            #expect(ledger.repeatedGroups == [])
            #expect(ledger.outcomes == ["ran"])
            #expect(lost == [])
        }

        @Test("three servers that start at once, each told of the others, make one cluster")
        func simultaneousStarts() throws {
            let rounds = Self.number("END_TO_END_STARTS", 2)
            var times: [Double] = []
            for round in 0..<rounds {
                let servers = RealCluster.make("n")
                for server in servers {
                    let others = servers.filter { $0 !== server }
                    server.extraArguments =
                        ["--bootstrap-expect", "3"] + RealCluster.joining(others)
                    server.extraArguments.removeLast(2)
                }
                let began = uptime()
                for server in servers { try server.launch() }
                let isOne = eventually(30) {
                    let leaders = servers.map {
                        $0.get("/v1/leader", timeout: 1)?.json["Name"].string
                    }
                    return leaders[0] != nil && Set(leaders).count == 1
                }
                try #require(isOne, "round \(round): \(RealCluster.logs(of: servers))")
                times.append(uptime() - began)
            }
            print(
                """
                \(rounds) simultaneous starts of three servers: one leader, known to all, after \
                \(medianAndWorst(times))
                """)
        }

        @Test("agents run many commands a second, each tick once on each")
        func load() throws {
            let minutes = environmentNumber("END_TO_END_LOAD")
            let rate = Self.number("END_TO_END_RATE", minutes == nil ? 5 : 50)
            let servers = RealCluster.make("l")
            try RealCluster.start(servers)
            let agents = (1...4).map { Server("w\($0)", in: servers[0].scratch) }
            for agent in agents {
                agent.isServer = false
                agent.extraArguments = RealCluster.joining(servers) + ["--tag", "kind=worker"]
                try agent.start()
            }
            let settings = #"{"group_retention": 10000, "ledger_retention": 100000}"#
            try #require(servers[0].send("PUT", "/v1/settings", settings)?.status == 200)
            let runs = servers[0].scratch.path("runs")
            let note = "echo \"$DKRON_JOB_NAME $DKRON_GROUP\" >> \(runs)"
            let only = #", "tags": {"kind": "worker"}"#
            #expect(
                eventually(20) { RealCluster.names(on: servers[0], status: "alive").count == 7 })
            for job in 0..<rate {
                try servers[0].save(
                    shellJob("load-\(job)", note, schedule: "@every 1s", more: only))
            }
            let began = uptime()
            pause(minutes.map { $0 * 60 } ?? 8)
            for job in 0..<rate { _ = servers[0].send("POST", "/v1/jobs/load-\(job)/toggle") }
            let seconds = uptime() - began
            let isQuiet = eventually(120) {
                servers[0].get("/v1/busy?_end=1")?.json.elements.isEmpty == true
            }
            #expect(isQuiet, "runs did not end")
            var ran: [Substring: Int] = [:]
            let lines = readText(runs).split(separator: "\n")
            for line in lines { ran[line, default: 0] += 1 }
            var lateness: [Double] = []
            var wrong: [String] = []
            for job in 0..<rate {
                let ledger = Ledger(of: "load-\(job)", on: servers[0])
                lateness += ledger.lateness
                wrong += ledger.gaps(every: 1)
                wrong += ledger.rows.filter { $0.outcome != "ran" }.map(\.text)
                for group in ledger.rows.compactMap(\.group) {
                    let count = ran["load-\(job) \(group)"] ?? 0
                    if count != 4 { wrong.append("load-\(job) \(group) ran \(count) times of 4") }
                }
            }
            print(
                """
                \(lines.count) commands in \(Int(seconds)) s on 4 agents, \
                \(Int(Double(lines.count) / seconds / 4)) a second on each; decided late by \
                \(medianAndWorst(lateness)); \(wrong.count) ticks not run once on each
                """)
            #expect(wrong == [])
        }
    }
}

/// A client that saves one job after the other, on any server, and notes what was acknowledged.
private struct Writer {
    private(set) var acknowledged: [String] = []
    private var count = 0

    mutating func write(to servers: [Server], seconds: Double) {
        let end = uptime() + seconds
        while uptime() < end {
            count += 1
            let name = "written-\(count)"
            let server = servers[count % servers.count]
            let answer = server.send("POST", "/v1/jobs", shellJob(name, "true"), timeout: 2)
            if answer?.status == 201 { acknowledged.append(name) }
            usleep(10_000)
        }
    }
}

/// The wall clock, in nanoseconds since 1970.
private func wallNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
