// Reading a log back at start.

extension SegmentedLog {
    struct Recovery: Sendable {
        var files: [(number: UInt64, length: UInt64)] = []
        var headers: [SegmentHeader] = []
        /// The segment whose records are being read.
        var current = 0
        var scanner: RecordScanner?
        /// The first byte of the last segment that could not be read. From there on recovery looks
        /// for proof that it had been synced.
        var damage: UInt64?
    }

    mutating func recover(into requests: inout [StorageRequest]) {
        invariant({ if case .unopened = phase { true } else { false } }(), "a log recovers once")
        phase = .recovering(Recovery())
        tickets.ask(.list(configuration.directory), .list, into: &requests)
    }

    mutating func recover(
        _ purpose: Purpose, _ result: StorageResult,
        into requests: inout [StorageRequest], events: inout [Event]
    ) {
        guard case .recovering(var recovery) = phase else {
            fatalError("invariant broken: recovery is over")
        }
        // The scanner's buffers must have one owner while they change.
        phase = .unopened
        var problem: String?
        switch (purpose, result) {
        case (.list, .listing(let entries)):
            problem = take(entries, &recovery, into: &requests)
        case (.readHeader(let position), .bytes(let bytes)):
            problem = take(header: bytes, position, &recovery, into: &requests)
        case (.readRecords, .bytes(let bytes)):
            problem = take(records: bytes, &recovery, into: &requests, events: &events)
        case (.openDirectory, .done):
            phase = .ready
            events.append(.recovered(tornBytes: 0))
            removeNext(into: &requests)
            return flush(into: &requests)
        default: fatalError("invariant broken: an answer of the wrong kind")
        }
        if let problem { return halt(problem, events: &events) }
        phase = .recovering(recovery)
    }

    private mutating func take(
        _ entries: [FileEntry], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> String? {
        let prefix = configuration.prefix
        for entry in entries {
            if let found = SegmentName.number(in: entry.name, prefix: prefix, suffix: ".log") {
                recovery.files.append((found, entry.length))
            } else if SegmentName.number(in: entry.name, prefix: prefix, suffix: ".tmp") != nil {
                let name = FileName(configuration.directory, entry.name)
                tickets.ask(.remove(name), .cleaning, into: &requests)
            }
        }
        recovery.files.sort { $0.number < $1.number }
        for (earlier, later) in zip(recovery.files, recovery.files.dropFirst())
        where later.number != earlier.number + 1 {
            return
                "\(SegmentFault.path(file(earlier.number + 1))) is missing, though there are older"
                + " and newer ones. " + SegmentFault.remedy
        }
        if recovery.files.isEmpty {
            beginRotation(outcome: .recovered(tornBytes: 0), into: &requests)
        } else {
            readHeader(0, recovery, into: &requests)
        }
        return nil
    }

    private mutating func readHeader(
        _ position: Int, _ recovery: Recovery, into requests: inout [StorageRequest]
    ) {
        let name = file(recovery.files[position].number)
        tickets.ask(
            .read(name, offset: 0, length: SegmentHeader.size), .readHeader(position),
            into: &requests)
    }

    private mutating func take(
        header bytes: [UInt8], _ position: Int, _ recovery: inout Recovery,
        into requests: inout [StorageRequest]
    ) -> String? {
        let number = recovery.files[position].number
        do {
            let header = try SegmentHeader.decode(
                bytes, kind: configuration.directory, number: number,
                dataID: configuration.dataID)
            recovery.headers.append(header)
        } catch {
            return SegmentFault.describe(error, of: file(number))
        }
        if position + 1 < recovery.files.count {
            readHeader(position + 1, recovery, into: &requests)
            return nil
        }
        // A fresh segment makes all before it void.
        let fresh = recovery.headers.lastIndex { $0.flags & SegmentHeader.freshFlag != 0 } ?? 0
        segments = recovery.files.map { Segment(number: $0.number, length: $0.length) }
        removeBelow = recovery.files[fresh].number
        return beginScan(of: fresh, &recovery, into: &requests)
    }

    private mutating func beginScan(
        of position: Int, _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> String? {
        recovery.current = position
        let header = recovery.headers[position]
        let scanner = RecordScanner(header: header, recordLimit: tunables.recordLimit)
        if let end = end(of: position, recovery) {
            let length = recovery.files[position].length
            guard end >= UInt64(SegmentHeader.size), end <= length else {
                return
                    "\(SegmentFault.path(file(header.number))) has \(length) bytes, though \(end)"
                    + " had been written and synced. " + SegmentFault.remedy
            }
            if end == UInt64(SegmentHeader.size) {
                return finishScan(scanner, &recovery, into: &requests)
            }
        }
        recovery.scanner = scanner
        readOn(recovery, into: &requests)
        return nil
    }

    /// Where the records of a segment end: where the next one goes on, or nil for the last one.
    private func end(of position: Int, _ recovery: Recovery) -> UInt64? {
        guard position + 1 < recovery.headers.count else { return nil }
        let (size, overflow) = recovery.headers[position + 1].base
            .subtractingReportingOverflow(recovery.headers[position].base)
        return overflow ? 0 : size.addingReportingOverflow(UInt64(SegmentHeader.size)).partialValue
    }

    private mutating func readOn(_ recovery: Recovery, into requests: inout [StorageRequest]) {
        guard let scanner = recovery.scanner else { return }
        let name = file(recovery.files[recovery.current].number)
        let length = readLength(scanner, recovery)
        tickets.ask(
            .read(name, offset: scanner.nextRead, length: length), .readRecords, into: &requests)
    }

    private func readLength(_ scanner: RecordScanner, _ recovery: Recovery) -> Int {
        guard let end = end(of: recovery.current, recovery) else { return tunables.readChunk }
        return Int(min(UInt64(tunables.readChunk), end - scanner.nextRead))
    }

    private mutating func take(
        records bytes: [UInt8], _ recovery: inout Recovery,
        into requests: inout [StorageRequest], events: inout [Event]
    ) -> String? {
        guard var scanner = recovery.scanner else {
            fatalError("invariant broken: nothing is being read")
        }
        recovery.scanner = nil
        let isShort = bytes.count < readLength(scanner, recovery)
        scanner.feed(bytes)
        let end = end(of: recovery.current, recovery)
        let isAtEnd = end.map { scanner.nextRead >= $0 } ?? isShort
        if recovery.damage == nil {
            let isClean = scan(&scanner, segment: recovery.current, events: &events)
            if !isClean || isShort && !isAtEnd || isAtEnd && scanner.leftOver > 0 {
                recovery.damage = scanner.position
            }
        }
        if let damage = recovery.damage {
            let offset = scanner.header.base + (damage - UInt64(SegmentHeader.size))
            if end != nil || scanner.synced > offset
                || scanner.findsProofOfSync(above: offset, atEnd: isAtEnd)
            {
                return SegmentFault.damaged(file(scanner.header.number), at: damage)
            }
        }
        guard isAtEnd else {
            recovery.scanner = scanner
            readOn(recovery, into: &requests)
            return nil
        }
        return finishScan(scanner, &recovery, into: &requests)
    }

    /// Reports whole records; false at damage.
    private mutating func scan(
        _ scanner: inout RecordScanner, segment: Int, events: inout [Event]
    ) -> Bool {
        while true {
            switch scanner.next() {
            case .needsBytes: return true
            case .damage: return false
            case .record(let record):
                guard record.type != SegmentRecord.markType else { continue }
                note(Record(type: record.type, payload: record.payload), segment: segment)
                events.append(.record(type: record.type, payload: record.payload))
            }
        }
    }

    private mutating func finishScan(
        _ scanner: RecordScanner, _ recovery: inout Recovery,
        into requests: inout [StorageRequest]
    ) -> String? {
        let name = file(scanner.header.number)
        guard let proven = scanner.boundaries.first, let last = scanner.boundaries.last else {
            fatalError("invariant broken: a segment has boundaries")
        }
        let end = UInt64(SegmentHeader.size) + (last.offset - scanner.header.base)
        // Synced means synced to the end of a record; anything else is a record lost.
        guard proven.offset == scanner.synced || recovery.current + 1 < recovery.headers.count,
            scanner.synced <= last.offset
        else { return SegmentFault.damaged(name, at: end) }
        if recovery.current + 1 < recovery.headers.count {
            let next = recovery.headers[recovery.current + 1]
            guard last.chain == next.chain else { return SegmentFault.damaged(name, at: end) }
            return beginScan(of: recovery.current + 1, &recovery, into: &requests)
        }
        encoder.offset = last.offset
        encoder.chain = last.chain
        synced = proven.offset
        let tornBytes = scanner.nextRead - end
        if tornBytes == 0, proven == last {
            // Only the file's name may not have been synced.
            segments[segments.count - 1].length = end
            segments[segments.count - 1].isUsed = true
            tickets.ask(
                .syncDirectory(configuration.directory), .openDirectory, into: &requests)
        } else {
            beginRescue(above: proven, last, of: scanner.header, tornBytes, into: &requests)
        }
        return nil
    }
}
