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
        for action in actions {
            switch action {
            case .read(let ticket, let operation): out.emit(.store(ticket, operation))
            case .process(let run): out.emit(.process(run))
            case .abandon(let run): out.emit(.abandonProcessor(run))
            case .log(let record): out.emit(.log(record))
            case .mark(let mark): out.mark(mark)
            }
        }
    }

    mutating func processorsRead(
        _ ticket: StorageTicket, _ result: StorageResult, _ out: inout Outbox
    ) {
        var bytes: [UInt8]?
        if case .bytes(let found) = result { bytes = found }
        let history = history
        withProcessors(&out) { $0.stored(ticket, bytes, history, at: $1, into: &$2) }
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

    mutating func abandonProcessors(_ out: inout Outbox) {
        withProcessors(&out) { $0.loseLeadership(into: &$2) }
    }
}
