// Any server answers any request: one that does not lead hands on what only the leader can answer,
// once, and passes the answer back, piece by piece as the client takes it.

/// Requests on their way between servers.
struct Forwarding {
    /// A request of a client of this server.
    struct Outgoing {
        var leader: ServerID
        /// Without its body.
        var request: HTTPRequest
        var isWrite: Bool
        /// The head of the answer has been passed on.
        var hasBegun = false
        /// How many pieces of its body were passed on.
        var taken: UInt64 = 0
        /// The first piece, if it overtook the head.
        var early: Piece?
        /// Nothing may be silent for longer.
        var until: Instant
        var patience: Duration
    }

    /// A request of another server.
    struct Incoming: Hashable {
        var sender: ServerID
        var id: ForwardID
        /// Pieces of the answer's body that were sent.
        var sent: UInt64 = 0
    }

    /// A piece of an answer's body.
    struct Piece {
        var number: UInt64
        var bytes: [UInt8]
        var isLast: Bool
    }

    private struct Sender: Comparable {
        var server: ServerID
        var id: ForwardID

        static func < (a: Self, b: Self) -> Bool { (a.server, a.id) < (b.server, b.id) }
    }

    /// How long an answer, or its next piece, is waited for. A request that itself waits for a run
    /// is given that much more.
    static let patience = Duration.seconds(45)
    /// Requests that one server has with the leader; beyond it the answer is 503.
    static let limit = 1_024
    /// How many requests of others are remembered after their answer, so that a repeated message
    /// does nothing twice.
    static let memory = 8_192

    var outgoing = SortedMap<RequestID, Outgoing>()
    /// Nothing of it is over its time before then.
    var nextDeadline: Instant?
    /// The leader to whom all of it went.
    var leader: ServerID?
    private(set) var incoming = SortedMap<RequestID, Incoming>()
    private var local = SortedMap<Sender, RequestID>()
    private var past = RingBuffer<Sender>()
    private var lastLocal: UInt64 = 1 << 63

    /// - Returns: this node's own name for a request of another server; nil if it came before.
    mutating func admit(_ id: ForwardID, from server: ServerID) -> RequestID? {
        let sender = Sender(server: server, id: id)
        guard !local.contains(sender) else { return nil }
        lastLocal += 1
        let request = RequestID(lastLocal)
        local[sender] = request
        incoming[request] = Incoming(sender: server, id: id)
        past.append(sender)
        // The oldest are answered long since, or nobody waits for them any more.
        while past.count > Self.memory, let oldest = past.popFirst() {
            if let request = local.remove(oldest) { incoming.remove(request) }
        }
        return request
    }

    func request(of id: ForwardID, from server: ServerID) -> RequestID? {
        guard let request = local[Sender(server: server, id: id)], incoming.contains(request)
        else { return nil }
        return request
    }

    /// Counts another piece of an answer's body.
    mutating func countPiece(_ request: RequestID) {
        incoming.update(request) { $0.sent += 1 }
    }

    /// The answer is complete, or nobody wants it.
    mutating func end(_ request: RequestID) { incoming.remove(request) }
}

extension Node {
    /// A client's request. What needs the leader goes there.
    mutating func requested(_ id: RequestID, _ request: HTTPRequest, _ out: inout Outbox) {
        let need = raft.isAlone ? .local : Route.need(of: request)
        // One that stops takes no work on, but what it shows must not be old either.
        let mayPassOn = phase == .running || phase == .stopping && need == .read
        guard mayPassOn, need != .local, config.isServer else {
            return withAPI(&out) { $0.request(id, request, $1, into: &$2) }
        }
        if isLeading {
            guard need == .read else {
                return withAPI(&out) { $0.request(id, request, $1, into: &$2) }
            }
            return confirmLeadership(for: .request(id, request), &out)
        }
        var bare = request
        bare.body = []
        guard let leader = raft.leader, leader != config.dataID else {
            return withAPI(&out) { $0.forwardFailed(id, bare, .noLeader, $1, into: &$2) }
        }
        guard forwarding.outgoing.count < Forwarding.limit else {
            out.mark(.requestRefusedBusy)
            return withAPI(&out) { $0.forwardFailed(id, bare, .busy, $1, into: &$2) }
        }
        out.mark(.requestForwarded)
        let patience = Forwarding.patience + API.patience(for: request)
        forwarding.outgoing[id] = Forwarding.Outgoing(
            leader: leader, request: bare, isWrite: need == .write, until: now.monotonic + patience,
            patience: patience)
        forwarding.leader = leader
        forwarding.nextDeadline = min(
            forwarding.nextDeadline ?? .distantFuture, now.monotonic + patience)
        let name = ForwardID(incarnation: config.incarnation, request: id)
        send(.request(name, request), to: leader, &out)
    }

    mutating func requestAbandoned(_ id: RequestID, _ out: inout Outbox) {
        guard let request = forwarding.outgoing.remove(id) else {
            if forgetReader(id) { return }
            return withAPI(&out) { $0.abandoned(id, $1, into: &$2) }
        }
        let name = ForwardID(incarnation: config.incarnation, request: id)
        send(.requestAbandoned(name), to: request.leader, &out)
    }

    mutating func requestDrained(_ id: RequestID, _ out: inout Outbox) {
        guard let request = forwarding.outgoing[id] else {
            return withAPI(&out) { $0.drained(id, $1, into: &$2) }
        }
        let name = ForwardID(incarnation: config.incarnation, request: id)
        send(.requestDrained(name, taken: request.taken), to: request.leader, &out)
    }

    // MARK: At the server that was asked

    mutating func answered(
        _ name: ForwardID, _ response: HTTPResponse, from leader: ServerID, _ out: inout Outbox
    ) {
        guard name.incarnation == config.incarnation,
            let request = forwarding.outgoing[name.request], request.leader == leader,
            !request.hasBegun
        else { return }
        if response.body == .stream {
            let until = now.monotonic + Forwarding.patience
            forwarding.outgoing.update(name.request) { request in
                request.hasBegun = true
                request.patience = Forwarding.patience
                request.until = until
            }
            // Earlier than a request whose answer may take long had it.
            forwarding.nextDeadline = min(forwarding.nextDeadline ?? until, until)
        } else {
            forwarding.outgoing.remove(name.request)
        }
        metrics.answered(response.status)
        out.emit(.respond(name.request, response))
        if let piece = request.early { answered(name, piece, from: leader, &out) }
    }

    mutating func answered(
        _ name: ForwardID, _ piece: Forwarding.Piece, from leader: ServerID, _ out: inout Outbox
    ) {
        guard name.incarnation == config.incarnation,
            let request = forwarding.outgoing[name.request], request.leader == leader,
            piece.number >= request.taken
        else { return }
        guard request.hasBegun else {
            if piece.number == 0 { forwarding.outgoing.update(name.request) { $0.early = piece } }
            return
        }
        guard piece.number == request.taken else {
            // One is missing, and what the client has must not pass for the whole.
            forwarding.outgoing.remove(name.request)
            send(.requestAbandoned(name), to: leader, &out)
            return out.emit(.abort(name.request))
        }
        if piece.isLast {
            forwarding.outgoing.remove(name.request)
        } else {
            let until = now.monotonic + request.patience
            forwarding.outgoing.update(name.request) { request in
                request.until = until
                request.taken += 1
            }
        }
        out.emit(.respondChunk(name.request, piece.bytes, last: piece.isLast))
    }

    /// Ends requests whose leader is silent, or leads no more.
    mutating func endForwards(_ out: inout Outbox) {
        let monotonic = now.monotonic
        let leader = raft.leader
        guard let due = forwarding.nextDeadline, due <= monotonic || leader != forwarding.leader
        else { return }
        forwarding.leader = leader
        let ended = forwarding.outgoing.filter {
            $0.value.leader != leader || $0.value.until <= monotonic
        }
        for (id, request) in ended {
            forwarding.outgoing.remove(id)
            if request.hasBegun {
                // The client must not take half an answer for the whole.
                out.emit(.abort(id))
            } else {
                let failure: ProposalFailure = request.isWrite ? .outcomeUnknown : .noLeader
                withAPI(&out) { $0.forwardFailed(id, request.request, failure, $1, into: &$2) }
            }
        }
        forwarding.nextDeadline = forwarding.outgoing.map(\.value.until).min()
    }

    // MARK: At the leader

    mutating func take(
        _ request: HTTPRequest, as name: ForwardID, from sender: ServerID, _ out: inout Outbox
    ) {
        guard let id = forwarding.admit(name, from: sender) else { return }
        guard isLeading else {
            // Forwarded once: two servers that each take the other for the leader make no loop.
            return withAPI(&out) { $0.forwardFailed(id, request, .noLeader, $1, into: &$2) }
        }
        requested(id, request, &out)
    }

    mutating func abandon(_ name: ForwardID, from sender: ServerID, _ out: inout Outbox) {
        guard let id = forwarding.request(of: name, from: sender) else { return }
        forwarding.end(id)
        if forgetReader(id) { return }
        withAPI(&out) { $0.abandoned(id, $1, into: &$2) }
    }

    mutating func drain(
        _ name: ForwardID, taken: UInt64, from sender: ServerID, _ out: inout Outbox
    ) {
        guard let id = forwarding.request(of: name, from: sender),
            forwarding.incoming[id]?.sent == taken
        else { return }
        withAPI(&out) { $0.drained(id, $1, into: &$2) }
    }

    /// Hands an answer to whoever asked: the client here, or the server that has it.
    mutating func respond(_ id: RequestID, _ response: HTTPResponse, _ out: inout Outbox) {
        guard let request = forwarding.incoming[id] else {
            metrics.answered(response.status)
            return out.emit(.respond(id, response))
        }
        if response.body != .stream { forwarding.end(id) }
        send(.response(request.id, response), to: request.sender, &out)
    }

    mutating func respond(
        _ id: RequestID, chunk bytes: [UInt8], last: Bool, _ out: inout Outbox
    ) {
        guard let request = forwarding.incoming[id] else {
            return out.emit(.respondChunk(id, bytes, last: last))
        }
        if last { forwarding.end(id) } else { forwarding.countPiece(id) }
        send(
            .responseChunk(request.id, number: request.sent, bytes, last: last),
            to: request.sender, &out)
    }
}
