// Commands as bytes: kind and version first, so that a later server knows what it reads and an
// older one can say what it can't.

extension Command {
    /// The version of the encoding that this server writes.
    static let formatVersion: UInt8 = 1

    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256 + body.outputBytes)
        writer.u8(Self.formatVersion)
        writer.time(stamp)
        writer.array(decisions) { $1.encode(into: &$0) }
        writer.optional(basis) { writer, basis in
            writer.string(basis.job.text)
            writer.varint(basis.generation)
            writer.varint(basis.revision)
        }
        body.encode(into: &writer)
        return writer.output
    }

    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        try reader.expectVersion(Self.formatVersion, of: "a command")
        stamp = try reader.time()
        decisions = try reader.array { reader throws(ByteError) in
            try JobDecision(from: &reader)
        }
        basis = try reader.optional { reader throws(ByteError) in
            EditBasis(
                job: JobName(try reader.string()), generation: try reader.varint(),
                revision: try reader.varint())
        }
        body = try Body(from: &reader)
        try reader.expectEnd()
    }
}

extension Command.Body {
    /// Bytes of the outputs that it carries: almost all of a long command.
    fileprivate var outputBytes: Int {
        if case .processed(let processed) = self { return processed.output?.count ?? 0 }
        guard case .reports(let reports) = self else { return 0 }
        return reports.reduce(0) { sum, report in
            guard case .output(_, let bytes) = report.news else { return sum }
            return sum + bytes.count
        }
    }

    fileprivate func encode(into writer: inout ByteWriter) {
        switch self {
        case .decide: writer.u8(0)
        case .bootstrap(let clusterID, let settings, let paused):
            writer.u8(1)
            writer.string(clusterID)
            writer.clusterSettings(settings)
            writer.bool(paused)
        case .putJob(let put):
            writer.u8(2)
            put.document.encode(into: &writer)
            writer.precondition(put.precondition)
            writer.bool(put.isAllowedWhilePaused)
            writer.optional(put.runOnCreate) { $1.encode(into: &$0) }
        case .deleteJob(let name, let precondition, let kill):
            writer.u8(3)
            writer.string(name.text)
            writer.precondition(precondition)
            writer.bool(kill)
        case .deleteExecutions(let name):
            writer.u8(4)
            writer.string(name.text)
        case .runNow(let run):
            writer.u8(5)
            run.encode(into: &writer)
        case .decideChild(let decision):
            writer.u8(6)
            writer.i64(decision.trigger)
            writer.nodes(decision.targets)
        case .startRetry(let retry):
            writer.u8(7)
            retry.encode(into: &writer)
        case .reports(let reports):
            writer.u8(8)
            writer.array(reports) { $1.encode(into: &$0) }
        case .kill(let job, let key):
            writer.u8(9)
            writer.string(job.text)
            writer.executionKey(key)
        case .pause(let editsAllowed):
            writer.u8(10)
            writer.bool(editsAllowed)
        case .unpause: writer.u8(11)
        case .settings(let settings):
            writer.u8(12)
            writer.clusterSettings(settings)
        case .restorePart(let id, let jobs):
            writer.u8(13)
            writer.u64(id)
            writer.array(jobs) { $1.encode(into: &$0) }
        case .restoreCommit(let id, let parts):
            writer.u8(14)
            writer.u64(id)
            writer.u32(parts)
        case .restoreAbandon(let id):
            writer.u8(15)
            writer.u64(id)
        case .processed(let processed):
            writer.u8(21)
            processed.encode(into: &writer)
        case .notified(let news):
            writer.u8(22)
            writer.array(news) { $1.encode(into: &$0) }
        case .raiseLevel, .nodes, .drain, .rewind, .succeed, .notifying:
            encodeOfCluster(into: &writer)
        }
    }

    /// What concerns the cluster as a whole.
    private func encodeOfCluster(into writer: inout ByteWriter) {
        switch self {
        case .raiseLevel(let level):
            writer.u8(16)
            writer.u32(level)
        case .nodes(let nodes, let gone):
            writer.u8(17)
            writer.array(nodes) { $1.encode(into: &$0) }
            writer.nodes(gone)
        case .drain(let node, let isDrained):
            writer.u8(18)
            writer.string(node.text)
            writer.bool(isDrained)
        case .rewind(let rewind):
            writer.u8(19)
            rewind.encode(into: &writer)
        case .succeed(let clusterID):
            writer.u8(20)
            writer.string(clusterID)
        case .notifying(let channels):
            writer.u8(23)
            writer.u8(channels.rawValue)
        default: invariant(false, "all others are written by `encode`")
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        switch try reader.u8() {
        case 0: self = .decide
        case 1:
            self = .bootstrap(
                clusterID: try reader.string(), settings: try reader.clusterSettings(),
                paused: try reader.bool())
        case 2:
            self = .putJob(
                PutJob(
                    document: try JobDocument(from: &reader),
                    precondition: try reader.precondition(),
                    isAllowedWhilePaused: try reader.bool(),
                    runOnCreate: try reader.optional { reader throws(ByteError) in
                        try RunNow(from: &reader)
                    }))
        case 3:
            self = .deleteJob(
                JobName(try reader.string()), try reader.precondition(), kill: try reader.bool())
        case 4: self = .deleteExecutions(JobName(try reader.string()))
        case 5: self = .runNow(try RunNow(from: &reader))
        case 6:
            self = .decideChild(
                ChildDecision(trigger: try reader.i64(), targets: try reader.nodes()))
        case 7: self = .startRetry(try RetryStart(from: &reader))
        case 8:
            self = .reports(
                try reader.array { reader throws(ByteError) in try Report(from: &reader) })
        case 9: self = .kill(JobName(try reader.string()), try reader.executionKey())
        case 10: self = .pause(editsAllowed: try reader.bool())
        case 11: self = .unpause
        case 12: self = .settings(try reader.clusterSettings())
        case 13:
            self = .restorePart(
                id: try reader.u64(),
                jobs: try reader.array { reader throws(ByteError) in
                    try RestoredJob(from: &reader)
                })
        case 14: self = .restoreCommit(id: try reader.u64(), parts: try reader.u32())
        case 15: self = .restoreAbandon(id: try reader.u64())
        case 16: self = .raiseLevel(try reader.u32())
        case 17:
            self = .nodes(
                try reader.array { reader throws(ByteError) in try KnownNode(from: &reader) },
                gone: try reader.nodes())
        case 18: self = .drain(NodeName(try reader.string()), try reader.bool())
        case 19: self = .rewind(try Rewind(from: &reader))
        case 20: self = .succeed(clusterID: try reader.string())
        case 21: self = .processed(try Processed(from: &reader))
        case 22:
            self = .notified(
                try reader.array { reader throws(ByteError) in try Notified(from: &reader) })
        case 23: self = .notifying(NotificationChannels(rawValue: try reader.u8()))
        case let other: throw .malformed(offset: start, what: "a command of unknown kind \(other)")
        }
    }
}

extension JobDecision {
    /// Cuts decisions into lists that take at most about `limit` bytes each, in the same order. One
    /// tick is never cut.
    package static func batches(
        _ decisions: [JobDecision], limit: Int
    ) -> [[JobDecision]] {
        var batches: [[JobDecision]] = []
        var batch: [JobDecision] = []
        var size = 0
        for decision in decisions {
            var part = decision
            part.ticks = []
            let head = 32 + decision.job.text.utf8.count
            size += head
            for tick in decision.ticks {
                let bytes = tick.approximateSize
                if size + bytes > limit, !(batch.isEmpty && part.ticks.isEmpty) {
                    if !part.ticks.isEmpty { batch.append(part) }
                    batches.append(batch)
                    batch = []
                    part.ticks = []
                    size = head
                }
                part.ticks.append(tick)
                size += bytes
            }
            if !part.ticks.isEmpty { batch.append(part) }
        }
        if !batch.isEmpty { batches.append(batch) }
        return batches
    }
}

extension JobDecision.Ticks {
    /// Bytes that this takes in an entry, about.
    var approximateSize: Int {
        guard case .run(let targets) = verdict else { return 24 }
        return targets.reduce(24) { $0 + 3 + $1.text.utf8.count }
    }
}

extension JobDecision {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.string(job.text)
        writer.varint(generation)
        writer.varint(revision)
        writer.array(ticks) { writer, ticks in
            writer.time(ticks.from)
            writer.time(ticks.to)
            switch ticks.verdict {
            case .run(let targets):
                writer.u8(0)
                writer.nodes(targets)
            case .skip(let reason):
                writer.u8(1)
                writer.u8(reason.rawValue)
            case .miss(let reason):
                writer.u8(2)
                writer.u8(reason.rawValue)
            }
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        job = JobName(try reader.string())
        generation = try reader.varint()
        revision = try reader.varint()
        ticks = try reader.array(elementSize: 17) { reader throws(ByteError) in
            let from = try reader.time()
            let to = try reader.time()
            let start = reader.offset
            switch try reader.u8() {
            case 0: return Ticks(from: from, to: to, verdict: .run(targets: try reader.nodes()))
            case 1:
                return Ticks(from: from, to: to, verdict: .skip(try reader.choice("a skip")))
            case 2:
                return Ticks(from: from, to: to, verdict: .miss(try reader.choice("a miss")))
            case let other:
                throw .malformed(offset: start, what: "a verdict numbered \(other)")
            }
        }
    }
}

extension RunNow {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.string(job.text)
        writer.string(requestID)
        writer.nodes(targets)
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        job = JobName(try reader.string())
        requestID = try reader.string()
        targets = try reader.nodes()
    }
}

extension RetryStart {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.string(job.text)
        writer.varint(generation)
        writer.i64(group)
        writer.length(target)
        writer.i64(after)
        writer.string(node.text)
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        job = JobName(try reader.string())
        generation = try reader.varint()
        group = try reader.i64()
        target = Int(clamping: try reader.varint())
        after = try reader.i64()
        node = NodeName(try reader.string())
    }
}

extension Rewind {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.time(time)
        writer.optional(job) { $0.string($1.text) }
        writer.optional(after) { $0.string($1.text) }
    }

    fileprivate init(from reader: inout ByteReader) throws(ByteError) {
        time = try reader.time()
        job = try reader.optional { reader throws(ByteError) in JobName(try reader.string()) }
        after = try reader.optional { reader throws(ByteError) in JobName(try reader.string()) }
    }
}

extension RestoredJob {
    func encode(into writer: inout ByteWriter) {
        document.encode(into: &writer)
        writer.i64(successCount)
        writer.i64(errorCount)
        writer.optionalTime(lastSuccess)
        writer.optionalTime(lastError)
        writer.optionalTime(everyAnchor)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        document = try JobDocument(from: &reader)
        successCount = try reader.i64()
        errorCount = try reader.i64()
        lastSuccess = try reader.optionalTime()
        lastError = try reader.optionalTime()
        everyAnchor = try reader.optionalTime()
    }
}

extension RestoredJob: StoreRecord {}

extension ByteWriter {
    mutating func nodes(_ nodes: [NodeName]) { array(nodes) { $0.string($1.text) } }

    mutating func executionKey(_ key: ExecutionKey) {
        varint(key.generation)
        i64(key.number)
    }

    fileprivate mutating func precondition(_ precondition: Precondition) {
        switch precondition {
        case .none: u8(0)
        case .absent: u8(1)
        case .version(let version):
            u8(2)
            varint(version)
        case .exactly(let generation, let version):
            u8(3)
            varint(generation)
            varint(version)
        }
    }
}

extension ByteReader {
    mutating func nodes() throws(ByteError) -> [NodeName] {
        try array { reader throws(ByteError) in NodeName(try reader.string()) }
    }

    mutating func executionKey() throws(ByteError) -> ExecutionKey {
        ExecutionKey(generation: try varint(), number: try i64())
    }

    fileprivate mutating func precondition() throws(ByteError) -> Precondition {
        let start = offset
        switch try u8() {
        case 0: return .none
        case 1: return .absent
        case 2: return .version(try varint())
        case 3: return .exactly(try varint(), version: try varint())
        case let other: throw .malformed(offset: start, what: "a precondition numbered \(other)")
        }
    }
}
