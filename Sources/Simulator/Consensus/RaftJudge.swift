import Core

/// An entry of a log as judges compare it.
struct EntryMark: Hashable, Sendable {
    var index: LogIndex
    var term: Term
    var kind: UInt8
    /// Of the payload.
    var digest: UInt64

    init(index: LogIndex, term: Term, kind: UInt8, payload: ArraySlice<UInt8>) {
        self.index = index
        self.term = term
        self.kind = kind
        digest = Trace.digest(of: payload)
    }

    init(_ entry: LogEntry) {
        self.init(
            index: entry.index, term: entry.term, kind: entry.kind, payload: entry.payload[...])
    }
}

/// Sees everything and compares. The statements are those of the Raft paper, figure 3, and what
/// implementations get wrong. It judges the consensus alone as well as whole nodes.
struct RaftJudge {
    /// What was committed anywhere, from index 1 on.
    private(set) var canonical: [EntryMark] = []
    /// For each of them a term in which, or after which, it was committed.
    private var committedIn: [Term] = []
    private var newestTerm: Term = 0
    private(set) var violation: Violation?
    var time = TrueTime.zero
    private(set) var elections = 0
    private(set) var readsAnswered = 0
    /// The one that leads in each term.
    private var leaders: [Term: ServerID] = [:]
    /// Whom each voter told its vote, by term.
    private var votes: [ServerID: [Term: ServerID]] = [:]
    private var reads: [UInt64: LogIndex] = [:]
    private var terms: [ServerID: Term] = [:]
    /// How far back a new leader's log is compared: what is older was compared when it was taken.
    private static let depth = 4_096

    mutating func fail(_ id: InvariantID, _ message: String) {
        violation = violation ?? Violation(id: id, message: message, time: time)
    }

    /// - Parameter position: how many entries the server has applied with this one.
    mutating func committed(_ entry: EntryMark, at position: Int) {
        if entry.index != LogIndex(position) {
            return fail(.R5, "entry \(entry.index) is applied as number \(position)")
        }
        if position <= canonical.count {
            if canonical[position - 1] != entry {
                fail(.R5, "two servers apply different entries at \(entry.index)")
            }
        } else if position == canonical.count + 1 {
            canonical.append(entry)
            committedIn.append(max(newestTerm, entry.term))
        } else {
            fail(.R5, "entry \(entry.index) is applied after \(canonical.count) were committed")
        }
    }

    /// A server begins to lead.
    mutating func leads(_ raft: Raft) {
        elections += 1
        let term = raft.hardState.term
        newestTerm = max(newestTerm, term)
        if let other = leaders.updateValue(raft.id, forKey: term), other != raft.id {
            fail(.R1, "\(other) and \(raft.id) both lead in term \(term)")
        }
        // Votes may be late: a leader of an older term has only what was committed before its own.
        for place in canonical.indices.suffix(Self.depth) where committedIn[place] <= term {
            let entry = canonical[place]
            guard entry.index > raft.memoryBase else { continue }
            if raft.entry(at: entry.index).map({ EntryMark($0) }) != entry {
                return fail(.R4, "the leader of term \(term) lacks committed \(entry.index)")
            }
        }
    }

    /// - Parameters:
    ///   - state: the sender's term and vote on its disk.
    ///   - lastIndex: where the log on its disk ends.
    mutating func sends(
        _ message: RaftMessage, from sender: ServerID, to id: ServerID, state: HardState,
        lastIndex: LogIndex
    ) {
        switch message.body {
        case .voteReply(isGranted: true):
            if state.term != message.term || state.votedFor != Raft.bytes(of: id) {
                fail(.D1, "\(sender) tells of a vote that is not on its disk")
            }
            let earlier = votes[sender, default: [:]].updateValue(id, forKey: message.term)
            if let earlier, earlier != id {
                fail(.R6, "\(sender) voted for \(earlier) and \(id) in term \(message.term)")
            }
        case .vote:
            if state.term < message.term {
                fail(.D1, "\(sender) campaigns in a term that is not on its disk")
            }
        case .appendReply(let matched), .heartbeatReply(_, let matched, _):
            if lastIndex < matched {
                fail(.D1, "\(sender) acknowledges \(matched), which is not on its disk")
            }
        default: break
        }
        if message.term < terms[sender] ?? 0, state.term > message.term {
            fail(.R6, "the term of \(sender) decreases")
        }
        terms[sender] = max(terms[sender] ?? 0, message.term)
    }

    /// A snapshot through `last` takes the place of a log: that must not have all of it, for what
    /// it has behind was acknowledged.
    mutating func installs(_ last: LogEntry, _ server: RaftWorld.Server) {
        var disk = server.disk
        disk.writing += server.unsynced
        disk.sync()
        if disk.entries.contains(last) {
            fail(.D1, "\(server.id) drops its log for a snapshot of a part of it")
        }
    }

    mutating func beginRead(_ id: UInt64) { reads[id] = LogIndex(canonical.count) }

    mutating func read(_ id: UInt64, answeredAt index: LogIndex) {
        guard let least = reads.removeValue(forKey: id) else {
            return fail(.R9, "read \(id) is answered twice")
        }
        readsAnswered += 1
        if index < least { fail(.R9, "a read sees \(index) though \(least) was committed before") }
    }

    mutating func readFailed(_ id: UInt64) { reads[id] = nil }

    /// A leader that reaches no majority gives up in time, and members change one at a time.
    /// - Parameters:
    ///   - since: since when it has had no majority; nil if it has one.
    ///   - slack: how long what was sent before may still come in.
    mutating func watch(_ raft: Raft, aloneSince since: TrueTime?, slack: Duration) {
        guard raft.role == .leader else { return }
        if let since, time - since > raft.tunables.electionMaximum * 2 + slack {
            fail(.R10, "\(raft.id) leads without a majority since \(timeText(since))")
        }
        if raft.isLeading, raft.openChanges > 1 {
            fail(.R8, "two membership changes of \(raft.id) are not committed")
        }
    }
}
