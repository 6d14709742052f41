// MessagePack as memberlist and Serf speak it. They keep to the format's first edition, in which
// text and bytes are one type ("raw"); of the later one, whatever is unambiguous is read as well.

/// A position in MessagePack bytes. No input makes it trap, recurse, or allocate more than the
/// input's own size; errors name the offset from the reader's start.
package struct MessagePackReader: Sendable {
    private var bytes: ByteReader

    package init(_ bytes: ArraySlice<UInt8>) { self.bytes = ByteReader(bytes) }

    /// How many bytes have been read.
    package var offset: Int { bytes.offset }
    package var remaining: Int { bytes.remaining }

    /// The bytes behind the last value.
    package mutating func rest() -> ArraySlice<UInt8> { bytes.rest() }

    /// The next `count` bytes as they are.
    package mutating func unpacked(_ count: Int) throws(ByteError) -> ArraySlice<UInt8> {
        try bytes.raw(count)
    }

    // MARK: Values

    /// The number of pairs of a map; nil is an empty one.
    package mutating func map() throws(ByteError) -> Int {
        let start = offset
        let count: Int
        switch try bytes.u8() {
        case let head where head & 0xf0 == 0x80: count = Int(head & 0x0f)
        case 0xc0: count = 0
        case 0xde: count = Int(try bytes.u16().byteSwapped)
        case 0xdf: count = Int(try bytes.u32().byteSwapped)
        case let head: throw unexpected(head, "a map", at: start)
        }
        return try checked(count, size: 2, at: start)
    }

    /// The number of elements of an array; nil is an empty one.
    package mutating func array() throws(ByteError) -> Int {
        let start = offset
        let count: Int
        switch try bytes.u8() {
        case let head where head & 0xf0 == 0x90: count = Int(head & 0x0f)
        case 0xc0: count = 0
        case 0xdc: count = Int(try bytes.u16().byteSwapped)
        case 0xdd: count = Int(try bytes.u32().byteSwapped)
        case let head: throw unexpected(head, "an array", at: start)
        }
        return try checked(count, size: 1, at: start)
    }

    /// Bytes or text; nil is empty. Shares the reader's memory.
    package mutating func raw() throws(ByteError) -> ArraySlice<UInt8> {
        let start = offset
        switch try bytes.u8() {
        case let head where head & 0xe0 == 0xa0: return try bytes.raw(Int(head & 0x1f))
        case 0xc0: return try bytes.raw(0)
        case 0xc4, 0xd9: return try bytes.raw(Int(try bytes.u8()))
        case 0xc5, 0xda: return try bytes.raw(Int(try bytes.u16().byteSwapped))
        case 0xc6, 0xdb: return try bytes.raw(Int(try bytes.u32().byteSwapped))
        case let head: throw unexpected(head, "bytes", at: start)
        }
    }

    /// Text of valid UTF-8; anything else is malformed, never repaired: two names must not become
    /// one.
    package mutating func text() throws(ByteError) -> String {
        let start = offset
        let bytes = try raw()
        guard let text = try? UTF8Span(validating: bytes.span) else {
            throw .malformed(offset: start, what: "text that is not UTF-8")
        }
        return String(copying: text)
    }

    package mutating func bool() throws(ByteError) -> Bool {
        let start = offset
        switch try bytes.u8() {
        case 0xc2: return false
        case 0xc3: return true
        case let head: throw unexpected(head, "a flag", at: start)
        }
    }

    /// A whole number in any of the formats that fits `Value`.
    package mutating func integer<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self
    ) throws(ByteError) -> Value {
        let start = offset
        let value: Value?
        switch try bytes.u8() {
        case let head where head <= 0x7f: value = Value(exactly: head)
        case let head where head >= 0xe0: value = Value(exactly: Int8(bitPattern: head))
        case 0xcc: value = Value(exactly: try bytes.u8())
        case 0xcd: value = Value(exactly: try bytes.u16().byteSwapped)
        case 0xce: value = Value(exactly: try bytes.u32().byteSwapped)
        case 0xcf: value = Value(exactly: try bytes.u64().byteSwapped)
        case 0xd0: value = Value(exactly: Int8(bitPattern: try bytes.u8()))
        case 0xd1: value = Value(exactly: Int16(bitPattern: try bytes.u16().byteSwapped))
        case 0xd2: value = Value(exactly: Int32(bitPattern: try bytes.u32().byteSwapped))
        case 0xd3: value = Value(exactly: Int64(bitPattern: try bytes.u64().byteSwapped))
        case let head: throw unexpected(head, "a whole number", at: start)
        }
        guard let value else {
            throw .malformed(
                offset: start, what: "a number that is not within \(Value.min) and \(Value.max)")
        }
        return value
    }

    /// Whether nil comes next; takes it if so.
    package mutating func takeNil() throws(ByteError) -> Bool {
        var ahead = bytes
        guard try ahead.u8() == 0xc0 else { return false }
        bytes = ahead
        return true
    }

    // MARK: Structures

    /// A map with texts for keys: `body` reads the value of each, by `skip` if the key is unknown.
    package mutating func fields(
        _ body: (_ key: String, inout MessagePackReader) throws(ByteError) -> Void
    ) throws(ByteError) {
        for _ in 0..<(try map()) { try body(try text(), &self) }
    }

    /// What `element` reads, as often as the array is long.
    package mutating func elements<Element>(
        _ element: (inout MessagePackReader) throws(ByteError) -> Element
    ) throws(ByteError) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<(try array()) { elements.append(try element(&self)) }
        return elements
    }

    /// Goes past one value, whatever it is. Linear in its bytes; no nesting is too deep.
    package mutating func skip() throws(ByteError) {
        var pending = 1
        while pending > 0 { pending += try skipHead() - 1 }
    }

    /// Goes past one value without what is nested in it, and says how many values that is.
    package mutating func skipHead() throws(ByteError) -> Int {
        let start = offset
        let head = try bytes.u8()
        switch head {
        case 0x00...0x7f, 0xc0, 0xc2, 0xc3, 0xe0...0xff: return 0
        case 0xcc, 0xd0: return try past(1)
        case 0xcd, 0xd1: return try past(2)
        case 0xca, 0xce, 0xd2: return try past(4)
        case 0xcb, 0xcf, 0xd3: return try past(8)
        case 0xd4...0xd8: return try past(1 + 1 << Int(head - 0xd4))
        case 0xa0...0xbf: return try past(Int(head & 0x1f))
        case 0xc4, 0xd9: return try past(Int(try bytes.u8()))
        case 0xc5, 0xda: return try past(Int(try bytes.u16().byteSwapped))
        case 0xc6, 0xdb: return try past(Int(try bytes.u32().byteSwapped))
        case 0xc7: return try past(1 + Int(try bytes.u8()))
        case 0xc8: return try past(1 + Int(try bytes.u16().byteSwapped))
        case 0xc9: return try past(1 + Int(try bytes.u32().byteSwapped))
        case 0x80...0x8f: return 2 * Int(head & 0x0f)
        case 0x90...0x9f: return Int(head & 0x0f)
        case 0xdc: return Int(try bytes.u16().byteSwapped)
        case 0xdd: return Int(try bytes.u32().byteSwapped)
        case 0xde: return 2 * Int(try bytes.u16().byteSwapped)
        case 0xdf: return 2 * Int(try bytes.u32().byteSwapped)
        default: throw unexpected(head, "a value", at: start)
        }
    }

    // MARK: Helpers

    private mutating func past(_ count: Int) throws(ByteError) -> Int {
        _ = try bytes.raw(count)
        return 0
    }

    /// Each element takes at least `size` bytes, so a hostile count can't make anybody allocate.
    private func checked(_ count: Int, size: Int, at start: Int) throws(ByteError) -> Int {
        guard count <= remaining / size else { throw .endOfBytes(offset: start) }
        return count
    }

    private func unexpected(_ head: UInt8, _ wanted: String, at offset: Int) -> ByteError {
        let digits = String(head, radix: 16)
        return .malformed(
            offset: offset, what: "\(wanted) was expected, the byte there is 0x\(digits)")
    }
}
