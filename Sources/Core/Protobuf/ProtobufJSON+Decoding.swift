// Messages into JSON by their descriptors.

extension ProtobufJSON {
    /// Writes a message of this type as a JSON value: members by number, those of maps by key.
    /// Fields that the type does not declare are left out.
    package func decode(
        _ bytes: [UInt8], as type: String, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        // Into a writer of its own: an error must not leave half a value.
        var inner = JSONWriter(.compact, escaping: writer.escaping)
        try write(ProtobufReader(bytes[...]), as: type, to: &inner)
        writer.raw(inner.take())
    }

    /// A field that came, with its place among the members and in the bytes.
    private struct Occurrence {
        let index: Int
        let order: Int
        let field: ProtobufField
    }

    private func write(
        _ start: ProtobufReader, as typeName: String, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        if let known = ProtobufWellKnown(typeName) {
            return try write(start, as: known, to: &writer)
        }
        writer.beginObject()
        try writeMembers(start, try schema.type(typeName), to: &writer)
        writer.endObject()
    }

    func writeMembers(
        _ start: ProtobufReader, _ type: ProtobufType, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        let found = try occurrences(start, type)
        var first = 0
        while first < found.count {
            var end = first + 1
            while end < found.count, found[end].index == found[first].index { end += 1 }
            let member = type.members[found[first].index]
            let fields = found[first..<end].map(\.field)
            first = end
            do throws(ProtobufError) {
                writer.key(member.jsonName)
                if !member.isRepeated {
                    try writeSingle(fields, member, to: &writer)
                } else if let entry = try? schema.type(member.typeName), entry.isMapEntry {
                    try writeMap(fields, entry, to: &writer)
                } else {
                    try writeArray(fields, member, to: &writer)
                }
            } catch { throw error.inside(member.jsonName) }
        }
    }

    /// The declared fields by member, then as they came. Of a oneof only what came last is left.
    private func occurrences(
        _ start: ProtobufReader, _ type: ProtobufType
    ) throws(ProtobufError) -> [Occurrence] {
        var reader = start
        var found: [Occurrence] = []
        var last = [Int](repeating: -1, count: type.oneofs.count)
        while let field = try reader.next() {
            guard let index = type.index(number: field.number) else { continue }
            // A list without elements is no list.
            if type.members[index].kind.wireType != .bytes, field.type == .bytes,
                field.slice.isEmpty
            {
                continue
            }
            if let oneof = type.members[index].oneof, last.indices.contains(oneof) {
                last[oneof] = index
            }
            found.append(Occurrence(index: index, order: found.count, field: field))
        }
        found.removeAll {
            guard let oneof = type.members[$0.index].oneof, last.indices.contains(oneof) else {
                return false
            }
            return last[oneof] != $0.index
        }
        found.sort { ($0.index, $0.order) < ($1.index, $1.order) }
        return found
    }

    /// Of a scalar the last counts; messages are merged, and their bytes one after the other are
    /// just that.
    private func writeSingle(
        _ fields: [ProtobufField], _ member: ProtobufMember, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        let last = fields[fields.count - 1]
        guard member.kind == .message, fields.count > 1 else {
            return try writeOne(last, member, to: &writer)
        }
        var bytes: [UInt8] = []
        for field in fields { bytes += try field.bytes() }
        try write(try last.nested(bytes[...]), as: member.typeName, to: &writer)
    }

    private func writeArray(
        _ fields: [ProtobufField], _ member: ProtobufMember, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        writer.beginArray()
        var index = 0
        for field in fields {
            do throws(ProtobufError) {
                if member.kind.wireType == .bytes {
                    try writeOne(field, member, to: &writer)
                    index += 1
                } else {
                    try field.numbers(member.kind.wireType) { (bits) throws(ProtobufError) in
                        try writeNumber(bits, member, to: &writer)
                        index += 1
                    }
                }
            } catch { throw error.inside("[\(index)]") }
        }
        writer.endArray()
    }

    private func writeMap(
        _ fields: [ProtobufField], _ entry: ProtobufType, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        guard entry.members.count == 2 else {
            throw ProtobufError("the entry \(entry.name) has not a key and a value")
        }
        var entries: [(key: ByteKey, order: Int, values: [ProtobufField])] = []
        for field in fields {
            var reader = try field.message()
            var key: ProtobufField?
            var values: [ProtobufField] = []
            while let part = try reader.next() {
                if part.number == 1 { key = part }
                if part.number == 2 { values.append(part) }
            }
            let text = try keyText(key, entry.members[0])
            entries.append((ByteKey(Array(text.utf8)), entries.count, values))
        }
        entries.sort { $0.key == $1.key ? $0.order < $1.order : $0.key < $1.key }
        writer.beginObject()
        for (index, item) in entries.enumerated() {
            // Of equal keys the last counts.
            if index + 1 < entries.count, entries[index + 1].key == item.key { continue }
            writer.key(item.key.bytes)
            do throws(ProtobufError) {
                if item.values.isEmpty {
                    try writeZero(entry.members[1], to: &writer)
                } else {
                    try writeSingle(item.values, entry.members[1], to: &writer)
                }
            } catch {
                throw error.inside("[\"\(String(decoding: item.key.bytes, as: UTF8.self))\"]")
            }
        }
        writer.endObject()
    }

    private func keyText(
        _ field: ProtobufField?, _ member: ProtobufMember
    ) throws(ProtobufError) -> String {
        if member.kind == .string { return try field?.string() ?? "" }
        try field?.expect(member.kind.wireType)
        let bits = field?.bits ?? 0
        switch member.kind {
        case .bool: return bits != 0 ? "true" : "false"
        case .uint32, .fixed32, .uint64, .fixed64:
            return "\(member.kind == .uint32 ? bits & 0xffff_ffff : bits)"
        default: return "\(Self.signed(bits, member.kind))"
        }
    }

    private func writeOne(
        _ field: ProtobufField, _ member: ProtobufMember, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        switch member.kind {
        case .string: writer.string(try field.string())
        case .bytes: writer.string(Base64Text.encode(Array(try field.bytes())))
        case .message: try write(try field.message(), as: member.typeName, to: &writer)
        case .group: throw ProtobufError("groups have no form in JSON")
        default:
            // What was packed for a list is taken for a single value, too: the last counts.
            var last: UInt64 = 0
            try field.numbers(member.kind.wireType) { last = $0 }
            try writeNumber(last, member, to: &writer)
        }
    }

    /// The value of an entry that names none.
    private func writeZero(
        _ member: ProtobufMember, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        switch member.kind {
        case .string, .bytes: writer.string("")
        case .message: try write(ProtobufReader([]), as: member.typeName, to: &writer)
        default: try writeNumber(0, member, to: &writer)
        }
    }

    private func writeNumber(
        _ bits: UInt64, _ member: ProtobufMember, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        guard member.kind == .enumeration else {
            return Self.writeScalar(bits, member.kind, to: &writer)
        }
        let number = Int32(truncatingIfNeeded: bits)
        if member.typeName == "google.protobuf.NullValue" { return writer.null() }
        let values = try schema.values(ofEnum: member.typeName)
        if let known = values.first(where: { $0.number == number }) {
            writer.string(known.name)
        } else {
            writer.integer(number)
        }
    }

    static func writeScalar(_ bits: UInt64, _ kind: ProtobufKind, to writer: inout JSONWriter) {
        switch kind {
        case .bool: writer.bool(bits != 0)
        case .double, .float:
            ProtobufFloats.write(bits, isSingle: kind == .float, to: &writer)
        case .uint32, .fixed32: writer.integer(UInt32(truncatingIfNeeded: bits))
        case .uint64, .fixed64: writer.string("\(bits)")
        case .int64, .sint64, .sfixed64: writer.string("\(signed(bits, kind))")
        default: writer.integer(signed(bits, kind))
        }
    }

    private static func signed(_ bits: UInt64, _ kind: ProtobufKind) -> Int64 {
        switch kind {
        case .sint64: ProtobufZigzag.decode(bits)
        case .sint32:
            Int64(Int32(truncatingIfNeeded: ProtobufZigzag.decode(bits & 0xffff_ffff)))
        case .int32, .sfixed32: Int64(Int32(truncatingIfNeeded: bits))
        default: Int64(bitPattern: bits)
        }
    }
}
