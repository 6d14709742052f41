import Testing

@testable import Core

/// What consensus makes of a leader's snapshot.
@Suite struct RaftSnapshotTests {
    /// A follower of server 1 in term 4 with these entries on its disk.
    private static func follower(terms: [Term], commit: LogIndex) -> RaftFixture {
        var server = RaftFixture(2, voters: [1, 2, 3])
        server.recover(terms: terms, term: 4)
        server.receive(
            .append(previousIndex: 0, previousTerm: 0, entries: [], commit: 0), from: 1, term: 4)
        if commit > 0 {
            server.receive(
                .append(
                    previousIndex: commit, previousTerm: terms[Int(commit) - 1], entries: [],
                    commit: commit), from: 1, term: 4)
        }
        _ = server.take()
        #expect(server.raft.commitIndex == commit)
        return server
    }

    private static func holds(_ server: inout RaftFixture, _ index: LogIndex, _ term: Term) -> Bool
    {
        server.raft.holds(snapshotIndex: index, term: term, into: &server.actions)
    }

    @Test func whatTheLogHasIsCommittedAndKept() {
        var server = Self.follower(terms: [1, 1, 2, 2, 4, 4], commit: 2)
        var isHeld = Self.holds(&server, 4, 2)
        #expect(isHeld)
        same(server.take(), ["commit 3", "commit 4"])
        #expect(server.raft.lastIndex == 6, "acknowledged entries stay")
        isHeld = Self.holds(&server, 3, 2)
        #expect(isHeld, "what is committed is held, whatever came before")
        same(server.take(), [])
    }

    @Test func whatFollowsAnotherEntryGoes() {
        var server = Self.follower(terms: [1, 1, 2, 2, 2], commit: 2)
        let isHeld = Self.holds(&server, 4, 3)
        #expect(!isHeld)
        #expect(server.raft.lastIndex == 5 && server.raft.commitIndex == 2)
        let vote = server.raft.hardState
        server.raft.installed(
            snapshotIndex: 4, term: 3, configuration: RaftConfiguration(voters: [1, 2, 4]),
            at: server.now, into: &server.actions)
        same(server.take(), ["matched 4 to 1 in 4"])
        #expect(server.raft.lastIndex == 4 && server.raft.commitIndex == 4)
        #expect(server.raft.hardState == vote, "term and vote are not the snapshot's matter")
        #expect(server.raft.configuration.voters == [1, 2, 4])
        server.receive(
            .append(
                previousIndex: 4, previousTerm: 3,
                entries: [LogEntry(index: 5, term: 4, kind: 1, payload: [])], commit: 4),
            from: 1, term: 4)
        same(server.take(), ["persist 5 of term 4"])
        same(server.persisted(5), ["matched 5 to 1 in 4"])
    }

    @Test func whatIsBeyondTheLogIsNotHeld() {
        var server = Self.follower(terms: [1, 1], commit: 0)
        let isHeld = Self.holds(&server, 9, 1)
        #expect(!isHeld)
    }

    @Test func aLearnerHasCaughtUpWithAllThatIsCommitted() throws {
        var server = RaftFixture(1, voters: [1, 2])
        server.raft.restore(snapshotIndex: 50, term: 3)
        server.raft.recovered(HardState(term: 3))
        server.start()
        server.lead(votes: [2])
        _ = try server.raft.change(.addLearner(3), into: &server.actions)
        _ = server.take()
        #expect(!server.raft.hasCaughtUp(3))
        server.receive(
            .appendRefused(previousIndex: 52, hintIndex: 0, hintTerm: 0), from: 3, term: 4)
        same(server.take(), ["snapshot to 3"])
        #expect(server.raft.needsSnapshot(3) && !server.raft.hasCaughtUp(3))
        // It has the snapshot through 51 now, with all that belongs to it.
        server.receive(.appendReply(matched: 51), from: 3, term: 4)
        #expect(!server.raft.needsSnapshot(3))
        _ = server.take()
        #expect(server.raft.hasCaughtUp(3))
        #expect(!server.raft.hasCaughtUp(9))
    }

    /// Another hundred bytes are committed.
    private static func append(_ server: inout RaftFixture) {
        _ = server.raft.propose(Array(repeating: 0, count: 100), into: &server.actions)
        let last = server.raft.lastIndex
        server.receive(.appendReply(matched: last), from: 2, term: 4)
        _ = server.persisted(last)
    }

    @Test func entriesAreKeptForWhoeverGetsASnapshot() {
        var server = RaftFixture(1, voters: [1, 2], learners: [3]) { tunables in
            tunables.cacheBytes = 0
            tunables.followerCacheBytes = 1_000
        }
        server.raft.restore(snapshotIndex: 50, term: 3)
        server.raft.recovered(HardState(term: 3))
        server.start()
        server.lead(votes: [2])
        Self.append(&server)
        #expect(server.raft.memoryBase == 52, "nobody else is known to need anything")
        server.receive(
            .appendRefused(previousIndex: 50, hintIndex: 0, hintTerm: 0), from: 3, term: 4)
        same(server.take(), ["snapshot to 3"])
        Self.append(&server)
        #expect(server.raft.memoryBase == 53)
        server.raft.sendsSnapshot(through: 53, to: 3)
        for _ in 54...59 { Self.append(&server) }
        #expect(server.raft.memoryBase == 53)
        for _ in 60...70 { Self.append(&server) }
        #expect(server.raft.memoryBase == 60, "but not without bound")
        // The snapshot came through: what is left for it is kept until it has that, too.
        server.raft.sendsSnapshot(through: 60, to: 3)
        server.receive(.appendReply(matched: 60), from: 3, term: 4)
        #expect(!server.raft.needsSnapshot(3))
        Self.append(&server)
        #expect(server.raft.memoryBase == 61)
        server.receive(.appendReply(matched: 71), from: 3, term: 4)
        Self.append(&server)
        #expect(server.raft.memoryBase == 71)
        // Who has been silent for ten heartbeats does not hold anything up.
        for _ in 0..<15 {
            server.wait(.milliseconds(100))
            server.receive(
                .heartbeatReply(round: server.raft.round, matched: 72, received: 72), from: 2,
                term: 4)
        }
        Self.append(&server)
        #expect(server.raft.memoryBase == 73)
    }
}
