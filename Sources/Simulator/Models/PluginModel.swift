// The plugins of a machine. Who starts and calls them is what production runs (`PluginHost`);
// processes, sockets and the programs are models.

import Core

enum PluginStep: Sendable {
    case launched(PluginLife)
    case refused(PluginLife)
    case printed(PluginLife, [UInt8])
    case complained(PluginLife, [UInt8])
    /// The process ends; its socket and its parent hear of it in any order.
    case die(PluginLife, PluginExit)
    case exited(PluginLife, PluginExit)
    case freeze(PluginLife)
    case wrote(ConnectionNumber, count: Int)
    /// Bytes of the host get to the program.
    case arrive(ConnectionNumber, [UInt8])
    /// Bytes of the program get to the host.
    case deliver(ConnectionNumber, [UInt8])
    case rave(ConnectionNumber)
    case ended(ConnectionNumber)
    /// A program goes on with what it was asked to do.
    case work(UInt64)
    case deadline(Instant)
}

struct PluginModel: Sendable {
    /// One life in how many goes wrong.
    struct Manner: Sendable {
        var bad: Ratio

        /// By which jobs name the plugins.
        static let names = ["gadget", "tool"]
    }

    struct Live: Sendable {
        let call: PluginCall
        var log: Int?
        var hasStarted = false
        /// A program was asked for it.
        var isCalled = false
        /// The program has answered with a success.
        var hasSucceeded = false
        /// What it put out; nil if only a part of that is heard for sure.
        var words: [UInt8]? = []
    }

    struct Link: Sendable {
        let life: PluginLife
        var server: GRPCServer
        /// The last bytes that were sent.
        var last: [UInt8] = []
    }

    struct Teller: Sendable {
        let life: PluginLife
        var client: GRPCClient
    }

    let node: Int
    let draws: Draws
    let manner: Manner?
    private let limits: PluginHost.Limits
    private var host: PluginHost
    private var armed: Instant?
    private var agentLife: UInt64 = 0
    var programs: [PluginLife: PluginProgram] = [:]
    /// When the last process of a file ended.
    private var endings: [String: TrueTime] = [:]
    var links: [ConnectionNumber: Link] = [:]
    var tellers: [ConnectionNumber: Teller] = [:]
    /// What the host has open.
    private var open: Set<ConnectionNumber> = []
    /// Where the host listens, by the path.
    var sockets: [String: PluginListener] = [:]
    var tasks: [UInt64: PluginTask] = [:]
    var nextTask: UInt64 = 1
    private var nextAccepted: ConnectionNumber = 1
    var live: [ExecutionID: Live] = [:]

    /// How long something takes between two processes of a machine.
    static let local = Duration.microseconds(50)

    init(node: Int, draws: Draws, _ manner: Manner?) {
        self.node = node
        self.draws = draws
        self.manner = manner
        var choices = draws.stream("plugin/\(node)/limits")
        var limits = PluginHost.Limits()
        limits.calls = choices.element([1, 3, 256])
        limits.greeting = choices.element([.seconds(3), .seconds(60)])
        limits.patience = choices.element([.seconds(2), .seconds(10)])
        self.limits = limits
        host = PluginHost([], directory: "/s", limits: limits, at: .zero)
    }

    /// Calls that have not ended.
    var executions: [ExecutionID] { live.values.map(\.call.execution) }
    var waitingCount: Int { live.values.count { !$0.hasStarted } }
    /// Sockets and connections for status updates.
    var socketCount: Int { sockets.count + tellers.count }

    // MARK: What the agent asks

    /// The agent's process begins, and its plugins with it.
    mutating func start(_ moment: Moment, log: inout RunLog, into out: inout OutsideOutput) {
        guard manner != nil else { return }
        agentLife = moment.agentLife
        armed = nil
        let files = Manner.names.compactMap { PluginFile(path: "/p/dkron-executor-\($0)") }
        host = PluginHost(files, directory: "/s", limits: limits, at: moment.now.monotonic)
        perform(moment, &log, &out) { $0.start(at: moment.now, into: &$1) }
    }

    mutating func begin(
        _ call: PluginCall, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        live[call.execution] = Live(call: call)
        perform(moment, &log, &out) { $0.begin(call, at: moment.now, into: &$1) }
    }

    mutating func hangUp(
        _ id: ExecutionID, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        perform(moment, &log, &out) { $0.hangUp(id, at: moment.now, into: &$1) }
    }

    mutating func renewFences(ago: Duration, now: Now) { host.renewFences(ago: ago, at: now) }

    // MARK: What happens by itself

    mutating func step(
        _ step: PluginStep, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        switch step {
        case .launched(let life):
            programs[life]?.isUp = true
            take(.launched(life), moment, &log, &out)
            begin(life, at: moment.time, &out)
        case .refused(let life):
            end(life, at: moment.time)
            take(.refused(life, reason: "Permission denied"), moment, &log, &out)
        case .printed(let life, let bytes):
            guard programs[life]?.isUp ?? false else { return }
            take(.printed(life, bytes), moment, &log, &out)
        case .complained(let life, let bytes):
            guard programs[life]?.isUp ?? false else { return }
            take(.complained(life, bytes), moment, &log, &out)
        case .die(let life, let exit): die(life, exit, at: moment.time, &out)
        case .exited(let life, let exit):
            let file = programs[life]?.file
            end(life, at: moment.time)
            take(.exited(life, exit), moment, &log, &out)
            requireEnds(of: file, &out)
        case .freeze(let life):
            guard programs[life]?.isUp ?? false else { return }
            out.mark(.pluginFroze)
            programs[life]?.isFrozen = true
        case .wrote, .deliver, .ended, .rave: takeSocket(step, moment, &log, &out)
        case .arrive(let number, let bytes): arrive(number, bytes, at: moment.time, &out)
        case .work(let number): work(number, moment, &log, &out)
        case .deadline(let instant):
            guard armed == instant else { return }
            armed = nil
            perform(moment, &log, &out) { $0.deadline(at: moment.now, into: &$1) }
        }
    }

    private mutating func takeSocket(
        _ step: PluginStep, _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        switch step {
        case .wrote(let number, let count):
            guard open.contains(number) else { return }
            take(.wrote(number, count: count), moment, &log, &out)
        case .deliver(let number, let bytes):
            guard open.contains(number) else { return }
            take(.received(number, bytes), moment, &log, &out)
        case .ended(let number):
            guard open.contains(number) else { return }
            take(.receivedEnd(number), moment, &log, &out)
        case .rave(let number):
            guard open.contains(number), let life = links[number]?.life,
                let byte = programs[life]?.draws.next()
            else { return }
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: byte), count: 4_096)
            take(.received(number, bytes), moment, &log, &out)
            out.later.append((moment.time + .milliseconds(20), .plugin(.rave(number))))
        default: break
        }
    }

    mutating func take(
        _ event: PluginEvent, _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        perform(moment, &log, &out) { $0.take(event, at: moment.now, into: &$1) }
    }

    private mutating func perform(
        _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput,
        _ body: (inout PluginHost, inout PluginOutput) -> Void
    ) {
        var wanted = PluginOutput()
        body(&host, &wanted)
        while !wanted.actions.isEmpty {
            let actions = wanted.actions
            wanted.actions.removeAll(keepingCapacity: true)
            for action in actions {
                guard let event = perform(action, at: moment.time, &out) else { continue }
                host.take(event, at: moment.now, into: &wanted)
            }
        }
        for (id, event) in wanted.news {
            record(id, event, moment, &log, &out)
            out.news.append((id, event))
        }
    }

    /// A plugin that has ended does nothing more, so nothing is awaited of it.
    private func requireEnds(of file: PluginFile?, _ out: inout OutsideOutput) {
        guard let file else { return }
        let left = live.values.filter { $0.hasStarted && $0.call.plugin == file.name }
        if let first = left.min(by: { $0.call.execution.text < $1.call.execution.text }) {
            out.complain(.X22, "\(first.call.execution) still runs, and its plugin has ended")
        }
    }

    // MARK: Processes and sockets

    private mutating func perform(
        _ action: PluginAction, at time: TrueTime, _ out: inout OutsideOutput
    ) -> PluginEvent? {
        switch action {
        case .launch(let life, let file): launch(life, file, at: time, &out)
        case .kill(let life):
            guard programs[life]?.isUp ?? false else { return nil }
            out.later.append((time + Self.local, .plugin(.die(life, .signal(9)))))
        case .connect(let number, let address): return connect(number, address, at: time, &out)
        case .send(let number, let bytes):
            out.later.append((time + Self.local, .plugin(.arrive(number, bytes))))
            out.later.append((time + Self.local, .plugin(.wrote(number, count: bytes.count))))
        case .close(let number):
            open.remove(number)
            links[number] = nil
            tellers[number] = nil
        case .listen(let listener, let path): sockets[path] = listener
        case .unlisten(_, let path): sockets[path] = nil
        case .remove, .log: break
        }
        return nil
    }

    private mutating func launch(
        _ life: PluginLife, _ file: PluginFile, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        if programs.values.contains(where: { $0.file == file }) {
            out.complain(.X22, "\(file.description) is started while it runs")
        }
        if let last = endings[file.name] {
            out.mark(.pluginRestarted)
            // Clocks may be a little fast.
            if time - last < limits.shortestPause - .milliseconds(10) {
                let pause = durationText(time - last)
                out.complain(.X22, "\(file.description) is started again after \(pause)")
            }
        }
        var draws = draws.stream("plugin/\(node)/\(agentLife)/\(life)")
        let bad = manner?.bad ?? .never
        let nature =
            draws.chance(bad.numerator, bad.denominator)
            ? draws.element(Array(PluginNature.allCases.dropFirst())) : .plain
        programs[life] = PluginProgram(file: file, nature: nature, draws: draws)
        let delay = draws.exponential(.milliseconds(5))
        let step = nature == .refused ? PluginStep.refused(life) : .launched(life)
        if let mark = nature.mark, nature != .mortal, nature != .freezes { out.mark(mark) }
        out.later.append((time + delay, .plugin(step)))
    }

    /// The program runs.
    private mutating func begin(
        _ life: PluginLife, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        guard var program = programs[life] else { return }
        var at = time + program.draws.exponential(.milliseconds(50))
        switch program.nature {
        case .silent, .refused: break
        case .quits:
            let words = Array("panic: no such file\n".utf8)
            out.later.append((at, .plugin(.complained(life, words))))
            out.later.append((at + Self.local, .plugin(.die(life, .code(1)))))
        default:
            for piece in program.greeting(life) {
                out.later.append((at, .plugin(.printed(life, piece))))
                at = at + program.draws.exponential(.milliseconds(1))
            }
        }
        let end = at + program.draws.exponential(.seconds(20))
        if program.nature == .mortal {
            let exit = program.draws.chance(1, 2) ? PluginExit.code(2) : .signal(11)
            out.later.append((end, .plugin(.die(life, exit))))
        }
        if program.nature == .freezes { out.later.append((end, .plugin(.freeze(life)))) }
        programs[life] = program
    }

    private mutating func connect(
        _ number: ConnectionNumber, _ address: PluginAddress, at time: TrueTime,
        _ out: inout OutsideOutput
    ) -> PluginEvent? {
        guard case .local(let path) = address,
            let life = programs.keys.first(where: { PluginProgram.path($0) == path }),
            let program = programs[life], program.isUp, program.nature != .unreachable
        else { return .failed(number, reason: "Connection refused") }
        open.insert(number)
        programs[life]?.connection = number
        links[number] = Link(life: life, server: Self.server(life, at: time))
        if program.nature == .raves {
            out.later.append((time + Self.local, .plugin(.rave(number))))
        } else if program.nature != .mute {
            move(number, at: time, &out)
        }
        return .opened(number)
    }

    /// Releases have called the service by different names.
    private static func server(_ life: PluginLife, at time: TrueTime) -> GRPCServer {
        let names = [
            "/types.v1.ExecutorService/Execute", "/types.Executor/Execute",
            "/dkron.Executor/Execute",
        ]
        return GRPCServer(
            methods: [
                GRPCMethod(names[Int(life % 3)]),
                GRPCMethod("/plugin.GRPCBroker/StartStream", requests: .stream),
                GRPCMethod("/plugin.GRPCStdio/StreamStdio"),
                GRPCMethod("/plugin.GRPCController/Shutdown"),
            ], at: Self.instant(time))
    }

    /// A program connects to where updates are taken; nil if nobody listens there.
    mutating func tell(
        _ path: String, _ life: PluginLife, _ moment: Moment, _ log: inout RunLog,
        _ out: inout OutsideOutput
    ) -> ConnectionNumber? {
        guard let listener = sockets[path] else { return nil }
        let number = nextAccepted
        nextAccepted += 2
        open.insert(number)
        let instant = Self.instant(moment.time)
        tellers[number] = Teller(
            life: life, client: GRPCClient(authority: "unused", at: instant))
        take(.accepted(listener, number), moment, &log, &out)
        return tellers[number] == nil ? nil : number
    }

    private mutating func die(
        _ life: PluginLife, _ exit: PluginExit, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        guard var program = programs[life], program.isUp else { return }
        program.isUp = false
        if case .signal(9) = exit {} else { out.mark(.pluginDied) }
        let numbers =
            (links.filter { $0.value.life == life }.map(\.key)
            + tellers.filter { $0.value.life == life }.map(\.key)).sorted()
        for number in numbers {
            links[number] = nil
            tellers[number] = nil
            let delay = program.draws.duration(Self.local, Self.local * 10)
            out.later.append((time + delay, .plugin(.ended(number))))
        }
        let own = tasks.filter { $0.value.life == life }.map(\.key)
        if !own.isEmpty { out.mark(.pluginDiedRunning) }
        for task in own { tasks[task] = nil }
        let delay = program.draws.duration(Self.local, Self.local * 10)
        out.later.append((time + delay, .plugin(.exited(life, exit))))
        programs[life] = program
    }

    private mutating func end(_ life: PluginLife, at time: TrueTime) {
        guard let program = programs.removeValue(forKey: life) else { return }
        endings[program.file.name] = time
    }

    static func instant(_ time: TrueTime) -> Instant { Instant(nanoseconds: time.nanoseconds) }

    // MARK: The record

    private mutating func record(
        _ id: ExecutionID, _ event: CallEvent, _ moment: Moment, _ log: inout RunLog,
        _ out: inout OutsideOutput
    ) {
        guard let run = live[id] else { return }
        switch event {
        case .started(let wall):
            live[id]?.hasStarted = true
            out.mark(.pluginReady)
            let entry = log.begin(
                .ofCall(
                    id, run.call.identity, on: node, moment, wall: wall,
                    timeout: run.call.timeout, isFenced: run.call.fence != nil))
            live[id]?.log = entry
        case .output: out.mark(.pluginUpdated)
        case .wholeOutput: break
        case .ended(let end):
            live[id] = nil
            let isClaimed = end.cause == .finished && end.error.isEmpty
            if isClaimed, !run.hasSucceeded {
                out.complain(.X21, "\(id) is called a success, and its plugin has not said so")
            }
            guard let entry = run.log else { return }
            log.said(entry, isClaimed ? run.words : [])
            let answered = RealRun.Ending.answered(
                isClaimed && run.hasSucceeded, whole: isClaimed)
            log.end(entry, .init(end.cause, otherwise: answered), at: moment.time)
        }
    }

    // MARK: Time and deaths

    mutating func newDeadline() -> Instant? {
        guard manner != nil, let deadline = host.nextDeadline, deadline != armed else {
            return nil
        }
        armed = deadline
        return deadline
    }

    mutating func agentDied(
        at time: TrueTime, log: inout RunLog, into out: inout OutsideOutput
    ) {
        if live.values.contains(where: \.hasStarted) { out.mark(.agentDiedWithPlugin) }
        for entry in live.values.compactMap(\.log).sorted() {
            log.end(entry, .agentLost, at: time)
        }
        live.removeAll()
        programs.removeAll()
        endings.removeAll()
        links.removeAll()
        tellers.removeAll()
        open.removeAll()
        sockets.removeAll()
        tasks.removeAll()
        armed = nil
        host = PluginHost([], directory: "/s", limits: limits, at: .zero)
    }
}
