import Testing

@testable import Core

/// Interactions in words: what a server does when it is told something.
@Suite struct RaftScriptTests {
    // MARK: Elections

    @Test func aFollowerAsksBeforeItCampaigns() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1, 1], term: 1)
        same(server.take(), [])
        server.wait(.seconds(1))
        same(server.take(), ["pre-vote for 2/1 to 2 in 1", "pre-vote for 2/1 to 3 in 1"])
        server.receive(.preVoteReply(isGranted: true), from: 2, term: 1)
        same(server.take(), ["persist term 2"])
        same(server.persisted(2), ["vote for 2/1 to 2 in 2", "vote for 2/1 to 3 in 2"])
        server.receive(.voteReply(isGranted: true), from: 3, term: 2)
        same(
            server.take(),
            [
                "persist 3 of term 2", "heartbeat 1 commit 0 to 2 in 2",
                "heartbeat 1 commit 0 to 3 in 2", "append [\"3/2\"] after 2/1 commit 0 to 2 in 2",
                "append [\"3/2\"] after 2/1 commit 0 to 3 in 2",
            ])
        same(server.persisted(3), [])
        server.receive(.appendReply(matched: 3), from: 2, term: 2)
        same(server.take(), ["commit 1", "commit 2", "commit 3", "lead 2"])
    }

    @Test func aVoteIsToldWhenItIsDurable() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1], term: 1)
        server.receive(.vote(lastIndex: 1, lastTerm: 1, isTransfer: false), from: 2, term: 5)
        same(server.take(), ["persist term 5", "persist term 5"])
        // Asked again before the disk is done, and by somebody else.
        server.receive(.vote(lastIndex: 1, lastTerm: 1, isTransfer: false), from: 2, term: 5)
        same(server.take(), [])
        server.receive(.vote(lastIndex: 9, lastTerm: 4, isTransfer: false), from: 3, term: 5)
        same(server.take(), ["vote refused to 3 in 5"])
        same(server.persisted(1), ["vote granted to 2 in 5"])
        server.receive(.vote(lastIndex: 1, lastTerm: 1, isTransfer: false), from: 2, term: 5)
        same(server.take(), ["vote granted to 2 in 5"])
    }

    /// A vote that waits for the disk while this server itself moves on to the next term must not
    /// come out as a vote of that term.
    @Test func aVoteOfAnEarlierTermIsVoid() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1], term: 1)
        server.receive(.vote(lastIndex: 1, lastTerm: 1, isTransfer: false), from: 2, term: 5)
        _ = server.take()
        server.wait(.seconds(2))
        server.receive(.preVoteReply(isGranted: true), from: 3, term: 5)
        #expect(server.raft.hardState.term == 6)
        _ = server.take()
        same(server.persisted(1), ["vote for 1/1 to 2 in 6", "vote for 1/1 to 3 in 6"])
    }

    @Test func anOlderLogGetsNoVote() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1, 2, 2], term: 2)
        server.receive(.vote(lastIndex: 9, lastTerm: 1, isTransfer: false), from: 2, term: 3)
        same(server.take(), ["persist term 3", "vote refused to 2 in 3"])
        server.receive(.vote(lastIndex: 2, lastTerm: 2, isTransfer: false), from: 3, term: 3)
        same(server.take(), ["vote refused to 3 in 3"])
        server.receive(.preVote(lastIndex: 3, lastTerm: 2), from: 3, term: 3)
        same(server.take(), ["pre-vote granted to 3 in 3"])
    }

    /// A server that was cut off does not depose a leader whom the others hear.
    @Test func whoHearsALeaderIgnoresCandidates() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1], term: 1)
        server.receive(.heartbeat(round: 1, commit: 0), from: 2, term: 1)
        _ = server.take()
        server.receive(.preVote(lastIndex: 9, lastTerm: 1), from: 3, term: 7)
        server.receive(.vote(lastIndex: 9, lastTerm: 1, isTransfer: false), from: 3, term: 7)
        same(server.take(), [])
        #expect(server.raft.hardState.term == 1)
        // One that was told to by the leader is heard at once.
        server.receive(.vote(lastIndex: 9, lastTerm: 1, isTransfer: true), from: 3, term: 2)
        same(server.take(), ["persist term 2", "persist term 2"])
    }

    @Test func aCutOffServerDoesNotRaiseItsTerm() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1], term: 4)
        for _ in 0..<20 { server.wait(.seconds(1)) }
        #expect(server.raft.hardState.term == 4)
    }

    @Test func aLeaderWithoutAMajorityGivesUp() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2])
        #expect(server.raft.isLeading)
        for _ in 0..<9 { server.wait(.milliseconds(100)) }
        #expect(server.raft.role == .leader)
        _ = server.take()
        for _ in 0..<2 { server.wait(.milliseconds(100)) }
        same(server.take().last, "resign")
        #expect(server.raft.role == .follower)
    }

    // MARK: Replication

    /// Figure 8 of the paper: an entry of an earlier term that a majority has is not committed
    /// before one of the present term.
    @Test func anEarlierTermIsNotCommittedByCounting() {
        var server = RaftFixture(1, voters: [1, 2, 3, 4, 5])
        server.recover(terms: [1, 2], term: 3)
        server.raft.campaign(isTransfer: false, at: server.now, into: &server.actions)
        _ = server.persisted(2)
        for voter in [ServerID(2), 3] {
            server.receive(.voteReply(isGranted: true), from: voter, term: 4)
        }
        _ = server.persisted(3)
        server.receive(.appendReply(matched: 2), from: 2, term: 4)
        server.receive(.appendReply(matched: 2), from: 3, term: 4)
        server.receive(.appendReply(matched: 2), from: 4, term: 4)
        #expect(server.raft.commitIndex == 0)
        _ = server.take()
        server.receive(.appendReply(matched: 3), from: 2, term: 4)
        server.receive(.appendReply(matched: 3), from: 3, term: 4)
        same(server.take(), ["commit 1", "commit 2", "commit 3", "lead 4"])
    }

    @Test func whatALaterLeaderHasReplacesWhatWasNotCommitted() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1, 1, 2, 2], term: 2)
        let entry = LogEntry(index: 3, term: 3, kind: 0, payload: [])
        server.receive(
            .append(previousIndex: 2, previousTerm: 1, entries: [entry], commit: 2), from: 2,
            term: 3)
        same(
            server.take(),
            [
                "persist term 3", "truncate from 3", "persist 3 of term 3", "commit 1", "commit 2",
            ])
        // What the disk had of the entries taken back does not count.
        same(server.persisted(2), ["matched 2 to 2 in 3"])
        same(server.persisted(3), ["matched 3 to 2 in 3"])
        server.receive(.heartbeat(round: 7, commit: 3), from: 2, term: 3)
        same(server.take(), ["commit 3", "heard 7 matched 3 received 3 to 2 in 3"])
    }

    @Test func aRefusalSaysWhereTheLogsMayAgree() {
        var follower = RaftFixture(1, voters: [1, 2, 3])
        follower.recover(terms: [1, 1, 1, 4, 4, 4], term: 4)
        follower.receive(
            .append(previousIndex: 9, previousTerm: 3, entries: [], commit: 0), from: 2, term: 5)
        same(follower.take(), ["persist term 5", "refused 9 hint 3/1 to 2 in 5"])

        var leader = RaftFixture(2, voters: [1, 2, 3])
        leader.recover(terms: [1, 1, 2, 2, 3, 3, 3, 3, 3], term: 4)
        leader.lead(votes: [3])
        leader.receive(
            .appendRefused(previousIndex: 9, hintIndex: 3, hintTerm: 1), from: 1, term: 5)
        same(leader.take().first?.hasSuffix("after 2/1 commit 10 to 1 in 5"), true)
    }

    /// Entries that got lost are sent again when an answer to a later heartbeat lacks them.
    @Test func whatGotLostIsSentAgain() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2, 3])
        same(server.raft.propose([1], into: &server.actions), 2)
        same(server.take().count, 3)
        for round in 2...4 {
            server.wait(.milliseconds(100))
            server.receive(
                .heartbeatReply(round: UInt64(round), matched: 1, received: 1), from: 2, term: 1)
        }
        same(
            server.take().last, "append [\"2/1\"] after 1/1 commit 1 to 2 in 1")
    }

    @Test func whoNeedsMoreThanIsInMemoryGetsASnapshot() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.raft.restore(snapshotIndex: 50, term: 3)
        server.raft.recovered(HardState(term: 3))
        server.start()
        server.lead(votes: [2])
        server.receive(
            .appendRefused(previousIndex: 50, hintIndex: 7, hintTerm: 1), from: 3, term: 4)
        same(server.take(), ["snapshot to 3"])
        // Nothing else goes there meanwhile.
        _ = server.raft.propose([1], into: &server.actions)
        #expect(!server.take().contains { $0.contains("to 3") })
        server.receive(.heartbeatReply(round: 1, matched: 51, received: 51), from: 3, term: 4)
        same(server.take(), ["append [\"52/4\"] after 51/4 commit 51 to 3 in 4"])
    }

    // MARK: Reads

    @Test func aReadWaitsForAHeartbeatAfterIt() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2, 3])
        #expect(server.raft.read(9, into: &server.actions))
        same(
            server.take(), ["heartbeat 2 commit 1 to 2 in 1", "heartbeat 2 commit 1 to 3 in 1"])
        #expect(server.raft.read(10, into: &server.actions))
        // The answer to an earlier heartbeat proves nothing.
        server.receive(.heartbeatReply(round: 1, matched: 1, received: 1), from: 2, term: 1)
        same(server.take(), [])
        server.receive(.heartbeatReply(round: 2, matched: 1, received: 1), from: 2, term: 1)
        same(
            server.take(),
            ["read 9 at 1", "heartbeat 3 commit 1 to 2 in 1", "heartbeat 3 commit 1 to 3 in 1"])
        server.receive(.heartbeat(round: 1, commit: 1), from: 3, term: 2)
        same(
            server.take(),
            [
                "persist term 2", "read 10 fails", "resign",
                "heard 1 matched 0 received 0 to 3 in 2",
            ])
    }

    // MARK: Members

    @Test func oneChangeAtATime() throws {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2, 3])
        same(try server.raft.change(.addLearner(4), into: &server.actions), 2)
        #expect(throws: MembershipRefusal.changeUnderWay) {
            try server.raft.change(.remove(3), into: &server.actions)
        }
        #expect(server.raft.configuration.learners == [4])
        _ = server.persisted(2)
        // A learner's disk is none of a majority.
        server.receive(.appendReply(matched: 2), from: 4, term: 1)
        #expect(server.raft.isChanging)
        server.receive(.appendReply(matched: 2), from: 2, term: 1)
        #expect(!server.raft.isChanging)
        #expect(throws: MembershipRefusal.meaningless) {
            try server.raft.change(.addLearner(4), into: &server.actions)
        }
        same(try server.raft.change(.promote(4), into: &server.actions), 3)
        #expect(server.raft.configuration.voters == [1, 2, 3, 4])
        _ = server.persisted(3)
        server.receive(.appendReply(matched: 3), from: 4, term: 1)
        #expect(server.raft.isChanging, "two of four are no majority")
        server.receive(.appendReply(matched: 3), from: 3, term: 1)
        #expect(!server.raft.isChanging)
    }

    @Test func aRemovedLeaderLeadsUntilThatIsCommitted() throws {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2, 3])
        same(try server.raft.change(.remove(1), into: &server.actions), 2)
        _ = server.persisted(2)
        server.receive(.appendReply(matched: 2), from: 2, term: 1)
        #expect(server.raft.role == .leader, "its own disk does not count any more")
        server.receive(.appendReply(matched: 2), from: 3, term: 1)
        same(server.take().suffix(2), ["commit 2", "resign"])
        server.wait(.seconds(5))
        same(server.take(), [])
    }

    @Test func aChangeThatIsTakenBackIsUndone() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [1], term: 1)
        let larger = RaftConfiguration(voters: [1, 2, 3, 4])
        let change = LogEntry(index: 2, term: 1, kind: 2, payload: larger.encoded)
        server.receive(
            .append(previousIndex: 1, previousTerm: 1, entries: [change], commit: 0), from: 2,
            term: 1)
        #expect(server.raft.configuration == larger)
        let other = LogEntry(index: 2, term: 2, kind: 0, payload: [])
        server.receive(
            .append(previousIndex: 1, previousTerm: 1, entries: [other], commit: 0), from: 3,
            term: 2)
        #expect(server.raft.configuration.voters == [1, 2, 3])
    }

    // MARK: Handing over

    @Test func leadershipGoesToWhoHasEverything() {
        var server = RaftFixture(1, voters: [1, 2, 3])
        server.recover(terms: [], term: 0)
        server.lead(votes: [2, 3])
        _ = server.raft.propose([1], into: &server.actions)
        _ = server.take()
        #expect(server.raft.transferLeadership(to: 2, at: server.now, into: &server.actions))
        same(server.raft.propose([2], into: &server.actions), nil)
        same(server.take(), [])
        server.receive(.appendReply(matched: 2), from: 2, term: 1)
        same(server.take(), ["campaign now to 2 in 1"])
        // It never came: this server leads on.
        server.wait(.seconds(1))
        server.receive(.heartbeatReply(round: 1, matched: 1, received: 1), from: 3, term: 1)
        #expect(!server.raft.isTransferring)

        var heir = RaftFixture(2, voters: [1, 2, 3])
        heir.recover(terms: [1, 1], term: 1)
        heir.receive(.heartbeat(round: 5, commit: 1), from: 1, term: 1)
        _ = heir.take()
        heir.receive(.timeoutNow, from: 1, term: 1)
        same(heir.take(), ["persist term 2"])
        same(
            heir.persisted(2),
            ["vote for 2/1 by transfer to 1 in 2", "vote for 2/1 by transfer to 3 in 2"])
    }

    // MARK: Bytes

    @Test func noBytesTrapTheDecoder() {
        var random = PRNG(seed: 3)
        for _ in 0..<20_000 {
            let bytes = (0..<random.int(in: 0...40)).map { _ in UInt8(random.below(256)) }
            var reader = ByteReader(bytes)
            _ = try? RaftMessage(from: &reader)
            _ = try? RaftConfiguration(decoding: bytes)
        }
    }
}
