// The well-known types, whose JSON is not an object of their members.

enum ProtobufWellKnown: Hashable {
    case timestamp
    case duration
    case structure
    case value
    case list
    case fieldMask
    case any
    case wrapper(ProtobufKind)

    /// Nil for all other types, `google.protobuf.Empty` among them.
    init?(_ typeName: String) {
        let prefix = "google.protobuf."
        guard typeName.hasPrefix(prefix) else { return nil }
        switch String(typeName.dropFirst(prefix.count)) {
        case "Timestamp": self = .timestamp
        case "Duration": self = .duration
        case "Struct": self = .structure
        case "Value": self = .value
        case "ListValue": self = .list
        case "FieldMask": self = .fieldMask
        case "Any": self = .any
        case "DoubleValue": self = .wrapper(.double)
        case "FloatValue": self = .wrapper(.float)
        case "Int64Value": self = .wrapper(.int64)
        case "UInt64Value": self = .wrapper(.uint64)
        case "Int32Value": self = .wrapper(.int32)
        case "UInt32Value": self = .wrapper(.uint32)
        case "BoolValue": self = .wrapper(.bool)
        case "StringValue": self = .wrapper(.string)
        case "BytesValue": self = .wrapper(.bytes)
        default: return nil
        }
    }
}

// MARK: JSON into messages

extension ProtobufJSON {
    func write(
        _ source: ProtobufJSONSource, _ value: JSONValue, as known: ProtobufWellKnown,
        to writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        let document = source.document
        switch known {
        case .timestamp:
            guard let text = document.string(value) else { throw source.mismatch("a time", value) }
            try ProtobufTimes.timestamp(text).write(to: &writer)
        case .duration:
            guard let text = document.string(value) else {
                throw source.mismatch("a duration such as \"1.5s\"", value)
            }
            try ProtobufTimes.duration(text).write(to: &writer)
        case .structure: try writeStruct(source, value, to: &writer, depth: depth)
        case .value: try writeValue(source, value, to: &writer, depth: depth)
        case .list: try writeList(source, value, to: &writer, depth: depth)
        case .fieldMask:
            guard let text = document.string(value) else {
                throw source.mismatch("a string of field names", value)
            }
            for path in text.split(separator: ",") { writer.string(1, Self.snakeCased(path)) }
        case .any: try writeAny(source, value, to: &writer, depth: depth)
        case .wrapper(.string):
            guard let text = document.string(value) else {
                throw source.mismatch("a string", value)
            }
            if !text.isEmpty { writer.string(1, text) }
        case .wrapper(.bytes):
            let bytes = try source.bytes(value)
            if !bytes.isEmpty { writer.bytes(1, bytes) }
        case .wrapper(let kind):
            let bits = try source.scalar(value, kind)
            guard bits != 0 else { return }
            switch kind.wireType {
            case .fixed64: writer.fixed64(1, bits)
            case .fixed32: writer.fixed32(1, UInt32(truncatingIfNeeded: bits))
            default: writer.varint(1, bits)
            }
        }
    }

    private func writeStruct(
        _ source: ProtobufJSONSource, _ value: JSONValue, to writer: inout ProtobufWriter,
        depth: Int
    ) throws(ProtobufError) {
        guard source.kind(value) == .object else { throw source.mismatch("an object", value) }
        for member in source.document.members(of: value) {
            let name = source.text(member.name)
            do throws(ProtobufError) {
                try writer.nested(1) { (writer) throws(ProtobufError) in
                    writer.string(1, name)
                    try writer.nested(2) { (writer) throws(ProtobufError) in
                        try writeValue(source, member.value, to: &writer, depth: depth - 2)
                    }
                }
            } catch { throw error.inside(name) }
        }
    }

    private func writeList(
        _ source: ProtobufJSONSource, _ value: JSONValue, to writer: inout ProtobufWriter,
        depth: Int
    ) throws(ProtobufError) {
        guard source.kind(value) == .array else { throw source.mismatch("an array", value) }
        for (index, element) in source.document.elements(of: value).enumerated() {
            do throws(ProtobufError) {
                try writer.nested(1) { (writer) throws(ProtobufError) in
                    try writeValue(source, element, to: &writer, depth: depth - 1)
                }
            } catch { throw error.inside("[\(index)]") }
        }
    }

    private func writeValue(
        _ source: ProtobufJSONSource, _ value: JSONValue, to writer: inout ProtobufWriter,
        depth: Int
    ) throws(ProtobufError) {
        guard depth > 0 else {
            throw ProtobufError("messages nest more than \(ProtobufLimits.depth) deep")
        }
        switch source.kind(value) {
        case .null: writer.varint(1, 0)
        case .number: writer.fixed64(2, try source.scalar(value, .double))
        case .string: writer.string(3, source.text(value))
        case .bool: writer.varint(4, try source.scalar(value, .bool))
        case .object:
            try writer.nested(5) { (writer) throws(ProtobufError) in
                try writeStruct(source, value, to: &writer, depth: depth - 1)
            }
        case .array:
            try writer.nested(6) { (writer) throws(ProtobufError) in
                try writeList(source, value, to: &writer, depth: depth - 1)
            }
        }
    }

    private static func snakeCased(_ path: Substring) -> String {
        var bytes: [UInt8] = []
        for byte in path.utf8 {
            if byte &- 0x41 < 26 {
                bytes += [UInt8(ascii: "_"), byte | 0x20]
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

// MARK: Messages into JSON

extension ProtobufJSON {
    func write(
        _ start: ProtobufReader, as known: ProtobufWellKnown, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        var reader = start
        switch known {
        case .timestamp, .duration:
            var time = ProtobufTime()
            try time.merge(&reader)
            writer.string(
                known == .timestamp
                    ? try ProtobufTimes.text(timestamp: time)
                    : try ProtobufTimes.text(duration: time))
        case .structure: try writeStruct(&reader, to: &writer)
        case .value: try writeValue(&reader, to: &writer)
        case .list:
            writer.beginArray()
            while let field = try reader.next() {
                guard field.number == 1 else { continue }
                var inner = try field.message()
                try writeValue(&inner, to: &writer)
            }
            writer.endArray()
        case .fieldMask:
            var paths: [String] = []
            while let field = try reader.next() {
                if field.number == 1 { paths.append(ProtobufSchema.camelCased(try field.string())) }
            }
            writer.string(paths.joined(separator: ","))
        case .any: try writeAny(start, to: &writer)
        case .wrapper(let kind): try writeWrapped(&reader, kind, to: &writer)
        }
    }

    private func writeWrapped(
        _ reader: inout ProtobufReader, _ kind: ProtobufKind, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        var text = ""
        var bytes: [UInt8] = []
        var bits: UInt64 = 0
        while let field = try reader.next() {
            guard field.number == 1 else { continue }
            switch kind {
            case .string: text = try field.string()
            case .bytes: bytes = Array(try field.bytes())
            default:
                try field.expect(kind.wireType)
                bits = field.bits
            }
        }
        switch kind {
        case .string: writer.string(text)
        case .bytes: writer.string(Base64Text.encode(bytes))
        default: Self.writeScalar(bits, kind, to: &writer)
        }
    }

    private func writeStruct(
        _ reader: inout ProtobufReader, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        var entries: [(key: ByteKey, order: Int, value: ProtobufReader)] = []
        while let field = try reader.next() {
            guard field.number == 1 else { continue }
            var entry = try field.message()
            var key = ""
            var value = ProtobufReader([])
            while let part = try entry.next() {
                if part.number == 1 { key = try part.string() }
                if part.number == 2 { value = try part.message() }
            }
            entries.append((ByteKey(Array(key.utf8)), entries.count, value))
        }
        entries.sort { $0.key == $1.key ? $0.order < $1.order : $0.key < $1.key }
        writer.beginObject()
        for (index, entry) in entries.enumerated() {
            if index + 1 < entries.count, entries[index + 1].key == entry.key { continue }
            writer.key(entry.key.bytes)
            var value = entry.value
            do throws(ProtobufError) { try writeValue(&value, to: &writer) } catch {
                throw error.inside(String(decoding: entry.key.bytes, as: UTF8.self))
            }
        }
        writer.endObject()
    }

    private func writeValue(
        _ reader: inout ProtobufReader, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        var last: ProtobufField?
        while let field = try reader.next() {
            if 1...6 ~= field.number { last = field }
        }
        guard let field = last else { return writer.null() }
        switch field.number {
        case 2:
            try field.expect(.fixed64)
            ProtobufFloats.write(field.bits, isSingle: false, to: &writer)
        case 3: writer.string(try field.string())
        case 4: writer.bool(try field.varint() != 0)
        case 5: try write(try field.message(), as: .structure, to: &writer)
        case 6: try write(try field.message(), as: .list, to: &writer)
        default: writer.null()
        }
    }
}
