// Messages within the body of a stream: a flag, a length of four bytes, and the message.

enum GRPCFraming {
    static let prefix = 5

    /// A message as it travels, not compressed.
    static func frame(_ message: [UInt8]) -> [UInt8] {
        invariant(message.count <= Int(UInt32.max), "a message's length fits four bytes")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(prefix + message.count)
        let count = UInt32(message.count)
        bytes.append(0)
        for shift in [24, 16, 8, 0] as [UInt32] {
            bytes.append(UInt8(truncatingIfNeeded: count >> shift))
        }
        bytes += message
        return bytes
    }
}

/// Messages out of pieces of a body.
struct GRPCDeframer: Sendable {
    /// The largest message that is taken, in bytes.
    let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0

    init(limit: Int) { self.limit = limit }

    /// Whether nothing of a message waits for its rest.
    var isEmpty: Bool { start == bytes.count }

    mutating func receive(_ piece: [UInt8]) {
        if start == bytes.count {
            bytes = piece
            start = 0
            return
        }
        if start > bytes.count / 2 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes += piece
    }

    /// The next whole message. Throws INTERNAL for one that is compressed, which nobody was
    /// offered, and RESOURCE_EXHAUSTED for one beyond the limit, as soon as its length is known.
    mutating func next() throws(GRPCStatus) -> [UInt8]? {
        guard bytes.count - start >= GRPCFraming.prefix else { return nil }
        guard bytes[start] == 0 else {
            throw GRPCStatus(
                .internalError,
                bytes[start] == 1
                    ? "a message is compressed, and no compression was agreed on"
                    : "a message begins with the flag \(bytes[start]), which does not exist")
        }
        let count = bytes[start + 1..<start + 5].reduce(0) { $0 << 8 | Int($1) }
        guard count <= limit else {
            throw GRPCStatus(
                .resourceExhausted, "a message has \(count) bytes; at most \(limit) are taken")
        }
        let first = start + GRPCFraming.prefix
        guard bytes.count - first >= count else { return nil }
        start = first + count
        return Array(bytes[first..<start])
    }
}

/// How many messages one side of a call sends.
package enum GRPCCount: Hashable, Sendable {
    case one
    case stream
}

/// When the time of calls is over.
struct GRPCDeadlines: Sendable {
    private struct Entry: Comparable {
        let at: Instant
        let call: UInt64

        static func < (a: Entry, b: Entry) -> Bool {
            a.at == b.at ? a.call < b.call : a.at < b.at
        }
    }

    private var heap = MinHeap<Entry>()

    mutating func insert(_ call: UInt64, at: Instant) { heap.insert(Entry(at: at, call: call)) }

    /// The first of them, or what the connection waits for, whichever comes first.
    func next(orElse other: Instant?) -> Instant? {
        guard let first = heap.first else { return other }
        return min(first.at, other ?? .distantFuture)
    }

    /// A call whose time is over, perhaps one that is over already.
    mutating func popDue(at now: Instant) -> UInt64? {
        guard let first = heap.first, first.at <= now else { return nil }
        return heap.popFirst()?.call
    }

    /// Deadlines of calls that are over stay until most of them are theirs.
    /// - Parameter count: how many calls are open.
    mutating func compact(to count: Int, keeping isOpen: (UInt64) -> Bool) {
        guard heap.count > 64, heap.count > 2 * count else { return }
        var rest = MinHeap<Entry>()
        while let entry = heap.popFirst() {
            if isOpen(entry.call) { rest.insert(entry) }
        }
        heap = rest
    }
}
