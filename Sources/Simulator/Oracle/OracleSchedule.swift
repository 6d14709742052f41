// The naive cron: a schedule is read by plain string rules, and every minute of a stretch of time
// is asked whether it matches. Slow and obvious on purpose.

struct OracleSchedule: Sendable {
    enum Form: Sendable {
        case never
        case at(nanoseconds: Int64)
        /// Whole seconds.
        case every(Int64)
        case fields(Fields)
    }

    struct Fields: Sendable {
        var second: [Bool]
        var minute: [Bool]
        var hour: [Bool]
        var day: [Bool]
        var month: [Bool]
        var weekday: [Bool]
        var dayHasStar: Bool
        var weekdayHasStar: Bool
        /// Every item of the hour field begins with `*` or `?`.
        var hourIsOpen: Bool

        func matchesDate(_ civil: OracleCivil) -> Bool {
            guard month[civil.month] else { return false }
            let d = day[civil.day]
            let w = weekday[civil.weekday]
            return dayHasStar || weekdayHasStar ? d && w : d || w
        }

        func matches(_ civil: OracleCivil) -> Bool {
            matchesDate(civil) && hour[civil.hour] && minute[civil.minute]
                && second[civil.second]
        }
    }

    var form: Form
    /// The zone named in the schedule itself, if one is.
    var zoneName: String?

    /// Reads a schedule that the core accepted. Nil if the oracle can't make sense of it.
    init?(_ text: String, jobName: String = "") {
        form = .never
        var rest = Substring(text)
        while rest.first == " " { rest = rest.dropFirst() }
        for prefix in ["CRON_TZ=", "TZ="] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
            let name = rest.prefix { $0 != " " && $0 != "\t" }
            zoneName = String(name)
            rest = rest.dropFirst(name.count)
            while let first = rest.first, first == " " || first == "\t" { rest = rest.dropFirst() }
        }
        if rest.hasPrefix("@at ") {
            guard let at = oracleParseTime(String(rest.dropFirst(4))) else { return nil }
            form = .at(nanoseconds: at)
        } else if rest.hasPrefix("@every ") {
            guard let length = Self.goDuration(rest.dropFirst(7)) else { return nil }
            form = .every(max(1, length / 1_000_000_000))
        } else if rest == "@manually" {
            form = .never
        } else {
            let descriptors = [
                "@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *",
                "@weekly": "0 0 0 * * 0", "@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *",
                "@hourly": "0 0 * * * *", "@minutely": "0 * * * * *",
            ]
            let line = descriptors[String(rest)] ?? String(rest)
            guard let fields = Self.fields(line, jobName: jobName) else { return nil }
            form = .fields(fields)
        }
    }

    // MARK: Reading

    private static func fields(_ line: String, jobName: String) -> Fields? {
        var parts = line.split { $0 == " " || $0 == "\t" }.map(String.init)
        if parts.count == 5 { parts.insert("0", at: 0) }
        guard parts.count == 6 else { return nil }
        let months = [
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ]
        let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
        let ranges = [0...59, 0...59, 0...23, 1...31, 1...12, 0...7]
        var sets: [[Bool]] = []
        var stars: [Bool] = []
        for (index, part) in parts.enumerated() {
            var set = [Bool](repeating: false, count: 61)
            var hasStar = false
            let names = index == 4 ? months : index == 5 ? days : []
            let nameBase = index == 4 ? 1 : 0
            for item in part.split(separator: ",") {
                guard
                    let (values, star) = singleItem(
                        String(item), index, ranges[index], names, nameBase, jobName)
                else { return nil }
                for value in values { set[index == 5 && value == 7 ? 0 : value] = true }
                hasStar = hasStar || star
            }
            sets.append(set)
            stars.append(hasStar)
        }
        let open = parts[2].split(separator: ",").allSatisfy {
            $0.hasPrefix("*") || $0.hasPrefix("?")
        }
        return Fields(
            second: sets[0], minute: sets[1], hour: sets[2], day: sets[3], month: sets[4],
            weekday: sets[5], dayHasStar: stars[3], weekdayHasStar: stars[5], hourIsOpen: open)
    }

    private static func singleItem(
        _ item: String, _ field: Int, _ range: ClosedRange<Int>, _ names: [String],
        _ nameBase: Int, _ jobName: String
    ) -> (values: [Int], star: Bool)? {
        func value(_ text: some StringProtocol) -> Int? {
            if let named = names.firstIndex(of: text.lowercased()) { return named + nameBase }
            return Int(text)
        }
        let pieces = item.split(separator: "/", omittingEmptySubsequences: false)
        guard pieces.count <= 2, let body = pieces.first else { return nil }
        var step = 1
        if pieces.count == 2 {
            guard let given = Int(pieces[1]), given > 0 else { return nil }
            step = given
        }
        let top = field == 5 ? 6 : range.upperBound
        if body.contains("~") {
            return hashed(
                body, step: pieces.count == 2 ? step : nil, field, range.lowerBound...top, value,
                jobName)
        }
        if body == "*" || body == "?" {
            return (Array(stride(from: range.lowerBound, through: top, by: step)), step == 1)
        }
        let ends = body.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2, let low = value(ends[0]), range.contains(low) else { return nil }
        var high = pieces.count == 2 ? max(top, low) : low
        if ends.count == 2 {
            guard let given = value(ends[1]), range.contains(given), given >= low else {
                return nil
            }
            high = given
        }
        return (Array(stride(from: low, through: high, by: step)), false)
    }

    private static func hashed(
        _ body: Substring, step: Int?, _ field: Int, _ range: ClosedRange<Int>,
        _ value: (Substring) -> Int?, _ jobName: String
    ) -> (values: [Int], star: Bool)? {
        let hash = oracleSipHash(Array(jobName.utf8) + [0, UInt8(field)])
        var low = range.lowerBound
        var high = field == 3 ? 28 : range.upperBound
        if body != "~" {
            let ends = body.split(separator: "~", omittingEmptySubsequences: false)
            guard ends.count == 2, let a = value(ends[0]), let b = value(ends[1]), a <= b else {
                return nil
            }
            low = a
            high = b
        }
        if let step {
            let offset = Int(hash.multipliedFullWidth(by: UInt64(step)).high)
            let end = body == "~" ? range.upperBound : high
            return (Array(stride(from: low + offset, through: end, by: step)), false)
        }
        let chosen = Int(hash.multipliedFullWidth(by: UInt64(high - low + 1)).high)
        return ([low + chosen], false)
    }

    /// Go's duration syntax, in nanoseconds.
    static func goDuration(_ text: Substring) -> Int64? {
        var rest = text
        var sign: Int64 = 1
        if rest.first == "-" || rest.first == "+" {
            sign = rest.first == "-" ? -1 : 1
            rest = rest.dropFirst()
        }
        if rest == "0" { return 0 }
        guard !rest.isEmpty else { return nil }
        let units: [(String, Int64)] = [
            ("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000), ("ms", 1_000_000),
            ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ]
        var total: Int64 = 0
        while !rest.isEmpty {
            let number = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let name = rest.prefix { !$0.isNumber && $0 != "." }
            rest = rest.dropFirst(name.count)
            guard let unit = units.first(where: { $0.0 == name })?.1 else { return nil }
            let parts = number.split(separator: ".", omittingEmptySubsequences: false)
            guard let first = parts.first, parts.count <= 2 else { return nil }
            total += (Int64(first) ?? 0) * unit
            guard parts.count == 2 else { continue }
            var scale = unit
            for digit in parts[1] {
                scale /= 10
                total += Int64(digit.wholeNumberValue ?? 0) * scale
            }
        }
        return sign * total
    }
}

/// SipHash-2-4 with a zero key, written once more.
func oracleSipHash(_ message: [UInt8]) -> UInt64 {
    var v: [UInt64] = [
        0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261,
        0x7465_6462_7974_6573,
    ]
    func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
    func round() {
        v[0] &+= v[1]; v[1] = rotate(v[1], 13) ^ v[0]; v[0] = rotate(v[0], 32)
        v[2] &+= v[3]; v[3] = rotate(v[3], 16) ^ v[2]
        v[0] &+= v[3]; v[3] = rotate(v[3], 21) ^ v[0]
        v[2] &+= v[1]; v[1] = rotate(v[1], 17) ^ v[2]; v[2] = rotate(v[2], 32)
    }
    var padded = message
    while padded.count % 8 != 7 { padded.append(0) }
    padded.append(UInt8(truncatingIfNeeded: message.count))
    for start in stride(from: 0, to: padded.count, by: 8) {
        var word: UInt64 = 0
        for index in (0..<8).reversed() { word = word << 8 | UInt64(padded[start + index]) }
        v[3] ^= word
        round()
        round()
        v[0] ^= word
    }
    v[2] ^= 0xff
    for _ in 0..<4 { round() }
    return v[0] ^ v[1] ^ v[2] ^ v[3]
}
