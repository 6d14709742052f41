/// What a node is told at its start. Nothing in it changes during a life.
package struct Config: Sendable {
    package var nodeName: NodeName
    /// Product version as printed by `dkron version` and in the node's tags.
    package var version: String
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
    /// The identities of the servers that the cluster begins with; nil for this one alone. Looked
    /// at only while the log is empty.
    package var firstServers: [DataID]?
    /// The other nodes of the cluster, where they are known beforehand.
    package var otherMembers: [Member] = []
    /// Seeds the replicated default zone at bootstrap (an IANA name).
    package var defaultZone = "UTC"
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
    package var tunables = Tunables()

    package init(nodeName: NodeName, dataID: DataID, incarnation: UInt64, version: String) {
        self.nodeName = nodeName
        self.dataID = dataID
        self.incarnation = incarnation
        self.version = version
    }
}

package struct TagEntry: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
