// Conversations of executions with servers: names, addresses, connections and their time-outs are
// the same for all protocols and are looked after here.
//
//   begin ─► waiting ─► resolving ─► connecting ─► talking ◄─► pausing
//                           ▲            │  ▲         │
//                           └── next server │         │
//                                next address ◄───────┘ (left, and nothing asked for yet)
//
// `pausing` is the time that a conversation asked for, with a connection or without; any phase may
// be the last one. Beside them, a call is under way or its outcome stands (`ending`): then the
// conversation has its farewell's time to clean up, and nothing else ends it.

package struct Conversations: OutgoingCalls {
    package struct Limits: Hashable, Sendable {
        /// Connections open at the same time.
        package var connections = 256
        package var resolving = Duration.seconds(10)
        /// For one address, the agreement about TLS included.
        package var connecting = Duration.seconds(10)
        /// How long a server may say nothing while something is expected of it.
        package var silence = Duration.seconds(30)

        package init() {}
    }

    private enum Phase {
        case waiting
        case resolving
        case connecting
        case talking
        case pausing
    }

    private struct Talk {
        let call: ConversationCall
        var conversation: any Conversation
        /// From when the fence counts at the earliest: it may end a call that still waits.
        let askedAt: Instant
        var phase = Phase.waiting
        var startedAt = Instant.distantFuture
        var phaseEndsAt = Instant.distantFuture
        /// Servers not tried yet, the next one last.
        var servers: [ConversationServer]
        /// Nil: none has been tried yet.
        var server: ConversationServer?
        /// Addresses of the server not tried yet, the next one last.
        var addresses: [String] = []
        var connection: ConnectionNumber?
        /// Why the last server that was tried did not do.
        var reason = ""
        /// The outcome, once it stands, and until when cleaning up may take.
        var ending: CallEnd?
        var closesAt = Instant.distantFuture

        var serverName: String { server?.name ?? "the server" }
    }

    private let limits: Limits
    private let host: any ExecutorHost
    private var talks: [ExecutionID: Talk] = [:]
    private var owners: [ConnectionNumber: ExecutionID] = [:]
    private var waiting = RingBuffer<ExecutionID>()
    private var resolving: [String: [ExecutionID]] = [:]
    /// Times at which something of a call may be over; some are of calls that went on since.
    private var looks = MinHeap<Look>()
    private var activeCount = 0
    private var fencesFrom = Instant.zero
    private var nextConnection: ConnectionNumber = 1
    package private(set) var openedCount: UInt64 = 0

    private struct Look: Comparable {
        var at: Instant
        var order: UInt64
        var execution: ExecutionID

        static func < (a: Look, b: Look) -> Bool { (a.at, a.order) < (b.at, b.order) }
        static func == (a: Look, b: Look) -> Bool { (a.at, a.order) == (b.at, b.order) }
    }
    private var lookCount: UInt64 = 0

    /// - Parameter host: the machine that the conversations are held on.
    package init(limits: Limits = Limits(), on host: any ExecutorHost = BareHost()) {
        self.limits = limits
        self.host = host
    }

    /// Whose a connection is; nil once it is closed.
    package func execution(on connection: ConnectionNumber) -> ExecutionID? {
        owners[connection]
    }

    package var count: Int { talks.count }
    package var waitingCount: Int { talks.count - activeCount }
    package var nextDeadline: Instant? { looks.first?.at }

    // MARK: Calls

    package mutating func begin(
        _ call: ConversationCall, at now: Now, into out: inout CallOutput
    ) {
        invariant(talks[call.execution] == nil, "an execution makes one call")
        let conversation = call.begin(on: host)
        talks[call.execution] = Talk(
            call: call, conversation: conversation, askedAt: now.monotonic,
            servers: conversation.servers.reversed())
        // What an earlier life left under way is seen to, however much else there is to do.
        if call.isResumed { return start(call.execution, at: now, into: &out) }
        waiting.append(call.execution)
        startWaiting(at: now, into: &out)
        if talks[call.execution]?.phase == .waiting { arm(call.execution) }
    }

    package mutating func hangUp(
        _ id: ExecutionID, at now: Now, into out: inout CallOutput
    ) {
        interrupt(id, CallEnd(cause: .stopped, at: now.wall), at: now, into: &out)
    }

    package mutating func renewFences(ago: Duration, at now: Now) {
        let from = now.monotonic.nanoseconds - ago.nanoseconds
        fencesFrom = max(fencesFrom, Instant(nanoseconds: from))
    }

    private mutating func startWaiting(at now: Now, into out: inout CallOutput) {
        while activeCount < limits.connections, let id = waiting.popFirst() {
            if talks[id] != nil { start(id, at: now, into: &out) }
        }
    }

    private mutating func start(_ id: ExecutionID, at now: Now, into out: inout CallOutput) {
        activeCount += 1
        talks[id]?.startedAt = now.monotonic
        out.news.append((id, .started(at: now.wall)))
        enter(.resolving, id, until: now.monotonic + limits.resolving)
        tryServer(id, at: now, into: &out)
    }

    // MARK: Getting a connection

    private mutating func tryServer(
        _ id: ExecutionID, at now: Now, into out: inout CallOutput
    ) {
        guard var talk = talks[id] else { return }
        guard let server = talk.servers.popLast() else {
            return converse(id, at: now, into: &out) { [reason = talk.reason] in
                $0.exhausted(reason: reason, at: now, into: &$1)
            }
        }
        talk.server = server
        talks[id] = talk
        if server.isLocal || IPAddress(text: server.host) != nil {
            talks[id]?.addresses = [server.host]
            return tryAddress(id, at: now, into: &out)
        }
        enter(.resolving, id, until: now.monotonic + limits.resolving)
        if resolving[server.host] == nil { out.sockets.append(.resolve(host: server.host)) }
        resolving[server.host, default: []].append(id)
    }

    private mutating func tryAddress(
        _ id: ExecutionID, at now: Now, into out: inout CallOutput
    ) {
        guard let address = talks[id]?.addresses.popLast(), let server = talks[id]?.server else {
            return tryServer(id, at: now, into: &out)
        }
        let connection = nextConnection
        nextConnection += 1
        openedCount += 1
        owners[connection] = id
        talks[id]?.connection = connection
        enter(.connecting, id, until: now.monotonic + limits.connecting)
        out.sockets.append(
            .open(connection, address: address, port: server.port, tls: server.tls))
    }

    /// The server or this address of it won't do, and nothing was asked of it.
    private mutating func leave(
        _ id: ExecutionID, _ reason: String, at now: Now, into out: inout CallOutput
    ) {
        guard let talk = talks[id] else { return }
        disconnect(id, into: &out)
        talks[id]?.reason =
            talk.phase == .connecting
            ? "can't connect to \(talk.serverName): \(reason)" : "\(talk.serverName): \(reason)"
        tryAddress(id, at: now, into: &out)
    }

    // MARK: Events

    package mutating func take(
        _ event: SocketEvent, at now: Now, into out: inout CallOutput
    ) {
        switch event {
        case .resolved(let host, let addresses, let problem):
            resolved(host, addresses, problem, at: now, into: &out)
        case .opened(let connection):
            guard let id = owners[connection], let server = talks[id]?.server else { return }
            enter(.talking, id, until: now.monotonic + limits.silence)
            converse(id, at: now, into: &out) { $0.opened(server, at: now, into: &$1) }
        case .wrote(let connection, let count):
            guard let id = owners[connection] else { return }
            expectWord(id, at: now)
            converse(id, at: now, into: &out) { $0.wrote(count, at: now, into: &$1) }
        case .received(let connection, let bytes):
            guard let id = owners[connection] else { return }
            expectWord(id, at: now)
            converse(id, at: now, into: &out) { $0.received(bytes, at: now, into: &$1) }
        case .receivedEnd(let connection):
            guard let id = owners[connection] else { return }
            closed(id, at: now, into: &out)
        case .failed(let connection, let reason):
            guard let id = owners[connection] else { return }
            broken(id, reason, at: now, into: &out)
        }
    }

    private mutating func resolved(
        _ host: String, _ addresses: [String], _ problem: String, at now: Now,
        into out: inout CallOutput
    ) {
        for id in resolving.removeValue(forKey: host) ?? [] {
            guard let talk = talks[id], talk.phase == .resolving, talk.server?.host == host
            else { continue }
            let reason = problem.isEmpty ? "it has no address" : problem
            talks[id]?.reason = "can't connect to \(talk.serverName): \(reason)"
            talks[id]?.addresses = addresses.reversed()
            tryAddress(id, at: now, into: &out)
        }
    }

    private mutating func converse(
        _ id: ExecutionID, at now: Now, into out: inout CallOutput,
        _ body: (inout any Conversation, inout [ConversationStep]) -> Void
    ) {
        // Taken out: a conversation may hold much, which is not to be copied with each piece.
        guard var talk = talks.removeValue(forKey: id) else { return }
        var steps: [ConversationStep] = []
        body(&talk.conversation, &steps)
        talks[id] = talk
        for step in steps {
            guard talks[id] != nil else { return }
            perform(step, id, at: now, into: &out)
        }
    }

    private mutating func perform(
        _ step: ConversationStep, _ id: ExecutionID, at now: Now, into out: inout CallOutput
    ) {
        let connection = talks[id]?.connection
        switch step {
        case .send(let bytes):
            if let connection { out.sockets.append(.send(connection, bytes)) }
        case .secure(let peer):
            guard let connection else { return }
            enter(.connecting, id, until: now.monotonic + limits.connecting)
            out.sockets.append(.secure(connection, peer))
        case .output(let bytes): out.news.append((id, .output(bytes)))
        case .move(let server):
            disconnect(id, into: &out)
            talks[id]?.servers.append(server)
            tryServer(id, at: now, into: &out)
        case .wait(let time): enter(.pausing, id, until: now.monotonic + time)
        case .leave(let reason): leave(id, reason, at: now, into: &out)
        case .conclude(let error, let exitCode):
            let end = CallEnd(cause: .finished, error: error, exitCode: exitCode, at: now.wall)
            stand(id, end, at: now)
        case .end(let error): fail(id, error, at: now, into: &out)
        }
    }

    /// The server has so long to say something, unless nothing is expected of it.
    private mutating func expectWord(_ id: ExecutionID, at now: Now) {
        if talks[id]?.phase == .pausing { return }
        enter(.talking, id, until: now.monotonic + limits.silence)
    }

    private mutating func resume(_ id: ExecutionID, at now: Now, into out: inout CallOutput) {
        enter(.talking, id, until: now.monotonic + limits.silence)
        converse(id, at: now, into: &out) { $0.resumed(at: now, into: &$1) }
    }

    private mutating func closed(_ id: ExecutionID, at now: Now, into out: inout CallOutput) {
        let connection = talks[id]?.connection
        var isExpected = false
        converse(id, at: now, into: &out) {
            $0.closed(at: now, into: &$1)
            isExpected = !$1.isEmpty
        }
        guard isExpected else {
            return broken(id, "the server closed the connection", at: now, into: &out)
        }
        // A conversation that waits has no use for it any more.
        if talks[id]?.connection == connection { disconnect(id, into: &out) }
    }

    private mutating func broken(
        _ id: ExecutionID, _ reason: String, at now: Now, into out: inout CallOutput
    ) {
        guard let talk = talks[id] else { return }
        guard talk.conversation.isCommitted, !talk.conversation.mayRepeat else {
            return leave(id, reason, at: now, into: &out)
        }
        fail(id, "\(talk.serverName): \(reason)" + Self.caveat, at: now, into: &out)
    }

    /// What is said when nobody knows what became of a request.
    static let caveat = "; it may have carried out what it was asked for"

    // MARK: Time

    package mutating func deadline(at now: Now, into out: inout CallOutput) {
        while let look = looks.first, look.at <= now.monotonic {
            _ = looks.popFirst()
            guard let talk = talks[look.execution], now.monotonic >= deadline(of: talk) else {
                // Deadlines move away, so the next look at it is made when this one is due.
                arm(look.execution)
                continue
            }
            expire(look.execution, talk, at: now, into: &out)
            // What it goes on with ends later than this look, which is gone.
            arm(look.execution)
        }
    }

    private func deadline(of talk: Talk) -> Instant {
        if talk.ending != nil { return min(talk.phaseEndsAt, talk.closesAt) }
        let whole = talk.call.timeout.map { talk.startedAt + $0 } ?? .distantFuture
        return min(talk.phaseEndsAt, whole, fenceEnd(of: talk))
    }

    private func fenceEnd(of talk: Talk) -> Instant {
        guard let fence = talk.call.fence else { return .distantFuture }
        return max(talk.askedAt, fencesFrom) + fence
    }

    private mutating func arm(_ id: ExecutionID) {
        guard let talk = talks[id] else { return }
        let at = deadline(of: talk)
        guard at != .distantFuture else { return }
        lookCount += 1
        looks.insert(Look(at: at, order: lookCount, execution: id))
    }

    private mutating func enter(_ phase: Phase, _ id: ExecutionID, until end: Instant) {
        guard let before = talks[id]?.phaseEndsAt else { return }
        talks[id]?.phase = phase
        talks[id]?.phaseEndsAt = end
        // A look that is due earlier sees to the later time.
        if end < before { arm(id) }
    }

    private mutating func expire(
        _ id: ExecutionID, _ talk: Talk, at now: Now, into out: inout CallOutput
    ) {
        if talk.ending != nil {
            guard now.monotonic < talk.closesAt else {
                return fail(id, talk.conversation.remains, at: now, into: &out)
            }
        } else if now.monotonic >= fenceEnd(of: talk) {
            return interrupt(id, CallEnd(cause: .fenced, at: now.wall), at: now, into: &out)
        } else if let timeout = talk.call.timeout, now.monotonic >= talk.startedAt + timeout {
            let error = Self.timeoutText(talk, timeout)
            return interrupt(
                id, CallEnd(cause: .timedOut, error: error, at: now.wall), at: now, into: &out)
        }
        let server = talk.serverName
        switch talk.phase {
        case .waiting: return
        case .resolving:
            let time = DurationText.print(limits.resolving)
            talks[id]?.reason = "the name servers did not answer within \(time) for \(server)"
            tryServer(id, at: now, into: &out)
        case .connecting:
            let time = DurationText.print(limits.connecting)
            broken(id, "no answer within \(time)", at: now, into: &out)
        case .pausing: resume(id, at: now, into: &out)
        case .talking:
            broken(
                id, "no word of the server for \(DurationText.print(limits.silence))", at: now,
                into: &out)
        }
    }

    private static func timeoutText(_ talk: Talk, _ timeout: Duration) -> String {
        let server = talk.serverName
        let phase =
            switch talk.phase {
            case .waiting, .resolving: "the address of \(server) was not found"
            case .connecting: "\(server) did not accept the connection"
            case .talking: "\(server) did not answer"
            case .pausing where talk.connection != nil: "\(server) did not answer"
            case .pausing: "it was not done"
            }
        let what = talk.conversation.pending ?? phase
        let before = talk.reason.isEmpty ? "" : " (before that: \(talk.reason))"
        let caveat = talk.conversation.isCommitted ? Self.caveat : ""
        return "\(what) within the time-out of \(DurationText.print(timeout))\(before)\(caveat)"
    }

    // MARK: Ends

    /// From outside. What the conversation has to clean up it may clean up.
    private mutating func interrupt(
        _ id: ExecutionID, _ outcome: CallEnd, at now: Now, into out: inout CallOutput
    ) {
        guard let talk = talks[id], talk.ending == nil else { return }
        guard talk.phase != .waiting, talk.conversation.farewell > .zero else {
            return end(id, outcome, at: now, into: &out)
        }
        stand(id, outcome, at: now)
        converse(id, at: now, into: &out) {
            $0.interrupted(outcome.cause, at: now, into: &$1)
        }
    }

    /// The outcome stands; the first one does.
    private mutating func stand(_ id: ExecutionID, _ outcome: CallEnd, at now: Now) {
        guard let talk = talks[id], talk.ending == nil else { return }
        talks[id]?.ending = outcome
        talks[id]?.closesAt = now.monotonic + talk.conversation.farewell
        arm(id)
    }

    /// By the conversation itself, or because it can't go on.
    private mutating func fail(
        _ id: ExecutionID, _ sentence: String, at now: Now, into out: inout CallOutput
    ) {
        guard var outcome = talks[id]?.ending else {
            let outcome = CallEnd(cause: .finished, error: sentence, at: now.wall)
            return end(id, outcome, at: now, into: &out)
        }
        if outcome.cause == .finished, outcome.error.isEmpty {
            // What is left behind makes no failure of a success.
            if !sentence.isEmpty { out.news.append((id, .output(Array("(\(sentence))\n".utf8)))) }
        } else {
            outcome.error = [outcome.error, sentence].filter { !$0.isEmpty }.joined(separator: "; ")
        }
        end(id, outcome, at: now, into: &out)
    }

    private mutating func end(
        _ id: ExecutionID, _ end: CallEnd, at now: Now, into out: inout CallOutput
    ) {
        guard let talk = talks[id] else { return }
        disconnect(id, into: &out)
        talks[id] = nil
        out.news.append((id, .ended(end)))
        if talk.phase == .waiting { return }
        activeCount -= 1
        startWaiting(at: now, into: &out)
    }

    private mutating func disconnect(_ id: ExecutionID, into out: inout CallOutput) {
        guard let connection = talks[id]?.connection else { return }
        talks[id]?.connection = nil
        owners[connection] = nil
        out.sockets.append(.close(connection))
    }
}
