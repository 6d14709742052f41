// The connection with a processor plugin: yamux, and net/rpc on its streams.
//
// Three streams are opened at once: one for control, two on which the plugin's prints come. On the
// first a processor is asked for; its number names the stream on which it is called.

struct ProcessorLink: PluginLink {
    private enum Stage: Hashable {
        case dispensing(UInt64)
        /// The stream was told which processor it belongs to; the same is to come back.
        case joining([UInt8])
        case ready
    }

    let connection: ConnectionNumber
    private var session: YamuxSession
    private var inFlight = 0
    private var control = NetRPCClient()
    private var calls = NetRPCClient()
    private let controlStream: UInt32
    private let printStreams: [UInt32]
    private var callStream: UInt32 = 0
    private var stage: Stage
    /// The host's numbers of calls by those of their answers.
    private var numbers = SortedMap<UInt64, UInt64>()
    private var isLost = false

    init(_ connection: ConnectionNumber, at now: Instant) {
        self.connection = connection
        session = YamuxSession(at: now)
        controlStream = session.open()
        printStreams = [session.open(), session.open()]
        let (number, bytes) = control.call(
            ProcessorService.dispense, .string("processor"), as: .string)
        stage = .dispensing(number)
        session.send(controlStream, bytes)
    }

    var deadline: Instant? { session.deadline == .distantFuture ? nil : session.deadline }

    // MARK: Calls

    mutating func begin(
        _ number: UInt64, _ order: PluginOrder, socket: PluginSocket?, at now: Instant
    ) {
        guard case .process(let call) = order else { return }
        let (answer, bytes) = calls.call(
            ProcessorService.process, ProcessorService.arguments(call.execution, call.config),
            as: ProcessorService.arguments)
        numbers[answer] = number
        session.send(callStream, bytes)
    }

    /// Nobody waits for the answer any more; the plugin can't be told so.
    mutating func cancel(_ number: UInt64, at now: Instant) {
        for (answer, other) in numbers where other == number { numbers.remove(answer) }
    }

    mutating func shutDown(at now: Instant) {
        session.send(
            controlStream, control.call(ProcessorService.quit, .bool(true), as: .bool).bytes)
    }

    // MARK: Events

    mutating func received(_ bytes: [UInt8], at now: Instant) { session.receive(bytes, at: now) }

    mutating func wrote(_ count: Int, at now: Instant) { inFlight -= min(count, inFlight) }

    mutating func receivedEnd(at now: Instant) { session.receiveEnd() }

    mutating func failed(_ reason: String) { session.fail(reason) }

    mutating func expire(at now: Instant) { session.expire(at: now) }

    mutating func drain(
        at now: Instant, into out: inout PluginOutput, _ news: inout [PluginNews]
    ) {
        for event in session.takeEvents() where !isLost { take(event, &news) }
        guard inFlight == 0 else { return }
        let bytes = session.takeOutput()
        guard !bytes.isEmpty else { return }
        inFlight = bytes.count
        out.actions.append(.send(connection, bytes))
    }

    private mutating func take(_ event: YamuxEvent, _ news: inout [PluginNews]) {
        switch event {
        case .opened: break
        case .failed(let reason): lose(reason, &news)
        case .ended(let stream):
            if stream == controlStream || stream == callStream {
                lose("it closed a stream that it is called on", &news)
            }
        case .received(let stream, let bytes):
            if let index = printStreams.firstIndex(of: stream) {
                return news.append(.printed(bytes, isError: index == 1))
            }
            do throws(GobError) {
                if stream == controlStream {
                    try controlled(bytes)
                } else if stream == callStream {
                    try answered(bytes, &news)
                }
            } catch { lose("what it says can't be read: \(error.message)", &news) }
        }
    }

    private mutating func lose(_ reason: String, _ news: inout [PluginNews]) {
        isLost = true
        news.append(.lost(reason))
    }

    private mutating func controlled(_ bytes: [UInt8]) throws(GobError) {
        for answer in try control.receive(bytes) {
            guard case .dispensing(answer.number) = stage else { continue }
            switch answer.result {
            case .failure(let error):
                throw GobError("it has no processor: \(error.message)")
            case .success(let value):
                guard let number = value.unsigned.flatMap({ UInt32(exactly: $0) }) else {
                    throw GobError("the number of its processor is none")
                }
                let mark = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
                callStream = session.open()
                session.send(callStream, mark)
                stage = .joining(mark)
            }
        }
    }

    private mutating func answered(
        _ bytes: [UInt8], _ news: inout [PluginNews]
    ) throws(GobError) {
        var bytes = bytes
        if case .joining(let left) = stage {
            let piece = bytes.prefix(left.count)
            guard left.starts(with: piece) else {
                throw GobError("the number of its processor does not come back")
            }
            bytes.removeFirst(piece.count)
            guard piece.count == left.count else {
                stage = .joining(Array(left.dropFirst(piece.count)))
                return
            }
            stage = .ready
            news.append(.ready)
        }
        for answer in try calls.receive(bytes) {
            guard let number = numbers.remove(answer.number) else { continue }
            switch answer.result {
            case .failure(let error):
                news.append(.processed(number, .failed("the processor refused: \(error.message)")))
            case .success(let value):
                guard let execution = PluginExecution(value) else {
                    throw GobError("an answer is no execution")
                }
                news.append(.processed(number, .processed(execution)))
            }
        }
    }
}
