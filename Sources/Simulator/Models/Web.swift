// The servers that a machine's HTTP client can reach, and the network between. The client is the
// very machine that production runs (`HTTPCalls`); names, sockets and servers are models.

import Core

/// What happens in a network.
enum WebStep: Sendable {
    case event(SocketEvent)
    /// Bytes of a client get to the server.
    case arrive(ConnectionNumber, [UInt8])
    /// Something of a server gets to the client.
    case deliver(ConnectionNumber, HTTPPeer.Step.Kind)
    case deadline(Instant)
}

struct Web: Sendable {
    struct Output {
        var later: [(time: TrueTime, step: WebStep)] = []
        var news: [(execution: ExecutionID, event: CallEvent)] = []
        /// What servers saw and should not have.
        var complaints: [String] = []
    }

    private struct Connection: Sendable {
        var peer = HTTPPeer()
        var address: String
        /// What is sent on it arrives in order.
        var busyUntil: TrueTime
    }

    private struct Live: Sendable {
        var call: HTTPCall
        var log: Int?
        var bodyKey: UInt64
        var startedAt = TrueTime.zero
        /// The whole final answer, once a server has sent it and the client has all of it.
        var answer: HTTPPeerAnswer?
        /// The literal that the body is searched for: all expressions here are one in disguise.
        var wanted: String?
    }

    let node: Int
    private var calls: HTTPCalls
    private var connections: [ConnectionNumber: Connection] = [:]
    private var live: [ExecutionID: Live] = [:]
    private let draws: Draws
    private var delays: DrawStream
    private let latency: Duration
    private let limits: HTTPCaller.Limits
    private var armed: Instant?
    private var requestsOf: [ExecutionID: UInt64] = [:]

    init(node: Int, draws: Draws, latency: Duration) {
        self.node = node
        self.draws = draws
        self.latency = latency
        delays = draws.stream("web/\(node)/delay")
        // Few, so that calls wait and kept connections make room.
        var limits = HTTPCaller.Limits()
        limits.connections = delays.element([2, 5, 500])
        limits.keptPerServer = 2
        self.limits = limits
        calls = HTTPCalls(limits: limits)
    }

    /// Calls that have not ended.
    var executions: [ExecutionID] { live.values.map(\.call.execution) }
    var keptCount: Int { calls.keptCount }
    /// Calls that wait for a connection. They have not started, and hold places of the agent.
    var waitingCount: Int { calls.waitingCount }

    // MARK: What the agent asks

    mutating func begin(
        _ call: HTTPCall, at time: TrueTime, now: Now, agentLife: UInt64, log: inout RunLog,
        into out: inout Output
    ) {
        var keys = draws.stream("web/body/\(call.execution.text)")
        live[call.execution] = Live(
            call: call, bodyKey: keys.next(),
            wanted: call.expectedBody?.text.filter(\.isLetter))
        perform(at: time, now: now, agentLife, &log, &out) {
            $0.begin(call, at: now, into: &$1)
        }
    }

    mutating func hangUp(
        _ id: ExecutionID, at time: TrueTime, now: Now, agentLife: UInt64, log: inout RunLog,
        into out: inout Output
    ) {
        perform(at: time, now: now, agentLife, &log, &out) { $0.hangUp(id, at: now, into: &$1) }
    }

    mutating func renewFences(ago: Duration, now: Now) { calls.renewFences(ago: ago, at: now) }

    // MARK: What happens by itself

    mutating func step(
        _ step: WebStep, at time: TrueTime, now: Now, agentLife: UInt64, log: inout RunLog,
        into out: inout Output
    ) {
        switch step {
        case .event(let event):
            perform(at: time, now: now, agentLife, &log, &out) {
                $0.take(event, at: now, into: &$1)
            }
        case .arrive(let number, let bytes): arrive(number, bytes, at: time, &out)
        case .deliver(let number, let kind):
            guard connections[number] != nil else { return }
            let event: SocketEvent
            switch kind {
            case .send(let bytes, let answer):
                if let answer, let id = talking[number] { live[id]?.answer = answer }
                event = .received(number, bytes)
            case .close: event = .receivedEnd(number)
            case .reset: event = .failed(number, reason: "Connection reset by peer")
            }
            perform(at: time, now: now, agentLife, &log, &out) {
                $0.take(event, at: now, into: &$1)
            }
        case .deadline(let instant):
            guard armed == instant else { return }
            armed = nil
            perform(at: time, now: now, agentLife, &log, &out) {
                $0.deadline(at: now, into: &$1)
            }
        }
    }

    /// Whose request a connection carries, as its server knows.
    private var talking: [ConnectionNumber: ExecutionID] = [:]

    private mutating func perform(
        at time: TrueTime, now: Now, _ agentLife: UInt64, _ log: inout RunLog,
        _ out: inout Output, _ body: (inout HTTPCalls, inout CallOutput) -> Void
    ) {
        var wanted = CallOutput()
        body(&calls, &wanted)
        for action in wanted.sockets { perform(action, at: time, &out) }
        for (id, event) in wanted.news {
            record(id, event, at: time, agentLife, &log)
            out.news.append((id, event))
        }
    }

    // MARK: Names, connections, servers

    private mutating func perform(
        _ action: SocketAction, at time: TrueTime, _ out: inout Output
    ) {
        let delay = delays.exponential(latency)
        switch action {
        case .resolve(let host):
            guard host != "mute.sim" else { return }
            let addresses = Self.addresses[host] ?? []
            let problem = addresses.isEmpty ? "Name or service not known" : ""
            out.later.append(
                (
                    time + delay,
                    .event(.resolved(host: host, addresses: addresses, problem: problem))
                ))
        case .open(let number, let address, _, _):
            guard address != Self.silent else { return }
            guard address != Self.refusing else {
                let event = SocketEvent.failed(number, reason: "Connection refused")
                return out.later.append((time + delay, .event(event)))
            }
            connections[number] = Connection(address: address, busyUntil: time + delay)
            out.later.append((time + delay, .event(.opened(number))))
        case .secure(let number, _): out.later.append((time + delay, .event(.opened(number))))
        case .send(let number, let bytes):
            let first = delays.int(0...bytes.count)
            for (part, at) in [(first, delay), (bytes.count - first, delay * 2)] where part > 0 {
                out.later.append((time + at, .event(.wrote(number, count: part))))
            }
            out.later.append((time + delay * 2, .arrive(number, bytes)))
        case .close(let number):
            connections[number] = nil
            talking[number] = nil
        }
    }

    private mutating func arrive(
        _ number: ConnectionNumber, _ bytes: [UInt8], at time: TrueTime,
        _ out: inout Output
    ) {
        guard var connection = connections[number] else { return }
        let execution = Self.execution(in: bytes)
        let key = execution.flatMap { live[$0]?.bodyKey } ?? 0
        let count = execution.map { requestsOf[$0, default: 0] } ?? 0
        let (requests, steps) = connection.peer.receive(bytes, bodyKey: key) {
            draws.stream("web/\($0["dkron-execution-id"] ?? "")").child(count)
        }
        for request in requests {
            if let execution { requestsOf[execution, default: 0] += 1 }
            talking[number] = execution
            complain(of: request, at: connection.address, execution, &out)
        }
        var at = max(time, connection.busyUntil)
        for step in steps {
            at = at + step.after + delays.exponential(latency)
            out.later.append((at, .deliver(number, step.kind)))
        }
        connection.busyUntil = at
        connections[number] = connection
    }

    private func complain(
        of request: HTTPPeerRequest, at address: String, _ execution: ExecutionID?,
        _ out: inout Output
    ) {
        let name = request["dkron-execution-id"] ?? "no execution"
        guard let call = execution.flatMap({ live[$0]?.call }) else {
            return out.complaints.append("a server was asked for \(name), which is not called")
        }
        for field in call.exchange.openHeaders.fields
        where request[field.name.lowercased()] != field.value {
            out.complaints.append("a server was not told the \(field.name) of \(name)")
        }
        let home = call.exchange.url.host
        let homes = Self.addresses[home] ?? [home]
        if request["authorization"] != nil, !homes.contains(address) {
            out.complaints.append("\(address) got the credentials for \(home)")
        }
    }

    private static func execution(in bytes: [UInt8]) -> ExecutionID? {
        var copy = bytes
        return HTTPPeerRequest(takingFrom: &copy)?["dkron-execution-id"].flatMap {
            ExecutionID($0)
        }
    }

    // MARK: The record

    private mutating func record(
        _ id: ExecutionID, _ event: CallEvent, at time: TrueTime, _ agentLife: UInt64,
        _ log: inout RunLog
    ) {
        guard let run = live[id] else { return }
        switch event {
        case .started(let wall):
            live[id]?.startedAt = time
            let entry = log.begin(realRun(run, at: time, wall, agentLife))
            live[id]?.log = entry
        case .output, .wholeOutput: break
        case .ended(let end):
            live[id] = nil
            requestsOf[id] = nil
            guard let entry = run.log else { return }
            switch end.cause {
            case .timedOut: log.end(entry, .timedOut, at: time)
            case .stopped: log.end(entry, .stopped, at: time)
            case .fenced: log.end(entry, .fenced, at: time)
            case .finished:
                let length = run.answer?.bodyLength ?? 0
                if run.answer != nil { log.wrote(entry, upTo: length) }
                log.end(
                    entry, .answered(isGood(run), whole: run.answer != nil), at: time)
            }
        }
    }

    private func realRun(
        _ run: Live, at time: TrueTime, _ wall: WallTime, _ agentLife: UInt64
    ) -> RealRun {
        let told = { run.call.exchange.openHeaders[$0] ?? "" }
        var behaviour = Behaviour()
        behaviour.isBinary = Self.parameter("bin", of: run.call.exchange.url.target) == "1"
        return RealRun(
            execution: run.call.execution.text, job: told("Dkron-Job-Name"),
            group: told("Dkron-Group"), attempt: Int(told("Dkron-Attempt")) ?? 0,
            scheduledAt: told("Dkron-Scheduled-At"), node: node, agentLife: agentLife,
            timeout: run.call.timeout, grace: .zero, isFenced: run.call.fence != nil,
            behaviour: behaviour, outputKey: run.bodyKey, startedAt: time, startedWall: wall)
    }

    /// Whether the answer is what the job wants, by the model's own reckoning.
    private func isGood(_ run: Live) -> Bool {
        guard let answer = run.answer else { return false }
        let statuses = run.call.expectedStatuses
        guard statuses.isEmpty || statuses.contains(answer.status) else { return false }
        guard let wanted = run.wanted.map({ Array($0.utf8) }) else { return true }
        let isBinary = Self.parameter("bin", of: run.call.exchange.url.target) == "1"
        let body = RealRun.output(run.bodyKey, 0..<answer.bodyLength, binary: isBinary)
        return body.indices.contains { body[$0...].starts(with: wanted) }
    }

    private static func parameter(_ name: String, of target: String) -> String? {
        guard let mark = target.firstIndex(of: "?") else { return nil }
        let pairs = target[target.index(after: mark)...].split(separator: "&")
        return pairs.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
    }

    // MARK: Time and deaths

    /// When the client wants to be asked, if that has changed.
    mutating func newDeadline() -> Instant? {
        guard let deadline = calls.nextDeadline, deadline != armed else { return nil }
        armed = deadline
        return deadline
    }

    /// The agent's process is gone, and all its connections with it.
    mutating func agentDied(at time: TrueTime, log: inout RunLog) {
        for entry in live.values.compactMap(\.log).sorted() {
            log.end(entry, .agentLost, at: time)
        }
        live.removeAll()
        requestsOf.removeAll()
        connections.removeAll()
        talking.removeAll()
        armed = nil
        calls = HTTPCalls(limits: limits)
    }

    private static let refusing = "10.0.0.8"
    private static let silent = "10.0.0.9"
    /// Hosts by name; any other has no address.
    static let addresses = [
        "peer.sim": ["10.0.0.1"], "other.sim": ["10.0.0.2"], "refusing.sim": [refusing],
        "half.sim": [refusing, "10.0.0.1"], "silent.sim": [silent],
    ]
}
