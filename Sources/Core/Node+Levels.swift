// Programs of several versions in one cluster: nothing is proposed before every server knows it.

extension Node {
    /// The gossip tag that tells what a server's program understands. Those from before there was
    /// anything to agree on have none.
    static var levelTag: String { "dkron_level" }

    /// What the cluster has agreed on, or is about to.
    var agreedLevel: UInt32 { max(store.cluster.featureLevel, levelProposed) }

    /// Raises the level of the cluster as soon as all its servers know more. Never taken back: a
    /// server that goes back to an older program then says so and stops.
    mutating func raiseLevel(_ out: inout Outbox) {
        guard isLeading, phase == .running, !raft.isChanging, !raft.isTransferring,
            let level = commonLevel, level > agreedLevel
        else { return }
        levelProposed = level
        propose(.raiseLevel(level), for: nil, &out)
        out.log(
            .info, "all servers know more than the cluster uses; its feature level is raised",
            [.init("level", "\(level)")])
    }

    /// What all servers with a seat understand; nil while one of them has not been seen.
    private var commonLevel: UInt32? {
        var level = config.featureLevel
        for id in raft.configuration.members where id != config.dataID {
            guard let member = member(id) else { return nil }
            level = min(level, member.featureLevel)
        }
        return level
    }

    /// Whether a server could follow the log. One that can't is named once.
    mutating func understandsLog(_ member: Member, _ out: inout Outbox) -> Bool {
        if member.featureLevel >= agreedLevel { return true }
        guard let id = member.id, seats.outdated.updateValue(true, forKey: id) == nil else {
            return false
        }
        out.log(
            .warning,
            "a server runs a version that is too old for this cluster and is not taken in; "
                + "upgrade it",
            [
                .init("server", member.name.text), .init("version", member.tag("version") ?? "?"),
                .init("level", "\(member.featureLevel)"), .init("needed", "\(agreedLevel)"),
            ])
        return false
    }
}
