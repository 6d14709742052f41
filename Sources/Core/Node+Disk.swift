// How full the disk is, and what follows from it: outputs give way before the log does.

struct DiskWatch {
    /// When the disk was last asked about.
    var askedAt: Instant?
    var isLow = false
    /// Outputs dropped since that was last told.
    var dropped = 0

    /// How old an answer may be when something is about to be printed.
    static let interval = Duration.seconds(5)
    /// Of each output on a disk that is almost full.
    static let lowOutputLimit = 4_096
    /// The most bytes of stored outputs that a disk gets by default.
    static let largestHistory: UInt64 = 10 << 30
}

extension Node {
    /// Asks for the disk's state unless that is known. Only what runs can fill it, so an idle node
    /// asks for nothing.
    mutating func watchDisk(_ out: inout Outbox) {
        if let asked = diskWatch.askedAt, now.monotonic - asked < DiskWatch.interval { return }
        diskWatch.askedAt = now.monotonic
        out.emit(.measureDisk)
    }

    mutating func take(_ space: DiskSpace, _ out: inout Outbox) {
        let limit = config.historyMaxBytes ?? min(DiskWatch.largestHistory, space.total / 10)
        if history.limit != limit { history.limit = limit }
        let isLow = space.free < space.total / 20
        guard isLow != diskWatch.isLow else { return }
        diskWatch.isLow = isLow
        runner.outputLimit =
            isLow
            ? min(DiskWatch.lowOutputLimit, config.tunables.outputLimit)
            : config.tunables.outputLimit
        let bytes = [LogRecord.Field("free_bytes", "\(space.free)")]
        if isLow {
            out.mark(.diskLow)
            out.log(
                .warning,
                "less than 5 % of the disk is free: only the last 4096 bytes of each output are "
                    + "kept until there is more; make room, or lower --history-max-bytes", bytes)
        } else {
            out.log(.info, "the disk has room again: outputs are kept whole", bytes)
        }
    }

    /// Tells that outputs were dropped, once for all that went together.
    mutating func tellDropped(_ out: inout Outbox) {
        guard diskWatch.dropped > 0 else { return }
        out.log(
            .info, "the oldest outputs were dropped to keep all together within their limit",
            [
                .init("executions", "\(diskWatch.dropped)"),
                .init("history_max_bytes", "\(history.limit)"),
            ])
        diskWatch.dropped = 0
    }
}
