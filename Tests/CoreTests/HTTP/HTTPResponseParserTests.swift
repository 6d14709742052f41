import Testing

@testable import Core

/// What an answer amounts to, however its body was cut.
private struct Outcome: Equatable {
    var head: HTTPResponseHead?
    var body: [UInt8] = []
    var isComplete = false
    var failure: HTTPResponseFailure?

    var text: String { String(decoding: body, as: UTF8.self) }
}

private func read(
    _ bytes: [UInt8], cuts: [Int], ends: Bool, isHead: Bool, limits: HTTPResponseLimits
) -> Outcome {
    var parser = HTTPResponseParser(limits: limits, isHead: isHead)
    var outcome = Outcome()
    func take() {
        while let event = parser.next() {
            #expect(!outcome.isComplete && outcome.failure == nil, "an event after the last one")
            switch event {
            case .head(let head):
                #expect(outcome.head == nil)
                outcome.head = head
            case .body(let piece):
                #expect(!piece.isEmpty)
                outcome.body += piece
            case .end: outcome.isComplete = true
            case .failure(let failure): outcome.failure = failure
            }
        }
    }
    var start = 0
    for cut in cuts + [bytes.count] {
        parser.receive(bytes.span.extracting(start..<cut))
        start = cut
        take()
    }
    if ends {
        parser.receiveEnd()
        take()
        #expect(parser.isFinished)
    }
    return outcome
}

/// Reads an answer whole, byte by byte and cut at random, and expects the same each time.
private func read(
    _ text: String, ends: Bool = true, isHead: Bool = false,
    limits: HTTPResponseLimits = HTTPResponseLimits()
) -> Outcome {
    let bytes = Array(text.utf8)
    func outcome(_ cuts: [Int]) -> Outcome {
        read(bytes, cuts: cuts, ends: ends, isHead: isHead, limits: limits)
    }
    let whole = outcome([])
    #expect(outcome(Array(bytes.indices)) == whole, "\(text)")
    var random = PRNG(seed: 5)
    for _ in 0..<8 where bytes.count > 1 {
        let cuts = (0..<random.int(in: 1..<6)).map { _ in random.int(in: 0..<bytes.count) }
        #expect(outcome(cuts.sorted()) == whole, "\(text)")
    }
    return whole
}

private let ok = "HTTP/1.1 200 OK\r\n"
private let chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"

/// Small bounds, each of which the rows below go beyond.
private let small: HTTPResponseLimits = {
    var limits = HTTPResponseLimits()
    limits.statusLine = 40
    limits.fieldBytes = 60
    limits.fields = 3
    limits.body = 10
    limits.chunkLine = 16
    limits.interim = 2
    return limits
}()

/// What is refused, with the reason; the connection ends behind it.
private let refused: [(String, HTTPResponseFailure)] = [
    ("", .noAnswer), ("H", .endedInHead), ("HTTP/1.1 200 OK", .endedInHead),
    (ok + "A: b\r\n", .endedInHead), ("\u{15}\u{3}\u{3}\0\u{2}", .tls), ("\u{16}\u{3}", .tls),
    ("SSH-2.0-OpenSSH\r\n", .notHTTP), ("http/1.1 200 OK\r\n\r\n", .notHTTP),
    (" HTTP/1.1 200 OK\r\n\r\n", .notHTTP), ("\r\nHTTP/1.1 200 OK\r\n\r\n", .notHTTP),
    ("HTTP/2.0 200 OK\r\n\r\n", .unknownVersion), ("HTTP/0.9 200 OK\r\n\r\n", .unknownVersion),
    ("HTTP/1.1\r\n\r\n", .malformedStatusLine), ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/1.1 20 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/1.1 099 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/1.1 2x0 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/11 200 OK\r\n\r\n", .malformedStatusLine),
    ("HTTP/1.1 200 O\u{1}K\r\n\r\n", .malformedStatusLine),
    (ok + "A b\r\n\r\n", .malformedField), (ok + ": b\r\n\r\n", .malformedField),
    (ok + "A : b\r\n\r\n", .malformedField), (ok + "A: \u{0}\r\n\r\n", .malformedField),
    // Folded onto the status line: how one answer is made to look like two.
    (ok + " A: b\r\n\r\n", .malformedField), (ok + "A: b\r\n \u{1}\r\n\r\n", .malformedField),
    (ok + "Content-Length: 5\r\n\r\nabcd", .endedInBody),
    (ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", .ambiguousLength),
    (ok + "Content-Length: 5, 6\r\n\r\n", .ambiguousLength),
    (ok + "Content-Length:\r\n\r\n", .ambiguousLength),
    (ok + "Content-Length: -5\r\n\r\n", .ambiguousLength),
    (ok + "Content-Length: 0x5\r\n\r\n", .ambiguousLength),
    (ok + "Transfer-Encoding: gzip\r\n\r\n", .unknownCoding),
    (ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", .unknownCoding),
    (ok + "Transfer-Encoding: chunked, chunked\r\n\r\n", .unknownCoding),
    (ok + "Transfer-Encoding:\r\n\r\n", .unknownCoding),
    (chunked, .endedInBody), (chunked + "5\r\nab", .endedInBody),
    (chunked + "2\r\nab", .endedInBody), (chunked + "2\r\nab\r\n", .endedInBody),
    (chunked + "2\r\nab\r\n0\r\n", .endedInBody), (chunked + "x\r\n", .malformedChunk),
    (chunked + "2\n", .malformedChunk), (chunked + "2\r\nabc\r\n", .malformedChunk),
    (chunked + "2\r\nab\n", .malformedChunk), (chunked + "-1\r\n", .malformedChunk),
    (chunked + "10000000000000000\r\n", .malformedChunk),
    (chunked + "0\r\nA b\r\n\r\n", .malformedField),
    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", .switchedProtocol),
]

/// What goes beyond the small bounds.
private let tooMuch: [(String, HTTPResponseFailure)] = [
    ("HTTP/1.1 200 " + String(repeating: "a", count: 40), .headTooLong),
    (ok + "A: " + String(repeating: "a", count: 60), .headTooLong),
    (ok + "A: a\r\nB: b\r\nC: c\r\nD: d\r\n\r\n", .headTooLong),
    (ok + "A: a\r\n " + String(repeating: "a", count: 60), .headTooLong),
    (ok + "Content-Length: 11\r\n\r\n", .bodyTooLong(10)),
    (ok + "Content-Length: 99999999999999999999999\r\n\r\n", .bodyTooLong(10)),
    (ok + "\r\n12345678901", .bodyTooLong(10)),
    (chunked + "b\r\n", .bodyTooLong(10)), (chunked + "6\r\n123456\r\n5\r\n", .bodyTooLong(10)),
    (chunked + "ffffffffffffffff\r\n", .bodyTooLong(10)),
    (chunked + "1;aaaaaaaaaaaaaaaa", .malformedChunk),
    (chunked + "0\r\nA: " + String(repeating: "a", count: 60), .headTooLong),
    (String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 3), .tooManyInterim),
]

@Suite("HTTP response parser")
struct HTTPResponseParserTests {
    @Test func aLength() throws {
        let outcome = read(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX: a\r\nx: b\r\n\r\nhello", ends: false)
        let head = try #require(outcome.head)
        #expect(head.status == 404 && head.reason == "Not Found" && head.minorVersion == 1)
        #expect(head.headers.values(of: "X") == ["a", "b"])
        #expect(outcome.text == "hello" && outcome.isComplete && outcome.failure == nil)
    }

    @Test func chunks() {
        let outcome = read(
            chunked + "5;a=\"b\"\r\nhello\r\n0B\r\n, you world\r\n000\r\nTrailer: x\r\n\r\n",
            ends: false)
        #expect(outcome.text == "hello, you world" && outcome.isComplete)
        #expect(outcome.head?.headers.contains("Trailer") == false)
    }

    @Test func untilTheConnectionEnds() {
        #expect(!read(ok + "\r\nhello", ends: false).isComplete)
        let outcome = read("HTTP/1.0 200 OK\r\n\r\nhello")
        #expect(outcome.text == "hello" && outcome.isComplete)
        #expect(outcome.head?.minorVersion == 0)
        #expect(read(ok + "\r\n").isComplete)
    }

    @Test(
        "answers without a body",
        arguments: [
            ("HTTP/1.1 204 No Content\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false),
            (ok + "Content-Length: 5\r\n\r\n", true),
            (ok + "Transfer-Encoding: chunked\r\n\r\n", true), (ok + "\r\n", true),
            (ok + "Content-Length: 0\r\n\r\n", false), (ok + "Content-Length: 000\r\n\r\n", false),
        ])
    func noBody(text: String, isHead: Bool) {
        let outcome = read(text, ends: false, isHead: isHead)
        #expect(outcome.isComplete && outcome.body.isEmpty, "\(text)")
    }

    @Test func whatServersGetAwayWith() {
        #expect(read("HTTP/1.1 200\r\n\r\n").head?.reason == "")
        #expect(read("HTTP/1.1 200 \r\n\r\n").head?.reason == "")
        #expect(read("HTTP/1.9 299 Fine\r\n\r\n").head?.minorVersion == 1)
        #expect(read("HTTP/1.1 799 Odd\r\n\r\n").head?.status == 799)
        let bare = read("HTTP/1.1 200 OK\nContent-Length: 2\n\nab")
        #expect(bare.text == "ab" && bare.isComplete)
        let folded = read(ok + "A: b\r\n\t c \r\n \r\nContent-Length: 0\r\n\r\n")
        #expect(folded.head?.headers["A"] == "b c" && folded.isComplete)
        for lengths in ["2\r\nContent-Length: 2", "2, 2"] {
            #expect(read(ok + "Content-Length: \(lengths)\r\n\r\nab").text == "ab")
        }
        // Chunks win over a length, and count in HTTP/1.0 too.
        let both = read(ok + "Content-Length: 1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")
        #expect(both.isComplete && both.body.isEmpty)
        let old = read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        #expect(old.isComplete && old.text == "a")
    }

    @Test func interimAnswersAreSkipped() {
        let outcome = read(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok
                + "Content-Length: 1\r\n\r\na", ends: false)
        #expect(outcome.isComplete && outcome.text == "a")
        #expect(outcome.head?.headers.contains("Link") == false)
    }

    @Test func whatFollowsAnAnswerIsDropped() {
        let outcome = read(ok + "Content-Length: 1\r\n\r\na" + ok + "\r\nb")
        #expect(outcome.isComplete && outcome.text == "a" && outcome.failure == nil)
    }

    @Test("refusals", arguments: refused)
    func refusal(text: String, failure: HTTPResponseFailure) {
        let outcome = read(text)
        #expect(outcome.failure == failure && !outcome.isComplete, "\(text)")
        #expect(!failure.description.isEmpty)
    }

    @Test("limits", arguments: tooMuch)
    func limit(text: String, failure: HTTPResponseFailure) {
        #expect(read(text, ends: false, limits: small).failure == failure, "\(text)")
    }

    @Test func exactlyTheLimitsIsFine() {
        let bodies = [
            "Content-Length: 10\r\n\r\n1234567890", "\r\n1234567890",
            "Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n6\r\n567890\r\n0\r\n\r\n",
        ]
        for body in bodies {
            let outcome = read(ok + body, limits: small)
            #expect(outcome.isComplete && outcome.text == "1234567890", "\(body)")
        }
        let full = "A: \(String(repeating: "a", count: 55))\r\n"
        #expect(read(ok + full + "\r\n", limits: small).isComplete)
    }

    @Test func whatTheServerWritesIsRead() throws {
        for status in [200, 201, 204, 304, 404, 503] {
            for minorVersion in 0...1 {
                for isStream in [false, true] {
                    var bytes: [UInt8] = []
                    let response = HTTPResponse(
                        status: status, headers: ["A": "b"],
                        body: isStream ? .stream : .bytes(Array("hello".utf8)))
                    let framing = HTTPResponseWriter.write(
                        response, isHead: false, minorVersion: minorVersion, keepAlive: false,
                        date: WallTime(seconds: 0), to: &bytes)
                    if isStream {
                        for (piece, last) in [("hel", false), ("lo", true)] {
                            HTTPResponseWriter.piece(
                                Array(piece.utf8), last: last, framing: framing, to: &bytes)
                        }
                    }
                    let outcome = read(String(decoding: bytes, as: UTF8.self))
                    #expect(outcome.head?.status == status && outcome.head?.headers["A"] == "b")
                    #expect(outcome.isComplete)
                    #expect(outcome.text == ([204, 304].contains(status) ? "" : "hello"))
                }
            }
        }
    }

    @Test func whatIsAskedIsReadByTheServer() throws {
        let bytes = HTTPRequestWriter.bytes(
            .post, target: "/v1/jobs?a=b", host: "[::1]:8080", headers: ["X": "a\r\nb"],
            body: [1, 2])
        var parser = HTTPRequestParser()
        parser.receive(bytes.span)
        guard case .request(let request)? = parser.next() else {
            Issue.record("no request")
            return
        }
        #expect(request.method == .post && request.target == "/v1/jobs?a=b")
        #expect(request.headers["X"] == "a  b" && request.headers["Host"] == "[::1]:8080")
        #expect(request.headers["Connection"] == "close" && request.body == [1, 2])
        let empty = HTTPRequestWriter.bytes(.put, target: "/", host: "a")
        #expect(String(decoding: empty, as: UTF8.self).contains("Content-Length: 0\r\n"))
        let get = HTTPRequestWriter.bytes(.get, target: "/", host: "a")
        #expect(!String(decoding: get, as: UTF8.self).contains("Content-Length"))
    }
}
