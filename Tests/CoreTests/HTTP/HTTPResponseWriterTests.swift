import Testing

@testable import Core

@Suite("HTTP response writer")
struct HTTPResponseWriterTests {
    private func written(
        _ response: HTTPResponse, isHead: Bool = false, minorVersion: Int = 1,
        keepAlive: Bool = true, date: WallTime? = nil
    ) -> (String, HTTPFraming) {
        var bytes: [UInt8] = []
        let framing = HTTPResponseWriter.write(
            response, isHead: isHead, minorVersion: minorVersion, keepAlive: keepAlive, date: date,
            to: &bytes)
        return (String(decoding: bytes, as: UTF8.self), framing)
    }

    @Test func aBodyHasItsLength() {
        let response = HTTPResponse(
            status: 200, headers: ["Content-Type": "text/plain"], body: .bytes(Array("hello".utf8)))
        let (text, framing) = written(response, date: WallTime(seconds: 784_111_777))
        #expect(
            text == "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                + "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
        #expect(framing == .complete)
        #expect(
            written(response, isHead: true).0
                == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n")
        #expect(written(HTTPResponse(status: 404)).0.hasSuffix("Content-Length: 0\r\n\r\n"))
    }

    @Test func someStatusesHaveNoBody() {
        for body in [HTTPBody.bytes([1, 2]), .stream] {
            let (text, framing) = written(HTTPResponse(status: 204, body: body))
            #expect(text == "HTTP/1.1 204 No Content\r\n\r\n")
            #expect(framing == (body == .stream ? .discarded : .complete))
            #expect(
                written(HTTPResponse(status: 304, body: body)).0
                    == "HTTP/1.1 304 Not Modified\r\n\r\n")
        }
    }

    @Test func connectionFields() {
        let response = HTTPResponse(status: 200)
        #expect(!written(response).0.contains("Connection"))
        #expect(written(response, keepAlive: false).0.contains("\r\nConnection: close\r\n"))
        #expect(written(response, minorVersion: 0).0.contains("\r\nConnection: keep-alive\r\n"))
        #expect(
            written(response, minorVersion: 0, keepAlive: false).0
                .contains("\r\nConnection: close\r\n"))
    }

    @Test func streams() {
        let response = HTTPResponse(status: 200, body: .stream)
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(written(response) == (head, .chunked))
        #expect(written(response, isHead: true) == (head, .discarded))
        #expect(
            written(response, minorVersion: 0, keepAlive: false)
                == ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", .untilClose))
        var bytes: [UInt8] = []
        let piece = [UInt8](repeating: 0x78, count: 17)
        HTTPResponseWriter.piece(piece, last: false, framing: .chunked, to: &bytes)
        HTTPResponseWriter.piece([], last: false, framing: .chunked, to: &bytes)
        HTTPResponseWriter.piece([0x79], last: true, framing: .chunked, to: &bytes)
        let xs = String(repeating: "x", count: 17)
        #expect(String(decoding: bytes, as: UTF8.self) == "11\r\n\(xs)\r\n1\r\ny\r\n0\r\n\r\n")
        bytes = []
        HTTPResponseWriter.piece([0x79], last: true, framing: .untilClose, to: &bytes)
        HTTPResponseWriter.piece([0x79], last: true, framing: .discarded, to: &bytes)
        #expect(bytes == [0x79])
    }

    @Test func nothingEchoedStartsALine() {
        let response = HTTPResponse(
            status: 201, headers: ["Location": "/v1/jobs/a\r\nSet-Cookie: b\0\u{7f}\tñ"])
        #expect(written(response).0.contains("Location: /v1/jobs/a  Set-Cookie: b  \tñ\r\n"))
    }
}
