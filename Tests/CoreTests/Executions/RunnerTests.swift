import Testing

@testable import Core

/// One agent, its journal synced when the test says so. Actions are told in words.
struct RunnerFixture {
    var runner: Runner
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_000_000))
    var actions: [Runner.Action] = []
    /// Everything that was ever appended to the journal.
    var journal: [(kind: UInt8, key: [UInt8], payload: [UInt8])] = []

    init(maxRunning: Int = 512, offers: ExecutorOffers = ExecutorOffers()) {
        var tunables = Tunables()
        tunables.maxRunning = maxRunning
        runner = Runner(tunables: tunables, dataID: 7, offers: offers)
    }

    static func assignment(_ number: Int64, executor: String = "shell") -> Assignment {
        Assignment(
            key: ExecutionKey(generation: 1, number: number), job: JobName("a"),
            node: NodeName("n"), group: 1, attempt: 1, scheduledAt: WallTime(seconds: 1),
            executor: executor,
            config: executor == "http"
                ? [Setting(name: "method", value: "GET"), Setting(name: "url", value: "http://h/")]
                : [Setting(name: executor == "docker" ? "image" : "command", value: "date")],
            lostAfter: .minutes(5), isFenced: false)
    }

    static func key(_ number: Int64) -> ExecutionKey {
        ExecutionKey(generation: 1, number: number)
    }

    static func id(_ number: Int64) -> ExecutionID { assignment(number).id }

    mutating func take() -> [String] {
        defer { actions = [] }
        for case .journal(let kind, let key, let payload) in actions {
            journal.append((kind, key, payload))
        }
        return actions.compactMap(Self.words)
    }

    private static func words(_ action: Runner.Action) -> String? {
        switch action {
        case .journal(let kind, _, _): "journal \(Runner.RecordKind(rawValue: kind)!)"
        case .start(let spec): "start \(spec.execution.number!)"
        case .adopt(let id, _): "adopt \(id.number!)"
        case .stop(let id): "stop \(id.number!)"
        case .release(let id): "release \(id.number!)"
        case .readSecrets(let id, let names): "read \(names.joined(separator: ",")) \(id.number!)"
        case .call(let call): "call \(call.execution.number!)"
        case .converse(let call):
            "converse \(call.execution.number!)\(call.isResumed ? " again" : "")"
        case .execute(let call): "execute \(call.execution.number!)"
        case .hangUp(let id): "hang up \(id.number!)"
        case .renewFences(let ago): "renew \(ago.wholeSeconds)"
        case .report(.accepted(let key)): "accepted \(key.number)"
        case .report(.heartbeat): "heartbeat"
        case .report(.goodbye): "good-bye"
        case .report(.news(let report)): words(report)
        case .log, .mark: nil
        }
    }

    private static func words(_ report: Report) -> String {
        switch report.news {
        case .started: "told started \(report.key.number)"
        case .output(let chunk, let bytes): "told output \(chunk) of \(bytes.count)"
        case .ended(let result): "told \(result.state) \(report.key.number)"
        case .lost: "told lost"
        }
    }

    /// - Parameter life: which life of the agent the leader has heard, `age` ago.
    mutating func assign(
        _ number: Int64, executor: String = "shell", life: UInt64 = 1, age: Duration = .zero
    ) -> [String] {
        runner.assign(
            Self.assignment(number, executor: executor),
            after: Heartbeat(incarnation: life, sentAt: now.monotonic + (.zero - age)),
            at: now, into: &actions)
        return take()
    }

    /// The leader tells that it has heard the heartbeat of this instant.
    mutating func hear() -> [String] {
        let heartbeat = Heartbeat(incarnation: 1, sentAt: now.monotonic)
        runner.heard(heartbeat, at: now, into: &actions)
        return take()
    }

    mutating func kill(_ number: Int64) -> [String] {
        runner.kill(Self.key(number), at: now.wall, into: &actions)
        return take()
    }

    mutating func settle(_ number: Int64) -> [String] {
        runner.settle(Self.key(number), at: now.monotonic, into: &actions)
        return take()
    }

    mutating func sync() -> [String] {
        runner.durable(through: runner.journaled, at: now, into: &actions)
        return take()
    }

    mutating func event(_ number: Int64, _ event: RunEvent) -> [String] {
        runner.event(Self.id(number), event, at: now, into: &actions)
        return take()
    }

    mutating func call(_ number: Int64, _ event: CallEvent) -> [String] {
        runner.event(Self.id(number), event, at: now, into: &actions)
        return take()
    }

    mutating func wait(_ seconds: Int64) -> [String] {
        now.monotonic = now.monotonic + .seconds(seconds)
        now.wall = now.wall + .seconds(seconds)
        runner.deadline(at: now, into: &actions)
        return take()
    }

    static let started = RunEvent.started(
        ProcessIdentity(processID: 5, startTicks: 6, boot: "b"), at: WallTime(seconds: 1_000_000))

    static func ended(_ code: Int32 = 0, _ cause: RunEnd.Cause = .finished) -> RunEvent {
        .ended(
            RunEnd(
                cause: cause, exitCode: code, signal: nil, cpuTime: .zero, peakMemory: 0,
                at: WallTime(seconds: 1_000_001)))
    }

    /// Brings run 1 to a phase.
    mutating func bring(to phase: String) {
        _ = assign(1)
        if phase == "accepting" { return }
        if phase == "queued" { runner.tunables.maxRunning = 0 }
        _ = sync()
        if phase == "queued" || phase == "running" { return }
        _ = event(1, Self.started)
        _ = event(1, Self.ended())
        if phase == "finishing" { return }
        _ = sync()
        if phase == "finished" { return }
        _ = settle(1)
    }

    /// Another life on what the journal holds.
    mutating func restart(keeping count: Int? = nil) -> [String] {
        var next = Runner(tunables: runner.tunables, dataID: 7)
        for record in journal.prefix(count ?? journal.count) {
            try! next.recover(kind: record.kind, key: record.key, payload: record.payload)
        }
        runner = next
        runner.recovered(at: now, into: &actions)
        return take()
    }
}

@Suite struct RunnerTests {
    private typealias Fixture = RunnerFixture

    @Test func aRunFromAssignmentToSettlement() {
        var fixture = Fixture()
        same(fixture.assign(1), ["journal accepted"])
        same(fixture.sync(), ["accepted 1", "start 1", "heartbeat"])
        same(fixture.event(1, Fixture.started), ["journal started", "told started 1"])
        same(fixture.event(1, .output([1, 2, 3], skipped: 0)), [])
        same(fixture.event(1, Fixture.ended()), ["journal finished"])
        same(fixture.sync(), ["told output 0 of 3", "told success 1"])
        same(fixture.settle(1), ["journal settled", "release 1"])
        #expect(fixture.runner.heldCount == 0)
        #expect(fixture.runner.liveBytes == 0)
    }

    private static let phases = [
        "accepting", "queued", "running", "finishing", "finished", "settled",
    ]

    /// What each phase answers to each event; what is not named here is answered by silence.
    private static let answers: [String: [String: [String]]] = [
        "assign": [
            "queued": ["accepted 1"], "running": ["accepted 1"],
            "finishing": ["accepted 1", "told started 1"], "finished": ["told success 1"],
        ],
        "kill": ["queued": ["journal finished"], "running": ["stop 1"]],
        "settle": [
            "finishing": ["journal settled", "release 1"],
            "finished": ["journal settled", "release 1"],
        ],
        "started": ["running": ["journal started", "told started 1"]],
        "ended": ["running": ["journal finished"], "settled": ["release 1"]],
        "refused": ["running": ["journal finished"]],
        "vanished": ["running": ["journal finished"]],
        "sync": [
            "accepting": ["accepted 1", "start 1", "heartbeat"],
            "finishing": ["told success 1"],
        ],
    ]

    @Test(arguments: phases)
    func everyPhaseAnswersEveryEvent(phase: String) {
        func check(_ event: String, _ act: (inout Fixture) -> [String]) {
            var fixture = Fixture()
            fixture.bring(to: phase)
            let found = act(&fixture)
            let expected = Self.answers[event]?[phase] ?? []
            #expect(found == expected, "\(event) while \(phase)")
            #expect(fixture.runner.runningCount >= 0)
        }
        check("assign") { $0.assign(1) }
        check("kill") { $0.kill(1) }
        check("settle") { $0.settle(1) }
        check("started") { $0.event(1, Fixture.started) }
        check("output") { $0.event(1, .output([1], skipped: 0)) }
        check("ended") { $0.event(1, Fixture.ended()) }
        check("refused") { $0.event(1, .refused("no")) }
        check("vanished") { $0.event(1, .vanished("gone")) }
        check("sync") { $0.sync() }
    }

    /// At most one start, whatever is repeated, in whichever phase.
    @Test(arguments: phases)
    func noRepetitionStartsASecondTime(phase: String) {
        var fixture = Fixture()
        fixture.bring(to: phase)
        fixture.runner.tunables.maxRunning = 512
        var starts = ["running", "finishing", "finished", "settled"].contains(phase) ? 1 : 0
        for _ in 0..<3 {
            let found = fixture.assign(1) + fixture.sync()
            starts += found.filter { $0 == "start 1" }.count
        }
        #expect(starts == 1)
    }

    @Test func aKillBeforeTheStartPreventsIt() {
        var fixture = Fixture()
        _ = fixture.assign(1)
        same(fixture.kill(1), [])
        same(fixture.sync(), ["accepted 1", "journal finished"])
        same(fixture.sync(), ["told killed 1"])
        // Of a run that was never heard of, and comes late.
        same(fixture.kill(2), ["told killed 2"])
        same(fixture.assign(2) + fixture.sync(), [])
        // Remembered for a minute.
        _ = fixture.wait(0)
        _ = fixture.wait(61)
        same(fixture.assign(2), ["journal accepted"])
    }

    @Test func runsBeyondTheLimitWait() {
        var fixture = Fixture(maxRunning: 2)
        for number in Int64(1)...4 { _ = fixture.assign(number) }
        same(
            fixture.sync(),
            ["accepted 1", "accepted 2", "accepted 3", "accepted 4", "start 1", "start 2"],
            ignoring: "heartbeat")
        same(fixture.event(1, Fixture.ended()), ["journal finished", "start 3"])
        same(fixture.event(2, .refused("no")), ["journal finished", "start 4"])
        same(fixture.event(3, .vanished("gone")), ["journal finished"])
    }

    @Test func whatCantBeStartedFailsWithAReason() {
        var fixture = Fixture()
        _ = fixture.assign(1, executor: "nothing")
        same(fixture.sync(), ["accepted 1", "journal finished"])
        same(fixture.sync(), ["told failed 1"])
        #expect(fixture.runner.runningCount == 0)
    }

    @Test func whatTheNodeWasToldNotToRunFails() {
        var offers = ExecutorOffers()
        offers.allowed = ["http"]
        var fixture = Fixture(offers: offers)
        _ = fixture.assign(1)
        _ = fixture.assign(2, executor: "http")
        same(
            fixture.sync(), ["accepted 1", "accepted 2", "journal finished", "call 2"],
            ignoring: "heartbeat")
        let told = fixture.runner.offers.refusal(of: "shell") ?? ""
        #expect(told.contains("\"shell\"") && told.hasSuffix("--executors http"))
        same(fixture.sync(), ["told failed 1"])
    }

    @Test func whatIsStoppedBeforeItWasStartedIsKilled() {
        var fixture = Fixture()
        _ = fixture.assign(1)
        _ = fixture.sync()
        same(fixture.kill(1), ["stop 1"])
        same(fixture.event(1, .refused("the command was not started")), ["journal finished"])
        same(fixture.sync(), ["told killed 1"])
    }

    // MARK: Crashes

    /// After a crash behind any record, nothing is started again and every result is told.
    @Test func aCrashBetweenAnyTwoRecordsStartsNothingTwice() {
        for kept in 0...4 {
            var fixture = Fixture()
            fixture.bring(to: "settled")
            let found = fixture.restart(keeping: kept)
            switch kept {
            case 0: #expect(found == [])
            case 1, 2: #expect(found == ["adopt 1"])
            case 3: #expect(found == ["told success 1"])
            default: #expect(found == [])
            }
            let again = fixture.assign(1) + fixture.sync()
            #expect(again.contains("start 1") == (kept == 0), "after \(kept) records: \(again)")
            if kept == 1 || kept == 2 {
                same(fixture.event(1, .vanished("gone")), ["journal finished"])
                same(fixture.sync(), ["told lost 1"])
            }
        }
    }

    @Test func aRewrittenJournalTellsTheSame() {
        for phase in Self.phases {
            var fixture = Fixture()
            fixture.bring(to: phase)
            fixture.journal = fixture.runner.liveRecords()
            let live = fixture.runner.liveBytes
            let found = fixture.restart()
            #expect(fixture.runner.liveBytes == live, "\(phase)")
            let again = fixture.assign(1) + fixture.sync()
            #expect(!again.contains("start 1"), "\(phase): \(found) \(again)")
        }
    }

    @Test func theBytesOfManyRunsAddUpToNothing() {
        var fixture = Fixture()
        for number in Int64(1)...200 {
            _ = fixture.assign(number)
            _ = fixture.sync()
            if number % 3 == 0 { _ = fixture.event(number, Fixture.started) }
            _ = fixture.event(
                number, .output([UInt8](repeating: 0, count: Int(number) * 10), skipped: 0))
            _ = fixture.event(number, Fixture.ended(Int32(number % 2)))
            _ = fixture.sync()
            _ = fixture.settle(number)
        }
        #expect(fixture.runner.liveBytes == 0)
        _ = fixture.wait(61)
        #expect(fixture.runner.settledKeys.isEmpty)
    }

    // MARK: Stopping

    @Test func aStopEndsWhatRunsWaitsOrIsBeingAccepted() {
        var fixture = Fixture(maxRunning: 1)
        for number in Int64(1)...2 { _ = fixture.assign(number) }
        _ = fixture.sync()
        _ = fixture.assign(3)
        fixture.runner.endAll(
            reason: "killed: node stopped", at: fixture.now.wall, into: &fixture.actions)
        same(fixture.take(), ["stop 1", "journal finished"])
        same(
            fixture.sync(), ["told killed 2", "accepted 3", "journal finished"].sorted(),
            sorted: true)
        same(fixture.event(1, Fixture.ended(0, .stopped)), ["journal finished"])
        same(fixture.sync(), ["told killed 3", "told killed 1"].sorted(), sorted: true)
        #expect(fixture.runner.runs.allSatisfy { $0.value.result?.state == .killed })
        #expect(
            fixture.runner.runs.allSatisfy {
                $0.value.result!.error.hasPrefix("killed: node stopped")
            })
    }

    // MARK: HTTP

    @Test func aCallIsJournaledBeforeItIsMadeAndItsAnswerIsTheResult() {
        for (cause, error, state) in [
            (CallEnd.Cause.finished, "", Execution.State.success),
            (.finished, "no good", .failed), (.timedOut, "too late", .failed),
            (.stopped, "", .killed), (.fenced, "", .failed),
        ] {
            var fixture = Fixture()
            same(fixture.assign(1, executor: "http"), ["journal accepted"])
            same(fixture.sync(), ["accepted 1", "call 1", "heartbeat"])
            same(fixture.call(1, .started(at: WallTime(seconds: 5))), ["told started 1"])
            same(fixture.call(1, .output([1, 2])), [])
            if state == .killed { same(fixture.kill(1), ["hang up 1"]) }
            let end = CallEnd(cause: cause, error: error, at: WallTime(seconds: 6))
            same(fixture.call(1, .ended(end)), ["journal finished"])
            same(fixture.sync(), ["told output 0 of 2", "told \(state) 1"])
            let result = fixture.runner.runs.first { _ in true }?.value.result
            #expect(result?.startedAt == WallTime(seconds: 5))
            #expect(result?.exitCode == nil)
            if !error.isEmpty { #expect(result?.error == error) }
            if state != .success, error.isEmpty { #expect(result!.error.contains("connection")) }
            // The HTTP client keeps nothing that could be released.
            same(fixture.settle(1), ["journal settled"])
        }
    }

    @Test func aCallThatWentWithItsAgentHasFailedAndIsNotMadeAgain() {
        var fixture = Fixture()
        _ = fixture.assign(1, executor: "http")
        _ = fixture.sync()
        _ = fixture.call(1, .started(at: WallTime(seconds: 5)))
        same(fixture.restart(), ["journal finished"], ignoring: "heartbeat")
        same(fixture.sync(), ["told failed 1"])
        let result = fixture.runner.runs.first { _ in true }?.value.result
        #expect(result?.error.contains("the agent ended while the request was under way") == true)
        same(fixture.assign(1, executor: "http"), ["told failed 1"])
    }

    @Test func whatRunsElsewhereIsTakenUpAgainByTheNextLife() {
        var fixture = Fixture()
        _ = fixture.assign(1, executor: "docker")
        same(fixture.sync(), ["accepted 1", "converse 1", "heartbeat"])
        _ = fixture.call(1, .started(at: WallTime(seconds: 5)))
        same(fixture.restart(), ["converse 1 again"], ignoring: "heartbeat")
        same(fixture.call(1, .started(at: WallTime(seconds: 7))), ["told started 1"])
        same(fixture.kill(1), ["hang up 1"])
        let end = CallEnd(
            cause: .stopped, error: "it was removed", exitCode: 3, at: WallTime(seconds: 8))
        same(fixture.call(1, .ended(end)), ["journal finished"])
        let result = fixture.runner.runs.first { _ in true }?.value.result
        #expect(result?.error == "killed by request; it was removed")
        #expect(result?.exitCode == 3)
    }

    @Test func aHugeErrorIsCut() {
        var fixture = Fixture()
        fixture.bring(to: "running")
        _ = fixture.event(1, .refused(String(repeating: "x", count: 3_000_000)))
        #expect(fixture.journal.last!.payload.count < 10_000)
    }
}

private func same(
    _ found: [String], _ expected: [String], ignoring: String? = nil, sorted: Bool = false,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    var found = found.filter { $0 != ignoring }
    if sorted { found.sort() }
    #expect(found == expected, sourceLocation: sourceLocation)
}
