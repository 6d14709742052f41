/// Splits a command that is started without a shell.
///
/// Blanks separate words. Within single quotes everything stands for itself; within double quotes
/// and outside of quotes a backslash makes the next character stand for itself. Nothing is
/// expanded: no variables, no patterns, no `~`. What a shell would act upon is refused rather than
/// passed on as text, or dropped.
enum ShellWords {
    /// - Parameter remedy: what gives the command a shell, for messages.
    static func split(
        _ text: String, remedy: String = "set \"shell\": \"true\""
    ) throws(TextError) -> [String] {
        let bytes = Array(text.utf8)
        var words: [String] = []
        var word: [UInt8] = []
        /// A word has begun; it may be empty, as `""` is.
        var isOpen = false
        var position = 0
        func refusal(at offset: Int, _ message: String) -> TextError {
            TextError(column: column(atByte: offset, of: bytes.span), message)
        }
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case _ where blanks.contains(byte):
                if isOpen { words.append(String(decoding: word, as: UTF8.self)) }
                word = []
                isOpen = false
                position += 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                guard let end = quoted(bytes, from: position, into: &word) else {
                    throw refusal(at: position, "the quote that opens here is never closed")
                }
                isOpen = true
                position = end
            case UInt8(ascii: "\\"):
                guard position + 1 < bytes.count else {
                    throw refusal(at: position, "a backslash stands before nothing")
                }
                word.append(bytes[position + 1])
                isOpen = true
                position += 2
            case _ where operators.contains(byte):
                let name = String(decoding: [byte], as: UTF8.self)
                throw refusal(
                    at: position,
                    "\"\(name)\" needs a shell; \(remedy), or quote it")
            default:
                word.append(byte)
                isOpen = true
                position += 1
            }
        }
        if isOpen { words.append(String(decoding: word, as: UTF8.self)) }
        return words
    }

    static func isBlank(_ text: String) -> Bool { text.utf8.allSatisfy { blanks.contains($0) } }

    /// Appends what the quotes at `start` hold. Returns the offset after the closing one.
    private static func quoted(
        _ bytes: [UInt8], from start: Int, into word: inout [UInt8]
    ) -> Int? {
        let quote = bytes[start]
        var position = start + 1
        while position < bytes.count {
            if bytes[position] == quote { return position + 1 }
            if quote == UInt8(ascii: "\""), bytes[position] == UInt8(ascii: "\\") { position += 1 }
            guard position < bytes.count else { return nil }
            word.append(bytes[position])
            position += 1
        }
        return nil
    }

    private static let blanks = Array(" \t\r\n".utf8)
    private static let operators = Array(";&|<>()".utf8)
}

/// Reads `env`.
///
///     env     = [ entry ] *( "," [ entry ] )
///     entry   = name "=" value
///     value   = plain | '"' *( char | "\" any ) '"' | "'" *char "'"
///     plain   = *( char but "," | "\," | "\\" )
///
/// Blanks before a name, and after a closing quote, mean nothing. A quote that is not the first
/// character of a value stands for itself, and so does a backslash before anything but what it
/// could be needed for (`,` or `\`; within double quotes `"` or `\`): what people wrote for Dkron,
/// which knows no quoting here, keeps its meaning.
enum ShellEnvironment {
    static func parse(_ text: String) throws(TextError) -> [EnvironmentEntry] {
        var reader = Reader(bytes: Array(text.utf8))
        return try reader.entries()
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func entries() throws(TextError) -> [EnvironmentEntry] {
            var entries: [EnvironmentEntry] = []
            while position < bytes.count {
                skipBlanks()
                if peek == comma || peek == nil {
                    position += 1
                    continue
                }
                let name = try name()
                entries.append(EnvironmentEntry(name: name, value: try value()))
                // At a comma or at the end.
                position += 1
            }
            return entries
        }

        private mutating func name() throws(TextError) -> String {
            let start = position
            while let byte = peek, byte != equals, byte != comma { position += 1 }
            guard peek == equals, position > start else {
                throw error(
                    at: start,
                    "an entry has the form NAME=value; a comma within a value is written as "
                        + "\"\\,\", or the value in quotes")
            }
            defer { position += 1 }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }

        private mutating func value() throws(TextError) -> String {
            if let quote = peek, quote == doubleQuote || quote == singleQuote {
                return try quotedValue(quote)
            }
            var value: [UInt8] = []
            while let byte = peek, byte != comma {
                if byte == backslash, let next = peekNext, next == comma || next == backslash {
                    position += 1
                    value.append(next)
                } else {
                    value.append(byte)
                }
                position += 1
            }
            return String(decoding: value, as: UTF8.self)
        }

        private mutating func quotedValue(_ quote: UInt8) throws(TextError) -> String {
            let start = position
            var value: [UInt8] = []
            position += 1
            while let byte = peek, byte != quote {
                if byte == backslash, quote == doubleQuote, let next = peekNext,
                    next == doubleQuote || next == backslash
                {
                    position += 1
                    value.append(next)
                } else {
                    value.append(byte)
                }
                position += 1
            }
            guard peek == quote else {
                throw error(at: start, "the quote that opens here is never closed")
            }
            position += 1
            skipBlanks()
            guard peek == nil || peek == comma else {
                throw error(at: position, "after a quoted value there must be a comma or the end")
            }
            return String(decoding: value, as: UTF8.self)
        }

        private mutating func skipBlanks() {
            while let byte = peek, byte == 0x20 || (0x09...0x0D).contains(byte) { position += 1 }
        }

        private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
        private var peekNext: UInt8? { position + 1 < bytes.count ? bytes[position + 1] : nil }

        private func error(at offset: Int, _ message: String) -> TextError {
            TextError(column: column(atByte: offset, of: bytes.span), message)
        }
    }

    private static let comma = UInt8(ascii: ",")
    private static let equals = UInt8(ascii: "=")
    private static let backslash = UInt8(ascii: "\\")
    private static let doubleQuote = UInt8(ascii: "\"")
    private static let singleQuote = UInt8(ascii: "'")
}
