// The one way in which Core turns values into bytes: little-endian integers, minimal varints,
// lengths before contents. Every value has exactly one encoding, so equal values have equal
// bytes and equal hashes.

/// Builds a byte string; the counterpart of `ByteReader`.
package struct ByteWriter: Sendable {
    /// What has been written so far.
    package private(set) var output: [UInt8]

    package init() { output = [] }

    /// Starts with room for `capacity` bytes.
    package init(capacity: Int) {
        output = []
        output.reserveCapacity(capacity)
    }

    /// Goes on at the end of `output`.
    package init(continuing output: consuming [UInt8]) { self.output = output }

    package var count: Int { output.count }

    /// Forgets what was written and keeps the memory.
    package mutating func clear() { output.removeAll(keepingCapacity: true) }

    package mutating func u8(_ value: UInt8) { output.append(value) }

    package mutating func u16(_ value: UInt16) {
        withUnsafeBytes(of: value.littleEndian) { output.append(contentsOf: $0) }
    }

    package mutating func u32(_ value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { output.append(contentsOf: $0) }
    }

    package mutating func u64(_ value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { output.append(contentsOf: $0) }
    }

    package mutating func i64(_ value: Int64) { u64(UInt64(bitPattern: value)) }

    /// One byte, 0 or 1.
    package mutating func bool(_ value: Bool) { output.append(value ? 1 : 0) }

    /// LEB128: seven bits a byte, low bits first, 1 to 10 bytes.
    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A count or length as a varint.
    package mutating func length(_ value: Int) {
        invariant(value >= 0, "a length is never negative")
        varint(UInt64(value))
    }

    /// The length as a varint, then the bytes.
    package mutating func bytes(_ value: [UInt8]) {
        length(value.count)
        output.append(contentsOf: value)
    }

    /// The length as a varint, then the bytes.
    package mutating func bytes(_ value: ArraySlice<UInt8>) {
        length(value.count)
        output.append(contentsOf: value)
    }

    /// The bytes alone; the reader must know how many there are.
    package mutating func raw(_ value: [UInt8]) { output.append(contentsOf: value) }

    /// The bytes alone; the reader must know how many there are.
    package mutating func raw(_ value: ArraySlice<UInt8>) { output.append(contentsOf: value) }

    /// The text's UTF-8 bytes after their number as a varint.
    package mutating func string(_ value: String) {
        var text = value
        text.withUTF8 { utf8 in
            length(utf8.count)
            output.append(contentsOf: utf8)
        }
    }

    /// A byte 0 for nil; a byte 1 and what `write` makes of the value otherwise.
    package mutating func optional<T>(_ value: T?, _ write: (inout ByteWriter, T) -> Void) {
        bool(value != nil)
        if let value { write(&self, value) }
    }

    /// The number of elements as a varint, then what `write` makes of each.
    package mutating func array<T>(_ values: [T], _ write: (inout ByteWriter, T) -> Void) {
        length(values.count)
        for value in values { write(&self, value) }
    }

    /// Replaces four bytes written before, for lengths and checksums known only at the end.
    package mutating func patch(u32 value: UInt32, at offset: Int) {
        invariant(offset >= 0 && offset + 4 <= output.count, "a patch lies inside the output")
        withUnsafeBytes(of: value.littleEndian) { bytes in
            for index in 0..<4 { output[offset + index] = bytes[index] }
        }
    }
}
