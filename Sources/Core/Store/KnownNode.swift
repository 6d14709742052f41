/// A node that was alive when the leader last looked: what a server that has just started knows of
/// those that it has not seen yet.
package struct KnownNode: Hashable, Sendable {
    package var name: NodeName
    package var id: DataID
    /// As the node gossips them, sorted by name.
    package var tags: [Setting]

    package init(name: NodeName, id: DataID, tags: [Setting]) {
        self.name = name
        self.id = id
        self.tags = tags
    }

    package func tag(_ name: String) -> String? { tags.first { $0.name == name }?.value }
}

extension KnownNode: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.string(name.text)
        writer.serverID(id)
        writer.settings(tags)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a node")
        name = NodeName(try reader.string())
        id = try reader.serverID()
        tags = try reader.settings()
    }
}

extension Store {
    /// The nodes that were last known alive, by name. O(nodes).
    package var knownNodes: [KnownNode] {
        var nodes: [KnownNode] = []
        var next = records.first(atOrAfter: ByteKey([Key.Table.node.rawValue]))
        while let entry = next, entry.key.bytes.first == Key.Table.node.rawValue {
            nodes.append(KnownNode(stored: entry.value))
            next = records.next(after: entry.key)
        }
        return nodes
    }

    package func knownNode(_ name: NodeName) -> KnownNode? {
        records[Key.node(name)].map { KnownNode(stored: $0) }
    }
}
