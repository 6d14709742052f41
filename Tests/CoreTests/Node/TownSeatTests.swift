import Testing

@testable import Core

/// Which seats a leader takes back that has not seen who had them.
@Suite struct TownSeatTests {
    /// At the first levels the log remembers nobody who is gone: who died then is not one whose
    /// machine was replaced.
    @Test func whoDiedBeforeTheLogKnewItKeepsItsSeat() throws {
        var town = TownHarness()
        // Two found the cluster, and a third one is taken in.
        for (position, others) in [[1], [0], [0, 1]].enumerated() {
            town.add(expect: position < 2 ? 2 : 0, joining: others) { config in
                if position == 0 { config.featureLevel = FeatureLevel.second }
            }
        }
        let isComplete = town.advance(atMost: .seconds(30)) { town in
            town.leader.map { town.nodes[$0].node.raft.configuration.voters.count == 3 } ?? false
        }
        #expect(isComplete)
        let first = try #require(town.leader)
        let job =
            #"{"name":"a","schedule":"@every 1s","executor":"shell","#
            + #""executor_config":{"command":"date"}}"#
        same(town.ask(first, .post, "/v1/jobs", job).status, 201)
        town.advance(.seconds(3))
        // The one that goes on knows all three.
        if first != 1 { same(town.ask(first, .post, "/v1/raft/transfer?to=n2").status, 200) }
        town.advance(.seconds(5))
        same(town.leader, 1)
        let dead = 2
        town.isolated = [dead]
        town.advance(.seconds(60))
        // The first one gets a newer program. Then both forget whom they have seen.
        let others = [0, 1]
        town.nodes[0].restart { $0.featureLevel = FeatureLevel.newest }
        town.advance(.seconds(10))
        for position in others { town.isolated.insert(position) }
        for position in others + [others[0]] {
            town.nodes[position].restart()
            town.advance(.seconds(1))
        }
        town.isolated = [dead]
        town.advance(.seconds(30))
        let leader = try #require(town.leader)
        let node = town.nodes[leader].node
        same(node.store.cluster.featureLevel, FeatureLevel.newest)
        #expect(!node.members.contains { $0.id == town.nodes[dead].id })
        same(node.raft.configuration.voters, town.nodes.map(\.id).sorted())
    }
}
