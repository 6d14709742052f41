// Liveness: what is required of calm times, and of a run's end.

import Core

extension Checkers {
    mutating func becomeCalm(bound: Duration?) { schedule.calmBound = bound }

    mutating func zonesMayBeAbsent() { schedule.zonesMayBeAbsent = true }

    func hasActiveGroup(of job: String) -> Bool {
        view.groups.values.contains { $0.job.text == job }
    }

    mutating func requireTotality(now: WallTime, bound: Duration, at time: TrueTime) {
        verdict.time = time
        schedule.requireTotality(view, now: now, bound: bound, into: &verdict)
    }

    mutating func requireAllEnded(_ nodes: [VirtualNode], _ log: RunLog, at time: TrueTime) {
        verdict.time = time
        executions.requireAllEnded(view, into: &verdict)
        notifications.requireAllTold(reference.store, into: &verdict)
        for node in nodes {
            resources.requireNothingOpen(
                node, orphans: orphans(of: node.supervisor), orphanCalls: orphans(of: node.outside),
                &verdict)
        }
    }

    /// The server has applied everything that was committed.
    mutating func requireAll(of node: VirtualNode, at time: TrueTime) {
        verdict.time = time
        verdict.require(
            hasAll(node), .L2,
            "\(node.name) has applied \(seats[node.index].followed) of "
                + "\(consensus.canonical.count) entries")
    }

    func hasAll(_ node: VirtualNode) -> Bool {
        seats[node.index].followed == LogIndex(consensus.canonical.count)
    }

    mutating func requireStarted(
        createdBefore bound: TrueTime, on nodes: [String], _ log: RunLog, at time: TrueTime
    ) {
        verdict.time = time
        executions.requireStarted(view, createdBefore: bound, on: nodes, log, into: &verdict)
    }

    /// How many commands run of jobs that are gone: nobody waits for them.
    func orphans(of supervisor: Supervisor) -> Int {
        supervisor.runningExecutions.count { executions.isOrphan($0) }
    }

    func orphans(of outside: Outside) -> Int {
        outside.executions.count { executions.isOrphan($0) }
    }
}
