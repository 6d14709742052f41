/// Standard base64 (RFC 4648 section 4), padded; line ends are passed over.
package enum Base64Text {
    package static func encode(_ bytes: [UInt8]) -> String { encode(bytes, "+/") }

    /// With `-` and `_` in place of `+` and `/` (section 5), padded.
    package static func encodeForURL(_ bytes: [UInt8]) -> String { encode(bytes, "-_") }

    private static func encode(_ bytes: [UInt8], _ last: String) -> String {
        let plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        let letters = Array((plain + last).utf8)
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

    package static func decode(_ text: String) throws(TextError) -> [UInt8] {
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
