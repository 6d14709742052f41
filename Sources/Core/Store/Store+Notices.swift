// Who is to be told of what. A notice comes to be owed in the very entry that commits what it
// tells, and is gone with the one that says that it was told or given up; in between the leader
// tells.
//
//   started ────────────────────────► owed (pre-notifications) ─┐
//   ended, and not to be retried ───► owed                      ├─► told ─► notified
//   missed, or without a target ────► owed                     ─┘

extension Store {
    /// The most notices that wait. Beyond it nobody is told, which the execution says: a receiver
    /// that is dead for days must not fill the memory of all servers.
    package static var noticeLimit: Int { 10_000 }

    private var isNotifying: Bool { !cluster.notifying.isEmpty }

    mutating func setNotifying(_ channels: NotificationChannels) -> ApplyResult {
        cluster.notifying = channels
        return .applied
    }

    // MARK: Owing

    /// An execution has started.
    mutating func oweStart(
        of execution: Execution, _ job: JobName, _ generation: Generation,
        _ events: inout [StoreEvent]
    ) {
        guard isNotifying, let document = document(job) else { return }
        var channels = cluster.notifying.intersection(.starts)
        // Whether it fails nobody knows yet. A monitor that hears of failures alone would take
        // every silence for one.
        if document.notifyOn == .failure { channels.remove(.preWebhook) }
        // To a monitor all attempts are one run, which begins once and ends once.
        if firstStarted(before: execution, generation) != nil { channels.remove(.cronitorStart) }
        owe(channels, execution, document, generation, &events)
    }

    /// An execution is over, and no other attempt follows it.
    mutating func oweEnd(
        of number: Int64, _ document: JobDocument, _ generation: Generation,
        _ events: inout [StoreEvent]
    ) {
        guard isNotifying,
            let execution = execution(ExecutionKey(generation: generation, number: number))
        else { return }
        var channels = cluster.notifying.intersection(.ends)
        if execution.state == .success, document.notifyOn == .failure {
            channels.subtract([.mail, .webhook])
        }
        owe(channels, execution, document, generation, &events)
    }

    /// A tick, a range of them or a child's run came to nothing that somebody chose.
    mutating func oweNothingRan(
        _ row: LedgerRow, _ document: JobDocument, _ generation: Generation, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        guard isNotifying, row.outcome.isFailure else { return }
        var execution = Execution(
            number: nextNumber(stamp), node: NodeName(""), group: 0, attempt: 0,
            scheduledAt: row.from)
        execution.state = .failed
        execution.finishedAt = stamp
        execution.error = row.words
        if row.to > row.from {
            let (from, to) = (RFC3339.print(row.from), RFC3339.print(row.to))
            execution.error += " (ticks from \(from) to \(to))"
        }
        owe(cluster.notifying.intersection(.ends), execution, document, generation, &events)
    }

    private mutating func owe(
        _ wanted: NotificationChannels, _ execution: Execution, _ document: JobDocument,
        _ generation: Generation, _ events: inout [StoreEvent]
    ) {
        var channels = wanted
        if document.ownerEmail.isEmpty { channels.remove(.mail) }
        guard !channels.isEmpty else { return }
        let key = ExecutionKey(generation: generation, number: execution.number)
        let before = notice(key)
        guard before != nil || counters.notices < Self.noticeLimit else {
            events.append(.mark(.notificationGivenUp))
            return note("nobody was told: \(Self.noticeLimit) notifications wait already", key)
        }
        channels.formUnion(before?.channels ?? [])
        let notice = Notice(
            key: key, job: document.name,
            recipients: channels.contains(.mail) ? document.ownerEmail : "",
            execution: execution, channels: channels,
            firstAttempt: channels.contains(.cronitorEnd)
                ? firstStarted(before: execution, generation)?.id : nil)
        put(Key.notice(key), notice.encoded)
        events.append(.noticeOwed(key))
    }

    /// Of the attempts before this one the first that has started. O(targets + attempts).
    private func firstStarted(
        before execution: Execution, _ generation: Generation
    ) -> Execution? {
        guard execution.attempt > 1, let group = group(generation, execution.group),
            let target = group.targets.first(where: { $0.attempts.contains(execution.number) })
        else { return nil }
        for number in target.attempts.prefix(while: { $0 != execution.number }) {
            let key = ExecutionKey(generation: generation, number: number)
            if let earlier = self.execution(key), earlier.startedAt != nil { return earlier }
        }
        return nil
    }

    /// Adds to what is said of an execution, if it is still there.
    private mutating func note(_ text: String, _ key: ExecutionKey) {
        guard var execution = execution(key), execution.notes.count < Processed.noteLimit else {
            return
        }
        execution.notes.append(text)
        put(key.generation, execution)
    }

    // MARK: Settling

    /// Takes what came of telling, each once.
    mutating func apply(
        _ notified: [Notified], _ events: inout [StoreEvent]
    ) -> ApplyResult {
        for news in notified {
            guard var notice = notice(news.key) else { continue }
            let delivered = news.delivered.intersection(notice.channels)
            let givenUp = news.givenUp.intersection(notice.channels).subtracting(delivered)
            notice.channels.subtract(delivered.union(givenUp))
            if notice.channels.isEmpty {
                remove(Key.notice(news.key))
                // It was kept for this.
                if !notice.isOfTick, execution(news.key) == nil {
                    events.append(.forgetOutput(news.key))
                }
            } else {
                put(Key.notice(news.key), notice.encoded)
            }
            for text in news.notes { note(text, news.key) }
            events.append(.noticeSettled(news.key, delivered: delivered, givenUp: givenUp))
        }
        return .applied
    }

    /// An output is needed by nobody but those who are still to be told of it.
    mutating func forgetOutput(of key: ExecutionKey, _ events: inout [StoreEvent]) {
        if records.contains(Key.notice(key)) { return }
        events.append(.forgetOutput(key))
    }

    // MARK: Reading

    /// What is owed under a key. O(log n).
    package func notice(_ key: ExecutionKey) -> Notice? {
        bytes(Key.notice(key)).map { Notice(stored: $0) }
    }

    /// What is owed behind `key` (nil: from the first), in order. O(limit · log n).
    package func notices(after key: ExecutionKey?, limit: Int) -> [Notice] {
        var found: [Notice] = []
        var cursor = records.next(
            after: key.map { Key.notice($0) } ?? ByteKey([Key.Table.notice.rawValue]))
        while found.count < limit, let entry = cursor,
            entry.key.bytes.first == Key.Table.notice.rawValue
        {
            found.append(Notice(stored: entry.value))
            cursor = records.next(after: entry.key)
        }
        return found
    }
}

extension Outcome {
    /// Nothing ran although it should have. What a rule of concurrency, a pause or a younger tick
    /// kept from running is as somebody wanted it.
    fileprivate var isFailure: Bool {
        switch self {
        case .ran, .skipped(.overlap), .skipped(.paused), .skipped(.disabled),
            .missed(.superseded):
            false
        case .skipped(.noTarget), .missed(.window), .missed(.policy), .missed(.zone): true
        }
    }
}
