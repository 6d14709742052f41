// A plan is all that a run does to the core, as data: a header of parameters and a list of items.
// A list can be read, kept, edited and shrunk; a stream of draws can't.

import Core

struct Plan: Sendable, Hashable {
    var name = ""
    /// Where the addressed draws of the run start.
    var seed: UInt64 = 1
    var servers = 1
    /// Nodes that only run commands.
    var agents = 0
    /// More nodes than this have no addresses in the simulated network.
    static let mostNodes = 250
    /// How long the safety phase lasts.
    var horizon: Duration = .minutes(5)
    /// Parameters by name, in order; `Parameters` gives them types.
    var settings: [Setting] = []
    var items: [Item] = []

    struct Setting: Sendable, Hashable {
        var name: String
        var value: String
    }

    struct Item: Sendable, Hashable {
        var when: When
        var action: Action
    }

    enum When: Sendable, Hashable {
        case at(Duration)
        /// At the n-th effect of a kind that a node wants, right after it was performed.
        case onEffect(EffectKind, Int, of: Target)
    }

    enum Target: Sendable, Hashable {
        /// `s1`, `s2` …
        case server(Int)
        /// `a1`, `a2` …
        case agent(Int)
        case leader
        /// `follower#1` …: the servers that do not lead, in order.
        case follower(Int)
        /// Fewer than half of the servers, none of which leads.
        case minority
    }

    /// Which way a partition cuts, as seen from the side that is named first.
    enum Direction: String, Sendable, Hashable, CaseIterable {
        case both, inward = "in", outward = "out"
    }

    enum CrashKind: String, Sendable, Hashable, CaseIterable {
        /// The agent's process is killed; kernel and supervisor live on.
        case process
        /// The machine loses its power.
        case power
        /// The supervisor is killed, the agent lives on.
        case supervisor
        /// Both processes are killed.
        case both
        /// The machine is replaced by another one of the same name, with an empty disk.
        case wipe
    }

    enum DiskFault: Sendable, Hashable {
        case full(for: Duration)
        case failSync(StorageDirectory, count: Int)
        case slow(times: Int, for: Duration)
        case readOnly(for: Duration)
        /// Says that hardly anything is free.
        case low(for: Duration)
        /// Reads fail while the next start recovers.
        case unreadable(for: Duration)
        /// Flips a bit in synced data while the node is down.
        case damage(StorageDirectory)
    }

    enum ClockFault: Sendable, Hashable {
        case step(Duration)
        case slew(ppm: Int, for: Duration)
        case strobe(by: Duration, for: Duration)
        case coarse(Duration)
        case right
    }

    enum Action: Sendable, Hashable {
        case request(client: Int, Draft)
        case crash(Target, CrashKind, tear: TearMode?, restartAfter: Duration)
        case stop(Target, restartAfter: Duration)
        case detach(Target, restartAfter: Duration)
        case pause(Target, for: Duration)
        case disk(Target, DiskFault)
        case clock(Target, ClockFault)
        /// The zone files are re-read, and the node's tags become these unless nil.
        case reload(Target, tags: [Setting]?)
        /// A zone file vanishes or returns.
        case zone(String, isPresent: Bool)
        /// Cuts some nodes off from the others that are named, or from all others, on one channel
        /// or on all.
        case partition([Target], from: [Target]?, Direction, on: Network.Channel?, for: Duration)
        /// Leaves for good, and comes again as if it were new to the cluster.
        case leave(Target, restartAfter: Duration)
        /// Holds up what travels from one server to another.
        case clog(Target, to: Target, for: Duration)
        /// So many messages of a thousand are lost.
        case lossy(Int, for: Duration)
        /// Does nothing but end the safety phase early in hand-written plans.
        case note(String)
    }

    /// A request as a client sends it. `{last:JOB}` in the target stands for the newest execution
    /// of a job that the client knows of.
    struct Draft: Sendable, Hashable {
        var method: String
        var target: String
        var headers: [Setting] = []
        var body = ""
        /// The generator meant it to be refused.
        var isInvalid = false
    }

    /// Servers come first, `s1`, `s2` …, and behind them agents, `a1` ….
    func name(of node: Int) -> String {
        node < servers ? "s\(node + 1)" : "a\(node + 1 - servers)"
    }

    /// What jobs choose nodes by, and no reload changes: agents have a kind and stand in one of
    /// three rooms.
    func fixedTags(of node: Int) -> [Setting] {
        if node < servers { return [Setting(name: "server", value: "true")] }
        return [
            Setting(name: "kind", value: "agent"), Setting(name: "room", value: "\(node % 3)"),
        ]
    }

    /// The feature level that the program of a node knows in one of its lives, counted from 1: as
    /// `set version.s2=1,4` lists them, the last one for good. Without it the newest.
    func featureLevel(of name: String, life: UInt64) -> UInt32 {
        let levels = self["version.\(name)"]?.split(separator: ",").compactMap { UInt32($0) } ?? []
        guard let last = levels.last else { return FeatureLevel.newest }
        return life <= levels.count ? levels[max(1, Int(life)) - 1] : last
    }

    subscript(setting: String) -> String? { settings.last { $0.name == setting }?.value }

    mutating func set(_ name: String, _ value: String) {
        if let index = settings.firstIndex(where: { $0.name == name }) {
            settings[index].value = value
        } else {
            settings.append(Setting(name: name, value: value))
        }
    }
}

/// The typed reading of a plan's settings.
struct Parameters: Sendable {
    var epoch: WallTime
    var clockClass: ClockClass
    var clockRatePPM: Int64
    var clockOffset: Duration
    /// Whose clocks are wild where those of a minority are.
    var wildClocks: [Substring]
    var defaultZone: String
    var meanSync: Duration
    var stallOneIn: UInt64
    var cpuMean: Duration
    var spawnMean: Duration
    var weather: Network.Weather
    var clientLatency: Duration
    var clientTimeout: Duration
    var clientRetries: Int
    /// Unsynced bytes, where a crash does not say: nil draws.
    var startPaused: Bool
    var tunables: [Plan.Setting]
    var mustHalt: Bool
    /// What peace does to the servers that it can do without.
    var fate: Phases.Fate
    /// Nodes find each other by gossip; otherwise each knows all others from the start.
    var gossips: Bool
    /// So many servers, the last ones, do not found the cluster and are taken in.
    var lateServers: Int
    /// How long nodes remember one that has failed, and keep the seat of a server that is dead; nil
    /// for what is usual, which no run lasts.
    var forgetsAfter: Duration?
    var deadServerTimeout: Duration?
    var tags: [Plan.Setting]
    /// Nil: no node has a plugin.
    var plugins: PluginModel.Manner?

    init(_ plan: Plan) {
        func duration(_ name: String, _ fallback: Duration) -> Duration {
            plan[name].flatMap { parseDuration($0) } ?? fallback
        }
        func number(_ name: String, _ fallback: Int64) -> Int64 {
            plan[name].flatMap { Int64($0) } ?? fallback
        }
        let start = plan["epoch"].flatMap { oracleParseTime($0) } ?? 1_709_990_000_000_000_000
        epoch = WallTime(nanoseconds: start)
        clockClass = plan["clock.class"].flatMap { ClockClass(rawValue: $0) } ?? .exact
        clockRatePPM = number("clock.rate", 0)
        clockOffset = duration("clock.offset", .zero)
        wildClocks = plan["clock.wild"]?.split(separator: ",") ?? []
        defaultZone = plan["zone"] ?? "UTC"
        meanSync = duration("disk.sync", .milliseconds(2))
        stallOneIn = UInt64(clamping: number("disk.stall", 0))
        cpuMean = duration("step.cpu", .microseconds(20))
        spawnMean = duration("spawn", .milliseconds(3))
        weather = Network.Weather(
            least: duration("net.least", .microseconds(200)),
            mean: duration("net.mean", .milliseconds(1)),
            tailOneIn: UInt64(clamping: number("net.tail", 0)),
            loss: UInt64(clamping: number("net.loss", 0)),
            duplication: UInt64(clamping: number("net.repeat", 0)),
            reorders: plan["net.reorder"] == "1")
        clientLatency = duration("client.latency", .milliseconds(1))
        clientTimeout = duration("client.timeout", .seconds(60))
        clientRetries = Int(number("client.retries", 2))
        startPaused = plan["start.paused"] == "1"
        tunables = plan.settings.filter { $0.name.hasPrefix("tune.") }
        tags = plan.settings.filter { $0.name.hasPrefix("tag.") }
        fate = plan["peace"].flatMap { Phases.Fate(rawValue: $0) } ?? .healthy
        gossips = plan["gossip"] == "1"
        lateServers = Int(number("gossip.late", 0))
        forgetsAfter = plan["gossip.forget"].flatMap { parseDuration($0) }
        deadServerTimeout = plan["seats.dead"].flatMap { parseDuration($0) }
        mustHalt = plan["must.halt"] == "1"
        plugins = plan["plugins.bad"].flatMap { Ratio($0) }.map { PluginModel.Manner(bad: $0) }
    }

    func isWild(_ name: String) -> Bool {
        clockClass == .minority && wildClocks.contains { $0 == name }
    }

    /// The clock of a node: the first one's is the plan's, the others' are as wrong.
    func clock(of node: Int, named name: String, _ draws: Draws) -> Clock {
        var clock = Clock(epoch: epoch)
        clock.offset = clockOffset
        clock.ratePPM = clockRatePPM
        if isWild(name) {
            var errors = draws.stream("clock/\(node + 1)/wild")
            let error = errors.logScale(.milliseconds(1), .hours(24))
            clock.offset = errors.chance(1, 2) ? error : .zero - error
            return clock
        }
        guard node > 0, clockClass != .exact else { return clock }
        var errors = draws.stream("clock/\(node + 1)")
        clock.ratePPM = Int64(errors.int(-200...200))
        clock.offset = .milliseconds(Int64(errors.int(-1_000...1_000)))
        return clock
    }
}
