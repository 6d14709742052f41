import Testing

@testable import Core

@Suite("HTTP/2: what is done")
struct HTTP2ConnectionTests {
    @Test("3.4, 6.5 what a client and a server say first")
    func greetings() {
        let client = HTTP2Bench(.client, greeted: false)
        #expect(client.connection.outgoing.starts(with: HTTP2Connection.preface))
        let frames = client.sent()
        #expect(frames.map(\.kind) == [4, 8])
        #expect(frames[0].payload.starts(with: [0, 2, 0, 0, 0, 0]))
        #expect(readUInt32(frames[1].payload, at: 0) == 1 << 20 - 65_535)
        let server = HTTP2Bench(greeted: false)
        #expect(server.sent()[0].payload.starts(with: [0, 3, 0, 0, 0, 100]))
        server.push(HTTP2Connection.preface)
        server.push(.settings((1, 100), (99, 5)))
        #expect(server.sent() == [.ack])
    }

    @Test("8.1 a request and its answer, on both sides, with trailers")
    func exchange() throws {
        let client = HTTP2Bench(.client)
        let stream = try client.open()
        #expect(client.send(stream, "hello", ends: true))
        #expect(!client.send(stream, "more"))
        let sent = client.sent()
        #expect(sent.map(\.kind) == [1, 0])
        #expect(sent[1] == .data(1, "hello", ends: true))

        let server = HTTP2Bench()
        server.push(sent.flatMap(\.bytes))
        #expect(
            server.told() == [
                .head(stream: 1, plainRequest, ends: false),
                .data(stream: 1, Array("hello".utf8), ends: true),
            ])
        let interim: HTTP2Fields = [HTTP2Field(":status", "103"), HTTP2Field("link", "a")]
        let trailers: HTTP2Fields = [HTTP2Field("sum", "1")]
        try server.connection.respond(1, interim, ends: false, at: server.now)
        #expect(server.respond(1))
        #expect(!server.respond(1))
        #expect(server.send(1, "world"))
        try server.connection.sendTrailers(1, trailers, at: server.now)
        #expect(server.connection.openStreams == 0)
        client.push(server.sent().flatMap(\.bytes))
        #expect(
            client.told() == [
                .interim(stream: 1, interim), .head(stream: 1, plainAnswer, ends: false),
                .data(stream: 1, Array("world".utf8), ends: false), .trailers(stream: 1, trailers),
            ])
        #expect(client.connection.openStreams == 0)
        #expect(client.sent() == [])
    }

    @Test("what the user gives is checked as what comes")
    func ownFields() throws {
        let client = HTTP2Bench(.client)
        #expect(throws: HTTP2Failure.self) {
            _ = try client.connection.open(
                HTTP2Fields(plainRequest.list + [HTTP2Field("a", "b\r\nc: d")]), ends: true,
                at: .zero)
        }
        #expect(client.sent() == [])
        #expect(try client.open() == 1)
    }

    @Test("4.1, 5.5 unknown frames, flags and the reserved bit are ignored")
    func unknown() {
        let bench = HTTP2Bench()
        bench.push(RawFrame(kind: 77, flags: 0xff, stream: 9, payload: [1, 2, 3]))
        bench.push(
            RawFrame(kind: 6, flags: 0xfe, stream: 1 << 31, payload: .init(repeating: 7, count: 8)))
        #expect(bench.sent() == [.ping(ack: true, .init(repeating: 7, count: 8))])
    }

    @Test("6.1, 6.2 padding and priority are taken off")
    func padding() {
        let bench = HTTP2Bench()
        let block = RawFrame.block(plainRequest)
        bench.push(
            RawFrame(
                kind: 1, flags: 0x2c, stream: 1,
                payload: [3, 0x80, 0, 0, 1, 9] + block + [0, 0, 0]))
        bench.push(RawFrame(kind: 0, flags: 9, stream: 1, payload: [2, 0x41, 0, 0]))
        #expect(
            bench.told() == [
                .head(stream: 1, plainRequest, ends: false),
                .data(stream: 1, [0x41], ends: true),
            ])
    }

    @Test("6.10 a block over several frames")
    func continuation() {
        let bench = HTTP2Bench()
        let block = RawFrame.block(plainRequest)
        bench.push(RawFrame(kind: 1, flags: 1, stream: 1, payload: Array(block[..<3])))
        bench.push(RawFrame(kind: 9, stream: 1))
        bench.push(RawFrame(kind: 9, flags: 4, stream: 1, payload: Array(block[3...])))
        #expect(bench.told() == [.head(stream: 1, plainRequest, ends: true)])
    }

    @Test("a long field list of ours is spread over frames")
    func longFields() throws {
        let client = HTTP2Bench(.client)
        let long = HTTP2Fields(
            plainRequest.list + [HTTP2Field("x", String(repeating: "\u{7f}", count: 20_000))])
        _ = try client.connection.open(long, ends: true, at: .zero)
        let frames = client.sent()
        #expect(frames.map(\.kind) == [1, 9])
        #expect(frames.map(\.flags) == [1, 4])
        #expect(frames[0].payload.count == 16_384)
        let server = HTTP2Bench()
        server.push(frames.flatMap(\.bytes))
        #expect(server.told() == [.head(stream: 1, long, ends: true)])
    }

    @Test("6.9 nothing exceeds the windows, and what waits goes when they open")
    func sendWindows() throws {
        let bench = HTTP2Bench(.client)
        let stream = try bench.open()
        #expect(bench.send(stream, zeros: 100_000, ends: true))
        func bodies() -> Int {
            bench.sent().filter { $0.kind == 0 }.reduce(0) { $0 + $1.payload.count }
        }
        #expect(bodies() == 65_535)
        bench.push(.window(1, 10))
        #expect(bodies() == 0)
        bench.push(.window(0, 20))
        #expect(bodies() == 10)
        // A smaller initial window makes the stream's negative (section 6.9.2).
        bench.push(.settings((4, 1_000)), .window(0, 100_000), .window(1, 64_535))
        #expect(bodies() == 0)
        bench.push(.window(1, 5))
        #expect(bodies() == 5)
        bench.push(.settings((4, 1_000_000)))
        #expect(bodies() == 100_000 - 65_535 - 15)
        #expect(bench.connection.openStreams == 1)
    }

    @Test("streams with something to send take turns, and one that is blocked stops no other")
    func turns() throws {
        let bench = HTTP2Bench(.client)
        for _ in 0..<3 { _ = try bench.open() }
        bench.push(.settings((4, 40_000)), .window(0, 1 << 20))
        _ = bench.sent()
        for stream in [1, 3, 5] as [UInt32] { _ = bench.send(stream, zeros: 50_000) }
        // The first had the room for itself; then they go in turns.
        let order = bench.sent().map(\.stream)
        #expect(order.count == 9)
        #expect(Set(order) == [1, 3, 5])
        bench.push(.window(5, 100_000))
        #expect(Set(bench.sent().map(\.stream)) == [5])
    }

    @Test("frames of two streams alternate")
    func alternation() throws {
        let bench = HTTP2Bench(.client)
        for _ in 0..<3 { _ = try bench.open() }
        // Fills the room for the socket, so that the others queue up behind it.
        bench.push(.settings((4, 1 << 20)), .window(0, 1 << 20))
        for stream in [1, 3, 5] as [UInt32] { _ = bench.send(stream, zeros: 200_000) }
        let order = bench.sent().filter { $0.kind == 0 }.map(\.stream)
        let tail = order.drop { $0 == 1 }
        #expect(
            Array(tail.prefix(6)) == [3, 5, 1, 3, 5, 1]
                || Array(tail.prefix(6)) == [3, 1, 5, 3, 1, 5])
    }

    @Test("a body that does not leave holds its user back, then calls for more")
    func backPressure() throws {
        let bench = HTTP2Bench(.client)
        let stream = try bench.open()
        #expect(bench.connection.hasRoom(stream))
        _ = bench.send(stream, zeros: 65_535 + 128 << 10)
        _ = bench.sent()
        #expect(!bench.connection.hasRoom(stream))
        #expect(bench.told() == [])
        bench.push(.window(1, 1 << 20), .window(0, 1 << 20))
        _ = bench.sent()
        #expect(bench.told() == [.writable(stream: 1)])
        #expect(bench.connection.hasRoom(stream))
    }

    @Test("what is consumed is given back; what is not stops the sender")
    func receiveWindows() {
        var limits = HTTP2Limits()
        limits.streamWindow = 70_000
        limits.connectionWindow = 200_000
        let bench = HTTP2Bench(limits: limits)
        bench.push(.headers(1, plainRequest))
        let piece = String(repeating: "a", count: 14_000)
        for _ in 0..<5 { bench.push(.data(1, piece)) }
        // Only the connection's window was given back.
        #expect(bench.sent().allSatisfy { $0.kind != 8 || $0.stream == 0 })
        bench.connection.consume(1, 14_000, at: .zero)
        #expect(bench.sent() == [.window(1, 14_000)])
        bench.connection.consume(1, 10_000, at: .zero)
        #expect(bench.sent() == [])
        bench.push(.data(1, piece))
        #expect(bench.sent().contains(.window(1, 10_000)))
        bench.push(.data(1, String(repeating: "a", count: 10_001)))
        #expect(bench.resetCode(1) == .flowControlError)
    }

    @Test("6.9 the connection's window never closes, however much comes on all streams")
    func connectionWindow() {
        var limits = HTTP2Limits()
        limits.connectionWindow = 0
        let bench = HTTP2Bench(limits: limits)
        for stream in [1, 3] as [UInt32] { bench.push(.headers(stream, plainRequest)) }
        let piece = String(repeating: "a", count: 16_384)
        var window = 65_535
        // Nobody consumes the first stream's body.
        for round in 0..<100 {
            #expect(window >= 16_384)
            let stream: UInt32 = round < 16 ? 1 : 3
            bench.push(.data(stream, piece))
            window -= 16_384
            if stream == 3 { bench.connection.consume(3, 16_384, at: .zero) }
            for frame in bench.sent() where frame.kind == 8 && frame.stream == 0 {
                window += Int(readUInt32(frame.payload, at: 0))
            }
        }
        #expect(bench.connection.openStreams == 2)
    }

    @Test("5.1.2 more streams than allowed are refused, and ours wait")
    func concurrency() throws {
        var limits = HTTP2Limits()
        limits.streams = 2
        let server = HTTP2Bench(limits: limits)
        for stream in [1, 3, 5] as [UInt32] { server.push(.headers(stream, plainRequest)) }
        #expect(server.resetCode(5) == .refusedStream)
        #expect(server.told().count == 2)
        #expect(server.respond(1, ends: true))
        server.push(.headers(7, plainRequest))
        #expect(server.told() == [.head(stream: 7, plainRequest, ends: false)])

        let client = HTTP2Bench(.client)
        client.push(.settings((3, 1)))
        _ = try client.open()
        #expect(!client.connection.canOpen)
        client.push(.reset(1, .refusedStream))
        #expect(client.connection.canOpen)
        guard case .reset(1, let reset)? = client.told().last else {
            Issue.record("nothing is told")
            return
        }
        #expect(reset.isUnprocessed && !reset.isOurs)
    }

    @Test("8.1 a server that is done early wants no more of the request")
    func earlyAnswer() throws {
        let bench = HTTP2Bench()
        bench.push(.headers(1, plainRequest))
        #expect(bench.respond(1, ends: true))
        #expect(bench.resetCode(1) == .noError)
        // What was under way is dropped, and still counts for the connection's window.
        bench.push(.data(1, "late"), .headers(1, [], ends: true), .window(1, 5), .reset(1))
        #expect(bench.sent() == [])
        #expect(bench.connection.isReading)
    }

    @Test("5.1 a frame on a stream that both sides have ended ends the connection")
    func finished() {
        let bench = HTTP2Bench()
        bench.push(.headers(1, plainRequest, ends: true))
        #expect(bench.respond(1, ends: true))
        bench.push(
            .window(1, 1), .reset(1), RawFrame(kind: 2, stream: 1, payload: [0, 0, 0, 0, 1]))
        #expect(bench.connection.isReading)
        bench.push(.data(1, "x"))
        #expect(bench.failure()?.code == .streamClosed)
    }

    @Test("8.1.1 an answer to HEAD has a length and no body")
    func head() throws {
        let bench = HTTP2Bench(.client)
        var request = plainRequest
        request.list[0].value = "HEAD"
        _ = try bench.connection.open(request, ends: true, at: .zero)
        #expect(bench.sent().count == 1)
        bench.push(
            .headers(
                1, [HTTP2Field(":status", "200"), HTTP2Field("content-length", "5")], ends: true))
        #expect(bench.told().count == 1)
        #expect(bench.sent() == [])
    }

    @Test("a field list beyond the limit breaks only its stream")
    func fieldLimit() {
        var limits = HTTP2Limits()
        limits.fieldBytes = 300
        let bench = HTTP2Bench(limits: limits)
        let large = HTTP2Fields(
            plainRequest.list + [HTTP2Field("a", String(repeating: "b", count: 200))])
        bench.push(.headers(1, large))
        #expect(bench.resetCode(1) == .enhanceYourCalm)
        bench.push(.headers(3, plainRequest))
        #expect(bench.told() == [.head(stream: 3, plainRequest, ends: false)])
    }

    @Test("however bytes are cut, they mean the same", arguments: 1...20 as ClosedRange<UInt64>)
    func cuts(seed: UInt64) {
        var random = PRNG(seed: seed)
        let stream =
            HTTP2Connection.preface
            + [
                RawFrame.settings((4, 100)), .headers(1, plainRequest), .data(1, "abc"),
                .headers(3, plainRequest, ends: true), .ping(), .data(1, "", ends: true), .reset(3),
                .ack,
            ].flatMap(\.bytes)
        let whole = HTTP2Bench(greeted: false)
        whole.push(stream)
        let cut = HTTP2Bench(greeted: false)
        var position = 0
        while position < stream.count {
            let end = min(position + random.int(in: 1...9), stream.count)
            cut.push(Array(stream[position..<end]))
            position = end
        }
        #expect(cut.told() == whole.told())
        #expect(cut.sent() == whole.sent())
    }
}
