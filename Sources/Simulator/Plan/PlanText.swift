// Plans as text: one line per item, so that differences read well. The format is its own
// documentation; see SimTests/Regressions for examples.
//
//     plan v1 seed=42 servers=3 agents=2 horizon=5m
//     set clock.class=bounded
//     at 1.2s client 1 POST /v1/jobs {"name":"a","schedule":"@every 10s"}
//     at 30s crash s1 power tear=subset restart=4s
//     on append#17 crash s1 process restart=0s
//     on send#40 of s2 crash leader process restart=2s
//     at 40s partition {leader} from rest oneway=out for 20s
//     at 41s clog s1 to follower#2 for 3s
//     at 42s partition {a1} from {leader} channel=gossip for 20s
//     at 42s pause a2 30s

import Core

struct PlanError: Error, CustomStringConvertible {
    var line: Int
    var message: String
    var description: String { "line \(line): \(message)" }
}

extension Plan {
    init(parsing text: String, name: String) throws(PlanError) {
        self.name = name
        var sawHeader = false
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            var line = raw
            while line.first == " " { line = line.dropFirst() }
            if line.isEmpty || line.first == "#" { continue }
            do throws(PlanMistake) {
                if line.hasPrefix("plan ") {
                    try parseHeader(line)
                    sawHeader = true
                } else if line.hasPrefix("set ") {
                    for word in line.dropFirst(4).split(separator: " ") {
                        let pair = try Self.pair(word)
                        set(String(pair.name), String(pair.value))
                    }
                } else {
                    items.append(try Item(parsing: line))
                }
            } catch {
                throw PlanError(line: index + 1, message: error.message)
            }
        }
        guard servers > 0, agents >= 0, servers + agents <= Self.mostNodes else {
            throw PlanError(
                line: 1,
                message: "a plan has one server at least and \(Self.mostNodes) nodes at most")
        }
        guard sawHeader else { throw PlanError(line: 1, message: "no line begins with 'plan v1'") }
    }

    private mutating func parseHeader(_ line: Substring) throws(PlanMistake) {
        for word in line.split(separator: " ").dropFirst(2) {
            let (key, value) = try Self.pair(word)
            switch key {
            case "seed":
                guard let seed = UInt64(value) else { throw PlanMistake("seed \(value)") }
                self.seed = seed
            case "servers":
                guard let servers = Int(value) else { throw PlanMistake("servers \(value)") }
                self.servers = servers
            case "agents":
                guard let agents = Int(value) else { throw PlanMistake("agents \(value)") }
                self.agents = agents
            case "horizon":
                guard let horizon = parseDuration(value) else {
                    throw PlanMistake("horizon \(value)")
                }
                self.horizon = horizon
            default: throw PlanMistake("unknown header field \(key)")
            }
        }
    }

    static func pair(
        _ word: Substring
    ) throws(PlanMistake) -> (name: Substring, value: Substring) {
        guard let mark = word.firstIndex(of: "=") else {
            throw PlanMistake("'\(word)' is not name=value")
        }
        return (word[..<mark], word[word.index(after: mark)...])
    }

    var text: String {
        let agents = agents > 0 ? " agents=\(agents)" : ""
        var lines = [
            "plan v1 seed=\(seed) servers=\(servers)\(agents) horizon=\(durationText(horizon))"
        ]
        for setting in settings { lines.append("set \(setting.name)=\(setting.value)") }
        for item in items { lines.append(item.text) }
        return lines.joined(separator: "\n") + "\n"
    }
}

struct PlanMistake: Error {
    var message: String
    init(_ message: String) { self.message = message }
}

extension Plan.Item {
    init(parsing line: Substring) throws(PlanMistake) {
        var words = Words(line)
        switch try words.next() {
        case "at":
            let text = try words.next()
            guard let time = parseDuration(text) else { throw PlanMistake("time \(text)") }
            when = .at(time)
        case "on":
            let parts = try words.next().split(separator: "#")
            guard parts.count == 2, let kind = EffectKind(rawValue: String(parts[0])),
                let count = Int(parts[1])
            else { throw PlanMistake("'on' wants KIND#NUMBER") }
            var node = Plan.Target.server(0)
            var ahead = words
            if try ahead.next() == "of" {
                node = try ahead.target()
                guard node.isFixed else { throw PlanMistake("'of' wants a server or an agent") }
                words = ahead
            }
            when = .onEffect(kind, count, of: node)
        case let other: throw PlanMistake("a line begins with 'at' or 'on', not '\(other)'")
        }
        action = try Plan.Action(parsing: &words)
    }

    var text: String {
        let begin =
            switch when {
            case .at(let time): "at \(durationText(time))"
            case .onEffect(let kind, let count, let node):
                "on \(kind.rawValue)#\(count)" + (node == .server(0) ? "" : " of \(node.text)")
            }
        return begin + " " + action.text
    }
}

/// Takes a line apart word by word.
struct Words {
    var rest: Substring

    init(_ line: Substring) { rest = line }

    mutating func next() throws(PlanMistake) -> Substring {
        while rest.first == " " { rest = rest.dropFirst() }
        let word = rest.prefix { $0 != " " }
        guard !word.isEmpty else { throw PlanMistake("the line ends too early") }
        rest = rest.dropFirst(word.count)
        return word
    }

    /// The remaining `name=value` words.
    mutating func options() throws(PlanMistake) -> [Substring: Substring] {
        var found: [Substring: Substring] = [:]
        for word in rest.split(separator: " ") {
            let (name, value) = try Plan.pair(word)
            found[name] = value
        }
        rest = ""
        return found
    }

    mutating func duration() throws(PlanMistake) -> Duration {
        let word = try next()
        guard let duration = parseDuration(word) else { throw PlanMistake("duration \(word)") }
        return duration
    }

    mutating func target() throws(PlanMistake) -> Plan.Target {
        let word = try next()
        return try Self.target(word)
    }

    private static func target(_ word: Substring) throws(PlanMistake) -> Plan.Target {
        if word == "leader" { return .leader }
        if word == "minority" { return .minority }
        if word.hasPrefix("follower#"), let number = Int(word.dropFirst(9)), number > 0 {
            return .follower(number)
        }
        guard let number = Int(word.dropFirst()), number > 0 else {
            throw PlanMistake("target \(word)")
        }
        switch word.first {
        case "s": return .server(number - 1)
        case "a": return .agent(number - 1)
        default: throw PlanMistake("target \(word)")
        }
    }

    /// One target, or several in braces; nil for `rest`.
    mutating func targets() throws(PlanMistake) -> [Plan.Target]? {
        let word = try next()
        if word == "rest" { return nil }
        guard word.first == "{" else { return [try Self.target(word)] }
        guard word.last == "}" else { throw PlanMistake("targets \(word)") }
        var found: [Plan.Target] = []
        for part in word.dropFirst().dropLast().split(separator: ",") {
            found.append(try Self.target(part))
        }
        return found
    }

    /// Takes a word that must come here.
    mutating func expect(_ wanted: String) throws(PlanMistake) {
        let word = try next()
        guard word == wanted else { throw PlanMistake("'\(wanted)' is missing before '\(word)'") }
    }

    mutating func directory() throws(PlanMistake) -> StorageDirectory {
        let word = try next()
        guard let found = StorageDirectory.allCases.first(where: { $0.name == word }) else {
            throw PlanMistake("directory \(word)")
        }
        return found
    }
}

extension Plan.Action {
    init(parsing words: inout Words) throws(PlanMistake) {
        let verb = try words.next()
        switch verb {
        case "client": self = try Self.request(&words)
        case "crash":
            let target = try words.target()
            let kindWord = try words.next()
            guard let kind = Plan.CrashKind(rawValue: String(kindWord)) else {
                throw PlanMistake("crash of '\(kindWord)'")
            }
            let options = try words.options()
            self = .crash(
                target, kind, tear: options["tear"].flatMap { TearMode(rawValue: String($0)) },
                restartAfter: options["restart"].flatMap { parseDuration($0) } ?? .seconds(1))
        case "stop", "detach", "leave":
            let target = try words.target()
            let options = try words.options()
            let restart = options["restart"].flatMap { parseDuration($0) } ?? .seconds(1)
            switch verb {
            case "stop": self = .stop(target, restartAfter: restart)
            case "detach": self = .detach(target, restartAfter: restart)
            default: self = .leave(target, restartAfter: restart)
            }
        case "pause": self = .pause(try words.target(), for: try words.duration())
        case "reload": self = try Self.reload(&words)
        case "disk": self = .disk(try words.target(), try Self.diskFault(&words))
        case "clock": self = .clock(try words.target(), try Self.clockFault(&words))
        case "zone":
            let name = String(try words.next())
            self = .zone(name, isPresent: try words.next() == "present")
        case "partition": self = try Self.partition(&words)
        case "clog":
            let from = try words.target()
            try words.expect("to")
            let to = try words.target()
            try words.expect("for")
            self = .clog(from, to: to, for: try words.duration())
        case "lossy":
            guard let perMille = Int(try words.next()) else { throw PlanMistake("lossy by what") }
            try words.expect("for")
            self = .lossy(perMille, for: try words.duration())
        case "note": self = .note(String(words.rest))
        default: throw PlanMistake("unknown action '\(verb)'")
        }
    }

    /// `partition {s1,s2} from rest for 20s`, in one direction with `oneway=out` or `oneway=in`,
    /// of one kind of traffic with `channel=peers` or `channel=gossip`.
    private static func partition(_ words: inout Words) throws(PlanMistake) -> Plan.Action {
        guard let side = try words.targets() else { throw PlanMistake("a partition of what") }
        try words.expect("from")
        let rest = try words.targets()
        var direction = Plan.Direction.both
        var word = try words.next()
        if word.hasPrefix("oneway=") {
            guard let found = Plan.Direction(rawValue: String(word.dropFirst(7))) else {
                throw PlanMistake("direction \(word)")
            }
            direction = found
            word = try words.next()
        }
        var channel: Network.Channel?
        if word.hasPrefix("channel=") {
            channel = Network.Channel.allCases.first { "\($0)" == word.dropFirst(8) }
            guard channel != nil else { throw PlanMistake("channel \(word)") }
            word = try words.next()
        }
        guard word == "for" else { throw PlanMistake("'for' is missing before '\(word)'") }
        return .partition(
            side, from: rest, direction, on: channel, for: try words.duration())
    }

    /// `reload s1`, or with the tags that hold from then on: `reload s1 tags role=web`.
    private static func reload(_ words: inout Words) throws(PlanMistake) -> Plan.Action {
        let target = try words.target()
        guard words.rest.contains(where: { $0 != " " }) else { return .reload(target, tags: nil) }
        guard try words.next() == "tags" else { throw PlanMistake("reload with what") }
        var tags: [Plan.Setting] = []
        for word in words.rest.split(separator: " ") {
            let (name, value) = try Plan.pair(word)
            tags.append(Plan.Setting(name: String(name), value: String(value)))
        }
        words.rest = ""
        return .reload(target, tags: tags)
    }

    private static func request(_ words: inout Words) throws(PlanMistake) -> Plan.Action {
        guard let client = Int(try words.next()) else { throw PlanMistake("client number") }
        var draft = Plan.Draft(method: String(try words.next()), target: "")
        if draft.method == "invalid" {
            draft.isInvalid = true
            draft.method = String(try words.next())
        }
        draft.target = String(try words.next())
        while true {
            while words.rest.first == " " { words.rest = words.rest.dropFirst() }
            guard words.rest.first == "[", let close = words.rest.firstIndex(of: "]"),
                let colon = words.rest[..<close].firstIndex(of: ":")
            else { break }
            let name = words.rest[words.rest.index(after: words.rest.startIndex)..<colon]
            var value = words.rest[words.rest.index(after: colon)..<close]
            while value.first == " " { value = value.dropFirst() }
            draft.headers.append(Plan.Setting(name: String(name), value: String(value)))
            words.rest = words.rest[words.rest.index(after: close)...]
        }
        draft.body = unescaped(words.rest)
        return .request(client: client, draft)
    }

    private static func diskFault(_ words: inout Words) throws(PlanMistake) -> Plan.DiskFault {
        let verb = try words.next()
        switch verb {
        case "full": return .full(for: try words.duration())
        case "readonly": return .readOnly(for: try words.duration())
        case "unreadable": return .unreadable(for: try words.duration())
        case "low": return .low(for: try words.duration())
        case "slow":
            guard let times = Int(try words.next()) else { throw PlanMistake("slow by what") }
            return .slow(times: times, for: try words.duration())
        case "failsync":
            let directory = try words.directory()
            guard let count = Int(try words.next()) else { throw PlanMistake("failsync count") }
            return .failSync(directory, count: count)
        case "damage": return .damage(try words.directory())
        default: throw PlanMistake("unknown fault of a disk '\(verb)'")
        }
    }

    private static func clockFault(_ words: inout Words) throws(PlanMistake) -> Plan.ClockFault {
        let verb = try words.next()
        switch verb {
        case "step": return .step(try words.duration())
        case "strobe": return .strobe(by: try words.duration(), for: try words.duration())
        case "coarse": return .coarse(try words.duration())
        case "right": return .right
        case "slew":
            guard let ppm = Int(try words.next()) else { throw PlanMistake("slew by what") }
            return .slew(ppm: ppm, for: try words.duration())
        default: throw PlanMistake("unknown fault of a clock '\(verb)'")
        }
    }

    var text: String {
        switch self {
        case .request(let client, let draft): return "client \(client) \(draft.text)"
        case .crash(let target, let kind, let tear, let restart):
            let tearing = tear.map { " tear=\($0.rawValue)" } ?? ""
            return
                "crash \(target.text) \(kind.rawValue)\(tearing) restart=\(durationText(restart))"
        case .stop(let target, let restart):
            return "stop \(target.text) restart=\(durationText(restart))"
        case .detach(let target, let restart):
            return "detach \(target.text) restart=\(durationText(restart))"
        case .leave(let target, let restart):
            return "leave \(target.text) restart=\(durationText(restart))"
        case .pause(let target, let length): return "pause \(target.text) \(durationText(length))"
        case .reload(let target, let tags):
            let words = tags.map { [" tags"] + $0.map { "\($0.name)=\($0.value)" } } ?? []
            return "reload \(target.text)" + words.joined(separator: " ")
        case .disk(let target, let fault): return "disk \(target.text) \(fault.text)"
        case .clock(let target, let fault): return "clock \(target.text) \(fault.text)"
        case .zone(let name, let isPresent):
            return "zone \(name) \(isPresent ? "present" : "absent")"
        case .partition(let side, let rest, let direction, let channel, let length):
            var way = direction == .both ? "" : " oneway=\(direction.rawValue)"
            if let channel { way += " channel=\(channel)" }
            return "partition \(Plan.Target.text(side)) from "
                + "\(rest.map { Plan.Target.text($0) } ?? "rest")\(way) for "
                + durationText(length)
        case .clog(let from, let to, let length):
            return "clog \(from.text) to \(to.text) for \(durationText(length))"
        case .lossy(let perMille, let length):
            return "lossy \(perMille) for \(durationText(length))"
        case .note(let text): return "note\(text)"
        }
    }
}

extension Plan.Target {
    var text: String {
        switch self {
        case .server(let index): "s\(index + 1)"
        case .agent(let index): "a\(index + 1)"
        case .leader: "leader"
        case .follower(let number): "follower#\(number)"
        case .minority: "minority"
        }
    }

    /// Always the same node.
    var isFixed: Bool {
        switch self {
        case .server, .agent: true
        case .leader, .follower, .minority: false
        }
    }

    static func text(_ targets: [Plan.Target]) -> String {
        "{" + targets.map(\.text).joined(separator: ",") + "}"
    }
}

extension Plan.Draft {
    var text: String {
        var parts = [isInvalid ? "invalid \(method)" : method, target]
        for header in headers { parts.append("[\(header.name): \(header.value)]") }
        if !body.isEmpty { parts.append(escaped(body)) }
        return parts.joined(separator: " ")
    }
}

extension Plan.DiskFault {
    var text: String {
        switch self {
        case .full(let length): "full \(durationText(length))"
        case .readOnly(let length): "readonly \(durationText(length))"
        case .unreadable(let length): "unreadable \(durationText(length))"
        case .low(let length): "low \(durationText(length))"
        case .slow(let times, let length): "slow \(times) \(durationText(length))"
        case .failSync(let directory, let count): "failsync \(directory.name) \(count)"
        case .damage(let directory): "damage \(directory.name)"
        }
    }
}

extension Plan.ClockFault {
    var text: String {
        switch self {
        case .step(let by): "step \(durationText(by))"
        case .slew(let ppm, let length): "slew \(ppm) \(durationText(length))"
        case .strobe(let by, let length): "strobe \(durationText(by)) \(durationText(length))"
        case .coarse(let step): "coarse \(durationText(step))"
        case .right: "right"
        }
    }
}

/// Bodies stand at the end of a line, so only line ends need another face.
private func escaped(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0 == "\n" ? "\u{240A}" : $0 == "\r" ? "\u{240D}" : $0 }))
}

private func unescaped(_ text: Substring) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0 == "\u{240A}" ? "\n" : $0 == "\u{240D}" ? "\r" : $0 }))
}
