// The calendar of the oracle. Nothing here is shared with the core: a common mistake would agree
// with itself.

/// A day and a time of day without a zone.
struct OracleCivil: Hashable {
    var year: Int64
    var month: Int
    var day: Int
    var hour = 0
    var minute = 0
    var second = 0
    /// 0 is Sunday.
    var weekday = 0

    /// The civil time that `seconds` after 1970-01-01T00:00:00 shows.
    init(seconds: Int64) {
        let days = OracleCivil.floorDivide(seconds, 86_400)
        let rest = Int(seconds - days * 86_400)
        weekday = Int(OracleCivil.floorModulo(days + 4, 7))
        hour = rest / 3_600
        minute = rest / 60 % 60
        second = rest % 60
        // Whole cycles of 400 years first, then year by year, then month by month. Counted from
        // 2000 on, which is 10,957 days after 1970 and few years away from most runs.
        let since2000 = days - 10_957
        let cycle = OracleCivil.floorDivide(since2000, 146_097)
        var left = since2000 - cycle * 146_097
        var y = 2000 + cycle * 400
        while left >= OracleCivil.daysInYear(y) {
            left -= OracleCivil.daysInYear(y)
            y += 1
        }
        var m = 1
        while left >= Int64(OracleCivil.daysInMonth(y, m)) {
            left -= Int64(OracleCivil.daysInMonth(y, m))
            m += 1
        }
        year = y
        month = m
        day = Int(left) + 1
    }

    static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    static func daysInYear(_ year: Int64) -> Int64 { isLeap(year) ? 366 : 365 }

    static func daysInMonth(_ year: Int64, _ month: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days from 1970-01-01 to a date, by counting.
    static func days(year: Int64, month: Int, day: Int) -> Int64 {
        let cycle = floorDivide(year - 2000, 400)
        var days = 10_957 + cycle * 146_097
        var y = 2000 + cycle * 400
        while y < year {
            days += daysInYear(y)
            y += 1
        }
        for m in 1..<max(1, month) { days += Int64(daysInMonth(year, m)) }
        return days + Int64(day) - 1
    }

    static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
        a / b - (a % b < 0 ? 1 : 0)
    }

    static func floorModulo(_ a: Int64, _ b: Int64) -> Int64 { a - floorDivide(a, b) * b }
}

/// `2024-03-10T07:00:00Z` with any offset and fraction, to nanoseconds since 1970.
func oracleParseTime(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
        guard range.upperBound <= bytes.count else { return nil }
        var value: Int64 = 0
        for byte in bytes[range] {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + Int64(byte - 48)
        }
        return value
    }
    guard bytes.count >= 20, let year = number(0..<4), let month = number(5..<7),
        let day = number(8..<10), let hour = number(11..<13), let minute = number(14..<16),
        let second = number(17..<19), bytes[10] == 0x54 || bytes[10] == 0x74
    else { return nil }
    guard (1...12).contains(month) else { return nil }
    var position = 19
    var fraction: Int64 = 0
    if bytes[position] == 0x2e {
        position += 1
        var scale: Int64 = 100_000_000
        while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 {
            fraction += Int64(bytes[position] - 48) * scale
            scale /= 10
            position += 1
        }
    }
    guard position < bytes.count else { return nil }
    var offset: Int64 = 0
    if bytes[position] == 0x2b || bytes[position] == 0x2d {
        guard let h = number(position + 1..<position + 3),
            let m = number(position + 4..<position + 6)
        else { return nil }
        offset = (h * 3_600 + m * 60) * (bytes[position] == 0x2b ? 1 : -1)
    }
    if year < 1678 || year > 2261 { return nil }
    let days = OracleCivil.days(year: year, month: Int(month), day: Int(day))
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
    return seconds * 1_000_000_000 + fraction
}

/// A time in UTC, to the second or with what fraction it has.
func oracleTimeText(_ nanoseconds: Int64) -> String {
    let seconds = OracleCivil.floorDivide(nanoseconds, 1_000_000_000)
    let civil = OracleCivil(seconds: seconds)
    func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
    var text = "\(civil.year)-\(two(civil.month))-\(two(civil.day))T"
    text += "\(two(civil.hour)):\(two(civil.minute)):\(two(civil.second))"
    let fraction = nanoseconds - seconds * 1_000_000_000
    if fraction != 0 {
        var digits = String(fraction)
        digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        text += "." + digits
    }
    return text + "Z"
}
