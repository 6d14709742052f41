// A plain reader of JSON for the judges: what the core's own reader and writer made must make sense
// to somebody else.

indirect enum NaiveJSON: Hashable, Sendable {
    case null
    case bool(Bool)
    /// As written.
    case number(String)
    case string(String)
    case array([NaiveJSON])
    /// Members in order.
    case object([Member])

    struct Member: Hashable, Sendable {
        var name: String
        var value: NaiveJSON
    }

    subscript(name: String) -> NaiveJSON? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }
    var isTrue: Bool { self == .bool(true) }
    var integer: Int64? {
        if case .number(let text) = self { return Int64(text) }
        return nil
    }
    var items: [NaiveJSON]? {
        if case .array(let items) = self { return items }
        return nil
    }
    var members: [Member]? {
        if case .object(let members) = self { return members }
        return nil
    }

    init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skipSpace()
        guard reader.position == bytes.count else { return nil }
        self = value
    }

    /// Written back without spaces.
    var json: String {
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .string(let text): return Self.quoted(text)
        case .array(let items): return "[" + items.map(\.json).joined(separator: ",") + "]"
        case .object(let members):
            let parts = members.map { Self.quoted($0.name) + ":" + $0.value.json }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            default:
                if scalar.value < 0x20 {
                    let hex = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func skipSpace() {
            while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) {
                position += 1
            }
        }

        mutating func take(_ byte: UInt8) -> Bool {
            skipSpace()
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        mutating func value(depth: Int) -> NaiveJSON? {
            guard depth < 64 else { return nil }
            skipSpace()
            guard position < bytes.count else { return nil }
            switch bytes[position] {
            case 0x7b: return object(depth)
            case 0x5b: return array(depth)
            case 0x22: return string().map { .string($0) }
            case 0x74: return word("true", .bool(true))
            case 0x66: return word("false", .bool(false))
            case 0x6e: return word("null", .null)
            default: return number()
            }
        }

        mutating func word(_ text: String, _ value: NaiveJSON) -> NaiveJSON? {
            let expected = Array(text.utf8)
            guard position + expected.count <= bytes.count,
                Array(bytes[position..<position + expected.count]) == expected
            else { return nil }
            position += expected.count
            return value
        }

        mutating func number() -> NaiveJSON? {
            let start = position
            let allowed = Array("+-0123456789.eE".utf8)
            while position < bytes.count, allowed.contains(bytes[position]) { position += 1 }
            guard position > start else { return nil }
            return .number(String(decoding: bytes[start..<position], as: UTF8.self))
        }

        mutating func array(_ depth: Int) -> NaiveJSON? {
            position += 1
            var items: [NaiveJSON] = []
            if take(0x5d) { return .array([]) }
            while true {
                guard let item = value(depth: depth + 1) else { return nil }
                items.append(item)
                if take(0x5d) { return .array(items) }
                guard take(0x2c) else { return nil }
            }
        }

        mutating func object(_ depth: Int) -> NaiveJSON? {
            position += 1
            var members: [Member] = []
            if take(0x7d) { return .object([]) }
            while true {
                skipSpace()
                guard position < bytes.count, bytes[position] == 0x22, let name = string(),
                    take(0x3a), let value = value(depth: depth + 1)
                else { return nil }
                members.append(Member(name: name, value: value))
                if take(0x7d) { return .object(members) }
                guard take(0x2c) else { return nil }
            }
        }

        mutating func string() -> String? {
            position += 1
            var text: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == 0x22 {
                    guard let valid = try? UTF8Span(validating: text.span) else { return nil }
                    return String(copying: valid)
                }
                guard byte >= 0x20 else { return nil }
                guard byte == 0x5c else {
                    text.append(byte)
                    continue
                }
                guard position < bytes.count else { return nil }
                let escape = bytes[position]
                position += 1
                switch escape {
                case 0x22, 0x5c, 0x2f: text.append(escape)
                case 0x62: text.append(0x08)
                case 0x66: text.append(0x0c)
                case 0x6e: text.append(0x0a)
                case 0x72: text.append(0x0d)
                case 0x74: text.append(0x09)
                case 0x75:
                    guard let scalar = unicode() else { return nil }
                    text.append(contentsOf: Array(String(Character(scalar)).utf8))
                default: return nil
                }
            }
            return nil
        }

        mutating func unit() -> UInt32? {
            guard position + 4 <= bytes.count else { return nil }
            let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
            position += 4
            return UInt32(digits, radix: 16)
        }

        mutating func unicode() -> Unicode.Scalar? {
            guard let first = unit() else { return nil }
            guard (0xd800..<0xdc00).contains(first) else { return Unicode.Scalar(first) }
            guard position + 2 <= bytes.count, bytes[position] == 0x5c,
                bytes[position + 1] == 0x75
            else { return nil }
            position += 2
            guard let second = unit(), (0xdc00..<0xe000).contains(second) else { return nil }
            return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        }
    }
}
