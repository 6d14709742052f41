/// Bytes as a key: ordered like `memcmp`, a prefix before what it is a prefix of.
package struct ByteKey: Hashable, Comparable, Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Eight bytes at a time: the standard library's lexicographic comparison goes one by one.
    package static func < (a: ByteKey, b: ByteKey) -> Bool {
        a.bytes.withUnsafeBytes { left in
            b.bytes.withUnsafeBytes { right in
                let common = min(left.count, right.count)
                var position = 0
                while position + 8 <= common {
                    let x = left.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    let y = right.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    if x != y { return UInt64(bigEndian: x) < UInt64(bigEndian: y) }
                    position += 8
                }
                while position < common {
                    if left[position] != right[position] { return left[position] < right[position] }
                    position += 1
                }
                return left.count < right.count
            }
        }
    }

    package static func == (a: ByteKey, b: ByteKey) -> Bool {
        a.bytes.withUnsafeBytes { left in
            b.bytes.withUnsafeBytes { right in
                guard left.count == right.count else { return false }
                if left.baseAddress == right.baseAddress { return true }
                var position = 0
                while position + 8 <= left.count {
                    let x = left.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    let y = right.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                    if x != y { return false }
                    position += 8
                }
                while position < left.count {
                    if left[position] != right[position] { return false }
                    position += 1
                }
                return true
            }
        }
    }

    package func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(0xff as UInt8)
    }
}
