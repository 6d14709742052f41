import Testing

@testable import Core

/// An API in front of a store, with the shortest node that can be: what is proposed is applied at
/// once, zones are those of a table, and time moves when the test says so.
struct APIHarness {
    struct Reply {
        var status = 0
        var headers = HTTPHeaders()
        var body: [UInt8] = []
        /// In how many pieces the body came.
        var pieces = 0

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSONDocument? { try? JSONDocument(body, limits: JSONLimits(bytes: 1 << 28)) }

        /// A member of the answer, as compact JSON.
        subscript(name: String) -> String? {
            guard let json, let value = json.member(named: name, of: json.root) else { return nil }
            return String(decoding: json.compact(value), as: UTF8.self)
        }
        var code: String? { self["code"].map { String($0.dropFirst().dropLast()) } }
        var error: String {
            guard let json, let value = json.member(named: "error", of: json.root) else {
                return ""
            }
            return json.string(value) ?? ""
        }
        /// Names of the members of the answer (of the first element of an array).
        var fieldNames: [String] {
            guard let json else { return [] }
            let object =
                json.kind(of: json.root) == .array
                ? json.elements(of: json.root).first { _ in true } : json.root
            guard let object else { return [] }
            return json.members(of: object).map { json.string($0.name) ?? "" }
        }
        /// A member of each element of an array.
        func each(_ name: String) -> [String] {
            guard let json else { return [] }
            return json.elements(of: json.root).map { element in
                guard let value = json.member(named: name, of: element) else { return "" }
                return json.string(value)
                    ?? String(decoding: json.compact(value), as: UTF8.self)
            }
        }
    }

    var store = Store()
    var api: API
    var config: Config
    var now = Now(monotonic: Instant(nanoseconds: 5), wall: WallTime(seconds: 1_700_000_000))
    var role = APIContext.Role.leader
    var configuration = RaftConfiguration(voters: [7])
    var zones = ZoneTable()
    /// Zones that the host has; others are missing.
    var hostZones = ["Europe/Madrid": ZoneFile.utcLike]
    var members: [Member]
    var live: [ExecutionKey: OutputTail] = [:]
    /// Runs of other nodes whose output was asked for.
    var mirrored: [ExecutionKey] = []
    var history = HistoryStore(dataID: 7)
    var disk = TestDisk(seed: 1)
    /// Pieces of output that were read from files.
    var reads = 0
    var replies: [RequestID: Reply] = [:]
    var launched: [Assignment] = []
    var killed: [ExecutionKey] = []
    var logs: [LogRecord] = []
    var zonesLoaded: [String] = []
    var commands: [Command.Body] = []
    /// What becomes of the next proposals instead of being applied.
    var failures: [ProposalFailure] = []
    /// Happens between a proposal and its application.
    var interference: ((inout APIHarness) -> Void)?
    /// Proposals are kept and not applied.
    var holdsProposals = false
    var held: [(ProposalID, Command.Body)] = []
    /// Clients that do not read: nothing is drained.
    var isStalled = false
    var maxStepsOfWork = 1_000_000
    private var nextID: UInt64 = 0

    init() {
        config = Config(nodeName: NodeName("n1"), dataID: 7, incarnation: 3, version: "1.0")
        api = API(config: config)
        members = [Member(config, tags: config.tags)]
        withHistory { $0.recover(through: 0, into: &$1) }
        applyDirectly(.bootstrap(clusterID: "c", settings: ClusterSettings(), paused: false))
        commands = []
    }

    var context: APIContext {
        let live = live
        var context = APIContext(
            now: now, stamp: stamp, store: store, config: config, role: role, zones: zones,
            members: members, history: history, liveTail: { live[$0] })
        context.configuration = configuration
        return context
    }

    var stamp: WallTime { max(now.wall, store.cluster.lastStamp) }

    mutating func wait(_ duration: Duration) {
        now.monotonic = now.monotonic + duration
        now.wall = now.wall + duration
        settle()
    }

    // MARK: Requests

    @discardableResult
    mutating func send(
        _ method: HTTPMethod, _ target: String, _ body: String = "", headers: HTTPHeaders = [:]
    ) -> Reply? {
        let id = begin(method, target, body, headers: headers)
        return replies[id]
    }

    mutating func begin(
        _ method: HTTPMethod, _ target: String, _ body: String = "", headers: HTTPHeaders = [:]
    ) -> RequestID {
        begin(method, target, bytes: Array(body.utf8), headers: headers)
    }

    mutating func begin(
        _ method: HTTPMethod, _ target: String, bytes: [UInt8], headers: HTTPHeaders = [:]
    ) -> RequestID {
        nextID += 1
        let id = RequestID(nextID)
        let request = HTTPRequest(
            method: method, target: target, headers: headers, body: bytes,
            clientAddress: "10.0.0.9")
        run { $0.request(id, request, $1, into: &$2) }
        settle()
        return id
    }

    mutating func get(_ target: String) -> Reply { send(.get, target) ?? Reply() }

    /// Saves a job that must be accepted.
    @discardableResult
    mutating func put(_ json: String) -> Reply {
        let reply = send(.post, "/v1/jobs", json) ?? Reply()
        #expect(reply.status == 201, "\(reply.text)")
        return reply
    }

    mutating func abandon(_ id: RequestID) {
        run { $0.abandoned(id, $1, into: &$2) }
        settle()
    }

    // MARK: The node

    mutating func run(_ event: (inout API, APIContext, inout [APIAction]) -> Void) {
        var actions: [APIAction] = []
        event(&api, context, &actions)
        for action in actions { perform(action) }
    }

    /// Slices of long work, until there are none that are due.
    mutating func settle() {
        var steps = 0
        while let due = api.nextDeadline, due <= now.monotonic, steps < maxStepsOfWork {
            steps += 1
            run { $0.deadline($1, into: &$2) }
        }
    }

    private mutating func perform(_ action: APIAction) {
        switch action {
        case .respond(let id, let response):
            #expect(replies[id] == nil, "a request is answered once")
            var reply = Reply(status: response.status, headers: response.headers)
            if case .bytes(let bytes) = response.body { reply.body = bytes }
            replies[id] = reply
        case .respondChunk(let id, let bytes, let last):
            replies[id]?.body += bytes
            replies[id]?.pieces += 1
            if !last, !isStalled { run { $0.drained(id, $1, into: &$2) } }
        case .propose(let id, let body):
            if holdsProposals { return held.append((id, body)) }
            apply(id, body)
        case .read(let ticket, let operation):
            reads += 1
            let result = disk.perform(operation)
            run { $0.storage(ticket, result, $1, into: &$2) }
        case .mirror(let key): mirrored.append(key)
        case .loadZone(let name): loadZone(name)
        case .arrange(let id, _): run { $0.arranged(id, .done, $1, into: &$2) }
        case .measure(let id): run { $0.measured(id, Metrics(), Gauges(), $1, into: &$2) }
        case .log(let record): logs.append(record)
        case .mark: break
        }
    }

    mutating func apply(_ id: ProposalID, _ body: Command.Body) {
        if let failure = failures.first {
            failures.removeFirst()
            return run { $0.failed(id, failure, $1, into: &$2) }
        }
        if let interference {
            self.interference = nil
            interference(&self)
        }
        let (result, events) = applyDirectly(withTargets(body))
        let index = store.appliedIndex
        run { $0.applied(id, result, at: index, $1, into: &$2) }
        tell(events)
    }

    @discardableResult
    mutating func applyDirectly(_ body: Command.Body) -> (ApplyResult, [StoreEvent]) {
        commands.append(body)
        var events: [StoreEvent] = []
        let command = Command(stamp: stamp, body: body)
        let result = store.apply(command, at: store.appliedIndex + 1, into: &events)
        return (result, events)
    }

    mutating func tell(_ events: [StoreEvent]) {
        for event in events {
            switch event {
            case .launch(let assignment): launched.append(assignment)
            case .killRequested(let key, _): killed.append(key)
            case .output(let key, let chunk, let bytes):
                history.append(
                    index: store.appliedIndex, key: ByteKey(key.historyKey), chunk: chunk,
                    bytes: bytes)
            case .executionEnded(let key, _): run { $0.outputChanged(key, $1, into: &$2) }
            case .groupEnded(let job, let generation, let group):
                run { $0.groupEnded(job, generation, group, $1, into: &$2) }
            default: break
            }
        }
    }

    private func withTargets(_ body: Command.Body) -> Command.Body {
        func chosen(_ run: RunNow) -> RunNow {
            var run = run
            let tags = store.document(run.job)?.tags ?? []
            run.targets = TargetSelection.matching(tags, members).candidates.map(\.name)
            return run
        }
        switch body {
        case .runNow(let run): return .runNow(chosen(run))
        case .putJob(var put):
            if let run = put.runOnCreate {
                put.runOnCreate = chosen(run)
                put.runOnCreate?.targets =
                    TargetSelection.matching(put.document.tags, members).candidates.map(\.name)
            }
            return .putJob(put)
        default: return body
        }
    }

    private mutating func loadZone(_ name: String) {
        guard zones.beginLoading(name) else { return }
        zonesLoaded.append(name)
        zones.loaded(name, hostZones[name])
        run { $0.zoneLoaded(name, $1, into: &$2) }
    }

    // MARK: Runs

    mutating func start(_ assignment: Assignment) {
        report(assignment, .started(at: now.wall))
    }

    mutating func end(
        _ assignment: Assignment, _ state: Execution.State = .success, exitCode: Int32? = nil
    ) {
        var result = ExecutionResult(
            state: state, startedAt: store.execution(assignment.key)?.startedAt ?? now.wall,
            finishedAt: now.wall)
        result.exitCode = exitCode
        result.outputChunks = store.execution(assignment.key)?.outputChunks ?? 0
        result.outputLength = store.execution(assignment.key)?.outputLength ?? 0
        report(assignment, .ended(result))
    }

    private mutating func report(_ assignment: Assignment, _ news: Report.News) {
        let report = Report(job: assignment.job, key: assignment.key, news: news)
        tell(applyDirectly(.reports([report])).1)
        settle()
    }

    /// The run prints, and its node keeps at most the last `limit` bytes.
    mutating func prints(_ assignment: Assignment, _ bytes: [UInt8], limit: Int = 1_000) {
        live[assignment.key, default: OutputTail(limit: limit)].append(bytes)
        run { $0.outputChanged(assignment.key, $1, into: &$2) }
    }

    /// The node has no longer what the run printed.
    mutating func forgetLive(_ assignment: Assignment) {
        run { $0.outputChanged(assignment.key, $1, into: &$2) }
        live[assignment.key] = nil
    }

    /// What the run printed, in pieces; before its end.
    mutating func output(_ assignment: Assignment, _ pieces: [String]) {
        for (number, piece) in pieces.enumerated() {
            report(assignment, .output(chunk: UInt32(number), bytes: Array(piece.utf8)))
        }
    }

    /// Has the history write what it holds to its files.
    mutating func writeHistory() {
        let index = store.appliedIndex
        withHistory { $0.sync(through: index, into: &$1) }
    }

    private mutating func withHistory(
        _ body: (inout HistoryStore, inout [StorageRequest]) -> Void
    ) {
        var requests: [StorageRequest] = []
        var actions: [HistoryAction] = []
        body(&history, &requests)
        while !requests.isEmpty {
            let request = requests.removeFirst()
            let result = disk.perform(request.operation)
            history.handle(
                result, for: request.ticket, at: now.monotonic, into: &requests,
                actions: &actions)
        }
    }

    var lastLog: String { logs.last?.message ?? "" }
}

enum ZoneFile {
    /// A TZif file (RFC 8536, version 1) without transitions, one hour east of Greenwich.
    static let utcLike: [UInt8] = {
        var bytes = Array("TZif".utf8)
        bytes += [UInt8](repeating: 0, count: 16)
        // Counts: UT indicators, standard indicators, leaps, transitions, types, characters.
        for count in [0, 0, 0, 0, 1, 4] as [UInt32] {
            bytes += [0, 0, 0, UInt8(count)]
        }
        bytes += [0, 0, 0x0e, 0x10, 0, 0]
        bytes += Array("CET".utf8) + [0]
        return bytes
    }()
}
