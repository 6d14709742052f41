// Reads what `ByteWriter` wrote, and survives everything else: no input makes it trap, allocate
// more than the input's own size, or accept two encodings of one value.

/// Why bytes could not be read.
package enum ByteError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes end before the value does; `offset` counts from the reader's start.
    case endOfBytes(offset: Int)
    /// The bytes mean nothing that was ever written.
    case malformed(offset: Int, what: String)

    package var description: String {
        switch self {
        case .endOfBytes(let offset): "the bytes end too early, at offset \(offset)"
        case .malformed(let offset, let what): "\(what), at offset \(offset)"
        }
    }
}

/// A position in a byte string; the counterpart of `ByteWriter`. Copying it is a bookmark.
package struct ByteReader: Sendable {
    private let base: ArraySlice<UInt8>
    private var position: Int

    package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    package init(_ bytes: ArraySlice<UInt8>) {
        base = bytes
        position = bytes.startIndex
    }

    /// How many bytes have been read.
    package var offset: Int { position - base.startIndex }
    /// How many bytes are left.
    package var remaining: Int { base.endIndex - position }
    package var isAtEnd: Bool { position == base.endIndex }

    package mutating func u8() throws(ByteError) -> UInt8 {
        guard position < base.endIndex else { throw .endOfBytes(offset: offset) }
        defer { position += 1 }
        return base[position]
    }

    package mutating func u16() throws(ByteError) -> UInt16 { try integer() }
    package mutating func u32() throws(ByteError) -> UInt32 { try integer() }
    package mutating func u64() throws(ByteError) -> UInt64 { try integer() }
    package mutating func i64() throws(ByteError) -> Int64 { try integer() }

    package mutating func bool() throws(ByteError) -> Bool {
        let value = try u8()
        guard value <= 1 else { throw .malformed(offset: offset - 1, what: "a flag of \(value)") }
        return value == 1
    }

    /// LEB128; refuses encodings longer than necessary and values beyond 64 bits.
    package mutating func varint() throws(ByteError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try u8()
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || bits <= 1 else {
                throw .malformed(offset: start, what: "a varint beyond 64 bits")
            }
            value |= bits << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else {
                    throw .malformed(offset: start, what: "a varint longer than necessary")
                }
                return value
            }
            shift += 7
            guard shift <= 63 else {
                throw .malformed(offset: start, what: "a varint beyond 64 bits")
            }
        }
    }

    /// A length or count, checked against the bytes that are left: each counted element takes at
    /// least `elementSize` bytes, so a hostile count cannot make anybody allocate.
    package mutating func length(elementSize: Int = 1) throws(ByteError) -> Int {
        let start = offset
        let value = try varint()
        guard value <= UInt64(remaining / max(elementSize, 1)) else {
            throw .endOfBytes(offset: start)
        }
        return Int(value)
    }

    /// Bytes after their length, copied.
    package mutating func bytes() throws(ByteError) -> [UInt8] { Array(try slice()) }

    /// Bytes after their length, sharing the reader's memory.
    package mutating func slice() throws(ByteError) -> ArraySlice<UInt8> {
        let count = try length()
        return try raw(count)
    }

    /// The next `count` bytes, sharing the reader's memory.
    package mutating func raw(_ count: Int) throws(ByteError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else { throw .endOfBytes(offset: offset) }
        defer { position += count }
        return base[position..<position + count]
    }

    /// Everything that is left, sharing the reader's memory.
    package mutating func rest() -> ArraySlice<UInt8> {
        defer { position = base.endIndex }
        return base[position...]
    }

    /// Valid UTF-8 after its length; anything else is malformed, never repaired.
    package mutating func string() throws(ByteError) -> String {
        let start = offset
        let bytes = try slice()
        guard let text = try? UTF8Span(validating: bytes.span) else {
            throw .malformed(offset: start, what: "text that is not UTF-8")
        }
        return String(copying: text)
    }

    package mutating func optional<T>(
        _ read: (inout ByteReader) throws(ByteError) -> T
    ) throws(ByteError) -> T? {
        guard try bool() else { return nil }
        return try read(&self)
    }

    /// A counted list; each element takes at least `elementSize` bytes.
    package mutating func array<T>(
        elementSize: Int = 1, _ read: (inout ByteReader) throws(ByteError) -> T
    ) throws(ByteError) -> [T] {
        let count = try length(elementSize: elementSize)
        var values: [T] = []
        values.reserveCapacity(min(count, 1024))
        for _ in 0..<count { values.append(try read(&self)) }
        return values
    }

    /// Refuses bytes after the last value.
    package func expectEnd() throws(ByteError) {
        guard isAtEnd else {
            throw .malformed(offset: offset, what: "\(remaining) bytes too many")
        }
    }

    private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>() throws(ByteError) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw .endOfBytes(offset: offset) }
        let start = position - base.startIndex
        position += size
        return base.withUnsafeBytes {
            T(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: T.self))
        }
    }
}
