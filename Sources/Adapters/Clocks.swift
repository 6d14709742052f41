package import Core
internal import Glibc

/// The machine's clocks, read through libc so that tools that move a program's time see the reads.
package enum Clocks {
    package static func now() -> Now {
        Now(monotonic: monotonic(), wall: wall())
    }

    /// Nanoseconds since an origin that means nothing; never steps, stands still during suspension.
    package static func monotonic() -> Instant {
        Instant(nanoseconds: nanoseconds(of: CLOCK_MONOTONIC))
    }

    package static func wall() -> WallTime {
        WallTime(nanoseconds: nanoseconds(of: CLOCK_REALTIME))
    }

    private static func nanoseconds(of clock: clockid_t) -> Int64 {
        var time = timespec()
        let result = clock_gettime(clock, &time)
        invariant(result == 0, "clock_gettime failed: \(errno)")
        // Saturates, so that a clock set beyond the year 2262 reads as its end.
        return (WallTime(seconds: Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec)))
            .nanoseconds
    }
}
