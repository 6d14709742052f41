// Replies of a broker made of any bytes, each behind the right header, to a producer that goes on
// for as long as they let it: nothing traps, a conversation that has ended stays silent, and how
// the bytes are cut changes nothing.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzKafka(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    for version in KafkaRequest.metadata.versions {
        _ = try? KafkaMetadata(input[2...], version: version, topic: "t")
    }
    for version in KafkaRequest.produce.versions {
        _ = try? KafkaReceipt(input[2...], version: version)
    }
    let config = [
        ("brokerAddress", "10.0.0.1,10.0.0.2"), ("topic", "t"), ("message", "m"),
        input[0] & 1 == 0 ? ("key", "k") : ("partition", "1"),
    ]
    let login = [("saslUsername", "u"), ("saslPassword", "p"), ("saslMechanism", "plain")]
    let settings = input[0] & 2 == 0 ? config : config + login
    guard let job = try? KafkaJob.parse(settings.map { (key: $0.0, value: $0.1) }) else {
        invariant(false, "the settings are right")
        return 0
    }
    let whole = talk(job, input[2...], piece: .max)
    let cut = talk(job, input[2...], piece: max(1, Int(input[1])))
    invariant(whole == cut, "how bytes are cut changes nothing")
    return 0
}

/// Everything that the conversation wants. Replies are a length of two bytes and a body each.
private func talk(
    _ job: KafkaJob, _ input: ArraySlice<UInt8>, piece: Int
) -> [ConversationStep] {
    var conversation = KafkaConversation(job, ExecutionID("1-n"), on: BareHost())
    let now = Now(monotonic: Instant(nanoseconds: 1), wall: WallTime(seconds: 1_700_000_000))
    var steps: [ConversationStep] = []
    conversation.opened(job.servers[0], at: now, into: &steps)
    var rest = input
    while rest.count >= 2 {
        let size = min(Int(rest.removeFirst()) << 8 | Int(rest.removeFirst()), rest.count)
        let body = rest.prefix(size)
        rest = rest.dropFirst(size)
        switch steps.last {
        case .send(let request):
            // Its correlation stands behind length, key and version.
            var frame = ByteWriter()
            frame.u32(UInt32(size + 4).byteSwapped)
            frame.raw(request[8..<12])
            frame.raw(body)
            let bytes = frame.output
            var start = 0
            let before = steps.count
            while start < bytes.count, steps.count == before {
                let end = min(bytes.count, start + min(piece, bytes.count))
                conversation.received(Array(bytes[start..<end]), at: now, into: &steps)
                start = end
            }
        case .move(let server): conversation.opened(server, at: now, into: &steps)
        case .leave(let reason): conversation.exhausted(reason: reason, at: now, into: &steps)
        case .wait: conversation.resumed(at: now, into: &steps)
        default: return steps
        }
    }
    return steps
}
