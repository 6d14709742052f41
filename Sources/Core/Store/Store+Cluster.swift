// Applying what concerns the cluster as a whole: the feature level, nodes, and the way back after a
// clock that was ahead.

extension Store {
    mutating func raise(to level: UInt32, _ events: inout [StoreEvent]) -> ApplyResult {
        cluster.featureLevel = max(cluster.featureLevel, level)
        events.append(.clusterChanged)
        return .applied
    }

    mutating func remember(
        _ nodes: [KnownNode], gone: [NodeName], _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard cluster.featureLevel >= FeatureLevel.third else {
            for node in nodes { put(Key.node(node.name), node.encoded) }
            for name in gone { remove(Key.node(name)) }
            return .applied
        }
        for var node in nodes {
            if let before = rememberedNode(node.name) {
                let isSame = before.id == node.id
                node.lastFormerNumber = isSame ? before.lastFormerNumber : cluster.lastNumber
                if !isSame { events.append(.journalReplaced(node.name)) }
            }
            put(Key.node(node.name), node.encoded)
        }
        for name in gone {
            guard var node = knownNode(name) else { continue }
            node.goneAt = stamp
            put(Key.node(name), node.encoded)
        }
        for node in rememberedNodes {
            guard let goneAt = node.goneAt, stamp - goneAt > KnownNode.memory else { continue }
            remove(Key.node(node.name))
        }
        return .applied
    }

    mutating func drain(_ node: NodeName, _ isDrained: Bool) -> ApplyResult {
        cluster.drained.removeAll { $0 == node }
        if isDrained {
            let place = cluster.drained.firstIndex { $0 > node } ?? cluster.drained.count
            cluster.drained.insert(node, at: place)
        }
        return .applied
    }

    /// The cluster goes on under another id, on the server that wrote this entry and nowhere else.
    mutating func succeed(_ id: String, _ events: inout [StoreEvent]) -> ApplyResult {
        guard ClusterSuccession.isSuccessor(id, of: cluster.clusterID) else { return .applied }
        cluster.clusterID = id
        cluster.featureLevel = max(cluster.featureLevel, FeatureLevel.second)
        events.append(.clusterChanged)
        return .applied
    }

    // MARK: Rewinding

    /// The most jobs that one command looks at, and the most rows that it moves, about.
    private static var rewindSlice: Int { 500 }

    /// Takes cursors that lie ahead back to a time: the ticks after it are due again, under a new
    /// revision. The one command that lets stamps go back.
    mutating func rewind(_ rewind: Rewind, _ events: inout [StoreEvent]) -> ApplyResult {
        rewindCluster(to: rewind.time, &events)
        if let name = rewind.job {
            guard hasJob(name) else { return .rejected(.unknownJob) }
            var rows = 0
            let isRewound = rewindJob(
                name, to: rewind.time, by: .nanoseconds(1), &rows, &events)
            return .rewound(jobs: isRewound ? 1 : 0, next: nil)
        }
        var (jobs, rows) = (UInt32(0), 0)
        var place = rewind.after ?? JobName("")
        for _ in 0..<Self.rewindSlice where rows < Self.rewindSlice {
            guard let name = job(from: place, exclusive: true) else {
                return .rewound(jobs: jobs, next: nil)
            }
            place = name
            if rewindJob(name, to: rewind.time, by: Rewind.tolerance, &rows, &events) {
                jobs += 1
            }
        }
        return .rewound(jobs: jobs, next: place)
    }

    private mutating func rewindCluster(to time: WallTime, _ events: inout [StoreEvent]) {
        guard cluster.lastStamp > time else { return }
        cluster.lastStamp = time
        cluster.defaultZoneSince = min(cluster.defaultZoneSince, time)
        cluster.pauses.removeAll { $0.from >= time && $0.to != nil }
        for index in cluster.pauses.indices {
            cluster.pauses[index].from = min(cluster.pauses[index].from, time)
            cluster.pauses[index].to = cluster.pauses[index].to.map { min($0, time) }
        }
        events.append(.rewound)
    }

    /// - Parameter least: how far ahead its cursor must be at least.
    private mutating func rewindJob(
        _ name: JobName, to time: WallTime, by least: Duration, _ rows: inout Int,
        _ events: inout [StoreEvent]
    ) -> Bool {
        guard var state = state(name), state.cursor - time >= least else { return false }
        state.cursor = time
        state.revision += 1
        state.everyAnchor = min(state.everyAnchor, WallTime(seconds: time.seconds))
        rows += setAside(rowsAfter: time, of: state.generation)
        put(name, state)
        events.append(.jobChanged(name))
        return true
    }

    /// Rows of ticks that are due once more keep what they say and make room: they stand where the
    /// ledger was rewound.
    private mutating func setAside(rowsAfter time: WallTime, of generation: Generation) -> Int {
        var moved: [(place: LedgerPlace, bytes: [UInt8])] = []
        let start = LedgerPlace(time: time, sequence: .max)
        var next = records.next(after: Key.ledger(generation, start))
        while let entry = next, entry.key.bytes.starts(with: Key.prefix(.ledger, generation)) {
            moved.append((Key.ledgerPlace(of: entry.key), entry.value))
            next = records.next(after: entry.key)
        }
        for (place, bytes) in moved {
            remove(Key.ledger(generation, place))
            let aside = LedgerPlace(time: time, sequence: nextNumber(time))
            put(Key.ledger(generation, aside), bytes)
        }
        return moved.count
    }
}
