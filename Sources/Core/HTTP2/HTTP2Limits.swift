// What a connection may cost, and how long it may take.

/// Bounds on what the other side can make grow.
package struct HTTP2Limits: Hashable, Sendable {
    /// Streams open at a time: those of the other side, or ours when that allows more.
    package var streams = 100
    /// Bytes that may come on a stream ahead of `consume`, up to 2^31 - 1. Together with `streams`
    /// it bounds the memory for received bodies.
    package var streamWindow = 256 << 10
    /// Bytes that may come on all streams ahead of our reading, from 65,535 up to 2^31 - 1.
    package var connectionWindow = 1 << 20
    /// Bytes of a field list by the measure of section 6.5.2; also of its compressed form.
    package var fieldBytes = 64 << 10
    /// Frames over which one field list may be spread.
    package var fieldFrames = 16
    /// Memory for the other side's compression table.
    package var fieldTable = 4_096
    /// Bytes of one stream's body that wait here before `hasRoom` says no.
    package var unsentStream = 128 << 10
    /// Bytes ready for the socket above which no body joins them.
    package var unsent = 128 << 10
    /// Bytes ready for the socket above which the connection fails: somebody asks for answers and
    /// does not read them.
    package var unsentTotal = 1 << 20
    /// Frames that carry nothing on (PING, SETTINGS, empty DATA, PRIORITY, unknown ones, those of
    /// ended streams).
    package var idleFrames = HTTP2Rate(burst: 10_000, perSecond: 1_000)
    /// Streams that end by RST_STREAM, of either side.
    package var resets = HTTP2Rate(burst: 1_000, perSecond: 100)

    package init() {}
}

/// So many at once, and so many a second in the long run.
package struct HTTP2Rate: Hashable, Sendable {
    package var burst: Int
    package var perSecond: Int

    package init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}

/// How long the other side may take.
package struct HTTP2Timeouts: Hashable, Sendable {
    /// For its SETTINGS, and for its acknowledgement of ours.
    package var settings = Duration.seconds(10)
    /// For taking a byte of what waits to be sent.
    package var write = Duration.seconds(60)
    /// The silence after which we ask whether it is there; nil to never ask.
    package var ping: Duration?
    /// For the answer to that.
    package var pong = Duration.seconds(20)
    /// A connection without a stream for so long is closed; nil to keep it.
    package var idle: Duration?
    /// For closing its end after we have closed ours.
    package var linger = Duration.seconds(2)

    package init() {}
}

/// Events that are allowed so many at once, and so many a second in the long run.
struct HTTP2Allowance: Sendable {
    private let burst: Int64
    private let perSecond: Int64
    /// In billionths of an event.
    private var left: Int64
    private var since: Instant

    init(_ rate: HTTP2Rate, at now: Instant) {
        burst = Int64(rate.burst)
        perSecond = Int64(rate.perSecond)
        left = burst * 1_000_000_000
        since = now
    }

    /// Takes one; false if none is left.
    mutating func spend(at now: Instant) -> Bool {
        let gained = max(now - since, .zero) * perSecond
        since = max(now, since)
        left = min(saturatingSum(left, gained.nanoseconds), burst * 1_000_000_000)
        guard left >= 1_000_000_000 else { return false }
        left -= 1_000_000_000
        return true
    }
}
