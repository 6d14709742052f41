// Members of one group keep to themselves. Without this, two clusters that meet by mistake would
// become one in gossip, for good: each would probe, tell and remember the nodes of the other, and a
// name that both use would be fought over until one of its two nodes falls silent.

extension Membership {
    /// This node belongs to a group, from now on and for ever. Those known to be of another are
    /// forgotten, and told as strangers. O(n).
    package mutating func belong(to group: String, into actions: inout [Action]) {
        guard config.groupTag != nil, self.group != group else { return }
        self.group = group
        for member in members where member.name != name && isOfAnotherGroup(member.tags) {
            expel(stranger: member, into: &actions)
        }
    }

    /// Forgets somebody who knows us as a member, and lets it do the same.
    private mutating func expel(stranger: GossipMember, into actions: inout [Action]) {
        forget(stranger.name, into: &actions)
        if isSpeaking, let own = peers[name]?.record {
            send([GossipMessage.alive(own).encode()], to: stranger.address, into: &actions)
        }
        actions.append(.event(.stranger(stranger)))
    }

    /// Judges what a node says of itself; one of another group is not listened to.
    mutating func isStranger(_ record: GossipAlive, into actions: inout [Action]) -> Bool {
        guard group != nil else { return false }
        let known = peers[record.node]
        // Judged before: most of what is heard is.
        if let known, known.record.meta == record.meta { return false }
        let tags = Self.tags(of: record)
        guard isOfAnotherGroup(tags) else { return false }
        let stranger = GossipMember(
            name: record.node, address: record.address, tags: tags, status: .alive,
            versions: record.versions)
        // A member that has come to belong to another group, or a namesake of one of ours.
        if record.node != name, let known, known.record.address == record.address {
            expel(stranger: stranger, into: &actions)
        } else {
            actions.append(.event(.stranger(stranger)))
        }
        return true
    }

    private func isOfAnotherGroup(_ tags: [MemberTag]) -> Bool {
        guard let group, let tag = config.groupTag,
            let theirs = tags.first(where: { $0.name.utf8.elementsEqual(tag.utf8) })?.value
        else { return false }
        return !theirs.utf8.elementsEqual(group.utf8)
    }
}
