// Replicas that hold the same log hold the same state. Each keeps its state's hash at every 256th
// entry and tells the leader the newest; a server that differs from a majority stops, because
// whatever it shows or decides may be wrong.

/// The state's hash at entries that all servers look at.
struct Checkpoints {
    static let interval: LogIndex = 256
    static let kept = 64

    private var hashes = SortedMap<LogIndex, RecordHash>()
    /// What others said last.
    private var told = SortedMap<ServerID, (index: LogIndex, hash: RecordHash)>()

    /// The newest own one.
    var newest: (index: LogIndex, hash: RecordHash)? { hashes.last.map { ($0.key, $0.value) } }

    /// Call after every entry.
    mutating func applied(_ index: LogIndex, _ hash: RecordHash) {
        guard index.isMultiple(of: Self.interval) else { return }
        hashes[index] = hash
        while hashes.count > Self.kept, let oldest = hashes.first { hashes.remove(oldest.key) }
    }

    /// The state came from elsewhere.
    mutating func restart() { hashes = SortedMap() }

    mutating func take(_ index: LogIndex, _ hash: RecordHash, of id: ServerID) {
        told[id] = (index, hash)
    }

    /// Voters whose state differs at one entry from that of a majority of the voters; nil while no
    /// majority agrees there.
    func deviants(
        at index: LogIndex, among voters: [ServerID], own: ServerID
    ) -> [ServerID]? {
        guard let ours = hashes[index] else { return nil }
        let known = voters.compactMap { id -> (id: ServerID, hash: RecordHash)? in
            if id == own { return (id, ours) }
            return told[id].flatMap { $0.index == index ? (id, $0.hash) : nil }
        }
        let majority = Quorum.size(of: voters.count)
        guard
            let right = known.first(where: { one in
                known.count { $0.hash == one.hash } >= majority
            })?.hash
        else { return nil }
        return known.filter { $0.hash != right }.map(\.id)
    }
}

extension Node {
    /// Tells the leader what this server's state is.
    func tellCheckpoint(to leader: ServerID, _ out: inout Outbox) {
        guard config.isServer, let newest = checkpoints.newest else { return }
        out.emit(
            .send(leader, PeerMessage.checkpoint(newest.index, newest.hash).encoded))
    }

    mutating func hearCheckpoint(
        _ index: LogIndex, _ hash: RecordHash, from id: ServerID, _ out: inout Outbox
    ) {
        guard isLeading else { return }
        checkpoints.take(index, hash, of: id)
        let voters = raft.configuration.voters
        guard let wrong = checkpoints.deviants(at: index, among: voters, own: config.dataID)
        else { return }
        for server in wrong where server != config.dataID {
            send(.deviates(index), to: server, &out)
        }
        guard wrong.contains(config.dataID) else { return }
        // Somebody whose state is right goes on.
        _ = handOver(&out)
        deviate(at: index, &out)
    }

    mutating func deviate(at index: LogIndex, _ out: inout Outbox) {
        out.mark(.stateDiverged)
        halt(
            "the state of this server differs from that of most others since entry \(index) of the "
                + "log or before; keep its data directory for an examination, and start the server "
                + "on an empty one", &out)
    }
}
