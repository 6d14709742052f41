// A host's connection with a processor: yamux, and net/rpc on its streams. The host opens one
// stream for control, then two for what the plugin prints; each further one belongs to a processor
// that it has asked for, by the number in its first four bytes.

struct ProcessorServerLink: PluginServerLink {
    private enum Stream {
        case control(NetRPCServer)
        case prints
        /// The number of a processor, as far as it has come.
        case joining([UInt8])
        case calls(NetRPCServer)
        /// It says nothing that anybody would read.
        case refused
    }

    private struct Call {
        let stream: UInt32
        let request: NetRPCServer.Request
    }

    private var session: YamuxSession
    private var streams = SortedMap<UInt32, Stream>()
    private var openedCount = 0
    private var output: UInt32?
    private var inFlight = 0
    private var calls = SortedMap<UInt64, Call>()
    private var nextToken: UInt64 = 1
    /// Processors asked for; their numbers are 1 ... this.
    private var processors: UInt32 = 0
    private var isLost = false

    /// Bytes of prints that wait for the host.
    private static let mostPrints = 256 << 10

    init(at now: Instant) { session = YamuxSession(.server, at: now) }

    var deadline: Instant? { session.deadline == .distantFuture ? nil : session.deadline }
    var isSending: Bool { !isLost && (inFlight > 0 || session.hasOutput) }

    mutating func received(_ bytes: [UInt8], at now: Instant) { session.receive(bytes, at: now) }

    mutating func receivedEnd(at now: Instant) { session.receiveEnd() }

    mutating func failed(_ reason: String) { session.fail(reason) }

    mutating func wrote(_ count: Int, at now: Instant) { inFlight -= min(count, inFlight) }

    mutating func expire(at now: Instant) { session.expire(at: now) }

    mutating func takeOutgoing() -> [UInt8]? {
        guard inFlight == 0, session.hasOutput else { return nil }
        let bytes = session.takeOutput()
        inFlight = bytes.count
        return bytes
    }

    // MARK: Answers

    mutating func answer(
        _ token: UInt64, _ result: PluginServerResult, output: ArraySlice<UInt8>, at now: Instant
    ) {
        guard let call = calls.remove(token) else { return }
        reply(call.stream) { server in
            switch result {
            case .processed(let execution):
                server.answer(call.request, execution.value, as: PluginExecution.type)
            case .refused(let reason), .executed(let reason):
                server.refuse(call.request, reason.isEmpty ? "it failed" : reason)
            }
        }
    }

    private mutating func reply(_ stream: UInt32, _ bytes: (inout NetRPCServer) -> [UInt8]) {
        switch streams[stream] {
        case .control(var server):
            session.send(stream, bytes(&server))
            streams[stream] = .control(server)
        case .calls(var server):
            session.send(stream, bytes(&server))
            streams[stream] = .calls(server)
        case .prints, .joining, .refused, nil: break
        }
    }

    mutating func print(_ bytes: [UInt8], at now: Instant) -> Bool {
        guard let output else { return false }
        // A host that does not read loses lines, and nothing else.
        if session.waitingCount(output) <= Self.mostPrints { session.send(output, bytes) }
        return true
    }

    // MARK: Events

    mutating func drain(at now: Instant, _ news: inout [PluginServerNews]) {
        for event in session.takeEvents() where !isLost {
            do throws(GobError) { try take(event, &news) } catch {
                lose("what it says can't be read: \(error.message)", &news)
            }
        }
    }

    private mutating func lose(_ reason: String, _ news: inout [PluginServerNews]) {
        isLost = true
        news.append(.lost(reason))
    }

    private mutating func take(
        _ event: YamuxEvent, _ news: inout [PluginServerNews]
    ) throws(GobError) {
        switch event {
        case .opened(let number): opened(number)
        case .failed(let reason): lose(session.isEnded ? "" : reason, &news)
        case .ended(let number):
            session.close(number)
            streams.remove(number)
            if output == number { output = nil }
            for (token, call) in calls where call.stream == number {
                calls.remove(token)
                news.append(.cancel(token: token))
            }
        case .received(let number, let bytes): try received(number, bytes, &news)
        }
    }

    private mutating func opened(_ number: UInt32) {
        openedCount += 1
        switch openedCount {
        case 1: streams[number] = .control(NetRPCServer())
        case 2, 3:
            streams[number] = .prints
            if openedCount == 2 { output = number }
        default: streams[number] = .joining([])
        }
    }

    private mutating func received(
        _ number: UInt32, _ bytes: [UInt8], _ news: inout [PluginServerNews]
    ) throws(GobError) {
        var bytes = bytes
        if case .joining(var mark) = streams[number] {
            let piece = bytes.prefix(4 - mark.count)
            mark += piece
            bytes.removeFirst(piece.count)
            guard mark.count == 4 else {
                streams[number] = .joining(mark)
                return
            }
            let processor = mark.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard processor > 0, processor <= processors else {
                streams[number] = .refused
                return session.close(number)
            }
            streams[number] = .calls(NetRPCServer())
            session.send(number, mark)
        }
        switch streams[number] {
        case .control(var server):
            let requests = try server.receive(bytes)
            streams[number] = .control(server)
            for request in requests { control(request, number, &news) }
        case .calls(var server):
            let requests = try server.receive(bytes)
            streams[number] = .calls(server)
            for request in requests { call(request, number, &news) }
        case .prints, .joining, .refused, nil: break
        }
    }

    private mutating func control(
        _ request: NetRPCServer.Request, _ stream: UInt32, _ news: inout [PluginServerNews]
    ) {
        switch request.method {
        case ProcessorService.dispense:
            let name = request.argument.text ?? ""
            guard name == "processor" else {
                let error = "there is no plugin \(PluginHandshake.quoted(name)); processor is one"
                return reply(stream) { $0.refuse(request, error) }
            }
            processors += 1
            let number = GobValue.uint(UInt64(processors))
            reply(stream) { $0.answer(request, number, as: .uint) }
        case ProcessorService.quit:
            reply(stream) { $0.answer(request) }
            news.append(.stop)
        case ProcessorService.ping: reply(stream) { $0.answer(request) }
        default: refuse(request, stream)
        }
    }

    private mutating func refuse(_ request: NetRPCServer.Request, _ stream: UInt32) {
        let error = "there is no method \(PluginHandshake.quoted(request.method)) here"
        reply(stream) { $0.refuse(request, error) }
    }

    private mutating func call(
        _ request: NetRPCServer.Request, _ stream: UInt32, _ news: inout [PluginServerNews]
    ) {
        guard request.method == ProcessorService.process else { return refuse(request, stream) }
        guard let arguments = ProcessorService.arguments(request.argument) else {
            let error = "the argument is no execution with settings as Dkron 2.1 and later send it"
            return reply(stream) { $0.refuse(request, error) }
        }
        let token = nextToken
        nextToken += 1
        calls[token] = Call(stream: stream, request: request)
        let work = PluginServerCall.Work.process(arguments.execution, config: arguments.config)
        news.append(.begin(token: token, work, service: 0))
    }
}
