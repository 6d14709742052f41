/// One of the names and values that a member carries.
package struct MemberTag: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Serf's tags as memberlist carries them: a byte 255, then a map of texts.
package enum MemberTags {
    /// The most bytes that the tags of a member may take, as in memberlist.
    package static let mostBytes = 512
    private static let magic: UInt8 = 255

    /// In order of the names' UTF-8 bytes, each name once: equal tags have equal bytes.
    package static func encode(_ tags: [MemberTag]) -> [UInt8] {
        let tags = sorted(tags)
        var writer = MessagePackWriter([magic])
        writer.map(tags.count)
        for tag in tags {
            writer.text(tag.name)
            writer.text(tag.value)
        }
        return writer.output
    }

    /// In order of the names. Without the first byte there are no tags: a plain member of
    /// memberlist, or one of the first Serf, which knew only a role.
    package static func decode(_ meta: [UInt8]) throws(ByteError) -> [MemberTag] {
        guard meta.first == magic else {
            guard !meta.isEmpty, let role = try? UTF8Span(validating: meta.span) else { return [] }
            return [MemberTag("role", String(copying: role))]
        }
        var reader = MessagePackReader(meta.dropFirst())
        var tags: [MemberTag] = []
        try reader.fields { name, value throws(ByteError) in
            tags.append(MemberTag(name, try value.text()))
        }
        return sorted(tags)
    }

    /// Of two tags of one name the later counts.
    private static func sorted(_ tags: [MemberTag]) -> [MemberTag] {
        var byName = SortedMap<NodeName, MemberTag>()
        for tag in tags { byName[NodeName(tag.name)] = tag }
        return byName.map { $0.value }
    }
}
