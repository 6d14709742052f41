import Testing

@testable import Core

/// One voter: its own disk is the majority, and nothing counts before it is there.
@Suite struct RaftTests {
    @Test func nothingIsDoneBeforeItIsDurable() {
        var fixture = RaftFixture(7, voters: [7])
        fixture.raft.recovered(HardState())
        fixture.start()
        same(fixture.take(), ["persist term 1"])
        same(fixture.raft.propose([1], into: &fixture.actions), nil)
        // A sync of something older than the vote elects nobody.
        fixture.raft.persisted(
            through: 0, HardState(), at: fixture.now, into: &fixture.actions)
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
        var fixture = RaftFixture(7, voters: [7])
        fixture.raft.restore(snapshotIndex: 10, term: 3)
        for index in LogIndex(11)...13 {
            let entry = LogEntry(index: index, term: 4, kind: 1, payload: [])
            fixture.raft.recover(entry, into: &fixture.actions)
        }
        same(fixture.take(), ["commit 11", "commit 12", "commit 13"])
        fixture.raft.recovered(HardState(term: 4, votedFor: []))
        fixture.start()
        same(fixture.take(), ["persist term 5"])
        same(fixture.persisted(13), ["persist 14 of term 5"])
        same(fixture.persisted(14), ["commit 14", "lead 5"])
        #expect(fixture.raft.commitIndex == 14)
    }

    @Test func withMoreVotersOneDiskCommitsNothing() {
        var fixture = RaftFixture(7, voters: [7, 8, 9])
        fixture.recover(terms: [1], term: 1)
        same(fixture.take(), [])
        fixture.raft.campaign(isTransfer: false, at: fixture.now, into: &fixture.actions)
        same(fixture.take(), ["persist term 2"])
        same(
            fixture.persisted(1), ["vote for 1/1 to 8 in 2", "vote for 1/1 to 9 in 2"])
        #expect(fixture.raft.role == .candidate)
        #expect(fixture.raft.commitIndex == 0)
    }

    /// On a way that puts messages out of order all that overtook is refused, one by one, while
    /// answers to what went before come in: the whole window again for each would be a flood.
    @Test func refusalsBringTheWindowAgainOncePerHeartbeat() {
        var server = RaftFixture(1, voters: [1, 2, 3]) { $0.messageBytes = 1 }
        server.recover(terms: [1], term: 1)
        server.lead(votes: [2])
        for _ in 0..<10 { _ = server.raft.propose([7], into: &server.actions) }
        func sentToTwo(_ words: [String]) -> Int {
            words.count { $0.hasPrefix("append") && $0.contains(" to 2 in") }
        }
        #expect(sentToTwo(server.take()) == 10)
        func refusals() -> Int {
            var sent = 0
            for previous in LogIndex(3)...11 {
                server.receive(
                    .appendRefused(previousIndex: previous, hintIndex: 2, hintTerm: 2), from: 2,
                    term: 2)
                sent += sentToTwo(server.take())
                server.receive(.appendReply(matched: 2), from: 2, term: 2)
                sent += sentToTwo(server.take())
            }
            return sent
        }
        // The probe, and what it asked about once more.
        #expect(refusals() == 11)
        server.wait(.milliseconds(500))
        _ = server.take()
        #expect(refusals() == 11)
    }

    @Test func whatALaterLeaderTookBackIsForgotten() {
        var fixture = RaftFixture(7, voters: [7, 8, 9])
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

    /// A follower that can't keep up tells the leader less than it has, never more.
    @Test func aRestrainedFollowerAcknowledgesLater() {
        func entry(_ index: LogIndex) -> LogEntry {
            LogEntry(index: index, term: 1, kind: 1, payload: [])
        }
        func append(_ index: LogIndex, _ fixture: inout RaftFixture) -> [String] {
            fixture.receive(
                .append(
                    previousIndex: index - 1, previousTerm: index == 1 ? 0 : 1,
                    entries: [entry(index)], commit: 0),
                from: 8, term: 1)
            _ = fixture.take()
            return fixture.persisted(index)
        }
        var fixture = RaftFixture(7, voters: [7, 8, 9])
        fixture.recover(terms: [], term: 1)
        same(append(1, &fixture), ["matched 1 to 8 in 1"])
        fixture.raft.restrain(true, into: &fixture.actions)
        same(append(2, &fixture), [])
        fixture.receive(.heartbeat(round: 5, commit: 2), from: 8, term: 1)
        // What is committed is carried out all the same: that is how it catches up.
        same(fixture.take(), ["commit 1", "commit 2", "heard 5 matched 1 received 2 to 8 in 1"])
        fixture.raft.restrain(false, into: &fixture.actions)
        same(fixture.take(), ["matched 2 to 8 in 1"])
        same(append(3, &fixture), ["matched 3 to 8 in 1"])
    }
}
