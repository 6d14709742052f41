// Numbers with fractions: the only place that knows floating point. They pass through as bits, and
// nothing is decided by them.

enum ProtobufFloats {
    /// The bits of a number in JSON's form, or of one of the three names in a string.
    static func bits(
        _ text: ArraySlice<UInt8>, isSingle: Bool, isText: Bool
    ) throws(ProtobufError) -> UInt64 {
        let word = String(decoding: text, as: UTF8.self)
        if isText {
            switch word {
            case "NaN": return isSingle ? UInt64(Float.nan.bitPattern) : Double.nan.bitPattern
            case "Infinity":
                return isSingle ? UInt64(Float.infinity.bitPattern) : Double.infinity.bitPattern
            case "-Infinity":
                return isSingle
                    ? UInt64((-Float.infinity).bitPattern) : (-Double.infinity).bitPattern
            default: break
            }
        }
        // The names and the hexadecimal form of Swift's own reader are not JSON's.
        let isNumber = text.allSatisfy { "0123456789+-.eE".utf8.contains($0) }
        if isSingle {
            guard isNumber, let value = Float(word) else { throw malformed(word) }
            guard value.isFinite else { throw tooLarge(word, "float") }
            return UInt64(value.bitPattern)
        }
        guard isNumber, let value = Double(word) else { throw malformed(word) }
        guard value.isFinite else { throw tooLarge(word, "double") }
        return value.bitPattern
    }

    /// A number from its bits: the shortest text that gives the same bits again.
    static func write(_ bits: UInt64, isSingle: Bool, to writer: inout JSONWriter) {
        if isSingle {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            write(value.description, isFinite: value.isFinite, isNegative: value < 0, to: &writer)
        } else {
            let value = Double(bitPattern: bits)
            write(value.description, isFinite: value.isFinite, isNegative: value < 0, to: &writer)
        }
    }

    private static func write(
        _ text: String, isFinite: Bool, isNegative: Bool, to writer: inout JSONWriter
    ) {
        guard isFinite else {
            let isNumber = text == "inf" || text == "-inf"
            return writer.string(isNumber ? (isNegative ? "-Infinity" : "Infinity") : "NaN")
        }
        writer.raw(Array((text.hasSuffix(".0") ? String(text.dropLast(2)) : text).utf8))
    }

    private static func malformed(_ word: String) -> ProtobufError {
        ProtobufError("a number is expected, found \"\(String(word.prefix(40)))\"")
    }

    private static func tooLarge(_ word: String, _ kind: String) -> ProtobufError {
        ProtobufError("the number \(String(word.prefix(40))) does not fit \(kind)")
    }
}
