// The proleptic Gregorian calendar as arithmetic. The two conversions are those of C. Neri and
// L. Schneider, "Euclidean affine functions and their application to calendar algorithms" (2023):
// years begin in March, so the leap day is the last of its year and months become a straight line,
// and divisions become multiplications. Both count from a day far before all that matter, so that
// they deal with positive numbers only.

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

    /// The day so many days after 1970-01-01 (before, if negative), within the years ±30,000.
    @inlinable
    package init(days: Int) {
        let shifted = UInt64(bitPattern: Int64(days &+ Self.shiftInDays))
        let century = (4 &* shifted &+ 3) / 146_097
        let dayOfCentury = (4 &* shifted &+ 3) % 146_097 / 4
        let product = 2_939_745 &* (4 &* dayOfCentury &+ 3)
        let yearOfCentury = product &>> 32
        let dayOfYear = (product & 0xFFFF_FFFF) / 2_939_745 / 4
        let months = 2_141 &* dayOfYear &+ 197_913
        // January and February belong to the year before, as its months 13 and 14.
        let isLate = dayOfYear >= 306
        year =
            Int(truncatingIfNeeded: 100 &* century &+ yearOfCentury) &- Self.shiftInYears
            &+ (isLate ? 1 : 0)
        month = Int(truncatingIfNeeded: months &>> 16) &- (isLate ? 12 : 0)
        day = Int(truncatingIfNeeded: (months & 0xFFFF) / 2_141) &+ 1
    }

    /// Days since 1970-01-01, within the years ±30,000.
    @inlinable
    package var days: Int {
        let isLate = month <= 2
        let year = UInt64(bitPattern: Int64(self.year &+ Self.shiftInYears &- (isLate ? 1 : 0)))
        let month = UInt64(bitPattern: Int64(self.month &+ (isLate ? 12 : 0)))
        let century = year / 100
        let dayOfMarchYear = (979 &* month &- 2_919) &>> 5
        let days = 1_461 &* year / 4 &- century &+ century / 4 &+ dayOfMarchYear
        return Int(truncatingIfNeeded: days) &+ day &- 1 &- Self.shiftInDays
    }

    /// A multiple of the calendar's period of 400 years.
    @usableFromInline static var shiftInYears: Int { 400 * 82 }
    /// 1 March of the year `-shiftInYears` lies so many days before 1970-01-01.
    @usableFromInline static var shiftInDays: Int { 719_468 + 146_097 * 82 }

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
