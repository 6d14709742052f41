// Between the outcome of an execution and what follows from it stand the processors of its job.
// They run outside of the log; here is what the log knows of them: that they are still to run, and
// then what they left.
//
//   reported ─► outcome ─────────────────────────────────► counted, retried, group ended
//                  └─► processing ─► (leader runs them) ─► processed ─┘

extension Store {
    /// Whether nothing follows from an outcome of this job before its processors have run. Not
    /// before every server knows how to wait.
    func awaitsProcessors(_ job: JobName) -> Bool {
        cluster.featureLevel >= FeatureLevel.fourth
            && !(document(job)?.processors.isEmpty ?? true)
    }

    /// Lets what follows from an outcome wait for the processors.
    mutating func beginProcessing(
        _ execution: Execution, of job: JobName, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        var execution = execution
        execution.isProcessing = true
        put(state.generation, execution)
        let key = ExecutionKey(generation: state.generation, number: execution.number)
        put(Key.processing(key), Array(job.text.utf8))
        if var group = group(state.generation, execution.group), let document = document(job) {
            release(&group, document, &state, stamp, &events)
        }
        put(job, state)
    }

    /// A group of which nothing runs, nor will if the processors leave the outcomes as they are, is
    /// in nobody's way any more: other groups need not wait for processors.
    mutating func release(
        _ group: inout Group, _ document: JobDocument, _ state: inout JobState, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        guard group.state == .active else { return }
        for target in group.targets {
            guard target.retryDue == nil, let number = target.attempts.last,
                let last = execution(ExecutionKey(generation: state.generation, number: number)),
                last.state.isEnded, !last.isProcessing || !wantsRetry(last, document)
            else { return }
        }
        group.state = .processing
        put(state.generation, group)
        state.activeGroups -= 1
        // Ticks that take turns wait for just that.
        events.append(.jobChanged(document.name))
        beginWaiting(document, &state, stamp, &events)
    }

    /// Makes a group active again for a retry, unless another one has begun that must not meet it.
    mutating func resume(
        _ group: inout Group, for execution: Execution, _ document: JobDocument,
        _ state: inout JobState
    ) -> Bool {
        guard group.state == .processing else { return true }
        guard document.concurrency == .allow || state.activeGroups == 0 else {
            var execution = execution
            execution.notes.append("not tried again: another run of the job has begun")
            put(state.generation, execution)
            return false
        }
        group.state = .active
        state.activeGroups += 1
        return true
    }

    /// Takes what the processors left, once, and lets happen what has waited for it.
    mutating func apply(
        _ processed: Processed, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        let key = processed.key
        guard let job = processingJob(of: key) else { return .rejected(.notPending) }
        remove(Key.processing(key))
        events.append(.processingEnded(key))
        events.append(.settled(key))
        guard var execution = execution(key), var state = state(job) else {
            return .rejected(.unknownExecution)
        }
        execution.isProcessing = false
        execution.notes += processed.notes
        if let failure = processed.failure, execution.state == .success {
            execution.state = .failed
            execution.error = Execution.shortened(failure)
            events.append(.mark(.successOverruled))
        }
        if let output = processed.output {
            replace(&execution, key, output, &events)
            execution.isOutputTruncated = processed.isOutputTruncated
        }
        put(key.generation, execution)
        conclude(execution, of: job, jitter: processed.jitter, &state, stamp, &events)
        return .applied
    }

    private func replace(
        _ execution: inout Execution, _ key: ExecutionKey, _ output: [UInt8],
        _ events: inout [StoreEvent]
    ) {
        events.append(.forgetOutput(key))
        var chunk: UInt32 = 0
        var start = 0
        while start < output.count {
            let end = min(start + Self.processedChunk, output.count)
            events.append(
                .processedOutput(key, chunk: chunk, bytes: Array(output[start..<end])))
            chunk += 1
            start = end
        }
        execution.hasProcessedOutput = true
        execution.outputLength = UInt64(output.count)
        execution.outputChunks = chunk
        execution.outputDigest = Checksum.crc32c(output)
    }

    /// Bytes of a piece of output in the history.
    private static var processedChunk: Int { 64 << 10 }

    /// The job of an execution whose processors have not all run.
    func processingJob(of key: ExecutionKey) -> JobName? {
        bytes(Key.processing(key)).map { JobName(String(decoding: $0, as: UTF8.self)) }
    }

    /// The first execution behind `key` (nil: of all) whose processors have not all run, and its
    /// job. O(log n).
    package func processing(after key: ExecutionKey?) -> (key: ExecutionKey, job: JobName)? {
        let place = key.map { Key.processing($0) } ?? ByteKey([Key.Table.processing.rawValue])
        guard let entry = records.next(after: place),
            entry.key.bytes.first == Key.Table.processing.rawValue
        else { return nil }
        let found = ExecutionKey(
            generation: Key.generation(of: entry.key), number: Key.lastNumber(of: entry.key))
        return (found, JobName(String(decoding: entry.value, as: UTF8.self)))
    }
}
