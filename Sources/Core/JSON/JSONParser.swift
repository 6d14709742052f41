// Checks a JSON text and lists its values. One pass, no recursion: the text decides neither how
// deep the stack goes nor, beyond its own length, how much memory is used.

struct JSONParser {
    /// Where the nodes go. Its capacity is fixed: appending beyond it stops the program.
    typealias Nodes = OutputSpan<JSONNode>

    private let limits: JSONLimits
    private var position = 0
    /// How many arrays and objects are open.
    private var depth = 0
    /// The node of the innermost open one; the `next` of an open node is the one around it.
    private var current = 0
    private var isObject = false
    private var isEmpty = true

    /// What is wrong where; becomes a `JSONError` once, since places cost a pass over the text.
    private struct Fault: Error {
        var message: String
        var offset: Int
    }

    private init(limits: JSONLimits) { self.limits = limits }

    /// The nodes of a text, the root first.
    static func nodes(of bytes: [UInt8], limits: JSONLimits) throws(JSONError) -> [JSONNode] {
        invariant(limits.bytes <= Int(Int32.max), "a JSON text is indexed by 32-bit numbers")
        guard bytes.count <= limits.bytes else {
            throw JSONError(
                "the text is \(bytes.count) bytes long, the limit is \(limits.bytes)",
                at: JSONPosition(offset: 0, in: bytes))
        }
        do throws(Fault) {
            var nodes: [JSONNode] = []
            let most = mostNodes(in: bytes)
            // Array(capacity:initializingWith:) looks up the type of its buffer at run time.
            nodes.reserveCapacity(most)
            try nodes.append(addingCapacity: most) { (nodes) throws(Fault) in
                var parser = JSONParser(limits: limits)
                try parser.document(bytes.span.bytes, &nodes)
            }
            return nodes
        } catch {
            throw JSONError(error.message, at: JSONPosition(offset: error.offset, in: bytes))
        }
    }

    /// An upper bound, also of what is found before a malformed text is given up. No node is
    /// shorter than a byte, which is good enough for a short text. (Half the length is not: `[[[`
    /// has three nodes.) Otherwise a comma, a colon or an opening bracket of its own stands before
    /// every node but the root; the marks below may be too many, never too few.
    private static func mostNodes(in bytes: [UInt8]) -> Int {
        if bytes.count <= 4096 { return bytes.count }
        let input = bytes.span.bytes
        let ones: UInt64 = 0x0101_0101_0101_0101
        var count = 1
        var index = 0
        while index + 8 <= input.byteCount {
            let word = input.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            let commas = word ^ (ones &* 0x2c)
            let colons = word ^ (ones &* 0x3a)
            let brackets = (word | ones &* 0x20) ^ (ones &* 0x7b)
            let found =
                ((commas &- ones) & ~commas) | ((colons &- ones) & ~colons)
                | ((brackets &- ones) & ~brackets)
            count += (found & (ones &* 0x80)).nonzeroBitCount
            index += 8
        }
        return count + input.byteCount - index
    }

    // MARK: Structure

    private mutating func document(_ input: RawSpan, _ nodes: inout Nodes) throws(Fault) {
        if input.byteCount >= 3, byte(input, 0) == 0xef, byte(input, 1) == 0xbb,
            byte(input, 2) == 0xbf
        {
            throw Fault(message: "a byte order mark is not allowed", offset: 0)
        }
        skipSpace(input)
        try value(input, &nodes)
        try items(input, &nodes)
        skipSpace(input)
        if position < input.byteCount { throw unexpected(input, "nothing may follow the value") }
    }

    /// Elements and members until no container is open.
    private mutating func items(_ input: RawSpan, _ nodes: inout Nodes) throws(Fault) {
        while depth > 0 {
            skipSpace(input)
            guard position < input.byteCount else { throw unexpected(input, "") }
            let next = byte(input, position)
            if next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                close(&nodes)
                continue
            }
            if isEmpty {
                isEmpty = false
            } else {
                guard next == UInt8(ascii: ",") else {
                    throw isObject
                        ? unexpected(input, "',' or '}' must follow a member")
                        : unexpected(input, "',' or ']' must follow an element")
                }
                position += 1
                skipSpace(input)
            }
            if isObject {
                guard position < input.byteCount, byte(input, position) == UInt8(ascii: "\"")
                else { throw unexpected(input, "a member's name in quotes is expected") }
                try string(input, &nodes)
                skipSpace(input)
                guard position < input.byteCount, byte(input, position) == UInt8(ascii: ":")
                else { throw unexpected(input, "':' must follow a member's name") }
                position += 1
                skipSpace(input)
            }
            if position < input.byteCount, byte(input, position) == UInt8(ascii: "\"") {
                try string(input, &nodes)
            } else {
                try value(input, &nodes)
            }
        }
    }

    /// One value, of a container only its opening bracket.
    private mutating func value(_ input: RawSpan, _ nodes: inout Nodes) throws(Fault) {
        guard position < input.byteCount else { throw unexpected(input, "") }
        switch byte(input, position) {
        case UInt8(ascii: "\""): try string(input, &nodes)
        case UInt8(ascii: "{"): try open(.object, &nodes)
        case UInt8(ascii: "["): try open(.array, &nodes)
        case UInt8(ascii: "-"), 0x30...0x39: try number(input, &nodes)
        case UInt8(ascii: "t"): try word(input, "true", .bool, flag: true, &nodes)
        case UInt8(ascii: "f"): try word(input, "false", .bool, flag: false, &nodes)
        case UInt8(ascii: "n"): try word(input, "null", .null, flag: false, &nodes)
        default: throw unexpected(input, "a value is expected")
        }
    }

    @inline(__always)
    private mutating func open(_ kind: JSONKind, _ nodes: inout Nodes) throws(Fault) {
        guard depth < limits.depth else {
            throw Fault(
                message: "arrays and objects may nest at most \(limits.depth) deep",
                offset: position)
        }
        let index = nodes.count
        append(position, position + 1, kind, false, &nodes)
        nodes[index].next = UInt32(truncatingIfNeeded: current)
        position += 1
        depth += 1
        current = index
        isObject = kind == .object
        isEmpty = true
    }

    @inline(__always)
    private mutating func close(_ nodes: inout Nodes) {
        position += 1
        let parent = Int(nodes[current].next)
        nodes[current].next = UInt32(truncatingIfNeeded: nodes.count)
        nodes[current].length = UInt32(truncatingIfNeeded: position) - nodes[current].start
        depth -= 1
        current = parent
        isObject = nodes[parent].kind == .object
        isEmpty = false
    }

    // MARK: Scalars

    private mutating func word(
        _ input: RawSpan, _ text: StaticString, _ kind: JSONKind, flag: Bool,
        _ nodes: inout Nodes
    ) throws(Fault) {
        let count = text.utf8CodeUnitCount
        var index = 0
        while index < count {
            guard position + index < input.byteCount,
                byte(input, position + index) == text.utf8Start[index]
            else {
                throw Fault(
                    message: "a value is expected, found a word that is not '\(text)'",
                    offset: position)
            }
            index += 1
        }
        append(position, position + count, kind, flag, &nodes)
        position += count
    }

    private mutating func number(_ input: RawSpan, _ nodes: inout Nodes) throws(Fault) {
        let start = position
        var index = position
        var isFractional = false
        if byte(input, index) == UInt8(ascii: "-") { index += 1 }
        let leading = index
        index = digits(input, from: index)
        if index == leading { throw digitExpected(input, index, "'-'") }
        if byte(input, leading) == UInt8(ascii: "0"), index > leading + 1 {
            throw Fault(message: "a number may not start with 0", offset: leading)
        }
        if index < input.byteCount, byte(input, index) == UInt8(ascii: ".") {
            isFractional = true
            let first = index + 1
            index = digits(input, from: first)
            if index == first { throw digitExpected(input, index, "'.'") }
        }
        if index < input.byteCount, byte(input, index) | 0x20 == UInt8(ascii: "e") {
            isFractional = true
            index += 1
            if index < input.byteCount,
                byte(input, index) == UInt8(ascii: "+") || byte(input, index) == UInt8(ascii: "-")
            {
                index += 1
            }
            let first = index
            index = digits(input, from: first)
            if index == first { throw digitExpected(input, index, "the exponent's 'e'") }
        }
        append(start, index, .number, isFractional, &nodes)
        position = index
    }

    private func digits(_ input: RawSpan, from start: Int) -> Int {
        var index = start
        while index < input.byteCount, byte(input, index) &- 0x30 < 10 { index += 1 }
        return index
    }

    @inline(__always)
    private mutating func string(_ input: RawSpan, _ nodes: inout Nodes) throws(Fault) {
        let start = position
        var index = plainEnd(input, from: start + 1)
        if index < input.byteCount, byte(input, index) == UInt8(ascii: "\"") {
            append(start, index + 1, .string, false, &nodes)
        } else {
            let hasEscapes: Bool
            (index, hasEscapes) = try unusualString(input, from: start, at: index)
            append(start, index + 1, .string, hasEscapes, isASCII: false, &nodes)
        }
        position = index + 1
    }

    /// Goes on with a string at a byte that is not plain; returns the index of its closing quote
    /// and whether it holds escapes.
    @inline(never)
    private func unusualString(
        _ input: RawSpan, from start: Int, at first: Int
    ) throws(Fault) -> (Int, Bool) {
        var index = first
        var hasEscapes = false
        while true {
            guard index < input.byteCount else {
                throw Fault(message: "the string that starts here is not closed", offset: start)
            }
            let next = byte(input, index)
            if next == UInt8(ascii: "\"") { return (index, hasEscapes) }
            if next == UInt8(ascii: "\\") {
                hasEscapes = true
                index = try escape(input, at: index)
            } else if next < 0x20 {
                throw Fault(
                    message: "a string may not hold \(described(input, index)) unescaped",
                    offset: index)
            } else {
                let length = utf8SequenceLength(input, at: index)
                if length == 0 {
                    throw Fault(message: "the text is not valid UTF-8", offset: index)
                }
                index += length
            }
            index = plainEnd(input, from: index)
        }
    }

    /// Checks an escape and returns the index behind it.
    private func escape(_ input: RawSpan, at index: Int) throws(Fault) -> Int {
        guard index + 1 < input.byteCount else { return input.byteCount }
        switch byte(input, index + 1) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index + 2
        case UInt8(ascii: "u"):
            let unit = try codeUnit(input, at: index)
            switch unit {
            case 0xd800...0xdbff:
                guard index + 7 < input.byteCount, byte(input, index + 6) == UInt8(ascii: "\\"),
                    byte(input, index + 7) == UInt8(ascii: "u"),
                    try codeUnit(input, at: index + 6) & 0xfc00 == 0xdc00
                else {
                    throw Fault(
                        message: "the first half of a surrogate pair stands alone", offset: index)
                }
                return index + 12
            case 0xdc00...0xdfff:
                throw Fault(
                    message: "the second half of a surrogate pair stands alone", offset: index)
            default: return index + 6
            }
        default:
            throw Fault(
                message: "'\\' followed by \(described(input, index + 1)) is not an escape",
                offset: index)
        }
    }

    private func codeUnit(_ input: RawSpan, at index: Int) throws(Fault) -> UInt32 {
        var result: UInt32 = 0
        for place in (index + 2)..<(index + 6) {
            guard place < input.byteCount, let digit = hexadecimalDigit(byte(input, place)) else {
                throw Fault(message: "'\\u' must be followed by four hex digits", offset: index)
            }
            result = result << 4 | UInt32(digit)
        }
        return result
    }

    // MARK: Bytes

    /// The byte at an index that the caller has found to lie inside the text.
    @inline(__always)
    private func byte(_ input: RawSpan, _ index: Int) -> UInt8 {
        input.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
    }

    @inline(__always)
    private mutating func skipSpace(_ input: RawSpan) {
        while position < input.byteCount {
            let next = byte(input, position)
            guard next <= 0x20, next == 0x20 || next == 0x0a || next == 0x0d || next == 0x09 else {
                return
            }
            position += 1
        }
    }

    @inline(__always)
    private func append(
        _ start: Int, _ end: Int, _ kind: JSONKind, _ flag: Bool, isASCII: Bool = true,
        _ nodes: inout Nodes
    ) {
        nodes.append(
            JSONNode(
                start: start, length: end - start, next: nodes.count + 1, kind: kind, flag: flag,
                isASCII: isASCII))
    }

    /// The first index whose byte is not plain inside a string, eight bytes at a time.
    @inline(__always)
    private func plainEnd(_ input: RawSpan, from start: Int) -> Int {
        var index = start
        while index &+ 8 <= input.byteCount {
            let word = UInt64(
                littleEndian: input.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: index, as: UInt64.self))
            let marks = specialStringBytes(word)
            if marks != 0 { return index &+ marks.trailingZeroBitCount >> 3 }
            index &+= 8
        }
        while index < input.byteCount {
            let next = byte(input, index)
            if next < 0x20 || next >= 0x80 || next == UInt8(ascii: "\"")
                || next == UInt8(ascii: "\\")
            {
                break
            }
            index += 1
        }
        return index
    }

    // MARK: Messages

    /// Something else stands at the current position than what the grammar expects there.
    @inline(never)
    private func unexpected(_ input: RawSpan, _ expected: StaticString) -> Fault {
        if position < input.byteCount {
            let found = described(input, position)
            return Fault(message: "\(expected), found \(found)", offset: position)
        }
        if depth == 0 {
            return Fault(message: "a value is expected, the text is empty", offset: position)
        }
        return Fault(
            message: isObject ? "the text ends inside an object" : "the text ends inside an array",
            offset: position)
    }

    @inline(never)
    private func digitExpected(_ input: RawSpan, _ index: Int, _ after: String) -> Fault {
        Fault(
            message: "a digit must follow \(after), found \(described(input, index))",
            offset: index)
    }

    /// What stands at an index, for messages.
    private func described(_ input: RawSpan, _ index: Int) -> String {
        guard index < input.byteCount else { return "the end" }
        switch byte(input, index) {
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return "a line break"
        case UInt8(ascii: "\t"): return "a tab"
        case 0x21...0x7e: return "'\(Character(Unicode.Scalar(byte(input, index))))'"
        case 0x00...0x20, 0x7f: return "a control character"
        default: return "a character outside of ASCII"
        }
    }
}

/// Marks, by its high bit, the lowest byte of a word that is a quote, a backslash, a control
/// character or not ASCII. Marks above the lowest may be wrong (borrows spread upwards).
@inline(__always)
func specialStringBytes(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    // With bit 1 flipped, a quote is 0x20 and control characters stay below.
    let quotesAndControl = (word ^ (ones &* 0x02)) &- ones &* 0x21
    let backslashes = (word ^ (ones &* 0x5c)) &- ones
    return (quotesAndControl | backslashes | word) & (ones &* 0x80)
}

/// The length of the UTF-8 sequence (RFC 3629: no surrogates, no overlong forms) of a byte outside
/// of ASCII at `index`; 0 if there is none.
func utf8SequenceLength(_ input: RawSpan, at index: Int) -> Int {
    func next(_ distance: Int) -> UInt8 {
        let place = index + distance
        return place < input.byteCount ? input.unsafeLoad(fromByteOffset: place, as: UInt8.self) : 0
    }
    func isTail(_ distance: Int) -> Bool { next(distance) & 0xc0 == 0x80 }
    let first = next(0)
    switch first {
    case 0xc2...0xdf: return isTail(1) ? 2 : 0
    case 0xe0: return 0xa0...0xbf ~= next(1) && isTail(2) ? 3 : 0
    case 0xed: return 0x80...0x9f ~= next(1) && isTail(2) ? 3 : 0
    case 0xe1...0xef: return isTail(1) && isTail(2) ? 3 : 0
    case 0xf0: return 0x90...0xbf ~= next(1) && isTail(2) && isTail(3) ? 4 : 0
    case 0xf1...0xf3: return isTail(1) && isTail(2) && isTail(3) ? 4 : 0
    case 0xf4: return 0x80...0x8f ~= next(1) && isTail(2) && isTail(3) ? 4 : 0
    default: return 0
    }
}
