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
    /// Bytes of committed entries kept in case that somebody asks for them.
    package var cacheBytes = 16 << 20
    /// The most bytes kept while a follower that answers is known to need them, above all one that
    /// gets a snapshot: it goes on with what follows that. Who needs more gets a snapshot.
    package var followerCacheBytes = 128 << 20

    package init() {}
}
