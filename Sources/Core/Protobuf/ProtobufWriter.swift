// Messages into bytes.

/// Builds a message; fields stand in the order in which they are written.
package struct ProtobufWriter: Sendable {
    package private(set) var output: [UInt8] = []

    package init() {}

    package mutating func varint(_ number: Int, _ value: UInt64) {
        tag(number, .varint)
        raw(value)
    }

    package mutating func fixed32(_ number: Int, _ value: UInt32) {
        tag(number, .fixed32)
        rawFixed(UInt64(value), 4)
    }

    package mutating func fixed64(_ number: Int, _ value: UInt64) {
        tag(number, .fixed64)
        rawFixed(value, 8)
    }

    package mutating func string(_ number: Int, _ value: String) {
        tag(number, .bytes)
        var text = value
        text.withUTF8 {
            raw(UInt64($0.count))
            output.append(contentsOf: $0)
        }
    }

    package mutating func bytes(_ number: Int, _ value: some Collection<UInt8>) {
        tag(number, .bytes)
        raw(UInt64(value.count))
        output.append(contentsOf: value)
    }

    /// A field whose contents are what `body` writes: a message, or a packed list. Complexity: the
    /// contents move once, to make room for their length.
    package mutating func nested<E: Error>(
        _ number: Int, _ body: (inout ProtobufWriter) throws(E) -> Void
    ) throws(E) {
        tag(number, .bytes)
        let start = output.count
        try body(&self)
        var length = ProtobufWriter()
        length.raw(UInt64(output.count - start))
        output.insert(contentsOf: length.output, at: start)
    }

    /// A number without its field, inside a packed list.
    mutating func raw(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }

    mutating func rawFixed(_ value: UInt64, _ count: Int) {
        for offset in 0..<count {
            output.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * offset)))
        }
    }

    private mutating func tag(_ number: Int, _ type: ProtobufWireType) {
        raw(UInt64(number) << 3 | UInt64(type.rawValue))
    }
}
