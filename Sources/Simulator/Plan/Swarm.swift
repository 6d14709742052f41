// The configuration of one generated run. Each family of faults and each operation is present with
// a probability of its own: runs that leave features out find what runs with everything hide.

import Core

struct Swarm {
    var horizon: Duration
    var zone: String
    var epoch: Int64
    var clockClass: ClockClass
    /// Mean time between faults.
    var faultGap: Duration
    /// How likely each kind of fault is.
    var faultWeights: [Int]
    var operationWeights: [Int]
    var operations: Int
    var clients: Int
    var servers = 1
    /// Nodes that only run commands.
    var agents = 0
    /// Executors that jobs have beside those of every run.
    var executors: [String] = []
    /// Mean time between faults of the network.
    var networkGap = Duration.zero
    /// The shortest period of a job, so that long runs do not drown in ticks.
    var shortestPeriod: Duration

    enum Fault: Int, CaseIterable {
        case crash, power, supervisor, both, stop, detach, pause, full, slow, readOnly, failSync
        case unreadable, low, clock, zone, trigger
    }

    enum Request: Int, CaseIterable {
        case put, patch, toggle, delete, runNow, kill, lost, deleteExecutions, pause, unpause
        case settings, restore, read, invalid
    }

    init(seed: UInt64, draws: inout DrawStream) {
        horizon =
            switch draws.weighted([60, 30, 8, 2]) {
            case 0: draws.duration(.minutes(1), .minutes(8))
            case 1: draws.duration(.minutes(8), .minutes(90))
            case 2: draws.duration(.hours(2), .hours(24))
            default: draws.duration(.hours(24), .hours(72))
            }
        horizon = .seconds(horizon.wholeSeconds)
        zone = draws.element(ZoneFiles.zones).name
        clockClass = ClockClass.allCases[draws.weighted([40, 40, 20])]
        epoch = Self.epoch(zone, horizon, &draws)
        faultGap = draws.logScale(.seconds(10), .minutes(30))
        faultWeights = Fault.allCases.map { _ in draws.chance(1, 2) ? draws.int(1...10) : 0 }
        faultWeights[Fault.crash.rawValue] += 1
        operationWeights = Request.allCases.map { _ in draws.chance(1, 2) ? draws.int(1...10) : 0 }
        operationWeights[Request.put.rawValue] += 8
        operationWeights[Request.invalid.rawValue] += 1
        operationWeights[Request.read.rawValue] += 1
        operations = [8, 20, 50, 120, 300][draws.weighted([15, 30, 30, 20, 5])]
        clients = draws.int(1...4)
        shortestPeriod = max(.seconds(1), .seconds(horizon.wholeSeconds / 400))
    }

    /// Half of the runs have nothing but commands and requests over HTTP.
    mutating func drawExecutors(_ draws: inout DrawStream) {
        guard draws.chance(1, 2) else { return }
        executors = draws.element([["nats"], PluginModel.Manner.names, ["nats", "tool"]])
    }

    var hasPlugins: Bool { executors.contains { $0 != "nats" } }
    var isCluster: Bool { servers + agents > 1 }

    /// Several nodes: runs are shorter, because servers are never silent.
    /// - Parameter nodes: how many servers and agents; nil draws.
    mutating func becomeCluster(_ draws: inout DrawStream, nodes: Int?) {
        servers = 2 + draws.weighted([15, 45, 15, 25])
        switch draws.weighted([30, 50, 20]) {
        case 0: break
        case 1: agents = draws.int(1...4)
        default: agents = draws.int(5...12)
        }
        if agents > 0, draws.chance(1, 8) { servers = 1 }
        if let nodes {
            servers = min(servers, nodes)
            agents = nodes - servers
        }
        networkGap = draws.logScale(.seconds(5), .minutes(10))
        horizon = min(horizon, .seconds(draws.duration(.minutes(1), .minutes(15)).wholeSeconds))
        if servers + agents > 20 {
            horizon = min(horizon, .minutes(3))
            operations = min(operations, 20)
        }
        shortestPeriod = max(.seconds(1), .seconds(horizon.wholeSeconds / 400))
        // A job without tags runs on every node.
        if servers + agents > 20 { shortestPeriod = max(shortestPeriod, .seconds(10)) }
        // Of two clocks nobody can tell which is right.
        if clockClass == .wild, servers > 1 { clockClass = servers > 2 ? .minority : .bounded }
    }

    /// Near a change of the zone's offset, a month's end or a leap day; in seconds.
    private static func epoch(
        _ zone: String, _ horizon: Duration, _ draws: inout DrawStream
    ) -> Int64 {
        let early = Int64(draws.below(UInt64(max(1, horizon.wholeSeconds))))
        let year = Int64(draws.int(2024...2031))
        let new = OracleCivil.days(year: year, month: 1, day: 1) * 86_400
        switch draws.weighted([50, 15, 10, 25]) {
        case 0:
            let oracle = ZoneFiles.oracles[zone]!
            let changes = oracle.changes(after: 1_300_000_000, through: 1_960_000_000)
            guard !changes.isEmpty else { return new - early }
            return draws.element(changes).at - early
        case 1:
            let month = draws.int(1...12)
            return OracleCivil.days(year: year, month: month, day: 1) * 86_400 - early
        case 2:
            return OracleCivil.days(year: 2028, month: 2, day: 29) * 86_400 - early
        default:
            return new + Int64(draws.below(31_000_000))
        }
    }
}
