// `google.protobuf.Any`: a message of any type beside the name of its type.
//
//     {"@type": "type.googleapis.com/shop.Order", "count": "3"}              a described type
//     {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"}   a well-known
//     {"@type": "type.googleapis.com/other.Thing", "@value": "CAE="}        any other, by its bytes

/// The member that holds the bytes, in base64, of a message whose type is not described.
private let bytesName = "@value"
private let typeName = "@type"

extension ProtobufJSON {
    // MARK: JSON into messages

    func writeAny(
        _ source: ProtobufJSONSource, _ value: JSONValue, to writer: inout ProtobufWriter,
        depth: Int
    ) throws(ProtobufError) {
        guard source.kind(value) == .object else {
            throw source.mismatch("an object with \"@type\"", value)
        }
        let members = Array(source.document.members(of: value))
        guard !members.isEmpty else { return }
        let urls = members.filter { source.text($0.name) == typeName }
        guard urls.count == 1 else {
            throw ProtobufError("one \"@type\" is expected, which names the message's type")
        }
        let type = try Self.type(of: source, urls[0].value)
        writer.string(1, source.text(urls[0].value))
        if let known = ProtobufWellKnown(type) {
            guard let inner = try Self.only("value", of: members, source) else { return }
            try writer.nested(2) { (writer) throws(ProtobufError) in
                do throws(ProtobufError) {
                    try write(source, inner, as: known, to: &writer, depth: depth - 1)
                } catch { throw error.inside("value") }
            }
        } else if (try? schema.type(type)) != nil {
            try writer.nested(2) { (writer) throws(ProtobufError) in
                try write(
                    source, value, as: type, passingOver: typeName, to: &writer, depth: depth - 1)
            }
        } else if let bytes = try? Self.only(bytesName, of: members, source) {
            do throws(ProtobufError) { writer.bytes(2, try source.bytes(bytes)) } catch {
                throw error.inside(bytesName)
            }
        } else {
            throw ProtobufError(
                "the message \(type) is not described; its bytes can be given in base64, as"
                    + " \"\(bytesName)\"")
        }
    }

    /// The value of the one member that may stand beside "@type"; nil if nothing does.
    private static func only(
        _ name: String, of members: [JSONMember], _ source: ProtobufJSONSource
    ) throws(ProtobufError) -> JSONValue? {
        var found: JSONValue?
        for member in members where source.text(member.name) != typeName {
            guard source.text(member.name) == name, found == nil else {
                throw ProtobufError("only one \"\(name)\" can stand beside \"@type\" here")
                    .inside(source.text(member.name))
            }
            found = member.value
        }
        return found
    }

    /// The full name of the type behind a URL.
    private static func type(
        of source: ProtobufJSONSource, _ url: JSONValue
    ) throws(ProtobufError) -> String {
        do throws(ProtobufError) {
            guard let text = source.document.string(url) else {
                throw source.mismatch("a string", url)
            }
            guard text.utf8.contains(UInt8(ascii: "/")), text.utf8.last != UInt8(ascii: "/") else {
                throw ProtobufError(
                    "a name behind a slash is expected, such as type.googleapis.com/shop.Order")
            }
            return lastName(text)
        } catch { throw error.inside(typeName) }
    }

    private static func lastName(_ url: String) -> String {
        url.split(separator: "/").last.map(String.init) ?? ""
    }

    // MARK: Messages into JSON

    func writeAny(
        _ start: ProtobufReader, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        var reader = start
        var url = ""
        var contents: ProtobufField?
        while let field = try reader.next() {
            if field.number == 1 { url = try field.string() }
            if field.number == 2 { contents = field }
        }
        writer.beginObject()
        if !url.isEmpty || contents != nil { try writeContents(contents, url, to: &writer) }
        writer.endObject()
    }

    private func writeContents(
        _ contents: ProtobufField?, _ url: String, to writer: inout JSONWriter
    ) throws(ProtobufError) {
        writer.key(typeName)
        writer.string(url)
        let type = Self.lastName(url)
        let message = try contents?.message() ?? ProtobufReader([])
        if let known = ProtobufWellKnown(type) {
            writer.key("value")
            do throws(ProtobufError) { try write(message, as: known, to: &writer) } catch {
                throw error.inside("value")
            }
        } else if let described = try? schema.type(type) {
            try writeMembers(message, described, to: &writer)
        } else {
            writer.key(bytesName)
            writer.string(Base64Text.encode(Array(try contents?.bytes() ?? [])))
        }
    }
}
