// Snapshots of the replicated state on disk.

/// What a snapshot says about itself.
package struct SnapshotHead: Hashable, Sendable {
    /// The last log entry whose effects it holds.
    package var index: LogIndex
    /// That entry's term.
    package var term: Term
    /// Whatever the owner wants to know before the first slice.
    package var meta: [UInt8]

    package init(index: LogIndex, term: Term, meta: [UInt8]) {
        self.index = index
        self.term = term
        self.meta = meta
    }
}

package enum SnapshotAction: Hashable, Sendable {
    /// Recovery found no snapshot.
    case none
    /// Recovery reads this snapshot; its slices follow in order.
    case opened(SnapshotHead)
    case slice([UInt8])
    /// Every slice has been handed over and the whole verified.
    case loaded(SnapshotHead)
    /// A new snapshot survives a crash from now on; older ones are being removed.
    case written(SnapshotHead)
    /// The snapshot being written was given up and its file removed; nothing is lost, try later.
    case abandoned(StorageFailure)
    /// The snapshots can't be trusted. The node must stop.
    case halt(reason: String)
}

/// Writes one snapshot at a time in slices, and reads the newest one at start.
///
/// Events: `recover` once; `begin`, then `write` whenever `wantsSlice`, then `finish`; `handle` for
/// every answer to a ticket of `.snapshots`.
///
/// A snapshot is made under a temporary name, synced, and only then renamed: a file with a
/// snapshot's name is whole or damaged. Its records are the head, the slices, and a footer that
/// counts them.
package struct SnapshotStore: Sendable {
    static let headType: UInt8 = 1
    static let sliceType: UInt8 = 2
    static let footerType: UInt8 = 3

    enum Phase: Sendable {
        case unopened
        /// In a box of its own: every step asks for the phase, and would copy all of this.
        indirect case recovering(Recovery)
        case idle
        case writing(Writing)
        case halted
    }

    struct Writing: Sendable {
        enum Stage: Sendable {
            case filling
            case syncing
            case naming
            /// Given up, by the disk if there is a failure; the temporary file goes once nothing
            /// is in flight.
            case abandoning(StorageFailure?)
        }

        var head: SnapshotHead
        var encoder: RecordEncoder
        var length: UInt64
        var slices: UInt64 = 0
        var stage = Stage.filling
        var answers = 2

        /// Whether a failure costs this snapshot and nothing else.
        func tolerates(_ failure: StorageFailure) -> Bool {
            if case .abandoning(let first?) = stage, first.reason == .exists {
                return true
            }
            return failure.reason == .noSpace || failure.reason == .exists
        }
    }

    enum Purpose: Sendable {
        case list
        case readHeader
        case readRecords
        case openDirectory
        case writing
        case syncing
        /// A file that is not needed; if it stays, the next start tries again.
        case cleaning
    }

    let dataID: DataID
    let tunables: JournalTunables
    var phase = Phase.unopened
    var tickets = Tickets<Purpose>(owner: .snapshots)
    /// Snapshots older than the newest one.
    var superseded: [FileName] = []
    /// The newest snapshot that survives a crash.
    package internal(set) var newest: SnapshotHead?

    package init(dataID: DataID, tunables: JournalTunables = JournalTunables()) {
        self.dataID = dataID
        self.tunables = tunables
    }

    /// Starts a snapshot. None may be under way, and its index is above the newest one's.
    package mutating func begin(_ head: SnapshotHead, into requests: inout [StorageRequest]) {
        if case .halted = phase { return }
        invariant(isReady && !isWriting, "one snapshot at a time, after recovery")
        invariant(head.index > (newest?.index ?? 0), "snapshots move forward")
        let header = SegmentHeader(
            kind: .snapshots, number: head.index, base: 0, synced: 0, dataID: dataID)
        var bytes = header.encoded()
        var encoder = RecordEncoder(seed: header.seed, chain: 0, offset: 0)
        var content = ByteWriter(capacity: 16 + head.meta.count)
        content.u64(head.index)
        content.u64(head.term)
        content.raw(head.meta)
        encoder.encode(type: Self.headType, payload: content.output, synced: 0, into: &bytes)
        phase = .writing(
            Writing(head: head, encoder: encoder, length: UInt64(bytes.count)))
        let file = Self.temporaryFile(head.index)
        tickets.ask(.create(file), .writing, into: &requests)
        tickets.ask(.append(file, offset: 0, bytes: bytes), .writing, into: &requests)
    }

    /// The next slice may be written: a snapshot is under way and no append is in flight.
    package var wantsSlice: Bool {
        guard case .writing(let writing) = phase, case .filling = writing.stage else {
            return false
        }
        return writing.answers == 0
    }

    /// Adds 1 … `recordLimit` bytes. Only when `wantsSlice`.
    package mutating func write(slice: [UInt8], into requests: inout [StorageRequest]) {
        invariant(
            !slice.isEmpty && slice.count <= tunables.recordLimit, "a slice keeps its bounds")
        append(type: Self.sliceType, slice, into: &requests)
    }

    /// Ends the snapshot; `.written` or `.abandoned` follows. Only when `wantsSlice`, and only when
    /// whatever else the snapshot relies on (the history through its index) is durable.
    package mutating func finish(into requests: inout [StorageRequest]) {
        guard case .writing(let writing) = phase else { return }
        var footer = ByteWriter()
        footer.u64(writing.slices)
        footer.u64(writing.encoder.offset)
        append(type: Self.footerType, footer.output, into: &requests)
        modify { writing in
            writing.stage = .syncing
            writing.answers = 2
        }
        tickets.ask(.sync(Self.temporaryFile(writing.head.index)), .syncing, into: &requests)
    }

    /// Gives up the snapshot under way, silently, unless it has been finished already.
    package mutating func abandon(into requests: inout [StorageRequest]) {
        guard case .writing(let writing) = phase, case .filling = writing.stage else { return }
        modify { $0.stage = .abandoning(nil) }
        if writing.answers == 0 { discard(writing.head, into: &requests) }
    }

    private mutating func discard(
        _ head: SnapshotHead, into requests: inout [StorageRequest]
    ) {
        phase = .idle
        tickets.ask(.remove(Self.temporaryFile(head.index)), .cleaning, into: &requests)
    }

    private mutating func append(
        type: UInt8, _ payload: [UInt8], into requests: inout [StorageRequest]
    ) {
        invariant(wantsSlice, "a snapshot takes one slice at a time")
        var bytes: [UInt8] = []
        var file: FileName?
        var offset: UInt64 = 0
        modify { writing in
            writing.encoder.encode(type: type, payload: payload, synced: 0, into: &bytes)
            file = Self.temporaryFile(writing.head.index)
            offset = writing.length
            writing.length += UInt64(bytes.count)
            writing.slices += 1
            writing.answers = 1
        }
        guard let file else { return }
        tickets.ask(.append(file, offset: offset, bytes: bytes), .writing, into: &requests)
    }

    private mutating func modify(_ change: (inout Writing) -> Void) {
        guard case .writing(var writing) = phase else { return }
        change(&writing)
        phase = .writing(writing)
    }

    /// A snapshot is being written; `begin` must wait.
    package var isWriting: Bool { if case .writing = phase { true } else { false } }

    private var isReady: Bool {
        switch phase {
        case .idle, .writing: true
        case .unopened, .recovering, .halted: false
        }
    }

    package mutating func handle(
        _ result: StorageResult, for ticket: StorageTicket,
        into requests: inout [StorageRequest], actions: inout [SnapshotAction]
    ) {
        let purpose = tickets.redeem(ticket)
        switch (phase, purpose) {
        case (.halted, _), (_, .cleaning): break
        case (.recovering, _): recover(purpose, result, into: &requests, actions: &actions)
        case (.writing(let writing), _):
            advance(writing, purpose, result, into: &requests, actions: &actions)
        case (.unopened, _), (.idle, _):
            fatalError("invariant broken: an answer though nothing is under way")
        }
    }

    private mutating func advance(
        _ before: Writing, _ purpose: Purpose, _ result: StorageResult,
        into requests: inout [StorageRequest], actions: inout [SnapshotAction]
    ) {
        var writing = before
        writing.answers -= 1
        if case .failed(let failure) = result {
            // A full disk is an everyday event and costs only this snapshot, and so does the rest
            // of an earlier one that could not be removed: it is removed now, with all that went
            // into it. Anything else says that the disk can't be relied on, a failed sync above
            // all.
            guard writing.tolerates(failure) else {
                return halt(failure.message, actions: &actions)
            }
            if case .abandoning = writing.stage {} else { writing.stage = .abandoning(failure) }
        }
        phase = .writing(writing)
        guard writing.answers == 0 else { return }
        let temporary = Self.temporaryFile(writing.head.index)
        switch writing.stage {
        case .filling: break
        case .syncing:
            modify { writing in
                writing.stage = .naming
                writing.answers = 2
            }
            let name = Self.file(writing.head.index)
            tickets.ask(.rename(temporary, to: name), .writing, into: &requests)
            tickets.ask(.syncDirectory(.snapshots), .syncing, into: &requests)
        case .naming:
            phase = .idle
            if let newest { superseded.append(Self.file(newest.index)) }
            newest = writing.head
            removeSuperseded(into: &requests)
            actions.append(.written(writing.head))
        case .abandoning(let failure):
            discard(writing.head, into: &requests)
            if let failure { actions.append(.abandoned(failure)) }
        }
    }

    mutating func removeSuperseded(into requests: inout [StorageRequest]) {
        for file in superseded { tickets.ask(.remove(file), .cleaning, into: &requests) }
        superseded = []
    }

    mutating func halt(_ reason: String, actions: inout [SnapshotAction]) {
        phase = .halted
        actions.append(.halt(reason: reason))
    }

    static let prefix = "snapshot-"

    static func file(_ index: LogIndex) -> FileName {
        FileName(.snapshots, SegmentName.format(index, prefix: prefix, suffix: ".snap"))
    }

    static func temporaryFile(_ index: LogIndex) -> FileName {
        FileName(.snapshots, SegmentName.format(index, prefix: prefix, suffix: ".tmp"))
    }
}
