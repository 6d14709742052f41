// Timestamps and durations as text.

/// `google.protobuf.Timestamp` and `google.protobuf.Duration`.
package struct ProtobufTime: ProtobufMessage {
    package var seconds: Int64 = 0
    package var nanos: Int32 = 0

    package init() {}

    package init(seconds: Int64, nanos: Int32) {
        self.seconds = seconds
        self.nanos = nanos
    }

    package static let fields: [ProtobufRule<ProtobufTime>] = [
        .integer(1, \.seconds), .integer(2, \.nanos),
    ]
}

enum ProtobufTimes {
    /// The seconds of 400 years, after which the calendar repeats itself.
    private static let cycle: Int64 = 146_097 * 86_400
    /// 0001-01-01 and 10000-01-01.
    private static let years: Range<Int64> = -62_135_596_800..<253_402_300_800
    /// 1800-01-01, from which on 400 years lie within `WallTime`.
    private static let base: Int64 = -5_364_662_400
    private static let longest: Int64 = 315_576_000_000

    /// `2006-01-02T15:04:05.999999999Z`, of the years 1 to 9999.
    static func text(timestamp time: ProtobufTime) throws(ProtobufError) -> String {
        guard years ~= time.seconds, 0..<1_000_000_000 ~= time.nanos else {
            throw ProtobufError("the time is not between the years 1 and 9999")
        }
        let cycles = flooredQuotient(time.seconds - base, cycle)
        let text = RFC3339.print(WallTime(seconds: time.seconds - cycles * cycle))
        let year = String((Int64(text.prefix(4)) ?? 0) + cycles * 400)
        return String(repeating: "0", count: 4 - year.utf8.count) + year
            + text.dropFirst(4).dropLast() + fraction(time.nanos) + "Z"
    }

    /// Nothing, or a point and 3, 6 or 9 decimals.
    private static func fraction(_ nanos: Int32) -> String {
        guard nanos != 0 else { return "" }
        var digits = String(nanos.magnitude)
        digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while digits.hasSuffix("000") { digits.removeLast(3) }
        return "." + digits
    }

    static func timestamp(_ text: String) throws(ProtobufError) -> ProtobufTime {
        let digits = text.prefix(4)
        guard digits.utf8.count == 4, digits.utf8.allSatisfy({ $0 &- 0x30 < 10 }),
            let year = Int64(digits), year > 0
        else {
            throw ProtobufError("a time is expected, such as 2006-01-02T15:04:05Z")
        }
        let cycles = flooredQuotient(year - 1_800, 400)
        let wall: WallTime
        do { wall = try RFC3339.parse("\(year - cycles * 400)\(text.dropFirst(4))") } catch {
            throw ProtobufError(error.description)
        }
        let seconds = wall.seconds + cycles * cycle
        guard years ~= seconds else {
            throw ProtobufError("the time is not between the years 1 and 9999")
        }
        return ProtobufTime(seconds: seconds, nanos: Int32(wall.subsecond))
    }

    /// Seconds with 0, 3, 6 or 9 decimals: `-1.500s`.
    static func text(duration: ProtobufTime) throws(ProtobufError) -> String {
        let nanos = Int64(duration.nanos)
        guard -longest...longest ~= duration.seconds, nanos.magnitude < 1_000_000_000,
            duration.seconds == 0 || nanos == 0 || (duration.seconds < 0) == (nanos < 0)
        else { throw ProtobufError("the duration is longer than 10000 years, or has two signs") }
        let isNegative = duration.seconds < 0 || nanos < 0
        let sign = isNegative ? "-" : ""
        return "\(sign)\(duration.seconds.magnitude)\(fraction(duration.nanos))s"
    }

    static func duration(_ text: String) throws(ProtobufError) -> ProtobufTime {
        let malformed = ProtobufError("a duration is expected, such as 1.5s or -30s")
        guard text.hasSuffix("s") else { throw malformed }
        let isNegative = text.hasPrefix("-")
        let number = text.dropLast().dropFirst(isNegative ? 1 : 0)
        let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        func isNumber(_ part: Substring) -> Bool {
            !part.isEmpty && part.utf8.allSatisfy { $0 &- 0x30 < 10 }
        }
        guard let whole = parts.first, isNumber(whole), let seconds = Int64(whole) else {
            throw malformed
        }
        guard seconds <= longest else {
            throw ProtobufError("the duration is longer than 10000 years")
        }
        var nanos: Int32 = 0
        if parts.count == 2 {
            guard isNumber(parts[1]), parts[1].utf8.count <= 9 else { throw malformed }
            let digits = parts[1] + String(repeating: "0", count: 9 - parts[1].utf8.count)
            nanos = Int32(digits) ?? 0
        }
        return ProtobufTime(
            seconds: isNegative ? -seconds : seconds, nanos: isNegative ? -nanos : nanos)
    }
}
