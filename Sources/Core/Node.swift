// A whole scheduler node, wired: the only file and its extensions that know who listens to whom.
//
//   request ──► api ──propose──► raft ──entry──► log journal ──durable──► raft ──commit──► store
//                                  ▲                                                events    │
//        scheduler (due ticks) ────┤                       ┌──────────────┬──────────────┬────┤
//        dispatcher (retries) ─────┤                       ▼              ▼              ▼    ▼
//        runner (reports) ─────────┘                  dispatcher      scheduler       history api
//                                                          │ run, kill, settle
//                                                          ▼
//                                                       runner ──► run journal, supervisor
//
// Each sub-machine has one method per event and appends its actions to a list; nobody but the node
// calls a sub-machine. One step takes one input to its end; nothing re-enters.

/// A whole scheduler node: agent, and server if so configured. A value; copying it is a snapshot.
package struct Node {
    private let handedByAddress = HandedByAddress()

    /// How far the node is in its life.
    package enum Phase: Hashable, Sendable {
        case recovering(Recovery)
        case running
        case stopping
        /// Nothing is done any more; the reason was told.
        case halted(String)
        case exited
    }

    /// What has been read of the data directory.
    package enum Recovery: UInt8, Sendable {
        case snapshot
        case history
        case logs
    }

    let config: Config
    /// All nodes of the cluster that are known, this one included, in order of their names.
    package internal(set) var members: [Member]
    /// Nil: this node is alone for ever.
    package internal(set) var membership: Membership?
    var joining = Joining()
    /// When to tell again that there are nodes of another cluster.
    var nextStrangerReport = Instant.zero
    var leaderWatch = LeaderWatch()
    var founding = Founding()
    var seats = Seats()
    var leaving = LeaveState()
    var memory = NodeMemory()
    var contact = Contact()
    /// The feature level that this leader has proposed; 0: none.
    var levelProposed: UInt32 = 0
    /// Stamps go back when this entry is applied; those after it count from the present.
    var rewindIndex: LogIndex = 0
    /// The log was told that stamps are far ahead of the time.
    var isStampReported = false
    /// It was looked whether the cluster has another default zone than this node was given.
    var isZoneCompared = false
    /// The cluster that this node belongs to, once it is known.
    package internal(set) var clusterID: String?
    /// Where the world was told that other nodes are reached.
    var addresses = SortedMap<ServerID, GossipAddress>()
    /// Who said last that it leads.
    var heardLeader: (id: ServerID, term: Term)?
    /// Whom the runner's news went to.
    var lastLeader: ServerID?
    /// When to tell all nodes again that this one leads.
    var nextTelling = Instant.distantFuture
    package internal(set) var phase = Phase.recovering(.snapshot)
    var random: PRNG

    var snapshots: SnapshotStore
    package internal(set) var history: HistoryStore
    var log: LogJournal
    var runLog: RunJournal
    package internal(set) var raft: Raft
    package internal(set) var store = Store()
    var zones = ZoneTable()
    package internal(set) var clusterTime: ClusterTime
    var clocks = VoterClocks()
    var checkpoints = Checkpoints()
    var scheduler = Scheduler()
    var dispatcher: Dispatcher
    var processors: ProcessorPipelines
    var sender: NotificationSender
    var notifications: NotificationSettings
    /// What this leader has proposed to tell people by.
    var notifyingProposed: NotificationChannels?
    package internal(set) var runner: Runner
    var api: API
    var watchers = OutputWatchers()
    var mirrors = OutputMirrors()

    /// This step's clocks.
    var now: Now
    /// This server leads and has applied everything of earlier terms.
    package internal(set) var isLeading = false
    /// Another server has led in this life.
    var hasFollowed = false
    /// Committed and not applied yet.
    var applyQueue = RingBuffer<Committed>()
    /// The largest stamp ever proposed: a clock that goes back must not stamp the past.
    var proposedStamp = WallTime.distantPast
    var edits = EditsOnTheirWay()
    /// Since when ticks have been due without a pause; nil when none is.
    var decidingSince: Instant?
    /// Whose proposal each uncommitted entry is.
    var proposals = SortedMap<LogIndex, ProposalID>()
    /// Edits that wait for a zone file being read, or for others on their way: until then nobody
    /// can tell which ticks they must bring along.
    var heldEdits: [(body: Command.Body, id: ProposalID?)] = []
    var intake = ReportIntake()
    /// Results of this server's own agent whose output found no room, to be told again.
    var heldBack = SortedMap<ExecutionKey, Bool>()
    /// Readers that wait for this server to know that it still leads.
    var readers = SortedMap<UInt64, LeaseReader>()
    var lastReader: UInt64 = 0
    /// Those of them that are clients' requests.
    var readersOfRequests = SortedMap<RequestID, UInt64>()
    /// Those that know it and wait for entries to be applied, in order.
    var confirmedReaders = RingBuffer<(index: LogIndex, id: UInt64)>()
    var forwarding = Forwarding()
    var awaiting = AwaitingRequests()
    var diskWatch = DiskWatch()
    var recovery = RecoveryState()
    var snapshotting = SnapshotState()
    var transfers: TransferState
    var stopping = StopState()
    package internal(set) var metrics = Metrics()
    /// When this life of the node began.
    let startedAt: Now
    /// When the node wants its next `deadline`.
    package private(set) var nextDeadline: Instant?

    /// Starts a node on what its data directory holds; reading it begins with the first effects.
    package init(_ config: Config, seed: Seed, at now: Now, into out: inout Outbox) {
        self.config = config
        members = ([Member(config, tags: config.tags)] + config.otherMembers)
            .sorted { $0.name < $1.name }
        self.now = now
        startedAt = now
        random = PRNG(seed: seed)
        let tunables = config.tunables
        snapshots = SnapshotStore(dataID: config.dataID, tunables: tunables.journal)
        dispatcher = Dispatcher(
            own: config.nodeName, incarnation: config.incarnation,
            window: tunables.dispatchWindow)
        processors = ProcessorPipelines(config)
        sender = NotificationSender(
            of: config.nodeName, attemptLimit: tunables.notificationAttempts)
        notifications = config.notifications
        history = HistoryStore(dataID: config.dataID, tunables: tunables.journal)
        log = LogJournal(dataID: config.dataID, tunables: tunables.journal)
        transfers = TransferState(tunables)
        runLog = RunJournal(dataID: config.dataID, tunables: tunables.journal)
        raft = Raft(
            id: config.dataID,
            configuration: config.isServer ? nil : .empty, tunables: tunables.raft,
            random: random.split(label: "raft"))
        clusterTime = ClusterTime(at: now)
        runner = Runner(
            tunables: tunables, dataID: config.dataID, incarnation: config.incarnation,
            offers: config.executors)
        runner.place = Self.place(of: Member(config, tags: config.tags))
        api = API(config: config)
        contact.leaderHeardAt = now.monotonic
        beginMembership(&out)
        beginRecovery(&out)
        scheduleWakeUp()
    }

    /// Takes one input to its end.
    /// - Parameter isFollowed: another input is there and comes next. What is to be written waits
    ///   for the last of them, so that one sync does for all. Not more than some dozens in a row.
    package mutating func step(
        _ input: Input, isFollowed: Bool = false, at now: Now, into out: inout Outbox
    ) {
        self.now = now
        if case .halted = phase { return }
        followVoters()
        let bumpedBefore = out.bumped.count
        defer { for mark in out.bumped[bumpedBefore...] { metrics.count(mark) } }
        if clusterTime.observe(now) {
            out.mark(.clockStepSuspended)
            out.log(
                .warning,
                "the wall clock jumped ahead by more than 60 s; no tick is decided until it has "
                    + "stood for 60 s")
        }
        route(input, &out)
        expireDeadlines(&out)
        settle(isFollowed: isFollowed, &out)
        scheduleWakeUp()
    }

    private mutating func route(_ input: Input, _ out: inout Outbox) {
        switch input {
        case .deadline: break
        case .request(let id, let request):
            requested(id, request, &out)
        case .requestAbandoned(let id): requestAbandoned(id, &out)
        case .drained(let id): requestDrained(id, &out)
        case .peer(let id, let bytes): received(bytes, from: id, &out)
        case .packet(let source, let bytes):
            let monotonic = now.monotonic
            withMembership(&out) {
                $0.packet(from: source, bytes[...], at: monotonic, into: &$1)
            }
        case .exchange(let exchange, let end): ended(exchange, end, &out)
        case .exchangeRequest(let request, let source, let bytes):
            asked(request, bytes, from: source, &out)
        case .keysChanged(let request, let response):
            withMembership(&out) { $0.keysAnswered(request, response, into: &$1) }
        case .resolved(let host, let addresses, let problem):
            resolved(host, addresses, problem, &out)
        case .storage(let ticket, let result): stored(ticket, result, &out)
        case .run(let id, let event):
            let now = now
            withRunner(&out) { $0.event(id, event, at: now, into: &$1) }
            if case .output = event, let key = runner.key(of: id) { runPrinted(key, &out) }
        case .secrets(let id, let answer): secretsRead(id, answer, &out)
        case .call(let id, let event):
            let now = now
            withRunner(&out) { $0.event(id, event, at: now, into: &$1) }
            if event.isOutput, let key = runner.key(of: id) { runPrinted(key, &out) }
        case .processed(let run, let outcome): processed(run, outcome, &out)
        case .zone(let name, let bytes): zoneLoaded(name, bytes, &out)
        case .disk(let space): take(space, &out)
        case .control(let control): take(control, &out)
        }
    }

    private mutating func stored(
        _ ticket: StorageTicket, _ result: StorageResult, _ out: inout Outbox
    ) {
        let monotonic = now.monotonic
        metrics.performed(ticket, result, at: monotonic)
        switch ticket.owner {
        case .journal:
            withLog(&out) { $0.handle(result, for: ticket, at: monotonic, into: &$1, actions: &$2) }
        case .snapshots:
            withSnapshots(&out) { $0.handle(result, for: ticket, into: &$1, actions: &$2) }
        case .history:
            withHistory(&out) {
                $0.handle(result, for: ticket, at: monotonic, into: &$1, actions: &$2)
            }
        case .runs:
            withRunLog(&out) {
                $0.handle(result, for: ticket, at: monotonic, into: &$1, actions: &$2)
            }
        case .api: withAPI(&out) { $0.storage(ticket, result, $1, into: &$2) }
        case .processors: processorsRead(ticket, result, &out)
        case .transfer: withSender(&out) { $0.stored(ticket, result, $1, into: &$2) }
        }
    }

    /// Ends waits whose time has come.
    private mutating func expireDeadlines(_ out: inout Outbox) {
        let monotonic = now.monotonic
        func isDue(_ deadline: Instant?) -> Bool { deadline.map { $0 <= monotonic } ?? false }
        if isDue(log.nextDeadline) {
            withLog(&out) { log, requests, _ in
                log.deadline(at: monotonic, into: &requests)
            }
        }
        if isDue(runLog.nextDeadline) {
            withRunLog(&out) { log, requests, _ in
                log.deadline(at: monotonic, into: &requests)
            }
        }
        if isDue(history.nextDeadline) {
            withHistory(&out) { history, requests, _ in
                history.deadline(at: monotonic, into: &requests)
            }
        }
        if isDue(runner.nextDeadline) {
            let now = now
            withRunner(&out) { $0.deadline(at: now, into: &$1) }
        }
        if isDue(dispatcher.nextDeadline) {
            let store = store
            withDispatcher(&out) { $0.deadline(store, at: monotonic, into: &$1) }
        }
        if isDue(processors.nextDeadline) {
            withProcessors(&out) { $0.deadline(at: $1, into: &$2) }
        }
        if isDue(sender.nextDeadline) { withNotifications(&out) { $0.deadline(at: $1, into: &$2) } }
        if isDue(raft.nextDeadline) {
            withRaft(&out) { $0.deadline(at: monotonic, into: &$1) }
        }
        expireTransfers(&out)
        if isDue(membership?.nextDeadline) {
            withMembership(&out) { $0.deadline(at: monotonic, into: &$1) }
        }
        askClocks(&out)
        if isLeading, isDue(nextTelling) { tellLeadership(&out) }
        continueJoining(&out)
        continueFounding(&out)
        arrangeSeats(&out)
        continueLeaving(&out)
        rememberNodes(&out)
        keepInTouch(&out)
        reportStampAhead(&out)
        endForwards(&out)
        lookAfterMirrors(&out)
        if isDue(api.nextDeadline) { withAPI(&out) { $0.deadline($1, into: &$2) } }
    }

    /// What follows from the input as a whole, in fixed order.
    private mutating func settle(isFollowed: Bool, _ out: inout Outbox) {
        applyCommitted(&out)
        guard !isHalted else { return }
        noticeLeader(&out)
        watchLeader(&out)
        continueAwaiting(&out)
        answerSeats(&out)
        serveReaders(&out)
        continueSlices(&out)
        decideDueTicks(&out)
        continueTransfers(&out)
        guard !isFollowed else { return }
        proposeReports(&out)
        continueSnapshot(&out)
        askForHeldBack(&out)
        restrainLeader(&out)
        rewriteRunLog(&out)
        flush(&out)
        continueStopping(&out)
    }

    private mutating func flush(_ out: inout Outbox) {
        guard !isHalted else { return }
        let monotonic = now.monotonic
        withRaft(&out) { $0.flush(at: monotonic, into: &$1) }
        var requests: [StorageRequest] = []
        log.flush(into: &requests)
        runLog.flush(into: &requests)
        history.isHeld = api.isBackingUp
        history.flush(into: &requests)
        emit(requests, &out)
    }

    // MARK: Time

    // Asked in each step, where a getter would be handed a copy of the whole node.

    /// Cluster time now.
    package var time: WallTime {
        @inline(__always) get { clusterTime.time(at: now) }
    }

    /// The stamp of a command proposed now.
    var stamp: WallTime {
        @inline(__always) get {
            if rewindIndex > store.appliedIndex { return max(time, proposedStamp) }
            return max(time, store.cluster.lastStamp, proposedStamp)
        }
    }

    private mutating func scheduleWakeUp() {
        guard !isHalted, phase != .exited else {
            nextDeadline = nil
            return
        }
        var soonest = Instant.distantFuture
        func consider(_ deadline: Instant?) {
            if let deadline, deadline < soonest { soonest = deadline }
        }
        consider(log.nextDeadline)
        consider(runLog.nextDeadline)
        consider(history.nextDeadline)
        consider(runner.nextDeadline)
        consider(dispatcher.nextDeadline)
        consider(processors.nextDeadline)
        consider(sender.nextDeadline)
        consider(api.nextDeadline)
        consider(mirrors.nextLook)
        consider(raft.nextDeadline)
        consider(membership?.nextDeadline)
        consider(joining.nextAttempt)
        consider(leaving.nextLook)
        consider(nextRemembering())
        consider(nextTouch())
        if phase == .running {
            if !raft.isFounded { consider(founding.nextDeadline) }
            if isLeading, membership != nil { consider(seats.nextLook) }
        }
        if isLeading, members.count > 1 { consider(nextTelling) }
        consider(leaderWatch.nextReport)
        if raft.role == .leader, !raft.isAlone { consider(clocks.nextAsk) }
        consider(forwarding.nextDeadline)
        consider(awaiting.nextDeadline)
        consider(transfers.nextDeadline)
        consider(stopping.nextDeadline)
        consider(nextSchedulingDeadline())
        nextDeadline = soonest == .distantFuture ? nil : soonest
    }

    /// When ticks or slices of long work are due. A far tick does not let the node sleep through a
    /// step of the wall clock: it looks again within a second.
    private func nextSchedulingDeadline() -> Instant? {
        if !applyQueue.isEmpty { return now.monotonic }
        guard isLeading else { return nil }
        if !scheduler.isComplete || dispatcher.wantsStep || processors.wantsStep(store)
            || sender.wantsStep
        {
            return now.monotonic
        }
        guard canDecide || clusterTime.isGuarding else { return nil }
        guard let due = scheduler.nextDue else { return nil }
        let cap = Duration.seconds(1)
        if clusterTime.isGuarding { return now.monotonic + cap }
        return now.monotonic + min(max(due - time, .zero), cap)
    }

    // MARK: Views

    package var isHalted: Bool {
        if case .halted = phase { return true }
        return false
    }

    /// Requests are served: what `GET /ready` answers.
    package var isReady: Bool {
        switch role {
        case .leader, .follower(leader: .some): true
        case .follower(leader: .none), .recovering, .stopping, .halted: false
        }
    }

    mutating func emit(_ requests: [StorageRequest], _ out: inout Outbox) {
        for request in requests {
            metrics.asked(request, at: now.monotonic)
            if case .remove(let file) = request.operation {
                if file.directory == .log, file.name.hasSuffix(".log") {
                    out.mark(.logSegmentRemoved)
                } else if file.directory == .history, file.name.hasSuffix(".out") {
                    out.mark(.historySegmentRemoved)
                }
            }
            out.emit(.store(request.ticket, request.operation))
        }
    }

    mutating func halt(_ reason: String, _ out: inout Outbox) {
        guard !isHalted else { return }
        phase = .halted(reason)
        out.emit(.halt(reason))
    }

    /// Checks what must hold between steps. O(1) but for the sub-machines' own checks.
    package func checkInvariants() {
        raft.checkInvariants()
        invariant(store.appliedIndex <= raft.commitIndex, "only what is committed is applied")
        invariant(
            runner.runningCount <= max(config.tunables.maxRunning, runner.heldCount),
            "no more runs than there is room for")
    }
}
