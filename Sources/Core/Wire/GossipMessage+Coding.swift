// One type byte, then one MessagePack map with the names of Go's fields. Unknown fields are
// skipped, missing ones are zero.

extension GossipMessage {
    /// The bytes of the message alone, as they stand in a packet.
    package func encode() -> [UInt8] {
        switch self {
        case .ping(let ping): return ping.encoded
        case .indirectPing(let request):
            return Self.bytes(.indirectPing) { writer in
                writer.field("SeqNo", request.ping.sequence)
                writer.field("Target", request.target.ip.bytes)
                writer.field("Port", request.target.port)
                writer.field("Node", request.ping.node)
                writer.field("Nack", request.wantsNack)
                request.ping.writeSource(&writer)
            }
        case .ack(let sequence, let payload):
            return Self.bytes(.ack) { writer in
                writer.field("SeqNo", sequence)
                writer.field("Payload", payload)
            }
        case .nack(let sequence): return Self.bytes(.nack) { $0.field("SeqNo", sequence) }
        case .suspect(let rumour): return rumour.encoded(.suspect)
        case .dead(let rumour): return rumour.encoded(.dead)
        case .alive(let record):
            return Self.bytes(.alive) { record.write(&$0, name: "Node") }
        case .user(let bytes): return [GossipType.user.rawValue] + bytes
        }
    }

    static func bytes(
        _ type: GossipType, _ body: (inout MessagePackWriter) -> Void
    ) -> [UInt8] {
        var writer = MessagePackWriter([type.rawValue])
        writer.fields(body)
        return writer.output
    }

    /// Reads the body behind the type byte. Bytes behind the map are ignored, as Go does.
    init(_ type: GossipType, _ body: ArraySlice<UInt8>) throws(ByteError) {
        var reader = MessagePackReader(body)
        switch type {
        case .ping: self = .ping(try GossipPing(&reader))
        case .indirectPing: self = .indirectPing(try GossipIndirectPing(&reader))
        case .ack:
            let (sequence, payload) = try Self.readAck(&reader)
            self = .ack(sequence: sequence, payload: payload)
        case .nack: self = .nack(sequence: try Self.readAck(&reader).sequence)
        case .suspect: self = .suspect(try GossipRumour(&reader))
        case .dead: self = .dead(try GossipRumour(&reader))
        case .alive:
            var record = GossipRecordReader()
            try reader.fields { key, value throws(ByteError) in try record.read(key, &value) }
            self = .alive(try record.alive())
        case .user: self = .user(Array(body))
        case .pushPull, .compound, .compressed, .encrypted, .checksum, .error, .label:
            throw .malformed(offset: 0, what: "a message that a packet can't hold here")
        }
    }

    static func readAck(
        _ reader: inout MessagePackReader
    ) throws(ByteError) -> (sequence: UInt32, payload: [UInt8]) {
        var sequence: UInt32 = 0
        var payload: [UInt8] = []
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "SeqNo": sequence = try value.integer()
            case "Payload": payload = Array(try value.raw())
            default: try value.skip()
            }
        }
        return (sequence, payload)
    }
}

extension GossipPing {
    var encoded: [UInt8] {
        GossipMessage.bytes(.ping) { writer in
            writer.field("SeqNo", sequence)
            writer.field("Node", node)
            writeSource(&writer)
        }
    }

    fileprivate func writeSource(_ writer: inout MessagePackWriter) {
        if let source {
            writer.field("SourceAddr", source.ip.bytes)
            writer.field("SourcePort", source.port)
        }
        if !sourceNode.isEmpty { writer.field("SourceNode", sourceNode) }
    }

    init(_ reader: inout MessagePackReader) throws(ByteError) {
        var fields = GossipPingReader()
        try reader.fields { key, value throws(ByteError) in try fields.read(key, &value) }
        self = fields.ping
    }
}

extension GossipIndirectPing {
    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var fields = GossipPingReader()
        var target: IPAddress?
        var port: UInt16 = 0
        var wantsNack = false
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "Target": target = try value.ipAddress()
            case "Port": port = try value.integer()
            case "Nack": wantsNack = try value.bool()
            default: try fields.read(key, &value)
            }
        }
        guard let target else {
            throw .malformed(offset: 0, what: "an indirect ping without the address of its target")
        }
        self.init(fields.ping, target: GossipAddress(target, port), wantsNack: wantsNack)
    }
}

/// Collects the fields of a ping, which also stand in an indirect one.
private struct GossipPingReader {
    private var sequence: UInt32 = 0
    private var node = ""
    private var sourceIP: IPAddress?
    private var sourcePort: UInt16 = 0
    private var sourceNode = ""

    mutating func read(_ key: String, _ value: inout MessagePackReader) throws(ByteError) {
        switch key {
        case "SeqNo": sequence = try value.integer()
        case "Node": node = try value.text()
        case "SourceAddr": sourceIP = try value.ipAddress()
        case "SourcePort": sourcePort = try value.integer()
        case "SourceNode": sourceNode = try value.text()
        default: try value.skip()
        }
    }

    var ping: GossipPing {
        let source = sourceIP.map { GossipAddress($0, sourcePort) }
        return GossipPing(sequence: sequence, node: node, source: source, sourceNode: sourceNode)
    }
}

extension GossipRumour {
    fileprivate func encoded(_ type: GossipType) -> [UInt8] {
        GossipMessage.bytes(type) { writer in
            writer.field("Incarnation", incarnation)
            writer.field("Node", node.text)
            writer.field("From", from.text)
        }
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var incarnation: UInt32 = 0
        var node = ""
        var from = ""
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "Incarnation": incarnation = try value.integer()
            case "Node": node = try value.text()
            case "From": from = try value.text()
            default: try value.skip()
            }
        }
        self.init(incarnation: incarnation, node: NodeName(node), from: NodeName(from))
    }
}

extension GossipAlive {
    /// The name's field is called `Node` in an alive message and `Name` in a push/pull.
    func write(_ writer: inout MessagePackWriter, name: String) {
        writer.field(name, node.text)
        writer.field("Addr", address.ip.bytes)
        writer.field("Port", address.port)
        writer.field("Meta", meta)
        writer.field("Incarnation", incarnation)
        writer.field("Vsn", versions.bytes)
    }
}

/// Collects the fields of what a node says of itself, which also stand in a push/pull.
struct GossipRecordReader {
    private var incarnation: UInt32 = 0
    private var name = ""
    private var ip: IPAddress?
    private var port: UInt16 = 0
    private var meta: [UInt8] = []
    private var versions = GossipVersions([0, 0, 0, 0, 0, 0])
    private var stateNumber: UInt8 = 0

    mutating func read(_ key: String, _ value: inout MessagePackReader) throws(ByteError) {
        switch key {
        case "Incarnation": incarnation = try value.integer()
        case "Node", "Name": name = try value.text()
        case "Addr": ip = try value.ipAddress()
        case "Port": port = try value.integer()
        case "Meta": meta = Array(try value.raw())
        case "Vsn": versions = GossipVersions(try value.raw())
        case "State": stateNumber = try value.integer()
        default: try value.skip()
        }
    }

    func alive() throws(ByteError) -> GossipAlive {
        guard let ip else {
            throw .malformed(offset: 0, what: "a member without an IPv4 or IPv6 address")
        }
        guard let versions else {
            throw .malformed(offset: 0, what: "a member's versions are six bytes")
        }
        return GossipAlive(
            incarnation: incarnation, node: NodeName(name), address: GossipAddress(ip, port),
            meta: meta, versions: versions)
    }

    func node() throws(ByteError) -> GossipNode {
        guard let state = GossipNode.State(rawValue: stateNumber) else {
            throw .malformed(offset: 0, what: "a member in the unknown state \(stateNumber)")
        }
        return GossipNode(try alive(), state)
    }
}

extension MessagePackReader {
    /// Nil if there are no bytes.
    mutating func ipAddress() throws(ByteError) -> IPAddress? {
        let start = offset
        let bytes = try raw()
        guard !bytes.isEmpty else { return nil }
        guard let address = IPAddress(bytes) else {
            throw .malformed(offset: start, what: "an address of \(bytes.count) bytes")
        }
        return address
    }
}
