internal import Core

/// The last bytes that a run printed. Takes memory only for what was printed.
///
/// Offsets count from the first byte ever printed, so that a reader knows what it missed.
struct OutputRing {
    static let capacity = 256_000

    /// The byte of offset `o` lies at `o % capacity`.
    private var bytes: [UInt8] = []
    /// How many bytes were ever printed.
    private(set) var end: UInt64 = 0

    /// The oldest offset that is still here.
    var start: UInt64 { end - UInt64(bytes.count) }

    /// At most `capacity` bytes at a time.
    mutating func append(_ new: UnsafeRawBufferPointer) {
        invariant(new.count <= Self.capacity, "a piece of output fits the ring")
        var rest = new[...]
        let room = Self.capacity - bytes.count
        let grown = rest.prefix(room)
        if !grown.isEmpty {
            reserve(bytes.count + grown.count)
            bytes.append(contentsOf: grown)
            end += UInt64(grown.count)
            rest = rest.dropFirst(grown.count)
        }
        while !rest.isEmpty {
            let position = Int(end % UInt64(Self.capacity))
            let piece = rest.prefix(Self.capacity - position)
            bytes.withUnsafeMutableBytes { buffer in
                UnsafeMutableRawBufferPointer(rebasing: buffer[position..<position + piece.count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece))
            }
            end += UInt64(piece.count)
            rest = rest.dropFirst(piece.count)
        }
    }

    /// At most `count` bytes from `offset` on, which must not lie before `start`.
    func copy(from offset: UInt64, count: Int) -> [UInt8] {
        invariant(offset >= start && offset <= end, "output is read where it is")
        let count = min(count, Int(end - offset))
        let position = Int(offset % UInt64(Self.capacity))
        let first = min(count, bytes.count - position)
        guard first > 0 else { return [] }
        return Array(bytes[position..<position + first]) + bytes[..<(count - first)]
    }

    /// Doubles, but never beyond the capacity, as an array by itself would.
    private mutating func reserve(_ count: Int) {
        guard count > bytes.capacity else { return }
        bytes.reserveCapacity(min(max(count, bytes.capacity * 2), Self.capacity))
    }
}
