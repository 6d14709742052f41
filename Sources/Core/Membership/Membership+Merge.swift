// What is believed of what is heard. Incarnations order what is said about a node: only the node
// itself raises its own, so its word is newer than everything said about the one before.

extension Membership {
    // MARK: Alive

    mutating func alive(_ record: GossipAlive, at now: Instant, into actions: inout [Action]) {
        guard record.versions.isUsable, isAcceptable(record.node),
            record.meta.count <= MemberTags.mostBytes
        else { return }
        guard !isStranger(record, into: &actions) else { return }
        guard record.node != name else {
            return hearOfOurselves(record, at: now, into: &actions)
        }
        guard let peer = peers[record.node] else {
            return add(record, at: now, into: &actions)
        }
        var isNewer = record.incarnation > peer.record.incarnation
        if record.address != peer.record.address {
            switch claim(of: record, against: peer, at: now) {
            case .sameNode: break
            case .older: isNewer = true
            case .younger:
                return conflict(peer, record.address, at: now, into: &actions)
            }
            // If somebody is there still it has to hear it, and soon nobody knows the place.
            if isNewer, !peer.isGone {
                send([GossipMessage.alive(record).encode()], to: peer, into: &actions)
            }
        }
        guard isNewer else {
            if peer.isForgotten(config.profile, at: now) { challenge(record, peer, into: &actions) }
            return
        }
        let wasGone = peer.isGone
        // It may have been held to be gone while it was only about to leave.
        let meansToLeave = peer.status == .left && !peer.hasComeBack
        let isChanged =
            record.meta != peer.record.meta || record.address != peer.record.address
            || record.versions != peer.record.versions
        suspicions.remove(record.node)
        peers.update(record.node) { peer in
            if record.meta != peer.record.meta { peer.tags = Self.tags(of: record) }
            peer.record = record
            if peer.state != .alive {
                peer.state = .alive
                peer.changedAt = now
            }
        }
        putInRing(record.node, at: now)
        tell(.alive(record), about: record.node)
        if wasGone {
            setStatus(meansToLeave ? .leaving : .alive, of: record.node)
            emit(MembershipEvent.joined, record.node, into: &actions)
        } else if isChanged {
            emit(MembershipEvent.updated, record.node, into: &actions)
        }
    }

    /// A name can be too long for a packet and for a table of thousands, and an empty one is
    /// nobody's.
    func isAcceptable(_ name: NodeName) -> Bool {
        (1...Self.mostNameBytes).contains(name.text.utf8.count)
    }

    private mutating func add(
        _ record: GossipAlive, at now: Instant, into actions: inout [Action]
    ) {
        guard record.incarnation > 0, peers.count < config.mostMembers else { return }
        var peer = Peer(
            record: record, tags: Self.tags(of: record), state: .alive, changedAt: now,
            status: .alive, intentTime: 0)
        if let early = earlyIntents.remove(record.node) {
            peer.intentTime = early.time
            if early.isLeave {
                // It may be of a life before: then this one objects to what is told as later.
                peer.status = .leaving
                peer.intentTime += 1
            }
        }
        peers[record.node] = peer
        putInRing(record.node, at: now)
        tell(.alive(record), about: record.node)
        emit(MembershipEvent.joined, record.node, into: &actions)
    }

    /// At a random place: nodes that start together shall not probe in step.
    private mutating func putInRing(_ name: NodeName, at now: Instant) {
        guard peers[name]?.isInRing == false else { return }
        peers.update(name) { $0.isInRing = true }
        if ring.isEmpty {
            let profile = config.profile
            nextProbeAt = now + random.duration(from: .zero, through: profile.probeInterval)
            nextPushPullAt = now + random.duration(from: .zero, through: profile.pushPullInterval)
        }
        ring.append(name)
        ring.swapAt(ring.count - 1, random.int(in: 0..<ring.count))
    }

    /// A forgotten member is said to live, by news that may be older than its death. If it does
    /// live it contradicts this suspicion, with an incarnation that everybody believes.
    private mutating func challenge(
        _ record: GossipAlive, _ peer: Peer, into actions: inout [Action]
    ) {
        let rumour = GossipRumour(
            incarnation: peer.record.incarnation, node: record.node, from: name)
        send([GossipMessage.suspect(rumour).encode()], to: record.address, into: &actions)
    }

    // MARK: Two of one name

    private enum Claim { case sameNode, older, younger }

    /// What to think of a member's name at another address.
    private func claim(of record: GossipAlive, against peer: Peer, at now: Instant) -> Claim {
        if peer.state == .left || peer.isForgotten(config.profile, at: now) { return .sameNode }
        return Self.claim(
            of: identity(in: Self.tags(of: record)), against: identity(in: peer.tags))
    }

    /// Without identities whoever was known first is the older.
    private static func claim(of theirs: String?, against known: String?) -> Claim {
        guard let theirs, let known else { return .younger }
        if theirs.utf8.elementsEqual(known.utf8) { return .sameNode }
        return theirs.utf8.lexicographicallyPrecedes(known.utf8) ? .older : .younger
    }

    private func identity(in tags: [MemberTag]) -> String? {
        guard let tag = config.identityTag else { return nil }
        return tags.first { $0.name.utf8.elementsEqual(tag.utf8) }?.value
    }

    private mutating func conflict(
        _ peer: Peer, _ other: GossipAddress, at now: Instant, into actions: inout [Action]
    ) {
        if let last = conflictToldAt, now - last < Self.warningInterval { return }
        conflictToldAt = now
        actions.append(
            .event(.conflict(peer.record.node, known: peer.record.address, other: other)))
    }

    // MARK: Ourselves

    private mutating func hearOfOurselves(
        _ record: GossipAlive, at now: Instant, into actions: inout [Action]
    ) {
        guard isSpeaking, let own = peers[name] else { return }
        if record.address != own.record.address {
            let theirs = identity(in: Self.tags(of: record))
            switch Self.claim(of: theirs, against: identity(in: own.tags)) {
            case .sameNode:
                if record.incarnation >= own.record.incarnation {
                    contradicted(
                        from: record.address, above: record.incarnation, at: now, into: &actions)
                }
            case .older: return loseName(to: record, into: &actions)
            case .younger:
                conflict(own, record.address, at: now, into: &actions)
                // Where our claim is the older it has to be heard.
                if theirs != nil { speak(above: record.incarnation) }
                return
            }
        }
        guard record.incarnation >= own.record.incarnation else { return }
        // What we said ourselves.
        if record == own.record { return }
        changeAwareness(by: 1)
        speak(above: record.incarnation)
    }

    private mutating func contradicted(
        from address: GossipAddress, above incarnation: UInt32, at now: Instant,
        into actions: inout [Action]
    ) {
        let isRecent = now - contradictions.at < .minutes(1)
        contradictions = (isRecent ? contradictions.count + 1 : 1, now)
        guard contradictions.count == Self.mostContradictions else { return }
        // It shall come to the same end, and would not if we fell silent now.
        for _ in 0..<Self.mostContradictions {
            speak(above: incarnation)
            guard let own = peers[name]?.record else { return }
            send([GossipMessage.alive(own).encode()], to: address, into: &actions)
        }
        actions.append(.event(.doubled(at: address)))
    }

    private mutating func loseName(to record: GossipAlive, into actions: inout [Action]) {
        isNameLost = true
        let winner = GossipMember(
            name: name, address: record.address, tags: Self.tags(of: record), status: .alive,
            versions: record.versions)
        actions.append(.event(.nameLost(to: winner)))
    }

    /// We speak of ourselves: neither do we leave, nor is our name another's.
    var isSpeaking: Bool {
        if case .running = life { return !isNameLost }
        return false
    }

    /// We mean to leave and are not gone: others may have something for us still.
    private var isAnnouncing: Bool {
        if case .announcing = life { return true }
        return false
    }

    /// Contradicts an accuser, to its face as well: it may be nobody whom our rumours reach. So who
    /// says again what was contradicted long ago, because that passed it by, hears it too.
    private mutating func refute(_ rumour: GossipRumour, into actions: inout [Action]) {
        guard isSpeaking || isAnnouncing, !isNameLost, let own = peers[name]?.record else { return }
        if rumour.incarnation >= own.incarnation { contradict(rumour) }
        guard rumour.from != name, let accuser = peers[rumour.from],
            let record = peers[name]?.record
        else { return }
        send([GossipMessage.alive(record).encode()], to: accuser, into: &actions)
    }

    private mutating func contradict(_ rumour: GossipRumour) {
        if isAnnouncing {
            // Whoever held us to be gone will have us as one that came back, and to stay.
            isDoubted = true
            announceLeave()
        }
        // Somebody had trouble hearing us.
        changeAwareness(by: 1)
        speak(above: rumour.incarnation)
    }

    /// Says who we are, above every incarnation of us that anybody has heard of.
    mutating func speak(above incarnation: UInt32 = 0) {
        let own = peers[name]?.record.incarnation ?? 0
        let (next, isOverflow) = max(own, incarnation).addingReportingOverflow(1)
        let record = peers.update(name) { peer in
            peer.record.incarnation = isOverflow ? .max : next
            return peer.record
        }
        if let record { tell(.alive(record), about: name) }
    }

    // MARK: Suspect and dead

    mutating func suspect(_ rumour: GossipRumour, at now: Instant, into actions: inout [Action]) {
        guard isAcceptable(rumour.from) else { return }
        if rumour.node == name { return refute(rumour, into: &actions) }
        guard let peer = peers[rumour.node], rumour.incarnation >= peer.record.incarnation
        else { return }
        if var suspicion = suspicions[rumour.node] {
            guard suspicion.confirm(from: rumour.from) else { return }
            suspicions[rumour.node] = suspicion
            look(at: suspicion.endsAt, .suspicion(rumour.node))
            tell(.suspect(rumour), about: rumour.node)
            return
        }
        guard peer.state == .alive else { return }
        peers.update(rumour.node) { peer in
            peer.record.incarnation = rumour.incarnation
            peer.state = .suspect
            peer.changedAt = now
        }
        tell(.suspect(rumour), about: rumour.node)
        let suspicion = Suspicion(
            config.profile, members: knownCount, from: rumour.from, at: now)
        suspicions[rumour.node] = suspicion
        look(at: suspicion.endsAt, .suspicion(rumour.node))
    }

    mutating func expireSuspicion(
        of name: NodeName, at now: Instant, into actions: inout [Action]
    ) {
        guard let suspicion = suspicions[name], now >= suspicion.endsAt, let peer = peers[name]
        else { return }
        let rumour = GossipRumour(
            incarnation: peer.record.incarnation, node: name, from: self.name)
        dead(rumour, at: now, into: &actions)
    }

    mutating func dead(_ rumour: GossipRumour, at now: Instant, into actions: inout [Action]) {
        if rumour.node == name { return refute(rumour, into: &actions) }
        guard let peer = peers[rumour.node], rumour.incarnation >= peer.record.incarnation,
            !peer.isGone
        else { return }
        suspicions.remove(rumour.node)
        bury(rumour, at: now)
        switch peer.status {
        case .alive:
            setStatus(.failed, of: rumour.node)
            emit(MembershipEvent.failed, rumour.node, into: &actions)
        case .leaving:
            setStatus(.left, of: rumour.node)
            emit(MembershipEvent.left, rumour.node, into: &actions)
        case .none, .left, .failed: break
        }
    }

    /// Takes a death for true and tells it on.
    mutating func bury(_ rumour: GossipRumour, at now: Instant) {
        peers.update(rumour.node) { peer in
            peer.record.incarnation = rumour.incarnation
            peer.state = rumour.node == rumour.from ? .left : .dead
            peer.changedAt = now
        }
        tell(.dead(rumour), about: rumour.node)
    }

    // MARK: Helpers

    mutating func setStatus(_ status: GossipMember.Status, of name: NodeName) {
        guard let old = peers[name]?.status else { return }
        if old == .failed || old == .left { goneCount -= 1 }
        if status == .failed || status == .left { goneCount += 1 }
        peers.update(name) {
            $0.status = status
            $0.hasComeBack = false
        }
    }

    func emit(
        _ event: (GossipMember) -> MembershipEvent, _ name: NodeName, into actions: inout [Action]
    ) {
        if let member = peers[name]?.member { actions.append(.event(event(member))) }
    }

    /// Tags that can't be read are none; the member is one all the same.
    static func tags(of record: GossipAlive) -> [MemberTag] {
        (try? MemberTags.decode(record.meta)) ?? []
    }

    static func meta(_ tags: [MemberTag]) throws(MemberTagsError) -> [UInt8] {
        let meta = MemberTags.encode(tags)
        guard meta.count <= MemberTags.mostBytes else { throw MemberTagsError(bytes: meta.count) }
        return meta
    }
}
