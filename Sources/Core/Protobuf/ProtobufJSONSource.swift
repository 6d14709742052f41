// Scalars of JSON as scalars of messages.

/// The JSON text that is translated.
struct ProtobufJSONSource {
    let document: JSONDocument

    func kind(_ value: JSONValue) -> JSONKind { document.kind(of: value) }

    /// A string's text; only called for those.
    func text(_ value: JSONValue) -> String { document.string(value) ?? "" }

    func mismatch(_ wanted: String, _ value: JSONValue) -> ProtobufError {
        ProtobufError("\(wanted) is expected, found \(kind(value))")
    }

    /// The bits on the wire. Numbers may also stand in strings.
    func scalar(_ value: JSONValue, _ kind: ProtobufKind) throws(ProtobufError) -> UInt64 {
        if kind == .bool {
            guard let flag = document.bool(value) else { throw mismatch("a boolean", value) }
            return flag ? 1 : 0
        }
        let isText = self.kind(value) == .string
        guard isText || self.kind(value) == .number else { throw mismatch("a number", value) }
        let bytes = isText ? (document.stringBytes(value) ?? [])[...] : document.source(of: value)
        if kind == .double || kind == .float {
            return try ProtobufFloats.bits(bytes, isSingle: kind == .float, isText: isText)
        }
        guard let number = ProtobufNumber(integer: bytes) else {
            let found = String(decoding: bytes.prefix(40), as: UTF8.self)
            throw ProtobufError("a whole number is expected, found \(found)")
        }
        return try number.bits(kind)
    }

    /// Base64 of either alphabet, with or without padding.
    func bytes(_ value: JSONValue) throws(ProtobufError) -> [UInt8] {
        guard var text = document.stringBytes(value) else { throw mismatch("a string", value) }
        while text.last == UInt8(ascii: "=") { text.removeLast() }
        guard text.count % 4 != 1 else {
            throw ProtobufError("the base64 text ends within a byte")
        }
        for index in text.indices {
            if text[index] == UInt8(ascii: "-") { text[index] = UInt8(ascii: "+") }
            if text[index] == UInt8(ascii: "_") { text[index] = UInt8(ascii: "/") }
        }
        while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        do { return try Base64Text.decode(String(decoding: text, as: UTF8.self)) } catch {
            throw ProtobufError(error.description)
        }
    }
}

/// A whole number of either sign within 64 bits.
struct ProtobufNumber: Hashable {
    let isNegative: Bool
    let magnitude: UInt64

    /// Reads a number in JSON's form. One with a fraction or an exponent counts if it is whole:
    /// `1e3`, `2.0`. Nil for others and for those beyond 64 bits.
    init?(integer text: ArraySlice<UInt8>) {
        var rest = text
        isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        var digits: [UInt8] = []
        var exponent = 0
        var isFraction = false
        while let byte = rest.first {
            rest = rest.dropFirst()
            if byte &- 0x30 < 10 {
                digits.append(byte - 0x30)
                if isFraction { exponent -= 1 }
            } else if byte == UInt8(ascii: "."), !isFraction, !digits.isEmpty {
                isFraction = true
            } else if byte | 0x20 == UInt8(ascii: "e"), !digits.isEmpty {
                let sign = rest.first == UInt8(ascii: "+") ? rest.dropFirst() : rest
                guard let power = Int(String(decoding: sign, as: UTF8.self)),
                    power.magnitude < 10_000
                else { return nil }
                exponent += power
                break
            } else {
                return nil
            }
        }
        guard !digits.isEmpty else { return nil }
        while exponent < 0, digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        guard exponent >= 0 || digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        while value > 0, exponent > 0 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow else { return nil }
            value = product
            exponent -= 1
        }
        magnitude = value
    }

    /// The bits on the wire. Throws when the kind has no such number.
    func bits(_ kind: ProtobufKind) throws(ProtobufError) -> UInt64 {
        let range: (least: UInt64, most: UInt64) =
            switch kind {
            case .uint32, .fixed32: (0, UInt64(UInt32.max))
            case .uint64, .fixed64: (0, .max)
            case .int32, .sint32, .sfixed32: (1 << 31, 1 << 31 - 1)
            case .int64, .sint64, .sfixed64: (1 << 63, 1 << 63 - 1)
            default: throw ProtobufError("\(kind) has no whole numbers")
            }
        guard magnitude <= (isNegative ? range.least : range.most) else {
            throw ProtobufError("the number does not fit \(kind)")
        }
        let value = isNegative ? 0 &- magnitude : magnitude
        switch kind {
        case .sint32, .sint64: return ProtobufZigzag.encode(Int64(bitPattern: value))
        case .sfixed32: return value & 0xffff_ffff
        default: return value
        }
    }
}
