// What follows the greeting on a connection between nodes: frames. A short message is one frame; a
// long one is cut into parts, between which short ones may come, so that a heartbeat never waits
// for a snapshot.
//
//   length of the payload (4) · kind (1) · payload · CRC-32C of all of it (4), or the tag of a seal

/// The head of a frame.
package struct PeerFrame: Hashable, Sendable {
    package enum Kind: UInt8, Sendable {
        /// The first frame of each side: empty, it shows that the greeting was accepted and, when
        /// it is sealed, that the sender has the key.
        case ready = 1
        /// A whole message.
        case message
        /// A piece of a message, of which at most one is under way.
        case part
        /// The last piece.
        case lastPart
        /// The id of the cluster that the sender belongs to, which it did not know when it greeted.
        case belongs
    }

    package var kind: Kind
    /// Without checksum or tag.
    package var length: Int

    /// - Parameter length: 0 to `mostPayload`.
    package init(_ kind: Kind, length: Int) {
        invariant((0...Self.mostPayload).contains(length), "a frame is short")
        self.kind = kind
        self.length = length
    }

    package static let headBytes = 5
    package static let checksumBytes = 4
    /// The most bytes of one payload: at a gigabit a second it takes an eighth of a millisecond.
    package static let mostPayload = 16 << 10

    package var head: [UInt8] {
        var writer = ByteWriter(capacity: Self.headBytes)
        writer.u32(UInt32(length))
        writer.u8(kind.rawValue)
        return writer.output
    }

    /// The whole frame with its checksum, for connections that are not sealed.
    package func checked(_ payload: ArraySlice<UInt8>) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.headBytes + payload.count + Self.checksumBytes)
        writer.raw(head)
        writer.raw(payload)
        writer.u32(Checksum.crc32c(writer.output))
        return writer.output
    }

    /// The payload of what `checked` made; nil if the checksum is wrong.
    /// - Parameter sealed: payload and checksum.
    package static func payload(head: [UInt8], _ sealed: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard sealed.count >= checksumBytes else { return nil }
        let payload = sealed.dropLast(checksumBytes)
        var reader = ByteReader(sealed.suffix(checksumBytes))
        let sum = Checksum.crc32c(payload, continuing: Checksum.crc32c(head))
        return (try? reader.u32()) == sum ? payload : nil
    }

    // MARK: Cutting

    /// The next piece of a message, from `offset` on: its frame, and where it ends.
    package static func piece(
        of message: [UInt8], from offset: Int
    ) -> (frame: PeerFrame, range: Range<Int>) {
        let end = min(message.count, offset + mostPayload)
        let kind: Kind =
            end < message.count ? .part : offset == 0 ? .message : .lastPart
        return (PeerFrame(kind, length: end - offset), offset..<end)
    }
}

/// Cuts what comes in into frames.
package struct PeerFrameReader: Sendable {
    private var bytes: [UInt8] = []
    private var position = 0
    /// Of the checksum or tag.
    private let trailerBytes: Int

    package init(trailerBytes: Int) { self.trailerBytes = trailerBytes }

    /// How many bytes are held.
    package var count: Int { bytes.count - position }

    package mutating func receive(_ more: some Collection<UInt8>) {
        if position > 0 {
            bytes.removeFirst(position)
            position = 0
        }
        bytes.append(contentsOf: more)
    }

    /// The next frame with its head's bytes, and its payload with checksum or tag; nil while it is
    /// not whole.
    /// - Throws: if it is none.
    package mutating func next()
        throws(ByteError) -> (frame: PeerFrame, head: [UInt8], sealed: ArraySlice<UInt8>)?
    {
        guard count >= PeerFrame.headBytes else { return nil }
        var reader = ByteReader(bytes[position...])
        let length = Int(try reader.u32())
        guard length <= PeerFrame.mostPayload else {
            throw .malformed(offset: 0, what: "a frame of \(length) bytes")
        }
        guard let kind = PeerFrame.Kind(rawValue: try reader.u8()) else {
            throw .malformed(offset: 4, what: "a frame of an unknown kind")
        }
        guard reader.remaining >= length + trailerBytes else { return nil }
        let start = position + PeerFrame.headBytes
        let head = Array(bytes[position..<start])
        position = start + length + trailerBytes
        return (PeerFrame(kind, length: length), head, bytes[start..<position])
    }
}

/// Puts messages together again.
package struct PeerAssembler: Sendable {
    private var parts: [UInt8] = []
    private let limit: Int

    /// - Parameter limit: the longest message, in bytes.
    package init(limit: Int) { self.limit = limit }

    /// Bytes of a message whose end is still to come.
    package var heldBytes: Int { parts.count }

    /// - Returns: the message that is whole now, if one is.
    /// - Throws: if the frame has no place here.
    package mutating func receive(
        _ kind: PeerFrame.Kind, _ payload: ArraySlice<UInt8>
    ) throws(ByteError) -> [UInt8]? {
        switch kind {
        case .ready, .belongs: throw .malformed(offset: 0, what: "a frame that is no message")
        case .message: return Array(payload)
        case .part, .lastPart:
            guard kind == .part ? !payload.isEmpty : !parts.isEmpty else {
                throw .malformed(offset: 0, what: "a piece of nothing")
            }
            guard parts.count + payload.count <= limit else {
                throw .malformed(offset: 0, what: "a message of more than \(limit) bytes")
            }
            parts.append(contentsOf: payload)
            guard kind == .lastPart else { return nil }
            defer { parts = [] }
            return parts
        }
    }
}

extension PeerMessage {
    /// Whether an encoded message goes ahead of those that wait: elections, heartbeats and the
    /// answers to them. Entries keep their order among themselves, since one that comes too early
    /// is refused.
    package static func isUrgent(_ encoded: [UInt8]) -> Bool {
        guard encoded.count <= mostUrgentBytes,
            let message = try? PeerMessage(decoding: encoded)
        else { return false }
        if case .raft(let raft) = message {
            if case .append = raft.body { return false }
            return true
        }
        if case .report(.heartbeat) = message { return true }
        if case .assignment(.heartbeatHeard) = message { return true }
        return false
    }

    /// Longer ones are not looked at.
    private static let mostUrgentBytes = 64
}
