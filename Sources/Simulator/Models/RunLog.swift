// The world's own record of every process that really ran. Whatever the core says about
// executions is judged by it.

import Core

struct RealRun: Sendable {
    enum Ending: Hashable, Sendable {
        case exited(Int32)
        /// A request came to its end: whether the job is content, and whether a whole answer came.
        case answered(Bool, whole: Bool)
        case signalled(Int32)
        case timedOut
        case stopped
        case fenced
        /// The supervisor died and took it along.
        case supervisorLost
        /// The agent died, and its connections with it.
        case agentLost
        /// The machine lost its power.
        case powerLost

        /// How a call ended, if not as it `otherwise` did by itself.
        init(_ cause: CallEnd.Cause, otherwise: Ending) {
            switch cause {
            case .finished: self = otherwise
            case .timedOut: self = .timedOut
            case .stopped: self = .stopped
            case .fenced: self = .fenced
            }
        }
    }

    let execution: String
    let job: String
    let group: String
    let attempt: Int
    let scheduledAt: String
    let node: Int
    /// Which life of the agent asked for it.
    let agentLife: UInt64
    let timeout: Duration?
    let grace: Duration
    let isFenced: Bool
    let behaviour: Behaviour
    let outputKey: UInt64
    let startedAt: TrueTime
    let startedWall: WallTime
    var endedAt: TrueTime?
    var ending: Ending?
    /// Bytes really written.
    var outputLength = 0
    /// What was put out, where it is not drawn.
    var words: [UInt8]?
    /// How much was heard of what was put out nobody can tell.
    var isOutputUnknown = false
    /// A grandchild held the output open after the command's end.
    var heldOpenFor = Duration.zero

    var isSuccess: Bool { ending == .exited(0) || ending == .answered(true, whole: true) }

    /// A request, whose result is with the agent until it is written down.
    var isCall: Bool {
        switch ending {
        case .answered, .agentLost: true
        default: false
        }
    }

    /// Nobody made it end.
    var endedByItself: Bool {
        switch ending {
        case .exited, .answered: true
        default: false
        }
    }

    func output(_ range: Range<Int>) -> [UInt8] {
        if let words { return Array(words[range]) }
        return Self.output(outputKey, range, binary: behaviour.isBinary)
    }

    /// A call's, with what its peer is told of the attempt.
    static func ofCall(
        _ id: ExecutionID, _ identity: [EnvironmentEntry], on node: Int, _ moment: Moment,
        wall: WallTime, timeout: Duration?, isFenced: Bool
    ) -> RealRun {
        let told = { name in identity.last { $0.name == name }?.value ?? "" }
        return RealRun(
            execution: id.text, job: told("DKRON_JOB_NAME"), group: told("DKRON_GROUP"),
            attempt: Int(told("DKRON_ATTEMPT")) ?? 0, scheduledAt: told("DKRON_SCHEDULED_AT"),
            node: node, agentLife: moment.agentLife, timeout: timeout, grace: .zero,
            isFenced: isFenced, behaviour: Behaviour(), outputKey: 0, startedAt: moment.time,
            startedWall: wall)
    }

    /// Part of what a command prints: text in lines of 32, or anything. Byte by byte a function of
    /// its position, eight at a time.
    static func output(_ key: UInt64, _ range: Range<Int>, binary: Bool) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            var position = range.lowerBound
            while position < range.upperBound {
                let word = word(key, position / 8, binary: binary)
                let skipped = position % 8
                if skipped == 0, position + 8 <= range.upperBound {
                    bytes.storeBytes(of: word.littleEndian, toByteOffset: count, as: UInt64.self)
                    count += 8
                    position += 8
                    continue
                }
                let end = min(position - skipped + 8, range.upperBound)
                for place in skipped..<skipped + end - position {
                    bytes[count] = UInt8(truncatingIfNeeded: word >> UInt64(8 * place))
                    count += 1
                }
                position = end
            }
        }
    }

    /// The eight bytes from position 8 · `index` on, lowest first.
    @inline(__always)
    private static func word(_ key: UInt64, _ index: Int, binary: Bool) -> UInt64 {
        let drawn = mixed(key &+ UInt64(index))
        if binary { return drawn }
        let bytes = unsafeBitCast(drawn.littleEndian, to: SIMD8<UInt8>.self)
        let wide = SIMD8<UInt16>(truncatingIfNeeded: bytes)
        // The rest of a division by 26, exact below 256.
        let letters = 0x61 &+ wide &- ((wide &* 79) &>> 11) &* 26
        let text = UInt64(
            littleEndian: unsafeBitCast(
                SIMD8<UInt8>(truncatingIfNeeded: letters), to: UInt64.self))
        return index % 4 == 3 ? text & 0xff_ffff_ffff_ffff | 0x0a << 56 : text
    }
}

struct RunLog: Sendable {
    private(set) var runs: [RealRun] = []
    private(set) var byExecution: [String: [Int]] = [:]
    /// Runs that have not ended, in order of start.
    private(set) var alive: [Int] = []
    /// Executions whose start the supervisor refused.
    private(set) var refused: Set<String> = []

    mutating func begin(_ run: RealRun) -> Int {
        let index = runs.count
        runs.append(run)
        byExecution[run.execution, default: []].append(index)
        alive.append(index)
        return index
    }

    mutating func refuse(_ execution: String) { refused.insert(execution) }

    mutating func end(_ index: Int, _ ending: RealRun.Ending, at time: TrueTime) {
        guard runs[index].endedAt == nil else { return }
        runs[index].endedAt = time
        runs[index].ending = ending
        alive.removeAll { $0 == index }
    }

    mutating func wrote(_ index: Int, upTo length: Int) { runs[index].outputLength = length }
    /// - Parameter words: nil if nobody can tell how much of them was heard.
    mutating func said(_ index: Int, _ words: [UInt8]?) {
        runs[index].words = words
        runs[index].outputLength = words?.count ?? 0
        runs[index].isOutputUnknown = words == nil
    }
    mutating func heldOpen(_ index: Int, _ duration: Duration) {
        runs[index].heldOpenFor = duration
    }

    func runs(of execution: String) -> [RealRun] {
        byExecution[execution, default: []].map { runs[$0] }
    }
}
