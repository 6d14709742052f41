// Ticks in zones: documented cases, the two policies, the ends of time, and the search in one
// direction against the other and against a slow evaluator.

import Testing

@testable import Core

private typealias Data = CalendarFixture

@Suite struct TickTests {
    /// The first ticks after an instant, printed with the zone's offset.
    private func ticks(
        _ text: String, _ zone: ZoneRules, from: String, _ dst: DSTPolicy, count: Int
    ) throws -> [String] {
        let schedule = try Schedule.parse(text, jobName: Data.anyJob)
        var time = Data.instant(from)
        var result: [String] = []
        while result.count < count,
            let tick = schedule.next(after: time, zone: zone, dst: dst, anchor: time)
        {
            result.append(RFC3339.print(tick, offset: zone.offset(at: tick.seconds)))
            time = tick
        }
        return result
    }

    @Test(arguments: [
        (
            "0 30 2 * * *", "America/New_York", "2024-03-09T03:00:00-05:00",
            ["2024-03-11T02:30:00-04:00", "2024-03-12T02:30:00-04:00"]
        ),
        (
            "0 30 1 * * *", "America/New_York", "2024-11-02T12:00:00-04:00",
            ["2024-11-03T01:30:00-04:00", "2024-11-03T01:30:00-05:00", "2024-11-04T01:30:00-05:00"]
        ),
        (
            "0 0 * * * *", "America/New_York", "2024-03-10T00:30:00-05:00",
            ["2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-10T04:00:00-04:00"]
        ),
        (
            "0 0 * * * *", "America/New_York", "2024-11-03T00:30:00-04:00",
            ["2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-05:00", "2024-11-03T02:00:00-05:00"]
        ),
        (
            "0 0 */2 * * *", "America/New_York", "2024-03-10T00:00:00-05:00",
            ["2024-03-10T04:00:00-04:00", "2024-03-10T06:00:00-04:00"]
        ),
        (
            "0 30 2 * * *", "Europe/Berlin", "2024-03-30T03:00:00+01:00",
            ["2024-04-01T02:30:00+02:00"]
        ),
        (
            "0 30 2 * * *", "Europe/Berlin", "2024-10-26T03:00:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]
        ),
        (
            "0 0 2 * * 0", "Europe/Berlin", "2024-03-25T00:00:00+01:00",
            ["2024-04-07T02:00:00+02:00"]
        ),
        (
            "0 0 0 * * *", "America/Sao_Paulo", "2018-11-02T12:00:00-03:00",
            ["2018-11-03T00:00:00-03:00", "2018-11-05T00:00:00-02:00"]
        ),
        (
            "0 30 23 * * *", "America/Sao_Paulo", "2019-02-15T23:45:00-02:00",
            ["2019-02-16T23:30:00-02:00", "2019-02-16T23:30:00-03:00"]
        ),
        (
            "0 0 0 * * *", "America/Havana", "2024-11-02T12:00:00-04:00",
            ["2024-11-03T00:00:00-04:00", "2024-11-03T00:00:00-05:00"]
        ),
        (
            "0 45 1 * * *", "Australia/Lord_Howe", "2024-04-06T12:00:00+11:00",
            ["2024-04-07T01:45:00+11:00", "2024-04-07T01:45:00+10:30"]
        ),
        (
            "0 0 0 31 * *", "UTC", "2024-01-31T00:00:00Z",
            ["2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z", "2024-07-31T00:00:00Z"]
        ),
        (
            "5-59/20 59 23 31 12 *", "UTC", "2024-01-01T00:00:00Z",
            [
                "2024-12-31T23:59:05Z", "2024-12-31T23:59:25Z", "2024-12-31T23:59:45Z",
                "2025-12-31T23:59:05Z",
            ]
        ),
        (
            "0 37/15 * * * *", "UTC", "2024-09-01T00:00:00Z",
            ["2024-09-01T00:37:00Z", "2024-09-01T00:52:00Z", "2024-09-01T01:37:00Z"]
        ),
        (
            "0 0 9 * * *", "Asia/Kolkata", "2024-05-01T08:15:00+05:30",
            ["2024-05-01T09:00:00+05:30"]
        ),
        // A day on which midnight is skipped is a day like any other.
        (
            "0 0 12 27 4 *", "Africa/Cairo", "2023-04-01T00:00:00+02:00",
            ["2023-04-27T12:00:00+02:00", "2024-04-27T12:00:00+03:00"]
        ),
        (
            "0 0 12 28 4 *", "Africa/Cairo", "2023-04-01T00:00:00+02:00",
            ["2023-04-28T12:00:00+03:00"]
        ),
        (
            "0 0 12 * * 5", "Africa/Cairo", "2023-04-22T00:00:00+02:00",
            ["2023-04-28T12:00:00+03:00", "2023-05-05T12:00:00+03:00"]
        ),
    ])
    func literal(text: String, zone: String, from: String, expected: [String]) throws {
        let found = try ticks(
            text, try Data.zone(zone), from: from, .literal, count: expected.count)
        #expect(found == expected)
    }

    @Test(arguments: [
        // Skipped: the first instant after the gap, once, even if several times are skipped.
        (
            "0 0/20 2 * * *", "Europe/Berlin", "2024-03-31T00:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"]
        ),
        (
            "0 30 2,3 * * *", "Europe/Berlin", "2024-03-31T00:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-03-31T03:30:00+02:00"]
        ),
        // Repeated: the first time only.
        (
            "0 30 2 * * *", "Europe/Berlin", "2024-10-26T03:00:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]
        ),
        // A search that begins within the repeated hour finds nothing in it.
        (
            "0 30 2 * * *", "Europe/Berlin", "2024-10-27T02:10:00+01:00",
            ["2024-10-28T02:30:00+01:00"]
        ),
        // Hours that begin with a star follow the clock.
        (
            "0 30 */1 * * *", "Europe/Berlin", "2024-10-27T02:10:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]
        ),
        (
            "0 30 ?/2,* * * *", "Europe/Berlin", "2024-03-31T01:00:00+01:00",
            ["2024-03-31T01:30:00+01:00", "2024-03-31T03:30:00+02:00"]
        ),
        (
            "0 30 0-23 * * *", "Europe/Berlin", "2024-10-27T02:10:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-27T03:30:00+01:00"]
        ),
        // A whole day is skipped: all its times fire at its end.
        (
            "0 0 6,18 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00",
            [
                "2011-12-29T18:00:00-10:00", "2011-12-31T00:00:00+14:00",
                "2011-12-31T06:00:00+14:00",
            ]
        ),
        (
            "@daily", "America/Sao_Paulo", "2018-11-02T12:00:00-03:00",
            [
                "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00",
                "2018-11-05T00:00:00-02:00",
            ]
        ),
    ])
    func once(text: String, zone: String, from: String, expected: [String]) throws {
        let found = try ticks(text, try Data.zone(zone), from: from, .once, count: expected.count)
        #expect(found == expected)
    }

    @Test func leapDaysAcrossTheCentury() throws {
        for name in ["UTC", "Europe/Berlin"] {
            let zone = try Data.zone(name)
            let found = try ticks(
                "0 0 12 29 2 *", zone, from: "2095-03-01T00:00:00Z", .once, count: 3)
            #expect(found.map { $0.prefix(4) } == ["2096", "2104", "2108"])
        }
    }

    @Test func every() throws {
        let schedule = try Schedule.parse("@every 90s", jobName: Data.anyJob)
        let anchor = Data.instant("2024-01-01T10:00:00.7Z")
        let next = { (time: String) in
            schedule.next(after: Data.instant(time), zone: .utc, dst: .once, anchor: anchor)
                .map { RFC3339.print($0) }
        }
        let previous = { (time: String) in
            schedule.previous(before: Data.instant(time), zone: .utc, dst: .once, anchor: anchor)
                .map { RFC3339.print($0) }
        }
        #expect(next("2020-01-01T00:00:00Z") == "2024-01-01T10:01:30Z")
        #expect(next("2024-01-01T10:00:00.7Z") == "2024-01-01T10:01:30Z")
        #expect(next("2024-01-01T10:01:29.9Z") == "2024-01-01T10:01:30Z")
        #expect(next("2024-01-01T10:01:30Z") == "2024-01-01T10:03:00Z")
        #expect(previous("2024-01-01T10:01:30Z") == nil)
        #expect(previous("2024-01-01T10:01:30.1Z") == "2024-01-01T10:01:30Z")
        #expect(previous("2024-01-02T00:00:00Z") == "2024-01-01T23:58:30Z")
    }

    @Test func atAndManually() throws {
        let at = try Schedule.parse("@at 2024-05-01T12:00:00.25Z", jobName: Data.anyJob)
        let instant = Data.instant("2024-05-01T12:00:00.25Z")
        let before = instant - .nanoseconds(1)
        let after = instant + .nanoseconds(1)
        #expect(at.next(after: before, zone: .utc, dst: .once, anchor: before) == instant)
        #expect(at.next(after: instant, zone: .utc, dst: .once, anchor: before) == nil)
        #expect(at.previous(before: after, zone: .utc, dst: .once, anchor: before) == instant)
        #expect(at.previous(before: instant, zone: .utc, dst: .once, anchor: before) == nil)
        #expect(Schedule.manually.next(after: before, zone: .utc, dst: .once, anchor: after) == nil)
        #expect(
            Schedule.manually.previous(before: after, zone: .utc, dst: .once, anchor: after) == nil)
    }

    @Test(arguments: DSTPolicy.allCases)
    func endsOfTime(dst: DSTPolicy) throws {
        for name in ["UTC", "Europe/Berlin", "Pacific/Apia", "America/Los_Angeles"] {
            let zone = try Data.zone(name)
            for text in [
                "* * * * * *", "0 0 0 1 1 *", "0 0 0 29 2 *", "@every 1h", "@every 2562047h",
            ] {
                let schedule = try Schedule.parse(text, jobName: Data.anyJob)
                for anchor in [WallTime.distantPast, .distantFuture] {
                    let last = schedule.previous(
                        before: .distantFuture, zone: zone, dst: dst, anchor: anchor)
                    let none = schedule.next(
                        after: .distantFuture, zone: zone, dst: dst, anchor: anchor)
                    #expect(none == nil && (last.map { $0 < .distantFuture } ?? true))
                    let first = schedule.next(
                        after: .distantPast, zone: zone, dst: dst, anchor: anchor)
                    let nothing = schedule.previous(
                        before: .distantPast, zone: zone, dst: dst, anchor: anchor)
                    #expect(nothing == nil && (first.map { $0 > .distantPast } ?? true))
                }
            }
        }
    }

    /// Random schedules of the tables, zones and instants: each direction confirms the other.
    @Test func forwardAndBackwardAgree() throws {
        var dice = Data.Dice(state: 7)
        var schedules: [Schedule] = []
        for table in ["cron-literal.tsv", "cron-once.tsv"] {
            for line in try Data.tableLines(table) {
                schedules.append(try Schedule.parse(Data.columns(line)[0], jobName: Data.anyJob))
            }
        }
        var zones = Data.Zones()
        let names = Data.allZoneNames()
        try #require(!names.isEmpty, "tzdata.zi is missing: install the package tzdata")
        for _ in 0..<40_000 {
            let schedule = schedules[Int(dice.roll(0...Int64(schedules.count - 1)))]
            let zone = try zones(names[Int(dice.roll(0...Int64(names.count - 1)))])
            let dst = DSTPolicy.allCases[Int(dice.roll(0...1))]
            // Half of the instants are near a change of offset.
            var second = dice.roll(-2_000_000_000...6_000_000_000)
            if dice.roll(0...1) == 0, zone.segments.count > 1 {
                let index = Int(dice.roll(1...Int64(zone.segments.count - 1)))
                second = zone.segments[index].start + dice.roll(-10_000...10_000)
            }
            let time = WallTime(seconds: second) + .nanoseconds(dice.roll(0...1))
            let next = schedule.next(after: time, zone: zone, dst: dst, anchor: .distantPast)
            let previous = schedule.previous(
                before: time, zone: zone, dst: dst, anchor: .distantPast)
            if let next {
                #expect(next > time)
                let back = schedule.previous(
                    before: next + .nanoseconds(1), zone: zone, dst: dst, anchor: .distantPast)
                #expect(back == next)
                let gap = schedule.previous(
                    before: next, zone: zone, dst: dst, anchor: .distantPast)
                #expect(gap.map { $0 <= time } ?? true)
            }
            if let previous {
                #expect(previous < time)
                let gap = schedule.next(after: previous, zone: zone, dst: dst, anchor: .distantPast)
                #expect(gap.map { $0 >= time } ?? true)
            }
        }
    }

    /// A day around changes of offset, second by second: which instants are ticks is decided from
    /// the fields alone.
    @Test(arguments: [
        ("Europe/Berlin", "2024-03-31T01:00:00Z"), ("Europe/Berlin", "2024-10-27T01:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T15:00:00Z"), ("Africa/Cairo", "2023-04-27T22:00:00Z"),
        ("America/Havana", "2024-11-03T05:00:00Z"), ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("America/Nuuk", "2024-03-31T01:00:00Z"), ("Antarctica/Casey", "2020-10-03T16:01:00Z"),
    ])
    func everySecond(name: String, change: String) throws {
        let zone = try Data.zone(name)
        let middle = Data.instant(change).seconds
        let range = (middle - 43_200)..<(middle + 43_200)
        let readings = range.map { $0 + Int64(zone.offset(at: $0)) }
        // All readings below were shown or skipped; no offset is a day away from the one before.
        let seen =
            (range.lowerBound - 90_000..<range.lowerBound)
            .map { $0 + Int64(zone.offset(at: $0)) + 1 }.max() ?? 0
        for text in [
            "30 */20 * * * *", "0 0,30 0-3 * * *", "59 59 23 * * *", "0 0 0 * * 1-5",
            "0 15 */3,1 * * *", "1 2 1,2 27-31 * *", "0 0 12 30 12 *",
        ] {
            let schedule = try Schedule.parse(text, jobName: Data.anyJob)
            guard case .cron(let fields, _) = schedule else { continue }
            for dst in DSTPolicy.allCases {
                let literal = dst == .literal || fields.hasStarredHours
                let expected = slowTicks(
                    fields, range.lowerBound, readings, seen: literal ? nil : seen)
                var found: [Int64] = []
                var time = WallTime(seconds: range.lowerBound - 1)
                while let tick = schedule.next(after: time, zone: zone, dst: dst, anchor: time),
                    tick.seconds < range.upperBound
                {
                    found.append(tick.seconds)
                    time = tick
                }
                #expect(found == expected, "\(text) \(dst.text)")
            }
        }
    }

    /// The instants from a first one on whose readings match; given the reading up to which all
    /// were seen, those at which a matching reading is first shown or skipped.
    private func slowTicks(
        _ fields: CronExpression, _ first: Int64, _ readings: [Int64], seen: Int64?
    ) -> [Int64] {
        var result: [Int64] = []
        var seen = seen
        for (index, reading) in readings.enumerated() {
            var next = seen ?? reading
            var isTick = false
            while next <= reading {
                isTick = matches(fields, next) || isTick
                next += 1
            }
            if seen != nil { seen = next }
            if isTick { result.append(first + Int64(index)) }
        }
        return result
    }

    private func matches(_ fields: CronExpression, _ local: Int64) -> Bool {
        func has(_ set: UInt64, _ value: Int) -> Bool { set &>> UInt64(value) & 1 == 1 }
        let second = Int(local) % 86_400
        guard has(fields.seconds, second % 60), has(fields.minutes, second / 60 % 60),
            has(fields.hours, second / 3_600)
        else { return false }
        let date = CivilDate(days: Int(local) / 86_400)
        guard has(fields.months, date.month) else { return false }
        let byDay = has(fields.days, date.day)
        let byWeekday = has(fields.weekdays, date.weekday)
        return fields.hasStarredDay ? byDay && byWeekday : byDay || byWeekday
    }
}
