// The names of clusters that came out of one another. A cluster whose majority is lost for good is
// recovered on one server under a new name: whoever still belongs to the one before can be told
// from its members, and knows that it is outdated.

/// What the id of a cluster says about the clusters before it.
package struct ClusterSuccession: Hashable, Sendable {
    /// What all clusters of one origin share.
    package let origin: String
    /// How often it was recovered.
    package let recoveries: UInt32

    package init(_ id: String) {
        let parts = id.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let count = UInt32(parts[1]) else {
            (origin, recoveries) = (id, 0)
            return
        }
        (origin, recoveries) = (String(parts[0]), count)
    }

    /// The id of the cluster that comes out of `id` by a recovery.
    /// - Parameter salt: random: two recoveries of one cluster make two clusters.
    package static func successor(of id: String, salt: UInt64) -> String {
        let before = ClusterSuccession(id)
        return "\(before.origin).\(before.recoveries + 1).\(Hexadecimal.text(of: salt))"
    }

    /// Whether `id` came out of `other` by one recovery or more.
    package static func isSuccessor(_ id: String, of other: String) -> Bool {
        let (own, before) = (ClusterSuccession(id), ClusterSuccession(other))
        return own.origin == before.origin && own.recoveries > before.recoveries
    }
}
