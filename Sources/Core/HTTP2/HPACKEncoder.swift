// Field lists in their compressed form (RFC 7541).

/// The sending side of one direction's compression.
package struct HPACKEncoder: Sendable {
    private var table: HPACKTable
    /// The most memory we spend, whatever the other side allows.
    private let bound: Int
    /// Sizes that the next block announces: the smallest since the last one, and the present one
    /// (section 4.2).
    private var announced: (least: Int, last: Int)?

    /// What differs in nearly every message would only push out what repeats.
    private static let unindexed = [":path", "content-length", "grpc-timeout", "date"]

    package init(tableLimit: Int = 4_096) {
        bound = tableLimit
        // The table's size before anybody says anything is fixed (RFC 9113 section 6.5.2).
        table = HPACKTable(capacity: 4_096)
        if tableLimit < 4_096 { setTableLimit(tableLimit) }
    }

    /// Bytes of the dynamic table as section 4.1 counts them.
    package var tableSize: Int { table.size }

    /// The other side's SETTINGS_HEADER_TABLE_SIZE.
    package mutating func setTableLimit(_ limit: Int) {
        let size = min(limit, bound)
        guard size != table.capacity else { return }
        table.resize(to: size)
        announced = (min(size, announced?.least ?? size), size)
    }

    /// Appends the block of a field list. Complexity: O(bytes + fields × entries).
    package mutating func encode(_ fields: [HTTP2Field], to output: inout [UInt8]) {
        if let (least, last) = announced {
            if least < last { Self.integer(least, prefix: 5, flags: 0x20, to: &output) }
            Self.integer(last, prefix: 5, flags: 0x20, to: &output)
            announced = nil
        }
        for field in fields { encode(field, to: &output) }
    }

    private mutating func encode(_ field: HTTP2Field, to output: inout [UInt8]) {
        let found = table.find(field)
        if let found, found.isWhole, !field.isSecret {
            return Self.integer(found.index, prefix: 7, flags: 0x80, to: &output)
        }
        let size = HPACK.size(of: field)
        let isIndexed =
            !field.isSecret && size <= table.capacity / 2
            && !Self.unindexed.contains { sameBytes($0, field.name) }
        let index = found?.index ?? 0
        if isIndexed {
            Self.integer(index, prefix: 6, flags: 0x40, to: &output)
        } else {
            Self.integer(index, prefix: 4, flags: field.isSecret ? 0x10 : 0, to: &output)
        }
        if index == 0 { Self.text(field.name, to: &output) }
        Self.text(field.value, to: &output)
        if isIndexed { table.insert(field, size: size) }
    }

    /// In Huffman's code where that is shorter.
    private static func text(_ text: String, to output: inout [UInt8]) {
        let plain = text.utf8.count
        let coded = HPACKHuffman.encodedCount(text)
        if coded < plain {
            integer(coded, prefix: 7, flags: 0x80, to: &output)
            HPACKHuffman.encode(text, to: &output)
        } else {
            integer(plain, prefix: 7, flags: 0, to: &output)
            output.append(contentsOf: text.utf8)
        }
    }

    static func integer(_ value: Int, prefix: UInt8, flags: UInt8, to output: inout [UInt8]) {
        let mask = Int(UInt8(1) << prefix - 1)
        if value < mask { return output.append(flags | UInt8(value)) }
        output.append(flags | UInt8(mask))
        var rest = value - mask
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }
}
