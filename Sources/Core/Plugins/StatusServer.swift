/// A connection on which a plugin tells what its call prints meanwhile: gRPC with the plugin as the
/// client.
struct StatusServer: Sendable {
    /// The call of the host that it belongs to.
    let call: UInt64
    private var server: GRPCServer
    private let connection: ConnectionNumber
    private var pipe = HTTP2Pipe()

    init(_ connection: ConnectionNumber, of call: UInt64, at now: Instant) {
        self.call = call
        server = GRPCServer(methods: ExecutorService.update.map { GRPCMethod($0) }, at: now)
        self.connection = connection
    }

    var deadline: Instant? { server.deadline }
    /// The socket may be closed.
    var isOver: Bool { server.http.isClosed || server.http.wantsShutdown }

    mutating func received(_ bytes: [UInt8], at now: Instant) {
        server.http.receive(bytes.span, at: now)
    }

    mutating func wrote(_ count: Int, at now: Instant) {
        pipe.wrote(count, &server.http, at: now)
    }

    mutating func receivedEnd(at now: Instant) { server.http.receiveEnd(at: now) }

    mutating func failed(_ reason: String) { server.http.abort(reason) }

    mutating func expire(at now: Instant) { server.expire(at: now) }

    /// What was printed, piece by piece. Call it after each of the functions above.
    mutating func drain(at now: Instant, into out: inout PluginOutput) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        while let event = server.nextEvent(at: now) {
            guard case .request(let call, _, _, let message) = event else { continue }
            do throws(ProtobufError) {
                let update = try StatusUpdateRequest(protobuf: message)
                if !update.output.isEmpty { pieces.append(update.output) }
                server.answer(call, StatusUpdateResponse().protobuf, at: now)
            } catch {
                let status = GRPCStatus(
                    .invalidArgument, "the update can't be read: \(error.description)")
                server.finish(call, status, at: now)
            }
        }
        if let bytes = pipe.next(of: server.http) { out.actions.append(.send(connection, bytes)) }
        return pieces
    }
}
