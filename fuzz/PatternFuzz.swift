// Any text as a regular expression, and any bytes as what is searched: no trap, the same answer
// however the bytes are cut, and work that stays within its bound.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPattern(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard let pattern = try? Pattern(String(decoding: parts[0], as: UTF8.self)) else { return 0 }
    let text = parts.count == 2 ? Array(parts[1].prefix(2_000)) : []
    var whole = PatternSearch(pattern)
    whole.feed(text)
    let isMatch = whole.finish()
    invariant(
        whole.steps <= UInt64((text.count + 1) * 4 * Pattern.mostInstructions),
        "the work is linear")
    var pieces = PatternSearch(pattern)
    for byte in text { pieces.feed([byte]) }
    invariant(pieces.finish() == isMatch, "how the text is cut changes nothing")
    invariant(pieces.steps == whole.steps, "nor the work")
    return 0
}
