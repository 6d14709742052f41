/// One attempt on one target. It exists, and its id is known, before anything is sent.
package struct Execution: Hashable, Sendable {
    package enum State: UInt8, Sendable {
        /// Committed, not known to have started.
        case pending
        case running
        case success
        case failed
        case killed
        /// Nobody knows whether it completed.
        case lost

        package var isEnded: Bool {
            switch self {
            case .pending, .running: false
            case .success, .failed, .killed, .lost: true
            }
        }

        package var text: String {
            switch self {
            case .pending: "pending"
            case .running: "running"
            case .success: "success"
            case .failed: "failed"
            case .killed: "killed"
            case .lost: "lost"
            }
        }
    }

    package var number: Int64
    package var node: NodeName
    package var group: GroupID
    package var attempt: UInt32
    package var state: State
    package var scheduledAt: WallTime
    /// For how long the silence of its agent says nothing about it, as its job said when it was
    /// created. An edit of the job must not shorten it: a fence may rest on it. Nil in records of
    /// before it was kept.
    package var lostAfter: Duration?
    package var isFenced = false
    /// The agent's wall clock.
    package var startedAt: WallTime?
    package var finishedAt: WallTime?
    package var exitCode: Int32?
    package var signal: Int32?
    package var cpuTime: Duration?
    package var peakMemory: UInt64?
    /// Why it did not succeed, in words.
    package var error = ""
    /// Bytes of output in the history, and how many pieces hold them.
    package var outputLength: UInt64 = 0
    package var outputChunks: UInt32 = 0
    package var isOutputTruncated = false
    /// CRC-32C over the whole output.
    package var outputDigest: UInt32 = 0
    /// A person or `replace` wants it ended.
    package var isKillRequested = false
    /// What a report told after the execution had been given up as lost.
    package var lateResult: State?
    /// The outcome is there, and its processors have not all run: nothing follows from it yet.
    package var isProcessing = false
    /// The processors put another output in the place of what was printed.
    package var hasProcessedOutput = false
    /// What the processors had to say: each a sentence behind the processor's name.
    package var notes: [String] = []

    /// `<number>-<node>`.
    package var id: ExecutionID { ExecutionID("\(number)-\(node)") }

    init(
        number: Int64, node: NodeName, group: GroupID, attempt: UInt32, scheduledAt: WallTime
    ) {
        self.number = number
        self.node = node
        self.group = group
        self.attempt = attempt
        state = .pending
        self.scheduledAt = scheduledAt
    }
}

/// Names an execution inside the store: cheap to compare, unique even across re-created jobs.
package struct ExecutionKey: Hashable, Comparable, Sendable {
    package var generation: Generation
    package var number: Int64

    package init(generation: Generation, number: Int64) {
        self.generation = generation
        self.number = number
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.generation, a.number) < (b.generation, b.number)
    }

    /// Under which the pieces of output are kept in the history.
    package var historyKey: [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.u64(generation)
        writer.i64(number)
        return writer.output
    }

    /// Under which the pieces of the output are kept that processors left.
    package var processedHistoryKey: [UInt8] { historyKey + [1] }
}

extension Execution {
    /// Under which the pieces of its output are kept in the history.
    package func historyKey(_ generation: Generation) -> [UInt8] {
        let key = ExecutionKey(generation: generation, number: number)
        return hasProcessedOutput ? key.processedHistoryKey : key.historyKey
    }

    /// Of the encoding: the least that says everything, so that servers which know less write the
    /// same bytes.
    private var formatVersion: UInt8 {
        if isProcessing || hasProcessedOutput || !notes.isEmpty { return 3 }
        return lostAfter == nil ? 1 : 2
    }
}

extension Execution: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        let version = formatVersion
        writer.u8(version)
        writer.i64(number)
        writer.string(node.text)
        writer.i64(group)
        writer.varint(UInt64(attempt))
        writer.u8(state.rawValue)
        writer.time(scheduledAt)
        writer.optionalTime(startedAt)
        writer.optionalTime(finishedAt)
        writer.optional(exitCode) { $0.u32(UInt32(bitPattern: $1)) }
        writer.optional(signal) { $0.u32(UInt32(bitPattern: $1)) }
        writer.optional(cpuTime) { $0.i64($1.nanoseconds) }
        writer.optional(peakMemory) { $0.u64($1) }
        writer.string(error)
        writer.varint(outputLength)
        writer.varint(UInt64(outputChunks))
        writer.bool(isOutputTruncated)
        writer.u32(outputDigest)
        writer.bool(isKillRequested)
        writer.optional(lateResult) { $0.u8($1.rawValue) }
        if version == 2, let lostAfter {
            writer.i64(lostAfter.nanoseconds)
            writer.bool(isFenced)
        }
        guard version == 3 else { return }
        writer.optional(lostAfter) { $0.i64($1.nanoseconds) }
        writer.bool(isFenced)
        writer.bool(isProcessing)
        writer.bool(hasProcessedOutput)
        writer.array(notes) { $0.string($1) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        let version = try reader.u8()
        guard (1...3).contains(version) else {
            throw .malformed(offset: start, what: "version \(version) of an execution")
        }
        number = try reader.i64()
        node = NodeName(try reader.string())
        group = try reader.i64()
        attempt = UInt32(truncatingIfNeeded: try reader.varint())
        state = try reader.choice("an execution's state")
        scheduledAt = try reader.time()
        startedAt = try reader.optionalTime()
        finishedAt = try reader.optionalTime()
        exitCode = try reader.optional { reader throws(ByteError) in
            Int32(bitPattern: try reader.u32())
        }
        signal = try reader.optional { reader throws(ByteError) in
            Int32(bitPattern: try reader.u32())
        }
        cpuTime = try reader.optionalDuration()
        peakMemory = try reader.optional { reader throws(ByteError) in try reader.u64() }
        error = try reader.string()
        outputLength = try reader.varint()
        outputChunks = UInt32(truncatingIfNeeded: try reader.varint())
        isOutputTruncated = try reader.bool()
        outputDigest = try reader.u32()
        isKillRequested = try reader.bool()
        lateResult = try reader.optional { reader throws(ByteError) in
            try reader.choice("a late result")
        }
        guard version > 1 else { return }
        lostAfter =
            version == 2 ? Duration(nanoseconds: try reader.i64()) : try reader.optionalDuration()
        isFenced = try reader.bool()
        guard version > 2 else { return }
        isProcessing = try reader.bool()
        hasProcessedOutput = try reader.bool()
        notes = try reader.array { reader throws(ByteError) in try reader.string() }
    }
}
