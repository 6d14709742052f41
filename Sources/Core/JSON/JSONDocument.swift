// A checked JSON text and its index.
//
// The text is kept as it came, and beside it a flat list of nodes in document order, 16 bytes
// each: where a value starts, how long it is, and where the next one after it lies. Values are
// handles into that list, so walking a document neither allocates nor counts references, and
// every value still knows its place in the text for errors about its meaning.

/// What a JSON value is.
package enum JSONKind: UInt8, Sendable, CustomStringConvertible {
    case null
    case bool
    case number
    case string
    case array
    case object

    /// With its article, for messages: "a string".
    package var description: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// One value of a `JSONDocument`. Only meaningful together with the document it came from.
package struct JSONValue: Hashable, Sendable {
    var index: Int32

    init(index: Int) { self.index = Int32(truncatingIfNeeded: index) }
}

struct JSONNode: Hashable, Sendable {
    /// Offset of the first byte: the opening quote of a string, the bracket of a container.
    var start: UInt32
    /// Bytes of the whole value, quotes and brackets included.
    var length: UInt32
    /// Index of the first node that is not part of this value.
    var next: UInt32
    var kind: JSONKind
    /// Of a string: it holds escapes. Of a boolean: its value. Of a number: it has a fraction or
    /// an exponent.
    var flag: Bool
    /// Of a string: it is known to hold ASCII only and no escapes.
    var isASCII: Bool

    init(start: Int, length: Int, next: Int, kind: JSONKind, flag: Bool, isASCII: Bool) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.length = UInt32(truncatingIfNeeded: length)
        self.next = UInt32(truncatingIfNeeded: next)
        self.kind = kind
        self.flag = flag
        self.isASCII = isASCII
    }
}

/// A JSON text (RFC 8259) found to be well-formed UTF-8 within limits, ready to be walked.
///
/// Strictness: exactly one value, white space around it only; no byte order mark, no comments, no
/// trailing commas; every `\u` surrogate paired. Numbers keep their exact text. Members keep their
/// order and duplicates; `member(named:of:)` gives the last one.
package struct JSONDocument: Sendable {
    /// The text as it came.
    package let bytes: [UInt8]
    let nodes: [JSONNode]

    /// Complexity: O(n).
    package init(_ bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONError) {
        nodes = try JSONParser.nodes(of: bytes, limits: limits)
        self.bytes = bytes
    }

    package var root: JSONValue { JSONValue(index: 0) }

    func node(_ value: JSONValue) -> JSONNode { nodes[Int(value.index)] }

    // MARK: Scalars

    package func kind(of value: JSONValue) -> JSONKind { node(value).kind }

    package func isNull(_ value: JSONValue) -> Bool { node(value).kind == .null }

    /// Nil unless the value is a boolean.
    package func bool(_ value: JSONValue) -> Bool? {
        let node = node(value)
        return node.kind == .bool ? node.flag : nil
    }

    /// The text of a string without quotes and escapes; nil unless the value is a string.
    package func string(_ value: JSONValue) -> String? {
        let node = node(value)
        guard node.kind == .string else { return nil }
        if node.flag { return String(decoding: unescaped(node), as: UTF8.self) }
        let start = Int(node.start) + 1
        let span = bytes.span.extracting(start..<(start + Int(node.length) - 2))
        return String(copying: UTF8Span(unchecked: span, isKnownASCII: node.isASCII))
    }

    /// The UTF-8 of a string without quotes and escapes; nil unless the value is a string.
    package func stringBytes(_ value: JSONValue) -> [UInt8]? {
        let node = node(value)
        guard node.kind == .string else { return nil }
        if node.flag { return unescaped(node) }
        let start = Int(node.start) + 1
        return Array(bytes[start..<(start + Int(node.length) - 2)])
    }

    /// The number exactly as written; nil unless the value is a number.
    package func numberText(_ value: JSONValue) -> String? {
        node(value).kind == .number ? String(decoding: source(of: value), as: UTF8.self) : nil
    }

    /// Nil unless the value is a number written without fraction and exponent that fits.
    package func int64(_ value: JSONValue) -> Int64? {
        let node = node(value)
        guard node.kind == .number, !node.flag else { return nil }
        let start = Int(node.start)
        return parseInt64(start, start + Int(node.length))
    }

    /// Nil unless the value is a number written without sign, fraction and exponent that fits.
    package func uint64(_ value: JSONValue) -> UInt64? {
        let node = node(value)
        guard node.kind == .number, !node.flag else { return nil }
        var result: UInt64 = 0
        for byte in source(of: value) {
            guard byte != UInt8(ascii: "-") else { return nil }
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte & 0xf))
            if overflow || carry { return nil }
            result = sum
        }
        return result
    }

    // MARK: Places

    /// The bytes of a value as they stand in the text.
    package func source(of value: JSONValue) -> ArraySlice<UInt8> {
        let node = node(value)
        return bytes[Int(node.start)..<(Int(node.start) + Int(node.length))]
    }

    /// Where a value starts. Complexity: O(n) in what lies before it.
    package func position(of value: JSONValue) -> JSONPosition {
        JSONPosition(offset: Int(node(value).start), in: bytes)
    }

    /// An error about the meaning of a value, with its place.
    package func error(_ message: String, at value: JSONValue) -> JSONError {
        JSONError(message, at: position(of: value))
    }

    // MARK: Private

    func parseInt64(_ start: Int, _ end: Int) -> Int64? {
        var index = start
        let negative = bytes[index] == UInt8(ascii: "-")
        if negative { index += 1 }
        var result: Int64 = 0
        while index < end {
            // Counts downwards, because the negative range is one larger.
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            let (difference, borrow) = product.subtractingReportingOverflow(
                Int64(bytes[index] & 0xf))
            if overflow || borrow { return nil }
            result = difference
            index += 1
        }
        if negative { return result }
        return result == .min ? nil : -result
    }

    /// Resolves the escapes of a string that the parser has found to be well-formed.
    func unescaped(_ node: JSONNode) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(Int(node.length))
        var index = Int(node.start) + 1
        let end = Int(node.start) + Int(node.length) - 1
        while index < end {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                index += 1
                continue
            }
            let letter = bytes[index + 1]
            index += 2
            switch letter {
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0c)
            case UInt8(ascii: "n"): result.append(0x0a)
            case UInt8(ascii: "r"): result.append(0x0d)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = hexadecimal(at: index)
                index += 4
                if scalar & 0xfc00 == 0xd800 {
                    scalar = 0x10000 + (scalar & 0x3ff) << 10 + hexadecimal(at: index + 2) & 0x3ff
                    index += 6
                }
                appendUTF8(scalar, to: &result)
            default: result.append(letter)
            }
        }
        return result
    }

    private func hexadecimal(at index: Int) -> UInt32 {
        var result: UInt32 = 0
        for byte in bytes[index..<(index + 4)] {
            result = result << 4 | UInt32(hexadecimalDigit(byte) ?? 0)
        }
        return result
    }
}

/// Appends the UTF-8 of a scalar that is not a surrogate.
private func appendUTF8(_ scalar: UInt32, to bytes: inout [UInt8]) {
    func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: scalar >> shift & 0x3f | 0x80) }
    switch scalar {
    case 0..<0x80: bytes.append(UInt8(scalar))
    case 0x80..<0x800: bytes += [UInt8(scalar >> 6 | 0xc0), tail(0)]
    case 0x800..<0x10000: bytes += [UInt8(scalar >> 12 | 0xe0), tail(6), tail(0)]
    default: bytes += [UInt8(scalar >> 18 | 0xf0), tail(12), tail(6), tail(0)]
    }
}
