// What makes a message malformed (RFC 9113 sections 8.1 to 8.3).

/// What a field list is the head or the end of.
enum HTTP2ListKind: Hashable, Sendable {
    case request
    case response
    case trailers
}

extension HTTP2Fields {
    private static let connectionFields = [
        "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade",
    ]

    /// Throws PROTOCOL_ERROR with the reason when a list of this kind may not be like this.
    func check(_ kind: HTTP2ListKind) throws(HTTP2Failure) {
        var pseudo: [String] = []
        var isBehindPseudo = false
        for field in list {
            if field.name.utf8.first == UInt8(ascii: ":") {
                guard !isBehindPseudo else {
                    throw malformed("the pseudo field \(field.name) comes after other fields")
                }
                guard !pseudo.contains(where: { sameBytes($0, field.name) }) else {
                    throw malformed("the pseudo field \(field.name) comes twice")
                }
                pseudo.append(field.name)
            } else {
                isBehindPseudo = true
                try Self.checkName(field.name)
                try Self.checkConnection(field)
            }
            try Self.checkValue(field)
        }
        switch kind {
        case .request: try checkRequest(pseudo)
        case .response:
            guard pseudo == [":status"], let text = self[":status"], text.utf8.count == 3,
                let status = Int(text), status >= 100
            else {
                throw malformed(
                    "an answer has the pseudo field :status of three digits and no other")
            }
        case .trailers:
            guard pseudo.isEmpty else {
                throw malformed("the trailing fields hold the pseudo field \(pseudo[0])")
            }
        }
    }

    private func checkRequest(_ pseudo: [String]) throws(HTTP2Failure) {
        let known = [":method", ":scheme", ":path", ":authority"]
        for name in pseudo where !known.contains(where: { sameBytes($0, name) }) {
            throw malformed("a request has no pseudo field \(name)")
        }
        guard let method = method, !method.isEmpty else {
            throw malformed("the request has no :method")
        }
        if method == "CONNECT" {
            guard scheme == nil, path == nil, self[":authority"] != nil else {
                throw malformed("a CONNECT request has :authority, and neither :scheme nor :path")
            }
            return
        }
        guard scheme?.isEmpty == false else { throw malformed("the request has no :scheme") }
        guard let path, let first = path.utf8.first else {
            throw malformed("the request has no :path")
        }
        guard first == UInt8(ascii: "/") || path == "*" && method == "OPTIONS" else {
            throw malformed("the request's :path does not begin with a slash")
        }
        if let authority = self[":authority"], let host = self["host"],
            !sameBytes(authority, host)
        {
            throw malformed("the request's :authority and its field host differ")
        }
    }

    /// The body's declared length. Throws when two fields or a text make it ambiguous.
    func contentLength() throws(HTTP2Failure) -> Int? {
        var length: Int?
        for field in list where sameBytes(field.name, "content-length") {
            guard !field.value.isEmpty, field.value.utf8.allSatisfy({ $0 &- 0x30 < 10 }),
                let value = Int(field.value), length == nil || length == value
            else { throw malformed("content-length is not one decimal number") }
            length = value
        }
        return length
    }

    private static func checkName(_ name: String) throws(HTTP2Failure) {
        guard !name.isEmpty else { throw malformed("a field has an empty name") }
        for byte in name.utf8 where !isNameByte(byte) {
            if byte &- 0x41 < 26 {
                throw malformed("the field name \"\(name)\" is not in lower case")
            }
            throw malformed("a field name holds a character that is not allowed there")
        }
    }

    /// A character of a token (RFC 9110 section 5.6.2) that is no capital.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x5e...0x7a, 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x7c, 0x7e: true
        default: false
        }
    }

    private static func checkValue(_ field: HTTP2Field) throws(HTTP2Failure) {
        let value = field.value.utf8
        for byte in value where byte == 0 || byte == 0x0a || byte == 0x0d {
            throw malformed("the value of the field \(field.name) holds a line end or a zero")
        }
        func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        guard !isSpace(value.first), !isSpace(value.last) else {
            throw malformed("the value of the field \(field.name) has white space around it")
        }
    }

    private static func checkConnection(_ field: HTTP2Field) throws(HTTP2Failure) {
        if connectionFields.contains(where: { sameBytes($0, field.name) }) {
            throw malformed("the field \(field.name) has no place in HTTP/2")
        }
        if sameBytes(field.name, "te"), !sameBytes(field.value, "trailers") {
            throw malformed("the field te may only say \"trailers\" in HTTP/2")
        }
    }
}

private func malformed(_ reason: String) -> HTTP2Failure {
    HTTP2Failure(.protocolError, reason)
}
