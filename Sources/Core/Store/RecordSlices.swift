// The records of a store in slices, for whatever writes them down.

/// The records of one moment, which changes of the store do not change, in order of their keys.
package struct RecordSlices: Sendable {
    private let records: SortedMap<ByteKey, [UInt8]>
    /// The last key taken.
    private var cursor: ByteKey?

    package init(of store: Store) { records = store.records }

    /// The next slice, of about `limit` bytes (more when a record alone has more), or nil at the
    /// end. O(limit + log n).
    package mutating func next(limit: Int) -> [UInt8]? {
        var writer = ByteWriter(capacity: limit + 4_096)
        var last: ByteKey?
        var iterator = records.makeIterator(from: cursor)
        while writer.count < limit, let entry = iterator.next() {
            if entry.key == cursor { continue }
            // A slice ends before an entry that would make it larger, unless it is empty.
            let size = entry.key.bytes.count + entry.value.count + 16
            if last != nil, writer.count + size > limit { break }
            writer.bytes(entry.key.bytes)
            writer.bytes(entry.value)
            last = entry.key
        }
        guard let last else { return nil }
        cursor = last
        return writer.output
    }
}

extension Store {
    /// Keys and values of one table, by the first byte of its keys. O(n).
    package func records(ofTable first: UInt8) -> [(key: ByteKey, value: [UInt8])] {
        var found: [(key: ByteKey, value: [UInt8])] = []
        var iterator = records.makeIterator(from: ByteKey([first]))
        while let entry = iterator.next(), entry.key.bytes.first == first { found.append(entry) }
        return found
    }

    /// Takes over the records of a slice; `finishRestoring` follows the last one.
    package mutating func restore(slice: [UInt8]) throws(ByteError) {
        var reader = ByteReader(slice)
        while !reader.isAtEnd {
            restore(key: try reader.bytes(), value: try reader.bytes())
        }
    }
}

extension Store {
    /// The same slice of a store of another cluster. One that belongs to none yet stays so.
    package static func slice(
        _ slice: [UInt8], ofCluster id: String
    ) throws(ByteError) -> [UInt8] {
        var reader = ByteReader(slice)
        var writer = ByteWriter(capacity: slice.count + 64)
        while !reader.isAtEnd {
            let key = try reader.bytes()
            var value = try reader.bytes()
            if ByteKey(key) == Key.cluster {
                var record = ByteReader(value)
                var cluster = try ClusterState(from: &record)
                if !cluster.clusterID.isEmpty {
                    cluster.clusterID = id
                    value = cluster.encoded
                }
            }
            writer.bytes(key)
            writer.bytes(value)
        }
        return writer.output
    }

    /// The sum of the hashes of a slice's records: those of all slices make `hash`.
    package static func hash(ofSlice slice: [UInt8]) throws(ByteError) -> RecordHash {
        var reader = ByteReader(slice)
        var sum = RecordHash.zero
        while !reader.isAtEnd {
            sum &+= hash(ByteKey(try reader.bytes()), try reader.bytes())
        }
        return sum
    }
}
