/// What a node is told at its start. Nothing in it changes during a life.
package struct Config: Sendable {
    package var nodeName: NodeName
    /// Product version as printed by `dkron version` and in the node's tags.
    package var version: String
    /// What the program understands; see `FeatureLevel`. Less than the newest only in tests, which
    /// run an older program so.
    package var featureLevel = FeatureLevel.newest
    package var isServer = true
    package var region = "global"
    package var datacenter = "dc1"
    /// The node's own tags at the start, without the reserved ones; `Control.reload` brings others.
    package var tags: [TagEntry] = []
    /// IP text and port of the gossip listener, as other nodes see it.
    package var gossipAddress = "127.0.0.1"
    package var gossipPort: UInt16 = 8946
    /// IP text and port for messages between nodes.
    package var rpcAddress = "127.0.0.1"
    package var rpcPort: UInt16 = 6868
    /// How many servers the cluster begins with, as the node's tag `expect` tells; 0 if not given.
    package var bootstrapExpect = 0
    /// How the nodes find each other; nil: this one is alone for ever.
    package var gossip: GossipSettings?
    /// For so long a server that does not answer keeps its seat; nil: for ever.
    package var deadServerTimeout: Duration? = .hours(72)
    /// The identities of the servers that the cluster begins with; nil for this one alone. Looked
    /// at only while the log is empty.
    package var firstServers: [DataID]?
    /// The other nodes of the cluster, where they are known beforehand.
    package var otherMembers: [Member] = []
    /// Seeds the replicated default zone at bootstrap (an IANA name).
    package var defaultZone = "UTC"
    /// Somebody has asked for that zone; else it is the host's.
    package var isZoneGiven = false
    /// Identifies this server for ever: made with the data directory, kept in it.
    package var dataID: DataID
    /// Changes at every start of this node.
    package var incarnation: UInt64
    package var startPaused = false
    /// How long a stop waits for local runs.
    package var shutdownTimeout: Duration = .seconds(60)
    /// How many jobs `GET /metrics` tells about singly.
    package var metricsMaxJobs = 1_000
    /// The most bytes of stored outputs; nil takes a tenth of the disk, at most 10 GiB.
    package var historyMaxBytes: UInt64?
    /// By which executors this node runs jobs.
    package var executors = ExecutorOffers()
    /// Processors that plugins of this node bring.
    package var pluginProcessors: [String] = []
    /// How people are told of executions; `Control.reload` brings others.
    package var notifications = NotificationSettings()
    package var tunables = Tunables()

    package init(nodeName: NodeName, dataID: DataID, incarnation: UInt64, version: String) {
        self.nodeName = nodeName
        self.dataID = dataID
        self.incarnation = incarnation
        self.version = version
    }
}

/// How a node finds the others of its cluster.
package struct GossipSettings: Hashable, Sendable {
    package var profile = MembershipProfile.lan
    /// A failed member is forgotten after this time.
    package var reconnectTimeout: Duration = .hours(24)
    /// Bytes that sealing adds to each packet; 0 without a key.
    package var sealBytes = 0
    /// Asked until one of them answers.
    package var join: [JoinAddress] = []
    /// The same, for as many attempts as `retryLimit` says.
    package var retryJoin: [JoinAddress] = []
    package var retryInterval: Duration = .seconds(30)
    /// After so many attempts the node ends; nil, or with addresses in `join`: never.
    package var retryLimit: Int?

    package init() {}
}

/// A host that is asked to take a node in: IP text or a name, all addresses of which are asked.
package struct JoinAddress: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

package struct TagEntry: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
