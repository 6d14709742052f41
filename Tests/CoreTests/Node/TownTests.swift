import Testing

@testable import Core

/// Nodes that come to a cluster by gossip, and go.
@Suite struct TownTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1s","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#
    private static let tagged =
        #"{"name":"b","schedule":"@manually","tags":{"kind":"worker"},"executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    private func three(expect: Int = 3) -> TownHarness {
        var town = TownHarness()
        for position in 0..<3 {
            town.add(expect: expect, joining: (0..<3).filter { $0 != position })
        }
        return town
    }

    @Test func threeServersThatExpectEachOtherFoundOneCluster() throws {
        var town = three()
        let isFounded = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        #expect(isFounded)
        town.advance(.seconds(2))
        let clusters = Set(town.nodes.map(\.node.clusterID))
        #expect(clusters.count == 1)
        #expect(clusters.first != .some(nil))
        for node in town.nodes {
            #expect(node.node.raft.configuration.voters == [101, 102, 103])
            #expect(node.node.members.count == 3)
        }
    }

    @Test func twoOfThreeFoundNothing() {
        var town = TownHarness()
        town.add(expect: 3, joining: [1])
        town.add(expect: 3, joining: [0])
        town.advance(.seconds(30))
        #expect(town.leader == nil)
        #expect(town.nodes[0].logs.contains { $0.message.contains("waiting for the servers") })
        // The third makes it complete.
        town.add(expect: 3, joining: [0])
        let isFounded = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        #expect(isFounded)
    }

    /// Each has met somebody, the third server an agent only. None may be content with that.
    @Test func whoMetNodesAsLostAsItselfGoesOnAsking() throws {
        var town = TownHarness()
        town.cut = [[0, 2], [1, 2], [0, 3], [1, 3]]
        town.add(expect: 3, joining: [1])
        town.add(expect: 3, joining: [0])
        town.add(expect: 3, joining: [0, 1])
        town.add(server: false, joining: [2, 0])
        town.advance(.seconds(10))
        #expect(town.nodes.map(\.node.members.count) == [2, 2, 2, 2])
        #expect(town.nodes[2].logs.contains { $0.message.hasPrefix("no leader is known yet") })
        town.cut = []
        let isFounded = town.advance(atMost: .seconds(60)) { town in
            town.nodes.allSatisfy { $0.node.leaderID != nil && $0.node.members.count == 4 }
        }
        #expect(isFounded)
        // Then there is nothing to ask any more.
        let attempts = town.nodes.map(\.node.joining.attempts)
        town.advance(.seconds(120))
        #expect(town.nodes.map(\.node.joining.attempts) == attempts)
        #expect(town.nodes.allSatisfy { $0.node.joining.isDone })
    }

    @Test func aPromiseOutlivesACrashAndIsNotGivenTwice() {
        var town = three()
        let hasPromised = town.advance(atMost: .seconds(20)) {
            $0.nodes.allSatisfy { $0.node.raft.promised?.count == 3 }
        }
        #expect(hasPromised)
        for position in town.nodes.indices { town.nodes[position].restart() }
        let isFounded = town.advance(atMost: .seconds(30)) { $0.leader != nil }
        #expect(isFounded)
        #expect(town.nodes.allSatisfy { $0.node.raft.promised == [101, 102, 103] })
    }

    @Test func aServerThatJoinsIsTakenInAndNeverBeginsAlone() throws {
        var town = TownHarness()
        town.add()
        town.advance(.seconds(2))
        #expect(town.leader == 0)
        town.add(joining: [0])
        town.add(joining: [0])
        let votes = town.advance(atMost: .seconds(30)) {
            $0.nodes[0].node.raft.configuration.voters == [101, 102, 103]
        }
        #expect(votes)
        let agree = town.advance(atMost: .seconds(5)) { town in
            town.nodes.allSatisfy { $0.node.store.hash == town.nodes[0].node.store.hash }
        }
        #expect(agree)
        // It survives the loss of the first.
        town.isolated = [0]
        let goesOn = town.advance(atMost: .seconds(10)) { ($0.leader ?? 0) != 0 }
        #expect(goesOn)
    }

    @Test func aServerWithNobodyToJoinWaits() {
        var town = TownHarness()
        town.add(joining: [5])
        town.advance(.seconds(40))
        #expect(town.leader == nil)
        #expect(town.nodes[0].logs.contains { $0.message.contains("never begins a cluster") })
        #expect(town.nodes[0].logs.contains { $0.message.contains("could be joined") })
    }

    @Test func anAgentRunsWhatItIsChosenFor() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        let agent = town.add(server: false, joining: [1]) { config in
            config.tags = [TagEntry(name: "kind", value: "worker")]
        }
        let belongs = town.advance(atMost: .seconds(20)) { $0.nodes[agent].node.clusterID != nil }
        #expect(belongs)
        town.advance(.seconds(1))
        let leader = try #require(town.leader)
        let follower = (leader + 1) % 3
        same(town.ask(follower, .post, "/v1/jobs", Self.tagged).status, 201)
        let ran = town.ask(follower, .post, "/v1/jobs/b/run")
        same(ran.status, 200)
        #expect(town.nodes[agent].started.count == 1)
        let shown = town.ask(leader, .get, "/v1/jobs/b/executions")
        #expect(shown.body.contains("hello"))
        #expect(shown.body.contains(#""success":true"#))
        // It needs no restart when the leader goes.
        town.isolated = [leader]
        let goesOn = town.advance(atMost: .seconds(10)) { ($0.leader ?? leader) != leader }
        #expect(goesOn)
        let next = try #require(town.leader)
        town.advance(.seconds(6))
        same(town.ask(next, .post, "/v1/jobs/b/run").status, 200)
        #expect(town.nodes[agent].started.count == 2)
    }

    @Test func anAgentThatIsGoneFailsWhatItWasChosenFor() throws {
        var town = TownHarness()
        town.add()
        let agent = town.add(server: false, joining: [0]) { config in
            config.tags = [TagEntry(name: "kind", value: "worker")]
        }
        let belongs = town.advance(atMost: .seconds(20)) { $0.nodes[agent].node.clusterID != nil }
        #expect(belongs)
        same(town.ask(0, .post, "/v1/jobs", Self.tagged).status, 201)
        // Silent, and not yet suspected: it is chosen all the same.
        town.isolated = [agent]
        town.advance(.milliseconds(100))
        let ran = town.ask(0, .post, "/v1/jobs/b/run?wait=0s")
        same(ran.status, 202)
        town.advance(.seconds(90))
        let shown = town.ask(0, .get, "/v1/jobs/b/executions")
        #expect(shown.body.contains("did not answer for 60 s") || shown.body.contains("reached"))
        #expect(town.ask(0, .post, "/v1/jobs/b/run").status == 409, "nobody else matches")
    }

    /// A rumour about the leader is no reason to stop speaking with it.
    @Test func theLeaderStaysThoughGossipHoldsEverybodyToHaveFailed() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let leader = try #require(town.leader)
        let term = town.nodes[leader].node.raft.hardState.term
        town.isGossipCut = true
        let isDoubted = town.advance(atMost: .seconds(60)) { town in
            town.nodes.allSatisfy { node in
                node.node.members.allSatisfy {
                    $0.name == node.node.config.nodeName || $0.status == .failed
                }
            }
        }
        #expect(isDoubted)
        town.advance(.seconds(10))
        #expect(town.leader == leader)
        same(town.ask((leader + 1) % 3, .post, "/v1/jobs", Self.tagged).status, 201)
        #expect(town.nodes.allSatisfy { $0.node.raft.hardState.term == term })
        town.isGossipCut = false
        let isClear = town.advance(atMost: .seconds(90)) { town in
            town.nodes.allSatisfy { $0.node.members.allSatisfy { $0.status == .alive } }
        }
        #expect(isClear)
    }

    @Test func aServerThatLeavesGivesUpItsSeat() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let leader = try #require(town.leader)
        town.nodes[leader].feed(.control(.leave))
        let isGone = town.advance(atMost: .seconds(40)) { $0.nodes[leader].hasExited }
        #expect(isGone)
        let isRemoved = town.advance(atMost: .seconds(20)) { town in
            town.leader.map { town.nodes[$0].node.raft.configuration.voters.count == 2 } ?? false
        }
        #expect(isRemoved)
    }

    @Test func aNewDiskInTheServerThatFoundedTheClusterIsTakenIn() throws {
        var town = TownHarness()
        town.add(expect: 1, joining: [1, 2])
        town.add(joining: [0])
        town.add(joining: [0])
        func isComplete(_ town: TownHarness) -> Bool {
            town.leader.map { town.nodes[$0].node.raft.configuration.voters }
                == town.nodes.map(\.id).sorted()
        }
        let isFounded = town.advance(atMost: .seconds(30), until: isComplete)
        #expect(isFounded)
        town.advance(.seconds(3))
        let cluster = town.nodes[1].node.clusterID
        town.nodes[0].replaceDisk()
        let isTakenIn = town.advance(atMost: .seconds(60), until: isComplete)
        #expect(isTakenIn)
        #expect(town.nodes[0].node.clusterID == cluster)
    }

    @Test func whoeverLeadsTakesBackTheSeatOfAReplacedServer() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(3))
        let leader = try #require(town.leader)
        let (next, lost) = ((leader + 1) % 3, (leader + 2) % 3)
        town.nodes[lost].replaceDisk()
        let id = town.nodes[lost].id
        // The lead changes before the leader that has seen the old one and the new one acts on it.
        let isSeen = town.advance(atMost: .seconds(5)) { town in
            town.nodes[next].node.members.contains { $0.id == id }
        }
        #expect(isSeen)
        same(town.ask(leader, .post, "/v1/raft/transfer?to=n\(next + 1)").status, 200)
        let isComplete = town.advance(atMost: .seconds(30)) { town in
            let ids = town.nodes.map(\.id).sorted()
            return town.leader.map { town.nodes[$0].node.raft.configuration.voters } == ids
        }
        #expect(isComplete)
        #expect(town.leader == next)
    }

    /// The log forgets a node that is gone for long, as it forgets one that was replaced: a seat
    /// that is kept for ever, or for longer than that, is kept all the same.
    @Test func aSeatOutlivesWhatTheLogRemembers() throws {
        var town = TownHarness()
        for (position, others) in [[1], [0], [0, 1]].enumerated() {
            town.add(expect: position < 2 ? 2 : 0, joining: others) { config in
                config.deadServerTimeout = nil
                config.gossip?.reconnectTimeout = .seconds(20)
            }
        }
        let isComplete = town.advance(atMost: .seconds(30)) { town in
            town.leader.map { town.nodes[$0].node.raft.configuration.voters.count == 3 } ?? false
        }
        #expect(isComplete)
        let leader = try #require(town.leader)
        let gone = (0...2).first { $0 != leader }!
        town.isolated.insert(gone)
        town.advance(.seconds(60))
        for position in 0...2 {
            town.nodes[position].now.wall = town.nodes[position].now.wall + .hours(24 * 9)
        }
        // A clock that steps is believed after a minute; who comes has the log look at who is gone.
        town.advance(.seconds(80))
        town.add(server: false, joining: [leader])
        let isForgotten = town.advance(atMost: .seconds(30)) { town in
            let node = town.nodes[leader].node
            return !node.members.contains { $0.id == town.nodes[gone].id }
                && !node.store.rememberedNodes.contains { $0.id == town.nodes[gone].id }
        }
        #expect(isForgotten)
        town.advance(.seconds(10))
        #expect(town.leader == leader)
        #expect(town.nodes[leader].node.raft.configuration.voters.count == 3)
    }

    @Test(arguments: [false, true])
    func oneOfTwoServersLeavesAndTheOtherGoesOn(isLeader: Bool) throws {
        var town = TownHarness()
        town.add(expect: 2, joining: [1])
        town.add(expect: 2, joining: [0])
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let leader = try #require(town.leader)
        let (gone, stays) = isLeader ? (leader, 1 - leader) : (1 - leader, leader)
        town.nodes[gone].feed(.control(.leave))
        let hasLeft = town.advance(atMost: .seconds(40)) { $0.nodes[gone].hasExited }
        #expect(hasLeft)
        #expect(town.leader == stays)
        #expect(town.nodes[stays].node.raft.configuration.voters.count == 1)
        same(town.ask(stays, .post, "/v1/jobs", Self.tagged).status, 201)
    }

    /// What is told a few times only may be lost each time.
    @Test func whoLeavesTellsTheLeaderUntilItIsHeard() throws {
        var town = TownHarness()
        town.add(expect: 2, joining: [1])
        town.add(expect: 2, joining: [0])
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let stays = try #require(town.leader)
        town.isGossipCut = true
        town.nodes[1 - stays].feed(.control(.leave))
        town.advance(.seconds(3))
        #expect(town.nodes[stays].node.raft.configuration.voters.count == 2)
        town.isGossipCut = false
        town.advance(.milliseconds(2_500))
        #expect(town.nodes[stays].node.raft.configuration.voters.count == 1)
    }

    /// Whoever has just begun to lead has heard nobody yet, and must not take anybody for present.
    @Test func aSeatIsNotTakenBackByALeaderThatHasNotHeardTheOthers() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(3))
        let leader = try #require(town.leader)
        let (next, lost) = ((leader + 1) % 3, (leader + 2) % 3)
        town.isolated.insert(lost)
        town.advance(.seconds(2))
        town.nodes[leader].feed(.control(.leave))
        let hasLeft = town.advance(atMost: .seconds(60)) { $0.nodes[leader].hasExited }
        #expect(hasLeft)
        #expect(town.nodes[next].node.raft.configuration.voters.count == 3)
        town.isolated.remove(lost)
        let isRemoved = town.advance(atMost: .seconds(60)) { town in
            town.leader.map { town.nodes[$0].node.raft.configuration.voters.count == 2 } ?? false
        }
        #expect(isRemoved)
    }

    @Test func aLeaderThatStopsHandsOverFirst() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let leader = try #require(town.leader)
        town.nodes[leader].feed(.control(.stop))
        let isQuick = town.advance(atMost: .milliseconds(600)) {
            $0.nodes[leader].hasExited && ($0.leader ?? leader) != leader
        }
        #expect(isQuick)
        let next = try #require(town.leader)
        #expect(town.nodes[next].node.raft.configuration.voters.count == 3, "the seat is kept")
    }

    @Test func clustersThatMeetLeaveEachOtherAlone() throws {
        var town = TownHarness()
        town.add()
        town.add()
        town.advance(.seconds(2))
        #expect(town.nodes[0].node.clusterID != town.nodes[1].node.clusterID)
        let third = town.add(server: false, joining: [0, 1])
        town.advance(.seconds(20))
        // An agent belongs to the one that spoke first.
        let chosen = try #require(town.nodes[third].node.clusterID)
        for node in [0, 1] {
            #expect(town.nodes[node].node.raft.configuration.voters.count == 1)
            let isOwn = town.nodes[node].node.clusterID == chosen
            let names = town.nodes[node].node.members.map(\.name.text)
            #expect(names == ["n\(node + 1)"] + (isOwn ? ["n3"] : []))
            #expect(
                isOwn || town.nodes[node].logs.contains { $0.message.contains("another cluster") })
        }
        #expect(town.nodes[third].logs.contains { $0.message.contains("another cluster") })
    }

    /// All go on when two clusters with the same names meet, whoever is the older.
    @Test(arguments: [(11, 12), (12, 11)] as [(ServerID, ServerID)])
    func aNameInAnotherClusterIsNobodysBusiness(ids: (ServerID, ServerID)) throws {
        var town = TownHarness()
        town.add(name: "same", id: ids.0)
        // They do not meet before both have begun.
        town.isolated = [0]
        town.add(expect: 1, joining: [0], name: "same", id: ids.1)
        town.advance(.seconds(2))
        town.isolated = []
        town.advance(.seconds(40))
        for node in 0...1 {
            #expect(town.nodes[node].halted == nil)
            #expect(town.nodes[node].node.role == .leader)
            #expect(town.nodes[node].node.members.count == 1)
        }
        let problems = town.nodes[1].logs.flatMap(\.fields).filter { $0.name == "problems" }
        #expect(problems.contains { $0.value.contains("another cluster") })
    }

    @Test func whoIsAloneAgainLooksForTheOthersAgain() throws {
        var town = TownHarness()
        town.add()
        // It is told of a place where nobody is yet.
        let agent = town.add(server: false, joining: [0, 2])
        let meets = town.advance(atMost: .seconds(20)) { $0.nodes[agent].node.members.count == 2 }
        #expect(meets)
        town.isolated = [0]
        let isAlone = town.advance(atMost: .seconds(60)) {
            $0.nodes[agent].logs.contains { $0.message == "member failed" }
        }
        #expect(isAlone)
        // That another cluster is there shows that it was looked for.
        town.add()
        let looks = town.advance(atMost: .seconds(40)) {
            $0.nodes[agent].logs.flatMap(\.fields).contains {
                $0.name == "problems" && $0.value.contains("another cluster")
            }
        }
        #expect(looks, "\(town.nodes[agent].logs.suffix(5))")
    }

    @Test func aServerThatTwoClustersTakeInIsOfOne() throws {
        var town = TownHarness()
        town.add()
        town.add()
        town.advance(.seconds(2))
        town.add(joining: [0, 1])
        let belongs = town.advance(atMost: .seconds(30)) { town in
            town.nodes[0...1].contains { $0.node.raft.configuration.voters.count == 2 }
        }
        #expect(belongs)
        let isGivenUp = town.advance(atMost: .seconds(100)) { town in
            town.nodes[0...1].contains { $0.node.raft.configuration.members.count == 1 }
        }
        #expect(isGivenUp, "\(town.nodes[0].node.raft.configuration)")
    }

    @Test func aLeaderlessServerSaysWhatIsMissing() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        town.isolated = [1, 2]
        let isTold = town.advance(atMost: .seconds(20)) {
            $0.nodes[0].logs.contains { $0.message.contains("there is no leader") }
        }
        #expect(isTold)
        let record = try #require(
            town.nodes[0].logs.last { $0.message.contains("there is no leader") })
        #expect(record.fields.contains { $0.name == "needed" && $0.value == "2" })
        town.isolated = []
        let isBack = town.advance(atMost: .seconds(40)) {
            $0.nodes[0].logs.contains { $0.message.contains("there is a leader again") }
        }
        #expect(isBack)
    }

    @Test func aJobOfEverySecondOutlivesItsLeader() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        let leader = try #require(town.leader)
        same(town.ask(leader, .post, "/v1/jobs", Self.job).status, 201)
        town.advance(.seconds(3))
        town.isolated = [leader]
        town.advance(.seconds(5))
        let next = try #require(town.leader)
        #expect(next != leader)
        let rows = town.ask(next, .get, "/v1/jobs/a/ticks")
        #expect(!rows.body.contains("missed"))
        #expect(rows.body.contains("ran"))
    }

    @Test func aPersonArrangesTheSeats() throws {
        var town = three()
        _ = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        town.advance(.seconds(2))
        let first = try #require(town.leader)
        let other = (first + 1) % 3
        let listed = town.ask(other, .get, "/v1/raft/peers")
        same(listed.status, 200)
        for node in 1...3 { #expect(listed.body.contains(#""node":"n\#(node)""#)) }
        same(town.ask(other, .delete, "/v1/raft/peers/nobody").status, 404)
        same(town.ask(other, .delete, "/v1/raft/peers/n\(first + 1)").status, 409)
        same(town.ask(first, .post, "/v1/raft/transfer?to=n\(other + 1)").status, 200)
        let leads = town.advance(atMost: .seconds(3)) { $0.leader == other }
        #expect(leads)
        town.advance(.seconds(1))
        // Gone, and its seat is taken by hand.
        town.isolated = [first]
        town.advance(.seconds(2))
        same(town.ask(other, .delete, "/v1/raft/peers/n\(first + 1)").status, 200)
        #expect(town.nodes[other].node.raft.configuration.voters.count == 2)
        // Of two that are left, both are needed.
        let third = 3 - first - other
        town.isolated = [first, third]
        town.advance(.seconds(2))
        let refused = town.ask(other, .delete, "/v1/raft/peers/n\(third + 1)")
        same(refused.status, 503)
    }
}
