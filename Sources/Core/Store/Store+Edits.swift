// What people change: jobs, runs by hand, kills, pauses, restores.

extension Store {
    // MARK: Jobs

    mutating func apply(
        _ put: PutJob, at index: LogIndex, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        if cluster.refusesEdits, !put.isAllowedWhilePaused { return .rejected(.paused) }
        let name = put.document.name
        let stored = state(name)
        guard holds(put.precondition, stored) else {
            events.append(.mark(.preconditionFailed))
            return .rejected(.preconditionFailed)
        }
        if let rejection = checkParent(of: put.document) { return .rejected(rejection) }
        let version = store(put.document, replacing: stored, at: index, stamp, &events)
        if let run = put.runOnCreate, var state = state(name) {
            let cause = Trigger.request(run.requestID)
            let outcome = launch(
                put.document, &state, cause, targets: run.targets, stamp, &events)
            record(outcome, cause: cause, stamp, &state, &events)
            self.put(name, state)
        }
        return .stored(created: stored == nil, version: version)
    }

    private func holds(_ precondition: Precondition, _ stored: JobState?) -> Bool {
        switch precondition {
        case .none: true
        case .absent: stored == nil
        case .version(let version): stored?.version == version
        case .exactly(let generation, let version):
            stored?.generation == generation && stored?.version == version
        }
    }

    /// Refuses an unknown parent and a circle of parents. O(depth of the chain).
    func checkParent(of document: JobDocument) -> Rejection? {
        var ancestor = document.parent
        while let current = ancestor {
            if current == document.name { return .parentCycle(current) }
            guard let next = self.document(current) else { return .unknownParent(current) }
            ancestor = next.parent
        }
        return nil
    }

    /// Creates or replaces a job and returns its version. An identical document changes nothing.
    @discardableResult
    private mutating func store(
        _ document: JobDocument, replacing stored: JobState?, at index: LogIndex,
        _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> UInt64 {
        let name = document.name
        guard var state = stored, let old = self.document(name) else {
            let state = JobState(generation: uniqueGeneration(index), stamp: stamp)
            put(document)
            put(name, state)
            attach(name, to: document.parent)
            events.append(.jobChanged(name))
            return state.version
        }
        guard document != old else { return state.version }
        state.version += 1
        if document.changesSchedule(from: old) {
            state.revision += 1
            state.cursor = max(state.cursor, stamp)
            if everyDuration(document) != everyDuration(old) {
                state.everyAnchor = WallTime(seconds: stamp.seconds)
            }
        }
        put(document)
        put(name, state)
        if document.parent != old.parent {
            detach(name, from: old.parent)
            attach(name, to: document.parent)
        }
        events.append(.jobChanged(name))
        return state.version
    }

    /// The entry's index, made unique among the jobs that one entry of a restore creates.
    private mutating func uniqueGeneration(_ index: LogIndex) -> Generation {
        invariant(index < 1 << 40, "indices leave room for the jobs of one entry")
        if createdByEntry.index != index { createdByEntry = (index, 0) }
        defer { createdByEntry.count += 1 }
        return index << 24 | UInt64(createdByEntry.count)
    }

    private func everyDuration(_ document: JobDocument) -> Duration? {
        guard let schedule = try? Schedule.parse(document.schedule, jobName: document.name),
            case .every(let duration) = schedule
        else { return nil }
        return duration
    }

    private mutating func attach(_ child: JobName, to parent: JobName?) {
        guard let parent, var state = state(parent) else { return }
        state.children.append(child)
        put(parent, state)
    }

    private mutating func detach(_ child: JobName, from parent: JobName?) {
        guard let parent, var state = state(parent) else { return }
        state.children.removeAll { $0 == child }
        put(parent, state)
    }

    mutating func delete(
        _ name: JobName, _ precondition: Precondition, kill: Bool, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard let state = state(name) else { return .rejected(.unknownJob) }
        guard holds(precondition, state) else {
            events.append(.mark(.preconditionFailed))
            return .rejected(.preconditionFailed)
        }
        guard state.children.isEmpty else { return .rejected(.hasChildren(state.children)) }
        erase(name, state, kill: kill, &events)
        return .applied
    }

    /// Removes a job with all that hangs on it. Runs go on unless `kill`; their results will find
    /// nothing.
    mutating func erase(
        _ name: JobName, _ state: JobState, kill: Bool, _ events: inout [StoreEvent]
    ) {
        let generation = state.generation
        for id in activeGroups(of: generation) {
            guard var group = group(generation, id) else { continue }
            for index in group.targets.indices {
                cancelRetry(of: &group, target: index, name, generation)
                guard let number = group.targets[index].attempts.last else { continue }
                let key = ExecutionKey(generation: generation, number: number)
                guard let execution = execution(key), !execution.state.isEnded else { continue }
                if kill { order(Orphan(key: key, node: execution.node), &events) }
                // Nobody waits for its end any more.
                events.append(.executionEnded(key, execution.node))
            }
            events.append(.groupEnded(name, generation, id))
        }
        for key in keys(withPrefix: Key.prefix(.processing, generation)) {
            remove(key)
            let execution = ExecutionKey(
                generation: generation, number: Key.lastNumber(of: key))
            events.append(.processingEnded(execution))
            // Its agent has kept the result for the processors.
            events.append(.settled(execution))
        }
        for key in keys(withPrefix: Key.prefix(.execution, generation)) {
            let execution = ExecutionKey(
                generation: generation, number: Key.lastNumber(of: key))
            forgetOutput(of: execution, &events)
            remove(key)
        }
        for table in [Key.Table.group, .active, .ledger, .request] {
            for key in keys(withPrefix: Key.prefix(table, generation)) { remove(key) }
        }
        detach(name, from: document(name)?.parent)
        removeJob(name)
        events.append(.jobChanged(name))
    }

    /// Has a run ended whose job is gone; the order stands until its agent reports the end.
    private mutating func order(_ orphan: Orphan, _ events: inout [StoreEvent]) {
        put(Key.orphan(orphan.key), orphan.encoded)
        events.append(.killRequested(orphan.key, orphan.node))
    }

    mutating func deleteExecutions(
        of name: JobName, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard var state = state(name) else { return .rejected(.unknownJob) }
        for group in groups(of: state.generation) where group.state.isEnded {
            forget(group, &state, &events)
        }
        state.successCount = 0
        state.errorCount = 0
        state.lastSuccess = nil
        state.lastError = nil
        put(name, state)
        return .applied
    }

    // MARK: Runs and kills by hand

    mutating func launch(
        _ run: RunNow, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard var state = state(run.job), let document = document(run.job) else {
            return .rejected(.unknownJob)
        }
        if let group = group(ofRequest: run.requestID, state.generation) {
            events.append(.mark(.idempotentRunRepeated))
            return .launched(group: group, repeated: true)
        }
        if cluster.refusesEdits { return .rejected(.paused) }
        let cause = Trigger.request(run.requestID)
        let outcome = launch(document, &state, cause, targets: run.targets, stamp, &events)
        record(outcome, cause: cause, stamp, &state, &events)
        put(run.job, state)
        switch outcome {
        case .ran(let group): return .launched(group: group, repeated: false)
        case .skipped(.noTarget): return .rejected(.noTarget)
        case .skipped, .missed: return .rejected(.overlap)
        }
    }

    mutating func kill(
        _ job: JobName, _ key: ExecutionKey, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        guard var state = state(job), state.generation == key.generation,
            var execution = execution(key), let document = document(job),
            var group = group(key.generation, execution.group)
        else { return .rejected(.unknownExecution) }
        if !execution.state.isEnded {
            execution.isKillRequested = true
            put(key.generation, execution)
            events.append(.mark(.runKilled))
            events.append(.killRequested(key, execution.node))
            return .applied
        }
        // The attempt is over; what can still be ended is the retry that waits for it.
        guard
            let target = group.targets.firstIndex(where: {
                $0.attempts.last == execution.number && $0.retryDue != nil
            })
        else { return .rejected(.executionEnded) }
        cancelRetry(of: &group, target: target, job, key.generation)
        oweEnd(of: key.number, document, key.generation, &events)
        put(key.generation, group)
        endIfComplete(&group, document, &state, stamp, &events)
        if hasJob(job) { put(job, state) }
        return .applied
    }

    // MARK: Pauses

    /// How many past pauses are remembered, for ticks not decided since.
    static var pauseLimit: Int { 100 }

    mutating func pause(
        editsAllowed: Bool, _ stamp: WallTime, _ events: inout [StoreEvent]
    ) -> ApplyResult {
        cluster.editsAllowedWhilePaused = editsAllowed
        if !cluster.isPaused {
            cluster.pauses.append(PauseInterval(from: stamp, to: nil))
            if cluster.pauses.count > Self.pauseLimit { cluster.pauses.removeFirst() }
        }
        events.append(.clusterChanged)
        return .applied
    }

    mutating func unpause(_ stamp: WallTime, _ events: inout [StoreEvent]) -> ApplyResult {
        if cluster.isPaused { cluster.pauses[cluster.pauses.count - 1].to = stamp }
        cluster.editsAllowedWhilePaused = false
        events.append(.clusterChanged)
        return .applied
    }

    // MARK: Restore

    /// Keeps one part of a restore. A server reads one restore at a time, so parts of another id
    /// were left behind by one that will never be committed.
    mutating func stage(_ jobs: [RestoredJob], restore id: UInt64) -> ApplyResult {
        let mine = Key.prefix(.staged, id)
        var part: UInt32 = 0
        for key in keys(withPrefix: [Key.Table.staged.rawValue]) {
            if key.bytes.starts(with: mine) { part += 1 } else { remove(key) }
        }
        var writer = ByteWriter()
        writer.array(jobs) { $1.encode(into: &$0) }
        put(Key.staged(id, part), writer.output)
        return .applied
    }

    /// Restores with parts that are staged: at most one, and one more left behind.
    package var stagedRestores: [UInt64] {
        var found: [UInt64] = []
        for key in keys(withPrefix: [Key.Table.staged.rawValue]) {
            let id = Key.generation(of: key)
            if found.last != id { found.append(id) }
        }
        return found
    }

    /// The names of staged jobs. O(bytes staged).
    func stagedNames(restore id: UInt64) -> [JobName] {
        keys(withPrefix: Key.prefix(.staged, id)).flatMap {
            decodeStaged(bytes($0) ?? []).map(\.document.name)
        }
    }

    /// Imports the staged jobs, all or none of them. Of two jobs of one name the later counts.
    mutating func commitRestore(
        _ id: UInt64, parts: UInt32, at index: LogIndex, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) -> ApplyResult {
        let staged = keys(withPrefix: Key.prefix(.staged, id))
        guard staged.count == Int(parts) else { return .rejected(.notPending) }
        var order: [JobName] = []
        var file = SortedMap<JobName, RestoredJob>()
        for key in staged {
            for job in decodeStaged(bytes(key) ?? []) {
                let name = job.document.name
                if file.updateValue(job, forKey: name) == nil { order.append(name) }
            }
            remove(key)
        }
        let sorted: [JobName]
        do throws(Rejection) {
            sorted = try parentsFirst(order, file)
        } catch {
            return .rejected(error)
        }
        var created: UInt32 = 0
        var updated: UInt32 = 0
        for name in sorted {
            guard let job = file[name] else { continue }
            let before = state(name)
            importJob(job, replacing: before, at: index, stamp, &events)
            if before == nil {
                created += 1
            } else if before?.version != state(name)?.version {
                updated += 1
            }
        }
        return .restored(
            created: created, updated: updated,
            unchanged: UInt32(sorted.count) - created - updated)
    }

    /// The jobs of a file in an order in which each finds its parent, the file's where that is
    /// free; or why they don't fit together. O(jobs · log jobs).
    private func parentsFirst(
        _ names: [JobName], _ file: SortedMap<JobName, RestoredJob>
    ) throws(Rejection) -> [JobName] {
        /// Whether all ancestors of a job are known to be in order, by name.
        var isSettled = SortedMap<JobName, Bool>()
        var sorted: [JobName] = []
        for name in names {
            var chain: [JobName] = []
            var next: JobName? = name
            while let current = next, isSettled[current] != true {
                if isSettled[current] == false { throw .parentCycle(current) }
                guard let document = file[current]?.document ?? document(current) else {
                    throw .unknownParent(current)
                }
                isSettled[current] = false
                chain.append(current)
                next = document.parent
            }
            for current in chain.reversed() {
                isSettled[current] = true
                if file.contains(current) { sorted.append(current) }
            }
        }
        return sorted
    }

    private func decodeStaged(_ bytes: [UInt8]) -> [RestoredJob] {
        var reader = ByteReader(bytes)
        do throws(ByteError) {
            return try reader.array { reader throws(ByteError) in
                try RestoredJob(from: &reader)
            }
        } catch {
            fatalError("invariant broken: a staged restore can't be read: \(error)")
        }
    }

    private mutating func importJob(
        _ job: RestoredJob, replacing stored: JobState?, at index: LogIndex, _ stamp: WallTime,
        _ events: inout [StoreEvent]
    ) {
        let name = job.document.name
        store(job.document, replacing: stored, at: index, stamp, &events)
        guard var state = state(name) else { return }
        state.successCount = max(state.successCount, job.successCount)
        state.errorCount = max(state.errorCount, job.errorCount)
        state.lastSuccess = later(state.lastSuccess, job.lastSuccess)
        state.lastError = later(state.lastError, job.lastError)
        if stored == nil, let anchor = job.everyAnchor {
            state.everyAnchor = WallTime(seconds: anchor.seconds)
        }
        put(name, state)
    }

    private func later(_ a: WallTime?, _ b: WallTime?) -> WallTime? {
        guard let a, let b else { return a ?? b }
        return max(a, b)
    }
}
