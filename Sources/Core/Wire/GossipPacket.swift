// What stands around the messages of a packet: a checksum, compression, and several messages in
// one. Sealing is the adapter's; packets are plain here.

/// The messages of one packet.
package struct GossipPacket: Hashable, Sendable {
    package private(set) var messages: [GossipMessage] = []
    /// What could not be read. A part of a packet doesn't spoil the others.
    package private(set) var problems: [ByteError] = []

    /// Takes a packet apart. Work and memory are bounded, whatever it claims to hold.
    package init(_ bytes: ArraySlice<UInt8>) {
        var budget = Self.mostUnpacked
        do throws(ByteError) {
            try read(try Self.checked(bytes), depth: 0, &budget)
        } catch {
            problems.append(error)
        }
    }

    /// The packet behind its checksum, if it has one.
    private static func checked(
        _ bytes: ArraySlice<UInt8>
    ) throws(ByteError) -> ArraySlice<UInt8> {
        guard bytes.first == GossipType.checksum.rawValue else { return bytes }
        var reader = ByteReader(bytes.dropFirst())
        let claimed = try reader.u32().byteSwapped
        let rest = reader.rest()
        guard Checksum.crc32(rest) == claimed else {
            throw .malformed(offset: 1, what: "a checksum that does not fit")
        }
        return rest
    }

    private mutating func read(
        _ bytes: ArraySlice<UInt8>, depth: Int, _ budget: inout Int
    ) throws(ByteError) {
        guard let first = bytes.first else { throw .endOfBytes(offset: 0) }
        guard let type = GossipType(rawValue: first) else {
            throw .malformed(offset: 0, what: "a message of the unknown type \(first)")
        }
        guard depth < Self.mostLayers else {
            throw .malformed(offset: 0, what: "more than \(Self.mostLayers) layers")
        }
        let body = bytes.dropFirst()
        switch type {
        case .compound: try readCompound(body, depth: depth, &budget)
        case .compressed:
            let inner = try Self.decompress(body, limit: budget)
            budget -= inner.count
            try read(inner[...], depth: depth + 1, &budget)
        case .label:
            throw .malformed(
                offset: 0, what: "a label, which sets apart the nodes of another cluster")
        case .ping, .indirectPing, .ack, .suspect, .alive, .dead, .pushPull, .user, .encrypted,
            .nack, .checksum, .error:
            messages.append(try GossipMessage(type, body))
        }
    }

    /// Parts that are whole count even if the packet is cut short.
    private mutating func readCompound(
        _ body: ArraySlice<UInt8>, depth: Int, _ budget: inout Int
    ) throws(ByteError) {
        var reader = ByteReader(body)
        let count = Int(try reader.u8())
        var lengths: [Int] = []
        for _ in 0..<count { lengths.append(Int(try reader.u16().byteSwapped)) }
        for length in lengths {
            let part = try reader.raw(length)
            do throws(ByteError) {
                try read(part, depth: depth + 1, &budget)
            } catch {
                problems.append(error)
            }
        }
    }

    /// The message in a compressed one, whose type byte has been read.
    static func decompress(
        _ body: ArraySlice<UInt8>, limit: Int
    ) throws(ByteError) -> [UInt8] {
        var reader = MessagePackReader(body)
        var algorithm: UInt8 = 0
        var packed: ArraySlice<UInt8> = []
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "Algo": algorithm = try value.integer()
            case "Buf": packed = try value.raw()
            default: try value.skip()
            }
        }
        guard algorithm == 0 else {
            throw .malformed(offset: 0, what: "the unknown compression \(algorithm)")
        }
        return try LZW.decompress(packed, limit: limit)
    }

    /// Bytes that all compressed parts of a packet may have together.
    private static let mostUnpacked = 128 << 10
    /// Compound, compressed, compound, message is the deepest that anybody sends.
    private static let mostLayers = 4
}

extension GossipPacket {
    /// The most messages of a packet.
    package static let mostParts = 255
    /// What each message takes beside its own bytes, and the packet beside its messages, when it
    /// has several.
    package static let partOverhead = 2
    package static let overhead = 2 + checksumOverhead
    private static let checksumOverhead = 5

    /// Puts encoded messages, at least one and at most 255 of at most 65,535 bytes, into a packet.
    ///
    /// - Parameter withChecksum: only for members that understand protocol version 5.
    package static func encode(_ messages: [[UInt8]], withChecksum: Bool) -> [UInt8] {
        invariant((1...mostParts).contains(messages.count), "a packet holds 1 to 255 messages")
        var packet: [UInt8] = withChecksum ? [0, 0, 0, 0, 0] : []
        packet.reserveCapacity(messages.reduce(16) { $0 + $1.count + 2 })
        if messages.count == 1 {
            packet += messages[0]
        } else {
            packet += [GossipType.compound.rawValue, UInt8(messages.count)]
            for message in messages {
                invariant(message.count <= Int(UInt16.max), "a part has at most 65,535 bytes")
                packet += [UInt8(message.count >> 8), UInt8(message.count & 0xff)]
            }
            for message in messages { packet += message }
        }
        guard withChecksum else { return packet }
        packet[0] = GossipType.checksum.rawValue
        let sum = Checksum.crc32(packet[checksumOverhead...])
        for index in 0..<4 {
            packet[index + 1] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * index))
        }
        return packet
    }
}
