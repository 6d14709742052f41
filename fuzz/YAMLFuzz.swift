// Any bytes: they are refused with a place inside them, or they are YAML whose lines do not run
// backwards, and that says the same after being written as JSON, which YAML contains.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzYAML(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    let root: YAMLNode
    do {
        root = try YAML.parse(bytes)
    } catch {
        invariant(1...lines ~= error.line, "an error lies inside its text")
        invariant(1...(count + 1) ~= error.column, "a column lies inside its line")
        return 0
    }
    checkLines(root, from: 1, to: lines)
    var writer = JSONWriter()
    write(root, to: &writer)
    let text = writer.bytes.flatMap { $0 == 0x7F ? Array("\\x7f".utf8) : [$0] }
    let roomy = YAMLLimits(bytes: 1 << 30, depth: YAMLLimits.standard.depth)
    guard let again = try? YAML.parse(text, limits: roomy) else {
        fatalError("what was written cannot be read")
    }
    var second = JSONWriter()
    write(again, to: &second)
    invariant(writer.bytes == second.bytes, "writing changes nothing")
    return 0
}

private func checkLines(_ node: YAMLNode, from first: Int, to last: Int) {
    invariant(first...last ~= node.line, "a value stands behind what it belongs to")
    switch node.content {
    case .scalar: break
    case .list(let items): for item in items { checkLines(item, from: node.line, to: last) }
    case .map(let members):
        for member in members {
            invariant(node.line...last ~= member.line, "a key stands in its map")
            checkLines(member.value, from: member.line, to: last)
        }
    }
}

private func write(_ node: YAMLNode, to writer: inout JSONWriter) {
    switch node.content {
    case .scalar(let text, _): writer.string(text)
    case .list(let items):
        writer.beginArray()
        for item in items { write(item, to: &writer) }
        writer.endArray()
    case .map(let members):
        writer.beginObject()
        for member in members {
            writer.key(member.key)
            write(member.value, to: &writer)
        }
        writer.endObject()
    }
}
