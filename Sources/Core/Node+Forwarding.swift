// Any server answers any request: one that does not lead hands on what only the leader can answer,
// once, and passes the answer back, piece by piece as the client takes it.

/// Requests on their way between servers.
struct Forwarding {
    /// A request of a client of this server.
    struct Outgoing {
        var leader: ServerID
        /// Another one each time it is sent: a server takes no name twice.
        var name: ForwardID
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

    private(set) var outgoing = SortedMap<RequestID, Outgoing>()
    /// The requests that the names of those sent stand for.
    private var names = SortedMap<RequestID, RequestID>()
    private var lastName: UInt64 = 0
    /// Nothing of it is over its time before then.
    var nextDeadline: Instant?
    /// The leader to whom all of it went.
    var leader: ServerID?
    private(set) var incoming = SortedMap<RequestID, Incoming>()
    private var local = SortedMap<Sender, RequestID>()
    private var past = RingBuffer<Sender>()
    private var lastLocal: UInt64 = 1 << 63

    // MARK: Requests of clients

    /// A name for a request that is sent.
    mutating func nextName(in incarnation: UInt64) -> ForwardID {
        lastName += 1
        return ForwardID(incarnation: incarnation, request: RequestID(lastName))
    }

    mutating func send(_ id: RequestID, _ request: Outgoing) {
        outgoing[id] = request
        names[request.name.request] = id
        leader = request.leader
        nextDeadline = min(nextDeadline ?? .distantFuture, request.until)
    }

    /// The request that `leader` answers under a name; nil if it is over.
    func sent(as name: ForwardID, to leader: ServerID) -> (id: RequestID, request: Outgoing)? {
        guard let id = names[name.request], let request = outgoing[id], request.name == name,
            request.leader == leader
        else { return nil }
        return (id, request)
    }

    mutating func update(_ id: RequestID, _ change: (inout Outgoing) -> Void) {
        outgoing.update(id, change)
    }

    mutating func remove(_ id: RequestID) -> Outgoing? {
        guard let request = outgoing.remove(id) else { return nil }
        names.remove(request.name.request)
        return request
    }

    // MARK: Requests of other servers

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
            guard takesRequests, need == .read || !raft.isTransferring else {
                return awaitLeader(id, request, &out)
            }
            guard need == .read else {
                return withAPI(&out) { $0.request(id, request, $1, into: &$2) }
            }
            return confirmLeadership(for: .request(id, request), &out)
        }
        guard let leader = raft.leader, leader != config.dataID else {
            return awaitLeader(id, request, &out)
        }
        var bare = request
        bare.body = []
        guard forwarding.outgoing.count < Forwarding.limit else {
            out.mark(.requestRefusedBusy)
            return withAPI(&out) { $0.forwardFailed(id, bare, .busy, $1, into: &$2) }
        }
        out.mark(.requestForwarded)
        let patience = Forwarding.patience + API.patience(for: request)
        let name = forwarding.nextName(in: config.incarnation)
        forwarding.send(
            id,
            Forwarding.Outgoing(
                leader: leader, name: name, request: bare, isWrite: need == .write,
                until: now.monotonic + patience, patience: patience))
        send(.request(name, request), to: leader, &out)
    }

    mutating func requestAbandoned(_ id: RequestID, _ out: inout Outbox) {
        guard let request = forwarding.remove(id) else {
            if awaiting.remove(id) || forgetReader(id) { return }
            return withAPI(&out) { $0.abandoned(id, $1, into: &$2) }
        }
        send(.requestAbandoned(request.name), to: request.leader, &out)
    }

    mutating func requestDrained(_ id: RequestID, _ out: inout Outbox) {
        guard let request = forwarding.outgoing[id] else {
            return withAPI(&out) { $0.drained(id, $1, into: &$2) }
        }
        send(.requestDrained(request.name, taken: request.taken), to: request.leader, &out)
    }

    // MARK: At the server that was asked

    mutating func answered(
        _ name: ForwardID, _ response: HTTPResponse, from leader: ServerID, _ out: inout Outbox
    ) {
        guard let (id, request) = forwarding.sent(as: name, to: leader), !request.hasBegun
        else { return }
        if response.body == .stream {
            let until = now.monotonic + Forwarding.patience
            forwarding.update(id) { request in
                request.hasBegun = true
                request.patience = Forwarding.patience
                request.until = until
            }
            // Earlier than a request whose answer may take long had it.
            forwarding.nextDeadline = min(forwarding.nextDeadline ?? until, until)
        } else {
            _ = forwarding.remove(id)
        }
        metrics.answered(response.status)
        out.emit(.respond(id, response))
        if let piece = request.early { answered(name, piece, from: leader, &out) }
    }

    mutating func answered(
        _ name: ForwardID, _ piece: Forwarding.Piece, from leader: ServerID, _ out: inout Outbox
    ) {
        guard let (id, request) = forwarding.sent(as: name, to: leader),
            piece.number >= request.taken
        else { return }
        guard request.hasBegun else {
            if piece.number == 0 { forwarding.update(id) { $0.early = piece } }
            return
        }
        guard piece.number == request.taken else {
            // One is missing, and what the client has must not pass for the whole.
            _ = forwarding.remove(id)
            send(.requestAbandoned(name), to: leader, &out)
            return out.emit(.abort(id))
        }
        if piece.isLast {
            _ = forwarding.remove(id)
        } else {
            let until = now.monotonic + request.patience
            forwarding.update(id) { request in
                request.until = until
                request.taken += 1
            }
        }
        out.emit(.respondChunk(id, piece.bytes, last: piece.isLast))
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
            _ = forwarding.remove(id)
            if request.hasBegun {
                // The client must not take half an answer for the whole.
                out.emit(.abort(id))
            } else if request.isWrite {
                withAPI(&out) {
                    $0.forwardFailed(id, request.request, .outcomeUnknown, $1, into: &$2)
                }
            } else if request.leader == leader {
                withAPI(&out) { $0.forwardFailed(id, request.request, .noLeader, $1, into: &$2) }
            } else {
                requested(id, request.request, &out)
            }
        }
        forwarding.nextDeadline = forwarding.outgoing.map(\.value.until).min()
    }

    // MARK: At the leader

    mutating func take(
        _ request: HTTPRequest, as name: ForwardID, from sender: ServerID, _ out: inout Outbox
    ) {
        guard let id = forwarding.admit(name, from: sender) else { return }
        take(request, known: id, &out)
    }

    /// A request of another server, under the name that this one has given it.
    mutating func take(_ request: HTTPRequest, known id: RequestID, _ out: inout Outbox) {
        if isLeading { return requested(id, request, &out) }
        // It has been elected and is not ready yet.
        if raft.leader == config.dataID { return awaitLeader(id, request, &out) }
        // Forwarded once: two servers that each take the other for the leader make no loop.
        withAPI(&out) { $0.forwardFailed(id, request, .noLeader, $1, into: &$2) }
    }

    mutating func abandon(_ name: ForwardID, from sender: ServerID, _ out: inout Outbox) {
        guard let id = forwarding.request(of: name, from: sender) else { return }
        forwarding.end(id)
        if awaiting.remove(id) || forgetReader(id) { return }
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
