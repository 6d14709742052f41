import Testing

@testable import Core

@Suite struct CivilDateTests {
    /// Every day of the years 1600 to 2400, counted on by hand.
    @Test func daysAndDatesAgree() {
        var year = 1_600
        var month = 1
        var day = 1
        var weekday = 6  // 1 January 1600 was a Saturday.
        for days in -135_140...157_419 {
            let date = CivilDate(days: days)
            guard date == CivilDate(year: year, month: month, day: day), date.days == days,
                date.weekday == weekday
            else {
                Issue.record("day \(days): \(date) instead of \(year)-\(month)-\(day)")
                return
            }
            weekday = (weekday + 1) % 7
            day += 1
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            if day > lengths[month - 1] {
                #expect(CivilDate.daysInMonth(year: year, month: month) == lengths[month - 1])
                day = 1
                month += 1
            }
            if month > 12 {
                month = 1
                year += 1
            }
        }
        #expect(year == 2_401)
    }

    @Test func impossibleDays() {
        #expect(CivilDate(checkedYear: 1900, month: 2, day: 29) == nil)
        #expect(CivilDate(checkedYear: 2000, month: 2, day: 29) != nil)
        #expect(CivilDate(checkedYear: 2024, month: 4, day: 31) == nil)
        #expect(CivilDate(checkedYear: 2024, month: 13, day: 1) == nil)
        #expect(CivilDate(checkedYear: 2024, month: 1, day: 0) == nil)
    }
}
