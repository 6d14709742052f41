// JSON into messages by their descriptors (protobuf.dev/programming-guides/json).

/// Translates between JSON and messages whose types are known at run time only.
///
/// Names of members are taken in lowerCamelCase and as declared, and given in lowerCamelCase. The
/// well-known types have their own forms. What is in a `google.protobuf.Any` has that of its type
/// if the schema describes it, and is given by its bytes otherwise.
package struct ProtobufJSON: Sendable {
    let schema: ProtobufSchema
    /// Whether members that are not declared are passed over.
    package var ignoresUnknown = false

    package init(_ schema: ProtobufSchema) { self.schema = schema }

    /// The bytes of the message of this type that a JSON value describes.
    package func encode(
        _ value: JSONValue, of document: JSONDocument, as type: String
    ) throws(ProtobufError) -> [UInt8] {
        var writer = ProtobufWriter()
        let source = ProtobufJSONSource(document: document)
        try write(source, value, as: type, to: &writer, depth: ProtobufLimits.depth)
        return writer.output
    }

    /// Appends the fields of one message.
    /// - Parameter passedOver: the name of a member that says nothing of the message.
    func write(
        _ source: ProtobufJSONSource, _ value: JSONValue, as typeName: String,
        passingOver passedOver: String? = nil, to writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard depth > 0 else {
            throw ProtobufError("messages nest more than \(ProtobufLimits.depth) deep")
        }
        if let known = ProtobufWellKnown(typeName) {
            return try write(source, value, as: known, to: &writer, depth: depth)
        }
        let type = try schema.type(typeName)
        guard source.kind(value) == .object else {
            throw source.mismatch("an object (\(typeName))", value)
        }
        var seen = [Bool](repeating: false, count: type.members.count)
        var chosen = [Int?](repeating: nil, count: type.oneofs.count)
        for member in source.document.members(of: value) {
            let name = source.text(member.name)
            if name == passedOver { continue }
            guard let index = type.index(named: name) else {
                if ignoresUnknown { continue }
                throw ProtobufError("the message \(typeName) has no such member").inside(name)
            }
            let field = type.members[index]
            do throws(ProtobufError) {
                guard !seen[index] else { throw ProtobufError("the member comes twice") }
                seen[index] = true
                if source.kind(member.value) == .null, !acceptsNull(field) { continue }
                if let oneof = field.oneof, chosen.indices.contains(oneof) {
                    if let other = chosen[oneof] {
                        throw ProtobufError(
                            "only one of \(type.members[other].jsonName) and \(field.jsonName)"
                                + " can be given")
                    }
                    chosen[oneof] = index
                }
                try write(source, member.value, field, to: &writer, depth: depth)
            } catch { throw error.inside(name) }
        }
    }

    /// Whether null is a value of the field, not its absence.
    private func acceptsNull(_ field: ProtobufMember) -> Bool {
        !field.isRepeated
            && (field.typeName == "google.protobuf.Value"
                || field.typeName == "google.protobuf.NullValue")
    }

    private func write(
        _ source: ProtobufJSONSource, _ value: JSONValue, _ field: ProtobufMember,
        to writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard field.isRepeated else {
            return try writeOne(source, value, field, to: &writer, depth: depth)
        }
        if field.kind == .message, let entry = try? schema.type(field.typeName), entry.isMapEntry {
            return try writeMap(source, value, field, entry, to: &writer, depth: depth)
        }
        guard source.kind(value) == .array else { throw source.mismatch("an array", value) }
        if field.kind.wireType != .bytes, source.document.count(of: value) > 0 {
            try writer.nested(field.number) { (writer) throws(ProtobufError) in
                for (index, element) in source.document.elements(of: value).enumerated() {
                    do throws(ProtobufError) {
                        let bits = try number(source, element, field)
                        switch field.kind.wireType {
                        case .fixed32: writer.rawFixed(bits, 4)
                        case .fixed64: writer.rawFixed(bits, 8)
                        default: writer.raw(bits)
                        }
                    } catch { throw error.inside("[\(index)]") }
                }
            }
            return
        }
        for (index, element) in source.document.elements(of: value).enumerated() {
            do throws(ProtobufError) {
                try writeOne(source, element, field, to: &writer, depth: depth)
            } catch { throw error.inside("[\(index)]") }
        }
    }

    private func writeMap(
        _ source: ProtobufJSONSource, _ value: JSONValue, _ field: ProtobufMember,
        _ entry: ProtobufType, to writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        guard source.kind(value) == .object else { throw source.mismatch("an object", value) }
        guard entry.members.count == 2 else {
            throw ProtobufError("the entry \(entry.name) has not a key and a value")
        }
        for member in source.document.members(of: value) {
            let name = source.text(member.name)
            do throws(ProtobufError) {
                try writer.nested(field.number) { (writer) throws(ProtobufError) in
                    try writeKey(name, entry.members[0], to: &writer)
                    try writeOne(
                        source, member.value, entry.members[1], to: &writer, depth: depth - 1)
                }
            } catch { throw error.inside("[\"\(name)\"]") }
        }
    }

    private func writeKey(
        _ name: String, _ field: ProtobufMember, to writer: inout ProtobufWriter
    ) throws(ProtobufError) {
        switch field.kind {
        case .string: writer.string(field.number, name)
        case .bool:
            guard name == "true" || name == "false" else {
                throw ProtobufError("the key must be true or false")
            }
            writer.varint(field.number, name == "true" ? 1 : 0)
        default:
            guard let number = ProtobufNumber(integer: Array(name.utf8)[...]) else {
                throw ProtobufError("the key must be a whole number")
            }
            put(try number.bits(field.kind), field, to: &writer)
        }
    }

    private func put(
        _ bits: UInt64, _ field: ProtobufMember, to writer: inout ProtobufWriter
    ) {
        switch field.kind.wireType {
        case .fixed32: writer.fixed32(field.number, UInt32(truncatingIfNeeded: bits))
        case .fixed64: writer.fixed64(field.number, bits)
        default: writer.varint(field.number, bits)
        }
    }

    /// One value, of a repeated field one element.
    private func writeOne(
        _ source: ProtobufJSONSource, _ value: JSONValue, _ field: ProtobufMember,
        to writer: inout ProtobufWriter, depth: Int
    ) throws(ProtobufError) {
        switch field.kind {
        case .string:
            guard let text = source.document.string(value) else {
                throw source.mismatch("a string", value)
            }
            writer.string(field.number, text)
        case .bytes: writer.bytes(field.number, try source.bytes(value))
        case .message:
            try writer.nested(field.number) { (writer) throws(ProtobufError) in
                try write(source, value, as: field.typeName, to: &writer, depth: depth - 1)
            }
        case .group: throw ProtobufError("groups can't be described in JSON")
        default: put(try number(source, value, field), field, to: &writer)
        }
    }

    /// A number, a boolean or an enumeration's value as its bits on the wire.
    private func number(
        _ source: ProtobufJSONSource, _ value: JSONValue, _ field: ProtobufMember
    ) throws(ProtobufError) -> UInt64 {
        if field.kind == .enumeration { return try enumeration(source, value, field.typeName) }
        return try source.scalar(value, field.kind)
    }

    private func enumeration(
        _ source: ProtobufJSONSource, _ value: JSONValue, _ typeName: String
    ) throws(ProtobufError) -> UInt64 {
        if typeName == "google.protobuf.NullValue", source.kind(value) == .null { return 0 }
        if source.kind(value) == .number { return try source.scalar(value, .int32) }
        guard let name = source.document.string(value) else {
            throw source.mismatch("a value of \(typeName), by name or number", value)
        }
        let values = try schema.values(ofEnum: typeName)
        guard let known = values.first(where: { $0.name == name }) else {
            let names = values.prefix(20).map(\.name).joined(separator: ", ")
            throw ProtobufError("\"\(name)\" is not a value of \(typeName); it has \(names)")
        }
        return UInt64(truncatingIfNeeded: known.number)
    }
}
