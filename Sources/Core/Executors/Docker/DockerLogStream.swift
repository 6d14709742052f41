// The output of a container as the Docker Engine sends it: frames of a head of eight bytes (which
// stream, three zeros, the length with its first byte first) and as many bytes of output.

/// What the engine sends is no such stream.
struct DockerStreamError: Error, Hashable {}

/// Takes the output out of its frames, as it comes. Keeps nothing but a head that is cut.
package struct DockerLogStream: Sendable {
    private static let headSize = 8
    /// Input, output, errors, and what the engine itself has to say.
    private static let kinds = 4

    private var head: [UInt8] = []
    private var kind = 0
    private var remaining = 0
    /// Bytes of each kind that were there before and are passed over.
    private var passing: [UInt64]
    /// Bytes of each kind so far, in this stream and those before.
    private(set) var seen: [UInt64]

    init() {
        passing = [UInt64](repeating: 0, count: Self.kinds)
        seen = passing
    }

    /// It ends behind a frame.
    var isWhole: Bool { head.isEmpty && remaining == 0 }

    /// The same output is sent once more, from its beginning: what was given is not given again.
    mutating func restart() {
        (head, remaining) = ([], 0)
        passing = seen
    }

    /// The output in these bytes. Linear.
    mutating func take(_ bytes: [UInt8]) throws(DockerStreamError) -> [UInt8] {
        var output: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            if remaining == 0 {
                let piece = rest.prefix(Self.headSize - head.count)
                head += piece
                rest = rest.dropFirst(piece.count)
                if head.count == Self.headSize { try begin() }
            } else {
                let piece = rest.prefix(remaining)
                rest = rest.dropFirst(piece.count)
                remaining -= piece.count
                give(piece, to: &output)
            }
        }
        return output
    }

    private mutating func begin() throws(DockerStreamError) {
        guard head[0] < Self.kinds, head[1...3].allSatisfy({ $0 == 0 }) else {
            throw DockerStreamError()
        }
        kind = Int(head[0])
        remaining = head[4...].reduce(0) { $0 << 8 | Int($1) }
        head = []
    }

    private mutating func give(_ piece: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let passed = Int(min(passing[kind], UInt64(piece.count)))
        passing[kind] -= UInt64(passed)
        seen[kind] += UInt64(piece.count - passed)
        output += piece.dropFirst(passed)
    }
}
