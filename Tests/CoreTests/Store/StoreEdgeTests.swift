import Testing

@testable import Core

/// Where entries overlap, repeat, come late, or are built to do harm.
@Suite struct StoreEdgeTests {
    private static func ticks(
        _ from: Int64, _ to: Int64, _ verdict: JobDecision.Verdict
    ) -> JobDecision.Ticks {
        .init(from: WallTime(seconds: from), to: WallTime(seconds: to), verdict: verdict)
    }

    private func restored(_ name: String, parent: String? = nil) -> RestoredJob {
        var document = JobDocument(name: JobName(name))
        document.schedule = "@manually"
        document.parent = parent.map { JobName($0) }
        return RestoredJob(document: document)
    }

    // MARK: Decisions

    @Test func theRestOfARangeIsDecidedWhenItsBeginningWas() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s")
        fixture.decide("a", [(1_000_001, fixture.run)])
        let state = fixture.state("a")
        fixture.apply(
            .decide,
            decisions: [
                JobDecision(
                    job: JobName("a"), generation: state.generation, revision: 1,
                    ticks: [
                        Self.ticks(1_000_001, 1_000_005, .miss(.superseded)),
                        Self.ticks(1_000_006, 1_000_006, fixture.run),
                    ])
            ])
        #expect(fixture.launched.count == 1)
        #expect(fixture.state("a").cursor == WallTime(seconds: 1_000_006))
        let rows = fixture.ledger("a")
        #expect(rows.count == 3)
        #expect(rows[1].to == WallTime(seconds: 1_000_005))
        #expect(rows[1].from > WallTime(seconds: 1_000_001))
    }

    @Test func anEditIsOutdatedByAnotherThatWasAppliedBefore() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s")
        let basis = EditBasis(job: JobName("a"), fixture.state("a"))
        fixture.put("a", schedule: "@every 2s")
        var document = fixture.store.document(JobName("a"))!
        document.schedule = "@every 3s"
        let edit = Command(
            stamp: fixture.stamp, basis: basis, body: .putJob(PutJob(document: document)))
        #expect(fixture.store.isOutdated(edit))
        let before = fixture.store.hash
        let next = fixture.store.appliedIndex + 1
        same(
            fixture.store.apply(edit, at: next, into: &fixture.events),
            .rejected(.preconditionFailed))
        #expect(fixture.store.hash == before)
        // Edits that open no revision don't outdate each other.
        let fresh = EditBasis(job: JobName("a"), fixture.state("a"))
        fixture.put("a", schedule: "@every 2s") { $0.owner = "o" }
        let second = Command(
            stamp: fixture.stamp, basis: fresh, body: .putJob(PutJob(document: document)))
        #expect(!fixture.store.isOutdated(second))
        #expect((try? Command(decoding: second.encoded)) == second)
    }

    @Test func anEditOfAJobThatDoesNotExistIsOutdatedByItsCreation() {
        var fixture = StoreFixture()
        let basis = EditBasis(job: JobName("a"), nil)
        fixture.put("a")
        let edit = Command(
            stamp: fixture.stamp, basis: basis,
            body: .deleteJob(JobName("a"), .none, kill: false))
        #expect(fixture.store.isOutdated(edit))
    }

    @Test func decisionsAreCutIntoListsOfBoundedSize() {
        let targets = (0..<40).map { NodeName("node-with-a-long-name-\($0)") }
        let decisions = (0..<20).map { job in
            JobDecision(
                job: JobName("job\(job)"), generation: 1, revision: 1,
                ticks: (0..<50).map { Self.ticks($0, $0, .run(targets: targets)) })
        }
        let batches = JobDecision.batches(decisions, limit: 20_000)
        for batch in batches {
            #expect(
                Command(stamp: WallTime(seconds: 0), decisions: batch, body: .decide)
                    .encoded.count < 21_000)
        }
        #expect(batches.joined().map(\.ticks.count).reduce(0, +) == 1_000)
        #expect(JobDecision.batches(decisions, limit: 1).count == 1_000)
        #expect(JobDecision.batches(decisions, limit: .max) == [decisions])
        #expect(JobDecision.batches([], limit: 10).isEmpty)
    }

    @Test func numbersGoOnAtTheEndOfTime() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.stamp = .distantFuture
        fixture.runNow("a", "1")
        fixture.runNow("a", "2")
        #expect(fixture.launched.count == 1)
    }

    // MARK: Restore

    @Test func aCircleInAFileIsRefusedWhateverIsCheckedFirst() {
        var fixture = StoreFixture()
        fixture.apply(
            .restorePart(
                id: 1,
                jobs: [
                    restored("aside", parent: "x"), restored("x", parent: "y"),
                    restored("y", parent: "x"),
                ]))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 1)),
            .rejected(.parentCycle(JobName("x"))))
        #expect(fixture.store.counters.jobs == 0)
    }

    @Test func aCircleThroughStoredJobsIsRefused() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.put("b") { $0.parent = JobName("a") }
        fixture.apply(.restorePart(id: 1, jobs: [restored("a", parent: "b")]))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 1)),
            .rejected(.parentCycle(JobName("a"))))
    }

    @Test func ofTwoJobsOfOneNameInAFileTheLaterCounts() {
        var fixture = StoreFixture()
        fixture.apply(
            .restorePart(
                id: 1,
                jobs: [restored("a", parent: "b"), restored("a"), restored("b", parent: "a")]
            ))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 1)),
            .restored(created: 2, updated: 0, unchanged: 0))
        #expect(fixture.state("a").children == [JobName("b")])
        #expect(fixture.state("b").children.isEmpty)
    }

    @Test func aLongChainIsImportedInWhateverOrder() {
        var fixture = StoreFixture()
        let chain = (0..<2_000).map { number in
            restored("job\(number)", parent: number + 1 < 2_000 ? "job\(number + 1)" : nil)
        }
        fixture.apply(.restorePart(id: 1, jobs: chain))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 1)),
            .restored(created: 2_000, updated: 0, unchanged: 0))
    }

    @Test func aNewRestoreDropsWhatAnAbandonedOneLeft() {
        var fixture = StoreFixture()
        let before = fixture.store.records.count
        fixture.apply(.restorePart(id: 1, jobs: [restored("a")]))
        fixture.apply(.restorePart(id: 2, jobs: [restored("b")]))
        same(fixture.apply(.restoreCommit(id: 1, parts: 1)), .rejected(.notPending))
        fixture.apply(.restoreCommit(id: 2, parts: 1))
        #expect(fixture.store.records.count == before + 2)
    }

    @Test func restoringAJobWithAnotherScheduleOpensARevision() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 60s")
        fixture.wait(.seconds(30))
        var job = restored("a")
        job.document.schedule = "@every 90s"
        job.everyAnchor = WallTime(seconds: 5)
        fixture.apply(.restorePart(id: 1, jobs: [job]))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 1)),
            .restored(created: 0, updated: 1, unchanged: 0))
        #expect(fixture.state("a").revision == 2)
        #expect(fixture.state("a").cursor == fixture.stamp)
        #expect(fixture.state("a").everyAnchor == fixture.stamp)
    }

    // MARK: Ends

    @Test func aKillOutlivesTheJobAndACrash() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.apply(.deleteJob(JobName("a"), .none, kill: true))
        let told = fixture.events.contains {
            if case .executionEnded(run.key, _) = $0 { true } else { false }
        }
        #expect(told, "nobody may go on waiting for it")
        #expect(fixture.store.orphans(after: nil, limit: 9).map(\.key) == [run.key])
        fixture.end(run, .killed)
        #expect(fixture.store.orphans(after: nil, limit: 9).isEmpty)
    }

    @Test func anAgentsWordOnARunItNeverHeardOfEndsIt() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 3 }
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.apply(.kill(run.job, run.key))
        var nameless = run
        nameless.job = JobName("")
        fixture.end(nameless, .killed)
        #expect(fixture.execution(run)!.state == .killed)
        #expect(fixture.state("a").activeGroups == 0)
        // It does not count against one that runs.
        fixture.runNow("a", "2")
        let second = fixture.launched[0]
        fixture.apply(
            .reports([
                Report(job: second.job, key: second.key, news: .started(at: fixture.stamp))
            ]))
        nameless.key = second.key
        fixture.end(nameless, .killed)
        #expect(fixture.execution(second)!.state == .running)
    }

    /// It may have run on the machine that had the name before.
    @Test func theWordOfAnAgentWithAnotherJournalEndsNothing() {
        var fixture = StoreFixture()
        func directory(_ id: DataID) -> KnownNode {
            KnownNode(name: fixture.node, id: id, tags: [])
        }
        fixture.put("a")
        fixture.apply(.raiseLevel(FeatureLevel.newest))
        fixture.apply(.nodes([directory(1)], gone: []))
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.apply(.nodes([directory(2)], gone: []))
        fixture.apply(.kill(run.job, run.key))
        var nameless = run
        nameless.job = JobName("")
        fixture.end(nameless, .killed)
        #expect(fixture.execution(run)!.state == .pending)
        fixture.lose(run)
        #expect(fixture.execution(run)!.state == .lost)
    }

    @Test func whatIsGivenUpUnstartedMustNotStart() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.lose(run)
        let asked = fixture.events.contains {
            if case .killRequested(run.key, _) = $0 { true } else { false }
        }
        #expect(asked)
    }

    @Test func aHugeErrorIsCutBetweenCharacters() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        let result = ExecutionResult(
            state: .failed, startedAt: nil, finishedAt: fixture.stamp,
            error: String(repeating: "ä€", count: 500_000))
        fixture.apply(.reports([Report(job: run.job, key: run.key, news: .ended(result))]))
        let error = fixture.execution(run)!.error
        #expect(error.utf8.count <= Execution.errorLimit)
        #expect(error.hasSuffix(" …"))
        #expect(!error.contains("\u{fffd}"))
        #expect(Execution.shortened("short") == "short")
    }

    @Test func aWaitingGroupBeginsWhenTheRuleItWaitsForIsLifted() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.concurrency = .replace }
        fixture.runNow("a", "1")
        let first = fixture.launched[0]
        fixture.runNow("a", "2")
        #expect(fixture.state("a").waitingGroup != nil)
        fixture.put("a") { $0.concurrency = .allow }
        fixture.runNow("a", "3")
        fixture.end(first, .killed)
        #expect(fixture.state("a").waitingGroup == nil)
        #expect(fixture.launched.count == 1)
    }

    // MARK: Retention

    @Test func retentionLooksPastManyUnfinishedGroups() {
        var settings = ClusterSettings()
        settings.groupRetention = 10
        var fixture = StoreFixture(settings: settings)
        fixture.put("a")
        for number in 0..<100 { fixture.runNow("a", "open\(number)") }
        for number in 0..<50 {
            fixture.runNow("a", "\(number)")
            fixture.end(fixture.launched[0])
        }
        #expect(fixture.state("a").activeGroups == 100)
        #expect(fixture.state("a").storedGroups <= 101)
    }

    @Test func aLoweredRetentionIsReachedInSteps() {
        var settings = ClusterSettings()
        settings.groupRetention = 1_000
        settings.ledgerRetention = 1_000
        var fixture = StoreFixture(settings: settings)
        fixture.put("a")
        for number in 0..<300 {
            fixture.runNow("a", "\(number)")
            fixture.end(fixture.launched[0])
        }
        settings.groupRetention = 2
        settings.ledgerRetention = 10
        fixture.apply(.settings(settings))
        fixture.runNow("a", "next")
        #expect(fixture.state("a").storedGroups == 301 - 64)
        #expect(fixture.state("a").ledgerRows == 301 - 64)
        for number in 0..<10 { fixture.runNow("a", "more\(number)") }
        #expect(fixture.state("a").storedGroups == 11)
        #expect(fixture.state("a").ledgerRows == 10)
    }

    @Test func theLedgerFindsARangeThatReachesPastARunByHand() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 10s")
        fixture.wait(.seconds(30))
        fixture.runNow("a")
        fixture.wait(.seconds(70))
        let state = fixture.state("a")
        fixture.apply(
            .decide,
            decisions: [
                JobDecision(
                    job: JobName("a"), generation: state.generation, revision: 1,
                    ticks: [Self.ticks(1_000_010, 1_000_100, .miss(.policy))])
            ])
        let found = fixture.store.ledger(
            of: state.generation, from: WallTime(seconds: 1_000_050), limit: 10)
        #expect(found.count == 1)
    }

    @Test func aRunOnCreateWithoutTargetsLeavesARow() {
        var fixture = StoreFixture()
        var document = JobDocument(name: JobName("a"))
        document.schedule = "@manually"
        let run = RunNow(job: document.name, requestID: "r", targets: [])
        fixture.apply(.putJob(PutJob(document: document, runOnCreate: run)))
        #expect(fixture.ledger("a").map(\.outcome) == [.skipped(.noTarget)])
    }

    @Test func aTickInsideAPauseNeverRuns() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s")
        fixture.apply(.pause(editsAllowed: true))
        fixture.decide("a", [(1_000_000, fixture.run), (1_000_001, fixture.run)])
        #expect(fixture.launched.isEmpty)
        #expect(fixture.ledger("a").map(\.outcome) == [.skipped(.paused)])
    }
}
