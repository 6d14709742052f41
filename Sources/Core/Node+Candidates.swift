// Which nodes jobs may run on now, and which ones a server that has just started still waits for.

/// What the leader has told the log of the nodes that are alive.
struct NodeMemory {
    static let interval = Duration.seconds(1)
    /// A leader that started so recently waits for nodes that were alive before it started.
    static let patience = Duration.seconds(15)
    /// The most nodes in one entry.
    static let batch = 200

    /// Something has changed since the log was told.
    var isStale = true
    var nextLook = Instant.zero
}

extension Node {
    /// The nodes of this cluster that take new executions.
    var candidates: [Member] {
        TargetSelection.candidates(members, region: config.region, store.cluster.drained).filter {
            hasKnownJournal($0)
        }
    }

    /// Whether the log knows that the node has the data directory that it has: what is decided for
    /// it before that passes for decided for the one that it had. Takes a moment after it came.
    private func hasKnownJournal(_ member: Member) -> Bool {
        guard memory.isStale, store.cluster.featureLevel >= FeatureLevel.third,
            let known = store.rememberedNode(member.name)
        else { return true }
        return known.id == member.id
    }

    /// Whether an order for a node reaches the data directory for which it is meant.
    func mayOrder(_ node: NodeName) -> Bool {
        guard let member = member(named: node) else { return false }
        return hasKnownJournal(member)
    }

    /// This server started so recently that nodes may not have been heard of yet.
    private var hasJustStarted: Bool {
        now.monotonic - startedAt.monotonic < NodeMemory.patience
    }

    /// Nodes that were alive when a leader last looked, and of which this server, which has just
    /// started, has not heard yet whether they are.
    var awaitedNodes: [Member] {
        guard membership != nil, hasJustStarted else { return [] }
        let nodes = store.knownNodes.filter { node in
            node.name != config.nodeName && !members.contains { $0.name == node.name }
        }
        let expected = nodes.map {
            Member(name: $0.name, id: $0.id, address: "", port: 0, tags: $0.tags)
        }
        return TargetSelection.candidates(
            expected, region: config.region, store.cluster.drained)
    }

    /// Tells the log which nodes are alive, when that has changed.
    mutating func rememberNodes(_ out: inout Outbox) {
        guard isLeading, phase == .running, membership != nil, memory.isStale,
            now.monotonic >= memory.nextLook, agreedLevel >= FeatureLevel.second,
            !raft.isTransferring
        else { return }
        memory.nextLook = now.monotonic + NodeMemory.interval
        // What is not seen yet is not gone: look again when the time for that is over.
        memory.isStale = hasJustStarted
        let known = store.knownNodes
        let alive = members.filter { $0.isThere && isOfRegion($0) }
        guard alive.count > 1 || !known.isEmpty else { return }
        let changed = alive.compactMap { member -> KnownNode? in
            guard let id = member.id else { return nil }
            let node = KnownNode(name: member.name, id: id, tags: member.tags)
            return store.knownNode(node.name)?.looksLike(node) == true ? nil : node
        }
        let gone = known.map(\.name).filter { name in
            guard let member = member(named: name) else { return !hasJustStarted }
            return !member.isThere
        }
        guard !changed.isEmpty || !gone.isEmpty else { return }
        // Until it is applied, which the next look finds.
        memory.isStale = true
        var start = 0
        repeat {
            let end = min(start + NodeMemory.batch, changed.count)
            let names = start == 0 ? gone : []
            propose(.nodes(Array(changed[start..<end]), gone: names), for: nil, &out)
            start = end
        } while start < changed.count
    }

    /// When `rememberNodes` wants to be called.
    func nextRemembering() -> Instant? {
        isLeading && phase == .running && membership != nil && memory.isStale
            && !raft.isTransferring && agreedLevel >= FeatureLevel.second ? memory.nextLook : nil
    }
}
