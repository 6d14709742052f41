/// Sizes and delays that are legal over a wide range. The defaults are for production; a
/// simulation draws others, so that rare paths become common without hooks in the code.
package struct Tunables: Hashable, Sendable {
    package var journal = JournalTunables()
    package var raft = RaftTunables()
    package var transfer = TransferTunables()
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
    /// Executions that one agent may hold without having started them.
    package var dispatchWindow = 1_024
    /// Bytes of outputs and log entries that may wait for the disk before further results stay with
    /// their agents for a while.
    package var backlogLimit = 64 << 20
    /// Proposals that may wait for the log before new ones are refused.
    package var proposalLimit = 4_096
    /// The most bytes of one log entry's payload, about.
    package var entryBytes = 256 << 10
    /// After so many attempts a notification is given up: with the delays between them that is
    /// half an hour, and as much again if the receiver hangs.
    package var notificationAttempts = 15

    package init() {}

    /// The defaults, and on a small disk less: what waits to be cut away or rewritten must be a
    /// small part of it.
    package init(diskOf total: UInt64) {
        let share = Int(clamping: total / 64)
        snapshotBytes = max(64 << 10, min(snapshotBytes, share))
        journal.segmentSize = max(64 << 10, min(journal.segmentSize, share))
        journal.rewriteSize = max(64 << 10, min(journal.rewriteSize, share))
    }
}
