// A slow reader of zone files (RFC 8536): all transitions, the footer's rule written out year by
// year, and a search from the end.

struct OracleZone: Sendable {
    struct Change: Sendable {
        /// Seconds since 1970 at which the offset begins.
        var at: Int64
        var offset: Int64
    }

    private(set) var firstOffset: Int64 = 0
    private(set) var changes: [Change] = []

    static let utc = OracleZone(fixedOffset: 0)

    init(fixedOffset: Int64) { firstOffset = fixedOffset }

    /// Reads the second block of a file of version 2 or later.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 44, Array(bytes[0..<4]) == Array("TZif".utf8), bytes[4] >= 0x32 else {
            return nil
        }
        func count(_ base: Int, _ index: Int) -> Int {
            bytes[base + 20 + index * 4..<base + 24 + index * 4].reduce(0) { $0 << 8 | Int($1) }
        }
        // Order of the counts: UT flags, standard flags, leap seconds, times, types, characters.
        var base = 44
        base += count(0, 3) * 5 + count(0, 4) * 6 + count(0, 5) + count(0, 2) * 8 + count(0, 1)
        base += count(0, 0)
        guard bytes.count >= base + 44 else { return nil }
        let times = count(base, 3)
        let types = count(base, 4)
        let tail = count(base, 5) + count(base, 2) * 12 + count(base, 1) + count(base, 0)
        let timesAt = base + 44
        let indicesAt = timesAt + times * 8
        let typesAt = indicesAt + times
        let footerAt = typesAt + types * 6 + tail
        guard types > 0, footerAt <= bytes.count else { return nil }
        func offset(_ type: Int) -> Int64 {
            let raw = bytes[typesAt + type * 6..<typesAt + type * 6 + 4].reduce(UInt32(0)) {
                $0 << 8 | UInt32($1)
            }
            return Int64(Int32(bitPattern: raw))
        }
        firstOffset = offset(0)
        for index in 0..<times {
            let at = bytes[timesAt + index * 8..<timesAt + index * 8 + 8].reduce(UInt64(0)) {
                $0 << 8 | UInt64($1)
            }
            changes.append(
                Change(
                    at: Int64(bitPattern: at), offset: offset(Int(bytes[indicesAt + index]))))
        }
        let footer = bytes[footerAt...].filter { $0 != 0x0a }
        if !footer.isEmpty { append(footer: String(decoding: footer, as: UTF8.self)) }
    }

    /// Writes the footer's rule out until 2160.
    private mutating func append(footer: String) {
        guard let rule = OracleZoneRule(footer) else { return }
        let last = changes.last?.at ?? Int64.min
        guard let daylight = rule.daylight else {
            if changes.isEmpty { firstOffset = rule.standardOffset }
            return
        }
        var derived: [Change] = []
        for year in Int64(1971)...2160 {
            derived.append(
                Change(
                    at: daylight.start.seconds(in: year) - rule.standardOffset,
                    offset: daylight.offset))
            derived.append(
                Change(
                    at: daylight.end.seconds(in: year) - daylight.offset,
                    offset: rule.standardOffset))
        }
        derived.sort { $0.at < $1.at }
        changes.append(contentsOf: derived.filter { $0.at > last })
    }

    func offset(at seconds: Int64) -> Int64 {
        let place = place(after: seconds)
        return place == 0 ? firstOffset : changes[place - 1].offset
    }

    /// How many changes there are up to a second.
    private func place(after seconds: Int64) -> Int {
        var low = 0
        var high = changes.count
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].at <= seconds { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Changes of the offset after `from` and up to `to`, with the offset before each.
    func changes(
        after from: Int64, through to: Int64
    ) -> [(at: Int64, before: Int64, after: Int64)] {
        var found: [(at: Int64, before: Int64, after: Int64)] = []
        let first = place(after: from)
        var before = first == 0 ? firstOffset : changes[first - 1].offset
        for change in changes[first...] {
            if change.at > to { break }
            if change.offset != before {
                found.append((change.at, before, change.offset))
            }
            before = change.offset
        }
        return found
    }
}

/// The rule in a zone file's footer (POSIX `TZ`, as RFC 8536 extends it).
struct OracleZoneRule {
    struct Day {
        enum Kind {
            /// Month, week (5: the last), weekday.
            case month(Int, Int, Int)
            /// 1 ... 365, 29 February never counted.
            case julian(Int)
            /// 0 ... 365.
            case dayOfYear(Int)
        }
        var kind: Kind
        var time: Int64 = 7_200

        /// Local seconds since 1970 in a year.
        func seconds(in year: Int64) -> Int64 {
            let january = OracleCivil.days(year: year, month: 1, day: 1)
            let day: Int64
            switch kind {
            case .dayOfYear(let n): day = january + Int64(n)
            case .julian(let n):
                day = january + Int64(n) - 1 + (OracleCivil.isLeap(year) && n >= 60 ? 1 : 0)
            case .month(let month, let week, let weekday):
                var days: [Int64] = []
                for d in 1...OracleCivil.daysInMonth(year, month) {
                    let number = OracleCivil.days(year: year, month: month, day: d)
                    if OracleCivil.floorModulo(number + 4, 7) == Int64(weekday) {
                        days.append(number)
                    }
                }
                day = week == 5 ? days.last! : days[week - 1]
            }
            return day * 86_400 + time
        }
    }

    var standardOffset: Int64
    var daylight: (offset: Int64, start: Day, end: Day)?

    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        guard Self.skipName(&rest), let standard = Self.clock(&rest) else { return nil }
        standardOffset = -standard
        guard !rest.isEmpty, Self.skipName(&rest) else { return }
        var offset = standardOffset + 3_600
        if let first = rest.first, first != 0x2c {
            guard let explicit = Self.clock(&rest) else { return nil }
            offset = -explicit
        }
        guard let start = Self.day(&rest), let end = Self.day(&rest) else { return nil }
        daylight = (offset, start, end)
    }

    private static func skipName(_ rest: inout ArraySlice<UInt8>) -> Bool {
        if rest.first == 0x3c {
            guard let close = rest.firstIndex(of: 0x3e) else { return false }
            rest = rest[(close + 1)...]
            return true
        }
        let letters = rest.prefix { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7a }
        rest = rest.dropFirst(letters.count)
        return !letters.isEmpty
    }

    /// `[+-]h[:mm[:ss]]` in seconds.
    private static func clock(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        var sign: Int64 = 1
        if rest.first == 0x2b || rest.first == 0x2d {
            sign = rest.removeFirst() == 0x2d ? -1 : 1
        }
        guard var seconds = number(&rest).map({ Int64($0) * 3_600 }) else { return nil }
        for unit in [Int64(60), 1] where rest.first == 0x3a {
            rest.removeFirst()
            guard let value = number(&rest) else { return nil }
            seconds += Int64(value) * unit
        }
        return sign * seconds
    }

    private static func number(_ rest: inout ArraySlice<UInt8>) -> Int? {
        let digits = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
        rest = rest.dropFirst(digits.count)
        return Int(String(decoding: digits, as: UTF8.self))
    }

    private static func day(_ rest: inout ArraySlice<UInt8>) -> Day? {
        guard rest.first == 0x2c else { return nil }
        rest.removeFirst()
        var day: Day
        if rest.first == 0x4d {
            var parts: [Int] = []
            for _ in 0..<3 {
                rest.removeFirst()
                guard let part = number(&rest) else { return nil }
                parts.append(part)
            }
            day = Day(kind: .month(parts[0], parts[1], parts[2]))
        } else if rest.first == 0x4a {
            rest.removeFirst()
            guard let n = number(&rest) else { return nil }
            day = Day(kind: .julian(n))
        } else {
            guard let n = number(&rest) else { return nil }
            day = Day(kind: .dayOfYear(n))
        }
        if rest.first == 0x2f {
            rest.removeFirst()
            guard let time = clock(&rest) else { return nil }
            day.time = time
        }
        return day
    }
}
