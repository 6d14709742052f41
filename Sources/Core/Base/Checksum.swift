// Two kinds of digest. CRC-32C finds damage to stored bytes; `RecordHash` compares replicated
// states. Neither resists a forger who knows the keys, and neither has to.

/// CRC-32C (Castagnoli polynomial, reflected 0x82F63B78; RFC 3720, appendix B.4), computed eight
/// bytes at a time with the slicing tables of Kounavis and Berry (2005), in three lanes side by
/// side: a single one waits for its own last step half of the time. The checksum is linear, so that
/// of a lane counts for the whole once it has been carried past the bytes of the lanes behind it.
/// Long inputs are first folded into short ones, without any table.
package enum Checksum {
    /// The checksum of `bytes`, or of everything fed before and `bytes` when `previous` is the
    /// result of an earlier call.
    package static func crc32c(_ bytes: [UInt8], continuing previous: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { crc32c($0, continuing: previous) }
    }

    package static func crc32c(
        _ bytes: ArraySlice<UInt8>, continuing previous: UInt32 = 0
    ) -> UInt32 {
        bytes.withUnsafeBytes { crc32c($0, continuing: previous) }
    }

    /// O(n), at several gigabytes a second.
    package static func crc32c(
        _ bytes: UnsafeRawBufferPointer, continuing previous: UInt32 = 0
    ) -> UInt32 {
        bytes.count < foldingThreshold
            ? sliced(bytes, continuing: previous) : folded(bytes, continuing: previous)
    }

    // MARK: Folding

    // In the field of the checksum's polynomial P, x^209 = x^144 + x^54 + x^39 + x^14 + 1: the
    // shortest sum of six powers that P divides, found by search. Squaring it keeps it true, so it
    // holds for 64-bit words as it does for bits: a word may be taken out of the input when it is
    // added (xor) to those that come 65, 155, 170, 195 and 209 words after it, and the checksum
    // stays what it was. (Russell, "Chorba: a novel CRC32 implementation", 2024.)
    private static let distances = [65 * 8, 155 * 8, 170 * 8, 195 * 8, 209 * 8]
    /// Bytes before a word that act on it.
    private static let window = 209 * 8
    /// Bytes taken out at a time; at least the window.
    private static let block = 2_048
    /// From here on folding is quicker.
    private static let foldingThreshold = 4 * block

    /// Takes block after block out of the input. What is left of it, less than a block and a
    /// window, has the checksum of the whole.
    private static func folded(
        _ bytes: UnsafeRawBufferPointer, continuing previous: UInt32
    ) -> UInt32 {
        // The window, that is the words taken out last, and the block that is being taken out.
        withUnsafeTemporaryAllocation(byteCount: window + block, alignment: 16) { words in
            words.initializeMemory(as: UInt8.self, repeating: 0)
            // The checksum so far is added to the first four bytes of the input. No other word is
            // as far behind this one.
            words.storeBytes(of: (~previous).littleEndian, as: UInt32.self)
            var position = 0
            while position + block + window <= bytes.count {
                takeOut(UnsafeRawBufferPointer(rebasing: bytes[position..<position + block]), words)
                words.copyMemory(from: UnsafeRawBufferPointer(rebasing: words[block...]))
                position += block
            }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            return withUnsafeTemporaryAllocation(byteCount: rest.count, alignment: 16) { left in
                left.copyMemory(from: rest)
                for distance in distances {
                    for offset in stride(from: 0, to: distance, by: 8) {
                        let word = words.load(
                            fromByteOffset: window - distance + offset, as: UInt64.self)
                        let sum = left.load(fromByteOffset: offset, as: UInt64.self) ^ word
                        left.storeBytes(of: sum, toByteOffset: offset, as: UInt64.self)
                    }
                }
                return sliced(UnsafeRawBufferPointer(left), continuing: ~0)
            }
        }
    }

    /// Takes a block out: writes its words behind the window, each with what those before it add.
    @inline(__always)
    private static func takeOut(
        _ block: UnsafeRawBufferPointer, _ words: UnsafeMutableRawBufferPointer
    ) {
        var position = 0
        while position < block.count {
            var pair = block.loadUnaligned(fromByteOffset: position, as: SIMD2<UInt64>.self)
            let end = position &+ window
            for distance in distances {
                pair ^= words.loadUnaligned(fromByteOffset: end &- distance, as: SIMD2.self)
            }
            words.storeBytes(of: pair, toByteOffset: end, as: SIMD2.self)
            position &+= 16
        }
    }

    // MARK: Slicing

    private static func sliced(
        _ bytes: UnsafeRawBufferPointer, continuing previous: UInt32
    ) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            guard let table = tables.baseAddress else { return previous }
            var crc = ~previous
            var position = 0
            while position &+ 3 &* laneSize <= bytes.count {
                var second: UInt32 = 0
                var third: UInt32 = 0
                let end = position &+ laneSize
                while position < end {
                    crc = step(crc, word(bytes, position), table)
                    second = step(second, word(bytes, position &+ laneSize), table)
                    third = step(third, word(bytes, position &+ 2 &* laneSize), table)
                    position &+= 8
                }
                crc = carried(carried(crc, table) ^ second, table) ^ third
                position &+= 2 &* laneSize
            }
            while position &+ 8 <= bytes.count {
                crc = step(crc, word(bytes, position), table)
                position &+= 8
            }
            while position < bytes.count {
                let byte = UInt8(truncatingIfNeeded: crc) ^ bytes[position]
                crc = (crc >> 8) ^ table[Int(byte)]
                position &+= 1
            }
            return ~crc
        }
    }

    /// Bytes of a lane; a multiple of eight.
    private static let laneSize = 32

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    /// The checksum after eight more bytes.
    @inline(__always)
    private static func step(
        _ crc: UInt32, _ word: UInt64, _ table: UnsafePointer<UInt32>
    ) -> UInt32 {
        let mixed = word ^ UInt64(crc)
        var next: UInt32 = 0
        for lane in 0..<8 {
            let byte = Int(truncatingIfNeeded: (mixed &>> UInt64(8 &* lane)) & 0xff)
            next ^= table[(7 &- lane) &* 256 &+ byte]
        }
        return next
    }

    /// The checksum after a lane of zeros.
    @inline(__always)
    private static func carried(_ crc: UInt32, _ table: UnsafePointer<UInt32>) -> UInt32 {
        var next: UInt32 = 0
        for lane in 0..<4 {
            let byte = Int(truncatingIfNeeded: (crc &>> UInt32(8 &* lane)) & 0xff)
            next ^= table[(8 &+ lane) &* 256 &+ byte]
        }
        return next
    }

    /// Twelve tables of 256. Of the first eight, `tables[k * 256 + b]` is the effect of byte `b`
    /// followed by `k` zeros; of the other four, `tables[(8 + k) * 256 + b]` is what a lane of
    /// zeros makes of a checksum whose byte `k` is `b` and whose others are zero.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 12 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82f6_3b78 : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<8 * 256 {
            let shorter = tables[index - 256]
            tables[index] = (shorter >> 8) ^ tables[Int(shorter & 0xff)]
        }
        for index in 8 * 256..<12 * 256 {
            var crc = UInt32(index % 256) << UInt32(8 * (index / 256 - 8))
            for _ in 0..<laneSize { crc = (crc >> 8) ^ tables[Int(crc & 0xff)] }
            tables[index] = crc
        }
        return tables
    }()
}

/// A 128-bit hash of a record. The hash of a set of records is the wrapping sum of theirs, so
/// adding and removing a record costs what the record costs, in any order (a multiset hash in the
/// manner of Bellare and Micciancio's AdHash, 1997).
package struct RecordHash: Hashable, Sendable, CustomStringConvertible {
    package var value: UInt128

    package init(value: UInt128) { self.value = value }

    /// Two SipHash-2-4 values under different fixed keys, side by side.
    package init(of bytes: [UInt8]) { self.init(of: bytes.span) }

    init(of bytes: Span<UInt8>) {
        let (high, low) = SipHash.hash24(
            (0x646b_726f_6e2d_7374, 0x6174_652d_6869_6768),
            (0x646b_726f_6e2d_7374, 0x6174_652d_6c6f_7721), bytes)
        value = UInt128(high) << 64 | UInt128(low)
    }

    /// The hash of no records.
    package static let zero = RecordHash(value: 0)

    package static func &+ (a: Self, b: Self) -> Self { Self(value: a.value &+ b.value) }
    package static func &- (a: Self, b: Self) -> Self { Self(value: a.value &- b.value) }
    package static func &+= (a: inout Self, b: Self) { a.value &+= b.value }
    package static func &-= (a: inout Self, b: Self) { a.value &-= b.value }

    /// 32 lower-case hexadecimal digits.
    package var description: String { Hexadecimal.text(ofIdentity: value) }
}
