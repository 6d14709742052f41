import Testing

@testable import Core

@Suite("Store: who is still to be told of what")
struct StoreNoticesTests {
    private static let all: NotificationChannels = [
        .preWebhook, .cronitorStart, .mail, .webhook, .cronitorEnd,
    ]

    private func fixture(
        _ channels: NotificationChannels = all, _ change: (inout JobDocument) -> Void = { _ in }
    ) -> StoreFixture {
        var fixture = StoreFixture()
        fixture.apply(.raiseLevel(FeatureLevel.fifth))
        fixture.apply(.notifying(channels))
        fixture.put("a") {
            $0.ownerEmail = "x@y"
            change(&$0)
        }
        return fixture
    }

    private func started(_ fixture: inout StoreFixture, _ request: String = "r") -> Assignment {
        fixture.runNow("a", request)
        return fixture.launched[0]
    }

    private func start(_ fixture: inout StoreFixture, _ run: Assignment) {
        let report = Report(job: run.job, key: run.key, news: .started(at: fixture.stamp))
        fixture.apply(.reports([report]))
    }

    private func channels(_ fixture: StoreFixture, _ run: Assignment) -> NotificationChannels? {
        fixture.store.notice(run.key)?.channels
    }

    private func forgotten(_ fixture: StoreFixture) -> Int {
        fixture.events.count { if case .forgetOutput = $0 { true } else { false } }
    }

    @Test func startsAndEndsAreOwedUntilTheyAreSettled() {
        var f = fixture()
        let run = started(&f)
        #expect(channels(f, run) == nil)
        start(&f, run)
        #expect(channels(f, run) == .starts)
        f.end(run)
        #expect(channels(f, run) == Self.all)
        #expect(f.store.notice(run.key)?.recipients == "x@y")
        #expect(f.store.counters.notices == 1)
        f.apply(.notified([Notified(key: run.key, delivered: [.starts, .webhook, .cronitorEnd])]))
        #expect(channels(f, run) == .mail)
        let news = Notified(key: run.key, givenUp: .mail, notes: ["nobody is there"])
        f.apply(.notified([news]))
        #expect(channels(f, run) == nil && f.store.counters.notices == 0)
        #expect(f.execution(run)?.notes == ["nobody is there"])
        #expect(forgotten(f) == 0, "the execution keeps its output")
        // Told twice by two leaders: it counts once.
        f.apply(.notified([news]))
        #expect(f.execution(run)?.notes.count == 1)
        #expect(f.store.hash == f.recountedHash)
    }

    @Test func aStartThatWasOvertakenByTheEndIsOwedToo() {
        var f = fixture()
        let run = started(&f)
        f.end(run)
        #expect(channels(f, run) == Self.all)
        let lost = started(&f, "r2")
        f.lose(lost)
        #expect(channels(f, lost) == .ends, "it never started, as far as anybody knows")
    }

    private func retry(_ f: inout StoreFixture) -> Assignment {
        let retry = f.store.retries(dueUpTo: .distantFuture, limit: 9)[0]
        f.wait(.seconds(10))
        f.apply(
            .startRetry(
                RetryStart(
                    job: retry.job, generation: retry.generation, group: retry.group,
                    target: retry.target, after: retry.after, node: f.node)))
        return f.launched[0]
    }

    @Test func onlyTheLastAttemptIsTold() {
        var f = fixture(.ends) { $0.retries = 1 }
        let first = started(&f)
        f.end(first, .failed)
        #expect(channels(f, first) == nil)
        let second = retry(&f)
        f.end(second, .failed)
        #expect(channels(f, first) == nil && channels(f, second) == .ends)
    }

    @Test func allAttemptsAreOneRunToCronitor() throws {
        var f = fixture { $0.retries = 3 }
        let lost = started(&f)
        f.lose(lost)
        #expect(channels(f, lost) == nil, "it never started, as far as anybody knows")
        let first = retry(&f)
        start(&f, first)
        #expect(channels(f, first) == .starts)
        f.end(first, .failed)
        #expect(channels(f, first) == .starts)
        let second = retry(&f)
        start(&f, second)
        #expect(channels(f, second) == .preWebhook)
        f.end(second, .failed)
        let third = retry(&f)
        f.end(third)
        #expect(channels(f, third) == Self.all.subtracting(.cronitorStart))
        let opened = try #require(f.store.notice(first.key))
        let closed = try #require(f.store.notice(third.key))
        #expect(opened.series == opened.execution.id && closed.series == opened.series)
        #expect(closed.execution.id != closed.series)
        #expect(Notice(stored: closed.encoded) == closed)
        #expect(f.store.hash == f.recountedHash)
    }

    @Test func aRetryThatIsCalledOffMakesItsAttemptTheLast() {
        var f = fixture(.ends) { $0.retries = 1 }
        let first = started(&f)
        f.end(first, .failed)
        f.apply(.kill(JobName("a"), first.key))
        #expect(channels(f, first) == .ends)

        var g = fixture(.ends) { ($0.retries, $0.concurrency) = (1, .replace) }
        let old = started(&g)
        g.end(old, .failed)
        _ = started(&g, "r2")
        #expect(channels(g, old) == .ends)

        var h = fixture(.ends) { $0.retries = 1 }
        let lost = started(&h)
        h.lose(lost)
        #expect(channels(h, lost) == nil)
        h.end(lost)
        #expect(channels(h, lost) == .ends)
        #expect(h.store.notice(lost.key)?.execution.state == .lost)
    }

    @Test func theRuleOfTheJobDecidesWhatOfASuccessIsTold() {
        var f = fixture { $0.notifyOn = .failure }
        let good = started(&f)
        start(&f, good)
        #expect(channels(f, good) == .cronitorStart)
        f.end(good)
        #expect(channels(f, good) == [.cronitorStart, .cronitorEnd])
        let bad = started(&f, "r2")
        f.end(bad, .failed)
        #expect(channels(f, bad) == [.cronitorStart, .cronitorEnd, .mail, .webhook])
        var g = fixture { $0.ownerEmail = "" }
        let run = started(&g)
        g.end(run)
        #expect(channels(g, run) == Self.all.subtracting(.mail))
        var none = fixture([])
        let silent = started(&none)
        none.end(silent)
        #expect(none.store.counters.notices == 0)
    }

    @Test func theProcessorsComeFirst() {
        var f = fixture(.ends) { $0.processors = [ProcessorSettings(name: "log", settings: [])] }
        let run = started(&f)
        f.end(run)
        #expect(channels(f, run) == nil)
        var processed = Processed(key: run.key)
        processed.failure = "not good enough"
        f.apply(.processed(processed))
        #expect(f.store.notice(run.key)?.execution.state == .failed)
    }

    @Test func anOutputStaysForThoseWhoAreStillToBeTold() {
        var f = fixture(.ends) { $0.isEphemeral = true }
        let run = started(&f)
        f.end(run)
        #expect(!f.store.hasJob(JobName("a")))
        #expect(channels(f, run) == .ends && forgotten(f) == 0)
        f.apply(.notified([Notified(key: run.key, delivered: .ends)]))
        #expect(forgotten(f) == 1 && f.store.counters.notices == 0)

        var g = fixture(.ends)
        let other = started(&g)
        g.end(other)
        g.apply(.deleteJob(JobName("a"), .none, kill: false))
        #expect(channels(g, other) == .ends && forgotten(g) == 0)
    }

    @Test func ticksThatCameToNothingAreToldOncePerRow() {
        var f = fixture(.ends)
        let now = f.stamp.seconds
        f.decide("a", [(now + 1, .skip(.noTarget)), (now + 2, .skip(.noTarget))])
        #expect(f.store.counters.notices == 1)
        let notice = f.store.notices(after: nil, limit: 9)[0]
        #expect(notice.isOfTick && notice.execution.state == .failed)
        #expect(notice.execution.error.hasPrefix("skipped: no node that was alive"))
        f.decide("a", [(now + 3, .miss(.superseded)), (now + 4, .skip(.paused))])
        #expect(f.store.counters.notices == 1)
        f.decide("a", [(now + 5, .miss(.window))])
        f.decide("a", [(now + 6, .run(targets: []))])
        #expect(f.store.counters.notices == 3)
        f.apply(.notified([Notified(key: notice.key, delivered: .ends)]))
        #expect(f.store.counters.notices == 2 && forgotten(f) == 0)
        f.put("c") { $0.parent = JobName("a") }
        let run = started(&f)
        f.end(run)
        let trigger = f.store.childTriggers(after: .min, limit: 9)[0]
        f.apply(.decideChild(ChildDecision(trigger: trigger.number, targets: [])))
        let last = f.store.notices(after: nil, limit: 9).last
        #expect(last?.job == JobName("c") && last?.channels == [.webhook, .cronitorEnd])
    }

    @Test func whatIsOwedHasABoundWhichTheExecutionTells() {
        var f = fixture(.webhook)
        let generation = f.state("a").generation
        let template = started(&f)
        f.end(template)
        guard var notice = f.store.notice(template.key) else {
            Issue.record("nothing is owed")
            return
        }
        for number in 1..<Store.noticeLimit {
            notice.key = ExecutionKey(generation: generation, number: Int64(number))
            f.store.restore(key: Key.notice(notice.key).bytes, value: notice.encoded)
        }
        let run = started(&f, "r2")
        f.end(run)
        #expect(channels(f, run) == nil && f.store.counters.notices == Store.noticeLimit)
        #expect(f.execution(run)?.notes.first?.contains("10000 notifications wait") == true)
    }

    @Test func recordsKeepTheirOldFormWhereNothingIsNew() {
        var document = JobDocument(name: JobName("a"))
        #expect(document.encoded.first == 1)
        document.notifyOn = .always
        #expect(document.encoded.first == 2)
        #expect(JobDocument(stored: document.encoded) == document)
        let put = Command.Body.putJob(PutJob(document: document))
        #expect(put.featureLevel == FeatureLevel.fifth)
        document.notifyOn = nil
        #expect(Command.Body.putJob(PutJob(document: document)).featureLevel == 1)
        var f = StoreFixture()
        f.apply(.raiseLevel(FeatureLevel.fourth))
        #expect(f.store.bytes(Key.cluster)?.first == 2)
        f.apply(.raiseLevel(FeatureLevel.fifth))
        #expect(f.store.bytes(Key.cluster)?.first == 3)
    }
}
