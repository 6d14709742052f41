// Any bytes as field blocks, one after the other: what is understood means the same after it was
// written again, lists keep to their limit, and tables to theirs.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHPACK(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var decoder = HPACKDecoder(tableLimit: 300)
    var encoder = HPACKEncoder(tableLimit: 200)
    var mirror = HPACKDecoder()
    // The length of each block stands before it.
    var position = 0
    while position < bytes.count {
        let length = min(Int(bytes[position]), bytes.count - position - 1)
        let block = Array(bytes[position + 1..<position + 1 + length])
        position += 1 + length
        if length == 255 { decoder.setTableLimit(Int(block[0])) }
        guard let (fields, isWhole) = try? decoder.decode(block.span, sizeLimit: 2_000) else {
            return 0
        }
        let size = HTTP2Fields(fields).size
        // Bytes that are no UTF-8 grow when they are replaced.
        invariant(size <= 3 * 2_000, "a list keeps to its limit")
        invariant(decoder.tableSize <= 300, "a table keeps to its limit")
        guard isWhole else { continue }
        var output: [UInt8] = []
        encoder.encode(fields, to: &output)
        guard let again = try? mirror.decode(output.span, sizeLimit: 1 << 20) else {
            fatalError("what was written can't be read")
        }
        invariant(again.fields.count == fields.count, "no field is lost")
        for (a, b) in zip(again.fields, fields) {
            invariant(
                a.name.utf8.elementsEqual(b.name.utf8) && a.value.utf8.elementsEqual(b.value.utf8)
                    && a.isSecret == b.isSecret, "a field keeps its meaning")
        }
        invariant(encoder.tableSize == mirror.tableSize, "both tables agree")
    }
    return 0
}
