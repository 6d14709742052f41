import Testing

@testable import Core

@Suite("RunJournal", .timeLimit(.minutes(5)))
struct RunJournalTests {
    struct Bench {
        var driver: TestDriver
        var journal: RunJournal
        var tunables: JournalTunables
        var requests: [StorageRequest] = []
        var recovered: [RunRecord] = []
        var isReady = false
        var durable: UInt64 = 0
        var rewrites = 0
        var halted: String?

        init(seed: UInt64, tunables: JournalTunables) {
            driver = TestDriver(seed: seed)
            self.tunables = tunables
            journal = RunJournal(dataID: 7, tunables: tunables)
        }

        mutating func step() {
            driver.take(&requests)
            var actions: [RunJournalAction] = []
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
                case .record(let record): recovered.append(record)
                case .recovered: isReady = true
                case .durable(let sequence):
                    #expect(sequence > durable)
                    durable = sequence
                case .rewritten: rewrites += 1
                case .halt(let reason): halted = reason
                }
            }
        }

        mutating func settle() {
            while !(journal.isIdle && driver.isIdle && journal.nextDeadline == nil) { step() }
        }

        /// What a start finds, or nil for a halt.
        mutating func recover() -> [RunRecord]? {
            journal = RunJournal(dataID: 7, tunables: tunables)
            requests = []
            recovered = []
            durable = 0
            isReady = false
            journal.recover(into: &requests)
            while !isReady && halted == nil { step() }
            return isReady ? recovered : nil
        }
    }

    /// What was durable survives, in order; a rewrite is there wholly or not at all.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func randomCrashes(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var tunables = JournalTunables()
        tunables.segmentSize = random.int(in: 1...3_000)
        tunables.batchLimit = random.int(in: 1...1_000)
        tunables.readChunk = random.int(in: 60...2_000)
        tunables.markDelay = .microseconds(500)
        var bench = Bench(seed: seed, tunables: tunables)
        var base = bench.recover() ?? []
        for round in 0..<10 {
            // The journal's content after each append, and after the rewrites.
            var states = [base]
            var durableState = 0
            var stateOfSequence: [UInt64: Int] = [:]
            var rewriting: Int?
            var rewrites = bench.rewrites
            for step in 0..<random.int(in: 0...100) {
                switch random.below(6) {
                case 0, 1, 2:
                    let size = random.int(in: 0...90)
                    let record = RunRecord(
                        kind: UInt8(round), key: [UInt8(step)],
                        payload: [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: size))
                    let sequence = bench.journal.append(record)
                    states.append(states[states.count - 1] + [record])
                    stateOfSequence[sequence] = states.count - 1
                    bench.journal.flush(into: &bench.requests)
                case 3 where rewriting == nil && random.chance(1, 4):
                    let live = states[states.count - 1].filter { _ in random.chance(1, 3) }
                    bench.journal.rewrite(live, into: &bench.requests)
                    states.append(live)
                    rewriting = states.count - 1
                default:
                    for _ in 0..<random.int(in: 1...8) { bench.step() }
                }
                if let state = stateOfSequence[bench.durable], state > durableState {
                    durableState = state
                }
                if bench.rewrites > rewrites, let state = rewriting {
                    durableState = max(durableState, state)
                    rewrites = bench.rewrites
                    rewriting = nil
                }
            }
            if random.chance(1, 3) {
                bench.settle()
                durableState = states.count - 1
            }
            #expect(bench.halted == nil)
            bench.driver.crash(power: random.chance(2, 3))
            let outcome = bench.recover()
            let found = try #require(outcome, "\(bench.halted ?? "")")
            let state = states.lastIndex(of: found)
            #expect(state != nil && state! >= durableState)
            base = found
        }
    }

    @Test func aRewriteFreesTheSpace() {
        var tunables = JournalTunables()
        tunables.segmentSize = 1_000
        tunables.rewriteSize = 5_000
        var bench = Bench(seed: 1, tunables: tunables)
        _ = bench.recover()
        let record = RunRecord(kind: 1, key: [1], payload: [UInt8](repeating: 1, count: 200))
        for _ in 0..<40 {
            bench.journal.append(record)
            bench.journal.flush(into: &bench.requests)
            bench.settle()
        }
        #expect(bench.journal.wantsRewrite(liveBytes: 300))
        #expect(!bench.journal.wantsRewrite(liveBytes: 9_000))
        bench.journal.rewrite([record], into: &bench.requests)
        bench.settle()
        #expect(bench.rewrites == 1 && bench.journal.byteCount < 500)
        #expect(bench.driver.disk.names(in: .runs).count == 1)
        bench.driver.crash(power: true)
        let recovered = bench.recover()
        #expect(recovered == [record])
    }
}
