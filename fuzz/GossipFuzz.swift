// Any bytes as a packet, as a stream cut anywhere, and as a message of Serf: what is understood
// keeps its meaning when it is written again, and where a stream's message ends does not depend on
// how it arrives. A member to whom they are told keeps its tables in order.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzGossip(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkPacket(bytes)
    checkStream(bytes)
    checkSerf(bytes[...])
    checkMember(bytes)
    if let tags = try? MemberTags.decode(bytes) {
        let again = MemberTags.encode(tags)
        invariant((try? MemberTags.decode(again)) == tags, "tags keep their meaning")
    }
    if let unpacked = try? LZW.decompress(bytes[...], limit: 1 << 20) {
        let again = LZW.compress(unpacked[...])
        invariant(
            (try? LZW.decompress(again[...], limit: unpacked.count)) == unpacked,
            "what is packed comes back")
    }
    return 0
}

private let member: Membership = {
    let address = GossipAddress(IPAddress([127, 0, 0, 1])!, 8946)
    var config = MembershipConfig(name: NodeName("srv"), address: address)
    config.identityTag = "id"
    guard var member = try? Membership(config, seed: 1, at: .zero) else {
        fatalError("no tags are too long")
    }
    let other = GossipAlive(
        incarnation: 1, node: NodeName("agt"), address: address, meta: [])
    var actions: [Membership.Action] = []
    member.packet(
        from: address, GossipMessage.alive(other).encode()[...], at: .zero, into: &actions)
    return member
}()

/// The same bytes over and over, in all roles, with time between.
private func checkMember(_ bytes: [UInt8]) {
    var member = member
    let source = member.config.address
    var actions: [Membership.Action] = []
    var now = Instant.zero
    for number in 1...3 as ClosedRange<UInt64> {
        member.packet(from: source, bytes[...], at: now, into: &actions)
        member.packet(from: source, [8] + bytes, at: now, into: &actions)
        member.request(number, from: source, bytes[...], at: now, into: &actions)
        member.join([GossipAddress(source.ip, 1)], at: now, into: &actions)
        member.exchangeAnswered(number, bytes[...], at: now, into: &actions)
        for _ in 0..<20 {
            guard let next = member.nextDeadline else { break }
            now = max(now, next)
            member.deadline(at: now, into: &actions)
        }
        member.checkInvariants()
        for case .send(_, let packet) in actions {
            invariant(GossipPacket(packet[...]).problems.isEmpty, "what is sent can be read")
            invariant(packet.count <= member.config.packetBytes, "a packet has a limit")
        }
        actions.removeAll()
    }
}

private func checkPacket(_ bytes: [UInt8]) {
    let packet = GossipPacket(bytes[...])
    for message in packet.messages {
        let again = GossipPacket(message.encode()[...])
        invariant(again.messages == [message], "a message keeps its meaning")
        if case .user(let bytes) = message { checkSerf(bytes[...]) }
    }
    let parts = packet.messages.map { $0.encode() }.filter { $0.count <= Int(UInt16.max) }
    if (1...255).contains(parts.count) {
        let together = GossipPacket.encode(parts, withChecksum: true)
        let again = GossipPacket(together[...])
        invariant(again.messages.count == parts.count, "a packet holds what was put into it")
    }
}

private func checkStream(_ bytes: [UInt8]) {
    func frame(_ step: Int) -> GossipFrame? {
        var frame = GossipFrame(limit: 1 << 16)
        for start in stride(from: 0, to: bytes.count, by: step) {
            let piece = bytes[start..<min(start + step, bytes.count)]
            guard (try? frame.receive(piece)) != nil else { return nil }
        }
        return frame
    }
    let whole = frame(max(bytes.count, 1))
    let message = whole?.message
    for step in [1, 3, 100] {
        // Cut small, what comes behind a whole message is not looked at.
        let cut = frame(step)?.message
        invariant(message == nil || cut == message, "how a stream is cut changes nothing")
    }
    if let message, let meaning = try? GossipStreamMessage(message) {
        let again = try? GossipStreamMessage(meaning.encode()[...])
        invariant(again == meaning, "a stream's message keeps its meaning")
        if case .pushPull(let state) = meaning { checkState(state) }
    }
    _ = try? GossipStreamMessage(bytes[...])
}

private func checkState(_ state: GossipPushPull) {
    func contents(_ state: GossipPushPull) throws -> ([GossipNode], [UInt8]) {
        var reader = state.reader
        var nodes: [GossipNode] = []
        while let node = try reader.next() { nodes.append(node) }
        return (nodes, Array(try reader.userState()))
    }
    guard let (nodes, userState) = try? contents(state) else { return }
    let again = GossipPushPull(isJoin: state.isJoin, nodes: nodes, userState: userState)
    if let (sameNodes, sameState) = try? contents(again) {
        invariant(sameNodes == nodes && sameState == userState, "a state keeps its meaning")
    } else {
        invariant(false, "what is written can be read")
    }
    checkSerf(userState[...])
}

private func checkSerf(_ bytes: ArraySlice<UInt8>) {
    guard let message = try? SerfMessage(bytes) else { return }
    let again = try? SerfMessage(message.encode()[...])
    invariant(again == message, "a message of Serf keeps its meaning")
}
