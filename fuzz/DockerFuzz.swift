// Any bytes as what a Docker Engine streams: the output of a container in frames, the progress of
// pulling an image, and what it tells of a container. However they are cut they mean the same,
// output that comes once more from its beginning is not given twice, and what waits has a bound.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDocker(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = Array(input[8...])
    var random = PRNG(seed: input[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    var cuts = (0..<random.int(in: 0...10)).map { _ in random.int(in: 0...bytes.count) }
    cuts.sort()
    let whole = output(bytes, [])
    invariant(output(bytes, cuts) == whole, "how output is cut changes nothing")
    invariant(output(bytes, Array(bytes.indices)) == whole, "nor does it when it drips")
    again(bytes, at: cuts.first ?? 0)
    invariant(progress(bytes, cuts) == progress(bytes, []), "how progress is cut changes nothing")
    _ = DockerState(bytes)?.verdict
    return 0
}

private struct Output: Equatable {
    var bytes: [UInt8] = []
    var isRefused = false
    var isWhole = false
}

private func pieces(_ bytes: [UInt8], _ cuts: [Int]) -> [[UInt8]] {
    var start = 0
    return (cuts + [bytes.count]).map { cut in
        defer { start = cut }
        return Array(bytes[start..<cut])
    }
}

private func output(_ bytes: [UInt8], _ cuts: [Int]) -> Output {
    var stream = DockerLogStream()
    var output = Output()
    for piece in pieces(bytes, cuts) {
        do throws(DockerStreamError) { output.bytes += try stream.take(piece) } catch {
            // What came in the same piece in front of the fault is lost with it.
            return Output(isRefused: true)
        }
    }
    output.isWhole = stream.isWhole
    return output
}

/// The first part, then all of it once more.
private func again(_ bytes: [UInt8], at cut: Int) {
    var stream = DockerLogStream()
    guard let first = try? stream.take(Array(bytes[..<cut])) else { return }
    stream.restart()
    guard let rest = try? stream.take(bytes) else { return }
    invariant(
        first.count + rest.count == output(bytes, []).bytes.count, "nothing is given twice")
}

private func progress(_ bytes: [UInt8], _ cuts: [Int]) -> String? {
    var progress = DockerProgress()
    for piece in pieces(bytes, cuts) { progress.take(piece) }
    progress.finish()
    return progress.error
}
