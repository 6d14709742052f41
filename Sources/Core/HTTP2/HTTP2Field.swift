// Field lists of HTTP/2, pseudo fields included.

/// One field of a list.
package struct HTTP2Field: Hashable, Sendable {
    /// In lower case; that of a pseudo field begins with a colon.
    package var name: String
    package var value: String
    /// Never put into a compression table, here or by anybody who passes it on, so that nobody can
    /// guess it by the lengths of messages (RFC 7541 section 7.1.3).
    package var isSecret: Bool

    package init(_ name: String, _ value: String, isSecret: Bool = false) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
    }
}

/// Fields in the order they came or shall go.
package struct HTTP2Fields: Hashable, Sendable, ExpressibleByArrayLiteral {
    package var list: [HTTP2Field]

    package init(_ list: [HTTP2Field] = []) { self.list = list }

    package init(arrayLiteral elements: HTTP2Field...) { list = elements }

    /// The value of the first field of this name, which is in lower case. Complexity: O(fields).
    package subscript(name: String) -> String? {
        for field in list where sameBytes(field.name, name) { return field.value }
        return nil
    }

    /// The values of all fields of this name, in order.
    package func values(of name: String) -> [String] {
        list.compactMap { sameBytes($0.name, name) ? $0.value : nil }
    }

    package mutating func append(_ name: String, _ value: String, isSecret: Bool = false) {
        list.append(HTTP2Field(name, value, isSecret: isSecret))
    }

    /// The status of an answer.
    package var status: Int? { self[":status"].flatMap { Int($0) } }
    package var method: String? { self[":method"] }
    package var path: String? { self[":path"] }
    package var scheme: String? { self[":scheme"] }
    package var authority: String? { self[":authority"] ?? self["host"] }

    /// What a list costs by the measure of SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2).
    package var size: Int { list.reduce(0) { $0 + HPACK.size(of: $1) } }
}

/// Equality of bytes. That of strings would take different spellings of a letter for one.
func sameBytes(_ a: String, _ b: String) -> Bool {
    a.utf8.count == b.utf8.count && a.utf8.elementsEqual(b.utf8)
}
