// What a node counts of itself: whole numbers that only grow, and how long things took. Counting
// takes the same few steps however large the node's state is, and decides nothing.

package struct Metrics: Sendable {
    /// Rare situations, by their raw values.
    package private(set) var events = [UInt64](repeating: 0, count: Mark.allCases.count)
    /// Decisions that went into the ledger.
    package private(set) var ran: UInt64 = 0
    package private(set) var skipped = [UInt64](repeating: 0, count: SkipReason.allCases.count)
    package private(set) var missed = [UInt64](repeating: 0, count: MissReason.allCases.count)
    /// Executions that ended, by how.
    package private(set) var succeeded: UInt64 = 0
    package private(set) var failed: UInt64 = 0
    package private(set) var killed: UInt64 = 0
    package private(set) var lost: UInt64 = 0
    /// From a tick to the decision to run it.
    package private(set) var decisionLateness = Histogram(bounds: Histogram.lateness)
    /// From when an execution was due to its start, for first attempts.
    package private(set) var startLateness = Histogram(bounds: Histogram.lateness)
    package private(set) var entriesCommitted: UInt64 = 0
    /// From the proposal of an entry to its commit.
    package private(set) var commitTime = Histogram(bounds: Histogram.storage)
    /// How long syncs of files took, by the directory's raw value.
    package private(set) var syncTime = [Histogram](
        repeating: Histogram(bounds: Histogram.storage), count: StorageDirectory.allCases.count)
    /// What people were told, and what they were not after all, by the place of the channel in
    /// `NotificationChannels.each`.
    package private(set) var notified = NotificationChannels.each.map { _ in UInt64(0) }
    package private(set) var notifyingGivenUp = NotificationChannels.each.map { _ in UInt64(0) }
    package private(set) var storageFailures: UInt64 = 0
    /// Answers by the first digit of their status.
    package private(set) var answers = [UInt64](repeating: 0, count: 6)

    /// Entries that are proposed and not committed, oldest first.
    private var proposed = RingBuffer<(index: LogIndex, at: Instant)>()
    /// Syncs under way: as many as there are files being written.
    private var syncs: [(ticket: StorageTicket, directory: StorageDirectory, at: Instant)] = []

    package init() {}

    package mutating func count(_ mark: Mark) { events[Int(mark.rawValue)] += 1 }

    package mutating func answered(_ status: Int) { answers[min(max(status / 100, 0), 5)] += 1 }

    // MARK: Ledger and executions

    /// - Parameter tick: when it was due; nil for what no tick asked for.
    package mutating func decided(_ outcome: Outcome, tick: WallTime?, at stamp: WallTime) {
        switch outcome {
        case .ran:
            ran += 1
            if let tick { decisionLateness.observe(stamp - tick) }
        case .skipped(let reason): skipped[Int(reason.rawValue)] += 1
        case .missed(let reason): missed[Int(reason.rawValue)] += 1
        }
    }

    package mutating func started(dueAt due: WallTime, at started: WallTime) {
        startLateness.observe(started - due)
    }

    package mutating func ended(_ state: Execution.State) {
        switch state {
        case .success: succeeded += 1
        case .failed: failed += 1
        case .killed: killed += 1
        case .lost: lost += 1
        case .pending, .running: break
        }
    }

    package mutating func settled(
        delivered: NotificationChannels, givenUp: NotificationChannels
    ) {
        for (place, channel) in NotificationChannels.each.enumerated() {
            if delivered.contains(channel) { notified[place] += 1 }
            if givenUp.contains(channel) { notifyingGivenUp[place] += 1 }
        }
    }

    // MARK: Log and disk

    package mutating func proposed(_ index: LogIndex, at now: Instant) {
        proposed.append((index, now))
    }

    package mutating func committed(_ index: LogIndex, at now: Instant) {
        entriesCommitted += 1
        while let first = proposed.first, first.index <= index {
            _ = proposed.popFirst()
            if first.index == index { commitTime.observe(now - first.at) }
        }
    }

    package mutating func asked(_ request: StorageRequest, at now: Instant) {
        guard case .sync(let file) = request.operation else { return }
        syncs.append((request.ticket, file.directory, now))
    }

    package mutating func performed(
        _ ticket: StorageTicket, _ result: StorageResult, at now: Instant
    ) {
        if case .failed = result { storageFailures += 1 }
        guard let index = syncs.firstIndex(where: { $0.ticket == ticket }) else { return }
        let sync = syncs.remove(at: index)
        syncTime[Int(sync.directory.rawValue)].observe(now - sync.at)
    }
}

/// What a node is at one moment.
package struct Gauges: Sendable {
    package var startedAt = WallTime.distantPast
    package var uptime = Duration.zero
    package var isLeading = false
    package var term: Term = 0
    package var commitIndex: LogIndex = 0
    package var appliedIndex: LogIndex = 0
    package var jobs = 0
    package var activeGroups = 0
    package var storedExecutions = 0
    /// Executions and ticks of which somebody is still to be told.
    package var notices = 0
    /// Of this node: commands that run, that wait for a place, and executions not settled.
    package var running = 0
    package var waiting = 0
    package var held = 0
    package var proposalsInFlight = 0
    package var heldEdits = 0
    package var applyQueue = 0
    /// Bytes on the disk by directory; none for what is not known.
    package var disk: [(directory: StorageDirectory, bytes: UInt64)] = []

    package init() {}
}
