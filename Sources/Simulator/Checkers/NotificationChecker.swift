// Who was told of what, against what was owed. What is owed is found here from what became of
// executions and ticks, and not from what the store says of it.

import Core

struct NotificationChecker {
    /// An execution, by its number.
    private struct Told: Hashable {
        var number: Int64
        var channel: UInt8
    }

    /// A tick that came to nothing; a number would be the store's word.
    private struct Tick: Hashable {
        var generation: Generation
        var from: WallTime
    }

    private var owed: [Int64: NotificationChannels] = [:]
    /// Executions whose end has been looked at. What was owed then, perhaps nothing, stays,
    /// whatever becomes of the job and of who is told.
    private var ended: Set<Int64> = []
    /// Attempts that were gone with their job in the very entry in which they may have ended: that
    /// of an ephemeral job is, and what it came to can't be looked at any more.
    private var unseen: Set<Int64> = []
    private var owedTicks: [Tick: NotificationChannels] = [:]
    private var delivered: Set<Told> = []
    private var deliveredTicks: [Tick: NotificationChannels] = [:]
    private var givenUp: Set<Told> = []
    private var goneGenerations: Set<Generation> = []

    // MARK: What is owed

    mutating func observe(
        _ command: Command, _ changes: StoreChanges, _ view: StoreView, _ store: Store,
        into verdict: inout Verdict
    ) {
        for sight in changes.removed { goneGenerations.insert(sight.state.generation) }
        if case .notified(let news) = command.body { judge(news, into: &verdict) }
        for (group, before, after) in changes.executions {
            guard let document = document(of: group, at: command, view, changes) else { continue }
            let hasStarted = before.state == .pending && after.startedAt != nil
            if hasStarted, after.state != .pending {
                var channels = Self.starts(document, view)
                if Self.hasStarted(before: after, group.group, group.generation, store) {
                    channels.remove(.cronitorStart)
                }
                owe(after.number, channels, view)
            }
            if Self.isFinal(after, group.group) {
                oweEnd(after, document, view)
            }
        }
        // What is owed then stays owed, whatever becomes of the job before its group ends.
        for (group, number) in changes.calledOff {
            guard let document = document(of: group, at: command, view, changes),
                let execution = store.execution(
                    ExecutionKey(generation: group.generation, number: number)),
                Self.isFinal(execution, group.group)
            else { continue }
            oweEnd(execution, document, view)
        }
        for (before, after) in changes.endedGroups {
            guard let after else {
                unseen.formUnion(before.group.targets.compactMap(\.attempts.last))
                continue
            }
            for target in after.targets {
                guard let number = target.attempts.last,
                    let document = document(of: before, at: command, view, changes),
                    let execution = store.execution(
                        ExecutionKey(generation: before.generation, number: number))
                else { continue }
                oweEnd(execution, document, view)
            }
        }
    }

    private mutating func owe(
        _ number: Int64, _ channels: NotificationChannels, _ view: StoreView
    ) {
        guard !view.cluster.notifying.isEmpty else { return }
        owed[number, default: []].formUnion(channels)
    }

    private mutating func oweEnd(
        _ execution: Execution, _ document: JobDocument, _ view: StoreView
    ) {
        guard ended.insert(execution.number).inserted else { return }
        owe(execution.number, Self.ends(execution, document, view), view)
    }

    /// A row that is new in a job's ledger.
    mutating func observeRow(_ row: LedgerRow, of sight: JobSight, _ view: StoreView) {
        guard Self.isFailure(row) else { return }
        var channels = view.cluster.notifying.intersection([.mail, .webhook, .cronitorEnd])
        if sight.document.ownerEmail.isEmpty { channels.remove(.mail) }
        guard !channels.isEmpty else { return }
        owedTicks[Tick(generation: sight.state.generation, from: row.from), default: []]
            .formUnion(channels)
    }

    private static func isFailure(_ row: LedgerRow) -> Bool {
        if case .request = row.cause { return false }
        switch row.outcome {
        case .skipped(.noTarget), .missed(.window), .missed(.policy), .missed(.zone): return true
        default: return false
        }
    }

    /// The rules under which an entry ended something of a group.
    private func document(
        of group: GroupSight, at command: Command, _ view: StoreView, _ changes: StoreChanges
    ) -> JobDocument? {
        let current = [view.job(group.job.text)].compactMap { $0 }
        var sights = changes.changed.map(\.before) + current + changes.removed
        // The ticks that an edit carries come before it, and the run that it asks for comes after.
        if command.decisions.isEmpty, case .putJob(let put) = command.body,
            put.runOnCreate != nil
        {
            sights = current
        }
        return sights.first { $0.state.generation == group.generation }?.document
    }

    private static func isFinal(_ execution: Execution, _ group: Group) -> Bool {
        guard execution.state.isEnded, !execution.isProcessing else { return false }
        return group.targets.contains {
            $0.attempts.last == execution.number && $0.retryDue == nil
        }
    }

    private static func starts(
        _ document: JobDocument, _ view: StoreView
    ) -> NotificationChannels {
        var channels = view.cluster.notifying.intersection([.preWebhook, .cronitorStart])
        if document.notifyOn == .failure { channels.remove(.preWebhook) }
        return channels
    }

    /// Whether an earlier attempt on the same target has started: the monitor knows of the run.
    private static func hasStarted(
        before execution: Execution, _ group: Group, _ generation: Generation, _ store: Store
    ) -> Bool {
        attempts(upTo: execution, group, generation, store).dropLast().contains {
            $0.startedAt != nil
        }
    }

    private static func attempts(
        upTo execution: Execution, _ group: Group, _ generation: Generation, _ store: Store
    ) -> [Execution] {
        let target = group.targets.first { $0.attempts.contains(execution.number) }
        return (target?.attempts ?? []).filter { $0 <= execution.number }.compactMap {
            store.execution(ExecutionKey(generation: generation, number: $0))
        }
    }

    private static func ends(
        _ execution: Execution, _ document: JobDocument, _ view: StoreView
    ) -> NotificationChannels {
        var channels = view.cluster.notifying.intersection([.mail, .webhook, .cronitorEnd])
        if document.ownerEmail.isEmpty { channels.remove(.mail) }
        if execution.state == .success, document.notifyOn == .failure {
            channels.subtract([.mail, .webhook])
        }
        return channels
    }

    // MARK: What is told

    /// - Parameter isCurrent: the judges have seen all that the sender has applied.
    mutating func willSend(
        _ run: ProcessorRun, _ view: StoreView, _ store: Store, isCurrent: Bool,
        into verdict: inout Verdict
    ) {
        let channel = ReceiverModel.channel(of: run)
        guard isCurrent, let job = view.job(run.execution.job.text) else { return }
        let generation = job.state.generation
        guard run.execution.attempt > 0 else { return }
        let key = ExecutionKey(generation: generation, number: run.execution.id.number ?? 0)
        requireSeries(run, key, store, into: &verdict)
        if owed[key.number]?.contains(channel) ?? false || unseen.contains(key.number) { return }
        // The retry that waited was called off while others of its group run.
        guard let execution = store.execution(key),
            let group = store.group(generation, execution.group)
        else {
            verdict.require(
                owed[key.number] == nil, .X20, "\(run.execution.id) is told by \(channel.name)")
            return
        }
        if Self.isFinal(execution, group) {
            oweEnd(execution, job.document, view)
        }
        verdict.require(
            owed[key.number]?.contains(channel) ?? false, .X20,
            "\(run.execution.id) of \(job.name), \(execution.state), is told by "
                + "\(channel.name), which nobody is owed")
    }

    /// The pings of all attempts on a target belong together.
    private func requireSeries(
        _ run: ProcessorRun, _ key: ExecutionKey, _ store: Store, into verdict: inout Verdict
    ) {
        guard let series = ReceiverModel.series(of: run), let execution = store.execution(key),
            let group = store.group(key.generation, execution.group)
        else { return }
        let attempts = Self.attempts(upTo: execution, group, key.generation, store)
        let first = attempts.first { $0.startedAt != nil } ?? execution
        verdict.require(
            series == first.id.text, .X20,
            "the monitor is told of \(execution.id) in the series \(series), not \(first.id)")
    }

    /// Somebody has been told.
    mutating func didDeliver(_ run: ProcessorRun, _ view: StoreView) {
        let channel = ReceiverModel.channel(of: run)
        let number = run.execution.id.number ?? 0
        delivered.insert(Told(number: number, channel: channel.rawValue))
        guard run.execution.attempt == 0, let job = view.job(run.execution.job.text) else {
            return
        }
        deliveredTicks[
            Tick(generation: job.state.generation, from: run.execution.scheduledAt), default: []
        ].formUnion(channel)
    }

    /// What the log says was told was told.
    private mutating func judge(_ news: [Notified], into verdict: inout Verdict) {
        for news in news {
            for channel in NotificationChannels.each {
                let told = Told(number: news.key.number, channel: channel.rawValue)
                if news.delivered.contains(channel) {
                    verdict.require(
                        delivered.contains(told), .X20,
                        "execution \(news.key.number) is recorded as told by \(channel.name), "
                            + "and nobody was")
                }
                if news.givenUp.contains(channel) {
                    givenUp.insert(told)
                    verdict.require(
                        !news.notes.isEmpty, .X20,
                        "\(channel.name) is given up for \(news.key.number) without a word")
                }
            }
        }
    }

    // MARK: The end

    /// Everybody has been told, or it is recorded that they were not.
    func requireAllTold(_ store: Store, into verdict: inout Verdict) {
        verdict.require(
            store.counters.notices == 0, .X20,
            "\(store.counters.notices) notifications are still owed")
        for (number, channels) in owed.sorted(by: { $0.key < $1.key }) {
            for channel in NotificationChannels.each where channels.contains(channel) {
                let told = Told(number: number, channel: channel.rawValue)
                verdict.require(
                    delivered.contains(told) || givenUp.contains(told), .X20,
                    "nobody was told of execution \(number) by \(channel.name)")
            }
        }
        // Which of a tick's were given up only the store could tell.
        guard givenUp.isEmpty else { return }
        let ticks = owedTicks.filter { !goneGenerations.contains($0.key.generation) }
        for (tick, channels) in ticks.sorted(by: { $0.key.from < $1.key.from }) {
            verdict.require(
                deliveredTicks[tick, default: []].isSuperset(of: channels), .X20,
                "nobody was told of the tick at \(tick.from.seconds) that came to nothing")
        }
    }
}

extension Checkers {
    /// Somebody is still owed news, as far as it is committed.
    var isSomebodyOwed: Bool { reference.store.counters.notices > 0 }

    mutating func didDeliver(_ run: ProcessorRun) { notifications.didDeliver(run, view) }

    func hasAll(_ node: Int) -> Bool {
        seats[node].followed == LogIndex(consensus.canonical.count)
    }
}
