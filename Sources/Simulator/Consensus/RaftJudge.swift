import Core

/// Sees everything and compares. The statements are those of the Raft paper, figure 3, and what
/// implementations get wrong.
struct RaftJudge {
    /// What was committed anywhere, from index 1 on.
    private(set) var canonical: [LogEntry] = []
    private(set) var violation: Violation?
    var time = Instant.zero
    private(set) var elections = 0
    private(set) var readsAnswered = 0
    /// The one that leads in each term.
    private var leaders: [Term: ServerID] = [:]
    /// Whom each voter told its vote, by term.
    private var votes: [ServerID: [Term: ServerID]] = [:]
    private var reads: [UInt64: LogIndex] = [:]
    private var terms: [ServerID: Term] = [:]
    private(set) var aloneSince: Instant?

    mutating func fail(_ id: InvariantID, _ message: String) {
        violation = violation ?? Violation(id: id, message: message, time: time - .zero)
    }

    mutating func committed(_ entry: LogEntry, at position: Int) {
        if entry.index != LogIndex(position) {
            return fail(.R5, "entry \(entry.index) is applied as number \(position)")
        }
        if position <= canonical.count {
            if canonical[position - 1] != entry {
                fail(.R5, "two servers apply different entries at \(entry.index)")
            }
        } else {
            canonical.append(entry)
        }
    }

    mutating func leads(_ server: RaftWorld.Server, _ term: Term) {
        elections += 1
        if let other = leaders.updateValue(server.id, forKey: term), other != server.id {
            fail(.R1, "\(other) and \(server.id) both lead in term \(term)")
        }
        let raft = server.raft!
        for entry in canonical where entry.index > raft.memoryBase {
            if raft.entry(at: entry.index) != entry {
                return fail(.R4, "the leader of term \(term) lacks committed \(entry.index)")
            }
        }
    }

    mutating func sends(_ message: RaftMessage, to id: ServerID, _ server: RaftWorld.Server) {
        switch message.body {
        case .voteReply(isGranted: true):
            let vote = server.disk.state
            if vote.term != message.term || vote.votedFor != Raft.bytes(of: id) {
                fail(.D1, "\(server.id) tells of a vote that is not on its disk")
            }
            let earlier = votes[server.id, default: [:]].updateValue(id, forKey: message.term)
            if let earlier, earlier != id {
                fail(.R6, "\(server.id) voted for \(earlier) and \(id) in term \(message.term)")
            }
        case .vote:
            if server.disk.state.term < message.term {
                fail(.D1, "\(server.id) campaigns in a term that is not on its disk")
            }
        case .appendReply(let matched), .heartbeatReply(_, let matched, _):
            if server.disk.lastIndex < matched {
                fail(.D1, "\(server.id) acknowledges \(matched), which is not on its disk")
            }
        default: break
        }
        if message.term < terms[server.id] ?? 0, server.disk.state.term > message.term {
            fail(.R6, "the term of \(server.id) decreases")
        }
        terms[server.id] = max(terms[server.id] ?? 0, message.term)
    }

    /// A snapshot through `last` takes the place of a log: that must not have all of it, for what it
    /// has behind was acknowledged.
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

    /// A leader that reaches no majority gives up in time.
    mutating func watch(
        _ server: RaftWorld.Server, canReachMajority: Bool, delay: Duration, at time: Instant
    ) {
        aloneSince = server.aloneSince
        guard server.raft!.role == .leader, !canReachMajority else { return aloneSince = nil }
        aloneSince = aloneSince ?? time
        // What was sent before may still come in.
        let bound = server.raft!.tunables.electionMaximum * 2 + .milliseconds(200) + delay
        if time - aloneSince! > bound {
            fail(.R10, "\(server.id) leads without a majority since \(aloneSince!.nanoseconds)")
        }
        if server.raft!.isLeading, server.raft!.openChanges > 1 {
            fail(.R8, "two membership changes of \(server.id) are not committed")
        }
    }
}
