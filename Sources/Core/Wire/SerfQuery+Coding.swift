extension SerfQuery {
    func write(_ writer: inout MessagePackWriter) {
        writer.field("LTime", time)
        writer.field("ID", id)
        writer.field("Addr", source.ip.bytes)
        writer.field("Port", source.port)
        if !sourceNode.isEmpty { writer.field("SourceNode", sourceNode) }
        writer.field("Filters") { writer in
            writer.array(filters.count)
            for filter in filters { writer.raw(filter.encoded) }
        }
        writer.field("Flags", flags)
        writer.field("RelayFactor", relayFactor)
        writer.field("Timeout") { $0.signed(timeout) }
        writer.field("Name", name)
        writer.field("Payload", payload)
    }

    init(_ reader: inout MessagePackReader) throws(ByteError) {
        var ip: IPAddress?
        var port: UInt16 = 0
        var query = SerfQuery(
            time: 0, id: 0, source: Self.nowhere, sourceNode: "", filters: [], flags: 0,
            relayFactor: 0, timeout: 0, name: "", payload: [])
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": query.time = try value.integer()
            case "ID": query.id = try value.integer()
            case "Addr": ip = try value.ipAddress()
            case "Port": port = try value.integer()
            case "SourceNode": query.sourceNode = try value.text()
            case "Filters":
                query.filters = try value.elements { element throws(ByteError) in
                    try Filter(try element.raw())
                }
            case "Flags": query.flags = try value.integer()
            case "RelayFactor": query.relayFactor = try value.integer()
            case "Timeout": query.timeout = try value.integer()
            case "Name": query.name = try value.text()
            case "Payload": query.payload = Array(try value.raw())
            default: try value.skip()
            }
        }
        guard let ip else {
            throw .malformed(offset: 0, what: "a query that does not say where answers go")
        }
        query.source = GossipAddress(ip, port)
        self = query
    }

    private static let nowhere = GossipAddress(IPAddress([0, 0, 0, 0])!, 0)
}

extension SerfQuery.Filter {
    private enum Kind: UInt8 { case nodes, tag }

    fileprivate var encoded: [UInt8] {
        switch self {
        case .nodes(let names):
            var writer = MessagePackWriter([Kind.nodes.rawValue])
            writer.array(names.count)
            for name in names { writer.text(name) }
            return writer.output
        case .tag(let name, let pattern):
            var writer = MessagePackWriter([Kind.tag.rawValue])
            writer.fields { writer in
                writer.field("Tag", name)
                writer.field("Expr", pattern)
            }
            return writer.output
        case .unknown: return [UInt8.max]
        }
    }

    fileprivate init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        guard let first = bytes.first else { throw .endOfBytes(offset: 0) }
        var reader = MessagePackReader(bytes.dropFirst())
        switch Kind(rawValue: first) {
        case .nodes:
            self = .nodes(try reader.elements { name throws(ByteError) in try name.text() })
        case .tag:
            var name = ""
            var pattern = ""
            try reader.fields { key, value throws(ByteError) in
                switch key {
                case "Tag": name = try value.text()
                case "Expr": pattern = try value.text()
                default: try value.skip()
                }
            }
            self = .tag(name: name, pattern: pattern)
        case nil: self = .unknown
        }
    }
}

extension SerfQueryResponse {
    func write(_ writer: inout MessagePackWriter) {
        writer.field("LTime", time)
        writer.field("ID", id)
        writer.field("From", from.text)
        writer.field("Flags", UInt64(isAck ? 1 : 0))
        writer.field("Payload", payload)
    }

    init(_ reader: inout MessagePackReader) throws(ByteError) {
        var fields = (time: LamportTime(0), id: UInt32(0), from: "", flags: UInt32(0))
        var payload: [UInt8] = []
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": fields.time = try value.integer()
            case "ID": fields.id = try value.integer()
            case "From": fields.from = try value.text()
            case "Flags": fields.flags = try value.integer()
            case "Payload": payload = Array(try value.raw())
            default: try value.skip()
            }
        }
        time = fields.time
        id = fields.id
        from = NodeName(fields.from)
        isAck = fields.flags & 1 != 0
        self.payload = payload
    }
}
