/// The outcome of a tick, of a range of ticks, or of a run without a tick.
package enum Outcome: Hashable, Sendable {
    case ran(group: GroupID)
    case skipped(SkipReason)
    case missed(MissReason)
}

/// Reached and deliberately not run.
package enum SkipReason: UInt8, Sendable, CaseIterable {
    case overlap, paused, noTarget, disabled

    package var text: String {
        switch self {
        case .overlap: "overlap"
        case .paused: "paused"
        case .noTarget: "no_target"
        case .disabled: "disabled"
        }
    }
}

/// Not run in time.
package enum MissReason: UInt8, Sendable, CaseIterable {
    case window, superseded, policy
    /// The zone could not be read when the schedule was changed: which instants of the range were
    /// ticks is not known.
    case zone

    package var text: String {
        switch self {
        case .window: "window"
        case .superseded: "superseded"
        case .policy: "policy"
        case .zone: "zone"
        }
    }
}

/// One row of a job's ledger. A row with `from < to` stands for every tick of the schedule in
/// force between the two, both included
/// (for `missed: zone`, for those that there may be).
package struct LedgerRow: Hashable, Sendable {
    package var from: WallTime
    package var to: WallTime
    package var outcome: Outcome
    /// When it was decided.
    package var decidedAt: WallTime
    /// The revision whose schedule the ticks are of.
    package var revision: UInt64
    /// What asked for it, when that was not a tick.
    package var cause: Trigger?

    package init(
        from: WallTime, to: WallTime, outcome: Outcome, decidedAt: WallTime, revision: UInt64,
        cause: Trigger? = nil
    ) {
        self.from = from
        self.to = to
        self.outcome = outcome
        self.decidedAt = decidedAt
        self.revision = revision
        self.cause = cause
    }
}

extension LedgerRow: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.time(from)
        writer.time(to)
        writer.outcome(outcome)
        writer.time(decidedAt)
        writer.varint(revision)
        writer.optional(cause) { $0.trigger($1) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a row of the ledger")
        from = try reader.time()
        to = try reader.time()
        outcome = try reader.outcome()
        decidedAt = try reader.time()
        revision = try reader.varint()
        cause = try reader.optional { reader throws(ByteError) in try reader.trigger() }
    }
}

extension ByteWriter {
    mutating func outcome(_ outcome: Outcome) {
        switch outcome {
        case .ran(let group):
            u8(0)
            i64(group)
        case .skipped(let reason):
            u8(1)
            u8(reason.rawValue)
        case .missed(let reason):
            u8(2)
            u8(reason.rawValue)
        }
    }
}

extension ByteReader {
    mutating func outcome() throws(ByteError) -> Outcome {
        let start = offset
        switch try u8() {
        case 0: return .ran(group: try i64())
        case 1: return .skipped(try choice("a reason to skip"))
        case 2: return .missed(try choice("a reason to miss"))
        case let other: throw .malformed(offset: start, what: "an outcome numbered \(other)")
        }
    }
}

extension LedgerRow {
    /// The outcome as a sentence without its full stop.
    var words: String {
        switch outcome {
        case .ran:
            if let cause { return cause.words }
            let late = decidedAt - from
            return late < .seconds(1) ? "ran on time" : "ran \(DurationText.print(late)) late"
        case .skipped(.overlap): return "skipped: a run was still active and concurrency is forbid"
        case .skipped(.paused): return "skipped: the cluster was paused"
        case .skipped(.noTarget): return "skipped: no node that was alive matched the job's tags"
        case .skipped(.disabled): return "skipped: the job was disabled"
        case .missed(.window): return "missed: too late for the catch-up window"
        case .missed(.superseded): return "missed: a younger tick ran in its place"
        case .missed(.policy): return "missed: the job's catch_up is none"
        case .missed(.zone):
            return "missed: the job was changed while its time zone could not be read"
        }
    }
}

extension Trigger {
    fileprivate var words: String {
        switch self {
        case .tick: "ran"
        case .request: "ran on request"
        case .parent(let job, _): "ran after a success of \(job)"
        }
    }
}
