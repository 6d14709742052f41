// Which nodes a job runs on, by the tags of both.

/// What one tag of a job asks for: a value, and perhaps how many nodes at most.
package struct TagSelector: Hashable, Sendable {
    package var name: String
    package var value: String
    package var limit: Int?

    /// Reads a tag as written in a job. A value is split at its last colon, and only if what
    /// follows is all digits, perhaps with a sign: `web:2` is two nodes at most, `http://h` and
    /// `web:x` are plain values.
    ///
    /// Throws when the name is empty, or when a count is not a positive 31-bit integer (`web:0`).
    package init(name: String, value: String) throws(TagError) {
        guard !name.isEmpty else { throw TagError(tag: name, "the name of a tag is empty") }
        self.name = name
        self.value = value
        let bytes = Array(value.utf8)
        guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return }
        var digits = bytes[(colon + 1)...]
        let sign = digits.first
        if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { digits = digits.dropFirst() }
        guard !digits.isEmpty, digits.allSatisfy({ $0 &- 0x30 < 10 }) else { return }
        let count = Int32(String(decoding: digits, as: UTF8.self)) ?? 0
        guard sign != UInt8(ascii: "-"), count > 0 else {
            let written = String(decoding: bytes[(colon + 1)...], as: UTF8.self)
            throw TagError(
                tag: name,
                "the count \"\(written)\" after the colon is not in 1 to \(Int32.max)")
        }
        self.value = String(decoding: bytes[..<colon], as: UTF8.self)
        limit = Int(count)
    }

    /// Whether a node with these tags is wanted.
    func matches(_ member: Member) -> Bool {
        guard let carried = member.tag(name) ?? member.tag(Self.newName(of: name)) else {
            return false
        }
        return carried.utf8.elementsEqual(value.utf8)
    }

    /// What a reserved tag of Dkron 1 is called today.
    private static func newName(of tag: String) -> String {
        switch tag {
        case "dkron_server": "server"
        case "dkron_version": "version"
        case "dkron_rpc_addr": "rpc_addr"
        default: tag
        }
    }
}

/// Why a job's tag can't select nodes.
package struct TagError: Error, Hashable, Sendable, CustomStringConvertible {
    package let tag: String
    /// A sentence without the tag's name and without the full stop.
    package let message: String

    init(tag: String, _ message: String) {
        self.tag = tag
        self.message = message
    }

    package var description: String { "tag \"\(tag)\": \(message)" }
}

package enum TargetSelection {
    /// The members that take new executions: alive, of the scheduler's region, not drained.
    package static func candidates(
        _ members: [Member], region: String, _ drained: [NodeName]
    ) -> [Member] {
        members.filter {
            $0.status == .alive && $0.region ?? region == region && !drained.contains($0.name)
        }
    }

    /// Members that a job with these tags may run on, and how many of them at most (nil: all).
    /// A candidate is alive and carries every tag. O(members · tags).
    ///
    /// A tag that can't be read matches nothing; it is refused when a job is saved, and only a
    /// disabled import can hold one.
    package static func matching(
        _ tags: [Setting], _ members: [Member]
    ) -> (candidates: [Member], limit: Int?) {
        var selectors: [TagSelector] = []
        selectors.reserveCapacity(tags.count)
        for tag in tags {
            guard let selector = try? TagSelector(name: tag.name, value: tag.value) else {
                return ([], nil)
            }
            selectors.append(selector)
        }
        let candidates = members.filter { member in
            member.status == .alive && selectors.allSatisfy { $0.matches(member) }
        }
        return (candidates, selectors.compactMap(\.limit).min())
    }

    /// The nodes of one run, in order of their names: all candidates, or as many as the smallest
    /// count allows, every choice equally likely.
    package static func choose(
        _ tags: [Setting], _ members: [Member], using generator: inout PRNG
    ) -> [NodeName] {
        var (candidates, limit) = matching(tags, members)
        if let limit, limit < candidates.count {
            // The first steps of Fisher and Yates, over an order that does not depend on the
            // caller's.
            candidates.sort { $0.name < $1.name }
            for index in 0..<limit {
                candidates.swapAt(index, generator.int(in: index..<candidates.count))
            }
            candidates.removeLast(candidates.count - limit)
        }
        return candidates.map(\.name).sorted()
    }

    /// Where an attempt goes whose node is gone: to any member with the tags, if there is one to
    /// one that has no part in the run yet, every choice equally likely; nil if none has them.
    package static func replacement(
        _ tags: [Setting], _ members: [Member], besides taken: [NodeName],
        using generator: inout PRNG
    ) -> NodeName? {
        let names = matching(tags, members).candidates.map(\.name).sorted()
        let free = names.filter { !taken.contains($0) }
        let choices = free.isEmpty ? names : free
        return choices.isEmpty ? nil : choices[generator.int(in: 0..<choices.count)]
    }
}
