// A machine's two clocks, derived from the true time that only the world knows.

import Core

/// How wrong the wall clock of a run's server is. Each invariant says for which classes it holds.
enum ClockClass: String, CaseIterable, Sendable {
    /// The wall clock shows true time.
    case exact
    /// Always within a small bound of it.
    case bounded
    /// Steps of any size, strobes and long slews.
    case wild
    /// So are those of one server of three or more, and of some agents; the others are bounded.
    case minority
}

struct Clock: Sendable {
    /// What the wall clock shows at true time zero when it is right.
    let epoch: WallTime
    /// The monotonic clock runs fast by this many parts per million.
    var ratePPM: Int64 = 0
    /// True time at which the machine booted; its monotonic clock counts from there.
    var bootedAt: TrueTime = .zero
    /// Wall minus true, apart from what follows.
    var offset: Duration = .zero
    /// A slow correction (or drift): so many parts per million since `slewFrom`.
    var slewPPM: Int64 = 0
    var slewFrom: TrueTime = .zero
    var slewUntil: TrueTime = .zero
    /// The wall clock jumps by `strobeBy` and back every `strobePeriod` until `strobeUntil`.
    var strobeBy: Duration = .zero
    var strobePeriod: Duration = .milliseconds(200)
    var strobeUntil: TrueTime = .zero
    /// The wall clock shows multiples of this.
    var granularity: Duration = .nanoseconds(1)
    /// Time for which the whole machine, clocks included, was suspended.
    var suspended: Duration = .zero

    init(epoch: WallTime) { self.epoch = epoch }

    func now(at time: TrueTime) -> Now {
        Now(monotonic: monotonic(at: time), wall: wall(at: time))
    }

    func monotonic(at time: TrueTime) -> Instant {
        // Starts at an hour: an origin that means nothing, and room to look back.
        let elapsed = (time - bootedAt - suspended).nanoseconds
        return Instant(nanoseconds: 3_600_000_000_000 + elapsed + elapsed / 1_000_000 * ratePPM)
    }

    /// The true time at which the monotonic clock will show `instant`, rounded up.
    func trueTime(of instant: Instant) -> TrueTime {
        let shown = instant.nanoseconds - 3_600_000_000_000
        guard shown < Int64.max / 2_000_000 * 1_000_000 else { return .max }
        var elapsed = shown - shown / (1_000_000 + ratePPM) * ratePPM
        while elapsed + elapsed / 1_000_000 * ratePPM < shown { elapsed += 1_000 }
        return .nanoseconds(elapsed) + bootedAt + suspended
    }

    func wall(at time: TrueTime) -> WallTime {
        var shift = offset
        if slewPPM != 0 {
            let slewed = (Swift.min(time, slewUntil) - slewFrom).nanoseconds
            shift = shift + .nanoseconds(slewed / 1_000_000 * slewPPM)
        }
        if time < strobeUntil, time.nanoseconds / strobePeriod.nanoseconds % 2 == 1 {
            shift = shift + strobeBy
        }
        let wall = (epoch + time + shift).nanoseconds
        return WallTime(nanoseconds: wall - wall % granularity.nanoseconds)
    }

    /// Wall minus true.
    func error(at time: TrueTime) -> Duration { wall(at: time) - (epoch + time) }

    /// Runs faster or slower by `ppm` from now until `until`; what was slewed so far stays.
    mutating func slew(ppm: Int64, from time: TrueTime, until: TrueTime) {
        offset = wallShift(at: time)
        slewPPM = ppm
        slewFrom = time
        slewUntil = until
    }

    /// Stops every disturbance and sets the offset, as a time service would.
    mutating func set(offset: Duration) {
        self.offset = offset
        slewPPM = 0
        strobeUntil = .zero
        granularity = .nanoseconds(1)
    }

    private func wallShift(at time: TrueTime) -> Duration {
        guard slewPPM != 0 else { return offset }
        let slewed = (Swift.min(time, slewUntil) - slewFrom).nanoseconds
        return offset + .nanoseconds(slewed / 1_000_000 * slewPPM)
    }
}
