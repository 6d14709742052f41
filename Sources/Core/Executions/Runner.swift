// What an agent does: it takes assignments, writes them down before it starts anything, watches
// the runs and keeps each result until the cluster has it.
//
// At most one start per execution: an assignment is in the journal (synced) before its run is
// started, and one that is known, in whatever phase, starts nothing again. After a restart a run
// that was accepted and is unknown to the supervisor is lost, never started a second time.

/// The executions of this node.
package struct Runner {
    enum Action {
        /// Appended to the journal; the runner counts sequence numbers in step with it.
        case journal(kind: UInt8, key: [UInt8], payload: [UInt8])
        indirect case start(RunSpec)
        case adopt(ExecutionID, ProcessIdentity?)
        case readSecrets(ExecutionID, [String])
        case stop(ExecutionID)
        indirect case call(HTTPCall)
        indirect case converse(ConversationCall)
        indirect case execute(PluginCall)
        case hangUp(ExecutionID)
        case release(ExecutionID)
        case renewFences(ago: Duration)
        case report(AgentReport)
        case log(LogRecord)
        case mark(Mark)
    }

    struct Run {
        enum Phase {
            /// The acceptance is on its way to the disk.
            case accepting(sequence: UInt64)
            /// Accepted; waits for a place among the running.
            case queued
            /// Handed to the supervisor, or to what makes calls.
            case running
            /// The result is on its way to the disk.
            case finishing(sequence: UInt64)
            /// The result is safe and told until it is settled.
            case finished
        }

        var assignment: Assignment
        var phase: Phase
        /// By this agent's clock: for a lease from here on the leader does not give the run up.
        /// Nil: not known in this life.
        var leasedAt: Instant?
        var tail: OutputTail
        var startedAt: WallTime?
        var identity: ProcessIdentity?
        var isKillRequested = false
        var carrier: RunCarrier { RunCarrier(executor: assignment.executor) }
        /// Everything but a command does not outlive the agent.
        var isCall: Bool { carrier != .process }
        /// Those that its settings name, in this life of the agent.
        var secrets = RunSecrets.none
        /// Of those that it was given when it began, in whichever life; see `SecretDigest`.
        var secretDigest: UInt16?
        /// It had been started by an earlier life of this agent.
        var isAdopted = false
        var result: ExecutionResult?
        /// Bytes of its records in the journal.
        var journaledBytes: UInt64 = 0
        /// When the result is told again, how often it was told, and from when on it may be told
        /// because the leader took another.
        var tellAgainAt = Instant.distantFuture
        var tellings = 0
        var mayHurryAt = Instant.zero
    }

    /// Kinds of records in the journal.
    enum RecordKind: UInt8 {
        case accepted = 1
        case started
        case finished
        case settled
    }

    /// How often a runner with work tells the leader that it lives.
    static let heartbeatInterval = Duration.seconds(5)
    /// After how long a result is told again: doubled each time, up to a limit.
    static let resendInterval = Duration.seconds(5)
    static let resendLimit = Duration.minutes(5)
    /// No result is told more often than that because the leader took others.
    static let hurryInterval = Duration.seconds(1)
    /// How long a settled execution is remembered, so that a late duplicate starts nothing.
    static let memory = Duration.seconds(60)
    /// An order whose heartbeat is older starts nothing: it was long under way.
    static let orderLife = Duration.seconds(30)
    /// For how long at least an execution waits for a leader that is heard again.
    static let patience = Duration.hours(1)
    /// The most bytes of output in one report.
    static let chunkLimit = 64 << 10

    var tunables: Tunables
    var runs = SortedMap<ExecutionKey, Run>()
    /// Keys by the number in the execution's id, which is unique in the cluster.
    private var keys = SortedMap<Int64, ExecutionKey>()
    /// Settled executions, oldest first, and when each may be forgotten.
    private var settled = RingBuffer<(key: ExecutionKey, until: Instant)>()
    /// Whether each was held by this agent, or only refused.
    private(set) var settledKeys = SortedMap<ExecutionKey, Bool>()
    var queue = RingBuffer<ExecutionKey>()
    /// Executions that wait to be started until the leader is heard again, and until when.
    private var unleased = SortedMap<ExecutionKey, Instant>()
    /// Executions that wait to be started until their secrets are read.
    var awaitingSecrets = SortedMap<ExecutionKey, Bool>()
    /// Runs whose next step waits for a record to be safe, in order of the records.
    var unsynced = RingBuffer<(sequence: UInt64, key: ExecutionKey)>()
    var runningCount = 0
    /// Bytes kept of the output of a run that ends.
    var outputLimit: Int
    /// Records appended to the journal in this life.
    var journaled: UInt64 = 0
    /// Bytes of records that still matter.
    package private(set) var liveBytes: UInt64 = 0
    /// Executions to be remembered as settled from the next deadline on.
    private var refused: [ExecutionKey] = []
    var nextHeartbeat = Instant.distantFuture
    var nextResend = Instant.distantFuture
    /// Results that were told more than once, and are not settled.
    var toldAgain = SortedMap<ExecutionKey, Bool>()
    /// The last of them that was told because the leader took another.
    var lastHurried: ExecutionKey?

    /// Which life of the agent this is.
    private let incarnation: UInt64
    let offers: ExecutorOffers
    /// The identity of the directory in which the journal lies.
    let dataID: DataID
    /// What is told of this node to whatever begins from now on.
    var place: [EnvironmentEntry] = []

    init(
        tunables: Tunables, dataID: DataID, incarnation: UInt64 = 1,
        offers: ExecutorOffers = ExecutorOffers()
    ) {
        self.dataID = dataID
        self.incarnation = incarnation
        self.offers = offers
        self.tunables = tunables
        outputLimit = tunables.outputLimit
    }

    /// Executions whose command runs or waits to run.
    package var activeCount: Int {
        runningCount + queue.count + unleased.count + awaitingSecrets.count
    }
    /// Executions in any phase before settlement.
    package var heldCount: Int { runs.count }

    var nextDeadline: Instant? {
        var soonest = min(nextHeartbeat, nextResend)
        if let first = settled.first { soonest = min(soonest, first.until) }
        if !refused.isEmpty { soonest = .zero }
        return soonest == .distantFuture ? nil : soonest
    }

    func key(of id: ExecutionID) -> ExecutionKey? { id.number.flatMap { keys[$0] } }

    /// What a run has printed so far, or its whole output once it has ended.
    package func liveTail(of key: ExecutionKey) -> OutputTail? { runs[key]?.tail }

    // MARK: Messages from the leader

    /// Takes an execution, or tells what is known of it.
    /// - Parameter heartbeat: what the leader last heard of this agent.
    mutating func assign(
        _ assignment: Assignment, after heartbeat: Heartbeat, at time: Now,
        into actions: inout [Action]
    ) {
        let key = assignment.key
        let now = time.monotonic
        if let known = runs[key] {
            // It is still wanted, however long nothing was heard.
            if heartbeat.incarnation == incarnation {
                let sentAt = heartbeat.sentAt
                runs.update(key) { $0.leasedAt = max($0.leasedAt ?? sentAt, sentAt) }
                retryUnleased(key)
            }
            answer(key, known, into: &actions)
            return
        }
        guard !settledKeys.contains(key) else { return }
        // The leader may have given it up by now, or an earlier life of this agent may have begun
        // it and forgotten.
        guard heartbeat.incarnation == incarnation, now - heartbeat.sentAt <= Self.orderLife else {
            return actions.append(.mark(.orderTooOld))
        }
        let run = Run(
            assignment: assignment, phase: .accepting(sequence: journaled + 1),
            leasedAt: heartbeat.sentAt, tail: OutputTail(limit: tunables.outputLimit))
        insert(key, run)
        let sequence = journal(.accepted, key, assignment.encoded, into: &actions)
        if isClosed { return decline(key, run, at: time.wall, into: &actions) }
        unsynced.append((sequence, key))
    }

    mutating func kill(
        _ key: ExecutionKey, reason: String = "killed by request", at wall: WallTime,
        into actions: inout [Action]
    ) {
        guard let run = runs[key] else { return refuse(key, reason, wall, into: &actions) }
        guard !run.isKillRequested else { return }
        runs.update(key) { $0.isKillRequested = true }
        switch run.phase {
        case .accepting: break
        case .queued:
            unleased.remove(key)
            finish(
                key, unstarted(run, .killed, "\(reason) before it was started", wall),
                into: &actions)
        case .running:
            let id = run.assignment.id
            actions.append(run.isCall ? .hangUp(id) : .stop(id))
        case .finishing, .finished: break
        }
    }

    /// What is to be ended and was never heard of, as after a crash before its acceptance was safe,
    /// must not start any more.
    private mutating func refuse(
        _ key: ExecutionKey, _ reason: String, _ wall: WallTime, into actions: inout [Action]
    ) {
        // Who asks again has not heard the answer. Of what did run the cluster has the result.
        switch settledKeys[key] {
        case nil:
            settledKeys[key] = false
            refused.append(key)
        case false?: break
        case true?: return
        }
        let result = ExecutionResult(
            state: .killed, startedAt: nil, finishedAt: wall,
            error: "\(reason) before it was started")
        let report = Report(job: JobName(""), key: key, news: .ended(result))
        actions.append(.report(.news(report)))
    }

    /// The cluster has the result, or does not want it.
    mutating func settle(_ key: ExecutionKey, at now: Instant, into actions: inout [Action]) {
        guard let run = runs[key] else { return }
        switch run.phase {
        case .finishing, .finished: break
        case .accepting, .queued, .running:
            // The job was deleted while it runs: the end will find nothing, and is told then.
            return
        }
        _ = journal(.settled, key, [], into: &actions)
        if !run.isCall { actions.append(.release(run.assignment.id)) }
        forget(key)
        remember(key, at: now)
        hurry(at: now, into: &actions)
    }

    private mutating func remember(_ key: ExecutionKey, at now: Instant) {
        settled.append((key, now + Self.memory))
        settledKeys[key] = true
    }

    /// Remembers what an earlier life of this agent settled.
    mutating func rememberRecovered(at now: Instant) {
        for (key, _) in settledKeys { settled.append((key, now + Self.memory)) }
    }

    mutating func recoverSettled(_ key: ExecutionKey) { settledKeys[key] = true }

    mutating func heard(_ heartbeat: Heartbeat, at now: Now, into actions: inout [Action]) {
        guard heartbeat.incarnation == incarnation else { return }
        renewLeases(heartbeat.sentAt)
        actions.append(.renewFences(ago: now.monotonic - heartbeat.sentAt))
        startQueued(at: now, into: &actions)
    }

    /// Renews the leases of what waits to be started. One that has run out stays so: the leader may
    /// have given the run up before it heard of this agent again.
    private mutating func renewLeases(_ sentAt: Instant) {
        for (key, run) in runs {
            guard case .queued = run.phase, let base = run.leasedAt, sentAt > base,
                sentAt - base <= Self.startLife(of: run.assignment)
            else { continue }
            runs.update(key) { $0.leasedAt = sentAt }
            retryUnleased(key)
        }
    }

    /// After so long without a word the leader may have given up what it does not know to be
    /// accepted; see `Dispatcher.acceptTimeout`.
    private static func startLife(of assignment: Assignment) -> Duration {
        min(orderLife, fence(of: assignment))
    }

    private mutating func retryUnleased(_ key: ExecutionKey) {
        if unleased.remove(key) != nil { queue.append(key) }
    }

    /// How old the lease of a run is, if it may still be started on it.
    private func leaseAge(of run: Run, at now: Instant) -> Duration? {
        guard let base = run.leasedAt else { return nil }
        let age = max(.zero, now - base)
        return age <= Self.startLife(of: run.assignment) ? age : nil
    }

    func heartbeat(at now: Instant) -> Heartbeat {
        Heartbeat(incarnation: incarnation, sentAt: now)
    }

    // MARK: Events from the journal

    /// The records through this sequence number survive a crash.
    mutating func durable(
        through sequence: UInt64, at now: Now, into actions: inout [Action]
    ) {
        while let first = unsynced.first, first.sequence <= sequence {
            _ = unsynced.popFirst()
            guard let run = runs[first.key] else { continue }
            switch run.phase {
            case .accepting(first.sequence): accepted(first.key, run, at: now, into: &actions)
            case .finishing(first.sequence):
                runs.update(first.key) { $0.phase = .finished }
                tellResult(run, into: &actions)
                tellAgainLater(first.key, at: now.monotonic)
            case .accepting, .queued, .running, .finishing, .finished: break
            }
        }
        startQueued(at: now, into: &actions)
    }

    private mutating func accepted(
        _ key: ExecutionKey, _ run: Run, at now: Now, into actions: inout [Action]
    ) {
        actions.append(.report(.accepted(key)))
        runs.update(key) { $0.phase = .queued }
        guard run.isKillRequested || stopReason != nil else {
            queue.append(key)
            return
        }
        let reason = run.isKillRequested ? "killed by request" : stopReason ?? ""
        let result = unstarted(run, .killed, "\(reason) before it was started", now.wall)
        finish(key, result, into: &actions)
    }

    /// Starts what waits while there is room, and while a leader has heard of this agent lately:
    /// else the run may be given up already.
    mutating func startQueued(at now: Now, into actions: inout [Action]) {
        if !queue.isEmpty, runningCount >= tunables.maxRunning { actions.append(.mark(.runQueued)) }
        while runningCount < tunables.maxRunning, let key = queue.popFirst() {
            guard let run = runs[key], case .queued = run.phase else { continue }
            guard let age = leaseAge(of: run, at: now.monotonic) else {
                actions.append(.mark(.leaseAwaited))
                unleased[key] =
                    now.monotonic + max(Self.patience, run.assignment.lostAfter)
                continue
            }
            guard hasSecrets(key, run, into: &actions) else { continue }
            switch start(of: run, leaseAge: age) {
            case .success(let action):
                runs.update(key) { $0.phase = .running }
                runningCount += 1
                actions.append(action)
                beginHeartbeats(at: now.monotonic, into: &actions)
            case .failure(let error):
                finish(key, unstarted(run, .failed, error.sentence, now.wall), into: &actions)
            }
        }
        // The leader counts on hearing of those too that wait.
        if !queue.isEmpty || !unleased.isEmpty {
            beginHeartbeats(at: now.monotonic, into: &actions)
        }
    }

    private mutating func beginHeartbeats(at now: Instant, into actions: inout [Action]) {
        guard nextHeartbeat == .distantFuture else { return }
        nextHeartbeat = now + Self.heartbeatInterval
        actions.append(.report(.heartbeat(heartbeat(at: now))))
    }

    // MARK: Deadlines

    mutating func deadline(at time: Now, into actions: inout [Action]) {
        let now = time.monotonic
        if now >= nextHeartbeat {
            giveUpUnleased(at: time, into: &actions)
            if runs.isEmpty {
                nextHeartbeat = .distantFuture
            } else {
                nextHeartbeat = now + Self.heartbeatInterval
                actions.append(.report(.heartbeat(heartbeat(at: now))))
            }
        }
        if now >= nextResend { tellAgain(at: now, into: &actions) }
        for key in refused { settled.append((key, now + Self.memory)) }
        refused.removeAll()
        while let first = settled.first, first.until <= now {
            _ = settled.popFirst()
            settledKeys.remove(first.key)
        }
    }

    /// The leader may hear this agent and not be heard: then it waits, and nobody else can tell
    /// that nothing was begun.
    private mutating func giveUpUnleased(at now: Now, into actions: inout [Action]) {
        let overdue = unleased.filter { $0.value <= now.monotonic }
        for (key, _) in overdue {
            unleased.remove(key)
            guard let run = runs[key], case .queued = run.phase else { continue }
            let reason = "the agent heard no leader for too long to start it"
            finish(key, unstarted(run, .failed, reason, now.wall), into: &actions)
        }
    }

    // MARK: Stopping

    /// Ends everything that still runs.
    mutating func endAll(reason: String, at wall: WallTime, into actions: inout [Action]) {
        stopReason = reason
        for (key, run) in runs {
            switch run.phase {
            case .queued, .running: kill(key, reason: reason, at: wall, into: &actions)
            case .accepting, .finishing, .finished: break
            }
        }
    }

    /// This agent goes, and takes nothing new; see `close`.
    var isClosed = false

    /// Why runs that are being ended are ended, when that is not somebody's request.
    var stopReason: String?

    // MARK: Shared

    mutating func insert(_ key: ExecutionKey, _ run: Run) {
        runs[key] = run
        keys[key.number] = key
    }

    mutating func forget(_ key: ExecutionKey) {
        if let run = runs.remove(key) { liveBytes -= run.journaledBytes }
        keys.remove(key.number)
        awaitingSecrets.remove(key)
        toldAgain.remove(key)
    }

    /// Counts bytes that lie in the journal for a run.
    mutating func countJournaled(_ key: ExecutionKey, payload: Int) {
        let size = UInt64(payload) + 64
        guard runs.update(key, { $0.journaledBytes += size }) != nil else { return }
        liveBytes += size
    }

    @discardableResult
    mutating func journal(
        _ kind: RecordKind, _ key: ExecutionKey, _ payload: [UInt8], into actions: inout [Action]
    ) -> UInt64 {
        journaled += 1
        countJournaled(key, payload: payload.count)
        actions.append(.journal(kind: kind.rawValue, key: key.historyKey, payload: payload))
        return journaled
    }
}
