// The nodes of the cluster as membership sees them: the candidates for targets, and what the API
// lists.

/// One node of the cluster.
package struct Member: Hashable, Sendable {
    /// The numbers are those of the API.
    package enum Status: UInt8, Sendable {
        case none, alive, leaving, left, failed

        package var text: String {
            switch self {
            case .none: "none"
            case .alive: "alive"
            case .leaving: "leaving"
            case .left: "left"
            case .failed: "failed"
            }
        }
    }

    package var name: NodeName
    /// The identity of its data directory; nil if it has none of ours.
    package var id: DataID?
    /// The cluster that it says it belongs to; nil while it belongs to none.
    package var clusterID: String?
    /// IP text and port of the gossip listener.
    package var address: String
    package var port: UInt16
    /// All tags, the reserved ones included, sorted by name.
    package var tags: [Setting]
    package var status: Status
    /// What its program understands; see `FeatureLevel`.
    package var featureLevel = FeatureLevel.first

    package init(
        name: NodeName, id: DataID? = nil, clusterID: String? = nil, address: String, port: UInt16,
        tags: [Setting],
        status: Status = .alive
    ) {
        self.name = name
        self.id = id
        self.clusterID = clusterID
        self.address = address
        self.port = port
        self.tags = tags.sorted { Self.precedes($0.name, $1.name) }
        self.status = status
    }

    /// What the tag `role` is unless a node has another.
    package static let standardRole = "dkron"

    package var isServer: Bool { tag("server") != nil }
    /// Nil if it does not say: then it is taken for one of the same region.
    package var region: String? { tag("region") }
    /// It answers; it may be about to leave.
    package var isThere: Bool { status == .alive || status == .leaving }

    package func tag(_ name: String) -> String? { tags.first { $0.name == name }?.value }

    private static func precedes(_ a: String, _ b: String) -> Bool {
        a.utf8.lexicographicallyPrecedes(b.utf8)
    }
}
