import Testing

@testable import Core

/// A client and a server, joined by a wire that takes everything at once.
private final class Wire {
    var client: GRPCClient
    var server: GRPCServer
    var now = Instant.zero
    var heard: [GRPCClientEvent] = []
    var served: [GRPCServerEvent] = []

    static let unary = "/t.Service/Unary"
    static let stream = "/t.Service/Stream"

    init(limits: HTTP2Limits = HTTP2Limits(), messageLimit: Int = 4 << 20) {
        client = GRPCClient(
            authority: "a", limits: limits, messageLimit: messageLimit, waitingLimit: 5, at: .zero)
        server = GRPCServer(
            methods: [GRPCMethod(Self.unary), GRPCMethod(Self.stream, requests: .stream)],
            limits: limits, messageLimit: messageLimit, at: .zero)
        run()
    }

    /// Carries bytes until nothing moves.
    func run() {
        var isMoving = true
        while isMoving {
            isMoving = false
            while let event = client.nextEvent(at: now) { heard.append(event) }
            while let event = server.nextEvent(at: now) { served.append(event) }
            let up = Array(client.http.outgoing)
            if !up.isEmpty {
                client.http.didSend(up.count, at: now)
                server.http.receive(up.span, at: now)
                isMoving = true
            }
            let down = Array(server.http.outgoing)
            if !down.isEmpty {
                server.http.didSend(down.count, at: now)
                client.http.receive(down.span, at: now)
                isMoving = true
            }
            while let event = client.nextEvent(at: now) { heard.append(event) }
            while let event = server.nextEvent(at: now) { served.append(event) }
            if client.http.hasOutgoing || server.http.hasOutgoing { isMoving = true }
        }
    }

    func call(
        _ method: String, answers: GRPCCount = .one, timeout: Duration? = nil,
        metadata: GRPCMetadata = GRPCMetadata()
    ) throws -> UInt64 {
        try client.call(method, metadata: metadata, answers: answers, timeout: timeout, at: now)
    }

    func wait(_ duration: Duration) {
        now = now + duration
        client.expire(at: now)
        server.expire(at: now)
        run()
    }

    func send(_ call: UInt64, _ message: [UInt8], last: Bool) -> Bool {
        client.send(call, message, last: last, at: now)
    }

    func answer(_ call: UInt64, _ message: [UInt8]) -> Bool {
        server.answer(call, message, at: now)
    }

    func finished(_ call: UInt64) -> GRPCStatus? {
        for case .finished(call, let status, _) in heard { return status }
        return nil
    }
}

private func feed(_ connection: inout HTTP2Connection, _ bytes: [UInt8]) {
    connection.receive(bytes.span, at: .zero)
}

@Suite("gRPC")
struct GRPCTests {
    @Test("a unary call, with metadata both ways")
    func unary() throws {
        let wire = Wire()
        var metadata = GRPCMetadata()
        try metadata.append("X-Id", "7")
        try metadata.append("trace-bin", bytes: [0, 255, 1])
        let call = try wire.call(Wire.unary, metadata: metadata)
        #expect(wire.send(call, [1, 2, 3], last: true))
        #expect(!wire.send(call, [4], last: true))
        wire.run()
        guard case .request(let number, Wire.unary, let got, let message)? = wire.served.first
        else {
            Issue.record("\(wire.served)")
            return
        }
        #expect(message == [1, 2, 3])
        #expect(got == metadata)
        #expect(got["x-id"] == "7" && got.bytes("trace-bin") == [0, 255, 1])
        var head = GRPCMetadata()
        try head.append("a", "b")
        wire.server.sendMetadata(number, head, at: wire.now)
        #expect(wire.answer(number, [9]))
        #expect(!wire.answer(number, [9]))
        wire.run()
        #expect(
            wire.heard == [
                .metadata(call: call, head), .message(call: call, [9]),
                .finished(call: call, .ok, GRPCMetadata()),
            ])
        #expect(wire.client.openCalls == 0 && wire.server.openCalls == 0)
    }

    @Test("streams of both sides, an empty message among them")
    func streaming() throws {
        let wire = Wire()
        let call = try wire.call(Wire.stream, answers: .stream)
        for message in [[1], [], [2, 3]] as [[UInt8]] {
            _ = wire.client.send(call, message, last: false, at: wire.now)
        }
        wire.run()
        guard case .opened(let number, _, _)? = wire.served.first else {
            Issue.record("\(wire.served)")
            return
        }
        #expect(
            Array(wire.served.dropFirst()) == [
                .message(call: number, [1]), .message(call: number, []),
                .message(call: number, [2, 3]),
            ])
        wire.server.send(number, [4], at: wire.now)
        wire.run()
        wire.client.finish(call, at: wire.now)
        wire.run()
        #expect(wire.served.last == .halfClosed(call: number))
        wire.server.send(number, [5], at: wire.now)
        var trailers = GRPCMetadata()
        try trailers.append("end", "yes")
        wire.server.finish(
            number, GRPCStatus(.aborted, "100% über\n"), trailers: trailers, at: wire.now)
        wire.run()
        #expect(
            Array(wire.heard.suffix(2)) == [
                .message(call: call, [5]),
                .finished(call: call, GRPCStatus(.aborted, "100% über\n"), trailers),
            ])
    }

    @Test("a server that ends early ends the client's stream, too")
    func early() throws {
        let wire = Wire()
        let call = try wire.call(Wire.stream, answers: .stream)
        wire.run()
        guard case .opened(let number, _, _)? = wire.served.first else { return }
        wire.server.finish(number, GRPCStatus(.notFound, "no"), at: wire.now)
        wire.run()
        #expect(wire.finished(call) == GRPCStatus(.notFound, "no"))
        #expect(wire.client.http.openStreams == 0 && wire.server.http.openStreams == 0)
        #expect(!wire.send(call, [1], last: true))
    }

    @Test("an unknown method, and a message too many or too few")
    func refused() throws {
        let wire = Wire()
        let unknown = try wire.call("/t.Service/Nothing")
        wire.client.send(unknown, [], last: true, at: wire.now)
        let two = try wire.call(Wire.unary)
        wire.client.send(two, [1], last: false, at: wire.now)
        wire.client.send(two, [2], last: true, at: wire.now)
        let none = try wire.call(Wire.unary)
        wire.client.finish(none, at: wire.now)
        wire.run()
        #expect(
            wire.finished(unknown)
                == GRPCStatus(.unsupported, "there is no method /t.Service/Nothing here"))
        #expect(wire.finished(two)?.code == .unsupported)
        #expect(wire.finished(none)?.code == .unsupported)
        #expect(wire.served == [])
        // The other way round.
        for count in [0, 2] {
            let call = try wire.call(Wire.unary)
            wire.client.send(call, [], last: true, at: wire.now)
            wire.run()
            guard case .request(let number, _, _, _)? = wire.served.last else { return }
            for _ in 0..<count { wire.server.send(number, [1], at: wire.now) }
            wire.server.finish(number, at: wire.now)
            wire.run()
            #expect(wire.finished(call)?.code == .internalError)
        }
    }

    @Test("deadlines end a call on both sides")
    func deadlines() throws {
        let wire = Wire()
        let call = try wire.call(Wire.unary, timeout: .milliseconds(1_500))
        let slow = try wire.call(Wire.unary, timeout: .seconds(60))
        wire.client.send(call, [1], last: true, at: wire.now)
        wire.client.send(slow, [1], last: true, at: wire.now)
        wire.run()
        #expect(wire.client.deadline == Instant.zero + .milliseconds(1_500))
        #expect(wire.server.deadline == Instant.zero + .milliseconds(1_500))
        wire.wait(.milliseconds(1_499))
        #expect(wire.finished(call) == nil)
        wire.wait(.milliseconds(1))
        #expect(wire.finished(call)?.code == .deadlineExceeded)
        guard case .ended(_, let status)? = wire.served.last else {
            Issue.record("the server does not know")
            return
        }
        #expect(status.code == .deadlineExceeded || status.code == .cancelled)
        #expect(wire.client.openCalls == 1 && wire.server.openCalls == 1)
    }

    @Test("a cancelled call is told to the server")
    func cancel() throws {
        let wire = Wire()
        let call = try wire.call(Wire.unary)
        wire.client.send(call, [1], last: true, at: wire.now)
        wire.run()
        wire.client.cancel(call, at: wire.now)
        wire.run()
        #expect(wire.finished(call)?.code == .cancelled)
        guard case .ended(_, let status)? = wire.served.last else {
            Issue.record("the server does not know")
            return
        }
        #expect(status.code == .cancelled)
    }

    @Test("messages far beyond the windows, and beyond the limit")
    func large() throws {
        var limits = HTTP2Limits()
        limits.streamWindow = 10_000
        limits.connectionWindow = 0
        let wire = Wire(limits: limits, messageLimit: 1_000_000)
        let message = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let call = try wire.call(Wire.unary)
        wire.client.send(call, message, last: true, at: wire.now)
        wire.run()
        guard case .request(let number, _, _, message)? = wire.served.last else {
            Issue.record("the message did not come")
            return
        }
        wire.server.answer(number, message + [1], at: wire.now)
        wire.run()
        #expect(wire.finished(call)?.code == .resourceExhausted)
        #expect(
            wire.finished(call)?.message == "a message has 1000001 bytes; at most 1000000 are taken"
        )
        #expect(wire.client.http.openStreams == 0 && wire.server.http.openStreams == 0)
    }

    @Test("calls wait for room, in order, and so many only")
    func waiting() throws {
        var limits = HTTP2Limits()
        limits.streams = 2
        let wire = Wire(limits: limits)
        let calls = try (0..<7).map { _ in try wire.call(Wire.unary) }
        let error = #expect(throws: GRPCStatus.self) { _ = try wire.call(Wire.unary) }
        #expect(error?.code == .resourceExhausted)
        for (index, call) in calls.enumerated() {
            #expect(wire.client.hasRoom(call))
            wire.client.send(call, [UInt8(index)], last: true, at: wire.now)
        }
        var order: [UInt8] = []
        for _ in 0..<7 {
            wire.run()
            for case .request(let number, _, _, let message) in wire.served
            where wire.server.openCalls > 0 {
                if wire.server.answer(number, message, at: wire.now) { order += message }
            }
            wire.served = []
        }
        wire.run()
        #expect(order == [0, 1, 2, 3, 4, 5, 6])
        #expect(calls.allSatisfy { wire.finished($0) == .ok })
    }

    @Test("a lost connection ends all calls, waiting ones too")
    func lost() throws {
        var limits = HTTP2Limits()
        limits.streams = 1
        let wire = Wire(limits: limits)
        let calls = try (0..<3).map { _ in try wire.call(Wire.unary) }
        wire.run()
        wire.client.http.abort("the socket failed")
        wire.run()
        for call in calls { #expect(wire.finished(call)?.code == .unavailable) }
        #expect(wire.heard.last == .closed(HTTP2Failure(.cancel, "the socket failed")))
        #expect(!wire.client.isUsable)
        let error = #expect(throws: GRPCStatus.self) { _ = try wire.call(Wire.unary) }
        #expect(error?.code == .unavailable)
    }

    @Test("a server that shuts down finishes its calls, and turns the next away")
    func shutdown() throws {
        let wire = Wire()
        let call = try wire.call(Wire.unary)
        wire.client.send(call, [1], last: true, at: wire.now)
        wire.run()
        wire.server.http.beginShutdown(at: wire.now)
        wire.run()
        #expect(!wire.client.isUsable)
        guard case .request(let number, _, _, _)? = wire.served.first else { return }
        wire.server.answer(number, [2], at: wire.now)
        wire.run()
        #expect(wire.finished(call) == .ok)
        #expect(wire.heard.last == .closed(nil))
        #expect(wire.served.last == .closed(nil))
    }

    @Test(
        "answers that are not gRPC's",
        arguments: [
            (["404"], GRPCCode.unsupported), (["503"], .unavailable), (["401"], .unauthenticated),
            (["403"], .permissionDenied), (["400"], .internalError), (["302"], .unknown),
            (["200", "text/html"], .unknown),
        ] as [([String], GRPCCode)])
    func foreign(answer: [String], code: GRPCCode) throws {
        var client = GRPCClient(authority: "a", at: .zero)
        let call = try client.call("/a/b", at: .zero)
        var fields: HTTP2Fields = [HTTP2Field(":status", answer[0])]
        if answer.count > 1 { fields.append("content-type", answer[1]) }
        let frames = [RawFrame.settings(), .headers(1, fields, ends: false)]
        feed(&client.http, frames.flatMap(\.bytes))
        guard case .finished(call, let status, _)? = client.nextEvent(at: .zero) else {
            Issue.record("the call goes on")
            return
        }
        #expect(status.code == code)
        #expect(client.http.openStreams == 0)
    }

    @Test(
        "what a server may not do with a call",
        arguments: [
            ([RawFrame.data(1, "", ends: true)], "the server ended the call without a status"),
            (
                [.data(1, "\u{1}\u{0}\u{0}\u{0}\u{0}")],
                "a message is compressed, and no compression was agreed on"
            ),
            (
                [.data(1, "\u{2}\u{0}\u{0}\u{0}\u{0}")],
                "a message begins with the flag 2, which does not exist"
            ),
            (
                [
                    .data(1, "\u{0}\u{0}\u{0}\u{0}\u{5}a"),
                    .headers(1, [HTTP2Field("grpc-status", "0")], ends: true),
                ], "the call ended within a message"
            ),
            (
                [.headers(1, [HTTP2Field("grpc-status", "0")], ends: true)],
                "the server ended the call without an answer"
            ),
            (
                [.headers(1, [HTTP2Field("grpc-status", "x")], ends: true)],
                "the server ended the call with the status \"x\""
            ),
            ([.headers(1, [], ends: true)], "the server ended the call without a status"),
            ([.reset(1, .internalError)], "the other side broke the stream off (INTERNAL_ERROR)"),
        ] as [([RawFrame], String)])
    func malformed(frames: [RawFrame], message: String) throws {
        var client = GRPCClient(authority: "a", at: .zero)
        let call = try client.call("/a/b", at: .zero)
        let head: HTTP2Fields = [
            HTTP2Field(":status", "200"), HTTP2Field("content-type", "application/grpc+proto"),
        ]
        let all = [RawFrame.settings(), .headers(1, head)] + frames
        feed(&client.http, all.flatMap(\.bytes))
        var last: GRPCClientEvent?
        while let event = client.nextEvent(at: .zero) { last = event }
        guard case .finished(call, let status, _)? = last else {
            Issue.record("the call goes on: \(String(describing: last))")
            return
        }
        #expect(status.message == message)
        #expect(!status.isOK)
    }

    @Test("requests that are not gRPC's")
    func foreignRequests() {
        for (name, value, status) in [
            ("content-type", "text/plain", "415"), ("grpc-encoding", "gzip", "200"),
            ("grpc-timeout", "5x", "200"), (":method", "GET", "405"),
        ] {
            var server = GRPCServer(methods: [GRPCMethod("/a/b")], at: .zero)
            var fields: HTTP2Fields = [
                HTTP2Field(":method", "POST"), HTTP2Field(":scheme", "http"),
                HTTP2Field(":path", "/a/b"), HTTP2Field("content-type", "application/grpc"),
            ]
            if let index = fields.list.firstIndex(where: { $0.name == name }) {
                fields.list[index].value = value
            } else {
                fields.append(name, value)
            }
            let frames = [RawFrame.settings(), .headers(1, fields)]
            feed(&server.http, HTTP2Connection.preface + frames.flatMap(\.bytes))
            let event = server.nextEvent(at: .zero)
            #expect(event == nil)
            let answer = RawFrame.all(in: server.http.outgoing).first { $0.kind == 1 }
            var decoder = HPACKDecoder()
            let payload = answer?.payload ?? []
            let got = try? decoder.decode(payload.span, sizeLimit: 10_000)
            #expect(HTTP2Fields(got?.fields ?? []).status == Int(status), "\(name)")
            #expect(server.http.openStreams == 0)
        }
    }
}
