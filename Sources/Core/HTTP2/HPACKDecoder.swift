// Field lists out of their compressed form (RFC 7541).

/// Why a compressed field list can't be read. The decoder's table no longer agrees with the
/// encoder's then, so the connection must end with COMPRESSION_ERROR.
package enum HPACKError: Error, Hashable, Sendable, CustomStringConvertible {
    case endOfBlock
    case integerTooLong
    case noSuchIndex(Int)
    case huffmanFilling
    case huffmanEnd
    case tableSizeTooLarge(Int, limit: Int)
    case tableSizeTooLate
    case tableSizeMissing

    package var description: String {
        switch self {
        case .endOfBlock: "the field block ends within a field"
        case .integerTooLong: "an integer of the field block does not fit 32 bits"
        case .noSuchIndex(let index): "index \(index) is in neither of the compression tables"
        case .huffmanFilling: "a Huffman-coded text is not filled up with at most seven ones"
        case .huffmanEnd: "a Huffman-coded text holds the code for its end"
        case .tableSizeTooLarge(let size, let limit):
            "the compression table is to grow to \(size) bytes, and \(limit) are allowed"
        case .tableSizeTooLate: "the compression table's size changes within a field block"
        case .tableSizeMissing:
            "SETTINGS made the compression table smaller, and the next field block does not say so"
        }
    }
}

/// The receiving side of one direction's compression.
package struct HPACKDecoder: Sendable {
    private var table: HPACKTable
    /// What SETTINGS_HEADER_TABLE_SIZE of ours allows.
    private var limit: Int
    /// The smallest limit since the last block, which the next must obey first (section 4.2).
    private var reduction: Int?
    private var scratch: [UInt8] = []

    package init(tableLimit: Int = 4_096) {
        table = HPACKTable(capacity: tableLimit)
        limit = tableLimit
    }

    /// Bytes of the dynamic table as section 4.1 counts them.
    package var tableSize: Int { table.size }

    /// The fields of a whole block, and whether the list kept within `sizeLimit`. Fields beyond it
    /// only pass through the table, so that the tables go on to agree.
    package mutating func decode(
        _ block: Span<UInt8>, sizeLimit: Int
    ) throws(HPACKError) -> (fields: [HTTP2Field], isWhole: Bool) {
        var fields: [HTTP2Field] = []
        var room = sizeLimit
        var position = 0
        var isFirst = true
        while position < block.count {
            let byte = block[position]
            if byte & 0xe0 == 0x20 {
                guard isFirst else { throw .tableSizeTooLate }
                try resize(to: Self.integer(block, &position, prefix: 5))
                continue
            }
            if isFirst, let reduction, table.capacity > reduction { throw .tableSizeMissing }
            isFirst = false
            let (field, size) = try field(byte, block, &position)
            room -= min(size, room + 1)
            if room >= 0 { fields.append(field) }
        }
        reduction = nil
        return (fields, room >= 0)
    }

    /// Our own limit has changed and the other side has acknowledged it.
    package mutating func setTableLimit(_ newLimit: Int) {
        if newLimit < table.capacity { reduction = min(newLimit, reduction ?? newLimit) }
        limit = newLimit
    }

    private mutating func resize(to size: Int) throws(HPACKError) {
        guard size <= limit else { throw .tableSizeTooLarge(size, limit: limit) }
        table.resize(to: size)
        if let least = reduction, size <= least { reduction = nil }
    }

    private mutating func field(
        _ byte: UInt8, _ block: Span<UInt8>, _ position: inout Int
    ) throws(HPACKError) -> (HTTP2Field, size: Int) {
        if byte & 0x80 != 0 {
            let index = try Self.integer(block, &position, prefix: 7)
            guard let field = table[index] else { throw .noSuchIndex(index) }
            return (field, HPACK.size(of: field))
        }
        let isIndexed = byte & 0x40 != 0
        let index = try Self.integer(block, &position, prefix: isIndexed ? 6 : 4)
        var field: HTTP2Field
        var size = HPACK.overhead
        if index == 0 {
            let (name, count) = try text(block, &position)
            field = HTTP2Field(name, "")
            size += count
        } else {
            guard let known = table[index] else { throw .noSuchIndex(index) }
            field = known
            size += known.name.utf8.count
        }
        let (value, count) = try text(block, &position)
        field.value = value
        field.isSecret = byte & 0xf0 == 0x10
        size += count
        if isIndexed { table.insert(field, size: size) }
        return (field, size)
    }

    /// A text and how many bytes it has. Those that are not UTF-8 become U+FFFD.
    private mutating func text(
        _ block: Span<UInt8>, _ position: inout Int
    ) throws(HPACKError) -> (String, count: Int) {
        guard position < block.count else { throw .endOfBlock }
        let isCoded = block[position] & 0x80 != 0
        let count = try Self.integer(block, &position, prefix: 7)
        guard count <= block.count - position else { throw .endOfBlock }
        let span = block.extracting(position..<(position + count))
        position += count
        if !isCoded {
            let text = span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            return (text, count)
        }
        scratch.removeAll(keepingCapacity: true)
        try HPACKHuffman.decode(span, to: &scratch)
        return (String(decoding: scratch, as: UTF8.self), scratch.count)
    }

    /// An integer whose first bits share a byte with something else (section 5.1).
    static func integer(
        _ block: Span<UInt8>, _ position: inout Int, prefix: UInt8
    ) throws(HPACKError) -> Int {
        guard position < block.count else { throw .endOfBlock }
        let mask = UInt8(1) << prefix - 1
        var value = Int(block[position] & mask)
        position += 1
        guard value == Int(mask) else { return value }
        var shift = 0
        while true {
            guard position < block.count else { throw .endOfBlock }
            let byte = block[position]
            position += 1
            guard shift <= 28 else { throw .integerTooLong }
            value += Int(byte & 0x7f) << shift
            guard value <= Int(UInt32.max) else { throw .integerTooLong }
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
    }
}
