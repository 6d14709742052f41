// Any text as a template of a notification, as a layout of times and as a list of addresses. What
// is accepted can be filled in; what is refused is refused with a place inside the text.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTemplate(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let text = String(decoding: bytes, as: UTF8.self)
    do {
        let filled = try ReportTemplate(text).filled(execution, Array("output".utf8))
        invariant(text.utf8.contains(0x7b) || filled == Array(text.utf8), "plain text stays")
    } catch {
        invariant(error.column >= 1, "columns count from 1")
        invariant(error.column <= text.unicodeScalars.count + 1, "columns lie in the text")
    }
    let layout = TimeLayout(text)
    for time in [nil, WallTime(seconds: 0), .distantPast, .distantFuture] {
        let printed = layout.text(time)
        invariant(!printed.isEmpty || text.utf8.allSatisfy { $0 < 0x3a }, "words leave words")
    }
    let list = MailTask.addresses(in: text)
    invariant(list.valid.count <= 100, "a mail has at most 100 recipients")
    for address in list.valid {
        invariant(!address.utf8.contains { $0 <= 0x20 || $0 == 0x7f }, "no line can be broken")
        invariant(address.utf8.contains(UInt8(ascii: "@")), "an address is one")
    }
    return 0
}

private let execution: ProcessedExecution = {
    let node = NodeName("n1")
    var execution = Execution(
        number: 1, node: node, group: 1, attempt: 1, scheduledAt: WallTime(seconds: 0))
    execution.startedAt = WallTime(seconds: 1_700_000_000)
    return ProcessedExecution(execution, of: JobName("fuzz"), reportedBy: node)
}()
