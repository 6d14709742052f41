// Why an answer could not be read, and what one may cost us.

/// Bounds of one answer.
package struct HTTPResponseLimits: Hashable, Sendable {
    /// The status line without its line end, in bytes.
    package var statusLine = 8 << 10
    /// All field lines of a head, or of the trailers, with their line ends, in bytes.
    package var fieldBytes = 64 << 10
    /// Field lines of a head.
    package var fields = 200
    /// A body, in bytes, chunk framing not counted. Bodies are handed on in pieces, so this bounds
    /// what a reader is given, not what the parser keeps.
    package var body = 256 << 20
    /// A chunk's size line without its line end, extensions included, in bytes.
    package var chunkLine = 256
    /// Interim answers (1xx) before the final one.
    package var interim = 10

    package init() {}
}

/// What is wrong with an answer.
package enum HTTPResponseFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The connection ended without a byte.
    case noAnswer
    case endedInHead
    case endedInBody
    /// The first bytes are not those of an answer.
    case notHTTP
    /// The first byte is that of a TLS record.
    case tls
    case unknownVersion
    case malformedStatusLine
    case malformedField
    case headTooLong
    case tooManyInterim
    case switchedProtocol
    case ambiguousLength
    case unknownCoding
    case malformedChunk
    /// The limit, in bytes.
    case bodyTooLong(Int)

    /// A sentence without its full stop. It holds nothing of what the server sent.
    package var description: String {
        switch self {
        case .noAnswer: "the connection was closed without an answer"
        case .endedInHead: "the connection was closed in the middle of the answer's header"
        case .endedInBody: "the connection was closed before the answer was complete"
        case .notHTTP: "what answers does not speak HTTP/1"
        case .tls: "what answers speaks TLS, not plain HTTP"
        case .unknownVersion: "the answer's version is not HTTP/1"
        case .malformedStatusLine: "the first line of the answer is malformed"
        case .malformedField: "a header line of the answer is malformed"
        case .headTooLong: "the header of the answer is too long"
        case .tooManyInterim: "the server sends interim answers without end"
        case .switchedProtocol: "the server changed to another protocol, which nobody asked for"
        case .ambiguousLength: "the length of the answer is ambiguous"
        case .unknownCoding: "the answer has a transfer coding other than chunked"
        case .malformedChunk: "a chunk of the answer is malformed"
        case .bodyTooLong(let limit): "the answer is longer than the \(limit) bytes allowed"
        }
    }
}
