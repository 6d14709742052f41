/// Writes values for one stream: the description of a type stands before its first use.
struct GobEncoder: Sendable {
    private var known: [(type: GobType, number: Int64)] = []

    /// One value with the descriptions that it needs. Its fields are those of its type; what it
    /// has not is zero.
    mutating func encode(_ value: GobValue, as type: GobType) -> [UInt8] {
        var output: [UInt8] = []
        let number = self.number(of: type, &output)
        var body: [UInt8] = []
        Self.append(signed: number, to: &body)
        if case .structure = type {} else { body.append(0) }
        Self.append(value, as: type, to: &body)
        Self.append(message: body, to: &output)
        return output
    }

    // MARK: Types

    private mutating func number(of type: GobType, _ output: inout [UInt8]) -> Int64 {
        switch type {
        case .bool: return GobNumber.bool
        case .int: return GobNumber.int
        case .uint: return GobNumber.uint
        case .float: return GobNumber.float
        case .bytes: return GobNumber.bytes
        case .string: return GobNumber.string
        case .slice, .map, .structure: break
        }
        if let entry = known.first(where: { $0.type == type }) { return entry.number }
        let number = GobNumber.firstOwn + Int64(known.count)
        known.append((type, number))
        var body: [UInt8] = []
        Self.append(signed: -number, to: &body)
        body += description(of: type, number, &output)
        Self.append(message: body, to: &output)
        return number
    }

    /// The type as a value of Go's `wireType`: one field of it is set.
    private mutating func description(
        of type: GobType, _ number: Int64, _ output: inout [UInt8]
    ) -> [UInt8] {
        var body: [UInt8] = []
        func common(_ name: String) {
            body.append(1)
            if !name.isEmpty {
                body.append(1)
                Self.append(bytes: Array(name.utf8), to: &body)
            }
            body.append(name.isEmpty ? 2 : 1)
            Self.append(signed: number, to: &body)
            body.append(0)
        }
        switch type {
        case .slice(let element):
            body.append(2)
            common("")
            body.append(1)
            Self.append(signed: self.number(of: element, &output), to: &body)
        case .map(let key, let value):
            body.append(4)
            common("")
            for part in [key, value] {
                body.append(1)
                Self.append(signed: self.number(of: part, &output), to: &body)
            }
        case .structure(let name, let fields):
            body.append(3)
            common(name)
            guard !fields.isEmpty else { break }
            body.append(1)
            Self.append(unsigned: UInt64(fields.count), to: &body)
            for field in fields {
                body.append(1)
                Self.append(bytes: Array(field.name.utf8), to: &body)
                body.append(1)
                Self.append(signed: self.number(of: field.type, &output), to: &body)
                body.append(0)
            }
        case .bool, .int, .uint, .float, .bytes, .string: break
        }
        return body + [0, 0]
    }

    // MARK: Values

    private static func append(_ value: GobValue, as type: GobType, to output: inout [UInt8]) {
        switch (value, type) {
        case (.bool(let flag), _): output.append(flag ? 1 : 0)
        case (.int(let number), _): append(signed: number, to: &output)
        case (.uint(let number), _): append(unsigned: number, to: &output)
        case (.float(let bits), _): append(unsigned: bits.byteSwapped, to: &output)
        case (.bytes(let bytes), _), (.opaque(let bytes), _): append(bytes: bytes, to: &output)
        case (.string(let text), _): append(bytes: Array(text.utf8), to: &output)
        case (.list(let elements), .slice(let type)):
            append(unsigned: UInt64(elements.count), to: &output)
            for element in elements { append(element, as: type, to: &output) }
        case (.map(let entries), .map(let key, let value)):
            append(unsigned: UInt64(entries.count / 2), to: &output)
            for (index, entry) in entries.enumerated() {
                append(entry, as: index.isMultiple(of: 2) ? key : value, to: &output)
            }
        case (.structure, .structure(_, let fields)):
            var last = -1
            for (index, field) in fields.enumerated() {
                guard let member = value[field.name], !isZero(member) else { continue }
                append(unsigned: UInt64(index - last), to: &output)
                append(member, as: field.type, to: &output)
                last = index
            }
            output.append(0)
        default: invariant(false, "a value is written as its own type")
        }
    }

    private static func isZero(_ value: GobValue) -> Bool {
        switch value {
        case .bool(let flag): !flag
        case .int(let number): number == 0
        case .uint(let number), .float(let number): number == 0
        case .bytes(let bytes): bytes.isEmpty
        case .string(let text): text.isEmpty
        case .list(let elements), .map(let elements): elements.isEmpty
        case .structure, .opaque: false
        }
    }

    // MARK: Numbers

    static func append(message body: [UInt8], to output: inout [UInt8]) {
        append(unsigned: UInt64(body.count), to: &output)
        output += body
    }

    private static func append(bytes: [UInt8], to output: inout [UInt8]) {
        append(unsigned: UInt64(bytes.count), to: &output)
        output += bytes
    }

    static func append(signed value: Int64, to output: inout [UInt8]) {
        let bits = UInt64(bitPattern: value)
        append(unsigned: value < 0 ? ~bits << 1 | 1 : bits << 1, to: &output)
    }

    static func append(unsigned value: UInt64, to output: inout [UInt8]) {
        guard value > 0x7f else { return output.append(UInt8(value)) }
        let count = (64 - value.leadingZeroBitCount + 7) / 8
        output.append(0 &- UInt8(count))
        for index in (0..<count).reversed() {
            output.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }
}
