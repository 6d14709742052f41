// What an agent remembers of its earlier lives.

extension Runner {
    /// Takes one record of the journal, in the order in which they were written.
    mutating func recover(
        kind: UInt8, key bytes: [UInt8], payload: [UInt8]
    ) throws(ByteError) {
        guard let kind = RecordKind(rawValue: kind) else {
            throw .malformed(offset: 0, what: "a record of the agent's journal of kind \(kind)")
        }
        var keyReader = ByteReader(bytes)
        let key = ExecutionKey(generation: try keyReader.u64(), number: try keyReader.i64())
        var reader = ByteReader(payload)
        switch kind {
        case .accepted:
            insert(
                key,
                Run(
                    assignment: try Assignment(from: &reader), phase: .running,
                    tail: OutputTail(limit: tunables.outputLimit), isAdopted: true))
            countJournaled(key, payload: payload.count)
        case .started:
            countJournaled(key, payload: payload.count)
            let identity = ProcessIdentity(
                processID: Int32(bitPattern: try reader.u32()), startTicks: try reader.u64(),
                boot: try reader.string())
            if runs[key]?.carrier == .process { runs[key]?.identity = identity }
            runs[key]?.startedAt = try reader.time()
            if !reader.isAtEnd { runs[key]?.secretDigest = try reader.u16() }
        case .finished:
            guard var run = runs[key] else { return }
            let result = try ExecutionResult(from: &reader)
            let output = try reader.bytes()
            run.result = result
            run.tail = OutputTail(limit: tunables.outputLimit)
            run.tail.append(output)
            run.phase = .finished
            runs[key] = run
            countJournaled(key, payload: payload.count)
        case .settled:
            forget(key)
            recoverSettled(key)
        }
    }

    /// All records were taken: find out what became of the runs.
    mutating func recovered(at now: Now, into actions: inout [Action]) {
        for (key, run) in runs {
            switch run.phase {
            case .running where run.carrier.endsWithAgent:
                // It went with the process that had sent it.
                let reason = run.carrier.unknown
                finish(key, unstarted(run, .failed, reason, now.wall), into: &actions)
            case .running:
                runningCount += 1
                // What it printed comes once more from its beginning, so start afresh.
                runs[key]?.tail = OutputTail(limit: tunables.outputLimit)
                // First what must be hidden in what it prints.
                guard hasSecrets(key, run, into: &actions) else { continue }
                takeUp(key, at: now, into: &actions)
            case .finished: tellResult(run, into: &actions)
            case .accepting, .queued, .finishing: break
            }
        }
        rememberRecovered(at: now.monotonic)
        if !runs.isEmpty { resume(at: now.monotonic) }
    }

    /// Goes on with what an earlier life began.
    mutating func takeUp(_ key: ExecutionKey, at now: Now, into actions: inout [Action]) {
        guard let run = runs[key] else { return }
        let id = run.assignment.id
        guard run.carrier == .elsewhere else { return actions.append(.adopt(id, run.identity)) }
        // Nobody has kept its fence meanwhile: whether it has run out is not known.
        let age = run.assignment.isFenced ? Self.fence(of: run.assignment) : .zero
        switch start(of: run, leaseAge: age) {
        case .success(let action):
            actions.append(action)
            if run.isKillRequested { actions.append(.hangUp(id)) }
        case .failure(let error):
            runningCount -= 1
            let reason = "\(error.sentence); what was started before the agent ended may go on"
            finish(key, unstarted(run, .failed, reason, now.wall), into: &actions)
        }
    }

    /// The records that a rewritten journal starts with.
    func liveRecords() -> [(kind: UInt8, key: [UInt8], payload: [UInt8])] {
        var records: [(kind: UInt8, key: [UInt8], payload: [UInt8])] = []
        for (key, _) in settledKeys {
            records.append((RecordKind.settled.rawValue, key.historyKey, []))
        }
        for (key, run) in runs {
            let name = key.historyKey
            records.append((RecordKind.accepted.rawValue, name, run.assignment.encoded))
            if run.identity != nil || run.secretDigest != nil, let at = run.startedAt {
                let start = Self.encode(run.identity, startedAt: at, run.secretDigest)
                records.append((RecordKind.started.rawValue, name, start))
            }
            if let result = run.result {
                records.append(
                    (
                        RecordKind.finished.rawValue, name,
                        Self.encode(result, output: Array(run.tail.bytes))
                    ))
            }
        }
        return records
    }

    /// The payload of `started`. The digest stands behind all that older programs read, which leave
    /// it alone; so there is no record of another kind, at which they would stop.
    /// - Parameter identity: none of what is no process here.
    static func encode(
        _ identity: ProcessIdentity?, startedAt: WallTime, _ secretDigest: UInt16?
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.u32(UInt32(bitPattern: identity?.processID ?? 0))
        writer.u64(identity?.startTicks ?? 0)
        writer.string(identity?.boot ?? "")
        writer.time(startedAt)
        if let secretDigest { writer.u16(secretDigest) }
        return writer.output
    }

    static func encode(_ result: ExecutionResult, output: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: output.count + 128)
        result.encode(into: &writer)
        writer.bytes(output)
        return writer.output
    }
}
