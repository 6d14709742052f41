// The servers that a machine's HTTP client can reach, and the network between. The client is the
// very machine that production runs (`HTTPCalls`); names, sockets and servers are models.

import Core

struct Web: Sendable {
    typealias Step = WireStep<HTTPPeer.Step.Kind>

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
    private var wires: Wires
    private var peers: [ConnectionNumber: HTTPPeer] = [:]
    private var live: [ExecutionID: Live] = [:]
    private let draws: Draws
    private let limits: HTTPCaller.Limits
    private var armed: Instant?
    private var requestsOf: [ExecutionID: UInt64] = [:]

    init(node: Int, draws: Draws, latency: Duration) {
        self.node = node
        self.draws = draws
        var delays = draws.stream("web/\(node)/delay")
        // Few, so that calls wait and kept connections make room.
        var limits = HTTPCaller.Limits()
        limits.connections = delays.element([2, 5, 500])
        limits.keptPerServer = 2
        self.limits = limits
        wires = Wires(delays: delays, latency: latency)
        calls = HTTPCalls(limits: limits)
    }

    /// Calls that have not ended.
    var executions: [ExecutionID] { live.values.map(\.call.execution) }
    var keptCount: Int { calls.keptCount }
    /// Calls that wait for a connection. They have not started, and hold places of the agent.
    var waitingCount: Int { calls.waitingCount }

    // MARK: What the agent asks

    mutating func begin(
        _ call: HTTPCall, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        var keys = draws.stream("web/body/\(call.execution.text)")
        live[call.execution] = Live(
            call: call, bodyKey: keys.next(),
            wanted: call.expectedBody?.text.filter(\.isLetter))
        perform(moment, &log, &out) { $0.begin(call, at: moment.now, into: &$1) }
    }

    mutating func hangUp(
        _ id: ExecutionID, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        perform(moment, &log, &out) { $0.hangUp(id, at: moment.now, into: &$1) }
    }

    mutating func renewFences(ago: Duration, now: Now) { calls.renewFences(ago: ago, at: now) }

    // MARK: What happens by itself

    mutating func step(
        _ step: Step, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        switch step {
        case .event(let event): take(event, moment, &log, &out)
        case .arrive(let number, let bytes): arrive(number, bytes, at: moment.time, &out)
        case .deliver(let number, let kind):
            guard wires.connections[number] != nil else { return }
            switch kind {
            case .send(let bytes, let answer):
                if let answer, let id = talking[number] { live[id]?.answer = answer }
                take(.received(number, bytes), moment, &log, &out)
            case .close: take(.receivedEnd(number), moment, &log, &out)
            case .reset:
                take(.failed(number, reason: "Connection reset by peer"), moment, &log, &out)
            }
        case .deadline(let instant):
            guard armed == instant else { return }
            armed = nil
            perform(moment, &log, &out) { $0.deadline(at: moment.now, into: &$1) }
        }
    }

    private mutating func take(
        _ event: SocketEvent, _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        perform(moment, &log, &out) { $0.take(event, at: moment.now, into: &$1) }
    }

    /// Whose request a connection carries, as its server knows.
    private var talking: [ConnectionNumber: ExecutionID] = [:]

    private mutating func perform(
        _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput,
        _ body: (inout HTTPCalls, inout CallOutput) -> Void
    ) {
        var wanted = CallOutput()
        body(&calls, &wanted)
        for action in wanted.sockets { perform(action, at: moment.time, &out) }
        for (id, event) in wanted.news {
            record(id, event, moment, &log)
            out.news.append((id, event))
        }
    }

    // MARK: Names, connections, servers

    private mutating func perform(
        _ action: SocketAction, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        var later: [(time: TrueTime, step: Step)] = []
        wires.perform(action, at: time, into: &later)
        for (at, step) in later { out.later.append((at, .web(step))) }
        if case .close(let number) = action {
            peers[number] = nil
            talking[number] = nil
        }
    }

    private mutating func arrive(
        _ number: ConnectionNumber, _ bytes: [UInt8], at time: TrueTime,
        _ out: inout OutsideOutput
    ) {
        guard let connection = wires.connections[number] else { return }
        let execution = Self.execution(in: bytes)
        let key = execution.flatMap { live[$0]?.bodyKey } ?? 0
        let count = execution.map { requestsOf[$0, default: 0] } ?? 0
        let (requests, steps) = peers[number, default: HTTPPeer()].receive(bytes, bodyKey: key) {
            [draws] in draws.stream("web/\($0["dkron-execution-id"] ?? "")").child(count)
        }
        for request in requests {
            if let execution { requestsOf[execution, default: 0] += 1 }
            talking[number] = execution
            complain(of: request, at: connection.address, execution, &out)
        }
        for step in steps {
            let at = wires.arrival(on: number, after: step.after, at: time)
            out.later.append((at, .web(.deliver(number, step.kind))))
        }
    }

    private func complain(
        of request: HTTPPeerRequest, at address: String, _ execution: ExecutionID?,
        _ out: inout OutsideOutput
    ) {
        let name = request["dkron-execution-id"] ?? "no execution"
        guard let call = execution.flatMap({ live[$0]?.call }) else {
            return out.complain(.X18, "a server was asked for \(name), which is not called")
        }
        for field in call.exchange.openHeaders.fields
        where request[field.name.lowercased()] != field.value {
            out.complain(.X18, "a server was not told the \(field.name) of \(name)")
        }
        let home = call.exchange.url.host
        let homes = Wires.addresses[home] ?? [home]
        if request["authorization"] != nil, !homes.contains(address) {
            out.complain(.X18, "\(address) got the credentials for \(home)")
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
        _ id: ExecutionID, _ event: CallEvent, _ moment: Moment, _ log: inout RunLog
    ) {
        guard let run = live[id] else { return }
        let time = moment.time
        switch event {
        case .started(let wall):
            live[id]?.startedAt = time
            let entry = log.begin(realRun(run, moment, wall))
            live[id]?.log = entry
        case .output, .wholeOutput: break
        case .ended(let end):
            live[id] = nil
            requestsOf[id] = nil
            guard let entry = run.log else { return }
            if end.cause == .finished, let answer = run.answer {
                log.wrote(entry, upTo: answer.bodyLength)
            }
            let answered = RealRun.Ending.answered(isGood(run), whole: run.answer != nil)
            log.end(entry, .init(end.cause, otherwise: answered), at: time)
        }
    }

    private func realRun(
        _ run: Live, _ moment: Moment, _ wall: WallTime
    ) -> RealRun {
        let told = { run.call.exchange.openHeaders[$0] ?? "" }
        var behaviour = Behaviour()
        behaviour.isBinary = Self.parameter("bin", of: run.call.exchange.url.target) == "1"
        return RealRun(
            execution: run.call.execution.text, job: told("Dkron-Job-Name"),
            group: told("Dkron-Group"), attempt: Int(told("Dkron-Attempt")) ?? 0,
            scheduledAt: told("Dkron-Scheduled-At"), node: node, agentLife: moment.agentLife,
            timeout: run.call.timeout, grace: .zero, isFenced: run.call.fence != nil,
            behaviour: behaviour, outputKey: run.bodyKey, startedAt: moment.time,
            startedWall: wall)
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
        wires.closeAll()
        peers.removeAll()
        talking.removeAll()
        armed = nil
        calls = HTTPCalls(limits: limits)
    }
}
