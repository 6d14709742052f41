// Any bytes as an answer, cut at places that the first of them choose: they mean the same as when
// they come whole, an end means the same behind them, and nobody is given more than the limit.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzResponse(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    var limits = HTTPResponseLimits()
    limits.statusLine = 100
    limits.fieldBytes = 300
    limits.fields = 10
    limits.body = 200
    limits.chunkLine = 40
    limits.interim = 3
    let isHead = random.chance(1, 8)
    var cuts: [Int] = []
    if !bytes.isEmpty {
        for _ in 0..<random.int(in: 0...10) { cuts.append(random.int(in: 0..<bytes.count)) }
    }
    cuts.sort()
    for ends in [false, true] {
        let whole = outcome(bytes, [], ends, isHead, limits)
        invariant(
            outcome(bytes, cuts, ends, isHead, limits) == whole, "how bytes are cut changes nothing"
        )
        invariant(
            outcome(bytes, Array(bytes.indices), ends, isHead, limits) == whole, "nor does dripping"
        )
        invariant(whole.body.count <= limits.body, "a body stays within its limit")
        invariant(!isHead || whole.body.isEmpty, "an answer to HEAD has no body")
        invariant(!ends || whole.last != nil, "a connection's end ends the answer")
    }
    return 0
}

private struct Outcome: Equatable {
    var head: HTTPResponseHead?
    var body: [UInt8] = []
    var last: HTTPResponseParser.Event?
}

private func outcome(
    _ bytes: [UInt8], _ cuts: [Int], _ ends: Bool, _ isHead: Bool, _ limits: HTTPResponseLimits
) -> Outcome {
    var parser = HTTPResponseParser(limits: limits, isHead: isHead)
    var outcome = Outcome()
    func take() {
        while let event = parser.next() {
            invariant(outcome.last == nil, "nothing follows the last event")
            switch event {
            case .head(let head):
                invariant(outcome.head == nil && outcome.body.isEmpty, "the head comes first")
                outcome.head = head
            case .body(let piece):
                invariant(outcome.head != nil && !piece.isEmpty, "a piece has a head and bytes")
                outcome.body += piece
            case .end, .failure: outcome.last = event
            }
        }
        invariant(parser.isFinished == (outcome.last != nil), "the last event is the last")
    }
    var start = 0
    for cut in cuts + [bytes.count] {
        parser.receive(bytes.span.extracting(start..<cut))
        start = cut
        take()
    }
    if ends {
        parser.receiveEnd()
        take()
    }
    return outcome
}
