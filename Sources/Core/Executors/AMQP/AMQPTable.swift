// Values and tables of AMQP 0-9-1 as RabbitMQ writes them (specification, section 4.2.5.5, with the
// letters of www.rabbitmq.com/amqp-0-9-1-errata).

/// A value of a table. What nobody here looks at is read over.
indirect enum AMQPValue: Hashable, Sendable {
    case bool(Bool)
    case text([UInt8])
    case table(AMQPTable)
    case list([AMQPValue])
    /// A number, a time, nothing.
    case other
}

/// Names and values, in order.
struct AMQPTable: Hashable, Sendable {
    var entries: [(name: String, value: AMQPValue)]

    init(_ entries: [(name: String, value: AMQPValue)] = []) { self.entries = entries }

    /// The first value of this name. Complexity: O(entries).
    subscript(name: String) -> AMQPValue? { entries.first { $0.name == name }?.value }

    static func == (a: AMQPTable, b: AMQPTable) -> Bool {
        a.entries.elementsEqual(b.entries) { $0.name == $1.name && $0.value == $1.value }
    }

    func hash(into hasher: inout Hasher) {
        for entry in entries {
            hasher.combine(entry.name)
            hasher.combine(entry.value)
        }
    }
}

/// Reads the arguments of a method.
struct AMQPReader {
    private var bytes: ByteReader

    /// How deep tables and lists may stand in each other.
    static let depth = 16

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = ByteReader(bytes) }

    mutating func octet() throws(ByteError) -> UInt8 { try bytes.u8() }
    mutating func short() throws(ByteError) -> UInt16 { try bytes.u16().byteSwapped }
    mutating func long() throws(ByteError) -> UInt32 { try bytes.u32().byteSwapped }
    mutating func longLong() throws(ByteError) -> UInt64 { try bytes.u64().byteSwapped }

    /// At most 255 bytes; what is not UTF-8 in it is replaced.
    mutating func shortText() throws(ByteError) -> String {
        String(decoding: try bytes.raw(Int(try octet())), as: UTF8.self)
    }

    mutating func longBytes() throws(ByteError) -> ArraySlice<UInt8> {
        try bytes.raw(Int(try long()))
    }

    mutating func table(depth: Int = AMQPReader.depth) throws(ByteError) -> AMQPTable {
        var inner = try nested(depth)
        var table = AMQPTable()
        while !inner.bytes.isAtEnd {
            let name = try inner.shortText()
            table.entries.append((name, try inner.value(depth: depth - 1)))
        }
        return table
    }

    private mutating func list(depth: Int) throws(ByteError) -> [AMQPValue] {
        var inner = try nested(depth)
        var values: [AMQPValue] = []
        while !inner.bytes.isAtEnd { values.append(try inner.value(depth: depth - 1)) }
        return values
    }

    private mutating func nested(_ depth: Int) throws(ByteError) -> AMQPReader {
        guard depth > 0 else {
            throw .malformed(
                offset: bytes.offset, what: "tables more than \(Self.depth) deep in each other")
        }
        return AMQPReader(try longBytes())
    }

    private mutating func value(depth: Int) throws(ByteError) -> AMQPValue {
        let start = bytes.offset
        let size: Int
        switch try octet() {
        case UInt8(ascii: "t"): return .bool(try octet() != 0)
        case UInt8(ascii: "S"), UInt8(ascii: "x"): return .text(Array(try longBytes()))
        case UInt8(ascii: "F"): return .table(try table(depth: depth))
        case UInt8(ascii: "A"): return .list(try list(depth: depth))
        case UInt8(ascii: "V"): size = 0
        case UInt8(ascii: "b"), UInt8(ascii: "B"): size = 1
        case UInt8(ascii: "s"), UInt8(ascii: "u"): size = 2
        case UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f"): size = 4
        case UInt8(ascii: "D"): size = 5
        case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "T"): size = 8
        case let letter:
            throw .malformed(offset: start, what: "a value of the kind \(letter)")
        }
        _ = try bytes.raw(size)
        return .other
    }
}

/// Writes the arguments of a method.
struct AMQPWriter {
    private(set) var output: [UInt8] = []

    mutating func octet(_ value: UInt8) { output.append(value) }
    mutating func short(_ value: UInt16) { integer(value) }
    mutating func long(_ value: UInt32) { integer(value) }
    mutating func longLong(_ value: UInt64) { integer(value) }

    /// Flags beside each other: the first is the lowest bit of a byte.
    mutating func bits(_ flags: Bool...) {
        octet(flags.enumerated().reduce(0) { $0 | ($1.element ? 1 << UInt8($1.offset) : 0) })
    }

    /// At most 255 bytes.
    mutating func shortText(_ text: String) {
        invariant(text.utf8.count <= 255, "the length of a short text fits one byte")
        octet(UInt8(text.utf8.count))
        output += text.utf8
    }

    mutating func longBytes(_ bytes: [UInt8]) {
        long(UInt32(bytes.count))
        output += bytes
    }

    /// Numbers are written as nothing: nobody here has any to say.
    mutating func table(_ table: AMQPTable) {
        var inner = AMQPWriter()
        for entry in table.entries {
            inner.shortText(entry.name)
            inner.value(entry.value)
        }
        longBytes(inner.output)
    }

    private mutating func value(_ value: AMQPValue) {
        switch value {
        case .bool(let flag):
            octet(UInt8(ascii: "t"))
            octet(flag ? 1 : 0)
        case .text(let bytes):
            octet(UInt8(ascii: "S"))
            longBytes(bytes)
        case .table(let table):
            octet(UInt8(ascii: "F"))
            self.table(table)
        case .list(let values):
            octet(UInt8(ascii: "A"))
            var inner = AMQPWriter()
            for value in values { inner.value(value) }
            longBytes(inner.output)
        case .other: octet(UInt8(ascii: "V"))
        }
    }

    private mutating func integer(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { output.append(contentsOf: $0) }
    }
}
