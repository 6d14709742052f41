// The log that one server's platter holds, read from its bytes: what would be there after the next
// power cut. Nothing of the core takes part, so that what a server says of its log can be judged.

import Core

struct PlatterLog {
    private struct Entry {
        var mark: EntryMark
        /// Until the reference has it.
        var payload: [UInt8]
    }

    /// Term and vote.
    private(set) var state = HardState()
    /// The entries after this index are here; those before are in a snapshot.
    private var base: LogIndex = 0
    /// The newest snapshot, this server's own or one of a leader, has everything through here.
    private(set) var snapshot: LogIndex = 0
    private var entries: [Entry] = []
    /// Where the next record of each segment begins.
    private var positions: [String: Int] = [:]

    // The layout of segments and records is told in Core's SegmentFormat.
    private static let segmentHeader = 68
    private static let recordHeader = 29
    private static let lengthOffset = 8
    private static let typeOffset = 28
    private static let entryHeader = 17
    private static let stateType: UInt8 = 1
    private static let entryType: UInt8 = 2
    private static let truncateType: UInt8 = 3
    private static let restartType: UInt8 = 4

    /// The log and what is in the snapshot go through here.
    var lastIndex: LogIndex { max(end, snapshot) }
    private var end: LogIndex { base + LogIndex(entries.count) }

    /// The entry at an index; nil if it is not here, or only in a snapshot.
    func mark(at index: LogIndex) -> EntryMark? {
        guard index > base, index <= end else { return nil }
        return entries[Int(index - base) - 1].mark
    }

    /// Whether an entry is safe here.
    func holds(_ mark: EntryMark) -> Bool {
        mark.index <= max(base, snapshot) || self.mark(at: mark.index) == mark
    }

    /// Takes an entry's payload, which is not needed again.
    mutating func takePayload(at index: LogIndex) -> [UInt8] {
        let place = Int(index - base) - 1
        defer { entries[place].payload = [] }
        return entries[place].payload
    }

    // MARK: Reading

    /// A server starts on what the disk holds: what is on the platter is read anew.
    mutating func beginLife(_ disk: Disk) {
        self = PlatterLog()
        refreshSnapshot(disk)
        refresh(disk)
    }

    /// Reads what was synced since the last call. O(files + new bytes).
    mutating func refresh(_ disk: Disk) {
        for (name, bytes) in disk.durableContents(.log) { read(name, bytes) }
    }

    /// Looks which snapshot counts. O(files).
    mutating func refreshSnapshot(_ disk: Disk) {
        for (name, _) in disk.durableContents(.snapshots) where name.hasSuffix(".snap") {
            let digits = name.dropFirst("snapshot-".count).prefix(16)
            snapshot = max(snapshot, LogIndex(digits, radix: 16) ?? 0)
        }
    }

    /// The same after the sync of one file, which brings nothing of the others to the platter.
    /// O(new bytes).
    mutating func refresh(_ disk: Disk, _ file: FileName) {
        if let bytes = disk.durableContents(of: file) { read(file.name, bytes) }
    }

    private mutating func read(_ name: String, _ bytes: ArraySlice<UInt8>) {
        // A draft is no part of the log, even when a removed one comes back with the power.
        guard name.hasSuffix(".log") else { return }
        var position = positions[name] ?? Self.segmentHeader
        guard position + Self.recordHeader <= bytes.count else { return }
        // A record's checksum begins with the identity of the data directory and the kind of file.
        let seed = Checksum.crc32c(Array(bytes[40..<56]) + [bytes[10]])
        while position + Self.recordHeader <= bytes.count {
            let length = Int(Self.number(bytes, position + Self.lengthOffset, 4))
            let end = position + Self.recordHeader + length
            // What a crash tore is not on the platter, however long it looks.
            guard end <= bytes.count, Self.isWhole(bytes, position, end, seed) else { break }
            take(bytes, position + Self.recordHeader, length, bytes[position + Self.typeOffset])
            position = end
        }
        positions[name] = position
    }

    private static func isWhole(
        _ bytes: ArraySlice<UInt8>, _ start: Int, _ end: Int, _ seed: UInt32
    ) -> Bool {
        Checksum.crc32c(bytes[(start + 4)..<end], continuing: seed)
            == UInt32(number(bytes, start, 4))
    }

    private mutating func take(
        _ bytes: ArraySlice<UInt8>, _ start: Int, _ length: Int, _ type: UInt8
    ) {
        guard length >= 8 else { return }
        let index = Self.number(bytes, start, 8)
        switch type {
        case Self.stateType: takeState(bytes, start, length)
        case Self.entryType:
            guard index > end else { return }
            if index > end + 1 || base == 0 && entries.isEmpty { restart(after: index - 1) }
            let payload = bytes[start + Self.entryHeader..<start + length]
            let mark = EntryMark(
                index: index, term: Self.number(bytes, start + 8, 8), kind: bytes[start + 16],
                payload: payload)
            entries.append(Entry(mark: mark, payload: Array(payload)))
        case Self.truncateType: cut(after: index - 1)
        case Self.restartType: restart(after: index)
        default: break
        }
    }

    /// Term, and the vote behind a byte that tells whether there is one.
    private mutating func takeState(_ bytes: ArraySlice<UInt8>, _ start: Int, _ length: Int) {
        var state = HardState(term: Self.number(bytes, start, 8))
        // A voter's name takes sixteen bytes, whose number stands before them. Behind it are the
        // founders of the cluster.
        if length >= 26, bytes[start + 8] == 1 {
            state.votedFor = Array(bytes[(start + 10)..<(start + 26)])
        }
        self.state = state
    }

    private mutating func cut(after index: LogIndex) {
        if index < base || index > end { return restart(after: index) }
        entries.removeLast(Int(end - index))
    }

    private mutating func restart(after index: LogIndex) {
        entries.removeAll()
        base = index
    }

    private static func number(
        _ bytes: ArraySlice<UInt8>, _ offset: Int, _ count: Int
    ) -> UInt64 {
        var value: UInt64 = 0
        for place in 0..<count { value |= UInt64(bytes[offset + place]) << UInt64(8 * place) }
        return value
    }
}
