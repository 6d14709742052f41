import Testing

@testable import Core

/// Requests that come while a cluster has no leader.
@Suite struct AwaitingTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1h","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    @Test func requestsOfAFailOverAreAnsweredByTheNextLeader() throws {
        var cluster = ClusterHarness(3)
        let first = try #require(cluster.leader)
        let follower = try #require(cluster.followers.first)
        same(cluster.ask(first, .post, "/v1/jobs", Self.job).status, 201)
        cluster.isolated = Set(cluster.servers.indices)
        cluster.advance(.seconds(2))
        #expect(cluster.servers[follower].node.raft.leader == nil)
        let change = Self.job.replacing("1h", with: "2h")
        let wrote = cluster.servers[follower].send(.post, "/v1/jobs", change)
        #expect(cluster.servers[follower].answers[wrote] == nil)
        // A client that leaves is forgotten.
        let left = cluster.servers[follower].send(.delete, "/v1/jobs/a")
        cluster.servers[follower].feed(.requestAbandoned(left))
        cluster.isolated = [first]
        cluster.advance(.seconds(3))
        #expect(
            cluster.servers[follower].answers[wrote]?.status == 201,
            "\(cluster.servers[follower].text(wrote))")
        #expect(cluster.ask(follower, .get, "/v1/jobs/a").body.contains("@every 2h"))
        #expect(cluster.servers[follower].answers[left] == nil)
    }

    /// What only reads is asked of the next leader again when the first one dies over it; what
    /// writes may have been done.
    @Test func whatWasOnItsWayIsReadAgainAndNotWrittenAgain() throws {
        var cluster = ClusterHarness(3)
        let first = try #require(cluster.leader)
        let follower = try #require(cluster.followers.first)
        same(cluster.ask(first, .post, "/v1/jobs", Self.job).status, 201)
        cluster.isolated = [first]
        let read = cluster.servers[follower].send(.get, "/v1/jobs/a")
        let written = cluster.servers[follower].send(.post, "/v1/jobs/a/toggle")
        cluster.exchange()
        cluster.advance(.seconds(3))
        same(cluster.servers[follower].answers[read]?.status, 200)
        same(cluster.servers[follower].answers[written]?.status, 503)
        #expect(cluster.servers[follower].text(written).contains("outcome_unknown"))
    }

    /// Whoever leads again after a moment without is asked again, and takes it for no repeat.
    @Test func aReadComesBackToTheSameLeader() throws {
        var cluster = ClusterHarness(3)
        let first = try #require(cluster.leader)
        let follower = try #require(cluster.followers.first)
        cluster.loses = { if case .response = $0 { true } else { false } }
        let read = cluster.servers[follower].send(.get, "/v1/jobs")
        cluster.exchange()
        cluster.servers[follower].node.forwarding.leader = nil
        let other = ServerID(999)
        cluster.servers[follower].node.forwarding.update(read) { $0.leader = other }
        cluster.loses = { _ in false }
        cluster.advance(.milliseconds(300))
        #expect(cluster.servers[follower].node.raft.leader == cluster.servers[first].id)
        same(cluster.servers[follower].answers[read]?.status, 200)
    }

    @Test func withoutAMajorityRequestsWaitOnlyUntilItIsKnown() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        let follower = try #require(cluster.followers.first)
        cluster.isolated = Set(cluster.servers.indices)
        cluster.advance(.seconds(2))
        #expect(cluster.servers[leader].node.raft.leader == nil)
        let early = cluster.servers[follower].send(.post, "/v1/jobs", Self.job)
        #expect(cluster.servers[follower].answers[early] == nil)
        cluster.advance(.seconds(5))
        same(cluster.servers[follower].answers[early]?.status, 503)
        #expect(cluster.servers[follower].text(early).contains("no_leader"))
        let late = cluster.servers[follower].send(.get, "/v1/jobs")
        same(cluster.servers[follower].answers[late]?.status, 503)
        cluster.isolated = []
        cluster.advance(.seconds(3))
        same(cluster.ask(follower, .post, "/v1/jobs", Self.job).status, 201)
    }

    @Test func noMoreIsKeptThanThereIsRoomFor() throws {
        var cluster = ClusterHarness(3)
        let follower = try #require(cluster.followers.first)
        cluster.isolated = Set(cluster.servers.indices)
        cluster.advance(.seconds(2))
        let padding = String(repeating: " ", count: 1 << 20)
        let large = (0..<17).map { _ in
            cluster.servers[follower].send(.post, "/v1/jobs", Self.job + padding)
        }
        let refused = large.filter { cluster.servers[follower].answers[$0] != nil }
        #expect(refused.count == 2, "16 MiB and no more: a body is a little longer than a MiB")
        #expect(cluster.servers[follower].text(refused[0]).contains("busy"))
        let small = (0..<AwaitingRequests.limit).map { _ in
            cluster.servers[follower].send(.get, "/v1/jobs")
        }
        let many = small.filter { cluster.servers[follower].answers[$0] != nil }
        #expect(many.count == large.count - refused.count)
    }
}
