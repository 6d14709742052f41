import Testing

@testable import Core

/// One server, to which the test says everything and which answers in words.
struct RaftFixture {
    var raft: Raft
    var actions: [Raft.Action] = []
    var now = Instant.zero

    init(
        _ id: ServerID, voters: [ServerID], learners: [ServerID] = [],
        tuning: (inout RaftTunables) -> Void = { _ in }
    ) {
        var tunables = RaftTunables()
        tuning(&tunables)
        raft = Raft(
            id: id, configuration: RaftConfiguration(voters: voters, learners: learners),
            tunables: tunables, random: PRNG(seed: UInt64(id)))
    }

    /// Entries of these terms, from index 1 on, and the latest term heard of.
    mutating func recover(terms: [Term], term: Term) {
        for (position, entryTerm) in terms.enumerated() {
            let entry = LogEntry(
                index: LogIndex(position + 1), term: entryTerm, kind: 1, payload: [])
            raft.recover(entry, into: &actions)
        }
        raft.recovered(HardState(term: term))
        start()
    }

    mutating func start() { raft.start(at: now, into: &actions) }

    mutating func receive(_ body: RaftMessage.Body, from sender: ServerID, term: Term) {
        raft.receive(
            RaftMessage(term: term, body: body), from: sender, at: now, into: &actions)
    }

    mutating func wait(_ time: Duration) {
        now = now + time
        raft.deadline(at: now, into: &actions)
    }

    /// Everything asked of the disk is durable.
    mutating func persisted(_ index: LogIndex) -> [String] {
        raft.persisted(through: index, raft.hardState, at: now, into: &actions)
        return take()
    }

    /// Leads in the term after the present one, with the votes of `voters`, and has committed its
    /// first entry.
    mutating func lead(votes voters: [ServerID]) {
        raft.campaign(isTransfer: true, at: now, into: &actions)
        _ = persisted(raft.lastIndex)
        let term = raft.hardState.term
        for voter in voters { receive(.voteReply(isGranted: true), from: voter, term: term) }
        _ = persisted(raft.lastIndex)
        for voter in voters {
            receive(.appendReply(matched: raft.lastIndex), from: voter, term: term)
        }
        _ = take()
    }

    /// What happened since the last call, in words.
    mutating func take() -> [String] {
        raft.flush(at: now, into: &actions)
        defer { actions = [] }
        raft.checkInvariants()
        return actions.map(Self.describe)
    }

    private static func describe(_ action: Raft.Action) -> String {
        switch action {
        case .persist(let state): "persist term \(state.term)"
        case .persistEntry(let entry): "persist \(entry.index) of term \(entry.term)"
        case .truncate(let index): "truncate from \(index)"
        case .commit(let entry): "commit \(entry.index)"
        case .lead(let term): "lead \(term)"
        case .resign: "resign"
        case .send(let id, let message): "\(describe(message.body)) to \(id) in \(message.term)"
        case .sendSnapshot(let id): "snapshot to \(id)"
        case .readReady(let id, let index): "read \(id) at \(index)"
        case .readFailed(let id): "read \(id) fails"
        }
    }

    private static func describe(_ body: RaftMessage.Body) -> String {
        switch body {
        case .preVote(let index, let term): "pre-vote for \(index)/\(term)"
        case .preVoteReply(let isGranted): "pre-vote \(isGranted ? "granted" : "refused")"
        case .vote(let index, let term, let isTransfer):
            "vote for \(index)/\(term)\(isTransfer ? " by transfer" : "")"
        case .voteReply(let isGranted): "vote \(isGranted ? "granted" : "refused")"
        case .append(let index, let term, let entries, let commit):
            "append \(entries.map { "\($0.index)/\($0.term)" }) after \(index)/\(term)"
                + " commit \(commit)"
        case .appendReply(let matched): "matched \(matched)"
        case .appendRefused(let index, let hint, let term):
            "refused \(index) hint \(hint)/\(term)"
        case .heartbeat(let round, let commit): "heartbeat \(round) commit \(commit)"
        case .heartbeatReply(let round, let matched, let received):
            "heard \(round) matched \(matched) received \(received)"
        case .timeoutNow: "campaign now"
        }
    }
}
