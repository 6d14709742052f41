// What agents told their leader and the store has not taken yet.

/// News on their way from agents through the leader's log into its store. They are counted until
/// they are applied, because until then they fill memory and a log that can't be cut.
package struct ReportIntake {
    /// News to be proposed, in the order in which they came.
    private var waiting = RingBuffer<Report>()
    /// Bytes of all news that are not applied yet.
    package private(set) var bytes = 0
    /// How many pieces of each output are not applied yet.
    private var pieces = SortedMap<ExecutionKey, UInt32>()
    /// Which agent told the end of each execution that it is to be told to settle.
    private var tellers = SortedMap<ExecutionKey, NodeName>()

    package init() {}

    /// What becomes of news.
    package enum Verdict: Hashable, Sendable {
        case taken
        /// The log has it, has no use for it, or lacks what comes before it.
        case passedOver
        /// There is no room for it now.
        case heldBack
    }

    /// Whether news belong into the log. The store takes the pieces of an output one after the
    /// other and the end after all of them, so whatever else comes, told again, out of order or
    /// after a piece that found no room, would be written in vain. Its agent tells it again until
    /// it is settled. An output that has begun to come finds room to its end: pieces of very many
    /// would take all of it and none be whole. O(log n) in the executions that are being told of.
    /// - Parameters:
    ///   - execution: what the store knows of it; nil if it was deleted.
    ///   - isFull: no room for more outputs.
    package func verdict(on report: Report, of execution: Execution?, isFull: Bool) -> Verdict {
        if report.isOfResult, tellers.contains(report.key) { return .passedOver }
        let isOpen = execution.map { !$0.state.isEnded } ?? false
        let taken = (execution?.outputChunks ?? 0) + (pieces[report.key] ?? 0)
        switch report.news {
        case .started, .lost: return .taken
        case .output(let chunk, _):
            guard isOpen, chunk == taken else { return .passedOver }
            return isFull && chunk == 0 ? .heldBack : .taken
        case .ended(let result): return isOpen && result.outputChunks > taken ? .passedOver : .taken
        }
    }

    /// Takes news of an agent, or of the leader itself.
    package mutating func take(_ report: Report, from node: NodeName? = nil) {
        waiting.append(report)
        bytes += Self.weight(of: report)
        switch report.news {
        case .output: pieces[report.key] = (pieces[report.key] ?? 0) + 1
        case .ended: tellers[report.key] = node
        case .started, .lost: break
        }
    }

    /// How many news wait to be proposed.
    package var waitingCount: Int { waiting.count }

    /// Takes out the next news to be proposed, together no larger than `limit` bytes unless it is
    /// a single one.
    package mutating func nextBatch(limit: Int) -> [Report] {
        var batch: [Report] = []
        var size = 0
        while let first = waiting.first {
            size += first.encodedSize
            guard batch.isEmpty || size <= limit else { break }
            batch.append(first)
            _ = waiting.popFirst()
        }
        return batch
    }

    /// The store has taken news, of the ones that this leader proposed.
    package mutating func applied(_ reports: [Report]) {
        for report in reports {
            bytes -= Self.weight(of: report)
            guard case .output = report.news, let count = pieces[report.key] else { continue }
            pieces[report.key] = count > 1 ? count - 1 : nil
        }
    }

    /// About as many bytes as it takes in the log. O(1).
    private static func weight(of report: Report) -> Int {
        guard case .output(_, let bytes) = report.news else { return 128 }
        return 128 + bytes.count
    }

    /// The end of an execution is stored for good: who told it, if this leader heard it.
    package mutating func settled(_ key: ExecutionKey) -> NodeName? { tellers.remove(key) }
}
