// What is recorded of executions against what really ran.

import Core

struct ExecutionChecker {
    struct Known {
        let job: String
        let generation: Generation
        let group: GroupID
        let attempt: UInt32
        let createdAt: TrueTime
        /// Where the time-outs that it may have begin in its job's list.
        let firstTimeout: Int
        var state: Execution.State
        /// What follows waits for its processors.
        var isProcessing = false
        var endedAt: TrueTime?
        /// When it ended by the count of starts and elections, for the back-off.
        var endedInEpoch: UInt64 = 0
    }

    private struct Fold {
        var successes: Int64
        var errors: Int64
    }

    private(set) var known: [Int64: Known] = [:]
    /// Executions of which processors were to make something else.
    private(set) var processed: Set<Int64> = []
    private var folds: [Generation: Fold] = [:]
    private var mostRetries: [Generation: UInt32] = [:]
    /// Jobs whose groups may overlap now, whatever they might before.
    var allowsOverlap: Set<Generation> = []
    /// The time-outs in nanoseconds that each job's documents asked for, in order. A run that waits
    /// for its start is started as its job is then.
    var timeouts: [Generation: [Int64?]] = [:]
    /// Groups created under a policy that forbids company, and not under one that allows it since:
    /// then an older one may have been resumed beside them.
    var exclusive: [Generation: Set<GroupID>] = [:]
    /// Children owed: (child generation, parent group), and what came of them.
    private(set) var owed: [ChildKey: Int] = [:]
    private var seenChildRuns: Set<ChildKey> = []
    private(set) var goneGenerations: Set<Generation> = []
    /// The last stamp when a job of this name was removed.
    var removedBy: [String: WallTime] = [:]
    var judgedRuns = 0
    /// When the last thing happened that can make an outcome unknowable.
    private var lastUncertainty = TrueTime.zero - .hours(1)
    /// Counts starts and elections.
    var epoch: UInt64 = 0
    /// The present life of each server.
    private var lives: [Int: UInt64] = [:]
    var isRestoring = false
    /// Executions that a person declared lost, rightly or not.
    var givenUp: Set<String> = []
    /// Bytes of output that the node keeps.
    let outputLimit: Int
    /// What plugins have beyond a job's time-out.
    private let grace: Duration
    /// The disk said at some time that it was almost full.
    var diskWasLow = false
    /// Servers whose process does not run now.
    private var down: Set<String> = []
    /// Servers that are down or cut off for good.
    var outcasts: Set<String> = []

    /// Nodes whose machine was replaced by one with an empty disk.
    var replaced: Set<String> = []
    /// As the log has them.
    private var lastFormerNumbers: [NodeName: Int64] = [:]

    /// The entry that is looked at, and what its leader had applied when it proposed it.
    var index: LogIndex = 0
    var basis: LogIndex?
    var targets: TargetChecker
    var processors: ProcessorChecker

    init(_ tunables: Tunables, targets: TargetChecker) {
        outputLimit = tunables.outputLimit
        grace = tunables.grace
        self.targets = targets
        processors = ProcessorChecker(outputLimit: outputLimit)
    }

    struct ChildKey: Hashable {
        var child: Generation
        var parentGroup: GroupID
    }

    // MARK: The store

    mutating func observe(
        _ changes: StoreChanges, _ view: StoreView, _ log: RunLog, at time: TrueTime,
        into verdict: inout Verdict
    ) {
        for sight in changes.removed {
            goneGenerations.insert(sight.state.generation)
            removedBy[sight.name.text] = view.cluster.lastStamp
            folds[sight.state.generation] = nil
            targets.forget(sight.state.generation)
        }
        for sight in changes.created { begin(sight) }
        for (before, after) in changes.changed {
            let generation = after.state.generation
            targets.noticed(after.document, of: generation, at: index)
            processors.noticed(after.document, of: generation)
            if after.document.concurrency == .allow {
                allowsOverlap.insert(generation)
                exclusive[generation] = nil
            } else {
                allowsOverlap.remove(generation)
            }
            if before.document != after.document {
                timeouts[generation, default: []].append(timeout(of: after.document))
            }
            mostRetries[generation] = max(mostRetries[generation] ?? 0, after.document.retries)
        }
        for group in changes.newGroups { judge(newGroup: group, view, changes, &verdict) }
        lastFormerNumbers = view.lastFormerNumbers
        for (group, execution) in changes.newExecutions {
            judge(newExecution: execution, of: group, view, changes, log, at: time, &verdict)
        }
        for (group, before, after) in changes.executions {
            judge(before, after, of: group, log, at: time, &verdict)
        }
        for (before, after) in changes.endedGroups {
            judge(ended: before, after, view, &verdict)
        }
        for (before, after) in changes.changed { judge(before, after, changes, &verdict) }
    }

    private mutating func begin(_ sight: JobSight) {
        let state = sight.state
        targets.noticed(sight.document, of: state.generation, at: index)
        processors.noticed(sight.document, of: state.generation)
        folds[state.generation] = Fold(successes: state.successCount, errors: state.errorCount)
        mostRetries[state.generation] = sight.document.retries
        timeouts[state.generation] = [timeout(of: sight.document)]
    }

    private func timeout(of document: JobDocument) -> Int64? {
        let text = document.executorConfig.first { $0.name == "timeout" }?.value
        if ["http", "nats"].contains(document.executor), text == nil { return 30_000_000_000 }
        guard let text, text != "0" else { return nil }
        let own = Int64(text).map { $0 * 1_000_000_000 } ?? OracleSchedule.goDuration(text[...])
        let isPlugin = PluginModel.Manner.names.contains(document.executor)
        return own.map { $0 + (isPlugin ? grace.nanoseconds : 0) }
    }

    private mutating func judge(
        newGroup sight: GroupSight, _ view: StoreView, _ changes: StoreChanges,
        _ verdict: inout Verdict
    ) {
        targets.judge(sight, decidedAfter: basis, into: &verdict)
        // An edit carries the launches of ticks due before it, under the document before it.
        let documents = documents(of: sight.generation, view, changes)
        let policies = documents.map(\.concurrency)
        guard !policies.isEmpty, !policies.contains(.allow) else { return }
        exclusive[sight.generation, default: []].insert(sight.group.id)
        let others = view.groups.values.filter {
            $0.generation == sight.generation && $0.group.id != sight.group.id
                && $0.group.state == .active
        }
        // Under `replace` the newcomer waits; under `forbid` there is nobody to wait for.
        let mayWait = policies.contains(.replace) && sight.group.state == .waiting
        verdict.require(
            others.isEmpty || mayWait, .X9,
            "group \(sight.group.id) of \(sight.job) began beside \(others.count) active ones")
    }

    private mutating func judge(
        newExecution execution: Execution, of group: GroupSight, _ view: StoreView,
        _ changes: StoreChanges, _ log: RunLog, at time: TrueTime, _ verdict: inout Verdict
    ) {
        verdict.require(
            known[execution.number] == nil, .X2, "the number \(execution.number) was given twice")
        let retries = mostRetries[group.generation] ?? .max
        verdict.require(
            UInt64(execution.attempt) <= UInt64(retries) + 1, .X7,
            "attempt \(execution.attempt) of \(group.job) with \(retries) retries")
        if execution.attempt > 1 { judgeRetry(execution, group, log, at: time, &verdict) }
        let documents = documents(of: group.generation, view, changes)
        let timeouts = timeouts[group.generation]?.count ?? 0
        known[execution.number] = Known(
            job: group.job.text, generation: group.generation, group: group.group.id,
            attempt: execution.attempt, createdAt: time,
            firstTimeout: max(0, timeouts - max(1, documents.count)), state: .pending)
    }

    /// The document of a job, and the one before where this entry changed it.
    private func documents(
        of generation: Generation, _ view: StoreView, _ changes: StoreChanges
    ) -> [JobDocument] {
        var documents: [JobDocument] = []
        for (before, after) in changes.changed where after.state.generation == generation {
            documents = [before.document, after.document]
        }
        guard documents.isEmpty else { return documents }
        return view.jobs.first { $0.state.generation == generation }.map { [$0.document] } ?? []
    }

    private func judgeRetry(
        _ execution: Execution, _ group: GroupSight, _ log: RunLog, at time: TrueTime,
        _ verdict: inout Verdict
    ) {
        guard
            let target = group.group.targets.first(where: {
                $0.attempts.contains(execution.number)
            }), let position = target.attempts.firstIndex(of: execution.number), position > 0,
            let earlier = known[target.attempts[position - 1]]
        else {
            return verdict.fail(
                .X7, "attempt \(execution.attempt) of \(group.job) has no attempt before it")
        }
        verdict.require(
            earlier.state == .failed || earlier.state == .lost, .X7,
            "attempt \(execution.attempt) of \(group.job) follows one that is \(earlier.state)")
        // The back-off counts from the report's stamp, which lies between the real end and the
        // moment at which the report was applied.
        let before = "\(target.attempts[position - 1])-\(execution.node)"
        guard earlier.state == .failed, earlier.endedInEpoch == epoch,
            let ended = log.runs(of: before).last?.endedAt,
            lastUncertainty < ended
        else { return }
        let base = min(Duration.seconds(1 << Int64(min(earlier.attempt - 1, 9))), .minutes(5))
        let least = Duration.nanoseconds(base.nanoseconds / 100 * 79)
        verdict.require(
            time - ended >= least, .X7,
            "attempt \(execution.attempt) of \(group.job) came \(durationText(time - ended)) "
                + "after the one before")
    }

    private mutating func judge(
        _ before: Execution, _ after: Execution, of group: GroupSight, _ log: RunLog,
        at time: TrueTime, _ verdict: inout Verdict
    ) {
        if before.isProcessing {
            guard !after.isProcessing else { return }
            processors.judge(before, after, of: group, into: &verdict)
            known[after.number]?.state = after.state
            known[after.number]?.isProcessing = false
            return count(after, of: group)
        }
        verdict.require(
            !before.state.isEnded, .X6, "\(after.id) changed after its end")
        known[after.number]?.state = after.state
        known[after.number]?.isProcessing = after.isProcessing
        if after.isProcessing { processed.insert(after.number) }
        guard after.state.isEnded else { return }
        known[after.number]?.endedAt = time
        known[after.number]?.endedInEpoch = epoch
        if !after.isProcessing { count(after, of: group) }
        judge(result: after, of: group.job, log.runs(of: after.id.text), log, at: time, &verdict)
    }

    private mutating func count(_ execution: Execution, of group: GroupSight) {
        if execution.state == .success {
            folds[group.generation]?.successes += 1
        } else {
            folds[group.generation]?.errors += 1
        }
    }

    /// Against the world's own log: a result says what really happened.
    private mutating func judge(
        result: Execution, of job: JobName, _ runs: [RealRun], _ log: RunLog, at time: TrueTime,
        _ verdict: inout Verdict
    ) {
        let run = runs.last
        let name = "\(result.id) of \(job)"
        if let run, run.endedAt == nil {
            let isTolerable =
                result.state == .lost && (!run.isFenced || givenUp.contains(run.execution))
            verdict.require(isTolerable, .X4, "\(name) is recorded \(result.state) while it runs")
            return
        }
        // Of a request whose answer was not written down when the agent died nobody knows anything.
        let isForgotten = run.map { $0.isCall && $0.agentLife != lives[$0.node] } ?? false
        switch result.state {
        case .pending, .running: return
        case .success:
            verdict.require(
                run?.isSuccess ?? false, .X4,
                "\(name) is recorded as success; really: \(describe(run))")
        case .failed:
            verdict.require(
                !(run?.isSuccess ?? false) || isForgotten, .X4,
                "\(name) failed only on paper: \(result.error)")
        case .killed:
            let isOwnEnd = run.map { $0.endedByItself } ?? false
            verdict.require(
                !isOwnEnd || result.isKillRequested || time - lastUncertainty < .minutes(2), .X4,
                "\(name) is recorded as killed; really: \(describe(run))")
        case .lost:
            let since = known[result.number]?.createdAt ?? .zero
            if outcasts.contains(result.node.text) || down.contains(result.node.text) { return }
            // Whatever the machine before did is gone with its disk.
            if replaced.contains(result.node.text),
                result.number <= lastFormerNumbers[result.node] ?? 0
            {
                return
            }
            verdict.require(
                lastUncertainty >= since || givenUp.contains(result.id.text), .X4,
                "\(name) is given up though nothing went wrong: \(result.error)")
            return
        }
        guard let run, run.endedByItself else { return }
        if case .exited(let code) = run.ending {
            let recorded = result.exitCode.map(String.init) ?? "nothing"
            verdict.require(
                result.exitCode == code || result.state == .killed, .X4,
                "\(name) exited with \(code), recorded \(recorded)")
        }
        verdict.require(
            result.startedAt == nil || result.startedAt == run.startedWall, .X4,
            "\(name) is recorded with another start")
        // How much of an answer came before it was cut, only the client knows.
        if case .answered(_, whole: false) = run.ending { return }
        if run.isOutputUnknown { return }
        if isForgotten, result.state == .failed { return }
        judgeOutput(result, run, name, &verdict)
    }

    private func judgeOutput(
        _ result: Execution, _ run: RealRun, _ name: String, _ verdict: inout Verdict
    ) {
        // An agent that came back may not have been able to read the secrets again.
        let notice = Runner.withheldNotice.suffix(outputLimit)
        let isWithheld = result.outputDigest == Checksum.crc32c(Array(notice))
        if isWithheld, run.agentLife != lives[run.node] { return }
        var kept = min(run.outputLength, outputLimit)
        // Whether the node knew when it wrote the result down is its own business.
        if diskWasLow, result.outputLength == 4_096 { kept = min(kept, 4_096) }
        verdict.require(
            result.outputLength == UInt64(kept), .X16,
            "\(name) wrote \(run.outputLength) bytes, recorded \(result.outputLength)")
        verdict.require(
            result.isOutputTruncated == (run.outputLength > kept), .X16,
            "\(name) is marked \(result.isOutputTruncated ? "" : "not ")truncated")
        guard kept > 0, run.outputLength <= 1 << 20 else { return }
        let tail = run.output(run.outputLength - kept..<run.outputLength)
        verdict.require(
            result.outputDigest == Checksum.crc32c(tail), .X16,
            "\(name) has another output than the real one")
    }

    private func describe(_ run: RealRun?) -> String {
        run.map { "\($0.ending.map { "\($0)" } ?? "still running")" } ?? "never started"
    }

    // MARK: Groups and jobs

    private mutating func judge(
        ended sight: GroupSight, _ after: Group?, _ view: StoreView, _ verdict: inout Verdict
    ) {
        guard !goneGenerations.contains(sight.generation) else { return }
        guard let group = after else {
            let open = sight.executions.values.contains { !$0.execution.state.isEnded }
            return verdict.require(
                !open, .X14, "group \(sight.group.id) of \(sight.job) went unfinished")
        }
        let last = group.targets.map { target in
            target.attempts.last.flatMap { known[$0]?.state }
        }
        let successes = last.count { $0 == .success }
        let isRight =
            switch group.state {
            case .success: successes == last.count
            case .partiallyFailed: successes > 0 && successes < last.count
            case .failed: successes == 0
            case .killed: true
            case .waiting, .active, .processing: false
            }
        verdict.require(
            isRight, .X15, "group \(group.id) of \(sight.job) ended \(group.state) with \(last)")
        let open = last.contains { $0.map { !$0.isEnded } ?? false }
        verdict.require(
            !open, .X15, "group \(group.id) of \(sight.job) ended before its executions")
        guard let job = view.jobs.first(where: { $0.state.generation == sight.generation }) else {
            return
        }
        guard group.state == .success else { return }
        for child in job.state.children {
            guard let sight = view.jobs.first(where: { $0.name == child }) else { continue }
            let key = ChildKey(child: sight.state.generation, parentGroup: group.id)
            if owed[key] == nil { owed[key] = 0 }
        }
    }

    private mutating func judge(
        _ before: JobSight, _ after: JobSight, _ changes: StoreChanges,
        _ verdict: inout Verdict
    ) {
        let generation = after.state.generation
        guard let fold = folds[generation] else { return }
        judgeStatus(before, after, changes, &verdict)
        let isReset = after.state.successCount == 0 && after.state.errorCount == 0
        if isReset || isRestoring {
            folds[generation] = Fold(
                successes: after.state.successCount, errors: after.state.errorCount)
            return
        }
        verdict.require(
            fold.successes == after.state.successCount && fold.errors == after.state.errorCount,
            .X13,
            "\(after.name) counts \(after.state.successCount)/\(after.state.errorCount), its "
                + "results make \(fold.successes)/\(fold.errors)")
    }

    /// The status of a job follows the last group that ended.
    private func judgeStatus(
        _ before: JobSight, _ job: JobSight, _ changes: StoreChanges, _ verdict: inout Verdict
    ) {
        let ended = changes.endedGroups.filter { $0.before.generation == job.state.generation }
        // Of several that ended in one entry the order is not seen, nor is a group that a later
        // tick of the same entry replaced before it began. An edit brings along the ticks before.
        let mayHideGroups =
            [before, job].contains { $0.document.concurrency == .replace }
            && changes.ledgers.contains(job.state.generation)
        guard ended.count == 1, !mayHideGroups, let group = ended[0].after else { return }
        let expected: JobStatus =
            switch group.state {
            case .success: .success
            case .partiallyFailed: .partiallyFailed
            case .failed, .killed, .waiting, .active, .processing: .failed
            }
        verdict.require(
            job.state.status == expected, .X15,
            "\(job.name) is \(job.state.status), its last group ended \(group.state)")
    }

    /// Rows of runs without a tick: children must be owed, and come once.
    mutating func observeRow(
        _ row: LedgerRow, of sight: JobSight, into verdict: inout Verdict
    ) {
        guard case .parent(let parent, let group) = row.cause else { return }
        let key = ChildKey(child: sight.state.generation, parentGroup: group)
        guard seenChildRuns.insert(key).inserted else {
            return verdict.fail(
                .X11, "\(sight.name) was started twice for group \(group) of \(parent)")
        }
        verdict.require(
            owed[key] != nil, .X11,
            "\(sight.name) was started for group \(group) of \(parent), which owes it nothing")
        owed[key] = 1
    }

    mutating func beginLife(of node: VirtualNode, at time: TrueTime) {
        epoch += 1
        lives[node.index] = node.incarnation
        if down.remove(node.name) != nil { beUncertain(until: time) }
    }

    mutating func endLife(of node: VirtualNode, at time: TrueTime) {
        down.insert(node.name)
        beUncertain(until: time)
    }

    mutating func beUncertain(until time: TrueTime) {
        lastUncertainty = max(lastUncertainty, time)
    }

    mutating func didGiveUp(_ execution: String) { givenUp.insert(execution) }
}
