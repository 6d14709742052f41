// What the node tells about itself to machines that watch it.

/// The metrics of single jobs on their way to a client: a family after the other, in slices.
struct MetricsStream {
    fileprivate enum Family: CaseIterable { case lastSuccess, succeeded, failed }

    /// How many jobs one step looks at.
    static let sliceJobs = 250

    let call: Call
    private let limit: Int
    private var families: ArraySlice<Family>
    private var place = JobName("")
    private var left: Int
    private var hasHead = false

    init(_ call: Call, limit: Int) {
        self.call = call
        self.limit = limit
        left = limit
        families = Family.allCases[...]
    }

    /// The next piece; the last one ends the answer. O(a slice).
    mutating func advance(_ store: Store) -> (bytes: [UInt8], isLast: Bool) {
        var text = MetricsText()
        var budget = Self.sliceJobs
        while let family = families.first {
            if !hasHead {
                hasHead = true
                text.begin(family)
            }
            guard budget > 0 else { return (text.take(), false) }
            guard left > 0, let name = store.job(from: place, exclusive: true) else {
                families.removeFirst()
                (place, left, hasHead) = (JobName(""), limit, false)
                continue
            }
            budget -= 1
            left -= 1
            place = name
            if let state = store.state(name) { text.add(family, name, state) }
        }
        return (text.take(), true)
    }
}

extension MetricsText {
    fileprivate mutating func begin(_ family: MetricsStream.Family) {
        switch family {
        case .lastSuccess:
            self.family(
                family.name, .gauge, "When an execution of the job last succeeded, Unix time.")
        case .succeeded: self.family(family.name, .counter, "Executions of the job that succeeded.")
        case .failed: self.family(family.name, .counter, "Executions of the job that failed.")
        }
    }

    fileprivate mutating func add(
        _ family: MetricsStream.Family, _ name: JobName, _ state: JobState
    ) {
        let label = [(name: "job_name", value: name.text)]
        switch family {
        case .lastSuccess:
            guard let last = state.lastSuccess else { return }
            sample(family.name, label, Self.seconds(last.nanoseconds))
        case .succeeded: sample(family.name, label, state.successCount)
        case .failed: sample(family.name, label, state.errorCount)
        }
    }
}

extension MetricsStream.Family {
    /// The counters have the names that Dkron 4 gave them.
    fileprivate var name: String {
        switch self {
        case .lastSuccess: "dkron_job_last_success_timestamp_seconds"
        case .succeeded: "dkron_job_executions_succeeded_total"
        case .failed: "dkron_job_executions_failed_total"
        }
    }
}

extension API {
    /// Asks the node for what it has counted.
    mutating func measure(_ call: Call, _ actions: inout [APIAction]) throws(APIError) {
        try wait(call.id, for: .measurement(call))
        actions.append(.measure(call.id))
    }

    /// The answer to `measure`.
    package mutating func measured(
        _ id: RequestID, _ metrics: Metrics, _ gauges: Gauges, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        guard case .measurement(let call) = pending[id] else { return }
        pending.remove(id)
        if call.route.handler == .variables {
            return respond(call, variables(call, metrics, gauges), context, &actions)
        }
        var text = MetricsText()
        text.write(
            metrics, gauges, version: config.version, node: config.nodeName.text)
        text.single("dkron_api_pending_requests", .gauge, "Requests that wait.", pending.count)
        text.single(
            "dkron_api_streams", .gauge, "Lists and outputs that are being sent.",
            streams.count + outputs.count)
        var stream = MetricsStream(call, limit: config.metricsMaxJobs)
        let piece = stream.advance(context.store)
        var answer = Answer(200, streamOf: "text/plain; version=0.0.4; charset=utf-8")
        let bytes = text.take() + piece.bytes
        if piece.isLast {
            answer.body = .bytes(bytes)
            return respond(call, answer, context, &actions)
        }
        if call.isHead {
            respond(call, answer, context, &actions)
            return actions.append(.respondChunk(id, [], last: true))
        }
        pending[id] = .metrics
        scrapes[id] = stream
        respond(call, answer, context, &actions)
        actions.append(.mark(.responseStreamed))
        actions.append(.respondChunk(id, bytes, last: false))
    }

    mutating func advanceMetrics(
        _ id: RequestID, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard var stream = scrapes.remove(id) else { return }
        let piece = stream.advance(context.store)
        actions.append(.respondChunk(id, piece.bytes, last: piece.isLast))
        if piece.isLast {
            pending.remove(id)
        } else {
            scrapes[id] = stream
        }
    }
}
