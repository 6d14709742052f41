// The footer of a zone file: a POSIX `TZ` string as RFC 8536 section 3.3 restricts and extends it,
// such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<-02>2<-01>,M3.5.0/-1,M10.5.0/0`.

/// A rule for all years: standard time, and perhaps saving time between two moments of each year.
struct PosixZone: Hashable, Sendable {
    /// Seconds east of Greenwich (the text counts west).
    let standard: Int64
    let saving: Saving?

    struct Saving: Hashable, Sendable {
        /// Seconds east of Greenwich. Below `standard` in zones with negative saving.
        let offset: Int64
        let start: YearlyMoment
        let end: YearlyMoment
    }

    init(_ bytes: [UInt8]) throws(ZoneFileError) {
        var reader = PosixReader(bytes)
        try reader.name()
        standard = -(try reader.time(hours: 24))
        if reader.atEnd {
            saving = nil
            return
        }
        try reader.name()
        let offset = reader.next(is: ",") ? standard + 3_600 : -(try reader.time(hours: 24))
        try reader.expect(",")
        let start = try reader.moment()
        try reader.expect(",")
        let end = try reader.moment()
        guard reader.atEnd else { throw PosixReader.malformed }
        saving = Saving(offset: offset, start: start, end: end)
    }

    /// All changes after an instant up to the end of representable time, ascending.
    func transitions(after instant: Int64) -> [ZoneTransition] {
        guard let saving else { return [] }
        let firstYear = CivilDate(days: Int(flooredQuotient(instant, 86_400))).year - 1
        let lastYear = 2_263
        var result: [ZoneTransition] = []
        for year in firstYear...Swift.max(firstYear, lastYear) {
            let starts = ZoneTransition(
                at: saving.start.local(inYear: year) - standard, offset: saving.offset)
            let ends = ZoneTransition(
                at: saving.end.local(inYear: year) - saving.offset, offset: standard)
            if starts.at <= ends.at {
                insert(starts, into: &result)
                insert(ends, into: &result)
            } else {
                insert(ends, into: &result)
                insert(starts, into: &result)
            }
        }
        result.removeAll { $0.at <= instant || $0.at > ZoneRules.reach }
        return result
    }

    /// Keeps the list ascending though a rule's moments may reach into a neighbouring year; of two
    /// changes at one instant the later year's holds (saving time all year round ends and begins
    /// again at the same instant).
    private func insert(_ transition: ZoneTransition, into list: inout [ZoneTransition]) {
        var place = list.count
        while place > 0, list[place - 1].at > transition.at { place -= 1 }
        if place > 0, list[place - 1].at == transition.at {
            list[place - 1] = transition
        } else {
            list.insert(transition, at: place)
        }
    }
}

/// A moment that comes once a year, on the local clock.
struct YearlyMoment: Hashable, Sendable {
    enum Day: Hashable, Sendable {
        /// `Jn`: 1 ... 365, 29 February never counted.
        case withoutLeapDay(Int)
        /// `n`: 0 ... 365, 29 February counted.
        case ofYear(Int)
        /// `Mm.w.d`: weekday d of week w of month m; week 5 is the last.
        case weekday(Int, week: Int, month: Int)
    }

    let day: Day
    /// Seconds after (or before) that day's midnight.
    let time: Int64

    /// The local reading, as the seconds it would have in UTC.
    func local(inYear year: Int) -> Int64 {
        Int64(days(inYear: year)) * 86_400 + time
    }

    private func days(inYear year: Int) -> Int {
        let newYear = CivilDate(year: year, month: 1, day: 1).days
        switch day {
        case .withoutLeapDay(let number):
            return newYear + number - 1 + (CivilDate.isLeap(year) && number >= 60 ? 1 : 0)
        case .ofYear(let number):
            return newYear + number
        case .weekday(let weekday, let week, let month):
            let first = CivilDate(year: year, month: month, day: 1).days
            var day = (weekday - CivilDate.weekday(days: first) + 7) % 7 + (week - 1) * 7
            if day >= CivilDate.daysInMonth(year: year, month: month) { day -= 7 }
            return first + day
        }
    }
}

private struct PosixReader {
    let bytes: [UInt8]
    var position = 0

    static let malformed = ZoneFileError("its footer is malformed")

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { position == bytes.count }

    func next(is scalar: Unicode.Scalar) -> Bool {
        position < bytes.count && UInt32(bytes[position]) == scalar.value
    }

    mutating func expect(_ scalar: Unicode.Scalar) throws(ZoneFileError) {
        guard next(is: scalar) else { throw Self.malformed }
        position += 1
    }

    /// An abbreviation: letters, or anything alphanumeric or signed within `<` and `>`.
    mutating func name() throws(ZoneFileError) {
        let quoted = next(is: "<")
        if quoted { position += 1 }
        let start = position
        while position < bytes.count, isNamePart(bytes[position], quoted: quoted) { position += 1 }
        guard position - start >= 3 else { throw Self.malformed }
        if quoted { try expect(">") }
    }

    private func isNamePart(_ byte: UInt8, quoted: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"): quoted
        default: false
        }
    }

    /// `[+|-]hh[:mm[:ss]]` in seconds.
    mutating func time(hours limit: Int) throws(ZoneFileError) -> Int64 {
        let negative = next(is: "-")
        if negative || next(is: "+") { position += 1 }
        var seconds = Int64(try number(upTo: limit)) * 3_600
        var unit: Int64 = 60
        while unit > 0, next(is: ":") {
            position += 1
            seconds += Int64(try number(upTo: 59)) * unit
            unit /= 60
        }
        return negative ? -seconds : seconds
    }

    mutating func moment() throws(ZoneFileError) -> YearlyMoment {
        let day: YearlyMoment.Day
        if next(is: "J") {
            position += 1
            let number = try number(upTo: 365)
            guard number > 0 else { throw Self.malformed }
            day = .withoutLeapDay(number)
        } else if next(is: "M") {
            position += 1
            let month = try number(upTo: 12)
            try expect(".")
            let week = try number(upTo: 5)
            try expect(".")
            let weekday = try number(upTo: 6)
            guard month > 0, week > 0 else { throw Self.malformed }
            day = .weekday(weekday, week: week, month: month)
        } else {
            day = .ofYear(try number(upTo: 365))
        }
        guard next(is: "/") else { return YearlyMoment(day: day, time: 2 * 3_600) }
        position += 1
        return YearlyMoment(day: day, time: try time(hours: 167))
    }

    private mutating func number(upTo limit: Int) throws(ZoneFileError) -> Int {
        var value = 0
        let start = position
        while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
            value = value * 10 + Int(bytes[position] - 0x30)
            guard value <= limit else { throw Self.malformed }
            position += 1
        }
        guard position > start else { throw Self.malformed }
        return value
    }
}
