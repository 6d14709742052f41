// The compression of memberlist: Lempel, Ziv and Welch's (1984) as GIF packs it. Codes start with 9
// bits, grow to 12, and are packed from the low bit upwards; 256 forgets all strings, 257 ends.

package enum LZW {
    private static let clear = 256
    private static let end = 257
    private static let leastWidth = 9
    private static let mostWidth = 12
    private static let capacity = 1 << mostWidth

    /// Unpacks up to the end code; what follows it is ignored.
    ///
    /// - Parameter limit: the most bytes that may come out; a few bytes can stand for megabytes.
    package static func decompress(
        _ bytes: ArraySlice<UInt8>, limit: Int
    ) throws(ByteError) -> [UInt8] {
        var bits = BitReader(bytes)
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, 4 * bytes.count))
        // A string is the one before it and one byte more, and these stand side by side in the
        // output: so each is a place there.
        var starts = [Int](repeating: 0, count: capacity + 1)
        var counts = [Int](repeating: 0, count: capacity + 1)
        var width = leastWidth
        /// The code that the string before and the byte behind it get.
        var next = end
        while true {
            let at = bits.offset
            let code = try bits.take(width)
            if code == clear {
                (width, next) = (leastWidth, end)
                continue
            }
            if code == end { return output }
            let start = output.count
            if code < clear {
                output.append(UInt8(code))
            } else {
                // The newest string may end in the first byte that it is about to write.
                guard code <= next, code > end, code < capacity else {
                    throw .malformed(offset: at, what: "a code of LZW that has no meaning yet")
                }
                let from = starts[code]
                for position in from..<from + counts[code] { output.append(output[position]) }
            }
            guard output.count <= limit else {
                throw .malformed(offset: at, what: "more than \(limit) bytes after unpacking")
            }
            // A full table learns nothing more until the clear code.
            if next < capacity { next += 1 }
            starts[next] = start
            counts[next] = output.count - start + 1
            if next == 1 << width, width < mostWidth { width += 1 }
        }
    }

    /// Packs; the result may be longer than `bytes`. Linear for all practical purposes: strings are
    /// found by walking the at most 256 continuations of one.
    package static func compress(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var bits = BitWriter()
        var strings = StringTable(capacity: capacity)
        var width = leastWidth
        var next = end
        bits.put(clear, width)
        var current: Int?
        for byte in bytes {
            guard let known = current else {
                current = Int(byte)
                continue
            }
            if let longer = strings.continuation(of: known, by: byte) {
                current = longer
                continue
            }
            bits.put(known, width)
            next += 1
            if next == 1 << width { width += 1 }
            if next == capacity - 1 {
                bits.put(clear, mostWidth)
                strings = StringTable(capacity: capacity)
                (width, next) = (leastWidth, end)
            } else {
                strings.add(next, as: known, byte)
            }
            current = Int(byte)
        }
        if let current {
            bits.put(current, width)
            next += 1
            if next == 1 << width { width += 1 }
        }
        bits.put(end, width)
        return bits.finish()
    }

    /// The continuations of each string as a list.
    private struct StringTable {
        private var firstChild: [UInt16]
        private var sibling: [UInt16]
        private var byte: [UInt8]

        init(capacity: Int) {
            // 0 is never a continuation: it is a single byte.
            firstChild = [UInt16](repeating: 0, count: capacity)
            sibling = [UInt16](repeating: 0, count: capacity)
            byte = [UInt8](repeating: 0, count: capacity)
        }

        func continuation(of code: Int, by wanted: UInt8) -> Int? {
            var child = Int(firstChild[code])
            while child != 0, byte[child] != wanted { child = Int(sibling[child]) }
            return child == 0 ? nil : child
        }

        mutating func add(_ code: Int, as prefix: Int, _ suffix: UInt8) {
            byte[code] = suffix
            sibling[code] = firstChild[prefix]
            firstChild[prefix] = UInt16(code)
        }
    }

    private struct BitReader {
        private var bytes: ByteReader
        private var held: UInt32 = 0
        private var count = 0

        init(_ bytes: ArraySlice<UInt8>) { self.bytes = ByteReader(bytes) }

        var offset: Int { bytes.offset }

        mutating func take(_ width: Int) throws(ByteError) -> Int {
            while count < width {
                held |= UInt32(try bytes.u8()) << UInt32(count)
                count += 8
            }
            defer {
                held >>= UInt32(width)
                count -= width
            }
            return Int(held & (1 << UInt32(width) - 1))
        }
    }

    private struct BitWriter {
        private var output: [UInt8] = []
        private var held: UInt32 = 0
        private var count = 0

        mutating func put(_ code: Int, _ width: Int) {
            held |= UInt32(code) << UInt32(count)
            count += width
            while count >= 8 {
                output.append(UInt8(truncatingIfNeeded: held))
                held >>= 8
                count -= 8
            }
        }

        mutating func finish() -> [UInt8] {
            if count > 0 { output.append(UInt8(truncatingIfNeeded: held)) }
            return output
        }
    }
}
