// Serf's layer: intents, ordered by a Lamport clock, tell a leave from a failure. Events and
// queries of others are passed on.

extension Membership {
    /// An intent of a node that is not a member (yet).
    struct EarlyIntent: Sendable {
        var isLeave: Bool
        var time: LamportTime
        var heardAt: Instant
    }

    mutating func receiveSerf(
        _ bytes: [UInt8], from source: GossipAddress, at now: Instant, into actions: inout [Action]
    ) {
        let message: SerfMessage
        do throws(ByteError) {
            message = try SerfMessage(bytes[...])
        } catch {
            return complain(
                "a message of Serf can't be read", error, from: source, at: now, into: &actions)
        }
        switch message {
        case .leave(let intent):
            if leave(intent, at: now, into: &actions) { tell(message, about: intent.node) }
        case .join(let intent):
            if join(intent, at: now, into: &actions) { tell(message, about: intent.node) }
        case .event(let event):
            let wrapped = GossipMessage.user(bytes).encode()
            if passedEvents.isNew(bytes, time: event.time), fits(wrapped) {
                events.insert(wrapped)
            }
        case .query(let query):
            receive(query, bytes, into: &actions)
        case .relay(let address, let node, let inner):
            relay(inner, to: address, node, into: &actions)
        case .state, .queryResponse, .conflictResponse, .keyRequest, .keyResponse: break
        }
    }

    // MARK: Intents

    /// Somebody means to join. Returns whether that is news to be told on.
    private mutating func join(
        _ intent: SerfIntent, at now: Instant, into actions: inout [Action]
    ) -> Bool {
        guard intent.time <= LamportClock.latest else { return false }
        clock.witness(intent.time)
        guard let peer = peers[intent.node] else {
            return remember(intent, isLeave: false, at: now)
        }
        guard intent.time > peer.intentTime else { return false }
        if intent.node == name {
            // Said in a life before, and perhaps a leave: states told at large don't say which, and
            // whoever takes it for one must hear of a later word.
            if isSpeaking { announceJoin() }
            return false
        }
        peers.update(intent.node) {
            $0.intentTime = intent.time
            $0.hasComeBack = $0.status == .left
        }
        // It has changed its mind, or the leave was of its life before.
        if peer.status == .leaving {
            setStatus(.alive, of: intent.node)
            emit(MembershipEvent.updated, intent.node, into: &actions)
        }
        return true
    }

    /// Somebody means to leave. Returns whether that is news to be told on.
    ///
    /// - Parameter isHearsay: another's state says so, and not when: no sooner than the last word
    ///   that it knows.
    private mutating func leave(
        _ intent: SerfIntent, isHearsay: Bool = false, at now: Instant,
        into actions: inout [Action]
    ) -> Bool {
        guard intent.time <= LamportClock.latest else { return false }
        clock.witness(intent.time)
        guard let peer = peers[intent.node] else {
            return remember(intent, isLeave: true, at: now)
        }
        guard intent.time > peer.intentTime || isHearsay && intent.time == peer.intentTime else {
            return false
        }
        if intent.node == name {
            // Not that we know. Or we do leave, and know it.
            if isSpeaking { announceJoin() }
            return false
        }
        // Where both words are of one time, whoever is here must hear of a later one to object.
        let isDoubtful = intent.time == peer.intentTime && peer.status == .alive
        peers.update(intent.node) {
            $0.intentTime = intent.time + (isDoubtful ? 1 : 0)
            $0.hasComeBack = false
        }
        switch peer.status {
        case .alive:
            setStatus(.leaving, of: intent.node)
            emit(MembershipEvent.leaving, intent.node, into: &actions)
        case .failed:
            setStatus(.left, of: intent.node)
            emit(MembershipEvent.left, intent.node, into: &actions)
        case .leaving, .left, .none: break
        }
        if intent.isPrune, let status = peers[intent.node]?.status, status == .left {
            forget(intent.node, into: &actions)
        }
        return true
    }

    private mutating func remember(
        _ intent: SerfIntent, isLeave: Bool, at now: Instant
    ) -> Bool {
        if let known = earlyIntents[intent.node] {
            guard intent.time > known.time else { return false }
        } else {
            guard isAcceptable(intent.node), earlyIntents.count < Self.mostEarlyIntents else {
                return false
            }
        }
        earlyIntents[intent.node] = EarlyIntent(
            isLeave: isLeave, time: intent.time, heardAt: now)
        return true
    }

    /// Says that we are here: a leave intent of our life before must not count for this one.
    mutating func announceJoin() {
        let time = clock.time
        clock.witness(time)
        peers.update(name) { $0.intentTime = time }
        tell(SerfMessage.join(SerfIntent(time: time, node: name)), about: name)
    }

    // MARK: Push/pull

    func serfState() -> SerfMessage {
        var state = SerfState()
        state.time = clock.time
        for (name, peer) in peers where name != self.name || !isNameLost {
            state.statuses.append(.init(node: name, time: peer.intentTime))
            // Whoever does not mean to leave objects. After its return that time is of no leave.
            if peer.status == .leaving || peer.status == .left && !peer.hasComeBack {
                state.left.append(name)
            }
        }
        state.eventTime = passedEvents.clock.time
        state.queryTime = passedQueries.clock.time
        return .state(state)
    }

    mutating func mergeSerf(_ state: SerfState, at now: Instant, into actions: inout [Action]) {
        // Their clocks show the time after the last thing they saw.
        if (1...LamportClock.latest).contains(state.time) { clock.witness(state.time - 1) }
        if (1...LamportClock.latest).contains(state.eventTime) {
            passedEvents.witness(state.eventTime - 1)
        }
        if (1...LamportClock.latest).contains(state.queryTime) {
            passedQueries.witness(state.queryTime - 1)
        }
        var left = SortedMap<NodeName, Bool>()
        for name in state.left { left[name] = true }
        for status in state.statuses where status.time < LamportClock.latest {
            let intent = SerfIntent(time: status.time, node: status.node)
            if left.contains(status.node) {
                // Serf takes it for a word one later than the time told. Passed on from node to
                // node it would grow, until it counts for more than that of whoever came back.
                _ = leave(intent, isHearsay: true, at: now, into: &actions)
            } else {
                _ = join(intent, at: now, into: &actions)
            }
        }
    }

    // MARK: Queries

    private mutating func receive(
        _ query: SerfQuery, _ bytes: [UInt8], into actions: inout [Action]
    ) {
        guard passedQueries.isNew(bytes, time: query.time) else { return }
        let wrapped = GossipMessage.user(bytes).encode()
        if query.isPassedOn, fits(wrapped) { queries.insert(wrapped) }
        guard query.filters.allSatisfy(isMeant) else { return }
        if query.wantsAck { answer(query, isAck: true, payload: [], into: &actions) }
        if let request = Self.keyRequest(query) {
            actions.append(.keys(request))
        } else if query.name == Self.conflictQuery {
            bearWitness(query, into: &actions)
        }
    }

    private mutating func bearWitness(_ query: SerfQuery, into actions: inout [Action]) {
        let asked = NodeName(String(decoding: query.payload, as: UTF8.self))
        // About our own name we are no witness.
        guard asked != name, let member = peers[asked]?.member else { return }
        let record = SerfMember(
            name: asked, address: member.address, tags: member.tags,
            status: member.status.rawValue, versions: member.versions)
        answer(
            query, isAck: false, payload: SerfMessage.conflictResponse(record).encode(),
            into: &actions)
    }

    /// Tags are compared by expressions whose dialect is not ours; such queries come from others'
    /// tools and are for others' agents.
    private func isMeant(_ filter: SerfQuery.Filter) -> Bool {
        switch filter {
        case .nodes(let names): names.contains { NodeName($0) == name }
        case .tag, .unknown: false
        }
    }

    /// Returns false, and sends nothing, if the answer is too long.
    @discardableResult
    mutating func answer(
        _ query: SerfQuery, isAck: Bool, payload: [UInt8], into actions: inout [Action]
    ) -> Bool {
        let response = SerfQueryResponse(
            answering: query, from: name, isAck: isAck, payload: payload)
        let bytes = SerfMessage.queryResponse(response).encode()
        guard bytes.count <= Self.mostResponseBytes else { return false }
        send([GossipMessage.user(bytes).encode()], to: query.source, into: &actions)
        return true
    }

    /// Hands a message on, to members only: we are nobody's way to the rest of the world.
    private mutating func relay(
        _ message: [UInt8], to address: GossipAddress, _ node: String,
        into actions: inout [Action]
    ) {
        let isMember: Bool
        if node.isEmpty {
            isMember = ring.contains { peers[$0]?.record.address == address }
        } else {
            isMember = peers[NodeName(node)]?.record.address == address
        }
        let wrapped = GossipMessage.user(message).encode()
        if isMember, fits(wrapped) { send([wrapped], to: address, into: &actions) }
    }

    private static var conflictQuery: String { "_serf_conflict" }
    /// Serf's limit.
    private static var mostResponseBytes: Int { 1_024 }
}
