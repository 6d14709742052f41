// How a node speaks with the others of its cluster.

/// What waits for this server to know that it still leads.
enum LeaseReader {
    /// A client's request that reads.
    case request(RequestID, HTTPRequest)
    /// An agent whose lease is renewed by the answer.
    case heartbeat(NodeName, Heartbeat)
}

extension Node {
    // MARK: Who is who

    /// Servers of each region have a log of their own, and orders for its nodes only.
    func isOfRegion(_ member: Member) -> Bool { member.region ?? config.region == config.region }

    func member(_ id: ServerID) -> Member? { members.first { $0.id == id } }
    func member(named name: NodeName) -> Member? { members.first { $0.name == name } }

    /// The node that leads, as far as this one has heard.
    var leaderName: NodeName? { leaderID.flatMap(member)?.name }

    /// The same by its identity. A server knows it from the consensus, an agent is told.
    package var leaderID: ServerID? { config.isServer ? raft.leader : heardLeader?.id }

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
                [.init("peer", name(of: id)), .init("reason", "\(error)")])
        }
        let monotonic = now.monotonic
        switch message {
        case .raft(let message):
            guard isInConsensus(hearing: message, from: id, &out) else { return }
            withRaft(&out) { $0.receive(message, from: id, at: monotonic, into: &$1) }
        case .transfer(let message): receive(message, from: id, &out)
        case .promise(let servers, let wantsAnswer):
            receivePromise(servers, wantsAnswer: wantsAnswer, from: id, &out)
        case .checkpoint(let index, let hash): hearCheckpoint(index, hash, from: id, &out)
        case .deviates(let index):
            if id == raft.leader { deviate(at: index, &out) }
        case .askTime(let askedAt): send(.tellTime(now.wall, askedAt: askedAt), to: id, &out)
        case .tellTime(let wall, let askedAt): hearTime(wall, askedAt: askedAt, from: id, &out)
        case .clockIsWrong(let ahead):
            if id == raft.leader { hearOwnClockIsWrong(by: ahead, &out) }
        case .leads(let term, let cluster): hearLeader(id, term, cluster, &out)
        case .assignment(let message):
            // Only the echo shows that the leader hears this node as well.
            if case .heartbeatHeard = message, id == leaderID {
                contact.leaderHeardAt = monotonic
            }
            receive(message, &out)
        case .report(let report):
            guard let name = member(id)?.name else { return }
            contact.routes.remove(name)
            receive(report, from: name, &out)
        case .relayedReport(let report, let agent):
            receive(report, of: agent, by: id, &out)
        case .relayedOrder(let message, let agent):
            receive(message, for: agent, by: id, &out)
        case .watchOutput(let key, let place): watchOutput(key, from: place, for: id, &out)
        case .printed(let piece): printed(piece, &out)
        case .request(let forwarded, let request):
            take(request, as: forwarded, from: id, &out)
        case .requestAbandoned(let forwarded): abandon(forwarded, from: id, &out)
        case .requestDrained(let forwarded, let taken):
            drain(forwarded, taken: taken, from: id, &out)
        case .response(let forwarded, let response):
            answered(forwarded, response, from: id, &out)
        case .responseChunk(let forwarded, let number, let bytes, let last):
            let piece = Forwarding.Piece(number: number, bytes: bytes, isLast: last)
            answered(forwarded, piece, from: id, &out)
        }
    }

    // MARK: Reads

    /// Lets `reader` go on as soon as a majority has confirmed that this server leads.
    mutating func confirmLeadership(for reader: LeaseReader, _ out: inout Outbox) {
        lastReader += 1
        let id = lastReader
        readers[id] = reader
        if case .request(let request, _) = reader { readersOfRequests[request] = id }
        var isLeading = false
        withRaft(&out) { isLeading = $0.read(id, into: &$1) }
        if !isLeading { readRefused(id, &out) }
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
            readersOfRequests.remove(request)
            withAPI(&out) { $0.request(request, content, $1, into: &$2) }
        case .heartbeat(let node, let heartbeat):
            deliver(.heartbeatHeard(heartbeat), to: node, &out)
        case nil: break
        }
    }

    mutating func readRefused(_ id: UInt64, _ out: inout Outbox) {
        if let reader = readers.remove(id) { refuse(reader, &out) }
    }

    private mutating func refuse(_ reader: LeaseReader, _ out: inout Outbox) {
        guard case .request(let id, let request) = reader else { return }
        readersOfRequests.remove(id)
        guard forwarding.incoming.contains(id), raft.leader != config.dataID else {
            return awaitLeader(id, request, &out)
        }
        withAPI(&out) { $0.forwardFailed(id, request, .noLeader, $1, into: &$2) }
    }

    /// A client that reads went away before it could be answered.
    /// - Returns: whether it was waiting here.
    mutating func forgetReader(_ request: RequestID) -> Bool {
        guard let id = readersOfRequests.remove(request) else { return false }
        return readers.remove(id) != nil
    }

    // MARK: Who leads

    /// How often a leader tells all nodes that it leads, and hears that they live.
    static let tellingInterval = Duration.seconds(5)

    /// Tells every node that this one leads.
    mutating func tellLeadership(_ out: inout Outbox) {
        nextTelling = now.monotonic + Self.tellingInterval
        for member in members { tellLeadership(to: member, &out) }
    }

    mutating func tellLeadership(to member: Member, _ out: inout Outbox) {
        guard isLeading, let clusterID, let id = member.id, id != config.dataID,
            member.isThere, isOfRegion(member)
        else { return }
        send(.leads(raft.hardState.term, cluster: clusterID), to: id, &out)
    }

    private mutating func hearLeader(
        _ id: ServerID, _ term: Term, _ cluster: String, _ out: inout Outbox
    ) {
        guard !isLeading, clusterID.map({ $0 == cluster }) ?? true,
            member(id).map(isOfRegion) ?? true, term >= heardLeader?.term ?? 0
        else { return }
        heardLeader = (id, term)
        // A server believes nothing of its cluster but what is in the log.
        if !config.isServer { belong(to: cluster, &out) }
        send(.report(.heartbeat(runner.heartbeat(at: now.monotonic))), to: id, &out)
        tellCheckpoint(to: id, &out)
    }

    /// Tells a new leader what the one before may have taken with it.
    mutating func noticeLeader(_ out: inout Outbox) {
        let leader = isLeading ? config.dataID : leaderID
        guard let leader, leader != lastLeader else { return }
        lastLeader = leader
        let monotonic = now.monotonic
        withRunner(&out) { $0.leaderChanged(at: monotonic, into: &$1) }
    }

    // MARK: Losing the lead

    /// This server does not lead any more. What it was asked to do may still happen.
    mutating func resign(_ out: inout Outbox) {
        clocks = VoterClocks()
        clusterTime.shift = .zero
        guard isLeading else { return }
        isLeading = false
        out.log(
            .warning, "this server does not lead any more",
            [.init("term", "\(raft.hardState.term)"), .init("node", config.nodeName.text)])
        scheduler = Scheduler()
        dispatcher.loseLeadership()
        abandonProcessors(&out)
        edits = EditsOnTheirWay()
        contact.routes = SortedMap()
        levelProposed = 0
        notifyingProposed = nil
        rewindIndex = 0
        intake = ReportIntake()
        heldBack = SortedMap()
        confirmedReaders.removeAll()
        let held = heldEdits
        heldEdits = []
        for edit in held { if let id = edit.id { fail(id, .noLeader, &out) } }
        let open = proposals
        proposals = SortedMap()
        for (_, id) in open { fail(id, .outcomeUnknown, &out) }
    }
}
