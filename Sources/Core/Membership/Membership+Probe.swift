// The failure detector: in each interval one member is pinged; without an ack some others are asked
// to ping it, and at the same time it is pinged by a stream; without any answer by the end of the
// interval it is suspected.

extension Membership {
    /// A probe under way.
    struct Probe: Sendable {
        var target: NodeName
        var sequence: UInt32
        /// When others are asked; nil: they were.
        var askAt: Instant?
        var endsAt: Instant
        /// Others that were asked and will say if they hear nothing either.
        var nacksWanted = 0
        var nacks = 0
        var exchange: GossipExchange?

        var nextStepAt: Instant { min(askAt ?? .distantFuture, endsAt) }
    }

    /// A ping sent for somebody else.
    struct Relay: Sendable {
        var asker: GossipAddress
        /// The asker's.
        var sequence: UInt32
        var wantsNack: Bool
    }

    // MARK: Our probes

    mutating func stepProbe(at now: Instant, into actions: inout [Action]) {
        if let probe {
            if now >= probe.endsAt {
                failProbe(probe, at: now, into: &actions)
            } else if let askAt = probe.askAt, now >= askAt {
                askOthers(at: now, into: &actions)
            }
        }
        guard probe == nil, !ring.isEmpty, now >= nextProbeAt else { return }
        nextProbeAt = now + config.profile.probeInterval
        if let target = nextTarget(at: now) { ping(target, at: now, into: &actions) }
    }

    /// The next member of the ring that is there. At its end the ring is shuffled anew, without
    /// those that are gone for good; so each member is probed once in each round, and no later
    /// than after two rounds' time.
    private mutating func nextTarget(at now: Instant) -> NodeName? {
        for _ in 0...ring.count {
            if ringPosition >= ring.count { renewRing(at: now) }
            guard ringPosition < ring.count else { return nil }
            let name = ring[ringPosition]
            ringPosition += 1
            if let peer = peers[name], !peer.isGone { return name }
        }
        return nil
    }

    private mutating func renewRing(at now: Instant) {
        var kept: [NodeName] = []
        kept.reserveCapacity(ring.count)
        for name in ring {
            if let peer = peers[name], !peer.isForgotten(config.profile, at: now) {
                kept.append(name)
            } else {
                peers.update(name) { $0.isInRing = false }
            }
        }
        random.permute(&kept)
        ring = kept
        ringPosition = 0
    }

    private mutating func ping(
        _ target: NodeName, at now: Instant, into actions: inout [Action]
    ) {
        guard let peer = peers[target] else { return }
        sequence &+= 1
        let interval = config.profile.probeInterval * Int64(awareness + 1)
        probe = Probe(
            target: target, sequence: sequence, askAt: now + config.profile.probeTimeout,
            endsAt: now + interval)
        var messages = [GossipMessage.ping(ourPing(sequence, to: target)).encode()]
        if peer.state == .suspect {
            // So that it hears of it at once and can contradict.
            let rumour = GossipRumour(
                incarnation: peer.record.incarnation, node: target, from: name)
            messages.append(GossipMessage.suspect(rumour).encode())
        }
        send(messages, to: peer, into: &actions)
    }

    private func ourPing(_ sequence: UInt32, to target: NodeName) -> GossipPing {
        GossipPing(
            sequence: sequence, node: target.text, source: config.address, sourceNode: name.text)
    }

    private mutating func askOthers(at now: Instant, into actions: inout [Action]) {
        guard var current = probe, let target = peers[current.target] else {
            probe = nil
            return
        }
        current.askAt = nil
        let asked = current.target
        let others = randomMembers(config.profile.indirectProbes) { name, peer in
            name != asked && peer.state == .alive
        }
        for name in others {
            guard let other = peers[name] else { continue }
            let wantsNack = other.record.versions.protocolMax >= 4
            let request = GossipIndirectPing(
                ourPing(current.sequence, to: current.target), target: target.record.address,
                wantsNack: wantsNack)
            if wantsNack { current.nacksWanted += 1 }
            send([GossipMessage.indirectPing(request).encode()], to: other, into: &actions)
        }
        let ping = GossipStreamMessage.ping(ourPing(current.sequence, to: current.target))
        current.exchange = open(
            .probe(current.sequence), to: target.record.address, ping, endsAt: current.endsAt,
            into: &actions)
        probe = current
    }

    /// An ack of our probe, or of one that we do for somebody else.
    mutating func receiveAck(_ sequence: UInt32, at now: Instant, into actions: inout [Action]) {
        if let current = probe, current.sequence == sequence {
            if let exchange = current.exchange { closeExchange(exchange, into: &actions) }
            probe = nil
            changeAwareness(by: -1)
            nextProbeAt = max(nextProbeAt, now)
        } else if let relay = relays.remove(sequence) {
            let ack = GossipMessage.ack(sequence: relay.sequence, payload: [])
            send([ack.encode()], to: relay.asker, into: &actions)
        }
    }

    mutating func receiveNack(_ sequence: UInt32) {
        if probe?.sequence == sequence { probe?.nacks += 1 }
    }

    /// Nobody reached it. Nacks show that the others do hear us: the more are missing, the more
    /// likely it is that the fault is ours.
    private mutating func failProbe(_ ended: Probe, at now: Instant, into actions: inout [Action]) {
        if let exchange = ended.exchange { closeExchange(exchange, into: &actions) }
        probe = nil
        nextProbeAt = max(nextProbeAt, now)
        let missing = max(0, ended.nacksWanted - ended.nacks)
        changeAwareness(by: ended.nacksWanted > 0 ? missing : 1)
        guard let peer = peers[ended.target], !peer.isGone else { return }
        let rumour = GossipRumour(
            incarnation: peer.record.incarnation, node: ended.target, from: name)
        suspect(rumour, at: now, into: &actions)
    }

    mutating func changeAwareness(by delta: Int) {
        awareness = min(Self.mostAwareness, max(0, awareness + delta))
    }

    // MARK: Others' probes

    /// Acks a ping that is meant for us. One for another name was meant for whoever had our
    /// address before.
    mutating func answer(
        _ ping: GossipPing, from source: GossipAddress, at now: Instant,
        into actions: inout [Action]
    ) {
        guard ping.node.isEmpty || NodeName(ping.node) == name else { return }
        let ack = GossipMessage.ack(sequence: ping.sequence, payload: [])
        send([ack.encode()], to: ping.source ?? source, into: &actions)
    }

    /// Pings somebody for another member.
    mutating func relay(
        _ request: GossipIndirectPing, from source: GossipAddress, at now: Instant,
        into actions: inout [Action]
    ) {
        // Whoever asks and gets no nack takes it for our being slow, which we then are.
        guard relays.count < Self.mostRelays, isAcceptable(NodeName(request.ping.node)) else {
            return
        }
        sequence &+= 1
        relays[sequence] = Relay(
            asker: request.ping.source ?? source, sequence: request.ping.sequence,
            wantsNack: request.wantsNack)
        look(at: now + config.profile.probeTimeout, .relay(sequence))
        let ping = GossipMessage.ping(ourPing(sequence, to: NodeName(request.ping.node)))
        send([ping.encode()], to: request.target, into: &actions)
    }

    mutating func expireRelay(
        _ sequence: UInt32, at now: Instant, into actions: inout [Action]
    ) {
        guard let relay = relays.remove(sequence), relay.wantsNack else { return }
        send(
            [GossipMessage.nack(sequence: relay.sequence).encode()], to: relay.asker,
            into: &actions)
    }
}
