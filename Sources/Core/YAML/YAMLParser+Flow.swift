// Lists and maps in brackets. Within them lines and their indentation mean nothing.

extension YAMLParser {
    /// A list, a map or a value within one.
    mutating func flowNode() throws(Fault) -> YAMLNode {
        let line = line
        switch byte(position) {
        case UInt8(ascii: "["): return try flowList()
        case UInt8(ascii: "{"): return try flowMap()
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return YAMLNode(.scalar(try quoted(), isPlain: false), line: line)
        default:
            return YAMLNode(.scalar(try plain(inFlow: true), isPlain: true), line: line)
        }
    }

    private mutating func flowList() throws(Fault) -> YAMLNode {
        try enter()
        let (start, startLine) = (position, line)
        position += 1
        var items: [YAMLNode] = []
        try skipFlowSpace(from: start)
        while byte(position) != UInt8(ascii: "]") {
            items.append(try flowNode())
            try skipFlowSpace(from: start)
            if byte(position) == UInt8(ascii: ":") {
                throw Fault("a pair inside a list needs braces: [{key: value}]", position)
            }
            try separator(UInt8(ascii: "]"), from: start)
        }
        position += 1
        leave()
        return YAMLNode(.list(items), line: startLine)
    }

    private mutating func flowMap() throws(Fault) -> YAMLNode {
        try enter()
        let (start, startLine) = (position, line)
        position += 1
        var members: [(member: YAMLMember, offset: Int)] = []
        try skipFlowSpace(from: start)
        while byte(position) != UInt8(ascii: "}") {
            members.append(try flowMember(from: start))
            try skipFlowSpace(from: start)
            try separator(UInt8(ascii: "}"), from: start)
        }
        position += 1
        leave()
        return YAMLNode(.map(try Self.unique(members)), line: startLine)
    }

    private mutating func flowMember(
        from start: Int
    ) throws(Fault) -> (member: YAMLMember, offset: Int) {
        let (keyStart, keyLine) = (position, line)
        let key: String
        switch byte(position) {
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            throw Fault(
                "complex keys are not supported; a value that begins with '{{' must be quoted",
                position)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): key = try quoted()
        default: key = try plain(inFlow: true)
        }
        let isQuoted = position > keyStart && [0x22, 0x27].contains(bytes[keyStart])
        skipBlanks()
        let isFollowed =
            isQuoted || isBlankOrLineEnd(position + 1) || Self.isFlowMark(byte(position + 1))
        guard byte(position) == UInt8(ascii: ":"), isFollowed else {
            throw Fault("a ':' must follow the key", position)
        }
        position += 1
        try skipFlowSpace(from: start)
        let isEmpty = [UInt8(ascii: ","), UInt8(ascii: "}")].contains(byte(position))
        let value =
            isEmpty ? YAMLNode(.scalar("", isPlain: true), line: line) : try flowNode()
        return (YAMLMember(key: key, line: keyLine, value: value), keyStart)
    }

    /// Goes to the next item, or to the closing bracket.
    private mutating func separator(_ closing: UInt8, from start: Int) throws(Fault) {
        if byte(position) == closing { return }
        guard byte(position) == UInt8(ascii: ",") else {
            let bracket = Character(UnicodeScalar(closing))
            throw Fault("a ',' or the closing '\(bracket)' must follow", position)
        }
        position += 1
        try skipFlowSpace(from: start)
        if byte(position) == UInt8(ascii: ",") {
            throw Fault("there is nothing between the commas", position)
        }
    }

    /// Blanks, ends of lines and comments. `start` is the bracket that is still open.
    private mutating func skipFlowSpace(from start: Int) throws(Fault) {
        while true {
            let begin = position
            skipBlanks()
            let isSeparate = position > begin || begin == lineStart
            if byte(position) == UInt8(ascii: "#"), isSeparate { skipComment() }
            guard !isAtEnd else {
                let bracket = Character(UnicodeScalar(bytes[start]))
                throw Fault("this '\(bracket)' is not closed", start)
            }
            guard isLineEnd(position) else {
                if begin == lineStart, bytes[begin..<position].contains(0x09) {
                    throw Self.tab(at: begin)
                }
                if isMarker("---") || isMarker("...") {
                    throw Fault("several documents in one text are not supported", position)
                }
                return
            }
            skipLineEnd()
        }
    }

    static func isFlowMark(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"),
            UInt8(ascii: "}"):
            true
        default: false
        }
    }
}
