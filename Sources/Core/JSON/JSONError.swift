// Where and why a JSON text was refused.

/// A place in a JSON text.
package struct JSONPosition: Hashable, Sendable {
    /// Bytes before the place.
    package var offset: Int
    /// Counted from 1; a line ends with a line feed.
    package var line: Int
    /// Counted from 1 in characters (Unicode scalars), not bytes.
    package var column: Int

    /// Complexity: O(offset).
    package init(offset: Int, in bytes: [UInt8]) {
        var line = 1
        var column = 1
        for byte in bytes.prefix(offset) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xc0 != 0x80 {
                column += 1
            }
        }
        self.offset = offset
        self.line = line
        self.column = column
    }
}

/// A JSON text that is malformed, or whose meaning its reader refuses.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, as the rest of a sentence: no capital, no full stop.
    package var message: String
    package var position: JSONPosition

    package init(_ message: String, at position: JSONPosition) {
        self.message = message
        self.position = position
    }

    package var offset: Int { position.offset }
    package var line: Int { position.line }
    package var column: Int { position.column }

    /// `line 3, column 7: a ':' must follow the member name`.
    package var description: String {
        "line \(position.line), column \(position.column): \(message)"
    }
}

/// What a JSON text may cost its reader.
package struct JSONLimits: Hashable, Sendable {
    /// The longest text accepted, in bytes; at most 2,147,483,647.
    package var bytes: Int
    /// How many arrays and objects may be open at once.
    package var depth: Int

    package init(bytes: Int, depth: Int = 128) {
        self.bytes = bytes
        self.depth = depth
    }

    /// What a request body gets: 1 MiB, 128 levels.
    package static let standard = JSONLimits(bytes: 1 << 20)
}
