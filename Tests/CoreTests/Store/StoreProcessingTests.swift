import Testing

@testable import Core

@Suite("Store: between an outcome and what follows from it stand the processors")
struct StoreProcessingTests {
    private func fixture(
        level: UInt32 = FeatureLevel.fourth, _ change: (inout JobDocument) -> Void = { _ in }
    ) -> StoreFixture {
        var fixture = StoreFixture()
        fixture.apply(.raiseLevel(level))
        fixture.put("a") {
            $0.processors = [ProcessorSettings(name: "log", settings: [])]
            change(&$0)
        }
        return fixture
    }

    private func started(_ fixture: inout StoreFixture, _ request: String = "r") -> Assignment {
        fixture.runNow("a", request)
        return fixture.launched[0]
    }

    private func settled(_ fixture: StoreFixture) -> Int {
        fixture.events.count { if case .settled = $0 { true } else { false } }
    }

    @discardableResult
    private func process(
        _ fixture: inout StoreFixture, _ run: Assignment,
        _ change: (inout Processed) -> Void = { _ in }
    ) -> ApplyResult {
        var processed = Processed(key: run.key)
        change(&processed)
        return fixture.apply(.processed(processed))
    }

    @Test func whatFollowsWaitsAndTheAgentKeepsItsCopy() {
        var f = fixture()
        f.put("child") { $0.parent = JobName("a") }
        let run = started(&f)
        f.end(run)
        #expect(f.execution(run)?.state == .success)
        #expect(f.execution(run)?.isProcessing == true)
        #expect(f.group(run)?.state == .processing)
        #expect(f.state("a").successCount == 0)
        #expect(f.store.counters.processing == 1)
        #expect(f.store.processing(after: nil)?.key == run.key)
        #expect(settled(f) == 0)
        // A result that is told again settles nothing either.
        f.end(run)
        #expect(settled(f) == 0)
        process(&f, run) { $0.notes = ["processor log: no"] }
        #expect(settled(f) == 1)
        #expect(f.execution(run)?.notes == ["processor log: no"])
        #expect(f.group(run)?.state == .success)
        #expect(f.state("a").successCount == 1)
        #expect(f.store.childTriggers(after: .min, limit: 9).count == 1)
        #expect(f.store.counters.processing == 0)
        #expect(f.store.hash == f.recountedHash)
        same(process(&f, run), .rejected(.notPending))
        f.end(run)
        #expect(settled(f) == 1)
    }

    @Test func belowTheLevelNothingWaits() {
        var f = fixture(level: FeatureLevel.third)
        let run = started(&f)
        f.end(run)
        #expect(f.group(run)?.state == .success)
        #expect(f.store.counters.processing == 0)
        #expect(f.store.bytes(Key.execution(run.key))?.first == 2, "as servers before wrote it")
    }

    @Test func anotherOutputTakesThePlaceOfTheFirst() {
        var f = fixture()
        let run = started(&f)
        f.apply(
            .reports([
                Report(job: run.job, key: run.key, news: .output(chunk: 0, bytes: [1, 2, 3]))
            ]))
        f.end(run)
        let long = [UInt8](repeating: 7, count: 70_000)
        process(&f, run) { $0.output = long }
        var pieces: [Int] = []
        var forgotten = 0
        for event in f.events {
            if case .processedOutput(_, let chunk, let bytes) = event {
                #expect(Int(chunk) == pieces.count && forgotten == 1)
                pieces.append(bytes.count)
            }
            if case .forgetOutput = event { forgotten += 1 }
        }
        #expect(pieces == [65_536, 4_464])
        let execution = f.execution(run)
        #expect(execution?.outputLength == 70_000 && execution?.outputChunks == 2)
        #expect(execution?.outputDigest == Checksum.crc32c(long))
        #expect(execution?.historyKey(run.key.generation) == run.key.historyKey + [1])
    }

    @Test func retriesWaitAndForbidDoesNot() {
        var f = fixture { ($0.retries, $0.concurrency) = (1, .forbid) }
        let first = started(&f, "r1")
        f.end(first, .failed)
        // Another attempt is to follow: nobody may start beside it.
        #expect(f.store.retries(dueUpTo: .distantFuture, limit: 9).isEmpty)
        #expect(f.group(first)?.state == .active)
        same(f.runNow("a", "r2"), .rejected(.overlap))
        process(&f, first)
        #expect(f.store.retries(dueUpTo: .distantFuture, limit: 9).count == 1)

        var g = fixture { $0.concurrency = .forbid }
        let run = started(&g, "r1")
        g.end(run)
        let second = started(&g, "r2")
        #expect(g.group(second)?.state == .active)
        #expect(g.state("a").activeGroups == 1)
        process(&g, run)
        #expect(g.group(run)?.state == .success)
        #expect(g.state("a").activeGroups == 1)
        #expect(g.store.hash == g.recountedHash)
    }

    @Test func aProcessorOverrulesASuccessAndNothingElse() {
        var f = fixture { $0.retries = 1 }
        let run = started(&f)
        f.end(run)
        process(&f, run) { $0.failure = "the output holds an error" }
        #expect(f.execution(run)?.state == .failed)
        #expect(f.execution(run)?.error == "the output holds an error")
        #expect(f.group(run)?.state == .active, "it is tried again")
        #expect(f.state("a").activeGroups == 1)
        #expect(f.store.retries(dueUpTo: .distantFuture, limit: 9).count == 1)

        var g = fixture()
        let killed = started(&g)
        g.end(killed, .killed)
        process(&g, killed) { $0.failure = "no" }
        #expect(g.execution(killed)?.state == .killed)
        #expect(g.state("a").errorCount == 1)
    }

    @Test func aRetryGivesWayToARunThatHasBegun() {
        var f = fixture { ($0.retries, $0.concurrency) = (1, .forbid) }
        let run = started(&f, "r1")
        f.end(run)
        let second = started(&f, "r2")
        process(&f, run) { $0.failure = "no" }
        #expect(f.group(run)?.state == .failed)
        #expect(f.execution(run)?.notes.last?.hasPrefix("not tried again") == true)
        #expect(f.group(second)?.state == .active)
        #expect(f.store.retries(dueUpTo: .distantFuture, limit: 9).isEmpty)
    }

    @Test func whatReplacesDoesNotWaitForProcessors() {
        var f = fixture { ($0.retries, $0.concurrency) = (3, .replace) }
        let run = started(&f, "r1")
        f.runNow("a", "r2")
        #expect(f.launched.isEmpty)
        f.end(run)
        #expect(f.launched.count == 1, "the group that waited begins")
        // One that failed and was to be tried again is not, once it is replaced.
        let second = f.launched[0]
        f.end(second, .failed)
        #expect(f.group(second)?.state == .active)
        let third = started(&f, "r3")
        #expect(f.group(third)?.state == .active)
        #expect(f.group(second)?.state == .processing)
        process(&f, second)
        #expect(f.group(second)?.state == .failed)
        #expect(f.store.retries(dueUpTo: .distantFuture, limit: 9).isEmpty)
    }

    @Test func whatIsLostIsProcessedTooAndALateResultEndsItsRetry() {
        var f = fixture { $0.retries = 1 }
        let run = started(&f)
        f.lose(run)
        #expect(f.execution(run)?.isProcessing == true)
        f.end(run)
        #expect(settled(f) == 1, "a late result is not processed: its agent may forget it")
        process(&f, run)
        #expect(f.group(run)?.state == .failed)
        #expect(f.execution(run)?.lateResult == .success)
    }

    @Test func deletionEndsItAndRetentionKeepsIt() {
        var settings = ClusterSettings()
        settings.groupRetention = 1
        var f = StoreFixture(settings: settings)
        f.apply(.raiseLevel(FeatureLevel.fourth))
        f.put("a") { $0.processors = [ProcessorSettings(name: "log", settings: [])] }
        let run = started(&f, "r1")
        f.end(run)
        for number in 2...5 {
            let next = started(&f, "r\(number)")
            f.end(next)
            process(&f, next)
        }
        #expect(f.execution(run) != nil)
        f.apply(.deleteJob(JobName("a"), .none, kill: false))
        #expect(f.store.counters.processing == 0)
        #expect(settled(f) == 1)
        same(process(&f, run), .rejected(.notPending))
        #expect(f.store.hash == f.recountedHash)
    }

    @Test func anEphemeralJobEndsAfterItsProcessors() {
        var f = fixture { $0.isEphemeral = true }
        let run = started(&f)
        f.end(run)
        #expect(f.store.hasJob(JobName("a")))
        process(&f, run)
        #expect(!f.store.hasJob(JobName("a")))
        #expect(settled(f) == 1)
    }

    @Test func recordsAreReadAgain() {
        var execution = Execution(
            number: 1, node: NodeName("n"), group: 2, attempt: 1,
            scheduledAt: WallTime(seconds: 5))
        execution.isProcessing = true
        execution.hasProcessedOutput = true
        execution.notes = ["é", ""]
        #expect(Execution(stored: execution.encoded) == execution)
        execution.lostAfter = .seconds(9)
        execution.isFenced = true
        #expect(Execution(stored: execution.encoded) == execution)
    }
}
