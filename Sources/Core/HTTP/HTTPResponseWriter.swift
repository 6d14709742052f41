// Answers into bytes (RFC 9112).

/// How the end of an answer's body is told to the client.
package enum HTTPFraming: Hashable, Sendable {
    /// There is no body, or it went out with the header.
    case complete
    /// Each piece goes out as a chunk.
    case chunked
    /// Pieces go out bare and the end of the connection ends them (HTTP/1.0).
    case untilClose
    /// Pieces are dropped: the request was HEAD, or the status has no body.
    case discarded
}

package enum HTTPResponseWriter {
    /// Appends the header and, unless it is a stream, the body. The caller closes the connection
    /// after the answer unless `keepAlive`; `untilClose` requires that it does.
    ///
    /// Control characters in values become spaces, so that nothing echoed can start a line.
    package static func write(
        _ response: HTTPResponse, isHead: Bool, minorVersion: Int, keepAlive: Bool,
        date: WallTime?, to bytes: inout [UInt8]
    ) -> HTTPFraming {
        invariant(200...599 ~= response.status, "an answer's status is final")
        append("HTTP/1.1 ", &bytes)
        append(response.status, &bytes)
        append(" ", &bytes)
        append(HTTPResponse.reason(response.status), &bytes)
        append("\r\n", &bytes)
        if let date {
            append("Date: ", &bytes)
            HTTPDate.append(date, to: &bytes)
            append("\r\n", &bytes)
        }
        for field in response.headers.fields { self.field(field, to: &bytes) }
        let hasNoBody = response.status == 204 || response.status == 304
        var framing: HTTPFraming
        switch response.body {
        case .bytes(let body):
            // RFC 9110 section 8.6: not with 204; with 304 it would describe the 200.
            if !hasNoBody {
                append("Content-Length: ", &bytes)
                append(body.count, &bytes)
                append("\r\n", &bytes)
            }
            framing = .complete
        case .stream where hasNoBody: framing = .discarded
        case .stream where minorVersion == 0: framing = .untilClose
        case .stream:
            append("Transfer-Encoding: chunked\r\n", &bytes)
            framing = .chunked
        }
        invariant(framing != .untilClose || !keepAlive, "a body that a close ends is the last")
        if !keepAlive {
            append("Connection: close\r\n", &bytes)
        } else if minorVersion == 0 {
            append("Connection: keep-alive\r\n", &bytes)
        }
        append("\r\n", &bytes)
        if case .bytes(let body) = response.body, !isHead, !hasNoBody {
            bytes.append(contentsOf: body)
        }
        if isHead, framing != .complete { framing = .discarded }
        return framing
    }

    /// Appends a piece of a stream. An empty piece adds nothing: an empty chunk would end the body.
    package static func piece(
        _ piece: [UInt8], last: Bool, framing: HTTPFraming, to bytes: inout [UInt8]
    ) {
        switch framing {
        case .chunked:
            if !piece.isEmpty {
                append(String(piece.count, radix: 16) + "\r\n", &bytes)
                bytes.append(contentsOf: piece)
                append("\r\n", &bytes)
            }
            if last { append("0\r\n\r\n", &bytes) }
        case .untilClose: bytes.append(contentsOf: piece)
        case .complete, .discarded: break
        }
    }

    package static func writeContinue(to bytes: inout [UInt8]) {
        append("HTTP/1.1 100 Continue\r\n\r\n", &bytes)
    }

    private static func field(_ field: HTTPHeaders.Field, to bytes: inout [UInt8]) {
        invariant(
            !field.name.isEmpty && field.name.utf8.allSatisfy(HTTPSyntax.isToken),
            "an answer's field has a name")
        for name in reserved {
            invariant(!HTTPHeaders.equal(name, field.name), "the writer alone frames answers")
        }
        append(field.name, &bytes)
        append(": ", &bytes)
        let start = bytes.count
        append(field.value, &bytes)
        for index in start..<bytes.count where HTTPSyntax.isControl(bytes[index]) {
            bytes[index] = 0x20
        }
        append("\r\n", &bytes)
    }

    private static let reserved = [
        "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Date",
    ]

    private static func append(_ number: Int, _ bytes: inout [UInt8]) {
        if number >= 10 { append(number / 10, &bytes) }
        bytes.append(UInt8(ascii: "0") + UInt8(number % 10))
    }

    private static func append(_ text: String, _ bytes: inout [UInt8]) {
        bytes.append(contentsOf: text.utf8)
    }
}
