// Any bytes as a message, as JSON that describes one, and as a description: what is understood
// means the same when it goes to the other form and back.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProtobuf(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let json = decoded(bytes) {
        guard let again = encoded(json) else { return 0 }
        invariant(decoded(again) == json, "a message keeps its meaning in JSON")
    }
    if let message = encoded(bytes) {
        guard let json = decoded(message) else { fatalError("our own bytes can't be read") }
        invariant(encoded(json).flatMap(decoded) == json, "JSON keeps its meaning as a message")
    }
    if let file = try? ProtobufFile(protobuf: bytes) {
        invariant((try? ProtobufFile(protobuf: file.protobuf)) == file, "a file is read as written")
        var schema = ProtobufSchema()
        if (try? schema.add(file)) != nil, let first = file.messages.first {
            var writer = JSONWriter(.compact)
            let name = file.package.isEmpty ? first.name : "\(file.package).\(first.name)"
            try? ProtobufJSON(schema).decode(bytes, as: name, to: &writer)
        }
    }
    return 0
}

private func decoded(_ bytes: [UInt8]) -> [UInt8]? {
    var writer = JSONWriter(.compact, escaping: .minimal)
    guard (try? ProtobufJSON(schema).decode(bytes, as: "t.All", to: &writer)) != nil else {
        return nil
    }
    return writer.take()
}

/// Nil for what is no JSON, or describes no message, or nests too deep.
private func encoded(_ bytes: [UInt8]) -> [UInt8]? {
    guard let document = try? JSONDocument(bytes) else { return nil }
    return try? ProtobufJSON(schema).encode(document.root, of: document, as: "t.All")
}

private let schema: ProtobufSchema = {
    func field(
        _ name: String, _ number: Int32, _ type: Int32, _ typeName: String = "",
        repeated: Bool = false, oneof: Int32? = nil
    ) -> ProtobufFieldDescriptor {
        var field = ProtobufFieldDescriptor()
        field.name = name
        field.number = number
        field.type = type
        field.typeName = typeName.isEmpty ? "" : "." + typeName
        field.label = repeated ? 3 : 1
        field.oneof = oneof
        return field
    }
    var all = ProtobufMessageDescriptor()
    all.name = "All"
    all.members = (1...9).map { field("f\($0)", $0, $0) }
    all.members += [12, 13, 15, 16, 17, 18].map { field("f\($0)", $0, $0) }
    all.members += [3, 5, 7, 8, 9, 12, 17].map { field("r\($0)", 30 + $0, $0, repeated: true) }
    all.members += [
        field("color", 14, 14, "t.Color"), field("inner", 19, 11, "t.All"),
        field("all", 20, 11, "t.All", repeated: true),
        field("map", 21, 11, "t.Entry", repeated: true), field("left", 22, 5, oneof: 0),
        field("right", 23, 9, oneof: 0), field("time", 24, 11, "google.protobuf.Timestamp"),
        field("wait", 25, 11, "google.protobuf.Duration"),
        field("struct", 26, 11, "google.protobuf.Struct"),
        field("value", 27, 11, "google.protobuf.Value"),
        field("wrapped", 28, 11, "google.protobuf.DoubleValue"),
        field("null", 29, 14, "google.protobuf.NullValue"),
        field("any", 40, 11, "google.protobuf.Any"),
    ]
    all.oneofs = [ProtobufMessageDescriptor.Oneof()]
    var entry = ProtobufMessageDescriptor()
    entry.name = "Entry"
    entry.members = [field("key", 1, 17), field("value", 2, 11, "t.All")]
    entry.options = ProtobufMessageDescriptor.Options()
    entry.options?.isMapEntry = true
    var color = ProtobufEnumDescriptor()
    color.name = "Color"
    color.values = [ProtobufEnumDescriptor.Value()]
    color.values[0].name = "RED"
    var file = ProtobufFile()
    file.name = "t.proto"
    file.package = "t"
    file.messages = [all, entry]
    file.enumerations = [color]
    var schema = ProtobufSchema()
    try? schema.add(file)
    return schema
}()
