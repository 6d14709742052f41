// Settings of executors that converse with servers, and of plugins.

import Core

extension JobDrafts {
    mutating func natsConfig() -> [NaiveJSON.Member] {
        var members: [NaiveJSON.Member] = []
        func add(_ name: String, _ value: String) {
            members.append(.init(name: name, value: .string(value)))
        }
        var words = ["sim"]
        for manner in PeerManner.allCases where manner != .plain && draws.chance(1, 5) {
            words.append("\(manner.rawValue)=\(draws.element(["1/4", "1/2", "1"]))")
        }
        let servers = [
            "nats://peer.sim", "nats://refusing.sim,nats://peer.sim", "nats://half.sim",
            "nats://silent.sim,nats://other.sim", "nats://u:p@peer.sim:4333", "nats://nowhere.sim",
            "nats://peer.sim,nats://other.sim,nats://10.0.0.1",
        ]
        add("url", servers[draws.weighted([20, 3, 3, 2, 3, 1, 8])])
        add("subject", draws.element(["orders", "orders.new"]))
        add("message", words.joined(separator: " "))
        if draws.chance(1, 2) { add("jetstream", "true") }
        if draws.chance(1, 4) { add("headers", #"["Team: ops"]"#) }
        if draws.chance(1, 4) { add("token", "a-token") }
        if draws.chance(1, 3) { add("timeout", draws.element(["1", "7", "90s", "0"])) }
        return members
    }

    mutating func pluginConfig(_ period: Duration) -> [NaiveJSON.Member] {
        let mean = PlanGenerator.rounded(draws.logScale(.milliseconds(10), period * 2))
        var words = [draws.element(["run=exp:\(mean)", "run=\(mean)", "run=0s"])]
        if draws.chance(1, 2) { words.append("out=\(draws.element([1, 300, 70_000, 300_000]))") }
        if draws.chance(1, 3) { words.append("updates=\(draws.element([1, 3, 20]))") }
        if draws.chance(1, 6) { words.append("terse=1") }
        var (mayBeEndless, mayFlood) = (false, false)
        for (text, chance) in Self.pluginOddities where draws.chance(1, chance) {
            words.append(text)
            mayFlood = mayFlood || text.hasPrefix("flood")
            mayBeEndless = mayBeEndless || mayFlood || text.hasPrefix("hang")
        }
        var members = [
            NaiveJSON.Member(name: "does", value: .string(words.joined(separator: " ")))
        ]
        if mayBeEndless || draws.chance(1, 4) {
            // On every node of a large cluster, once a second, long floods have no end.
            let timeout = draws.element(mayFlood ? ["1", "7"] : ["1", "7", "90s", "300"])
            members.append(.init(name: "timeout", value: .string(timeout)))
        }
        return members
    }

    /// What a program of a plugin does with a call, and one in how many does it.
    private static let pluginOddities: [(String, UInt64)] = [
        ("fail=1/3", 4), ("crash=1/4", 6), ("hang=1/4", 8), ("refuse=1/4", 8), ("garbage=1/4", 8),
        ("twice=1/4", 8), ("repeat=1/4", 8), ("flood=1/4", 8),
    ]
}
