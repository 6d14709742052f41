// Reading the newest snapshot at start.

extension SnapshotStore {
    struct Recovery: Sendable {
        var file: FileName?
        var number: UInt64 = 0
        var scanner: RecordScanner?
        var head: SnapshotHead?
        /// Records before the next one.
        var records: UInt64 = 0
        var hasFooter = false
    }

    /// Reads the newest snapshot: `.opened`, `.slice`…, `.loaded`; or `.none`.
    package mutating func recover(into requests: inout [StorageRequest]) {
        phase = .recovering(Recovery())
        tickets.ask(.list(.snapshots), .list, into: &requests)
    }

    mutating func recover(
        _ purpose: Purpose, _ result: StorageResult,
        into requests: inout [StorageRequest], actions: inout [SnapshotAction]
    ) {
        guard case .recovering(var recovery) = phase else { return }
        // The scanner's buffers must have one owner while they change.
        phase = .unopened
        var problem: String?
        switch (purpose, result) {
        case (_, .failed(let failure)): problem = failure.message
        case (.list, .listing(let entries)):
            if !take(entries, &recovery, into: &requests) {
                phase = .idle
                actions.append(.none)
                return
            }
        case (.readHeader, .bytes(let bytes)):
            problem = take(header: bytes, &recovery, into: &requests)
        case (.readRecords, .bytes(let bytes)):
            problem = take(records: bytes, &recovery, into: &requests, actions: &actions)
        case (.openDirectory, .done):
            phase = .idle
            newest = recovery.head
            if let head = recovery.head { actions.append(.loaded(head)) }
            return removeSuperseded(into: &requests)
        default: fatalError("invariant broken: an answer of the wrong kind")
        }
        if let problem { return halt(problem, actions: &actions) }
        phase = .recovering(recovery)
    }

    /// Chooses the snapshot to read; false if there is none.
    private mutating func take(
        _ entries: [FileEntry], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> Bool {
        var indices: [LogIndex] = []
        for entry in entries {
            if let index = SegmentName.number(in: entry.name, prefix: Self.prefix, suffix: ".snap")
            {
                indices.append(index)
            } else if SegmentName.number(in: entry.name, prefix: Self.prefix, suffix: ".tmp") != nil
            {
                tickets.ask(
                    .remove(FileName(.snapshots, entry.name)), .cleaning, into: &requests)
            }
        }
        guard let index = indices.max() else { return false }
        superseded = indices.filter { $0 != index }.sorted().map(Self.file)
        recovery.number = index
        tickets.ask(
            .read(Self.file(index), offset: 0, length: SegmentHeader.size), .readHeader,
            into: &requests)
        return true
    }

    private mutating func take(
        header bytes: [UInt8], _ recovery: inout Recovery, into requests: inout [StorageRequest]
    ) -> String? {
        do {
            let header = try SegmentHeader.decode(
                bytes, kind: .snapshots, number: recovery.number, dataID: dataID)
            let scanner = RecordScanner(header: header, recordLimit: tunables.recordLimit)
            recovery.scanner = scanner
            readOn(scanner, into: &requests)
            return nil
        } catch {
            return SegmentFault.describe(error, of: Self.file(recovery.number))
        }
    }

    private mutating func readOn(
        _ scanner: RecordScanner, into requests: inout [StorageRequest]
    ) {
        let name = Self.file(scanner.header.number)
        tickets.ask(
            .read(name, offset: scanner.nextRead, length: tunables.readChunk), .readRecords,
            into: &requests)
    }

    private mutating func take(
        records bytes: [UInt8], _ recovery: inout Recovery,
        into requests: inout [StorageRequest], actions: inout [SnapshotAction]
    ) -> String? {
        guard var scanner = recovery.scanner else { return nil }
        recovery.scanner = nil
        scanner.feed(bytes)
        while true {
            let position = scanner.position
            let offset = scanner.offset
            switch scanner.next() {
            case .record(let record):
                guard take(record, at: offset, &recovery, actions: &actions) else {
                    return SegmentFault.damaged(Self.file(recovery.number), at: position)
                }
                continue
            case .damage:
                return SegmentFault.damaged(Self.file(recovery.number), at: position)
            case .needsBytes: break
            }
            break
        }
        if bytes.count == tunables.readChunk {
            readOn(scanner, into: &requests)
            recovery.scanner = scanner
            return nil
        }
        guard recovery.hasFooter, scanner.leftOver == 0 else {
            return SegmentFault.damaged(Self.file(recovery.number), at: scanner.position)
        }
        // The rename may not have been synced, and the log must not rely on it before it is.
        tickets.ask(.syncDirectory(.snapshots), .openDirectory, into: &requests)
        return nil
    }

    /// False for a record that is out of place.
    private func take(
        _ record: SegmentRecord, at offset: UInt64, _ recovery: inout Recovery,
        actions: inout [SnapshotAction]
    ) -> Bool {
        guard !recovery.hasFooter, (record.type == Self.headType) == (recovery.head == nil) else {
            return false
        }
        recovery.records += 1
        switch record.type {
        case Self.headType:
            guard let head = Self.head(record.payload), head.index == recovery.number else {
                return false
            }
            recovery.head = head
            actions.append(.opened(head))
        case Self.sliceType: actions.append(.slice(record.payload))
        case Self.footerType:
            recovery.hasFooter = true
            var footer = ByteReader(record.payload)
            // The footer counts the records between the head and itself.
            return (try? footer.u64()) == recovery.records - 2 && (try? footer.u64()) == offset
                && footer.isAtEnd
        default: return false
        }
        return true
    }

    private static func head(_ payload: [UInt8]) -> SnapshotHead? {
        var reader = ByteReader(payload)
        do throws(ByteError) {
            return SnapshotHead(
                index: try reader.u64(), term: try reader.u64(), meta: Array(reader.rest()))
        } catch {
            return nil
        }
    }
}
