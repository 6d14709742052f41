// Instants as text: RFC 3339, the notation of every time in the API.

/// Reads and prints instants as `2006-01-02T15:04:05.999999999Z`.
package enum RFC3339 {
    /// Reads a full timestamp with offset: `T` and `Z` in either case, any number of decimals
    /// (those below a nanosecond are cut), offsets up to ±23:59.
    ///
    /// Throws for any other form, for dates that don't exist, for leap seconds, and for instants
    /// outside 1677-09-21T00:12:43.145224192Z ... 2262-04-11T23:47:16.854775807Z.
    ///
    /// - Parameter clamped: take the nearest instant that can be kept for one outside.
    package static func parse(
        _ text: String, clamped: Bool = false
    ) throws(TextError) -> WallTime {
        var reader = TimestampReader(Array(text.utf8), form: "2006-01-02T15:04:05Z")
        var seconds = try reader.minuteOfDate()
        try reader.expect(":")
        seconds += try reader.number(digits: 2, in: 0...59, "second")
        let nanoseconds = try reader.fraction()
        seconds -= try reader.offset()
        try reader.end()
        return try reader.wallTime(seconds: seconds, nanoseconds: nanoseconds, clamped: clamped)
    }

    /// Reads `2006-01-02T15:04`, as the UTC minute it names. Throws like `parse`.
    package static func parseMinute(
        _ text: String, clamped: Bool = false
    ) throws(TextError) -> WallTime {
        var reader = TimestampReader(Array(text.utf8), form: "2006-01-02T15:04")
        let seconds = try reader.minuteOfDate()
        try reader.end()
        return try reader.wallTime(seconds: seconds, nanoseconds: 0, clamped: clamped)
    }

    /// Prints an instant, without trailing zeros after the second.
    ///
    /// - Parameter offset: of the local time to print, in seconds east of Greenwich; 0 prints `Z`.
    ///   RFC 3339 knows only whole minutes: an odd offset (old local mean times) is cut to them,
    ///   so the text still names the same instant.
    package static func print(_ time: WallTime, offset: Int = 0) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(36)
        append(time, offset: offset, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends what `print` prints.
    package static func append(_ time: WallTime, offset: Int = 0, to bytes: inout [UInt8]) {
        let minutes = offset / 60
        let local = time.seconds + Int64(minutes) * 60
        let days = flooredQuotient(local, 86_400)
        let second = Int(local - days * 86_400)
        let date = CivilDate(days: Int(days))
        appendDigits(date.year, 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendDigits(date.month, 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendDigits(date.day, 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        appendDigits(second / 3_600, 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendDigits(second / 60 % 60, 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendDigits(second % 60, 2, to: &bytes)
        appendFraction(Int(time.subsecond), to: &bytes)
        guard minutes != 0 else { return bytes.append(UInt8(ascii: "Z")) }
        bytes.append(minutes < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        appendDigits(abs(minutes) / 60, 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendDigits(abs(minutes) % 60, 2, to: &bytes)
    }

    private static func appendFraction(_ nanoseconds: Int, to bytes: inout [UInt8]) {
        guard nanoseconds > 0 else { return }
        var digits = nanoseconds
        var places = 9
        while digits % 10 == 0 {
            digits /= 10
            places -= 1
        }
        bytes.append(UInt8(ascii: "."))
        appendDigits(digits, places, to: &bytes)
    }

    /// The number in decimal, padded with zeros to the given width.
    private static func appendDigits(_ number: Int, _ width: Int, to bytes: inout [UInt8]) {
        let start = bytes.count
        for _ in 0..<width { bytes.append(0x30) }
        var rest = number
        var place = bytes.count - 1
        while rest > 0, place >= start {
            bytes[place] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            place -= 1
        }
    }
}

/// Walks over the bytes of one timestamp.
private struct TimestampReader {
    let bytes: [UInt8]
    /// What the errors show as the form to write.
    let form: String
    var position = 0

    init(_ bytes: [UInt8], form: String) {
        self.bytes = bytes
        self.form = form
    }

    /// `2006-01-02T15:04` as seconds since 1970, before any offset.
    mutating func minuteOfDate() throws(TextError) -> Int64 {
        let year = try number(digits: 4, in: 0...9_999, "year")
        try expect("-")
        let month = try number(digits: 2, in: 1...12, "month")
        try expect("-")
        let dayPosition = position
        let day = try number(digits: 2, in: 1...31, "day")
        guard let date = CivilDate(checkedYear: Int(year), month: Int(month), day: Int(day)) else {
            throw error(at: dayPosition, "month \(month) of year \(year) has no day \(day)")
        }
        try expect("T", or: "t")
        let hour = try number(digits: 2, in: 0...23, "hour")
        try expect(":")
        let minute = try number(digits: 2, in: 0...59, "minute")
        return Int64(date.days) * 86_400 + hour * 3_600 + minute * 60
    }

    mutating func number(
        digits: Int, in range: ClosedRange<Int64>, _ what: String
    ) throws(TextError) -> Int64 {
        let start = position
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = peekDigit else {
                throw error(at: start, "the \(what) needs \(digits) digits, as in \(form)")
            }
            value = value * 10 + digit
            position += 1
        }
        guard range.contains(value) else {
            let allowed = "allowed is \(range.lowerBound) to \(range.upperBound)"
            throw error(at: start, "\(what) \(value) does not exist; \(allowed)")
        }
        return value
    }

    /// Optional decimals of the second, in nanoseconds.
    mutating func fraction() throws(TextError) -> Int64 {
        guard peek == UInt8(ascii: ".") else { return 0 }
        position += 1
        guard peekDigit != nil else {
            throw error(at: position, "digits are needed after the decimal point")
        }
        var nanoseconds: Int64 = 0
        var unit: Int64 = 100_000_000
        while let digit = peekDigit {
            nanoseconds += digit * unit
            unit /= 10
            position += 1
        }
        return nanoseconds
    }

    /// `Z`, `+02:00`, `-03:30`: seconds east of Greenwich.
    mutating func offset() throws(TextError) -> Int64 {
        switch peek {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"):
            position += 1
            return 0
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            let sign: Int64 = peek == UInt8(ascii: "-") ? -1 : 1
            position += 1
            let hours = try number(digits: 2, in: 0...23, "hour of the offset")
            try expect(":")
            let minutes = try number(digits: 2, in: 0...59, "minute of the offset")
            return sign * (hours * 3_600 + minutes * 60)
        default:
            throw error(at: position, "the offset from UTC is needed here: Z, or as in +02:00")
        }
    }

    mutating func expect(_ a: Unicode.Scalar, or b: Unicode.Scalar? = nil) throws(TextError) {
        guard let byte = peek, UInt32(byte) == a.value || UInt32(byte) == b?.value else {
            throw error(at: position, "\"\(a)\" is needed here, as in \(form)")
        }
        position += 1
    }

    func end() throws(TextError) {
        guard position == bytes.count else {
            throw error(at: position, "nothing may follow the time")
        }
    }

    /// Combines both parts; seconds are within ±400 billion, so only the product can overflow.
    func wallTime(
        seconds: Int64, nanoseconds: Int64, clamped: Bool
    ) throws(TextError) -> WallTime {
        // Before 1970 the smallest time has fewer whole seconds than nanoseconds can hold, so the
        // sum is formed from one second later.
        let (later, missing) =
            seconds < 0 ? (seconds + 1, nanoseconds - 1_000_000_000) : (seconds, nanoseconds)
        let (product, overflow) = later.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(missing)
        guard !overflow, !carry else {
            if clamped { return seconds < 0 ? .distantPast : .distantFuture }
            throw error(at: 0, "the time is outside the years 1678 to 2261, all that can be kept")
        }
        return WallTime(nanoseconds: sum)
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private var peekDigit: Int64? {
        guard let byte = peek, byte >= 0x30, byte <= 0x39 else { return nil }
        return Int64(byte - 0x30)
    }

    private func error(at offset: Int, _ message: String) -> TextError {
        TextError(column: column(atByte: offset, of: bytes.span), message)
    }
}
