// A request into bytes (RFC 9112): the client's side of a connection.

package enum HTTPRequestWriter {
    /// The bytes of a request. `Host`, `Connection` and
    /// `Content-Length` are the writer's matter; a length is given for every body and for methods
    /// that usually have one.
    ///
    /// Control characters in values become spaces, so that nothing given can start a line.
    ///
    /// - Parameter target: path and query, escaped; what is not a visible ASCII character is a
    ///   mistake of the caller.
    /// - Parameter keepsConnection: another request may follow behind the answer.
    package static func bytes(
        _ method: HTTPMethod, target: String, host: String, headers: HTTPHeaders = [:],
        body: [UInt8] = [], keepsConnection: Bool = false
    ) -> [UInt8] {
        invariant(target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a target is escaped")
        var bytes = Array("\(method) \(target) HTTP/1.1\r\n".utf8)
        append("Host", host, to: &bytes)
        if !keepsConnection { append("Connection", "close", to: &bytes) }
        for field in headers.fields { append(field.name, field.value, to: &bytes) }
        if !body.isEmpty || [.post, .put, .patch].contains(method) {
            append("Content-Length", "\(body.count)", to: &bytes)
        }
        bytes += "\r\n".utf8
        return bytes + body
    }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        invariant(
            !name.isEmpty && name.utf8.allSatisfy(HTTPSyntax.isToken), "a field has a name")
        bytes += "\(name): ".utf8
        bytes += value.utf8.map { HTTPSyntax.isControl($0) ? 0x20 : $0 }
        bytes += "\r\n".utf8
    }
}

/// Text inside a target, or inside a body that is a form.
package enum HTTPEscapes {
    /// Percent escapes for all but RFC 3986's unreserved characters: good for a segment of a path
    /// and for names and values of a query.
    package static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The names and values of a query or a form, in this order.
    static func parameters(_ fields: [(String, String)]) -> String {
        fields.map { "\(escaped($0.0))=\(escaped($0.1))" }.joined(separator: "&")
    }
}
