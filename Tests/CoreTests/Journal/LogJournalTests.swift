import Testing

@testable import Core

@Suite("LogJournal", .timeLimit(.minutes(5)))
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
            isContiguous = true
            journal.recover(after: base.snapshot, term: snapshotTerm, into: &requests)
            while !isReady && halted == nil { step() }
            return halted == nil ? recovered : nil
        }

        var recovered = State()
        var isContiguous = true
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
                case .founded(let founders): recovered.hardState.founders = founders
                case .entry(let entry):
                    isContiguous = isContiguous && entry.index == recovered.last + 1
                    recovered.entries.append(entry)
                case .truncated(let index): recovered.truncate(from: index)
                case .recovered(let recovery):
                    recovered.hardState = recovery.hardState
                    #expect(isContiguous)
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
            journal.flush(into: &requests)
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
        /// Of the snapshot's last entry, if recovery is to know it.
        var snapshotTerm: Term?
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
    @Test(arguments: 0..<30 as Range<UInt64>)
    func randomCrashes(seed: UInt64) throws { try Self.crashRandomly(seed, syncsFail: false) }

    /// The same where syncs fail and forget what they should have written, though a reader still
    /// sees it: what recovery relies on must get to the platter all the same.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func randomCrashesWithFailingSyncs(seed: UInt64) throws {
        try Self.crashRandomly(seed, syncsFail: true)
    }

    static func crashRandomly(_ seed: UInt64, syncsFail: Bool) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed, tunables: Self.tunables(&random))
        #expect(bench.recover() == State())
        for _ in 0..<12 {
            if syncsFail {
                bench.driver.disk.fault = { random, operation in
                    switch operation {
                    case .sync, .append: random.chance(1, 40) ? .inputOutput : nil
                    default: nil
                    }
                }
            }
            for _ in 0..<random.int(in: 0...120) where bench.halted == nil {
                switch random.below(4) {
                case 0, 1:
                    for _ in 0..<random.int(in: 1...4) { bench.appendRandomly() }
                    bench.journal.flush(into: &bench.requests)
                case 2 where random.chance(1, 8): bench.snapshotRandomly()
                default: for _ in 0..<random.int(in: 1...9) { bench.step() }
                }
            }
            if random.chance(1, 3) { bench.settle() }
            #expect(bench.halted == nil || syncsFail)
            // After a halt nothing more is asked of the disk.
            if bench.halted != nil {
                bench.journal.flush(into: &bench.requests)
                #expect(bench.requests.isEmpty && bench.journal.nextDeadline == nil)
            }
            bench.driver.disk.fault = { _, _ in nil }
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

    // MARK: Damage

    /// A log at rest: every byte but those of the last mark is provably synced.
    static func restingBench(seed: UInt64) -> Bench {
        var tunables = JournalTunables()
        tunables.segmentSize = 400
        tunables.recordLimit = 2_000
        tunables.readChunk = 300
        var bench = Bench(seed: seed, tunables: tunables)
        _ = bench.recover()
        bench.change(.hardState(HardState(term: 3, votedFor: [1, 2])))
        for index in 1...30 as ClosedRange<LogIndex> {
            bench.change(
                .entry(LogEntry(index: index, term: 3, kind: 1, payload: [UInt8(index), 9, 9])))
            if index % 4 == 0 { bench.settle() }
        }
        bench.settle()
        return bench
    }

    /// D3: damage to anything that is known to be synced halts; damage to the last mark does not.
    @Test func damageHaltsOrCostsNothing() {
        var bench = Self.restingBench(seed: 1)
        let disk = bench.driver.disk
        let whole = bench.state
        let files = disk.names(in: .log)
        #expect(files.count > 2)
        var halts = 0
        var flips = 0
        for file in files {
            let content = disk.content(file)
            for position in content.indices {
                var bad = content
                bad[position] ^= 1 << UInt8(position % 8)
                bench.driver.crash(power: false)
                bench.driver.disk = disk
                bench.driver.disk.overwrite(file, bad)
                flips += 1
                guard let recovered = bench.recover() else {
                    halts += 1
                    #expect(bench.halted?.contains(file.name) == true)
                    #expect(bench.halted?.contains("Nothing has been changed") == true)
                    continue
                }
                #expect(recovered == whole, "\(file.name) at \(position)")
            }
        }
        // All but the bytes of the last mark.
        #expect(halts == flips - SegmentRecord.headerSize)
    }

    @Test func missingBytesAndFilesHalt() {
        var bench = Self.restingBench(seed: 2)
        let disk = bench.driver.disk
        let files = disk.names(in: .log)
        for (number, file) in files.enumerated() {
            bench.driver.disk = disk
            bench.driver.disk.overwrite(file, Array(disk.content(file).dropLast(40)))
            var outcome = bench.recover()
            #expect(outcome == nil, "\(file.name) cut short")
            bench.driver.crash(power: false)
            bench.driver.disk = disk
            bench.driver.disk.delete(file)
            outcome = bench.recover()
            // Nobody can tell that the last file was there.
            #expect((outcome == nil) == (number < files.count - 1), "\(file.name) missing")
            bench.driver.crash(power: false)
        }
        bench.driver.disk = disk
        bench.driver.disk.overwrite(files[1], disk.content(files[0]))
        let outcome = bench.recover()
        #expect(outcome == nil)
    }

    @Test func aNewerFormatIsRefusedByName() throws {
        var bench = Self.restingBench(seed: 3)
        let file = try #require(bench.driver.disk.names(in: .log).last)
        let content = bench.driver.disk.content(file)
        let header = try SegmentHeader.decode(
            Array(content[..<SegmentHeader.size]), kind: .log,
            number: UInt64(bench.driver.disk.names(in: .log).count), dataID: Self.dataID)
        let rest = content[SegmentHeader.size...]
        bench.driver.disk.overwrite(file, header.encoded(version: 9) + rest)
        var outcome = bench.recover()
        #expect(outcome == nil)
        #expect(bench.halted?.contains("data format 9") == true)
        bench.driver.disk.overwrite(file, content)
        bench.journal = LogJournal(dataID: 5)
        bench.halted = nil
        bench.journal.recover(after: 0, into: &bench.requests)
        while bench.halted == nil { bench.step() }
        #expect(bench.halted?.contains("another data directory") == true)
        bench.driver.crash(power: false)
        bench.requests = []
        outcome = bench.recover()
        #expect(outcome == bench.state)
    }

    // MARK: Space

    @Test func segmentsBelowASnapshotGo() {
        var bench = Self.restingBench(seed: 4)
        let before = bench.journal.byteCount
        bench.journal.compact(through: 29, into: &bench.requests)
        bench.settle()
        #expect(bench.journal.byteCount < before / 3)
        #expect(bench.driver.disk.names(in: .log).count <= 2)
        let whole = bench.state
        bench.driver.crash(power: true)
        bench.base.snapshot = 29
        let recovered = bench.recover()
        #expect(recovered?.hardState == whole.hardState)
        #expect(recovered?.entries.map(\.index) == [30])
        bench.base.snapshot = 3
        bench.driver.crash(power: false)
        let tooOld = bench.recover()
        #expect(tooOld == nil && bench.halted?.contains("newest snapshot") == true)
    }

    @Test func aSnapshotFromElsewhereRestartsTheLog() {
        var bench = Self.restingBench(seed: 5)
        bench.journal.restart(after: 100)
        bench.journal.append(LogEntry(index: 101, term: 4, kind: 0, payload: []))
        bench.journal.flush(into: &bench.requests)
        bench.settle()
        #expect(bench.durableIndex == 101)
        bench.driver.crash(power: true)
        bench.base.snapshot = 100
        let recovered = bench.recover()
        #expect(recovered?.entries.map(\.index) == [101])
        // A crash between the snapshot and the restart.
        bench.driver.crash(power: false)
        bench.base.snapshot = 200
        bench.pendingSnapshot = 200
        let behind = bench.recover()
        #expect(behind?.entries == [] && bench.journal.lastIndex == 200)
    }

    @Test func aFullDiskHalts() {
        var bench = Self.restingBench(seed: 6)
        bench.driver.disk.fault = { _, operation in
            if case .append = operation { .noSpace } else { nil }
        }
        bench.change(.entry(LogEntry(index: 31, term: 3, kind: 1, payload: [1])))
        bench.journal.flush(into: &bench.requests)
        for _ in 0..<100 { bench.step() }
        #expect(bench.halted?.contains("noSpace") == true && bench.durableIndex == 30)
        bench.driver.disk.fault = { _, _ in nil }
        bench.driver.crash(power: false)
        let recovered = bench.recover()
        #expect(recovered.map { $0.last >= 30 } == true)
    }

    /// An idle log writes one mark and then nothing.
    @Test func anIdleLogRests() {
        var bench = Self.restingBench(seed: 7)
        #expect(bench.journal.nextDeadline == nil)
        bench.journal.deadline(at: bench.driver.now + .hours(1), into: &bench.requests)
        bench.journal.flush(into: &bench.requests)
        #expect(bench.requests.isEmpty)
    }
}
