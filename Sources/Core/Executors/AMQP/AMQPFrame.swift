// Frames of AMQP 0-9-1 (specification of the protocol, sections 2.3.5 and 4.2): a kind, a channel,
// a length, the payload, and a byte that must be 0xCE.

/// Why bytes are not what an AMQP server says: a sentence without the full stop.
struct AMQPError: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: ByteError) { description = "what the server sends can't be read: \(error)" }
}

struct AMQPFrame: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        case method = 1
        case header = 2
        case body = 3
        case heartbeat = 8
    }

    var kind: Kind
    var channel: UInt16
    var payload: ArraySlice<UInt8>

    static let headBytes = 7
    /// Head and end.
    static let overhead = headBytes + 1
    static let end: UInt8 = 0xce
    /// What everybody must be able to take, and the least that may be agreed on.
    static let leastLimit = 4_096
    /// The largest that we take, the payload alone; more than servers usually want to send.
    static let mostBytes = 128 << 10
    /// What a client says first.
    static let greeting = Array("AMQP".utf8) + [0, 0, 9, 1]
    static let heartbeat = AMQPFrame(kind: .heartbeat, channel: 0, payload: [])

    func write(to bytes: inout [UInt8]) {
        bytes.append(kind.rawValue)
        withUnsafeBytes(of: channel.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(payload.count).bigEndian) { bytes.append(contentsOf: $0) }
        bytes += payload
        bytes.append(Self.end)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }
}

/// Frames out of pieces of what a server sends.
struct AMQPDeframer: Sendable {
    private var bytes: [UInt8] = []
    private var start = 0

    /// Bytes that wait for the rest of their frame: fewer than the largest frame has, once `next`
    /// has given nil.
    var waiting: Int { bytes.count - start }

    mutating func receive(_ piece: [UInt8]) {
        bytes.removeFirst(start)
        start = 0
        bytes += piece
    }

    /// The next whole frame. Throws for what can't become one, as soon as that shows.
    mutating func next() throws(AMQPError) -> AMQPFrame? {
        guard let first = bytes[start...].first else { return nil }
        guard let kind = AMQPFrame.Kind(rawValue: first) else {
            guard let version = try greeting() else { return nil }
            throw AMQPError("the server speaks AMQP \(version), and 0-9-1 is wanted")
        }
        guard waiting >= AMQPFrame.headBytes else { return nil }
        let channel = UInt16(bytes[start + 1]) << 8 | UInt16(bytes[start + 2])
        let count = bytes[(start + 3)..<(start + 7)].reduce(0) { $0 << 8 | Int($1) }
        guard count <= AMQPFrame.mostBytes else {
            throw AMQPError(
                "the server sends a frame of \(count) bytes; at most \(AMQPFrame.mostBytes) are "
                    + "taken")
        }
        guard waiting >= count + AMQPFrame.overhead else { return nil }
        let payload = start + AMQPFrame.headBytes
        let end = payload + count
        guard bytes[end] == AMQPFrame.end else {
            throw AMQPError("a frame of the server does not end as it should")
        }
        start = end + 1
        return AMQPFrame(kind: kind, channel: channel, payload: bytes[payload..<end])
    }

    /// The version of a server that answers with a greeting of its own, because it can't speak
    /// ours; nil while not all of it is there.
    private func greeting() throws(AMQPError) -> String? {
        let rest = bytes[start...].prefix(AMQPFrame.greeting.count)
        guard AMQPFrame.greeting.prefix(4).starts(with: rest.prefix(4)) else {
            throw AMQPError("what answers does not speak AMQP")
        }
        guard rest.count == AMQPFrame.greeting.count else { return nil }
        return rest.dropFirst(5).map { "\($0)" }.joined(separator: "-")
    }
}
