import Testing

@testable import Core

/// What becomes of a backup that is recovered where others of its cluster are.
@Suite struct TownBackupTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1s","tags":{"kind":"worker"},"executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    private func join(_ position: Int) -> JoinAddress {
        JoinAddress(host: TownHarness.address(position).ip.description, port: 8946)
    }

    /// A server on a copy, which knows where the server that was backed up is.
    private func recover(
        _ backup: [UInt8], as cluster: String, _ town: inout TownHarness
    ) throws -> Int {
        let copy = town.add()
        town.nodes[copy].now = town.nodes[0].now
        town.nodes[copy].disk.files = try backup.recovered(
            as: cluster, id: town.nodes[copy].id)
        town.nodes[copy].restart { $0.gossip?.retryJoin = [join(0)] }
        return copy
    }

    @Test func copiesAndTheOriginalLeaveEachOtherAlone() throws {
        var town = TownHarness()
        town.add()
        let agent = town.add(server: false, joining: [0]) {
            $0.tags = [TagEntry(name: "kind", value: "worker")]
        }
        town.advance(.seconds(10))
        #expect(town.ask(0, .post, "/v1/jobs", Self.job).status == 201)
        town.advance(.seconds(5))
        let request = town.nodes[0].send(.get, "/v1/backup")
        let backup = try #require(town.nodes[0].bodies[request])
        let cluster = try #require(town.nodes[0].node.clusterID)

        let copies = try ["one", "two"].map { try recover(backup, as: $0, &town) }
        town.advance(.seconds(60))
        for node in town.nodes { #expect(node.halted == nil) }
        #expect(town.nodes[0].node.clusterID == cluster)
        #expect(copies.map { town.nodes[$0].node.clusterID } == ["one", "two"])
        #expect(town.nodes[agent].node.clusterID == cluster)
        for server in [0] + copies {
            #expect(town.nodes[server].node.role == .leader)
            #expect(town.nodes[server].node.raft.configuration.voters.count == 1)
        }

        // An agent that is started again goes where it is sent.
        town.isolated = [0]
        town.nodes[agent].restart { $0.gossip?.retryJoin = [join(copies[0])] }
        let goesOver = town.advance(atMost: .seconds(60)) {
            $0.nodes[agent].node.clusterID == "one"
        }
        #expect(goesOver)
        let count = town.nodes[agent].started.count
        town.advance(.seconds(5))
        #expect(town.nodes[agent].started.count > count)
    }
}
