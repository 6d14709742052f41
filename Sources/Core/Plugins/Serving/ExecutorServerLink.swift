// A host's connection with an executor: gRPC with the host as the client. The service is offered
// under all the names that it has ever had.

struct ExecutorServerLink: PluginServerLink {
    private var server: GRPCServer
    private var pipe = HTTP2Pipe()
    private var broker: UInt64?
    /// The call on which the host reads what the process prints.
    private var prints: UInt64?
    private var isLost = false

    /// Calls of a host at a time; more wait with it.
    private static let mostCalls = 1_024
    /// Bytes of a request, as go-plugin has it.
    private static let messageLimit = 4 << 20

    init(at now: Instant) {
        var limits = HTTP2Limits()
        limits.streams = Self.mostCalls + 8
        limits.unsentTotal = 64 << 20
        let methods =
            ExecutorService.execute.map { GRPCMethod($0) } + [
                GRPCMethod(ExecutorService.broker, requests: .stream),
                GRPCMethod(ExecutorService.output), GRPCMethod(ExecutorService.shutdown),
                GRPCMethod(HealthService.check),
            ]
        server = GRPCServer(
            methods: methods, limits: limits, messageLimit: Self.messageLimit, at: now)
    }

    var deadline: Instant? { server.deadline }
    var isSending: Bool { !isLost && (pipe.isBusy || server.http.hasOutgoing) }

    mutating func received(_ bytes: [UInt8], at now: Instant) {
        server.http.receive(bytes.span, at: now)
    }

    mutating func receivedEnd(at now: Instant) { server.http.receiveEnd(at: now) }

    mutating func failed(_ reason: String) { server.http.abort(reason) }

    mutating func wrote(_ count: Int, at now: Instant) {
        pipe.wrote(count, &server.http, at: now)
    }

    mutating func expire(at now: Instant) { server.expire(at: now) }

    mutating func takeOutgoing() -> [UInt8]? { pipe.next(of: server.http) }

    // MARK: Answers

    mutating func answer(
        _ token: UInt64, _ result: PluginServerResult, output: ArraySlice<UInt8>, at now: Instant
    ) {
        guard case .executed(let error) = result else { return }
        var response = ExecuteResponse()
        (response.output, response.error) = (Array(output), error)
        server.answer(token, response.protobuf, at: now)
    }

    mutating func print(_ bytes: [UInt8], at now: Instant) -> Bool {
        guard let prints, server.hasRoom(prints) else { return false }
        var piece = StandardOutput()
        (piece.channel, piece.data) = (1, bytes)
        return server.send(prints, piece.protobuf, at: now)
    }

    // MARK: Events

    mutating func drain(at now: Instant, _ news: inout [PluginServerNews]) {
        while let event = server.nextEvent(at: now) { take(event, at: now, &news) }
        if !isLost, server.http.isClosed || server.http.wantsShutdown {
            isLost = true
            news.append(.lost(""))
        }
    }

    private mutating func take(
        _ event: GRPCServerEvent, at now: Instant, _ news: inout [PluginServerNews]
    ) {
        switch event {
        case .request(let call, let method, let metadata, let message):
            request(call, method, metadata, message, at: now, &news)
        case .opened(let call, _, _):
            if let broker { server.finish(broker, at: now) }
            broker = call
        case .message(let call, let bytes):
            guard call == broker, let info = try? ConnectionInfo(protobuf: bytes),
                let address = try? PluginHandshake.address(network: info.network, info.address)
            else { return }
            news.append(.announced(service: info.service, address))
        case .halfClosed(let call):
            // The host is about to end; calls under way go on.
            server.finish(call, at: now)
            if call == broker { broker = nil }
        case .writable: break
        case .ended(let call, _):
            if call == broker { broker = nil }
            if call == prints { prints = nil }
            news.append(.cancel(token: call))
        case .closed(let failure):
            guard !isLost else { return }
            isLost = true
            news.append(.lost(failure.map { $0.code == .noError ? "" : $0.reason } ?? ""))
        }
    }

    private mutating func request(
        _ call: UInt64, _ method: String, _ metadata: GRPCMetadata, _ message: [UInt8],
        at now: Instant, _ news: inout [PluginServerNews]
    ) {
        switch method {
        case ExecutorService.output:
            if let prints { server.finish(prints, at: now) }
            prints = call
            server.sendMetadata(call, GRPCMetadata(), at: now)
        case ExecutorService.shutdown:
            server.answer(call, [], at: now)
            news.append(.stop)
        case HealthService.check:
            let asked = try? HealthService.Question(protobuf: message)
            guard let service = asked?.service, ["", "plugin"].contains(service) else {
                let status = GRPCStatus(.notFound, "there is no such service; \"plugin\" is one")
                server.finish(call, status, at: now)
                return
            }
            server.answer(call, HealthService.Answer(status: 1).protobuf, at: now)
        default:
            do throws(ProtobufError) {
                let request = try ExecuteRequest(protobuf: message)
                let work = PluginServerCall.Work.execute(
                    job: request.job, config: request.config, identity: Self.identity(metadata))
                news.append(.begin(token: call, work, service: request.statusServer))
            } catch {
                let status = GRPCStatus(
                    .invalidArgument, "the request can't be read: \(error.description)")
                server.finish(call, status, at: now)
            }
        }
    }

    /// What a host of this program tells of the attempt, as `ExecutorLink` sends it.
    private static func identity(_ metadata: GRPCMetadata) -> [EnvironmentEntry] {
        metadata.entries.compactMap { entry in
            guard entry.name.hasPrefix("dkron-"), case .text(let value) = entry.value else {
                return nil
            }
            let name = entry.name.uppercased().utf8.map {
                $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0
            }
            return EnvironmentEntry(name: String(decoding: name, as: UTF8.self), value: value)
        }
    }
}

/// gRPC's own service for the question whether a server serves (grpc/health/v1/health.proto).
enum HealthService {
    static let check = "/grpc.health.v1.Health/Check"

    struct Question: ProtobufMessage {
        var service = ""

        static let fields: [ProtobufRule<Question>] = [.string(1, \.service)]
    }

    struct Answer: ProtobufMessage {
        /// 1: it serves.
        var status: Int32 = 0

        init() {}

        init(status: Int32) { self.status = status }

        static let fields: [ProtobufRule<Answer>] = [.integer(1, \.status)]
    }
}
