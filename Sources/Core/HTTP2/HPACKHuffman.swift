// The static Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//
// The code is canonical: codes of one length follow each other in the order of their symbols. So
// the lengths alone say everything, and decoding needs no tree.

enum HPACKHuffman {
    /// The code's length in bits for each of the 256 bytes and the end of string, a digit each:
    /// 0 to 9, then a for 10 up to u for 30.
    private static let lengths: [UInt8] = Array(
        (""
            + "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca"
            + "d67777777777777777777777878djde6f56565666577666567655677777fbeds"
            + "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
            + "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq"
            + "u").utf8
    ).map { $0 < 0x3a ? $0 - 0x30 : $0 - 0x61 + 10 }

    private struct Code {
        var bits: UInt32 = 0
        var length: UInt8 = 0
    }

    private struct Tables: Sendable {
        var codes: [Code] = Array(repeating: Code(), count: 257)
        /// Symbols by length, then by value.
        var symbols: [UInt16] = []
        /// By length: the first code, aligned to the top of 32 bits, of the next length.
        var limits: [UInt64] = Array(repeating: 0, count: 31)
        /// By length: what is added to a code to find its symbol in `symbols`.
        var offsets: [Int] = Array(repeating: 0, count: 31)
        /// By the next eight bits: symbol and length of a code that fits, or length zero.
        var short: [(symbol: UInt8, length: UInt8)] = Array(repeating: (0, 0), count: 256)

        init() {
            var code: UInt32 = 0
            for length in 1...30 {
                code <<= 1
                offsets[length] = symbols.count - Int(code)
                for symbol in 0...256 where lengths[symbol] == UInt8(length) {
                    codes[symbol] = Code(bits: code, length: UInt8(length))
                    symbols.append(UInt16(symbol))
                    if length <= 8 {
                        let first = Int(code) << (8 - length)
                        for index in first..<(first + 1 << (8 - length)) {
                            short[index] = (UInt8(symbol), UInt8(length))
                        }
                    }
                    code += 1
                }
                limits[length] = UInt64(code) << UInt64(32 - length)
            }
        }
    }

    private static let tables = Tables()

    /// How many bytes a text takes in this code. Complexity: O(n).
    static func encodedCount(_ text: String) -> Int {
        var bits = 0
        for byte in text.utf8 { bits += Int(tables.codes[Int(byte)].length) }
        return (bits + 7) / 8
    }

    /// Appends a text in this code, filled up with ones.
    static func encode(_ text: String, to output: inout [UInt8]) {
        let codes = tables.codes
        var buffer: UInt64 = 0
        var filled: UInt64 = 0
        for byte in text.utf8 {
            let code = codes[Int(byte)]
            buffer = buffer << UInt64(code.length) | UInt64(code.bits)
            filled += UInt64(code.length)
            while filled >= 8 {
                filled -= 8
                output.append(UInt8(truncatingIfNeeded: buffer >> filled))
            }
        }
        if filled > 0 {
            output.append(UInt8(truncatingIfNeeded: buffer << (8 - filled) | 0xff >> filled))
        }
    }

    /// The bytes behind a code. Throws when the end of string is in it, or the filling is longer
    /// than seven bits or has a zero (RFC 7541 section 5.2). Complexity: O(n).
    static func decode(_ input: Span<UInt8>, to output: inout [UInt8]) throws(HPACKError) {
        let tables = tables
        // The next bits, at the top.
        var buffer: UInt64 = 0
        var filled = 0
        var position = 0
        while true {
            while filled <= 56, position < input.count {
                buffer |= UInt64(input[position]) << UInt64(56 - filled)
                filled += 8
                position += 1
            }
            guard filled > 0 else { return }
            var (symbol, length) = (0, 0)
            let short = tables.short[Int(buffer >> 56)]
            if short.length > 0 {
                (symbol, length) = (Int(short.symbol), Int(short.length))
            } else {
                let top = buffer >> 32
                length = 9
                while length < 30, top >= tables.limits[length] { length += 1 }
                let code = Int(top >> UInt64(32 - length))
                symbol = Int(tables.symbols[min(code + tables.offsets[length], 256)])
            }
            guard length <= filled else {
                let filling = ~UInt64(0) << UInt64(64 - filled)
                guard filled < 8, buffer & filling == filling else { throw .huffmanFilling }
                return
            }
            guard symbol < 256 else { throw filled < 8 ? .huffmanFilling : .huffmanEnd }
            output.append(UInt8(symbol))
            buffer <<= UInt64(length)
            filled -= length
        }
    }
}
