import Testing

@testable import Core

private typealias Event = HTTPRequestParser.Event

/// Feeds bytes cut at the given places and collects what comes out.
private func events(
    _ bytes: [UInt8], cuts: [Int], limits: HTTPLimits = HTTPLimits()
) -> [Event] {
    var parser = HTTPRequestParser(limits: limits)
    var result: [Event] = []
    var start = 0
    for cut in cuts + [bytes.count] {
        parser.receive(bytes.span.extracting(start..<cut))
        start = cut
        while let event = parser.next() { result.append(event) }
    }
    return result
}

/// Feeds bytes whole, one by one and cut at random, expects the same and returns it.
private func events(_ text: String, limits: HTTPLimits = HTTPLimits()) -> [Event] {
    let bytes = Array(text.utf8)
    let whole = events(bytes, cuts: [], limits: limits)
    #expect(events(bytes, cuts: Array(bytes.indices), limits: limits) == whole, "\(text)")
    var random = PRNG(seed: 3)
    for _ in 0..<8 where bytes.count > 1 {
        let cuts = (0..<random.int(in: 1..<6)).map { _ in random.int(in: 0..<bytes.count) }
        #expect(events(bytes, cuts: cuts.sorted(), limits: limits) == whole, "\(text)")
    }
    return whole
}

private func requests(_ events: [Event]) -> [HTTPRequest] {
    events.compactMap { if case .request(let request) = $0 { request } else { nil } }
}

private func refusal(_ events: [Event]) -> HTTPFailure? {
    if case .failure(let failure) = events.last { failure } else { nil }
}

private let get = "GET / HTTP/1.1\r\nHost: a\r\n"
private let post = "POST /v1/jobs HTTP/1.1\r\nHost: a\r\n"
private let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"

/// What is refused, with the status.
private let refused: [(String, Int)] = [
    // Request lines.
    ("GET /\r\n\r\n", 400), ("GET / \r\n\r\n", 400), ("GET  / HTTP/1.1\r\n\r\n", 400),
    ("GET /  HTTP/1.1\r\n\r\n", 400), (" GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1 \r\n\r\n", 400), ("GET\t/\tHTTP/1.1\r\n\r\n", 400),
    ("GET / a HTTP/1.1\r\n\r\n", 400), ("G\u{1}T / HTTP/1.1\r\n\r\n", 400),
    ("GET / http/1.1\r\n\r\n", 400), ("GET / HTTP/11\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\n\r\n", 400), ("GET / HTTP/x.1\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\n\r\n", 505), ("GET / HTTP/0.9\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("GET a HTTP/1.1\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\n\r\n", 400), ("GET /a#b HTTP/1.1\r\n\r\n", 400),
    ("GET /a\u{7f} HTTP/1.1\r\n\r\n", 400), ("GET ftp://a/ HTTP/1.1\r\n\r\n", 400),
    ("GET http:///a HTTP/1.1\r\n\r\n", 400), ("GET http://u@h/ HTTP/1.1\r\n\r\n", 400),
    ("CONNECT a:80 HTTP/1.1\r\n\r\n", 501), ("\u{16}\u{3}\u{1}", 400), ("{}", 400),
    ("\r\n\r\n\r\n", 400), ("\n", 400), ("GET / HTTP/1.1\n\n", 400),
    ("\rGET / HTTP/1.1\r\n", 400), ("GET / HTTP/1.1\r\r\n", 400),
    // Fields.
    (get + "A : b\r\n\r\n", 400), (get + ": b\r\n\r\n", 400), (get + "A\r\n\r\n", 400),
    (get + " A: b\r\n\r\n", 400), (get + "A: b\r\n c\r\n\r\n", 400),
    (get + "A: b\r\n\tc\r\n\r\n", 400), (get + "A b: c\r\n\r\n", 400),
    (get + "A(: c\r\n\r\n", 400), (get + "A: b\rc\r\n\r\n", 400), (get + "A: b\n\r\n", 400),
    (get + "A: b\u{0}\r\n\r\n", 400), (get + "A: b\u{1}\r\n\r\n", 400),
    (get + "A: b\u{7f}\r\n\r\n", 400), (get + "é: b\r\n\r\n", 400), (get + "\n", 400),
    // Host.
    ("GET / HTTP/1.1\r\n\r\n", 400), (get + "Host: a\r\n\r\n", 400),
    (get + "Host: b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    // Lengths.
    (post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
    (post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    (post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    (post + "Content-Length: 5, 5\r\n\r\n", 400), (post + "Content-Length: 5,6\r\n\r\n", 400),
    (post + "Content-Length:\r\n\r\n", 400), (post + "Content-Length: +5\r\n\r\n", 400),
    (post + "Content-Length: -5\r\n\r\n", 400), (post + "Content-Length: 0x5\r\n\r\n", 400),
    (post + "Content-Length: 5 5\r\n\r\n", 400), (post + "Content-Length: ٥\r\n\r\n", 400),
    (post + "Content-Length: 99999999999999999999999\r\n\r\n", 413),
    (post + "Content-Length: 18446744073709551616\r\n\r\n", 413),
    (post + "Content-Length: 1048577\r\n\r\n", 413),
    (post + "Transfer-Encoding:\r\n\r\n", 400), (post + "Transfer-Encoding: ,\r\n\r\n", 400),
    (post + "Transfer-Encoding: gzip\r\n\r\n", 501),
    (post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (post + "Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: identity\r\n\r\n", 501),
    (post + "Transfer-Encoding: xchunked\r\n\r\n", 501),
    (post + "Transfer-Encoding: \"chunked\"\r\n\r\n", 501),
    (post + "Transfer-Encoding: chunked;a=b\r\n\r\n", 501),
    (post + "Transfer-Encoding : chunked\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    // Chunks.
    (chunked + "\r\n", 400), (chunked + "g\r\n", 400), (chunked + "0x1\r\n", 400),
    (chunked + "-1\r\n", 400), (chunked + " 1\r\n", 400), (chunked + "1 \r\n", 400),
    (chunked + "1 ;a\r\n", 400), (chunked + "1\n", 400), (chunked + "1;a\u{1}\r\n", 400),
    (chunked + "1;a\rb\r\n", 400), (chunked + "10000000000000001\r\n", 400),
    (chunked + "00000000000000001\r\n", 400), (chunked + "ffffffffffffffff\r\n", 413),
    (chunked + "100001\r\n", 413), (chunked + "1\r\nab\r\n", 400),
    (chunked + "1\r\na\n", 400), (chunked + "1\r\na0\r\n\r\n", 400),
    (chunked + "0\r\nA : b\r\n\r\n", 400), (chunked + "0\r\n A: b\r\n\r\n", 400),
    (chunked + "0\r\nA\r\n\r\n", 400), (chunked + "0\r\n\n", 400),
    // Expectations.
    (get + "Expect: 200-ok\r\n\r\n", 417),
    (post + "Content-Length: 1\r\nExpect: 100-continue, x\r\n\r\n", 417),
    (post + "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417),
]

@Suite("HTTP request parser")
struct HTTPRequestParserTests {
    @Test func aPlainRequest() throws {
        let text =
            "GET /v1/jobs?pretty&q=a%20b HTTP/1.1\r\nhost: localhost:8080\r\n"
            + "Accept:*/*\r\nX-Empty:\r\nX-Space: \t a b \t\r\nACCEPT: text/html\r\n\r\n"
        let found = events(text)
        let request = try #require(requests(found).first)
        #expect(found.count == 1)
        #expect(request.method == .get)
        #expect(request.target == "/v1/jobs?pretty&q=a%20b")
        #expect(request.path == "/v1/jobs")
        #expect(request.query == "pretty&q=a%20b")
        #expect(request.minorVersion == 1)
        #expect(request.body.isEmpty)
        #expect(request.headers["HOST"] == "localhost:8080")
        #expect(request.headers.values(of: "accept") == ["*/*", "text/html"])
        #expect(request.headers["X-Empty"] == "")
        #expect(request.headers["X-Space"] == "a b")
    }

    @Test func pipelinedRequestsOfEveryKind() {
        let text =
            get + "\r\n" + post + "Content-Length: 5\r\n\r\nhello" + "\r\n"
            + chunked + "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
            + "HEAD /x HTTP/1.0\r\n\r\n" + post + "Content-Length: 0\r\n\r\n" + chunked
            + "000\r\n\r\n" + "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"
        let found = requests(events(text))
        #expect(found.map(\.method) == [.get, .post, .post, .head, .post, .post, .options])
        let bodies = found.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies == ["", "hello", "abc0123456789", "", "", "", ""])
        #expect(found.map(\.minorVersion) == [1, 1, 1, 0, 1, 1, 1])
        #expect(found.last?.path == "*")
        #expect(found[2].headers["X-Sum"] == nil)
    }

    /// Request lines that are taken: line, method, path, query, minor version.
    @Test(arguments: [
        ("GET / HTTP/1.1", HTTPMethod.get, "/", nil, 1),
        ("get / HTTP/1.1", .other("get"), "/", nil, 1),
        ("M-SEARCH /a HTTP/1.1", .other("M-SEARCH"), "/a", nil, 1),
        ("PATCH /a?b?c HTTP/1.9", .patch, "/a", "b?c", 1),
        ("DELETE /? HTTP/1.0", .delete, "/", "", 0),
        ("PUT //a//b HTTP/1.1", .put, "//a//b", nil, 1),
        ("GET /%zz HTTP/1.1", .get, "/%zz", nil, 1),
        ("GET /año HTTP/1.1", .get, "/año", nil, 1),
        ("GET http://b:80/c?d HTTP/1.1", .get, "/c", "d", 1),
        ("GET HTTPS://b HTTP/1.1", .get, "/", nil, 1),
        ("GET http://b?x HTTP/1.1", .get, "/", "x", 1),
    ])
    func requestLines(
        _ line: String, _ method: HTTPMethod, _ path: String, _ query: String?, _ version: Int
    ) {
        let found = requests(events(line + "\r\nHost: a\r\n\r\n"))
        #expect(found.map(\.method) == [method])
        #expect(found.map(\.path) == [path])
        #expect(found.map(\.query) == [query])
        #expect(found.map(\.minorVersion) == [version])
    }

    @Test func anAbsoluteTargetNamesTheHost() {
        let found = requests(events("GET http://b:80/c HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(found.first?.headers["Host"] == "b:80")
    }

    @Test func refusals() throws {
        for (text, status) in refused { try expectRefusal(text, status) }
    }

    private func expectRefusal(_ text: String, _ status: Int) throws {
        let found = events(text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        let failure = try #require(refusal(found), "\(text)")
        #expect(failure.status == status, "\(text) \(failure.message)")
        #expect(requests(found).isEmpty)
        #expect(!failure.message.contains { $0 == "\"" || $0 == "\\" || $0.isNewline })
    }

    @Test func aFailureEndsEverything() {
        let found = events(get + "\r\n" + "GET / HTTP/3.0\r\n\r\n" + get + "\r\n")
        #expect(requests(found).count == 1)
        #expect(refusal(found)?.status == 505)
        #expect(found.count == 2)
    }

    @Test func lineAndFieldLimits() {
        var limits = HTTPLimits()
        limits.requestLine = 30
        limits.fieldBytes = 40
        limits.fields = 3
        let room = "GET /" + String(repeating: "a", count: 16)  // with " HTTP/1.1" 30 bytes
        let host = "Host: a\r\n"
        #expect(requests(events(room + " HTTP/1.1\r\n" + host + "\r\n", limits: limits)).count == 1)
        #expect(refusal(events(room + "a HTTP/1.1\r\n", limits: limits))?.status == 414)
        #expect(refusal(events(room + "aaaaaaaaaaaaaaaaa", limits: limits))?.status == 414)
        let start = "GET / HTTP/1.1\r\n" + host
        let full = start + "B: " + String(repeating: "b", count: 26) + "\r\n"  // 40 bytes
        #expect(requests(events(full + "\r\n", limits: limits)).count == 1)
        #expect(refusal(events(full + "C:d\r\n\r\n", limits: limits))?.status == 431)
        #expect(
            refusal(events(start + String(repeating: "b", count: 33), limits: limits))?.status
                == 431)
        let fields = start + "B:\r\nC:\r\n"
        #expect(requests(events(fields + "\r\n", limits: limits)).count == 1)
        #expect(refusal(events(fields + "D:\r\n\r\n", limits: limits))?.status == 431)
    }

    @Test func bodyLimitsOfBothPaths() {
        var limits = HTTPLimits()
        limits.body = 10
        limits.largeBody = 20
        limits.chunkLine = 8
        func outcome(_ path: String, _ length: Int) -> Int {
            let body = String(repeating: "x", count: length)
            let head = "POST \(path) HTTP/1.1\r\nHost: a\r\n"
            let known = events(head + "Content-Length: \(length)\r\n\r\n" + body, limits: limits)
            var text = head + "Transfer-Encoding: chunked\r\n\r\n"
            for _ in 0..<length { text += "1\r\nx\r\n" }
            let pieces = events(text + "0\r\n\r\n", limits: limits)
            #expect(requests(known).map(\.body) == requests(pieces).map(\.body))
            #expect(refusal(known) == refusal(pieces))
            return refusal(known)?.status ?? 200
        }
        #expect(outcome("/v1/jobs", 10) == 200)
        #expect(outcome("/v1/jobs", 11) == 413)
        #expect(outcome("/v1/restore", 20) == 200)
        #expect(outcome("/v1/restore?strict", 20) == 200)
        #expect(outcome("/v1/restore/", 20) == 200)
        #expect(outcome("/v1/restore", 21) == 413)
        #expect(outcome("/v1/restored", 11) == 413)
        #expect(refusal(events(chunked + "1;abcdef\r\n", limits: limits)) == nil)
        #expect(refusal(events(chunked + "1;abcdefg\r\n", limits: limits))?.status == 400)
    }

    @Test func aLengthBeyondTheLimitIsRefusedBeforeTheBodyComes() {
        let found = events(post + "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
        #expect(found.count == 1)
        #expect(refusal(found)?.status == 413)
    }

    @Test func trailersAreBounded() {
        var limits = HTTPLimits()
        limits.fieldBytes = 40
        #expect(
            refusal(
                events(chunked + "0\r\n" + String(repeating: "A:b\r\n", count: 9), limits: limits))?
                .status == 431)
        // The header's own bytes do not count against the trailers.
        let found = events(
            "POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding:chunked\r\n\r\n0\r\nA: "
                + String(repeating: "b", count: 30) + "\r\n\r\n", limits: limits)
        #expect(requests(found).count == 1)
    }

    @Test func expectations() {
        let expect = "Expect: 100-Continue\r\n"
        let body = post + expect + "Content-Length: 2\r\n\r\n"
        #expect(events(body) == [.needContinue])
        #expect(events(body + "ab").count == 2)
        #expect(events(post + expect + "Transfer-Encoding: chunked\r\n\r\n") == [.needContinue])
        #expect(requests(events(post + expect + "Content-Length: 0\r\n\r\n")).count == 1)
        #expect(events(get + expect + "\r\n").count == 1)
        let old = "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\nx"
        #expect(requests(events(old)).count == 1)
    }

    @Test func phases() {
        var parser = HTTPRequestParser()
        func push(_ text: String) -> HTTPRequestParser.Phase {
            parser.receive(Array(text.utf8).span)
            while parser.next() != nil {}
            return parser.phase
        }
        #expect(parser.phase == .idle)
        #expect(push("\r\n") == .idle)
        #expect(push("G") == .head)
        #expect(parser.isMidRequest && parser.hasBufferedBytes)
        #expect(push("ET / HTTP/1.1\r\nHost: a\r\n") == .head)
        #expect(push("Content-Length: 3\r\n\r\n") == .body)
        #expect(push("ab") == .body)
        #expect(push("c") == .idle)
        #expect(!parser.isMidRequest && !parser.hasBufferedBytes)
        #expect(push("GET / HTTP/9.1\r\n") == .idle)
    }

    @Test func aLargeBodyInSmallPieces() {
        var parser = HTTPRequestParser()
        let head = "POST /v1/restore HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
        parser.receive(Array(head.utf8).span)
        #expect(parser.next() == nil)
        let piece = [UInt8](repeating: 7, count: 1000)
        for _ in 0..<2999 {
            parser.receive(piece.span)
            #expect(parser.next() == nil)
        }
        parser.receive((piece + Array("GET".utf8)).span)
        guard case .request(let request) = parser.next() else {
            Issue.record("no request")
            return
        }
        #expect(request.body == [UInt8](repeating: 7, count: 3_000_000))
        #expect(parser.next() == nil)
        #expect(parser.phase == .head)
    }
}
