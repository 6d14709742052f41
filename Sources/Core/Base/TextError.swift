/// Says what is wrong with a text, where, and what would be right.
package struct TextError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first character at fault, counted from 1 in Unicode scalars.
    package let column: Int
    /// A sentence without the place and without the full stop.
    package let message: String

    package init(column: Int, _ message: String) {
        self.column = column
        self.message = message
    }

    package var description: String { "column \(column): \(message)" }
}

/// The column, from 1, of the character at a byte offset of UTF-8 text.
package func column(atByte offset: Int, of bytes: Span<UInt8>) -> Int {
    var column = 1
    for index in 0..<min(offset, bytes.count) where bytes[index] & 0xC0 != 0x80 { column += 1 }
    return column
}
