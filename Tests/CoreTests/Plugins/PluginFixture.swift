import Testing

@testable import Core

/// Plugins whose processes, sockets and programs are the test. What the host wants is told in
/// words; bytes between it and the programs are carried at once.
final class PluginFixture {
    var host: PluginHost
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_000))
    private(set) var logs: [LogRecord] = []
    /// The programs' ends of connections.
    private var servers: [ConnectionNumber: GRPCServer] = [:]
    private var clients: [ConnectionNumber: GRPCClient] = [:]
    /// What programs were asked to do and have not answered.
    private(set) var requests: [(connection: ConnectionNumber, call: UInt64, ExecuteRequest)] = []
    private(set) var cancelled: [UInt64] = []
    /// What the broker's stream has told.
    private(set) var infos: [ConnectionInfo] = []
    private(set) var stdio: (connection: ConnectionNumber, call: UInt64)?
    private(set) var life: PluginLife = 0
    private var out = PluginOutput()
    private var words: [String] = []
    private var nextAccepted: ConnectionNumber = 1
    private var methods: [GRPCMethod]

    static let all = ExecutorService.execute.map { GRPCMethod($0) }
    static let helpers = [
        GRPCMethod(ExecutorService.broker, requests: .stream), GRPCMethod(ExecutorService.output),
        GRPCMethod(ExecutorService.shutdown),
    ]

    init(
        _ paths: String..., methods: [GRPCMethod] = all + helpers,
        _ change: (inout PluginHost.Limits) -> Void = { _ in }
    ) {
        var limits = PluginHost.Limits()
        change(&limits)
        self.methods = methods
        host = PluginHost(
            paths.compactMap { PluginFile(path: $0) }, directory: "/d", limits: limits,
            at: now.monotonic)
    }

    /// A fixture whose only plugin is ready.
    static func ready(
        methods: [GRPCMethod] = all + helpers,
        _ change: (inout PluginHost.Limits) -> Void = { _ in }
    ) -> PluginFixture {
        let fixture = PluginFixture("/p/dkron-executor-x", methods: methods, change)
        _ = fixture.start()
        _ = fixture.take(.launched(fixture.life))
        _ = fixture.prints("1|1|unix|/tmp/p|grpc|\n")
        return fixture
    }

    // MARK: The node's side

    func start() -> [String] {
        host.start(at: now, into: &out)
        return settle()
    }

    func stop() -> [String] {
        host.stop(at: now, into: &out)
        return settle()
    }

    func begin(
        _ number: Int64, _ settings: [(String, String)] = [], plugin: String = "x",
        fence: Duration? = nil
    ) -> [String] {
        let call = PluginCall(
            execution: ExecutionID("\(number)-n"), plugin: plugin, job: JobName("job"),
            config: settings.map { (key: $0.0, value: $0.1) },
            identity: [EnvironmentEntry(name: "DKRON_ATTEMPT", value: "1")],
            grace: .seconds(10), fence: fence)
        host.begin(call, at: now, into: &out)
        return settle()
    }

    func hangUp(_ number: Int64) -> [String] {
        host.hangUp(ExecutionID("\(number)-n"), at: now, into: &out)
        return settle()
    }

    func wait(_ time: Duration) -> [String] {
        now.monotonic = now.monotonic + time
        host.deadline(at: now, into: &out)
        return settle()
    }

    func take(_ event: PluginEvent) -> [String] {
        host.take(event, at: now, into: &out)
        return settle()
    }

    func prints(_ text: String) -> [String] { take(.printed(life, Array(text.utf8))) }

    // MARK: The program's side

    /// Answers the oldest request.
    func answer(_ output: String, error: String = "") -> [String] {
        let request = requests.removeFirst()
        var response = ExecuteResponse()
        (response.output, response.error) = (Array(output.utf8), error)
        servers[request.connection]?.answer(request.call, response.protobuf, at: now.monotonic)
        return settle()
    }

    func refuse(_ status: GRPCStatus) -> [String] {
        let request = requests.removeFirst()
        servers[request.connection]?.finish(request.call, status, at: now.monotonic)
        return settle()
    }

    func say(_ channel: Int32, _ text: String) -> [String] {
        guard let stdio else { return ["nobody listens"] }
        var piece = StandardOutput()
        (piece.channel, piece.data) = (channel, Array(text.utf8))
        servers[stdio.connection]?.send(stdio.call, piece.protobuf, at: now.monotonic)
        return settle()
    }

    /// Connects to the socket of a call and tells what was printed.
    func tell(_ listener: PluginListener, _ text: String, method: Int = 0) -> [String] {
        let connection = nextAccepted
        nextAccepted += 2
        var client = GRPCClient(authority: "unused", at: now.monotonic)
        var update = StatusUpdateRequest()
        update.output = Array(text.utf8)
        let call = try? client.call(ExecutorService.update[method], at: now.monotonic)
        client.send(call ?? 0, update.protobuf, last: true, at: now.monotonic)
        clients[connection] = client
        host.take(.accepted(listener, connection), at: now, into: &out)
        return settle()
    }

    // MARK: Between them

    private func settle() -> [String] {
        defer { words = [] }
        var moved = true
        while moved {
            let actions = out.actions
            out.actions = []
            for action in actions { perform(action) }
            moved = !actions.isEmpty || carry()
        }
        for (execution, event) in out.news { words.append(Self.words(execution, event)) }
        out.news = []
        return words
    }

    private func perform(_ action: PluginAction) {
        switch action {
        case .launch(let life, let file):
            self.life = life
            words.append("launch \(file.name)")
        case .kill(let life): words.append("kill \(life)")
        case .connect(let number, let address):
            words.append("connect \(address)")
            servers[number] = GRPCServer(methods: methods, at: now.monotonic)
            host.take(.opened(number), at: now, into: &out)
        case .send(let number, let bytes):
            servers[number]?.http.receive(bytes.span, at: now.monotonic)
            clients[number]?.http.receive(bytes.span, at: now.monotonic)
            host.take(.wrote(number, count: bytes.count), at: now, into: &out)
        case .close(let number):
            servers[number] = nil
            requests.removeAll { $0.connection == number }
            if clients.removeValue(forKey: number) != nil { words.append("close") }
        case .listen(let listener, let path): words.append("listen \(listener) \(path)")
        case .unlisten(let listener, _): words.append("unlisten \(listener)")
        case .remove(let path): words.append("remove \(path)")
        case .log(let record): logs.append(record)
        }
    }

    /// Brings what the programs have to say; whether there was something.
    private func carry() -> Bool {
        var moved = false
        for number in servers.keys.sorted() {
            while let event = servers[number]?.nextEvent(at: now.monotonic) {
                serve(event, number)
            }
            let bytes = servers[number].map { Array($0.http.outgoing) } ?? []
            guard !bytes.isEmpty else { continue }
            servers[number]?.http.didSend(bytes.count, at: now.monotonic)
            host.take(.received(number, bytes), at: now, into: &out)
            moved = true
        }
        for number in clients.keys.sorted() {
            while let event = clients[number]?.nextEvent(at: now.monotonic) {
                if case .finished(_, let status, _) = event { words.append("told: \(status)") }
            }
            let bytes = clients[number].map { Array($0.http.outgoing) } ?? []
            guard !bytes.isEmpty else { continue }
            clients[number]?.http.didSend(bytes.count, at: now.monotonic)
            host.take(.received(number, bytes), at: now, into: &out)
            moved = true
        }
        return moved
    }

    private func serve(_ event: GRPCServerEvent, _ connection: ConnectionNumber) {
        switch event {
        case .request(let call, ExecutorService.output, _, _): stdio = (connection, call)
        case .request(_, ExecutorService.shutdown, _, _): words.append("asked to end")
        case .request(let call, let method, let metadata, let message):
            let request = (try? ExecuteRequest(protobuf: message)) ?? ExecuteRequest()
            let attempt = metadata["dkron-attempt"] ?? "?"
            let service = method.split(separator: "/")[0]
            words.append("\(service) \(request.job) \(request.statusServer) attempt \(attempt)")
            requests.append((connection, call, request))
        case .message(_, let bytes):
            if let info = try? ConnectionInfo(protobuf: bytes) { infos.append(info) }
        case .ended(let call, _):
            if requests.contains(where: { $0.call == call }) { cancelled.append(call) }
        case .opened, .halfClosed, .writable, .closed: break
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
