/// One of the six fields of a cron expression.
enum CronField: UInt8, CaseIterable {
    case second, minute, hour, day, month, weekday

    var name: String {
        switch self {
        case .second: "second"
        case .minute: "minute"
        case .hour: "hour"
        case .day: "day of month"
        case .month: "month"
        case .weekday: "day of week"
        }
    }

    /// The name with its article.
    var indefinite: String { self == .hour ? "an hour" : "a \(name)" }

    var lowest: Int {
        switch self {
        case .second, .minute, .hour, .weekday: 0
        case .day, .month: 1
        }
    }

    /// The last value of `*` and of steps.
    var highest: Int {
        switch self {
        case .second, .minute: 59
        case .hour: 23
        case .day: 31
        case .month: 12
        case .weekday: 6
        }
    }

    /// The last value that can be written: 7 is another Sunday.
    var highestWritten: Int { self == .weekday ? 7 : highest }

    /// How many values `~` spreads over: every month has the first 28 days.
    var spread: Int { self == .day ? 28 : highest - lowest + 1 }

    /// The bits of all values.
    var all: UInt64 { (2 << UInt64(highest)) - (1 << UInt64(lowest)) }

    /// What errors print as the values that may be written.
    var allowed: String {
        switch self {
        case .second, .minute, .hour, .day: "\(lowest) to \(highest)"
        case .month: "1 to 12 or JAN to DEC"
        case .weekday: "0 to 7 or SUN to SAT (0 and 7 are Sunday)"
        }
    }

    /// What errors print as a range around the end of the field, split in two.
    var splitRange: String {
        switch self {
        case .second, .minute: "50-59,0-10"
        case .hour: "22-23,0-6"
        case .day: "28-31,1-3"
        case .month: "NOV-DEC,JAN-FEB"
        case .weekday: "FRI-SAT,SUN-MON"
        }
    }

    /// The value of a three-letter name in any case; nil if the field has no such name.
    func value(ofName bytes: Span<UInt8>) -> Int? {
        guard bytes.count == 3, self == .month || self == .weekday else { return nil }
        // Bit 5 makes ASCII letters small; no other byte becomes a letter that way except
        // the capital letters, so nothing but a name matches.
        var key: UInt32 = 0
        for index in bytes.indices { key = key << 8 | UInt32(bytes[index] | 0x20) }
        return self == .month ? Self.month(key) : Self.weekday(key)
    }

    private static func month(_ key: UInt32) -> Int? {
        switch key {
        case 0x6A_616E: 1  // jan
        case 0x66_6562: 2  // feb
        case 0x6D_6172: 3  // mar
        case 0x61_7072: 4  // apr
        case 0x6D_6179: 5  // may
        case 0x6A_756E: 6  // jun
        case 0x6A_756C: 7  // jul
        case 0x61_7567: 8  // aug
        case 0x73_6570: 9  // sep
        case 0x6F_6374: 10  // oct
        case 0x6E_6F76: 11  // nov
        case 0x64_6563: 12  // dec
        default: nil
        }
    }

    private static func weekday(_ key: UInt32) -> Int? {
        switch key {
        case 0x73_756E: 0  // sun
        case 0x6D_6F6E: 1  // mon
        case 0x74_7565: 2  // tue
        case 0x77_6564: 3  // wed
        case 0x74_6875: 4  // thu
        case 0x66_7269: 5  // fri
        case 0x73_6174: 6  // sat
        default: nil
        }
    }
}
