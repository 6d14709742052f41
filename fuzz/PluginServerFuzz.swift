// Any bytes from a host, and from whoever takes status updates: nothing traps, each call is told
// once, and the end comes.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPluginServer(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    for kind in PluginKind.allCases {
        for piece in [7, 1 << 20] { serve(kind, bytes, in: piece) }
    }
    var requests = NetRPCServer(messageLimit: 10_000)
    for request in (try? requests.receive(bytes)) ?? [] {
        _ = ProcessorService.arguments(request.argument)
        _ = requests.answer(request)
    }
    _ = try? ExecuteRequest(protobuf: bytes)
    return 0
}

private func serve(_ kind: PluginKind, _ bytes: [UInt8], in size: Int) {
    var server = PluginServer(kind, takesErrors: bytes.first == 1, at: .zero)
    var actions: [PluginServerAction] = []
    var seen = 0
    var calls: [UInt64] = []
    var hasEnded = false
    func take(_ event: PluginServerEvent) {
        server.take(event, at: .zero, into: &actions)
        while seen < actions.count {
            let action = actions[seen]
            seen += 1
            invariant(!hasEnded, "nothing follows the end")
            switch action {
            case .begin(let call):
                invariant(!calls.contains(call.number), "a call is told once")
                calls.append(call.number)
                server.take(.output(call.number, [1], isError: false), at: .zero, into: &actions)
            case .send(let number, let sent):
                server.take(.wrote(number, count: sent.count), at: .zero, into: &actions)
            case .connect(let number, _):
                server.take(.opened(number), at: .zero, into: &actions)
                server.take(.received(number, bytes), at: .zero, into: &actions)
            case .close, .cancel, .log: break
            case .exit: hasEnded = true
            }
        }
    }
    take(.accepted(1))
    // What hosts begin with, so that what follows is reached at all.
    if kind == .executor { take(.received(1, Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))) }
    for place in stride(from: 0, to: bytes.count, by: size) {
        take(.received(1, Array(bytes[place..<min(place + size, bytes.count)])))
        take(.printed([2]))
    }
    for call in calls {
        take(.finished(call, kind == .executor ? .executed(error: "") : .refused("no")))
    }
    take(.receivedEnd(1))
    take(.stop("it is enough"))
    server.expire(at: Instant.zero + .seconds(2), into: &actions)
    invariant(actions.last == .exit, "the end comes")
}
