import Testing

@testable import Core

@Suite("LogJournal")
struct LogJournalTests {
    static let dataID: DataID = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321

    /// What the log means to Raft.
    struct State: Equatable {
        var hardState = HardState()
        var entries: [LogEntry] = []
        var snapshot: LogIndex = 0

        var last: LogIndex { entries.last?.index ?? snapshot }

        mutating func truncate(from index: LogIndex) {
            entries.removeAll { $0.index >= index }
        }
    }

    enum Change {
        case entry(LogEntry)
        case hardState(HardState)
        case truncate(LogIndex)

        func apply(to state: inout State) {
            switch self {
            case .entry(let entry): state.entries.append(entry)
            case .hardState(let hardState): state.hardState = hardState
            case .truncate(let index): state.truncate(from: index)
            }
        }
    }

    /// A journal, its disk, and what the disk has promised.
    struct Bench {
        var driver: TestDriver
        var journal: LogJournal
        var tunables: JournalTunables
        var random: PRNG
        /// What recovery found, and what was asked for since.
        var base = State()
        var changes: [Change] = []
        var durableIndex: LogIndex = 0
        var durableHardState = HardState()
        var halted: String?
        var isReady = false
        var requests: [StorageRequest] = []

        init(seed: UInt64, tunables: JournalTunables) {
            self.tunables = tunables
            driver = TestDriver(seed: seed)
            random = PRNG(seed: seed).split(label: "bench")
            journal = LogJournal(dataID: dataID, tunables: tunables)
        }

        var state: State {
            var state = base
            for change in changes { change.apply(to: &state) }
            return state
        }

        /// Recovers and returns what came out, or nil for a halt.
        mutating func recover() -> State? {
            journal = LogJournal(dataID: LogJournalTests.dataID, tunables: tunables)
            isReady = false
            halted = nil
            recovered = State(snapshot: base.snapshot)
            journal.recover(after: base.snapshot, into: &requests)
            for _ in 0..<1_000_000 where !isReady && halted == nil { step() }
            return halted == nil ? recovered : nil
        }

        var recovered = State()
        var tornBytes: UInt64 = 0

        mutating func step() {
            driver.take(&requests)
            var actions: [LogJournalAction] = []
            if let (ticket, result) = driver.step() {
                journal.handle(
                    result, for: ticket, at: driver.now, into: &requests, actions: &actions)
            }
            if let due = journal.nextDeadline, due <= driver.now {
                journal.deadline(at: driver.now, into: &requests)
            }
            driver.take(&requests)
            for action in actions {
                switch action {
                case .entry(let entry):
                    #expect(entry.index == recovered.last + 1)
                    recovered.entries.append(entry)
                case .truncated(let index): recovered.truncate(from: index)
                case .recovered(let recovery):
                    recovered.hardState = recovery.hardState
                    #expect(recovery.lastIndex == recovered.last)
                    tornBytes = recovery.tornBytes
                    isReady = true
                case .durable(let index, let hardState):
                    durableIndex = index
                    durableHardState = hardState
                case .halt(let reason):
                    #expect(halted == nil)
                    halted = reason
                }
            }
        }

        mutating func settle() {
            var idleSteps = 0
            var steps = 0
            while idleSteps < 3, halted == nil {
                step()
                steps += 1
                invariant(steps < 1_000_000, "a journal without work becomes idle")
                let quiet = driver.isIdle && journal.nextDeadline == nil && journal.isIdle
                idleSteps = quiet ? idleSteps + 1 : 0
            }
        }

        mutating func change(_ change: Change) {
            changes.append(change)
            switch change {
            case .entry(let entry): journal.append(entry)
            case .hardState(let hardState): journal.append(hardState)
            case .truncate(let index):
                journal.truncate(from: index)
                durableIndex = min(durableIndex, index - 1)
            }
        }

        mutating func appendRandomly() {
            let term = state.hardState.term
            switch random.below(12) {
            case 0:
                change(.hardState(HardState(term: term + 1, votedFor: [UInt8(random.below(256))])))
            case 1 where state.last > max(base.snapshot, durableCommit):
                let low = Int(max(base.snapshot, durableCommit)) + 1
                change(.truncate(LogIndex(random.int(in: low...Int(state.last)))))
            default:
                let size = random.chance(1, 20) ? random.int(in: 0...900) : random.int(in: 0...40)
                let payload = (0..<size).map { _ in UInt8(random.below(4)) }
                change(
                    .entry(
                        LogEntry(
                            index: state.last + 1, term: term, kind: UInt8(random.below(3)),
                            payload: payload)))
            }
        }

        /// Entries through here are committed: never taken back, and fit for a snapshot.
        var durableCommit: LogIndex = 0

        mutating func snapshotRandomly() {
            guard durableIndex > pendingSnapshot, durableIndex <= state.last else { return }
            let index = LogIndex(random.int(in: Int(pendingSnapshot)...Int(durableIndex)))
            durableCommit = max(durableCommit, index)
            pendingSnapshot = index
            journal.compact(through: index, into: &requests)
        }

        var pendingSnapshot: LogIndex = 0
    }

    static func tunables(_ random: inout PRNG) -> JournalTunables {
        var tunables = JournalTunables()
        tunables.segmentSize = random.int(in: 1...4_000)
        tunables.batchLimit = random.int(in: 1...2_000)
        tunables.recordLimit = 2_000
        tunables.readChunk = random.int(in: random.chance(1, 10) ? 1...50 : 500...3_000)
        tunables.markDelay = .microseconds(Int64(random.int(in: 0...3_000)))
        return tunables
    }

    /// D2: recovery yields a prefix of what was written that contains everything synced.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func randomCrashes(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed, tunables: Self.tunables(&random))
        #expect(bench.recover() == State())
        for _ in 0..<12 {
            for _ in 0..<random.int(in: 0...120) {
                switch random.below(4) {
                case 0, 1:
                    for _ in 0..<random.int(in: 1...4) { bench.appendRandomly() }
                    bench.journal.flush(into: &bench.requests)
                case 2 where random.chance(1, 8): bench.snapshotRandomly()
                default: for _ in 0..<random.int(in: 1...9) { bench.step() }
                }
            }
            if random.chance(1, 3) { bench.settle() }
            #expect(bench.halted == nil)
            bench.driver.crash(power: random.chance(2, 3))
            // A crash in the middle of recovery must not matter.
            if random.chance(1, 3) {
                bench.journal = LogJournal(dataID: Self.dataID, tunables: bench.tunables)
                bench.isReady = false
                bench.recovered = State(snapshot: bench.pendingSnapshot)
                bench.requests = []
                bench.journal.recover(after: bench.pendingSnapshot, into: &bench.requests)
                let durable = (bench.durableIndex, bench.durableHardState)
                for _ in 0..<random.int(in: 0...40) where !bench.isReady { bench.step() }
                (bench.durableIndex, bench.durableHardState) = durable
                bench.driver.crash(power: random.chance(1, 2))
            }
            try Self.expectRecoveryOfAPrefix(&bench)
        }
    }

    static func expectRecoveryOfAPrefix(_ bench: inout Bench) throws {
        let index = bench.pendingSnapshot
        var state = bench.base
        var legal: [State] = []
        func view(_ state: State) -> State {
            var state = state
            state.snapshot = index
            state.entries.removeAll { $0.index <= index }
            return state
        }
        func isDurable(_ state: State) -> Bool {
            state.last >= bench.durableIndex && state.hardState.term >= bench.durableHardState.term
        }
        legal.append(view(state))
        var oldest = 0
        for change in bench.changes {
            change.apply(to: &state)
            legal.append(view(state))
        }
        // The first state that holds all that was durable: everything before it is too old.
        let synced = bench.state.entries.filter {
            $0.index <= bench.durableIndex && $0.index > index
        }
        for (number, candidate) in legal.enumerated() {
            if !(candidate.entries.starts(with: synced) && isDurable(candidate)) {
                oldest = number + 1
            } else {
                break
            }
        }
        bench.base.snapshot = index
        bench.requests = []
        let durableIndex = bench.durableIndex
        let outcome = bench.recover()
        let recovered = try #require(outcome, "\(bench.halted ?? "")")
        let found = legal.indices.last { legal[$0] == recovered }
        let position = try #require(found, "recovered what was never written")
        #expect(position >= oldest, "lost what was durable through \(durableIndex)")
        bench.base = recovered
        bench.changes = []
        bench.durableIndex = recovered.last
        bench.durableHardState = recovered.hardState
    }
}
