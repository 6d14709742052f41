// Any bytes, cut at places that the first of them choose: they mean the same as when they come
// whole. Paths and queries are decoded, and the connection around the parser keeps its order.
// Compiled in one module with Core.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    var limits = HTTPLimits()
    limits.requestLine = 200
    limits.fieldBytes = 400
    limits.fields = 10
    limits.body = 300
    limits.largeBody = 600
    var cuts: [Int] = []
    if !bytes.isEmpty {
        for _ in 0..<random.int(in: 0...10) { cuts.append(random.int(in: 0..<bytes.count)) }
    }
    cuts.sort()
    let whole = events(bytes, [], limits)
    invariant(events(bytes, cuts, limits) == whole, "how bytes are cut changes nothing")
    invariant(events(bytes, Array(bytes.indices), limits) == whole, "nor does dripping")
    for case .request(let request) in whole {
        _ = try? request.decodedPath()
        _ = try? request.decodedQuery()
        let type = request.headers["Content-Type"] ?? "multipart/form-data; boundary=b"
        if let part = try? HTTPMultipart.part(named: "file", contentType: type, body: request.body)
        {
            invariant(part.count <= request.body.count, "a part lies inside its body")
        }
    }
    drive(bytes, cuts, limits, &random)
    return 0
}

private func events(
    _ bytes: [UInt8], _ cuts: [Int], _ limits: HTTPLimits
) -> [HTTPRequestParser.Event] {
    var parser = HTTPRequestParser(limits: limits)
    var result: [HTTPRequestParser.Event] = []
    var start = 0
    for cut in cuts + [bytes.count] {
        parser.receive(bytes.span.extracting(start..<cut))
        start = cut
        while let event = parser.next() { result.append(event) }
    }
    for case .failure(_) in result.dropLast() { fatalError("a failure is the last event") }
    return result
}

/// Plays a whole connection: answers in any order and shape, a client that takes bits.
private func drive(
    _ bytes: [UInt8], _ cuts: [Int], _ limits: HTTPLimits, _ random: inout PRNG
) {
    var now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var connection = HTTPConnection(clientAddress: "", limits: limits, at: now.monotonic)
    var waiting: [UInt64] = []
    var start = 0
    for cut in cuts + [bytes.count] {
        connection.receive(bytes.span.extracting(start..<cut), at: now.monotonic)
        start = cut
        while let next = connection.nextRequest(at: now) { waiting.append(next.number) }
        invariant(connection.unanswered == waiting || connection.isClosed, "requests are kept")
        while !waiting.isEmpty, random.chance(1, 2) {
            let number = waiting.remove(at: random.int(in: 0..<waiting.count))
            answer(number, &connection, now, &random)
            // An answer that closes takes those behind it with it.
            waiting.removeAll { !connection.unanswered.contains($0) }
        }
        connection.didSend(random.int(in: 0...connection.outgoing.count), at: now.monotonic)
        now.monotonic = now.monotonic + .milliseconds(Int64(random.int(in: 0...5000)))
        connection.expire(at: now)
        if let deadline = connection.deadline {
            invariant(deadline > now.monotonic, "what was due has been done")
        }
    }
    connection.receiveEnd(at: now.monotonic)
    for number in connection.unanswered { answer(number, &connection, now, &random) }
    connection.didSend(connection.outgoing.count, at: now.monotonic)
    invariant(connection.isClosed, "an answered connection whose client left is closed")
}

private func answer(
    _ number: UInt64, _ connection: inout HTTPConnection, _ now: Now, _ random: inout PRNG
) {
    let isStream = random.chance(1, 3)
    let response = HTTPResponse(
        status: random.chance(1, 5) ? 204 : 200, headers: ["Location": "/a\r\nb"],
        body: isStream ? .stream : .bytes([1, 2, 3]), close: random.chance(1, 10))
    connection.respond(number, response, at: now)
    guard isStream else { return }
    connection.respondChunk(number, [1], last: false, at: now)
    connection.respondChunk(number, [2], last: true, at: now)
}
