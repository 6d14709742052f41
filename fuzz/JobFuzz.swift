// Any bytes: they are refused with a sentence, or they are a job that the store keeps unchanged,
// that is printed in a form which is accepted again and means the same, and whose ticks can be
// told. An array is cut into the elements that the JSON reader finds in it.
// Compiled in one module with Core.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJob(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let json = try? JSONDocument(bytes) else {
        // What is no JSON must not stop the one who cuts it.
        _ = elements(of: bytes)
        return 0
    }
    if json.kind(of: json.root) == .array {
        let cut = elements(of: bytes)
        let found = json.elements(of: json.root).map { Array(json.source(of: $0)) }
        invariant(cut == found, "an array is cut into its elements")
    }
    for source in [JobReader.Source.submission, .export] {
        do throws(JobError) {
            let input = try JobReader.read(json.root, of: json, from: source)
            check(input.document, source)
        } catch {
            invariant(!error.message.isEmpty, "a refusal says why")
        }
    }
    return 0
}

private func check(_ document: JobDocument, _ source: JobReader.Source) {
    let stored = JobDocument(stored: document.encoded)
    invariant(stored == document, "a job is stored as it is")
    guard source == .submission else { return }
    var writer = JSONWriter(.compact)
    writer.settableFields(document)
    guard let json = try? JSONDocument(writer.bytes, limits: JSONLimits(bytes: 1 << 30)),
        let again = try? JobReader.read(json.root, of: json)
    else { fatalError("a job that was printed is refused: \(document)") }
    invariant(again.document == document, "a printed job means the same")
    var cluster = ClusterState()
    cluster.settings.defaultTimezone = "UTC"
    var state = JobState(generation: 1, stamp: WallTime(seconds: 1_700_000_000))
    for _ in 0..<3 {
        guard
            let tick = TickPlan.next(
                document, state, cluster, ZoneTable(), at: state.cursor)
        else { return }
        invariant(tick > state.cursor, "ticks advance")
        state.cursor = tick
    }
    for tag in document.tags { _ = try? TagSelector(name: tag.name, value: tag.value) }
    _ = try? ShellCommand.parse(document.executorConfig.map { ($0.name, $0.value) })
    _ = try? HTTPJob.parse(document.executorConfig.map { ($0.name, $0.value) })
}

/// The elements that a restore would see; nil if it would refuse the file.
private func elements(of bytes: [UInt8]) -> [[UInt8]]? {
    var splitter = ArraySplitter(0..<bytes.count)
    var elements: [[UInt8]] = []
    while true {
        // Few bytes at a time: where a slice ends changes nothing.
        var budget = 7
        guard let step = try? splitter.next(in: bytes, budget: &budget) else { return nil }
        switch step {
        case .again: break
        case .end: return elements
        case .element(let range):
            // Space before the comma belongs to no element.
            var element = Array(bytes[range])
            while let last = element.last, ArraySplitter.isSpace(last) { element.removeLast() }
            elements.append(element)
        }
    }
}
