// From the fields of a cron expression to bit sets. The grammar is that of crontab(5) with a field
// for seconds in front, `?` as another `*`, and `~`, which picks a value by the job's name.

/// Reads the fields of one expression. Offsets are bytes of the whole schedule's text, which every
/// step is handed: a span can't be kept.
struct CronParser {
    let jobName: JobName

    /// One field as a bit set.
    private struct Values {
        var bits: UInt64 = 0
        /// An item stands for all values: `*`, `?`, either with step 1.
        var hasStar = false
        /// Every item begins with `*` or `?`.
        var onlyStars = true
        var usesName = false
    }

    /// Reads five or six fields between two offsets.
    func expression(
        _ text: Span<UInt8>, in range: Range<Int>
    ) throws(ScheduleError) -> CronExpression {
        let fields = split(text, range)
        guard fields.count == 5 || fields.count == 6 else {
            throw wrongCount(text, fields, in: range)
        }
        let isCrontab = fields.count == 5
        let first = isCrontab ? 0 : 1
        let second = isCrontab ? Values(bits: 1) : try values(text, .second, in: fields[0])
        let minute = try values(text, .minute, in: fields[first])
        let hour = try values(text, .hour, in: fields[first + 1])
        let day = try values(text, .day, in: fields[first + 2])
        let month = try values(text, .month, in: fields[first + 3])
        let weekday = try values(text, .weekday, in: fields[first + 4])
        // Between two restricted day fields either suffices, so one of them may be empty.
        if day.bits == 0, weekday.hasStar || weekday.bits == 0 {
            throw empty(text, .day, fields[first + 2])
        }
        if weekday.bits == 0, day.hasStar { throw empty(text, .weekday, fields[first + 4]) }
        if weekday.hasStar || weekday.bits == 0, !dayExists(day.bits, months: month.bits) {
            throw error(
                text, at: fields[first + 2].lowerBound,
                "none of these days of the month exists in the months given")
        }
        return CronExpression(
            seconds: second.bits, minutes: minute.bits, hours: hour.bits, days: day.bits,
            months: month.bits, weekdays: weekday.bits,
            hasStarredDay: day.hasStar || weekday.hasStar, hasStarredHours: hour.onlyStars,
            usesName: second.usesName || minute.usesName || hour.usesName || day.usesName
                || month.usesName || weekday.usesName,
            form: isCrontab ? .crontab : .seconds)
    }

    private func wrongCount(
        _ text: Span<UInt8>, _ fields: Fields, in range: Range<Int>
    ) -> ScheduleError {
        let needed =
            "needed are six fields (second minute hour day-of-month month day-of-week), "
            + "or five without the second"
        if fields.count > 6 {
            return error(text, at: fields[6].lowerBound, "one field too many; \(needed)")
        }
        if fields.count == 0 {
            return error(text, at: range.lowerBound, "the schedule is empty; \(needed)")
        }
        let found = fields.count == 1 ? "only 1 field" : "only \(fields.count) fields"
        return error(text, at: fields[fields.count - 1].upperBound, "\(found); \(needed)")
    }

    /// The places of the fields, without a heap allocation.
    private struct Fields {
        private var ranges = InlineArray<7, Range<Int>>(repeating: 0..<0)
        private(set) var count = 0

        subscript(index: Int) -> Range<Int> { ranges[index] }

        mutating func append(_ range: Range<Int>) {
            ranges[count] = range
            count += 1
        }
    }

    /// Cuts at runs of white space; at most seven pieces, which is one too many.
    private func split(_ text: Span<UInt8>, _ range: Range<Int>) -> Fields {
        var fields = Fields()
        var start = -1
        var index = range.lowerBound
        while index < range.upperBound {
            let space = text.spaceLength(at: index)
            if space == 0 {
                if start < 0 { start = index }
                index &+= 1
                continue
            }
            if start >= 0 { fields.append(start..<index) }
            start = -1
            if fields.count > 6 { return fields }
            index &+= space
        }
        if start >= 0 { fields.append(start..<range.upperBound) }
        return fields
    }

    /// Whether some month of the set has some day of the set, in a leap year at least.
    private func dayExists(_ days: UInt64, months: UInt64) -> Bool {
        var left = months
        while left != 0 {
            let length = CivilDate.daysInMonth(year: 2_000, month: left.trailingZeroBitCount)
            if days & ((2 << UInt64(length)) - 1) != 0 { return true }
            left &= left - 1
        }
        return false
    }

    private func values(
        _ text: Span<UInt8>, _ field: CronField, in range: Range<Int>
    ) throws(ScheduleError) -> Values {
        var result = Values()
        if range.count == 1, text[range.lowerBound] == UInt8(ascii: "*") {
            result.bits = field.all
            result.hasStar = true
            return result
        }
        var start = range.lowerBound
        for end in range.lowerBound...range.upperBound {
            guard end == range.upperBound || text[end] == UInt8(ascii: ",") else { continue }
            // Empty items are nothing: `1,,2` is `1,2`.
            if end > start { try add(text, field, start..<end, to: &result) }
            start = end + 1
        }
        if result.bits == 0, field != .day, field != .weekday { throw empty(text, field, range) }
        return result
    }

    private func empty(
        _ text: Span<UInt8>, _ field: CronField, _ range: Range<Int>
    ) -> ScheduleError {
        let message = "this \(field.name) has no value and would never match"
        return error(text, at: range.lowerBound, "\(message); allowed are \(field.allowed)")
    }

    private func add(
        _ text: Span<UInt8>, _ field: CronField, _ item: Range<Int>, to result: inout Values
    ) throws(ScheduleError) {
        switch text[item.lowerBound] {
        case UInt8(ascii: "*"), UInt8(ascii: "?"):
            let step = try step(text, after: item.lowerBound + 1, item.upperBound)
            result.bits |= every(step, from: field.lowest, to: field.highest)
            if step == 1 { result.hasStar = true }
        case UInt8(ascii: "~"):
            result.onlyStars = false
            result.usesName = true
            let offset = item.lowerBound + 1
            guard offset < item.upperBound else {
                result.bits |= 1 << UInt64(field.lowest + spread(field, over: field.spread))
                return
            }
            // A step longer than the field leaves one value, as `*/n` does.
            let step = try step(text, after: offset, item.upperBound)
            let first = field.lowest + spread(field, over: min(step, field.spread))
            result.bits |= every(step, from: first, to: field.highest)
        default:
            result.onlyStars = false
            try addValues(text, field, item, to: &result)
        }
    }

    /// `n`, `n/s`, `a-b`, `a-b/s` or `a~b`.
    private func addValues(
        _ text: Span<UInt8>, _ field: CronField, _ item: Range<Int>, to result: inout Values
    ) throws(ScheduleError) {
        var position = item.lowerBound
        let low = try value(text, field, &position, item.upperBound)
        guard position < item.upperBound else { return result.bits |= bit(low, field) }
        let mark = text[position]
        if mark == UInt8(ascii: "/") {
            let step = try step(text, after: position, item.upperBound)
            if low > field.highest { return result.bits |= bit(low, field) }
            result.bits |= every(step, from: low, to: field.highest)
            return
        }
        position += 1
        let high = try value(text, field, &position, item.upperBound)
        guard low <= high else {
            throw error(
                text, at: item.lowerBound,
                "the range runs backward; split it in two, such as \(field.splitRange)")
        }
        if mark == UInt8(ascii: "~") {
            guard position == item.upperBound else {
                throw error(text, at: position, "nothing may follow a~b")
            }
            result.usesName = true
            result.bits |= bit(low + spread(field, over: high - low + 1), field)
            return
        }
        let step = try step(text, after: position, item.upperBound)
        let bits = every(step, from: low, to: high)
        result.bits |= (bits & field.all) | (bits > field.all ? bit(high, field) : 0)
    }

    /// A number or name, up to a mark or the end of its item.
    private func value(
        _ text: Span<UInt8>, _ field: CronField, _ position: inout Int, _ end: Int
    ) throws(ScheduleError) -> Int {
        let start = position
        while position < end, !isMark(text[position]) { position += 1 }
        let token = start..<position
        if token.isEmpty {
            throw error(
                text, at: start, "\(field.indefinite) is needed here; allowed are \(field.allowed)")
        }
        guard let value = number(text, token) ?? field.value(ofName: text.extracting(token)) else {
            throw error(
                text, at: start,
                "\(quoted(text, token)) is not \(field.indefinite); allowed are \(field.allowed)")
        }
        guard value >= field.lowest, value <= field.highestWritten else {
            throw error(
                text, at: start,
                "\(field.name) \(quoted(text, token)) is out of range; allowed are \(field.allowed)"
            )
        }
        return value
    }

    /// The step written as `/s` from an offset to the end of an item; 1 when nothing is written.
    private func step(
        _ text: Span<UInt8>, after offset: Int, _ end: Int
    ) throws(ScheduleError) -> Int {
        if offset == end { return 1 }
        guard text[offset] == UInt8(ascii: "/") else {
            throw error(
                text, at: offset,
                "only a step may follow here, such as /15, not \(quoted(text, offset..<end))")
        }
        let token = (offset + 1)..<end
        guard let step = number(text, token), step > 0 else {
            throw error(
                text, at: offset + 1,
                "\(quoted(text, token)) is not a step; needed is a whole number from 1")
        }
        return step
    }

    /// Digits with an optional plus sign; numbers that no field can hold are all as good as 10,000.
    @inline(__always)
    private func number(_ text: Span<UInt8>, _ token: Range<Int>) -> Int? {
        var index = token.lowerBound
        if index < token.upperBound, text[index] == UInt8(ascii: "+") { index += 1 }
        guard index < token.upperBound else { return nil }
        var value = 0
        while index < token.upperBound {
            let digit = Int(text[index]) - 0x30
            guard digit >= 0, digit <= 9 else { return nil }
            value = min(value * 10 + digit, 10_000)
            index += 1
        }
        return value
    }

    private func isMark(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "~")
    }

    /// The bits of low, low + step, … up to high.
    private func every(_ step: Int, from low: Int, to high: Int) -> UInt64 {
        if step == 1 { return (2 << UInt64(high)) - (1 << UInt64(low)) }
        var bits: UInt64 = 0
        var value = low
        while value <= high {
            bits |= 1 << UInt64(value)
            value += step
        }
        return bits
    }

    /// The bit of one written value: 7 is Sunday, which is 0.
    private func bit(_ value: Int, _ field: CronField) -> UInt64 {
        1 << UInt64(value > field.highest ? field.lowest : value)
    }

    /// A number from 0 up to `count`, exclusive, that depends on the job's name and the field only.
    private func spread(_ field: CronField, over count: Int) -> Int {
        var hash = SipHash()
        hash.absorb(jobName.text)
        hash.absorb(0 as UInt8)
        hash.absorb(field.rawValue)
        return Int(hash.finish().multipliedFullWidth(by: UInt64(count)).high)
    }

    private func quoted(_ text: Span<UInt8>, _ token: Range<Int>) -> String {
        "\"" + String(copying: text, token) + "\""
    }

    private func error(_ text: Span<UInt8>, at offset: Int, _ message: String) -> ScheduleError {
        ScheduleError(column: column(atByte: offset, of: text), message)
    }
}

extension Span<UInt8> {
    /// The length of the white-space character of Unicode at an offset of UTF-8; 0 if there is
    /// another character.
    @inline(__always)
    func spaceLength(at offset: Int) -> Int {
        let byte = self[offset]
        if byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) { return 1 }
        return byte < 0x80 ? 0 : wideSpaceLength(at: offset)
    }

    private func wideSpaceLength(at offset: Int) -> Int {
        let second = offset + 1 < count ? self[offset + 1] : 0
        let third = offset + 2 < count ? self[offset + 2] : 0
        switch (self[offset], second, third) {
        case (0xC2, 0x85, _), (0xC2, 0xA0, _): return 2  // U+0085, U+00A0
        case (0xE1, 0x9A, 0x80): return 3  // U+1680
        case (0xE2, 0x80, 0x80...0x8A): return 3  // U+2000 to U+200A
        case (0xE2, 0x80, 0xA8), (0xE2, 0x80, 0xA9), (0xE2, 0x80, 0xAF): return 3
        case (0xE2, 0x81, 0x9F): return 3  // U+205F
        case (0xE3, 0x80, 0x80): return 3  // U+3000
        default: return 0
        }
    }
}
