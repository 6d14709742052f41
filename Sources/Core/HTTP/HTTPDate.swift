// Dates as HTTP writes them (IMF-fixdate, RFC 9110 section 5.6.7).

package enum HTTPDate {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    package static func text(_ time: WallTime) -> String {
        var bytes: [UInt8] = []
        append(time, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func append(_ time: WallTime, to bytes: inout [UInt8]) {
        let seconds = time.seconds
        let secondOfDay = Int(remainder(seconds, 86_400))
        let day = (seconds - Int64(secondOfDay)) / 86_400
        let date = civilDate(day)
        // 1 January 1970 was a Thursday.
        bytes.append(contentsOf: weekdays[Int(remainder(day + 4, 7))].utf8)
        bytes.append(contentsOf: ", ".utf8)
        twoDigits(date.day, to: &bytes)
        bytes.append(0x20)
        bytes.append(contentsOf: months[date.month - 1].utf8)
        bytes.append(0x20)
        // Wall times lie in the years 1678 to 2261: always four digits.
        twoDigits(date.year / 100, to: &bytes)
        twoDigits(date.year % 100, to: &bytes)
        bytes.append(0x20)
        twoDigits(secondOfDay / 3600, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        twoDigits(secondOfDay / 60 % 60, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        twoDigits(secondOfDay % 60, to: &bytes)
        bytes.append(contentsOf: " GMT".utf8)
    }

    /// The Gregorian date of a day counted from 1 January 1970. Years are counted from 1 March,
    /// so that the leap day is the last of its year and months follow one linear rule.
    private static func civilDate(_ day: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = Int(day) + 719_468  // days since 1 March of year 0
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    private static func remainder(_ a: Int64, _ b: Int64) -> Int64 {
        let result = a % b
        return result < 0 ? result + b : result
    }

    private static func twoDigits(_ value: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "0") + UInt8(value / 10 % 10))
        bytes.append(UInt8(ascii: "0") + UInt8(value % 10))
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
