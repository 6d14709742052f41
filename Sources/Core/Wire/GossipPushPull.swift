/// Everything that a node knows, member by member. It may be megabytes, so it stays as it is on the
/// wire and is read a few members at a time.
package struct GossipPushPull: Hashable, Sendable {
    /// The sender of the request wants to join.
    package let isJoin: Bool
    private let nodeCount: Int
    private let userStateLength: Int
    /// The members, a map each, then Serf's part.
    private let body: [UInt8]

    package init(isJoin: Bool, nodes: some Collection<GossipNode>, userState: [UInt8]) {
        self.isJoin = isJoin
        nodeCount = nodes.count
        userStateLength = userState.count
        var writer = MessagePackWriter()
        for node in nodes {
            writer.fields { writer in
                node.record.write(&writer, name: "Name")
                writer.field("State", node.state.rawValue)
            }
        }
        body = writer.output + userState
    }

    /// Reads the header; what is wrong behind it shows when it is read.
    init(_ reader: inout MessagePackReader) throws(ByteError) {
        let header = try Header(&reader)
        isJoin = header.isJoin
        nodeCount = Int(header.nodes)
        userStateLength = Int(header.userStateLength)
        body = Array(reader.rest())
    }

    var encoded: [UInt8] {
        var writer = MessagePackWriter([GossipType.pushPull.rawValue])
        writer.fields { writer in
            writer.field("Nodes", UInt64(nodeCount))
            writer.field("UserStateLen", UInt64(userStateLength))
            writer.field("Join", isJoin)
        }
        return writer.output + body
    }

    package var reader: Reader {
        Reader(
            bytes: MessagePackReader(body[...]), nodesLeft: nodeCount,
            userStateLength: userStateLength)
    }

    /// A position among the members.
    package struct Reader: Sendable {
        fileprivate var bytes: MessagePackReader
        fileprivate var nodesLeft: Int
        fileprivate let userStateLength: Int

        /// The next member; nil behind the last.
        package mutating func next() throws(ByteError) -> GossipNode? {
            guard nodesLeft > 0 else { return nil }
            nodesLeft -= 1
            var record = GossipRecordReader()
            try bytes.fields { key, value throws(ByteError) in try record.read(key, &value) }
            return try record.node()
        }

        /// Serf's part, when all members were read.
        package mutating func userState() throws(ByteError) -> ArraySlice<UInt8> {
            invariant(nodesLeft == 0, "Serf's part stands behind the members")
            return try bytes.unpacked(userStateLength)
        }
    }

    /// What the header says about what follows.
    struct Header {
        var nodes: UInt32 = 0
        var userStateLength: UInt32 = 0
        var isJoin = false

        init(_ reader: inout MessagePackReader) throws(ByteError) {
            var header = (nodes: UInt32(0), length: UInt32(0), isJoin: false)
            try reader.fields { key, value throws(ByteError) in
                switch key {
                case "Nodes": header.nodes = try value.integer()
                case "UserStateLen": header.length = try value.integer()
                case "Join": header.isJoin = try value.bool()
                default: try value.skip()
                }
            }
            (nodes, userStateLength, isJoin) = header
        }
    }
}
