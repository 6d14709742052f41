/// Reads the values of one stream by the descriptions that its sender gives. No input makes it trap
/// or keep more than a multiple of the message's size.
struct GobDecoder: Sendable {
    private enum Description: Sendable {
        case slice(Int64)
        case array(Int64)
        case map(Int64, Int64)
        case structure([(name: String, type: Int64)])
        case opaque
    }

    /// Bytes of one message.
    private let messageLimit: Int
    private var input: [UInt8] = []
    private var start = 0
    private var described = Self.predeclared

    private static let depthLimit = 32
    private static let typeLimit = 1_000
    /// Values of one message.
    private static let valueLimit = 1 << 20

    init(messageLimit: Int = 64 << 20) { self.messageLimit = messageLimit }

    /// Bytes that wait for the rest of their message.
    var waitingCount: Int { input.count - start }

    mutating func receive(_ bytes: [UInt8]) {
        if start > 0 {
            input.removeFirst(start)
            start = 0
        }
        input += bytes
    }

    /// The next value that is whole; nil if more bytes are needed.
    mutating func next() throws(GobError) -> GobValue? {
        while let body = try message() {
            var cursor = GobCursor(body)
            let number = try cursor.signed()
            if number < 0 {
                try describe(number, &cursor)
                continue
            }
            if case .structure? = described[number] {
            } else if try cursor.unsigned() != 0 {
                throw GobError("a value begins as none does")
            }
            var budget = Self.valueLimit
            return try value(number, &cursor, depth: 0, &budget)
        }
        return nil
    }

    private mutating func message() throws(GobError) -> ArraySlice<UInt8>? {
        var cursor = GobCursor(input[start...])
        guard let first = input[start...].first else { return nil }
        let sizeLength = first < 0x80 ? 1 : 1 + Int(0 &- first)
        guard sizeLength <= 9 else { throw GobError("a length of more than 64 bits") }
        guard input.count - start >= sizeLength else { return nil }
        let size = try cursor.unsigned()
        guard size <= UInt64(messageLimit) else {
            throw GobError("a message of \(size) bytes; \(messageLimit) are allowed")
        }
        guard input.count - start - sizeLength >= Int(size) else { return nil }
        let body = input[(start + sizeLength)..<(start + sizeLength + Int(size))]
        start += sizeLength + Int(size)
        return body
    }

    // MARK: Types

    private static let predeclared: SortedMap<Int64, Description> = {
        let common = (name: "CommonType", type: GobNumber.commonType)
        let int = GobNumber.int
        var map = SortedMap<Int64, Description>()
        map[GobNumber.wireType] = .structure([
            ("ArrayT", GobNumber.arrayType), ("SliceT", GobNumber.sliceType),
            ("StructT", GobNumber.structType), ("MapT", GobNumber.mapType),
            ("GobEncoderT", GobNumber.opaqueType), ("BinaryMarshalerT", GobNumber.opaqueType),
            ("TextMarshalerT", GobNumber.opaqueType),
        ])
        map[GobNumber.arrayType] = .structure([common, ("Elem", int), ("Len", int)])
        map[GobNumber.commonType] = .structure([("Name", GobNumber.string), ("Id", int)])
        map[GobNumber.sliceType] = .structure([common, ("Elem", int)])
        map[GobNumber.structType] = .structure([common, ("Field", GobNumber.fieldTypes)])
        map[GobNumber.fieldType] = .structure([("Name", GobNumber.string), ("Id", int)])
        map[GobNumber.fieldTypes] = .slice(GobNumber.fieldType)
        map[GobNumber.mapType] = .structure([common, ("Key", int), ("Elem", int)])
        map[GobNumber.opaqueType] = .structure([common])
        return map
    }()

    private mutating func describe(_ number: Int64, _ cursor: inout GobCursor) throws(GobError) {
        guard number > .min, -number >= GobNumber.firstOwn - 1, described[-number] == nil,
            described.count < Self.typeLimit
        else { throw GobError("a type of the number \(number) can't be described") }
        var budget = Self.valueLimit
        let wire = try value(GobNumber.wireType, &cursor, depth: 0, &budget)
        guard case .structure(let members) = wire, members.count == 1, let member = members.first
        else { throw GobError("a type is described as no type is") }
        func part(_ name: String) -> Int64 { member.value[name]?.signed ?? 0 }
        switch member.name {
        case "ArrayT": described[-number] = .array(part("Elem"))
        case "SliceT": described[-number] = .slice(part("Elem"))
        case "MapT": described[-number] = .map(part("Key"), part("Elem"))
        case "StructT":
            var fields: [(name: String, type: Int64)] = []
            if case .list(let list)? = member.value["Field"] {
                for field in list {
                    fields.append((field["Name"]?.text ?? "", field["Id"]?.signed ?? 0))
                }
            }
            described[-number] = .structure(fields)
        default: described[-number] = .opaque
        }
    }

    // MARK: Values

    private func value(
        _ number: Int64, _ cursor: inout GobCursor, depth: Int, _ budget: inout Int
    ) throws(GobError) -> GobValue {
        budget -= 1
        guard depth < Self.depthLimit, budget > 0 else {
            throw GobError("values lie too deep in each other, or are too many")
        }
        switch number {
        case GobNumber.bool: return .bool(try cursor.unsigned() != 0)
        case GobNumber.int: return .int(try cursor.signed())
        case GobNumber.uint: return .uint(try cursor.unsigned())
        case GobNumber.float: return .float(try cursor.unsigned().byteSwapped)
        case GobNumber.bytes: return .bytes(Array(try cursor.bytes()))
        case GobNumber.string: return .string(String(decoding: try cursor.bytes(), as: UTF8.self))
        default: break
        }
        guard let description = described[number] else {
            throw GobError("a value of the type \(number), which was not described")
        }
        switch description {
        case .opaque: return .opaque(Array(try cursor.bytes()))
        case .slice(let type), .array(let type):
            var elements: [GobValue] = []
            for _ in 0..<(try cursor.count()) {
                elements.append(try value(type, &cursor, depth: depth + 1, &budget))
            }
            return .list(elements)
        case .map(let key, let element):
            var entries: [GobValue] = []
            for _ in 0..<(try cursor.count()) {
                entries.append(try value(key, &cursor, depth: depth + 1, &budget))
                entries.append(try value(element, &cursor, depth: depth + 1, &budget))
            }
            return .map(entries)
        case .structure(let fields):
            var members: [GobMember] = []
            var position = -1
            while true {
                let step = try cursor.unsigned()
                if step == 0 { return .structure(members) }
                guard step <= UInt64(fields.count - 1 - position) else {
                    throw GobError("a field that its structure has not")
                }
                position += Int(step)
                let field = fields[position]
                let inner = try value(field.type, &cursor, depth: depth + 1, &budget)
                members.append(GobMember(field.name, inner))
            }
        }
    }
}

/// A position in a message.
struct GobCursor {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func unsigned() throws(GobError) -> UInt64 {
        guard let first = rest.popFirst() else { throw Self.short }
        if first < 0x80 { return UInt64(first) }
        let count = Int(0 &- first)
        guard count <= 8 else { throw GobError("a number of more than 64 bits") }
        guard rest.count >= count else { throw Self.short }
        let value = rest.prefix(count).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(count)
        return value
    }

    mutating func signed() throws(GobError) -> Int64 {
        let bits = try unsigned()
        return Int64(bitPattern: bits & 1 == 1 ? ~(bits >> 1) : bits >> 1)
    }

    mutating func bytes() throws(GobError) -> ArraySlice<UInt8> {
        let count = try self.count()
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// Of bytes or elements, each of which takes a byte at least.
    mutating func count() throws(GobError) -> Int {
        let value = try unsigned()
        guard value <= UInt64(rest.count) else { throw Self.short }
        return Int(value)
    }

    private static let short = GobError("a message ends before its values do")
}
