// Documents of jobs: every field that a user can set, schedules that are due within the run, and
// commands whose behaviour is written in their text.

import Core

struct JobDrafts {
    private let swarm: Swarm
    var draws: DrawStream

    init(swarm: Swarm, draws: DrawStream) {
        self.swarm = swarm
        self.draws = draws
    }

    mutating func body(_ name: String, at time: Duration, mayBeChild: Bool = true) -> String {
        var members = [("name", NaiveJSON.string(name))]
        members += self.members(at: time, name: name, mayBeChild: mayBeChild)
        return NaiveJSON.object(members.map { NaiveJSON.Member(name: $0.0, value: $0.1) }).json
    }

    /// Everything but the name.
    mutating func members(
        at time: Duration, name: String, mayBeChild: Bool = true
    ) -> [(String, NaiveJSON)] {
        var members: [(String, NaiveJSON)] = []
        let period = draws.logScale(swarm.shortestPeriod, max(.minutes(1), swarm.horizon))
        if mayBeChild, draws.chance(1, 6) {
            members.append(("parent_job", .string(draws.element(["a", "b", "c", "d"]))))
        } else {
            members.append(("schedule", .string(schedule(period, at: time))))
        }
        let executor = executor()
        members.append(("executor", .string(executor)))
        let config =
            switch executor {
            case "http": httpConfig(period)
            case "nats": natsConfig()
            case _ where swarm.executors.contains(executor): pluginConfig(period)
            default: executorConfig(period)
            }
        members.append(("executor_config", .object(config)))
        addPolicies(&members)
        if draws.chance(1, 4) { members.append(("processors", processors())) }
        addWindow(&members, at: time)
        if swarm.agents > 0, draws.chance(1, 2) {
            members.append(("tags", agentTags()))
        } else if draws.chance(1, 6) {
            members.append(("tags", tags()))
        }
        if draws.chance(1, 8) { members.append(("owner", .string(draws.element(["ops", "ü"])))) }
        if draws.chance(1, 2) {
            let owner = draws.element(["a@mail.sim", "a@mail.sim, b@mail.sim", "nobody", ","])
            members.append(("owner_email", .string(owner)))
        }
        if draws.chance(1, 4) {
            members.append(("notify_on", .string(draws.element(["failure", "always"]))))
        }
        if draws.chance(1, 8) { members.append(("displayname", .string("Job \(name) \"x\""))) }
        if draws.chance(1, 10) {
            members.append(("metadata", .object([.init(name: "team", value: .string("ops"))])))
        }
        return members
    }

    private mutating func executor() -> String {
        if !swarm.executors.isEmpty, draws.chance(1, 2) { return draws.element(swarm.executors) }
        return draws.chance(1, 40) ? "no-such-executor" : draws.element(Self.executors)
    }

    private mutating func addPolicies(_ members: inout [(String, NaiveJSON)]) {
        if draws.chance(3, 5) {
            let policy = draws.element(["allow", "forbid", "forbid", "replace", "replace", ""])
            members.append(("concurrency", .string(policy)))
        }
        if draws.chance(2, 5) {
            members.append(("catch_up", .string(draws.element(["latest", "all", "none"]))))
        }
        if draws.chance(1, 5) {
            let window = draws.element(["30s", "1m", "3m", "10m", "1h"])
            members.append(("catch_up_window", .string(window)))
        }
        if draws.chance(2, 5) {
            members.append(("retries", .number("\(draws.int(0...5))")))
        }
        if draws.chance(1, 12) { members.append(("ephemeral", .bool(true))) }
        if draws.chance(1, 15) { members.append(("disabled", .bool(true))) }
        if draws.chance(1, 12) { members.append(("fence", .bool(draws.chance(1, 2)))) }
        if draws.chance(1, 8) {
            members.append(("lost_after", .string(draws.element(["30s", "1m", "10m"]))))
        }
        if draws.chance(1, 4) {
            members.append(("dst", .string(draws.element(["once", "literal"]))))
        }
        if draws.chance(1, 3) {
            members.append(("timezone", .string(draws.element(ZoneFiles.zones).name)))
        }
    }

    private mutating func processors() -> NaiveJSON {
        let names = draws.element([
            ["log"], ["p"], ["p", "log"], ["q", "files", "p"], ["q", "p"],
        ])
        var list: [NaiveJSON.Member] = []
        for name in names {
            var settings: [NaiveJSON.Member] = []
            if name == "p" || name == "q" {
                let does = draws.element([
                    "nothing", "fails", "hangs", "overrules", "replaces", "appends",
                ])
                settings.append(.init(name: "does", value: .string(does)))
            } else if draws.chance(1, 2) {
                settings.append(.init(name: "forward", value: .bool(draws.chance(1, 2))))
            }
            list.append(.init(name: name, value: .object(settings)))
        }
        return .object(list)
    }

    private mutating func addWindow(_ members: inout [(String, NaiveJSON)], at time: Duration) {
        if draws.chance(1, 10) { members.append(("starts_at", .string(moment(after: time)))) }
        if draws.chance(1, 10) { members.append(("expires_at", .string(moment(after: time)))) }
    }

    private mutating func tags() -> NaiveJSON {
        let choices = [
            ("dkron_server", "true:1"), ("server", "true"), ("role", "web"), ("role", "web:2"),
            ("role", "db"), ("nowhere", "x"), ("region", "global"),
        ]
        let (name, value) = draws.element(choices)
        return .object([.init(name: name, value: .string(value))])
    }

    /// Agents, some of them, or those of one room.
    private mutating func agentTags() -> NaiveJSON {
        var tags: [NaiveJSON.Member] = []
        if draws.chance(2, 3) {
            let kind = draws.element(["agent", "agent:1", "agent:1", "agent:2", "agent:5"])
            tags.append(.init(name: "kind", value: .string(kind)))
        }
        if tags.isEmpty || draws.chance(1, 4) {
            let room = draws.element(["0", "1", "2", "0:1", "1:2"])
            tags.append(.init(name: "room", value: .string(room)))
        }
        return .object(tags)
    }

    /// A moment of the run after `time`.
    private mutating func moment(after time: Duration) -> String {
        let rest = max(.seconds(2), swarm.horizon - time)
        let at = time + draws.duration(.seconds(1), rest)
        var nanoseconds = swarm.epoch * 1_000_000_000 + at.nanoseconds
        if draws.chance(2, 3) { nanoseconds -= nanoseconds % 1_000_000_000 }
        return oracleTimeText(nanoseconds)
    }

    // MARK: Schedules

    private mutating func schedule(_ period: Duration, at time: Duration) -> String {
        switch draws.weighted([30, 25, 20, 5, 8, 5, 7]) {
        case 0: return "@every \(every(period))"
        case 1: return repeating(period)
        case 2: return zonePrefix() + pinned(after: time)
        case 3: return "@at \(moment(after: time))"
        case 4: return zonePrefix() + hashed()
        case 5: return draws.element(["@hourly", "@daily", "@minutely", "@manually", "@weekly"])
        default:
            return draws.element(
                ["0 0 29 2 *", "*/5 * * * *", "0 0 * * *", "30 2 * * *", "0 0 1 * *"])
        }
    }

    private mutating func every(_ period: Duration) -> String {
        let seconds = max(1, period.wholeSeconds)
        switch draws.int(0...3) {
        case 0 where seconds > 120: return "\(seconds / 60)m\(seconds % 60)s"
        case 1: return "\(seconds).5s"
        default: return "\(seconds)s"
        }
    }

    /// A pattern that comes again about every `period`.
    private mutating func repeating(_ period: Duration) -> String {
        let seconds = Int(period.wholeSeconds)
        let zone = zonePrefix()
        if seconds < 60 {
            let step = max(1, seconds)
            return zone + draws.element(["*/\(step) * * * * *", "0-59/\(step) * * * * ?"])
        }
        let minutes = min(59, seconds / 60)
        if seconds < 3_600 {
            return zone + "\(draws.int(0...59)) */\(minutes) * * * *"
        }
        let hours = min(23, seconds / 3_600)
        let hour = draws.element(["*/\(hours)", "0-23/\(hours)", "*"])
        return zone + "0 \(draws.int(0...59)) \(hour) * * \(draws.element(["*", "?", "0-7"]))"
    }

    /// Fields that match one moment of the run, in the zone that the job will be read in.
    private mutating func pinned(after time: Duration) -> String {
        let rest = max(.seconds(2), swarm.horizon - time)
        let at = swarm.epoch + (time + draws.duration(.seconds(1), rest)).wholeSeconds
        let offset = ZoneFiles.oracles[swarm.zone]!.offset(at: at)
        let civil = OracleCivil(seconds: at + offset)
        let day = draws.element(["*", "*", "\(civil.day)"])
        let month = draws.element(["*", "\(civil.month)"])
        let weekday = draws.element(["*", "?", "\(civil.weekday)"])
        let hours = draws.element(["\(civil.hour)", "\(civil.hour),\((civil.hour + 1) % 24)"])
        let minute = draws.element(["\(civil.minute)", "\(civil.minute),30", "0,30"])
        return "\(civil.second) \(minute) \(hours) \(day) \(month) \(weekday)"
    }

    private mutating func hashed() -> String {
        draws.element([
            "~ * * * * *", "0 ~ * * * *", "~ ~/10 * * * *", "~/20 * * * * *", "0 0~30 * * * *",
            "0 0 ~ * * *", "~ ~ ~ ~ ~ *", "0 0 0 * * ~",
        ])
    }

    private mutating func zonePrefix() -> String {
        draws.chance(1, 6) ? "CRON_TZ=\(draws.element(ZoneFiles.zones).name) " : ""
    }

    // MARK: Requests

    private static let executors = ["shell", "shell", "shell", "http"]

    private mutating func httpConfig(_ period: Duration) -> [NaiveJSON.Member] {
        var query: [String] = []
        let mean = PlanGenerator.rounded(draws.logScale(.milliseconds(10), period * 2))
        query.append(draws.element(["run=exp:\(mean)", "run=\(mean)", "run=0s"]))
        if draws.chance(1, 2) { query.append("out=\(draws.element([1, 300, 70_000, 300_000]))") }
        for (text, chance) in Self.oddities where draws.chance(1, chance) { query.append(text) }
        var method = draws.element(["GET", "GET", "POST", "PUT", "HEAD", "get"])
        var members: [NaiveJSON.Member] = []
        func add(_ name: String, _ value: String) {
            members.append(.init(name: name, value: .string(value)))
        }
        if draws.chance(1, 6) {
            query.append("redirect=\(draws.element([1, 3, 11]))")
            query.append("via=\(draws.element([301, 303, 307, 308]))")
            if draws.chance(1, 2) { query.append("to=other.sim") }
        }
        if draws.chance(1, 5) {
            let wanted = draws.element(["ab", "xyz", "q"])
            add(
                "expectBody",
                draws.element([
                    wanted, "(\(wanted))+", "[\(wanted.prefix(1))]\(wanted.dropFirst())",
                ]))
            if method == "HEAD" { method = "GET" }
        }
        let host = draws.weighted([20, 2, 2, 1, 1, 1])
        let hosts = [
            "peer.sim", "10.0.0.1:8080", "half.sim", "refusing.sim", "silent.sim", "nowhere.sim",
        ]
        add("method", method)
        add("url", "http://\(hosts[host])/?\(query.joined(separator: "&"))")
        if draws.chance(1, 2) { add("expectCode", draws.element(["200", "200, 201", "500"])) }
        if draws.chance(1, 3) { add("headers", #"["Authorization: Bearer a:b"]"#) }
        if draws.chance(1, 4) { add("body", "payload") }
        if draws.chance(1, 3) { add("timeout", draws.element(["1", "7", "90s", "300"])) }
        return members
    }

    /// What a server does, and one in how many does it.
    private static let oddities: [(String, UInt64)] = [
        ("fail=1/3", 4), ("hang=1/4", 8), ("cut=1/4", 8), ("stale=1/2", 3), ("chunk=1", 4),
        ("close=1", 6), ("eof=1", 8), ("interim=1", 10), ("bin=1", 8), ("status=204", 12),
    ]

    // MARK: Commands

    private mutating func executorConfig(_ period: Duration) -> [NaiveJSON.Member] {
        var words = ["sim"]
        let mean = draws.logScale(.milliseconds(10), period * 2)
        var isEndless = false
        switch draws.weighted([60, 20, 15, 5]) {
        case 0: words.append("run=exp:\(PlanGenerator.rounded(mean))")
        case 1: words.append("run=\(PlanGenerator.rounded(mean))")
        case 2: words.append("run=0s")
        default:
            words.append("run=forever")
            isEndless = true
        }
        if draws.chance(1, 2) {
            words.append("out=\(draws.element([1, 10, 300, 3_000, 70_000, 300_000]))")
            if draws.chance(1, 4) { words.append("bin=1") }
        }
        if draws.chance(1, 3) { words.append("fail=\(draws.element(["1/5", "1/2", "1"]))") }
        if draws.chance(1, 10) { words.append("signal=1/5") }
        if draws.chance(1, 15) { words.append("refuse=1/4") }
        if draws.chance(1, 10) { words.append("hold=\(draws.element(["1s", "20s"]))") }
        if draws.chance(1, 10) { words.append("ignoreterm=1/2") }
        var members = [
            NaiveJSON.Member(
                name: "command", value: .string(words.joined(separator: " ")))
        ]
        if isEndless || draws.chance(1, 4) {
            let timeout = draws.logScale(.seconds(1), max(.seconds(2), period * 2))
            members.append(
                .init(name: "timeout", value: .string("\(max(1, timeout.wholeSeconds))s")))
        }
        if draws.chance(1, 8) {
            let name = draws.element(["common", "rare"])
            members.append(.init(name: "env", value: .string("TOKEN=${secret:\(name)}")))
        }
        return members
    }
}
