// The text of a schedule: an optional zone with cron fields or a descriptor, or one of `@manually`,
// `@minutely` and `@at`, which stand alone.

extension Schedule {
    /// Reads a schedule. Linear in the text.
    ///
    /// - Parameter jobName: decides the values of `~`.
    /// - Throws: with the column at fault and what is allowed there. Whether the host knows the
    ///   zone of a prefix, and whether an `@at` is still to come, are not judged here.
    package static func parse(
        _ text: String, jobName: JobName
    ) throws(ScheduleError) -> Schedule {
        let parser = ScheduleParser(bytes: Array(text.utf8), jobName: jobName)
        return try parser.schedule()
    }
}

private struct ScheduleParser {
    let bytes: [UInt8]
    let jobName: JobName

    func schedule() throws(ScheduleError) -> Schedule {
        switch bytes.first {
        case UInt8(ascii: "@"):
            let isAt = bytes.starts(with: "@at ".utf8)
            if isAt { return .at(try instant()) }
            if bytes.elementsEqual("@manually".utf8) { return .manually }
            if bytes.elementsEqual("@minutely".utf8) { return .cron(Self.minutely, zone: nil) }
            return try descriptor(in: bytes.indices, zone: nil)
        case UInt8(ascii: "T") where bytes.starts(with: "TZ=".utf8):
            return try zoned(from: 3)
        case UInt8(ascii: "C") where bytes.starts(with: "CRON_TZ=".utf8):
            return try zoned(from: 8)
        default:
            return .cron(try expression(in: bytes.indices), zone: nil)
        }
    }

    /// `@at 2006-01-02T15:04:05Z`
    private func instant() throws(ScheduleError) -> WallTime {
        do {
            return try RFC3339.parse(String(decoding: bytes[4...], as: UTF8.self))
        } catch {
            throw ScheduleError(column: error.column + 4, error.message)
        }
    }

    /// What follows `TZ=` or `CRON_TZ=`.
    private func zoned(from start: Int) throws(ScheduleError) -> Schedule {
        guard let end = bytes[start...].firstIndex(of: UInt8(ascii: " ")) else {
            throw error(at: bytes.count, "a space and a schedule must follow the zone")
        }
        let written = String(decoding: bytes[start..<end], as: UTF8.self)
        // A prefix without a name has always meant UTC.
        let zone = written.isEmpty ? ZoneName.utc : written
        do {
            try ZoneName.check(zone)
        } catch {
            throw self.error(at: start, error.description)
        }
        let rest = trimmed(end..<bytes.count)
        if rest.isEmpty { throw error(at: bytes.count, "a schedule must follow the zone") }
        if bytes[rest.lowerBound] == UInt8(ascii: "@") {
            return try descriptor(in: rest, zone: zone)
        }
        return .cron(try expression(in: rest), zone: zone)
    }

    private func expression(in range: Range<Int>) throws(ScheduleError) -> CronExpression {
        try CronParser(bytes: bytes, jobName: jobName).expression(in: range)
    }

    private func descriptor(
        in range: Range<Int>, zone: String?
    ) throws(ScheduleError) -> Schedule {
        if bytes[range].starts(with: "@every ".utf8) {
            return .every(try interval(from: range.lowerBound + 7, to: range.upperBound))
        }
        let word = String(decoding: bytes[range], as: UTF8.self)
        switch word {
        case "@yearly", "@annually": return .cron(Self.midnight(days: 2, months: 2), zone: zone)
        case "@monthly": return .cron(Self.midnight(days: 2), zone: zone)
        case "@weekly": return .cron(Self.midnight(weekdays: 1), zone: zone)
        case "@daily", "@midnight": return .cron(Self.midnight(), zone: zone)
        case "@hourly": return .cron(Self.hourly, zone: zone)
        default: break
        }
        if zone != nil, ["@manually", "@minutely", "@at"].contains(where: word.hasPrefix) {
            throw error(at: range.lowerBound, "\(word) takes no zone; leave the prefix out")
        }
        let allowed =
            "allowed are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, "
            + "@minutely, @manually, @every DURATION and @at TIME, each without further text"
        throw error(at: range.lowerBound, "\"\(word)\" is not a schedule; \(allowed)")
    }

    /// The duration of `@every`: fractions of a second are cut, and less than a second is one.
    private func interval(from start: Int, to end: Int) throws(ScheduleError) -> Duration {
        do {
            let text = String(decoding: bytes[start..<end], as: UTF8.self)
            return .seconds(Swift.max(1, try DurationText.parse(text).wholeSeconds))
        } catch {
            throw ScheduleError(
                column: column(atByte: start, of: bytes.span) + error.column - 1, error.message)
        }
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var start = range.upperBound
        var end = range.lowerBound
        var index = range.lowerBound
        while index < range.upperBound {
            let space = bytes.spaceLength(at: index)
            if space == 0 {
                start = min(start, index)
                end = index + 1
            }
            index += Swift.max(space, 1)
        }
        return start..<Swift.max(start, end)
    }

    private func error(at offset: Int, _ message: String) -> ScheduleError {
        ScheduleError(column: column(atByte: offset, of: bytes.span), message)
    }

    private static func midnight(
        days: UInt64? = nil, months: UInt64? = nil, weekdays: UInt64? = nil
    ) -> CronExpression {
        CronExpression(
            seconds: 1, minutes: 1, hours: 1, days: days ?? CronField.day.all,
            months: months ?? CronField.month.all, weekdays: weekdays ?? CronField.weekday.all,
            hasStarredDay: true, hasStarredHours: false)
    }

    private static let hourly = repeating(minutes: 1)
    private static let minutely = repeating(minutes: CronField.minute.all)

    private static func repeating(minutes: UInt64) -> CronExpression {
        CronExpression(
            seconds: 1, minutes: minutes, hours: CronField.hour.all, days: CronField.day.all,
            months: CronField.month.all, weekdays: CronField.weekday.all, hasStarredDay: true,
            hasStarredHours: true)
    }
}
