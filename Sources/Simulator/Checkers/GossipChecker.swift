// What nodes believe of each other: who is there, told by gossip, against what each really is.

import Core

struct GossipChecker {
    /// Of two beliefs about one member the later one is never smaller.
    private struct Rank: Comparable {
        var incarnation: UInt32
        /// Alive, suspected, gone.
        var state: UInt8

        init(_ belief: Membership.Belief) {
            incarnation = belief.incarnation
            state = min(belief.state.rawValue, GossipNode.State.dead.rawValue)
        }

        static func < (a: Rank, b: Rank) -> Bool {
            (a.incarnation, a.state) < (b.incarnation, b.state)
        }
    }

    /// The highest incarnation that each node is known to have given itself, in any life.
    private var given: [UInt32]
    /// What each node believed of each other when it was looked at last, in this life.
    private var believed: [[NodeName: Rank]]
    private let positions: [NodeName: Int]
    /// Who has failed is soon forgotten, and may be believed to live in any later life.
    private let forgets: Bool
    /// Looked at after so many steps of any node.
    private let pace: Int
    private var steps = 0

    /// The largest packet that networks carry whole.
    static let packetBytes = 1_400

    init(nodes: [String], forgets: Bool) {
        self.forgets = forgets
        given = nodes.map { _ in 0 }
        believed = nodes.map { _ in [:] }
        var positions: [NodeName: Int] = [:]
        for (index, name) in nodes.enumerated() { positions[NodeName(name)] = index }
        self.positions = positions
        pace = max(16, nodes.count)
    }

    mutating func beginLife(of node: Int) { believed[node].removeAll(keepingCapacity: true) }

    mutating func endLife(of node: VirtualNode) { noteOwn(node) }

    private mutating func noteOwn(_ node: VirtualNode) {
        guard let own = node.core?.node.membership?.ownIncarnation else { return }
        given[node.index] = max(given[node.index], own)
    }

    /// Now and then, after a step of `node`.
    mutating func didStep(
        _ node: VirtualNode, among nodes: [VirtualNode], into verdict: inout Verdict
    ) {
        steps += 1
        guard steps % pace == 0, let beliefs = node.core?.node.membership?.beliefs else { return }
        var seen: [NodeName: Rank] = [:]
        for belief in beliefs {
            guard let about = positions[belief.name] else {
                return verdict.fail(.G1, "\(node.name) knows \(belief.name), which there is not")
            }
            let rank = Rank(belief)
            seen[belief.name] = rank
            if rank.incarnation > given[about] { noteOwn(nodes[about]) }
            verdict.require(
                rank.incarnation <= given[about], .G1,
                "\(node.name) heard of incarnation \(rank.incarnation) of \(belief.name), which "
                    + "has given itself \(given[about])")
            if let before = believed[node.index][belief.name] {
                let isNewer =
                    rank >= before
                    || forgets && before.state != GossipNode.State.alive.rawValue
                verdict.require(
                    isNewer, .G2,
                    "\(node.name) believed \(before.incarnation) \(before.state) of "
                        + "\(belief.name) and now \(rank.incarnation) \(rank.state)")
            }
        }
        believed[node.index] = seen
    }

    // MARK: In peace

    /// What keeps `nodes` from knowing each other as they are; nil if nothing does. O(n²).
    static func disagreement(among nodes: [VirtualNode]) -> String? {
        var own: [NodeName: Member] = [:]
        for node in nodes {
            let itself = node.core?.node.members.first { $0.name.text == node.name }
            guard let itself else { return "\(node.name) is down" }
            own[itself.name] = itself
        }
        for node in nodes {
            var known = 0
            for found in node.core?.node.members ?? [] {
                guard let itself = own[found.name] else { continue }
                known += 1
                if found != itself {
                    return "\(node.name) knows \(found.name.text) as \(found.status.text) "
                        + "\(found.tags.map { "\($0.name)=\($0.value)" })"
                }
            }
            if known < nodes.count {
                return "\(node.name) knows \(known) of \(nodes.count) nodes"
            }
        }
        return nil
    }

    /// Whether all `nodes` hold another to be in this state, or do not know it at all.
    static func dissenter(
        among nodes: [VirtualNode], from statuses: [Member.Status], of name: String
    ) -> String? {
        for node in nodes {
            guard let found = node.core?.node.members.first(where: { $0.name.text == name })
            else { continue }
            if !statuses.contains(found.status) {
                return "\(node.name) holds \(name) to be \(found.status.text)"
            }
        }
        return nil
    }
}
