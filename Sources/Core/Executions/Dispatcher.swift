// What follows from committed decisions: run messages, retries, children, leases. Leader only, and
// holds no truth: all of it can be built again from the store.

/// Carries out on agents what the log has granted.
package struct Dispatcher {
    enum Action {
        case send(NodeName, AgentMessage)
        /// Reported on behalf of an agent that can't.
        case report(Report)
        /// A retry's time has come; its node is still to be chosen.
        case retry(PendingRetry)
        case decideChild(ChildTrigger)
        case mark(Mark)
    }

    /// An execution that has not ended.
    struct Outstanding {
        var job: JobName
        var node: NodeName
        var sentAt: Instant
        /// When it was last ordered.
        var orderedAt: Instant
        var isAccepted: Bool
        /// An earlier leader may have sent it, and the agent may have begun long since.
        var mayBeOlder: Bool
        /// Nobody may start another while it could run.
        var isFenced: Bool
        var isKillRequested: Bool
        /// Until it has started it takes a place in its agent's window.
        var isStarted: Bool
        var lostAfter: Duration
        /// When its agent was last heard, if it has another journal now. Whoever may still run it
        /// is not heard any more.
        var orphanedAt: Instant?

        /// Its agent has been heard and has not taken it for so long that no more is asked of it.
        func isWithdrawn(at now: Instant) -> Bool { !isAccepted && now - sentAt >= lostAfter }
    }

    /// Where a group stands in the walk over unfinished work.
    private struct Place {
        var generation: Generation
        var group: GroupID
    }

    /// An execution that waits for a place in its agent's window.
    struct Waiting: Comparable {
        /// Numbers grow with time: who was decided first is sent first.
        var key: ExecutionKey
        var job: JobName
        /// Since when, for this leader.
        var since: Instant
        var mayBeOlder: Bool

        static func < (a: Self, b: Self) -> Bool { a.key.number < b.key.number }
    }

    struct WaitingRetry: Comparable {
        var due: Instant
        var retry: PendingRetry

        static func < (a: Self, b: Self) -> Bool {
            (a.due, a.retry.group, a.retry.target) < (b.due, b.retry.group, b.retry.target)
        }
    }

    /// Sent, not accepted, and nothing heard of the agent for so long: lost, since nobody can say
    /// whether it started, and it does not start any more (`Runner.orderLife`). What is fenced
    /// waits for the end of its lease, because it may run until then.
    static let acceptTimeout = Duration.seconds(60)
    /// How often an agent that has accepted a run is asked whether it has begun.
    static let resendTime = Duration.seconds(30)
    /// An agent that is silent for so long is sent nothing until it is heard again.
    static let contactLife = Duration.seconds(15)
    /// How often leases and unanswered messages are looked at.
    static let checkInterval = Duration.seconds(5)
    /// How many groups one step takes up.
    static let sliceSize = 1_000
    /// How many executions that had to wait one step sends; each takes tens of microseconds.
    static let sendSize = 100

    /// How many executions may be with one agent without having started. Of the rest only the keys
    /// are kept until there is room.
    private let window: Int
    var outstanding = SortedMap<ExecutionKey, Outstanding>()
    /// When each agent was last heard.
    private(set) var heardAt = SortedMap<NodeName, Instant>()
    /// The last heartbeat of each agent that was heard lately.
    var contacts = SortedMap<NodeName, Heartbeat>()
    /// The agent of this very node, which needs no heartbeat to be heard, and which life it has.
    let own: (name: NodeName, incarnation: UInt64)
    var retries = MinHeap<WaitingRetry>()
    var nextCheck = Instant.distantFuture
    /// How many executions each agent holds that have not started.
    private var unstarted = SortedMap<NodeName, Int>()
    /// Executions that found their agent's window full, by agent, never none of one. Some may have
    /// ended since.
    var waiting = SortedMap<NodeName, MinHeap<Waiting>>()
    /// Sent, and its answer or its start not heard of: to be sent again.
    var unanswered: [Waiting] = []
    /// Where taking up the store's unfinished work goes on; nil when it is done.
    private var takeOver: TakeOver?

    private enum TakeOver {
        case children(after: Int64)
        case retries(after: PendingRetry?)
        case orphans(after: ExecutionKey?)
        case groups(after: Place?)
    }

    /// There is something for `proceed` to do at once.
    var wantsStep: Bool {
        takeOver != nil || !unanswered.isEmpty || waiting.contains { hasRoom($0.key) }
    }

    /// Whether the agent can be sent something now.
    private func hasRoom(_ node: NodeName) -> Bool {
        (unstarted[node] ?? 0) < window && hasContact(node)
    }

    /// Executions that have not ended.
    package var outstandingCount: Int { outstanding.count }

    var nextDeadline: Instant? {
        guard let retry = retries.first?.due else {
            return nextCheck == .distantFuture ? nil : nextCheck
        }
        return min(retry, nextCheck)
    }

    init(own: NodeName, incarnation: UInt64, window: Int = Tunables().dispatchWindow) {
        self.own = (own, incarnation)
        self.window = window
    }

    // MARK: Leadership

    mutating func gainLeadership(at now: Instant) {
        loseLeadership()
        takeOver = .children(after: .min)
    }

    mutating func loseLeadership() {
        self = Dispatcher(own: own.name, incarnation: own.incarnation, window: window)
    }

    /// Takes up what an earlier leader left unfinished and then sends what waits, one slice.
    mutating func proceed(
        _ store: Store, stamp: WallTime, at now: Instant, into actions: inout [Action]
    ) {
        switch takeOver {
        case nil:
            sendAgain(store, at: now, into: &actions)
            sendWaiting(store, at: now, into: &actions)
        case .children(let place):
            let page = store.childTriggers(after: place, limit: Self.sliceSize)
            for trigger in page { actions.append(.decideChild(trigger)) }
            takeOver = page.last.map { .children(after: $0.number) } ?? .retries(after: nil)
        case .retries(let place):
            let page = store.retries(
                after: place, dueUpTo: .distantFuture, limit: Self.sliceSize)
            for retry in page { scheduled(retry, stamp: stamp, at: now) }
            takeOver = page.last.map { .retries(after: $0) } ?? .orphans(after: nil)
        case .orphans(let place):
            let page = store.orphans(after: place, limit: Self.sliceSize)
            for orphan in page { actions.append(.send(orphan.node, .kill(orphan.key))) }
            takeOver = page.last.map { .orphans(after: $0.key) } ?? .groups(after: nil)
        case .groups(let place):
            let page = store.activeGroups(
                after: place.map { ($0.generation, $0.group) }, limit: Self.sliceSize)
            for entry in page { takeUp(entry.job, entry.generation, entry.group, store, at: now) }
            takeOver = page.last.map {
                .groups(after: Place(generation: $0.generation, group: $0.group))
            }
        }
    }

    /// Lets the executions of a group wait: sent at once, in the order of the walk, they would
    /// overtake older ones of younger jobs.
    private mutating func takeUp(
        _ job: JobName, _ generation: Generation, _ group: GroupID, _ store: Store,
        at now: Instant
    ) {
        guard let group = store.group(generation, group) else { return }
        for number in group.targets.compactMap(\.attempts.last) {
            let key = ExecutionKey(generation: generation, number: number)
            guard let execution = store.execution(key), !execution.state.isEnded else { continue }
            wait(
                Waiting(key: key, job: job, since: now, mayBeOlder: true), for: execution.node)
        }
    }

    private mutating func wait(_ execution: Waiting, for node: NodeName) {
        if nextCheck == .distantFuture { nextCheck = execution.since + Self.checkInterval }
        guard waiting.update(node, { $0.insert(execution) }) == nil else { return }
        var heap = MinHeap<Waiting>()
        heap.insert(execution)
        waiting[node] = heap
    }

    /// Sends as much of what waits as there is room for.
    private mutating func sendWaiting(
        _ store: Store, at now: Instant, into actions: inout [Action]
    ) {
        var rest = Self.sendSize
        for node in waiting.map(\.key) {
            while rest > 0, hasRoom(node),
                let next = waiting.update(node, { $0.popFirst() }) ?? nil
            {
                rest -= 1
                send(next, store, at: now, into: &actions)
            }
            if waiting[node]?.isEmpty ?? false { waiting.remove(node) }
        }
    }

    /// The message or its answer may have been lost. However often it is said, an agent carries it
    /// out once.
    private mutating func sendAgain(
        _ store: Store, at now: Instant, into actions: inout [Action]
    ) {
        let slice = unanswered.suffix(Self.sendSize)
        unanswered.removeLast(slice.count)
        for next in slice {
            guard let known = outstanding[next.key], !known.isAccepted || !known.isStarted,
                !known.isKillRequested, known.orphanedAt == nil, !known.isWithdrawn(at: now),
                let document = store.document(next.job),
                let execution = store.execution(next.key), !execution.state.isEnded
            else { continue }
            let assignment = store.assignment(of: execution, document, next.key.generation)
            outstanding.update(next.key) { $0.orderedAt = now }
            order(assignment, at: now, into: &actions)
        }
    }

    private mutating func send(
        _ next: Waiting, _ store: Store, at now: Instant, into actions: inout [Action]
    ) {
        guard !outstanding.contains(next.key), let document = store.document(next.job),
            let execution = store.execution(next.key), !execution.state.isEnded
        else { return }
        let isOrphan = store.isOfFormerJournal(next.key, on: execution.node)
        guard !isOrphan || next.mayBeOlder else {
            let reason = "the agent lost its data directory before it was told"
            return give(up: next, reason, store, into: &actions)
        }
        send(
            store.assignment(of: execution, document, next.key.generation),
            mayBeOlder: next.mayBeOlder, isOrphan: isOrphan,
            isKillRequested: execution.isKillRequested, at: now, into: &actions)
    }

    // MARK: Events from the store

    mutating func launch(
        _ assignment: Assignment, at now: Instant, into actions: inout [Action]
    ) {
        guard !outstanding.contains(assignment.key) else { return }
        guard takeOver == nil, !waiting.contains(assignment.node), hasRoom(assignment.node)
        else {
            let waiting = Waiting(
                key: assignment.key, job: assignment.job, since: now, mayBeOlder: false)
            return wait(waiting, for: assignment.node)
        }
        send(assignment, mayBeOlder: false, at: now, into: &actions)
    }

    private mutating func send(
        _ assignment: Assignment, mayBeOlder: Bool, isOrphan: Bool = false,
        isKillRequested: Bool = false, at now: Instant, into actions: inout [Action]
    ) {
        unstarted[assignment.node] = (unstarted[assignment.node] ?? 0) + 1
        if nextCheck == .distantFuture { nextCheck = now + Self.checkInterval }
        outstanding[assignment.key] = Outstanding(
            job: assignment.job, node: assignment.node, sentAt: now, orderedAt: now,
            isAccepted: false,
            mayBeOlder: mayBeOlder, isFenced: assignment.isFenced,
            isKillRequested: isKillRequested, isStarted: false, lostAfter: assignment.lostAfter)
        if isOrphan { return orphan(assignment.key, at: now) }
        // Leases count from when the leader first depends on the agent.
        if heardAt[assignment.node] == nil { heardAt[assignment.node] = now }
        // Whoever never heard of it shall not begin it: the word to end it may be the one lost.
        if isKillRequested {
            killRequested(assignment.key, assignment.node, into: &actions)
        } else {
            order(assignment, at: now, into: &actions)
        }
    }

    private func order(
        _ assignment: Assignment, at now: Instant, into actions: inout [Action]
    ) {
        let node = assignment.node
        let heartbeat =
            node == own.name
            ? Heartbeat(incarnation: own.incarnation, sentAt: now) : contacts[node]
        guard let heartbeat else { return }
        actions.append(.send(node, .run(assignment, after: heartbeat)))
    }

    mutating func ended(_ key: ExecutionKey) {
        leaveWindow(key)
        outstanding.remove(key)
    }

    private mutating func leaveWindow(_ key: ExecutionKey) {
        guard var execution = outstanding[key], !execution.isStarted else { return }
        execution.isStarted = true
        outstanding[key] = execution
        unstarted[execution.node] = (unstarted[execution.node] ?? 1) - 1
    }

    mutating func killRequested(
        _ key: ExecutionKey, _ node: NodeName, into actions: inout [Action]
    ) {
        outstanding.update(key) { $0.isKillRequested = true }
        // Another journal would say that it was never begun.
        guard outstanding[key]?.orphanedAt == nil else { return }
        actions.append(.send(node, .kill(key)))
    }

    mutating func scheduled(_ retry: PendingRetry, stamp: WallTime, at now: Instant) {
        // No back-off is longer: a due time further ahead is of a clock that was.
        let wait = min(max(.zero, retry.due - stamp), RetryPolicy.longest)
        retries.insert(WaitingRetry(due: now + wait, retry: retry))
    }

    // MARK: Events from agents

    mutating func accepted(_ key: ExecutionKey) {
        guard var execution = outstanding[key] else { return }
        execution.isAccepted = true
        outstanding[key] = execution
    }

    mutating func started(_ key: ExecutionKey) { leaveWindow(key) }

    mutating func heard(
        _ heartbeat: Heartbeat, from node: NodeName, at now: Instant,
        into actions: inout [Action]
    ) {
        heardAt[node] = now
        if node != own.name {
            let before = contacts.updateValue(heartbeat, forKey: node)
            if before?.incarnation != heartbeat.incarnation { askAgain(node, at: now) }
        }
        if nextCheck == .distantFuture { nextCheck = now + Self.checkInterval }
        actions.append(.send(node, .heartbeatHeard(heartbeat)))
    }

    /// Another life of the agent, or one that was not heard for some time: what it has not started
    /// it may have forgotten, or hold back until it is wanted for certain.
    private mutating func askAgain(_ node: NodeName, at now: Instant) {
        for (key, execution) in outstanding
        where execution.node == node && !execution.isStarted && execution.orphanedAt == nil {
            unanswered.append(
                Waiting(
                    key: key, job: execution.job, since: now, mayBeOlder: execution.mayBeOlder))
        }
    }

    /// The agent came back with another data directory, which knows nothing of what the one before
    /// was told: nobody can say what became of that, and it must not be begun once more.
    mutating func journalReplaced(_ node: NodeName, at now: Instant) {
        for (key, execution) in outstanding where execution.node == node {
            orphan(key, at: heardAt[node] ?? now)
        }
    }

    private mutating func orphan(_ key: ExecutionKey, at instant: Instant) {
        leaveWindow(key)
        outstanding.update(key) { $0.orphanedAt = $0.orphanedAt ?? instant }
    }

    /// Membership has given the agent up, or it has gone.
    mutating func lostContact(_ node: NodeName) { contacts.remove(node) }

    /// The agent has left the cluster. What it was never told fails at once. If it has said
    /// good-bye, nothing runs there, and nothing of it is waited for; what it was told and had not
    /// taken, because the order crossed the good-bye, fails too, since it can't begin any more.
    mutating func departed(
        _ node: NodeName, saidGoodbye: Bool, _ store: Store, into actions: inout [Action]
    ) {
        contacts.remove(node)
        let reason = "the agent left the cluster"
        if saidGoodbye {
            for (key, execution) in outstanding
            where execution.node == node && execution.orphanedAt == nil {
                ended(key)
                let isInDoubt = execution.isAccepted || execution.mayBeOlder
                let untold = Waiting(
                    key: key, job: execution.job, since: execution.sentAt, mayBeOlder: isInDoubt)
                give(up: untold, reason, store, into: &actions)
            }
        }
        var kept: [Waiting] = []
        while let first = waiting.update(node, { $0.popFirst() }) ?? nil {
            guard saidGoodbye || !first.mayBeOlder else {
                kept.append(first)
                continue
            }
            give(up: first, reason, store, into: &actions)
        }
        waiting.remove(node)
        for execution in kept { wait(execution, for: node) }
    }
}
