// Uploads of browsers and curl (multipart/form-data, RFC 7578 and RFC 2046 section 5.1).

package enum HTTPMultipart {
    /// Why an upload was refused.
    package enum Failure: Error, Hashable, Sendable {
        /// The content type is not `multipart/form-data` with a boundary.
        case notMultipart
        /// No part has the wanted name.
        case missingPart
        /// The body does not follow the format; the rest of a sentence tells where.
        case malformed(String)
    }

    /// How many parts are looked at, and how long a part's header may be, in bytes.
    private static let maximumParts = 100
    private static let maximumHeader = 8 << 10

    /// The content of the first part of this name. Complexity: O(n).
    package static func part(
        named name: String, contentType: String?, body: [UInt8]
    ) throws(Failure) -> ArraySlice<UInt8> {
        guard let boundary = boundary(contentType ?? "") else { throw .notMultipart }
        let delimiter = [UInt8]("\r\n--".utf8) + boundary
        // The first delimiter may stand at the very start, without its line end.
        var index: Int
        if body.starts(with: delimiter[2...]) {
            index = delimiter.count - 2
        } else if let first = find(delimiter, in: body, from: 0) {
            index = first + delimiter.count
        } else {
            throw .malformed("the boundary of the content type does not stand in the body")
        }
        for _ in 0..<maximumParts {
            if body[index...].starts(with: "--".utf8) { throw .missingPart }
            while index < body.count, HTTPSyntax.isSpace(body[index]) { index += 1 }
            guard body[index...].starts(with: "\r\n".utf8) else {
                throw .malformed("a boundary is not followed by a line end")
            }
            let (partName, content) = try header(of: body, from: index + 2)
            // A part without content: its header's line end is the delimiter's.
            guard let end = find(delimiter, in: body, from: content - 2) else {
                throw .malformed("the last part is not closed by the boundary")
            }
            if partName == name { return body[content..<max(content, end)] }
            index = end + delimiter.count
        }
        throw .malformed("the body has more than \(maximumParts) parts")
    }

    /// Name of the part whose header starts at `start`, and where its content starts.
    private static func header(
        of body: [UInt8], from start: Int
    ) throws(Failure) -> (name: String?, content: Int) {
        var index = start
        var name: String?
        while true {
            let room = body[index...].prefix(maximumHeader)
            guard let end = room.firstIndex(of: UInt8(ascii: "\n")), end > index,
                body[end - 1] == UInt8(ascii: "\r"), end - start < maximumHeader
            else {
                throw .malformed("the header of a part is malformed or too long")
            }
            let line = body[index..<(end - 1)]
            index = end + 1
            if line.isEmpty { return (name, index) }
            guard let (field, value) = try? HTTPSyntax.field(line) else {
                throw .malformed("the header of a part is malformed or too long")
            }
            if HTTPHeaders.equal(field, "Content-Disposition") {
                name = parameter("name", of: value, kind: "form-data")
            }
        }
    }

    private static func boundary(_ contentType: String) -> [UInt8]? {
        guard let text = parameter("boundary", of: contentType, kind: "multipart/form-data"),
            1...70 ~= text.utf8.count, text.utf8.allSatisfy({ 0x20...0x7e ~= $0 })
        else { return nil }
        return Array(text.utf8)
    }

    /// A parameter of `kind; a=token; b="quoted"`; nil if the kind is another one.
    static func parameter(_ wanted: String, of value: String, kind: String) -> String? {
        let bytes = Array(value.utf8)
        var index = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.count
        let found = bytes[..<index].filter { !HTTPSyntax.isSpace($0) }
        guard HTTPHeaders.equal(String(decoding: found, as: UTF8.self), kind) else { return nil }
        while index < bytes.count {
            index += 1  // the semicolon
            while index < bytes.count, HTTPSyntax.isSpace(bytes[index]) { index += 1 }
            let nameStart = index
            while index < bytes.count, HTTPSyntax.isToken(bytes[index]) { index += 1 }
            let name = String(decoding: bytes[nameStart..<index], as: UTF8.self)
            guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return nil }
            index += 1
            guard let text = parameterValue(bytes, &index) else { return nil }
            while index < bytes.count, HTTPSyntax.isSpace(bytes[index]) { index += 1 }
            guard index == bytes.count || bytes[index] == UInt8(ascii: ";") else { return nil }
            if HTTPHeaders.equal(name, wanted) { return String(decoding: text, as: UTF8.self) }
        }
        return nil
    }

    /// A token or a quoted string; nil if the quotes are not closed.
    private static func parameterValue(_ bytes: [UInt8], _ index: inout Int) -> [UInt8]? {
        var text: [UInt8] = []
        guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
            while index < bytes.count, bytes[index] != UInt8(ascii: ";"),
                !HTTPSyntax.isSpace(bytes[index])
            {
                text.append(bytes[index])
                index += 1
            }
            return text
        }
        index += 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count { index += 1 }
            text.append(bytes[index])
            index += 1
        }
        guard index < bytes.count else { return nil }
        index += 1
        return text
    }

    /// The first place of `pattern` at or behind `start`. Patterns start with CR and have no other,
    /// so a place that fails is never looked at twice.
    private static func find(_ pattern: [UInt8], in body: [UInt8], from start: Int) -> Int? {
        let bytes = body.span
        var index = start
        while index + pattern.count <= bytes.count {
            if bytes[index] == pattern[0] {
                var length = 1
                while length < pattern.count, bytes[index + length] == pattern[length] {
                    length += 1
                }
                if length == pattern.count { return index }
            }
            index += 1
        }
        return nil
    }
}
