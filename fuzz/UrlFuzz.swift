// Any text as a URL and as a reference in an answer: no trap, what is understood can be sent, and
// what is printed is understood alike.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzURL(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    guard let base = try? HTTPURL("http://h/a/b?c") else { fatalError("the base is a URL") }
    for url in [try? HTTPURL(text), try? base.resolving(text)] {
        guard let url else { continue }
        invariant(url.target.hasPrefix("/"), "a target is absolute")
        _ = HTTPExchange(method: .get, url: url).bytes
        guard let again = try? HTTPURL("http://\(url.authority)\(url.target)") else {
            fatalError("what was understood is refused when it is printed: \(url)")
        }
        invariant(again.authority == url.authority && again.target == url.target, "the same URL")
    }
    return 0
}
