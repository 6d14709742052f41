package import Core
internal import Glibc

/// The executors of this program as what a plugin does.
package final class BuiltInExecutorWork: PluginWork {
    private let executor: BuiltInExecutor
    private let loop: EventLoop
    private let log: LogWriter
    private let resolver: Resolver
    private let handshakes: TLSHandshakes
    private let requests: Outbound<HTTPCalls>
    private let conversations: Outbound<Conversations>
    /// Of commands only.
    private let supervisor: SupervisorClient?
    private var numbers: [ExecutionID: UInt64] = [:]
    private var executions: [UInt64: ExecutionID] = [:]
    private var news: [PluginServerEvent] = []
    private var inputs: [Input] = []
    private var lastID: Int64 = 0
    /// Tells what this process makes up from what others do: two nodes may be asked at the very
    /// same time, and a server that knows an id stores nothing.
    private let origin: String

    /// Between the polite signal to a command and the deadly one.
    private static let grace = Duration.seconds(10)

    package init(_ executor: BuiltInExecutor, loop: EventLoop, log: LogWriter) throws {
        self.executor = executor
        self.loop = loop
        self.log = log
        origin = String(Entropy.number(), radix: 16)
        resolver = try Resolver()
        handshakes = try TLSHandshakes()
        requests = Outbound(
            HTTPCalls(), "executor", owner: .outbound, asker: .calls, loop: loop, log: log,
            resolver: resolver, handshakes: handshakes)
        conversations = Outbound(
            Conversations(on: SystemHost()), "executor", owner: .conversations,
            asker: .conversations, loop: loop, log: log, resolver: resolver,
            handshakes: handshakes)
        loop.watch(resolver.fileDescriptor, for: .read, as: .init(.names))
        loop.watch(handshakes.fileDescriptor, for: .read, as: .init(.handshakes))
        guard executor == .shell else {
            supervisor = nil
            return
        }
        // The supervisor removes it.
        let folder = try PluginDirectories.temporary()
        let client = try SupervisorClient(
            dataDirectory: folder, executable: "/proc/self/exe", hideEnvironment: [])
        client.bind()
        supervisor = client
        loop.watch(client.fileDescriptor, for: .read, as: .init(.supervisor))
    }

    package var nextDeadline: Instant? {
        let times = [
            requests.nextDeadline, conversations.nextDeadline,
            supervisor?.nextDeadline(now: Clocks.monotonic()),
        ]
        return times.compactMap { $0 }.min()
    }

    package func begin(_ call: PluginServerCall, at now: Now) {
        guard case .execute(let job, let config, let identity) = call.work else { return }
        let id = execution(identity, at: now.wall)
        do throws(ExecutorSettingError) {
            let wanted = try executor.call(
                config.map { ($0.key, $0.value) }, execution: id, job: JobName(job),
                identity: identity, grace: Self.grace, fence: nil)
            numbers[id] = call.number
            executions[call.number] = id
            switch wanted {
            case .start(let spec): supervisor?.start(spec)
            case .call(let call): requests.begin(call, at: now, into: &inputs)
            case .converse(let call): conversations.begin(call, at: now, into: &inputs)
            }
        } catch {
            news.append(.finished(call.number, .executed(error: error.description)))
        }
        drain()
    }

    /// The one that the host tells, if it tells one and it is not under way already; else one that
    /// nobody has used before.
    private func execution(_ identity: [EnvironmentEntry], at wall: WallTime) -> ExecutionID {
        let told = identity.first { $0.name == "DKRON_EXECUTION_ID" }.map { ExecutionID($0.value) }
        if let told, numbers[told] == nil { return told }
        lastID = max(lastID + 1, wall.nanoseconds)
        return ExecutionID("\(lastID)-plugin-\(origin)")
    }

    package func cancel(_ number: UInt64, at now: Now) {
        guard let id = executions[number] else { return }
        supervisor?.stop(id)
        requests.hangUp(id, at: now, into: &inputs)
        conversations.hangUp(id, at: now, into: &inputs)
        drain()
    }

    // MARK: What happens

    package func handle(_ event: EventLoop.Event, at now: Now) {
        switch event.token.owner {
        case .supervisor:
            for (id, event) in supervisor?.receive() ?? [] { inputs.append(.run(id, event)) }
        case .names:
            for answer in resolver.receive() {
                if case .calls = answer.asker {
                    requests.resolved(answer, at: now, into: &inputs)
                } else {
                    conversations.resolved(answer, at: now, into: &inputs)
                }
            }
        case .handshakes:
            for answer in handshakes.receive() {
                if case .outbound = answer.token.owner {
                    requests.advanced(answer, at: now, into: &inputs)
                } else {
                    conversations.advanced(answer, at: now, into: &inputs)
                }
            }
        case .outbound: requests.handle(event, at: now, into: &inputs)
        case .conversations: conversations.handle(event, at: now, into: &inputs)
        default: break
        }
        drain()
    }

    package func expire(at now: Now) {
        requests.expire(at: now, into: &inputs)
        conversations.expire(at: now, into: &inputs)
        for (id, event) in supervisor?.tick(now: now.monotonic) ?? [] {
            inputs.append(.run(id, event))
        }
        drain()
    }

    package func takeNews() -> [PluginServerEvent] {
        defer { news.removeAll(keepingCapacity: true) }
        return news
    }

    package func close() { supervisor?.endAll() }

    private func drain() {
        supervisor?.flush()
        for record in supervisor?.takeLog() ?? [] {
            log.write(
                LogRecord(
                    record.level == .info ? .debug : record.level, record.message,
                    record.fields), at: Clocks.wall())
        }
        for input in inputs {
            switch input {
            case .run(let id, let event): take(id, event)
            case .call(let id, let event): take(id, event)
            default: break
            }
        }
        inputs.removeAll(keepingCapacity: true)
    }

    private func take(_ id: ExecutionID, _ event: RunEvent) {
        switch event {
        case .started: break
        case .output(let bytes, _): print(id, bytes)
        case .ended(let end):
            finish(id, end.failure(stopped: "the call was cancelled, and the command was ended"))
            supervisor?.release(id)
        case .refused(let reason), .vanished(let reason):
            finish(id, reason)
            supervisor?.release(id)
        }
    }

    private func take(_ id: ExecutionID, _ event: CallEvent) {
        switch event {
        case .started: break
        case .output(let bytes), .wholeOutput(let bytes): print(id, bytes)
        case .ended(let end): finish(id, end.cause == .stopped ? stopped(id, end) : end.error)
        }
    }

    /// Why a call that was cancelled failed, with what came of cleaning up behind it.
    private func stopped(_ id: ExecutionID, _ end: CallEnd) -> String {
        guard !end.error.isEmpty else {
            return "the call was cancelled, but the server may carry the request out"
        }
        // A host that has cancelled a call takes no answer to it, but it has the log.
        log.write(
            .info, "a call that was cancelled has ended",
            [.init("execution", id.text), .init("outcome", end.error)])
        return "the call was cancelled; \(end.error)"
    }

    private func print(_ id: ExecutionID, _ bytes: [UInt8]) {
        if let number = numbers[id] { news.append(.output(number, bytes, isError: false)) }
    }

    private func finish(_ id: ExecutionID, _ error: String) {
        guard let number = numbers.removeValue(forKey: id) else { return }
        executions[number] = nil
        news.append(.finished(number, .executed(error: error)))
    }
}
