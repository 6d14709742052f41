/// What the processors of one execution left of its output and its outcome.
package struct Processed: Hashable, Sendable {
    package var key: ExecutionKey
    /// What takes the place of the output; nil leaves it as it was printed. At most a few hundred
    /// thousand bytes.
    package var output: [UInt8]?
    package var isOutputTruncated = false
    /// Why a success is a failure in the end, a sentence without its full stop.
    package var failure: String?
    /// What the processors had to say, in their order; few and short.
    package var notes: [String] = []
    /// As of reports: for a retry that follows, in thousandths.
    package var jitter: Int16 = 0

    package init(key: ExecutionKey) { self.key = key }

    /// The most notes that are kept.
    package static let noteLimit = 32
    /// The most bytes of a note.
    package static let noteSize = 1_024
}

extension Processed: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.executionKey(key)
        writer.optional(output) { $0.bytes($1) }
        writer.bool(isOutputTruncated)
        writer.optional(failure) { $0.string($1) }
        writer.array(notes) { $0.string($1) }
        writer.u16(UInt16(bitPattern: jitter))
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        key = try reader.executionKey()
        output = try reader.optional { reader throws(ByteError) in try reader.bytes() }
        isOutputTruncated = try reader.bool()
        failure = try reader.optional { reader throws(ByteError) in try reader.string() }
        notes = try reader.array { reader throws(ByteError) in try reader.string() }
        jitter = Int16(bitPattern: try reader.u16())
    }
}
