// The file of a restore: where it lies in the request's body, and its jobs one by one. A file may
// have hundreds of megabytes, so it is cut into its elements a stretch at a time and never parsed
// as a whole.

/// Cuts a JSON array into its elements. What is inside an element is judged by whoever parses it.
struct ArraySplitter {
    enum Step: Equatable {
        /// The bytes of the next element.
        case element(Range<Int>)
        /// The share of this step is used up.
        case again
        /// The array ended; the offset is behind its bracket.
        case end(Int)
    }

    private enum State { case beforeArray, beforeElement, insideElement, afterElement }

    private var position: Int
    private var state = State.beforeArray
    private var start = 0
    private var depth = 0
    private var isInString = false
    private var isFirst = true

    init(from position: Int) { self.position = position }

    /// Looks at up to `budget` bytes more. Throws what is wrong, as the rest of a sentence.
    mutating func next(
        in bytes: [UInt8], budget: inout Int
    ) throws(TextError) -> Step {
        while budget > 0 {
            guard position < bytes.count else {
                throw TextError(column: 1, "the array of jobs does not end")
            }
            let byte = bytes[position]
            switch state {
            case .insideElement:
                if scan(byte, bytes) {
                    state = .afterElement
                    return .element(start..<position)
                }
                budget -= 1
                continue
            case .beforeArray where byte == UInt8(ascii: "["): state = .beforeElement
            case .beforeElement where byte == UInt8(ascii: "]") && isFirst,
                .afterElement where byte == UInt8(ascii: "]"):
                position += 1
                return .end(position)
            case .afterElement where byte == UInt8(ascii: ","): state = .beforeElement
            case _ where Self.isSpace(byte): break
            case .beforeElement where byte != UInt8(ascii: ",") && byte != UInt8(ascii: "]"):
                isFirst = false
                state = .insideElement
                start = position
                continue
            case .beforeArray:
                throw TextError(column: 1, "an array of jobs, [ … ], is needed")
            case .beforeElement, .afterElement:
                throw TextError(column: 1, "jobs must be separated by one comma each")
            }
            position += 1
            budget -= 1
        }
        return .again
    }

    /// Takes a byte of an element; true, and without taking it, when the element has ended.
    private mutating func scan(_ byte: UInt8, _ bytes: [UInt8]) -> Bool {
        if isInString {
            if byte == UInt8(ascii: "\\") { position += 1 }
            if byte == UInt8(ascii: "\"") { isInString = false }
        } else {
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return true }
                depth -= 1
            case UInt8(ascii: ","):
                if depth == 0 { return true }
            default: break
            }
        }
        position += 1
        return false
    }

    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09
    }
}

/// Where the file lies in a request's body.
struct RestoreFile {
    /// Where the file begins.
    let start: Int
    /// What ends it, in a multipart body; the body's end otherwise.
    let delimiter: [UInt8]?

    /// The part named `file` of a multipart body (RFC 7578), or the whole body where it is JSON.
    init(_ request: HTTPRequest) throws(APIError) {
        guard let type = request.headers["Content-Type"],
            HTTPHeaders.equal(String(type.prefix { $0 != ";" }), "multipart/form-data")
        else {
            guard request.body.first(where: { !ArraySplitter.isSpace($0) }) == UInt8(ascii: "[")
            else { throw Self.missing }
            start = 0
            delimiter = nil
            return
        }
        guard let boundary = Self.boundary(type) else {
            throw APIError(
                400, "malformed_multipart", "The Content-Type of the body names no boundary.")
        }
        let delimiter = Array("--\(boundary)".utf8)
        let body = request.body
        var position = 0
        while let found = Self.find(delimiter, in: body, from: position) {
            let head = found + delimiter.count
            guard let end = Self.find(Array("\r\n\r\n".utf8), in: body, from: head),
                end - head < 8_192
            else { break }
            let text = String(decoding: body[head..<end], as: UTF8.self)
            if Self.isFile(text) {
                start = end + 4
                self.delimiter = delimiter
                return
            }
            position = end
        }
        throw Self.missing
    }

    private static let missing = APIError(
        400, "no_file",
        "A restore needs the file: a multipart/form-data body with a part named file, or a body"
            + " that is itself the JSON array.")

    /// Whether nothing but the end of the file follows an offset.
    func ends(at offset: Int, in body: [UInt8]) -> Bool {
        var position = offset
        while position < body.count, ArraySplitter.isSpace(body[position]) { position += 1 }
        guard let delimiter else { return position == body.count }
        return body[position...].starts(with: delimiter)
    }

    private static func boundary(_ type: String) -> String? {
        for part in type.utf8.split(separator: UInt8(ascii: ";")).dropFirst() {
            let text = part.drop { $0 == 0x20 || $0 == 0x09 }
            let name = Array("boundary=".utf8)
            guard text.count > name.count,
                zip(text, name).allSatisfy({ asciiLowercased($0) == $1 })
            else { continue }
            var value = Array(text.dropFirst(name.count))
            if value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
                value = Array(value.dropFirst().dropLast())
            }
            while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
            return value.isEmpty || value.count > 70 ? nil : String(decoding: value, as: UTF8.self)
        }
        return nil
    }

    /// Whether a part's header fields name it `file`.
    private static func isFile(_ head: String) -> Bool {
        let bytes = Array(head.utf8)
        for name in ["name=\"file\"", "name=file"] {
            guard let found = find(Array(name.utf8), in: bytes, from: 0) else { continue }
            // Not the end of `filename=`.
            if found == 0 || bytes[found - 1] == 0x20 || bytes[found - 1] == UInt8(ascii: ";") {
                return true
            }
        }
        return false
    }

    /// The first place of a text at or after an offset.
    private static func find(_ text: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        var position = start
        while position + text.count <= bytes.count {
            if bytes[position] == text[0],
                bytes[position..<(position + text.count)].elementsEqual(text)
            {
                return position
            }
            position += 1
        }
        return nil
    }
}
