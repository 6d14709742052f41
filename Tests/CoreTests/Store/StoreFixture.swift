import Testing

@testable import Core

/// A store with the shortest ways to change it, and what the last change told.
struct StoreFixture {
    var store = Store()
    var events: [StoreEvent] = []
    var stamp = WallTime(seconds: 1_000_000)
    var node = NodeName("n1")

    init(settings: ClusterSettings = ClusterSettings()) {
        apply(.bootstrap(clusterID: "c", settings: settings, paused: false))
    }

    @discardableResult
    mutating func apply(_ body: Command.Body, decisions: [JobDecision] = []) -> ApplyResult {
        events = []
        let command = Command(stamp: stamp, decisions: decisions, body: body)
        // What is applied has been through the log.
        let decoded = try! Command(decoding: command.encoded)
        precondition(decoded == command)
        return store.apply(decoded, at: store.appliedIndex + 1, into: &events)
    }

    @discardableResult
    mutating func put(
        _ name: String, schedule: String = "@manually",
        _ change: (inout JobDocument) -> Void = { _ in }
    ) -> ApplyResult {
        var document = JobDocument(name: JobName(name))
        document.schedule = schedule
        document.executor = "shell"
        change(&document)
        return apply(.putJob(PutJob(document: document)))
    }

    func state(_ name: String) -> JobState { store.state(JobName(name))! }

    mutating func decide(
        _ name: String, _ ticks: [(Int64, JobDecision.Verdict)], revision: UInt64? = nil
    ) {
        let state = state(name)
        apply(
            .decide,
            decisions: [
                JobDecision(
                    job: JobName(name), generation: state.generation,
                    revision: revision ?? state.revision,
                    ticks: ticks.map {
                        .init(
                            from: WallTime(seconds: $0.0), to: WallTime(seconds: $0.0),
                            verdict: $0.1)
                    })
            ])
    }

    var run: JobDecision.Verdict { .run(targets: [node]) }

    var launched: [Assignment] {
        events.compactMap { if case .launch(let assignment) = $0 { assignment } else { nil } }
    }

    @discardableResult
    mutating func runNow(_ name: String, _ request: String = "r") -> ApplyResult {
        apply(.runNow(RunNow(job: JobName(name), requestID: request, targets: [node])))
    }

    mutating func end(
        _ assignment: Assignment, _ state: Execution.State = .success, jitter: Int16 = 0
    ) {
        let result = ExecutionResult(state: state, startedAt: stamp, finishedAt: stamp)
        apply(
            .reports([
                Report(
                    job: assignment.job, key: assignment.key, news: .ended(result), jitter: jitter)
            ]))
    }

    mutating func lose(_ assignment: Assignment) {
        apply(
            .reports([
                Report(job: assignment.job, key: assignment.key, news: .lost(reason: "gone"))
            ]))
    }

    func execution(_ assignment: Assignment) -> Execution? { store.execution(assignment.key) }

    func group(_ assignment: Assignment) -> Group? {
        store.group(assignment.key.generation, assignment.group)
    }

    func ledger(_ name: String) -> [LedgerRow] {
        store.ledger(of: state(name).generation, limit: 100).map(\.row)
    }

    mutating func wait(_ duration: Duration) { stamp = stamp + duration }

    /// The sum of all records' hashes, counted afresh.
    var recountedHash: RecordHash {
        var fresh = Store()
        for (key, value) in store.records { fresh.restore(key: key.bytes, value: value) }
        return fresh.hash
    }
}

/// `#expect(a == b)` for expressions that change something, which the macro can't take.
func same<T: Equatable>(_ a: T, _ b: T, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(a == b, sourceLocation: sourceLocation)
}
