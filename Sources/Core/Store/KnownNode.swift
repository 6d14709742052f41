/// A node that was alive when the leader last looked: what a server that has just started knows of
/// those that it has not seen yet.
package struct KnownNode: Hashable, Sendable {
    package var name: NodeName
    package var id: DataID
    /// As the node gossips them, sorted by name.
    package var tags: [Setting]
    /// Executions with this number or a smaller one were decided when the node of this name had
    /// another data directory, whose journal is the only one that knows about them.
    package internal(set) var lastFormerNumber: Int64 = 0
    /// Since when it is not alive. It is remembered for a while: should another one take its name,
    /// what it was told must not be told again.
    var goneAt: WallTime?

    /// For how long a node that is gone is remembered. No lease is nearly as long.
    static let memory = Duration.hours(24 * 8)

    package init(name: NodeName, id: DataID, tags: [Setting]) {
        self.name = name
        self.id = id
        self.tags = tags
    }

    /// Whether the node shows itself in the same way.
    func looksLike(_ other: KnownNode) -> Bool {
        name == other.name && id == other.id && tags == other.tags
    }

    package func tag(_ name: String) -> String? { tags.first { $0.name == name }?.value }
}

extension KnownNode: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        let isFirst = lastFormerNumber == 0 && goneAt == nil
        writer.u8(isFirst ? 1 : 2)
        writer.string(name.text)
        writer.serverID(id)
        writer.settings(tags)
        guard !isFirst else { return }
        writer.i64(lastFormerNumber)
        writer.optionalTime(goneAt)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        let version = try reader.u8()
        guard version == 1 || version == 2 else {
            throw .malformed(offset: start, what: "version \(version) of a node")
        }
        name = NodeName(try reader.string())
        id = try reader.serverID()
        tags = try reader.settings()
        guard version > 1 else { return }
        lastFormerNumber = try reader.i64()
        goneAt = try reader.optionalTime()
    }
}

extension Store {
    /// The nodes that were last known alive, by name. O(nodes).
    package var knownNodes: [KnownNode] { rememberedNodes.filter { $0.goneAt == nil } }

    /// Those and the ones that are gone and not forgotten. O(nodes).
    var rememberedNodes: [KnownNode] {
        var nodes: [KnownNode] = []
        var next = records.first(atOrAfter: ByteKey([Key.Table.node.rawValue]))
        while let entry = next, entry.key.bytes.first == Key.Table.node.rawValue {
            nodes.append(KnownNode(stored: entry.value))
            next = records.next(after: entry.key)
        }
        return nodes
    }

    package func knownNode(_ name: NodeName) -> KnownNode? {
        rememberedNode(name).flatMap { $0.goneAt == nil ? $0 : nil }
    }

    package func rememberedNode(_ name: NodeName) -> KnownNode? {
        records[Key.node(name)].map { KnownNode(stored: $0) }
    }

    /// Whether an execution was decided for a data directory that its node does not have any more.
    /// Nobody but that directory's journal could say whether it was begun.
    func isOfFormerJournal(_ key: ExecutionKey, on node: NodeName) -> Bool {
        rememberedNode(node).map { key.number <= $0.lastFormerNumber } ?? false
    }
}
