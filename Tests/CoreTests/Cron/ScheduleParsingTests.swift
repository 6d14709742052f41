// What schedules mean, and what those that mean nothing are told.

import Testing

@testable import Core

private typealias Data = CalendarFixture

@Suite struct ScheduleParsingTests {
    private func expression(_ text: String, job: String = "job") throws -> CronExpression {
        guard case .cron(let expression, _) = try Schedule.parse(text, jobName: JobName(job))
        else { throw TextError(column: 1, "\(text) has no fields") }
        return expression
    }

    private func bits(_ values: Int...) -> UInt64 { values.reduce(0) { $0 | 1 << UInt64($1) } }

    @Test func fields() throws {
        let all = try expression("* ? * * * ?")
        #expect(all.seconds == (1 << 60) - 1 && all.minutes == all.seconds)
        #expect(all.hours == (1 << 24) - 1 && all.days == (1 << 32) - 2)
        #expect(all.months == (1 << 13) - 2 && all.weekdays == 127)
        let mixed = try expression("5,1-3,50/4 +7,007 0-23/22 */15,,2 jan-MAR,Dec 1,sat")
        #expect(mixed.seconds == bits(1, 2, 3, 5, 50, 54, 58))
        #expect(mixed.minutes == bits(7) && mixed.hours == bits(0, 22))
        #expect(mixed.days == bits(1, 2, 16, 31))
        #expect(mixed.months == bits(1, 2, 3, 12) && mixed.weekdays == bits(1, 6))
        #expect(!mixed.hasStarredDay && mixed.form == .seconds)
        let long = try expression("*/99 5/99 0-5/99 * * *")
        #expect(long.seconds == 1 && long.minutes == bits(5) && long.hours == 1)
    }

    @Test func whiteSpaceIsUnicode() throws {
        let plain = try expression("0 30 2 * * *")
        #expect(try expression("  0\t30\u{00A0}2 \u{2003}*\u{3000}* *\n") == plain)
    }

    @Test func sundayIsSevenToo() throws {
        #expect(try expression("0 0 0 * * 7").weekdays == bits(0))
        #expect(try expression("0 0 0 * * 5-7").weekdays == bits(0, 5, 6))
        #expect(try expression("0 0 0 * * 0-7").weekdays == 127)
        #expect(try expression("0 0 0 * * 1-7/3").weekdays == bits(0, 1, 4))
        #expect(try expression("0 0 0 * * 7-7").weekdays == bits(0))
        #expect(try expression("0 0 0 * * 7/2").weekdays == bits(0))
        // A step without an end stops on Saturday, as it always did.
        #expect(try expression("0 0 0 * * 1/6").weekdays == bits(1))
    }

    @Test func fiveFieldsAreCrontab() throws {
        let short = try expression("30 2 * * 1-5")
        let long = try expression("0 30 2 * * 1-5")
        #expect(short.form == .crontab && long.form == .seconds)
        #expect(short.seconds == long.seconds && short.minutes == long.minutes)
        #expect(try Schedule.parse("* * * * *", jobName: Data.anyJob).isCrontabForm)
    }

    @Test func stars() throws {
        #expect(try expression("0 0 0 */1 * 1").hasStarredDay)
        #expect(try !expression("0 0 0 */2 * 1").hasStarredDay)
        #expect(try !expression("0 0 0 1-31 * 1").hasStarredDay)
        #expect(try expression("0 0 0 *,13 * 1").hasStarredDay)
        #expect(try expression("0 0 0 13 * ?").hasStarredDay)
        for hours in ["*", "?", "*/2", "?/3", "*/2,*/3,", "*/1"] {
            #expect(try expression("0 0 \(hours) * * *").hasStarredHours, "\(hours)")
        }
        for hours in ["0", "0-23", "0/2", "*/2,5", "~", "~/2"] {
            #expect(try !expression("0 0 \(hours) * * *").hasStarredHours, "\(hours)")
        }
    }

    @Test(arguments: [
        ("@yearly", "0 0 0 1 1 *"), ("@annually", "0 0 0 1 1 *"), ("@monthly", "0 0 0 1 * *"),
        ("@weekly", "0 0 0 * * 0"), ("@daily", "0 0 0 * * *"), ("@midnight", "0 0 0 * * *"),
        ("@hourly", "0 0 * * * *"), ("@minutely", "0 * * * * *"),
    ])
    func descriptors(word: String, fields: String) throws {
        #expect(try expression(word) == expression(fields))
    }

    @Test func everyAndAt() throws {
        let parse = { (text: String) throws(ScheduleError) -> Schedule in
            try Schedule.parse(text, jobName: Data.anyJob)
        }
        #expect(try parse("@every 60s") == parse("@every 1m"))
        #expect(try parse("@every 1500ms") == .every(.seconds(1)))
        #expect(try parse("@every 10ms") == .every(.seconds(1)))
        #expect(try parse("@every -5m") == .every(.seconds(1)))
        #expect(try parse("TZ=Asia/Tokyo @every 90s") == .every(.seconds(90)))
        #expect(
            try parse("@at 2024-05-01T12:00:00.25+02:00")
                == .at(Data.instant("2024-05-01T10:00:00.25Z")))
        #expect(try parse("@manually") == .manually)
    }

    @Test func zones() throws {
        let zone = { (text: String) throws -> String? in
            try Schedule.parse(text, jobName: Data.anyJob).zonePrefix
        }
        #expect(try zone("0 0 * * * *") == nil)
        #expect(try zone("TZ=Asia/Tokyo 0 0 * * * *") == "Asia/Tokyo")
        #expect(try zone("CRON_TZ=Asia/Tokyo   @daily  ") == "Asia/Tokyo")
        #expect(try zone("TZ= 0 0 * * * *") == "UTC")
        let schedule = try Schedule.parse("TZ=Local @daily", jobName: Data.anyJob)
        #expect(
            schedule.zoneName(job: "Asia/Tokyo", clusterDefault: "Europe/Rome") == "Europe/Rome")
        let plain = try Schedule.parse("@daily", jobName: Data.anyJob)
        #expect(plain.zoneName(job: "Asia/Tokyo", clusterDefault: "Europe/Rome") == "Asia/Tokyo")
        #expect(plain.zoneName(job: "", clusterDefault: "Europe/Rome") == "Europe/Rome")
        #expect(plain.zoneName(job: "Local", clusterDefault: "Europe/Rome") == "Europe/Rome")
    }

    /// Values spread by name stay in their bounds, cover them, and a step keeps its distance.
    @Test func spreading() throws {
        var seconds: UInt64 = 0
        var days: UInt64 = 0
        var ranges: UInt64 = 0
        for number in 0..<2_000 {
            let one = try expression("~ ~/7 1~5 ~ * ~/9", job: "job-\(number)")
            #expect(one.seconds.nonzeroBitCount == 1 && one.days.nonzeroBitCount == 1)
            seconds |= one.seconds
            days |= one.days
            ranges |= one.hours
            let first = one.minutes.trailingZeroBitCount
            let expected = Swift.stride(from: first, through: 59, by: 7).reduce(0 as UInt64) {
                $0 | 1 << UInt64($1)
            }
            #expect(first < 7 && one.minutes == expected)
            #expect(one.weekdays.nonzeroBitCount == 1 && one.weekdays <= 64)
        }
        #expect(seconds == (1 << 60) - 1)
        #expect(days == (1 << 29) - 2)
        #expect(ranges == bits(1, 2, 3, 4, 5))
        #expect(try expression("0 0 0 * * 6~7").weekdays & ~bits(0, 6) == 0)
        #expect(try expression("0 0 0 ~/40 * *").days < 1 << 29)
    }

    @Test(arguments: [
        ("", 1, "empty"), ("   ", 1, "empty"), ("* * * *", 8, "only 4 fields"),
        ("* * * * * * 2024", 13, "one field too many"), ("60 * * * * *", 1, "0 to 59"),
        ("* * 24 * * *", 5, "\"24\" is out of range; allowed are 0 to 23"),
        ("* * * 0 * *", 7, "1 to 31"), ("* * * * 13 *", 9, "1 to 12 or JAN to DEC"),
        ("* * * * * 8", 11, "0 to 7"), ("* * * * sept *", 9, "\"sept\" is not a month"),
        ("* * * * * FRI-MON", 11, "split it in two"), ("5-3 * * * * *", 1, "backward"),
        ("* */0 * * * *", 5, "not a step"), ("* */x * * * *", 5, "not a step"),
        ("* 1/2/3 * * * *", 5, "not a step"), ("* 1-2-3 * * * *", 6, "only a step"),
        ("* *-5 * * * *", 4, "only a step"), ("* ?-5 * * * *", 4, "only a step"),
        ("* *5 * * * *", 4, "only a step"), ("* -5 * * * *", 3, "is needed here"),
        ("* 5- * * * *", 5, "is needed here"), ("* , * * * *", 3, "never match"),
        ("0 0 0 , * *", 7, "never match"), ("0 0 0 * * ,", 11, "never match"),
        ("0 0 0 , * ,,", 7, "never match"), ("0 0 0 31 2 *", 7, "exists"),
        ("0 0 0 30,31 FEB ?", 7, "exists"), ("0 0 0 31 4,6,9,11 *", 7, "exists"),
        ("* ~-5 * * * *", 4, "only a step"), ("* ~5 * * * *", 4, "only a step"),
        ("* 5~ * * * *", 5, "is needed here"), ("* 9~5 * * * *", 3, "backward"),
        ("* 1~5/2 * * * *", 6, "nothing may follow"), ("* */~ * * * *", 5, "not a step"),
        ("* H * * * *", 3, "\"H\" is not a minute"), ("é ü * * * *", 1, "not a second"),
        ("* ü * * * *", 3, "not a minute"), ("* 0 ü5 * * *", 5, "not an hour"),
        ("@Daily", 1, "allowed are @yearly"), ("@daily ", 1, "without further text"),
        ("@reboot", 1, "@manually"), ("@every", 1, "allowed"), ("@every  1h", 8, "number"),
        ("@every 1d", 9, "not a unit"), ("@every 1h x", 9, "not a unit"),
        ("@at 2024-02-30T00:00:00Z", 13, "has no day 30"), ("@at tomorrow", 5, "year"),
        ("@at 2300-01-01T00:00:00Z", 5, "1678 to 2261"),
        ("TZ=Europe/Berlin", 17, "must follow"), ("TZ=Europe/Berlin ", 18, "must follow"),
        ("TZ=../etc * * * * * *", 4, "only letters"), ("TZ=right/UTC @daily", 4, "right/"),
        ("TZ=UTC @manually", 8, "takes no zone"), ("CRON_TZ=UTC @minutely", 13, "takes no zone"),
        ("TZ=UTC @at 2024-01-01T00:00:00Z", 8, "takes no zone"),
        ("TZ=UTC @every ", 8, "\"@every\" is not a schedule"),
        ("@every ", 8, "a duration is needed"),
        ("TZ=UTC 60 * * * * *", 8, "0 to 59"),
        ("tz=UTC * * * * *", 1, "not a second"),
    ])
    func refusals(text: String, column: Int, words: String) {
        let error = #expect(throws: ScheduleError.self) {
            try Schedule.parse(text, jobName: Data.anyJob)
        }
        #expect(error?.column == column, "\(text): \(error?.description ?? "")")
        #expect(error?.message.contains(words) == true, "\(text): \(error?.description ?? "")")
    }

    /// Dates that are rare but exist.
    @Test(arguments: [
        "0 0 0 29 2 *", "0 0 0 31 2 1", "0 0 0 31 2,3 *", "0 0 0 30,29 2 *", "0 0 0 28 * ,",
        "0 0 0 , * 1",
    ])
    func rareDates(text: String) throws {
        let schedule = try Schedule.parse(text, jobName: Data.anyJob)
        let next = schedule.next(
            after: WallTime(seconds: 0), zone: .utc, dst: .once, anchor: .distantPast)
        #expect(next != nil)
    }
}
