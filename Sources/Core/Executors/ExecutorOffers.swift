/// By which executors a node runs jobs.
package struct ExecutorOffers: Hashable, Sendable {
    /// What plugins of the node bring, by their names.
    package var plugins: [String] = []
    /// The only ones that it was told to offer; nil: all that it has.
    package var allowed: [String]?

    package init() {}

    package func allows(_ executor: String) -> Bool { allowed?.contains(executor) ?? true }

    /// Whether the node has it, and may.
    package func isOffered(_ executor: String) -> Bool {
        allows(executor)
            && (BuiltInExecutor(rawValue: executor) != nil || plugins.contains(executor))
    }

    /// Why a node runs nothing by an executor; nil if it does, or does not have it at all.
    func refusal(of executor: String) -> String? {
        guard let allowed, !executor.isEmpty, !allowed.contains(executor) else { return nil }
        return "this node runs no jobs by the executor \"\(executor)\"; it was started with "
            + "--executors \(allowed.joined(separator: ","))"
    }
}
