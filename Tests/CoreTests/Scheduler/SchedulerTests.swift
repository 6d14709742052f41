import Testing

@testable import Core

/// What is proposed when: in front of a store that applies it when the test says so.
@Suite struct SchedulerTests {
    private struct Fixture {
        var store = StoreFixture()
        var scheduler = Scheduler()
        var zones = ZoneTable()
        var actions: [Scheduler.Action] = []

        init() { scheduler.continueRebuild(store.store, zones, into: &actions) }

        mutating func put(
            _ name: String, _ schedule: String, _ change: (inout JobDocument) -> Void = { _ in }
        ) {
            let decisions = edit(name)
            var document = store.store.document(JobName(name)) ?? JobDocument(name: JobName(name))
            document.schedule = schedule
            change(&document)
            store.apply(.putJob(PutJob(document: document)), decisions: decisions)
            tell(decisions)
        }

        /// What an edit proposed now carries.
        mutating func edit(_ name: String) -> [JobDecision] {
            let node = store.node
            return scheduler.decisionsBeforeEdit(
                of: JobName(name), at: store.stamp, store.store, zones
            ) { _ in [node] }
            .map { [$0] } ?? []
        }

        mutating func apply(_ decisions: [JobDecision]) {
            store.apply(.decide, decisions: decisions)
            tell(decisions)
        }

        private mutating func tell(_ decisions: [JobDecision]) {
            for event in store.events {
                guard case .jobChanged(let name) = event else { continue }
                scheduler.jobChanged(name, store.store, zones, into: &actions)
            }
            for decision in decisions {
                scheduler.decided(decision.job, store.store, zones, into: &actions)
            }
        }

        /// What the running scheduler proposes now.
        mutating func decide() -> [JobDecision] {
            actions = []
            let node = store.node
            _ = scheduler.decide(at: store.stamp, store.store, zones, into: &actions) { _ in [node]
            }
            return actions.flatMap { action -> [JobDecision] in
                if case .propose(let decisions) = action { decisions } else { [] }
            }
        }

        mutating func wait(_ seconds: Int64) { store.wait(.seconds(seconds)) }

        var askedZones: [String] {
            actions.compactMap { if case .loadZone(let name) = $0 { name } else { nil } }
        }
    }

    private func times(_ decisions: [JobDecision]) -> [Int64] {
        decisions.flatMap(\.ticks).map { $0.from.seconds - 1_000_000 }
    }

    @Test func aJobIsProposedOnceUntilItsDecisionIsApplied() {
        var fixture = Fixture()
        fixture.put("a", "@every 2s")
        fixture.wait(2)
        let first = fixture.decide()
        #expect(times(first) == [2])
        fixture.wait(2)
        same(fixture.decide(), [])
        fixture.apply(first)
        same(times(fixture.decide()), [4])
    }

    @Test func anEditCarriesOnlyWhatIsNotOnItsWay() {
        var fixture = Fixture()
        fixture.put("a", "@every 1s") { $0.catchUp = .none }
        fixture.wait(2)
        let first = fixture.decide()
        fixture.wait(30)
        let carried = fixture.edit("a")
        #expect(times(first) == [1, 2])
        #expect(carried[0].ticks[0].from.seconds == 1_000_003)
        // And what the scheduler would decide waits for the edit.
        fixture.wait(1)
        same(fixture.decide(), [])
        fixture.apply(first)
        same(fixture.decide(), [])
        fixture.apply(carried)
        same(times(fixture.decide()), [33])
        // Every tick has exactly one outcome.
        let rows = fixture.store.ledger("a").reversed().map { row in
            (row.from.seconds, row.to.seconds)
        }
        var next: Int64 = 1_000_001
        for (from, to) in rows {
            #expect(from == next)
            next = to + 1
        }
        #expect(next == 1_000_033)
    }

    @Test func anEditInFlightIsFollowedByTheNewSchedule() {
        var fixture = Fixture()
        fixture.put("a", "@every 2s")
        fixture.wait(2)
        let void = fixture.decide()
        fixture.put("a", "@every 5s")
        #expect(fixture.store.state("a").revision == 2)
        fixture.apply(void)
        fixture.wait(5)
        same(times(fixture.decide()), [7])
    }

    @Test func anEditOfAllCarriesAlsoWhatIsBeingDecided() {
        var fixture = Fixture()
        fixture.put("a", "@every 2s")
        fixture.put("b", "@every 3s")
        fixture.put("c", "@every 100s")
        fixture.wait(2)
        let first = fixture.decide()
        #expect(first.map(\.job.text) == ["a"])
        fixture.wait(2)
        let node = fixture.store.node
        let all = fixture.scheduler.decisionsBeforeEditOfAll(
            at: fixture.store.stamp, edited: [], fixture.store.store, fixture.zones
        ) { _ in [node] }
        #expect(all.map(\.job.text) == ["a", "b"])
        #expect(times(all) == [4, 3])
        fixture.apply(first)
        fixture.apply(all)
        fixture.wait(2)
        same(times(fixture.decide()).sorted(), [6, 6])
    }

    @Test func anEditOfAllCarriesTicksThatWaitTheirTurn() {
        var fixture = Fixture()
        fixture.put("a", "@every 2s") {
            $0.catchUp = .all
            $0.concurrency = .forbid
        }
        fixture.wait(2)
        fixture.apply(fixture.decide())
        fixture.wait(2)
        same(fixture.decide().count, 0)
        let node = fixture.store.node
        let all = fixture.scheduler.decisionsBeforeEditOfAll(
            at: fixture.store.stamp, edited: [], fixture.store.store, fixture.zones
        ) { _ in [node] }
        same(times(all), [4])
    }

    @Test func anEditSaysThatTheZoneWasNotToBeHad() {
        var fixture = Fixture()
        fixture.put("a", "*/2 * * * * *") { $0.timezone = "Europe/Berlin" }
        fixture.zones.loaded("Europe/Berlin", nil)
        fixture.wait(5)
        let node = fixture.store.node
        let others = fixture.scheduler.decisionsBeforeEditOfAll(
            at: fixture.store.stamp, edited: [], fixture.store.store, fixture.zones
        ) { _ in [node] }
        same(others.count, 0)
        let decisions = fixture.edit("a")
        same(decisions.flatMap(\.ticks).map(\.verdict), [.miss(.zone)])
        same(decisions.flatMap(\.ticks).map(\.to), [fixture.store.stamp])
    }

    @Test func whatIsProposedInTwoEntriesIsDoneWithTheLast() {
        var fixture = Fixture()
        fixture.put("a", "@every 1s")
        fixture.wait(4)
        let whole = fixture.decide()
        var (first, second) = (whole[0], whole[0])
        first.ticks = Array(whole[0].ticks.prefix(2))
        second.ticks = Array(whole[0].ticks.suffix(2))
        fixture.apply([first])
        same(fixture.decide(), [])
        fixture.apply([second])
        fixture.wait(1)
        same(times(fixture.decide()), [5])
    }

    @Test func aDeletedJobIsForgotten() {
        var fixture = Fixture()
        fixture.put("a", "@every 1s")
        fixture.wait(1)
        let void = fixture.decide()
        fixture.store.apply(.deleteJob(JobName("a"), .none, kill: false))
        fixture.apply(void)
        fixture.put("a", "@every 1s")
        fixture.wait(1)
        same(times(fixture.decide()), [2])
    }

    @Test func zonesAreAskedForOnceAndOldRulesHoldWhileTheyAreReadAgain() {
        var fixture = Fixture()
        fixture.put("a", "0 0 12 * * *") { $0.timezone = "Europe/Berlin" }
        fixture.put("b", "0 0 13 * * *") { $0.timezone = "Europe/Berlin" }
        #expect(!fixture.scheduler.knowsTicks)
        #expect(fixture.askedZones.first == "Europe/Berlin")
        same(fixture.zones.beginLoading("Europe/Berlin"), true)
        same(fixture.zones.beginLoading("Europe/Berlin"), false)
        fixture.zones.loaded("Europe/Berlin", nil)
        fixture.scheduler.zoneLoaded(
            "Europe/Berlin", fixture.store.store, fixture.zones, into: &fixture.actions)
        #expect(fixture.scheduler.knowsTicks, "a zone that is missing is known to be")
        // Saved again and again, it waits once.
        for _ in 0..<10 {
            fixture.scheduler.jobChanged(
                JobName("a"), fixture.store.store, fixture.zones, into: &fixture.actions)
        }
        fixture.actions = []
        fixture.scheduler.zoneLoaded(
            "Europe/Berlin", fixture.store.store, fixture.zones, into: &fixture.actions)
        #expect(fixture.actions.count == 2)
    }
}
