import Testing

@testable import Core

@Suite("HistoryStore", .timeLimit(.minutes(5)))
struct HistoryStoreTests {
    struct Bench {
        var driver: TestDriver
        var store: HistoryStore
        var tunables: JournalTunables
        var requests: [StorageRequest] = []
        var actions: [HistoryAction] = []
        /// key → chunk number → (log index, content)
        var model: [ByteKey: [UInt32: (LogIndex, [UInt8])]] = [:]
        var durable: LogIndex = 0
        var halted: String?
        var degraded = 0
        var dropped = 0
        var unreadable = 0
        var restored = 0
        var recovered: HistoryRecovery?

        init(seed: UInt64, tunables: JournalTunables) {
            driver = TestDriver(seed: seed)
            self.tunables = tunables
            store = HistoryStore(dataID: 7, tunables: tunables)
        }

        mutating func step() {
            driver.take(&requests)
            var actions: [HistoryAction] = []
            if let (ticket, result) = driver.step() {
                store.handle(
                    result, for: ticket, at: driver.now, into: &requests, actions: &actions)
            }
            if let due = store.nextDeadline, due <= driver.now {
                store.deadline(at: driver.now, into: &requests)
            }
            driver.take(&requests)
            for action in actions {
                switch action {
                case .recovered(let found): recovered = found
                case .durable(let index): durable = index
                case .degraded: degraded += 1
                case .restored: restored += 1
                case .dropped: dropped += 1
                case .unreadable: unreadable += 1
                case .halt(let reason): halted = reason
                }
            }
        }

        mutating func settle() {
            var steps = 0
            while halted == nil, !(store.isIdle && driver.isIdle && requests.isEmpty) {
                step()
                steps += 1
                invariant(steps < 200_000, "a history without work becomes idle")
            }
            store.checkInvariants()
        }

        mutating func recover(through index: LogIndex) -> Bool {
            driver.crash(power: false)
            store = HistoryStore(dataID: 7, tunables: tunables)
            requests = []
            recovered = nil
            store.recover(through: index, into: &requests)
            while recovered == nil && halted == nil { step() }
            if recovered != nil { store.checkInvariants() }
            return recovered != nil
        }

        /// Every chunk reads back as the model says.
        mutating func expectModel(_ comment: Comment) {
            #expect(store.keyCount == model.count, comment)
            for (key, chunks) in model {
                let pieces = store.pieces(of: key)
                #expect(pieces.count == chunks.count, comment)
                for (piece, number) in zip(pieces, chunks.keys.sorted()) {
                    switch piece {
                    case .memory(let bytes): #expect(bytes == chunks[number]!.1, comment)
                    case .file(let file, let offset, let length):
                        let content = driver.disk.content(file)
                        let end = min(content.count, Int(offset) + length)
                        let bytes = Array(content[min(Int(offset), end)..<end])
                        #expect(HistoryStore.chunk(in: bytes) == chunks[number]!.1, comment)
                    }
                }
            }
        }
    }

    static func tunables(_ random: inout PRNG) -> JournalTunables {
        var tunables = JournalTunables()
        tunables.segmentSize = random.int(in: 1...3_000)
        tunables.batchLimit = random.int(in: 1...2_000)
        tunables.recordLimit = 100_000
        tunables.readChunk = random.int(in: 60...3_000)
        tunables.compactionPercent = random.int(in: 0...80)
        tunables.retryDelay = .milliseconds(3)
        return tunables
    }

    /// Nothing that was durable is lost, and what was forgotten stays forgotten once its owner says
    /// so, over crashes, full disks and compaction.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func randomHistories(seed: UInt64) throws {
        try Self.liveRandomly(seed, syncsFail: false)
    }

    /// The same where syncs fail and forget what they should have written.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func randomHistoriesWithFailingSyncs(seed: UInt64) throws {
        try Self.liveRandomly(seed, syncsFail: true)
    }

    static func liveRandomly(_ seed: UInt64, syncsFail: Bool) throws {
        var random = PRNG(seed: seed)
        var bench = Bench(seed: seed, tunables: Self.tunables(&random))
        let isEmptyRecovered = bench.recover(through: 0)
        #expect(isEmptyRecovered)
        // The commands that have been applied, and their number at the last snapshot.
        var log: [(ByteKey, UInt32, [UInt8]?)] = []
        var snapshot = 0
        var lives = [Int](repeating: 0, count: 12)
        func apply(_ entry: (ByteKey, UInt32, [UInt8]?), at index: Int, _ bench: inout Bench) {
            if let bytes = entry.2 {
                bench.store.append(
                    index: LogIndex(index), key: entry.0, chunk: entry.1, bytes: bytes)
                bench.model[entry.0, default: [:]][entry.1] = (LogIndex(index), bytes)
            } else {
                bench.store.remove(entry.0)
                bench.model[entry.0] = nil
            }
        }
        for _ in 0..<8 {
            if syncsFail {
                bench.driver.disk.fault = { random, operation in
                    switch operation {
                    case .sync: random.chance(1, 12) ? .inputOutput : nil
                    default: nil
                    }
                }
            }
            for _ in 0..<random.int(in: 0...80) where bench.halted == nil {
                switch random.below(10) {
                case 0..<4:
                    // A key that was removed never comes back.
                    let slot = random.int(in: 0..<12)
                    let key = ByteKey([UInt8(slot), UInt8(lives[slot])])
                    let bytes = (0..<random.int(in: 0...400)).map { _ in UInt8(random.below(256)) }
                    let isRemoval = random.chance(1, 5)
                    if isRemoval { lives[slot] += 1 }
                    log.append((key, UInt32(random.below(3)), isRemoval ? nil : bytes))
                    apply(log[log.count - 1], at: log.count, &bench)
                    bench.store.flush(into: &bench.requests)
                case 4:
                    bench.store.sync(through: LogIndex(log.count), into: &bench.requests)
                default: for _ in 0..<random.int(in: 1...6) { bench.step() }
                }
            }
            if !syncsFail, random.chance(1, 3) {
                var countdown = random.int(in: 0...20)
                bench.driver.disk.fault = { random, operation in
                    switch operation {
                    case .append, .create:
                        countdown -= 1
                        return countdown < 0 && countdown > -12 && random.chance(1, 2)
                            ? .noSpace : nil
                    default: return nil
                    }
                }
            }
            if random.chance(1, 2) { bench.settle() }
            if bench.halted == nil { bench.expectModel("running") } else { #expect(syncsFail) }
            if syncsFail { bench.driver.disk.fault = { _, _ in nil } }
            bench.halted = nil
            // A snapshot is taken only of what the history holds durably.
            snapshot = Int(max(LogIndex(snapshot), bench.durable))
            bench.driver.crash(power: random.chance(2, 3))
            let isRecovered = bench.recover(through: LogIndex(snapshot))
            try #require(isRecovered, "\(bench.halted ?? "")")
            // What was applied after the snapshot is applied again. Chunks that one of those
            // entries removed may be gone already; chunks of keys removed before may be back.
            bench.model = [:]
            for (index, entry) in log.enumerated() {
                if index >= snapshot {
                    apply(entry, at: index + 1, &bench)
                } else if let bytes = entry.2 {
                    bench.model[entry.0, default: [:]][entry.1] = (LogIndex(index + 1), bytes)
                } else {
                    bench.model[entry.0] = nil
                }
            }
            let alive = bench.model
            var next: ByteKey?
            repeat {
                next = bench.store.retain(from: next, limit: 3) { alive[$0] != nil }
            } while next != nil
            bench.store.flush(into: &bench.requests)
            bench.expectModel("replayed")
        }
        expectOrderAtRest(&bench)
    }

    /// At rest no closed segment is mostly dead, and when nothing lives nothing is kept.
    static func expectOrderAtRest(_ bench: inout Bench) {
        bench.driver.disk.fault = { _, _ in nil }
        bench.settle()
        bench.expectModel("at rest")
        for segment in bench.store.segments where segment.number != bench.store.active?.number {
            #expect(
                segment.live * 100 >= segment.written * UInt64(bench.tunables.compactionPercent))
            #expect(segment.live > 0)
        }
        for key in Array(bench.model.keys) { bench.store.remove(key) }
        bench.model = [:]
        bench.store.flush(into: &bench.requests)
        bench.settle()
        #expect(bench.store.liveBytes == 0 && bench.store.segments.count <= 1)
    }

    @Test func aFullDiskIsReportedOnceAndWaitedOut() {
        var bench = Bench(seed: 5, tunables: JournalTunables())
        do {
            let isRecovered = bench.recover(through: 0)
            #expect(isRecovered)
        }
        bench.driver.disk.fault = { _, operation in
            if case .append = operation { .noSpace } else { nil }
        }
        for index in 1...20 as ClosedRange<LogIndex> {
            bench.store.append(index: index, key: ByteKey([1]), chunk: UInt32(index), bytes: [9])
            bench.model[ByteKey([1]), default: [:]][UInt32(index)] = (index, [9])
            bench.store.flush(into: &bench.requests)
            for _ in 0..<5 { bench.step() }
        }
        bench.store.sync(through: 20, into: &bench.requests)
        for _ in 0..<200_000 { bench.step() }
        #expect(bench.degraded == 1 && bench.restored == 0 && bench.durable == 0)
        #expect(bench.store.queuedBytes > 0)
        bench.expectModel("full")
        bench.driver.disk.fault = { _, _ in nil }
        bench.settle()
        #expect(bench.restored == 1 && bench.durable == 20 && bench.store.queuedBytes == 0)
        bench.expectModel("restored")
    }

    @Test func beyondItsLimitTheOldestOutputsGo() {
        var bench = Bench(seed: 5, tunables: JournalTunables())
        _ = bench.recover(through: 0)
        bench.store.limit = 100_000
        let keys = (0..<200).map { ByteKey([UInt8($0)]) }
        for (number, key) in keys.enumerated() {
            let bytes = [UInt8](repeating: UInt8(number), count: 5_000)
            bench.store.append(index: LogIndex(number + 1), key: key, chunk: 0, bytes: bytes)
            bench.store.flush(into: &bench.requests)
            bench.settle()
            // A segment more may be on its way.
            #expect(bench.store.byteCount <= 100_000 + 2 * 13_000)
        }
        bench.store.checkInvariants()
        let kept = keys.map { bench.store.contains($0) }
        let first = kept.firstIndex(of: true) ?? 0
        #expect(first > 150, "the old ones went")
        #expect(first < 190, "no more than needed went")
        #expect(kept[first...].allSatisfy { $0 }, "and only the old ones")
        #expect(bench.dropped == first)
        #expect(bench.halted == nil)
    }

    /// Twenty outputs in files of four.
    private func written() -> (bench: Bench, keys: [ByteKey]) {
        var tunables = JournalTunables()
        tunables.segmentSize = 20_000
        tunables.compactionPercent = 60
        var bench = Bench(seed: 5, tunables: tunables)
        _ = bench.recover(through: 0)
        let keys = (0..<20).map { ByteKey([UInt8($0)]) }
        for (number, key) in keys.enumerated() {
            let bytes = [UInt8](repeating: UInt8(number), count: 5_000)
            bench.store.append(index: LogIndex(number + 1), key: key, chunk: 0, bytes: bytes)
            bench.model[key] = [0: (LogIndex(number + 1), bytes)]
            bench.store.flush(into: &bench.requests)
            bench.settle()
        }
        return (bench, keys)
    }

    private func damage(_ position: Int, _ bench: inout Bench) {
        let oldest = bench.driver.disk.names(in: .history).min { $0.name < $1.name }!
        var bytes = bench.driver.disk.content(oldest)
        bytes[position] ^= 1
        bench.driver.disk.overwrite(oldest, bytes)
    }

    @Test(arguments: [3, 6_000, nil])
    func whatIsToGoGoesUnread(position: Int?) {
        var (bench, keys) = written()
        if let position {
            damage(position, &bench)
        } else {
            bench.driver.disk.fault = { _, operation in
                if case .read = operation { .inputOutput } else { nil }
            }
        }
        bench.store.limit = bench.store.byteCount - 1
        bench.store.flush(into: &bench.requests)
        bench.settle()
        #expect(bench.halted == nil)
        #expect(bench.unreadable == 1)
        #expect(bench.store.byteCount <= bench.store.limit)
        #expect(!bench.store.contains(keys[0]))
        #expect(bench.store.contains(keys[19]))
        #expect(bench.dropped == 20 - bench.store.keyCount)
    }

    @Test(arguments: [3, 6_000, nil])
    func aFileThatIsOnlyPartlyReadableStaysAndServesTheRest(position: Int?) {
        var (bench, keys) = written()
        if let position {
            damage(position, &bench)
        } else {
            bench.driver.disk.fault = { _, operation in
                if case .read = operation { .inputOutput } else { nil }
            }
        }
        let oldest = bench.driver.disk.names(in: .history).min { $0.name < $1.name }!
        // One before the damage remains, and one behind it.
        for key in keys[1...2] {
            bench.store.remove(key)
            bench.model[key] = nil
        }
        bench.store.flush(into: &bench.requests)
        bench.settle()
        #expect(bench.halted == nil)
        #expect(bench.unreadable == 1)
        #expect(bench.driver.disk.names(in: .history).contains(oldest))
        bench.expectModel("what can be read is there")
        // Empty it goes without having been read.
        for key in [keys[0], keys[3]] { bench.store.remove(key) }
        bench.store.flush(into: &bench.requests)
        bench.settle()
        #expect(!bench.driver.disk.names(in: .history).contains(oldest))
        #expect(bench.halted == nil)
    }

    @Test func aFailedSyncHalts() {
        var bench = Bench(seed: 5, tunables: JournalTunables())
        do {
            let isRecovered = bench.recover(through: 0)
            #expect(isRecovered)
        }
        bench.store.append(index: 1, key: ByteKey([1]), chunk: 0, bytes: [9])
        bench.store.flush(into: &bench.requests)
        bench.settle()
        bench.driver.disk.fault = { _, operation in
            if case .sync = operation { .noSpace } else { nil }
        }
        bench.store.sync(through: 1, into: &bench.requests)
        bench.settle()
        #expect(bench.halted != nil && bench.durable == 0)
    }

    /// Damage to what was durable is found at start, or at the latest when the chunk is read.
    @Test func damageIsNeverServed() {
        var random = PRNG(seed: 9)
        var tunables = JournalTunables()
        tunables.segmentSize = 600
        var bench = Bench(seed: 9, tunables: tunables)
        do {
            let isRecovered = bench.recover(through: 0)
            #expect(isRecovered)
        }
        for index in 1...12 as ClosedRange<LogIndex> {
            let bytes = (0..<100).map { _ in UInt8(random.below(256)) }
            bench.store.append(index: index, key: ByteKey([UInt8(index)]), chunk: 0, bytes: bytes)
            bench.model[ByteKey([UInt8(index)])] = [0: (index, bytes)]
            bench.store.flush(into: &bench.requests)
            bench.settle()
        }
        bench.store.sync(through: 12, into: &bench.requests)
        bench.settle()
        let model = bench.model
        let disk = bench.driver.disk
        var halts = 0
        for file in disk.names(in: .history) {
            for position in disk.content(file).indices where position % 3 == 0 {
                bench.driver.disk = disk
                var bad = disk.content(file)
                bad[position] ^= 0x40
                bench.driver.disk.overwrite(file, bad)
                bench.halted = nil
                guard bench.recover(through: 12) else {
                    halts += 1
                    continue
                }
                #expect(bench.store.keyCount == model.count, "\(file.name) at \(position)")
                for (key, chunks) in model {
                    guard
                        case .file(let file, let offset, let length) = bench.store.pieces(of: key)[
                            0]
                    else { continue }
                    let end = Int(offset) + length
                    let bytes = Array(bench.driver.disk.content(file)[Int(offset)..<end])
                    let chunk = HistoryStore.chunk(in: bytes)
                    #expect(chunk == nil || chunk == chunks[0]!.1)
                }
            }
        }
        #expect(halts > 0)
    }
}
