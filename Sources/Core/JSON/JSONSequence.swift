/// JSON texts behind each other, perhaps with white space between them.
package enum JSONSequence {
    /// Finds where each of them ends. What is no JSON comes out in some pieces that are none.
    /// Complexity: O(bytes).
    package static func split(_ bytes: [UInt8]) -> [[UInt8]] {
        var texts: [[UInt8]] = []
        var index = 0
        while index < bytes.count {
            if isSpace(bytes[index]) {
                index += 1
                continue
            }
            let end = end(of: bytes, from: index)
            texts.append(Array(bytes[index..<end]))
            index = end
        }
        return texts
    }

    /// Behind the text that begins at `start`.
    private static func end(of bytes: [UInt8], from start: Int) -> Int {
        var depth = 0
        var isInString = false
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if isInString {
                if byte == UInt8(ascii: "\\") { index += 1 }
                guard byte == UInt8(ascii: "\"") else { continue }
                isInString = false
            } else {
                switch byte {
                case UInt8(ascii: "\""):
                    isInString = true
                    continue
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    depth += 1
                    continue
                case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
                default:
                    // A number or a word ends where something else begins.
                    let next = index < bytes.count ? bytes[index] : 0x20
                    guard isSpace(next) || "{[\"".utf8.contains(next) else { continue }
                }
            }
            if depth <= 0 { return min(index, bytes.count) }
        }
        return bytes.count
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
    }
}
