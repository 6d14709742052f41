// Changing ourselves, leaving, and what becomes of those that are gone.

extension Membership {
    var hasLeft: Bool { if case .left = life { true } else { false } }

    /// Replaces our tags and tells everybody.
    /// - Throws: if they take too many bytes; then nothing changes.
    package mutating func setTags(
        _ tags: [MemberTag], into actions: inout [Action]
    ) throws(MemberTagsError) {
        let meta = try Self.meta(tags)
        guard isSpeaking, peers[name]?.record.meta != meta else { return }
        peers.update(name) { peer in
            peer.record.meta = meta
            peer.tags = Self.tags(of: peer.record)
        }
        speak()
        emit(MembershipEvent.updated, name, into: &actions)
    }

    // MARK: Leaving

    /// Leaves for good. First the others hear that we mean to, then that we are gone: without the
    /// first the second is a failure. `hasLeft` comes within eleven seconds; at once if we are
    /// alone, or if our name is another's, who shall not leave with us.
    ///
    /// - Parameter isHeld: the second is not said before `release`, so that those who may have
    ///   something for us still find us.
    package mutating func leave(
        at now: Instant, isHeld: Bool = false, into actions: inout [Action]
    ) {
        guard case .running = life else { return }
        guard !isNameLost else { return end(into: &actions) }
        announceLeave()
        life = .announcing(until: now + Self.broadcastTimeout)
        self.isHeld = isHeld
        stepLife(at: now, into: &actions)
    }

    /// Goes on with a leave that is held.
    package mutating func release(at now: Instant, into actions: inout [Action]) {
        guard case .announcing = life, isHeld else { return }
        isHeld = false
        if isDoubted {
            announceLeave()
            life = .announcing(until: now + Self.broadcastTimeout)
        }
        stepLife(at: now, into: &actions)
    }

    /// Says to one member's face, once more, that we mean to leave: rumours miss somebody now and
    /// then, who may be the one that matters.
    package mutating func repeatLeave(to node: NodeName, into actions: inout [Action]) {
        guard case .announcing = life, let time = peers[name]?.intentTime, node != name,
            let peer = peers[node]
        else { return }
        let intent = SerfMessage.leave(SerfIntent(time: time, node: name)).encode()
        send([GossipMessage.user(intent).encode()], to: peer, into: &actions)
    }

    mutating func announceLeave() {
        guard let joined = peers[name]?.intentTime else { return }
        // Later than our word that we are here, or it would not count.
        clock.witness(joined)
        let time = clock.time
        clock.increment()
        peers.update(name) { $0.intentTime = time }
        setStatus(.leaving, of: name)
        tell(SerfMessage.leave(SerfIntent(time: time, node: name)), about: name)
    }

    /// Goes on with a leave: a step is over when its rumour was told often enough, or its time is.
    mutating func stepLife(at now: Instant, into actions: inout [Action]) {
        switch life {
        case .running, .left: return
        case .announcing(let until):
            guard !isHeld, now >= until || !intents.contains(name) || isAlone else { return }
            let incarnation = peers[name]?.record.incarnation ?? 0
            bury(GossipRumour(incarnation: incarnation, node: name, from: name), at: now)
            setStatus(.left, of: name)
            life = .parting(until: now + Self.broadcastTimeout)
        case .parting(let until):
            guard now >= until || !rumours.contains(name) || isAlone else { return }
            life = .lingering(until: now + (isAlone ? .zero : Self.propagation))
        case .lingering(let until):
            guard now >= until else { return }
            end(into: &actions)
            return
        }
        stepLife(at: now, into: &actions)
    }

    private var isAlone: Bool {
        !ring.contains { name in peers[name].map { !$0.isGone } ?? false }
    }

    private mutating func end(into actions: inout [Action]) {
        life = .left
        for (number, _) in exchanges { actions.append(.close(number)) }
        exchanges.removeAll()
        merges.removeAll()
        looks.removeAll()
        probe = nil
        actions.append(.event(.hasLeft))
    }

    // MARK: Those that are gone

    /// Turns a failed member into one that has left, for everybody, as its own leave would have.
    ///
    /// - Parameter prune: forget it at once.
    package mutating func expel(
        _ node: NodeName, prune: Bool, at now: Instant, into actions: inout [Action]
    ) {
        guard node != name, peers.contains(node) else { return }
        let intent = SerfIntent(time: clock.time, node: node, isPrune: prune)
        clock.increment()
        receiveSerf(
            SerfMessage.leave(intent).encode(), from: config.address, at: now, into: &actions)
    }

    /// Asks one failed member to exchange states: the more have failed, the likelier. So the two
    /// halves of a cluster that was cut find each other again.
    mutating func reconnect(at now: Instant, into actions: inout [Action]) {
        nextReconnectAt = now + Self.reconnectInterval
        guard isSpeaking, goneCount > 0 else { return }
        var failed: [GossipAddress] = []
        var alive = 0
        for (_, peer) in peers {
            if peer.status == .failed { failed.append(peer.record.address) }
            if peer.status == .alive { alive += 1 }
        }
        let chance = UInt64(max(alive, 1))
        guard !failed.isEmpty, random.chance(min(UInt64(failed.count), chance), chance),
            let address = random.element(of: failed)
        else { return }
        pushPull(with: address, isJoin: true, at: now, into: &actions)
    }

    /// Forgets those that are gone for too long.
    mutating func reap(at now: Instant, into actions: inout [Action]) {
        nextReapAt = now + Self.reapInterval
        let old = earlyIntents.filter { now - $0.value.heardAt > Self.earlyIntentLife }
        for (name, _) in old { earlyIntents.remove(name) }
        guard goneCount > 0 else { return }
        let expired = peers.filter { name, peer in
            guard name != self.name else { return false }
            let age = now - peer.changedAt
            return peer.status == .failed && age > config.reconnectTimeout
                || peer.status == .left && age > config.tombstoneTimeout
        }
        for (name, _) in expired { forget(name, into: &actions) }
    }

    mutating func forget(_ name: NodeName, into actions: inout [Action]) {
        guard let peer = peers.remove(name) else { return }
        if peer.status == .failed || peer.status == .left { goneCount -= 1 }
        suspicions.remove(name)
        if peer.isInRing, let place = ring.firstIndex(of: name) {
            ring.remove(at: place)
            if place < ringPosition { ringPosition -= 1 }
        }
        actions.append(.event(.reaped(peer.member)))
    }

    // MARK: Checks

    /// Stops the node if its tables contradict each other. O(n log n).
    package func checkInvariants() {
        invariant(peers[name] != nil, "a node knows itself")
        let inRing = peers.filter { $0.value.isInRing }.map { $0.key }
        invariant(inRing == ring.sorted(), "the ring holds whoever is marked")
        let gone = peers.filter { $0.value.status == .failed || $0.value.status == .left }
        invariant(gone.count == goneCount, "those that are gone are counted")
        for (name, peer) in peers where name != self.name {
            invariant(
                (peer.state == .suspect) == suspicions.contains(name),
                "whoever is suspected has a time until which")
            let isGoneForSerf = peer.status == .failed || peer.status == .left
            invariant(peer.isGone == isGoneForSerf, "the dead have failed or left")
        }
        invariant(peers.count <= config.mostMembers, "members have a bound")
        invariant(relays.count <= Self.mostRelays, "relayed pings have a bound")
        invariant(exchanges.count <= Self.mostExchanges, "exchanges have a bound")
        invariant(awareness <= Self.mostAwareness, "awareness has a bound")
        rumours.checkInvariants()
        intents.checkInvariants()
        queries.checkInvariants()
        events.checkInvariants()
    }
}
