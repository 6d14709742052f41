// Header fields.

/// Header fields in the order they came or shall go; names match without regard to ASCII case.
package struct HTTPHeaders: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var fields: [Field] = []

    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field($0.0, $0.1) }
    }

    /// The value of the first field of this name.
    package subscript(name: String) -> String? {
        for field in fields where Self.equal(field.name, name) { return field.value }
        return nil
    }

    /// How many fields have this name.
    package func count(of name: String) -> Int {
        var count = 0
        for field in fields where Self.equal(field.name, name) { count += 1 }
        return count
    }

    /// The values of all fields of this name, in order.
    package func values(of name: String) -> [String] {
        fields.filter { Self.equal($0.name, name) }.map(\.value)
    }

    package func contains(_ name: String) -> Bool { self[name] != nil }

    package mutating func append(_ name: String, _ value: String) {
        fields.append(Field(name, value))
    }

    /// Replaces the last field; there must be one.
    mutating func replaceLast(with field: Field) { fields[fields.count - 1] = field }

    /// Replaces all fields of this name by one, which stands where the first of them stood.
    package mutating func set(_ name: String, _ value: String) {
        guard let first = fields.firstIndex(where: { Self.equal($0.name, name) }) else {
            return append(name, value)
        }
        fields[first].value = value
        var index = fields.count - 1
        while index > first {
            if Self.equal(fields[index].name, name) { fields.remove(at: index) }
            index -= 1
        }
    }

    package mutating func remove(_ name: String) {
        fields.removeAll { Self.equal($0.name, name) }
    }

    /// The members of a comma-separated list spread over all fields of this name, without the
    /// white space around them and without empty ones.
    package func list(_ name: String) -> [String] {
        var result: [String] = []
        for field in fields where Self.equal(field.name, name) {
            for part in field.value.utf8.split(separator: UInt8(ascii: ",")) {
                let trimmed = Self.trimmed(part)
                if !trimmed.isEmpty { result.append(trimmed) }
            }
        }
        return result
    }

    /// Whether a comma-separated list holds a token, without regard to ASCII case.
    package func list(_ name: String, contains token: String) -> Bool {
        list(name).contains { Self.equal($0, token) }
    }

    /// Equality without regard to ASCII case.
    package static func equal(_ a: String, _ b: String) -> Bool {
        guard a.utf8.count == b.utf8.count else { return false }
        return a.utf8.elementsEqual(b.utf8) { asciiLowercased($0) == asciiLowercased($1) }
    }

    private static func asciiLowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    private static func trimmed(_ part: Substring.UTF8View) -> String {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        guard let first = part.firstIndex(where: { !isSpace($0) }),
            let last = part.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(Substring(part[first...last]))
    }
}
