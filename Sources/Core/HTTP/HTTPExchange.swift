// One request of a client, and what becomes of it when the answer points elsewhere.

/// What is to be asked, and where.
package struct HTTPExchange: Hashable, Sendable {
    package var method: HTTPMethod
    package var url: HTTPURL
    /// May hold credentials; a `Host` among them replaces the one from the URL.
    package var headers: HTTPHeaders
    /// Told to every server that the request gets to.
    package var openHeaders: HTTPHeaders
    package var body: [UInt8]
    /// For a URL with `https`.
    package var tls = TLSSettings()
    /// What the request goes through, after redirects too; nil: nothing.
    package var proxy: HTTPProxy?

    package init(
        method: HTTPMethod, url: HTTPURL, headers: HTTPHeaders = [:],
        openHeaders: HTTPHeaders = [:], body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.openHeaders = openHeaders
        self.body = body
    }

    /// Whom the connection must be with; nil without TLS.
    package var peer: TLSPeer? {
        url.isSecure ? TLSPeer(host: url.host, settings: tls) : nil
    }

    /// The bytes to be sent.
    package var bytes: [UInt8] {
        var fields = headers
        fields.remove("Host")
        for field in openHeaders.fields { fields.append(field.name, field.value) }
        var target = url.target
        if let proxy, !url.isSecure {
            target = "http://\(url.hostField)\(target)"
            if let value = proxy.authorization { fields.append("Proxy-Authorization", value) }
        }
        return HTTPRequestWriter.bytes(
            method, target: target, host: headers["Host"] ?? url.hostField, headers: fields,
            body: body, keepsConnection: method.isIdempotent)
    }

    /// What a client asks next after an answer that redirects (RFC 9110 section 15.4); nil after
    /// any other.
    ///
    /// 301, 302 and 303 ask with GET and without body for everything but HEAD, as clients have
    /// always done; 307 and 308 repeat the request. Another scheme, host or port gets no header
    /// that could hold a credential and no certificate, and no answer brings credentials of its
    /// own.
    package func redirected(by head: HTTPResponseHead) throws(TextError) -> HTTPExchange? {
        guard [301, 302, 303, 307, 308].contains(head.status),
            let location = head.headers["Location"]
        else { return nil }
        var next = self
        next.url = try url.resolving(location)
        if head.status < 304, method != .head {
            next.method = .get
            next.body = []
            for name in ["Content-Type", "Content-Encoding", "Content-Language"] {
                next.headers.remove(name)
            }
        }
        if !next.url.hasSameOrigin(as: url) {
            for field in headers.fields where !Self.isHarmless(field.name) {
                next.headers.remove(field.name)
            }
            next.tls.certificate = nil
        }
        return next
    }

    private static func isHarmless(_ name: String) -> Bool {
        ["Accept", "Accept-Language", "Content-Type", "User-Agent"].contains {
            HTTPHeaders.equal($0, name)
        }
    }
}

extension HTTPMethod {
    /// Doing it twice is as good as doing it once (RFC 9110 section 9.2.2).
    package var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .other("TRACE"): true
        case .post, .patch, .other: false
        }
    }
}
