/// What a log journal writes, and its bytes.
enum LogJournalRecord: Hashable {
    case hardState(HardState)
    case entry(LogEntry)
    /// The entries from this index on are void.
    case truncate(from: LogIndex)
    /// The next entry follows this index, whatever came before.
    case restart(after: LogIndex)

    static let hardStateType: UInt8 = 1
    static let entryType: UInt8 = 2
    private static let truncateType: UInt8 = 3
    private static let restartType: UInt8 = 4

    var type: UInt8 {
        switch self {
        case .hardState: Self.hardStateType
        case .entry: Self.entryType
        case .truncate: Self.truncateType
        case .restart: Self.restartType
        }
    }

    /// The index that the record names.
    private var index: LogIndex {
        switch self {
        case .hardState: 0
        case .entry(let entry): entry.index
        case .truncate(let index), .restart(let index): index
        }
    }

    var payload: [UInt8] {
        var writer: ByteWriter
        switch self {
        case .hardState(let hardState):
            writer = ByteWriter()
            writer.u64(hardState.term)
            writer.optional(hardState.votedFor) { $0.bytes($1) }
            guard let founders = hardState.founders else { break }
            writer.array(founders) { $0.serverID($1) }
            if !hardState.cluster.isEmpty { writer.string(hardState.cluster) }
        case .entry(let entry):
            writer = ByteWriter(capacity: 17 + entry.payload.count)
            writer.u64(entry.index)
            writer.u64(entry.term)
            writer.u8(entry.kind)
            writer.raw(entry.payload)
        case .truncate(let index), .restart(let index):
            writer = ByteWriter()
            writer.u64(index)
        }
        return writer.output
    }

    /// nil for bytes that no `LogJournalRecord` writes.
    init?(type: UInt8, payload: [UInt8]) {
        var reader = ByteReader(payload)
        do throws(ByteError) {
            switch type {
            case Self.hardStateType:
                let term = try reader.u64()
                let vote = try reader.optional { r throws(ByteError) in try r.bytes() }
                let founders: [DataID]? =
                    reader.isAtEnd
                    ? nil
                    : try reader.array(elementSize: 16) { r throws(ByteError) in
                        try r.serverID()
                    }
                let cluster = reader.isAtEnd ? "" : try reader.string()
                self = .hardState(
                    HardState(term: term, votedFor: vote, founders: founders, cluster: cluster))
            case Self.entryType:
                self = .entry(
                    LogEntry(
                        index: try reader.u64(), term: try reader.u64(), kind: try reader.u8(),
                        payload: Array(reader.rest())))
            case Self.truncateType: self = .truncate(from: try reader.u64())
            case Self.restartType: self = .restart(after: try reader.u64())
            default: return nil
            }
            try reader.expectEnd()
            // An index far from any overflow, so that its neighbours are numbers too.
            guard index < 1 << 62 else { return nil }
        } catch {
            return nil
        }
    }
}
