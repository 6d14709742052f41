/// The last bytes of an output that may be endless.
package struct OutputTail: Sendable {
    /// How many bytes are kept.
    package let limit: Int
    /// All bytes that were ever printed, those that are gone included.
    package private(set) var totalBytes: UInt64 = 0
    /// Grows to twice the limit before its front is cut, so that each byte is moved at most once.
    private var kept: [UInt8] = []
    /// The place after the last bytes that never came.
    private var gapEnd: UInt64 = 0

    package init(limit: Int) { self.limit = limit }

    /// Something at the beginning is gone.
    package var isTruncated: Bool { totalBytes > UInt64(min(kept.count, limit)) }

    /// The last `limit` bytes or fewer.
    package var bytes: ArraySlice<UInt8> { kept.suffix(limit) }

    /// The place of the first byte from which on nothing is missing, counted from the first byte
    /// ever printed.
    package var start: UInt64 { max(totalBytes - UInt64(bytes.count), gapEnd) }

    /// At most `limit` bytes from a place on; none beyond the end. O(1).
    package func bytes(from place: UInt64, limit: Int) -> ArraySlice<UInt8> {
        guard place < totalBytes else { return [] }
        return bytes.suffix(Int(clamping: totalBytes - place)).prefix(limit)
    }

    /// - Parameter skipped: bytes that were lost just before these.
    package mutating func append(_ bytes: [UInt8], skipped: UInt64 = 0) {
        let (sum, overflow) = totalBytes.addingReportingOverflow(skipped &+ UInt64(bytes.count))
        totalBytes = overflow ? .max : sum
        if skipped > 0 { gapEnd = totalBytes - min(totalBytes, UInt64(bytes.count)) }
        kept.append(contentsOf: bytes.suffix(limit))
        if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
    }
}
