import Testing

@testable import Core

/// What a person does to a cluster, and what it does about nodes that go.
@Suite struct TownOperationsTests {
    /// Only who leads first since the cluster came up pauses it.
    @Test func aServerThatComesBackToAClusterAtWorkDoesNotPauseIt() throws {
        var town = TownHarness()
        for others in [[1, 2], [0, 2], [0, 1]] { town.add(expect: 3, joining: others) }
        town.advance(.seconds(5))
        let leader = try #require(town.leader)
        let next = (leader + 1) % 3
        town.nodes[next].restart { $0.startPaused = true }
        town.advance(.seconds(5))
        let order = "/v1/raft/transfer?to=n\(next + 1)"
        #expect(town.ask(leader, .post, order).status == 200)
        town.advance(.seconds(5))
        #expect(town.leader == next)
        #expect(!town.nodes[next].node.store.cluster.isPaused)
    }

    private static let job =
        #"{"name":"a","schedule":"@every 1s","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#
    private static func job(
        _ name: String, _ schedule: String, tags: String = "", more: String = ""
    ) -> String {
        #"{"name":"\#(name)","schedule":"\#(schedule)","tags":{\#(tags)},"executor":"shell","#
            + #""executor_config":{"command":"date"}\#(more)}"#
    }

    private func three(
        configure: (inout Config) -> Void = { _ in }
    ) throws -> TownHarness {
        var town = TownHarness()
        for position in 0..<3 {
            town.add(
                expect: 3, joining: (0..<3).filter { $0 != position }, configure: configure)
        }
        let isFounded = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        try #require(isFounded)
        town.advance(.seconds(3))
        return town
    }

    private func agent(
        _ town: inout TownHarness, joining: [Int] = [0], kind: String = "worker",
        configure: (inout Config) -> Void = { _ in }
    ) throws -> Int {
        let agent = town.add(server: false, joining: joining) { config in
            config.tags = [TagEntry(name: "kind", value: kind)]
            configure(&config)
        }
        let belongs = town.advance(atMost: .seconds(20)) { $0.nodes[agent].node.clusterID != nil }
        try #require(belongs)
        town.advance(.seconds(2))
        return agent
    }

    private func logged(_ node: NodeHarness, _ text: String) -> Bool {
        node.logs.contains { $0.message.contains(text) }
    }

    // MARK: Recovery of a lost majority

    private func recover(_ node: NodeHarness) throws -> QuorumRecovery {
        var recovery = QuorumRecovery(dataID: node.id) { [disk = node.disk] in disk.perform($0) }
        try recovery.read()
        return recovery
    }

    @Test func oneServerOfALostMajorityGoesOnWithAllThatItHas() throws {
        var town = try three()
        let agent = try agent(&town)
        let leader = try #require(town.leader)
        same(town.ask(leader, .post, "/v1/jobs", Self.job).status, 201)
        town.advance(.seconds(3))
        let cluster = try #require(town.nodes[leader].node.clusterID)
        // Two die; what the leader has in its log and no majority has is kept, too.
        let lost = (0..<3).filter { $0 != leader }
        town.isolated = Set(lost)
        town.nodes[leader].send(.post, "/v1/jobs", Self.job("late", "@manually"))
        town.advance(.milliseconds(200))
        let index = town.nodes[leader].node.raft.lastIndex
        town.advance(.seconds(5))
        #expect(town.leader == nil)

        var recovery = try recover(town.nodes[leader])
        #expect(recovery.configuration.voters == [101, 102, 103])
        #expect(recovery.otherVoters.count == 2)
        #expect(recovery.lastIndex >= index)
        for id in recovery.otherVoters {
            #expect(recovery.known(id)?.tag("rpc_addr") != nil, "it can be asked")
        }
        let name = try recovery.write(salt: 7)
        #expect(ClusterSuccession.isSuccessor(name, of: cluster))
        town.nodes[leader].restart()
        let leads = town.advance(atMost: .seconds(5)) { $0.leader == leader }
        #expect(leads)
        #expect(town.nodes[leader].node.raft.configuration.voters.count == 1)
        same(town.ask(leader, .get, "/v1/jobs/late").status, 200)
        // The agent goes along without a restart, and the job goes on.
        let follows = town.advance(atMost: .seconds(20)) {
            $0.nodes[agent].node.clusterID == name
        }
        #expect(follows)
        town.advance(.seconds(20))
        let rows = town.ask(leader, .get, "/v1/jobs/a/ticks?_end=3")
        #expect(rows.body.contains("ran"), "\(rows.body)")
        same(
            town.ask(
                leader, .post, "/v1/jobs",
                Self.job("w", "@manually", tags: #""kind":"worker""#)
            ).status, 201)
        same(town.ask(leader, .post, "/v1/jobs/w/run").status, 200)
        #expect(!town.nodes[agent].started.isEmpty)

        // One of the others comes back with what it had: it stops and says why.
        town.nodes[lost[0]].restart()
        town.isolated = [lost[1]]
        let stops = town.advance(atMost: .seconds(60)) { $0.nodes[lost[0]].halted != nil }
        #expect(stops)
        #expect(town.nodes[lost[0]].halted?.contains("was recovered without this server") ?? false)
        // With an empty directory it is taken in and votes.
        town.isolated = Set(lost)
        let fresh = town.add(joining: [leader], name: "n9")
        let votes = town.advance(atMost: .seconds(40)) {
            $0.nodes[leader].node.raft.configuration.voters.count == 2
        }
        #expect(votes)
        town.advance(.seconds(1))
        #expect(town.nodes[fresh].node.clusterID == name)
    }

    @Test func aServerThatNeverBelongedToAClusterCannotBeRecovered() throws {
        var town = TownHarness()
        town.add(joining: [5])
        town.advance(.seconds(5))
        #expect(throws: QuorumRecovery.Fault.self) { _ = try recover(town.nodes[0]) }
    }

    @Test func aRecoveryIsReadOnlyUntilItIsWrittenAndMayBeRepeated() throws {
        var town = try three()
        let leader = try #require(town.leader)
        town.isolated = Set((0..<3).filter { $0 != leader })
        let before = town.nodes[leader].files
        let disk = town.nodes[leader].disk
        var look = QuorumRecovery(
            dataID: town.nodes[leader].id, perform: QuorumRecovery.readOnly { disk.perform($0) })
        try look.read()
        #expect(look.otherVoters.count == 2)
        let isUntouched = town.nodes[leader].files == before
        #expect(isUntouched)
        var first = try recover(town.nodes[leader])
        let name = try first.write(salt: 1)
        let again = try recover(town.nodes[leader])
        #expect(again.isAlone)
        #expect(again.store.cluster.clusterID == name)
        #expect(ClusterSuccession(name).recoveries == 1)
    }

    // MARK: Draining

    @Test func aDrainedNodeGetsNothingNewOverLeadersAndRestarts() throws {
        var town = try three()
        let agent = try agent(&town)
        let name = "n\(agent + 1)"
        let first = try #require(town.leader)
        let other = (first + 1) % 3
        let job = Self.job("w", "@manually", tags: #""kind":"worker""#)
        same(town.ask(first, .post, "/v1/jobs", job).status, 201)
        town.nodes[agent].exitCode = nil
        same(town.ask(first, .post, "/v1/jobs/w/run?wait=0s").status, 202)
        town.advance(.seconds(1))
        #expect(town.nodes[agent].started.count == 1)
        same(town.ask(other, .post, "/v1/members/nobody/drain").status, 404)
        let drained = town.ask(other, .post, "/v1/members/\(name)/drain")
        same(drained.status, 200)
        #expect(drained.body.contains(#""drained":true"#))
        // What runs goes on and is counted; nothing new comes.
        let busy = town.ask(other, .get, "/v1/busy?node=\(name)")
        #expect(busy.body.contains(#""node_name":"\#(name)""#), "\(busy.body)")
        #expect(town.ask(other, .get, "/v1/busy?node=n1").body == "[]")
        same(town.ask(first, .post, "/v1/jobs/w/run").status, 409)
        #expect(town.ask(first, .get, "/v1/members").body.contains(#""drained":true"#))
        town.nodes[agent].end(town.nodes[agent].started[0].execution)
        town.advance(.seconds(2))
        #expect(town.ask(other, .get, "/v1/busy?node=\(name)").body == "[]")
        // Another leader, and another life of the agent.
        same(town.ask(first, .post, "/v1/raft/transfer?to=n\(other + 1)").status, 200)
        let leads = town.advance(atMost: .seconds(3)) { $0.leader == other }
        #expect(leads)
        town.nodes[agent].restart()
        town.advance(.seconds(10))
        same(town.ask(first, .post, "/v1/jobs/w/run").status, 409)
        same(town.ask(first, .post, "/v1/members/\(name)/undrain").status, 200)
        town.nodes[agent].exitCode = 0
        same(town.ask(first, .post, "/v1/jobs/w/run").status, 200)
    }

    @Test func aDrainedServerRunsNothingAndGoesOnDeciding() throws {
        var town = TownHarness()
        town.add()
        town.advance(.seconds(3))
        same(town.ask(0, .post, "/v1/jobs", Self.job).status, 201)
        same(town.ask(0, .post, "/v1/members/n1/drain").status, 200)
        town.advance(.seconds(1))
        let count = town.nodes[0].started.count
        town.advance(.seconds(3))
        #expect(town.nodes[0].started.count == count)
        #expect(town.ask(0, .get, "/v1/jobs/a/ticks").body.contains("no_target"))
    }

    // MARK: Agents that go

    /// Three servers and an agent on which a run of the job `w` goes on until it is ended.
    private func atWork() throws -> (town: TownHarness, agent: Int, leader: Int) {
        var town = try three()
        let agent = try agent(&town)
        let leader = try #require(town.leader)
        let job = Self.job("w", "@manually", tags: #""kind":"worker""#)
        same(town.ask(leader, .post, "/v1/jobs", job).status, 201)
        town.nodes[agent].exitCode = nil
        same(town.ask(leader, .post, "/v1/jobs/w/run?wait=0s").status, 202)
        town.advance(.seconds(1))
        return (town, agent, leader)
    }

    @Test func anAgentThatStopsTakesNothingNewAndHandsOverWhatItHas() throws {
        let (begun, agent, leader) = try atWork()
        var town = begun
        town.nodes[agent].feed(.control(.stop))
        // Chosen before anybody knows that it goes: declined at once.
        let declined = town.ask(leader, .post, "/v1/jobs/w/run")
        #expect(
            declined.status == 409 || town.nodes[agent].started.count == 1, "\(declined.body)")
        town.advance(.seconds(20))
        #expect(!town.nodes[agent].hasExited)
        #expect(town.nodes[leader].node.contact.routes.isEmpty, "the leader speaks with it still")
        #expect(town.ask(leader, .get, "/v1/members").body.contains(#""statusText":"leaving""#))
        same(town.ask(leader, .post, "/v1/jobs/w/run").status, 409)
        town.nodes[agent].end(town.nodes[agent].started[0].execution)
        let isGone = town.advance(atMost: .seconds(15)) { $0.nodes[agent].hasExited }
        #expect(isGone)
        town.advance(.seconds(1))
        #expect(town.ask(leader, .get, "/v1/busy").body == "[]", "the result was handed over")
        #expect(town.ask(leader, .get, "/v1/members").body.contains(#""statusText":"left""#))
    }

    @Test func aGoodbyeOfAnEarlierLifeEndsNothing() throws {
        let (begun, agent, leader) = try atWork()
        var town = begun
        #expect(town.nodes[agent].started.count == 1)
        let goodbye = PeerMessage.report(.goodbye).encoded
        town.nodes[leader].feed(.peer(town.nodes[agent].id, goodbye))
        town.advance(.seconds(1))
        #expect(town.ask(leader, .get, "/v1/busy").body.contains(#""job_name":"w""#))
        town.nodes[agent].end(town.nodes[agent].started[0].execution)
        town.advance(.seconds(1))
        #expect(town.ask(leader, .get, "/v1/jobs/w").body.contains(#""success_count":1"#))
    }

    @Test func aPersonHasAnAgentLeaveByWayOfAnyServer() throws {
        var town = try three()
        let agent = try agent(&town)
        let leader = try #require(town.leader)
        let other = (leader + 1) % 3
        same(town.ask(other, .post, "/v1/members/n\(agent + 1)/leave").status, 200)
        let isGone = town.advance(atMost: .seconds(20)) { $0.nodes[agent].hasExited }
        #expect(isGone)
        town.advance(.seconds(1))
        same(town.ask(other, .post, "/v1/members/n\(agent + 1)/leave").status, 409)
        #expect(!town.nodes[leader].hasExited)
    }

    @Test func whatWasOrderedOfAnAgentThatIsGoneIsNotWaitedFor() throws {
        var town = try three()
        let agent = try agent(&town)
        let leader = try #require(town.leader)
        let job = Self.job("w", "@manually", tags: #""kind":"worker""#)
        same(town.ask(leader, .post, "/v1/jobs", job).status, 201)
        town.nodes[agent].exitCode = nil
        // The order is lost on its way; then the agent stops in order.
        town.cut = [[min(leader, agent), max(leader, agent)]]
        same(town.ask(leader, .post, "/v1/jobs/w/run?wait=0s").status, 202)
        #expect(town.nodes[agent].started.isEmpty)
        town.cut = []
        town.nodes[agent].feed(.control(.stop))
        let isGone = town.advance(atMost: .seconds(15)) { $0.nodes[agent].hasExited }
        #expect(isGone)
        town.advance(.seconds(1))
        #expect(town.ask(leader, .get, "/v1/busy").body == "[]", "no lease is waited for")
    }

    @Test(arguments: [false, true])
    func anAgentThatLostItsDataDirectoryStartsNothingAgain(newLeader: Bool) throws {
        var town = try three()
        let agent = try agent(&town, joining: [0, 1, 2])
        let first = try #require(town.leader)
        let job = Self.job(
            "w", "@manually", tags: #""kind":"worker""#, more: #","lost_after":"30s""#)
        same(town.ask(first, .post, "/v1/jobs", job).status, 201)
        town.nodes[agent].exitCode = nil
        same(town.ask(first, .post, "/v1/jobs/w/run?wait=0s").status, 202)
        town.advance(.seconds(2))
        same(town.nodes[agent].started.count, 1)
        if newLeader { town.isolated = [first] }
        town.nodes[agent].replaceDisk()
        let isBack = town.advance(atMost: .seconds(60)) { town in
            guard let leader = town.leader else { return false }
            return town.nodes[leader].node.candidates.contains {
                $0.id == town.nodes[agent].id
            }
        }
        #expect(isBack)
        let leader = try #require(town.leader)
        #expect((leader != first) == newLeader)
        town.advance(.seconds(60))
        same(town.nodes[agent].started.count, 1)
        let shown = town.ask(leader, .get, "/v1/jobs/w/executions").body
        #expect(shown.contains("came back without its data directory"), "\(shown)")
        town.nodes[agent].exitCode = 0
        same(town.ask(leader, .post, "/v1/jobs/w/run?wait=0s").status, 202)
        town.advance(.seconds(2))
        same(town.nodes[agent].started.count, 2)
    }

    // MARK: Regions

    @Test func nodesOfAnotherRegionGetNeitherSeatsNorJobs() throws {
        var town = TownHarness()
        town.add()
        town.advance(.seconds(2))
        let far = town.add(joining: [0]) { $0.region = "far" }
        let hand = town.add(server: false, joining: [0]) { $0.region = "far" }
        town.advance(.seconds(20))
        #expect(town.nodes[0].node.raft.configuration.voters == [101])
        #expect(town.nodes[far].node.clusterID == nil)
        #expect(town.nodes[hand].node.clusterID == nil)
        same(town.ask(0, .post, "/v1/jobs", Self.job("w", "@manually")).status, 201)
        same(town.ask(0, .post, "/v1/jobs/w/run").status, 200)
        #expect(town.nodes[far].started.isEmpty && town.nodes[hand].started.isEmpty)
        #expect(town.nodes[0].started.count == 1)
        let far409 = Self.job("f", "@manually", tags: #""region":"far""#)
        same(town.ask(0, .post, "/v1/jobs", far409).status, 201)
        same(town.ask(0, .post, "/v1/jobs/f/run").status, 409)
        #expect(town.ask(0, .get, "/v1/members").body.contains("far"), "they are listed")
    }

    // MARK: After a start

    @Test func aServerThatHasJustStartedWaitsForNodesThatWereAlive() throws {
        var town = TownHarness()
        town.add(expect: 1, joining: [1])
        town.advance(.seconds(3))
        let agent = try agent(&town)
        let job = Self.job("w", "@every 1s", tags: #""kind":"worker""#)
        same(town.ask(0, .post, "/v1/jobs", job).status, 201)
        town.advance(.seconds(3))
        #expect(town.nodes[0].node.store.knownNodes.map(\.name.text) == ["n1", "n2"])
        // Nobody is seen for four seconds after the start.
        town.isolated = [agent]
        town.nodes[0].restart()
        town.advance(.seconds(4))
        #expect(!town.ask(0, .get, "/v1/jobs/w/ticks").body.contains("no_target"))
        town.isolated = []
        town.advance(.seconds(20))
        let rows = town.ask(0, .get, "/v1/jobs/w/ticks?_end=100").body
        #expect(!rows.contains("no_target"), "\(rows)")
        #expect(!rows.contains("missed"), "\(rows)")
        // Who does not come is waited for no longer than that.
        town.isolated = [agent]
        town.nodes[0].restart()
        town.advance(.seconds(30))
        #expect(town.ask(0, .get, "/v1/jobs/w/ticks").body.contains("no_target"))
        town.advance(.seconds(5))
        #expect(town.nodes[0].node.store.knownNodes.map(\.name.text) == ["n1"])
    }

    // MARK: Relays

    enum Cut: CaseIterable { case both, leaderToAgent, agentToLeader }

    @Test(arguments: Cut.allCases)
    func anAgentThatDoesNotReachTheLeaderWorksByWayOfAnotherServer(_ cut: Cut) throws {
        var town = try three()
        let agent = try agent(&town, joining: [0, 1, 2])
        let leader = try #require(town.leader)
        let job = Self.job("w", "@manually", tags: #""kind":"worker""#)
        same(town.ask(leader, .post, "/v1/jobs", job).status, 201)
        switch cut {
        case .both: town.cut = [[min(leader, agent), max(leader, agent)]]
        case .leaderToAgent: town.deaf = [[leader, agent]]
        case .agentToLeader: town.deaf = [[agent, leader]]
        }
        town.advance(.seconds(25))
        #expect(town.leader == leader)
        let ran = town.ask(leader, .post, "/v1/jobs/w/run")
        same(ran.status, 200)
        #expect(town.nodes[agent].started.count == 1)
        let name = NodeName("n\(agent + 1)")
        #expect(town.nodes[leader].node.contact.routes[name] != nil)
        // Another life of the agent, which no leader has ever told where it belongs.
        town.nodes[agent].restart()
        town.advance(.seconds(40))
        #expect(town.nodes[agent].node.clusterID == town.nodes[leader].node.clusterID)
        same(town.ask(leader, .post, "/v1/jobs/w/run").status, 200)
        #expect(town.nodes[agent].started.count == 2)
        // And directly again, once that works.
        (town.cut, town.deaf) = ([], [])
        town.advance(.seconds(15))
        #expect(town.nodes[leader].node.contact.routes.isEmpty)
        same(town.ask(leader, .post, "/v1/jobs/w/run").status, 200)
    }

    // MARK: Versions

    @Test func whatAnOlderServerDoesNotKnowWaitsForItsUpgrade() throws {
        var town = TownHarness()
        for position in 0..<3 {
            town.add(expect: 3, joining: (0..<3).filter { $0 != position }) { config in
                if position == 2 { config.featureLevel = FeatureLevel.first }
            }
        }
        let isFounded = town.advance(atMost: .seconds(20)) { $0.leader != nil }
        try #require(isFounded)
        town.advance(.seconds(5))
        for node in town.nodes {
            #expect(node.node.store.cluster.featureLevel == FeatureLevel.first)
        }
        let refused = town.ask(0, .post, "/v1/members/n1/drain")
        same(refused.status, 409)
        #expect(refused.body.contains("outdated_servers"))
        same(town.ask(0, .post, "/v1/jobs", Self.job).status, 201)
        town.advance(.seconds(2))
        let hashes = Set(town.nodes.map { "\($0.node.store.hash) \($0.node.store.appliedIndex)" })
        #expect(hashes.count == 1, "\(hashes)")
        // A rolling upgrade ends with the last of them.
        town.nodes[2].restart { $0.featureLevel = FeatureLevel.newest }
        let isRaised = town.advance(atMost: .seconds(30)) { town in
            town.nodes.allSatisfy { $0.node.store.cluster.featureLevel == FeatureLevel.newest }
        }
        #expect(isRaised)
        same(town.ask(0, .post, "/v1/members/n1/drain").status, 200)
        town.advance(.seconds(1))
        #expect(town.nodes.allSatisfy { $0.node.store.hash == town.nodes[0].node.store.hash })
        // Back to the older program: it says so and stops; the others go on.
        town.nodes[2].restart { $0.featureLevel = FeatureLevel.first }
        town.advance(.seconds(5))
        #expect(town.nodes[2].halted?.contains("feature level") ?? false)
        same(town.ask(0, .post, "/v1/members/n1/undrain").status, 200)
        // And one that is too old is not taken in.
        town.add(joining: [0]) { $0.featureLevel = FeatureLevel.first }
        town.advance(.seconds(10))
        let leader = try #require(town.leader)
        #expect(!town.nodes[leader].node.raft.configuration.contains(104))
        #expect(logged(town.nodes[leader], "too old for this cluster"))
    }

    // MARK: Rewinding

    @Test func aLedgerThatWasDecidedByAClockAheadIsRewound() throws {
        var town = TownHarness()
        town.add()
        town.advance(.seconds(2))
        same(town.ask(0, .post, "/v1/jobs", Self.job).status, 201)
        same(town.ask(0, .post, "/v1/jobs", Self.job("idle", "@manually")).status, 201)
        town.advance(.seconds(2))
        same(town.ask(0, .post, "/v1/ledger/rewind").body.contains(#""jobs":0"#), true)
        // The clock is a day ahead for long enough to be believed, and then right again.
        let day = Duration.hours(24)
        town.nodes[0].now.wall = town.nodes[0].now.wall + day
        town.advance(.seconds(70))
        town.nodes[0].now.wall = town.nodes[0].now.wall - day
        town.advance(.seconds(3))
        let count = town.nodes[0].started.count
        #expect(logged(town.nodes[0], "dkron ledger rewind"))
        same(town.ask(0, .post, "/v1/jobs", Self.job("new", "@every 1s")).status, 201)
        town.advance(.seconds(5))
        #expect(town.nodes[0].started.count == count, "all of it counts as decided")
        let rewound = town.ask(0, .post, "/v1/ledger/rewind")
        same(rewound.status, 200)
        #expect(rewound.body.contains(#""jobs":2"#), "\(rewound.body)")
        town.advance(.seconds(5))
        #expect(town.nodes[0].started.count >= count + 8)
        let rows = town.ask(0, .get, "/v1/jobs/a/ticks?_end=500")
        #expect(rows.body.contains("ran on time"))
        // A job made now begins now.
        same(town.ask(0, .post, "/v1/jobs", Self.job("later", "@every 1s")).status, 201)
        town.advance(.seconds(3))
        #expect(town.ask(0, .get, "/v1/jobs/later/ticks").body.contains("ran on time"))
        same(town.ask(0, .post, "/v1/jobs/none/ledger/rewind").status, 404)
        #expect(town.ask(0, .post, "/v1/ledger/rewind").body.contains(#""jobs":0"#))
        // The same state comes out of the files.
        let index = town.nodes[0].node.store.appliedIndex
        town.nodes[0].restart()
        #expect(town.nodes[0].node.store.appliedIndex >= index)
    }
}
