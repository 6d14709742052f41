// An answer as its handler makes it.

/// What follows an answer's header.
package enum HTTPBody: Hashable, Sendable {
    /// The whole body.
    case bytes([UInt8])
    /// Pieces of unknown number follow separately.
    case stream
}

/// An answer. Length, transfer coding, `Connection` and `Date` are the writer's matter.
package struct HTTPResponse: Hashable, Sendable {
    /// 200 ... 599.
    package var status: Int
    package var headers: HTTPHeaders
    package var body: HTTPBody
    /// Ends the connection after this answer.
    package var close: Bool

    package init(
        status: Int, headers: HTTPHeaders = [:], body: HTTPBody = .bytes([]), close: Bool = false
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.close = close
    }

    /// The reason phrase of a status (RFC 9110 section 15); empty for one that we never send.
    package static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
