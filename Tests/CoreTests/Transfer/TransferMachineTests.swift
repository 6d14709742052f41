import Testing

@testable import Core

/// The two machines of a transfer, joined by whatever a network may do.
@Suite struct TransferMachineTests {
    private static func expectAll(_ bench: TransferBench) {
        #expect(bench.installed?.hash == bench.store.hash)
        #expect(bench.installed?.appliedIndex == TransferBench.head.index)
        var written = Store()
        for slice in bench.slices { try? written.restore(slice: slice) }
        #expect(written.hash == bench.store.hash, "the disk has what memory has")
        #expect(bench.outputs == bench.expectedOutputs)
        #expect(bench.failures == [])
    }

    @Test func aTransferBringsStateAndOutputs() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        let isDone = bench.run { $0.installed != nil && $0.ended == 1 }
        #expect(isDone)
        Self.expectAll(bench)
        #expect(bench.expectedOutputs.count > 50)
        #expect(bench.sender.isIdle && !bench.receiver.isActive)
        #expect(bench.mostInFlight <= 5)
        let largest = bench.sent.compactMap { message -> Int? in
            if case .part(_, let part) = message.body { part.byteCount } else { nil }
        }.max()
        #expect(largest! < 1_000 + 800)
    }

    @Test func outputsThatAreThereAreNotSent() {
        var bench = TransferBench(seed: 1)
        bench.appliedIndex = 401
        bench.begin()
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
        Self.expectAll(bench)
        let records = bench.sent.reduce(0) { sum, message in
            if case .part(_, .outputs(let records)) = message.body {
                return sum + records.count
            }
            return sum
        }
        #expect(records == bench.outputs.count && records > 5)
    }

    @Test(arguments: 1...40) func itComesThroughABadNetwork(seed: Int) {
        var bench = TransferBench(seed: UInt64(seed), records: 150, outputs: 30)
        bench.loss = bench.random.below(40)
        bench.repetition = bench.random.below(40)
        bench.longestDelay = .milliseconds(Int64(bench.random.int(in: 1...400)))
        bench.slowness = .milliseconds(Int64(bench.random.int(in: 1...20)))
        bench.appliedIndex = bench.random.chance(1, 2) ? 0 : 120
        bench.begin()
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
        Self.expectAll(bench)
        let isOver = bench.run { $0.sender.isIdle && $0.messages.isEmpty }
        #expect(isOver)
    }

    @Test func aSilentFollowerCostsNoMoreThanOffers() {
        var bench = TransferBench(seed: 1)
        bench.loss = 100
        bench.begin()
        _ = bench.run(for: .seconds(60)) { _ in false }
        #expect(bench.sent.allSatisfy { $0.body == .offer })
        #expect((55...65).contains(bench.sent.count))
        #expect(bench.sender.activeCount == 0)
    }

    @Test func bothSidesGiveUpAfterSilence() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.slices.count > 3 }
        bench.loss = 100
        bench.messages = []
        let isGivenUp = bench.run(for: .seconds(30)) {
            !$0.receiver.isActive && $0.sender.activeCount == 0
        }
        #expect(isGivenUp)
        #expect(bench.abandoned == 1)
        #expect(!bench.receiver.discarded.isEmpty, "what came is let go in slices")
        // And begin again when they hear each other.
        bench.loss = 0
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
        #expect(bench.installed?.hash == bench.store.hash)
        #expect(bench.outputs == bench.expectedOutputs)
    }

    /// An offer comes twice, and between the two the follower has given up: it is at the beginning
    /// of a transfer of which the leader has sent most.
    @Test func aLateOfferDoesNotHoldThemUpForEver() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.slices.count > 3 }
        bench.withReceiver { $0.drop(into: &$2) }
        bench.messages = []
        let number = bench.sent[0].number
        bench.withReceiver {
            let offer = TransferMessage(term: 3, number: number, body: .offer)
            $0.receive(offer, from: TransferBench.leader, at: $1, into: &$2)
        }
        let isDone = bench.run(for: .minutes(2)) { $0.installed != nil }
        #expect(isDone)
        #expect(bench.installed?.hash == bench.store.hash)
        let isWhole = bench.outputs == bench.expectedOutputs
        #expect(isWhole)
    }

    @Test func aNewTermEndsIt() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.outputs.count > 3 }
        bench.followerTerm = 4
        bench.tick()
        #expect(!bench.receiver.isActive)
        #expect(bench.abandoned == 1)
        let isEnded = bench.run(for: .seconds(2)) { $0.ended == 1 }
        #expect(isEnded)
        // Offers of the old term are not taken any more.
        bench.begin()
        _ = bench.run(for: .seconds(5)) { _ in false }
        #expect(bench.begun.count == 1)
    }

    @Test func whatHasItsNameIsInstalledWhateverComes() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.isNaming }
        bench.followerTerm = 9
        bench.loss = 100
        let isDone = bench.run(for: .seconds(1)) { $0.installed != nil }
        #expect(isDone)
        #expect(bench.abandoned == 0)
    }

    @Test func aLeaderThatLeadsNoMoreIsForgotten() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.slices.count > 3 }
        bench.sender.endAll()
        // Its followers hear so when they ask on, or after the silence.
        let isGivenUp = bench.run(for: .seconds(25)) { !$0.receiver.isActive }
        #expect(isGivenUp)
        #expect(bench.installed == nil)
    }

    @Test func aSnapshotThatIsHeldIsRefused() {
        var bench = TransferBench(seed: 1)
        bench.holdsAll = true
        bench.begin()
        let isEnded = bench.run(for: .seconds(2)) { $0.ended == 1 }
        #expect(isEnded)
        #expect(bench.sender.isIdle && bench.begun.isEmpty && bench.abandoned == 0)
        // Asked for again at once, it is offered again after a while only.
        let before = bench.sent.count
        bench.begin()
        #expect(bench.sent.count == before)
        _ = bench.run(for: .milliseconds(1_100)) { _ in false }
        #expect(bench.sent.count > before)
    }

    @Test func aTransferWaitsForTheFollowersOwnSnapshot() {
        var bench = TransferBench(seed: 1)
        bench.isWriting = true
        bench.diskDone = bench.now + .seconds(30)
        bench.begin()
        _ = bench.run(for: .seconds(5)) { _ in false }
        #expect(bench.begun.isEmpty && bench.receiver.isActive)
        bench.isWriting = false
        bench.diskDone = nil
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
        Self.expectAll(bench)
    }

    @Test func theDiskMayBeFull() {
        var bench = TransferBench(seed: 1)
        bench.begin()
        _ = bench.run { $0.slices.count > 3 }
        bench.isWriting = false
        bench.diskDone = nil
        bench.withReceiver { receiver, _, actions in
            receiver.diskFailed("no room", into: &actions)
        }
        #expect(bench.failures == ["no room"])
        #expect(bench.abandoned == 0, "the disk has removed it already")
        let isEnded = bench.run(for: .seconds(1)) { $0.ended == 1 }
        #expect(isEnded)
    }

    @Test func aStateOrOutputThatIsDamagedIsNotTaken() {
        let damages: [(TransferPart) -> TransferPart?] = [
            { if case .end(let hash) = $0 { .end(hash &+ hash) } else { nil } },
            { if case .slice(let bytes) = $0 { .slice(Array(bytes.dropLast())) } else { nil } },
            { if case .slice = $0 { .slice([]) } else { nil } },
            {
                guard case .outputs(var records) = $0, records[0].count > 99 else { return nil }
                records[0].removeLast()
                return .outputs(records)
            },
            {
                guard case .head(var head) = $0 else { return nil }
                head.meta = [7]
                return .head(head)
            },
            { if case .head = $0 { .slice([1, 2]) } else { nil } },
        ]
        for damage in damages {
            var bench = TransferBench(seed: 1, records: 80, outputs: 9)
            bench.begin()
            let isRefused = bench.run(for: .seconds(10)) { bench in
                !bench.failures.isEmpty
            } before: { bench in
                for position in bench.messages.indices {
                    guard case .part(let number, let part) = bench.messages[position].content.body
                    else { continue }
                    bench.messages[position].content.body = .part(number, damage(part) ?? part)
                }
            }
            #expect(isRefused)
            #expect(bench.installed == nil && !bench.isWriting)
        }
    }

    @Test func anOutputThatIsGoneOrUnreadableIsLeftOut() {
        var bench = TransferBench(seed: 1)
        bench.lostReads = { _ in true }
        bench.begin()
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
        #expect(!bench.unreadable.isEmpty)
        #expect(bench.outputs.count < bench.expectedOutputs.count)
        #expect(!bench.outputs.isEmpty, "those in memory are there")
    }

    @Test func noMoreThanTwoAtATime() {
        var bench = TransferBench(seed: 1)
        var actions: [SnapshotSender.Action] = []
        for id in 2...4 as ClosedRange<ServerID> {
            bench.sender.begin(id, bench.source, into: &actions)
        }
        var offers: [(ServerID, UInt64)] = []
        for case .send(let id, let message) in actions { offers.append((id, message.number)) }
        #expect(offers.map(\.0) == [2, 3, 4])
        for (id, number) in offers {
            bench.sender.receive(
                TransferMessage(term: 3, number: number, body: .ready(outputsThrough: 0)),
                from: id, bench.source, into: &actions)
        }
        #expect(bench.sender.activeCount == 2)
        #expect(bench.sender.targets.map(\.index) == [500, 500, nil])
        bench.sender.end(2, at: bench.now, into: &actions)
        bench.sender.receive(
            TransferMessage(term: 3, number: 3, body: .ready(outputsThrough: 0)), from: 4,
            bench.source, into: &actions)
        #expect(bench.sender.targets.map(\.id) == [3, 4])
        #expect(bench.sender.activeCount == 2)
    }

    @Test func consensusMustBeAbleToGoOnFromThere() {
        var bench = TransferBench(seed: 1)
        bench.head = nil
        bench.begin()
        _ = bench.run(for: .seconds(3)) { _ in false }
        #expect(bench.sender.activeCount == 0)
        bench.head = TransferBench.head
        let isDone = bench.run { $0.installed != nil }
        #expect(isDone)
    }
}
