/// How files below the data directory are named: a prefix, a number from 1 on in sixteen
/// lower-case hexadecimal digits, a suffix. So the order of their names is that of their numbers.
enum SegmentName {
    static func format(_ number: UInt64, prefix: String, suffix: String) -> String {
        let length = prefix.utf8.count + 16 + suffix.utf8.count
        return String(unsafeUninitializedCapacity: length) { bytes in
            var end = 0
            func write(_ byte: UInt8) {
                bytes.initializeElement(at: end, to: byte)
                end += 1
            }
            for byte in prefix.utf8 { write(byte) }
            for shift in stride(from: 60, through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
                write(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
            for byte in suffix.utf8 { write(byte) }
            return end
        }
    }

    /// The number in a name of that form, nil for any other name.
    static func number(in name: String, prefix: String, suffix: String) -> UInt64? {
        guard name.utf8.count == prefix.utf8.count + 16 + suffix.utf8.count,
            name.utf8.starts(with: prefix.utf8),
            name.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
        else { return nil }
        var value: UInt64 = 0
        for digit in name.utf8.dropFirst(prefix.utf8.count).prefix(16) {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - 0x30)
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - 0x57)
            default: return nil
            }
        }
        return value > 0 ? value : nil
    }
}
