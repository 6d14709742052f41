// What leaves in packets. Every packet has its messages and, in the room that is left, rumours.

extension Membership {
    var hasRumours: Bool {
        !rumours.isEmpty || !intents.isEmpty || !queries.isEmpty || !events.isEmpty
    }

    /// Tells rumours to a few random members.
    mutating func gossip(at now: Instant, into actions: inout [Action]) {
        lastGossipAt = now
        let profile = config.profile
        let chosen = randomMembers(profile.gossipNodes) { _, peer in
            !peer.isForgotten(profile, at: now)
        }
        for name in chosen {
            guard hasRumours, let peer = peers[name] else { return }
            send([], to: peer, into: &actions)
        }
    }

    /// To a member as such: with a checksum if it understands one.
    mutating func send(_ messages: [[UInt8]], to peer: Peer, into actions: inout [Action]) {
        send(
            messages, to: peer.record.address,
            withChecksum: peer.record.versions.protocolMax >= 5, into: &actions)
    }

    mutating func send(
        _ messages: [[UInt8]], to address: GossipAddress, withChecksum: Bool = false,
        into actions: inout [Action]
    ) {
        var parts = messages
        var room = config.packetBytes - GossipPacket.overhead
        for message in messages { room -= message.count + GossipPacket.partOverhead }
        takeRumours(room: &room, into: &parts)
        guard !parts.isEmpty else { return }
        let packet = GossipPacket.encode(parts, withChecksum: withChecksum)
        actions.append(.send(to: address, packet))
    }

    /// What keeps the member table right goes before what is only passed on.
    private mutating func takeRumours(room: inout Int, into parts: inout [[UInt8]]) {
        var free = GossipPacket.mostParts - parts.count
        let limit = config.profile.retransmissions(members: knownCount)
        let overhead = GossipPacket.partOverhead
        rumours.take(
            room: &room, overhead: overhead, parts: &free, limit: limit, into: &parts)
        intents.take(
            room: &room, overhead: overhead, parts: &free, limit: limit, into: &parts)
        queries.take(
            room: &room, overhead: overhead, parts: &free, limit: limit, into: &parts)
        events.take(
            room: &room, overhead: overhead, parts: &free, limit: limit, into: &parts)
    }

    // MARK: Telling

    /// Tells what memberlist knows of a node.
    mutating func tell(_ message: GossipMessage, about subject: NodeName) {
        let bytes = message.encode()
        if fits(bytes) { rumours.insert(bytes, about: subject) }
    }

    mutating func tell(_ intent: SerfMessage, about subject: NodeName) {
        let bytes = GossipMessage.user(intent.encode()).encode()
        if fits(bytes) { intents.insert(bytes, about: subject) }
    }

    /// What does not fit into a packet would stay in its queue for ever. A push/pull carries it.
    func fits(_ message: [UInt8]) -> Bool {
        message.count + GossipPacket.overhead + GossipPacket.partOverhead <= config.packetBytes
    }

    // MARK: Choice

    /// Up to `count` different members of the ring that pass the test, all sets equally likely. In
    /// a large ring of which hardly anybody passes there may be fewer than there could be.
    mutating func randomMembers(
        _ count: Int, where isWanted: (NodeName, Peer) -> Bool
    ) -> [NodeName] {
        guard ring.count > 3 * count else {
            // Few: look at all, so that the only one that passes is found.
            var all = ring.filter { name in peers[name].map { isWanted(name, $0) } ?? false }
            random.permute(&all)
            return Array(all.prefix(count))
        }
        var chosen: [NodeName] = []
        for _ in 0..<min(3 * ring.count, Self.mostDraws) where chosen.count < count {
            let name = ring[random.int(in: 0..<ring.count)]
            guard !chosen.contains(name), let peer = peers[name], isWanted(name, peer) else {
                continue
            }
            chosen.append(name)
        }
        return chosen
    }

    private static var mostDraws: Int { 1_000 }
}
