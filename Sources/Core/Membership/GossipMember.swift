/// A node of the cluster as membership sees it.
package struct GossipMember: Hashable, Sendable {
    /// The numbers are those of Serf and of the API.
    package enum Status: UInt8, Sendable {
        case none, alive, leaving, left, failed
    }

    package var name: NodeName
    package var address: GossipAddress
    /// In order of the names' UTF-8 bytes.
    package var tags: [MemberTag]
    package var status: Status
    package var versions: GossipVersions

    package func tag(_ name: String) -> String? {
        tags.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}

/// What membership tells. Events of one member come in the order in which they happened to it.
package enum MembershipEvent: Hashable, Sendable {
    /// It is there: for the first time, or again.
    case joined(GossipMember)
    /// Its tags or its address changed, or it does not leave after all.
    case updated(GossipMember)
    /// It has said that it will leave.
    case leaving(GossipMember)
    case left(GossipMember)
    /// It does not answer any more. It may come back.
    case failed(GossipMember)
    /// It was gone for so long that it is forgotten.
    case reaped(GossipMember)
    /// Somebody of another group was heard of, or turned out to be of one. It is no member, or no
    /// longer; told as often as it is heard of.
    case stranger(GossipMember)
    /// All addresses of a `join` have answered or failed.
    case joinEnded(JoinResult)
    /// Somebody else uses the name of a member, or ours. At most once in ten seconds.
    case conflict(NodeName, known: GossipAddress, other: GossipAddress)
    /// Somebody with an older claim uses our name. We no longer speak of ourselves. Once.
    case nameLost(to: GossipMember)
    /// Another process speaks as this very node, from there: it has our identity, and contradicts
    /// us whenever we speak.
    case doubled(at: GossipAddress)
    /// A leave is complete: nothing happens any more.
    case hasLeft
}

/// What became of a `join`.
package struct JoinResult: Hashable, Sendable {
    package struct Failure: Hashable, Sendable {
        package var address: GossipAddress
        /// A sentence without its full stop.
        package var reason: String
    }

    package var reached: [GossipAddress] = []
    package var failures: [Failure] = []
}
