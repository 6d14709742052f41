// Messages out of bytes, in the wire format of Protocol Buffers
// (protobuf.dev/programming-guides/encoding).

/// How a field's bytes are told from the next field's.
package enum ProtobufWireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

/// Why bytes are not a message, or a text does not describe one.
package struct ProtobufError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The member at fault from the outermost message on, such as `config.retries[2]`; empty for
    /// the message itself.
    package let path: String
    /// A sentence without its full stop.
    package let reason: String

    package init(_ reason: String, path: String = "") {
        self.path = path
        self.reason = reason
    }

    package var description: String { path.isEmpty ? reason : "\(path): \(reason)" }

    /// The same, as seen from a message that holds this one as `member`.
    package func inside(_ member: String) -> ProtobufError {
        if path.isEmpty { return ProtobufError(reason, path: member) }
        return ProtobufError(
            reason, path: path.utf8.first == UInt8(ascii: "[") ? member + path : "\(member).\(path)"
        )
    }
}

/// How deep messages may nest, in bytes as in JSON.
package enum ProtobufLimits {
    package static let depth = 100
}

/// The fields of one message, one after the other.
package struct ProtobufReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// How many messages may still be opened below this one.
    package let depth: Int

    package init(_ bytes: ArraySlice<UInt8>, depth: Int = ProtobufLimits.depth) {
        self.bytes = bytes
        position = bytes.startIndex
        self.depth = depth
    }

    /// The next field, or nil at the end. Groups are passed over.
    package mutating func next() throws(ProtobufError) -> ProtobufField? {
        while position < bytes.endIndex {
            let (number, type) = try tag()
            switch type {
            case .startGroup: try skipGroup(number, depth: depth)
            case .endGroup: throw ProtobufError("a group ends that has not begun")
            default: return try field(number, type)
            }
        }
        return nil
    }

    private mutating func tag() throws(ProtobufError) -> (number: Int, type: ProtobufWireType) {
        let tag = try varint()
        guard tag <= UInt64(UInt32.max), tag >> 3 > 0 else {
            throw ProtobufError("a field's number is not between 1 and 536870911")
        }
        guard let type = ProtobufWireType(rawValue: UInt8(tag & 7)) else {
            throw ProtobufError(
                "field \(tag >> 3) has the wire type \(tag & 7), which does not exist")
        }
        return (Int(tag >> 3), type)
    }

    private mutating func field(
        _ number: Int, _ type: ProtobufWireType
    ) throws(ProtobufError) -> ProtobufField {
        var field = ProtobufField(number: number, type: type, depth: depth)
        switch type {
        case .varint: field.bits = try varint()
        case .fixed64: field.bits = try fixed(8)
        case .fixed32: field.bits = try fixed(4)
        default: field.slice = try slice()
        }
        return field
    }

    private mutating func skipGroup(_ number: Int, depth: Int) throws(ProtobufError) {
        guard depth > 0 else { throw tooDeep() }
        while position < bytes.endIndex {
            let (inner, type) = try tag()
            switch type {
            case .startGroup: try skipGroup(inner, depth: depth - 1)
            case .endGroup:
                guard inner == number else {
                    throw ProtobufError("group \(number) ends as group \(inner)")
                }
                return
            default: _ = try field(inner, type)
            }
        }
        throw ProtobufError("group \(number) has no end")
    }

    var isAtEnd: Bool { position == bytes.endIndex }

    /// Up to ten bytes; what exceeds 64 bits is dropped, as everybody does.
    mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.endIndex {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            guard shift < 70 else { throw ProtobufError("a varint has more than ten bytes") }
        }
        throw truncated()
    }

    mutating func fixed(_ count: Int) throws(ProtobufError) -> UInt64 {
        guard bytes.endIndex - position >= count else { throw truncated() }
        var value: UInt64 = 0
        for offset in 0..<count { value |= UInt64(bytes[position + offset]) << UInt64(8 * offset) }
        position += count
        return value
    }

    private mutating func slice() throws(ProtobufError) -> ArraySlice<UInt8> {
        let count = try varint()
        guard count <= UInt64(bytes.endIndex - position) else { throw truncated() }
        defer { position += Int(count) }
        return bytes[position..<position + Int(count)]
    }

    private func truncated() -> ProtobufError {
        ProtobufError("the bytes end within a field")
    }
}

private func tooDeep() -> ProtobufError {
    ProtobufError("messages nest more than \(ProtobufLimits.depth) deep")
}

/// One field as it stands in the bytes. The typed readings throw when the wire type does not fit.
package struct ProtobufField: Sendable {
    package let number: Int
    package let type: ProtobufWireType
    fileprivate let depth: Int
    /// Of a number.
    package fileprivate(set) var bits: UInt64 = 0
    /// Of texts, bytes, messages and packed lists, sharing the message's memory.
    package fileprivate(set) var slice: ArraySlice<UInt8> = []

    fileprivate init(number: Int, type: ProtobufWireType, depth: Int) {
        self.number = number
        self.type = type
        self.depth = depth
    }

    package func varint() throws(ProtobufError) -> UInt64 {
        try expect(.varint)
        return bits
    }

    package func bytes() throws(ProtobufError) -> ArraySlice<UInt8> {
        try expect(.bytes)
        return slice
    }

    /// Text must be UTF-8.
    package func string() throws(ProtobufError) -> String {
        try expect(.bytes)
        guard let text = try? UTF8Span(validating: slice.span) else {
            throw ProtobufError("the text is not UTF-8")
        }
        return String(copying: text)
    }

    /// A reader of the message in this field.
    package func message() throws(ProtobufError) -> ProtobufReader {
        try expect(.bytes)
        return try nested(slice)
    }

    /// A reader of these bytes as a message one level below this field's.
    func nested(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> ProtobufReader {
        guard depth > 0 else { throw tooDeep() }
        return ProtobufReader(bytes, depth: depth - 1)
    }

    /// Numbers of a repeated field, packed or not.
    package func numbers(
        _ wanted: ProtobufWireType, _ body: (UInt64) throws(ProtobufError) -> Void
    ) throws(ProtobufError) {
        guard type == .bytes, wanted != .bytes else {
            try expect(wanted)
            return try body(bits)
        }
        var reader = ProtobufReader(slice)
        while !reader.isAtEnd {
            switch wanted {
            case .fixed32: try body(reader.fixed(4))
            case .fixed64: try body(reader.fixed(8))
            default: try body(reader.varint())
            }
        }
    }

    func expect(_ wanted: ProtobufWireType) throws(ProtobufError) {
        guard type == wanted else {
            throw ProtobufError("the field has the wire type \(type), and \(wanted) is expected")
        }
    }
}

/// The zigzag form of signed numbers.
enum ProtobufZigzag {
    static func encode(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
    static func decode(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
