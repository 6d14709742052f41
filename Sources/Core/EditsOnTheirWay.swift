// Which changes of jobs a leader has proposed and not applied yet. What becomes of a job whose edit
// is on its way can't be told from the store.

struct EditsOnTheirWay {
    /// The last change that concerns the ticks of all jobs: nothing is decided until it is applied.
    private(set) var barrier: LogIndex = 0
    /// The last edit of any kind.
    private(set) var last: LogIndex = 0
    /// The last edit of each job that is not applied.
    private var jobs = SortedMap<JobName, LogIndex>()

    /// - Parameter changesSchedules: Ticks due before it must be decided with it.
    mutating func proposed(_ body: Command.Body, at index: LogIndex, changesSchedules: Bool) {
        switch body {
        case .pause, .unpause, .settings, .restoreCommit, .rewind: barrier = index
        case .putJob(let put):
            jobs[put.document.name] = index
            // A new job brings no ticks along, and has some from now on.
            last = index
        default: break
        }
        if changesSchedules { last = index }
    }

    mutating func applied(_ body: Command.Body, at index: LogIndex) {
        guard case .putJob(let put) = body, jobs[put.document.name] == index else { return }
        _ = jobs.remove(put.document.name)
    }

    /// Whether the job may be another one by the time that a command proposed now is applied.
    func mayChange(_ job: JobName, appliedIndex: LogIndex) -> Bool {
        appliedIndex < barrier || jobs[job] != nil
    }
}

// What the store alone tells of a change that is about to be proposed.
extension Store {
    /// An edit of a job holds only for the job that it was computed from.
    func basis(of body: Command.Body) -> EditBasis? {
        switch body {
        case .putJob(let put): EditBasis(job: put.document.name, state(put.document.name))
        case .deleteJob(let name, _, _): EditBasis(job: name, state(name))
        default: nil
        }
    }

    /// Whether the job's ticks follow another schedule from this edit on. Under an edit that
    /// changes other things, those that are due or wait their turn go on as they were.
    func opensRevision(_ edited: JobDocument) -> Bool {
        document(edited.name).map(edited.changesSchedule) ?? false
    }

    /// The ephemeral jobs that the reports end: the first success deletes them.
    func endedEphemeralJobs(_ reports: [Report]) -> [JobName] {
        var names: [JobName] = []
        for report in reports where !names.contains(report.job) {
            guard report.isSuccess, document(report.job)?.isEphemeral ?? false else { continue }
            names.append(report.job)
        }
        return names
    }

    /// The ephemeral job that the end of the processors may end.
    func endedEphemeralJob(_ processed: Processed) -> JobName? {
        guard let job = succeededJob(processed), document(job)?.isEphemeral ?? false else {
            return nil
        }
        return job
    }

    /// Whether an edit on its way decides what a success means to its job: it may make it
    /// ephemeral, or change the ticks that must be decided before its end.
    func hasSuccess(_ reports: [Report], amid edits: EditsOnTheirWay) -> Bool {
        let index = appliedIndex
        return reports.contains {
            $0.isSuccess && edits.mayChange($0.job, appliedIndex: index)
        }
    }

    func hasSuccess(_ processed: Processed, amid edits: EditsOnTheirWay) -> Bool {
        guard let job = succeededJob(processed) else { return false }
        return edits.mayChange(job, appliedIndex: appliedIndex)
    }

    private func succeededJob(_ processed: Processed) -> JobName? {
        guard processed.failure == nil, execution(processed.key)?.state == .success else {
            return nil
        }
        return processingJob(of: processed.key)
    }
}

extension Report {
    fileprivate var isSuccess: Bool {
        guard case .ended(let result) = news else { return false }
        return result.state == .success
    }
}
