import Testing

@testable import Core

/// One voter: its own disk is the majority, and nothing counts before it is there.
@Suite struct RaftTests {
    private static let id: ServerID = 7

    private struct Fixture {
        var raft: Raft
        var actions: [Raft.Action] = []

        init(voters: [ServerID] = [RaftTests.id]) {
            raft = Raft(id: RaftTests.id, voters: voters)
        }

        /// What the last call asked for, in words.
        mutating func take() -> [String] {
            defer { actions = [] }
            raft.checkInvariants()
            return actions.map {
                switch $0 {
                case .persist(let state): "persist term \(state.term)"
                case .persistEntry(let entry): "persist \(entry.index) of term \(entry.term)"
                case .commit(let entry): "commit \(entry.index)"
                case .lead(let term): "lead \(term)"
                }
            }
        }

        mutating func persisted(_ index: LogIndex) -> [String] {
            raft.persisted(through: index, raft.hardState, into: &actions)
            return take()
        }
    }

    @Test func nothingIsDoneBeforeItIsDurable() {
        var fixture = Fixture()
        fixture.raft.recovered(HardState())
        fixture.raft.campaign(into: &fixture.actions)
        same(fixture.take(), ["persist term 1"])
        same(fixture.raft.propose([1], into: &fixture.actions), nil)
        // A sync of something older than the vote elects nobody.
        fixture.raft.persisted(through: 0, HardState(), into: &fixture.actions)
        same(fixture.take(), [])
        #expect(fixture.raft.role == .candidate)
        same(fixture.persisted(0), ["persist 1 of term 1"])
        #expect(fixture.raft.role == .leader)
        #expect(!fixture.raft.isLeading, "not before its first entry is committed")
        same(fixture.raft.propose([1], into: &fixture.actions), nil)
        same(fixture.persisted(0), [])
        same(fixture.persisted(1), ["commit 1", "lead 1"])
        same(fixture.raft.propose([1], into: &fixture.actions), 2)
        same(fixture.raft.propose([2], into: &fixture.actions), 3)
        same(fixture.take(), ["persist 2 of term 1", "persist 3 of term 1"])
        #expect(fixture.raft.commitIndex == 1)
        same(fixture.persisted(1), [])
        same(fixture.persisted(2), ["commit 2"])
        same(fixture.persisted(2), [])
        same(fixture.persisted(3), ["commit 3"])
    }

    @Test func recoveryContinuesTheLogInANewTerm() {
        var fixture = Fixture()
        fixture.raft.restore(snapshotIndex: 10)
        for index in LogIndex(11)...13 {
            let entry = LogEntry(index: index, term: 4, kind: 1, payload: [])
            fixture.raft.recover(entry, into: &fixture.actions)
        }
        same(fixture.take(), ["commit 11", "commit 12", "commit 13"])
        fixture.raft.recovered(HardState(term: 4, votedFor: []))
        fixture.raft.campaign(into: &fixture.actions)
        same(fixture.take(), ["persist term 5"])
        same(fixture.persisted(13), ["persist 14 of term 5"])
        same(fixture.persisted(14), ["commit 14", "lead 5"])
        #expect(fixture.raft.commitIndex == 14)
    }

    @Test func withMoreVotersOneDiskCommitsNothing() {
        var fixture = Fixture(voters: [Self.id, 8, 9])
        let entry = LogEntry(index: 1, term: 1, kind: 1, payload: [])
        fixture.raft.recover(entry, into: &fixture.actions)
        fixture.raft.recovered(HardState(term: 1, votedFor: []))
        fixture.raft.campaign(into: &fixture.actions)
        same(fixture.take(), ["persist term 2"])
        same(fixture.persisted(1), [])
        #expect(fixture.raft.role == .candidate)
        #expect(fixture.raft.commitIndex == 0)
    }

    @Test func whatALaterLeaderTookBackIsForgotten() {
        var fixture = Fixture(voters: [Self.id, 8, 9])
        for index in LogIndex(1)...3 {
            fixture.raft.recover(
                LogEntry(index: index, term: 1, kind: 1, payload: []), into: &fixture.actions)
        }
        fixture.raft.recoverTruncation(from: 2)
        #expect(fixture.raft.lastIndex == 1)
        fixture.raft.recover(
            LogEntry(index: 2, term: 2, kind: 1, payload: []), into: &fixture.actions)
        same(fixture.take(), [])
        #expect(fixture.raft.pendingCount == 2)
    }
}
