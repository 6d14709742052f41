import Testing

@testable import Core

@Suite("SnapshotStore", .timeLimit(.minutes(5)))
struct SnapshotStoreTests {
    struct Bench {
        var driver: TestDriver
        var store: SnapshotStore
        var tunables = JournalTunables()
        var requests: [StorageRequest] = []
        var actions: [SnapshotAction] = []

        init(seed: UInt64) {
            driver = TestDriver(seed: seed)
            tunables.recordLimit = 4_000
            tunables.readChunk = 100 + Int(seed % 3_000)
            store = SnapshotStore(dataID: 7, tunables: tunables)
        }

        mutating func step() {
            driver.take(&requests)
            guard let (ticket, result) = driver.step() else { return }
            store.handle(result, for: ticket, into: &requests, actions: &actions)
            driver.take(&requests)
        }

        mutating func settle() {
            driver.take(&requests)
            while !driver.isIdle { step() }
        }

        /// What a start finds: head and content, or nil for a halt.
        mutating func recover() -> (head: SnapshotHead?, content: [[UInt8]])? {
            store = SnapshotStore(dataID: 7, tunables: tunables)
            requests = []
            actions = []
            store.recover(into: &requests)
            settle()
            var content: [[UInt8]] = []
            for action in actions {
                switch action {
                case .none: return (nil, [])
                case .slice(let slice): content.append(slice)
                case .loaded(let head): return (head, content)
                case .halt: return nil
                case .opened, .written, .abandoned: continue
                }
            }
            return nil
        }

        mutating func write(_ head: SnapshotHead, _ slices: [[UInt8]], steps: Int = .max) {
            actions = []
            store.begin(head, into: &requests)
            var rest = slices[...]
            var isFinished = false
            var steps = steps
            driver.take(&requests)
            while steps > 0, !isFinished || !driver.isIdle {
                step()
                steps -= 1
                guard store.isWriting else {
                    isFinished = true
                    continue
                }
                if store.wantsSlice, let slice = rest.popFirst() {
                    store.write(slice: slice, into: &requests)
                } else if store.wantsSlice, !isFinished {
                    store.finish(into: &requests)
                    isFinished = true
                }
                driver.take(&requests)
            }
        }
    }

    static func head(_ index: LogIndex) -> SnapshotHead {
        SnapshotHead(
            index: index, term: index / 10, meta: [1, 2, UInt8(truncatingIfNeeded: index)])
    }

    static func slices(_ random: inout PRNG) -> [[UInt8]] {
        (0..<random.int(in: 0...8)).map { _ in
            (0..<random.int(in: 1...900)).map { _ in UInt8(random.below(256)) }
        }
    }

    @Test(arguments: 0..<120 as Range<UInt64>)
    func anOldOrANewOneSurvivesEveryCrash(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed)
        var known: (head: SnapshotHead?, content: [[UInt8]]) = (nil, [])
        _ = bench.recover()
        for index in 1...8 as ClosedRange<LogIndex> {
            let head = Self.head(index * 5)
            let slices = Self.slices(&random)
            bench.write(head, slices, steps: random.chance(1, 2) ? .max : random.int(in: 0...40))
            let isWritten = bench.actions.contains(.written(head))
            bench.driver.crash(power: random.chance(2, 3))
            let outcome = bench.recover()
            let found = try #require(outcome)
            if found.head == head {
                #expect(found.content == slices)
                known = found
            } else {
                #expect(!isWritten)
                #expect(found.head == known.head && found.content == known.content)
            }
            #expect(bench.store.newest == found.head)
            #expect(bench.driver.disk.names(in: .snapshots).count == (found.head == nil ? 0 : 1))
        }
    }

    @Test func damageHalts() throws {
        var random = PRNG(seed: 1)
        var bench = Bench(seed: 1)
        _ = bench.recover()
        bench.write(Self.head(9), Self.slices(&random) + [[1, 2, 3]])
        let file = SnapshotStore.file(9)
        let good = bench.driver.disk.content(file)
        for position in good.indices {
            var bad = good
            bad[position] ^= 0x10
            bench.driver.disk.overwrite(file, bad)
            do {
                let outcome = bench.recover()
                #expect(outcome == nil, "a flip at \(position)")
            }
            guard case .halt(let reason)? = bench.actions.last else {
                Issue.record("no halt for a flip at \(position)")
                continue
            }
            #expect(reason.contains("snapshot-0000000000000009.snap"))
        }
        for length in 0..<good.count {
            bench.driver.disk.overwrite(file, Array(good[..<length]))
            do {
                let outcome = bench.recover()
                #expect(outcome == nil, "cut at \(length)")
            }
        }
        bench.driver.disk.overwrite(file, good + [0])
        do {
            let outcome = bench.recover()
            #expect(outcome == nil)
        }
        bench.driver.disk.overwrite(file, good)
        do {
            let outcome = bench.recover()
            #expect(outcome != nil)
        }
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func aFullDiskCostsOnlyTheSnapshot(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed)
        _ = bench.recover()
        let old = Self.slices(&random)
        bench.write(Self.head(5), old)
        var countdown = random.int(in: 0...12)
        bench.driver.disk.fault = { _, operation in
            if case .remove = operation { return nil }
            countdown -= 1
            return countdown < 0 ? .noSpace : nil
        }
        bench.write(Self.head(10), Self.slices(&random))
        bench.settle()
        let isWritten = bench.actions.contains(.written(Self.head(10)))
        if !isWritten {
            guard case .abandoned? = bench.actions.last else {
                Issue.record("neither written nor abandoned")
                return
            }
            #expect(!bench.store.isWriting)
        }
        bench.driver.disk.fault = { _, _ in nil }
        let slices = Self.slices(&random)
        bench.write(Self.head(15), slices)
        #expect(bench.actions.contains(.written(Self.head(15))))
        let outcome = bench.recover()
        let found = try #require(outcome)
        #expect(found.head == Self.head(15) && found.content == slices)
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func whatIsGivenUpLeavesNothing(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed)
        _ = bench.recover()
        let old = Self.slices(&random)
        bench.write(Self.head(5), old)
        bench.write(Self.head(10), Self.slices(&random), steps: random.int(in: 0...30))
        let wasFinished = !bench.store.isWriting
        bench.store.abandon(into: &bench.requests)
        if random.chance(1, 2) {
            bench.settle()
            // What is being named already stays.
            let isWritten = bench.actions.contains(.written(Self.head(10)))
            #expect(bench.store.newest == Self.head(isWritten ? 10 : 5))
            #expect(!bench.store.isWriting && (!wasFinished || isWritten))
            #expect(bench.driver.disk.names(in: .snapshots).count == 1)
            let slices = Self.slices(&random)
            bench.write(Self.head(15), slices)
            let outcome = bench.recover()
            #expect(outcome?.head == Self.head(15) && outcome?.content == slices)
        } else {
            bench.driver.crash(power: random.chance(1, 2))
            let outcome = bench.recover()
            #expect(outcome?.head == Self.head(5) || outcome?.head == Self.head(10))
        }
    }

    @Test func aFailedSyncHalts() {
        var bench = Bench(seed: 3)
        _ = bench.recover()
        bench.driver.disk.fault = { _, operation in
            if case .sync = operation { .inputOutput } else { nil }
        }
        bench.write(Self.head(5), [[1]], steps: 100)
        guard case .halt? = bench.actions.last else {
            Issue.record("a failed sync must halt")
            return
        }
        #expect(bench.driver.disk.names(in: .snapshots).allSatisfy { $0.name.hasSuffix(".tmp") })
    }
}
