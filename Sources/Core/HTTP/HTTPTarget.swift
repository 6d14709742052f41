// Reading paths and queries of request targets (RFC 3986; queries as HTML forms write them).

/// Why a path or query was refused.
package struct HTTPTargetError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, as the rest of a sentence.
    package var message: String
    package var description: String { message }
}

/// A decoded path.
package struct HTTPPath: Hashable, Sendable {
    /// What stands between the slashes, decoded after splitting, so that `%2F` stays inside its
    /// segment. Inner segments may be empty (`//`); the empty one after a last slash is left out.
    package var segments: [String]
    /// The path ends with a slash; true for `/` itself, which has no segments.
    package var hasTrailingSlash: Bool

    package init(_ path: String) throws(HTTPTargetError) {
        var parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        if parts.first?.isEmpty == true { parts.removeFirst() }
        hasTrailingSlash = parts.last?.isEmpty ?? true
        if hasTrailingSlash, !parts.isEmpty { parts.removeLast() }
        segments = []
        segments.reserveCapacity(parts.count)
        for part in parts {
            segments.append(try percentDecoded(part, plusIsSpace: false, in: "path"))
        }
    }
}

/// A decoded query: `name`, `name=` or `name=value` pairs between `&`, in order.
package struct HTTPQuery: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package var name: String
        /// Nil if the name stands without `=`.
        package var value: String?
    }

    package private(set) var items: [Item] = []

    package init(_ query: String) throws(HTTPTargetError) {
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            guard let mark = part.firstIndex(of: UInt8(ascii: "=")) else {
                let name = try percentDecoded(part, plusIsSpace: true, in: "query")
                items.append(Item(name: name, value: nil))
                continue
            }
            let name = try percentDecoded(part[..<mark], plusIsSpace: true, in: "query")
            let rest = part[part.index(after: mark)...]
            let value = try percentDecoded(rest, plusIsSpace: true, in: "query")
            items.append(Item(name: name, value: value))
        }
    }

    /// Whether the name is there, with or without a value.
    package func contains(_ name: String) -> Bool { items.contains { $0.name == name } }

    /// The value of the first pair of this name; empty if it stands without one.
    package subscript(name: String) -> String? {
        items.first { $0.name == name }.map { $0.value ?? "" }
    }

    package func values(of name: String) -> [String] {
        items.filter { $0.name == name }.map { $0.value ?? "" }
    }

    /// The pairs written `name[key]=value`, in order.
    package func keyed(_ name: String) -> [(key: String, value: String)] {
        let prefix = Array((name + "[").utf8)
        return items.compactMap { item in
            let text = item.name.utf8
            guard text.starts(with: prefix), text.last == UInt8(ascii: "]") else { return nil }
            let key = text.dropFirst(prefix.count).dropLast()
            return (String(decoding: key, as: UTF8.self), item.value ?? "")
        }
    }
}

/// Resolves `%XX` (and `+`, in queries). The result is UTF-8 and holds no NUL: neither has a place
/// in a name, and both have fooled what lies behind a door.
private func percentDecoded(
    _ text: Substring.UTF8View, plusIsSpace: Bool, in part: String
) throws(HTTPTargetError) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var iterator = text.makeIterator()
    while let byte = iterator.next() {
        if byte == UInt8(ascii: "%") {
            guard let high = iterator.next().flatMap(HTTPSyntax.hexadecimalValue),
                let low = iterator.next().flatMap(HTTPSyntax.hexadecimalValue)
            else {
                throw HTTPTargetError(
                    message: "the \(part) holds a '%' that two hex digits do not follow")
            }
            bytes.append(high << 4 | low)
        } else if byte == UInt8(ascii: "+"), plusIsSpace {
            bytes.append(UInt8(ascii: " "))
        } else {
            bytes.append(byte)
        }
    }
    guard !bytes.contains(0) else {
        throw HTTPTargetError(message: "the \(part) holds a NUL byte")
    }
    guard let text = try? UTF8Span(validating: bytes.span) else {
        throw HTTPTargetError(message: "the \(part) is not UTF-8 once its escapes are resolved")
    }
    return String(copying: text)
}
