/// Finds the end of the one message that a side says on a stream, as its bytes come in. A plain
/// message ends where its structure ends; a sealed one says its length. Each byte is looked at
/// once, however the message is cut.
package struct GossipFrame: Sendable {
    /// The most bytes of a message, packed or not (memberlist's limit of a push/pull).
    package static let mostBytes = 20 << 20

    private enum Phase {
        case type
        /// So many values of MessagePack follow, then something else.
        case values(Int, then: Next)
        case bytes(Int)
        case complete
    }

    private enum Next {
        case end
        /// The values were the map that tells the length of a user message.
        case userLength
        /// The values were the map that tells how many members follow, and bytes behind them.
        case members
        case bytes(Int)
    }

    private var bytes: [UInt8] = []
    /// Where to go on.
    private var position = 0
    private var phase = Phase.type
    private let limit: Int

    package init(limit: Int = mostBytes) { self.limit = limit }

    package var isComplete: Bool { if case .complete = phase { true } else { false } }
    /// Judged by the first byte; false before it is there.
    package var isSealed: Bool { bytes.first == GossipType.encrypted.rawValue }
    /// How many bytes are held.
    package var count: Int { bytes.count }

    /// The whole message when it is complete; what came behind it is not part of it.
    package var message: ArraySlice<UInt8>? { isComplete ? bytes[..<position] : nil }

    /// Takes the next bytes.
    /// - Throws: when no continuation can make them a message.
    package mutating func receive(_ more: some Collection<UInt8>) throws(ByteError) {
        guard !isComplete else { return }
        bytes.append(contentsOf: more)
        while try advance() {}
        guard isComplete || bytes.count <= limit else { throw tooLong }
    }

    /// Returns whether there may be more to do with the bytes that are there.
    private mutating func advance() throws(ByteError) -> Bool {
        switch phase {
        case .complete: return false
        case .type: return try readType()
        case .bytes(let count):
            guard position + count <= limit else { throw tooLong }
            guard bytes.count >= position + count else { return false }
            position += count
            phase = .complete
            return true
        case .values(0, let next):
            guard position <= limit else { throw tooLong }
            phase = try following(next)
            return true
        case .values(let pending, let next):
            var reader = MessagePackReader(bytes[position...])
            do throws(ByteError) {
                let (more, isOverflow) = (pending - 1).addingReportingOverflow(
                    try reader.skipHead())
                guard !isOverflow, more <= limit else { throw tooLong }
                position += reader.offset
                phase = .values(more, then: next)
                return true
            } catch .endOfBytes {
                return false
            } catch {
                throw error
            }
        }
    }

    private mutating func readType() throws(ByteError) -> Bool {
        guard let first = bytes.first else { return false }
        switch GossipType(rawValue: first) {
        case .ping, .ack, .error, .compressed: phase = .values(1, then: .end)
        case .user: phase = .values(1, then: .userLength)
        case .pushPull: phase = .values(1, then: .members)
        case .encrypted:
            guard bytes.count >= 5 else { return false }
            let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
            position = 5
            phase = .bytes(length)
            return true
        case .label:
            throw .malformed(
                offset: 0, what: "a label, which sets apart the nodes of another cluster")
        case .indirectPing, .suspect, .alive, .dead, .compound, .nack, .checksum, nil:
            throw .malformed(
                offset: 0, what: "a message of the type \(first), which no stream holds")
        }
        position = 1
        return true
    }

    private func following(_ next: Next) throws(ByteError) -> Phase {
        var reader = MessagePackReader(bytes[1..<position])
        switch next {
        case .end: return .complete
        case .bytes(let count): return .bytes(count)
        case .userLength: return .bytes(try GossipStreamMessage.readUserLength(&reader))
        case .members:
            let header = try GossipPushPull.Header(&reader)
            guard header.nodes <= limit else { throw tooLong }
            return .values(Int(header.nodes), then: .bytes(Int(header.userStateLength)))
        }
    }

    private var tooLong: ByteError {
        .malformed(offset: 0, what: "a message of more than \(limit) bytes")
    }
}
