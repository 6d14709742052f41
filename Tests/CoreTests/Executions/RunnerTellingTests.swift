import Testing

@testable import Core

/// What an agent tells the leader again, and when.
@Suite struct RunnerTellingTests {
    private typealias Fixture = RunnerFixture

    @Test func aResultIsToldAgainEverMoreRarelyUntilItIsSettled() {
        var fixture = Fixture()
        fixture.bring(to: "finished")
        var times: [Int] = []
        for second in 1...400 where fixture.wait(1).contains("told success 1") {
            times.append(second)
        }
        #expect(times == [5, 15, 35, 75, 155, 315])
        _ = fixture.settle(1)
        #expect(fixture.wait(1_000).filter { $0.hasPrefix("told") }.isEmpty)
    }

    /// A leader that had no room for all of a load has some again when it settles a result.
    @Test func aResultThatIsTakenBringsOthersThatWait() {
        var fixture = Fixture()
        for number in 1...5 as ClosedRange<Int64> {
            _ = fixture.assign(number)
            _ = fixture.sync()
            _ = fixture.event(number, Fixture.started)
            _ = fixture.event(number, Fixture.ended())
        }
        _ = fixture.sync()
        func told(_ words: [String]) -> [String] { words.filter { $0.hasPrefix("told") } }
        // What was told once may be on its way.
        same(told(fixture.settle(1)), [])
        same(told(fixture.wait(5)).count, 4)
        same(told(fixture.settle(2)), ["told success 3", "told success 4"])
        same(told(fixture.settle(3)), ["told success 5"])
        same(told(fixture.settle(4)), [])
        _ = fixture.assign(6)
        _ = fixture.sync()
        _ = fixture.event(6, Fixture.started)
        _ = fixture.event(6, Fixture.ended())
        _ = fixture.sync()
        same(told(fixture.wait(1)), [])
        same(told(fixture.settle(6)), ["told success 5"])
    }

    @Test func anAgentThatGoesTellsItsResultsUntilTheyAreSettled() {
        var fixture = Fixture()
        fixture.bring(to: "finished")
        _ = fixture.wait(100)
        fixture.runner.close(at: fixture.now.monotonic)
        #expect(fixture.wait(0).contains("told success 1"))
        for _ in 1...20 { #expect(fixture.wait(5).contains("told success 1")) }
    }

    /// What an agent that goes has declined its next life declines too: the word may come late.
    @Test func whatWasDeclinedStaysDeclined() {
        var fixture = Fixture()
        fixture.runner.close(at: fixture.now.monotonic)
        same(fixture.assign(1), ["journal accepted", "journal finished"])
        same(fixture.sync(), ["told failed 1"])
        same(fixture.restart(), ["told failed 1"])
        same(fixture.assign(1), ["told failed 1"])
        same(fixture.sync(), [])
        // An order that was meant for an earlier life may have been carried out by that.
        fixture.runner.close(at: fixture.now.monotonic)
        same(fixture.assign(2, life: 7), [])
    }

    /// The first answer may have come to nobody.
    @Test func whoAsksAgainToEndWhatWasNeverOrderedIsAnsweredAgain() {
        var fixture = Fixture()
        for _ in 1...3 {
            #expect(fixture.kill(7).contains("told killed 7"))
            _ = fixture.wait(5)
        }
        #expect(!fixture.assign(7).contains { $0.hasPrefix("start") })
        // What did run was told, and settled.
        fixture.bring(to: "finished")
        _ = fixture.settle(1)
        #expect(!fixture.kill(1).contains { $0.hasPrefix("told") })
    }

    @Test func aNewLeaderIsToldWhatIsKnown() {
        var fixture = Fixture()
        fixture.bring(to: "running")
        _ = fixture.event(1, Fixture.started)
        fixture.runner.leaderChanged(at: fixture.now.monotonic, into: &fixture.actions)
        same(fixture.take().filter { $0.hasPrefix("told") }, ["told started 1"])
        _ = fixture.event(1, Fixture.ended())
        _ = fixture.sync()
        fixture.runner.leaderChanged(at: fixture.now.monotonic, into: &fixture.actions)
        let told = fixture.wait(0)
        #expect(told.contains { $0.hasPrefix("told success") })
    }

    @Test func aLongOutputIsToldInPieces() {
        var fixture = Fixture()
        fixture.bring(to: "running")
        _ = fixture.event(1, .output([UInt8](repeating: 1, count: 300_000), skipped: 0))
        _ = fixture.event(1, Fixture.ended(3))
        same(
            fixture.sync(),
            [
                "told output 0 of 65536", "told output 1 of 65536", "told output 2 of 65536",
                "told output 3 of 59392", "told failed 1",
            ])
    }
}
