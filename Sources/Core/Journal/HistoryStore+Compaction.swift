// Dead bytes go: empty segments at once, mostly empty ones after their rest has been copied.

extension HistoryStore {
    struct Compaction: Sendable {
        /// The segment that is to go.
        var victim: UInt64
        /// What is in it goes too, to make room.
        var drops = false
        /// nil before its header has been read.
        var scanner: RecordScanner?
        var isRead = false
        /// Chunks that were copied: where they were and where they are now.
        var copies: [(key: ByteKey, source: Place, copy: Place)] = []
    }

    /// The next step, when nothing waits to be written.
    mutating func compact(into requests: inout [StorageRequest]) {
        guard !isHeld else { return }
        if let current = compaction {
            if current.isRead {
                // Every copy is written; the places change when they are synced.
                syncActive(into: &requests)
            } else {
                readVictim(current, into: &requests)
            }
        } else if let empty = segments.first(where: { $0.live == 0 && !isOpen($0.number) }) {
            begin(.remove(empty.number), .remove(Self.file(empty.number)), into: &requests)
        } else if let victim = segments.first(where: isWorthCompacting) {
            compaction = Compaction(victim: victim.number)
            readVictim(Compaction(victim: victim.number), into: &requests)
        }
    }

    /// Removes the oldest outputs while there is too much, a segment at a time, before anything
    /// else is written. Returns whether an operation was asked for.
    mutating func makeRoom(into requests: inout [StorageRequest]) -> Bool {
        guard checksLimit, !isHeld else { return false }
        if let current = compaction {
            guard current.drops else { return false }
            readVictim(current, into: &requests)
            return true
        }
        guard byteCount > limit, let oldest = segments.first(where: { !isOpen($0.number) }) else {
            checksLimit = false
            return false
        }
        guard oldest.live > 0 else {
            begin(.remove(oldest.number), .remove(Self.file(oldest.number)), into: &requests)
            return true
        }
        let eviction = Compaction(victim: oldest.number, drops: true)
        compaction = eviction
        readVictim(eviction, into: &requests)
        return true
    }

    private func isOpen(_ number: UInt64) -> Bool {
        active?.number == number || unclosed.contains { $0.number == number }
    }

    /// Only dead chunks count, not headers and footers: a copy is all alive, so copying ends.
    private func isWorthCompacting(_ segment: Segment) -> Bool {
        !isOpen(segment.number) && !segment.isUnreadable
            && segment.live * 100 < segment.written * UInt64(tunables.compactionPercent)
    }

    private mutating func readVictim(
        _ current: Compaction, into requests: inout [StorageRequest]
    ) {
        let offset = current.scanner?.nextRead ?? 0
        let length = current.scanner == nil ? SegmentHeader.size : tunables.readChunk
        begin(
            .readVictim, .read(Self.file(current.victim), offset: offset, length: length),
            into: &requests)
    }

    mutating func takeVictim(_ result: StorageResult, actions: inout [HistoryAction]) {
        guard var current = compaction, case .bytes(let bytes) = result else { return }
        compaction = nil
        guard var scanner = current.scanner else {
            do {
                let header = try SegmentHeader.decode(
                    bytes, kind: .history, number: current.victim, dataID: dataID)
                current.scanner = RecordScanner(header: header, recordLimit: tunables.recordLimit)
                compaction = current
            } catch {
                compaction = current
                giveUpVictim("its header is damaged", actions: &actions)
            }
            return
        }
        current.scanner = nil
        scanner.feed(bytes)
        scan: while true {
            switch scanner.next() {
            case .needsBytes: break scan
            case .damage:
                compaction = current
                return giveUpVictim("damaged at byte \(scanner.position)", actions: &actions)
            case .record(let record):
                guard record.type == HistoryFormat.chunkType else { continue }
                if current.drops {
                    drop(record, from: current.victim, &actions)
                } else {
                    copy(record, from: current.victim)
                }
            }
        }
        current.isRead = bytes.count < tunables.readChunk
        guard !current.isRead || scanner.leftOver == 0 else {
            compaction = current
            return giveUpVictim("damaged at byte \(scanner.position)", actions: &actions)
        }
        current.scanner = scanner
        // A segment that dropped everything is empty now, and the next thing to go.
        if !(current.isRead && current.drops) { compaction = current }
    }

    /// The victim can't be read, or not further. It is no reason to stop: what was acknowledged is
    /// in the log and the snapshots, and outputs that can't be read are shown as such. What is to
    /// go goes unread. Else the file stays, with all in it that can still be read where it is.
    mutating func giveUpVictim(_ problem: String, actions: inout [HistoryAction]) {
        guard var current = compaction else { return }
        let name = SegmentFault.path(Self.file(current.victim))
        if current.drops {
            compaction = nil
            actions.append(
                .unreadable(
                    reason: "\(name) can't be read and is removed with all its outputs, as the "
                        + "oldest are to make room: \(problem)"))
            return forget(segment: current.victim, &actions)
        }
        if let position = position(ofSegment: current.victim) {
            segments[position].isUnreadable = true
        }
        // What was copied before takes over as ever.
        current.isRead = true
        compaction = current
        actions.append(
            .unreadable(
                reason: "a part of \(name) can't be read, so the file is not made smaller; outputs "
                    + "in that part are lost, the others are served from it: \(problem)"))
    }

    /// Forgets every output of which a part is in a segment. O(n).
    private mutating func forget(segment: UInt64, _ actions: inout [HistoryAction]) {
        var found: [ByteKey] = []
        _ = keys.walk(from: nil, limit: keys.count) { key, places in
            if places.contains(where: { $0.segment == segment }) { found.append(key) }
        }
        for key in found {
            remove(key)
            actions.append(.dropped)
        }
    }

    /// Forgets the whole output that a record is a part of.
    private mutating func drop(
        _ record: SegmentRecord, from victim: UInt64, _ actions: inout [HistoryAction]
    ) {
        guard let chunk = HistoryFormat.decodeChunk(record.payload),
            isLive(
                chunk.key, number: chunk.number, segment: victim,
                position: record.position + UInt64(SegmentRecord.headerSize))
        else { return }
        remove(chunk.key)
        actions.append(.dropped)
    }

    private mutating func copy(_ record: SegmentRecord, from victim: UInt64) {
        guard let chunk = HistoryFormat.decodeChunk(record.payload) else { return }
        let position = record.position + UInt64(SegmentRecord.headerSize)
        guard isLive(chunk.key, number: chunk.number, segment: victim, position: position) else {
            return
        }
        enqueue(
            Queued(
                key: chunk.key, number: chunk.number, index: chunk.index, payload: record.payload,
                source: Place(
                    number: chunk.number, length: UInt32(record.payload.count),
                    index: chunk.index, segment: victim, position: position)))
    }

    /// What has been copied is synced: the copies take over, and the victim is empty.
    mutating func finishCopies() {
        guard var current = compaction else { return }
        for (key, source, copy) in current.copies
        where isLive(key, number: source.number, segment: source.segment, position: source.position)
        {
            point(key, to: copy)
        }
        current.copies = []
        compaction = current
        guard current.isRead, queue.isEmpty else { return }
        compaction = nil
    }
}
