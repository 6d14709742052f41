// The grammar of single lines (RFC 9110 section 5, RFC 9112 sections 3 to 7).

enum HTTPSyntax {
    /// A character of a method, a field's name or a list's token (RFC 9110 section 5.6.2).
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x5e...0x7a: true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"),
            UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// A control character other than the tab; neither fields nor chunk extensions may hold one.
    static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 0x09 || byte == 0x7f }

    /// A field line: name, colon, value. The value loses the white space around it; bytes that
    /// are not UTF-8 become U+FFFD.
    static func field(_ line: ArraySlice<UInt8>) throws(HTTPFailure) -> (String, String) {
        if isSpace(line[line.startIndex]) { throw .foldedField }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            throw .malformedField
        }
        let name = line[..<colon]
        guard !name.isEmpty else { throw .malformedField }
        for byte in name where !isToken(byte) {
            throw isSpace(byte) ? .spaceInFieldName : .malformedField
        }
        var first = colon + 1
        var end = line.endIndex
        while first < end, isSpace(line[first]) { first += 1 }
        while end > first, isSpace(line[end - 1]) { end -= 1 }
        let value = line[first..<end]
        for byte in value where isControl(byte) { throw .controlInField }
        return (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
    }

    /// The size at the start of a chunk. Extensions are checked and ignored.
    static func chunkSize(_ line: ArraySlice<UInt8>) throws(HTTPFailure) -> UInt64 {
        var size: UInt64 = 0
        var index = line.startIndex
        while index < line.endIndex, let digit = hexadecimalValue(line[index]) {
            // Sixteen digits fit; more are an attempt to overflow somebody's counter.
            if index - line.startIndex == 16 { throw .malformedChunk }
            size = size << 4 | UInt64(digit)
            index += 1
        }
        guard index > line.startIndex else { throw .malformedChunk }
        guard index < line.endIndex else { return size }
        guard line[index] == UInt8(ascii: ";") else { throw .malformedChunk }
        for byte in line[index...] where isControl(byte) { throw .malformedChunk }
        return size
    }

    static func hexadecimalValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// How a body's end is found.
enum HTTPBodyLength: Hashable {
    case none
    case known(Int)
    case chunked
}

extension HTTPRequest {
    /// Method, target and version with one space between them (RFC 9112 section 3).
    init(requestLine line: ArraySlice<UInt8>) throws(HTTPFailure) {
        guard let first = line.firstIndex(of: 0x20), first > line.startIndex,
            let last = line.lastIndex(of: 0x20), last > first
        else { throw .malformedRequestLine }
        for byte in line[..<first] where !HTTPSyntax.isToken(byte) { throw .malformedRequestLine }
        let minorVersion = try Self.minorVersion(line[(last + 1)...])
        let method = HTTPMethod(String(decoding: line[..<first], as: UTF8.self))
        let part = line[(first + 1)..<last]
        for byte in part where byte <= 0x20 || byte == 0x7f || byte == UInt8(ascii: "#") {
            throw byte == 0x20 ? .malformedRequestLine : .malformedTarget
        }
        guard let text = try? UTF8Span(validating: part.span), !text.isEmpty else {
            throw .malformedTarget
        }
        let target = String(copying: text)
        self.init(method: method, target: target, minorVersion: minorVersion)
        if method == .other("CONNECT") { throw .connectMethod }
        if target == "*" {
            guard method == .options else { throw .malformedTarget }
        } else if target.utf8.first != UInt8(ascii: "/") {
            (path, query) = Self.split(try Self.absoluteForm(target).origin)
        }
    }

    /// `HTTP/1.0` is 0, `HTTP/1.1` and what may come after it are 1 (RFC 9110 section 2.5).
    private static func minorVersion(_ text: ArraySlice<UInt8>) throws(HTTPFailure) -> Int {
        let major = text.startIndex + 5
        guard text.count == 8, text.starts(with: "HTTP/".utf8),
            text[major + 1] == UInt8(ascii: "."), text[major] &- 0x30 < 10,
            text[major + 2] &- 0x30 < 10
        else { throw .malformedRequestLine }
        guard text[major] == UInt8(ascii: "1") else { throw .unknownVersion }
        return text[major + 2] == UInt8(ascii: "0") ? 0 : 1
    }

    /// Splits an absolute target, which every server must take; its authority counts instead of
    /// what `Host` says (section 3.2.2).
    private static func absoluteForm(
        _ target: String
    ) throws(HTTPFailure) -> (authority: String, origin: String) {
        let lowercased = target.utf8.prefix(8).map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
        let scheme = lowercased.starts(with: "http://".utf8) ? 7 : 8
        guard scheme == 7 || lowercased.elementsEqual("https://".utf8) else {
            throw .malformedTarget
        }
        let rest = target.utf8.dropFirst(scheme)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        let authority = rest[..<(end ?? rest.endIndex)]
        guard !authority.isEmpty, authority.allSatisfy(isAuthority) else { throw .malformedTarget }
        let origin = String(Substring(rest[(end ?? rest.endIndex)...]))
        return (String(Substring(authority)), origin.utf8.first == 0x2f ? origin : "/" + origin)
    }

    /// Exactly one `Host` in HTTP/1.1, at most one before (section 3.2).
    mutating func checkHost() throws(HTTPFailure) {
        let count = headers.count(of: "Host")
        guard count == 1 || count == 0 && minorVersion == 0 else { throw .hostCount }
        if let host = headers["Host"], !host.utf8.allSatisfy(Self.isAuthority) {
            throw .malformedHost
        }
        if let first = target.utf8.first, first != UInt8(ascii: "/"), first != UInt8(ascii: "*") {
            headers.set("Host", try Self.absoluteForm(target).authority)
        }
    }

    /// A character of host and port (RFC 3986 section 3.2, without user information).
    private static func isAuthority(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"),
            UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "%"),
            UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"),
            UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: ";"), UInt8(ascii: "="):
            true
        default: false
        }
    }

    /// Where the body ends (RFC 9112 section 6). Whatever two readers might see differently is
    /// refused: both kinds of length, a length given twice, a coding that is not understood.
    func bodyLength() throws(HTTPFailure) -> HTTPBodyLength {
        let given = headers["Content-Length"]
        if headers.contains("Transfer-Encoding") {
            guard given == nil, minorVersion > 0 else { throw .ambiguousLength }
            let codings = headers.list("Transfer-Encoding")
            guard let last = codings.last else { throw .ambiguousLength }
            for coding in codings.dropLast() where HTTPHeaders.equal(coding, "chunked") {
                throw .ambiguousLength
            }
            guard codings.count == 1, HTTPHeaders.equal(last, "chunked") else {
                throw .unknownCoding
            }
            return .chunked
        }
        guard let text = given else { return .none }
        guard headers.count(of: "Content-Length") == 1, !text.isEmpty,
            text.utf8.allSatisfy({ $0 &- 0x30 < 10 })
        else {
            throw .ambiguousLength
        }
        // A number beyond Int is beyond every limit too.
        let length = Int(text) ?? .max
        return length == 0 ? .none : .known(length)
    }
}
