import Core
import Testing

@testable import Adapters

struct DescriptorBudgetTests {
    private func sum(_ budget: DescriptorBudget) -> Int {
        2 * budget.peers + budget.strangers + budget.gossip + 2 * budget.processors
            + 2 * budget.pluginCalls + budget.requests + budget.conversations + budget.clients
    }

    @Test(arguments: [1_024, 1_100, 2_048, 4_096, 10_000, 16_384, 65_536, 1 << 20])
    func `all connections together leave some for files`(limit: Int) {
        let budget = DescriptorBudget(limit: limit)
        #expect(sum(budget) <= limit - 128)
        #expect(budget.clients >= 50 && budget.peers >= 100)
    }

    @Test func `what is enough changes nothing`() {
        let budget = DescriptorBudget(limit: 65_536)
        #expect(budget.peers == PeerLimits().accepted)
        #expect(budget.strangers == PeerLimits().strangers)
        #expect(budget.pluginCalls == PluginHost.Limits().calls)
        #expect(budget.requests == HTTPCaller.Limits().connections)
        #expect(budget.conversations == Conversations.Limits().connections)
        #expect(budget.clients == 1_024)
    }

    @Test func `with next to nothing everything goes on, a little`() {
        let budget = DescriptorBudget(limit: 64)
        #expect(budget.peers == 16 && budget.clients == 16)
        #expect(budget.conversations == 8 && budget.processors == 4)
    }
}
