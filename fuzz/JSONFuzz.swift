// Any bytes: they are refused with a place inside them, or they are JSON that says the same after
// being written and read again, in either layout, and that a merge patch with nothing leaves alone.
// Compiled in one module with Core.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let document: JSONDocument
    do {
        document = try JSONDocument(bytes)
    } catch {
        invariant(0...count ~= error.offset, "an error lies inside its text")
        invariant(error.line >= 1 && error.column >= 1, "lines and columns count from 1")
        return 0
    }
    invariant(JSONSequence.split(bytes).count == 1, "one text is taken for one")
    let compact = document.compact(document.root)
    for layout in [JSONWriter.Layout.compact, .pretty] {
        var writer = JSONWriter(layout)
        document.write(document.root, to: &writer)
        guard let again = try? JSONDocument(writer.bytes, limits: roomy) else {
            fatalError("what was written cannot be read")
        }
        invariant(again.compact(again.root) == compact, "writing changes nothing")
    }
    walk(document, document.root)
    if let patched = try? JSONMergePatch.apply(Array("{}".utf8), to: bytes),
        let twice = try? JSONMergePatch.apply(Array("{}".utf8), to: patched, limits: roomy)
    {
        invariant(patched == twice, "a patch with nothing settles at once")
    }
    return 0
}

/// Escapes make a text up to six times longer, indentation much more.
private let roomy = JSONLimits(bytes: 1 << 30)

private func walk(_ document: JSONDocument, _ value: JSONValue) {
    let position = document.position(of: value)
    invariant(0..<document.bytes.count ~= position.offset, "a value lies inside its text")
    if let number = document.int64(value), number >= 0 {
        invariant(
            document.numberText(value) == "-0" || document.uint64(value) == UInt64(number),
            "both readings of a number agree")
    }
    for element in document.elements(of: value) { walk(document, element) }
    for member in document.members(of: value) {
        let name = document.string(member.name) ?? ""
        invariant(Array(name.utf8) == document.stringBytes(member.name), "a name is a string")
        invariant(document.member(named: name, of: value) != nil, "a member is found by its name")
        walk(document, member.value)
    }
}
