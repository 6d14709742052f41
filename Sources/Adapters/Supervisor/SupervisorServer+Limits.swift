internal import Core
internal import Glibc

extension SupervisorServer {
    /// Time-outs, fences and the end of grace.
    func checkDeadlines(of concerned: [SupervisedRun], now: Int64) {
        for run in concerned where !run.isOver && run.exit == nil && run.ending == nil {
            if let time = run.timeoutAt, now >= time {
                beginEnding(run, .timedOut, now: now)
            } else if let time = run.fencePoliteAt, now >= time {
                beginEnding(run, .fenced, now: now)
            } else if let time = run.fenceAnnouncedAt, now >= time, !run.isFenceAnnounced {
                run.isFenceAnnounced = true
                announceFence(run, now: now)
            }
        }
        askTrees(of: concerned)
        killTrees(of: concerned, now: now)
    }

    private func announceFence(_ run: SupervisedRun, now: Int64) {
        guard let time = run.fencePoliteAt else { return }
        let left = Duration.seconds(Duration(nanoseconds: time - now).wholeSeconds)
        log.write(
            .warning,
            "supervisor: the lease of this node is not being renewed; a run that must not overlap "
                + "with its successor will be ended unless that changes",
            [
                LogRecord.Field("execution", run.id.text),
                LogRecord.Field("in", DurationText.print(left)),
            ])
    }

    // MARK: Memory

    /// Once a second adds up the resident memory of the trees that have a limit. The cheap sum
    /// counts shared pages several times, so only the exact one condemns.
    func sampleMemory(now: Int64) {
        guard now >= nextMemorySample else { return }
        let watched = runs.filter(\.isMemoryWatched)
        guard !watched.isEmpty else { return }
        nextMemorySample = saturatingSum(now, 1_000_000_000)
        let pageSize = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        var members = [[ProcessEntry]](repeating: [], count: watched.count)
        let table = ProcessTable.read()
        for (entry, index) in table.members(of: watched.map(\.mark), orphans: orphans) {
            members[index].append(entry)
        }
        for (run, entries) in zip(watched, members) {
            guard let limit = run.spec.command.memoryLimit else { continue }
            let resident = entries.reduce(0) { $0 &+ $1.residentPages &* pageSize }
            guard resident > limit else { continue }
            let exact = entries.reduce(0) {
                $0 &+ ($1.proportionalBytes() ?? $1.residentPages &* pageSize)
            }
            if exact > limit { beginEnding(run, .outOfMemory, now: now) }
        }
        askTrees(of: watched)
        killTrees(of: watched, now: now)
    }
}

extension SupervisedRun {
    /// It has a limit and can still exceed it.
    var isMemoryWatched: Bool {
        spec.command.memoryLimit != nil && !isOver && exit == nil && ending == nil
    }
}
