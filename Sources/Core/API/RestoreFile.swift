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
    private let limit: Int

    /// Looks at the bytes of a range only.
    init(_ range: Range<Int>) {
        position = range.lowerBound
        limit = range.upperBound
    }

    /// Looks at up to `budget` bytes more. Throws what is wrong, as the rest of a sentence.
    mutating func next(
        in bytes: [UInt8], budget: inout Int
    ) throws(TextError) -> Step {
        while budget > 0 {
            guard position < limit else {
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
enum RestoreFile {
    /// The part named `file` of a form, or the whole body where that is JSON. O(body), once.
    static func range(in request: HTTPRequest) throws(APIError) -> Range<Int> {
        do throws(HTTPMultipart.Failure) {
            let part = try HTTPMultipart.part(
                named: "file", contentType: request.headers["Content-Type"], body: request.body)
            return part.startIndex..<part.endIndex
        } catch {
            switch error {
            case .notMultipart:
                let first = request.body.first { !ArraySplitter.isSpace($0) }
                if first == UInt8(ascii: "[") { return 0..<request.body.count }
            case .missingPart: break
            case .malformed(let what):
                throw APIError(400, "malformed_multipart", "The form can't be read: \(what).")
            }
        }
        throw APIError(
            400, "no_file",
            "A restore needs the file: a multipart/form-data body with a part named file, or a"
                + " body that is itself the JSON array.")
    }
}
