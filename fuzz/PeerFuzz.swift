// Any bytes as the beginning of a connection between nodes, cut anywhere: a greeting that is
// understood means the same when it is written again, what it is judged by is the same at both
// sides, and frames do not depend on how they arrive.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPeer(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkGreeting(bytes)
    let whole = messages(bytes, cut: max(1, bytes.count))
    for cut in [1, 13] {
        invariant(messages(bytes, cut: cut) == whole, "frames depend on how they are cut")
    }
    _ = PeerMessage.isUrgent(bytes)
    return 0
}

private func checkGreeting(_ bytes: [UInt8]) {
    guard let (hello, count) = try? PeerHello.read(bytes[...]) else { return }
    invariant(count <= bytes.count && count <= PeerHello.mostBytes, "a greeting has an end")
    let again = hello.encoded
    invariant(
        (try? PeerHello.read(again[...]))?.0 == hello, "a greeting keeps its meaning")
    for cut in 0..<count {
        do {
            let part = try PeerHello.read(bytes[..<cut])
            invariant(part == nil, "a part of a greeting is none")
        } catch {
            fatalError("the beginning of a greeting is refused: \(error)")
        }
    }
    let own = PeerHello(
        id: 1, addressee: hello.id, incarnation: 1, nonce: [UInt8](repeating: 1, count: 32),
        cluster: "c", isSealed: false)
    invariant(
        (own.refusal(of: hello) == nil) == (hello.refusal(of: own) == nil),
        "both sides come to the same end")
}

/// The messages that come in, and nil at the end if what follows them is refused.
private func messages(_ bytes: [UInt8], cut: Int) -> [[UInt8]?] {
    var reader = PeerFrameReader(trailerBytes: PeerFrame.checksumBytes)
    var assembler = PeerAssembler(limit: 1 << 16)
    var found: [[UInt8]?] = []
    for start in stride(from: 0, to: bytes.count, by: cut) {
        reader.receive(bytes[start..<min(bytes.count, start + cut)])
        do {
            while let (frame, head, sealed) = try reader.next() {
                // Fuzzing would find no checksum, so a wrong one counts as right.
                let payload = PeerFrame.payload(head: head, sealed) ?? sealed.dropLast(4)
                invariant(payload.count == frame.length, "a frame has the length that it says")
                let message = try assembler.receive(frame.kind, payload)
                if let message { found.append(message) }
            }
        } catch {
            return found + [nil]
        }
    }
    return found
}
