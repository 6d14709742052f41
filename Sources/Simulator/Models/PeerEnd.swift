// One end of the messages between nodes, without what lies between: whom it can write to, and to
// whom it listens. Connections, which production has, are not there; what they refuse is.

import Core

/// A message between nodes, on its way.
struct PeerEnvelope: Sendable {
    /// The data directory of the sender, and the cluster to which it belonged then, if to any.
    var from: DataID
    var cluster: String?
    /// The data directory that is spoken to.
    var meant: DataID
    var bytes: [UInt8]
}

struct PeerEnd: Sendable {
    /// The identity of the data directory.
    var identity: DataID
    /// Where it was told that others are: positions of nodes, by their identities.
    private var reached: [DataID: Int] = [:]
    /// The cluster that it belongs to; those of others are refused.
    private var cluster: String?

    init(identity: DataID) { self.identity = identity }

    /// A new process knows nobody.
    mutating func restart() { self = PeerEnd(identity: identity) }

    mutating func belong(to cluster: String) { self.cluster = cluster }

    mutating func reach(_ id: DataID, at position: Int?) { reached[id] = position }

    /// Where this one takes another to be; nil: nothing can be sent there.
    func position(of id: DataID) -> Int? { reached[id] }

    func envelope(_ bytes: [UInt8], to id: DataID) -> PeerEnvelope {
        PeerEnvelope(from: identity, cluster: cluster, meant: id, bytes: bytes)
    }

    /// Whether a message that has come here is heard: it is for this data directory, and from the
    /// same cluster as far as both know theirs.
    func takes(_ envelope: PeerEnvelope) -> Bool {
        guard envelope.meant == identity else { return false }
        guard let cluster, let other = envelope.cluster else { return true }
        return cluster == other
    }
}
