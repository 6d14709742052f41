// Lengths of time as text, in the notation of Go's `time.Duration`, which Dkron's users write in
// schedules and executor settings: `1h30m`, `1.5s`, `250ms`.

/// Reads and prints durations. Grammar: `[+|-] ( "0" | number unit { number unit } )`, where number
/// is digits with an optional fraction and unit one of `ns us µs ms s m h`.
package enum DurationText {
    /// Reads a duration. Digits below a nanosecond are cut. Linear in the text.
    ///
    /// Throws when the text has another form, or when the result leaves 64-bit nanoseconds.
    package static func parse(_ text: String) throws(TextError) -> Duration {
        var reader = Reader(Array(text.utf8))
        return try reader.duration()
    }

    /// Prints the way Go does: `1h30m0s`, `1.5s`, `250ms`, `0s`. `parse` reads it back exactly.
    package static func print(_ duration: Duration) -> String {
        let magnitude = duration.nanoseconds.magnitude
        let sign = duration.nanoseconds < 0 ? "-" : ""
        switch magnitude {
        case 0: return "0s"
        case ..<1_000: return "\(sign)\(magnitude)ns"
        case ..<1_000_000: return sign + decimal(magnitude, scale: 1_000) + "µs"
        case ..<1_000_000_000: return sign + decimal(magnitude, scale: 1_000_000) + "ms"
        default: break
        }
        let minutes = magnitude / 60_000_000_000
        let seconds = decimal(magnitude % 60_000_000_000, scale: 1_000_000_000) + "s"
        if minutes == 0 { return sign + seconds }
        if minutes < 60 { return "\(sign)\(minutes)m\(seconds)" }
        return "\(sign)\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }

    /// `value / scale` with as many decimals as it takes; `scale` is a power of ten.
    private static func decimal(_ value: UInt64, scale: UInt64) -> String {
        var fraction = value % scale
        if fraction == 0 { return "\(value / scale)" }
        var places = 0
        var rest = scale
        while rest > 1 {
            rest /= 10
            places += 1
        }
        while fraction % 10 == 0 {
            fraction /= 10
            places -= 1
        }
        let digits = "\(fraction)"
        let zeros = String(repeating: "0", count: places - digits.utf8.count)
        return "\(value / scale).\(zeros)\(digits)"
    }

    private static let unitNames = "ns, us, ms, s, m or h"

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        mutating func duration() throws(TextError) -> Duration {
            var negative = false
            if let sign = peek, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
                negative = sign == UInt8(ascii: "-")
                position += 1
            }
            guard position < bytes.count else {
                throw error(at: position, "a duration is needed, such as 90s, 1h30m or 500ms")
            }
            if position + 1 == bytes.count, bytes[position] == UInt8(ascii: "0") { return .zero }
            // One more than Int64.max is allowed for, as Int64.min is a duration too.
            let limit = UInt64(Int64.max) + (negative ? 1 : 0)
            var total: UInt64 = 0
            while position < bytes.count {
                let start = position
                let (sum, overflow) = total.addingReportingOverflow(try part())
                guard !overflow, sum <= limit else { throw tooLong(at: start) }
                total = sum
            }
            if negative { return Duration(nanoseconds: 0 &- Int64(bitPattern: total)) }
            return Duration(nanoseconds: Int64(bitPattern: total))
        }

        /// One number with its unit, in nanoseconds.
        private mutating func part() throws(TextError) -> UInt64 {
            let start = position
            var whole: UInt64 = 0
            var digits = 0
            while let digit = peekDigit {
                let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(digit)
                guard !overflow, !carry else { throw tooLong(at: start) }
                whole = sum
                digits += 1
                position += 1
            }
            var fraction: UInt64 = 0
            var scale: UInt64 = 1
            if peek == UInt8(ascii: ".") {
                position += 1
                while let digit = peekDigit {
                    // Digits beyond the eighteenth are below a nanosecond in every unit.
                    if scale < 1_000_000_000_000_000_000 {
                        fraction = fraction * 10 + digit
                        scale *= 10
                    }
                    digits += 1
                    position += 1
                }
            }
            guard digits > 0 else {
                throw error(at: start, "a number is needed here, such as 90s, 1h30m or 500ms")
            }
            let unit = try unit(after: start)
            let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
            guard !overflow else { throw tooLong(at: start) }
            let share = scale.dividingFullWidth(fraction.multipliedFullWidth(by: unit)).quotient
            let (sum, carry) = product.addingReportingOverflow(share)
            guard !carry else { throw tooLong(at: start) }
            return sum
        }

        /// Nanoseconds of the unit that stands at the position.
        private mutating func unit(after start: Int) throws(TextError) -> UInt64 {
            let first = position
            while let byte = peek, byte != UInt8(ascii: "."), peekDigit == nil { position += 1 }
            switch bytes[first..<position] {
            case [0x6E, 0x73]: return 1
            // Both micro signs, U+00B5 and U+03BC, are in use.
            case [0x75, 0x73], [0xC2, 0xB5, 0x73], [0xCE, 0xBC, 0x73]: return 1_000
            case [0x6D, 0x73]: return 1_000_000
            case [0x73]: return 1_000_000_000
            case [0x6D]: return 60_000_000_000
            case [0x68]: return 3_600_000_000_000
            case []:
                throw error(
                    at: first, "a unit is missing after the number; allowed are \(unitNames)")
            default:
                let word = String(decoding: bytes[first..<position], as: UTF8.self)
                throw error(
                    at: first, "\"\(word)\" is not a unit of time; allowed are \(unitNames)")
            }
        }

        private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

        private var peekDigit: UInt64? {
            guard let byte = peek, byte >= 0x30, byte <= 0x39 else { return nil }
            return UInt64(byte - 0x30)
        }

        private func tooLong(at offset: Int) -> TextError {
            error(at: offset, "the duration is too long; at most 2562047h47m16s is allowed")
        }

        private func error(at offset: Int, _ message: String) -> TextError {
            TextError(column: column(atByte: offset, of: bytes.span), message)
        }
    }
}

/// Matches slices of bytes against literal bytes in a `switch`.
private func ~= (pattern: [UInt8], value: ArraySlice<UInt8>) -> Bool {
    value.elementsEqual(pattern)
}
