/// What one step wants done: effects in order, and marks for coverage and metrics.
///
/// The driver clears and reuses one outbox, so a step allocates nothing for the list itself.
package struct Outbox: Sendable {
    package var effects: [Effect] = []
    /// Bit set of `Mark`s bumped since the last `clear`.
    package private(set) var marks: UInt64 = 0
    /// The same in order, each as often as it was bumped.
    private(set) var bumped: [Mark] = []

    package init() {}

    package mutating func clear() {
        effects.removeAll(keepingCapacity: true)
        marks = 0
        bumped.removeAll(keepingCapacity: true)
    }

    mutating func emit(_ effect: Effect) { effects.append(effect) }

    mutating func log(
        _ level: LogRecord.Level, _ message: String, _ fields: [LogRecord.Field] = []
    ) {
        effects.append(.log(LogRecord(level, message, fields)))
    }

    mutating func mark(_ mark: Mark) {
        marks |= 1 << UInt64(mark.rawValue)
        bumped.append(mark)
    }
}

/// Rare situations that a batch of simulations must reach ("sometimes" assertions), and that
/// production counts. Bumped where the branch for the situation is.
package enum Mark: UInt8, CaseIterable, Sendable {
    case tornTailCut
    case snapshotTaken
    case snapshotRestored
    case lateTickRan
    case tickMissedWindow
    case tickMissedSuperseded
    case tickMissedPolicy
    case tickMissedZone
    case overlapSkipped
    case replaceKilledWaiting
    case replaceWaited
    case noTarget
    case pausedSkipped
    case childLaunched
    case retryScheduled
    case retryCancelledByLateResult
    case runAdopted
    case runVanished
    case runRefused
    case runTimedOut
    case runKilled
    case leaseExpired
    case outputTruncated
    case outputChunked
    case clockStepSuspended
    case stampHeldBack
    case idempotentRunRepeated
    case preconditionFailed
    case ephemeralDeleted
    case editCarriedTicks
    case resultForDeletedJob
    case historySegmentRemoved
    case logSegmentRemoved
    case requestRefusedBusy
    case responseStreamed
    case runQueued
    case resultHeldBack
    case outputDropped
    case diskLow
    case requestForwarded
    /// A request was kept until there is a leader that takes it.
    case requestAwaitsLeader
    /// A follower keeps its acknowledgements to itself until its disk has caught up.
    case leaderRestrained
    case agentUnreachable
    case orderTooOld
    case leaseAwaited
    case reportPassedOn
    /// A piece of an output came that is printed elsewhere and read here.
    case outputMirrored
    case stateDiverged
    /// A snapshot of the leader took the place of log and state.
    case snapshotInstalled
    /// Half a snapshot of the leader was given up.
    case transferDropped
    case processorFailed
    case processorTimedOut
    /// A processor turned a success into a failure.
    case successOverruled
    /// A receiver of a notification did not take it.
    case notificationFailed
    /// Somebody is not told of an execution.
    case notificationGivenUp
    /// A request wants what some server's program does not know yet.
    case featureAwaited
}
