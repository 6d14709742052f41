// Any bytes as a stream of Go's values: nothing traps, and pieces make no difference.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzGob(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var whole = GobDecoder(messageLimit: 10_000)
    whole.receive(bytes)
    let expected = values(&whole)
    var pieces = GobDecoder(messageLimit: 10_000)
    var found: [GobValue] = []
    for byte in bytes {
        pieces.receive([byte])
        found += values(&pieces)
        invariant(pieces.waitingCount <= 10_010 + bytes.count, "no more is kept than came")
    }
    // What can't be read stops a stream for good, but is asked for again here.
    invariant(found.prefix(expected.count).elementsEqual(expected), "pieces make no difference")
    var client = NetRPCClient(messageLimit: 10_000)
    _ = try? client.receive(bytes)
    for value in expected { _ = PluginExecution(value) }
    return 0
}

private func values(_ decoder: inout GobDecoder) -> [GobValue] {
    var values: [GobValue] = []
    while let value = (try? decoder.next()).flatMap({ $0 }) { values.append(value) }
    return values
}
