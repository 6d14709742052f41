// SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): 64 bits that depend
// on nothing but the key and the bytes, on every machine and in every release.

/// A running SipHash-2-4. Cutting the input into pieces differently changes nothing.
package struct SipHash: Sendable {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    /// Bytes not compressed yet, lowest first.
    private var tail: UInt64 = 0
    /// Bytes absorbed so far.
    private var count: UInt64 = 0

    /// The 128-bit key as two little-endian words. The zero key makes a plain stable hash.
    package init(key: (low: UInt64, high: UInt64) = (0, 0)) {
        v0 = key.low ^ 0x736f_6d65_7073_6575
        v1 = key.high ^ 0x646f_7261_6e64_6f6d
        v2 = key.low ^ 0x6c79_6765_6e65_7261
        v3 = key.high ^ 0x7465_6462_7974_6573
    }

    /// The hash of some bytes in one call; `key0` is the low word of the key. Linear in the bytes.
    package static func hash24(key0: UInt64, key1: UInt64, _ bytes: [UInt8]) -> UInt64 {
        var state = SipHash(key: (key0, key1))
        state.absorb(bytes.span)
        return state.finish()
    }

    /// The hashes of the same bytes under two keys, for little more than the price of one: the
    /// two chains of dependent steps run side by side.
    static func hash24(
        _ first: (low: UInt64, high: UInt64), _ second: (low: UInt64, high: UInt64),
        _ bytes: Span<UInt8>
    ) -> (first: UInt64, second: UInt64) {
        var a = SipHash(key: first)
        var b = SipHash(key: second)
        bytes.withUnsafeBytes { bytes in
            var index = 0
            while index &+ 8 <= bytes.count {
                let word = UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                a.compress(word)
                b.compress(word)
                index &+= 8
            }
            a.count = UInt64(index)
            while index < bytes.count {
                a.absorb(bytes[index])
                index &+= 1
            }
        }
        b.tail = a.tail
        b.count = a.count
        return (a.finish(), b.finish())
    }

    package mutating func absorb(_ byte: UInt8) {
        tail |= UInt64(byte) &<< ((count & 7) &* 8)
        count &+= 1
        if count & 7 == 0 {
            compress(tail)
            tail = 0
        }
    }

    package mutating func absorb(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            var index = 0
            while index < bytes.count, count & 7 != 0 {
                absorb(bytes[index])
                index &+= 1
            }
            while index &+ 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                compress(UInt64(littleEndian: word))
                count &+= 8
                index &+= 8
            }
            while index < bytes.count {
                absorb(bytes[index])
                index &+= 1
            }
        }
    }

    package mutating func absorb(_ bytes: [UInt8]) { absorb(bytes.span) }

    /// The text's UTF-8.
    package mutating func absorb(_ text: String) { absorb(text.utf8.span) }

    /// Eight bytes, lowest first.
    package mutating func absorb(_ word: UInt64) {
        for place in 0..<8 { absorb(UInt8(truncatingIfNeeded: word &>> UInt64(place &* 8))) }
    }

    /// The hash of what was absorbed; the state itself can go on absorbing.
    package func finish() -> UInt64 {
        var last = self
        last.compress(tail | (count &<< 56))
        last.v2 ^= 0xff
        for _ in 0..<4 { last.round() }
        return last.v0 ^ last.v1 ^ last.v2 ^ last.v3
    }

    @inline(__always)
    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    @inline(__always)
    private mutating func round() {
        v0 &+= v1
        v2 &+= v3
        v1 = rotated(v1, 13) ^ v0
        v3 = rotated(v3, 16) ^ v2
        v0 = rotated(v0, 32)
        v2 &+= v1
        v0 &+= v3
        v1 = rotated(v1, 17) ^ v2
        v3 = rotated(v3, 21) ^ v0
        v2 = rotated(v2, 32)
    }

    @inline(__always)
    private func rotated(_ word: UInt64, _ places: UInt64) -> UInt64 {
        (word &<< places) | (word &>> (64 &- places))
    }
}
