// Consensus after Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm".
//
// The state machine knows voters and quorums; with a single voter every quorum is that voter, so it
// elects itself as soon as its vote is durable and commits what its own disk holds. Persisting is
// asked for by actions and confirmed by `persisted`: nothing that relies on durability happens
// before.

/// Identifies a server for ever: the identity of its data directory.
package typealias ServerID = DataID

/// One server's part in the consensus.
package struct Raft {
    package enum Role: UInt8, Sendable {
        case follower
        case candidate
        case leader
    }

    enum Action {
        case persist(HardState)
        case persistEntry(LogEntry)
        /// Apply this entry; entries come in order and once.
        case commit(LogEntry)
        /// This server leads; the first entry of its term is committed, so that every entry of
        /// earlier terms is known and applied.
        case lead(Term)
    }

    /// What an entry carries.
    package enum EntryKind: UInt8, Sendable {
        /// The first entry of a leader's term (section 8): nothing.
        case nothing = 0
        case command = 1
    }

    package let id: ServerID
    package let voters: [ServerID]
    package private(set) var role = Role.follower
    package private(set) var hardState = HardState()
    /// The last index in the log.
    package private(set) var lastIndex: LogIndex = 0
    /// The last index known to be committed.
    package private(set) var commitIndex: LogIndex = 0
    /// The last index that each voter is known to have on its disk.
    private var match: SortedMap<ServerID, LogIndex> = SortedMap()
    /// Entries that are not committed yet, oldest first.
    private var pending = RingBuffer<LogEntry>()
    /// The index of this leader's first entry; leadership takes effect when it is committed.
    private var firstOfTerm: LogIndex = 0
    /// The first entry of this term is committed.
    package private(set) var isLeading = false

    init(id: ServerID, voters: [ServerID]) {
        self.id = id
        self.voters = voters
    }

    /// How many proposals wait to be committed.
    package var pendingCount: Int { pending.count }

    // MARK: Recovery

    /// The state up to `index` came from a snapshot.
    mutating func restore(snapshotIndex index: LogIndex) {
        lastIndex = index
        commitIndex = index
    }

    /// An entry that the log holds.
    mutating func recover(_ entry: LogEntry, into actions: inout [Action]) {
        invariant(entry.index == lastIndex + 1, "entries are recovered without a gap")
        lastIndex = entry.index
        pending.append(entry)
        // What the only voter has on its disk is on a majority of the disks.
        if Quorum.size(of: voters.count) == 1, voters == [id] {
            commit(through: entry.index, into: &actions)
        }
    }

    /// An entry on the disk was taken back by a later leader.
    mutating func recoverTruncation(from index: LogIndex) {
        invariant(index > commitIndex, "a committed entry is never taken back")
        while let last = pending.last, last.index >= index { _ = pending.popLast() }
        lastIndex = index - 1
    }

    mutating func recovered(_ state: HardState) {
        hardState = state
        match[id] = lastIndex
    }

    // MARK: Elections

    /// Begins an election.
    mutating func campaign(into actions: inout [Action]) {
        role = .candidate
        isLeading = false
        hardState = HardState(term: hardState.term + 1, votedFor: Self.bytes(of: id))
        actions.append(.persist(hardState))
    }

    /// What was asked to be persisted is durable: all through `index`, and this term and vote.
    mutating func persisted(
        through index: LogIndex, _ state: HardState, into actions: inout [Action]
    ) {
        match[id] = index
        if role == .candidate, state == hardState, Quorum.size(of: voters.count) == 1 {
            role = .leader
            firstOfTerm = lastIndex + 1
            append(.nothing, [], into: &actions)
        }
        advanceCommit(into: &actions)
    }

    // MARK: Replication

    /// Appends a command if this server leads.
    /// - Returns: the entry's index, or nil without leadership.
    mutating func propose(_ payload: [UInt8], into actions: inout [Action]) -> LogIndex? {
        guard isLeading else { return nil }
        append(.command, payload, into: &actions)
        return lastIndex
    }

    private mutating func append(
        _ kind: EntryKind, _ payload: [UInt8], into actions: inout [Action]
    ) {
        lastIndex += 1
        let entry = LogEntry(
            index: lastIndex, term: hardState.term, kind: kind.rawValue, payload: payload)
        pending.append(entry)
        actions.append(.persistEntry(entry))
    }

    /// Commits what a majority has, if it is of this term (section 5.4.2: an entry of an earlier
    /// term is never committed by counting).
    private mutating func advanceCommit(into actions: inout [Action]) {
        guard role == .leader else { return }
        let acknowledged = Quorum.index(of: voters.map { match[$0] ?? 0 })
        guard acknowledged >= firstOfTerm, acknowledged > commitIndex else { return }
        commit(through: acknowledged, into: &actions)
        if !isLeading, commitIndex >= firstOfTerm {
            isLeading = true
            actions.append(.lead(hardState.term))
        }
    }

    private mutating func commit(through index: LogIndex, into actions: inout [Action]) {
        while let entry = pending.first, entry.index <= index {
            _ = pending.popFirst()
            commitIndex = entry.index
            actions.append(.commit(entry))
        }
    }

    package func checkInvariants() {
        invariant(commitIndex <= lastIndex, "the commit index lies inside the log")
        invariant(
            pending.count == Int(lastIndex - commitIndex), "every entry not committed is pending")
        invariant(!isLeading || role == .leader, "only a leader leads")
    }

    private static func bytes(of id: ServerID) -> [UInt8] {
        withUnsafeBytes(of: id.littleEndian) { Array($0) }
    }
}
