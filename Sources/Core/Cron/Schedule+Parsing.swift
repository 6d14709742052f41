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
            if hasPrefix("@at ", at: 0) { return .at(try instant()) }
            return try descriptor(in: 0..<bytes.count, zone: nil)
        case UInt8(ascii: "T") where hasPrefix("TZ=", at: 0):
            return try zoned(from: 3)
        case UInt8(ascii: "C") where hasPrefix("CRON_TZ=", at: 0):
            return try zoned(from: 8)
        default:
            return .cron(try expression(in: 0..<bytes.count), zone: nil)
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
        // A prefix without a name has always meant UTC.
        let zone =
            start == end ? ZoneName.utc : String(decoding: bytes[start..<end], as: UTF8.self)
        if start < end, let problem = ZoneName.problem(bytes[start..<end]) {
            throw error(at: start, ZoneError(zone: zone, problem).description)
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
        if hasPrefix("@every ", at: range.lowerBound) {
            return .every(try interval(from: range.lowerBound + 7, to: range.upperBound))
        }
        for descriptor in Self.descriptors where matches(descriptor, in: range) {
            switch descriptor.schedule {
            case .cron(let expression, _) where zone == nil || descriptor.takesZone:
                return .cron(expression, zone: zone)
            case .manually where zone == nil: return .manually
            default: break
            }
        }
        let word = String(decoding: bytes[range], as: UTF8.self)
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

    @inline(__always)
    private func hasPrefix(_ prefix: StaticString, at start: Int) -> Bool {
        let length = prefix.utf8CodeUnitCount
        guard bytes.count - start >= length else { return false }
        for index in 0..<length where bytes[start + index] != prefix.utf8Start[index] {
            return false
        }
        return true
    }

    @inline(__always)
    private func matches(_ descriptor: Descriptor, in range: Range<Int>) -> Bool {
        range.count == descriptor.word.utf8CodeUnitCount
            && hasPrefix(descriptor.word, at: range.lowerBound)
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

    /// A word that stands for a whole schedule.
    private struct Descriptor {
        let word: StaticString
        let schedule: Schedule
        let takesZone: Bool

        init(_ word: StaticString, _ schedule: Schedule, takesZone: Bool = true) {
            self.word = word
            self.schedule = schedule
            self.takesZone = takesZone
        }
    }

    private static let descriptors = [
        Descriptor("@yearly", midnight(days: 2, months: 2)),
        Descriptor("@annually", midnight(days: 2, months: 2)),
        Descriptor("@monthly", midnight(days: 2)),
        Descriptor("@weekly", midnight(weekdays: 1)),
        Descriptor("@daily", midnight()),
        Descriptor("@midnight", midnight()),
        Descriptor("@hourly", repeating(minutes: 1)),
        Descriptor("@minutely", repeating(minutes: CronField.minute.all), takesZone: false),
        Descriptor("@manually", .manually, takesZone: false),
    ]

    private static func midnight(
        days: UInt64? = nil, months: UInt64? = nil, weekdays: UInt64? = nil
    ) -> Schedule {
        let expression = CronExpression(
            seconds: 1, minutes: 1, hours: 1, days: days ?? CronField.day.all,
            months: months ?? CronField.month.all, weekdays: weekdays ?? CronField.weekday.all,
            hasStarredDay: true, hasStarredHours: false)
        return .cron(expression, zone: nil)
    }

    private static func repeating(minutes: UInt64) -> Schedule {
        let expression = CronExpression(
            seconds: 1, minutes: minutes, hours: CronField.hour.all, days: CronField.day.all,
            months: CronField.month.all, weekdays: CronField.weekday.all, hasStarredDay: true,
            hasStarredHours: true)
        return .cron(expression, zone: nil)
    }
}
