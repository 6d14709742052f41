// Runs by hand, and ending executions.

extension API {
    /// Starts a group at once and waits for its end, up to `?wait=`.
    mutating func run(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (document, state) = try stored(call.job, context)
        let wait = try runWait(call)
        var requestID = makeRunID()
        if let key = try idempotencyKey(call) {
            requestID = key
            if let group = context.store.group(ofRequest: key, state.generation) {
                actions.append(.mark(.idempotentRunRepeated))
                return try hold(group, call, wait, context, &actions)
            }
        }
        if context.store.cluster.refusesEdits { throw .paused }
        if TargetSelection.matching(document.tags, context.candidates).candidates.isEmpty {
            throw .noTarget(call.job)
        }
        if document.concurrency == .forbid, state.activeGroups > 0 { throw .overlap(call.job) }
        let run = RunNow(job: call.job, requestID: requestID, targets: [])
        try propose(.runNow(run), .run(call.job, wait: wait), call, &actions)
    }

    /// What follows from the outcome of a run by hand.
    mutating func concludeRun(
        of job: JobName, wait: Duration, _ made: Proposal, _ result: ApplyResult,
        _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        switch result {
        case .launched(let group, let repeated):
            if !repeated {
                log(
                    "run requested", made.call,
                    [.init("job", job.text), .init("group", "\(group)")], &actions)
            }
            guard !made.isAbandoned else { return }
            try hold(group, made.call, wait, context, &actions)
        case .rejected(let rejection): throw APIError(rejection, job: job)
        case .applied, .stored, .restored, .rewound:
            invariant(false, "a run by hand is launched or rejected")
        }
    }

    /// Answers when the group has ended or the time is over.
    private mutating func hold(
        _ group: GroupID, _ call: Call, _ wait: Duration, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        let generation = try stored(call.job, context).1.generation
        let waiter = GroupWaiter(generation: generation, group: group, request: call.id)
        let end = WaitEnd(at: context.now.monotonic + wait, request: call.id)
        let groupWait = GroupWait(call: call, job: call.job, waiter: waiter, end: end)
        let hasEnded = context.store.group(generation, group)?.state.isEnded ?? true
        if hasEnded || wait <= .zero {
            return answerRun(groupWait, hasEnded: hasEnded, context, &actions)
        }
        try self.wait(call.id, for: .group(groupWait))
        waiters[waiter] = ()
        timeouts[end] = waiter
    }

    mutating func endWait(
        of id: RequestID, hasEnded: Bool, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard case .group(let wait) = pending.remove(id) else { return }
        forget(wait)
        answerRun(wait, hasEnded: hasEnded, context, &actions)
    }

    mutating func forget(_ wait: GroupWait) {
        waiters.remove(wait.waiter)
        timeouts.remove(wait.end)
    }

    /// 200 with the job once its run has ended, 202 while it goes on.
    private func answerRun(
        _ wait: GroupWait, hasEnded: Bool, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard let document = context.store.document(wait.job),
            let state = context.store.state(wait.job)
        else {
            // Deleted while it ran, or an ephemeral job whose only run succeeded.
            var writer = JSONWriter(wait.call.layout)
            writer.beginObject()
            writer.member("name", wait.job.text)
            writer.member("deleted", true)
            writer.endObject()
            return finishRun(Answer(200, writer), wait, context, &actions)
        }
        let answer = jobAnswer(hasEnded ? 200 : 202, wait.call, document, state, context)
        finishRun(answer, wait, context, &actions)
    }

    private func finishRun(
        _ answer: Answer, _ wait: GroupWait, _ context: APIContext,
        _ actions: inout [APIAction]
    ) {
        var answer = answer
        answer.headers.append("Location", wait.call.request.path)
        answer.headers.append("X-Execution-Group", "\(wait.waiter.group)")
        respond(wait.call, answer, context, &actions)
    }

    /// `?wait=` in whole seconds or as a duration.
    private func runWait(_ call: Call) throws(APIError) -> Duration {
        try Self.wait(in: call.query)
    }

    /// How long a request may wait for a run.
    static func patience(for request: HTTPRequest) -> Duration {
        guard let query = try? request.decodedQuery() else { return Limit.wait }
        return (try? wait(in: query)) ?? Limit.wait
    }

    private static func wait(in query: HTTPQuery) throws(APIError) -> Duration {
        guard let text = query["wait"] else { return Limit.wait }
        var wait: Duration?
        if let seconds = Int64(text) {
            wait = seconds >= 0 && seconds < 1_000_000 ? .seconds(seconds) : nil
        } else {
            wait = try? DurationText.parse(text)
        }
        guard let wait, wait >= .zero, wait <= Limit.longestWait else {
            throw .parameter(
                "wait",
                "The parameter wait is a number of seconds or a duration such as 30s, from 0 to"
                    + " \(DurationText.print(Limit.longestWait)), not \"\(text)\".")
        }
        return wait
    }

    /// What makes a repeated request the same one. Kept apart from the ids that we make.
    private func idempotencyKey(_ call: Call) throws(APIError) -> String? {
        guard let key = call.request.headers["Idempotency-Key"] else { return nil }
        guard !key.isEmpty, key.utf8.count <= 255 else {
            throw .parameter(
                "Idempotency-Key", "The header Idempotency-Key holds 1 to 255 characters.")
        }
        return "key:\(key)"
    }

    // MARK: Ending executions

    mutating func kill(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (_, key) = try execution(call, context)
        try propose(.kill(call.job, key), .kill(call.job, key), call, &actions)
    }

    /// A person knows that the machine is dead: what it ran counts as lost at once.
    mutating func giveUp(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (execution, key) = try execution(call, context)
        if execution.state.isEnded { throw APIError(.executionEnded, job: call.job) }
        let client = call.request.clientAddress
        let reason = client.isEmpty ? "given up by hand" : "given up by hand from \(client)"
        let report = Report(job: call.job, key: key, news: .lost(reason: reason))
        try propose(.reports([report]), .giveUp(call.job, key), call, &actions)
    }

    /// 202: the processes end soon, which the execution shows.
    mutating func concludeKill(
        of job: JobName, _ key: ExecutionKey, isKill: Bool, _ made: Proposal,
        _ result: ApplyResult, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        if case .rejected(let rejection) = result { throw APIError(rejection, job: job) }
        log(
            isKill ? "kill requested" : "execution given up", made.call,
            [.init("job", job.text), .init("execution", made.call.parameters.last ?? "")],
            &actions)
        guard let execution = context.store.execution(key) else { throw .unknownJob(job) }
        var writer = JSONWriter(made.call.layout)
        let output = ShownOutput(bytes: context.liveOutput(key) ?? [])
        writer.execution(execution, of: job, output)
        reply(made, Answer(isKill ? 202 : 200, writer), context, &actions)
    }

    /// The execution that the path names.
    func execution(
        _ call: Call, _ context: APIContext
    ) throws(APIError) -> (Execution, ExecutionKey) {
        let (_, state) = try stored(call.job, context)
        let id = call.parameters.last ?? ""
        let digits = id.utf8.prefix { $0 != UInt8(ascii: "-") }
        guard let number = Int64(String(decoding: digits, as: UTF8.self)) else {
            throw .unknownExecution(id, of: call.job)
        }
        let key = ExecutionKey(generation: state.generation, number: number)
        guard let execution = context.store.execution(key), execution.id == ExecutionID(id) else {
            throw .unknownExecution(id, of: call.job)
        }
        return (execution, key)
    }
}
