// Writing a value of a document again.

extension JSONDocument {
    /// A value in compact form: no white space, members in document order, numbers as written,
    /// strings with the fewest escapes. Equal values of equal order give equal bytes.
    package func compact(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter(.compact, escaping: .minimal)
        write(value, to: &writer)
        return writer.take()
    }

    /// Writes a value in the writer's layout and escaping.
    package func write(_ value: JSONValue, to writer: inout JSONWriter) {
        let node = node(value)
        switch node.kind {
        case .null: writer.null()
        case .bool: writer.bool(node.flag)
        case .number: writer.raw(source(of: value))
        case .string: writeString(node, to: &writer)
        case .array:
            writer.beginArray()
            for element in elements(of: value) { write(element, to: &writer) }
            writer.endArray()
        case .object:
            writer.beginObject()
            for member in members(of: value) {
                writeName(self.node(member.name), to: &writer)
                write(member.value, to: &writer)
            }
            writer.endObject()
        }
    }

    private func writeName(_ node: JSONNode, to writer: inout JSONWriter) {
        if node.flag { return writer.key(unescaped(node)) }
        let start = Int(node.start) + 1
        writer.key(bytes.span.extracting(start..<(start + Int(node.length) - 2)))
    }

    private func writeString(_ node: JSONNode, to writer: inout JSONWriter) {
        if node.flag { return writer.string(unescaped(node)) }
        let start = Int(node.start) + 1
        writer.string(bytes.span.extracting(start..<(start + Int(node.length) - 2)))
    }
}
