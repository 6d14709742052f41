// A sorted dictionary whose copies are free: the replicated state lives in these, and a snapshot
// walks one pinned copy for seconds while the original goes on changing.
//
// A B+ tree of reference-counted nodes. Copying the map copies one reference. A write copies the
// nodes on its path that somebody else still holds, and only those, so a pinned copy never stalls
// anybody however many entries it has. Entries live in the leaves; an inner node holds its children
// and, between each two of them, a separator: everything left of it is smaller, everything right of
// it is not. A separator need not be a key that still exists.

/// A map sorted by key with copy-on-write snapshots. Lookup and change are O(log n), a copy O(1).
package struct SortedMap<Key: Comparable, Value> {
    @usableFromInline
    var root: SortedMapNode<Key, Value>
    @usableFromInline
    var entryCount = 0
    /// The most entries of a leaf and the most children of an inner node.
    @usableFromInline
    let capacity: Int

    /// An empty map. Small node capacities exist for tests; the default suits all else.
    @inlinable
    package init(nodeCapacity: Int = 64) {
        invariant(nodeCapacity >= 4, "a node of the tree must be able to split into two")
        capacity = nodeCapacity
        root = SortedMapNode()
    }

    @inlinable
    package var count: Int { entryCount }
    @inlinable
    package var isEmpty: Bool { entryCount == 0 }

    /// Setting nil removes the entry.
    @inlinable
    package subscript(key: Key) -> Value? {
        get {
            var node = root
            while !node.isLeaf { node = node.children[node.childIndex(of: key)] }
            let position = node.lowerBound(of: key)
            return node.holds(key, at: position) ? node.values[position] : nil
        }
        set {
            if let newValue { updateValue(newValue, forKey: key) } else { remove(key) }
        }
    }

    @inlinable
    package func contains(_ key: Key) -> Bool {
        // Not by the subscript, which would copy the value out.
        var node = root
        while !node.isLeaf { node = node.children[node.childIndex(of: key)] }
        return node.holds(key, at: node.lowerBound(of: key))
    }

    /// Stores `value` and returns what it replaced.
    @inlinable
    @discardableResult
    package mutating func updateValue(_ value: Value, forKey key: Key) -> Value? {
        makeRootUnique()
        let old = root.insert(key, value, capacity: capacity)
        if old == nil { entryCount += 1 }
        if root.size > capacity {
            let left = root
            let (separator, right) = left.split()
            root = SortedMapNode(children: [left, right], separators: [separator])
        }
        return old
    }

    /// Changes a value in place, without copying it out and back. Returns nil, and does nothing, if
    /// there is no such key.
    @inlinable
    @discardableResult
    package mutating func update<Result>(
        _ key: Key, _ change: (inout Value) -> Result
    ) -> Result? {
        guard contains(key) else { return nil }
        makeRootUnique()
        return root.update(key, change)
    }

    /// Removes the entry and returns its value.
    @inlinable
    @discardableResult
    package mutating func remove(_ key: Key) -> Value? {
        // A miss must not copy the path of a pinned tree.
        guard contains(key) else { return nil }
        makeRootUnique()
        let old = root.remove(key, capacity: capacity)
        entryCount -= 1
        if !root.isLeaf, root.children.count == 1 { root = root.children[0] }
        return old
    }

    @inlinable
    package mutating func removeAll() {
        root = SortedMapNode()
        entryCount = 0
    }

    @inlinable
    mutating func makeRootUnique() {
        if !isKnownUniquelyReferenced(&root) { root = root.copy() }
    }
}

// The nodes are shared only while nobody changes them: see `makeRootUnique`.
extension SortedMap: Sendable where Key: Sendable, Value: Sendable {}
