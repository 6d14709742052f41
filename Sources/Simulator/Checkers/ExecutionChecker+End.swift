// What must be true of executions when a run of the simulator has come to rest.

import Core

extension ExecutionChecker {
    /// In calm nodes with room, whatever was created for them before `time` has started. What is
    /// for a node that nobody hears, or that came back without its data directory, waits for the
    /// end of its lease. Whether something has
    /// started the world knows best: what tells of it may be held back for long.
    func requireStarted(
        _ view: StoreView, createdBefore time: TrueTime, on nodes: [String],
        _ log: RunLog, into verdict: inout Verdict
    ) {
        let active = view.groups.values.filter { $0.group.state == .active }
        let waiting = active.flatMap(\.executions.values).filter {
            $0.execution.state == .pending && nodes.contains($0.execution.node.text)
                && known[$0.execution.number].map { $0.createdAt < time } ?? false
                && log.byExecution[$0.execution.id.text] == nil
                && $0.execution.number > view.lastFormerNumbers[$0.execution.node] ?? 0
        }
        guard let first = waiting.min(by: { $0.execution.number < $1.execution.number }) else {
            return
        }
        verdict.fail(.X3, "\(first.execution.id) waits for ever, though there is room for it")
    }

    func requireAllEnded(_ view: StoreView, into verdict: inout Verdict) {
        for group in view.groups.values.sorted(by: { $0.group.id < $1.group.id }) {
            verdict.fail(
                .L5, "group \(group.group.id) of \(group.job) is still \(group.group.state)")
        }
        let unpaid = owed.filter { $0.value == 0 && !goneGenerations.contains($0.key.child) }
        if let first = unpaid.min(by: { $0.key.parentGroup < $1.key.parentGroup }) {
            let child = view.jobs.first { $0.state.generation == first.key.child }
            verdict.fail(
                .X11,
                "group \(first.key.parentGroup) succeeded and its child "
                    + "\(child?.name.text ?? "?") was never decided")
        }
    }
}
