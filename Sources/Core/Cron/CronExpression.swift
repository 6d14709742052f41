// The six fields of a cron expression as bit sets, and the search for matching readings of a clock.
// The search knows no zones: a reading is a number of local seconds, counted as UTC counts them.
// It goes from unit to unit by the lowest set bit, so its cost does not depend on how far away the
// match lies, except that years without a match are passed one by one (seven at most).

/// Which readings of a local clock match. At least one does: the parser refuses impossible dates.
package struct CronExpression: Hashable, Sendable {
    /// How the expression was written.
    package enum Form: Hashable, Sendable {
        /// Six fields, or a descriptor.
        case seconds
        /// A classic crontab line of five fields, at second 0.
        case crontab
    }

    /// Bit n stands for value n, in each set.
    let seconds: UInt64
    let minutes: UInt64
    let hours: UInt64
    let days: UInt64
    let months: UInt64
    let weekdays: UInt64
    /// Whether the day of month or the day of week is unrestricted (`*`, `?`, `*/1` among its
    /// items). Then both must match, which leaves the word to the other; otherwise one suffices.
    let hasStarredDay: Bool
    /// Whether every item of the hours begins with `*` or `?`: such schedules always follow
    /// `DSTPolicy.literal`.
    package let hasStarredHours: Bool
    /// Whether the values depend on the job's name (`~`).
    package let usesName: Bool
    package let form: Form
    /// `weekdays` repeated six times, so that a shift by the first weekday of a month lines it up
    /// with the month's days.
    private let weekdayCycle: UInt64

    init(
        seconds: UInt64, minutes: UInt64, hours: UInt64, days: UInt64, months: UInt64,
        weekdays: UInt64, hasStarredDay: Bool, hasStarredHours: Bool, usesName: Bool = false,
        form: Form = .seconds
    ) {
        self.seconds = seconds
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        self.hasStarredDay = hasStarredDay
        self.hasStarredHours = hasStarredHours
        self.usesName = usesName
        self.form = form
        weekdayCycle = weekdays &* 0x0000_0008_1020_4081
        invariant(seconds != 0 && minutes != 0 && hours != 0, "some time of day matches")
        invariant(months != 0 && (days | weekdays) != 0, "some day matches")
    }

    /// The first matching reading at or after one; nil beyond the year 2263.
    func match(atOrAfter local: Int64) -> Int64? {
        let day = Self.day(of: local)
        let date = CivilDate(days: day)
        if months &>> UInt64(date.month) & 1 != 0 {
            let monthStart = day &- date.day
            var matching = matchingDays(year: date.year, month: date.month, dayBefore: monthStart)
            matching = (matching &>> UInt64(date.day)) &<< UInt64(date.day)
            if matching &>> UInt64(date.day) & 1 != 0 {
                let second = timeOfDay(atOrAfter: Int(local &- Int64(day) &* 86_400))
                if second >= 0 { return Int64(day) &* 86_400 &+ Int64(second) }
                matching &= matching &- 1
            }
            if matching != 0 {
                return Int64(monthStart &+ matching.trailingZeroBitCount) &* 86_400
                    &+ Int64(firstTimeOfDay)
            }
        }
        return firstMatch(afterMonth: date.month, year: date.year)
    }

    /// The last matching reading at or before one; nil before the year 1676.
    func match(atOrBefore local: Int64) -> Int64? {
        let day = Self.day(of: local)
        let date = CivilDate(days: day)
        if months &>> UInt64(date.month) & 1 != 0 {
            let monthStart = day &- date.day
            var matching = matchingDays(year: date.year, month: date.month, dayBefore: monthStart)
            matching &= (2 &<< UInt64(date.day)) &- 1
            if matching &>> UInt64(date.day) & 1 != 0 {
                let second = timeOfDay(atOrBefore: Int(local &- Int64(day) &* 86_400))
                if second >= 0 { return Int64(day) &* 86_400 &+ Int64(second) }
                matching ^= 1 &<< UInt64(date.day)
            }
            if matching != 0 {
                return Int64(monthStart &+ highestBit(matching)) &* 86_400 &+ Int64(lastTimeOfDay)
            }
        }
        return lastMatch(beforeMonth: date.month, year: date.year)
    }

    /// Days since 1970-01-01. The division is one of positive numbers, which is the faster one.
    @inline(__always)
    private static func day(of local: Int64) -> Int {
        let farDays = 400_000
        let shifted = UInt64(bitPattern: local &+ Int64(farDays) &* 86_400)
        return Int(truncatingIfNeeded: shifted / 86_400) &- farDays
    }

    /// The first matching reading in a later month.
    private func firstMatch(afterMonth month: Int, year: Int) -> Int64? {
        var year = year
        var left = (months &>> UInt64(month &+ 1)) &<< UInt64(month &+ 1)
        while year <= Self.lastYear {
            while left != 0 {
                let month = left.trailingZeroBitCount
                let monthStart = CivilDate(year: year, month: month, day: 0).days
                let matching = matchingDays(year: year, month: month, dayBefore: monthStart)
                if matching != 0 {
                    return Int64(monthStart &+ matching.trailingZeroBitCount) &* 86_400
                        &+ Int64(firstTimeOfDay)
                }
                left &= left &- 1
            }
            year &+= 1
            left = months
        }
        return nil
    }

    /// The last matching reading in an earlier month.
    private func lastMatch(beforeMonth month: Int, year: Int) -> Int64? {
        var year = year
        var left = months & ((1 &<< UInt64(month)) &- 1)
        while year >= Self.firstYear {
            while left != 0 {
                let month = highestBit(left)
                let monthStart = CivilDate(year: year, month: month, day: 0).days
                let matching = matchingDays(year: year, month: month, dayBefore: monthStart)
                if matching != 0 {
                    return Int64(monthStart &+ highestBit(matching)) &* 86_400
                        &+ Int64(lastTimeOfDay)
                }
                left ^= 1 &<< UInt64(month)
            }
            year &-= 1
            left = months
        }
        return nil
    }

    /// Bit d is set when day d of the month matches. `dayBefore` is the day before its first.
    @inline(__always)
    private func matchingDays(year: Int, month: Int, dayBefore: Int) -> UInt64 {
        let weekday = CivilDate.weekday(days: dayBefore &+ 1)
        let byWeekday = (weekdayCycle &>> UInt64(weekday)) &<< 1
        let matching = hasStarredDay ? days & byWeekday : days | byWeekday
        return matching
            & ((2 &<< UInt64(CivilDate.daysInMonth(year: year, month: month))) &- 2)
    }

    /// The first matching second of a day at or after one; -1 if none is left.
    @inline(__always)
    private func timeOfDay(atOrAfter second: Int) -> Int {
        let hour = second / 3_600
        if hours &>> UInt64(hour) & 1 != 0 {
            let minute = (second &- hour &* 3_600) / 60
            if minutes &>> UInt64(minute) & 1 != 0 {
                let past = second &- hour &* 3_600 &- minute &* 60
                let left = seconds &>> UInt64(past)
                if left != 0 { return second &+ left.trailingZeroBitCount }
            }
            let left = minutes &>> UInt64(minute &+ 1)
            if left != 0 {
                let next = minute &+ 1 &+ left.trailingZeroBitCount
                return hour &* 3_600 &+ next &* 60 &+ seconds.trailingZeroBitCount
            }
        }
        let left = hours &>> UInt64(hour &+ 1)
        if left == 0 { return -1 }
        let next = hour &+ 1 &+ left.trailingZeroBitCount
        return next &* 3_600 &+ minutes.trailingZeroBitCount &* 60 &+ seconds.trailingZeroBitCount
    }

    /// The last matching second of a day at or before one; -1 if there is none.
    private func timeOfDay(atOrBefore second: Int) -> Int {
        let hour = second / 3_600
        if hours &>> UInt64(hour) & 1 != 0 {
            let minute = (second &- hour &* 3_600) / 60
            if minutes &>> UInt64(minute) & 1 != 0 {
                let past = second &- hour &* 3_600 &- minute &* 60
                let left = seconds & ((2 &<< UInt64(past)) &- 1)
                if left != 0 { return second &- past &+ highestBit(left) }
            }
            let left = minutes & ((1 &<< UInt64(minute)) &- 1)
            if left != 0 {
                return hour &* 3_600 &+ highestBit(left) &* 60 &+ highestBit(seconds)
            }
        }
        let left = hours & ((1 &<< UInt64(hour)) &- 1)
        if left == 0 { return -1 }
        return highestBit(left) &* 3_600 &+ highestBit(minutes) &* 60 &+ highestBit(seconds)
    }

    private var firstTimeOfDay: Int {
        hours.trailingZeroBitCount &* 3_600 &+ minutes.trailingZeroBitCount &* 60
            &+ seconds.trailingZeroBitCount
    }

    private var lastTimeOfDay: Int {
        highestBit(hours) &* 3_600 &+ highestBit(minutes) &* 60 &+ highestBit(seconds)
    }

    @inline(__always)
    private func highestBit(_ bits: UInt64) -> Int { 63 &- bits.leadingZeroBitCount }

    /// Around all years that `WallTime` can hold.
    private static let firstYear = 1_676
    private static let lastYear = 2_263
}
