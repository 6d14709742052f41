// Any bytes as what a plugin prints: a handshake or none, lines of the log, and whatever comes over
// its connection.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPlugin(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    for kind in PluginKind.allCases {
        _ = try? PluginHandshake(line: bytes, of: kind)
        guard let file = PluginFile(path: "/p/dkron-\(kind.rawValue)-x") else { return 0 }
        let now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
        var host = PluginHost([file], directory: "/d", at: now.monotonic)
        var out = PluginOutput()
        host.start(at: now, into: &out)
        let transport = kind == .executor ? "grpc" : "netrpc"
        let line = Array("1|1|unix|/tmp/p|\(transport)|\n".utf8)
        for event: PluginEvent in [
            .launched(1), .complained(1, bytes), .printed(1, line), .opened(2),
            .received(2, bytes), .receivedEnd(2), .exited(1, .code(1)),
        ] { host.take(event, at: now, into: &out) }
        for case .log(let record) in out.actions {
            invariant(record.message.utf8.count < 40_000, "lines have a bound")
        }
    }
    return 0
}
