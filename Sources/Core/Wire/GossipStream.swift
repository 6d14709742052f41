// The messages of streams. Each connection carries one from either side; where it ends follows from
// its own structure, see `GossipFrame`.

extension GossipStreamMessage {
    /// The plain bytes of the whole message; compressed if that makes them fewer.
    package func encode() -> [UInt8] {
        let plain = encodePlainly()
        guard Self.worthCompressing.contains(plain.count) else { return plain }
        let packed = LZW.compress(plain[...])
        let compressed = GossipMessage.bytes(.compressed) { writer in
            writer.field("Algo", 0 as UInt8)
            writer.field("Buf", packed)
        }
        return compressed.count < plain.count ? compressed : plain
    }

    private func encodePlainly() -> [UInt8] {
        switch self {
        case .ping(let ping): return ping.encoded
        case .ack(let sequence, let payload):
            return GossipMessage.ack(sequence: sequence, payload: payload).encode()
        case .user(let bytes):
            return GossipMessage.bytes(.user) { $0.field("UserMsgLen", UInt64(bytes.count)) }
                + bytes
        case .error(let text): return GossipMessage.bytes(.error) { $0.field("Error", text) }
        case .pushPull(let state): return state.encoded
        }
    }

    /// Reads a whole message.
    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        try self.init(bytes, isUnpacked: false)
    }

    private init(_ bytes: ArraySlice<UInt8>, isUnpacked: Bool) throws(ByteError) {
        guard let first = bytes.first else { throw .endOfBytes(offset: 0) }
        let body = bytes.dropFirst()
        var reader = MessagePackReader(body)
        switch GossipType(rawValue: first) {
        case .ping: self = .ping(try GossipPing(&reader))
        case .ack:
            let (sequence, payload) = try GossipMessage.readAck(&reader)
            self = .ack(sequence: sequence, payload: payload)
        case .user:
            let length = try Self.readUserLength(&reader)
            self = .user(Array(try reader.unpacked(length)))
        case .error: self = .error(try Self.readError(&reader))
        case .pushPull: self = .pushPull(try GossipPushPull(&reader))
        case .compressed where !isUnpacked:
            let inner = try GossipPacket.decompress(body, limit: GossipFrame.mostBytes)
            try self.init(inner[...], isUnpacked: true)
        case .encrypted:
            throw .malformed(offset: 0, what: "a sealed message, and this node has no key for it")
        case .label:
            throw .malformed(
                offset: 0, what: "a label, which sets apart the nodes of another cluster")
        case .indirectPing, .suspect, .alive, .dead, .compound, .compressed, .nack, .checksum, nil:
            throw .malformed(
                offset: 0, what: "a message of the type \(first), which no stream holds")
        }
    }

    static func readUserLength(_ reader: inout MessagePackReader) throws(ByteError) -> Int {
        var length: UInt32 = 0
        try reader.fields { key, value throws(ByteError) in
            if key == "UserMsgLen" { length = try value.integer() } else { try value.skip() }
        }
        return Int(length)
    }

    private static func readError(_ reader: inout MessagePackReader) throws(ByteError) -> String {
        var text = ""
        try reader.fields { key, value throws(ByteError) in
            if key == "Error" { text = try value.text() } else { try value.skip() }
        }
        return text
    }

    /// Compressing less costs more than it saves, and compressing more takes too long for a step.
    private static let worthCompressing = 256...128 << 10
}
