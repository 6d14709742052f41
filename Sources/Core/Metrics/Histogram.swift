/// How often something took how long, by upper bounds, as Prometheus counts it.
package struct Histogram: Hashable, Sendable {
    /// Ascending.
    package let bounds: [Duration]
    /// How many lie in each bound and in none below it; the last are beyond all bounds.
    package private(set) var counts: [UInt64]
    package private(set) var sum = Duration.zero

    package init(bounds: [Duration]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    package var count: UInt64 { counts.reduce(0, &+) }

    /// Counts a duration; one below zero, of clocks that disagree, as zero. O(bounds).
    package mutating func observe(_ duration: Duration) {
        let duration = max(duration, .zero)
        counts[bounds.firstIndex { duration <= $0 } ?? bounds.count] += 1
        let (total, overflow) = sum.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        sum = Duration(nanoseconds: overflow ? .max : total)
    }

    /// For waits from a millisecond to an hour.
    package static let lateness: [Duration] =
        [1, 5, 10, 25, 50, 100, 250, 500].map { .milliseconds($0) }
        + [1, 2, 5, 10, 30, 60, 300, 600, 3_600].map { .seconds($0) }

    /// For a disk, from a tenth of a millisecond to ten seconds.
    package static let storage: [Duration] =
        [100, 250, 500].map { .nanoseconds($0 * 1_000) }
        + [1, 2, 5, 10, 25, 50, 100, 250, 500].map { .milliseconds($0) }
        + [1, 2, 5, 10].map { .seconds($0) }
}
