/// A server that requests go through (RFC 9110 section 3.7): those to `http` are handed to it, for
/// those to `https` it is asked for a tunnel (section 9.3.6), and sees neither request nor answer.
package struct HTTPProxy: Hashable, Sendable {
    private let url: HTTPURL

    /// Reads `http://[user:password@]host[:port]`; the port is 80. Errors name the column.
    package init(_ text: String) throws(TextError) {
        url = try HTTPURL(text)
        guard !url.isSecure else {
            throw TextError(
                column: 1, "a proxy is spoken to without TLS; write it with http://")
        }
        guard url.target == "/" else {
            throw TextError(
                column: 1, "a proxy has neither path nor query, as in http://proxy.example:3128")
        }
    }

    package var host: String { url.host }
    package var port: UInt16 { url.port }
    /// For messages.
    package var authority: String { url.authority }

    /// The value of `Proxy-Authorization`; told to the proxy alone.
    package var authorization: String? {
        url.userInformation.map { "Basic \(Base64Text.encode($0))" }
    }
}

// How a request gets to its server.
extension HTTPExchange {
    /// The host that a connection is opened to.
    var nextHost: String { proxy?.host ?? url.host }
    var nextPort: UInt16 { proxy?.port ?? url.port }

    /// Through the proxy to the server itself, which TLS is spoken with.
    var needsTunnel: Bool { proxy != nil && url.isSecure }

    /// What a connection can be kept for: requests of the same text may use it.
    var route: String {
        guard let proxy else { return url.authority }
        return url.isSecure ? "\(proxy.authority) \(url.authority)" : proxy.authority
    }

    /// Whom a connection is tried with, for messages.
    var nextName: String {
        proxy.map { "the proxy \($0.authority)" } ?? url.authority
    }

    /// Asks the proxy for a tunnel to the server.
    var tunnelRequest: [UInt8] {
        var fields: HTTPHeaders = [:]
        if let value = proxy?.authorization { fields.append("Proxy-Authorization", value) }
        return HTTPRequestWriter.bytes(
            .other("CONNECT"), target: url.authority, host: url.authority, headers: fields,
            keepsConnection: true)
    }
}
