// Building the index at start.

extension HistoryStore {
    struct Recovery: Sendable {
        enum Stage: Sendable {
            case list
            case header
            /// Reads the trailer, which says where the pages are.
            case trailer
            case pages
            /// Reads a segment without a footer from its first record to its last.
            case records
            case openDirectory
        }

        var stage = Stage.list
        var snapshotIndex: LogIndex
        var files: [(number: UInt64, length: UInt64)] = []
        var current = 0
        var header: SegmentHeader?
        var scanner: RecordScanner?
        /// Chunks of the current segment.
        var listings: [HistoryListing] = []
        /// The checksums of their records, if these were read.
        var checksums: [UInt32] = []
        /// What the trailer says: the pages and the chunks.
        var promised: (pages: Int, chunks: Int) = (0, 0)
        var damage: UInt64?
        var tornBytes: UInt64 = 0
        var length: Int = 0
    }

    /// Reads the index. Chunks of log entries above `snapshotIndex` are dropped: those entries are
    /// about to be applied again and bring them back. Chunks up to there must have been durable
    /// before the snapshot was finished.
    package mutating func recover(
        through snapshotIndex: LogIndex, into requests: inout [StorageRequest]
    ) {
        phase = .recovering(Recovery(snapshotIndex: snapshotIndex))
        tickets.ask(.list(.history), .recovery, into: &requests)
    }

    mutating func recover(
        _ result: StorageResult, into requests: inout [StorageRequest],
        actions: inout [HistoryAction]
    ) {
        guard case .recovering(var recovery) = phase else { return }
        // The scanner's buffers must have one owner while they change.
        phase = .unopened
        var problem: String?
        switch (recovery.stage, result) {
        case (_, .failed(let failure)): problem = failure.message
        case (.list, .listing(let entries)):
            take(entries, &recovery, into: &requests)
            nextSegment(&recovery, into: &requests)
        case (.header, .bytes(let bytes)): problem = take(header: bytes, &recovery, into: &requests)
        case (.trailer, .bytes(let bytes)): take(trailer: bytes, &recovery, into: &requests)
        case (.pages, .bytes(let bytes)): take(pages: bytes, &recovery, into: &requests)
        case (.records, .bytes(let bytes)):
            problem = take(records: bytes, &recovery, into: &requests)
        case (.openDirectory, .done):
            phase = .ready
            actions.append(
                .recovered(HistoryRecovery(keys: keys.count, tornBytes: recovery.tornBytes)))
            return
        default: fatalError("invariant broken: an answer of the wrong kind")
        }
        if let problem { return halt(problem, actions: &actions) }
        phase = .recovering(recovery)
    }

    private mutating func take(
        _ entries: [FileEntry], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) {
        for entry in entries {
            if let found = SegmentName.number(in: entry.name, prefix: "", suffix: ".out") {
                recovery.files.append((found, entry.length))
            } else if SegmentName.number(in: entry.name, prefix: "", suffix: ".tmp") != nil {
                tickets.ask(.remove(FileName(.history, entry.name)), .cleaning, into: &requests)
            }
        }
        recovery.files.sort { $0.number < $1.number }
        lastSegment = recovery.files.last?.number ?? 0
        recovery.current = -1
    }

    private mutating func nextSegment(
        _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) {
        recovery.current += 1
        recovery.listings = []
        recovery.scanner = nil
        recovery.damage = nil
        if recovery.current < recovery.files.count {
            recovery.stage = .header
            read(0, SegmentHeader.size, &recovery, into: &requests)
        } else {
            // A segment's name may not have been synced.
            recovery.stage = .openDirectory
            tickets.ask(.syncDirectory(.history), .recovery, into: &requests)
        }
    }

    private mutating func read(
        _ offset: UInt64, _ length: Int, _ recovery: inout Recovery,
        into requests: inout [StorageRequest]
    ) {
        recovery.length = length
        let file = Self.file(recovery.files[recovery.current].number)
        tickets.ask(.read(file, offset: offset, length: length), .recovery, into: &requests)
    }

    private mutating func take(
        header bytes: [UInt8], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> String? {
        let (number, length) = recovery.files[recovery.current]
        do {
            recovery.header = try SegmentHeader.decode(
                bytes, kind: .history, number: number, dataID: dataID)
        } catch {
            return SegmentFault.describe(error, of: Self.file(number))
        }
        segments.append(Segment(number: number, length: length))
        if length >= UInt64(SegmentHeader.size + HistoryFormat.trailerSize) {
            recovery.stage = .trailer
            let start = length - UInt64(HistoryFormat.trailerSize)
            read(start, HistoryFormat.trailerSize, &recovery, into: &requests)
        } else {
            readRecords(&recovery, into: &requests)
        }
        return nil
    }

    // MARK: A closed segment

    private mutating func take(
        trailer bytes: [UInt8], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) {
        guard let header = recovery.header else { return }
        let length = recovery.files[recovery.current].length
        var scanner = RecordScanner(
            header: header, recordLimit: tunables.recordLimit,
            position: length - UInt64(HistoryFormat.trailerSize))
        scanner.feed(bytes)
        guard case .record(let record) = scanner.next(),
            record.type == HistoryFormat.trailerType, record.payload.count == 16
        else { return readRecords(&recovery, into: &requests) }
        var reader = ByteReader(record.payload)
        let start = (try? reader.u64()) ?? 0
        recovery.promised = (Int((try? reader.u32()) ?? 0), Int((try? reader.u32()) ?? 0))
        guard start >= UInt64(SegmentHeader.size), start <= record.position else {
            return readRecords(&recovery, into: &requests)
        }
        let pages = RecordScanner(
            header: header, recordLimit: tunables.recordLimit, position: start)
        recovery.stage = .pages
        read(pages.nextRead, tunables.readChunk, &recovery, into: &requests)
        recovery.scanner = pages
    }

    private mutating func take(
        pages bytes: [UInt8], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) {
        guard var scanner = recovery.scanner else { return }
        recovery.scanner = nil
        scanner.feed(bytes)
        while case .record(let record) = scanner.next() {
            if record.type == HistoryFormat.pageType,
                let page = HistoryFormat.decodePage(record.payload)
            {
                recovery.listings += page
                recovery.promised.pages -= 1
            } else if record.type == HistoryFormat.trailerType, recovery.promised.pages == 0,
                recovery.listings.count == recovery.promised.chunks
            {
                index(recovery.listings, recovery)
                return nextSegment(&recovery, into: &requests)
            } else {
                return readRecords(&recovery, into: &requests)
            }
        }
        // A page that can't be read: the chunks themselves tell as much.
        guard bytes.count == recovery.length else {
            return readRecords(&recovery, into: &requests)
        }
        read(scanner.nextRead, tunables.readChunk, &recovery, into: &requests)
        recovery.scanner = scanner
    }

    /// Enters what lives into the index. Of two chunks of one number the one of the later entry
    /// counts; of two copies of one chunk the older, which has been synced before it was copied.
    private mutating func index(_ listings: [HistoryListing], _ recovery: Recovery) {
        let segment = recovery.files[recovery.current].number
        for listing in listings {
            segments[segments.count - 1].written +=
                UInt64(SegmentRecord.headerSize) + UInt64(listing.length)
        }
        for listing in listings where listing.index <= recovery.snapshotIndex {
            let place = Place(
                number: listing.number, length: listing.length, index: listing.index,
                segment: segment, position: UInt64(listing.position))
            let known = keys[listing.key]?.first { $0.number == listing.number }
            if let known, known.index >= listing.index { continue }
            point(listing.key, to: place)
        }
    }

    // MARK: An open segment

    private mutating func readRecords(
        _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) {
        guard let header = recovery.header else { return }
        let scanner = RecordScanner(header: header, recordLimit: tunables.recordLimit)
        recovery.listings = []
        recovery.checksums = []
        recovery.stage = .records
        read(scanner.nextRead, tunables.readChunk, &recovery, into: &requests)
        recovery.scanner = scanner
    }

    private mutating func take(
        records bytes: [UInt8], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> String? {
        guard var scanner = recovery.scanner else { return nil }
        recovery.scanner = nil
        let isAtEnd = bytes.count < recovery.length
        scanner.feed(bytes)
        if recovery.damage == nil {
            let isClean = scan(&scanner, &recovery)
            if !isClean || isAtEnd && scanner.leftOver > 0 { recovery.damage = scanner.position }
        }
        if let damage = recovery.damage {
            let offset = damage - UInt64(SegmentHeader.size)
            if scanner.synced > offset
                || scanner.findsProofOfSync(above: offset, atEnd: isAtEnd)
            {
                return SegmentFault.damaged(Self.file(scanner.header.number), at: damage)
            }
        }
        guard isAtEnd else {
            read(scanner.nextRead, tunables.readChunk, &recovery, into: &requests)
            recovery.scanner = scanner
            return nil
        }
        finishOpenSegment(scanner, &recovery, into: &requests)
        nextSegment(&recovery, into: &requests)
        return nil
    }

    /// Gathers whole records; false at damage.
    private func scan(_ scanner: inout RecordScanner, _ recovery: inout Recovery) -> Bool {
        while true {
            switch scanner.next() {
            case .needsBytes: return true
            case .damage: return false
            case .record(let record):
                // The footer of a closing that was cut short says nothing new.
                guard record.type == HistoryFormat.chunkType else { continue }
                guard let chunk = HistoryFormat.decodeChunk(record.payload),
                    let position = UInt32(
                        exactly: record.position + UInt64(SegmentRecord.headerSize)),
                    let payload = UInt32(exactly: record.payload.count)
                else { return false }
                recovery.checksums.append(record.checksum)
                recovery.listings.append(
                    HistoryListing(
                        index: chunk.index, number: chunk.number, key: chunk.key,
                        position: position, length: payload))
            }
        }
    }

    private mutating func finishOpenSegment(
        _ scanner: RecordScanner, _ recovery: inout Recovery,
        into requests: inout [StorageRequest]
    ) {
        guard let end = scanner.boundaries.last else { return }
        let number = scanner.header.number
        recovery.tornBytes += scanner.nextRead - (end.offset + UInt64(SegmentHeader.size))
        index(recovery.listings, recovery)
        // Everything up to the last live chunk has been synced; what lies behind it may exist in a
        // cache only, and is cut off and written again as its entries are applied again. Without
        // anything alive the whole segment goes. Either happens before anything else is written:
        // else a later start could take such a chunk for the older of two copies.
        let isLast: (HistoryListing) -> Bool = { listing in
            isLive(
                listing.key, number: listing.number, segment: number,
                position: UInt64(listing.position))
        }
        guard let last = recovery.listings.lastIndex(where: isLast) else {
            segments.removeLast()
            return tickets.ask(.remove(Self.file(number)), .cleaning, into: &requests)
        }
        let listings = recovery.listings[...last].filter { $0.index <= recovery.snapshotIndex }
        let position = UInt64(recovery.listings[last].position + recovery.listings[last].length)
        let offset = position - UInt64(SegmentHeader.size)
        unclosed.append(
            Active(
                number: number,
                encoder: RecordEncoder(
                    seed: scanner.header.seed, chain: recovery.checksums[last], offset: offset),
                synced: min(scanner.synced, offset), listings: listings, hasStrayBytes: true))
    }
}
