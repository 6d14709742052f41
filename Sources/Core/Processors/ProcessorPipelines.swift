// The processors of executions that have ended, one after the other for each execution. Leader
// only, and holds no truth: the store knows which executions wait for them.
//
//   pending in the store ─► reading the output ─► running, processor after processor ─► finished
//                                                     ▲         │ answered, failed, timed out
//                                                     └─────────┘
//
// What they leave is proposed once; a leader that is lost before that is followed by one that
// begins anew. So each processor runs at least once, and what it leaves counts once.

/// Runs processors for as many executions at a time as there is room for.
package struct ProcessorPipelines {
    enum Action {
        case read(StorageTicket, StorageOperation)
        case readSecrets(ExecutionID, [String])
        case process(ProcessorRun)
        case abandon(ProcessorRunID)
        case log(LogRecord)
        case mark(Mark)
    }

    private enum Phase {
        /// Nothing was asked yet, or a part of the output was.
        case reading(OutputFetch, ticket: UInt64)
        /// The next processor's secrets are being read.
        case asking(ProcessorRunID)
        case running(ProcessorRunID, until: Instant)
        case finished
        case proposed
    }

    private struct Pipeline {
        var execution: ProcessedExecution
        let stages: [ProcessorSettings]
        var position = 0
        var output: [UInt8] = []
        var isReplaced = false
        var isTruncated: Bool
        var failure: String?
        var notes: [String] = []
        var phase = Phase.finished
        /// What the present processor leaves if it says nothing.
        var replacement: [UInt8]?
        /// Those of the present processor, once they were read.
        var secrets: [Setting]?

        /// On to the next processor.
        mutating func advance() {
            position += 1
            secrets = nil
        }

        /// A text without the secrets of the present processor.
        func masked(_ text: String) -> String {
            secrets.map { SecretMask($0).hide(in: text) } ?? text
        }
    }

    /// Executions whose processors run at the same time; their outputs are in memory.
    static let limit = 32
    /// How many of them one step begins with.
    private static let slice = 4
    /// What runs has its own time-out; this much later it is given up without having said so.
    private static let slack = Duration.seconds(1)

    private let node: NodeName
    /// The most bytes of output.
    private let outputLimit: Int
    private var pipelines = SortedMap<ExecutionKey, Pipeline>()
    private var runs = SortedMap<ProcessorRunID, ExecutionKey>()
    private var lastRun: ProcessorRunID = 0
    private var lastTicket: UInt64 = 0
    /// Behind which execution the search for the next one goes on: everyone gets a turn.
    private var place: ExecutionKey?

    /// - Parameters:
    ///   - node: this server.
    ///   - outputLimit: the most bytes that processors may leave; more is cut at the front.
    init(of node: NodeName, outputLimit: Int) {
        self.node = node
        self.outputLimit = outputLimit
    }

    /// There is something for `proceed` to do at once. O(1).
    func wantsStep(_ store: Store) -> Bool {
        pipelines.count < min(Self.limit, store.counters.processing)
    }

    /// When the first of what runs is given up.
    var nextDeadline: Instant? {
        var soonest: Instant?
        for (_, pipeline) in pipelines {
            guard case .running(_, let until) = pipeline.phase else { continue }
            soonest = min(soonest ?? until, until)
        }
        return soonest
    }

    // MARK: Beginning

    /// Begins with executions that wait, one slice.
    mutating func proceed(
        _ store: Store, _ history: HistoryStore, at now: Instant, into actions: inout [Action]
    ) {
        for _ in 0..<Self.slice where wantsStep(store) {
            guard let next = nextPending(store) else { return }
            begin(next.key, next.job, store, history, at: now, into: &actions)
        }
    }

    /// O(limit · log n): those that are passed by are under way.
    private mutating func nextPending(_ store: Store) -> (key: ExecutionKey, job: JobName)? {
        var isSecondRound = place == nil
        while true {
            guard let found = store.processing(after: place) else {
                place = nil
                if isSecondRound { return nil }
                isSecondRound = true
                continue
            }
            place = found.key
            if !pipelines.contains(found.key) { return found }
        }
    }

    private mutating func begin(
        _ key: ExecutionKey, _ job: JobName, _ store: Store, _ history: HistoryStore,
        at now: Instant, into actions: inout [Action]
    ) {
        guard let execution = store.execution(key), let document = store.document(job) else {
            return
        }
        pipelines[key] = Pipeline(
            execution: ProcessedExecution(execution, of: job, reportedBy: node),
            stages: document.processors, isTruncated: execution.isOutputTruncated)
        let fetch = OutputFetch(
            key.historyKey, hasOutput: execution.outputChunks > 0, limit: nil, history)
        read(fetch, key, at: now, into: &actions)
    }

    private mutating func read(
        _ fetch: OutputFetch, _ key: ExecutionKey, at now: Instant, into actions: inout [Action]
    ) {
        var fetch = fetch
        switch fetch.next() {
        case .read(let file, let offset, let length):
            lastTicket += 1
            pipelines.update(key) { $0.phase = .reading(fetch, ticket: lastTicket) }
            let ticket = StorageTicket(owner: .processors, number: lastTicket)
            actions.append(.read(ticket, .read(file, offset: offset, length: length)))
        case .done(let shown):
            pipelines.update(key) { $0.output = shown.bytes }
            if let problem = shown.problem { note(problem.rawValue, key) }
            proceed(with: key, at: now, into: &actions)
        }
    }

    /// Takes the answer to a read, nil if it failed.
    mutating func stored(
        _ ticket: StorageTicket, _ bytes: [UInt8]?, _ history: HistoryStore, at now: Instant,
        into actions: inout [Action]
    ) {
        for (key, pipeline) in pipelines {
            guard case .reading(var fetch, ticket.number) = pipeline.phase else { continue }
            fetch.take(bytes, history)
            return read(fetch, key, at: now, into: &actions)
        }
    }

    // MARK: Running

    /// Starts the next processor, or finishes behind the last one.
    private mutating func proceed(
        with key: ExecutionKey, at now: Instant, into actions: inout [Action]
    ) {
        while let pipeline = pipelines[key], pipeline.position < pipeline.stages.count {
            if asksForSecrets(pipeline, key, into: &actions) { return }
            let task: ProcessorTask
            do throws(ExecutorSettingError) {
                var stage = pipeline.stages[pipeline.position]
                stage.settings = try SecretReference.fill(stage.settings, pipeline.secrets ?? [])
                task = try BuiltInProcessor.task(stage)
            } catch {
                failed("its settings are refused: \(error)", key, into: &actions)
                continue
            }
            guard !task.isNotFor(pipeline.execution) else {
                pipelines.update(key) { $0.advance() }
                continue
            }
            lastRun += 1
            runs[lastRun] = key
            let until = now + task.timeout + Self.slack
            pipelines.update(key) { pipeline in
                pipeline.phase = .running(lastRun, until: until)
                pipeline.replacement = task.replacement(for: pipeline.execution.id)
            }
            return actions.append(
                .process(
                    ProcessorRun(
                        id: lastRun, task: task, execution: pipeline.execution,
                        output: pipeline.output)))
        }
        pipelines.update(key) { $0.phase = .finished }
    }

    // MARK: Secrets

    /// Names the question for a processor's secrets. No node has a slash in its name.
    private static func question(_ number: ProcessorRunID) -> ExecutionID {
        ExecutionID("\(number)/processor")
    }

    /// Whether secrets were asked for under this name by a processor.
    func isAsking(_ id: ExecutionID) -> Bool { id.text.hasSuffix("/processor") }

    /// - Returns: whether the present processor has to wait for its secrets.
    private mutating func asksForSecrets(
        _ pipeline: Pipeline, _ key: ExecutionKey, into actions: inout [Action]
    ) -> Bool {
        let names = SecretReference.names(in: pipeline.stages[pipeline.position].settings)
        guard pipeline.secrets == nil, !names.isEmpty else { return false }
        lastRun += 1
        pipelines.update(key) { $0.phase = .asking(lastRun) }
        actions.append(.readSecrets(Self.question(lastRun), names))
        return true
    }

    /// The answer to `readSecrets` came.
    mutating func secrets(
        _ id: ExecutionID, _ answer: SecretsAnswer, at now: Instant, into actions: inout [Action]
    ) {
        for (key, pipeline) in pipelines {
            guard case .asking(let number) = pipeline.phase, Self.question(number) == id else {
                continue
            }
            switch answer {
            case .read(let values): pipelines.update(key) { $0.secrets = values }
            case .failed(let reason): failed(reason, key, into: &actions)
            }
            return proceed(with: key, at: now, into: &actions)
        }
    }

    // MARK: Answers

    /// A processor has answered.
    mutating func processed(
        _ run: ProcessorRunID, _ outcome: ProcessorOutcome, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let key = runs.remove(run) else { return }
        switch outcome {
        case .failed(let reason): failed(reason, key, into: &actions)
        case .done(let output, let failure):
            pipelines.update(key) { pipeline in
                let failure = failure.map { pipeline.masked($0) }
                pipeline.advance()
                if let output = output ?? pipeline.replacement {
                    pipeline.output = Array(output.suffix(outputLimit))
                    pipeline.isTruncated = output.count > outputLimit
                    pipeline.isReplaced = true
                }
                if let failure, pipeline.execution.state == .success {
                    let reason = Execution.shortened(failure)
                    pipeline.failure = reason
                    // Those that follow see it so.
                    pipeline.execution.state = .failed
                    pipeline.execution.error = reason
                }
            }
        }
        proceed(with: key, at: now, into: &actions)
    }

    /// Gives up what runs for too long.
    mutating func deadline(at now: Instant, into actions: inout [Action]) {
        for (key, pipeline) in pipelines {
            guard case .running(let run, let until) = pipeline.phase, until <= now else { continue }
            runs.remove(run)
            actions.append(.abandon(run))
            actions.append(.mark(.processorTimedOut))
            failed("it did not answer in time and was given up", key, into: &actions)
            proceed(with: key, at: now, into: &actions)
        }
    }

    /// The present processor could not do its work: the next one gets what it was given.
    private mutating func failed(
        _ reason: String, _ key: ExecutionKey, into actions: inout [Action]
    ) {
        guard let pipeline = pipelines[key] else { return }
        let name = pipeline.stages[pipeline.position].name
        let text = Self.cut(pipeline.masked(reason))
        actions.append(.mark(.processorFailed))
        actions.append(
            .log(
                LogRecord(
                    .warning, "a processor failed, the output stays as it was",
                    [
                        .init("job", pipeline.execution.job.text),
                        .init("execution", pipeline.execution.id.text), .init("processor", name),
                        .init("error", text),
                    ])))
        note("processor \(name): \(text)", key)
        pipelines.update(key) { $0.advance() }
    }

    private mutating func note(_ text: String, _ key: ExecutionKey) {
        pipelines.update(key) { pipeline in
            guard pipeline.notes.count < Processed.noteLimit else { return }
            pipeline.notes.append(Self.cut(text))
        }
    }

    static func cut(_ text: String) -> String {
        guard text.utf8.count > Processed.noteSize else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: Processed.noteSize - 4)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return text[..<end] + " …"
    }

    // MARK: Ends

    /// What is ready to be proposed; taken once.
    mutating func takeFinished() -> [Processed] {
        var finished: [Processed] = []
        for (key, pipeline) in pipelines {
            guard case .finished = pipeline.phase else { continue }
            pipelines.update(key) { $0.phase = .proposed }
            var processed = Processed(key: key)
            if pipeline.isReplaced {
                processed.output = pipeline.output
                processed.isOutputTruncated = pipeline.isTruncated
            }
            processed.failure = pipeline.failure
            processed.notes = pipeline.notes
            finished.append(processed)
        }
        return finished
    }

    /// What the processors of an execution left is in the log, or the job is gone.
    mutating func ended(_ key: ExecutionKey, into actions: inout [Action]) {
        guard let pipeline = pipelines.remove(key),
            case .running(let run, _) = pipeline.phase
        else { return }
        runs.remove(run)
        actions.append(.abandon(run))
    }

    /// Another server runs the processors from here on.
    mutating func loseLeadership(into actions: inout [Action]) {
        for (run, _) in runs { actions.append(.abandon(run)) }
        runs = SortedMap()
        pipelines = SortedMap()
        place = nil
    }
}
