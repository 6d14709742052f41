// Real nodes under real faults: killed, stopped, wiped, cut off in one direction or both.
// Afterwards the ledger is compared with what the commands themselves wrote down.

import Glibc
import Testing

extension EndToEnd {
    @Suite("Faults of a cluster", .serialized)
    struct FaultTests {
        /// `END_TO_END_FAULTS=30` for half an hour of them; else each once.
        static let minutes = environmentNumber("END_TO_END_FAULTS")

        @Test("each tick has one outcome, the same everywhere, and nothing runs twice")
        func faults() throws {
            var town = try FaultyTown()
            try town.start()
            if let minutes = Self.minutes {
                let end = uptime() + minutes * 60
                while uptime() < end, let fault = town.possible.randomElement() {
                    try town.strike(fault, for: .random(in: 0.5...12))
                }
            } else {
                for fault in town.possible.shuffled() {
                    try town.strike(fault, for: .random(in: 0.5...2))
                }
            }
            try town.settle()
            town.check()
            print(town.summary)
            #expect(
                town.findings.isEmpty,
                """
                \(town.findings.prefix(30).joined(separator: "\n"))
                \(town.story.joined(separator: "\n"))
                """)
        }
    }
}

/// A number from the environment.
func environmentNumber(_ name: String) -> Double? {
    getenv(name).flatMap { Double(String(cString: $0)) }
}

enum Fault: String, CaseIterable {
    case killServer, killLeader, stopServer, stopLeader, wipeServer
    case killAgent, stopAgent, wipeAgent
    case isolateServer, isolateLeader, isolateAgent, deafLeader, muteLeader, deafAgent, muteAgent
    case loseBursts

    var needsNetwork: Bool {
        switch self {
        case .killServer, .killLeader, .stopServer, .stopLeader, .wipeServer, .killAgent,
            .stopAgent, .wipeAgent:
            false
        default: true
        }
    }
}

/// Three servers and three agents under jobs of every second.
struct FaultyTown {
    private static let jobs = ["all", "one", "server"]

    private let servers: [Server]
    private let agents: [Server]
    private var nodes: [Server] { servers + agents }
    private let network: Network?
    private let runs: String
    /// What was done, with times.
    private(set) var story: [String] = []
    private(set) var findings: [String] = []
    private var counts: [String: Int] = [:]
    private var runCount = 0
    private let began = uptime()

    init() throws {
        let first = Server("s1")
        let scratch = first.scratch
        servers = [first] + [2, 3].map { Server("s\($0)", in: scratch) }
        agents = (1...3).map { Server("a\($0)", in: scratch) }
        runs = scratch.path("runs")
        network = canMakeNetworks ? try Network(hosts: 6, in: scratch) : nil
        if network == nil { print("no network namespaces here: links are not cut") }
        for (number, node) in (servers + agents).enumerated() {
            if let network { node.place(on: network, host: number) }
            node.isServer = number < 3
        }
        let join =
            RealCluster.joining(servers) + ["--encrypt", "7mJt0k1l6xVw3m0Qe3rYvA=="]
        for server in servers { server.extraArguments = ["--bootstrap-expect", "3"] + join }
        for agent in agents { agent.extraArguments = join + ["--tag", "kind=worker"] }
    }

    var possible: [Fault] { Fault.allCases.filter { network != nil || !$0.needsNetwork } }

    mutating func start() throws {
        try RealCluster.start(servers)
        for agent in agents { try agent.start() }
        let names = nodes.map(\.node).sorted()
        try #require(
            eventually(20) { RealCluster.names(on: servers[0], status: "alive") == names })
        let settings = #"{"group_retention": 10000, "ledger_retention": 100000}"#
        try #require(servers[0].send("PUT", "/v1/settings", settings)?.status == 200)
        let note = "echo \"$DKRON_EXECUTION_ID $DKRON_SCHEDULED_AT\" >> \(runs)"
        for (job, tags) in zip(
            Self.jobs, [#""kind": "worker""#, #""kind": "worker:1""#, #""server": "true:1""#])
        {
            let more = #", "lost_after": "30s", "tags": {\#(tags)}"#
            try servers[0].save(shellJob(job, note, schedule: "@every 1s", more: more))
        }
    }

    // MARK: Faults

    mutating func strike(_ fault: Fault, for seconds: Double) throws {
        let leader = servers.first(where: RealCluster.leads) ?? servers[0]
        let server = servers.randomElement()!
        let agent = agents.randomElement()!
        let victim: Server
        switch fault {
        case .killServer, .stopServer, .wipeServer, .isolateServer: victim = server
        case .killLeader, .stopLeader, .isolateLeader, .deafLeader, .muteLeader: victim = leader
        case .killAgent, .stopAgent, .wipeAgent, .isolateAgent, .deafAgent, .muteAgent,
            .loseBursts:
            victim = agent
        }
        let time = Int(uptime() - began)
        story.append("\(time) s: \(fault) \(victim.node) for \(seconds) s")
        switch fault {
        case .killServer, .killLeader, .killAgent: try kill(victim, seconds)
        case .wipeServer, .wipeAgent: try wipe(victim, seconds)
        case .stopServer, .stopLeader, .stopAgent:
            victim.process?.signal(SIGSTOP)
            pause(seconds)
            victim.process?.signal(SIGCONT)
        case .isolateServer, .isolateLeader, .isolateAgent:
            cut(victim, hears: false, isHeard: false, seconds)
        case .deafLeader, .deafAgent: cut(victim, hears: false, isHeard: true, seconds)
        case .muteLeader, .muteAgent: cut(victim, hears: true, isHeard: false, seconds)
        case .loseBursts: loseBursts(seconds)
        }
        try recover()
    }

    /// Half of the time its supervisor dies too.
    private func kill(_ victim: Server, _ seconds: Double) throws {
        if Bool.random() { victim.crash() } else { victim.crashWithSupervisor() }
        pause(seconds)
        try victim.launch()
    }

    private func wipe(_ victim: Server, _ seconds: Double) throws {
        victim.crashWithSupervisor()
        removeTree(victim.dataDirectory)
        pause(seconds)
        try victim.launch()
    }

    private func cut(_ victim: Server, hears: Bool, isHeard: Bool, _ seconds: Double) {
        guard let network, let own = nodes.firstIndex(where: { $0 === victim }) else { return }
        for other in nodes.indices where other != own {
            if !isHeard { network.cut(from: own, to: other) }
            if !hears { network.cut(from: other, to: own) }
        }
        pause(seconds)
        network.heal()
    }

    /// Packets get lost, a few links at a time, each for some hundredths of a second.
    private func loseBursts(_ seconds: Double) {
        guard let network else { return }
        let end = uptime() + seconds
        while uptime() < end {
            for _ in 0..<4 {
                let pair = nodes.indices.shuffled().prefix(2)
                network.cut(from: pair[0], to: pair[1])
            }
            usleep(.random(in: 10_000...60_000))
            network.heal()
            usleep(.random(in: 10_000...60_000))
        }
    }

    /// Whatever struck must not need a hand afterwards.
    private mutating func recover() throws {
        let isWhole = eventually(40) {
            guard nodes.allSatisfy(\.isServing), let any = servers.first(where: RealCluster.leads)
            else { return false }
            let alive = RealCluster.names(on: any, status: "alive")
            let seats = any.get("/v1/raft/peers", timeout: 2)?.json.elements ?? []
            return alive == nodes.map(\.node).sorted()
                && seats.count { $0["voter"].bool == true } == 3 && seats.count == 3
        }
        guard !isWhole else { return }
        for node in nodes { story.append("\(node.node): \(node.log.suffix(1_500))") }
        try #require(isWhole, "not whole again: \(story.suffix(8).joined(separator: "\n"))")
    }

    // MARK: Judgement

    /// Ends the ticks and waits until nothing runs and all servers know the same.
    mutating func settle() throws {
        pause(2)
        for job in Self.jobs {
            let answer = servers[0].send("POST", "/v1/jobs/\(job)/toggle")
            #expect(answer?.json["disabled"].bool == true, "\(answer?.text ?? "")")
        }
        let isQuiet = eventually(120) {
            Self.jobs.allSatisfy { job in
                !executions(of: job).contains {
                    ["pending", "running"].contains($0["state"].string ?? "")
                }
            }
        }
        if !isQuiet { findings.append("executions did not end") }
        for job in Self.jobs {
            for list in ["ticks", "executions"] {
                let path = "/v1/jobs/\(job)/\(list)?_end=1000000&output_size_limit=0"
                let agree = eventually(20) {
                    let right = servers[0].get(path)?.text
                    return right != nil
                        && servers.allSatisfy { $0.get(path + "&stale")?.text == right }
                }
                if !agree { findings.append("the servers do not agree on \(list) of \(job)") }
            }
        }
    }

    private func executions(of job: String) -> [JSON] {
        servers[0].get("/v1/jobs/\(job)/executions?_end=1000000&output_size_limit=0")?.json.elements
            ?? []
    }

    mutating func check() {
        let lines = readText(runs).split(separator: "\n").map { $0.split(separator: " ") }
        runCount = lines.count
        var ran: [String: Int] = [:]
        for line in lines { ran[String(line.first ?? ""), default: 0] += 1 }
        findings += ran.filter { $0.value > 1 }.map { "\($0.key) ran \($0.value) times" }
        var known: Set<String> = []
        for job in Self.jobs {
            let ledger = Ledger(of: job, on: servers[0])
            findings += ledger.gaps(every: 1).map { "\(job): gap: \($0)" }
            findings += ledger.repeatedGroups.map { "\(job): group \($0) in two rows" }
            for row in ledger.rows {
                let what = row.reason.map { "\(row.outcome) (\($0))" } ?? row.outcome
                counts[what, default: 0] += Int(row.to - row.from) + 1
            }
            let groups = Set(ledger.rows.compactMap(\.group))
            for execution in executions(of: job) {
                let id = execution["id"].string ?? ""
                let state = execution["state"].string ?? ""
                known.insert(id)
                counts[state, default: 0] += 1
                if state == "success", ran[id] == nil {
                    findings.append("\(job): \(id) succeeded and never ran")
                }
                if state == "failed", ran[id] != nil, execution["exit_code"].integer == nil {
                    findings.append("\(job): \(id) ran: \(execution["error"].string ?? "failed")")
                }
                if let group = execution["group"].integer, !groups.contains(group) {
                    findings.append("\(job): \(id) is of no tick")
                }
            }
        }
        findings += ran.keys.filter { !known.contains($0) }.map { "\($0) ran, and nobody knows it" }
    }

    var summary: String {
        let outcomes = counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        let faults = story.count { $0.contains(" s: ") }
        return "\(faults) faults in \(Int(uptime() - began)) s: "
            + "\(outcomes.joined(separator: ", ")); \(runCount) commands ran, "
            + "\(findings.count) findings"
    }
}
