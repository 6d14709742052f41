@testable import Core

/// A node on a perfect machine: its disk answers at once, its supervisor starts what it is told and
/// the clock moves when the test says so. Faults are the simulator's matter.
struct NodeHarness {
    var node: Node
    var now: Now
    var disk = Disk()
    var space = DiskSpace(free: 1 << 40, total: 1 << 41)
    var files: Files { disk.files }
    var id: ServerID { config.dataID }
    var answers: [RequestID: HTTPResponse] = [:]
    var bodies: [RequestID: [UInt8]] = [:]
    /// Requests whose streamed answer has come to its end.
    var streamed: Set<RequestID> = []
    var started: [RunSpec] = []
    /// When the next tick was due, for each start.
    var dueAtStarts: [WallTime?] = []
    var called: [HTTPCall] = []
    var stopped: [ExecutionID] = []
    var released: [ExecutionID] = []
    var adopted: [ExecutionID] = []
    var logs: [LogRecord] = []
    var processed: [ProcessorRun] = []
    var abandoned: [ProcessorRunID] = []
    /// What processors answer; nil: nothing.
    var process: (ProcessorRun) -> ProcessorOutcome? = { _ in .done(output: nil) }
    var halted: String?
    var hasExited = false
    /// Ends every run at once with this code; nil leaves them running.
    var exitCode: Int32? = 0
    /// What every run prints.
    var output: [UInt8] = Array("hello\n".utf8)
    /// Keeps the history from being written until it is nil again.
    var heldHistory: [(StorageTicket, StorageOperation)]?
    /// How long each step takes.
    var stepTime = Duration.zero
    static let client = "192.0.2.7:50000"
    private var queue: [Input] = []
    private var nextRequest: UInt64 = 1
    private var starts: UInt64 = 1
    private(set) var config: Config

    /// Secrets by name; one that is missing can't be read.
    var secrets: [String: String] = [:]

    /// Messages for other nodes.
    var outgoing: [(to: ServerID, bytes: [UInt8])] = []
    /// What gossip wants, and the addresses at which others are reached.
    var gossip: [Effect] = []
    var reached: [ServerID: GossipAddress] = [:]
    /// Requests whose answer was cut off.
    var aborted: [RequestID] = []

    init(
        tunables: Tunables = Tunables(), at wall: Int64 = 1_700_000_000, name: String = "n1",
        id: ServerID = 7, among servers: [ServerID]? = nil,
        configure: (inout Config) -> Void = { _ in }
    ) {
        config = Config(nodeName: NodeName(name), dataID: id, incarnation: 1, version: "1.0")
        config.firstServers = servers
        configure(&config)
        config.tunables = tunables
        now = Now(monotonic: Instant(nanoseconds: 1_000_000_000), wall: WallTime(seconds: wall))
        var out = Outbox()
        node = Node(config, seed: id == 7 ? 1 : UInt64(id) << 8, at: now, into: &out)
        perform(out)
        settle()
    }

    /// A node on the files of another.
    init(files: Files, at now: Now) {
        config = Config(nodeName: NodeName("n1"), dataID: 7, incarnation: 2, version: "1.0")
        self.now = now
        disk.files = files
        var out = Outbox()
        node = Node(config, seed: 2, at: now, into: &out)
        perform(out)
        settle()
    }

    /// Ends the node's life without a word and starts another on the same files.
    mutating func restart(configure: (inout Config) -> Void = { _ in }) {
        configure(&config)
        halted = nil
        queue = []
        starts += 1
        answers = [:]
        (outgoing, gossip) = ([], [])
        config.incarnation += 1
        hasExited = false
        var out = Outbox()
        node = Node(config, seed: starts, at: now, into: &out)
        perform(out)
        settle()
    }

    /// Another machine of the same name takes the place of this one.
    mutating func replaceDisk() {
        disk.files = Files()
        restart { config in
            config.dataID += 1_000
            config.incarnation = 0
        }
    }

    mutating func step(_ input: Input) {
        var out = Outbox()
        node.step(input, at: now, into: &out)
        move(to: now.monotonic + stepTime)
        node.checkInvariants()
        perform(out)
    }

    /// Works until nothing is left to do at this instant.
    mutating func settle() {
        var steps = 0
        while steps < 200_000 {
            steps += 1
            if !queue.isEmpty {
                step(queue.removeFirst())
            } else if let deadline = node.nextDeadline, deadline <= now.monotonic {
                step(.deadline)
            } else {
                return
            }
        }
        fatalError("the node does not come to rest")
    }

    mutating func advance(_ duration: Duration) {
        let end = now.monotonic + duration
        while let deadline = node.nextDeadline, deadline <= end {
            move(to: max(deadline, now.monotonic))
            settle()
        }
        move(to: end)
        settle()
    }

    private mutating func move(to instant: Instant) {
        now = Now(monotonic: instant, wall: now.wall + (instant - now.monotonic))
    }

    // MARK: Requests

    @discardableResult
    mutating func send(
        _ method: HTTPMethod, _ target: String, _ body: String = "", headers: HTTPHeaders = [:]
    ) -> RequestID {
        let id = RequestID(nextRequest)
        nextRequest += 1
        let request = HTTPRequest(
            method: method, target: target, headers: headers, body: Array(body.utf8),
            clientAddress: Self.client)
        queue.append(.request(id, request))
        settle()
        return id
    }

    mutating func ask(
        _ method: HTTPMethod, _ target: String, _ body: String = ""
    ) -> (status: Int, body: String) {
        let id = send(method, target, body)
        guard let answer = answers[id] else { return (0, "") }
        return (answer.status, text(id))
    }

    func text(_ id: RequestID) -> String {
        if case .bytes(let bytes)? = answers[id]?.body {
            return String(decoding: bytes, as: UTF8.self)
        }
        return String(decoding: bodies[id] ?? [], as: UTF8.self)
    }

    /// Ends a run that was left running.
    mutating func end(_ id: ExecutionID, code: Int32 = 0) {
        queue.append(.run(id, .output(output, skipped: 0)))
        queue.append(.run(id, .ended(Self.ending(code, now.wall))))
        settle()
    }

    mutating func propose(_ body: Command.Body) {
        var out = Outbox()
        node.propose(body, for: nil, &out)
        node.step(.deadline, at: now, into: &out)
        perform(out)
        settle()
    }

    /// Has this server, which leads, hear of an agent.
    mutating func hear(_ report: AgentReport, from agent: String) {
        var out = Outbox()
        node.receive(report, from: NodeName(agent), &out)
        node.proposeReports(&out)
        node.step(.deadline, at: now, into: &out)
        perform(out)
        settle()
    }

    /// Has this server, which leads, change the members.
    mutating func change(_ change: RaftConfigurationChange) {
        var out = Outbox()
        node.withRaft(&out) { _ = try? $0.change(change, into: &$1) }
        node.step(.deadline, at: now, into: &out)
        perform(out)
        settle()
    }

    mutating func feed(_ input: Input) {
        queue.append(input)
        settle()
    }

    /// Writes the history that was held.
    mutating func writeHistory() {
        let held = heldHistory ?? []
        heldHistory = nil
        for (ticket, operation) in held { queue.append(.storage(ticket, disk.perform(operation))) }
        settle()
    }

    private static func ending(_ code: Int32, _ at: WallTime) -> RunEnd {
        RunEnd(
            cause: .finished, exitCode: code, signal: nil, cpuTime: .milliseconds(1),
            peakMemory: 4_096, at: at)
    }

    // MARK: Effects

    private mutating func perform(_ out: Outbox) {
        for effect in out.effects {
            switch effect {
            case .respond(let id, let response):
                precondition(answers[id] == nil, "one answer per request")
                answers[id] = response
                // The head of a stream leaves before anything is read from the disk.
                if case .stream = response.body { queue.append(.drained(id)) }
            case .respondChunk(let id, let bytes, let last):
                bodies[id, default: []] += bytes
                if last { streamed.insert(id) } else { queue.append(.drained(id)) }
            case .abort(let id): aborted.append(id)
            case .send(let id, let bytes): outgoing.append((id, bytes))
            case .store(let ticket, let operation):
                if ticket.owner == .history, heldHistory != nil {
                    heldHistory!.append((ticket, operation))
                    continue
                }
                queue.append(.storage(ticket, disk.perform(operation)))
            case .start(let spec): start(spec)
            case .adopt(let id, _):
                adopted.append(id)
                queue.append(.run(id, .vanished("the supervisor does not know this run")))
            case .stop(let id): stopped.append(id)
            case .release(let id): released.append(id)
            case .call(let call):
                called.append(call)
                queue.append(.call(call.execution, .started(at: now.wall)))
                queue.append(.call(call.execution, .output(output)))
                let end = CallEnd(cause: .finished, at: now.wall)
                queue.append(.call(call.execution, .ended(end)))
            case .converse(let call):
                let end = CallEnd(cause: .finished, at: now.wall)
                queue.append(.call(call.execution, .ended(end)))
            case .execute(let call):
                let end = CallEnd(cause: .finished, at: now.wall)
                queue.append(.call(call.execution, .ended(end)))
            case .hangUp(let id): stopped.append(id)
            case .readSecrets(let id, let names):
                let found = names.compactMap { name in
                    secrets[name].map { Setting(name: name, value: $0) }
                }
                let answer: SecretsAnswer =
                    found.count == names.count ? .read(found) : .failed("the secret is not here")
                queue.append(.secrets(id, answer))
            case .process(let run):
                processed.append(run)
                if let outcome = process(run) { queue.append(.processed(run.id, outcome)) }
            case .abandonProcessor(let run): abandoned.append(run)
            case .renewFences: break
            case .reach(let id, let address): reached[id] = address
            case .packet, .exchange, .answerExchange, .resolve: gossip.append(effect)
            case .belong, .closeExchange, .changeKeys: break
            case .measureDisk: queue.append(.disk(space))
            case .loadZone(let name): queue.append(.zone(name, nil))
            case .log(let record): logs.append(record)
            case .exit: hasExited = true
            case .halt(let reason): halted = reason
            }
        }
    }

    private mutating func start(_ spec: RunSpec) {
        started.append(spec)
        dueAtStarts.append(node.scheduler.nextDue)
        let identity = ProcessIdentity(
            processID: Int32(started.count), startTicks: 1, boot: "b")
        queue.append(.run(spec.execution, .started(identity, at: now.wall)))
        guard let exitCode else { return }
        queue.append(.run(spec.execution, .output(output, skipped: 0)))
        queue.append(.run(spec.execution, .ended(Self.ending(exitCode, now.wall))))
    }

    typealias Files = [FileName: [UInt8]]

    /// A disk that never fails.
    final class Disk {
        var files = Files()
        /// Hears of every operation after it was performed.
        var observe: (StorageOperation) -> Void = { _ in }

        func perform(_ operation: StorageOperation) -> StorageResult {
            defer { observe(operation) }
            switch operation {
            case .create(let file):
                if files[file] != nil { return .failed(StorageFailure(.exists, "\(file) exists")) }
                files[file] = []
            case .append(let file, let offset, let bytes):
                precondition(UInt64(files[file]!.count) == offset, "appends come at the end")
                files[file]! += bytes
            case .truncate(let file, let length): files[file]!.removeSubrange(Int(length)...)
            case .sync, .syncDirectory: break
            case .rename(let file, let to): files[to] = files.removeValue(forKey: file)
            case .remove(let file): files[file] = nil
            case .list(let directory):
                return .listing(
                    files.filter { $0.key.directory == directory }
                        .map { FileEntry(name: $0.key.name, length: UInt64($0.value.count)) }
                        .sorted { $0.name < $1.name })
            case .read(let file, let offset, let length):
                guard let content = files[file] else {
                    return .failed(StorageFailure(.notFound, "\(file) does not exist"))
                }
                return .bytes(Array(content.dropFirst(Int(offset)).prefix(length)))
            }
            return .done
        }
    }
}
