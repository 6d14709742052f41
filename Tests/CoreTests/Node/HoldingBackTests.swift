import Testing

@testable import Core

/// What a leader takes of the outputs that agents tell while nothing gets committed.
@Suite struct HoldingBackTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1h","executor":"shell","tags":{"dkron_server":"true:1"},"#
        + #""executor_config":{"command":"date"}}"#

    /// A cluster whose leader has started so many executions, none of which has ended.
    private static func running(
        _ count: Int, _ tunables: Tunables
    ) throws -> (cluster: ClusterHarness, leader: Int, keys: [ExecutionKey]) {
        var cluster = ClusterHarness(3, tunables: tunables)
        let leader = try #require(cluster.leader)
        for position in cluster.servers.indices { cluster.servers[position].exitCode = nil }
        same(cluster.ask(leader, .post, "/v1/jobs", job).status, 201)
        for _ in 0..<count {
            cluster.servers[leader].send(.post, "/v1/jobs/a/run")
            cluster.exchange()
        }
        cluster.advance(.seconds(1))
        let store = cluster.servers[leader].node.store
        let generation = try #require(store.state(JobName("a"))).generation
        let keys = store.groups(of: generation).flatMap { $0.targets.flatMap(\.attempts) }
            .map { ExecutionKey(generation: generation, number: $0) }
        try #require(keys.count == count)
        return (cluster, leader, keys)
    }

    /// One piece of an output, in an entry of its own.
    private static func tell(
        _ server: inout NodeHarness, _ piece: UInt32, of key: ExecutionKey
    ) {
        tell(&server, .output(chunk: piece, bytes: [UInt8](repeating: 65, count: 64)), of: key)
    }

    private static func tell(
        _ server: inout NodeHarness, _ news: Report.News, of key: ExecutionKey
    ) {
        var out = Outbox()
        server.node.receive(
            .news(Report(job: JobName("a"), key: key, news: news)), from: NodeName("a1"), &out)
        server.node.proposeReports(&out)
    }

    @Test func outputsLeaveHalfOfTheRoomToRequests() throws {
        var tunables = Tunables()
        tunables.proposalLimit = 8
        var (cluster, leader, keys) = try Self.running(20, tunables)
        var server = cluster.servers[leader]
        for key in keys { Self.tell(&server, 0, of: key) }
        same(server.node.raft.pendingCount, 4)
        same(server.node.intake.waitingCount, 16)
        let requests = (0..<5).map { _ in server.send(.post, "/v1/jobs", Self.job) }
        #expect(server.node.raft.pendingCount == 8)
        #expect(requests.filter { server.answers[$0] != nil }.count == 1)
        // What waited shares an entry once there is room.
        let last = server.node.raft.lastIndex
        cluster.servers[leader] = server
        cluster.advance(.milliseconds(100))
        same(cluster.servers[leader].node.intake.waitingCount, 0)
        same(cluster.servers[leader].node.raft.lastIndex - last, 1)
    }

    @Test func whatIsNotCommittedCountsAsWaiting() throws {
        var tunables = Tunables()
        tunables.backlogLimit = 1_000
        var (cluster, leader, keys) = try Self.running(40, tunables)
        cluster.isolated = Set(cluster.servers.indices)
        for key in keys { Self.tell(&cluster.servers[leader], 0, of: key) }
        let taken = cluster.servers[leader].node.raft.pendingCount
        #expect((2..<20).contains(taken), "\(taken) of 40 are taken")
        // What has begun to come comes to its end.
        Self.tell(&cluster.servers[leader], 1, of: keys[39])
        same(cluster.servers[leader].node.raft.pendingCount, taken)
        Self.tell(&cluster.servers[leader], 1, of: keys[0])
        same(cluster.servers[leader].node.raft.pendingCount, taken + 1)
        cluster.isolated = []
        cluster.advance(.seconds(1))
        same(cluster.servers[leader].node.raft.pendingCount, 0)
        for key in keys.reversed() { Self.tell(&cluster.servers[leader], 0, of: key) }
        same(cluster.servers[leader].node.raft.pendingCount, taken)
    }

    /// Whatever is told again, or comes before what it follows, is nothing that the log wants.
    @Test func piecesEnterTheLogOnceAndInOrder() throws {
        let (cluster, leader, keys) = try Self.running(1, Tunables())
        var server = cluster.servers[leader]
        let key = keys[0]
        var result = ExecutionResult(
            state: .success, startedAt: server.now.wall, finishedAt: server.now.wall)
        result.outputChunks = 3
        for (news, isTaken) in [
            (1, false), (0, true), (0, false), (2, false), (nil, false), (1, true), (2, true),
            (2, false), (nil, true), (nil, false), (0, false),
        ] as [(UInt32?, Bool)] {
            let before = server.node.raft.pendingCount
            if let piece = news {
                Self.tell(&server, piece, of: key)
            } else {
                Self.tell(&server, .ended(result), of: key)
            }
            let taken = server.node.raft.pendingCount > before
            #expect(taken == isTaken, "piece \(news.map(Int.init) ?? -1)")
        }
    }

    @Test func newsWaitWhileLeadershipIsHandedOver() throws {
        var (cluster, leader, keys) = try Self.running(1, Tunables())
        cluster.isolated = Set(cluster.servers.indices)
        cluster.servers[leader].send(.post, "/v1/raft/transfer")
        #expect(cluster.servers[leader].node.raft.isTransferring)
        Self.tell(&cluster.servers[leader], 0, of: keys[0])
        same(cluster.servers[leader].node.raft.pendingCount, 0)
        same(cluster.servers[leader].node.intake.waitingCount, 1)
    }

    /// It never heard of what it was told to end, and the machine that had its name may have.
    @Test func namelessNewsCountFromAKnownDataDirectoryOnly() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        let agent = try #require(cluster.followers.first)
        let name = NodeName("s\(agent + 1)")
        let result = ExecutionResult(
            state: .killed, startedAt: nil, finishedAt: cluster.servers[leader].now.wall)
        let report = Report(
            job: JobName(""), key: ExecutionKey(generation: 1, number: 1), news: .ended(result))
        func isTaken(from node: NodeName) -> Bool {
            var server = cluster.servers[leader]
            var out = Outbox()
            server.node.receive(.news(report), from: node, &out)
            return server.node.intake.waitingCount > 0
        }
        #expect(isTaken(from: name))
        #expect(!isTaken(from: NodeName("nobody")))
        let other = KnownNode(name: name, id: 999, tags: [])
        cluster.servers[leader].propose(.nodes([other], gone: []))
        cluster.advance(.seconds(1))
        #expect(!isTaken(from: name))
    }

    /// The others go on, and it is not sent what it could not hold.
    @Test func aFollowerWithASlowDiskIsSentLess() throws {
        var tunables = Tunables()
        tunables.backlogLimit = 100_000
        var cluster = ClusterHarness(3, tunables: tunables)
        let leader = try #require(cluster.leader)
        let slow = try #require(cluster.followers.first)
        for position in cluster.servers.indices {
            cluster.servers[position].output = [UInt8](repeating: 65, count: 60_000)
        }
        same(cluster.ask(leader, .post, "/v1/jobs", Self.job).status, 201)
        cluster.servers[slow].heldHistory = []
        for _ in 0..<40 {
            same(cluster.ask(leader, .post, "/v1/jobs/a/run").status, 200)
            cluster.advance(.milliseconds(100))
        }
        #expect(cluster.servers[slow].node.raft.isRestrained)
        let waiting = cluster.servers[slow].node.history.queuedBytes
        #expect(waiting < 40 * 60_000, "\(waiting) bytes wait for the disk")
        let committed = cluster.servers[leader].node.store.appliedIndex
        #expect(committed > cluster.servers[slow].node.store.appliedIndex)
        cluster.servers[slow].writeHistory()
        cluster.advance(.seconds(2))
        #expect(!cluster.servers[slow].node.raft.isRestrained)
        let agrees = cluster.agrees()
        #expect(agrees)
    }

    /// A job that an edit makes ephemeral ends with that success, and not before the ticks of its
    /// new schedule are decided.
    @Test func aSuccessWaitsForTheEditOfItsJob() throws {
        var (cluster, leader, keys) = try Self.running(2, Tunables())
        cluster.isolated = Set(cluster.servers.indices)
        let edited = Self.job.replacing(#""name""#, with: #""ephemeral":true,"name""#)
            .replacing("@every 1h", with: "@every 1s")
        let edit = cluster.servers[leader].send(.put, "/v1/jobs/a", edited)
        let result = ExecutionResult(
            state: .success, startedAt: nil, finishedAt: WallTime(seconds: 1), error: "")
        for key in keys { Self.tell(&cluster.servers[leader], .ended(result), of: key) }
        #expect(!cluster.servers[leader].node.heldEdits.isEmpty)
        cluster.isolated = []
        cluster.advance(.seconds(1))
        #expect(cluster.servers[leader].node.heldEdits.isEmpty)
        same(cluster.servers[leader].answers[edit]?.status, 201)
        same(cluster.ask(leader, .get, "/v1/jobs/a").status, 404)
    }
}
