// One operation after the other.

extension HistoryStore {
    /// The segment that chunks are appended to.
    struct Active: Sendable {
        var number: UInt64
        var encoder: RecordEncoder
        /// Everything below this logical offset is known to be synced.
        var synced: UInt64 = 0
        /// What the footer will list.
        var listings: [HistoryListing] = []
        /// The file may be longer than what counts: a full disk or a crash cut an append short.
        var hasStrayBytes = false
        /// The records that close the segment, once that has begun.
        var footer: ArraySlice<SegmentedLog.Record>?

        mutating func markSynced() { synced = encoder.offset }
    }

    /// The operation in flight.
    enum Work: Sendable {
        // Making a segment.
        case create, header, syncTemporary, rename, syncName
        /// Appends the first `inFlight` chunks of the queue.
        case append
        /// Closes the active segment. The chunks are synced before the footer is written, so that a
        /// footer which survives a crash proves them.
        case syncChunks, footer, syncFooter
        /// Syncs the chunks; the mark after it proves that.
        case sync, mark, syncMark
        /// Cuts off stray bytes, durably: were they to come back after a crash, behind what is
        /// written in their place, they would pass for what belongs there.
        case cut, syncCut
        /// Removes a stray file.
        case discard
        /// Reads from the segment that is being compacted.
        case readVictim
        case remove(UInt64)
    }

    enum Purpose: Sendable {
        case recovery
        case work
        /// Removes a file that a start has no use for.
        case cleaning
    }

    /// Asks the disk for the most urgent operation, unless one is in flight.
    package mutating func flush(into requests: inout [StorageRequest]) {
        guard isReady, work == nil, retryDue == nil else { return }
        if active == nil, let next = unclosed.popLast() {
            active = next
            close()
        }
        if let strayFile {
            begin(.discard, .remove(strayFile), into: &requests)
        } else if let active, active.hasStrayBytes {
            let file = Self.file(active.number)
            begin(.cut, .truncate(file, length: activeLength), into: &requests)
        } else if active?.footer != nil {
            writeFooter(into: &requests)
        } else if makeRoom(into: &requests) {
        } else if let target = syncTarget, queueStart >= target.before {
            syncActive(into: &requests)
        } else if queue.isEmpty {
            compact(into: &requests)
        } else if let active {
            // A small limit is kept by small segments.
            let size = max(min(UInt64(tunables.segmentSize), limit / 8), 1)
            if activeLength >= size, activeLength > UInt64(SegmentHeader.size) {
                begin(.syncChunks, .sync(Self.file(active.number)), into: &requests)
            } else {
                appendBatch(into: &requests)
            }
        } else {
            begin(.create, .create(Self.temporaryFile(lastSegment + 1)), into: &requests)
        }
    }

    mutating func begin(
        _ next: Work, _ operation: StorageOperation, into requests: inout [StorageRequest]
    ) {
        work = next
        tickets.ask(operation, .work, into: &requests)
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket, at now: Instant,
        into requests: inout [StorageRequest], actions: inout [HistoryAction]
    ) {
        let purpose = tickets.redeem(ticket)
        if case .halted = phase { return }
        switch purpose {
        case .cleaning:
            guard case .failed(let failure) = result, failure.reason != .notFound else { return }
            return halt(failure.message, actions: &actions)
        case .recovery: recover(result, into: &requests, actions: &actions)
        case .work:
            guard let finished = work else {
                fatalError("invariant broken: an answer though nothing is under way")
            }
            work = nil
            if case .failed(let failure) = result {
                failed(finished, failure, at: now, actions: &actions)
            } else {
                done(finished, result, into: &requests, actions: &actions)
            }
        }
        flush(into: &requests)
    }

    private mutating func done(
        _ finished: Work, _ result: StorageResult, into requests: inout [StorageRequest],
        actions: inout [HistoryAction]
    ) {
        switch finished {
        case .create, .header, .syncTemporary, .rename, .syncName:
            continueMaking(after: finished, into: &requests)
        case .append: appended()
        case .syncChunks:
            active?.markSynced()
            close()
        case .footer:
            commitEncoding()
            active?.footer?.removeFirst(inFlight)
            inFlight = 0
            if let active, active.footer?.isEmpty == true {
                begin(.syncFooter, .sync(Self.file(active.number)), into: &requests)
            }
        case .syncFooter:
            active = nil
            checksLimit = true
            finishCopies()
        case .sync:
            active?.markSynced()
            mark(into: &requests)
        case .mark:
            commitEncoding()
            if let active {
                begin(.syncMark, .sync(Self.file(active.number)), into: &requests)
            }
        case .syncMark: finishSync(actions: &actions)
        case .cut:
            if let active {
                begin(.syncCut, .sync(Self.file(active.number)), into: &requests)
            }
        case .syncCut: active?.hasStrayBytes = false
        case .discard: strayFile = nil
        case .readVictim: takeVictim(result, actions: &actions)
        case .remove(let number): segments.removeAll { $0.number == number }
        }
        switch finished {
        case .append, .syncName, .footer, .mark:
            guard isDegraded else { return }
            isDegraded = false
            actions.append(.restored)
        case .create, .header, .syncTemporary, .rename, .syncChunks, .syncFooter, .sync,
            .syncMark, .cut, .syncCut, .discard, .readVictim, .remove:
            break
        }
    }

    /// A full disk costs time only; anything else that goes wrong with writing says that the disk
    /// can't be relied on. After a failed sync nobody knows what the disk holds, so nothing is
    /// built on it.
    private mutating func failed(
        _ attempted: Work, _ failure: StorageFailure, at now: Instant,
        actions: inout [HistoryAction]
    ) {
        encodingInFlight = nil
        inFlight = 0
        switch attempted {
        // Nothing is built on what was to be read.
        case .readVictim: return giveUpVictim(failure.message, actions: &actions)
        case _ where failure.reason == .notFound && attempted.isRemoval:
            // Gone already, which is what was wanted.
            strayFile = nil
            if case .remove(let number) = attempted { segments.removeAll { $0.number == number } }
            return
        case _ where failure.reason != .noSpace: return halt(failure.message, actions: &actions)
        case .append, .footer, .mark: active?.hasStrayBytes = true
        // Nothing was ever written to the file under its own name.
        case .header, .syncTemporary, .rename: strayFile = Self.temporaryFile(lastSegment + 1)
        case .create, .cut, .discard, .remove: break
        case .syncName, .syncChunks, .syncFooter, .sync, .syncMark, .syncCut:
            return halt(failure.message, actions: &actions)
        }
        retryDue = now + tunables.retryDelay
        guard !isDegraded else { return }
        isDegraded = true
        actions.append(.degraded(failure))
    }

    mutating func halt(_ reason: String, actions: inout [HistoryAction]) {
        phase = .halted
        queue.removeAll()
        keys.removeAll()
        liveBytes = 0
        queuedBytes = 0
        segments = []
        actions.append(.halt(reason: reason))
    }

    // MARK: A new segment

    /// As everywhere, under a temporary name until the header is synced.
    private mutating func continueMaking(
        after finished: Work, into requests: inout [StorageRequest]
    ) {
        let number = lastSegment + 1
        let temporary = Self.temporaryFile(number)
        switch finished {
        case .create:
            let bytes = header(number).encoded()
            begin(.header, .append(temporary, offset: 0, bytes: bytes), into: &requests)
        case .header: begin(.syncTemporary, .sync(temporary), into: &requests)
        case .syncTemporary:
            begin(.rename, .rename(temporary, to: Self.file(number)), into: &requests)
        case .rename: begin(.syncName, .syncDirectory(.history), into: &requests)
        default:
            lastSegment = number
            segments.append(Segment(number: number, length: UInt64(SegmentHeader.size)))
            active = Active(
                number: number,
                encoder: RecordEncoder(seed: header(number).seed, chain: 0, offset: 0))
        }
    }

    private func header(_ number: UInt64) -> SegmentHeader {
        SegmentHeader(kind: .history, number: number, base: 0, synced: 0, dataID: dataID)
    }

    // MARK: Appending

    /// Bytes of the active segment's file that count.
    var activeLength: UInt64 {
        active.map { UInt64(SegmentHeader.size) + $0.encoder.offset } ?? 0
    }

    /// Appends records to the active segment; `encodingInFlight` counts once they are written.
    /// - Parameter expected: about how many bytes they have.
    private mutating func write(
        _ records: some Sequence<SegmentedLog.Record>, as next: Work, expected: Int = 0,
        into requests: inout [StorageRequest]
    ) {
        guard let active else { return }
        var encoder = active.encoder
        var bytes: [UInt8] = []
        bytes.reserveCapacity(expected)
        inFlight = 0
        for record in records {
            guard bytes.isEmpty || bytes.count + record.payload.count <= tunables.batchLimit else {
                break
            }
            encoder.encode(
                type: record.type, payload: record.payload, synced: active.synced, into: &bytes)
            inFlight += 1
        }
        encodingInFlight = encoder
        let file = Self.file(active.number)
        begin(next, .append(file, offset: activeLength, bytes: bytes), into: &requests)
    }

    private mutating func commitEncoding() {
        guard let encoder = encodingInFlight, let active else { return }
        encodingInFlight = nil
        self.active?.encoder = encoder
        if let position = position(ofSegment: active.number) {
            segments[position].length = activeLength
        }
    }

    private mutating func appendBatch(into requests: inout [StorageRequest]) {
        write(
            queue.lazy.map {
                SegmentedLog.Record(type: HistoryFormat.chunkType, payload: $0.payload)
            }, as: .append,
            expected: min(queuedBytes, tunables.batchLimit) + queue.count
                * SegmentRecord.headerSize,
            into: &requests)
    }

    private mutating func appended() {
        guard let number = active?.number, let segment = self.position(ofSegment: number) else {
            return
        }
        var position = activeLength
        commitEncoding()
        segments[segment].written += activeLength - position
        for _ in 0..<inFlight {
            guard let chunk = queue.popFirst() else { break }
            let length = UInt32(chunk.payload.count)
            queuedBytes -= chunk.payload.count
            position += UInt64(SegmentRecord.headerSize)
            let place = Place(
                number: chunk.number, length: length, index: chunk.index, segment: number,
                position: position)
            active?.listings.append(
                HistoryListing(
                    index: chunk.index, number: chunk.number, key: chunk.key,
                    position: UInt32(position), length: length))
            position += UInt64(length)
            if let source = chunk.source {
                compaction?.copies.append((chunk.key, source, place))
            } else if isLive(chunk.key, number: chunk.number, segment: 0, position: queueStart) {
                point(chunk.key, to: place)
            }
            queueStart += 1
        }
        inFlight = 0
    }

    // MARK: Closing a segment

    private mutating func close() {
        guard let active else { return }
        let records = HistoryFormat.footer(active.listings, at: activeLength)
        self.active?.footer =
            records.map { SegmentedLog.Record(type: $0.type, payload: $0.payload) }[...]
    }

    private mutating func writeFooter(into requests: inout [StorageRequest]) {
        guard let footer = active?.footer else { return }
        write(footer, as: .footer, into: &requests)
    }

    // MARK: Durability

    mutating func syncActive(into requests: inout [StorageRequest]) {
        if let active, active.synced < active.encoder.offset {
            begin(.sync, .sync(Self.file(active.number)), into: &requests)
        } else {
            // All chunks lie in closed segments. Any answer will do.
            begin(.syncMark, .syncDirectory(.history), into: &requests)
        }
    }

    /// A record behind what was synced tells recovery that damage to it is a loss.
    private mutating func mark(into requests: inout [StorageRequest]) {
        let mark = SegmentedLog.Record(type: SegmentRecord.markType, payload: [])
        write(CollectionOfOne(mark), as: .mark, into: &requests)
    }

    private mutating func finishSync(actions: inout [HistoryAction]) {
        inFlight = 0
        active?.markSynced()
        finishCopies()
        guard let target = syncTarget, queueStart >= target.before else { return }
        syncTarget = nil
        actions.append(.durable(through: target.index))
    }
}

extension HistoryStore.Work {
    var isRemoval: Bool {
        switch self {
        case .discard, .remove: true
        case .create, .header, .syncTemporary, .rename, .syncName, .append, .syncChunks, .footer,
            .syncFooter,
            .sync, .mark, .syncMark, .cut, .syncCut, .readVictim:
            false
        }
    }
}
