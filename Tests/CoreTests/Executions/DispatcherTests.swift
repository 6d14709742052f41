import Testing

@testable import Core

/// The leader's side of executions, in front of a store. Actions are told in words.
@Suite struct DispatcherTests {
    private struct Fixture {
        var store = StoreFixture()
        var dispatcher = Dispatcher(own: NodeName("n1"), incarnation: 1)
        var now = Instant(nanoseconds: 1_000_000_000_000)
        var actions: [Dispatcher.Action] = []

        mutating func take() -> [String] {
            defer { actions = [] }
            return actions.compactMap { action -> String? in
                switch action {
                case .send(_, .run(let assignment, _)): "run \(assignment.group)"
                case .send(_, .kill): "kill"
                case .send(_, .settle): "settle"
                case .send(_, .heartbeatHeard): "heard"
                case .send(_, .leave), .send(_, .farewell): "?"
                case .report(let report):
                    switch report.news {
                    case .lost(let reason): "lost: \(reason)"
                    case .ended(let result): "\(result.state): \(result.error)"
                    default: "?"
                    }
                case .retry: "retry"
                case .decideChild: "child"
                case .mark: nil
                }
            }
        }

        mutating func launch(_ assignment: Assignment) -> [String] {
            dispatcher.launch(assignment, at: now, into: &actions)
            return take()
        }

        mutating func wait(_ seconds: Int64) -> [String] {
            now = now + .seconds(seconds)
            dispatcher.deadline(store.store, at: now, into: &actions)
            return take()
        }

        mutating func heartbeat(from node: String = "n1") -> [String] {
            dispatcher.heard(
                Heartbeat(incarnation: 1, sentAt: Instant(nanoseconds: 5)), from: NodeName(node),
                at: now, into: &actions)
            return take()
        }

        /// Runs the walk over the store to its end.
        mutating func takeOver() -> [String] {
            while dispatcher.wantsStep {
                dispatcher.proceed(
                    store.store, stamp: store.stamp, at: now, into: &actions)
            }
            return take()
        }
    }

    private func assignment(_ number: Int64, node: String = "n1") -> Assignment {
        var assignment = RunnerFixture.assignment(number)
        assignment.node = NodeName(node)
        assignment.group = number
        return assignment
    }

    // MARK: Leases

    @Test func whatIsNotAcceptedInTimeIsLostAndMayNotStart() {
        var fixture = Fixture()
        same(fixture.launch(assignment(1)), ["run 1"])
        same(fixture.launch(assignment(1)), [])
        same(fixture.wait(59), [])
        same(fixture.wait(6), ["kill", "lost: the agent did not answer for 60 s"])
        #expect(fixture.dispatcher.outstandingCount == 0)
        _ = fixture.wait(10)
        #expect(fixture.dispatcher.nextDeadline == nil, "nothing is left to be looked at")
    }

    @Test func aSilentAgentLosesWhatItAccepted() {
        var fixture = Fixture()
        _ = fixture.launch(assignment(1))
        fixture.dispatcher.accepted(RunnerFixture.key(1))
        same(fixture.wait(200), [])
        same(fixture.heartbeat(), ["heard"])
        same(fixture.wait(295), [])
        same(fixture.wait(6), ["lost: the agent was not heard of for 5m0s"])
    }

    @Test func anAgentThatWasIdleForLongLosesNothing() {
        var fixture = Fixture()
        _ = fixture.launch(assignment(1))
        _ = fixture.heartbeat()
        fixture.dispatcher.ended(RunnerFixture.key(1))
        _ = fixture.wait(10_000)
        _ = fixture.launch(assignment(2))
        same(fixture.wait(6), [])
        #expect(fixture.dispatcher.outstandingCount == 1)
    }

    // MARK: Other nodes

    /// A run of the store on another node.
    private func remote(_ fixture: inout Fixture) -> Assignment {
        fixture.store.node = NodeName("n2")
        fixture.store.put("a")
        fixture.store.runNow("a")
        return fixture.store.launched[0]
    }

    @Test func whoWasNotHeardIsSentNothingAndGivenUpAfterAMinute() {
        var fixture = Fixture()
        let run = remote(&fixture)
        same(fixture.launch(run), [])
        same(fixture.wait(55), [])
        same(fixture.wait(6), ["failed: the node could not be reached for 60 s"])
        #expect(fixture.dispatcher.nextDeadline == nil)
    }

    /// The order crosses the good-bye: whoever has said it begins nothing any more, but an end that
    /// was never told may be missing of what it had taken.
    @Test func whoeverSaysGoodbyeHasNotBegunWhatItHadNotTaken() {
        for (isAccepted, told) in [
            (false, "failed: the agent left the cluster"),
            (true, "lost: the agent left the cluster"),
        ] {
            var fixture = Fixture()
            let run = remote(&fixture)
            _ = fixture.heartbeat(from: "n2")
            _ = fixture.launch(run)
            if isAccepted { fixture.dispatcher.accepted(run.key) }
            fixture.dispatcher.departed(
                run.node, saidGoodbye: true, fixture.store.store, into: &fixture.actions)
            same(fixture.take(), [told])
            #expect(fixture.dispatcher.outstandingCount == 0)
        }
    }

    @Test func whatWaitsIsSentOnceTheAgentIsHeard() {
        var fixture = Fixture()
        let run = remote(&fixture)
        same(fixture.launch(run), [])
        #expect(!fixture.dispatcher.wantsStep)
        same(fixture.heartbeat(from: "n2"), ["heard"])
        #expect(fixture.dispatcher.wantsStep)
        same(fixture.takeOver(), ["run \(run.group)"])
    }

    @Test func anOrderIsRepeatedUntilItIsAcceptedOrTooOld() {
        var fixture = Fixture()
        let run = remote(&fixture)
        _ = fixture.heartbeat(from: "n2")
        same(fixture.launch(run), ["run \(run.group)"])
        same(fixture.wait(5), [])
        same(fixture.takeOver(), ["run \(run.group)"])
        fixture.dispatcher.accepted(run.key)
        _ = fixture.wait(5)
        same(fixture.takeOver(), [])
        var late = Fixture()
        let other = remote(&late)
        _ = late.heartbeat(from: "n2")
        _ = late.launch(other)
        var times: [Int] = []
        var told: [String] = []
        for second in stride(from: 5, through: 75, by: 5) {
            // It is heard for a while, and then no more.
            if second <= 10 { _ = late.heartbeat(from: "n2") }
            told += late.wait(5)
            if late.takeOver() == ["run \(other.group)"] { times.append(second) }
        }
        same(times, [5, 10, 15])
        same(told, ["kill", "lost: the agent did not answer for 60 s"])
    }

    /// It may be heard and hear nothing, as behind a wall that lets through one direction.
    @Test func whoIsHeardIsGivenUpOnlyWhenNoOrderCanBeObeyedAnyMore() {
        var fixture = Fixture()
        let run = remote(&fixture)
        _ = fixture.heartbeat(from: "n2")
        _ = fixture.launch(run)
        var told: [(second: Int, words: [String])] = []
        var lastOrder = 0
        for second in stride(from: 5, through: 700, by: 5) {
            _ = fixture.heartbeat(from: "n2")
            let words = fixture.wait(5)
            if !words.isEmpty { told.append((second, words)) }
            if !fixture.takeOver().isEmpty { lastOrder = second }
        }
        // Asked until its lease would be over, then only to leave it, and at last given up.
        same(lastOrder, 295)
        same(told.first?.second, 300)
        same(told.first?.words, ["kill"])
        same(told.last?.second, 595)
        same(
            told.last?.words,
            ["kill", "lost: the agent is heard, but has not taken the execution"])
        #expect(fixture.dispatcher.outstandingCount == 0)
    }

    @Test func whatAnEarlierLeaderMayHaveSentIsNotGivenUpEarly() {
        var fixture = Fixture()
        _ = remote(&fixture)
        fixture.dispatcher.gainLeadership(at: fixture.now)
        same(fixture.takeOver(), [])
        same(fixture.wait(120), [])
        same(fixture.wait(185), ["lost: the agent was not heard of for 5m0s"])
    }

    // MARK: The window

    @Test func anAgentHoldsABoundedNumberOfUnstartedRuns() {
        var fixture = Fixture()
        fixture.store.put("a")
        var groups: [Assignment] = []
        for number in 0..<(Tunables().dispatchWindow + 100) {
            fixture.store.runNow("a", "\(number)")
            groups.append(fixture.store.launched[0])
        }
        var sent = 0
        for group in groups { sent += fixture.launch(group).count }
        #expect(sent == Tunables().dispatchWindow)
        // Half of them start: the rest follows, each once.
        for group in groups.prefix(Tunables().dispatchWindow / 2) {
            fixture.dispatcher.started(group.key)
            fixture.dispatcher.started(group.key)
        }
        let resumed = fixture.takeOver()
        #expect(resumed.count == 100)
        #expect(fixture.dispatcher.outstandingCount == Tunables().dispatchWindow + 100)
    }

    @Test func oneFullAgentDoesNotHoldUpAnother() {
        var fixture = Fixture()
        for number in 0..<Tunables().dispatchWindow {
            _ = fixture.launch(assignment(Int64(number + 1)))
        }
        same(fixture.launch(assignment(5_000)), [])
        _ = fixture.heartbeat(from: "n2")
        same(fixture.launch(assignment(5_001, node: "n2")), ["run 5001"])
    }

    @Test func theEndOfOneMakesRoomToo() {
        var fixture = Fixture()
        for number in 0..<Tunables().dispatchWindow {
            _ = fixture.launch(assignment(Int64(number + 1)))
        }
        same(fixture.launch(assignment(5_000)), [])
        for number in 0..<Tunables().dispatchWindow / 2 {
            fixture.dispatcher.ended(RunnerFixture.key(Int64(number + 1)))
        }
        #expect(fixture.dispatcher.wantsStep)
    }

    @Test func whoWasDecidedFirstIsSentFirst() {
        var fixture = Fixture()
        fixture.store.put("old")
        fixture.store.put("young")
        func run(_ job: String, _ name: String) -> Assignment {
            fixture.store.runNow(job, name)
            return fixture.store.launched[0]
        }
        var held: [Assignment] = []
        for number in 0..<Tunables().dispatchWindow {
            held.append(run("old", "\(number)"))
            _ = fixture.launch(held[number])
        }
        // The agent has all that it may have; what follows waits, young and old in turns.
        var waiting: [Assignment] = []
        for number in 0..<6 {
            waiting.append(run(number.isMultiple(of: 2) ? "young" : "old", "waiting \(number)"))
            same(fixture.launch(waiting[number]), [])
        }
        #expect(!fixture.dispatcher.wantsStep)
        func leave(_ assignment: Assignment) {
            fixture.store.end(assignment)
            fixture.dispatcher.ended(assignment.key)
        }
        leave(held[0])
        same(fixture.takeOver(), ["run \(waiting[0].group)"])
        // What has ended while it waited takes nobody's place, and a new one overtakes nobody.
        leave(waiting[1])
        leave(held[1])
        let last = run("young", "last")
        same(fixture.launch(last), [])
        same(fixture.takeOver(), ["run \(waiting[2].group)"])
        // A new leader keeps the order.
        for assignment in held.dropFirst(2) { leave(assignment) }
        fixture.dispatcher.gainLeadership(at: fixture.now)
        let order = [waiting[0], waiting[2], waiting[3], waiting[4], waiting[5], last]
        same(fixture.takeOver(), order.map { "run \($0.group)" })
    }

    /// The word to end it may be lost, and that to begin it not.
    @Test func whatIsToBeEndedIsNotOrderedAgain() {
        var fixture = Fixture()
        let run = remote(&fixture)
        _ = fixture.heartbeat(from: "n2")
        same(fixture.launch(run), ["run \(run.group)"])
        var actions: [Dispatcher.Action] = []
        fixture.dispatcher.killRequested(run.key, run.node, into: &actions)
        var told: [String] = []
        for _ in 0..<6 {
            told += fixture.heartbeat(from: "n2") + fixture.wait(5) + fixture.takeOver()
        }
        #expect(told.contains("kill"))
        #expect(!told.contains("run \(run.group)"))
    }

    // MARK: Taking over

    @Test func aNewLeaderTakesUpEverythingUnfinished() {
        var fixture = Fixture()
        fixture.store.put("a") { $0.retries = 1 }
        fixture.store.put("child", schedule: "") { $0.parent = JobName("a") }
        fixture.store.put("gone")
        fixture.store.runNow("a", "running")
        let running = fixture.store.launched[0]
        fixture.store.apply(.kill(running.job, running.key))
        fixture.store.runNow("a", "pending")
        let pending = fixture.store.launched[0]
        fixture.store.runNow("a", "failed")
        fixture.store.end(fixture.store.launched[0], .failed)
        fixture.store.runNow("a", "success")
        fixture.store.end(fixture.store.launched[0])
        fixture.store.runNow("gone")
        fixture.store.apply(.deleteJob(JobName("gone"), .none, kill: true))
        fixture.dispatcher.gainLeadership(at: fixture.now)
        same(
            fixture.takeOver(),
            ["child", "kill", "kill", "run \(pending.group)"])
        // The retry waits for what is left of its time.
        same(fixture.wait(1), ["retry"])
        #expect(fixture.dispatcher.outstandingCount == 2)
        fixture.dispatcher.loseLeadership()
        same(fixture.wait(1_000), [])
    }

    @Test func manyRetriesAreTakenUpInSlices() {
        var fixture = Fixture()
        fixture.store.put("a") { $0.retries = 1 }
        for number in 0..<(Dispatcher.sliceSize + 10) {
            fixture.store.runNow("a", "\(number)")
            fixture.store.end(fixture.store.launched[0], .failed)
        }
        fixture.dispatcher.gainLeadership(at: fixture.now)
        same(fixture.takeOver(), [])
        #expect(fixture.wait(2).count == Dispatcher.sliceSize + 10)
    }
}
