// What a YAML text says: a tree in the order of the text, which knows its lines.

/// One value of a YAML text.
package struct YAMLNode: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// `isPlain`: it stood there without quotes, so that `true`, `12` and `null` may be meant
        /// as what they look like.
        case scalar(String, isPlain: Bool)
        case list([YAMLNode])
        case map([YAMLMember])
    }

    package var content: Content
    /// Where the value begins, from 1.
    package var line: Int

    package init(_ content: Content, line: Int) {
        self.content = content
        self.line = line
    }

    /// Nothing at all, `~` or `null`.
    package var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// With its article, for messages: "a list".
    package var kind: String {
        switch content {
        case .scalar: "a single value"
        case .list: "a list"
        case .map: "a map"
        }
    }
}

/// A key of a map with its value. No two of one map have the same key.
package struct YAMLMember: Hashable, Sendable {
    package var key: String
    /// Where the key stands, from 1.
    package var line: Int
    package var value: YAMLNode

    package init(key: String, line: Int, value: YAMLNode) {
        self.key = key
        self.line = line
        self.value = value
    }
}

/// A text that is not YAML, or uses what this reader leaves out on purpose.
package struct YAMLError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, as the rest of a sentence: no capital, no full stop.
    package var message: String
    /// Counted from 1; a line ends with a line feed.
    package var line: Int
    /// Counted from 1 in characters (Unicode scalars), not bytes.
    package var column: Int

    /// `line 3, column 7: tabs can't indent; use spaces`.
    package var description: String { "line \(line), column \(column): \(message)" }
}

/// What a YAML text may cost its reader.
package struct YAMLLimits: Hashable, Sendable {
    /// The longest text accepted, in bytes.
    package var bytes: Int
    /// How many lists and maps may lie inside each other. The reader calls itself as often.
    package var depth: Int

    package init(bytes: Int, depth: Int) {
        self.bytes = bytes
        self.depth = depth
    }

    /// What a configuration file gets: 256 KiB, 32 levels.
    package static let standard = YAMLLimits(bytes: 1 << 18, depth: 32)
}

/// Reads the part of YAML 1.2 in which people write settings.
///
/// Known: block and flow lists and maps, plain and quoted values on one line, `|` and `>` blocks,
/// comments, one `---` in front and one `...` behind. Everything else is refused by its name and
/// place: anchors, aliases, tags, directives, several documents, complex and repeated keys, tabs
/// that indent, values over several lines other than blocks. What is accepted means what YAML says.
package enum YAML {
    /// Complexity: O(n log n) in the length of the text.
    package static func parse(
        _ bytes: [UInt8], limits: YAMLLimits = .standard
    ) throws(YAMLError) -> YAMLNode {
        guard bytes.count <= limits.bytes else {
            let message = "the text is \(bytes.count) bytes long, the limit is \(limits.bytes)"
            throw YAMLError(message: message, line: 1, column: 1)
        }
        var parser = YAMLParser(bytes, limits: limits)
        do throws(YAMLParser.Fault) {
            return try parser.document()
        } catch {
            throw parser.error(error)
        }
    }
}
