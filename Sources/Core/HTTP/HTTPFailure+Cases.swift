// Every reason for which a request is refused before it is handled.

extension HTTPFailure {
    static let malformedRequestLine = HTTPFailure(
        400, "malformed_request",
        "The request line is malformed; it reads: method, target, HTTP/1.1, one space apart."
    )
    static let tlsOnPlainPort = HTTPFailure(
        400, "tls_on_plain_port",
        "A TLS handshake arrived on a port that speaks plain HTTP; use http:// in the address.")
    static let malformedTarget = HTTPFailure(
        400, "malformed_target",
        "The request target is malformed; it starts with / and other characters are"
            + " percent-encoded.")
    static let requestLineTooLong = HTTPFailure(
        414, "target_too_long", "The request line is longer than this server takes.")
    static let unknownVersion = HTTPFailure(
        505, "unknown_version", "This server speaks HTTP/1.1 and HTTP/1.0 only.")
    static let connectMethod = HTTPFailure(
        501, "unknown_method", "This server is not a proxy: CONNECT is not supported.")
    static let bareLineFeed = HTTPFailure(
        400, "malformed_request", "Lines of a request end with CR LF.")
    static let foldedField = HTTPFailure(
        400, "malformed_header", "A header line starts with white space; fields are not folded.")
    static let spaceInFieldName = HTTPFailure(
        400, "malformed_header", "White space stands in or behind the name of a header field.")
    static let malformedField = HTTPFailure(
        400, "malformed_header", "A header line is malformed; it reads name, colon and value.")
    static let controlInField = HTTPFailure(
        400, "malformed_header", "A header field holds a control character.")
    static let fieldsTooLong = HTTPFailure(
        431, "header_too_long", "The header is longer than this server takes.")
    static let tooManyFields = HTTPFailure(
        431, "header_too_long", "The header has more fields than this server takes.")
    static let hostCount = HTTPFailure(
        400, "malformed_header", "A request has exactly one Host field.")
    static let malformedHost = HTTPFailure(
        400, "malformed_header", "The Host field is not a host name or address with its port.")
    static let ambiguousLength = HTTPFailure(
        400, "ambiguous_length",
        "The length of the body is ambiguous; give one Content-Length or one chunked"
            + " Transfer-Encoding.")
    static let unknownCoding = HTTPFailure(
        501, "unknown_coding", "The only transfer coding that this server takes is chunked.")
    static let unknownExpectation = HTTPFailure(
        417, "unknown_expectation", "The only expectation that this server meets is 100-continue.")
    static let malformedChunk = HTTPFailure(
        400, "malformed_chunk", "The size line of a chunk is malformed.")
    static let chunkLineTooLong = HTTPFailure(
        400, "malformed_chunk", "The size line of a chunk is longer than this server takes.")
    static let chunkTooLong = HTTPFailure(
        400, "malformed_chunk", "A chunk is longer than its size line says.")
    static let headTooSlow = HTTPFailure(
        408, "request_timeout", "The header of the request did not arrive in time.")
    static let bodyTooSlow = HTTPFailure(
        408, "request_timeout", "The body of the request did not arrive in time.")
    static let noMemory = HTTPFailure(
        503, "busy", "Too much is being sent to this server at once; try again.")

    static func bodyTooLong(_ limit: Int) -> HTTPFailure {
        HTTPFailure(
            413, "body_too_long", "The body is longer than the \(limit) bytes that this path takes."
        )
    }
}
