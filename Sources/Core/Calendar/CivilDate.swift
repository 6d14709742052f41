// The proleptic Gregorian calendar as arithmetic. The two conversions follow the era scheme of
// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so the leap
// day is the last of its year and months become a straight line.

/// A day of the proleptic Gregorian calendar. Comparable in time order.
package struct CivilDate: Hashable, Comparable, Sendable {
    package let year: Int
    /// 1...12
    package let month: Int
    /// 1...`daysInMonth`
    package let day: Int

    /// The caller vouches that such a day exists; `init(checkedYear:month:day:)` asks.
    @inlinable
    package init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// Nil when the calendar has no such day.
    package init?(checkedYear year: Int, month: Int, day: Int) {
        guard (1...12).contains(month), day >= 1,
            day <= Self.daysInMonth(year: year, month: month)
        else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// The day so many days after 1970-01-01 (before, if negative).
    @inlinable
    package init(days: Int) {
        let shifted = days &+ 719_468
        let era = (shifted >= 0 ? shifted : shifted &- 146_096) / 146_097
        let dayOfEra = shifted &- era &* 146_097
        let yearOfEra =
            (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let monthFromMarch = (5 &* dayOfYear &+ 2) / 153
        day = dayOfYear &- (153 &* monthFromMarch &+ 2) / 5 &+ 1
        month = monthFromMarch < 10 ? monthFromMarch &+ 3 : monthFromMarch &- 9
        year = yearOfEra &+ era &* 400 &+ (monthFromMarch < 10 ? 0 : 1)
    }

    /// Days since 1970-01-01.
    @inlinable
    package var days: Int {
        let marchYear = month <= 2 ? year &- 1 : year
        let era = (marchYear >= 0 ? marchYear : marchYear &- 399) / 400
        let yearOfEra = marchYear &- era &* 400
        let monthFromMarch = month > 2 ? month &- 3 : month &+ 9
        let dayOfYear = (153 &* monthFromMarch &+ 2) / 5 &+ day &- 1
        let dayOfEra = yearOfEra &* 365 &+ yearOfEra / 4 &- yearOfEra / 100 &+ dayOfYear
        return era &* 146_097 &+ dayOfEra &- 719_468
    }

    /// 0 (Sunday) ... 6 (Saturday).
    package var weekday: Int { Self.weekday(days: days) }

    /// 0 (Sunday) ... 6 (Saturday) of the day so many days after 1970-01-01, a Thursday.
    @inlinable
    package static func weekday(days: Int) -> Int {
        let rest = (days &+ 4) % 7
        return rest < 0 ? rest &+ 7 : rest
    }

    @inlinable
    package static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    @inlinable
    package static func daysInMonth(year: Int, month: Int) -> Int {
        if month == 2 { return isLeap(year) ? 29 : 28 }
        // 31 in odd months up to July and in even months from August on.
        return 30 &+ ((month ^ (month &>> 3)) & 1)
    }

    package static func < (a: CivilDate, b: CivilDate) -> Bool {
        (a.year, a.month, a.day) < (b.year, b.month, b.day)
    }
}

/// Quotient rounded down, unlike `/`, which rounds toward zero; the divisor is positive.
@inlinable
package func flooredQuotient(_ dividend: Int64, _ divisor: Int64) -> Int64 {
    let quotient = dividend / divisor
    return dividend % divisor < 0 ? quotient &- 1 : quotient
}
