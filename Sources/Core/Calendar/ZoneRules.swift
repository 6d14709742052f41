// The offsets of one time zone, as a list of segments that covers every representable instant. The
// rule at the end of a zone file (its footer) is written out up to the last such year when the file
// is read, so a look-up is one binary search and never evaluates a rule.
//
// Invariants: there is at least one segment; the first starts at `Int64.min`; starts ascend;
// neighbours differ in offset; all other starts lie within ±`reach`.

/// The rules of one time zone. Copies share storage.
package struct ZoneRules: Sendable {
    package let name: String
    /// SipHash-2-4 under the zero key of the file's bytes, 0 for the built-in UTC. Hosts compare it
    /// to see whether they know the same rules.
    package let digest: UInt64
    let segments: [Segment]
    /// The segment that holds the first second of each bucket of 2²⁴ seconds (half a year) from
    /// `-reach` on, and of the one behind the last: a look-up begins there. Empty if there is but
    /// one segment.
    private let buckets: [Int32]

    /// A stretch of time with one offset.
    struct Segment: Hashable, Sendable {
        /// The first second.
        let start: Int64
        /// Local readings below this one were shown, or jumped over, before `start`: no local time
        /// below it is new here. `Int64.min` in the first segment.
        let seen: Int64
        /// Seconds east of Greenwich.
        let offset: Int64
    }

    /// Seconds around 1970 within which transitions matter: more than `WallTime` can hold.
    static let reach: Int64 = 10_000_000_000

    /// Coordinated universal time; needs no file.
    package static let utc = ZoneRules(name: ZoneName.utc, digest: 0, initial: 0, transitions: [])

    /// Transitions in ascending order, all within `reach`.
    init(name: String, digest: UInt64, initial: Int64, transitions: [ZoneTransition]) {
        self.name = name
        self.digest = digest
        var segments = [Segment(start: .min, seen: .min, offset: initial)]
        segments.reserveCapacity(transitions.count + 1)
        var last = segments[0]
        for transition in transitions where transition.offset != last.offset {
            invariant(transition.at > last.start, "transitions of a zone ascend")
            let seen = Swift.max(last.seen, transition.at + last.offset)
            last = Segment(start: transition.at, seen: seen, offset: transition.offset)
            segments.append(last)
        }
        self.segments = segments
        buckets = Self.buckets(segments)
    }

    private static func buckets(_ segments: [Segment]) -> [Int32] {
        if segments.count == 1 { return [] }
        var buckets: [Int32] = []
        buckets.reserveCapacity(Int(2 * reach >> bucketWidth) + 2)
        var index = 0
        var second = -reach
        while second <= reach + 1 << bucketWidth {
            while index + 1 < segments.count, segments[index + 1].start <= second { index += 1 }
            buckets.append(Int32(index))
            second += 1 << bucketWidth
        }
        return buckets
    }

    private static let bucketWidth: Int64 = 24

    /// Seconds east of Greenwich at an instant (seconds since 1970). Logarithmic.
    package func offset(at seconds: Int64) -> Int { Int(segments[index(at: seconds)].offset) }

    /// The instants at which local clocks show a reading, given as the seconds that the reading
    /// would have in UTC. Logarithmic.
    package func instants(ofLocal local: Int64) -> LocalInstants {
        // No offset reaches 27 hours, so only the segments around the reading can show it.
        let margin: Int64 = 27 * 3_600
        let low = index(at: saturatingDifference(local, margin))
        let high = index(at: saturatingSum(local, margin))
        var first: Int64?
        var last: Int64 = 0
        for index in low...high {
            let instant = saturatingDifference(local, segments[index].offset)
            guard instant >= segments[index].start, instant < end(of: index) else { continue }
            if first == nil { first = instant }
            last = instant
        }
        if let first { return first == last ? .unique(first) : .repeated(first: first, last: last) }
        for index in low...high where segments[index].start != .min {
            let shown = segments[index].start + segments[index].offset
            if shown > local { return .skipped(firstAfter: segments[index].start) }
        }
        return .skipped(firstAfter: end(of: high))
    }

    /// The segment that an instant lies in. Logarithmic in the changes within half a year.
    @inline(__always)
    func index(at seconds: Int64) -> Int {
        if segments.count == 1 { return 0 }
        let clamped = Swift.min(Swift.max(seconds, -Self.reach), Self.reach)
        let bucket = Int((clamped &+ Self.reach) &>> Self.bucketWidth)
        var low = Int(buckets[bucket])
        var high = Int(buckets[bucket &+ 1])
        while low < high {
            let middle = (low &+ high &+ 1) &>> 1
            if segments[middle].start <= seconds { low = middle } else { high = middle &- 1 }
        }
        return low
    }

    /// The first second after a segment; `Int64.max` for the last one.
    @inline(__always)
    func end(of index: Int) -> Int64 {
        index &+ 1 < segments.count ? segments[index &+ 1].start : .max
    }
}

/// When local clocks show one reading.
package enum LocalInstants: Hashable, Sendable {
    case unique(Int64)
    /// Clocks were set back: the reading is shown more than once.
    case repeated(first: Int64, last: Int64)
    /// Clocks were set forward past the reading: the first instant after the gap.
    case skipped(firstAfter: Int64)
}

/// A change of a zone's offset.
struct ZoneTransition: Hashable, Sendable {
    /// The first second with the new offset.
    let at: Int64
    /// Seconds east of Greenwich from then on.
    let offset: Int64
}
