// Writes JSON as Dkron's clients know it: compact or indented by four spaces, with the escapes
// that Go's encoder uses, so that texts compare byte for byte.

/// Appends one JSON value to a byte array, piece by piece.
///
/// The caller keeps the grammar: every `begin` has its `end`, and inside an object each value
/// follows a `key`. A long list is sent in pieces by `take()`.
package struct JSONWriter: Sendable {
    package enum Layout: Sendable {
        case compact
        /// One member or element a line, indented by four spaces for each level.
        case pretty
    }

    package enum Escaping: Sendable {
        /// Also `<`, `>`, `&`, U+2028 and U+2029: safe inside a page. What the API answers.
        case html
        /// Only what RFC 8259 demands. What is kept as text or handed to a program.
        case minimal
    }

    /// What has been written since the start or the last `take()`.
    package private(set) var bytes: [UInt8] = []
    package let layout: Layout
    package let escaping: Escaping
    private var depth = 0
    /// Something precedes the next item in the innermost container.
    private var hasItems = false
    private var isAfterKey = false

    package init(_ layout: Layout = .compact, escaping: Escaping = .html) {
        self.layout = layout
        self.escaping = escaping
    }

    /// Hands over what has been written so far; writing goes on where it was.
    package mutating func take() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        return taken
    }

    // MARK: Containers

    package mutating func beginObject() { begin(UInt8(ascii: "{")) }
    package mutating func endObject() { end(UInt8(ascii: "}")) }
    package mutating func beginArray() { begin(UInt8(ascii: "[")) }
    package mutating func endArray() { end(UInt8(ascii: "]")) }

    /// The name of the member whose value is written next.
    package mutating func key(_ name: String) {
        separate()
        quote(name.utf8.span)
        finishKey()
    }

    package mutating func key(_ name: [UInt8]) { key(name.span) }

    package mutating func key(_ name: Span<UInt8>) {
        separate()
        quote(name)
        finishKey()
    }

    // MARK: Values

    package mutating func string(_ value: String) {
        separate()
        quote(value.utf8.span)
    }

    /// A string of bytes that are meant to be UTF-8; each that is not becomes `\ufffd`.
    package mutating func string(_ value: [UInt8]) {
        separate()
        quote(value.span)
    }

    package mutating func string(_ value: Span<UInt8>) {
        separate()
        quote(value)
    }

    package mutating func integer(_ value: some FixedWidthInteger) {
        separate()
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        // By the remainders' magnitudes, so that the smallest number needs no negation.
        let first = bytes.count
        var rest = value
        repeat {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10)
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: remainder.magnitude))
            rest = quotient
        } while rest != 0
        bytes[first...].reverse()
    }

    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: value ? "true".utf8 : "false".utf8)
    }

    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    /// A finished JSON value, taken over as it is in either layout.
    package mutating func raw(_ value: [UInt8]) {
        separate()
        bytes.append(contentsOf: value)
    }

    package mutating func raw(_ value: ArraySlice<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    // MARK: Members

    package mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    package mutating func member(_ name: String, _ value: some FixedWidthInteger) {
        key(name)
        integer(value)
    }

    package mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }

    package mutating func member(_ name: String, _ values: [String]) {
        key(name)
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    // MARK: Private

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        depth += 1
        hasItems = false
    }

    private mutating func end(_ bracket: UInt8) {
        invariant(depth > 0 && !isAfterKey, "a JSON container ends only after it began")
        depth -= 1
        if hasItems { breakLine() }
        bytes.append(bracket)
        hasItems = true
    }

    /// What stands before a value or key: nothing after a key, a comma after an item.
    private mutating func separate() {
        if isAfterKey {
            isAfterKey = false
        } else if depth > 0 {
            if hasItems { bytes.append(UInt8(ascii: ",")) }
            breakLine()
        }
        hasItems = true
    }

    private mutating func finishKey() {
        invariant(depth > 0, "a JSON member's name stands inside an object")
        bytes.append(UInt8(ascii: ":"))
        if layout == .pretty { bytes.append(UInt8(ascii: " ")) }
        isAfterKey = true
    }

    private mutating func breakLine() {
        guard layout == .pretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<(depth * 4) { bytes.append(UInt8(ascii: " ")) }
    }

    private mutating func quote(_ text: Span<UInt8>) {
        let input = text.bytes
        let end = plainEnd(input, from: 0)
        bytes.append(addingCapacity: end + 2) { output in
            output.append(UInt8(ascii: "\""))
            Self.copy(input, from: 0, to: end, &output)
            if end == input.byteCount { output.append(UInt8(ascii: "\"")) }
        }
        if end < input.byteCount { quoteRest(input, from: end) }
    }

    /// Goes on where the first character stands that may need an escape.
    private mutating func quoteRest(_ input: RawSpan, from first: Int) {
        var start = first
        var index = first
        while index < input.byteCount {
            let length = plainLength(input, at: index)
            if length > 0 {
                index = plainEnd(input, from: index + length)
                continue
            }
            appendBytes(input, from: start, to: index)
            index += escape(input, at: index)
            start = index
            index = plainEnd(input, from: index)
        }
        appendBytes(input, from: start, to: index)
        bytes.append(UInt8(ascii: "\""))
    }

    /// The first index at or behind `start` that needs a closer look, eight bytes at a time.
    private func plainEnd(_ input: RawSpan, from start: Int) -> Int {
        var index = start
        while index + 8 <= input.byteCount {
            let word = UInt64(
                littleEndian: input.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            var marks = specialStringBytes(word)
            if escaping == .html { marks |= pageBytes(word) }
            if marks != 0 { return index + marks.trailingZeroBitCount >> 3 }
            index += 8
        }
        while index < input.byteCount {
            let byte = input.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            guard byte < 0x80, plainLength(input, at: index) == 1 else { break }
            index += 1
        }
        return index
    }

    /// How many bytes at `index` may stand as they are; 0 if the character there needs an escape.
    @inline(__always)
    private func plainLength(_ input: RawSpan, at index: Int) -> Int {
        let byte = input.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        switch byte {
        case 0x00..<0x20, UInt8(ascii: "\""), UInt8(ascii: "\\"): return 0
        case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
            return escaping == .html ? 0 : 1
        case 0x20..<0x80: return 1
        default:
            let length = utf8SequenceLength(input, at: index)
            return escaping == .html && isLineSeparator(input, at: index, length) ? 0 : length
        }
    }

    /// U+2028 and U+2029, which end a line in JavaScript: e2 80 a8 and e2 80 a9.
    private func isLineSeparator(_ input: RawSpan, at index: Int, _ length: Int) -> Bool {
        func byte(_ distance: Int) -> UInt8 {
            input.unsafeLoad(fromByteOffset: index + distance, as: UInt8.self)
        }
        return length == 3 && byte(0) == 0xe2 && byte(1) == 0x80 && byte(2) & 0xfe == 0xa8
    }

    /// Writes the escape of the character at `index` and returns its length there.
    private mutating func escape(_ input: RawSpan, at index: Int) -> Int {
        let byte = input.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
        case 0x08: bytes.append(contentsOf: "\\b".utf8)
        case 0x09: bytes.append(contentsOf: "\\t".utf8)
        case 0x0a: bytes.append(contentsOf: "\\n".utf8)
        case 0x0c: bytes.append(contentsOf: "\\f".utf8)
        case 0x0d: bytes.append(contentsOf: "\\r".utf8)
        case 0x00..<0x80:
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(Self.hexadecimal[Int(byte >> 4)])
            bytes.append(Self.hexadecimal[Int(byte & 15)])
        default:
            if utf8SequenceLength(input, at: index) == 3 {
                let last = input.unsafeLoad(fromByteOffset: index + 2, as: UInt8.self)
                bytes.append(contentsOf: last == 0xa8 ? "\\u2028".utf8 : "\\u2029".utf8)
                return 3
            }
            bytes.append(contentsOf: "\\ufffd".utf8)
        }
        return 1
    }

    private mutating func appendBytes(_ input: RawSpan, from start: Int, to end: Int) {
        bytes.append(addingCapacity: end - start) { output in
            Self.copy(input, from: start, to: end, &output)
        }
    }

    private static func copy(
        _ input: RawSpan, from start: Int, to end: Int, _ output: inout OutputSpan<UInt8>
    ) {
        guard start < end else { return }
        output.withUnsafeMutableBufferPointer { target, count in
            input.extracting(start..<end).withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(target)[count...]
                )
                .copyMemory(from: source)
            }
            count += end - start
        }
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)
}

/// Marks, as `specialStringBytes`, the characters that a page gives a meaning to.
@inline(__always)
private func pageBytes(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    // '<' and '>' differ in one bit.
    let angles = (word | ones &* 0x02) ^ (ones &* 0x3e)
    let ampersands = word ^ (ones &* 0x26)
    let found = ((angles &- ones) & ~angles) | ((ampersands &- ones) & ~ampersands)
    return found & (ones &* 0x80)
}
