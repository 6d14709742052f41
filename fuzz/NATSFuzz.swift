// Any bytes as what a NATS server says, behind a beginning that the first of them choose, cut at
// places that the others choose: they mean the same as when they come whole, nothing is said after
// the end, success has an answer, and another server is asked only before the message was sent.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNATS(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    let beginning = beginnings[Int(input[0]) % beginnings.count]
    let job = jobs[Int(input[1]) % jobs.count]
    var cuts = (0..<random.int(in: 0...10)).map { _ in random.int(in: 0...bytes.count) }
    cuts.sort()
    let whole = steps(job, beginning, bytes, [])
    invariant(steps(job, beginning, bytes, cuts) == whole, "how bytes are cut changes nothing")
    invariant(
        steps(job, beginning, bytes, Array(bytes.indices)) == whole, "nor does it when they drip")
    return 0
}

private let jobs: [NATSJob] = [
    [("jetstream", "false")], [("jetstream", "true")],
    [("headers", #"["Team: ops"]"#), ("debug", "true"), ("token", "t")],
].map { more in
    let settings = [("url", "nats://10.0.0.1,tls://10.0.0.2"), ("subject", "s"), ("message", "m")]
    guard let job = try? NATSJob.parse((settings + more).map { (key: $0.0, value: $0.1) }) else {
        fatalError("the settings are right")
    }
    return job
}

/// What a server says up to several points.
private let beginnings: [[UInt8]] = {
    let info = Array("INFO {\"headers\":true,\"max_payload\":1024}\r\n".utf8)
    let pong = Array("PONG\r\n".utf8)
    return [[], info, info + pong, info + pong + pong]
}()

private func steps(
    _ job: NATSJob, _ beginning: [UInt8], _ bytes: [UInt8], _ cuts: [Int]
) -> [ConversationStep] {
    let now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var conversation = NATSConversation(job, ExecutionID("1-n"))
    var steps: [ConversationStep] = []
    conversation.opened(conversation.servers[0], at: now, into: &steps)
    var start = 0
    let all = beginning + bytes
    // The beginning comes whole, unless it has ended everything.
    for cut in [beginning.count] + cuts.map({ beginning.count + $0 }) + [all.count] {
        switch steps.last {
        case .end(let error):
            invariant(!error.isEmpty || conversation.isCommitted, "success has a message")
            return steps
        case .leave:
            invariant(!conversation.isCommitted, "what may have the message is not left")
            return steps
        default: break
        }
        conversation.received(Array(all[start..<cut]), at: now, into: &steps)
        start = cut
    }
    return steps
}
