// What is counted, and what is told of it.

extension Node {
    var gauges: Gauges {
        var gauges = Gauges()
        gauges.startedAt = startedAt.wall
        gauges.uptime = now.monotonic - startedAt.monotonic
        gauges.isLeading = isLeading
        gauges.term = raft.hardState.term
        gauges.commitIndex = raft.commitIndex
        gauges.appliedIndex = store.appliedIndex
        gauges.jobs = store.counters.jobs
        gauges.activeGroups = store.counters.activeGroups
        gauges.storedExecutions = store.counters.executions
        gauges.notices = store.counters.notices
        gauges.running = runner.runningCount
        gauges.waiting = runner.queue.count
        gauges.held = runner.heldCount
        gauges.proposalsInFlight = raft.pendingCount
        gauges.heldEdits = heldEdits.count
        gauges.applyQueue = applyQueue.count
        gauges.disk = [
            (.log, log.byteCount), (.history, history.byteCount), (.runs, runLog.byteCount),
        ]
        // A snapshot of an earlier life is not measured.
        if snapshotting.lastSize > 0 {
            gauges.disk.append((.snapshots, UInt64(snapshotting.lastSize)))
        }
        return gauges
    }

    mutating func measure(_ id: RequestID, _ out: inout Outbox) {
        let (metrics, gauges) = (metrics, gauges)
        withAPI(&out) { $0.measured(id, metrics, gauges, $1, into: &$2) }
    }

    /// Only the leader counts what happens to the cluster, so that servers can be added up.
    mutating func countAsLeader(_ event: StoreEvent) {
        switch event {
        case .decided(let outcome, let tick):
            metrics.decided(outcome, tick: tick, at: store.cluster.lastStamp)
        case .started(let due, let at): metrics.started(dueAt: due, at: at)
        case .executionEnded(let key, _):
            if let execution = store.execution(key) { metrics.ended(execution.state) }
        case .noticeSettled(_, let delivered, let givenUp):
            metrics.settled(delivered: delivered, givenUp: givenUp)
        default: break
        }
    }
}
