// What is compared by its form: values that differ by nature, and members that are ours alone.

import Glibc

/// The forms that `http-members.tsv` may ask for. None of them takes whatever comes.
enum Format: String, CaseIterable {
    /// RFC 3339 in UTC, decimals without zeros at the end, within days of the recording or of now:
    /// neither the zero time nor one that somebody asked for is a value that differs by nature.
    case time
    /// `<19 digits>-node1`.
    case executionID = "execution-id"
    /// A number of nanoseconds since 1970, as a number or as a text.
    case group
    case groupText = "group-text"
    /// Semantic versioning.
    case version
    case count
    /// Lower-case letters and underscores.
    case word
    case duration
    case durationOrNull = "duration-or-null"
    case timeOrNull = "time-or-null"
    case boolOrNull = "bool-or-null"
    /// Begins with a capital, ends with a full stop or a question mark.
    case sentence
    case sentences
    /// An error of the operating system or of a run, in words.
    case words
    /// An object whose values are texts.
    case texts
    case entityTag = "entity-tag"
    case httpDate = "http-date"
    /// `close`, for which the client asks.
    case close

    /// Whether a value has this form; strings come with their quotation marks.
    func admits(_ value: RawJSON) -> Bool {
        switch self {
        case .sentences:
            return value.elements?.isEmpty == false
                && value.elements!.allSatisfy(Format.sentence.admits)
        case .texts:
            let members = value.members
            return !members.isEmpty && members.allSatisfy { $0.value.isString }
        default: break
        }
        guard case .scalar(let raw) = value, let plain = value.plain else { return false }
        switch self {
        case .count, .group:
            return !value.isString && isScalar(plain)
        case .durationOrNull: return raw == "null" || Format.duration.admits(value)
        case .timeOrNull: return raw == "null" || Format.time.admits(value)
        case .boolOrNull: return ["null", "true", "false"].contains(raw)
        default: return value.isString && isScalar(plain)
        }
    }

    /// The same for a header, which is a text.
    func admits(header value: String) -> Bool { isScalar(value) }

    private func isScalar(_ text: String) -> Bool {
        switch self {
        case .time: Self.isTime(text)
        case .executionID:
            text.hasSuffix("-node1") && Format.group.isScalar(String(text.dropLast(6)))
        case .group, .groupText: text.count == 19 && text.first == "1" && Self.isDigits(text)
        case .version: text.wholeMatch(of: /\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?/) != nil
        case .count: Self.isDigits(text) && (text == "0" || text.first != "0")
        case .word: text.wholeMatch(of: /[a-z]+(_[a-z]+)*/) != nil
        case .duration:
            text.wholeMatch(of: /(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs|ns)/) != nil
        case .sentence:
            text.first?.isUppercase == true && (text.hasSuffix(".") || text.hasSuffix("?"))
        case .words: text.contains(" ") && text.first?.isWhitespace == false
        case .entityTag: text.wholeMatch(of: /"\d+-\d+"/) != nil
        case .httpDate:
            text.wholeMatch(of: /[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/)
                != nil
        case .close: text == "close"
        case .durationOrNull, .timeOrNull, .boolOrNull, .sentences, .texts: false
        }
    }

    private static func isDigits(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isTime(_ text: String) -> Bool {
        let form = /(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z/
        guard let match = text.wholeMatch(of: form), let year = Int(match.1),
            let month = Int(match.2), let date = Int(match.3)
        else { return false }
        let day = Self.day(year, month, date)
        return abs(day - recordingDay) <= 7 || abs(day - today) <= 7
    }

    /// Counts days, a month having 31: tells what is near to within four.
    private static func day(_ year: Int, _ month: Int, _ date: Int) -> Int {
        (year * 12 + month) * 31 + date
    }

    private static let recordingDay = day(2026, 11, 21)

    private static var today: Int {
        var now = Glibc.time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        return day(Int(parts.tm_year) + 1_900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
    }
}

extension RawJSON {
    var isString: Bool {
        if case .scalar(let text) = self { text.hasPrefix("\"") } else { false }
    }
}

/// Which members and headers are compared by their form, and which are ours alone.
struct MemberRules {
    struct Rule {
        var shape: String
        var member: String
        var format: Format
        /// What explains a member of ours; empty for one of Dkron's that differs by nature.
        var why: String
        /// Equal values of the record must be equal values of ours: ids, groups, times of runs.
        var isBound: Bool
        var line: Int
    }

    let rules: [Rule]

    /// Errors: a line that is no rule.
    init(_ table: Table) throws {
        rules = try table.rows.map { row in
            guard row.cells.count == 4, let format = Format(rawValue: row.cells[2]),
                !row.cells[0].contains("*"), !row.cells[1].contains("*"), !row.cells[3].isEmpty
            else { throw Malformed(line: row.line) }
            let why = row.cells[3]
            let isTheirs = why == "volatile" || why == "bound"
            return Rule(
                shape: row.cells[0], member: row.cells[1], format: format,
                why: isTheirs ? "" : why, isBound: why == "bound", line: row.line)
        }
    }

    struct Malformed: Error { var line: Int }

    /// The rule for a member of Dkron's.
    func theirs(_ shape: String, _ member: String) -> Rule? {
        rules.first { $0.why.isEmpty && $0.shape == shape && $0.member == member }
    }

    /// The rules for members of ours, in the order in which they follow Dkron's.
    func ours(_ shape: String) -> [Rule] {
        rules.filter { !$0.why.isEmpty && $0.shape == shape }
    }
}
