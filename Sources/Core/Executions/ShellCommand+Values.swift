/// Sizes as people write them in `mem_limit`: whole bytes (`1048576`), or a decimal number with a
/// unit (`512mb`, `1.5G`), powers of 1024, upper or lower case.
enum ByteCountText {
    /// Greater than 0 and below 2^63. Fractions of a byte are cut.
    static func parse(_ text: String) throws(TextError) -> UInt64 {
        let bytes = Array(text.utf8)
        let number = bytes.prefix { $0 >= 0x30 && $0 <= 0x39 }
        var position = number.count
        var fraction: ArraySlice<UInt8> = []
        let hasPoint = position < bytes.count && bytes[position] == 0x2E
        if hasPoint {
            fraction = bytes[(position + 1)...].prefix { $0 >= 0x30 && $0 <= 0x39 }
            position = fraction.endIndex
        }
        guard !number.isEmpty || !fraction.isEmpty else { throw TextError(column: 1, form) }
        let unit = String(decoding: bytes[position...], as: UTF8.self).uppercased()
        guard let factor = factor(unit), !(hasPoint && unit.isEmpty) else {
            throw TextError(column: column(atByte: position, of: bytes.span), form)
        }
        let whole = value(number)
        let (product, overflow) = whole.value.multipliedReportingOverflow(by: factor)
        // Eighteen digits of a fraction are finer than a byte in every unit.
        let part = value(fraction.prefix(18))
        let share = part.scale.dividingFullWidth(part.value.multipliedFullWidth(by: factor))
        let (sum, carry) = product.addingReportingOverflow(share.quotient)
        guard !whole.overflow, !overflow, !carry, sum < 1 << 63 else {
            throw TextError(column: 1, "the size is too large; it must be below 2^63 bytes")
        }
        guard sum > 0 else { throw TextError(column: 1, "the size must be greater than 0") }
        return sum
    }

    private static func factor(_ unit: String) -> UInt64? {
        switch unit {
        case "", "B", "BYTES": 1
        case "K", "KB": 1 << 10
        case "M", "MB": 1 << 20
        case "G", "GB": 1 << 30
        case "T", "TB": 1 << 40
        default: nil
        }
    }

    private static func value(
        _ digits: ArraySlice<UInt8>
    ) -> (value: UInt64, scale: UInt64, overflow: Bool) {
        var value: UInt64 = 0
        var scale: UInt64 = 1
        for digit in digits {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !overflow, !carry else { return (0, 1, true) }
            value = sum
            // Only fractions use it, and they have few enough digits.
            scale &*= 10
        }
        return (value, scale, false)
    }

    private static let form =
        "a size is whole bytes, or a number with B, KB, MB, GB or TB and no space, such as 512MB"
}

/// Standard base64 (RFC 4648 section 4), padded; line ends are passed over.
enum Base64Text {
    static func encode(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var result: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits =
                group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
            for place in 0..<4 {
                result.append(
                    place <= group.count
                        ? letters[Int(bits >> (18 - 6 * UInt32(place)) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func decode(_ text: String) throws(TextError) -> [UInt8] {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count / 4 * 3)
        var group: UInt32 = 0
        var filled = 0
        var padding = 0
        for (offset, byte) in bytes.enumerated() where byte != 0x0A && byte != 0x0D {
            if byte == UInt8(ascii: "="), filled >= 2, filled + padding < 4 {
                padding += 1
                continue
            }
            guard padding == 0, let bits = value(byte) else {
                throw TextError(
                    column: column(atByte: offset, of: bytes.span),
                    padding > 0
                        ? "base64 ends after its padding"
                        : "this is not a character of standard base64 (A-Z a-z 0-9 + / and =)")
            }
            group = group << 6 | bits
            filled += 1
            if filled == 4 {
                append(group, count: 3, to: &result)
                group = 0
                filled = 0
            }
        }
        guard filled == 0 || filled + padding == 4 else {
            throw TextError(
                column: column(atByte: bytes.count, of: bytes.span),
                "base64 comes in groups of four characters, the last filled up with \"=\"")
        }
        if filled > 0 { append(group << (6 * UInt32(padding)), count: filled - 1, to: &result) }
        return result
    }

    private static func append(_ group: UInt32, count: Int, to result: inout [UInt8]) {
        result.append(UInt8(truncatingIfNeeded: group >> 16))
        if count > 1 { result.append(UInt8(truncatingIfNeeded: group >> 8)) }
        if count > 2 { result.append(UInt8(truncatingIfNeeded: group)) }
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
