// Conversations of a machine's executors with servers. Who converses is what production runs
// (`Conversations`); names, sockets and servers are models.

import Core

struct Talks: Sendable {
    typealias Step = WireStep<NATSPeer.Word>

    private struct Live: Sendable {
        let call: ConversationCall
        let job: NATSJob
        var log: Int?
        /// How often a server was asked to take the message, and how often one kept it.
        var asked = 0
        var kept = 0
        /// Its place in the stream, if there is one.
        var number = 0
        /// The client has all of an answer which says that the message was kept.
        var isAcknowledged = false
        var connections: UInt64 = 0
    }

    let node: Int
    private var calls: Conversations
    private var wires: Wires
    private var peers: [ConnectionNumber: NATSPeer] = [:]
    /// Whose connections are, as long as they are open.
    private var owners: [ConnectionNumber: ExecutionID] = [:]
    private var live: [ExecutionID: Live] = [:]
    private let draws: Draws
    private let limits: Conversations.Limits
    private var armed: Instant?
    private var stored = 0

    init(node: Int, draws: Draws, latency: Duration) {
        self.node = node
        self.draws = draws
        var delays = draws.stream("talk/\(node)/delay")
        var limits = Conversations.Limits()
        limits.connections = delays.element([2, 5, 256])
        limits.silence = delays.element([.seconds(3), .seconds(30)])
        self.limits = limits
        wires = Wires(delays: delays, latency: latency)
        calls = Conversations(limits: limits)
    }

    /// Calls that have not ended.
    var executions: [ExecutionID] { live.values.map(\.call.execution) }
    var waitingCount: Int { calls.waitingCount }
    var connectionCount: Int { wires.connections.count }

    // MARK: What the agent asks

    mutating func begin(
        _ call: ConversationCall, _ moment: Moment, log: inout RunLog,
        into out: inout OutsideOutput
    ) {
        guard case .nats(let job) = call.task else {
            preconditionFailure("no workload has a job that converses as \(call.execution) does")
        }
        live[call.execution] = Live(call: call, job: job)
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
        case .deliver(let number, let word): deliver(number, word, moment, &log, &out)
        case .deadline(let instant):
            guard armed == instant else { return }
            armed = nil
            perform(moment, &log, &out) { $0.deadline(at: moment.now, into: &$1) }
        }
    }

    private mutating func deliver(
        _ number: ConnectionNumber, _ word: NATSPeer.Word, _ moment: Moment, _ log: inout RunLog,
        _ out: inout OutsideOutput
    ) {
        guard wires.connections[number] != nil else { return }
        switch word {
        case .send(let bytes, let whole):
            if whole, let id = owners[number] { live[id]?.isAcknowledged = true }
            take(.received(number, bytes), moment, &log, &out)
        case .flood(let bytes, let pause):
            take(.received(number, bytes), moment, &log, &out)
            guard wires.connections[number] != nil else { return }
            let at = wires.arrival(on: number, after: pause, at: moment.time)
            out.later.append((at, .talk(.deliver(number, word))))
        case .close: take(.receivedEnd(number), moment, &log, &out)
        case .reset:
            take(.failed(number, reason: "Connection reset by peer"), moment, &log, &out)
        }
    }

    private mutating func take(
        _ event: SocketEvent, _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        perform(moment, &log, &out) { $0.take(event, at: moment.now, into: &$1) }
    }

    private mutating func perform(
        _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput,
        _ body: (inout Conversations, inout CallOutput) -> Void
    ) {
        var wanted = CallOutput()
        body(&calls, &wanted)
        for action in wanted.sockets { perform(action, at: moment.time, &out) }
        for (id, event) in wanted.news {
            record(id, event, moment, &log, &out)
            out.news.append((id, event))
        }
    }

    // MARK: Connections, servers

    private mutating func perform(
        _ action: SocketAction, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        var later: [(time: TrueTime, step: Step)] = []
        wires.perform(action, at: time, into: &later)
        for (at, step) in later { out.later.append((at, .talk(step))) }
        switch action {
        case .open(let number, _, _, _):
            guard let id = calls.execution(on: number), let count = live[id]?.connections else {
                return
            }
            live[id]?.connections += 1
            if count > 0 { out.mark(.nextServerAsked) }
            guard wires.connections[number] != nil, let job = live[id]?.job else { return }
            owners[number] = id
            let text = String(decoding: job.message, as: UTF8.self)
            peers[number] = NATSPeer(text, draws.stream("talk/\(id.text)").child(count))
            // The server speaks first.
            let at = wires.arrival(on: number, after: .microseconds(10), at: time)
            out.later.append((at, .talk(.arrive(number, []))))
        case .close(let number):
            peers[number] = nil
            owners[number] = nil
        case .resolve, .secure, .send: break
        }
    }

    private mutating func arrive(
        _ number: ConnectionNumber, _ bytes: [UInt8], at time: TrueTime,
        _ out: inout OutsideOutput
    ) {
        guard let id = owners[number], var peer = peers[number] else { return }
        let (kept, asked, words) = peer.receive(bytes, next: stored + 1)
        for publication in asked {
            live[id]?.asked += 1
            judge(publication, of: id, &out)
        }
        for _ in kept {
            stored += 1
            live[id]?.kept += 1
            live[id]?.number = stored
        }
        if peer.hasShown { out.mark(peer.manner.mark) }
        peers[number] = peer
        for (pause, word) in words {
            let at = wires.arrival(on: number, after: pause, at: time)
            out.later.append((at, .talk(.deliver(number, word))))
        }
    }

    private func judge(
        _ publication: NATSPeer.Publication, of id: ExecutionID, _ out: inout OutsideOutput
    ) {
        guard let run = live[id] else { return }
        if run.asked > 1 {
            out.complain(.X21, "a server was asked \(run.asked) times to take the message of \(id)")
        }
        if publication.subject != run.job.subject || publication.payload != run.job.message {
            out.complain(.X21, "a server got another message than that of \(id)")
        }
        let names = publication.headers.filter { $0.name == "Nats-Msg-Id" }.map(\.value)
        if run.job.wantsStream, names != [id.text] {
            out.complain(.X21, "the message of \(id) is called \(names)")
        }
    }

    // MARK: The record

    private mutating func record(
        _ id: ExecutionID, _ event: CallEvent, _ moment: Moment, _ log: inout RunLog,
        _ out: inout OutsideOutput
    ) {
        guard let run = live[id] else { return }
        switch event {
        case .started(let wall):
            let entry = log.begin(
                .ofCall(
                    id, run.call.identity, on: node, moment, wall: wall, timeout: run.job.timeout,
                    isFenced: run.call.fence != nil))
            live[id]?.log = entry
        case .output, .wholeOutput: break
        case .ended(let end):
            live[id] = nil
            let isClaimed = end.cause == .finished && end.error.isEmpty
            if isClaimed, run.kept == 0 {
                out.complain(.X21, "\(id) is called a success, and no server kept its message")
            }
            if isClaimed, !run.isAcknowledged {
                out.complain(.X21, "\(id) is called a success, and no server has said so")
            }
            guard let entry = run.log else { return }
            let number = run.job.wantsStream ? "Stream: sim, message \(run.number)\n" : ""
            let words = "Result: Message successfully sent\n" + number
            log.said(entry, run.isAcknowledged ? Array(words.utf8) : [])
            let answered = RealRun.Ending.answered(run.isAcknowledged, whole: run.isAcknowledged)
            log.end(entry, .init(end.cause, otherwise: answered), at: moment.time)
        }
    }

    // MARK: Time and deaths

    mutating func newDeadline() -> Instant? {
        guard let deadline = calls.nextDeadline, deadline != armed else { return nil }
        armed = deadline
        return deadline
    }

    mutating func agentDied(
        at time: TrueTime, log: inout RunLog, into out: inout OutsideOutput
    ) {
        if live.values.contains(where: { $0.asked > 0 }) { out.mark(.agentDiedTalking) }
        for entry in live.values.compactMap(\.log).sorted() {
            log.end(entry, .agentLost, at: time)
        }
        live.removeAll()
        wires.closeAll()
        peers.removeAll()
        owners.removeAll()
        armed = nil
        calls = Conversations(limits: limits)
    }
}
