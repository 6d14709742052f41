// The only source of chance in the core. A seed comes in when a node starts; each sub-machine has
// its own generator split from it, so that one more draw here moves nothing there.

/// Where a run's randomness starts.
package typealias Seed = UInt64

/// xoshiro256** (Blackman and Vigna, 2018), its state filled by splitmix64. A value: a copy draws
/// the same numbers again. Not for secrets.
package struct PRNG: Hashable, Sendable {
    private let seed: Seed
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64

    package init(seed: Seed) {
        self.seed = seed
        var state = seed
        s0 = Self.splitmix(&state)
        s1 = Self.splitmix(&state)
        s2 = Self.splitmix(&state)
        s3 = Self.splitmix(&state)
    }

    /// A generator of its own for `label`, which depends on this one's seed and the label and
    /// never on how much has been drawn.
    package func split(label: String) -> PRNG {
        PRNG(seed: Self.mix(seed ^ Self.mix(Self.digest(label))))
    }

    /// A generator of its own for each number, as `split(label:)`.
    package func split(number: UInt64) -> PRNG {
        PRNG(seed: Self.mix(Self.mix(seed) &+ number))
    }

    /// 64 uniform bits.
    package mutating func next() -> UInt64 {
        let result = Self.rotate(s1 &* 5, 7) &* 9
        let shifted = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = Self.rotate(s3, 45)
        return result
    }

    /// Uniform in 0 ..< bound, without bias (Lemire, 2019: multiply-high with rejection).
    package mutating func below(_ bound: UInt64) -> UInt64 {
        invariant(bound > 0, "a bounded draw needs a bound above zero")
        var (high, low) = next().multipliedFullWidth(by: bound)
        if low < bound {
            let threshold = (0 &- bound) % bound
            while low < threshold { (high, low) = next().multipliedFullWidth(by: bound) }
        }
        return high
    }

    package mutating func int(in range: Range<Int>) -> Int {
        invariant(!range.isEmpty, "a draw needs something to draw from")
        let width = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound))
        return range.lowerBound &+ Int(truncatingIfNeeded: below(width))
    }

    package mutating func int(in range: ClosedRange<Int>) -> Int {
        let width = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound))
        let drawn = width == .max ? next() : below(width + 1)
        return range.lowerBound &+ Int(truncatingIfNeeded: drawn)
    }

    /// Uniform between `low` and `high`, both included, to the nanosecond. The two lie at most
    /// `Duration.max` apart.
    package mutating func duration(from low: Duration, through high: Duration) -> Duration {
        let width = (high - low).nanoseconds
        invariant(width >= 0, "a range of durations runs upwards")
        return low + Duration(nanoseconds: Int64(below(UInt64(width) + 1)))
    }

    /// True in `numerator` of `denominator` cases.
    package mutating func chance(_ numerator: UInt64, _ denominator: UInt64) -> Bool {
        below(denominator) < numerator
    }

    /// Fisher and Yates. Every order is equally likely. Not called as the standard library's is,
    /// which draws from the system unless it is told otherwise.
    package mutating func permute<T>(_ array: inout [T]) {
        guard array.count > 1 else { return }
        for index in stride(from: array.count - 1, to: 0, by: -1) {
            array.swapAt(index, int(in: 0...index))
        }
    }

    /// One of the elements, each equally likely; nil if there are none.
    package mutating func element<T>(of array: [T]) -> T? {
        array.isEmpty ? nil : array[int(in: 0..<array.count)]
    }

    /// Spreads a number over all 64 bits (the finisher of splitmix64).
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private static func splitmix(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return mix(state)
    }

    /// FNV-1a, 64 bits: labels are few and chosen by us.
    private static func digest(_ label: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }

    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
        (value << count) | (value >> (64 - count))
    }
}
