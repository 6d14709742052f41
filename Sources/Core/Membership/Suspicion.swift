/// How long a suspect has to prove that it lives: long if only we suspect it, shorter with each
/// member that independently suspects it too (Lifeguard, 2017, section IV-B). So a node that is
/// itself slow to receive does not declare others dead on its own word.
struct Suspicion: Sendable {
    let startedAt: Instant
    private let shortest: Duration
    private let longest: Duration
    /// As many confirmations bring the time down to the shortest.
    private let wanted: Int
    /// Whoever suspects it, the first included.
    private(set) var accusers: [NodeName]

    /// - Parameter members: how many members are known, ourselves and the suspect included.
    init(_ profile: MembershipProfile, members: Int, from: NodeName, at now: Instant) {
        startedAt = now
        let factor = Int(profile.suspicionFactor) - 2
        wanted = members - 2 < factor ? 0 : factor
        shortest = Self.shortest(profile, members: members)
        longest = shortest * profile.suspicionMaxFactor
        accusers = [from]
    }

    /// When it is declared dead.
    var endsAt: Instant {
        guard wanted > 0 else { return startedAt + shortest }
        let confirmations = UInt64(accusers.count - 1)
        let part =
            (Logarithm.base2(confirmations + 1) << 16) / Logarithm.base2(UInt64(wanted) + 1)
        let less = ((longest - shortest) * Int64(part)).nanoseconds >> 16
        return startedAt + max(shortest, longest - .nanoseconds(less))
    }

    /// Counts somebody's confirmation; false if it changes nothing.
    mutating func confirm(from: NodeName) -> Bool {
        guard accusers.count <= wanted, !accusers.contains(from) else { return false }
        accusers.append(from)
        return true
    }

    /// Grows with the decimal logarithm of the number of members, as rumours travel longer.
    static func shortest(_ profile: MembershipProfile, members: Int) -> Duration {
        let scale = max(1 << 16, Logarithm.base10(UInt64(max(members, 1))))
        let base = profile.probeInterval * profile.suspicionFactor
        return .nanoseconds((base * Int64(scale)).nanoseconds >> 16)
    }
}

/// Logarithms in units of 2⁻¹⁶, in whole numbers: every node computes the same.
enum Logarithm {
    /// Of at least 1; exact to the last unit. The fraction comes bit by bit from squaring the
    /// mantissa.
    static func base2(_ number: UInt64) -> UInt64 {
        invariant(number > 0, "only positive numbers have a logarithm")
        let whole = UInt64(63 - number.leadingZeroBitCount)
        // 1 ≤ mantissa < 2, with 31 bits behind the point.
        var mantissa = whole > 31 ? number >> (whole - 31) : number << (31 - whole)
        var fraction: UInt64 = 0
        for _ in 0..<16 {
            mantissa = (mantissa * mantissa) >> 31
            fraction <<= 1
            if mantissa >= 1 << 32 {
                fraction |= 1
                mantissa >>= 1
            }
        }
        return whole << 16 | fraction
    }

    static func base10(_ number: UInt64) -> UInt64 {
        // log₂ 10 in the same units.
        (base2(number) << 16) / 217_706
    }
}
