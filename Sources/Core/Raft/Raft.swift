// Consensus after Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", with
// what Ongaro's thesis adds for practice: pre-vote, a leader that gives up without a majority,
// transfer of leadership, one membership change at a time, reads by read index.
//
// The state machine reads no clock and touches no disk. Persisting is asked for by actions and
// confirmed by `persisted`: no message that relies on durability leaves before. The aspects are in
// files of their own: Raft+Election, Raft+Replication, Raft+Membership, Raft+Reads.

/// Identifies a server for ever: the identity of its data directory.
package typealias ServerID = DataID

/// One server's part in the consensus.
///
/// Events: what recovery read, then `start`; `receive` for every message, `persisted` for every
/// sync, `deadline` when `nextDeadline` has come, `flush` once at the end of each step of the node.
package struct Raft {
    package enum Role: UInt8, Sendable {
        case follower
        /// Asks whether an election could be won.
        case preCandidate
        case candidate
        case leader
    }

    package enum Action {
        case persist(HardState)
        case persistEntry(LogEntry)
        /// Take back the entries from this one on; none of them was committed.
        case truncate(from: LogIndex)
        /// Apply this entry; entries come in order and once, and lie on this server's disk.
        case commit(LogEntry)
        /// This server leads; the first entry of its term is committed, so that every entry of
        /// earlier terms is known and applied.
        case lead(Term)
        /// This server does not lead any more. What it had proposed may still be committed; what
        /// waited to be read is told so by `readFailed`.
        case resign
        case send(ServerID, RaftMessage)
        /// A follower needs what only a snapshot has; tell `snapshotSent` when it is over.
        case sendSnapshot(ServerID)
        /// The state through this index, once applied, may be shown to the reader.
        case readReady(UInt64, LogIndex)
        case readFailed(UInt64)
    }

    /// What an entry carries.
    package enum EntryKind: UInt8, Sendable {
        /// The first entry of a leader's term (section 8): nothing.
        case nothing = 0
        case command = 1
        /// The members from this entry on, committed or not.
        case configuration = 2
    }

    package let id: ServerID
    package let tunables: RaftTunables
    var random: PRNG

    // What is on the disk, or asked to be.
    package internal(set) var hardState = HardState()
    /// The part of it that is durable.
    var durableState = HardState()
    var log = RaftLog()
    /// The log is on this server's disk through here.
    var durableIndex: LogIndex = 0
    /// What a leader was told of it last.
    var acknowledgedIndex: LogIndex = 0
    /// Whether leaders are told no more for now.
    package internal(set) var isRestrained = false
    /// The members since each index, oldest first; at least one, of which the last is in force.
    var configurations: [(index: LogIndex, configuration: RaftConfiguration)] {
        didSet { isAlone = configuration.isOnly(id) }
    }
    /// Every majority is this server. Kept, because it is asked in every step.
    private(set) var isAlone: Bool
    /// Who takes part is known, or will be told by whoever leads. Until then this server neither
    /// votes nor listens.
    package private(set) var isFounded: Bool

    // What is forgotten by a crash.
    package internal(set) var role = Role.follower
    /// Whose heartbeats are heard in this term.
    package internal(set) var leader: ServerID?
    var leaderHeardAt = Instant.zero
    /// When to campaign, as a follower or candidate.
    var electionDeadline = Instant.distantFuture
    /// The last index known to be committed.
    package internal(set) var commitIndex: LogIndex = 0
    /// Given out by `commit` through here.
    var deliveredIndex: LogIndex = 0
    /// As a follower: the log equals the leader's through here.
    var verifiedIndex: LogIndex = 0
    /// As a candidate: who answered what.
    var votes: [(id: ServerID, isGranted: Bool)] = []
    /// This candidacy was asked for by the leader before.
    var isTransferred = false
    /// Told of the vote as soon as it is durable.
    var waitingCandidate: ServerID?

    /// This server is about to stop: it votes and does not want to lead.
    package var abstains = false

    // As a leader.
    /// The other members.
    var peers: [Peer] = []
    /// The index of this leader's first entry; leadership takes effect when it is committed.
    var firstOfTerm: LogIndex = 0
    /// The first entry of this term is committed.
    package internal(set) var isLeading = false
    var heartbeatDue = Instant.distantFuture
    /// The latest heartbeat sent.
    var round: UInt64 = 0
    var transfer: (target: ServerID, until: Instant)?
    /// Readers that wait for the answers to heartbeat `readRound`, and those that come after.
    var confirmingReads: [(id: UInt64, index: LogIndex)] = []
    var readRound: UInt64 = 0
    var waitingReads: [(id: UInt64, index: LogIndex)] = []

    /// - Parameter configuration: who takes part before the log says anything else; nil: what the
    ///   server has promised, or will promise, says so.
    package init(
        id: ServerID, configuration: RaftConfiguration?, tunables: RaftTunables = RaftTunables(),
        random: PRNG = PRNG(seed: 0)
    ) {
        self.id = id
        self.tunables = tunables
        self.random = random
        configurations = [(0, configuration ?? .empty)]
        isAlone = configuration?.isOnly(id) ?? false
        isFounded = configuration != nil
    }

    /// The members in force.
    package var configuration: RaftConfiguration { configurations.last!.configuration }
    /// The last index in the log.
    package var lastIndex: LogIndex { log.lastIndex }
    /// An entry that is in memory still.
    package func entry(at index: LogIndex) -> LogEntry? { log.entry(at: index) }
    /// The entries after this index are in memory.
    package var memoryBase: LogIndex { log.base }
    /// How many entries wait to be committed.
    package var pendingCount: Int { Int(lastIndex - commitIndex) }

    package var nextDeadline: Instant {
        if role == .leader { return min(heartbeatDue, transfer?.until ?? .distantFuture) }
        return electionDeadline
    }

    // MARK: Recovery

    /// The state up to `index` came from a snapshot.
    package mutating func restore(
        snapshotIndex index: LogIndex, term: Term, configuration: RaftConfiguration? = nil
    ) {
        log.restart(after: index, term: term)
        durableIndex = index
        commitIndex = index
        deliveredIndex = index
        let known = isFounded ? self.configuration : first
        isFounded = true
        configurations = [(index, configuration ?? known)]
    }

    /// Recovery read what this server has promised.
    package mutating func recoverFounders(_ founders: [ServerID]) { hardState.founders = founders }

    /// The members before any change: what was promised. Data from before there was anything to
    /// promise is that of a server alone.
    private var first: RaftConfiguration { RaftConfiguration(voters: hardState.founders ?? [id]) }

    private mutating func settle() {
        guard !isFounded else { return }
        isFounded = true
        configurations = [(0, first)]
    }

    /// An entry that the log holds.
    package mutating func recover(_ entry: LogEntry, into actions: inout [Action]) {
        settle()
        let wasAlone = isAlone
        take(entry)
        durableIndex = entry.index
        // What the only voter has on its disk is on a majority of the disks.
        if wasAlone, isAlone { commit(through: entry.index, into: &actions) }
    }

    /// The entries on the disk from this one on were taken back by a later leader.
    package mutating func recoverTruncation(from index: LogIndex) {
        truncateMemory(from: index)
        durableIndex = lastIndex
    }

    package mutating func recovered(_ state: HardState) {
        hardState = state
        durableState = state
        if state.term > 0 { settle() }
    }

    /// Promises for ever to found a cluster with these servers and no others, itself among them;
    /// with nobody: to be taken into a cluster that is there.
    package mutating func promise(_ founders: [ServerID], into actions: inout [Action]) {
        invariant(hardState.founders == nil, "a server promises once")
        hardState.founders = founders.sorted()
        actions.append(.persist(hardState))
    }

    /// Keeps the id of the cluster beside what was promised.
    package mutating func remember(cluster: String, into actions: inout [Action]) {
        guard hardState.founders != nil, hardState.cluster != cluster else { return }
        hardState.cluster = cluster
        actions.append(.persist(hardState))
    }

    /// What this server has promised, once a crash does not make it forget it.
    package var promised: [ServerID]? { durableState.founders }

    /// Begins to take part: everything is recovered, and all founders have promised the same.
    package mutating func start(at now: Instant, into actions: inout [Action]) {
        settle()
        if isAlone { campaign(isTransfer: false, at: now, into: &actions) } else { rest(at: now) }
    }

    // MARK: Events

    /// What was asked to be persisted is durable: all of the present log through `index`, and this
    /// term and vote.
    package mutating func persisted(
        through index: LogIndex, _ state: HardState, at now: Instant, into actions: inout [Action]
    ) {
        durableIndex = min(index, lastIndex)
        durableState = state
        if state == hardState { voteIsDurable(at: now, into: &actions) }
        switch role {
        case .leader: advanceCommit(at: now, into: &actions)
        case .follower:
            acknowledge(into: &actions)
            deliver(into: &actions)
        case .preCandidate, .candidate: deliver(into: &actions)
        }
    }

    package mutating func receive(
        _ message: RaftMessage, from sender: ServerID, at now: Instant,
        into actions: inout [Action]
    ) {
        switch message.body {
        case .preVote, .vote(_, _, isTransfer: false):
            // Whoever does not hear the leader must not disturb those who do (thesis, 4.2.3).
            if hearsLeader(at: now) { return }
        default: break
        }
        if message.term > hardState.term { adopt(message.term, at: now, into: &actions) }
        guard message.term == hardState.term else {
            return refuseOld(message, from: sender, into: &actions)
        }
        switch message.body {
        case .preVote(let index, let term):
            let isGranted = log.isCovered(byIndex: index, term: term)
            reply(.preVoteReply(isGranted: isGranted), to: sender, into: &actions)
        case .vote(let index, let term, _):
            vote(for: sender, index, term, at: now, into: &actions)
        case .preVoteReply(let isGranted):
            if role == .preCandidate { count(isGranted, of: sender, at: now, into: &actions) }
        case .voteReply(let isGranted):
            if role == .candidate { count(isGranted, of: sender, at: now, into: &actions) }
        case .append(let previousIndex, let previousTerm, let entries, let commit):
            follow(sender, at: now, into: &actions)
            append(entries, after: previousIndex, previousTerm, commit, into: &actions)
        case .heartbeat(let round, let commit):
            follow(sender, at: now, into: &actions)
            heartbeat(round, commit, into: &actions)
        case .timeoutNow:
            guard role == .follower, sender == leader, mayCampaign else { return }
            campaign(isTransfer: true, at: now, into: &actions)
        case .appendReply, .appendRefused, .heartbeatReply:
            if role == .leader { answer(message.body, of: sender, at: now, into: &actions) }
        }
    }

    /// What came with an older term. A leader or candidate of the past is told the present one.
    private mutating func refuseOld(
        _ message: RaftMessage, from sender: ServerID, into actions: inout [Action]
    ) {
        switch message.body {
        case .preVote: reply(.preVoteReply(isGranted: false), to: sender, into: &actions)
        case .vote: reply(.voteReply(isGranted: false), to: sender, into: &actions)
        case .append, .heartbeat:
            reply(
                .heartbeatReply(round: 0, matched: 0, received: 0), to: sender, into: &actions)
        default: break
        }
    }

    package mutating func deadline(at now: Instant, into actions: inout [Action]) {
        if role == .leader {
            if let transfer, now >= transfer.until { self.transfer = nil }
            if now >= heartbeatDue { beat(at: now, into: &actions) }
        } else if now >= electionDeadline {
            seekElection(at: now, into: &actions)
        }
    }

    /// Sends what this step left to send: entries and read rounds leave together.
    package mutating func flush(at now: Instant, into actions: inout [Action]) {
        guard role == .leader else { return }
        if !waitingReads.isEmpty, confirmingReads.isEmpty {
            confirmingReads = waitingReads
            waitingReads = []
            sendHeartbeats(into: &actions)
            readRound = round
            confirmReads(into: &actions)
        }
        for position in peers.indices { sendEntries(to: position, into: &actions) }
    }

    // MARK: The log

    /// Takes an entry into the log in memory.
    mutating func take(_ entry: LogEntry) {
        log.append(entry)
        guard entry.kind == EntryKind.configuration.rawValue else { return }
        do throws(ByteError) {
            let configuration = try RaftConfiguration(decoding: entry.payload)
            configurations.append((entry.index, configuration))
        } catch {
            fatalError("invariant broken: entry \(entry.index) holds no configuration: \(error)")
        }
        if role == .leader { meetPeers() }
    }

    mutating func truncateMemory(from index: LogIndex) {
        invariant(index > commitIndex, "a committed entry is never taken back")
        invariant(role != .leader, "a leader never takes back an entry of its own")
        log.truncate(from: index)
        durableIndex = min(durableIndex, lastIndex)
        verifiedIndex = min(verifiedIndex, lastIndex)
        while configurations.count > 1, configurations.last!.index >= index {
            configurations.removeLast()
        }
    }

    /// Learns that a majority has everything through `index`.
    mutating func commit(through index: LogIndex, into actions: inout [Action]) {
        guard index > commitIndex else { return }
        invariant(index <= lastIndex, "the commit index lies inside the log")
        commitIndex = index
        while configurations.count > 1, configurations[1].index <= commitIndex {
            configurations.removeFirst()
        }
        deliver(into: &actions)
    }

    /// Hands over what is committed and on this server's own disk.
    mutating func deliver(into actions: inout [Action]) {
        let end = min(commitIndex, durableIndex)
        while deliveredIndex < end {
            deliveredIndex += 1
            guard let entry = log.entry(at: deliveredIndex) else {
                fatalError("invariant broken: entry \(deliveredIndex) is gone before it is applied")
            }
            actions.append(.commit(entry))
        }
        let limit = isAlone && peers.isEmpty ? 0 : tunables.cacheBytes
        guard log.byteCount > limit || limit == 0 else { return }
        let needed = neededAfter
        while log.byteCount > limit || limit == 0, log.base < deliveredIndex {
            if log.base >= needed, log.byteCount <= tunables.followerCacheBytes { break }
            log.compact(through: log.base + 1)
        }
    }

    mutating func reply(
        _ body: RaftMessage.Body, to id: ServerID, into actions: inout [Action]
    ) {
        actions.append(.send(id, RaftMessage(term: hardState.term, body: body)))
    }

    package func checkInvariants() {
        invariant(commitIndex <= lastIndex, "the commit index lies inside the log")
        invariant(deliveredIndex <= commitIndex, "only what is committed is delivered")
        invariant(log.base <= deliveredIndex, "what is not delivered is in memory")
        invariant(durableIndex <= lastIndex, "only what is in the log can be durable")
        invariant(!isLeading || role == .leader, "only a leader leads")
        invariant(durableState.term <= hardState.term, "terms never decrease")
    }
}
