import Testing

@testable import Core

/// What an agent begins only while a leader hears it.
@Suite struct RunnerLeaseTests {
    private typealias Fixture = RunnerFixture

    @Test func anOrderThatIsTooOldStartsNothing() {
        var fixture = Fixture()
        same(fixture.assign(1, age: .seconds(31)), [])
        same(fixture.assign(1, life: 7), [])
        #expect(fixture.runner.heldCount == 0)
        #expect(!fixture.assign(1, age: .seconds(30)).isEmpty)
        #expect(fixture.runner.heldCount == 1)
    }

    /// Its lease may be over by then, and its group given up.
    @Test func whatWaitsIsNotBegunByAnAgentThatNobodyHears() {
        var fixture = Fixture(maxRunning: 1)
        for number in Int64(1)...2 { _ = fixture.assign(number) }
        #expect(fixture.sync().contains("start 1"))
        _ = fixture.wait(29)
        _ = fixture.hear()
        _ = fixture.wait(31)
        #expect(!fixture.event(1, Fixture.ended()).contains("start 2"))
        // Heard again: but meanwhile it may have been given up. Ordered again it is wanted.
        #expect(!fixture.hear().contains("start 2"))
        _ = fixture.assign(2)
        fixture.runner.startQueued(at: fixture.now, into: &fixture.actions)
        #expect(fixture.take().contains("start 2"))
    }

    /// An agent that is heard and hears nothing would be waited for without end.
    @Test func whatHearsNoLeaderForAnHourIsGivenUp() {
        var fixture = Fixture()
        _ = fixture.assign(1)
        fixture.now.monotonic = fixture.now.monotonic + .seconds(31)
        #expect(!fixture.sync().contains { $0.hasPrefix("start") })
        _ = fixture.wait(3_590)
        same(fixture.runner.activeCount, 1)
        _ = fixture.wait(20)
        #expect(fixture.sync().contains("told failed 1"))
        same(fixture.runner.activeCount, 0)
        // Who asks for it now is told the same.
        _ = fixture.hear()
        #expect(fixture.assign(1).contains("told failed 1"))
    }

    @Test func onlyWhatIsOrderedAgainIsTriedAgain() {
        var fixture = Fixture()
        for number in Int64(1)...3 { _ = fixture.assign(number) }
        fixture.now.monotonic = fixture.now.monotonic + .seconds(31)
        #expect(!fixture.sync().contains { $0.hasPrefix("start") })
        same(fixture.runner.queue.count, 0)
        _ = fixture.hear()
        _ = fixture.assign(2)
        same(fixture.runner.queue.count, 1)
        same(fixture.runner.activeCount, 3)
        // One that is ended meanwhile waits for nothing any more.
        _ = fixture.kill(3)
        same(fixture.runner.activeCount, 2)
        fixture.runner.startQueued(at: fixture.now, into: &fixture.actions)
        #expect(fixture.take().filter { $0.hasPrefix("start") } == ["start 2"])
    }

    @Test func heartbeatsGoOnWhileThereIsWork() {
        var fixture = Fixture()
        fixture.bring(to: "running")
        same(fixture.wait(5), ["heartbeat"])
        same(fixture.wait(4), [])
        fixture.runner.heard(
            Heartbeat(incarnation: 2, sentAt: Instant(nanoseconds: 0)), at: fixture.now,
            into: &fixture.actions)
        same(fixture.take(), [])
        fixture.runner.heard(
            Heartbeat(incarnation: 1, sentAt: Instant(nanoseconds: 0)), at: fixture.now,
            into: &fixture.actions)
        same(fixture.take(), ["renew 9"])
        _ = fixture.event(1, Fixture.ended())
        _ = fixture.sync()
        _ = fixture.settle(1)
        _ = fixture.wait(5)
        _ = fixture.wait(100)
        #expect(fixture.runner.nextDeadline == nil)
    }
}
