// JSON with everything that clients can notice: the order of members, and how strings and numbers
// are written. Shares no code with the server.

indirect enum RawJSON: Equatable {
    /// A string, number or word as it is written, quotation marks and escapes included.
    case scalar(String)
    case array([RawJSON])
    case object([Member])

    struct Member: Equatable {
        /// Without its quotation marks, escapes as written.
        var name: String
        var value: RawJSON
    }

    /// Nil unless the text is one value and nothing else.
    init?(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let value = reader.value(), reader.isAtEnd else { return nil }
        self = value
    }

    var members: [Member] {
        if case .object(let members) = self { members } else { [] }
    }

    var elements: [RawJSON]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    subscript(name: String) -> RawJSON? { members.first { $0.name == name }?.value }

    /// What stands between a string's quotation marks; the whole of another scalar.
    var plain: String? {
        guard case .scalar(let text) = self else { return nil }
        return text.hasPrefix("\"") ? String(text.dropFirst().dropLast()) : text
    }

    /// The one way to write it: compact, or a line for each item, indented by four spaces.
    func text(isPretty: Bool = false, depth: Int = 0) -> String {
        func list(_ open: String, _ items: [String], _ close: String) -> String {
            guard isPretty, !items.isEmpty else {
                return open + items.joined(separator: ",") + close
            }
            let indent = "\n" + String(repeating: "    ", count: depth + 1)
            let end = "\n" + String(repeating: "    ", count: depth)
            return open + indent + items.joined(separator: "," + indent) + end + close
        }
        switch self {
        case .scalar(let text): return text
        case .array(let elements):
            return list(
                "[", elements.map { $0.text(isPretty: isPretty, depth: depth + 1) }, "]")
        case .object(let members):
            let colon = isPretty ? ": " : ":"
            let items = members.map {
                "\"\($0.name)\"\(colon)" + $0.value.text(isPretty: isPretty, depth: depth + 1)
            }
            return list("{", items, "}")
        }
    }
}

extension RawJSON {
    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool {
            mutating get {
                skipSpace()
                return position == bytes.count
            }
        }

        private mutating func skipSpace() {
            while position < bytes.count, [32, 10, 13, 9].contains(bytes[position]) {
                position += 1
            }
        }

        private mutating func take(_ character: Character) -> Bool {
            skipSpace()
            guard position < bytes.count, bytes[position] == character.asciiValue else {
                return false
            }
            position += 1
            return true
        }

        mutating func value() -> RawJSON? {
            if take("{") {
                return list(end: "}") { reader in
                    guard case .scalar(let name)? = reader.string(), reader.take(":"),
                        let value = reader.value()
                    else { return nil }
                    return Member(name: String(name.dropFirst().dropLast()), value: value)
                }.map { .object($0) }
            }
            if take("[") { return list(end: "]") { $0.value() }.map { .array($0) } }
            skipSpace()
            guard position < bytes.count else { return nil }
            return bytes[position] == UInt8(ascii: "\"") ? string() : word()
        }

        private mutating func list<Item>(
            end: Character, _ item: (inout Reader) -> Item?
        ) -> [Item]? {
            var items: [Item] = []
            if take(end) { return items }
            while let next = item(&self) {
                items.append(next)
                if take(end) { return items }
                guard take(",") else { return nil }
            }
            return nil
        }

        private mutating func string() -> RawJSON? {
            skipSpace()
            let start = position
            guard take("\"") else { return nil }
            while position < bytes.count {
                let byte = bytes[position]
                // What follows a backslash belongs to it, a quotation mark too.
                position += byte == UInt8(ascii: "\\") ? 2 : 1
                if byte == UInt8(ascii: "\"") {
                    return .scalar(String(decoding: bytes[start..<position], as: UTF8.self))
                }
            }
            return nil
        }

        /// A number, `true`, `false` or `null`.
        private mutating func word() -> RawJSON? {
            let start = position
            let ends = Array(",]} \n\r\t".utf8)
            while position < bytes.count, !ends.contains(bytes[position]) { position += 1 }
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            let isNumber =
                Double(text) != nil && (text.first == "-" || text.first?.isNumber == true)
            guard isNumber || ["true", "false", "null"].contains(text) else { return nil }
            return .scalar(text)
        }
    }
}
