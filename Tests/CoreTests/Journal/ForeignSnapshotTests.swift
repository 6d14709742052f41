import Testing

@testable import Core

/// What a log makes of a snapshot that came from another server.
@Suite struct ForeignSnapshotTests {
    typealias Bench = LogJournalTests.Bench

    /// Entries 1 … `count` of this term, durable.
    private static func bench(_ count: LogIndex, term: Term, seed: UInt64 = 1) -> Bench {
        var bench = Bench(seed: seed, tunables: JournalTunables())
        _ = bench.recover()
        bench.change(.hardState(HardState(term: term, votedFor: [1])))
        for index in 1...count { bench.change(.entry(entry(index, term))) }
        bench.settle()
        return bench
    }

    private static func entry(_ index: LogIndex, _ term: Term) -> LogEntry {
        LogEntry(index: index, term: term, kind: 1, payload: [UInt8(index & 255)])
    }

    /// A crash came when the snapshot was durable and the log had not begun anew.
    private static func restarted(
        _ bench: inout Bench, at index: LogIndex, term: Term
    ) -> [String]? {
        bench.driver.crash(power: true)
        bench.base.snapshot = index
        bench.pendingSnapshot = index
        bench.snapshotTerm = term
        bench.changes = []
        return bench.recover()?.entries.map { "\($0.index)/\($0.term)" }
    }

    @Test func entriesBehindAnotherEntryAreVoid() {
        var bench = Self.bench(10, term: 3)
        same(Self.restarted(&bench, at: 8, term: 5), [])
        #expect(bench.journal.lastIndex == 8)
        #expect(bench.recovered.hardState == HardState(term: 3, votedFor: [1]))
        bench.journal.append(Self.entry(9, 5))
        bench.settle()
        same(Self.restarted(&bench, at: 8, term: 5), ["9/5"])
        // The old ones never come back, whatever the next snapshot is.
        same(Self.restarted(&bench, at: 9, term: 5), [])
    }

    @Test func entriesBehindTheSameEntryStay() {
        var bench = Self.bench(10, term: 3)
        same(Self.restarted(&bench, at: 8, term: 3), ["9/3", "10/3"])
        same(Self.restarted(&bench, at: 10, term: 3), [])
        same(Self.restarted(&bench, at: 30, term: 4), [])
        #expect(bench.journal.lastIndex == 30)
    }

    @Test func entriesThatWereTakenBackDoNotCount() {
        var bench = Self.bench(10, term: 3)
        bench.change(.truncate(8))
        bench.change(.entry(Self.entry(8, 5)))
        bench.change(.entry(Self.entry(9, 5)))
        bench.settle()
        same(Self.restarted(&bench, at: 8, term: 5), ["9/5"])
        // And nothing of an older term was handed out behind it on the way.
        #expect(bench.isContiguous)
    }

    @Test func whatIsNotOnTheDiskYetIsNotDurable() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var bench = Self.bench(30, term: 3, seed: seed)
            // In flight when the log begins anew, with an index that the new log has, too.
            bench.journal.append(Self.entry(31, 3))
            bench.journal.flush(into: &bench.requests)
            bench.journal.restart(after: 20)
            bench.journal.append(Self.entry(21, 5))
            bench.journal.flush(into: &bench.requests)
            var seen: [LogIndex] = []
            for _ in 0..<200 {
                bench.step()
                if seen.last != bench.durableIndex { seen.append(bench.durableIndex) }
            }
            same(seen, [30, 20, 21])
        }
    }

    @Test func oldSegmentsGoWhenTheNewBeginningIsDurable() {
        var tunables = JournalTunables()
        tunables.segmentSize = 300
        var bench = Bench(seed: 3, tunables: tunables)
        _ = bench.recover()
        for index in 1...60 as ClosedRange<LogIndex> {
            bench.change(.entry(Self.entry(index, 3)))
            if index % 5 == 0 { bench.settle() }
        }
        let before = bench.driver.disk.names(in: .log).count
        #expect(before > 5)
        bench.journal.restart(after: 100)
        bench.settle()
        #expect(bench.driver.disk.names(in: .log).count <= 2)
        same(Self.restarted(&bench, at: 100, term: 4), [])
    }
}
