import Testing

@testable import Core

@Suite struct StoreTests {
    @Test func aTickIsDecidedOnce() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 10s")
        fixture.decide("a", [(1_000_010, fixture.run)])
        #expect(fixture.launched.count == 1)
        fixture.decide("a", [(1_000_010, fixture.run)])
        #expect(fixture.launched.isEmpty)
        #expect(fixture.ledger("a").count == 1)
        #expect(fixture.state("a").cursor == WallTime(seconds: 1_000_010))
    }

    @Test func aDecisionOfAnOldRevisionIsVoid() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 10s")
        fixture.put("a", schedule: "@every 20s")
        #expect(fixture.state("a").revision == 2)
        fixture.decide("a", [(1_000_010, fixture.run)], revision: 1)
        #expect(fixture.launched.isEmpty)
        #expect(fixture.ledger("a").isEmpty)
    }

    @Test func anEditMovesTheCursorToItsStampAndKeepsThePhaseOfEqualDurations() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 60s")
        let anchor = fixture.state("a").everyAnchor
        fixture.wait(.seconds(30))
        fixture.put("a", schedule: "@every 1m")
        #expect(fixture.state("a").everyAnchor == anchor)
        #expect(fixture.state("a").cursor == fixture.stamp)
        fixture.put("a", schedule: "@every 2m")
        #expect(fixture.state("a").everyAnchor == WallTime(seconds: fixture.stamp.seconds))
    }

    @Test func anIdenticalDocumentChangesNothing() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 60s")
        fixture.wait(.seconds(30))
        let before = fixture.state("a")
        same(fixture.put("a", schedule: "@every 60s"), .stored(created: false, version: 1))
        #expect(fixture.state("a") == before)
        #expect(!fixture.events.contains { if case .jobChanged = $0 { true } else { false } })
    }

    @Test func equalNeighboursOfTheLedgerCoalesce() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s")
        for second in 1...5 { fixture.decide("a", [(1_000_000 + Int64(second), .skip(.noTarget))]) }
        #expect(fixture.ledger("a").count == 1)
        #expect(fixture.ledger("a")[0].to == WallTime(seconds: 1_000_005))
        fixture.decide("a", [(1_000_006, .miss(.window))])
        fixture.decide("a", [(1_000_007, fixture.run)])
        fixture.decide("a", [(1_000_008, .skip(.noTarget))])
        #expect(fixture.ledger("a").count == 4)
    }

    @Test func forbidSkipsATickWhileAGroupIsActive() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s") { $0.concurrency = .forbid }
        fixture.decide("a", [(1_000_001, fixture.run)])
        let first = fixture.launched[0]
        fixture.decide("a", [(1_000_002, fixture.run)])
        #expect(fixture.ledger("a")[0].outcome == .skipped(.overlap))
        fixture.end(first)
        fixture.decide("a", [(1_000_003, fixture.run)])
        #expect(fixture.launched.count == 1)
        same(fixture.runNow("a"), .rejected(.overlap))
    }

    /// The agent counts by what it was told; a leader that comes later must count by the same.
    @Test func anEditDoesNotChangeTheLeaseOfWhatRuns() throws {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s") {
            $0.lostAfter = .minutes(10)
            $0.fence = true
        }
        fixture.decide("a", [(1_000_001, fixture.run)])
        let told = fixture.launched[0]
        fixture.put("a", schedule: "@every 1s") {
            $0.lostAfter = .minutes(1)
            $0.fence = false
        }
        let execution = try #require(fixture.execution(told))
        let document = try #require(fixture.store.document(told.job))
        same(
            fixture.store.assignment(of: execution, document, told.key.generation).lostAfter,
            .minutes(10))
        #expect(
            fixture.store.assignment(of: execution, document, told.key.generation).isFenced)
    }

    @Test func replaceEndsTheOldRunsAndWaitsForThem() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s") { $0.concurrency = .replace }
        fixture.decide("a", [(1_000_001, fixture.run)])
        let first = fixture.launched[0]
        fixture.decide("a", [(1_000_002, fixture.run)])
        #expect(fixture.launched.isEmpty)
        #expect(fixture.execution(first)!.isKillRequested)
        let second = fixture.state("a").waitingGroup!
        // A further tick ends the one that waits, unstarted.
        fixture.decide("a", [(1_000_003, fixture.run)])
        let generation = fixture.state("a").generation
        #expect(fixture.store.group(generation, second)!.state == .killed)
        #expect(fixture.state("a").activeGroups == 2)
        fixture.end(first, .killed)
        #expect(fixture.launched.count == 1)
        #expect(fixture.state("a").activeGroups == 1)
        fixture.end(fixture.launched[0])
        #expect(fixture.state("a").activeGroups == 0)
        #expect(fixture.state("a").status == .success)
    }

    @Test func retriesEndWithTheLastAttempt() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 2 }
        fixture.runNow("a")
        var attempt = fixture.launched[0]
        for number in 1...2 {
            fixture.end(attempt, .failed)
            let due = fixture.store.nextRetryDue!
            #expect(due - fixture.stamp == .seconds(Int64(number)))
            #expect(fixture.state("a").activeGroups == 1)
            fixture.wait(.seconds(5))
            let retry = fixture.store.retries(dueUpTo: fixture.stamp, limit: 10)[0]
            let start = RetryStart(
                job: retry.job, generation: retry.generation, group: retry.group,
                target: retry.target, after: retry.after, node: fixture.node)
            same(fixture.apply(.startRetry(start)), .applied)
            attempt = fixture.launched[0]
            same(fixture.apply(.startRetry(start)), .rejected(.notPending))
        }
        fixture.end(attempt, .failed)
        #expect(fixture.store.nextRetryDue == nil)
        #expect(fixture.state("a").activeGroups == 0)
        #expect(fixture.state("a").errorCount == 3)
        #expect(fixture.state("a").status == .failed)
    }

    @Test func aSuccessAfterARetryIsASuccess() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 1 }
        fixture.put("child", schedule: "") { $0.parent = JobName("a") }
        fixture.runNow("a")
        fixture.end(fixture.launched[0], .failed)
        let retry = fixture.store.retries(dueUpTo: .distantFuture, limit: 1)[0]
        fixture.apply(
            .startRetry(
                RetryStart(
                    job: retry.job, generation: retry.generation, group: retry.group, target: 0,
                    after: retry.after, node: fixture.node)))
        fixture.end(fixture.launched[0])
        #expect(fixture.state("a").status == .success)
        #expect(fixture.store.childTriggers(after: .min, limit: 10).count == 1)
    }

    @Test func aKilledAttemptIsNeverRetried() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 3 }
        fixture.runNow("a")
        let run = fixture.launched[0]
        same(fixture.apply(.kill(run.job, run.key)), .applied)
        fixture.end(run, .failed)
        #expect(fixture.state("a").activeGroups == 0)
        #expect(fixture.store.nextRetryDue == nil)
    }

    @Test func killingAnAttemptThatWaitsForItsRetryEndsTheGroup() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 3 }
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.end(run, .failed)
        same(fixture.apply(.kill(run.job, run.key)), .applied)
        #expect(fixture.state("a").activeGroups == 0)
        same(fixture.apply(.kill(run.job, run.key)), .rejected(.executionEnded))
    }

    @Test func aLateResultIsNotedAndCancelsTheRetry() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.retries = 1 }
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.lose(run)
        #expect(fixture.store.nextRetryDue != nil)
        fixture.end(run)
        #expect(fixture.store.nextRetryDue == nil)
        #expect(fixture.execution(run)!.state == .lost)
        #expect(fixture.execution(run)!.lateResult == .success)
        #expect(fixture.state("a").errorCount == 1)
        #expect(fixture.state("a").successCount == 0)
        #expect(fixture.state("a").status == .failed)
    }

    @Test func aRepeatedResultCountsOnce() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.end(run)
        let hash = fixture.state("a")
        fixture.end(run)
        fixture.end(run, .failed)
        #expect(fixture.state("a") == hash)
    }

    @Test func childrenRunOncePerSuccess() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.put("b", schedule: "") { $0.parent = JobName("a") }
        fixture.put("c", schedule: "") {
            $0.parent = JobName("a")
            $0.isDisabled = true
        }
        fixture.runNow("a")
        fixture.end(fixture.launched[0])
        let triggers = fixture.store.childTriggers(after: .min, limit: 10)
        #expect(triggers.map(\.child.text) == ["b", "c"])
        for trigger in triggers {
            fixture.apply(
                .decideChild(ChildDecision(trigger: trigger.number, targets: [fixture.node])))
        }
        #expect(fixture.store.childTriggers(after: .min, limit: 10).isEmpty)
        same(
            fixture.apply(
                .decideChild(ChildDecision(trigger: triggers[0].number, targets: [fixture.node]))),
            .rejected(.notPending))
        #expect(fixture.ledger("c")[0].outcome == .skipped(.disabled))
        guard case .ran = fixture.ledger("b")[0].outcome else {
            Issue.record("the child did not run")
            return
        }
    }

    @Test func aParentThatFailsTriggersNothing() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.put("b", schedule: "") { $0.parent = JobName("a") }
        fixture.runNow("a")
        fixture.end(fixture.launched[0], .failed)
        #expect(fixture.store.childTriggers(after: .min, limit: 10).isEmpty)
    }

    @Test func parentsMustExistAndFormNoCircle() {
        var fixture = StoreFixture()
        same(fixture.put("b") { $0.parent = JobName("a") }, .rejected(.unknownParent(JobName("a"))))
        fixture.put("a")
        fixture.put("b") { $0.parent = JobName("a") }
        same(fixture.put("a") { $0.parent = JobName("b") }, .rejected(.parentCycle(JobName("a"))))
        same(
            fixture.apply(.deleteJob(JobName("a"), .none, kill: false)),
            .rejected(.hasChildren([JobName("b")])))
        fixture.put("b")
        #expect(fixture.state("a").children.isEmpty)
        same(fixture.apply(.deleteJob(JobName("a"), .none, kill: false)), .applied)
    }

    @Test func deletingAJobLeavesNothing() {
        var fixture = StoreFixture()
        let before = fixture.store.records.count
        fixture.put("a") { $0.retries = 1 }
        fixture.put("ab")
        fixture.runNow("a", "1")
        let run = fixture.launched[0]
        fixture.end(run, .failed)
        fixture.runNow("a", "2")
        let second = fixture.launched[0]
        fixture.runNow("ab")
        fixture.apply(.deleteJob(JobName("a"), .none, kill: true))
        #expect(
            fixture.events.contains {
                if case .killRequested(second.key, _) = $0 { true } else { false }
            })
        #expect(fixture.store.nextRetryDue == nil)
        #expect(fixture.state("ab").activeGroups == 1)
        fixture.end(second)
        #expect(
            fixture.events.contains {
                if case .settled(second.key) = $0 { true } else { false }
            })
        fixture.apply(.deleteJob(JobName("ab"), .none, kill: false))
        #expect(fixture.store.records.count == before)
        #expect(fixture.store.counters == Store.Counters())
    }

    @Test func aRecreatedJobIsAnotherJob() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        fixture.apply(.deleteJob(JobName("a"), .none, kill: false))
        fixture.put("a") { $0.concurrency = .forbid }
        fixture.end(run)
        #expect(fixture.state("a").successCount == 0)
        guard case .launched = fixture.runNow("a") else {
            Issue.record("the old run blocks the new job")
            return
        }
    }

    @Test func anEphemeralJobEndsWithItsFirstSuccess() {
        var fixture = StoreFixture()
        fixture.put("a") { $0.isEphemeral = true }
        fixture.runNow("a", "1")
        fixture.end(fixture.launched[0], .failed)
        #expect(fixture.store.hasJob(JobName("a")))
        fixture.runNow("a", "2")
        fixture.end(fixture.launched[0])
        #expect(!fixture.store.hasJob(JobName("a")))
        #expect(fixture.store.counters.activeGroups == 0)

        fixture.put("p") { $0.isEphemeral = true }
        fixture.put("c", schedule: "") { $0.parent = JobName("p") }
        fixture.runNow("p")
        fixture.end(fixture.launched[0])
        #expect(fixture.store.document(JobName("p"))!.isDisabled)
        #expect(fixture.store.childTriggers(after: .min, limit: 1).count == 1)
    }

    @Test func retentionKeepsUnfinishedGroups() {
        var settings = ClusterSettings()
        settings.groupRetention = 3
        var fixture = StoreFixture(settings: settings)
        fixture.put("a")
        fixture.runNow("a", "first")
        let first = fixture.launched[0]
        for number in 0..<10 {
            fixture.runNow("a", "\(number)")
            fixture.end(fixture.launched[0])
        }
        let groups = fixture.store.groups(of: fixture.state("a").generation)
        #expect(groups.count == 3)
        #expect(groups.last!.id == first.group)
        #expect(fixture.store.counters.executions == 3)
        #expect(fixture.state("a").storedGroups == 3)
    }

    @Test func requestIdsRepeatTheirGroup() {
        var fixture = StoreFixture()
        fixture.put("a")
        guard case .launched(let group, repeated: false) = fixture.runNow("a", "key") else {
            Issue.record("the first request starts a run")
            return
        }
        same(fixture.runNow("a", "key"), .launched(group: group, repeated: true))
        #expect(fixture.launched.isEmpty)
    }

    @Test func outputIsTakenOnceAndInOrder() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        func chunk(_ number: UInt32) -> Report {
            Report(job: run.job, key: run.key, news: .output(chunk: number, bytes: [1, 2, 3]))
        }
        fixture.apply(.reports([chunk(0), chunk(0), chunk(2), chunk(1)]))
        let taken = fixture.events.compactMap {
            if case .output(_, let number, _) = $0 { number } else { nil }
        }
        #expect(taken == [0, 1])
    }

    /// Pieces of the output may be lost on their way: the agent keeps it, and tells all again.
    @Test func aResultWithoutItsOutputIsNotTaken() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a")
        let run = fixture.launched[0]
        var result = ExecutionResult(state: .success, startedAt: nil, finishedAt: fixture.stamp)
        result.outputChunks = 2
        func report(_ news: Report.News) -> Report {
            Report(job: run.job, key: run.key, news: news)
        }
        let first = report(.output(chunk: 0, bytes: [1]))
        fixture.apply(.reports([first, report(.ended(result))]))
        #expect(fixture.store.execution(run.key)?.state == .pending)
        let isToldAgain = fixture.events.contains {
            if case .resultIncomplete(run.key) = $0 { true } else { false }
        }
        #expect(isToldAgain)
        fixture.apply(
            .reports([first, report(.output(chunk: 1, bytes: [2])), report(.ended(result))]))
        #expect(fixture.store.execution(run.key)?.state == .success)
    }

    @Test func pausesRefuseEditsUnlessAllowed() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.apply(.pause(editsAllowed: false))
        same(fixture.put("b"), .rejected(.paused))
        same(fixture.runNow("a"), .rejected(.paused))
        fixture.apply(.pause(editsAllowed: true))
        same(fixture.put("b"), .stored(created: true, version: 1))
        fixture.apply(.unpause)
        #expect(!fixture.store.cluster.isPaused)
        #expect(fixture.store.cluster.pauses.count == 1)
    }

    @Test func aRunByHandSaysWhyItWasNotStarted() {
        var fixture = StoreFixture()
        var document = JobDocument(name: JobName("a"))
        document.schedule = "@manually"
        document.concurrency = .forbid
        fixture.apply(.putJob(PutJob(document: document)))
        func run(_ request: String, _ targets: [NodeName]) -> ApplyResult {
            fixture.apply(
                .runNow(RunNow(job: JobName("a"), requestID: request, targets: targets)))
        }
        same(run("1", []), .rejected(.noTarget))
        guard case .launched = run("2", [fixture.node]) else {
            Issue.record("a free job is launched")
            return
        }
        same(run("3", [fixture.node]), .rejected(.overlap))
    }

    @Test func restoreIsAllOrNothing() {
        var fixture = StoreFixture()
        func job(_ name: String, parent: String? = nil) -> RestoredJob {
            var document = JobDocument(name: JobName(name))
            document.schedule = "@manually"
            document.parent = parent.map { JobName($0) }
            return RestoredJob(document: document, successCount: 7)
        }
        fixture.apply(.restorePart(id: 1, jobs: [job("child", parent: "mother")]))
        fixture.apply(.restorePart(id: 1, jobs: [job("mother")]))
        same(
            fixture.apply(.restoreCommit(id: 1, parts: 2)),
            .restored(created: 2, updated: 0, unchanged: 0))
        #expect(fixture.state("mother").children == [JobName("child")])
        #expect(fixture.state("child").successCount == 7)
        #expect(fixture.state("child").generation != fixture.state("mother").generation)
        let hash = fixture.store.hash
        fixture.apply(.restorePart(id: 2, jobs: [job("x"), job("y", parent: "nobody")]))
        same(
            fixture.apply(.restoreCommit(id: 2, parts: 1)),
            .rejected(.unknownParent(JobName("nobody"))))
        #expect(fixture.store.hash == hash)
    }

    @Test func stampsAndNumbersNeverDecrease() {
        var fixture = StoreFixture()
        fixture.put("a")
        fixture.runNow("a", "1")
        let first = fixture.launched[0]
        fixture.stamp = WallTime(seconds: 5)
        fixture.runNow("a", "2")
        #expect(fixture.launched[0].group > first.key.number)
        #expect(fixture.store.cluster.lastStamp == WallTime(seconds: 1_000_000))
    }

    @Test func theHashIsTheSumOfTheRecords() {
        var fixture = StoreFixture()
        fixture.put("a", schedule: "@every 1s") { $0.concurrency = .replace }
        for second in 1...50 {
            fixture.wait(.seconds(1))
            fixture.decide("a", [(1_000_000 + Int64(second), fixture.run)])
            if second % 3 == 0, let run = fixture.launched.first { fixture.end(run) }
        }
        #expect(fixture.recountedHash == fixture.store.hash)
    }
}
