// What the effect "HTTP request" promises, run twice: against the simulator's model, and against
// the real adapter with real sockets. A case that only one of them keeps shows where the simulation
// and the world differ.

import Adapters
import Core
import Glibc
import Testing

@testable import Simulator

/// One of the two worlds in which calls are made.
protocol HTTPWorld {
    /// Where the model of a server answers, where nobody listens, and a name that nobody has.
    var server: String { get }
    var refusing: String { get }
    var nameless: String { get }
    mutating func begin(_ call: HTTPCall)
    mutating func hangUp(_ id: ExecutionID)
    /// Lets time pass until `isDone`, at most so long. All news so far is handed over.
    mutating func run(
        for time: Duration, until isDone: ([(ExecutionID, CallEvent)]) -> Bool
    ) -> [(ExecutionID, CallEvent)]
}

struct HTTPCase: CustomTestStringConvertible, Sendable {
    var name: String
    var url: @Sendable (any HTTPWorld) -> String
    var settings: [(String, String)] = []
    /// Hangs up so long after the start.
    var hangsUpAfter: Duration?
    var cause = CallEnd.Cause.finished
    /// Part of the error; nil for a success.
    var error: String?
    var output = ""

    var testDescription: String { name }

    init(
        _ name: String, _ query: String, _ settings: [(String, String)] = [],
        hangsUpAfter: Duration? = nil, cause: CallEnd.Cause = .finished,
        error: String? = nil, output: String = ""
    ) {
        self.init(
            name, url: { "http://\($0.server)/?\(query)" }, settings, hangsUpAfter: hangsUpAfter,
            cause: cause, error: error, output: output)
    }

    init(
        _ name: String, url: @escaping @Sendable (any HTTPWorld) -> String,
        _ settings: [(String, String)] = [], hangsUpAfter: Duration? = nil,
        cause: CallEnd.Cause = .finished, error: String? = nil, output: String = ""
    ) {
        self.name = name
        self.url = url
        self.settings = settings
        self.hangsUpAfter = hangsUpAfter
        self.cause = cause
        self.error = error
        self.output = output
    }

    static let all = [
        HTTPCase("an answer with a length", "body=hello", output: "hello"),
        HTTPCase("an answer in chunks", "body=hello&chunk=1", output: "hello"),
        HTTPCase("an answer up to the end", "body=hello&eof=1", output: "hello"),
        HTTPCase("an answer without body", "status=204"),
        HTTPCase("an interim answer first", "body=hello&interim=1", output: "hello"),
        HTTPCase("no body behind HEAD", "body=hello", [("method", "HEAD")]),
        HTTPCase("a slow answer", "body=hello&run=50ms", output: "hello"),
        HTTPCase("any status is good", "body=no&status=500", output: "no"),
        HTTPCase(
            "the wanted status", "status=201&body=x", [("expectCode", "200,201")], output: "x"),
        HTTPCase(
            "another status", "status=503&body=x", [("expectCode", "200,201")],
            error: "status 503 Simulated; expectCode is 200,201", output: "x"),
        HTTPCase("the wanted body", "body=abcd", [("expectBody", "b.d$")], output: "abcd"),
        HTTPCase(
            "another body", "body=abc", [("expectBody", "^b")], error: "expectBody matches nowhere",
            output: "abc"),
        HTTPCase("a redirect", "body=there&redirect=1", output: "there"),
        HTTPCase("ten redirects", "body=there&redirect=10&via=308", output: "there"),
        HTTPCase("too many redirects", "redirect=11", error: "10 redirects"),
        HTTPCase("a connection cut in the middle", "body=hello&cut=1", error: ""),
        HTTPCase(
            "a server that is silent", "hang=1", [("timeout", "1")], cause: .timedOut,
            error: "did not answer within the time-out of 1s"),
        HTTPCase(
            "hung up", "hang=1", hangsUpAfter: .milliseconds(30), cause: .stopped, error: ""),
        HTTPCase(
            "nobody listens", url: { "http://\($0.refusing)/" }, error: "Connection refused"),
        HTTPCase(
            "no such name", url: { "http://\($0.nameless)/" }, error: "Name or service not known"),
    ]
}

@Suite("Contract: HTTP request", .serialized)
struct HTTPContract {
    @Test("the simulator's model keeps it", arguments: HTTPCase.all)
    func model(_ one: HTTPCase) throws {
        var world = ModelWorld()
        try Self.judge(one, in: &world)
    }

    @Test("the adapter keeps it, over real sockets", arguments: HTTPCase.all)
    func adapter(_ one: HTTPCase) throws {
        var world = try SocketWorld()
        defer { world.close() }
        try Self.judge(one, in: &world)
    }

    static func call(_ number: Int, _ settings: [(String, String)]) throws -> HTTPCall {
        try HTTPJob.parse(settings.map { (key: $0.0, value: $0.1) }).call(
            execution: ExecutionID("\(number)-n"),
            identity: [EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: "\(number)-n")],
            fence: nil)
    }

    static func judge(_ one: HTTPCase, in world: inout some HTTPWorld) throws {
        let id = ExecutionID("1-n")
        var settings = [("url", one.url(world))] + one.settings
        if !settings.contains(where: { $0.0 == "method" }) { settings.append(("method", "GET")) }
        world.begin(try call(1, settings))
        if let pause = one.hangsUpAfter {
            _ = world.run(for: pause) { _ in false }
            world.hangUp(id)
        }
        let news = world.run(for: .seconds(20)) { news in
            news.contains { if case .ended = $0.1 { true } else { false } }
        }
        #expect(news.allSatisfy { $0.0 == id })
        guard case .started = news.first?.1, case .ended(let end) = news.last?.1 else {
            Issue.record("started first and ended last, not \(news)")
            return
        }
        var output: [UInt8] = []
        for (_, event) in news.dropFirst().dropLast() {
            guard case .output(let piece) = event else {
                Issue.record("\(event) in the middle")
                return
            }
            output += piece
        }
        #expect(end.cause == one.cause, "\(end)")
        if let error = one.error {
            #expect(end.cause != .finished || !end.error.isEmpty, "\(end)")
            #expect(error.isEmpty || end.error.contains(error), "\(end.error)")
        } else {
            #expect(end.error == "")
        }
        if one.error == nil || !one.output.isEmpty {
            #expect(String(decoding: output, as: UTF8.self) == one.output)
        }
        // It ends once: nothing follows.
        #expect(world.run(for: .milliseconds(20)) { _ in false }.count == news.count)
    }
}

/// The simulator's model under its own clock.
struct ModelWorld: HTTPWorld {
    let server = "peer.sim"
    let refusing = "refusing.sim"
    let nameless = "nowhere.sim"

    private var web = Web(node: 0, draws: Draws(seed: 1), latency: .milliseconds(1))
    private var queue = EventQueue<OutsideStep>(ties: Draws(seed: 1).stream("order"))
    private var out = OutsideOutput()
    private var log = RunLog()
    private var time = TrueTime.zero
    private var news: [(ExecutionID, CallEvent)] = []

    private var moment: Moment {
        let now = Now(
            monotonic: Instant(nanoseconds: 1 + time.nanoseconds),
            wall: WallTime(nanoseconds: 1 + time.nanoseconds))
        return Moment(time: time, now: now, agentLife: 1)
    }

    mutating func begin(_ call: HTTPCall) {
        web.begin(call, moment, log: &log, into: &out)
        flush()
    }

    mutating func hangUp(_ id: ExecutionID) {
        web.hangUp(id, moment, log: &log, into: &out)
        flush()
    }

    mutating func run(
        for length: Duration, until isDone: ([(ExecutionID, CallEvent)]) -> Bool
    ) -> [(ExecutionID, CallEvent)] {
        let end = time + length
        while !isDone(news), let next = queue.nextTime, next <= end {
            guard let (at, step) = queue.pop() else { break }
            time = at
            guard case .web(let step) = step else { continue }
            web.step(step, moment, log: &log, into: &out)
            flush()
        }
        if !isDone(news) { time = end }
        return news
    }

    private mutating func flush() {
        for later in out.later { queue.push(later.step, at: later.time, lane: 1) }
        news += out.news.map { ($0.execution, $0.event) }
        #expect(out.complaints.isEmpty)
        out.clear()
        if let deadline = web.newDeadline() {
            let at = Duration.nanoseconds(deadline.nanoseconds - 1)
            queue.push(.web(.deadline(deadline)), at: max(time, at), lane: 1)
        }
    }
}

/// The adapter, its loop, and a server behind a loopback socket.
struct SocketWorld: HTTPWorld {
    let server: String
    let refusing = "127.0.0.1:1"
    /// Resolved without asking anybody (RFC 6761 section 6.4).
    let nameless = "nowhere.invalid"

    let loopback: LoopbackServer
    let loop: EventLoop
    let outbound: Outbound<HTTPCalls>
    private let resolver: Resolver
    private var inputs: [Input] = []
    private var events: [EventLoop.Event] = []

    init(limits: HTTPCaller.Limits = HTTPCaller.Limits()) throws {
        loopback = try LoopbackServer()
        server = "localhost:\(loopback.port)"
        loop = try EventLoop()
        resolver = try Resolver()
        loop.watch(resolver.fileDescriptor, for: .read, as: .init(.names))
        outbound = Outbound(
            HTTPCalls(limits: limits), "http executor", owner: .outbound, asker: .calls,
            loop: loop, log: LogWriter(level: .error), resolver: resolver,
            handshakes: try TLSHandshakes())
    }

    func close() { loopback.stop() }

    mutating func begin(_ call: HTTPCall) {
        outbound.begin(call, at: Clocks.now(), into: &inputs)
    }

    mutating func hangUp(_ id: ExecutionID) {
        outbound.hangUp(id, at: Clocks.now(), into: &inputs)
    }

    mutating func run(
        for length: Duration, until isDone: ([(ExecutionID, CallEvent)]) -> Bool
    ) -> [(ExecutionID, CallEvent)] {
        let end = Clocks.monotonic() + length
        while !isDone(news), Clocks.monotonic() < end {
            let rest = min(end, outbound.nextDeadline ?? end) - Clocks.monotonic()
            loop.wait(
                milliseconds: Int32(clamping: max(0, rest.wholeMilliseconds + 1)), into: &events)
            for event in events {
                guard event.token.owner == .names else {
                    outbound.handle(event, at: Clocks.now(), into: &inputs)
                    continue
                }
                for answer in resolver.receive() {
                    outbound.resolved(answer, at: Clocks.now(), into: &inputs)
                }
            }
            outbound.expire(at: Clocks.now(), into: &inputs)
        }
        return news
    }

    private var news: [(ExecutionID, CallEvent)] {
        inputs.compactMap { if case .call(let id, let event) = $0 { (id, event) } else { nil } }
    }
}
