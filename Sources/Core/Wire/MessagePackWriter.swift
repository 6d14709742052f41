/// Writes MessagePack as its first edition has it: no `str 8`, no `bin`. Numbers and lengths take
/// the shortest form. The counterpart of `MessagePackReader`.
package struct MessagePackWriter: Sendable {
    /// What has been written so far.
    package private(set) var output: [UInt8]
    /// Fields of the structure that is being written.
    private var fieldCount = 0

    /// Goes on behind `output`, which may hold a type byte.
    package init(_ output: [UInt8] = []) { self.output = output }

    // MARK: Values

    package mutating func map(_ count: Int) {
        head(count, fix: 0x80, upTo: 15, word: 0xde, long: 0xdf)
    }

    package mutating func array(_ count: Int) {
        head(count, fix: 0x90, upTo: 15, word: 0xdc, long: 0xdd)
    }

    package mutating func raw(_ bytes: some Collection<UInt8>) {
        head(bytes.count, fix: 0xa0, upTo: 31, word: 0xda, long: 0xdb)
        output.append(contentsOf: bytes)
    }

    package mutating func text(_ text: String) { raw(text.utf8) }

    package mutating func bool(_ value: Bool) { output.append(value ? 0xc3 : 0xc2) }

    package mutating func unsigned(_ value: UInt64) {
        switch value {
        case 0...0x7f: output.append(UInt8(value))
        case 0...0xff: output += [0xcc, UInt8(value)]
        case 0...0xffff: number(0xcd, UInt16(value))
        case 0...0xffff_ffff: number(0xce, UInt32(value))
        default: number(0xcf, value)
        }
    }

    package mutating func signed(_ value: Int64) {
        switch value {
        case 0...: unsigned(UInt64(value))
        case -32..<0: output.append(UInt8(bitPattern: Int8(value)))
        case Int64(Int8.min)..<0: output += [0xd0, UInt8(bitPattern: Int8(value))]
        case Int64(Int16.min)..<0: number(0xd1, UInt16(bitPattern: Int16(value)))
        case Int64(Int32.min)..<0: number(0xd2, UInt32(bitPattern: Int32(value)))
        default: number(0xd3, UInt64(bitPattern: value))
        }
    }

    // MARK: Structures

    /// A map of at most 15 of the `field` calls in `body`.
    package mutating func fields(_ body: (inout MessagePackWriter) -> Void) {
        let start = output.count
        let outer = fieldCount
        fieldCount = 0
        output.append(0)
        body(&self)
        invariant(fieldCount <= 15, "a structure has at most 15 fields")
        output[start] = 0x80 | UInt8(fieldCount)
        fieldCount = outer
    }

    /// A key, whose value `value` writes.
    package mutating func field(_ key: String, _ value: (inout MessagePackWriter) -> Void) {
        fieldCount += 1
        text(key)
        value(&self)
    }

    package mutating func field(_ key: String, _ value: some UnsignedInteger) {
        field(key) { $0.unsigned(UInt64(value)) }
    }

    package mutating func field(_ key: String, _ value: Bool) { field(key) { $0.bool(value) } }

    package mutating func field(_ key: String, _ value: String) { field(key) { $0.text(value) } }

    package mutating func field(_ key: String, _ value: [UInt8]) { field(key) { $0.raw(value) } }

    // MARK: Helpers

    private mutating func head(_ count: Int, fix: UInt8, upTo: Int, word: UInt8, long: UInt8) {
        if count <= upTo {
            output.append(fix | UInt8(count))
        } else if count <= 0xffff {
            number(word, UInt16(count))
        } else {
            invariant(count <= Int(UInt32.max), "MessagePack counts to 2^32")
            number(long, UInt32(count))
        }
    }

    private mutating func number<T: FixedWidthInteger>(_ head: UInt8, _ value: T) {
        output.append(head)
        withUnsafeBytes(of: value.bigEndian) { output.append(contentsOf: $0) }
    }
}
