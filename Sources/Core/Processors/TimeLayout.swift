/// How a time is printed, written as Go's package `time` has it: as the time Mon Jan 2 15:04:05
/// 2006 would be. All times are of UTC.
struct TimeLayout: Hashable, Sendable {
    private enum Piece: Hashable, Sendable {
        case text(String)
        case part(Part)
        /// The fraction of the second behind a point; without zeros at its end if `isCut`.
        case fraction(point: String, digits: Int, isCut: Bool)
    }

    /// The raw value is how the layout writes it.
    private enum Part: String, CaseIterable, Sendable {
        case monthName = "January"
        case shortMonthName = "Jan"
        case dayName = "Monday"
        case shortDayName = "Mon"
        case zoneName = "MST"
        case month = "01"
        case day = "02"
        case dayOfYear = "002"
        case hourOfHalf = "03"
        case minute = "04"
        case second = "05"
        case shortYear = "06"
        case hour = "15"
        case year = "2006"
        case paddedDay = "_2"
        case plainDay = "2"
        case plainMonth = "1"
        case plainHourOfHalf = "3"
        case plainMinute = "4"
        case plainSecond = "5"
        case half = "PM"
        case lowerHalf = "pm"
        case zulu = "Z07:00"
        case shortZulu = "Z0700"
        case offset = "-07:00"
        case shortOffset = "-0700"
        case hoursOfOffset = "-07"

        /// Of those that begin alike the longer come first.
        static let longestFirst = allCases.sorted {
            ($1.rawValue.utf8.count, $0.rawValue) < ($0.rawValue.utf8.count, $1.rawValue)
        }
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ]
    private static let days = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    /// 1 January of the year 1, which Go takes for no time, in days from 1970 on.
    private static let none = -719_162

    private var pieces: [Piece] = []

    /// What is no part of a time stands for itself. Linear in the text.
    init(_ text: String) {
        var rest = text[...]
        var plain = ""
        while let first = rest.first {
            let found = Self.fraction(rest) ?? Self.part(rest)
            guard let found else {
                plain.append(first)
                rest = rest.dropFirst()
                continue
            }
            if !plain.isEmpty { pieces.append(.text(plain)) }
            plain = ""
            pieces.append(found.piece)
            rest = rest.dropFirst(found.length)
        }
        if !plain.isEmpty { pieces.append(.text(plain)) }
    }

    private static func part(_ text: Substring) -> (piece: Piece, length: Int)? {
        for part in Part.longestFirst where text.hasPrefix(part.rawValue) {
            let length = part.rawValue.count
            let next = text.dropFirst(length)
            switch part {
            // Of a word like "Month" nothing is meant; "_2006" is a year behind a line.
            case .shortMonthName, .shortDayName:
                if let letter = next.first, ("a"..."z").contains(letter) { continue }
            case .paddedDay where next.hasPrefix("006"): continue
            default: break
            }
            return (.part(part), length)
        }
        return nil
    }

    /// `.000` or `,999`, where no other digit follows.
    private static func fraction(_ text: Substring) -> (piece: Piece, length: Int)? {
        guard let point = text.first, point == "." || point == ",",
            let digit = text.dropFirst().first, digit == "0" || digit == "9"
        else { return nil }
        let count = text.dropFirst().prefix { $0 == digit }.count
        if let next = text.dropFirst(1 + count).first, ("0"..."9").contains(next) { return nil }
        let piece = Piece.fraction(
            point: String(point), digits: min(count, 9), isCut: digit == "9")
        return (piece, 1 + count)
    }

    // MARK: Printing

    /// A time in this layout; of none what Go prints for it.
    func text(_ time: WallTime?) -> String {
        let seconds = time?.seconds ?? Int64(Self.none) * 86_400
        let second = Int((seconds % 86_400 + 86_400) % 86_400)
        let days = Int((seconds - Int64(second)) / 86_400)
        var result = ""
        for piece in pieces {
            switch piece {
            case .text(let text): result += text
            case .fraction(let point, let count, let isCut):
                var digits = Self.padded(Int(time?.subsecond ?? 0), 9).prefix(count)
                if isCut { while digits.last == "0" { digits.removeLast() } }
                if !digits.isEmpty { result += point + digits }
            case .part(let part):
                result += Self.dayText(part, days) ?? Self.timeText(part, second)
            }
        }
        return result
    }

    private static func padded(_ value: Int, _ width: Int = 2, with filler: Character = "0")
        -> String
    {
        let digits = "\(value)"
        return String(repeating: filler, count: max(0, width - digits.utf8.count)) + digits
    }

    /// Nil for parts of the time of day.
    private static func dayText(_ part: Part, _ days: Int) -> String? {
        let date = CivilDate(days: days)
        let weekday = CivilDate.weekday(days: days)
        return switch part {
        case .monthName: months[date.month - 1]
        case .shortMonthName: String(months[date.month - 1].prefix(3))
        case .dayName: Self.days[weekday]
        case .shortDayName: String(Self.days[weekday].prefix(3))
        case .month: padded(date.month)
        case .day: padded(date.day)
        case .dayOfYear:
            padded(days - CivilDate(year: date.year, month: 1, day: 1).days + 1, 3)
        case .shortYear: padded(date.year % 100)
        case .year: padded(date.year, 4)
        case .paddedDay: padded(date.day, with: " ")
        case .plainDay: "\(date.day)"
        case .plainMonth: "\(date.month)"
        default: nil
        }
    }

    private static func timeText(_ part: Part, _ second: Int) -> String {
        let hour = second / 3_600
        let hourOfHalf = (hour + 11) % 12 + 1
        return switch part {
        case .hour: padded(hour)
        case .hourOfHalf: padded(hourOfHalf)
        case .plainHourOfHalf: "\(hourOfHalf)"
        case .minute: padded(second / 60 % 60)
        case .plainMinute: "\(second / 60 % 60)"
        case .second: padded(second % 60)
        case .plainSecond: "\(second % 60)"
        case .half: hour < 12 ? "AM" : "PM"
        case .lowerHalf: hour < 12 ? "am" : "pm"
        case .zulu, .shortZulu: "Z"
        case .offset: "+00:00"
        case .shortOffset: "+0000"
        case .hoursOfOffset: "+00"
        default: "UTC"
        }
    }
}
