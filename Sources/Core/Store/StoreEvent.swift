/// What applying a command changed, for the machines that act on it.
package enum StoreEvent: Sendable {
    /// A job was created, edited, decided upon or deleted: its next tick may have moved.
    case jobChanged(JobName)
    /// An execution was committed and is to be sent to its node.
    case launch(Assignment)
    /// An ephemeral job has succeeded: it was deleted, or disabled because it has children.
    case ephemeralEnded(JobName, isDeleted: Bool)
    /// A row went into the ledger, or one there was made longer. The tick is nil for what no tick
    /// asked for.
    case decided(Outcome, tick: WallTime?)
    /// The first attempt of a target has started, by its agent's clock.
    case started(due: WallTime, at: WallTime)
    case executionEnded(ExecutionKey, NodeName)
    /// What its processors left is in the log, or nobody wants to know any more.
    case processingEnded(ExecutionKey)
    /// A piece of the output that processors left, for the history.
    case processedOutput(ExecutionKey, chunk: UInt32, bytes: [UInt8])
    /// Somebody is to be told of this.
    case noticeOwed(ExecutionKey)
    /// So much of it was told, or will not be told any more.
    case noticeSettled(
        ExecutionKey, delivered: NotificationChannels, givenUp: NotificationChannels)
    case groupEnded(JobName, Generation, GroupID)
    case killRequested(ExecutionKey, NodeName)
    case retryScheduled(PendingRetry)
    case childTriggered(ChildTrigger)
    /// A piece of output for the history.
    case output(ExecutionKey, chunk: UInt32, bytes: [UInt8])
    /// The outputs of this execution are no longer needed.
    case forgetOutput(ExecutionKey)
    /// The cluster's final word on an execution: its agent may forget it.
    case settled(ExecutionKey)
    /// A result was told of whose output pieces are missing: its agent is to tell it again.
    case resultIncomplete(ExecutionKey)
    /// A node of this name came back with another data directory.
    case journalReplaced(NodeName)
    case clusterChanged
    /// Stamps went back: what was due after the present is due once more.
    case rewound
    case mark(Mark)
}

/// Everything that an agent needs to carry out one attempt.
package struct Assignment: Hashable, Sendable {
    package var key: ExecutionKey
    package var job: JobName
    package var node: NodeName
    package var group: GroupID
    package var attempt: UInt32
    package var scheduledAt: WallTime
    package var executor: String
    package var config: [Setting]
    package var lostAfter: Duration
    package var isFenced: Bool

    package var id: ExecutionID { ExecutionID("\(key.number)-\(node)") }
}

extension Assignment: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.executionKey(key)
        writer.string(job.text)
        writer.string(node.text)
        writer.i64(group)
        writer.varint(UInt64(attempt))
        writer.time(scheduledAt)
        writer.string(executor)
        writer.settings(config)
        writer.i64(lostAfter.nanoseconds)
        writer.bool(isFenced)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "an assignment")
        key = try reader.executionKey()
        job = JobName(try reader.string())
        node = NodeName(try reader.string())
        group = try reader.i64()
        attempt = UInt32(truncatingIfNeeded: try reader.varint())
        scheduledAt = try reader.time()
        executor = try reader.string()
        config = try reader.settings()
        lostAfter = Duration(nanoseconds: try reader.i64())
        isFenced = try reader.bool()
    }
}
