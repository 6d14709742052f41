// The promise behind the ledger, tried on the real thing: killed at any instant, nothing that was
// acknowledged is lost, nothing runs twice, and every second of every job is accounted for.

import Glibc
import Testing

extension EndToEnd {
    @Suite("Killed at random moments", .serialized)
    struct CrashTests {
        /// `END_TO_END_KILLS=200` for the long form.
        static let rounds = getenv("END_TO_END_KILLS").flatMap { Int(String(cString: $0)) } ?? 20

        @Test("no acknowledged job, tick or result is lost, none is repeated")
        func killAndRestart() throws {
            let server = Server("crash")
            var load = try CrashLoad(server)
            for round in 0..<Self.rounds {
                try load.run(round: round)
                try server.start()
                try load.checkAfterRestart()
            }
            try load.settle()
            load.checkLedgers()
            load.checkStarts()
            #expect(load.faults.isEmpty, "\(load.faults.prefix(30).joined(separator: "\n"))")
            print(
                """
                \(Self.rounds) kills: \(load.jobs.count) jobs, \(load.keys.count) runs on request, \
                \(load.seen.count) results seen before a kill, \(load.starts) starts
                """)
        }
    }
}

/// Clients of one server that keep notes of everything it acknowledged.
private struct CrashLoad {
    static let tickers = ["tick-a", "tick-b", "tick-forbid"]
    /// Runs on request stay well within the groups that are kept of a job.
    static let requestLimit = 1_000

    let server: Server
    /// What each acknowledged job must say in `owner`; two texts where the last save got no answer.
    private(set) var jobs: [String: Set<String>] = [:]
    /// Idempotency keys of runs that were asked for, acknowledged or not.
    private(set) var keys: [String] = []
    /// State of every ended execution that was ever seen, by id.
    private(set) var seen: [String: String] = [:]
    private(set) var faults: [String] = []
    private(set) var starts = 0
    private var serial = 0

    init(_ server: Server) throws {
        self.server = server
        try server.start()
        let settings = #"{"group_retention": 5000, "ledger_retention": 50000}"#
        try #require(server.send("PUT", "/v1/settings", settings)?.status == 200)
        for name in Self.tickers {
            let isForbid = name == "tick-forbid"
            try server.save(
                shellJob(
                    name, Self.command(server.scratch.path(name), sleep: isForbid ? "0.3" : "0"),
                    schedule: "@every 1s",
                    more: #", "concurrency": "\#(isForbid ? "forbid" : "allow")""#))
        }
        let counting = Self.command(server.scratch.path("asked"), sleep: "0")
        try server.save(shellJob("asked", counting))
    }

    /// Appends a line when it begins and one when it ends; prints its id.
    private static func command(_ file: String, sleep: String) -> String {
        """
        echo "begin $DKRON_EXECUTION_ID" >> \(file); sleep \(sleep); \
        echo "end $DKRON_EXECUTION_ID" >> \(file); echo "ran $DKRON_EXECUTION_ID"
        """
    }

    // MARK: Load

    /// Works until the agent, and in some rounds its supervisor with it, has been killed.
    mutating func run(round: Int) throws {
        let delay = Double.random(in: 0.05...1.2)
        let victims = round % 3 == 2 ? server.supervisors : []
        let order = ([server.processID] + victims).shuffled().map(String.init)
        let killer = try ChildProcess(
            ["/bin/sh", "-c", "sleep \(delay); kill -9 \(order.joined(separator: " "))"],
            log: server.scratch.path("killer"))
        while server.process?.poll() == nil {
            serial += 1
            switch serial % 4 {
            case 0: saveNew()
            case 1: saveAgain()
            case 2: askForRun()
            default: noteResults()
            }
        }
        killer.wait(10)
    }

    private mutating func saveNew() { save("load-\(serial)") }

    private mutating func saveAgain() {
        if let name = jobs.keys.randomElement() { save(name) }
    }

    private mutating func save(_ name: String) {
        let owner = "owner \(serial)"
        let answer = server.send(
            "POST", "/v1/jobs", shellJob(name, "true", more: #", "owner": "\#(owner)""#))
        switch answer?.status {
        case 201: jobs[name] = [owner]
        case nil, 503:
            // Nobody knows; a job that was there must still be, in one of the two forms.
            if jobs[name] != nil { jobs[name]?.insert(owner) }
        case let status?: faults.append("saving \(name): \(status) \(answer?.text ?? "")")
        }
    }

    private mutating func askForRun() {
        guard keys.count < Self.requestLimit else { return }
        let key = "key-\(serial)"
        keys.append(key)
        let answer = ask(key)
        if let status = answer?.status, ![200, 202, 503].contains(status) {
            faults.append("run \(key): \(status) \(answer?.text ?? "")")
        }
    }

    private func ask(_ key: String) -> Answer? {
        server.send("POST", "/v1/jobs/asked/run?wait=0", headers: [("Idempotency-Key", key)])
    }

    private mutating func noteResults() {
        for name in Self.tickers + ["asked"] {
            for execution in server.executions(of: name) { note(execution) }
        }
    }

    /// Once ended, an execution keeps its state for ever.
    private mutating func note(_ execution: JSON) {
        guard let id = execution["id"].string, let state = execution["state"].string,
            !["pending", "running"].contains(state)
        else { return }
        if let before = seen[id], before != state {
            faults.append("execution \(id) was \(before), now \(state)")
        }
        seen[id] = state
        if state == "success", execution["output"].string != "ran \(id)\n" {
            faults.append("execution \(id) printed \(execution["output"].string ?? "nothing")")
        }
    }

    // MARK: Checks

    mutating func checkAfterRestart() throws {
        let stored = try #require(server.get("/v1/jobs?_end=100000")?.json.elements)
        var owners: [String: String] = [:]
        for job in stored { owners[job["name"].string ?? ""] = job["owner"].string }
        for (name, allowed) in jobs {
            guard let owner = owners[name], allowed.contains(owner) else {
                faults.append("job \(name): \(owners[name] ?? "gone"), not \(allowed)")
                continue
            }
            jobs[name] = [owner]
        }
        noteResults()
    }

    /// Asks again for every run whose answer may be missing, stops the ticks and waits until
    /// nothing runs.
    mutating func settle() throws {
        for key in keys where ![200, 202].contains(ask(key)?.status ?? 0) {
            faults.append("run \(key) was not taken again")
        }
        pause(1.2)
        for name in Self.tickers {
            let answer = server.send("POST", "/v1/jobs/\(name)/toggle")
            if answer?.json["disabled"].bool != true { faults.append("\(name) was not disabled") }
        }
        let names = Self.tickers + ["asked"]
        let isQuiet = eventually(30) {
            names.allSatisfy { name in
                !server.executions(of: name).contains {
                    ["pending", "running"].contains($0["state"].string ?? "")
                }
            }
        }
        if !isQuiet { faults.append("executions did not end") }
        noteResults()
    }

    /// Every second has exactly one outcome. A restart takes less than the ten seconds within
    /// which a tick still runs, so none may be missed; `forbid` may skip for an overlap.
    mutating func checkLedgers() {
        for name in Self.tickers {
            let ledger = Ledger(of: name, on: server)
            faults += ledger.gaps(every: 1).map { "\(name): gap: \($0)" }
            faults += ledger.repeatedGroups.map { "\(name): group \($0) in two rows" }
            let wrong = ledger.rows.filter { $0.outcome != "ran" && $0.reason != "overlap" }
            faults += wrong.map { "\(name): \($0.text)" }
            if name != "tick-forbid", ledger.outcomes != ["ran"] {
                faults.append("\(name): \(ledger.outcomes)")
            }
        }
    }

    /// What really ran, by the lines that the commands wrote themselves.
    mutating func checkStarts() {
        for name in Self.tickers + ["asked"] {
            let lines = readText(server.scratch.path(name)).split(separator: "\n")
            let begun = lines.filter { $0.hasPrefix("begin ") }.map { String($0.dropFirst(6)) }
            let ended = Set(lines.filter { $0.hasPrefix("end ") }.map { String($0.dropFirst(4)) })
            starts += begun.count
            if Set(begun).count != begun.count { faults.append("\(name): an id started twice") }
            let executions = server.executions(of: name)
            let known = Set(executions.compactMap { $0["id"].string })
            faults += Set(begun).subtracting(known).map { "\(name): \($0) ran, nobody knows it" }
            for execution in executions where execution["state"].string == "success" {
                let id = execution["id"].string ?? ""
                if !ended.contains(id) { faults.append("\(name): \(id) is told to have succeeded") }
            }
            if name == "tick-forbid" { checkOverlap(lines.map(String.init)) }
            if name == "asked" { checkAsked(executions) }
        }
    }

    /// Of `forbid`, none ends after another has begun: those cut short never end at all.
    private mutating func checkOverlap(_ lines: [String]) {
        var current = ""
        for line in lines {
            let id = String(line.drop { $0 != " " })
            if line.hasPrefix("begin ") { current = id }
            if line.hasPrefix("end "), id != current {
                faults.append("tick-forbid:\(id) ran beside\(current)")
            }
        }
    }

    /// One group for each key, however often it was repeated.
    private mutating func checkAsked(_ executions: [JSON]) {
        let groups = Set(executions.compactMap { $0["group"].integer })
        if groups.count != keys.count {
            faults.append("asked: \(keys.count) keys made \(groups.count) groups")
        }
    }
}
