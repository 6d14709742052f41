// A request as its handler sees it.

/// A whole request, its body included.
package struct HTTPRequest: Hashable, Sendable {
    package var method: HTTPMethod
    /// The request target exactly as sent.
    package var target: String
    /// The path as sent, percent escapes and all, without the query; `*` for `OPTIONS *`.
    package var path: String
    /// What follows the first `?`, as sent; nil without one.
    package var query: String?
    package var headers: HTTPHeaders
    package var body: [UInt8]
    /// The minor version: 0 or 1.
    package var minorVersion: Int
    /// The address of the client's end of the connection, for logs.
    package var clientAddress: String

    /// Splits `target`, which is expected in origin form.
    package init(
        method: HTTPMethod, target: String, headers: HTTPHeaders = [:], body: [UInt8] = [],
        minorVersion: Int = 1, clientAddress: String = ""
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.minorVersion = minorVersion
        self.clientAddress = clientAddress
        (path, query) = Self.split(target)
    }

    static func split(_ target: String) -> (path: String, query: String?) {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (target, nil) }
        return (
            String(target[..<mark]), String(target[target.utf8.index(after: mark)...])
        )
    }

    /// The path's segments, decoded. Errors: a malformed escape, a NUL, bytes that are not UTF-8.
    package func decodedPath() throws(HTTPTargetError) -> HTTPPath { try HTTPPath(path) }

    /// The query's pairs, decoded; none without a query. Errors as for `decodedPath()`.
    package func decodedQuery() throws(HTTPTargetError) -> HTTPQuery { try HTTPQuery(query ?? "") }
}
