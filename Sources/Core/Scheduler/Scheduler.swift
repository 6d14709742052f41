// Which jobs are due. Holds no truth: everything is derived from the store, on every server, so
// that a new leader has nothing to build.

/// The queue of due jobs and what is being decided.
package struct Scheduler {
    enum Action {
        /// Decisions to be proposed together.
        case propose([JobDecision])
        case loadZone(String)
        /// A job can't be decided because its zone is not to be had.
        case zoneMissing(JobName, zone: String, reason: String)
    }

    /// A job and when it is due. Entries are never updated: one that the store no longer confirms
    /// when its time has come is dropped, because the change that outdated it queued another.
    private struct Due: Comparable {
        var time: WallTime
        var job: JobName

        static func < (a: Due, b: Due) -> Bool { (a.time, a.job) < (b.time, b.job) }
    }

    /// What is on its way through the log for one job.
    private struct InFlight {
        var generation: Generation
        var revision: UInt64
        /// The last tick that it decides.
        var through: WallTime

        init(_ decision: JobDecision) {
            generation = decision.generation
            revision = decision.revision
            through = decision.ticks.last?.to ?? .distantPast
        }
    }

    /// How many jobs one step looks at.
    static let sliceSize = 500
    /// The most bytes of decisions made in one step, about: applying a hundred launches takes
    /// milliseconds.
    static let batchBytes = 12 << 10

    /// How often a job whose nodes are expected is looked at again.
    static let nodeWait = Duration.milliseconds(200)

    private var queue = MinHeap<Due>()
    /// Decisions that were proposed and not applied yet.
    private var deciding = SortedMap<JobName, InFlight>()
    /// Jobs with a due tick that waits for a group before it to end: the queue holds them for when
    /// the wait is over, an edit of all jobs must decide them now.
    private var waitingTurn = SortedMap<JobName, Bool>()
    /// Jobs that wait for a zone, by its name; when it is read they are looked at again.
    private var waitingForZone = SortedMap<Identifier<ZoneNameKind>, SortedMap<JobName, Bool>>()
    /// Zones that were asked for and are not there yet. Ticks of their jobs can't be told.
    private var zonesToCome = SortedMap<Identifier<ZoneNameKind>, Bool>()
    private var zonesReread = 0
    /// Where the walk over all jobs goes on that fills the queue; nil when it is complete.
    private var rebuildFrom: JobName? = JobName("")

    /// Some job can't be decided for want of its zone.
    var hasJobsWithoutZone: Bool { !waitingForZone.isEmpty }
    /// The queue knows every job.
    var isComplete: Bool { rebuildFrom == nil }
    /// Every zone in use was read, or can't be: an edit can tell which ticks it must bring along.
    var knowsTicks: Bool { isComplete && zonesToCome.isEmpty }

    /// When the first job may be due.
    package var nextDue: WallTime? { queue.first?.time }

    // MARK: Events

    /// Everything may have changed: look at all jobs again, in slices.
    mutating func rebuild() {
        queue.removeAll(keepingCapacity: true)
        waitingTurn = SortedMap()
        waitingForZone = SortedMap()
        zonesToCome = SortedMap()
        rebuildFrom = JobName("")
    }

    /// Decisions that were proposed will not be applied.
    mutating func forgetProposals() { deciding = SortedMap() }

    /// Decisions of this job were applied, or found outdated.
    mutating func decided(
        _ name: JobName, _ store: Store, _ zones: ZoneTable, into actions: inout [Action]
    ) {
        // A long decision takes several entries; its last one has the last tick.
        if let proposed = deciding[name], let state = store.state(name),
            state.generation == proposed.generation, state.revision == proposed.revision,
            state.cursor < proposed.through
        {
            return
        }
        deciding.remove(name)
        jobChanged(name, store, zones, into: &actions)
    }

    mutating func jobChanged(
        _ name: JobName, _ store: Store, _ zones: ZoneTable, into actions: inout [Action]
    ) {
        // `decided` will come and queue the next tick.
        guard !deciding.contains(name) else { return }
        enqueue(name, store, zones, into: &actions)
        // Outdated entries pile up when jobs with far-off ticks are edited again and again.
        if queue.count > 2 * store.counters.jobs + Self.sliceSize { rebuild() }
    }

    mutating func zoneLoaded(
        _ name: String, _ store: Store, _ zones: ZoneTable, into actions: inout [Action]
    ) {
        let key = Identifier<ZoneNameKind>(name)
        zonesToCome.remove(key)
        if zones.rereadCount != zonesReread {
            zonesReread = zones.rereadCount
            return rebuild()
        }
        guard let waiting = waitingForZone.remove(key) else { return }
        for (job, _) in waiting { enqueue(job, store, zones, into: &actions) }
    }

    /// Goes on with the walk over all jobs, one slice.
    mutating func continueRebuild(
        _ store: Store, _ zones: ZoneTable, into actions: inout [Action]
    ) {
        guard var place = rebuildFrom else { return }
        for _ in 0..<Self.sliceSize {
            guard let name = store.job(from: place, exclusive: true) else {
                rebuildFrom = nil
                return
            }
            enqueue(name, store, zones, into: &actions)
            place = name
        }
        rebuildFrom = place
    }

    /// Decides what is due at `stamp`, at most one slice of jobs. Not called while paused: those
    /// ticks get their outcome afterwards, all at once.
    /// - Parameter waitsForNodes: whether a job with these tags could run on a node that is awaited
    ///   for a moment; its ticks stay undecided until that has come, or is awaited no more.
    /// - Returns: whether more is due.
    mutating func decide(
        at stamp: WallTime, _ store: Store, _ zones: ZoneTable, into actions: inout [Action],
        waitsForNodes: ([Setting]) -> Bool = { _ in false },
        chooseTargets: ([Setting]) -> [NodeName]
    ) -> Bool {
        var batch: [JobDecision] = []
        var bytes = 0
        var looks = 0
        while let due = queue.first, due.time <= stamp, looks < Self.sliceSize,
            bytes < Self.batchBytes
        {
            looks += 1
            _ = queue.popFirst()
            guard !deciding.contains(due.job) else { continue }
            waitingTurn.remove(due.job)
            guard let document = store.document(due.job), let state = store.state(due.job) else {
                continue
            }
            if waitsForNodes(document.tags) {
                queue.insert(Due(time: stamp + Self.nodeWait, job: due.job))
                waitingTurn[due.job] = true
                continue
            }
            guard
                case .ready(let plan) = TickPlan.resolve(document, state, store.cluster, zones)
            else {
                // Its zone may have to be read first.
                enqueue(due.job, store, zones, into: &actions)
                continue
            }
            var decider = Decider(
                document: document, state: state, cluster: store.cluster, plan: plan,
                stamp: stamp, isFinal: false)
            if let decision = decider.decide({ chooseTargets(document.tags) }) {
                deciding[due.job] = InFlight(decision)
                bytes += decision.ticks.reduce(64) { $0 + $1.approximateSize }
                batch.append(decision)
            } else if let again = decider.waitsUntil {
                queue.insert(Due(time: max(again, stamp + .nanoseconds(1)), job: due.job))
                waitingTurn[due.job] = true
            }
        }
        if !batch.isEmpty { actions.append(.propose(batch)) }
        return queue.first.map { $0.time <= stamp } ?? false
    }

    /// The decisions that an edit of `name` carries: all ticks due up to its stamp that no earlier
    /// entry decides. They count as proposed, so the edit must be.
    mutating func decisionsBeforeEdit(
        of name: JobName, at stamp: WallTime, _ store: Store, _ zones: ZoneTable,
        waitsForZone: Bool = false, chooseTargets: ([Setting]) -> [NodeName]
    ) -> JobDecision? {
        guard let document = store.document(name), var state = store.state(name) else {
            return nil
        }
        if let proposed = deciding[name], proposed.generation == state.generation,
            proposed.revision == state.revision
        {
            state.cursor = max(state.cursor, proposed.through)
        }
        let decision: JobDecision?
        switch TickPlan.resolve(document, state, store.cluster, zones) {
        case .ready(let plan):
            var decider = Decider(
                document: document, state: state, cluster: store.cluster, plan: plan, stamp: stamp,
                isFinal: true)
            decision = decider.decide { chooseTargets(document.tags) }
        case .idle: return nil
        case .needsZone, .zoneMissing:
            guard !waitsForZone else { return nil }
            decision = Decider.unknowable(document, state, store.cluster, stamp: stamp)
        }
        if let decision { deciding[name] = InFlight(decision) }
        return decision
    }

    /// The decisions of every job that is due at `stamp`, for an edit that concerns all of them.
    ///
    /// - Parameter edited: jobs whose schedule the edit changes; of the others, those whose zone
    ///   can't be read wait for it.
    mutating func decisionsBeforeEditOfAll(
        at stamp: WallTime, edited: [JobName], _ store: Store, _ zones: ZoneTable,
        chooseTargets: ([Setting]) -> [NodeName]
    ) -> [JobDecision] {
        // Those that are being decided are not in the queue; more may have come due since.
        var names = deciding.map { $0.key }
        func add(_ name: JobName) { if !deciding.contains(name) { names.append(name) } }
        while let due = queue.first, due.time <= stamp {
            _ = queue.popFirst()
            add(due.job)
        }
        for (name, _) in waitingTurn { add(name) }
        waitingTurn = SortedMap()
        let first = edited.compactMap {
            decisionsBeforeEdit(of: $0, at: stamp, store, zones, chooseTargets: chooseTargets)
        }
        return first
            + names.compactMap {
                decisionsBeforeEdit(
                    of: $0, at: stamp, store, zones, waitsForZone: true,
                    chooseTargets: chooseTargets)
            }
    }

    // MARK: The queue

    private mutating func enqueue(
        _ name: JobName, _ store: Store, _ zones: ZoneTable, into actions: inout [Action]
    ) {
        guard let document = store.document(name), let state = store.state(name) else { return }
        switch TickPlan.resolve(document, state, store.cluster, zones) {
        case .ready(let plan):
            guard let next = plan.next(after: store.cluster.cursor(of: state)) else { return }
            queue.insert(Due(time: next, job: name))
        case .idle: break
        case .needsZone(let zone):
            wait(for: zone, name)
            zonesToCome[Identifier(zone)] = true
            actions.append(.loadZone(zone))
        case .zoneMissing(let zone, let reason):
            wait(for: zone, name)
            actions.append(.zoneMissing(name, zone: zone, reason: reason))
        }
    }

    private mutating func wait(for zone: String, _ job: JobName) {
        let key = Identifier<ZoneNameKind>(zone)
        guard waitingForZone.update(key, { $0[job] = true }) == nil else { return }
        var jobs = SortedMap<JobName, Bool>()
        jobs[job] = true
        waitingForZone[key] = jobs
    }
}
