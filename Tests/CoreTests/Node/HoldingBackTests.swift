import Testing

@testable import Core

/// What a leader takes of the outputs that agents tell while nothing gets committed.
@Suite struct HoldingBackTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1h","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    private static func key(_ number: Int64) -> ExecutionKey {
        ExecutionKey(generation: 1, number: number)
    }

    /// A leader that nobody answers, with room for so many entries.
    private static func loneLeader(proposals: Int) throws -> NodeHarness {
        var tunables = Tunables()
        tunables.proposalLimit = proposals
        let cluster = ClusterHarness(3, tunables: tunables)
        return cluster.servers[try #require(cluster.leader)]
    }

    /// One piece of an output, in an entry of its own.
    private static func tell(
        _ server: inout NodeHarness, _ piece: UInt32, of number: Int64, from node: String
    ) {
        var out = Outbox()
        let news = Report.News.output(chunk: piece, bytes: [UInt8](repeating: 65, count: 64))
        server.node.receive(
            .news(Report(job: JobName("a"), key: key(number), news: news)), from: NodeName(node),
            &out)
        server.node.proposeReports(&out)
    }

    @Test func outputsLeaveHalfOfTheRoomToRequests() throws {
        var server = try Self.loneLeader(proposals: 8)
        for number in 1...20 { Self.tell(&server, 0, of: Int64(number), from: "a1") }
        #expect(server.node.raft.pendingCount == 4)
        #expect(server.node.heldBack.count == 16)
        let requests = (0..<5).map { _ in server.send(.post, "/v1/jobs", Self.job) }
        #expect(server.node.raft.pendingCount == 8)
        #expect(requests.filter { server.answers[$0] != nil }.count == 1)
    }

    /// Each node tells its results in order, and the leader hears them mixed: without one piece the
    /// others are of no use.
    @Test func whatIsHeldBackIsHeldBackWhole() throws {
        var server = try Self.loneLeader(proposals: 4)
        Self.tell(&server, 0, of: 1, from: "a1")
        Self.tell(&server, 0, of: 2, from: "a2")
        #expect(server.node.raft.pendingCount == 2)
        Self.tell(&server, 0, of: 3, from: "a3")
        Self.tell(&server, 1, of: 1, from: "a1")
        #expect(server.node.raft.pendingCount == 3)
        Self.tell(&server, 0, of: 4, from: "a4")
        Self.tell(&server, 1, of: 3, from: "a3")
        Self.tell(&server, 1, of: 4, from: "a4")
        #expect(server.node.raft.pendingCount == 3)
        Self.tell(&server, 1, of: 2, from: "a2")
        #expect(server.node.raft.pendingCount == 4)
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
}
