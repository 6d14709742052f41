// Time as the core sees it. Nothing here reads a clock: readings come in with every step.
//
// Two kinds that never mix: an `Instant` measures how long something takes (monotonic, immune to
// clock steps; every timeout uses it), a `WallTime` says what the calendar shows (decides which
// ticks are due and stamps records).

/// A length of time in whole nanoseconds, about ±292 years.
package struct Duration: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let zero = Duration(nanoseconds: 0)
    package static let max = Duration(nanoseconds: .max)

    @inlinable
    package static func nanoseconds(_ n: Int64) -> Duration { Duration(nanoseconds: n) }
    @inlinable
    package static func microseconds(_ n: Int64) -> Duration { Duration(nanoseconds: n * 1_000) }
    @inlinable
    package static func milliseconds(_ n: Int64) -> Duration {
        Duration(nanoseconds: n * 1_000_000)
    }
    @inlinable
    package static func seconds(_ n: Int64) -> Duration { Duration(nanoseconds: n * 1_000_000_000) }
    @inlinable
    package static func minutes(_ n: Int64) -> Duration { .seconds(n * 60) }
    @inlinable
    package static func hours(_ n: Int64) -> Duration { .seconds(n * 3_600) }

    /// Whole seconds, cut toward zero.
    package var wholeSeconds: Int64 { nanoseconds / 1_000_000_000 }
    /// Whole milliseconds, cut toward zero.
    package var wholeMilliseconds: Int64 { nanoseconds / 1_000_000 }

    @inlinable
    package static func < (a: Duration, b: Duration) -> Bool { a.nanoseconds < b.nanoseconds }
    /// Saturates instead of trapping: a sum of hostile lengths is still a length.
    @inlinable
    package static func + (a: Duration, b: Duration) -> Duration {
        Duration(nanoseconds: saturatingSum(a.nanoseconds, b.nanoseconds))
    }
    @inlinable
    package static func - (a: Duration, b: Duration) -> Duration {
        Duration(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
    @inlinable
    package static func * (a: Duration, b: Int64) -> Duration {
        let (product, overflow) = a.nanoseconds.multipliedReportingOverflow(by: b)
        guard overflow else { return Duration(nanoseconds: product) }
        return Duration(nanoseconds: (a.nanoseconds < 0) == (b < 0) ? .max : .min)
    }
}

/// A reading of the monotonic clock: nanoseconds since an origin that means nothing by itself.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let zero = Instant(nanoseconds: 0)
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable
    package static func + (a: Instant, b: Duration) -> Instant {
        Instant(nanoseconds: saturatingSum(a.nanoseconds, b.nanoseconds))
    }
    @inlinable
    package static func - (a: Instant, b: Instant) -> Duration {
        Duration(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
}

/// A reading of the wall clock: nanoseconds since 1970-01-01T00:00:00Z, years 1678 to 2261.
package struct WallTime: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    /// A whole second; seconds outside the representable years are clamped to its ends.
    @inlinable
    package init(seconds: Int64) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        nanoseconds = overflow ? (seconds < 0 ? .min : .max) : product
    }

    package static let distantPast = WallTime(nanoseconds: .min)
    package static let distantFuture = WallTime(nanoseconds: .max)

    /// The second this time lies in (rounded down, also before 1970).
    @inlinable
    package var seconds: Int64 {
        let quotient = nanoseconds / 1_000_000_000
        return nanoseconds % 1_000_000_000 < 0 ? quotient - 1 : quotient
    }
    /// Nanoseconds after `seconds`, 0 ..< 1,000,000,000.
    @inlinable
    package var subsecond: Int64 {
        let remainder = nanoseconds % 1_000_000_000
        return remainder < 0 ? remainder + 1_000_000_000 : remainder
    }

    @inlinable
    package static func < (a: WallTime, b: WallTime) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable
    package static func + (a: WallTime, b: Duration) -> WallTime {
        WallTime(nanoseconds: saturatingSum(a.nanoseconds, b.nanoseconds))
    }
    @inlinable
    package static func - (a: WallTime, b: Duration) -> WallTime {
        WallTime(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
    @inlinable
    package static func - (a: WallTime, b: WallTime) -> Duration {
        Duration(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
}

/// One reading of a node's clocks, taken once per step by whoever drives the node.
package struct Now: Hashable, Sendable {
    package var monotonic: Instant
    package var wall: WallTime

    package init(monotonic: Instant, wall: WallTime) {
        self.monotonic = monotonic
        self.wall = wall
    }
}

@inlinable
package func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (a < 0 ? .min : .max) : sum
}

@inlinable
package func saturatingDifference(_ a: Int64, _ b: Int64) -> Int64 {
    let (difference, overflow) = a.subtractingReportingOverflow(b)
    return overflow ? (a < 0 ? .min : .max) : difference
}
