import Testing

@testable import Core

@Suite("Plugins: whatever happens")
struct PluginWalkTests {
    /// Events in an order that nobody would think of, for plugins of both kinds.
    @Test(
        "each call ends once, time goes on, and a stop leaves nothing", arguments: 0..<UInt64(200))
    func walk(_ seed: UInt64) {
        var random = PRNG(seed: seed)
        var now = Now(monotonic: .zero, wall: WallTime(seconds: 1_000))
        var out = PluginOutput()
        var limits = PluginHost.Limits()
        limits.calls = 3
        let files = ["/p/dkron-executor-a", "/p/dkron-executor-b", "/p/dkron-processor-c"]
        var host = PluginHost(
            files.compactMap { PluginFile(path: $0) }, directory: "/d", limits: limits,
            at: now.monotonic)
        host.start(at: now, into: &out)
        var world = Walk()
        var begun: Int64 = 0
        for _ in 0..<400 {
            now.monotonic = now.monotonic + .milliseconds(Int64(random.int(in: 0...3_000)))
            let pick = random.int(in: 0...9)
            if pick == 0 {
                begun += 1
                let call = PluginCall(
                    execution: ExecutionID("\(begun)-n"), plugin: ["a", "b"][Int(begun) % 2],
                    job: JobName("j"), config: [("timeout", "30")], grace: .seconds(1), fence: nil)
                host.begin(call, at: now, into: &out)
            } else if pick == 1 {
                begun += 1
                let execution = PluginExecution(
                    job: "j", isSuccess: true, output: [], node: "n", group: 1, attempt: 1)
                let call = ProcessorCall(
                    number: UInt64(begun), plugin: "c", execution: execution, config: [],
                    timeout: .seconds(30))
                host.process(call, at: now, into: &out)
            } else if pick == 2, begun > 0 {
                host.hangUp(ExecutionID("\(random.int(in: 1...Int(begun)))-n"), at: now, into: &out)
            } else if let due = host.nextDeadline, due <= now.monotonic {
                host.deadline(at: now, into: &out)
            } else if let event = world.event(&random) {
                host.take(event, at: now, into: &out)
            }
            world.perform(&out)
        }
        host.stop(at: now, into: &out)
        for _ in 0..<100 where !host.isStopped || host.count > 0 {
            world.perform(&out)
            for event in world.deaths() { host.take(event, at: now, into: &out) }
            now.monotonic = now.monotonic + .seconds(10)
            host.deadline(at: now, into: &out)
        }
        world.perform(&out)
        #expect(host.isStopped)
        #expect(host.count == 0)
        #expect(world.ended.sorted() == Array(1...max(begun, 1)).prefix(Int(begun)).map { $0 })
    }
}

/// Processes and sockets of a walk: what there is, and what may come of it.
private struct Walk {
    private var launching: [PluginLife] = []
    private var alive: [(life: PluginLife, isGreeted: Bool, kind: PluginKind)] = []
    private var kinds: [PluginLife: PluginKind] = [:]
    private var killed: [PluginLife] = []
    private var connecting: [ConnectionNumber] = []
    private var connections: [ConnectionNumber] = []
    private var listeners: [PluginListener] = []
    private var accepted: ConnectionNumber = 1
    private(set) var ended: [Int64] = []

    mutating func perform(_ out: inout PluginOutput) {
        for action in out.actions {
            switch action {
            case .launch(let life, let file):
                launching.append(life)
                kinds[life] = file.kind
            case .kill(let life): killed.append(life)
            case .connect(let number, _): connecting.append(number)
            case .close(let number):
                connecting.removeAll { $0 == number }
                connections.removeAll { $0 == number }
            case .listen(let listener, _): listeners.append(listener)
            case .unlisten(let listener, _): listeners.removeAll { $0 == listener }
            case .send, .remove, .log: break
            }
        }
        for (execution, event) in out.news {
            if case .ended = event { ended.append(execution.number ?? 0) }
        }
        ended += out.processed.map { Int64($0.number) }
        out = PluginOutput()
    }

    /// Something that may happen now.
    mutating func event(_ random: inout PRNG) -> PluginEvent? {
        switch random.int(in: 0...7) {
        case 0:
            guard let life = launching.popLast() else { return nil }
            if random.int(in: 0...9) == 0 { return .refused(life, reason: "no") }
            alive.append((life, false, kinds[life] ?? .executor))
            return .launched(life)
        case 1:
            guard let index = alive.firstIndex(where: { !$0.isGreeted }) else { return nil }
            alive[index].isGreeted = true
            let transport = alive[index].kind == .executor ? "grpc" : "netrpc"
            let line = random.int(in: 0...9) == 0 ? "?\n" : "1|1|unix|/tmp/p|\(transport)|\n"
            return .printed(alive[index].life, Array(line.utf8))
        case 2:
            guard let number = connecting.popLast() else { return nil }
            if random.int(in: 0...9) == 0 { return .failed(number, reason: "no") }
            connections.append(number)
            return .opened(number)
        case 3:
            guard let number = connections.first else { return nil }
            // SETTINGS of HTTP/2; to yamux they are garbage.
            return .received(number, [0, 0, 0, 4, 0, 0, 0, 0, 0])
        case 4:
            guard let number = connections.last, random.int(in: 0...3) == 0 else { return nil }
            return random.int(in: 0...1) == 0
                ? .receivedEnd(number) : .received(number, [UInt8](repeating: 0x80, count: 40))
        case 5:
            guard let listener = listeners.last else { return nil }
            if random.int(in: 0...9) == 0 { return .listenFailed(listener, reason: "no") }
            accepted += 2
            connections.append(accepted)
            return .accepted(listener, accepted)
        case 6:
            if let life = killed.popLast() { return exit(life, .signal(9)) }
            guard let life = alive.last?.life, random.int(in: 0...5) == 0 else { return nil }
            return exit(life, .code(1))
        default:
            guard let life = alive.first?.life else { return nil }
            return .complained(life, Array("panic: x\n".utf8))
        }
    }

    private mutating func exit(_ life: PluginLife, _ how: PluginExit) -> PluginEvent? {
        guard alive.contains(where: { $0.life == life }) else { return nil }
        alive.removeAll { $0.life == life }
        killed.removeAll { $0 == life }
        return .exited(life, how)
    }

    /// The end of everything that lives, or is on its way.
    mutating func deaths() -> [PluginEvent] {
        let events =
            launching.map { PluginEvent.refused($0, reason: "late") }
            + alive.map { .exited($0.life, .signal(9)) }
        (launching, alive, killed) = ([], [], [])
        return events
    }
}
