/// The time that decides what is due: the monotonic clock plus an offset that follows the wall
/// clock, except through sudden jumps ahead.
///
/// A forward step of more than a minute is more often a broken clock than a true one, and a tick
/// that ran a year early can't be taken back. So it must stand for a minute before it is believed;
/// until then nothing is decided, and stamps go on from the old offset.
package struct ClusterTime: Sendable {
    /// Forward steps above this are guarded.
    static let stepLimit = Duration.seconds(60)
    /// How long a step must stand.
    static let standTime = Duration.seconds(60)

    /// What most servers' wall clocks show minus what this one's does; only a leader asks.
    package var shift = Duration.zero
    /// Wall clock minus monotonic clock, as believed.
    private var offset: Duration
    /// When the step that is being guarded was first seen.
    private var stepSeen: Instant?
    /// Wall clock minus monotonic clock after that step.
    private var steppedOffset = Duration.zero

    init(at now: Now) {
        offset = .zero
        offset = reading(now)
    }

    /// Wall clock, shifted, minus monotonic clock.
    private func reading(_ now: Now) -> Duration {
        let own = saturatingDifference(now.wall.nanoseconds, now.monotonic.nanoseconds)
        return Duration(nanoseconds: saturatingSum(own, shift.nanoseconds))
    }

    /// Believes the shifted clock at once: a majority of clocks has just agreed on it.
    package mutating func restart(shift: Duration, at now: Now) {
        self.shift = shift
        offset = reading(now)
        stepSeen = nil
    }

    /// Takes a reading. Call once per step, before anything else uses the time.
    /// - Returns: whether a guard began with this reading.
    @discardableResult
    mutating func observe(_ now: Now) -> Bool {
        let reading = reading(now)
        guard reading - offset > Self.stepLimit else {
            offset = reading
            stepSeen = nil
            return false
        }
        // One that jumps on, or partly back, has not stood.
        guard let seen = stepSeen, reading - steppedOffset <= Self.stepLimit,
            steppedOffset - reading <= Self.stepLimit
        else {
            let isNew = stepSeen == nil
            stepSeen = now.monotonic
            steppedOffset = reading
            return isNew
        }
        if now.monotonic - seen >= Self.standTime {
            offset = reading
            stepSeen = nil
        }
        return false
    }

    /// A forward step is being guarded: decide nothing.
    package var isGuarding: Bool { stepSeen != nil }

    /// The time at a reading of the monotonic clock.
    package func time(at now: Now) -> WallTime {
        WallTime(nanoseconds: saturatingSum(now.monotonic.nanoseconds, offset.nanoseconds))
    }
}
