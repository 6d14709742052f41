// Makes a plan from a seed: parameters, a workload and faults, all of it data.

import Core

struct PlanGenerator {
    private let seed: UInt64
    private var swarm: Swarm
    private var parameters: DrawStream
    private var faults: DrawStream
    private var workload: Workload
    private var network: DrawStream
    private var agents: DrawStream
    private var seats: DrawStream
    private var patience: DrawStream
    /// Whose clocks are wild where those of a minority are.
    private var wild: [Plan.Target] = []
    private var plan = Plan()

    /// - Parameter isCluster: of one to five servers and up to twelve agents, instead of one.
    /// - Parameter nodes: how many of a cluster; nil draws.
    static func plan(seed: UInt64, isCluster: Bool = false, nodes: Int? = nil) -> Plan {
        var generator = PlanGenerator(seed: seed, isCluster: isCluster, nodes: nodes)
        return generator.generate()
    }

    private init(seed: UInt64, isCluster: Bool, nodes: Int?) {
        self.seed = seed
        let draws = Draws(seed: seed)
        var swarmDraws = draws.stream("plan/swarm")
        swarm = Swarm(seed: seed, draws: &swarmDraws)
        network = draws.stream("plan/network")
        agents = draws.stream("plan/agents")
        seats = draws.stream("plan/seats")
        patience = draws.stream("plan/patience")
        if isCluster { swarm.becomeCluster(&network, nodes: nodes) }
        var executors = draws.stream("plan/executors")
        swarm.drawExecutors(&executors)
        parameters = draws.stream("plan/parameters")
        faults = draws.stream("plan/faults")
        workload = Workload(swarm: swarm, draws: draws.stream("plan/workload"))
    }

    private mutating func generate() -> Plan {
        plan.name = swarm.isCluster ? "cluster seed \(seed)" : "seed \(seed)"
        plan.seed = seed
        plan.servers = swarm.servers
        plan.agents = swarm.agents
        plan.horizon = swarm.horizon
        setParameters()
        addRequests()
        addFaults()
        if swarm.isCluster { addNetworkFaults() }
        addMoves()
        plan.items = plan.items.enumerated().sorted { a, b in
            let x = Self.time(of: a.element)
            let y = Self.time(of: b.element)
            return x != y ? x < y : a.offset < b.offset
        }.map(\.element)
        return plan
    }

    private static func time(of item: Plan.Item) -> Duration {
        if case .at(let time) = item.when { return time }
        return .zero
    }

    private mutating func setParameters() {
        plan.set("epoch", oracleTimeText(swarm.epoch * 1_000_000_000))
        plan.set("zone", swarm.zone)
        plan.set("clock.class", swarm.clockClass.rawValue)
        if swarm.clockClass != .exact {
            plan.set("clock.rate", "\(parameters.int(-200...200))")
            let limit = swarm.clockClass == .wild ? 86_400_000 : 1_000
            plan.set("clock.offset", "\(parameters.int(-limit...limit))ms")
        }
        // Every write of several servers waits for several disks, one after the other.
        let slowest = Duration.milliseconds(swarm.isCluster ? 20 : 100)
        plan.set("disk.sync", Self.rounded(parameters.logScale(.microseconds(50), slowest)))
        // Several disks that stand still for seconds more often than that do so nearly always.
        let oftenest = swarm.isCluster ? 250 : 50
        if parameters.chance(1, 4) {
            plan.set("disk.stall", "\(parameters.int(oftenest...2_000))")
        }
        plan.set(
            "client.latency",
            Self.rounded(parameters.logScale(.microseconds(100), .milliseconds(200))))
        plan.set("client.timeout", Self.rounded(parameters.logScale(.seconds(1), .seconds(60))))
        plan.set("client.retries", "\(parameters.int(0...3))")
        plan.set("spawn", Self.rounded(parameters.logScale(.milliseconds(1), .milliseconds(200))))
        if parameters.chance(1, 2) { plan.set("tag.role", "web") }
        if parameters.chance(1, 20) { plan.set("start.paused", "1") }
        if swarm.hasPlugins { plan.set("plugins.bad", parameters.element(["0", "1/5", "2/3"])) }
        if swarm.isCluster { setNetwork() }
        let choices = swarm.isCluster ? TunableNames.clusterChoices : TunableNames.choices
        for (name, values) in choices where parameters.chance(1, 3) {
            plan.set("tune.\(name)", parameters.element(values))
        }
        // Snapshots of long outputs, 200 bytes at a time, would be all that a run is about.
        if plan["tune.slice"] == "200", plan["tune.output"] == nil {
            plan.set("tune.slice", "4000")
        }
        // Always far below the default, which no run would reach.
        plan.set("tune.backlog", parameters.element(["20000", "200000", "600000"]))
    }

    private mutating func setNetwork() {
        if swarm.clockClass == .minority {
            wild = [.server(agents.int(0...swarm.servers - 1))]
            for agent in 0..<swarm.agents where agents.chance(1, 3) { wild.append(.agent(agent)) }
            plan.set("clock.wild", wild.map(\.text).joined(separator: ","))
        }
        plan.set("net.mean", Self.rounded(network.logScale(.microseconds(100), .milliseconds(60))))
        plan.set("net.least", Self.rounded(network.logScale(.microseconds(50), .milliseconds(20))))
        if network.chance(1, 3) { plan.set("net.tail", "\(network.int(100...2_000))") }
        if network.chance(1, 3) { plan.set("net.loss", "\(network.int(1...200))") }
        if network.chance(1, 3) { plan.set("net.repeat", "\(network.int(1...300))") }
        if network.chance(1, 3) { plan.set("net.reorder", "1") }
        if agents.chance(1, 2) {
            plan.set("gossip", "1")
            plan.set("gossip.profile", agents.element(["lan", "local"]))
            // With a wrong clock among few founders most clocks would be wrong.
            let mayBeLate = swarm.servers > 1 && swarm.clockClass != .minority
            let late = mayBeLate && agents.chance(1, 4) ? agents.int(1...swarm.servers - 1) : 0
            if late > 0 { plan.set("gossip.late", "\(late)") }
            if patience.chance(1, 4) {
                plan.set("gossip.forget", patience.element(["20s", "1m", "3m"]))
            }
            if agents.chance(1, 3) { setVersions(late: late) }
            // No seats are given up but those above the number of founders. Not while programs
            // differ: who has lost its seat meanwhile may be too old to be taken in again.
            if late > 0, !hasVersions, patience.chance(1, 2) {
                plan.set("seats.dead", patience.element(["10s", "45s", "3m"]))
            }
        }
        plan.set("peace", network.element(Phases.Fate.allCases).rawValue)
    }

    private var hasVersions: Bool {
        plan.settings.contains { $0.name.hasPrefix("version.") }
    }

    /// An upgrade under way: some nodes begin with older programs, and get newer ones with each of
    /// their restarts. Who comes late has the newest at once, because a cluster takes in nobody who
    /// is older than what it has agreed on.
    private mutating func setVersions(late: Int) {
        let newest = Int(FeatureLevel.newest)
        for node in 0..<swarm.servers + swarm.agents {
            guard !(swarm.servers - late..<swarm.servers).contains(node), agents.chance(2, 3) else {
                continue
            }
            var levels = [agents.int(1...newest - 1)]
            if agents.chance(1, 2) { levels.append(agents.int(levels[0]...newest)) }
            levels.append(newest)
            let text = levels.map { "\($0)" }.joined(separator: ",")
            plan.set("version.\(plan.name(of: node))", text)
        }
    }

    /// Two significant digits: plans are for reading.
    static func rounded(_ duration: Duration) -> String {
        var unit: Int64 = 1
        while duration.nanoseconds / unit >= 100 { unit *= 10 }
        return durationText(.nanoseconds(duration.nanoseconds / unit * unit))
    }

    private mutating func addRequests() {
        let early = max(3, swarm.operations / 4)
        for number in 0..<swarm.operations {
            let span = number < early ? min(.seconds(20), plan.horizon) : plan.horizon
            let time = workload.time(before: span)
            let (client, draft) = workload.next(isEarly: number < early, at: time)
            plan.items.append(
                Plan.Item(when: .at(time), action: .request(client: client, draft)))
        }
    }

    private mutating func addFaults() {
        var time = faults.exponential(swarm.faultGap)
        var count = 0
        while time < plan.horizon, count < 60 {
            count += 1
            addFault(at: .milliseconds(time.wholeMilliseconds))
            time = time + faults.exponential(swarm.faultGap) + .milliseconds(100)
        }
    }

    private mutating func addFault(at time: Duration) {
        guard swarm.faultWeights.contains(where: { $0 > 0 }) else { return }
        let kind = Swarm.Fault.allCases[faults.weighted(swarm.faultWeights)]
        let restart = Self.short(faults.logScale(.milliseconds(10), .minutes(10)))
        let target = victim()
        func tear() -> TearMode? {
            faults.chance(1, 2) ? nil : faults.element(TearMode.allCases)
        }
        if case .agent = target, plan["gossip"] == "1", agents.chance(1, 5) {
            let isWipe = agents.chance(1, 2)
            return add(
                time,
                isWipe
                    ? .crash(target, .wipe, tear: nil, restartAfter: restart)
                    : .leave(target, restartAfter: restart))
        }
        switch kind {
        case .crash:
            add(time, .crash(target, .process, tear: nil, restartAfter: restart))
        case .power: add(time, .crash(target, .power, tear: tear(), restartAfter: restart))
        case .supervisor:
            add(time, .crash(target, .supervisor, tear: nil, restartAfter: .zero))
        case .both: add(time, .crash(target, .both, tear: nil, restartAfter: restart))
        case .stop: add(time, .stop(target, restartAfter: restart))
        case .detach: add(time, .detach(target, restartAfter: restart))
        case .pause:
            add(
                time,
                .pause(target, for: Self.short(faults.logScale(.milliseconds(10), .minutes(3)))))
        case .full: add(time, .disk(target, .full(for: length())))
        case .slow: add(time, .disk(target, .slow(times: faults.int(10...100), for: length())))
        case .low: add(time, .disk(target, .low(for: length())))
        case .readOnly: add(time, .disk(target, .readOnly(for: length())))
        case .failSync:
            let directory = faults.element(StorageDirectory.allCases)
            add(time, .disk(target, .failSync(directory, count: faults.int(1...2))))
        case .unreadable:
            add(time, .disk(target, .unreadable(for: length())))
            add(time, .crash(target, .process, tear: nil, restartAfter: .milliseconds(100)))
        case .clock: addClockFault(at: time)
        case .zone:
            let name = faults.element(ZoneFiles.zones).name
            add(time, .zone(name, isPresent: false))
            if faults.chance(1, 2) { add(time, .reload(target, tags: tags())) }
            add(min(time + length(), plan.horizon), .zone(name, isPresent: true))
        case .trigger:
            let kinds: [EffectKind] = [.append, .sync, .name, .respond, .start, .release, .read]
            let kind = faults.element(kinds)
            let count = faults.int(
                1...[400, 200, 20, 100, 60, 60, 40][kinds.firstIndex(of: kind)!])
            let crash = faults.element([Plan.CrashKind.process, .power, .both])
            plan.items.append(
                Plan.Item(
                    when: .onEffect(kind, count, of: fixed(target)),
                    action: .crash(target, crash, tear: tear(), restartAfter: restart)))
        }
    }

    /// What the configuration says of tags when it is read again.
    private mutating func tags() -> [Plan.Setting]? {
        switch faults.weighted([2, 1, 1, 1]) {
        case 0: nil
        case 1: []
        case 2: [.init(name: "role", value: "web")]
        default: [.init(name: "role", value: "db"), .init(name: "rack", value: "7")]
        }
    }

    private mutating func addClockFault(at time: Duration) {
        var target = victim()
        var clockClass = swarm.clockClass
        if clockClass == .minority, agents.chance(2, 3) {
            target = agents.element(wild)
            clockClass = .wild
        }
        switch clockClass {
        case .exact: return
        case .bounded, .minority:
            // Stays within the bound: small steps around the truth.
            let fault: Plan.ClockFault =
                faults.chance(1, 2)
                ? .right : .strobe(by: .milliseconds(Int64(faults.int(-500...500))), for: length())
            add(time, .clock(target, fault))
        case .wild:
            var by = Self.short(faults.logScale(.milliseconds(1), .hours(24 * 400)))
            if faults.chance(1, 2) { by = .zero - by }
            let fault: Plan.ClockFault =
                switch faults.weighted([5, 2, 2, 1, 2]) {
                case 0: .step(by)
                case 1: .slew(ppm: faults.int(-50_000...50_000), for: length())
                case 2: .strobe(by: by, for: length())
                case 3: .coarse(.milliseconds(Int64(faults.int(1...2_000))))
                default: .right
                }
            add(time, .clock(target, fault))
        }
    }

    // MARK: Several servers

    /// Whom a fault strikes: the leader more often than any other.
    private mutating func victim() -> Plan.Target {
        if swarm.agents > 0, agents.chance(1, 3) { return agent() }
        guard swarm.servers > 1 else { return .server(0) }
        switch network.weighted([3, 2, 4]) {
        case 0: return .leader
        case 1: return .follower(network.int(1...swarm.servers - 1))
        default: return .server(network.int(0...swarm.servers - 1))
        }
    }

    private mutating func agent() -> Plan.Target { .agent(agents.int(0...swarm.agents - 1)) }

    /// A target that is known beforehand.
    private mutating func fixed(_ target: Plan.Target) -> Plan.Target {
        target.isFixed ? target : .server(network.int(0...swarm.servers - 1))
    }

    private mutating func addNetworkFaults() {
        var time = network.exponential(swarm.networkGap)
        var count = 0
        while time < plan.horizon, count < 40 {
            count += 1
            addNetworkFault(at: .milliseconds(time.wholeMilliseconds))
            time = time + network.exponential(swarm.networkGap) + .milliseconds(100)
        }
    }

    private mutating func addNetworkFault(at time: Duration) {
        let length = Self.short(network.logScale(.milliseconds(100), .minutes(3)))
        let direction = network.element([Plan.Direction.both, .both, .inward, .outward])
        if swarm.agents > 0, agents.chance(1, 3) {
            return addAgentFault(at: time, direction, for: length)
        }
        let all = (0..<swarm.servers).map { Plan.Target.server($0) }
        switch network.weighted([3, 2, 2, 2, 3, 1, 2]) {
        case 0: add(time, .partition([.leader], from: nil, direction, on: channel(), for: length))
        case 1: add(time, .partition([victim()], from: nil, direction, on: channel(), for: length))
        case 2: add(time, .partition([.minority], from: nil, direction, on: channel(), for: length))
        case 3:
            // A bridge: one server in the middle is heard on both sides.
            let middle = network.int(0...swarm.servers - 1)
            let left = all.prefix(middle)
            let right = all.suffix(swarm.servers - 1 - middle)
            guard !left.isEmpty, !right.isEmpty else { return }
            add(
                time,
                .partition(Array(left), from: Array(right), direction, on: channel(), for: length))
        case 4:
            let from = victim()
            let to = victim()
            add(time, .clog(from, to: to, for: min(length, .seconds(20))))
        case 5: add(time, .lossy(network.int(50...900), for: length))
        default:
            // One after the other is cut off for a moment.
            for (step, server) in all.enumerated() {
                add(
                    min(time + length * Int64(step), plan.horizon),
                    .partition([server], from: nil, direction, on: channel(), for: length))
            }
        }
    }

    /// Servers leave and come again, or other machines with empty disks take their places. Not with
    /// a wrong clock, which would be most of them where few are left, nor while programs differ: a
    /// cluster takes in nobody who is older than what it has agreed on.
    private mutating func addMoves() {
        guard plan["gossip"] == "1", swarm.servers > 1, swarm.clockClass != .minority,
            !hasVersions, seats.chance(1, 3)
        else { return }
        for _ in 0..<seats.int(1...4) {
            let time = Duration.milliseconds(
                seats.duration(.zero, plan.horizon).wholeMilliseconds)
            let restart = Self.short(seats.logScale(.milliseconds(10), .minutes(3)))
            let target: Plan.Target =
                seats.chance(1, 3) ? .leader : .server(seats.int(0...swarm.servers - 1))
            add(
                time,
                seats.chance(1, 2)
                    ? .crash(target, .wipe, tear: nil, restartAfter: restart)
                    : .leave(target, restartAfter: restart))
        }
    }

    /// A firewall may stop one kind of traffic and let the other through.
    private mutating func channel() -> Network.Channel? {
        guard plan["gossip"] == "1", agents.chance(1, 3) else { return nil }
        return agents.element(Network.Channel.allCases)
    }

    /// Some agents are cut off from all, or from some servers only.
    private mutating func addAgentFault(
        at time: Duration, _ direction: Plan.Direction, for length: Duration
    ) {
        var side: [Plan.Target] = []
        for _ in 0..<agents.int(1...3) {
            let agent = agent()
            if !side.contains(agent) { side.append(agent) }
        }
        switch agents.weighted([3, 3, 2]) {
        case 0: add(time, .partition(side, from: nil, direction, on: channel(), for: length))
        case 1:
            let server: Plan.Target =
                agents.chance(1, 2) ? .leader : .server(agents.int(0...swarm.servers - 1))
            add(time, .partition(side, from: [server], direction, on: channel(), for: length))
        default: add(time, .clog(.leader, to: side[0], for: min(length, .seconds(20))))
        }
    }

    private mutating func length() -> Duration {
        Self.short(faults.logScale(.milliseconds(100), .minutes(5)))
    }

    /// Whole seconds, or milliseconds below one.
    private static func short(_ duration: Duration) -> Duration {
        duration > .seconds(1)
            ? .seconds(duration.wholeSeconds) : .milliseconds(duration.wholeMilliseconds)
    }

    private mutating func add(_ time: Duration, _ action: Plan.Action) {
        plan.items.append(Plan.Item(when: .at(time), action: action))
    }
}
