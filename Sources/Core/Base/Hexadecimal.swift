/// The value of an ASCII hexadecimal digit.
func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
}

/// Numbers as text for identities.
package enum Hexadecimal {
    /// Two lower-case digits for each byte.
    package static func text(ofBytes bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// Sixteen lower-case digits.
    package static func text(of value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// Thirty-two lower-case digits.
    package static func text(ofIdentity id: DataID) -> String {
        text(of: UInt64(truncatingIfNeeded: id >> 64)) + text(of: UInt64(truncatingIfNeeded: id))
    }

    /// Reads an identity as `text(ofIdentity:)` writes it; nil for anything else.
    package static func identity(_ text: String) -> DataID? {
        guard text.utf8.count == 32 else { return nil }
        var id: DataID = 0
        for byte in text.utf8 {
            guard let digit = hexadecimalDigit(byte) else { return nil }
            id = id << 4 | DataID(digit)
        }
        return id
    }
}
