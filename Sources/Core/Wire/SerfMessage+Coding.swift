// One byte for Serf's type, then one MessagePack map with the names of Go's fields.

private enum SerfType: UInt8 {
    case leave, join, state, event, query, queryResponse, conflictResponse, keyRequest
    case keyResponse, relay
}

extension SerfMessage {
    package func encode() -> [UInt8] {
        switch self {
        case .leave(let intent):
            return Self.bytes(.leave) { writer in
                intent.write(&writer)
                writer.field("Prune", intent.isPrune)
            }
        case .join(let intent): return Self.bytes(.join) { intent.write(&$0) }
        case .state(let state): return Self.bytes(.state) { state.write(&$0) }
        case .event(let event): return Self.bytes(.event) { event.write(&$0) }
        case .query(let query): return Self.bytes(.query) { query.write(&$0) }
        case .queryResponse(let response):
            return Self.bytes(.queryResponse) { response.write(&$0) }
        case .conflictResponse(let member):
            return Self.bytes(.conflictResponse) { member.write(&$0) }
        case .keyRequest(let key): return Self.bytes(.keyRequest) { $0.field("Key", key) }
        case .keyResponse(let response):
            return Self.bytes(.keyResponse) { response.write(&$0) }
        case .relay(let address, let node, let message):
            return Self.bytes(.relay) { writer in
                writer.field("DestAddr") { writer in
                    writer.fields { writer in
                        writer.field("IP", address.ip.bytes)
                        writer.field("Port", address.port)
                        writer.field("Zone", "")
                    }
                }
                writer.field("DestName", node)
            } + message
        }
    }

    private static func bytes(
        _ type: SerfType, _ body: (inout MessagePackWriter) -> Void
    ) -> [UInt8] {
        var writer = MessagePackWriter([type.rawValue])
        writer.fields(body)
        return writer.output
    }

    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        guard let first = bytes.first else { throw .endOfBytes(offset: 0) }
        guard let type = SerfType(rawValue: first) else {
            throw .malformed(offset: 0, what: "a message of Serf of the unknown type \(first)")
        }
        var reader = MessagePackReader(bytes.dropFirst())
        switch type {
        case .leave: self = .leave(try SerfIntent(&reader))
        case .join: self = .join(try SerfIntent(&reader))
        case .state: self = .state(try SerfState(&reader))
        case .event: self = .event(try SerfEvent(&reader))
        case .query: self = .query(try SerfQuery(&reader))
        case .queryResponse: self = .queryResponse(try SerfQueryResponse(&reader))
        case .conflictResponse: self = .conflictResponse(try SerfMember(&reader))
        case .keyRequest:
            var bytes: [UInt8] = []
            try reader.fields { key, value throws(ByteError) in
                if key == "Key" { bytes = Array(try value.raw()) } else { try value.skip() }
            }
            self = .keyRequest(key: bytes)
        case .keyResponse: self = .keyResponse(try SerfKeyResponse(&reader))
        case .relay: self = try Self.readRelay(&reader)
        }
    }

    private static func readRelay(
        _ reader: inout MessagePackReader
    ) throws(ByteError) -> SerfMessage {
        var ip: IPAddress?
        var port: UInt16 = 0
        var node = ""
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "DestAddr":
                try value.fields { key, value throws(ByteError) in
                    switch key {
                    case "IP": ip = try value.ipAddress()
                    case "Port": port = try value.integer()
                    default: try value.skip()
                    }
                }
            case "DestName": node = try value.text()
            default: try value.skip()
            }
        }
        guard let ip else {
            throw .malformed(offset: 0, what: "a message to be relayed to nobody")
        }
        return .relay(to: GossipAddress(ip, port), node: node, message: Array(reader.rest()))
    }
}

extension SerfIntent {
    fileprivate func write(_ writer: inout MessagePackWriter) {
        writer.field("LTime", time)
        writer.field("Node", node.text)
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var fields = (time: LamportTime(0), node: "", isPrune: false)
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": fields.time = try value.integer()
            case "Node": fields.node = try value.text()
            case "Prune": fields.isPrune = try value.bool()
            default: try value.skip()
            }
        }
        self.init(time: fields.time, node: NodeName(fields.node), isPrune: fields.isPrune)
    }
}

extension SerfEvent {
    fileprivate func write(_ writer: inout MessagePackWriter) {
        writer.field("LTime", time)
        writer.field("Name", name)
        writer.field("Payload", payload)
        writer.field("CC", isCoalesced)
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var event = SerfEvent(time: 0, name: "", payload: [])
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": event.time = try value.integer()
            case "Name": event.name = try value.text()
            case "Payload": event.payload = Array(try value.raw())
            case "CC": event.isCoalesced = try value.bool()
            default: try value.skip()
            }
        }
        self = event
    }
}

extension SerfState {
    /// Events are told by those who take part in them; we only pass them on.
    fileprivate func write(_ writer: inout MessagePackWriter) {
        writer.field("LTime", time)
        writer.field("StatusLTimes") { writer in
            writer.map(statuses.count)
            for status in statuses {
                writer.text(status.node.text)
                writer.unsigned(status.time)
            }
        }
        writer.field("LeftMembers") { writer in
            writer.array(left.count)
            for name in left { writer.text(name.text) }
        }
        writer.field("EventLTime", eventTime)
        writer.field("Events") { writer in
            writer.array(events.count)
            for event in events {
                writer.fields { writer in
                    writer.field("LTime", event.time)
                    writer.field("Events") { writer in
                        writer.array(1)
                        writer.fields { writer in
                            writer.field("Name", event.name)
                            writer.field("Payload", event.payload)
                        }
                    }
                }
            }
        }
        writer.field("QueryLTime", queryTime)
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var state = SerfState()
        var times = SortedMap<NodeName, LamportTime>()
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": state.time = try value.integer()
            case "StatusLTimes":
                try value.fields { name, value throws(ByteError) in
                    times[NodeName(name)] = try value.integer()
                }
            case "LeftMembers":
                state.left = try value.elements { element throws(ByteError) in
                    NodeName(try element.text())
                }
            case "EventLTime": state.eventTime = try value.integer()
            case "Events":
                let groups = try value.elements { element throws(ByteError) in
                    try Self.readEvents(&element)
                }
                state.events = groups.flatMap { $0 }
            case "QueryLTime": state.queryTime = try value.integer()
            default: try value.skip()
            }
        }
        state.statuses = times.map { Status(node: $0.key, time: $0.value) }
        self = state
    }

    /// The events of one time, or nil for none.
    private static func readEvents(
        _ reader: inout MessagePackReader
    ) throws(ByteError) -> [SerfEvent] {
        guard try !reader.takeNil() else { return [] }
        var time: LamportTime = 0
        var events: [SerfEvent] = []
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "LTime": time = try value.integer()
            case "Events":
                events = try value.elements { element throws(ByteError) in
                    try SerfEvent(&element)
                }
            default: try value.skip()
            }
        }
        for index in events.indices { events[index].time = time }
        return events
    }
}

extension SerfMember {
    fileprivate func write(_ writer: inout MessagePackWriter) {
        writer.field("Name", name.text)
        writer.field("Addr", address.ip.bytes)
        writer.field("Port", address.port)
        writer.field("Tags") { writer in
            writer.map(tags.count)
            for tag in tags {
                writer.text(tag.name)
                writer.text(tag.value)
            }
        }
        writer.field("Status", status)
        writer.field("ProtocolMin", versions.protocolMin)
        writer.field("ProtocolMax", versions.protocolMax)
        writer.field("ProtocolCur", versions.protocolCurrent)
        writer.field("DelegateMin", versions.delegateMin)
        writer.field("DelegateMax", versions.delegateMax)
        writer.field("DelegateCur", versions.delegateCurrent)
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var name = ""
        var ip: IPAddress?
        var port: UInt16 = 0
        var tags: [MemberTag] = []
        var status: UInt8 = 0
        var versions = GossipVersions()
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "Name": name = try value.text()
            case "Addr": ip = try value.ipAddress()
            case "Port": port = try value.integer()
            case "Tags":
                try value.fields { name, value throws(ByteError) in
                    tags.append(MemberTag(name, try value.text()))
                }
            case "Status": status = try value.integer()
            case "ProtocolMin": versions.protocolMin = try value.integer()
            case "ProtocolMax": versions.protocolMax = try value.integer()
            case "ProtocolCur": versions.protocolCurrent = try value.integer()
            case "DelegateMin": versions.delegateMin = try value.integer()
            case "DelegateMax": versions.delegateMax = try value.integer()
            case "DelegateCur": versions.delegateCurrent = try value.integer()
            default: try value.skip()
            }
        }
        guard let ip else {
            throw .malformed(offset: 0, what: "a member without an IPv4 or IPv6 address")
        }
        self.init(
            name: NodeName(name), address: GossipAddress(ip, port), tags: tags, status: status,
            versions: versions)
    }
}

extension SerfKeyResponse {
    fileprivate func write(_ writer: inout MessagePackWriter) {
        writer.field("Result", succeeded)
        writer.field("Message", message)
        writer.field("Keys") { writer in
            writer.array(keys.count)
            for key in keys { writer.text(key) }
        }
        writer.field("PrimaryKey", primaryKey)
    }

    fileprivate init(_ reader: inout MessagePackReader) throws(ByteError) {
        var response = SerfKeyResponse(succeeded: false, message: "", keys: [], primaryKey: "")
        try reader.fields { key, value throws(ByteError) in
            switch key {
            case "Result": response.succeeded = try value.bool()
            case "Message": response.message = try value.text()
            case "Keys":
                response.keys = try value.elements { element throws(ByteError) in
                    try element.text()
                }
            case "PrimaryKey": response.primaryKey = try value.text()
            default: try value.skip()
            }
        }
        self = response
    }
}
