// Single values: plain, quoted, and the blocks behind `|` and `>`.

extension YAMLParser {
    private func text(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    // MARK: Plain

    /// Ends before `: `, ` #` and the end of the line; within brackets also before one of them and
    /// a comma.
    mutating func plain(inFlow: Bool) throws(Fault) -> String {
        try checkPlainStart(inFlow: inFlow)
        let start = position
        var end = position
        while !isLineEnd(position) {
            let byte = bytes[position]
            if inFlow, Self.isFlowMark(byte) { break }
            if byte == UInt8(ascii: ":"), endsAfterColon(inFlow: inFlow) { break }
            if byte == UInt8(ascii: "#"), position > start, isBlank(position - 1) { break }
            position += 1
            if byte != 0x20, byte != 0x09 { end = position }
        }
        position = end
        let text = text(start..<end)
        if text == "<<" { throw Fault("merge keys ('<<') are not supported", start) }
        return text
    }

    private func endsAfterColon(inFlow: Bool) -> Bool {
        isBlankOrLineEnd(position + 1) || inFlow && Self.isFlowMark(byte(position + 1))
    }

    /// Names what can't begin a plain value.
    private func checkPlainStart(inFlow: Bool) throws(Fault) {
        let message: String
        let next = position + 1
        let isAlone = isBlankOrLineEnd(next) || inFlow && Self.isFlowMark(byte(next))
        switch byte(position) {
        case UInt8(ascii: "&"): message = "anchors ('&name') are not supported"
        case UInt8(ascii: "*"):
            message = "aliases ('*name') are not supported; quote a value that begins with '*'"
        case UInt8(ascii: "!"):
            message = "tags ('!type') are not supported; quote a value that begins with '!'"
        case UInt8(ascii: "%"), UInt8(ascii: "@"), UInt8(ascii: "`"):
            let mark = Character(UnicodeScalar(byte(position)))
            message = "a value that begins with '\(mark)' must be quoted"
        case UInt8(ascii: "|"), UInt8(ascii: ">"):
            message = "a block can't stand inside brackets; quote the value"
        case UInt8(ascii: "?") where isAlone: message = "complex keys ('? key') are not supported"
        case UInt8(ascii: ":") where isAlone: message = "a key is missing before the ':'"
        case UInt8(ascii: "-") where isAlone: message = "a list item can't stand here"
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "#"):
            let mark = Character(UnicodeScalar(byte(position)))
            message = "a value can't begin with '\(mark)'"
        default: return
        }
        throw Fault(message, position)
    }

    // MARK: Quoted

    /// From the opening quote to behind the closing one, on the same line.
    mutating func quoted() throws(Fault) -> String {
        let start = position
        let quote = bytes[position]
        var result: [UInt8] = []
        position += 1
        while true {
            guard !isLineEnd(position) else {
                throw Fault(
                    "this quote is not closed on its line; a text of several lines needs '|' or "
                        + "'>'", start)
            }
            let byte = bytes[position]
            if byte == quote {
                position += 1
                guard quote == UInt8(ascii: "'"), self.byte(position) == quote else { break }
                result.append(quote)
                position += 1
            } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                try escape(into: &result)
            } else {
                result.append(byte)
                position += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private mutating func escape(into result: inout [UInt8]) throws(Fault) {
        let start = position
        let letter = byte(position + 1)
        position += 2
        switch letter {
        case UInt8(ascii: "0"): result.append(0)
        case UInt8(ascii: "a"): result.append(0x07)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "t"), 0x09: result.append(0x09)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "v"): result.append(0x0B)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "e"): result.append(0x1B)
        case UInt8(ascii: " "), UInt8(ascii: "\""), UInt8(ascii: "/"), UInt8(ascii: "\\"):
            result.append(letter)
        case UInt8(ascii: "N"): result += "\u{85}".utf8
        case UInt8(ascii: "_"): result += "\u{A0}".utf8
        case UInt8(ascii: "L"): result += "\u{2028}".utf8
        case UInt8(ascii: "P"): result += "\u{2029}".utf8
        case UInt8(ascii: "x"): try scalar(digits: 2, from: start, into: &result)
        case UInt8(ascii: "u"): try scalar(digits: 4, from: start, into: &result)
        case UInt8(ascii: "U"): try scalar(digits: 8, from: start, into: &result)
        default:
            throw Fault(
                "this is no escape; write '\\\\' for a backslash, or use single quotes", start)
        }
    }

    private mutating func scalar(
        digits: Int, from start: Int, into result: inout [UInt8]
    ) throws(Fault) {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = hexadecimalDigit(byte(position)) else {
                throw Fault("\(digits) hexadecimal digits must follow", start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = UnicodeScalar(value) else {
            throw Fault("there is no such character", start)
        }
        result += String(Character(scalar)).utf8
    }

    // MARK: Blocks

    private enum Chomping {
        case strip
        case clip
        case keep
    }

    /// From the `|` or `>` up to the beginning of the line after the text. The text is indented
    /// further than `parent`.
    mutating func blockScalar(parent: Int) throws(Fault) -> String {
        let isFolded = bytes[position] == UInt8(ascii: ">")
        position += 1
        let (chomping, explicit) = try blockHeader()
        let least = parent + 1
        var indentation = explicit.map { max(parent, 0) + $0 }
        var deepestBlank = 0
        var lines: [Range<Int>] = []
        while !isAtEnd {
            let start = position
            while byte(position) == 0x20, indentation.map({ position - start < $0 }) ?? true {
                position += 1
            }
            let spaces = position - start
            if isLineEnd(position) {
                if isAtEnd { break }
                lines.append(position..<position)
                deepestBlank = max(deepestBlank, spaces)
            } else {
                if indentation == nil, spaces >= least {
                    guard deepestBlank <= spaces else {
                        throw Fault(
                            "an empty line before this one is indented further than it", position)
                    }
                    indentation = spaces
                }
                guard let indentation, spaces >= indentation, !isDocumentEnd(start) else {
                    (position, lineStart) = (start, start)
                    break
                }
                let textStart = position
                skipComment()
                lines.append(textStart..<position)
            }
            if isAtEnd { break }
            skipLineEnd()
        }
        return assemble(lines, isFolded: isFolded, chomping)
    }

    private func isDocumentEnd(_ start: Int) -> Bool {
        guard isBlankOrLineEnd(start + 3) else { return false }
        let line = bytes[start..<min(start + 3, bytes.count)]
        return line.elementsEqual("---".utf8) || line.elementsEqual("...".utf8)
    }

    /// What may stand behind `|` and `>`: `-` or `+`, a digit, a comment.
    private mutating func blockHeader() throws(Fault) -> (Chomping, indentation: Int?) {
        var chomping: Chomping?
        var indentation: Int?
        while true {
            switch byte(position) {
            case UInt8(ascii: "-") where chomping == nil: chomping = .strip
            case UInt8(ascii: "+") where chomping == nil: chomping = .keep
            case UInt8(ascii: "1")...UInt8(ascii: "9") where indentation == nil:
                indentation = Int(byte(position) & 0xF)
            default:
                let end = position
                skipBlanks()
                if byte(position) == UInt8(ascii: "#"), position > end { skipComment() }
                guard isLineEnd(position) else {
                    throw Fault(
                        "behind '|' and '>' only '-', '+' and a digit may stand; the text begins "
                            + "on the next line, or is quoted", position)
                }
                if !isAtEnd { skipLineEnd() }
                return (chomping ?? .clip, indentation)
            }
            position += 1
        }
    }

    /// Joins the lines. Folding turns the end of a line into a blank, except beside lines that are
    /// indented further, and beside empty ones, which then stand for one line feed each.
    private func assemble(
        _ lines: [Range<Int>], isFolded: Bool, _ chomping: Chomping
    ) -> String {
        let textLines = lines.lastIndex { !$0.isEmpty }.map { $0 + 1 } ?? 0
        var result: [UInt8] = []
        var emptyLines = 0
        var isFirst = true
        var wasDeeper = false
        for range in lines.prefix(textLines) {
            if range.isEmpty {
                emptyLines += 1
                continue
            }
            let isDeeper = isBlank(range.lowerBound)
            let isBreak = !isFolded || isDeeper || wasDeeper
            if isFirst || (!isBreak && emptyLines > 0) {
                result += repeatElement(0x0A, count: emptyLines)
            } else if isBreak {
                result += repeatElement(0x0A, count: emptyLines + 1)
            } else {
                result.append(0x20)
            }
            result += bytes[range]
            (emptyLines, isFirst, wasDeeper) = (0, false, isDeeper)
        }
        let trailing = lines.count - textLines
        // The end of the whole text ends a line, too, but is no line feed.
        let isEnded = textLines > 0 && lines[textLines - 1].upperBound < bytes.count
        switch chomping {
        case .strip: break
        case .clip: if isEnded { result.append(0x0A) }
        case .keep: result += repeatElement(0x0A, count: trailing + (isEnded ? 1 : 0))
        }
        return String(decoding: result, as: UTF8.self)
    }
}
