// Where a request goes: the absolute `http` and `https` URLs of RFC 3986 that a client needs, and
// references relative to them (section 5.2), as answers that redirect write them.

/// A word in front of `://`, and what it stands for.
package struct URLScheme: Hashable, Sendable {
    /// In lower case.
    package var name: String
    package var isSecure: Bool
    package var usualPort: UInt16

    package init(_ name: String, isSecure: Bool, port: UInt16) {
        self.name = name
        self.isSecure = isSecure
        usualPort = port
    }

    package static let web = [
        URLScheme("http", isSecure: false, port: 80), URLScheme("https", isSecure: true, port: 443),
    ]
}

/// An absolute `http` or `https` URL. The fragment is dropped: it is never sent.
package struct HTTPURL: Hashable, Sendable {
    /// `https`: the request goes over TLS.
    package private(set) var isSecure: Bool
    /// In lower case; an IPv6 address without its brackets.
    package private(set) var host: String
    package private(set) var port: UInt16
    /// Path and query as sent: begins with `/` and holds visible ASCII characters only.
    package fileprivate(set) var target: String
    /// `user:password` with its escapes resolved, where the URL has any.
    package private(set) var userInformation: [UInt8]?
    /// The bytes of `userInformation` that are the user: an escaped colon belongs to a name.
    private var userCount = 0

    /// Characters that have no place in a URL but are harmless (blanks, letters beyond ASCII) are
    /// escaped. Errors name the column.
    /// - Parameter schemes: those that are understood; of others than http and https host, port and
    ///   credentials are what counts.
    package init(_ text: String, schemes: [URLScheme] = URLScheme.web) throws(TextError) {
        var reader = HTTPURLReader(text, schemes)
        self = try reader.absolute()
    }

    init(
        isSecure: Bool, host: String, port: UInt16, target: String, userInformation: [UInt8]?,
        userCount: Int
    ) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
        self.target = target
        self.userInformation = userInformation
        self.userCount = userCount
    }

    /// User and password, where the URL has any; no password is none, an empty one is empty.
    package var credentials: (user: String, password: String?)? {
        userInformation.map { bytes in
            (
                String(decoding: bytes[..<userCount], as: UTF8.self),
                userCount < bytes.count
                    ? String(decoding: bytes[(userCount + 1)...], as: UTF8.self) : nil
            )
        }
    }

    /// What a reference in an answer of this URL means. Credentials stay on the same origin only.
    package func resolving(_ reference: String) throws(TextError) -> HTTPURL {
        var reader = HTTPURLReader(reference, URLScheme.web)
        return try reader.reference(from: self)
    }

    /// Same scheme, host and port: what may be told to one may be told to the other.
    package func hasSameOrigin(as other: HTTPURL) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }

    /// `host:port`, for messages and as the name of a server.
    package var authority: String { "\(bracketedHost):\(port)" }

    /// The value of the `Host` field: without the port where it is the usual one.
    package var hostField: String { port == Self.usualPort(isSecure) ? bracketedHost : authority }

    /// The URL without credentials and query, which may hold secrets.
    package var display: String {
        "\(isSecure ? "https" : "http")://\(hostField)\(target.prefix { $0 != "?" })"
    }

    private var bracketedHost: String { host.utf8.contains(0x3a) ? "[\(host)]" : host }

    private static func usualPort(_ isSecure: Bool) -> UInt16 { isSecure ? 443 : 80 }
}

/// Reads one URL or reference.
struct HTTPURLReader {
    private let bytes: [UInt8]
    private let schemes: [URLScheme]

    init(_ text: String, _ schemes: [URLScheme]) {
        bytes = Array(text.utf8)
        self.schemes = schemes
    }

    mutating func absolute() throws(TextError) -> HTTPURL {
        guard let scheme else {
            let name = schemes[0].name
            let path = name == "http" ? "/path" : ""
            throw error(0, "a URL begins with \"\(name)://\", as in \(name)://example.com\(path)")
        }
        let known = try known(scheme)
        guard bytes[(scheme.count + 1)...].starts(with: "//".utf8) else {
            throw error(scheme.count + 1, "\"//\" and a host follow \"\(known.name):\"")
        }
        return try authority(from: scheme.count + 3, known)
    }

    mutating func reference(from base: HTTPURL) throws(TextError) -> HTTPURL {
        if scheme != nil { return try absolute() }
        if bytes.starts(with: "//".utf8) {
            return try authority(from: 2, URLScheme.web[base.isSecure ? 1 : 0])
        }
        let path = base.target.prefix { $0 != "?" }
        let given = try escaped(bytes[...])
        let target: String
        if given.isEmpty {
            target = base.target
        } else if given.hasPrefix("?") {
            target = path + given
        } else if given.hasPrefix("/") {
            target = Self.withoutDots(given)
        } else {
            let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
            target = Self.withoutDots(folder + given)
        }
        var url = base
        url.target = target
        return url
    }

    // MARK: Parts

    /// What stands before the first colon, if that is a scheme.
    private var scheme: ArraySlice<UInt8>? {
        guard let colon = bytes.firstIndex(of: 0x3a), colon > 0,
            bytes[0] | 0x20 >= 0x61, bytes[0] | 0x20 <= 0x7a,
            bytes[..<colon].allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2b, 0x2d, 0x2e: true
                default: false
                }
            })
        else { return nil }
        return bytes[..<colon]
    }

    private func known(_ scheme: ArraySlice<UInt8>) throws(TextError) -> URLScheme {
        let name = String(decoding: scheme, as: UTF8.self).lowercased()
        guard let known = schemes.first(where: { $0.name == name }) else {
            let names = schemes.map(\.name).joined(separator: " or ")
            throw error(0, "the scheme \"\(name)\" is not supported; it must be \(names)")
        }
        return known
    }

    private func authority(
        from start: Int, _ scheme: URLScheme
    ) throws(TextError) -> HTTPURL {
        let end = bytes[start...].firstIndex { "/?#\\".utf8.contains($0) } ?? bytes.count
        var hostStart = start
        var userInformation: [UInt8]?
        var userCount = 0
        if let at = bytes[start..<end].lastIndex(of: 0x40) {
            let colon = bytes[start..<at].firstIndex(of: 0x3a) ?? at
            let user = try unescaped(start..<colon)
            userInformation = try user + unescaped(colon..<at)
            userCount = user.count
            hostStart = at + 1
        }
        let (host, afterHost) = try host(hostStart..<end)
        let port = try port(afterHost..<end) ?? scheme.usualPort
        var target = try escaped(bytes[end...])
        if !target.hasPrefix("/") { target = "/" + target }
        return HTTPURL(
            isSecure: scheme.isSecure, host: host, port: port, target: target,
            userInformation: userInformation?.isEmpty == true ? nil : userInformation,
            userCount: userCount)
    }

    private func host(_ range: Range<Int>) throws(TextError) -> (String, Int) {
        guard !range.isEmpty, bytes[range.lowerBound] != 0x3a else {
            let name = schemes[0].name
            let path = name == "http" ? "/path" : ""
            throw error(
                range.lowerBound, "the host is missing, as in \(name)://example.com\(path)")
        }
        if bytes[range.lowerBound] == 0x5b {
            guard let close = bytes[range].firstIndex(of: 0x5d) else {
                throw error(range.lowerBound, "the address in brackets is not closed by \"]\"")
            }
            let text = String(decoding: bytes[(range.lowerBound + 1)..<close], as: UTF8.self)
            guard text.utf8.contains(0x3a), IPAddress(text: text) != nil else {
                throw error(range.lowerBound + 1, "this is not an IPv6 address, such as ::1")
            }
            return (text.lowercased(), close + 1)
        }
        let end = bytes[range].firstIndex(of: 0x3a) ?? range.upperBound
        for index in range.lowerBound..<end {
            switch bytes[index] {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: continue
            case 0x80...:
                throw error(
                    index, "a host's name has ASCII letters only; write the form with xn--")
            default:
                throw error(index, "this character has no place in a host's name")
            }
        }
        guard end - range.lowerBound <= 253 else {
            throw error(range.lowerBound, "a host's name has at most 253 characters")
        }
        return (String(decoding: bytes[range.lowerBound..<end], as: UTF8.self).lowercased(), end)
    }

    /// Nil: none is given.
    private func port(_ range: Range<Int>) throws(TextError) -> UInt16? {
        guard !range.isEmpty else { return nil }
        let digits = bytes[(range.lowerBound + 1)..<range.upperBound]
        guard bytes[range.lowerBound] == 0x3a else {
            throw error(range.lowerBound, "only a colon and a port may follow the address")
        }
        if digits.isEmpty { return nil }
        guard digits.allSatisfy({ $0 &- 0x30 < 10 }), digits.count <= 5,
            let port = UInt16(String(decoding: digits, as: UTF8.self)), port > 0
        else { throw error(range.lowerBound + 1, "a port is a number from 1 to 65535") }
        return port
    }

    /// Path and query as they may be sent, without the fragment.
    private func escaped(_ part: ArraySlice<UInt8>) throws(TextError) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        var index = part.startIndex
        while index < part.endIndex, part[index] != 0x23 {
            let byte = part[index]
            switch byte {
            case 0x00...0x1f, 0x7f:
                throw error(index, "a URL can't hold control characters")
            case 0x25:
                guard index + 2 < part.endIndex, hexadecimalDigit(part[index + 1]) != nil,
                    hexadecimalDigit(part[index + 2]) != nil
                else { throw error(index, "two hexadecimal digits follow \"%\"; write %25 for it") }
                result.append(byte)
            case 0x20, 0x22, 0x3c, 0x3e, 0x5c, 0x5e, 0x60, 0x7b...0x7d, 0x80...:
                result += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: result.append(byte)
            }
            index += 1
        }
        return String(decoding: result, as: UTF8.self)
    }

    private func unescaped(_ range: Range<Int>) throws(TextError) -> [UInt8] {
        var result: [UInt8] = []
        var index = range.lowerBound
        while index < range.upperBound {
            let start = index
            var byte = bytes[index]
            if byte == 0x25 {
                guard index + 2 < range.upperBound,
                    let high = hexadecimalDigit(bytes[index + 1]),
                    let low = hexadecimalDigit(bytes[index + 2])
                else { throw error(index, "two hexadecimal digits follow \"%\"; write %25 for it") }
                byte = high << 4 | low
                index += 2
            }
            guard byte >= 0x20, byte != 0x7f else {
                throw error(start, "user and password can't hold control characters")
            }
            result.append(byte)
            index += 1
        }
        return result
    }

    /// Resolves the segments `.` and `..` (section 5.2.4); the query is left alone.
    private static func withoutDots(_ target: some StringProtocol) -> String {
        let path = target.prefix { $0 != "?" }
        var segments: [Substring] = []
        let parts = Substring(path).split(separator: "/", omittingEmptySubsequences: false)
        for (index, part) in parts.dropFirst().enumerated() {
            let isLast = index == parts.count - 2
            switch part {
            case ".": if isLast { segments.append("") }
            case "..":
                _ = segments.popLast()
                if isLast { segments.append("") }
            default: segments.append(part)
            }
        }
        return "/" + segments.joined(separator: "/") + target.dropFirst(path.count)
    }

    private func error(_ offset: Int, _ message: String) -> TextError {
        TextError(column: column(atByte: offset, of: bytes.span), message)
    }
}
