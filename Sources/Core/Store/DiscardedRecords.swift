/// Records that nobody needs any more. They are let go slice by slice: to free millions of them at
/// once would take a second.
package struct DiscardedRecords: Sendable {
    private var maps: [SortedMap<ByteKey, [UInt8]>] = []

    package init() {}

    package var isEmpty: Bool { maps.isEmpty }

    /// Takes over what a store held. The caller's copy must be gone soon.
    package mutating func add(_ store: consuming Store) {
        if !store.records.isEmpty { maps.append(store.records) }
    }

    /// Lets go of at most `limit` records. O(limit · log n).
    package mutating func letGo(limit: Int) {
        guard let last = maps.indices.last else { return }
        for _ in 0..<limit {
            guard let first = maps[last].first else { break }
            maps[last].remove(first.key)
        }
        if maps[last].isEmpty { maps.removeLast() }
    }
}
