// Processors: the leader has them run once an outcome is in the log, and proposes what they leave.

extension ProcessorPipelines {
    init(_ config: Config) {
        // With its notes a proposal fits an entry of the log.
        let limit = config.tunables.journal.recordLimit / 2
        self.init(of: config.nodeName, outputLimit: min(config.tunables.outputLimit, limit))
    }
}

extension Node {
    mutating func withProcessors(
        _ out: inout Outbox,
        _ body: (inout ProcessorPipelines, Instant, inout [ProcessorPipelines.Action]) -> Void
    ) {
        var actions: [ProcessorPipelines.Action] = []
        body(&processors, now.monotonic, &actions)
        perform(actions, &out)
    }

    mutating func withNotifications(
        _ out: inout Outbox,
        _ body: (inout NotificationSender, Instant, inout [NotificationSender.Action]) -> Void
    ) {
        var actions: [NotificationSender.Action] = []
        body(&sender, now.monotonic, &actions)
        perform(actions, &out)
    }

    private mutating func perform(_ actions: [ProcessorPipelines.Action], _ out: inout Outbox) {
        for action in actions {
            switch action {
            case .read(let ticket, let operation): out.emit(.store(ticket, operation))
            case .readSecrets(let id, let names): out.emit(.readSecrets(id, names))
            case .process(let run): out.emit(.process(run))
            case .abandon(let run): out.emit(.abandonProcessor(run))
            case .log(let record): out.emit(.log(record))
            case .mark(let mark): out.mark(mark)
            }
        }
    }

    mutating func processed(
        _ run: ProcessorRunID, _ outcome: ProcessorOutcome, _ out: inout Outbox
    ) {
        if NotificationSender.owns(run) {
            withNotifications(&out) { $0.processed(run, outcome, at: $1, into: &$2) }
        } else {
            withProcessors(&out) { $0.processed(run, outcome, at: $1, into: &$2) }
        }
    }

    /// Secrets were asked for by a processor or for a run.
    mutating func secretsRead(
        _ id: ExecutionID, _ answer: SecretsAnswer, _ out: inout Outbox
    ) {
        if processors.isAsking(id) {
            withProcessors(&out) { $0.secrets(id, answer, at: $1, into: &$2) }
        } else {
            let now = now
            withRunner(&out) { $0.secrets(id, answer, at: now, into: &$1) }
        }
    }

    mutating func processorsRead(
        _ ticket: StorageTicket, _ result: StorageResult, _ out: inout Outbox
    ) {
        var bytes: [UInt8]?
        if case .bytes(let found) = result { bytes = found }
        let history = history
        if NotificationSender.owns(ticket.number) {
            let (store, settings) = (store, notifications)
            withNotifications(&out) {
                $0.stored(ticket, bytes, store, history, settings, at: $1, into: &$2)
            }
        } else {
            withProcessors(&out) { $0.stored(ticket, bytes, history, at: $1, into: &$2) }
        }
    }

    /// Begins with what waits, and proposes what is finished. While the lead is being handed over
    /// nothing can be proposed: it waits, or the next leader begins anew.
    mutating func continueProcessors(_ out: inout Outbox) {
        if processors.wantsStep(store) {
            let (store, history) = (store, history)
            withProcessors(&out) { $0.proceed(store, history, at: $1, into: &$2) }
        }
        guard !raft.isTransferring else { return }
        for var processed in processors.takeFinished() {
            processed.jitter = Int16(random.int(in: -200...200))
            propose(.processed(processed), for: nil, &out)
        }
    }

    /// Begins with what is owed, and proposes what is settled. While the lead is being handed over
    /// nothing can be proposed: it waits, or the next leader sends again.
    mutating func continueNotifications(_ out: inout Outbox) {
        if sender.wantsStep {
            let (store, history, settings) = (store, history, notifications)
            withNotifications(&out) {
                $0.proceed(store, history, settings, at: $1, into: &$2)
            }
        }
        guard !raft.isTransferring else { return }
        for news in sender.takeFinished() { propose(.notified(news), for: nil, &out) }
        let wanted = notifications.channels
        guard wanted != notifyingProposed ?? store.cluster.notifying,
            phase == .running, agreedLevel >= FeatureLevel.fifth, !store.cluster.clusterID.isEmpty
        else { return }
        notifyingProposed = wanted
        propose(.notifying(wanted), for: nil, &out)
    }

    mutating func abandonProcessors(_ out: inout Outbox) {
        withProcessors(&out) { $0.loseLeadership(into: &$2) }
        withNotifications(&out) { $0.loseLeadership(into: &$2) }
    }
}
