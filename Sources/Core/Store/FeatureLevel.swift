// What the servers of a cluster have agreed to understand. Programs of several versions run side by
// side during an upgrade, so nothing may go into the log, or change what applying an entry does,
// before every server knows it. The level is replicated and only grows.

/// Levels of the replicated state and of its commands.
package enum FeatureLevel {
    /// Of a cluster in which nobody has agreed on anything yet.
    package static let first: UInt32 = 1
    /// Adds: nodes that are remembered, drained nodes, rewound ledgers, recovered clusters.
    package static let second: UInt32 = 2
    /// Adds: what is remembered of a node tells which of its data directories executions were
    /// decided for.
    package static let third: UInt32 = 3
    /// Adds: outcomes whose processors have yet to run.
    package static let fourth: UInt32 = 4
    /// Adds: notifications that are owed, jobs that say what is told of them, outputs that are read
    /// at one node while another prints them.
    package static let fifth: UInt32 = 5
    /// What this program understands.
    package static let newest = fifth
}

extension Store {
    /// Why a program that knows levels up to `level` can't use the records of a snapshot, as the
    /// rest of a sentence; nil if it can. Ask before `finishRestoring`.
    package func refusal(knowing level: UInt32) -> String? {
        guard let bytes = records[Key.cluster] else { return nil }
        var reader = ByteReader(bytes)
        do throws(ByteError) {
            let found = try ClusterState(from: &reader).featureLevel
            guard found > level else { return nil }
            return "is of feature level \(found), and this version knows levels up to \(level)"
        } catch {
            return "can't be understood by this version (\(error))"
        }
    }
}

extension JobDocument {
    fileprivate var neededLevel: UInt32 {
        notifyOn == nil ? FeatureLevel.first : FeatureLevel.fifth
    }
}

extension Command.Body {
    /// The lowest level at which every server understands it.
    package var featureLevel: UInt32 {
        switch self {
        // It says that all understand it, and more.
        case .raiseLevel: FeatureLevel.first
        case .nodes, .drain, .rewind, .succeed: FeatureLevel.second
        case .processed: FeatureLevel.fourth
        case .notifying, .notified: FeatureLevel.fifth
        case .putJob(let put): put.document.neededLevel
        case .restorePart(_, let jobs):
            jobs.map(\.document.neededLevel).max() ?? FeatureLevel.first
        case .decide, .bootstrap, .deleteJob, .deleteExecutions, .runNow, .decideChild,
            .startRetry, .reports, .kill, .pause, .unpause, .settings, .restoreCommit,
            .restoreAbandon:
            FeatureLevel.first
        }
    }

    /// The lowest level that a program must know to apply it.
    package var neededLevel: UInt32 {
        if case .raiseLevel(let level) = self { return level }
        return featureLevel
    }
}
