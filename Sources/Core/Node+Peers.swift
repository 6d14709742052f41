// How a node speaks with the others of its cluster.

/// What waits for this server to know that it still leads.
enum LeaseReader {
    /// A client's request that reads.
    case request(RequestID, HTTPRequest)
    /// An agent whose lease is renewed by the answer.
    case heartbeat(NodeName, sentAt: Instant)
}

extension Node {
    // MARK: Who is who

    func member(_ id: ServerID) -> Member? { members.first { $0.id == id } }
    func member(named name: NodeName) -> Member? { members.first { $0.name == name } }

    /// The node that leads, as far as this one has heard.
    var leaderName: NodeName? { raft.leader.flatMap(member)?.name }

    // MARK: Messages

    mutating func send(_ message: PeerMessage, to id: ServerID, _ out: inout Outbox) {
        invariant(id != config.dataID, "a node does not write to itself")
        out.emit(.send(id, message.encoded))
    }

    /// A message of another node, whose identity the connection vouches for.
    mutating func received(_ bytes: [UInt8], from id: ServerID, _ out: inout Outbox) {
        switch phase {
        case .running, .stopping: break
        // Whoever wrote will write again.
        case .recovering, .halted, .exited: return
        }
        let message: PeerMessage
        do throws(ByteError) { message = try PeerMessage(decoding: bytes) } catch {
            return out.log(
                .warning, "a message of another node can't be understood and is dropped",
                [.init("peer", Self.name(of: member(id), id)), .init("reason", "\(error)")])
        }
        let monotonic = now.monotonic
        switch message {
        case .raft(let message):
            withRaft(&out) { $0.receive(message, from: id, at: monotonic, into: &$1) }
        case .transfer(let message): receive(message, from: id, &out)
        case .assignment(let message): receive(message, &out)
        case .report(let report):
            guard let name = member(id)?.name else { return }
            receive(report, from: name, &out)
        case .request(let forwarded, let request):
            take(request, as: forwarded, from: id, &out)
        case .requestAbandoned(let forwarded): abandon(forwarded, from: id, &out)
        case .requestDrained(let forwarded): drain(forwarded, from: id, &out)
        case .response(let forwarded, let response):
            answered(forwarded, response, from: id, &out)
        case .responseChunk(let forwarded, let bytes, let last):
            answered(forwarded, bytes, last: last, from: id, &out)
        }
    }

    static func name(of member: Member?, _ id: ServerID) -> String {
        member?.name.text ?? String(id, radix: 16)
    }

    // MARK: Reads

    /// Lets `reader` go on as soon as a majority has confirmed that this server leads.
    mutating func confirmLeadership(for reader: LeaseReader, _ out: inout Outbox) {
        lastReader += 1
        let id = lastReader
        readers[id] = reader
        var isLeading = false
        withRaft(&out) { isLeading = $0.read(id, into: &$1) }
        if !isLeading, let reader = readers.remove(id) { refuse(reader, &out) }
    }

    /// The state through `index` answers the reader.
    mutating func readConfirmed(_ id: UInt64, _ index: LogIndex, _ out: inout Outbox) {
        guard store.appliedIndex < index else { return serve(id, &out) }
        confirmedReaders.append((index, id))
    }

    /// Serves the readers whose state has been applied.
    mutating func serveReaders(_ out: inout Outbox) {
        while let first = confirmedReaders.first, first.index <= store.appliedIndex {
            _ = confirmedReaders.popFirst()
            serve(first.id, &out)
        }
    }

    private mutating func serve(_ id: UInt64, _ out: inout Outbox) {
        switch readers.remove(id) {
        case .request(let request, let content):
            withAPI(&out) { $0.request(request, content, $1, into: &$2) }
        case .heartbeat(let node, let sentAt):
            deliver(.heartbeatHeard(sentAt: sentAt), to: node, &out)
        case nil: break
        }
    }

    mutating func readRefused(_ id: UInt64, _ out: inout Outbox) {
        if let reader = readers.remove(id) { refuse(reader, &out) }
    }

    private mutating func refuse(_ reader: LeaseReader, _ out: inout Outbox) {
        // The API tells the client that this server does not lead.
        guard case .request(let id, let request) = reader else { return }
        withAPI(&out) { $0.request(id, request, $1, into: &$2) }
    }

    // MARK: Orders and reports

    /// Brings a message of the leader to an agent, this node's own or another's.
    mutating func deliver(_ message: AgentMessage, to node: NodeName, _ out: inout Outbox) {
        if node == config.nodeName { return receive(message, &out) }
        // One that is not known now is told again, or given up, by the dispatcher.
        guard let id = member(named: node)?.id else { return }
        send(.assignment(message), to: id, &out)
    }

    /// A report of this node's agent, for the leader: dropped without one, and told again later.
    mutating func report(_ report: AgentReport, _ out: inout Outbox) {
        if isLeading { return receive(report, from: config.nodeName, &out) }
        guard let leader = raft.leader, leader != config.dataID else { return }
        send(.report(report), to: leader, &out)
    }

    // MARK: Losing the lead

    /// This server does not lead any more. What it was asked to do may still happen.
    mutating func resign(_ out: inout Outbox) {
        guard isLeading else { return }
        isLeading = false
        out.log(
            .warning, "this server does not lead any more",
            [.init("term", "\(raft.hardState.term)"), .init("node", config.nodeName.text)])
        scheduler = Scheduler()
        dispatcher.loseLeadership()
        decisionBarrier = 0
        reports = []
        reportBytes = 0
        heldBack = SortedMap()
        withheld = nil
        reporters = SortedMap()
        confirmedReaders.removeAll()
        let held = heldEdits
        heldEdits = []
        for edit in held { if let id = edit.id { fail(id, .noLeader, &out) } }
        let open = proposals
        proposals = SortedMap()
        for (_, id) in open { fail(id, .outcomeUnknown, &out) }
    }
}
