// The block structure: lines and their indentation.
//
// Between two block values the parser stands at the first byte of a line's content, or is `ended`;
// a value that ends within a line is followed by `endLine`, which finds the next such place.

struct YAMLParser {
    /// What is wrong where; becomes a `YAMLError` once, since columns cost a pass over the line.
    struct Fault: Error {
        var message: String
        var offset: Int

        init(_ message: String, _ offset: Int) {
            self.message = message
            self.offset = offset
        }
    }

    let bytes: [UInt8]
    private let limits: YAMLLimits
    var position = 0
    var line = 1
    /// Offset of the first byte of the line.
    var lineStart = 0
    /// Nothing more belongs to the document.
    private var ended = false
    private var depth = 0

    init(_ bytes: [UInt8], limits: YAMLLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    func error(_ fault: Fault) -> YAMLError {
        var (line, column) = (1, 1)
        for byte in bytes.prefix(fault.offset) {
            if byte == UInt8(ascii: "\n") {
                (line, column) = (line + 1, 1)
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return YAMLError(message: fault.message, line: line, column: column)
    }

    // MARK: Bytes

    /// The byte there, or 0 past the end: a zero byte itself is refused beforehand.
    func byte(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

    var isAtEnd: Bool { position >= bytes.count }

    func isBlank(_ index: Int) -> Bool { [0x20, 0x09].contains(byte(index)) }

    /// The end of the text counts as the end of a line.
    func isLineEnd(_ index: Int) -> Bool {
        index >= bytes.count || byte(index) == 0x0A || byte(index) == 0x0D
    }

    func isBlankOrLineEnd(_ index: Int) -> Bool { isBlank(index) || isLineEnd(index) }

    mutating func skipBlanks() {
        while isBlank(position) { position += 1 }
    }

    /// Steps over the end of a line, `\n` or `\r\n`.
    mutating func skipLineEnd() {
        if byte(position) == 0x0D { position += 1 }
        if byte(position) == 0x0A { position += 1 }
        line += 1
        lineStart = position
    }

    mutating func skipComment() {
        while !isLineEnd(position) { position += 1 }
    }

    private var column: Int { position - lineStart }

    private func checkCharacters() throws(Fault) {
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw Fault("the text is not UTF-8", error.byteOffsets.lowerBound)
        }
        for (index, byte) in bytes.enumerated() {
            let isControl = byte < 0x20 && byte != 0x09 && byte != 0x0A && byte != 0x0D
            let isLoneReturn = byte == 0x0D && self.byte(index + 1) != 0x0A
            if isControl || byte == 0x7F || isLoneReturn {
                throw Fault("control characters can't stand in the text", index)
            }
        }
    }

    // MARK: Documents

    mutating func document() throws(Fault) -> YAMLNode {
        try checkCharacters()
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            position = 3
            lineStart = 3
        }
        try skipToContent()
        if !isAtEnd, column == 0, byte(position) == UInt8(ascii: "%") {
            throw Fault("directives ('%...') are not supported", position)
        }
        if isMarker("---") {
            position += 3
            skipBlanks()
            let isComment = byte(position) == UInt8(ascii: "#")
            guard isLineEnd(position) || isComment else {
                throw Fault("after '---' the line must end", position)
            }
            ended = false
            skipComment()
            try skipToContent()
        }
        let root = ended ? null : try blockNode(parent: -1)
        if isMarker("...") {
            position += 3
            try finishLine()
            try skipToContent()
            if !isAtEnd { throw Fault("nothing may follow the end of the document", position) }
        } else if isMarker("---") {
            throw Fault("several documents in one text are not supported", position)
        } else if !ended {
            throw Fault("this line is not indented like those above it", position)
        }
        return root
    }

    /// Whether `---` or `...` stands here as a line of its own or before a blank.
    func isMarker(_ text: StaticString) -> Bool {
        let mark = text.utf8Start.pointee
        return column == 0 && byte(position) == mark && byte(position + 1) == mark
            && byte(position + 2) == mark && isBlankOrLineEnd(position + 3)
    }

    private var null: YAMLNode { YAMLNode(.scalar("", isPlain: true), line: line) }

    /// Goes to the first byte of the next content, from the beginning of a line or behind what was
    /// read of it; skips empty lines and comments.
    private mutating func skipToContent() throws(Fault) {
        while true {
            while byte(position) == 0x20 { position += 1 }
            let indentation = position
            skipBlanks()
            if byte(position) == UInt8(ascii: "#") { skipComment() }
            if isAtEnd {
                ended = true
                return
            }
            guard isLineEnd(position) else {
                if indentation < position { throw Self.tab(at: indentation) }
                ended = isMarker("---") || isMarker("...")
                return
            }
            skipLineEnd()
        }
    }

    static func tab(at offset: Int) -> Fault { Fault("tabs can't indent; use spaces", offset) }

    /// Checks that nothing but a comment follows a value on its line.
    private mutating func finishLine() throws(Fault) {
        let end = position
        skipBlanks()
        if byte(position) == UInt8(ascii: "#"), position > end { skipComment() }
        guard isLineEnd(position) else {
            if byte(position) == UInt8(ascii: ":"), isBlankOrLineEnd(position + 1) {
                throw Fault(
                    "a key must be a plain or quoted word at the beginning of its line; a value "
                        + "with ': ' in it must be quoted", position)
            }
            throw Fault("unexpected text behind the value; quote a value like this", position)
        }
    }

    private mutating func endLine() throws(Fault) {
        try finishLine()
        try skipToContent()
    }

    mutating func enter() throws(Fault) {
        depth += 1
        guard depth <= limits.depth else {
            throw Fault("more than \(limits.depth) lists and maps lie inside each other", position)
        }
    }

    mutating func leave() { depth -= 1 }

    // MARK: Blocks

    private var isListItem: Bool {
        byte(position) == UInt8(ascii: "-") && isBlankOrLineEnd(position + 1)
    }

    /// A value that begins here, and may be a list or a map of several lines. `parent` is the
    /// column of what it belongs to.
    private mutating func blockNode(parent: Int) throws(Fault) -> YAMLNode {
        if isListItem { return try blockList() }
        let start = position
        let column = column
        let line = line
        guard let text = try keyOrScalar() else { return try value(parent: parent) }
        let end = position
        skipBlanks()
        if byte(position) == UInt8(ascii: ":"), isBlankOrLineEnd(position + 1) {
            return try blockMap(first: Key(text: text, offset: start, line: line), column: column)
        }
        position = end
        try endLine()
        let isPlain = ![UInt8(ascii: "\""), UInt8(ascii: "'")].contains(bytes[start])
        try refuseContinuation(of: isPlain, beyond: parent)
        return YAMLNode(.scalar(text, isPlain: isPlain), line: line)
    }

    private struct Key {
        var text: String
        var offset: Int
        var line: Int
    }

    /// A plain or quoted text that may turn out to be a key; nil if a value of another form begins
    /// here.
    private mutating func keyOrScalar() throws(Fault) -> String? {
        switch byte(position) {
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: ">"): return nil
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return try quoted()
        default: return try plain(inFlow: false)
        }
    }

    /// A value that follows a key or a dash on its line, or a flow collection or `|` block that
    /// begins a line.
    private mutating func value(parent: Int) throws(Fault) -> YAMLNode {
        let line = line
        switch byte(position) {
        case UInt8(ascii: "|"), UInt8(ascii: ">"):
            let text = try blockScalar(parent: parent)
            try skipToContent()
            return YAMLNode(.scalar(text, isPlain: false), line: line)
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let node = try flowNode()
            try endLine()
            return node
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            let text = try quoted()
            try endLine()
            return YAMLNode(.scalar(text, isPlain: false), line: line)
        default:
            if isListItem { throw Fault("a list must begin on a line of its own", position) }
            let text = try plain(inFlow: false)
            try endLine()
            try refuseContinuation(of: true, beyond: parent)
            return YAMLNode(.scalar(text, isPlain: true), line: line)
        }
    }

    private func refuseContinuation(of isPlain: Bool, beyond parent: Int) throws(Fault) {
        if isPlain, !ended, column > parent {
            throw Fault(
                "this line is indented further than those above it allow; a value of several "
                    + "lines needs '|' or '>'", position)
        }
    }

    private mutating func blockList() throws(Fault) -> YAMLNode {
        try enter()
        let column = column
        let line = line
        var items: [YAMLNode] = []
        while !ended, self.column == column, isListItem {
            let itemLine = self.line
            position += 1
            while byte(position) == 0x20 { position += 1 }
            if byte(position) == 0x09 { throw Self.tab(at: position) }
            // A `#` here has a blank before it.
            if isLineEnd(position) || byte(position) == UInt8(ascii: "#") {
                try skipToContent()
                let isDeeper = !ended && self.column > column
                let empty = YAMLNode(.scalar("", isPlain: true), line: itemLine)
                items.append(isDeeper ? try blockNode(parent: column) : empty)
            } else {
                items.append(try blockNode(parent: column))
            }
        }
        try refuseDeeper(than: column)
        leave()
        return YAMLNode(.list(items), line: line)
    }

    /// Behind the first key, before its colon.
    private mutating func blockMap(first: Key, column: Int) throws(Fault) -> YAMLNode {
        try enter()
        var key = first
        var members: [(member: YAMLMember, offset: Int)] = []
        while true {
            position += 1
            let value = try memberValue(of: key, column: column)
            members.append(
                (YAMLMember(key: key.text, line: key.line, value: value), key.offset))
            guard !ended, self.column == column else { break }
            key = try nextKey()
        }
        try refuseDeeper(than: column)
        leave()
        return YAMLNode(.map(try Self.unique(members)), line: first.line)
    }

    /// Reads a key up to its colon.
    private mutating func nextKey() throws(Fault) -> Key {
        let start = position
        if isListItem { throw Fault("a list item can't stand among the keys of a map", start) }
        guard let text = try keyOrScalar() else {
            throw Fault("complex keys are not supported; a key is a plain or quoted word", start)
        }
        let key = Key(text: text, offset: start, line: line)
        skipBlanks()
        guard byte(position) == UInt8(ascii: ":"), isBlankOrLineEnd(position + 1) else {
            throw Fault("a ':' with a blank behind it must follow the key", position)
        }
        return key
    }

    private mutating func memberValue(of key: Key, column: Int) throws(Fault) -> YAMLNode {
        skipBlanks()
        guard isLineEnd(position) || byte(position) == UInt8(ascii: "#") else {
            return try value(parent: column)
        }
        try skipToContent()
        if !ended, self.column > column { return try blockNode(parent: column) }
        // The items of a list may stand right below their key.
        if !ended, self.column == column, isListItem { return try blockList() }
        return YAMLNode(.scalar("", isPlain: true), line: key.line)
    }

    private func refuseDeeper(than column: Int) throws(Fault) {
        if !ended, self.column > column {
            throw Fault("this line is indented further than those above it allow", position)
        }
    }

    /// Refuses the first key that stood there before.
    static func unique(
        _ members: [(member: YAMLMember, offset: Int)]
    ) throws(Fault) -> [YAMLMember] {
        let order = members.indices.sorted {
            (members[$0].member.key, $0) < (members[$1].member.key, $1)
        }
        var repeated: Int?
        for (former, latter) in zip(order, order.dropFirst())
        where members[former].member.key == members[latter].member.key {
            repeated = min(repeated ?? latter, latter)
        }
        if let repeated {
            let member = members[repeated].member
            throw Fault("the key \(quote(member.key)) stands here twice", members[repeated].offset)
        }
        return members.map(\.member)
    }

    /// Short enough for a message.
    private static func quote(_ text: String) -> String {
        text.unicodeScalars.count <= 60 ? "\"\(text)\"" : "\"\(text.prefix(60))...\""
    }
}
