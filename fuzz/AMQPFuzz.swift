// Any bytes as what a RabbitMQ server says, behind a beginning that the first of them choose, cut
// at places that the others choose: they mean the same as when they come whole, nothing is said
// after the end, success has a confirmation, and what waits for its rest has a bound.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzAMQP(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    let beginning = beginnings[Int(input[0]) % beginnings.count]
    var cuts = (0..<random.int(in: 0...10)).map { _ in random.int(in: 0...bytes.count) }
    cuts.sort()
    let whole = steps(beginning, bytes, [])
    invariant(steps(beginning, bytes, cuts) == whole, "how bytes are cut changes nothing")
    invariant(
        steps(beginning, bytes, Array(bytes.indices)) == whole, "nor does it when they drip")
    frames(bytes)
    table(bytes)
    return 0
}

private let job = try? AMQPJob.parse([
    (key: "url", value: "amqp://10.0.0.1"), (key: "queue", value: "q"),
    (key: "exchange", value: "e"), (key: "exchange.type", value: "direct"),
    (key: "queue.bind", value: "true"), (key: "text", value: "hello"),
])

private func method(
    _ group: UInt16, _ number: UInt16, _ write: (inout AMQPWriter) -> Void = { _ in }
) -> [UInt8] {
    AMQPFrame.method(AMQPMethodID(group, number), channel: 0, write).bytes
}

/// What a server says up to several points.
private let beginnings: [[UInt8]] = {
    let start = method(10, 10) {
        $0.short(9)
        let abilities = AMQPTable([("publisher_confirms", .bool(true))])
        $0.table(AMQPTable([("capabilities", .table(abilities))]))
        $0.longBytes(Array("PLAIN".utf8))
        $0.longBytes([])
    }
    let tune = method(10, 30) {
        $0.short(0)
        $0.long(0)
        $0.short(0)
    }
    let ready =
        start + tune + method(10, 41) + method(20, 11) + method(85, 11) + method(40, 11)
        + method(50, 11)
    return [[], start, start + tune, ready, ready + method(50, 21)]
}()

private func steps(
    _ beginning: [UInt8], _ bytes: [UInt8], _ cuts: [Int]
) -> [ConversationStep] {
    guard let job else { fatalError("the settings are right") }
    let now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var conversation = AMQPConversation(job, ExecutionID("1-n"))
    var steps: [ConversationStep] = []
    conversation.opened(conversation.servers[0], at: now, into: &steps)
    conversation.received(beginning, at: now, into: &steps)
    var start = 0
    for cut in cuts + [bytes.count] {
        switch steps.last {
        case .end(let error):
            invariant(!error.isEmpty || conversation.isCommitted, "success has a message")
            return steps
        case .leave:
            invariant(!conversation.isCommitted, "what may have the message is not left")
            return steps
        default: break
        }
        conversation.received(Array(bytes[start..<cut]), at: now, into: &steps)
        start = cut
    }
    return steps
}

/// Frames mean what their bytes say.
private func frames(_ bytes: [UInt8]) {
    var deframer = AMQPDeframer()
    deframer.receive(bytes)
    var written: [UInt8] = []
    do throws(AMQPError) {
        while let frame = try deframer.next() {
            frame.write(to: &written)
            _ = try? AMQPAnswer(frame.payload)
        }
        invariant(
            deframer.waiting < AMQPFrame.mostBytes + AMQPFrame.overhead,
            "what waits is less than a frame")
    } catch {}
    invariant(bytes.starts(with: written), "frames are written as they were read")
}

/// A table is read, written and read again.
private func table(_ bytes: [UInt8]) {
    var reader = AMQPReader(bytes[...])
    guard let table = try? reader.table(), hasShortNames(.table(table)) else { return }
    var writer = AMQPWriter()
    writer.table(table)
    reader = AMQPReader(writer.output[...])
    invariant((try? reader.table()) == table, "a table is read as it was written")
}

/// What is not UTF-8 in a name is longer once it is replaced.
private func hasShortNames(_ value: AMQPValue) -> Bool {
    switch value {
    case .table(let table):
        table.entries.allSatisfy { $0.name.utf8.count <= 255 && hasShortNames($0.value) }
    case .list(let values): values.allSatisfy(hasShortNames)
    case .bool, .text, .other: true
    }
}
