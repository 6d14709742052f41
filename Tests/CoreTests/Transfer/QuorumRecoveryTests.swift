import Testing

@testable import Core

/// What the log of a server tells whoever has to choose between several.
@Suite struct QuorumRecoveryTests {
    private func recovery(_ node: NodeHarness) throws -> QuorumRecovery {
        var recovery = QuorumRecovery(dataID: node.id) { [disk = node.disk] in disk.perform($0) }
        try recovery.read()
        return recovery
    }

    /// As after a vote for somebody who was never heard of again.
    private func vote(in term: Term, on node: NodeHarness) {
        var log = LogJournal(dataID: node.id)
        var requests: [StorageRequest] = []
        var actions: [LogJournalAction] = []
        func pump() {
            while !requests.isEmpty {
                let request = requests.removeFirst()
                log.handle(
                    node.disk.perform(request.operation), for: request.ticket, at: .zero,
                    into: &requests, actions: &actions)
            }
        }
        log.recover(after: 0, term: nil, into: &requests)
        pump()
        log.append(HardState(term: term))
        log.flush(into: &requests)
        pump()
    }

    @Test func aVoteDoesNotMakeALogNewer() throws {
        var node = NodeHarness()
        node.advance(.seconds(2))
        let before = try recovery(node)
        vote(in: 40, on: node)
        var after = try recovery(node)
        #expect(before.lastTerm > 0)
        #expect(after.lastTerm == before.lastTerm)
        #expect(after.lastIndex == before.lastIndex)
        // Nobody may lead in the term of that vote.
        _ = try after.write(salt: 1)
        #expect(try recovery(node).lastTerm == 41)
    }
}
