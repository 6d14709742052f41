// Everything about a sorted map that follows its order: ends, neighbours, ranges, walks.

extension SortedMap {
    package typealias Entry = (key: Key, value: Value)

    /// The entry with the smallest key. O(log n).
    @inlinable
    package var first: Entry? {
        // Nodes ask their empty maps in each step.
        guard !isEmpty else { return nil }
        var node = root
        while !node.isLeaf { node = node.children[0] }
        return node.keys.isEmpty ? nil : (node.keys[0], node.values[0])
    }

    /// The entry with the greatest key. O(log n).
    @inlinable
    package var last: Entry? {
        var node = root
        while !node.isLeaf { node = node.children[node.children.count - 1] }
        let end = node.keys.count - 1
        return end < 0 ? nil : (node.keys[end], node.values[end])
    }

    /// The first entry whose key is at least `key`. O(log n).
    @inlinable
    package func first(atOrAfter key: Key) -> Entry? {
        var iterator = makeIterator(from: key)
        return iterator.next()
    }

    /// The first entry whose key is above `key`. O(log n).
    @inlinable
    package func next(after key: Key) -> Entry? {
        var iterator = makeIterator(from: key)
        guard let entry = iterator.next() else { return nil }
        return entry.key == key ? iterator.next() : entry
    }

    /// The last entry whose key is below `key`. O(log n).
    @inlinable
    package func last(before key: Key) -> Entry? {
        lastEntry(in: root, before: key)
    }

    /// The last entry whose key is at most `key`. O(log n).
    @inlinable
    package func last(atOrBefore key: Key) -> Entry? {
        if let value = self[key] { return (key, value) }
        return last(before: key)
    }

    @inlinable
    func lastEntry(in node: SortedMapNode<Key, Value>, before key: Key) -> Entry? {
        if node.isLeaf {
            let position = node.lowerBound(of: key) - 1
            return position < 0 ? nil : (node.keys[position], node.values[position])
        }
        // At most one step to the left is ever needed: the nearest child on the path may have
        // nothing smaller, its left neighbour has nothing else.
        var index = node.childIndex(of: key)
        while index >= 0 {
            if let entry = lastEntry(in: node.children[index], before: key) { return entry }
            index -= 1
        }
        return nil
    }

    /// Visits the entries with keys in `from ..< to` (nil: from the start, to the end), in order,
    /// until `body` returns false. O(log n) plus what is visited.
    @inlinable
    package func forEach(
        from lower: Key? = nil, to upper: Key? = nil, _ body: (Key, Value) -> Bool
    ) {
        var iterator = makeIterator(from: lower)
        while let (key, value) = iterator.next() {
            if let upper, !(key < upper) { return }
            if !body(key, value) { return }
        }
    }

    /// Visits at most `limit` entries from the first key at or after `start` (nil: the beginning)
    /// and returns the key to go on from, or nil when the end was reached. A walk over a map that
    /// changes between slices sees each entry that was there throughout exactly once.
    @inlinable
    package func walk(from start: Key?, limit: Int, body: (Key, Value) -> Void) -> Key? {
        var iterator = makeIterator(from: start)
        var visited = 0
        while let (key, value) = iterator.next() {
            if visited == limit { return key }
            body(key, value)
            visited += 1
        }
        return nil
    }

    /// Stops the node if the tree is not what it must be. O(n).
    package func checkInvariants() {
        let found = root.checkInvariants(low: nil, high: nil, capacity: capacity, isRoot: true)
        invariant(found.entries == entryCount, "a sorted map counts its entries")
    }
}

extension SortedMap: Sequence {
    /// Entries in order of their keys, of the map as it was when the iterator was made.
    package struct Iterator: IteratorProtocol {
        /// The inner nodes above `leaf`, each with the child to visit next.
        @usableFromInline
        var path: [(node: SortedMapNode<Key, Value>, next: Int)] = []
        @usableFromInline
        var leaf: SortedMapNode<Key, Value>
        @usableFromInline
        var position = 0

        @inlinable
        init(root: SortedMapNode<Key, Value>, from start: Key?) {
            leaf = root
            while !leaf.isLeaf {
                let index = start.map { leaf.childIndex(of: $0) } ?? 0
                path.append((leaf, index + 1))
                leaf = leaf.children[index]
            }
            if let start { position = leaf.lowerBound(of: start) }
        }

        @inlinable
        package mutating func next() -> Entry? {
            if position == leaf.keys.count, !advance() { return nil }
            defer { position += 1 }
            return (leaf.keys[position], leaf.values[position])
        }

        /// Goes to the first entry of the next leaf; false at the end of the map.
        @inlinable
        mutating func advance() -> Bool {
            while let (node, index) = path.popLast() {
                guard index < node.children.count else { continue }
                path.append((node, index + 1))
                leaf = node.children[index]
                while !leaf.isLeaf {
                    path.append((leaf, 1))
                    leaf = leaf.children[0]
                }
                position = 0
                return true
            }
            return false
        }
    }

    @inlinable
    package func makeIterator() -> Iterator { Iterator(root: root, from: nil) }
    @inlinable
    package var underestimatedCount: Int { count }

    /// Starts at the first key at or after `start` (nil: the beginning). O(log n).
    @inlinable
    package func makeIterator(from start: Key?) -> Iterator { Iterator(root: root, from: start) }
}
