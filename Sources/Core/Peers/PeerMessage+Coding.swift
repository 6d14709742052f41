// The bytes of a message between nodes: kind, version of the kind's form, contents.

extension PeerMessage {
    private enum Kind: UInt8 {
        case raft = 1
        case assignment
        case report
        case request
        case requestAbandoned
        case requestDrained
        case response
        case responseChunk
        case promise
        case leads
        case askTime
        case tellTime
        case checkpoint
        case deviates
        case transfer
        case relayedReport
        case relayedOrder
        case clockIsWrong
        case watchOutput
        case printed
    }

    /// The version of the form in which this server writes every kind.
    private static let version: UInt8 = 1

    /// The message as bytes.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        func begin(_ kind: Kind) {
            writer.u8(kind.rawValue)
            writer.u8(Self.version)
        }
        switch self {
        case .raft(let message):
            begin(.raft)
            message.encode(into: &writer)
        case .transfer(let message):
            begin(.transfer)
            message.encode(into: &writer)
        case .promise(let servers, let wantsAnswer):
            begin(.promise)
            writer.array(servers) { $0.serverID($1) }
            writer.bool(wantsAnswer)
        case .checkpoint(let index, let hash):
            begin(.checkpoint)
            writer.u64(index)
            writer.serverID(hash.value)
        case .deviates(let index):
            begin(.deviates)
            writer.u64(index)
        case .askTime(let askedAt):
            begin(.askTime)
            writer.i64(askedAt.nanoseconds)
        case .tellTime(let wall, let askedAt):
            begin(.tellTime)
            writer.i64(wall.nanoseconds)
            writer.i64(askedAt.nanoseconds)
        case .clockIsWrong(let ahead):
            begin(.clockIsWrong)
            writer.i64(ahead.nanoseconds)
        case .leads(let term, let cluster):
            begin(.leads)
            writer.u64(term)
            writer.string(cluster)
        case .assignment(let message):
            begin(.assignment)
            message.encode(into: &writer)
        case .report(let report):
            begin(.report)
            report.encode(into: &writer)
        case .relayedReport(let report, let agent):
            begin(.relayedReport)
            writer.serverID(agent)
            report.encode(into: &writer)
        case .relayedOrder(let message, let agent):
            begin(.relayedOrder)
            writer.serverID(agent)
            message.encode(into: &writer)
        case .watchOutput(let key, let place):
            begin(.watchOutput)
            writer.executionKey(key)
            writer.u64(place)
        case .printed(let piece):
            begin(.printed)
            writer.executionKey(piece.key)
            writer.u64(piece.total)
            writer.u64(piece.start)
            writer.bytes(piece.bytes)
        case .request(let id, let request):
            begin(.request)
            writer.forwardID(id)
            request.encode(into: &writer)
        case .requestAbandoned(let id):
            begin(.requestAbandoned)
            writer.forwardID(id)
        case .requestDrained(let id, let taken):
            begin(.requestDrained)
            writer.forwardID(id)
            writer.u64(taken)
        case .response(let id, let response):
            begin(.response)
            writer.forwardID(id)
            response.encode(into: &writer)
        case .responseChunk(let id, let number, let bytes, let last):
            begin(.responseChunk)
            writer.forwardID(id)
            writer.u64(number)
            writer.bool(last)
            writer.bytes(bytes)
        }
        return writer.output
    }

    /// Reads what `encoded` wrote.
    /// - Throws: `ByteError` for anything else.
    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        guard let kind = Kind(rawValue: try reader.u8()) else {
            throw .malformed(offset: 0, what: "an unknown kind of message")
        }
        let version = try reader.u8()
        guard version == Self.version else {
            throw .malformed(offset: 1, what: "version \(version) of a message")
        }
        switch kind {
        case .raft: self = .raft(try RaftMessage(from: &reader))
        case .transfer: self = .transfer(try TransferMessage(from: &reader))
        case .promise:
            let servers = try reader.array(elementSize: 16) { reader throws(ByteError) in
                try reader.serverID()
            }
            self = .promise(servers, wantsAnswer: try reader.bool())
        case .checkpoint:
            self = .checkpoint(try reader.u64(), RecordHash(value: try reader.serverID()))
        case .deviates: self = .deviates(try reader.u64())
        case .askTime: self = .askTime(Instant(nanoseconds: try reader.i64()))
        case .clockIsWrong: self = .clockIsWrong(by: .nanoseconds(try reader.i64()))
        case .tellTime:
            self = .tellTime(
                WallTime(nanoseconds: try reader.i64()),
                askedAt: Instant(nanoseconds: try reader.i64()))
        case .leads: self = .leads(try reader.u64(), cluster: try reader.string())
        case .assignment: self = .assignment(try AgentMessage(from: &reader))
        case .report: self = .report(try AgentReport(from: &reader))
        case .relayedReport:
            let agent = try reader.serverID()
            self = .relayedReport(try AgentReport(from: &reader), of: agent)
        case .relayedOrder:
            let agent = try reader.serverID()
            self = .relayedOrder(try AgentMessage(from: &reader), to: agent)
        case .watchOutput:
            self = .watchOutput(try reader.executionKey(), from: try reader.u64())
        case .printed:
            self = .printed(
                PrintedOutput(
                    key: try reader.executionKey(), total: try reader.u64(),
                    start: try reader.u64(), bytes: try reader.bytes()))
        case .request:
            self = .request(try reader.forwardID(), try HTTPRequest(from: &reader))
        case .requestAbandoned: self = .requestAbandoned(try reader.forwardID())
        case .requestDrained:
            self = .requestDrained(try reader.forwardID(), taken: try reader.u64())
        case .response:
            self = .response(try reader.forwardID(), try HTTPResponse(from: &reader))
        case .responseChunk:
            let id = try reader.forwardID()
            let number = try reader.u64()
            let last = try reader.bool()
            self = .responseChunk(id, number: number, try reader.bytes(), last: last)
        }
        try reader.expectEnd()
    }
}

extension AgentMessage {
    fileprivate func encode(into writer: inout ByteWriter) {
        switch self {
        case .run(let assignment, let heartbeat):
            writer.u8(0)
            assignment.encode(into: &writer)
            writer.heartbeat(heartbeat)
        case .kill(let key):
            writer.u8(1)
            writer.executionKey(key)
        case .settle(let key):
            writer.u8(2)
            writer.executionKey(key)
        case .heartbeatHeard(let heartbeat):
            writer.u8(3)
            writer.heartbeat(heartbeat)
        case .leave: writer.u8(4)
        case .farewell: writer.u8(5)
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        switch try reader.u8() {
        case 0: self = .run(try Assignment(from: &reader), after: try reader.heartbeat())
        case 1: self = .kill(try reader.executionKey())
        case 2: self = .settle(try reader.executionKey())
        case 3: self = .heartbeatHeard(try reader.heartbeat())
        case 4: self = .leave
        case 5: self = .farewell
        case let other: throw .malformed(offset: start, what: "an order numbered \(other)")
        }
    }
}

extension AgentReport {
    fileprivate func encode(into writer: inout ByteWriter) {
        switch self {
        case .accepted(let key):
            writer.u8(0)
            writer.executionKey(key)
        case .news(let report):
            writer.u8(1)
            report.encode(into: &writer)
        case .heartbeat(let heartbeat):
            writer.u8(2)
            writer.heartbeat(heartbeat)
        case .goodbye: writer.u8(3)
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        switch try reader.u8() {
        case 0: self = .accepted(try reader.executionKey())
        case 1: self = .news(try Report(from: &reader))
        case 2: self = .heartbeat(try reader.heartbeat())
        case 3: self = .goodbye
        case let other: throw .malformed(offset: start, what: "a report numbered \(other)")
        }
    }
}

// MARK: Requests and answers

extension HTTPRequest {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.string(method.description)
        writer.string(target)
        writer.headers(headers)
        writer.bytes(body)
        writer.u8(UInt8(clamping: minorVersion))
        writer.string(clientAddress)
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        self.init(
            method: HTTPMethod(try reader.string()), target: try reader.string(),
            headers: try reader.headers(),
            body: try reader.bytes(), minorVersion: Int(try reader.u8()),
            clientAddress: try reader.string())
    }
}

extension HTTPResponse {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.u16(UInt16(clamping: status))
        writer.headers(headers)
        writer.bool(close)
        switch body {
        case .bytes(let bytes): writer.optional(bytes) { $0.bytes($1) }
        case .stream: writer.optional([UInt8]?.none) { $0.bytes($1) }
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        let status = Int(try reader.u16())
        guard (200...599).contains(status) else {
            throw .malformed(offset: start, what: "a status of \(status)")
        }
        let headers = try reader.headers()
        let close = try reader.bool()
        let body = try reader.optional { reader throws(ByteError) in try reader.bytes() }
        self.init(
            status: status, headers: headers, body: body.map(HTTPBody.bytes) ?? .stream,
            close: close)
    }
}

extension ByteWriter {
    fileprivate mutating func headers(_ headers: HTTPHeaders) {
        array(headers.fields) {
            $0.string($1.name)
            $0.string($1.value)
        }
    }

    fileprivate mutating func heartbeat(_ heartbeat: Heartbeat) {
        u64(heartbeat.incarnation)
        i64(heartbeat.sentAt.nanoseconds)
    }

    fileprivate mutating func forwardID(_ id: ForwardID) {
        u64(id.incarnation)
        u64(id.request.number)
    }
}

extension ByteReader {
    fileprivate mutating func headers() throws(ByteError) -> HTTPHeaders {
        let fields = try array(elementSize: 2) { reader throws(ByteError) in
            HTTPHeaders.Field(try reader.string(), try reader.string())
        }
        var headers = HTTPHeaders()
        for field in fields { headers.append(field.name, field.value) }
        return headers
    }

    fileprivate mutating func heartbeat() throws(ByteError) -> Heartbeat {
        Heartbeat(incarnation: try u64(), sentAt: Instant(nanoseconds: try i64()))
    }

    fileprivate mutating func forwardID() throws(ByteError) -> ForwardID {
        ForwardID(incarnation: try u64(), request: RequestID(try u64()))
    }
}
