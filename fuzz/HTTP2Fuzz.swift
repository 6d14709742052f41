// Any bytes as what the other side of an HTTP/2 connection sends, in either role, cut at places
// that the first of them choose: they mean the same as when they come whole, the user may do what
// it likes meanwhile, and nothing grows beyond its bound.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP2(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    let role: HTTP2Connection.Role = input[0] & 1 == 0 ? .server : .client
    var cuts = (0..<random.int(in: 0...10)).map { _ in random.int(in: 0...bytes.count) }
    cuts.sort()
    let whole = watched(role, bytes, [])
    invariant(watched(role, bytes, cuts) == whole, "how bytes are cut changes nothing")
    used(role, bytes, cuts, &random)
    return 0
}

private func limits() -> HTTP2Limits {
    var limits = HTTP2Limits()
    limits.streams = 3
    limits.streamWindow = 500
    limits.fieldBytes = 400
    limits.fieldFrames = 4
    limits.fieldTable = 200
    limits.unsentStream = 300
    limits.unsent = 1_000
    limits.unsentTotal = 3_000
    limits.idleFrames = HTTP2Rate(burst: 50, perSecond: 1)
    limits.resets = HTTP2Rate(burst: 10, perSecond: 1)
    return limits
}

private let request: HTTP2Fields = [
    HTTP2Field(":method", "POST"), HTTP2Field(":scheme", "http"), HTTP2Field(":path", "/"),
]

/// A connection that has sent and taken the beginning, so that the input need not.
private func begun(_ role: HTTP2Connection.Role) -> HTTP2Connection {
    var connection = HTTP2Connection(role: role, limits: limits(), at: .zero)
    var greeting: [UInt8] = role == .server ? HTTP2Connection.preface : []
    greeting += [0, 0, 0, 4, 0, 0, 0, 0, 0]
    connection.receive(greeting.span, at: .zero)
    if role == .client {
        for _ in 0..<2 { _ = try? connection.open(request, ends: false, at: .zero) }
    }
    return connection
}

/// What is told and sent when the user does nothing.
private struct Outcome: Equatable {
    var events: [HTTP2Event] = []
    var sent: [UInt8] = []
}

private func watched(
    _ role: HTTP2Connection.Role, _ bytes: [UInt8], _ cuts: [Int]
) -> Outcome {
    var connection = begun(role)
    var outcome = Outcome()
    var start = 0
    for cut in cuts + [bytes.count] {
        connection.receive(bytes.span.extracting(start..<cut), at: .zero)
        start = cut
        while let event = connection.nextEvent() { outcome.events.append(event) }
        check(connection)
    }
    outcome.sent = Array(connection.outgoing)
    return outcome
}

private func check(_ connection: HTTP2Connection) {
    invariant(connection.openStreams <= 3, "no more streams than allowed")
    invariant(connection.outgoing.count < 6_000, "what waits to be sent has a bound")
}

/// A user that answers, sends, consumes, resets and takes its time.
private func used(
    _ role: HTTP2Connection.Role, _ bytes: [UInt8], _ cuts: [Int], _ random: inout PRNG
) {
    var connection = begun(role)
    var now = Instant.zero
    var ended: [UInt32] = []
    var start = 0
    for cut in cuts + [bytes.count] {
        now = now + .milliseconds(Int64(random.int(in: 0...3_000)))
        if random.chance(1, 4) { connection.expire(at: now) }
        connection.receive(bytes.span.extracting(start..<cut), at: now)
        start = cut
        while let event = connection.nextEvent() { take(event, &connection, &ended, &random, now) }
        if random.chance(1, 2) {
            connection.didSend(random.int(in: 0...connection.outgoing.count), at: now)
        }
        if connection.canOpen, random.chance(1, 4) {
            _ = try? connection.open(request, ends: random.chance(1, 2), at: now)
        }
        if random.chance(1, 20) { connection.beginShutdown(at: now) }
        invariant(connection.openStreams <= 3, "no more streams than allowed")
    }
    connection.receiveEnd(at: now)
    while connection.nextEvent() != nil {}
    invariant(connection.isClosed, "the other side's end is the end")
}

private func take(
    _ event: HTTP2Event, _ connection: inout HTTP2Connection, _ ended: inout [UInt32],
    _ random: inout PRNG, _ now: Instant
) {
    var stream: UInt32 = 0
    switch event {
    case .head(let id, _, let ends):
        stream = id
        invariant(!ended.contains(id), "nothing follows a stream's end")
        if ends { ended.append(id) }
        _ = try? connection.respond(
            id, [HTTP2Field(":status", "200")], ends: random.chance(1, 4), at: now)
    case .data(let id, let bytes, let ends):
        stream = id
        invariant(!ended.contains(id), "nothing follows a stream's end")
        if ends { ended.append(id) }
        if random.chance(3, 4) { connection.consume(id, bytes.count, at: now) }
    case .trailers(let id, _):
        stream = id
        invariant(!ended.contains(id), "nothing follows a stream's end")
        ended.append(id)
    case .interim(let id, _), .reset(let id, _), .writable(let id): stream = id
    case .goAway, .closed: return
    }
    switch random.int(in: 0...5) {
    case 0: connection.reset(stream, .cancel, at: now)
    case 1:
        _ = try? connection.sendTrailers(stream, [HTTP2Field("a", "b")], at: now)
    case 2...4 where connection.hasRoom(stream):
        let piece = [UInt8](repeating: 7, count: random.int(in: 0...2_000))
        connection.send(stream, piece, ends: random.chance(1, 3), at: now)
    default: break
    }
}
