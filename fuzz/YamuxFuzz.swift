// Any bytes from the other side of a session: nothing traps, nothing is made up, and a session that
// is over stays so.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzYamux(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    listen(to: bytes)
    var session = YamuxSession(at: .zero)
    let streams = [session.open(), session.open()]
    session.send(streams[0], Array(repeating: 1, count: 300_000))
    var received = 0
    var isOver = false
    for piece in stride(from: 0, to: bytes.count, by: 7) {
        session.receive(Array(bytes[piece..<min(piece + 7, bytes.count)]), at: .zero)
        for event in session.takeEvents() {
            invariant(!isOver, "nothing follows the end")
            switch event {
            case .opened: invariant(false, "only a client opens streams")
            case .received(let stream, let data):
                invariant(streams.contains(stream), "only our own streams bring something")
                received += data.count
            case .ended(let stream): invariant(streams.contains(stream), "a stream of ours ends")
            case .failed: isOver = true
            }
        }
    }
    session.close(streams[0])
    session.expire(at: .zero + .seconds(30))
    session.expire(at: .zero + .seconds(60))
    session.receiveEnd()
    invariant(received <= bytes.count, "no byte is made up")
    return 0
}

/// The side that takes streams.
private func listen(to bytes: [UInt8]) {
    var session = YamuxSession(.server, at: .zero)
    session.receive(bytes, at: .zero)
    var open: [UInt32] = []
    for event in session.takeEvents() {
        switch event {
        case .opened(let stream):
            invariant(stream > open.max() ?? 0, "each is opened once, in order")
            open.append(stream)
        case .received(let stream, _): invariant(open.contains(stream), "it was opened")
        case .ended(let stream):
            invariant(open.contains(stream), "it was opened")
            session.close(stream)
        case .failed: break
        }
    }
    for stream in open { session.send(stream, [1, 2, 3]) }
    _ = session.takeOutput()
}
