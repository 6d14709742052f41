// RFC 9113, section by section, against a connection whose other side is played by hand.

import Testing

@testable import Core

/// Frames that are refused, by section.
struct HTTP2Case: CustomStringConvertible {
    let section: String
    let frames: [RawFrame]
    let code: HTTP2Code

    init(_ section: String, _ code: HTTP2Code, _ frames: RawFrame...) {
        self.section = section
        self.frames = frames
        self.code = code
    }

    var description: String { section }
}

@Suite("HTTP/2: what may not be")
struct HTTP2ProtocolTests {
    private static let request = RawFrame.headers(1, plainRequest, ends: true)
    private static let open = RawFrame.headers(1, plainRequest)

    static let fatal: [HTTP2Case] = [
        HTTP2Case(
            "4.2 a frame too long", .frameSizeError,
            RawFrame(kind: 0, stream: 1, payload: .init(repeating: 0, count: 16_385))),
        HTTP2Case(
            "4.3 a block that can't be read", .compressionError,
            RawFrame(kind: 1, flags: 5, stream: 1, payload: [0x80])),
        HTTP2Case(
            "4.3 a block with another frame in it", .protocolError,
            RawFrame.headers(1, plainRequest, last: false), .ping()),
        HTTP2Case(
            "4.3 a block with another stream's in it", .protocolError,
            RawFrame.headers(1, plainRequest, last: false), RawFrame(kind: 9, flags: 4, stream: 3)),
        HTTP2Case("5.1 idle: DATA", .protocolError, .data(1, "x")),
        HTTP2Case("5.1 idle: RST_STREAM", .protocolError, .reset(1)),
        HTTP2Case("5.1 idle: WINDOW_UPDATE", .protocolError, .window(1, 1)),
        HTTP2Case("5.1 idle: CONTINUATION", .protocolError, RawFrame(kind: 9, flags: 4, stream: 1)),
        HTTP2Case("5.1.1 even stream of a client", .protocolError, .headers(2, plainRequest)),
        HTTP2Case(
            "5.1.1 ids must grow", .protocolError, .headers(5, plainRequest, ends: true),
            .headers(3, plainRequest)),
        HTTP2Case("6.1 DATA without a stream", .protocolError, .data(0, "x")),
        HTTP2Case(
            "6.1 padding beyond the frame", .protocolError, open,
            RawFrame(kind: 0, flags: 8, stream: 1, payload: [2, 0])),
        HTTP2Case(
            "6.1 padded and empty", .frameSizeError, open, RawFrame(kind: 0, flags: 8, stream: 1)),
        HTTP2Case("6.2 HEADERS without a stream", .protocolError, .headers(0, plainRequest)),
        HTTP2Case(
            "6.2 padding beyond the frame", .protocolError,
            RawFrame(kind: 1, flags: 12, stream: 1, payload: [9, 0x82])),
        HTTP2Case(
            "6.2 priority that is not there", .frameSizeError,
            RawFrame(kind: 1, flags: 0x24, stream: 1, payload: [1, 2])),
        HTTP2Case(
            "6.3 PRIORITY without a stream", .protocolError,
            RawFrame(kind: 2, payload: [0, 0, 0, 0, 0])),
        HTTP2Case("6.4 RST_STREAM without a stream", .protocolError, .reset(0)),
        HTTP2Case(
            "6.4 RST_STREAM of a wrong size", .frameSizeError, open,
            RawFrame(kind: 3, stream: 1, payload: [0])),
        HTTP2Case("6.5 SETTINGS on a stream", .protocolError, RawFrame(kind: 4, stream: 1)),
        HTTP2Case("6.5 SETTINGS of a wrong size", .frameSizeError, RawFrame(kind: 4, payload: [0])),
        HTTP2Case(
            "6.5 an acknowledgement with contents", .frameSizeError,
            RawFrame(kind: 4, flags: 1, payload: [0, 0, 0, 0, 0, 0])),
        HTTP2Case("6.5.2 ENABLE_PUSH of 2", .protocolError, .settings((2, 2))),
        HTTP2Case(
            "6.5.2 INITIAL_WINDOW_SIZE too large", .flowControlError, .settings((4, 1 << 31))),
        HTTP2Case("6.5.2 MAX_FRAME_SIZE below 2^14", .protocolError, .settings((5, 16_383))),
        HTTP2Case(
            "6.5.2 MAX_FRAME_SIZE above 2^24 - 1", .protocolError, .settings((5, 16_777_216))),
        HTTP2Case(
            "6.6 PUSH_PROMISE", .protocolError, open,
            RawFrame(kind: 5, flags: 4, stream: 1, payload: [0, 0, 0, 2])),
        HTTP2Case(
            "6.7 PING on a stream", .protocolError,
            RawFrame(kind: 6, stream: 1, payload: .init(repeating: 0, count: 8))),
        HTTP2Case("6.7 PING of a wrong size", .frameSizeError, RawFrame(kind: 6, payload: [0])),
        HTTP2Case(
            "6.8 GOAWAY on a stream", .protocolError,
            RawFrame(kind: 7, stream: 1, payload: .init(repeating: 0, count: 8))),
        HTTP2Case("6.8 GOAWAY too short", .frameSizeError, RawFrame(kind: 7, payload: [0])),
        HTTP2Case("6.8 a second GOAWAY takes more", .protocolError, .goAway(1), .goAway(3)),
        HTTP2Case("6.9 WINDOW_UPDATE of zero", .protocolError, .window(0, 0)),
        HTTP2Case(
            "6.9 WINDOW_UPDATE of a wrong size", .frameSizeError, RawFrame(kind: 8, payload: [1])),
        HTTP2Case(
            "6.9.1 the connection's window overflows", .flowControlError, .window(0, 1 << 31 - 1)),
        HTTP2Case(
            "6.9.2 a stream's window overflows by SETTINGS", .flowControlError, open,
            .window(1, 1 << 31 - 1 - 65_535), .settings((4, 65_536))),
        HTTP2Case(
            "6.10 CONTINUATION without HEADERS", .protocolError, request,
            RawFrame(kind: 9, flags: 4, stream: 1)),
        HTTP2Case(
            "6.10 CONTINUATION behind the block's end", .protocolError, open,
            RawFrame(kind: 9, flags: 4, stream: 1)),
    ]

    @Test("ends the connection with its code and a reason", arguments: fatal)
    func endsConnection(_ item: HTTP2Case) {
        let bench = HTTP2Bench()
        for frame in item.frames { bench.push(frame) }
        let failure = bench.failure()
        #expect(failure?.code == item.code)
        #expect(failure?.reason.isEmpty == false)
        #expect(!bench.connection.isClosed)
        #expect(bench.connection.wantsShutdown)
        bench.connection.receiveEnd(at: bench.now)
        #expect(bench.connection.isClosed)
    }

    static let broken: [HTTP2Case] = [
        HTTP2Case("5.1 half closed (remote): DATA", .streamClosed, request, .data(1, "x")),
        HTTP2Case(
            "5.1 half closed (remote): HEADERS", .streamClosed, request, .headers(1, plainAnswer)),
        HTTP2Case("5.1 after RST_STREAM: DATA", .streamClosed, open, .reset(1), .data(1, "x")),
        HTTP2Case(
            "5.1 after RST_STREAM: HEADERS", .streamClosed, open, .reset(1),
            .headers(1, plainRequest)),
        HTTP2Case(
            "5.3.1 a stream that depends on itself", .protocolError, open,
            RawFrame(kind: 2, stream: 1, payload: [0, 0, 0, 1, 0])),
        HTTP2Case(
            "6.3 PRIORITY of a wrong size", .frameSizeError, open,
            RawFrame(kind: 2, stream: 1, payload: [0])),
        HTTP2Case("6.9 WINDOW_UPDATE of zero", .protocolError, open, .window(1, 0)),
        HTTP2Case(
            "6.9.1 the stream's window", .flowControlError, open, .window(1, 1 << 31 - 1)),
        HTTP2Case(
            "8.1 fields behind the body that do not end it", .protocolError, open, .headers(1, [])),
        HTTP2Case(
            "8.1 pseudo field behind the body", .protocolError, open,
            .headers(1, [HTTP2Field(":path", "/")], ends: true)),
        HTTP2Case(
            "8.1.1 body shorter than content-length", .protocolError,
            Self.with("content-length", "3"), .data(1, "ab", ends: true)),
        HTTP2Case(
            "8.1.1 body longer than content-length", .protocolError,
            Self.with("content-length", "1"), .data(1, "ab")),
        HTTP2Case(
            "8.1.1 no body for a content-length", .protocolError,
            Self.with("content-length", "1", ends: true)),
        HTTP2Case(
            "8.1.1 trailers before the whole body", .protocolError,
            Self.with("content-length", "1"), .headers(1, [], ends: true)),
        HTTP2Case(
            "8.1.1 two lengths", .protocolError,
            RawFrame.headers(
                1,
                HTTP2Fields(
                    plainRequest.list + [
                        HTTP2Field("content-length", "1"), HTTP2Field("content-length", "2"),
                    ]))),
        HTTP2Case(
            "8.1.1 a length that is no number", .protocolError, Self.with("content-length", "+1")),
        HTTP2Case("8.2 a name with capitals", .protocolError, Self.with("X-Name", "a")),
        HTTP2Case("8.2.1 a name with a blank", .protocolError, Self.with("a b", "a")),
        HTTP2Case("8.2.1 an empty name", .protocolError, Self.with("", "a")),
        HTTP2Case("8.2.1 a value with a line end", .protocolError, Self.with("a", "b\r\nc")),
        HTTP2Case("8.2.1 a value with a zero", .protocolError, Self.with("a", "b\u{0}c")),
        HTTP2Case("8.2.1 a value with white space around it", .protocolError, Self.with("a", " b")),
        HTTP2Case("8.2.2 connection", .protocolError, Self.with("connection", "close")),
        HTTP2Case("8.2.2 keep-alive", .protocolError, Self.with("keep-alive", "1")),
        HTTP2Case("8.2.2 proxy-connection", .protocolError, Self.with("proxy-connection", "a")),
        HTTP2Case(
            "8.2.2 transfer-encoding", .protocolError, Self.with("transfer-encoding", "chunked")),
        HTTP2Case("8.2.2 upgrade", .protocolError, Self.with("upgrade", "h2c")),
        HTTP2Case("8.2.2 te other than trailers", .protocolError, Self.with("te", "gzip")),
        HTTP2Case(
            "8.3 an unknown pseudo field", .protocolError,
            Self.fields(plainRequest.list + [HTTP2Field(":test", "a")])),
        HTTP2Case(
            "8.3 an answer's pseudo field", .protocolError,
            Self.fields(plainRequest.list + [HTTP2Field(":status", "200")])),
        HTTP2Case(
            "8.3 a pseudo field behind others", .protocolError,
            Self.fields([HTTP2Field("a", "b")] + plainRequest.list)),
        HTTP2Case(
            "8.3.1 an empty :path", .protocolError,
            Self.fields(Array(plainRequest.list[..<2]) + [HTTP2Field(":path", "")])),
        HTTP2Case("8.3.1 no :method", .protocolError, Self.fields(Array(plainRequest.list[1...]))),
        HTTP2Case(
            "8.3.1 no :scheme", .protocolError,
            Self.fields([plainRequest.list[0], plainRequest.list[2]])),
        HTTP2Case("8.3.1 no :path", .protocolError, Self.fields(Array(plainRequest.list[..<2]))),
        HTTP2Case(
            "8.3.1 two :path", .protocolError,
            Self.fields(plainRequest.list + [plainRequest.list[2]])),
        HTTP2Case(
            "8.3.1 a :path without its slash", .protocolError,
            Self.fields(Array(plainRequest.list[..<2]) + [HTTP2Field(":path", "a")])),
        HTTP2Case("8.3.1 :authority and host differ", .protocolError, Self.with("host", "other")),
        HTTP2Case(
            "8.5 CONNECT with a :path", .protocolError,
            Self.fields([HTTP2Field(":method", "CONNECT")] + plainRequest.list[1...])),
    ]

    static func with(_ name: String, _ value: String, ends: Bool = false) -> RawFrame {
        .headers(1, HTTP2Fields(plainRequest.list + [HTTP2Field(name, value)]), ends: ends)
    }

    static func fields(_ list: [HTTP2Field]) -> RawFrame { .headers(1, HTTP2Fields(list)) }

    @Test("breaks the stream off, and the connection goes on", arguments: broken)
    func breaksStream(_ item: HTTP2Case) {
        let bench = HTTP2Bench()
        for frame in item.frames { bench.push(frame) }
        #expect(bench.resetCode(1) == item.code)
        if case .reset(1, let reset)? = bench.told().last {
            if reset.isOurs { #expect(reset.failure.code == item.code) }
            #expect(!reset.failure.reason.isEmpty)
        }
        bench.push(.headers(3, plainRequest, ends: true))
        #expect(bench.told() == [.head(stream: 3, plainRequest, ends: true)])
    }

    static let answers: [HTTP2Case] = [
        HTTP2Case("8.1 DATA before the fields", .protocolError, .data(1, "x")),
        HTTP2Case(
            "8.1 an interim answer that ends", .protocolError,
            .headers(1, [HTTP2Field(":status", "103")], ends: true)),
        HTTP2Case("8.3.2 no :status", .protocolError, .headers(1, [HTTP2Field("a", "b")])),
        HTTP2Case(
            "8.3.2 a :status of two digits", .protocolError,
            .headers(1, [HTTP2Field(":status", "20")])),
        HTTP2Case(
            "8.3.2 a request's pseudo field", .protocolError,
            .headers(1, [HTTP2Field(":status", "200"), HTTP2Field(":path", "/")])),
        HTTP2Case("8.6 101", .protocolError, .headers(1, [HTTP2Field(":status", "101")])),
        HTTP2Case(
            "8.1.1 204 with a body", .protocolError, .headers(1, [HTTP2Field(":status", "204")]),
            .data(1, "x")),
    ]

    @Test("answers that are malformed", arguments: answers)
    func refusesAnswer(_ item: HTTP2Case) throws {
        let bench = HTTP2Bench(.client)
        #expect(try bench.open(ends: true) == 1)
        for frame in item.frames { bench.push(frame) }
        #expect(bench.resetCode(1) == item.code)
        guard case .reset(1, let reset)? = bench.told().last else {
            Issue.record("the stream is not broken off")
            return
        }
        #expect(reset.isOurs)
        #expect(bench.connection.canOpen)
    }

    static let byServers: [HTTP2Case] = [
        HTTP2Case("5.1.1 streams of the server's", .protocolError, .headers(2, plainAnswer)),
        HTTP2Case("5.1 answers nobody asked for", .protocolError, .headers(1, plainAnswer)),
        HTTP2Case("6.5.2 a server that enables pushing", .protocolError, .settings((2, 1))),
        HTTP2Case(
            "6.6 PUSH_PROMISE", .protocolError,
            RawFrame(kind: 5, flags: 4, stream: 1, payload: [0, 0, 0, 2])),
    ]

    @Test(
        "a client's connection ends for what a server may not do",
        arguments: byServers)
    func endsClient(_ item: HTTP2Case) {
        let bench = HTTP2Bench(.client)
        for frame in item.frames { bench.push(frame) }
        #expect(bench.failure()?.code == item.code)
    }

    @Test("3.4 the first bytes and the first frame")
    func prefaces() {
        var bench = HTTP2Bench(greeted: false)
        bench.push(Array("PRI * HTTP/1".utf8))
        #expect(bench.failure()?.code == .protocolError)
        bench = HTTP2Bench(greeted: false)
        bench.push(HTTP2Connection.preface + RawFrame.ping().bytes)
        #expect(bench.failure()?.code == .protocolError)
        bench = HTTP2Bench(greeted: false)
        bench.push(HTTP2Connection.preface + RawFrame.ack.bytes)
        #expect(bench.failure()?.code == .protocolError)
        bench = HTTP2Bench(.client, greeted: false)
        bench.push(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        #expect(bench.failure()?.reason == "the server answers in HTTP/1.1, not in HTTP/2")
        // A byte at a time.
        bench = HTTP2Bench(greeted: false)
        for byte in HTTP2Connection.preface + RawFrame.settings().bytes { bench.push([byte]) }
        #expect(bench.connection.isEstablished)
        #expect(bench.sent().map(\.kind) == [4, 8, 4])
    }
}
