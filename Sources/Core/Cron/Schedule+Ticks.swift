// The search for ticks: the earliest after an instant, the latest before one.
//
// A zone is a row of segments with one offset each. Under `literal` a tick is any instant whose
// local reading matches: within a segment that is a search among readings, shifted by the offset.
// Under `once` each reading belongs to exactly one instant: the first at which the local clock
// shows it or has jumped past it. That instant grows with the reading, so one search among
// readings, from `Segment.seen` on, gives the tick. Neither walks over seconds or days.

extension Schedule {
    /// The earliest tick after an instant (exclusive); nil if there is none in representable time.
    ///
    /// - Parameters:
    ///   - zone: the rules of `zoneName`; only cron fields look at them.
    ///   - anchor: the instant that `@every` counts from, cut to the second: tick k is
    ///     anchor + k · d, k ≥ 1.
    package func next(
        after time: WallTime, zone: ZoneRules, dst: DSTPolicy, anchor: WallTime
    ) -> WallTime? {
        switch self {
        case .cron(let expression, _):
            let earliest = time.seconds &+ 1
            let literal = dst == .literal || expression.hasStarredHours
            let tick =
                literal
                ? zone.firstLiteral(expression, atOrAfter: earliest)
                : zone.firstOnce(expression, atOrAfter: earliest)
            return wallTime(tick)
        case .every(let interval):
            return nextOfEvery(step(of: interval), after: time.seconds, anchor: anchor.seconds)
        case .at(let instant): return instant > time ? instant : nil
        case .manually: return nil
        }
    }

    /// The latest tick before an instant (exclusive); nil if there is none in representable time.
    /// Parameters as for `next`.
    package func previous(
        before time: WallTime, zone: ZoneRules, dst: DSTPolicy, anchor: WallTime
    ) -> WallTime? {
        let latest = time.subsecond > 0 ? time.seconds : time.seconds &- 1
        switch self {
        case .cron(let expression, _):
            let literal = dst == .literal || expression.hasStarredHours
            let tick =
                literal
                ? zone.lastLiteral(expression, atOrBefore: latest)
                : zone.lastOnce(expression, atOrBefore: latest)
            return wallTime(tick)
        case .every(let interval):
            let step = step(of: interval)
            let passed = latest &- anchor.seconds
            guard passed >= step else { return nil }
            return wallTime(latest &- passed % step)
        case .at(let instant): return instant < time ? instant : nil
        case .manually: return nil
        }
    }

    /// Whole seconds, at least one, whoever made the value.
    private func step(of interval: Duration) -> Int64 { Swift.max(1, interval.wholeSeconds) }

    private func nextOfEvery(_ step: Int64, after second: Int64, anchor: Int64) -> WallTime? {
        // Both times are within ±10¹⁰ s and a step is below 10¹⁰ s.
        let passed = second &- anchor
        let count = passed < 0 ? 1 : passed / step &+ 1
        return wallTime(anchor &+ count &* step)
    }

    /// Nil outside the seconds that a wall time can hold.
    private func wallTime(_ seconds: Int64?) -> WallTime? {
        guard let seconds, seconds >= -9_223_372_036, seconds <= 9_223_372_036 else { return nil }
        return WallTime(nanoseconds: seconds &* 1_000_000_000)
    }
}

extension ZoneRules {
    /// The first instant at or after one whose local reading matches. Linear in the changes of
    /// offset passed, apart from the search.
    func firstLiteral(_ expression: CronExpression, atOrAfter instant: Int64) -> Int64? {
        var index = index(at: instant)
        var from = instant &+ segments[index].offset
        guard var match = expression.match(atOrAfter: from) else { return nil }
        while true {
            let segment = segments[index]
            if match &- segment.offset < end(of: index) { return match &- segment.offset }
            index &+= 1
            let shown = segments[index].start &+ segments[index].offset
            // No reading in from ..< match matches. Where the next segment begins among these, the
            // match stays the first; after a jump past it or back before them, it may not be.
            if shown < from || shown > match {
                guard let later = expression.match(atOrAfter: shown) else { return nil }
                match = later
                from = shown
            }
        }
    }

    /// The last instant at or before one whose local reading matches.
    func lastLiteral(_ expression: CronExpression, atOrBefore instant: Int64) -> Int64? {
        var index = index(at: instant)
        var from = instant &+ segments[index].offset
        guard var match = expression.match(atOrBefore: from) else { return nil }
        while true {
            let segment = segments[index]
            if match &- segment.offset >= segment.start { return match &- segment.offset }
            index &-= 1
            let shown = segment.start &- 1 &+ segments[index].offset
            if shown > from || shown < match {
                guard let earlier = expression.match(atOrBefore: shown) else { return nil }
                match = earlier
                from = shown
            }
        }
    }

    /// The first instant at or after one at which a matching reading is first shown or passed.
    func firstOnce(_ expression: CronExpression, atOrAfter instant: Int64) -> Int64? {
        // Readings shown or passed before the instant are over.
        let before = index(at: instant &- 1)
        let fresh = Swift.max(segments[before].seen, instant &+ segments[before].offset)
        guard let match = expression.match(atOrAfter: fresh) else { return nil }
        return firstInstant(of: match, from: before)
    }

    /// The last instant at or before one at which a matching reading is first shown or passed.
    func lastOnce(_ expression: CronExpression, atOrBefore instant: Int64) -> Int64? {
        let index = index(at: instant)
        let segment = segments[index]
        let newest = Swift.max(saturatingDifference(segment.seen, 1), instant &+ segment.offset)
        guard let match = expression.match(atOrBefore: newest) else { return nil }
        var first = index
        while match < segments[first].seen { first &-= 1 }
        return firstInstant(of: match, from: first)
    }

    /// The instant at which the local clock first shows a reading or has jumped past it, in the
    /// given segment or a later one.
    @inline(__always)
    private func firstInstant(of reading: Int64, from index: Int) -> Int64 {
        var index = index
        while index &+ 1 < segments.count, reading >= segments[index &+ 1].seen { index &+= 1 }
        return Swift.max(segments[index].start, reading &- segments[index].offset)
    }
}
