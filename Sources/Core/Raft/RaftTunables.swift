/// Times and sizes of the consensus. The times are multiplied by the option `raft-multiplier`.
package struct RaftTunables: Hashable, Sendable {
    /// Between two heartbeats of a leader.
    package var heartbeat: Duration = .milliseconds(100)
    /// A follower campaigns after silence of this length at least…
    package var electionMinimum: Duration = .milliseconds(500)
    /// … and this at most. A leader that hears no majority for so long gives up.
    package var electionMaximum: Duration = .milliseconds(1_000)
    /// The most bytes of payload in one message, except that one entry always goes.
    package var messageBytes = 256 << 10
    /// The most bytes and messages on their way to one follower without an answer.
    package var inFlightBytes = 4 << 20
    package var inFlightMessages = 64
    /// Bytes of committed entries kept for followers that lag.
    package var cacheBytes = 16 << 20
    /// The same while one of them gets a snapshot: it needs what follows the snapshot when it has
    /// it. Who takes longer than that lasts gets another one.
    package var transferCacheBytes = 128 << 20

    package init() {}
}
