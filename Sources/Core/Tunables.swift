/// Sizes and delays that are legal over a wide range. The defaults are for production; a
/// simulation draws others, so that rare paths become common without hooks in the code.
package struct Tunables: Hashable, Sendable {
    package var journal = JournalTunables()
    /// Bytes of log after which a snapshot is taken (more when the last one was larger).
    package var snapshotBytes = 32 << 20
    /// Bytes of records in one slice of a snapshot, about.
    package var snapshotSlice = 64 << 10
    /// Bytes kept of what a run prints.
    package var outputLimit = 256_000
    /// Runs of this node at the same time; the rest waits.
    package var maxRunning = 512
    /// Between the polite signal and the deadly one.
    package var grace: Duration = .seconds(10)
    /// Proposals that may wait for the log before new ones are refused.
    package var proposalLimit = 4_096
    /// The most bytes of one log entry's payload, about.
    package var entryBytes = 256 << 10

    package init() {}
}
