// A Swift source file cut into tokens, just well enough for the tidy tests: comments and the
// contents of string literals are left out (code inside an interpolation stays in).

/// One Swift file of the repository.
struct SwiftFile: Sendable {
    struct Token: Sendable {
        /// An identifier, keyword or number as written, or one character of punctuation.
        let text: String
        /// Counted from 1.
        let line: Int
    }

    let path: String
    let tokens: [Token]
    /// The text of every string literal without interpolations, with its line.
    let literals: [Token]
    /// Length of each line in characters.
    let lineLengths: [Int]

    init(path: String, bytes: [UInt8]) {
        self.path = path
        var lexer = Lexer(bytes: bytes)
        lexer.code(until: nil)
        tokens = lexer.tokens
        literals = lexer.literals
        lineLengths = Self.lengths(of: bytes)
    }

    /// Path and line in the form that editors follow.
    func place(_ line: Int) -> String { "\(path):\(line)" }

    /// The texts of `count` tokens from `index` on; fewer at the end.
    func texts(from index: Int, _ count: Int) -> [String] {
        tokens[index..<min(index + count, tokens.count)].map(\.text)
    }

    /// Index of the token that closes the bracket at `open`; the last token when none does.
    func closing(_ open: Int) -> Int {
        var depth = 0
        for index in open..<tokens.count {
            switch tokens[index].text {
            case "(", "[", "{": depth += 1
            case ")", "]", "}":
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return tokens.count - 1
    }

    private static func lengths(of bytes: [UInt8]) -> [Int] {
        var lengths: [Int] = []
        var current = 0
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                lengths.append(current)
                current = 0
            } else if byte & 0xc0 != 0x80 {
                current += 1
            }
        }
        return current == 0 ? lengths : lengths + [current]
    }
}

/// Walks over the bytes once. Regular expression literals are not known to it: none are used.
private struct Lexer {
    let bytes: [UInt8]
    var position = 0
    var line = 1
    var tokens: [SwiftFile.Token] = []
    var literals: [SwiftFile.Token] = []

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads code up to the end, or up to the bracket that closes an interpolation.
    mutating func code(until closing: UInt8?) {
        var depth = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "/") {
                skipLine()
            } else if byte == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                skipBlock()
            } else if let hashes = startOfString() {
                string(hashes: hashes)
            } else if Self.isWord(byte) {
                word()
            } else {
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") {
                    if depth == 0, closing != nil { return advance() }
                    depth -= 1
                }
                if byte > UInt8(ascii: " "), byte < 0x7f { punctuation(byte) }
                advance()
            }
        }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
            || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    private func peek(_ offset: Int) -> UInt8 {
        position + offset < bytes.count ? bytes[position + offset] : 0
    }

    private mutating func advance() {
        if position < bytes.count, bytes[position] == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func punctuation(_ byte: UInt8) {
        let text = String(UnicodeScalar(byte))
        tokens.append(.init(text: text, line: line))
    }

    private mutating func word() {
        let start = position
        while position < bytes.count, Self.isWord(bytes[position]) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        tokens.append(.init(text: text, line: line))
    }

    private mutating func skipLine() {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
    }

    private mutating func skipBlock() {
        var depth = 0
        repeat {
            if bytes[position] == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                depth += 1
                position += 2
            } else if bytes[position] == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
                depth -= 1
                position += 2
            } else {
                advance()
            }
        } while depth > 0 && position < bytes.count
    }

    /// The number of `#` before a quotation mark here, or nil when no string begins.
    private func startOfString() -> Int? {
        var hashes = 0
        while peek(hashes) == UInt8(ascii: "#") { hashes += 1 }
        return peek(hashes) == UInt8(ascii: "\"") ? hashes : nil
    }

    private func stands(_ text: [UInt8], hashes: Int) -> Bool {
        for (offset, byte) in text.enumerated() where peek(offset) != byte { return false }
        for offset in 0..<hashes where peek(text.count + offset) != UInt8(ascii: "#") {
            return false
        }
        return true
    }

    private mutating func string(hashes: Int) {
        position += hashes
        let quote = UInt8(ascii: "\"")
        let isMultiline = peek(1) == quote && peek(2) == quote && isLineEnd(3)
        let mark = [UInt8](repeating: quote, count: isMultiline ? 3 : 1)
        position += mark.count
        tokens.append(.init(text: "\"", line: line))
        let (start, startLine) = (position, line)
        var isPlain = true
        while position < bytes.count {
            if stands(mark, hashes: hashes) { break }
            if bytes[position] == UInt8(ascii: "\\"), escapes(hashes) {
                position += 1 + hashes
                if peek(0) == UInt8(ascii: "(") {
                    isPlain = false
                    position += 1
                    code(until: UInt8(ascii: ")"))
                    continue
                }
            }
            advance()
        }
        if isPlain, start <= position, position <= bytes.count {
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            literals.append(.init(text: text, line: startLine))
        }
        position += mark.count + hashes
    }

    /// Whether only blanks follow up to the end of the line: only there does `"""` begin a literal
    /// of several lines (`#""""#` is one of one line, with two quotation marks in it).
    private func isLineEnd(_ offset: Int) -> Bool {
        var offset = offset
        while peek(offset) == UInt8(ascii: " ") { offset += 1 }
        return peek(offset) == UInt8(ascii: "\n") || peek(offset) == 0
    }

    /// Whether the backslash here is followed by as many `#` as the literal has.
    private func escapes(_ hashes: Int) -> Bool {
        for offset in 0..<hashes where peek(1 + offset) != UInt8(ascii: "#") { return false }
        return true
    }
}
