// Outputs of executions on disk.

/// Where a chunk of output is.
package enum HistoryPiece: Hashable, Sendable {
    /// Not written yet.
    case memory([UInt8])
    /// Read so many bytes there and give them to `HistoryStore.chunk(in:)`. The file can be gone
    /// (`.notFound`) if `pieces` was asked long before: ask again.
    case file(FileName, offset: UInt64, length: Int)
}

package enum HistoryAction: Hashable, Sendable {
    /// Recovery is over; the store accepts chunks.
    case recovered(HistoryRecovery)
    /// Every chunk of log entries through this index survives a crash.
    case durable(through: LogIndex)
    /// The disk is full: chunks wait in memory, `.durable` is late, and writing is tried again.
    case degraded(StorageFailure)
    /// Writing works again.
    case restored
    /// One output had to go because all together take too much room.
    case dropped
    /// A file can't be read: what is said of it, and what became of it. Its outputs were kept
    /// nowhere else, and nothing but they depends on it.
    case unreadable(reason: String)
    /// The history can't be trusted or written. The node must stop.
    case halt(reason: String)
}

package struct HistoryRecovery: Hashable, Sendable {
    /// Keys with at least one chunk.
    package var keys: Int
    /// Bytes at the ends of segments that were never known to be synced: cut off.
    package var tornBytes: UInt64
}

/// Keeps outputs in append-only segments and an index of them in memory.
///
/// Events: `recover` once; `append` and `remove` as commands are applied; `flush` at the end of
/// each step; `sync` before a snapshot through that index is finished; `handle` for every answer to
/// a ticket of `.history`; `deadline` when `nextDeadline` has come.
///
/// One operation is in flight at a time (`work`), the most urgent first (`flush`). Chunks are
/// served from memory until the disk has them. A chunk that compaction copied is served from its
/// old place until the copy is synced, and only then the old segment may go. A recovered segment is
/// closed and never appended to again, so nothing is built on bytes that may exist in a cache only.
package struct HistoryStore: Sendable {
    enum Phase: Sendable {
        case unopened
        /// In a box of its own: every step asks for the phase, and would copy all of this.
        indirect case recovering(Recovery)
        case ready
        case halted
    }

    /// Where a chunk is: in a segment, or in memory if `segment` is 0.
    struct Place: Hashable, Sendable {
        var number: UInt32
        var length: UInt32
        var index: LogIndex
        var segment: UInt64
        /// The payload's position in the file, or the chunk's sequence number in the queue.
        var position: UInt64

        /// Bytes that it takes in a segment.
        var size: UInt64 { UInt64(SegmentRecord.headerSize) + UInt64(length) }
    }

    struct Segment: Sendable {
        var number: UInt64
        /// Bytes of the file.
        var length: UInt64
        /// Bytes of chunk records, dead ones included.
        var written: UInt64 = 0
        /// Bytes of chunk records that the index points to.
        var live: UInt64 = 0
        /// Not copied from again in this life: a part of it can't be read.
        var isUnreadable = false
    }

    struct Queued: Sendable {
        var key: ByteKey
        var number: UInt32
        var index: LogIndex
        /// The record's payload.
        var payload: [UInt8]
        /// Where compaction copied it from.
        var source: Place?
    }

    let dataID: DataID
    let tunables: JournalTunables
    var phase = Phase.unopened
    var tickets = Tickets<Purpose>(owner: .history)

    var keys: SortedMap<ByteKey, [Place]> = SortedMap()
    /// All segments, oldest first.
    var segments: [Segment] = []
    var active: Active?
    /// Segments that recovery found open, to be closed one after the other.
    var unclosed: [Active] = []
    var lastSegment: UInt64 = 0
    /// A file under a temporary name that a full disk stopped from becoming a segment.
    var strayFile: FileName?

    /// Chunks that wait or are being written, oldest first.
    var queue: RingBuffer<Queued> = RingBuffer()
    /// The sequence number of the queue's first chunk.
    var queueStart: UInt64 = 0
    /// How many of them are being written.
    var inFlight = 0

    var work: Work?
    /// The active segment's encoder, if what is being appended gets written.
    var encodingInFlight: RecordEncoder?
    var compaction: Compaction?
    /// The index that must become durable, and the first sequence number behind it.
    var syncTarget: (index: LogIndex, before: UInt64)?
    /// The disk was full; try again then.
    var retryDue: Instant?
    var isDegraded = false
    /// The most bytes that all segments may have; beyond it the oldest outputs go.
    package var limit = UInt64.max {
        didSet { checksLimit = true }
    }
    /// The limit may be passed since it was looked at last.
    var checksLimit = false
    /// Somebody reads a copy of this index: no file goes, so that every place in it stays good.
    package var isHeld = false

    /// Bytes of chunks that are indexed.
    package internal(set) var liveBytes: UInt64 = 0
    /// Chunk bytes that wait in memory. Bounded by what the owner appends while degraded.
    package internal(set) var queuedBytes = 0

    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
        self.dataID = dataID
        self.tunables = tunables
    }

    /// Adds a chunk of at most the record limit less 1 KiB; the same key and number replaces.
    package mutating func append(
        index: LogIndex, key: ByteKey, chunk: UInt32, bytes: [UInt8]
    ) {
        if case .halted = phase { return }
        invariant(isReady, "a history is recovered before it is written")
        let payload = HistoryFormat.encode(index: index, number: chunk, key: key, data: bytes)
        invariant(payload.count <= tunables.recordLimit, "a chunk keeps below its limit")
        let place = Place(
            number: chunk, length: UInt32(payload.count), index: index, segment: 0,
            position: queueStart + UInt64(queue.count))
        enqueue(Queued(key: key, number: chunk, index: index, payload: payload))
        point(key, to: place)
    }

    mutating func enqueue(_ chunk: Queued) {
        queuedBytes += chunk.payload.count
        queue.append(chunk)
    }

    /// Forgets a key and all its chunks. O(log n).
    package mutating func remove(_ key: ByteKey) {
        guard let places = keys.remove(key) else { return }
        for place in places { count(place, live: false) }
    }

    /// O(log n).
    package func contains(_ key: ByteKey) -> Bool { keys.contains(key) }

    /// Where the chunks of a key are, in order of their numbers.
    package func pieces(of key: ByteKey) -> [HistoryPiece] {
        records(of: key).map { piece in
            guard case .memory(let record) = piece else { return piece }
            return .memory(Self.chunk(in: record) ?? [])
        }
    }

    /// The same with each chunk's record as the disk has it, for copies.
    private func records(of key: ByteKey) -> [HistoryPiece] {
        (keys[key] ?? []).map { place in
            if place.segment == 0 {
                return .memory(queue[Int(place.position - queueStart)].payload)
            }
            return .file(
                Self.file(place.segment), offset: place.position, length: Int(place.length))
        }
    }

    /// The chunk records of the first key behind `key` (nil: of the first one), or nil at the end.
    func records(after key: ByteKey?) -> (key: ByteKey, pieces: [HistoryPiece])? {
        let entry = key.map { keys.next(after: $0) } ?? keys.first
        return entry.map { ($0.key, records(of: $0.key)) }
    }

    /// One step of a walk over outputs.
    package enum Walk: Sendable {
        /// The records of an output's chunks with their numbers, in their order.
        case output(ByteKey, [(number: UInt32, piece: HistoryPiece)])
        /// None so far; go on after this key.
        case more(after: ByteKey)
        case end
    }

    /// The next output behind `key` (nil: the first) with chunks of entries in `range`: O(limit),
    /// the number of keys looked at. Places change as files are compacted: ask `records` again if
    /// one is gone.
    package func nextOutput(
        after key: ByteKey?, of range: ClosedRange<LogIndex>, limit: Int
    ) -> Walk {
        var iterator = keys.makeIterator(from: key)
        var visited = 0
        while let entry = iterator.next() {
            if entry.key == key { continue }
            if entry.value.contains(where: { range.contains($0.index) }) {
                return .output(entry.key, records(of: entry.key, range))
            }
            visited += 1
            if visited >= limit { return .more(after: entry.key) }
        }
        return .end
    }

    /// The records of a key's chunks that are of entries in `range`.
    package func records(
        of key: ByteKey, _ range: ClosedRange<LogIndex>
    ) -> [(number: UInt32, piece: HistoryPiece)] {
        zip(keys[key] ?? [], records(of: key)).compactMap { place, piece in
            range.contains(place.index) ? (place.number, piece) : nil
        }
    }

    /// The content of a chunk as read from a `.file` piece, or nil if the bytes are damaged.
    package static func chunk(in bytes: [UInt8]) -> [UInt8]? {
        HistoryFormat.decodeChunk(bytes).map { Array($0.data) }
    }

    /// Removes keys that nobody knows any more: visits up to `limit` keys from `start` on (nil: the
    /// first ones), keeps those for which `isLive` says so, and returns where to go on, or nil at
    /// the end.
    package mutating func retain(
        from start: ByteKey?, limit: Int, isLive: (ByteKey) -> Bool
    ) -> ByteKey? {
        var dead: [ByteKey] = []
        let next = keys.walk(from: start, limit: limit) { key, _ in
            if !isLive(key) { dead.append(key) }
        }
        for key in dead { remove(key) }
        return next
    }

    /// Wants `.durable(through:)` of at least this index: every chunk appended so far.
    package mutating func sync(through index: LogIndex, into requests: inout [StorageRequest]) {
        if case .halted = phase { return }
        syncTarget = (
            max(index, syncTarget?.index ?? 0), queueStart + UInt64(queue.count)
        )
        flush(into: &requests)
    }

    /// When `deadline` wants to be called.
    package var nextDeadline: Instant? { isReady ? retryDue : nil }

    /// Tries again after a full disk. Harmless when early, late or repeated.
    package mutating func deadline(at now: Instant, into requests: inout [StorageRequest]) {
        guard let due = retryDue, due <= now else { return }
        retryDue = nil
        flush(into: &requests)
    }

    /// Keys with at least one chunk.
    package var keyCount: Int { keys.count }
    /// Bytes of all segments.
    package var byteCount: UInt64 { segments.reduce(0) { $0 + $1.length } }
    /// Nothing waits or is in flight.
    package var isIdle: Bool {
        isReady && work == nil && queue.isEmpty && compaction == nil && syncTarget == nil
            && tickets.isEmpty && unclosed.isEmpty
    }

    var isReady: Bool { if case .ready = phase { true } else { false } }

    static func file(_ number: UInt64) -> FileName {
        FileName(.history, SegmentName.format(number, prefix: "", suffix: ".out"))
    }

    static func temporaryFile(_ number: UInt64) -> FileName {
        FileName(.history, SegmentName.format(number, prefix: "", suffix: ".tmp"))
    }

    // MARK: The index

    /// Makes `place` the place of its chunk, in the room of whatever had that number.
    mutating func point(_ key: ByteKey, to place: Place) {
        var places = keys[key] ?? []
        let position = places.firstIndex { $0.number >= place.number } ?? places.count
        if position < places.count, places[position].number == place.number {
            count(places[position], live: false)
            places[position] = place
        } else {
            places.insert(place, at: position)
        }
        count(place, live: true)
        keys[key] = places
    }

    mutating func count(_ place: Place, live: Bool) {
        if live { liveBytes += place.size } else { liveBytes -= place.size }
        guard place.segment != 0, let position = position(ofSegment: place.segment) else { return }
        if live {
            segments[position].live += place.size
        } else {
            segments[position].live -= place.size
        }
    }

    /// O(log n).
    func position(ofSegment number: UInt64) -> Int? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < segments.count && segments[low].number == number ? low : nil
    }

    /// Whether the index knows this chunk at this place.
    func isLive(_ key: ByteKey, number: UInt32, segment: UInt64, position: UInt64) -> Bool {
        keys[key]?.contains {
            $0.number == number && $0.segment == segment && $0.position == position
        } ?? false
    }

    /// Checks the sums that are kept by hand. O(n).
    package func checkInvariants() {
        var live: UInt64 = 0
        var perSegment: [UInt64: UInt64] = [:]
        for (_, places) in keys {
            invariant(!places.isEmpty, "a key has a chunk")
            for place in places {
                live += place.size
                perSegment[place.segment, default: 0] += place.size
            }
        }
        invariant(live == liveBytes, "live bytes are counted")
        for segment in segments {
            invariant(segment.live == perSegment[segment.number] ?? 0, "live bytes per segment")
        }
    }
}
