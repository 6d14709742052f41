// Tells people what they are owed to hear. Leader only, and holds no truth: the store knows what is
// owed, so a leader that follows another one tells what that one did not confirm.
//
//   owed in the store ─► queued ─► reading the output ─► sending ─► settled ─► confirmed in the log
//                          ▲                                │
//                          └── waiting, longer each time ◄──┘ failed
//
// Everything is sent at least once: an answer that is lost, or a leader that dies before its word
// is in the log, has it sent again. Each channel has places of its own, so that a receiver that
// hangs holds up nobody else.

/// Sends notifications, a bounded number at a time, and tries again what fails.
package struct NotificationSender {
    typealias Action = ProcessorPipelines.Action

    /// One thing to be told by one channel.
    private struct Item: Hashable, Comparable {
        var key: ExecutionKey
        /// The place in `NotificationChannels.each`.
        var channel: Int

        static func < (a: Item, b: Item) -> Bool {
            (a.key, a.channel) < (b.key, b.channel)
        }
    }

    private enum Phase {
        case queued
        /// Something of the same execution, or of an attempt before it, goes first.
        case behind
        case waiting(until: Instant)
        case reading(OutputFetch, ticket: UInt64)
        case sending(ProcessorRunID, until: Instant)
        case settled
    }

    private struct Work {
        var phase: Phase
        var attempts: UInt32 = 0
        /// What must not be told before this, and waits for it.
        var follower: Item?
        /// What has to be said although it was delivered.
        var note: String?
    }

    private struct Wait: Hashable, Comparable {
        var until: Instant
        var item: Item

        static func < (a: Wait, b: Wait) -> Bool { (a.until, a.item) < (b.until, b.item) }
    }

    /// By one channel at the same time.
    static let places = 8
    /// Notices that are loaded in one step after an election.
    private static let slice = 256
    /// What is settled goes into the log so many at a time.
    private static let batch = 64
    /// What is sent has its own time-out; this much later it is given up without having said so.
    private static let slack = Duration.seconds(1)
    private static let longestDelay = Duration.minutes(5)
    /// Where the numbers of runs and tickets begin: those of processors stay far below.
    private static let firstNumber: UInt64 = 1 << 62

    private let node: NodeName
    private let attemptLimit: UInt32
    private var items = SortedMap<Item, Work>()
    /// By channel; may name what is no longer queued.
    private var queues = NotificationChannels.each.map { _ in RingBuffer<ExecutionKey>() }
    /// By channel.
    private var busy = NotificationChannels.each.map { _ in 0 }
    private var waits = SortedMap<Wait, Bool>()
    private var runs = SortedMap<ProcessorRunID, Item>()
    private var reads = SortedMap<UInt64, Item>()
    private var lastNumber = Self.firstNumber
    private var finished: [Notified] = []
    /// What the store held at the election is loaded from behind here.
    private var place: ExecutionKey?
    private var isLoaded = true

    /// - Parameters:
    ///   - node: this server.
    ///   - attemptLimit: after so many attempts somebody is not told.
    init(of node: NodeName, attemptLimit: Int) {
        self.node = node
        self.attemptLimit = UInt32(clamping: attemptLimit)
    }

    /// There is something for `proceed` to do at once. O(1).
    var wantsStep: Bool {
        !isLoaded || queues.indices.contains { !queues[$0].isEmpty && busy[$0] < Self.places }
    }

    /// When something is tried again or given up. O(what is sent at once).
    var nextDeadline: Instant? {
        var soonest = waits.first?.key.until
        for (_, item) in runs {
            guard case .sending(_, let until) = items[item]?.phase else { continue }
            soonest = min(soonest ?? until, until)
        }
        return soonest
    }

    /// Whether a run, or a ticket, is one of a notification.
    package static func owns(_ run: ProcessorRunID) -> Bool { run > firstNumber }

    // MARK: Leading

    /// This server leads from here on: what is owed is loaded slice by slice.
    mutating func gainLeadership() {
        isLoaded = false
        place = nil
    }

    /// Another server sends from here on.
    mutating func loseLeadership(into actions: inout [Action]) {
        for (run, _) in runs { actions.append(.abandon(run)) }
        let number = lastNumber
        self = NotificationSender(of: node, attemptLimit: Int(attemptLimit))
        lastNumber = number
    }

    /// Something came to be owed.
    mutating func owed(_ notice: Notice, into actions: inout [Action]) {
        for channel in NotificationChannels.each.indices
        where notice.channels.contains(NotificationChannels.each[channel]) {
            let item = Item(key: notice.key, channel: channel)
            guard items[item] == nil else { continue }
            guard let before = Self.before(item, notice), let work = items[before] else {
                enqueue(item)
                continue
            }
            items[item] = Work(phase: .behind)
            items.update(before) { $0.follower = item }
            // A start that can't be told is not told after the end.
            if case .waiting = work.phase { giveUp(before, Self.overtaken, into: &actions) }
        }
    }

    /// The log knows that so much of it is over.
    mutating func settled(
        _ key: ExecutionKey, _ channels: NotificationChannels, into actions: inout [Action]
    ) {
        for channel in NotificationChannels.each.indices
        where channels.contains(NotificationChannels.each[channel]) {
            let item = Item(key: key, channel: channel)
            // What an earlier term has sent may be confirmed while it is sent once more.
            let work = items.remove(item)
            if case .sending(let run, _) = work?.phase, runs.remove(run) != nil {
                busy[channel] -= 1
                actions.append(.abandon(run))
            }
            release(work?.follower)
        }
    }

    private mutating func release(_ follower: Item?) {
        guard let follower, case .behind = items[follower]?.phase else { return }
        enqueue(follower)
    }

    // MARK: Order

    private static let overtaken = "the execution was over before"

    /// What goes first: who hears of a start after the end waits for another. Cronitor was told of
    /// the start of the first attempt.
    private static func before(_ item: Item, _ notice: Notice) -> Item? {
        switch NotificationChannels.each[item.channel] {
        case .webhook: return Item(key: item.key, channel: 0)
        case .cronitorEnd:
            var key = item.key
            key.number = notice.series.number ?? key.number
            return Item(key: key, channel: 1)
        default: return nil
        }
    }

    private mutating func enqueue(_ item: Item) {
        if items[item] == nil { items[item] = Work(phase: .queued) }
        items.update(item) { $0.phase = .queued }
        queues[item.channel].append(item.key)
    }

    // MARK: Sending

    /// Loads and begins, one slice.
    mutating func proceed(
        _ store: Store, _ history: HistoryStore, _ settings: NotificationSettings,
        at now: Instant, into actions: inout [Action]
    ) {
        if !isLoaded {
            let found = store.notices(after: place, limit: Self.slice)
            for notice in found { owed(notice, into: &actions) }
            place = found.last?.key ?? place
            isLoaded = found.count < Self.slice
        }
        for channel in queues.indices where busy[channel] < Self.places {
            guard let key = queues[channel].popFirst() else { continue }
            let item = Item(key: key, channel: channel)
            guard case .queued = items[item]?.phase else { continue }
            guard let notice = store.notice(key),
                notice.channels.contains(NotificationChannels.each[channel])
            else {
                items.remove(item)
                continue
            }
            begin(item, notice, store, history, settings, at: now, into: &actions)
        }
    }

    private mutating func begin(
        _ item: Item, _ notice: Notice, _ store: Store, _ history: HistoryStore,
        _ settings: NotificationSettings, at now: Instant, into actions: inout [Action]
    ) {
        let execution = notice.execution
        let channel = NotificationChannels.each[item.channel]
        busy[item.channel] += 1
        guard channel == .mail || channel == .webhook, execution.outputChunks > 0 else {
            return send(item, [], store, settings, at: now, into: &actions)
        }
        let fetch = OutputFetch(
            execution.historyKey(item.key.generation), hasOutput: true, limit: nil, history)
        read(fetch, item, store, settings, at: now, into: &actions)
    }

    private mutating func read(
        _ fetch: OutputFetch, _ item: Item, _ store: Store, _ settings: NotificationSettings,
        at now: Instant, into actions: inout [Action]
    ) {
        var fetch = fetch
        switch fetch.next() {
        case .read(let file, let offset, let length):
            lastNumber += 1
            reads[lastNumber] = item
            items.update(item) { $0.phase = .reading(fetch, ticket: lastNumber) }
            let ticket = StorageTicket(owner: .processors, number: lastNumber)
            actions.append(.read(ticket, .read(file, offset: offset, length: length)))
        case .done(let shown):
            send(item, shown.bytes, store, settings, at: now, into: &actions)
        }
    }

    /// Takes the answer to a read, nil if it failed.
    mutating func stored(
        _ ticket: StorageTicket, _ bytes: [UInt8]?, _ store: Store, _ history: HistoryStore,
        _ settings: NotificationSettings, at now: Instant, into actions: inout [Action]
    ) {
        guard let item = reads.remove(ticket.number) else { return }
        guard case .reading(var fetch, ticket.number) = items[item]?.phase else {
            busy[item.channel] -= 1
            return
        }
        fetch.take(bytes, history)
        read(fetch, item, store, settings, at: now, into: &actions)
    }

    /// Its place is taken.
    private mutating func send(
        _ item: Item, _ output: [UInt8], _ store: Store, _ settings: NotificationSettings,
        at now: Instant, into actions: inout [Action]
    ) {
        let channel = NotificationChannels.each[item.channel]
        guard let notice = store.notice(item.key), notice.channels.contains(channel) else {
            busy[item.channel] -= 1
            items.remove(item)
            return
        }
        let task: (task: ProcessorTask, note: String?)
        do throws(NotificationSettings.Refusal) {
            task = try settings.task(channel, notice, by: node)
        } catch {
            busy[item.channel] -= 1
            return giveUp(item, error.reason, into: &actions)
        }
        lastNumber += 1
        runs[lastNumber] = item
        let until = now + task.task.timeout + Self.slack
        items.update(item) { work in
            work.attempts += 1
            work.note = task.note
            work.phase = .sending(lastNumber, until: until)
        }
        var execution = ProcessedExecution(notice.execution, of: notice.job, reportedBy: node)
        execution.siblings = Self.siblings(notice, store)
        actions.append(
            .process(
                ProcessorRun(
                    id: lastNumber, task: task.task, execution: execution, output: output)))
    }

    private static func siblings(
        _ notice: Notice, _ store: Store
    ) -> [ProcessedExecution.GroupExecution] {
        let group = store.group(notice.key.generation, notice.execution.group)
        let numbers = group?.targets.flatMap(\.attempts) ?? []
        return numbers.prefix(ProcessedExecution.mostSiblings).compactMap { number in
            let key = ExecutionKey(generation: notice.key.generation, number: number)
            return store.execution(key).map {
                ProcessedExecution.GroupExecution(
                    node: $0.node, startedAt: $0.startedAt, finishedAt: $0.finishedAt,
                    isSuccess: $0.state == .success)
            }
        }
    }

    // MARK: Answers

    /// A receiver has answered.
    mutating func processed(
        _ run: ProcessorRunID, _ outcome: ProcessorOutcome, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let item = runs.remove(run) else { return }
        busy[item.channel] -= 1
        switch outcome {
        case .failed(let reason): failed(item, reason, at: now, into: &actions)
        case .done:
            let note = items[item]?.note
            var news = Notified(
                key: item.key, delivered: NotificationChannels.each[item.channel])
            if let note { news.notes = [note] }
            settle(item, news)
        }
    }

    /// Gives up what is silent for too long, and queues what is to be tried again.
    mutating func deadline(at now: Instant, into actions: inout [Action]) {
        while let wait = waits.first?.key, wait.until <= now {
            waits.remove(wait)
            guard case .waiting(wait.until) = items[wait.item]?.phase else { continue }
            enqueue(wait.item)
        }
        for (run, item) in runs {
            guard case .sending(run, let until) = items[item]?.phase, until <= now else {
                continue
            }
            runs.remove(run)
            busy[item.channel] -= 1
            actions.append(.abandon(run))
            failed(item, "it did not answer in time", at: now, into: &actions)
        }
    }

    private mutating func failed(
        _ item: Item, _ reason: String, at now: Instant, into actions: inout [Action]
    ) {
        actions.append(.mark(.notificationFailed))
        let attempts = items[item]?.attempts ?? 0
        let isOvertaken = items[item]?.follower.map { items[$0] != nil } ?? false
        guard attempts < attemptLimit, !isOvertaken else {
            return giveUp(item, reason, into: &actions)
        }
        let doubled = Duration.seconds(1 << Int64(min(max(attempts, 1) - 1, 9)))
        let until = now + min(doubled, Self.longestDelay)
        items.update(item) { $0.phase = .waiting(until: until) }
        waits[Wait(until: until, item: item)] = true
        guard attempts == 1 else { return }
        actions.append(
            .log(
                LogRecord(
                    .info, "a notification failed and is tried again",
                    Self.fields(item) + [.init("error", ProcessorPipelines.cut(reason))])))
    }

    private mutating func giveUp(
        _ item: Item, _ reason: String, into actions: inout [Action]
    ) {
        let channel = NotificationChannels.each[item.channel]
        let attempts = items[item]?.attempts ?? 0
        let reason = ProcessorPipelines.cut(reason)
        actions.append(.mark(.notificationGivenUp))
        actions.append(
            .log(
                LogRecord(
                    .warning, "a notification is given up",
                    Self.fields(item)
                        + [.init("attempts", "\(attempts)"), .init("error", reason)])))
        settle(
            item,
            Notified(
                key: item.key, givenUp: channel,
                notes: ["notification by \(channel.name) given up: \(reason)"]))
    }

    private static func fields(_ item: Item) -> [LogRecord.Field] {
        [
            .init("execution", "\(item.key.number)"),
            .init("channel", NotificationChannels.each[item.channel].name),
        ]
    }

    private mutating func settle(_ item: Item, _ news: Notified) {
        items.update(item) { $0.phase = .settled }
        finished.append(news)
        release(items[item]?.follower)
    }

    /// What is ready to be proposed, in pieces that fit an entry of the log; taken once.
    mutating func takeFinished() -> [[Notified]] {
        guard !finished.isEmpty else { return [] }
        defer { finished = [] }
        return stride(from: 0, to: finished.count, by: Self.batch).map {
            Array(finished[$0..<min($0 + Self.batch, finished.count)])
        }
    }
}
