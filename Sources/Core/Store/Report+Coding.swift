// Reports as bytes. They travel from agents to servers and in the log, and lie in the agent's
// journal until the cluster has them.

extension Report: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.string(job.text)
        writer.executionKey(key)
        writer.u16(UInt16(bitPattern: jitter))
        switch news {
        case .started(let at):
            writer.u8(0)
            writer.time(at)
        case .output(let chunk, let bytes):
            writer.u8(1)
            writer.u32(chunk)
            writer.bytes(bytes)
        case .ended(let result):
            writer.u8(2)
            result.encode(into: &writer)
        case .lost(let reason):
            writer.u8(3)
            writer.string(reason)
        }
    }

    /// The number of bytes in `encoded`. O(1) however long an output is.
    var encodedSize: Int {
        guard case .output(let chunk, let bytes) = news else { return encoded.count }
        var empty = self
        empty.news = .output(chunk: chunk, bytes: [])
        var writer = ByteWriter(capacity: 128)
        empty.encode(into: &writer)
        // The length of the empty one is a single byte.
        let fixed = writer.count - 1
        writer.clear()
        writer.length(bytes.count)
        return fixed + writer.count + bytes.count
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        job = JobName(try reader.string())
        key = try reader.executionKey()
        jitter = Int16(bitPattern: try reader.u16())
        let start = reader.offset
        switch try reader.u8() {
        case 0: news = .started(at: try reader.time())
        case 1: news = .output(chunk: try reader.u32(), bytes: try reader.bytes())
        case 2: news = .ended(try ExecutionResult(from: &reader))
        case 3: news = .lost(reason: try reader.string())
        case let other: throw .malformed(offset: start, what: "news numbered \(other)")
        }
    }
}

extension ExecutionResult: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(state.rawValue)
        writer.optionalTime(startedAt)
        writer.time(finishedAt)
        writer.optional(exitCode) { $0.u32(UInt32(bitPattern: $1)) }
        writer.optional(signal) { $0.u32(UInt32(bitPattern: $1)) }
        writer.optional(cpuTime) { $0.i64($1.nanoseconds) }
        writer.optional(peakMemory) { $0.u64($1) }
        writer.string(error)
        writer.varint(outputLength)
        writer.varint(UInt64(outputChunks))
        writer.bool(isOutputTruncated)
        writer.u32(outputDigest)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        state = try reader.choice("an execution's state")
        startedAt = try reader.optionalTime()
        finishedAt = try reader.time()
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
    }
}
