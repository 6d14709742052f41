internal import Core
internal import Glibc

/// Ends whole process trees.
enum TreeKiller {
    /// Sends the deadly signal to everything that belongs to the runs, again and again until no
    /// process is left that has not got it: a process may fork between being seen and being hit,
    /// but its child is found in the next round.
    ///
    /// `orphans`: see `ProcessTable.members`. Returns how many processes were hit.
    @discardableResult
    static func kill(_ marks: [RunMark], orphans: OrphanSearch?) -> Int {
        var hit: Set<Victim> = []
        for _ in 0..<mostRounds {
            let table = ProcessTable.read()
            var isNew = false
            for (entry, _) in table.members(of: marks, orphans: orphans) where !entry.isGone {
                // Never itself, whatever a table read during a change may suggest.
                guard entry.processID != getpid(), entry.processID > 1 else { continue }
                guard hit.insert(Victim(entry)).inserted else { continue }
                isNew = true
                Glibc.kill(entry.processID, SIGKILL)
            }
            if !isNew { break }
        }
        return hit.count
    }

    /// Ends what an earlier supervisor left of a run.
    ///
    /// The number of its first process is trusted only if that is still the same one, or if
    /// `isRecent` says that it was alive a moment ago; otherwise the number may be a stranger's by
    /// now, and only processes that carry the run's id are ended.
    @discardableResult
    static func killLeftovers(
        of runs: [(ExecutionID, ProcessIdentity?)], isRecent: Bool
    ) -> Int {
        let boot = ProcFile.bootID
        var marks: [RunMark] = []
        for (id, identity) in runs {
            guard let identity, identity.processID > 1 else {
                marks.append(RunMark(execution: id, leader: 0, startTicks: nil))
                continue
            }
            guard identity.boot == boot else { continue }
            let ticks = ProcessEntry.read(identity.processID)?.startTicks
            let isSame = ticks.map { $0 == identity.startTicks } ?? isRecent
            marks.append(
                RunMark(
                    execution: id, leader: isSame ? identity.processID : 0,
                    startTicks: identity.startTicks))
        }
        guard !marks.isEmpty else { return 0 }
        return kill(marks, orphans: nil)
    }

    private struct Victim: Hashable {
        var processID: Int32
        var startTicks: UInt64

        init(_ entry: ProcessEntry) {
            processID = entry.processID
            startTicks = entry.startTicks
        }
    }

    private static let mostRounds = 64
}
