import Testing

@testable import Core

/// A connection with a clock and a client that takes everything at once unless told otherwise.
private final class Bench {
    var connection: HTTPConnection
    var now = Now(monotonic: .zero, wall: WallTime(seconds: 784_111_777))
    var received = ""
    var requests: [(number: UInt64, request: HTTPRequest)] = []

    init(limits: HTTPLimits = HTTPLimits(), timeouts: HTTPTimeouts = HTTPTimeouts()) {
        connection = HTTPConnection(
            clientAddress: "127.0.0.1:5", limits: limits, timeouts: timeouts, at: now.monotonic)
    }

    func push(_ text: String) {
        connection.receive(Array(text.utf8).span, at: now.monotonic)
        pull()
    }

    func pull() {
        while let next = connection.nextRequest(at: now) { requests.append(next) }
    }

    func get(_ path: String, _ extra: String = "") {
        push("GET \(path) HTTP/1.1\r\nHost: a\r\n\(extra)\r\n")
    }

    func answer(_ number: UInt64, _ text: String, close: Bool = false) -> Bool {
        connection.respond(
            number,
            HTTPResponse(status: 200, body: .bytes(Array(text.utf8)), close: close), at: now)
    }

    func answer(_ number: UInt64, _ response: HTTPResponse) -> Bool {
        connection.respond(number, response, at: now)
    }

    func piece(_ number: UInt64, _ text: String, last: Bool = false) -> Bool {
        connection.respondChunk(number, Array(text.utf8), last: last, at: now)
    }

    func drained() -> UInt64? { connection.nextDrained() }

    /// Takes up to `count` bytes as the client.
    func take(_ count: Int = .max) {
        let bytes = Array(connection.outgoing.prefix(count))
        received += String(decoding: bytes, as: UTF8.self)
        connection.didSend(bytes.count, at: now.monotonic)
        pull()
    }

    func wait(_ duration: Duration) {
        now.monotonic = now.monotonic + duration
        connection.expire(at: now)
    }

    /// Bodies of the answers received so far, of which all are short and of known length.
    var bodies: [String] {
        received.split(separator: "HTTP/1.1 ").map { answer in
            String(answer[answer.range(of: "\r\n\r\n")!.upperBound...])
        }
    }
}

extension String.SubSequence {
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}

@Suite("HTTP connection")
struct HTTPConnectionTests {
    @Test func oneRequestAfterAnother() {
        let bench = Bench()
        for number in 1...3 as ClosedRange<UInt64> {
            bench.get("/\(number)")
            #expect(bench.requests.last?.number == number)
            #expect(bench.requests.last?.request.clientAddress == "127.0.0.1:5")
            #expect(bench.connection.unanswered == [number])
            #expect(!bench.connection.isDrained)
            #expect(bench.answer(number, "\(number)"))
            #expect(!bench.answer(number, "again"))
            bench.take()
            #expect(bench.connection.isDrained)
        }
        #expect(bench.bodies == ["1", "2", "3"])
        #expect(
            bench.received.hasPrefix("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"))
        #expect(!bench.connection.isClosed && bench.connection.wantsRead)
        #expect(!bench.answer(99, "unknown"))
    }

    @Test func answersLeaveInTheOrderOfTheirRequests() {
        var random = PRNG(seed: 5)
        for _ in 0..<50 {
            let bench = Bench()
            for number in 1...10 { bench.get("/\(number)") }
            var order = Array(bench.requests.map(\.number))
            random.permute(&order)
            for number in order {
                #expect(bench.answer(number, "<\(number)>"))
                if random.chance(1, 2) { bench.take() }
            }
            bench.take()
            #expect(bench.bodies == (1...10).map { "<\($0)>" })
            #expect(bench.connection.isDrained)
        }
    }

    @Test func tooManyRequestsStopReading() {
        var limits = HTTPLimits()
        limits.pipelined = 4
        let bench = Bench(limits: limits)
        for number in 1...9 { bench.get("/\(number)") }
        #expect(bench.requests.count == 4)
        #expect(!bench.connection.wantsRead)
        #expect(bench.answer(2, "2"))
        bench.take()
        #expect(bench.requests.count == 4)
        #expect(bench.answer(1, "1"))
        bench.take()
        #expect(bench.requests.count == 6)
        for number in 3...9 as ClosedRange<UInt64> {
            #expect(bench.answer(number, "\(number)"))
            bench.take()
        }
        #expect(bench.bodies == (1...9).map { "\($0)" })
        #expect(bench.connection.wantsRead)
    }

    @Test func aClientThatTakesNothingIsNotRead() {
        var limits = HTTPLimits()
        limits.unsent = 100
        let bench = Bench(limits: limits)
        bench.get("/1")
        #expect(bench.answer(1, String(repeating: "x", count: 200)))
        #expect(!bench.connection.wantsRead)
        bench.get("/2")
        #expect(bench.requests.count == 1)
        bench.wait(.seconds(20))
        bench.take(250)
        #expect(bench.connection.wantsRead)
        #expect(bench.requests.count == 2)
    }

    @Test func streamsLeaveInPiecesAndAskForMore() {
        let bench = Bench()
        bench.get("/list")
        bench.get("/next")
        #expect(bench.answer(2, "second"))
        let stream = HTTPResponse(status: 200, body: .stream)
        #expect(bench.answer(1, stream))
        #expect(bench.drained() == nil)
        bench.take(10)
        #expect(bench.drained() == nil)
        bench.take()
        #expect(bench.drained() == 1)
        #expect(bench.drained() == nil)
        #expect(bench.piece(1, "abc", last: false))
        bench.take()
        #expect(bench.drained() == 1)
        #expect(bench.piece(1, "d", last: true))
        #expect(!bench.piece(1, "x", last: true))
        bench.take()
        #expect(bench.drained() == nil)
        #expect(bench.received.contains("\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nHTTP/1.1 200 OK"))
        #expect(bench.received.hasSuffix("second"))
        #expect(bench.connection.isDrained)
    }

    @Test func aStreamForHeadIsAskedForAndDropped() {
        let bench = Bench()
        bench.push("HEAD /list HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(
            bench.answer(1, HTTPResponse(status: 200, body: .stream)))
        bench.take()
        #expect(bench.drained() == 1)
        #expect(bench.piece(1, "x", last: false))
        #expect(!bench.connection.hasOutgoing)
        #expect(bench.drained() == 1)
        #expect(bench.piece(1, "x", last: true))
        #expect(bench.connection.isDrained && bench.connection.wantsRead)
        #expect(bench.received.hasSuffix("Transfer-Encoding: chunked\r\n\r\n"))
    }

    @Test func aStreamToAnOldClientEndsWithTheConnection() {
        let bench = Bench()
        bench.push("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(
            bench.answer(1, HTTPResponse(status: 200, body: .stream)))
        #expect(bench.piece(1, "ab", last: true))
        bench.take()
        #expect(bench.received.hasSuffix("Connection: close\r\n\r\nab"))
        #expect(bench.connection.wantsShutdown)
    }

    /// Version, `Connection`, whether the connection lasts.
    @Test(
        arguments: [
            ("1.1", nil, true), ("1.1", "close", false), ("1.1", "Keep-Alive, Close", false),
            ("1.1", "upgrade", true), ("1.0", nil, false), ("1.0", "keep-alive", true),
            ("1.0", "keep-alive, close", false),
        ] as [(String, String?, Bool)])
    func keepAlive(_ version: String, _ option: String?, _ lasts: Bool) {
        let bench = Bench()
        let field = option.map { "Connection: \($0)\r\n" } ?? ""
        bench.push(
            "GET / HTTP/\(version)\r\nHost: a\r\n\(field)\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(bench.requests.count == (lasts ? 2 : 1))
        #expect(bench.answer(1, "x"))
        bench.take()
        #expect(bench.received.contains("Connection: close") == !lasts)
        #expect(bench.received.contains("Connection: keep-alive") == (lasts && version == "1.0"))
        #expect(bench.connection.wantsShutdown == !lasts)
        if lasts { return }
        #expect(bench.connection.wantsRead)
        bench.push("late bytes are dropped")
        #expect(!bench.connection.isClosed)
        bench.connection.receiveEnd(at: bench.now.monotonic)
        #expect(bench.connection.isClosed)
    }

    @Test func anAnswerThatClosesDropsWhatComesBehind() {
        let bench = Bench()
        for number in 1...3 { bench.get("/\(number)") }
        #expect(bench.answer(3, "3"))
        #expect(bench.answer(1, "1", close: true))
        #expect(!bench.answer(2, "2"))
        bench.take()
        #expect(bench.bodies == ["1"])
        #expect(bench.received.contains("Connection: close"))
        #expect(bench.connection.wantsShutdown)
        bench.wait(.seconds(1))
        #expect(!bench.connection.isClosed)
        bench.wait(.seconds(1))
        #expect(bench.connection.isClosed)
    }

    @Test func aMalformedRequestIsAnsweredBehindTheOthersAndEndsAll() {
        let bench = Bench()
        bench.get("/1")
        bench.push(
            "GET /2 HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(bench.requests.count == 1)
        #expect(!bench.connection.hasOutgoing && !bench.connection.wantsRead)
        #expect(bench.answer(1, "one"))
        bench.take()
        #expect(bench.bodies.count == 2)
        #expect(bench.bodies[0] == "one")
        #expect(bench.received.contains("HTTP/1.1 400 Bad Request\r\n"))
        #expect(bench.received.contains("Connection: close\r\n"))
        #expect(bench.received.contains("Content-Type: application/json; charset=utf-8\r\n"))
        let error = try? JSONDocument(Array(bench.bodies[1].utf8))
        #expect(error.flatMap { $0.member(named: "code", of: $0.root) } != nil)
        #expect(bench.connection.wantsShutdown)
    }

    @Test func continueIsSentOnceNothingElseIsUnderWay() {
        let bench = Bench()
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        bench.push(head)
        #expect(bench.requests.isEmpty)
        bench.take()
        #expect(bench.received == "HTTP/1.1 100 Continue\r\n\r\n")
        bench.push("ab")
        #expect(bench.requests.count == 1)
        bench.push(head)
        #expect(!bench.connection.hasOutgoing)
        #expect(bench.answer(1, "1"))
        bench.take()
        #expect(bench.received.hasSuffix("\r\n\r\n1HTTP/1.1 100 Continue\r\n\r\n"))
        bench.push("cd")
        #expect(bench.answer(2, "2"))
        bench.take()
        #expect(bench.received.hasSuffix("\r\n\r\n2"))
    }

    @Test func aContinueThatCameTooLateIsNotSent() {
        let bench = Bench()
        bench.get("/1")
        bench.push(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab")
        #expect(bench.requests.count == 2)
        #expect(bench.answer(1, "1"))
        #expect(bench.answer(2, "2"))
        bench.take()
        #expect(bench.bodies == ["1", "2"])
    }

    @Test func anIdleConnectionEnds() {
        let bench = Bench()
        #expect(bench.connection.deadline == .zero + .seconds(120))
        bench.wait(.seconds(100))
        bench.get("/")
        #expect(bench.connection.deadline == nil)
        bench.wait(.minutes(60))
        #expect(bench.answer(1, "x"))
        bench.take()
        #expect(bench.connection.deadline == bench.now.monotonic + .seconds(120))
        bench.wait(.seconds(119))
        #expect(!bench.connection.isClosed && !bench.connection.timedOut(at: bench.now.monotonic))
        bench.wait(.seconds(1))
        #expect(bench.connection.isClosed)
        #expect(bench.connection.deadline == nil)
    }

    @Test func aSlowHeaderIsRefusedHoweverItDrips() {
        let bench = Bench()
        bench.wait(.seconds(50))
        for byte in "GET / HTT" {
            bench.push(String(byte))
            bench.wait(.seconds(1))
            #expect(!bench.connection.hasOutgoing)
        }
        bench.wait(.seconds(1))
        bench.take()
        #expect(bench.received.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        #expect(bench.connection.wantsShutdown)
    }

    @Test func aSlowBodyIsRefusedWhenItStops() {
        let bench = Bench()
        bench.push("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        for _ in 0..<5 {
            bench.wait(.seconds(29))
            bench.push("x")
            #expect(!bench.connection.hasOutgoing)
        }
        bench.wait(.seconds(30))
        bench.take()
        #expect(bench.received.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
    }

    @Test func aClientThatTakesNothingIsCut() {
        let bench = Bench()
        bench.get("/")
        #expect(bench.answer(1, String(repeating: "x", count: 1000)))
        for _ in 0..<5 {
            bench.wait(.seconds(29))
            bench.take(1)
            #expect(!bench.connection.isClosed)
        }
        bench.wait(.seconds(30))
        #expect(bench.connection.isClosed)
        #expect(!bench.connection.hasOutgoing)
    }

    @Test func timeThatWeTookIsNotTheClients() {
        var limits = HTTPLimits()
        limits.pipelined = 1
        let bench = Bench(limits: limits)
        bench.get("/1")
        bench.push("GET /2 HT")
        bench.wait(.seconds(100))
        #expect(bench.connection.deadline == nil)
        #expect(bench.answer(1, "1"))
        bench.take()
        #expect(bench.connection.deadline == bench.now.monotonic + .seconds(10))
        bench.push("TP/1.1\r\nHost: a\r\n\r\n")
        #expect(bench.requests.count == 2)
    }

    @Test func aClientThatShutItsEndStillGetsItsAnswers() {
        let bench = Bench()
        bench.get("/1")
        bench.get("/2")
        bench.push("GET /half")
        bench.connection.receiveEnd(at: bench.now.monotonic)
        #expect(!bench.connection.wantsRead && !bench.connection.isClosed)
        #expect(bench.answer(1, "1"))
        #expect(bench.answer(2, "2"))
        bench.take()
        #expect(bench.bodies == ["1", "2"])
        #expect(bench.connection.isClosed)
        let idle = Bench()
        idle.connection.receiveEnd(at: .zero)
        #expect(idle.connection.isClosed || idle.connection.wantsShutdown)
    }

    @Test func shutdownFinishesWhatIsUnderWay() {
        let idle = Bench()
        idle.connection.beginShutdown(at: .zero)
        #expect(idle.connection.isClosed)

        let busy = Bench()
        busy.get("/1")
        busy.get("/2")
        busy.connection.beginShutdown(at: .zero)
        busy.get("/3")
        #expect(busy.requests.count == 2)
        #expect(busy.answer(1, "1"))
        #expect(busy.answer(2, "2"))
        busy.take()
        #expect(busy.bodies == ["1", "2"])
        #expect(busy.received.contains("Connection: close"))
        #expect(busy.connection.wantsShutdown)

        let half = Bench()
        half.push("GET /1 HT")
        half.connection.beginShutdown(at: .zero)
        half.push("TP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(half.requests.count == 1)
        #expect(half.answer(1, "1"))
        half.take()
        #expect(half.received.contains("Connection: close"))
        #expect(half.connection.wantsShutdown)
    }

    @Test func anAbortedConnectionTakesNoAnswers() {
        let bench = Bench()
        bench.get("/1")
        bench.connection.abort()
        #expect(bench.connection.isClosed)
        #expect(bench.connection.unanswered == [1])
        #expect(!bench.answer(1, "1"))
        #expect(!bench.connection.hasOutgoing)
        #expect(bench.drained() == nil)
    }
}
