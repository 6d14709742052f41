// The canonical state: what was committed, applied entry by entry to a store of its own. Whatever a
// server went through, at an index its state must be this one; and the judges see every entry by
// itself, however many one step applied.

import Core

struct ReferenceLog {
    private(set) var store = Store()
    /// Of the state at each index, from 1 on.
    private var hashes: [RecordHash] = []
    /// Keys of the records that the last entry applied wrote or removed, in no order.
    var changedKeys: [ByteKey] { store.changedKeys ?? [] }
    private var events: [StoreEvent] = []

    /// The hash of the state at an index; nil for what was not committed yet, and for the
    /// beginning.
    func hash(at index: LogIndex) -> RecordHash? {
        index > 0 && index <= LogIndex(hashes.count) ? hashes[Int(index) - 1] : nil
    }

    /// Applies the next entry.
    /// - Returns: its command; nil for an entry without one.
    mutating func apply(
        _ mark: EntryMark, _ payload: [UInt8], into verdict: inout Verdict
    ) -> Command? {
        defer { hashes.append(store.hash) }
        guard mark.kind == Raft.EntryKind.command.rawValue else {
            store.applyNothing(at: mark.index)
            return nil
        }
        guard let command = try? Command(decoding: payload) else {
            verdict.fail(.D2, "entry \(mark.index) on the platter is no command")
            return nil
        }
        events.removeAll(keepingCapacity: true)
        store.watchKeys()
        _ = store.apply(command, at: mark.index, into: &events)
        return command
    }
}
