// Work that the log has granted and the leader has yet to carry out. It is part of the replicated
// state, so a leader that fails loses none of it.

/// An attempt that waits for its back-off.
package struct PendingRetry: Hashable, Sendable {
    package var due: WallTime
    package var job: JobName
    package var generation: Generation
    package var group: GroupID
    /// Which of the group's targets.
    package var target: Int
    /// The attempt that failed.
    package var after: Int64
}

/// One run that a parent's success asked for.
package struct ChildTrigger: Hashable, Sendable {
    /// Orders the triggers and names this one.
    package var number: Int64
    package var child: JobName
    package var childGeneration: Generation
    package var parent: JobName
    package var parentGroup: GroupID
}

/// A run that goes on although its job was deleted, and is to be ended.
package struct Orphan: Hashable, Sendable {
    package var key: ExecutionKey
    package var node: NodeName
}

extension Orphan: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.executionKey(key)
        writer.string(node.text)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a run of a deleted job")
        key = try reader.executionKey()
        node = NodeName(try reader.string())
    }
}

extension PendingRetry: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.time(due)
        writer.string(job.text)
        writer.varint(generation)
        writer.i64(group)
        writer.length(target)
        writer.i64(after)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a pending retry")
        due = try reader.time()
        job = JobName(try reader.string())
        generation = try reader.varint()
        group = try reader.i64()
        target = Int(clamping: try reader.varint())
        after = try reader.i64()
    }
}

extension ChildTrigger: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.i64(number)
        writer.string(child.text)
        writer.varint(childGeneration)
        writer.string(parent.text)
        writer.i64(parentGroup)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a child trigger")
        number = try reader.i64()
        child = JobName(try reader.string())
        childGeneration = try reader.varint()
        parent = JobName(try reader.string())
        parentGroup = try reader.i64()
    }
}
