// JSON merge patch (RFC 7396).

package enum JSONMergePatch {
    /// The compact text of `target` after `patch`: members of an object patch replace those of the
    /// same name, recursively where both are objects; null removes; any other patch replaces the
    /// whole target. Members keep the target's order, new ones follow in the patch's. Names match
    /// exactly; of duplicates the last counts.
    ///
    /// Errors: either text is malformed. Complexity: O(n) expected.
    package static func apply(
        _ patch: [UInt8], to target: [UInt8], limits: JSONLimits = .standard
    ) throws(JSONError) -> [UInt8] {
        let patch = try JSONDocument(patch, limits: limits)
        return apply(patch, to: try JSONDocument(target, limits: limits))
    }

    /// As above, for texts that have been read already.
    package static func apply(_ patch: JSONDocument, to target: JSONDocument) -> [UInt8] {
        var merge = Merge(patch: patch, target: target)
        merge.write(target.root, patch.root)
        return merge.writer.take()
    }

    private struct Merge {
        let patch: JSONDocument
        let target: JSONDocument
        var writer = JSONWriter(.compact, escaping: .minimal)

        init(patch: JSONDocument, target: JSONDocument) {
            self.patch = patch
            self.target = target
        }

        /// Writes a value of the target as the patch wants it. Without a value of the target, an
        /// object patch is merged into an empty object, which drops its nulls.
        mutating func write(_ targetValue: JSONValue?, _ patchValue: JSONValue) {
            guard patch.kind(of: patchValue) == .object else {
                return patch.write(patchValue, to: &writer)
            }
            let changes = LastMembers(of: patchValue, in: patch)
            writer.beginObject()
            var merged: Set<[UInt8]> = []
            if let targetValue, target.kind(of: targetValue) == .object {
                let members = LastMembers(of: targetValue, in: target)
                for (name, value) in members.inOrder {
                    guard let change = changes.byName[name] else {
                        writer.key(name)
                        target.write(value, to: &writer)
                        continue
                    }
                    merged.insert(name)
                    if patch.isNull(change) { continue }
                    writer.key(name)
                    write(value, change)
                }
            }
            for (name, value) in changes.inOrder
            where !patch.isNull(value) && !merged.contains(name) {
                writer.key(name)
                write(nil, value)
            }
            writer.endObject()
        }
    }

    /// The members of an object without those that a later one of the same name replaces.
    private struct LastMembers {
        /// In the order in which the names first stood.
        var inOrder: [(name: [UInt8], value: JSONValue)] = []
        /// For looking up only: its order is that of hashes.
        var byName: [[UInt8]: JSONValue] = [:]

        init(of object: JSONValue, in document: JSONDocument) {
            var hasDuplicates = false
            for member in document.members(of: object) {
                let name = document.stringBytes(member.name) ?? []
                if byName.updateValue(member.value, forKey: name) == nil {
                    inOrder.append((name, member.value))
                } else {
                    hasDuplicates = true
                }
            }
            guard hasDuplicates else { return }
            inOrder = inOrder.map { ($0.name, byName[$0.name] ?? $0.value) }
        }
    }
}
