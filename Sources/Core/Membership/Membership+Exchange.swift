// Streams: a whole table against another, at the start (join) and now and then; and the ping of
// members whose packets do not arrive.

extension Membership {
    /// An exchange that we began.
    struct Exchange: Sendable {
        enum Purpose: Hashable, Sendable {
            /// The ping of a probe, by its sequence number.
            case probe(UInt32)
            case pushPull
            case join(UInt64)
        }
        var purpose: Purpose
        var address: GossipAddress
        var endsAt: Instant
    }

    /// Somebody's state that is being merged.
    struct Merge: Sendable {
        var reader: GossipPushPull.Reader
        var source: GossipAddress
        /// Whose answer it is.
        var join: UInt64?
    }

    /// Addresses that are asked to take us in.
    struct Join: Sendable {
        var result = JoinResult()
        var missing: Int
    }

    // MARK: Ours

    /// Asks each address but our own to take us in; `joinEnded` tells what became of it.
    package mutating func join(
        _ addresses: [GossipAddress], at now: Instant, into actions: inout [Action]
    ) {
        guard isSpeaking else { return }
        let others = addresses.filter { $0 != config.address }
        let number = nextJoin
        nextJoin += 1
        joins[number] = Join(missing: others.count)
        if others.isEmpty { return endJoin(number, into: &actions) }
        for address in others {
            let endsAt = now + config.profile.streamTimeout
            let exchange = open(
                .join(number), to: address, ourState(isJoin: true), endsAt: endsAt,
                into: &actions)
            if exchange == nil {
                let reason = "more than \(Self.mostExchanges) exchanges are under way"
                endJoin(number, of: address, failure: reason, into: &actions)
            }
        }
    }

    mutating func beginPushPull(at now: Instant, into actions: inout [Action]) {
        nextPushPullAt = now + config.profile.pushPullInterval(members: knownCount)
        guard isSpeaking else { return }
        let chosen = randomMembers(1) { _, peer in peer.state == .alive }
        guard let name = chosen.first, let peer = peers[name] else { return }
        pushPull(with: peer.record.address, isJoin: false, at: now, into: &actions)
    }

    /// If too many are under way this one waits for its next turn.
    mutating func pushPull(
        with address: GossipAddress, isJoin: Bool, at now: Instant, into actions: inout [Action]
    ) {
        _ = open(
            .pushPull, to: address, ourState(isJoin: isJoin),
            endsAt: now + config.profile.streamTimeout, into: &actions)
    }

    /// Returns nil, and does nothing, if too many are under way.
    mutating func open(
        _ purpose: Exchange.Purpose, to address: GossipAddress, _ message: GossipStreamMessage,
        endsAt: Instant, into actions: inout [Action]
    ) -> GossipExchange? {
        guard exchanges.count < Self.mostExchanges else { return nil }
        let number = nextExchange
        nextExchange += 1
        exchanges[number] = Exchange(purpose: purpose, address: address, endsAt: endsAt)
        look(at: endsAt, .exchange(number))
        actions.append(.open(number, to: address, message.encode()))
        return number
    }

    mutating func closeExchange(_ number: GossipExchange, into actions: inout [Action]) {
        if exchanges.remove(number) != nil { actions.append(.close(number)) }
    }

    mutating func expireExchange(
        _ number: GossipExchange, at now: Instant, into actions: inout [Action]
    ) {
        guard let exchange = exchanges.remove(number) else { return }
        actions.append(.close(number))
        fail(exchange, "there was no whole answer in time", into: &actions)
    }

    /// The whole answer has come.
    package mutating func exchangeAnswered(
        _ number: GossipExchange, _ bytes: ArraySlice<UInt8>, at now: Instant,
        into actions: inout [Action]
    ) {
        guard !hasLeft, let exchange = exchanges.remove(number) else { return }
        let message: GossipStreamMessage
        do throws(ByteError) {
            message = try GossipStreamMessage(bytes)
        } catch {
            complain(
                "an answer can't be read", error, from: exchange.address, at: now, into: &actions)
            return fail(exchange, "its answer can't be read: \(error)", into: &actions)
        }
        switch (exchange.purpose, message) {
        case (.probe(let sequence), .ack(sequence, _)):
            if let target = probe?.target, probe?.sequence == sequence {
                let fields = [LogRecord.Field("node", target.text)]
                let message = "gossip: a member answers streams but not packets; is UDP blocked?"
                warn(message, fields, at: now, into: &actions)
            }
            probe?.exchange = nil
            receiveAck(sequence, at: now, into: &actions)
        case (.pushPull, .pushPull(let state)):
            merge(state, from: exchange.address, at: now, into: &actions)
        case (.join(let join), .pushPull(let state)):
            merge(state, from: exchange.address, join: join, at: now, into: &actions)
        case (_, .error(let text)): fail(exchange, "it says: \(text)", into: &actions)
        case (_, .ping), (_, .ack), (_, .user), (.probe, .pushPull):
            fail(exchange, "its answer fits another question", into: &actions)
        }
    }

    /// There will be no answer; `reason` is a sentence without its full stop.
    package mutating func exchangeFailed(
        _ number: GossipExchange, _ reason: String, at now: Instant, into actions: inout [Action]
    ) {
        guard !hasLeft, let exchange = exchanges.remove(number) else { return }
        fail(exchange, reason, into: &actions)
    }

    private mutating func fail(
        _ exchange: Exchange, _ reason: String, into actions: inout [Action]
    ) {
        switch exchange.purpose {
        // The end of the probe decides.
        case .probe: break
        case .pushPull:
            let fields = [
                LogRecord.Field("to", exchange.address.description),
                LogRecord.Field("error", reason),
            ]
            let message = "gossip: a push/pull failed"
            actions.append(.log(LogRecord(.info, message, fields)))
        case .join(let join):
            endJoin(join, of: exchange.address, failure: reason, into: &actions)
        }
    }

    private mutating func endJoin(
        _ number: UInt64, of address: GossipAddress, failure: String?,
        into actions: inout [Action]
    ) {
        joins.update(number) { join in
            join.missing -= 1
            if let failure {
                join.result.failures.append(.init(address: address, reason: failure))
            } else {
                join.result.reached.append(address)
            }
        }
        endJoin(number, into: &actions)
    }

    private mutating func endJoin(_ number: UInt64, into actions: inout [Action]) {
        guard let join = joins[number], join.missing == 0 else { return }
        joins.remove(number)
        actions.append(.event(.joinEnded(join.result)))
    }

    // MARK: Theirs

    /// Takes the whole message of a stream that somebody opened; each is answered or dropped.
    package mutating func request(
        _ number: GossipRequest, from source: GossipAddress, _ bytes: ArraySlice<UInt8>,
        at now: Instant, into actions: inout [Action]
    ) {
        guard !hasLeft else { return actions.append(.drop(number)) }
        let message: GossipStreamMessage
        do throws(ByteError) {
            message = try GossipStreamMessage(bytes)
        } catch {
            complain("a request can't be read", error, from: source, at: now, into: &actions)
            let answer = GossipStreamMessage.error("the request can't be read: \(error)")
            return actions.append(.answer(number, answer.encode()))
        }
        switch message {
        case .ping(let ping) where ping.node.isEmpty || NodeName(ping.node) == name:
            let ack = GossipStreamMessage.ack(sequence: ping.sequence, payload: [])
            actions.append(.answer(number, ack.encode()))
        case .pushPull(let state):
            // Our state before theirs is merged: they know theirs.
            let answer = ourState(isJoin: state.isJoin, withForgotten: state.isJoin)
            actions.append(.answer(number, answer.encode()))
            merge(state, from: source, at: now, into: &actions)
        case .user(let bytes):
            actions.append(.drop(number))
            receiveSerf(bytes, from: source, at: now, into: &actions)
        case .ping, .ack, .error: actions.append(.drop(number))
        }
    }

    // MARK: States

    /// Everything that we know. Of those that are forgotten only somebody who joins hears: it may
    /// be one of them, and has to outdo what was said of its life before.
    private func ourState(
        isJoin: Bool, withForgotten: Bool = false
    ) -> GossipStreamMessage {
        var nodes: [GossipNode] = []
        nodes.reserveCapacity(peers.count)
        for (name, peer) in peers {
            let isTold = name == self.name ? !isNameLost : peer.isInRing || withForgotten
            guard isTold else { continue }
            nodes.append(GossipNode(peer.record, peer.state))
        }
        return .pushPull(
            GossipPushPull(isJoin: isJoin, nodes: nodes, userState: serfState().encode()))
    }

    /// States that are being merged, in order.
    private mutating func merge(
        _ state: GossipPushPull, from source: GossipAddress, join: UInt64? = nil, at now: Instant,
        into actions: inout [Action]
    ) {
        let merge = Merge(reader: state.reader, source: source, join: join)
        guard merges.count < Self.mostMerges else {
            return end(merge, failure: "too many states are being merged", into: &actions)
        }
        merges.append(merge)
        stepMerges(at: now, into: &actions)
    }

    /// Merges a few members: a large table takes several steps.
    mutating func stepMerges(at now: Instant, into actions: inout [Action]) {
        for _ in 0..<Self.mergeSlice {
            guard var merge = merges.popFirst() else { return }
            do throws(ByteError) {
                if let node = try merge.reader.next() {
                    merges.prepend(merge)
                    self.merge(node, at: now, into: &actions)
                    continue
                }
                let bytes = try merge.reader.userState()
                if !bytes.isEmpty, case .state(let serf) = try SerfMessage(bytes) {
                    mergeSerf(serf, at: now, into: &actions)
                }
                end(merge, failure: nil, into: &actions)
            } catch {
                let what = "a state can't be read"
                complain(what, error, from: merge.source, at: now, into: &actions)
                end(merge, failure: "its answer can't be read: \(error)", into: &actions)
            }
        }
    }

    private mutating func end(
        _ merge: Merge, failure: String?, into actions: inout [Action]
    ) {
        guard let join = merge.join else { return }
        if failure == nil, isSpeaking { announceJoin() }
        endJoin(join, of: merge.source, failure: failure, into: &actions)
    }

    private mutating func merge(
        _ node: GossipNode, at now: Instant, into actions: inout [Action]
    ) {
        let record = node.record
        switch node.state {
        case .alive: alive(record, at: now, into: &actions)
        case .left:
            let rumour = GossipRumour(
                incarnation: record.incarnation, node: record.node, from: record.node)
            dead(rumour, at: now, into: &actions)
        case .suspect, .dead:
            // One that we know to live gets the chance to contradict.
            let rumour = GossipRumour(
                incarnation: record.incarnation, node: record.node, from: name)
            suspect(rumour, at: now, into: &actions)
        }
    }
}
