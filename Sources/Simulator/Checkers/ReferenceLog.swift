// The canonical list of what was committed, taken from the platter's bytes and applied entry by
// entry to a store of its own. Whatever the node under test went through, at an index its state
// must be this one; and the judges see every entry by itself, however many one step applied.

import Core

struct ReferenceLog {
    private struct Entry {
        var index: LogIndex
        var kind: UInt8
        var payload: [UInt8]
    }

    private(set) var store = Store()
    /// Keys of the records that the last entry applied wrote or removed, in no order.
    var changedKeys: [ByteKey] { store.changedKeys ?? [] }
    /// The last entry on the platter.
    private(set) var durableIndex: LogIndex = 0
    /// Entries on the platter that are not applied yet.
    private var pending: RingBuffer<Entry> = RingBuffer()
    /// Where the next record of each segment begins.
    private var positions: [String: Int] = [:]
    private var events: [StoreEvent] = []

    // The layout of segments and records is told in Core's SegmentFormat.
    private static let segmentHeader = 68
    private static let recordHeader = 29
    private static let lengthOffset = 8
    private static let typeOffset = 28
    private static let entryHeader = 17
    private static let entryType: UInt8 = 2
    private static let truncateType: UInt8 = 3
    private static let restartType: UInt8 = 4

    /// A node starts on what the disk holds: what is on the platter is read anew.
    mutating func beginLife(_ disk: Disk) {
        positions.removeAll()
        pending.removeAll()
        durableIndex = store.appliedIndex
        refresh(disk)
    }

    /// Reads what was synced since the last call. O(files + new bytes).
    mutating func refresh(_ disk: Disk) {
        for (name, bytes) in disk.durableContents(.log) { read(name, bytes) }
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
        case Self.entryType:
            guard index > durableIndex else { return }
            durableIndex = index
            pending.append(
                Entry(
                    index: index, kind: bytes[start + 16],
                    payload: Array(bytes[start + Self.entryHeader..<start + length])))
        case Self.truncateType, Self.restartType:
            let last = type == Self.truncateType ? index - 1 : index
            while let entry = pending.last, entry.index > last { _ = pending.popLast() }
            durableIndex = max(store.appliedIndex, last)
        default: break
        }
    }

    /// Applies the next entry, if there is one on the platter up to `index`.
    /// - Returns: whether one was applied; `command` is nil for an entry without one.
    mutating func applyNext(
        upTo index: LogIndex, into verdict: inout Verdict
    ) -> (applied: Bool, command: Command?) {
        guard let entry = pending.first, entry.index <= index else { return (false, nil) }
        _ = pending.popFirst()
        guard entry.index == store.appliedIndex + 1 else {
            verdict.fail(
                .D2,
                "the log on the platter goes on with \(entry.index) after "
                    + "\(store.appliedIndex)")
            return (false, nil)
        }
        guard entry.kind == Raft.EntryKind.command.rawValue else {
            store.applyNothing(at: entry.index)
            return (true, nil)
        }
        guard let command = try? Command(decoding: entry.payload) else {
            verdict.fail(.D2, "entry \(entry.index) on the platter is no command")
            return (false, nil)
        }
        events.removeAll(keepingCapacity: true)
        store.watchKeys()
        _ = store.apply(command, at: entry.index, into: &events)
        return (true, command)
    }

    private static func number(
        _ bytes: ArraySlice<UInt8>, _ offset: Int, _ count: Int
    ) -> UInt64 {
        var value: UInt64 = 0
        for place in 0..<count { value |= UInt64(bytes[offset + place]) << UInt64(8 * place) }
        return value
    }
}
