// The text of an expression. What is not supported is named, never taken for something else.

struct PatternParser {
    private let text: [Unicode.Scalar]
    private var place = 0
    private var depth = 0
    private var ignoresCase = false
    private var dotTakesNewline = false
    private var isMultiline = false

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    mutating func parse() throws(TextError) -> PatternTree {
        try flags()
        let tree = try choice()
        if place < text.count { throw error("this \")\" closes no group; write \"\\)\" for it") }
        return tree
    }

    // MARK: Structure

    /// `(?i)`, `(?s)`, `(?m)` or several of them, at the very beginning.
    private mutating func flags() throws(TextError) {
        guard looking(at: "(?"), place + 2 < text.count, "ismU".unicodeScalars.contains(text[2])
        else { return }
        place += 2
        while let letter = next(), letter != ")" {
            switch letter {
            case "i": ignoresCase = true
            case "s": dotTakesNewline = true
            case "m": isMultiline = true
            default:
                place -= 1
                throw error("the flags at the beginning are i, s and m, as in (?i) or (?im)")
            }
        }
        guard text[place - 1] == ")" else { throw error("the flags are not closed by \")\"") }
    }

    private mutating func choice() throws(TextError) -> PatternTree {
        var parts = [try sequence()]
        while peek == "|" {
            place += 1
            parts.append(try sequence())
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(TextError) -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = peek, scalar != "|", scalar != ")" {
            parts.append(try repetition())
        }
        return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func repetition() throws(TextError) -> PatternTree {
        let part = try atom()
        guard let (least, most) = try quantifier() else { return part }
        // Whether the shortest or the longest is wanted decides what is found, not whether.
        if peek == "?" { place += 1 }
        let before = place
        if try quantifier() != nil {
            place = before
            throw error("a repetition can't be repeated itself; put it into a group")
        }
        return .repeated(part, least: least, most: most)
    }

    private mutating func quantifier() throws(TextError) -> (least: Int, most: Int?)? {
        switch peek {
        case "*": place += 1; return (0, nil)
        case "+": place += 1; return (1, nil)
        case "?": place += 1; return (0, 1)
        case "{": return try counted()
        default: return nil
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`. A brace that begins none of them stands for itself, as in JSON.
    private mutating func counted() throws(TextError) -> (least: Int, most: Int?)? {
        let start = place
        place += 1
        guard let least = number() else { place = start; return nil }
        var most: Int? = least
        if peek == "," {
            place += 1
            most = number()
        }
        guard peek == "}" else { place = start; return nil }
        place += 1
        let largest = max(least, most ?? 0)
        guard largest <= Pattern.mostRepetitions else {
            place = start
            throw error("at most \(Pattern.mostRepetitions) repetitions are allowed")
        }
        guard most.map({ least <= $0 }) ?? true else {
            place = start
            throw error("the first number of a repetition is larger than the second")
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let digit = peek?.value, digit &- 0x30 < 10 {
            // Enough to be too many, never enough to overflow.
            value = min((value ?? 0) * 10 + Int(digit - 0x30), 1_000_000)
            place += 1
        }
        return value
    }

    // MARK: Atoms

    private mutating func atom() throws(TextError) -> PatternTree {
        let start = place
        switch next() {
        case "(": return try group()
        case "[": return .set(try bracket())
        case ".": return .set(dotTakesNewline ? .all : ScalarSet.newline.inverted)
        case "^": return .assertion(isMultiline ? .lineStart : .textStart)
        case "$": return .assertion(isMultiline ? .lineEnd : .textEnd)
        case "\\": return try escape()
        case "*", "+", "?":
            place = start
            throw error("there is nothing before it to repeat; write \"\\\(text[start])\" for it")
        case "{":
            place = start
            if try counted() != nil {
                place = start
                throw error("there is nothing before it to repeat; write \"\\{\" for it")
            }
            place = start + 1
            return literal("{")
        case let scalar?: return literal(scalar)
        case nil: return .empty
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> PatternTree {
        .set(folded(ScalarSet([scalar.value...scalar.value])))
    }

    private func folded(_ set: ScalarSet) -> ScalarSet { ignoresCase ? set.ignoringCase : set }

    private mutating func group() throws(TextError) -> PatternTree {
        let start = place - 1
        depth += 1
        defer { depth -= 1 }
        guard depth <= Pattern.deepestNesting else {
            throw error("groups are nested more than \(Pattern.deepestNesting) deep")
        }
        if peek == "?" { try groupKind() }
        let tree = try choice()
        guard next() == ")" else {
            place = start
            throw error("this group is not closed; write \"\\(\" for the character itself")
        }
        return tree
    }

    private mutating func groupKind() throws(TextError) {
        for refused in ["?=", "?!", "?<=", "?<!"] where looking(at: refused) {
            throw error("looking ahead or behind, (\(refused)…), is not supported")
        }
        if looking(at: "?:") { return place += 2 }
        guard looking(at: "?P<") || looking(at: "?<") else {
            throw error(
                "(? begins only (?: and (?P<name>; flags such as (?i) stand at the very beginning")
        }
        while let scalar = next(), scalar != ">" {
            if scalar == ")" { break }
        }
        guard text[place - 1] == ">" else { throw error("a group's name ends with \">\"") }
    }

    private mutating func escape() throws(TextError) -> PatternTree {
        switch peek {
        case "b": place += 1; return .assertion(.wordBoundary)
        case "B": place += 1; return .assertion(.noWordBoundary)
        case "A": place += 1; return .assertion(.textStart)
        case "z": place += 1; return .assertion(.textEnd)
        default: return .set(folded(try escapedSet()))
        }
    }

    /// What stands behind a backslash and stands for scalars.
    private mutating func escapedSet() throws(TextError) -> ScalarSet {
        guard let scalar = next() else {
            throw error("a backslash stands at the end; write two of them for one")
        }
        switch scalar {
        case "d": return .digit
        case "D": return ScalarSet.digit.inverted
        case "w": return .word
        case "W": return ScalarSet.word.inverted
        case "s": return .space
        case "S": return ScalarSet.space.inverted
        case "t": return ScalarSet([0x09...0x09])
        case "n": return .newline
        case "v": return ScalarSet([0x0b...0x0b])
        case "f": return ScalarSet([0x0c...0x0c])
        case "r": return ScalarSet([0x0d...0x0d])
        case "x": return try hexadecimal()
        case "1"..."9":
            place -= 1
            throw error("references to groups, \\\(scalar), are not supported")
        case "p", "P":
            place -= 1
            throw error("Unicode classes, \\\(scalar), are not supported")
        default:
            guard scalar.isASCII, !scalar.properties.isAlphabetic, scalar.value > 0x20,
                !("0"..."9").contains(scalar)
            else {
                place -= 1
                throw error("\\\(scalar) is not supported")
            }
            return ScalarSet([scalar.value...scalar.value])
        }
    }

    /// `\x41` or `\x{1F600}`.
    private mutating func hexadecimal() throws(TextError) -> ScalarSet {
        let isBraced = peek == "{"
        if isBraced { place += 1 }
        var value: UInt32 = 0
        var digits = 0
        while digits < (isBraced ? 8 : 2), let scalar = peek, scalar.isASCII,
            let digit = hexadecimalDigit(UInt8(scalar.value))
        {
            value = value << 4 | UInt32(digit)
            digits += 1
            place += 1
        }
        let isClosed = !isBraced || next() == "}"
        guard digits > 0, isBraced || digits == 2, isClosed, value <= ScalarSet.last else {
            throw error("\\x takes two hexadecimal digits, or a scalar as in \\x{20AC}")
        }
        return ScalarSet([value...value])
    }

    // MARK: Brackets

    private mutating func bracket() throws(TextError) -> ScalarSet {
        let start = place - 1
        var isInverted = false
        if peek == "^" {
            place += 1
            isInverted = true
        }
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while isFirst || peek != "]" {
            isFirst = false
            guard place < text.count else {
                place = start
                throw error("this bracket is not closed; write \"\\[\" for the character itself")
            }
            try bracketItem(&ranges)
        }
        place += 1
        let set = folded(ScalarSet(ranges))
        return isInverted ? set.inverted : set
    }

    private mutating func bracketItem(
        _ ranges: inout [ClosedRange<UInt32>]
    ) throws(TextError) {
        if looking(at: "[:") || looking(at: "[=") || looking(at: "[.") {
            throw error("POSIX classes such as [:alpha:] are not supported; write a-zA-Z")
        }
        let start = place
        let low = try bracketScalars()
        guard low.ranges.count == 1, let first = low.ranges.first,
            first.lowerBound == first.upperBound, peek == "-", place + 1 < text.count,
            text[place + 1] != "]"
        else {
            ranges += low.ranges
            return
        }
        place += 1
        let high = try bracketScalars()
        guard high.ranges.count == 1, let last = high.ranges.first,
            last.lowerBound == last.upperBound, first.lowerBound <= last.lowerBound
        else {
            place = start
            throw error("this range does not go from a lower to a higher character")
        }
        ranges.append(first.lowerBound...last.lowerBound)
    }

    private mutating func bracketScalars() throws(TextError) -> ScalarSet {
        guard let scalar = next() else { return ScalarSet([]) }
        if scalar == "\\" { return try escapedSet() }
        return ScalarSet([scalar.value...scalar.value])
    }

    // MARK: Scalars

    private var peek: Unicode.Scalar? { place < text.count ? text[place] : nil }

    private mutating func next() -> Unicode.Scalar? {
        guard let scalar = peek else { return nil }
        place += 1
        return scalar
    }

    private func looking(at words: String) -> Bool {
        text[place...].starts(with: words.unicodeScalars)
    }

    private func error(_ message: String) -> TextError {
        TextError(column: place + 1, message)
    }
}
