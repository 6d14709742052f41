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
        try ScheduleParser(jobName: jobName).schedule(text.utf8.span)
    }
}

private struct ScheduleParser {
    let jobName: JobName

    func schedule(_ text: Span<UInt8>) throws(ScheduleError) -> Schedule {
        switch text.isEmpty ? 0 : text[0] {
        case UInt8(ascii: "@"):
            if hasPrefix(text, "@at ", in: text.indices) { return .at(try instant(text)) }
            return try descriptor(text, in: 0..<text.count, zone: nil)
        case UInt8(ascii: "T") where hasPrefix(text, "TZ=", in: text.indices):
            return try zoned(text, from: 3)
        case UInt8(ascii: "C") where hasPrefix(text, "CRON_TZ=", in: text.indices):
            return try zoned(text, from: 8)
        default:
            return .cron(try expression(text, in: 0..<text.count), zone: nil)
        }
    }

    /// `@at 2006-01-02T15:04:05Z`
    private func instant(_ text: Span<UInt8>) throws(ScheduleError) -> WallTime {
        do {
            return try RFC3339.parse(String(copying: text, 4..<text.count))
        } catch {
            throw ScheduleError(column: error.column + 4, error.message)
        }
    }

    /// What follows `TZ=` or `CRON_TZ=`.
    private func zoned(_ text: Span<UInt8>, from start: Int) throws(ScheduleError) -> Schedule {
        guard let end = (start..<text.count).first(where: { text[$0] == UInt8(ascii: " ") }) else {
            throw error(text, at: text.count, "a space and a schedule must follow the zone")
        }
        // A prefix without a name has always meant UTC.
        let zone = start == end ? ZoneName.utc : String(copying: text, start..<end)
        if start < end, let problem = ZoneName.problem(Array(zone.utf8)[...]) {
            throw error(text, at: start, ZoneError(zone: zone, problem).description)
        }
        let rest = trimmed(text, end..<text.count)
        if rest.isEmpty { throw error(text, at: text.count, "a schedule must follow the zone") }
        if text[rest.lowerBound] == UInt8(ascii: "@") {
            return try descriptor(text, in: rest, zone: zone)
        }
        return .cron(try expression(text, in: rest), zone: zone)
    }

    private func expression(
        _ text: Span<UInt8>, in range: Range<Int>
    ) throws(ScheduleError) -> CronExpression {
        try CronParser(jobName: jobName).expression(text, in: range)
    }

    private func descriptor(
        _ text: Span<UInt8>, in range: Range<Int>, zone: String?
    ) throws(ScheduleError) -> Schedule {
        if hasPrefix(text, "@every ", in: range) {
            return .every(try interval(text, from: range.lowerBound + 7, to: range.upperBound))
        }
        for descriptor in Self.descriptors where matches(text, descriptor, in: range) {
            switch descriptor.schedule {
            case .cron(let expression, _) where zone == nil || descriptor.takesZone:
                return .cron(expression, zone: zone)
            case .manually where zone == nil: return .manually
            default: break
            }
        }
        let word = String(copying: text, range)
        if zone != nil, ["@manually", "@minutely", "@at"].contains(where: word.hasPrefix) {
            throw error(text, at: range.lowerBound, "\(word) takes no zone; leave the prefix out")
        }
        let allowed =
            "allowed are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, "
            + "@minutely, @manually, @every DURATION and @at TIME, each without further text"
        throw error(text, at: range.lowerBound, "\"\(word)\" is not a schedule; \(allowed)")
    }

    /// The duration of `@every`: fractions of a second are cut, and less than a second is one.
    private func interval(
        _ text: Span<UInt8>, from start: Int, to end: Int
    ) throws(ScheduleError) -> Duration {
        do {
            let written = String(copying: text, start..<end)
            return .seconds(Swift.max(1, try DurationText.parse(written).wholeSeconds))
        } catch {
            throw ScheduleError(
                column: column(atByte: start, of: text) + error.column - 1, error.message)
        }
    }

    /// Whether a part of the text begins with a word that lies wholly inside of the part.
    @inline(__always)
    private func hasPrefix(
        _ text: Span<UInt8>, _ prefix: StaticString, in range: Range<Int>
    ) -> Bool {
        let length = prefix.utf8CodeUnitCount
        guard range.count >= length else { return false }
        let start = range.lowerBound
        for index in 0..<length where text[start + index] != prefix.utf8Start[index] {
            return false
        }
        return true
    }

    @inline(__always)
    private func matches(_ text: Span<UInt8>, _ descriptor: Descriptor, in range: Range<Int>)
        -> Bool
    {
        range.count == descriptor.word.utf8CodeUnitCount
            && hasPrefix(text, descriptor.word, in: range)
    }

    private func trimmed(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.upperBound
        var end = range.lowerBound
        var index = range.lowerBound
        while index < range.upperBound {
            let space = text.spaceLength(at: index)
            if space == 0 {
                start = min(start, index)
                end = index + 1
            }
            index += Swift.max(space, 1)
        }
        return start..<Swift.max(start, end)
    }

    private func error(_ text: Span<UInt8>, at offset: Int, _ message: String) -> ScheduleError {
        ScheduleError(column: column(atByte: offset, of: text), message)
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

extension String {
    /// The text of a part of valid UTF-8. A part that cuts a character is mended.
    init(copying text: Span<UInt8>, _ range: Range<Int>) {
        self = text.extracting(range).withUnsafeBufferPointer {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
