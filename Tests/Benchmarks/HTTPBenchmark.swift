// How fast bytes become requests, and a whole exchange over one connection.

import Core

private let plainRequest = """
    GET /v1/jobs/nightly-backup?pretty HTTP/1.1\r
    Host: localhost:8080\r
    User-Agent: curl/7.88.1\r
    Accept: */*\r
    \r\n
    """

private let browserFields = """
    Host: scheduler.example.com:8080\r
    Connection: keep-alive\r
    Accept: application/json, text/plain, */*\r
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r
    Referer: http://scheduler.example.com:8080/ui/\r
    Accept-Encoding: gzip, deflate\r
    Accept-Language: en-GB,en;q=0.9\r
    Content-Type: application/json\r\n
    """

func httpBenchmarks() {
    let body = String(repeating: "x", count: 700)
    let length = "Content-Length: 700\r\n\r\n"
    parsing("plain GET", plainRequest)
    parsing(
        "POST of a browser, 700 bytes", "POST /v1/jobs HTTP/1.1\r\n" + browserFields + length + body
    )
    exchanging()
}

private func parsing(_ name: String, _ text: String) {
    let bytes = Array(text.utf8)
    let rounds = 200_000
    var sum: UInt64 = 0
    let scan = reportRate("\(name): byte scan", rounds, bytes.count) { round in
        var part = UInt64(round)
        for byte in bytes { part &+= UInt64(byte) }
        sum &+= part
    }
    var parser = HTTPRequestParser()
    let parsed = reportRate("\(name): parsed", rounds, bytes.count) { _ in
        parser.receive(bytes.span)
        if case .request(let request) = parser.next() { sum &+= UInt64(request.target.utf8.count) }
    }
    print("  of the byte scan: 1/\(Int(parsed / scan))  [\(sum & 7)]")
}

private func exchanging() {
    let bytes = Array(plainRequest.utf8)
    let now = Now(monotonic: .zero, wall: WallTime(seconds: 1_900_000_000))
    var connection = HTTPConnection(clientAddress: "127.0.0.1:1", at: now.monotonic)
    let response = HTTPResponse(
        status: 200,
        headers: ["Content-Type": "application/json; charset=utf-8", "X-Whom": "node1"],
        body: .bytes([UInt8](repeating: 0x78, count: 700)))
    var sent = 0
    _ = reportRate("whole exchange", 200_000, bytes.count) { _ in
        connection.receive(bytes.span, at: now.monotonic)
        guard let (number, _) = connection.nextRequest(at: now) else { return }
        connection.respond(number, response, at: now)
        let count = connection.outgoing.count
        sent += count
        connection.didSend(count, at: now.monotonic)
    }
    print("  answers of \(sent / 200_000) bytes")
}
