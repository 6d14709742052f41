import Testing

@testable import Core

/// A host and a plugin of ours in one process: bytes between them are carried at once. What the
/// plugin's program is asked to do is told in words, and so is what the node hears.
final class PluginPair {
    var host: PluginHost
    var server: PluginServer
    var now = Now(monotonic: .zero, wall: WallTime(seconds: 1_000))
    private(set) var calls: [PluginServerCall] = []
    private(set) var serverLog: [LogRecord] = []
    private(set) var hostLog: [LogRecord] = []
    private(set) var processed: [(number: UInt64, outcome: PluginOutcome)] = []
    private(set) var isOver = false
    private var out = PluginOutput()
    private var actions: [PluginServerAction] = []
    private var words: [String] = []
    private var listeners: [String: PluginListener] = [:]
    /// Of connections: the server's number by the host's, and the reverse.
    private var inside: [ConnectionNumber: ConnectionNumber] = [:]
    private var outside: [ConnectionNumber: ConnectionNumber] = [:]
    private var nextOdd: ConnectionNumber = 1

    init(_ kind: PluginKind, takesErrors: Bool = true) {
        let file = PluginFile(path: "/p/dkron-\(kind.rawValue)-x")
        host = PluginHost([file].compactMap { $0 }, directory: "/d", at: now.monotonic)
        server = PluginServer(kind, takesErrors: takesErrors, at: now.monotonic)
        host.start(at: now, into: &out)
        _ = settle()
        host.take(.launched(1), at: now, into: &out)
        let line = PluginHandshake.line(.local("/tmp/p"), of: kind)
        host.take(.printed(1, Array(line.utf8)), at: now, into: &out)
        _ = settle()
    }

    // MARK: The node

    func execute(_ number: Int64, _ settings: [(String, String)] = []) -> [String] {
        host.begin(
            PluginCall(
                execution: ExecutionID("\(number)-n"), plugin: "x", job: JobName("job"),
                config: settings.map { (key: $0.0, value: $0.1) },
                identity: [EnvironmentEntry(name: "DKRON_ATTEMPT", value: "2")],
                grace: .seconds(10), fence: nil), at: now, into: &out)
        return settle()
    }

    func process(_ number: UInt64, _ execution: PluginExecution) -> [String] {
        host.process(
            ProcessorCall(
                number: number, plugin: "x", execution: execution,
                config: [("z", "1"), ("a", "2")], timeout: .seconds(20)), at: now, into: &out)
        return settle()
    }

    func hangUp(_ number: Int64) -> [String] {
        host.hangUp(ExecutionID("\(number)-n"), at: now, into: &out)
        return settle()
    }

    func stop() -> [String] {
        host.stop(at: now, into: &out)
        return settle()
    }

    // MARK: The plugin's program

    func take(_ event: PluginServerEvent) -> [String] {
        server.take(event, at: now.monotonic, into: &actions)
        return settle()
    }

    /// The host's process is gone.
    func loseHost() -> [String] {
        for number in inside.values.sorted() {
            server.take(.receivedEnd(number), at: now.monotonic, into: &actions)
        }
        inside = [:]
        outside = [:]
        return settle()
    }

    func wait(_ time: Duration) -> [String] {
        now.monotonic = now.monotonic + time
        host.deadline(at: now, into: &out)
        server.expire(at: now.monotonic, into: &actions)
        return settle()
    }

    // MARK: Between them

    private func settle() -> [String] {
        defer { words = [] }
        while !out.actions.isEmpty || !actions.isEmpty {
            let (wanted, served) = (out.actions, actions)
            out.actions = []
            actions = []
            for action in wanted { perform(action) }
            for action in served { perform(action) }
        }
        for (execution, event) in out.news { words.append(Self.words(execution, event)) }
        out.news = []
        processed += out.processed
        out.processed = []
        return words
    }

    private func perform(_ action: PluginAction) {
        switch action {
        case .connect(let number, _):
            inside[number] = nextOdd
            outside[nextOdd] = number
            nextOdd += 2
            server.take(.accepted(nextOdd - 2), at: now.monotonic, into: &actions)
            host.take(.opened(number), at: now, into: &out)
        case .send(let number, let bytes):
            host.take(.wrote(number, count: bytes.count), at: now, into: &out)
            guard let other = inside[number] else { return }
            server.take(.received(other, bytes), at: now.monotonic, into: &actions)
        case .close(let number):
            guard let other = inside.removeValue(forKey: number) else { return }
            outside[other] = nil
            server.take(.receivedEnd(other), at: now.monotonic, into: &actions)
        case .listen(let listener, let path): listeners[path] = listener
        case .log(let record): hostLog.append(record)
        case .launch, .kill, .unlisten, .remove: break
        }
    }

    private func perform(_ action: PluginServerAction) {
        switch action {
        case .connect(let number, .local(let path)):
            guard let listener = listeners[path] else {
                let event = PluginServerEvent.failed(number, reason: "nobody listens")
                return server.take(event, at: now.monotonic, into: &actions)
            }
            // The host's numbers of such connections are odd, and the server's even.
            let other = number + 1_001
            inside[other] = number
            outside[number] = other
            host.take(.accepted(listener, other), at: now, into: &out)
            server.take(.opened(number), at: now.monotonic, into: &actions)
        case .connect: break
        case .send(let number, let bytes):
            server.take(.wrote(number, count: bytes.count), at: now.monotonic, into: &actions)
            guard let other = outside[number] else { return }
            host.take(.received(other, bytes), at: now, into: &out)
        case .close(let number):
            guard let other = outside.removeValue(forKey: number) else { return }
            inside[other] = nil
            host.take(.receivedEnd(other), at: now, into: &out)
        case .begin(let call):
            calls.append(call)
            words.append("begin \(call.number)")
        case .cancel(let number): words.append("cancel \(number)")
        case .log(let record): serverLog.append(record)
        case .exit:
            isOver = true
            words.append("exit")
            host.take(.exited(1, .code(0)), at: now, into: &out)
        }
    }

    private static func words(_ execution: ExecutionID, _ event: CallEvent) -> String {
        let number = execution.number ?? 0
        switch event {
        case .started: return "\(number) started"
        case .output(let bytes): return "\(number) told \(String(decoding: bytes, as: UTF8.self))"
        case .wholeOutput(let bytes):
            return "\(number) printed \(String(decoding: bytes, as: UTF8.self))"
        case .ended(let end): return "\(number) \(end.cause): \(end.error)"
        }
    }
}
