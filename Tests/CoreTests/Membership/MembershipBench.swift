// One machine that is told things, one after another.

@testable import Core

/// A machine called `me` and what it does.
struct MembershipBench {
    var machine: Membership
    var now = Instant.zero + .seconds(100)
    var actions: [Membership.Action] = []

    init(_ change: (inout MembershipConfig) -> Void = { _ in }) {
        var config = MembershipConfig(
            name: NodeName("me"), address: Self.address(1), tags: [MemberTag("dc", "dc1")])
        change(&config)
        machine = try! Membership(config, seed: 1, at: now)
    }

    static func address(_ last: UInt8) -> GossipAddress {
        GossipAddress(IPAddress([10, 0, 0, last])!, 8946)
    }

    mutating func hear(_ messages: GossipMessage..., from last: UInt8 = 9) {
        let packet = GossipPacket.encode(messages.map { $0.encode() }, withChecksum: false)
        machine.packet(from: Self.address(last), packet[...], at: now, into: &actions)
    }

    mutating func hear(_ message: SerfMessage, from last: UInt8 = 9) {
        hear(.user(message.encode()), from: last)
    }

    mutating func pass(_ duration: Duration) {
        let end = now + duration
        while let next = machine.nextDeadline, next <= end {
            now = max(now, next)
            machine.deadline(at: now, into: &actions)
        }
        now = end
        machine.checkInvariants()
    }

    mutating func alive(
        _ node: String, _ incarnation: UInt32, at last: UInt8? = nil, _ tags: [MemberTag] = []
    ) {
        hear(Self.aliveMessage(node, incarnation, at: last, tags))
    }

    static func aliveMessage(
        _ node: String, _ incarnation: UInt32, at last: UInt8? = nil, _ tags: [MemberTag] = []
    ) -> GossipMessage {
        let address = Self.address(last ?? node.utf8.first ?? 0)
        return .alive(
            GossipAlive(
                incarnation: incarnation, node: NodeName(node), address: address,
                meta: MemberTags.encode(tags)))
    }

    mutating func suspect(_ node: String, _ incarnation: UInt32, from: String = "x") {
        hear(.suspect(Self.rumour(node, incarnation, from)))
    }

    mutating func dead(_ node: String, _ incarnation: UInt32, from: String = "x") {
        hear(.dead(Self.rumour(node, incarnation, from)))
    }

    static func rumour(_ node: String, _ incarnation: UInt32, _ from: String) -> GossipRumour {
        GossipRumour(incarnation: incarnation, node: NodeName(node), from: NodeName(from))
    }

    /// The packets sent since the last call, with where they went.
    mutating func sent() -> [(to: GossipAddress, messages: [GossipMessage])] {
        defer { actions.removeAll() }
        return actions.compactMap { action in
            if case .send(let to, let bytes) = action {
                return (to, GossipPacket(bytes[...]).messages)
            }
            return nil
        }
    }

    func state(_ node: String) -> GossipNode.State? { machine.peers[NodeName(node)]?.state }
    func status(_ node: String) -> GossipMember.Status? { machine.member(NodeName(node))?.status }
    func incarnation(_ node: String) -> UInt32? {
        machine.peers[NodeName(node)]?.record.incarnation
    }
    var events: [MembershipEvent] {
        actions.compactMap { if case .event(let event) = $0 { event } else { nil } }
    }
}
