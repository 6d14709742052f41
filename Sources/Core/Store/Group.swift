/// Why a group exists.
package enum Trigger: Hashable, Sendable {
    /// A due instant of the schedule.
    case tick(WallTime)
    /// A person asked; the request id repeats the group it made.
    case request(String)
    /// The parent's group that succeeded.
    case parent(job: JobName, group: GroupID)
}

/// What one tick or request started: executions on one or more targets.
package struct Group: Hashable, Sendable {
    package enum State: UInt8, Sendable {
        /// Under `replace`: waits until the executions before it have ended.
        case waiting
        case active
        case success
        case failed
        case partiallyFailed
        /// Ended by a person or by `replace`.
        case killed
        /// Nothing of it runs or will run any more, unless a processor overrules a success: it
        /// stands in nobody's way, and its outcome waits for the processors.
        case processing

        package var isEnded: Bool {
            switch self {
            case .waiting, .active, .processing: false
            case .success, .failed, .partiallyFailed, .killed: true
            }
        }
    }

    /// One node of a group and its attempts so far.
    package struct Target: Hashable, Sendable {
        package var node: NodeName
        /// Numbers of the executions, oldest first.
        package var attempts: [Int64] = []
        /// When the next attempt is due, while one waits.
        package var retryDue: WallTime?
    }

    package var id: GroupID
    package var trigger: Trigger
    package var startedAt: WallTime
    package var endedAt: WallTime?
    package var state: State
    package var targets: [Target]

    /// The instant that the executions stand for: the tick, or when the group was made.
    package var scheduledAt: WallTime {
        if case .tick(let tick) = trigger { return tick }
        return startedAt
    }
}

extension Group: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.i64(id)
        writer.trigger(trigger)
        writer.time(startedAt)
        writer.optionalTime(endedAt)
        writer.u8(state.rawValue)
        writer.array(targets) { writer, target in
            writer.string(target.node.text)
            writer.array(target.attempts) { $0.i64($1) }
            writer.optionalTime(target.retryDue)
        }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        try reader.expectVersion(1, of: "a group")
        id = try reader.i64()
        trigger = try reader.trigger()
        startedAt = try reader.time()
        endedAt = try reader.optionalTime()
        state = try reader.choice("a group's state")
        targets = try reader.array(elementSize: 3) { reader throws(ByteError) in
            Target(
                node: NodeName(try reader.string()),
                attempts: try reader.array(elementSize: 8) { reader throws(ByteError) in
                    try reader.i64()
                },
                retryDue: try reader.optionalTime())
        }
    }
}

extension ByteWriter {
    mutating func trigger(_ trigger: Trigger) {
        switch trigger {
        case .tick(let tick):
            u8(0)
            time(tick)
        case .request(let id):
            u8(1)
            string(id)
        case .parent(let job, let group):
            u8(2)
            string(job.text)
            i64(group)
        }
    }
}

extension ByteReader {
    mutating func trigger() throws(ByteError) -> Trigger {
        let start = offset
        switch try u8() {
        case 0: return .tick(try time())
        case 1: return .request(try string())
        case 2: return .parent(job: JobName(try string()), group: try i64())
        case let other: throw .malformed(offset: start, what: "a trigger numbered \(other)")
        }
    }
}
