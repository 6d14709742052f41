// Randomness by address. Every decision has a stream (a path such as `disk/1/latency`) and a
// counter of its own, so that one more draw here leaves every other decision of the run alone:
// without that, deleting one line of a plan would reshuffle the rest of it.

import Core

/// Where all chance of a run starts.
struct Draws: Sendable {
    let seed: UInt64

    /// The decisions of one kind about one thing.
    func stream(_ path: String) -> DrawStream {
        // FNV-1a, 64 bits: paths are few and ours.
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return DrawStream(key: mixed(mixed(seed) ^ digest))
    }
}

/// The draws of one address, one after the other.
struct DrawStream: Sendable {
    private let key: UInt64
    private(set) var counter: UInt64 = 0

    init(key: UInt64) { self.key = mixed(key) }

    /// A stream of its own for one of many like things.
    func child(_ number: UInt64) -> DrawStream {
        DrawStream(key: key ^ mixed(number &+ 0x9e37_79b9_7f4a_7c15))
    }

    /// 64 uniform bits.
    mutating func next() -> UInt64 {
        counter &+= 1
        return mixed(key &+ counter &* 0x9e37_79b9_7f4a_7c15)
    }

    /// Uniform in 0 ..< bound. The bias of multiply-high is below 2⁻³² for our bounds.
    mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        return next().multipliedFullWidth(by: bound).high
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(below(UInt64(range.upperBound - range.lowerBound) + 1))
    }

    mutating func chance(_ numerator: UInt64, _ denominator: UInt64) -> Bool {
        below(denominator) < numerator
    }

    mutating func element<T>(_ array: [T]) -> T { array[Int(below(UInt64(array.count)))] }

    /// One of the indices, each as likely as its weight.
    mutating func weighted(_ weights: [Int]) -> Int {
        var rest = Int(below(UInt64(weights.reduce(0, +))))
        for (index, weight) in weights.enumerated() {
            if rest < weight { return index }
            rest -= weight
        }
        return weights.count - 1
    }

    mutating func duration(_ low: Duration, _ high: Duration) -> Duration {
        let width = max(0, (high - low).nanoseconds)
        return low + .nanoseconds(Int64(below(UInt64(width) + 1)))
    }

    /// Exponential with the given mean, cut at twenty times the mean.
    ///
    /// −ln u = ln 2 · −log₂ u. The logarithm's digits come from repeated squaring, so no
    /// floating-point library takes part.
    mutating func exponential(_ mean: Duration) -> Duration {
        let draw = next() | 1
        let exponent = draw.leadingZeroBitCount
        var mantissa = (draw << UInt64(exponent)) >> 1  // in [2⁶², 2⁶³): one, in 2.62 fixed point
        var fraction: UInt64 = 0
        for _ in 0..<12 {
            let square = mantissa.multipliedFullWidth(by: mantissa)
            mantissa = square.high << 2 | square.low >> 62
            fraction <<= 1
            if mantissa >= 1 << 63 {
                fraction |= 1
                mantissa >>= 1
            }
        }
        // −log₂ u = exponent + 1 − fraction, in units of 2⁻¹².
        let negativeLog = UInt64(exponent + 1) << 12 - fraction
        let scaled = UInt64(max(0, mean.nanoseconds)).multipliedFullWidth(
            by: min(negativeLog, 29 << 12) * 2_839)  // ln 2 · 2¹² = 2,839
        return .nanoseconds(Int64(scaled.high << 40 | scaled.low >> 24))
    }

    /// Between `low` and `high`, each order of magnitude as likely as the next.
    mutating func logScale(_ low: Duration, _ high: Duration) -> Duration {
        let from = UInt64(max(1, low.nanoseconds))
        let to = UInt64(max(1, high.nanoseconds))
        let doublings = max(0, from.leadingZeroBitCount - to.leadingZeroBitCount)
        let base = from << below(UInt64(doublings) + 1)
        let value = base + below(base)
        return .nanoseconds(Int64(min(max(value, from), to)))
    }
}

/// Spreads a number over all 64 bits (the finisher of splitmix64).
@inline(__always)
func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
}
