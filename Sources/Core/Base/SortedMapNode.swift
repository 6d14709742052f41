/// A node of `SortedMap`'s tree. It is changed only by a map that holds the sole reference to it
/// and to every node above it; a shared node is copied first.
///
/// The properties' exclusivity is not checked at run time, which was a third of a lookup: a node
/// that can be changed has one owner, whose own access is exclusive.
@usableFromInline
final class SortedMapNode<Key: Comparable, Value> {
    /// A leaf's keys in order; an inner node's separators, one fewer than its children.
    @usableFromInline @exclusivity(unchecked)
    var keys: ContiguousArray<Key>
    /// A leaf's values, parallel to its keys; empty in an inner node.
    @usableFromInline @exclusivity(unchecked)
    var values: ContiguousArray<Value>
    /// Empty in a leaf.
    @usableFromInline @exclusivity(unchecked)
    var children: ContiguousArray<SortedMapNode>

    @usableFromInline
    init(
        keys: ContiguousArray<Key>, values: ContiguousArray<Value>,
        children: ContiguousArray<SortedMapNode>
    ) {
        self.keys = keys
        self.values = values
        self.children = children
    }

    /// An empty leaf.
    @inlinable
    convenience init() { self.init(keys: [], values: [], children: []) }

    @inlinable
    convenience init(
        children: ContiguousArray<SortedMapNode>, separators: ContiguousArray<Key>
    ) {
        self.init(keys: separators, values: [], children: children)
    }

    /// The children are now shared by two parents; whoever changes one copies it first.
    @inlinable
    func copy() -> SortedMapNode {
        SortedMapNode(keys: keys, values: values, children: children)
    }

    @inlinable
    var isLeaf: Bool { children.isEmpty }

    /// Entries of a leaf or children of an inner node: what the capacity limits.
    @inlinable
    var size: Int { isLeaf ? keys.count : children.count }

    /// The first position whose key is not below `key`.
    @inlinable
    func lowerBound(of key: Key) -> Int {
        // One access to the property instead of one a comparison, each of which would be checked
        // for exclusivity and bounds.
        keys.withUnsafeBufferPointer { keys in
            var low = 0
            var high = keys.count
            while low < high {
                let middle = (low &+ high) / 2
                if keys[middle] < key { low = middle &+ 1 } else { high = middle }
            }
            return low
        }
    }

    /// The child below which `key` lies: the number of separators at most `key`.
    @inlinable
    func childIndex(of key: Key) -> Int {
        keys.withUnsafeBufferPointer { keys in
            var low = 0
            var high = keys.count
            while low < high {
                let middle = (low &+ high) / 2
                if key < keys[middle] { high = middle } else { low = middle &+ 1 }
            }
            return low
        }
    }

    @inlinable
    func holds(_ key: Key, at position: Int) -> Bool {
        position < keys.count && keys[position] == key
    }
}

// Changes. The receiver is not shared.
extension SortedMapNode {
    @inlinable
    func makeChildUnique(_ index: Int) {
        if !isKnownUniquelyReferenced(&children[index]) {
            children[index] = children[index].copy()
        }
    }

    /// May leave this node one above its capacity; the caller splits it then.
    @inlinable
    func insert(_ key: Key, _ value: Value, capacity: Int) -> Value? {
        if isLeaf {
            let position = lowerBound(of: key)
            if holds(key, at: position) {
                let old = values[position]
                values[position] = value
                return old
            }
            keys.insert(key, at: position)
            values.insert(value, at: position)
            return nil
        }
        let index = childIndex(of: key)
        makeChildUnique(index)
        let old = children[index].insert(key, value, capacity: capacity)
        if children[index].size > capacity {
            let (separator, right) = children[index].split()
            keys.insert(separator, at: index)
            children.insert(right, at: index + 1)
        }
        return old
    }

    /// Moves the upper half into a new node and returns it with the separator before it.
    @inlinable
    func split() -> (separator: Key, right: SortedMapNode) {
        let middle = size / 2
        if isLeaf {
            let right = SortedMapNode(
                keys: ContiguousArray(keys[middle...]),
                values: ContiguousArray(values[middle...]), children: [])
            keys.removeSubrange(middle...)
            values.removeSubrange(middle...)
            return (right.keys[0], right)
        }
        let separator = keys[middle - 1]
        let right = SortedMapNode(
            children: ContiguousArray(children[middle...]),
            separators: ContiguousArray(keys[middle...]))
        children.removeSubrange(middle...)
        keys.removeSubrange((middle - 1)...)
        return (separator, right)
    }

    /// The key must exist.
    @inlinable
    func update<Result>(_ key: Key, _ change: (inout Value) -> Result) -> Result {
        if isLeaf { return change(&values[lowerBound(of: key)]) }
        let index = childIndex(of: key)
        makeChildUnique(index)
        return children[index].update(key, change)
    }

    /// The key must exist. May leave this node nearly empty; the caller mends it then.
    @inlinable
    func remove(_ key: Key, capacity: Int) -> Value {
        if isLeaf {
            let position = lowerBound(of: key)
            keys.remove(at: position)
            return values.remove(at: position)
        }
        let index = childIndex(of: key)
        makeChildUnique(index)
        let old = children[index].remove(key, capacity: capacity)
        if children[index].size < capacity / 4 || children[index].size < 2 {
            mendChild(index, capacity: capacity)
        }
        return old
    }

    /// Joins a nearly empty child with a neighbour, or shares out evenly what the two hold.
    @inlinable
    func mendChild(_ index: Int, capacity: Int) {
        guard children.count > 1 else { return }
        let left = index > 0 ? index - 1 : 0
        makeChildUnique(left)
        let node = children[left]
        node.absorb(children[left + 1], separator: keys[left])
        keys.remove(at: left)
        children.remove(at: left + 1)
        if node.size > capacity {
            let (separator, right) = node.split()
            keys.insert(separator, at: left)
            children.insert(right, at: left + 1)
        }
    }

    /// Appends the right neighbour's contents.
    @inlinable
    func absorb(_ right: SortedMapNode, separator: Key) {
        if isLeaf {
            keys.append(contentsOf: right.keys)
            values.append(contentsOf: right.values)
        } else {
            keys.append(separator)
            keys.append(contentsOf: right.keys)
            children.append(contentsOf: right.children)
        }
    }

    /// Checks the subtree: its keys lie in `low ..< high`, all leaves are equally deep, no node is
    /// too full or too empty. Returns its entries and depth.
    func checkInvariants(
        low: Key?, high: Key?, capacity: Int, isRoot: Bool
    ) -> (entries: Int, depth: Int) {
        invariant(size <= capacity, "no node exceeds its capacity")
        invariant(isRoot || size >= min(2, capacity / 4), "no node but the root is nearly empty")
        for index in keys.indices.dropFirst() {
            invariant(keys[index - 1] < keys[index], "keys grow strictly")
        }
        if let low, let first = keys.first { invariant(!(first < low), "keys respect the left") }
        if let high, let last = keys.last { invariant(last < high, "keys respect the right") }
        if isLeaf {
            invariant(values.count == keys.count, "each key of a leaf has its value")
            return (keys.count, 1)
        }
        invariant(values.isEmpty, "inner nodes hold no values")
        invariant(keys.count == children.count - 1, "a separator stands between two children")
        var entries = 0
        var depth = 0
        for (index, child) in children.enumerated() {
            let below = child.checkInvariants(
                low: index == 0 ? low : keys[index - 1],
                high: index == keys.count ? high : keys[index], capacity: capacity, isRoot: false)
            invariant(index == 0 || below.depth == depth, "all leaves are equally deep")
            entries += below.entries
            depth = below.depth
        }
        return (entries, depth + 1)
    }
}

// A node reachable from two maps is never written to, so what crosses threads is immutable.
extension SortedMapNode: @unchecked Sendable where Key: Sendable, Value: Sendable {}
