import Testing

@testable import Core

/// A backup is whole or is refused, and a server that is started on it goes on where it was taken.
@Suite struct BackupTests {
    private static let job = #"""
        {"name":"a","schedule":"@every 10s","executor":"shell","retries":1,
        "executor_config":{"command":"/bin/true"}}
        """#

    /// A node with history on disk and in memory, and a backup of it.
    private func backedUp(
        snapshots: Int = 2_000
    ) -> (harness: NodeHarness, bytes: [UInt8]) {
        var tunables = Tunables()
        tunables.snapshotBytes = snapshots
        tunables.journal.segmentSize = 2_000
        var harness = NodeHarness(tunables: tunables)
        harness.output = Array(String(repeating: "hello ", count: 50).utf8)
        harness.advance(.seconds(1))
        _ = harness.ask(.post, "/v1/jobs", Self.job)
        _ = harness.ask(
            .post, "/v1/jobs",
            #"{"name":"b","parent_job":"a","executor":"shell","executor_config":{"command":"x"}}"#)
        harness.advance(.seconds(95))
        let answer = harness.ask(.get, "/v1/backup")
        #expect(answer.status == 200)
        let bytes = harness.bodies[RequestID(3)] ?? []
        #expect(bytes.count > 2_000, "there is something to damage")
        return (harness, bytes)
    }

    private func read(_ bytes: [UInt8], piece: Int = 1_000) throws(BackupFault) -> Store? {
        var reader = BackupReader()
        var store = Store()
        var rest = bytes[...]
        while !rest.isEmpty {
            try reader.feed(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
            steps: while true {
                switch try reader.next() {
                case .needsBytes: break steps
                case .slice(let records): try? store.restore(slice: records)
                case .end(let hash): return store.hash == hash ? store : nil
                case .head, .output: continue
                }
            }
        }
        throw reader.shortfall
    }

    @Test func itHoldsTheStateOfItsMoment() throws {
        let (harness, bytes) = backedUp()
        let store = try #require(try read(bytes))
        #expect(store.hash == harness.node.store.hash)
        #expect(harness.logs.contains { $0.message == "backup taken" })
    }

    @Test func aServerThatIsStartedOnItGoesOn() throws {
        var (harness, bytes) = backedUp()
        let files = try bytes.recovered(as: "new")
        let jobs = harness.ask(.get, "/v1/jobs").body
        let executions = harness.ask(.get, "/v1/jobs/a/executions").body
        let ticks = harness.ask(.get, "/v1/jobs/a/ticks").body
        #expect(executions.contains("hello hello"))

        var copy = NodeHarness(files: files, at: harness.now)
        #expect(copy.ask(.get, "/v1/jobs").body == jobs)
        #expect(copy.ask(.get, "/v1/jobs/a/executions").body == executions)
        #expect(copy.ask(.get, "/v1/jobs/a/ticks").body == ticks)
        copy.advance(.seconds(20))
        #expect(copy.started.count >= 2, "the schedule goes on")
        #expect(copy.halted == nil)
        copy.restart()
        #expect(copy.halted == nil)
        #expect(copy.ask(.get, "/v1/jobs/b").status == 200)
        #expect(copy.node.clusterID == "new")
        let settings = harness.node.store.cluster.settings
        #expect(copy.node.store.cluster.settings == settings)
    }

    @Test func aSliceKeepsAllButTheNameOfItsCluster() throws {
        let (harness, _) = backedUp()
        var slices = RecordSlices(of: harness.node.store)
        var copy = Store()
        while let slice = slices.next(limit: 300) {
            try copy.restore(slice: Store.slice(slice, ofCluster: "new"))
        }
        copy.finishRestoring(at: harness.node.store.appliedIndex)
        #expect(copy.cluster.clusterID == "new")
        copy.cluster.clusterID = harness.node.store.cluster.clusterID
        copy.persistCluster()
        #expect(copy.hash == harness.node.store.hash)
    }

    @Test func damageIsFoundWhereverItIs() throws {
        let (_, bytes) = backedUp()
        for place in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 400)) {
            var damaged = bytes
            damaged[place] ^= 0x20
            #expect(throws: BackupFault.self, "byte \(place)") { _ = try read(damaged) }
        }
    }

    @Test func recordsOutOfTheirOrderAreRefused() {
        let head = BackupHead(
            index: 1, term: 1, stamp: WallTime(seconds: 1), node: "n", version: "1", jobs: 0)
        var writer = BackupWriter(head, dataID: 1)
        writer.output(
            HistoryFormat.encode(index: 1, number: 0, key: ByteKey([1]), data: Array("x".utf8)))
        writer.slice([])
        writer.finish(.zero)
        #expect(throws: BackupFault.self) { _ = try read(writer.bytes) }
    }

    @Test func aBackupThatWasCutShortIsRefused() throws {
        let (_, bytes) = backedUp()
        for length in stride(from: 0, to: bytes.count - 1, by: max(1, bytes.count / 100)) {
            #expect(throws: BackupFault.self, "\(length) bytes") {
                _ = try read(Array(bytes.prefix(length)))
            }
        }
    }

    @Test func itGoesWithoutAnOutputThatCannotBeRead() throws {
        let (backup, whole) = backedUp()
        var harness = backup
        harness.advance(.seconds(20))
        let file = try #require(
            harness.files.keys.filter { $0.directory == .history && $0.name.hasSuffix(".out") }
                .min { $0.name < $1.name })
        harness.disk.files[file]![100] ^= 1
        #expect(harness.ask(.get, "/v1/backup").status == 200)
        let bytes = harness.bodies[RequestID(4)] ?? []
        #expect(try read(bytes) != nil)
        #expect(harness.logs.contains { $0.message.contains("the backup goes without it") })
        let count = try outputs(bytes)
        #expect(count > 0)
        #expect(count == harness.node.history.keyCount - 1)
        #expect(try outputs(whole) > 0)
    }

    private func outputs(_ bytes: [UInt8]) throws -> Int {
        var reader = BackupReader()
        try reader.feed(bytes)
        var keys: Set<ByteKey> = []
        while true {
            switch try reader.next() {
            case .output(let chunk): keys.insert(chunk.key)
            case .end: return keys.count
            case .needsBytes: throw reader.shortfall
            case .head, .slice: continue
            }
        }
    }

    @Test func theHistoryKeepsItsFilesWhileItIsRead() {
        var history = HistoryHold()
        history.run()
    }
}

extension [UInt8] {
    /// The files that `dkron recover` makes of a backup.
    func recovered(as cluster: String, id: DataID = 7) throws -> NodeHarness.Files {
        let disk = NodeHarness.Disk()
        var installer = BackupInstaller(dataID: id, clusterID: cluster) { disk.perform($0) }
        var reader = BackupReader()
        try reader.feed(self)
        while true {
            switch try reader.next() {
            case .head(let head): try installer.begin(head)
            case .slice(let records): try installer.slice(records)
            case .output(let chunk): try installer.output(chunk)
            case .end:
                try installer.finish()
                return disk.files
            case .needsBytes: throw reader.shortfall
            }
        }
    }
}

/// Chunks are forgotten while a copy of the index is read: the files stay until it is let go.
private struct HistoryHold {
    private let disk = NodeHarness.Disk()
    private var history: HistoryStore
    private var requests: [StorageRequest] = []

    init() {
        var tunables = JournalTunables()
        tunables.segmentSize = 500
        history = HistoryStore(dataID: 1, tunables: tunables)
        history.recover(through: 0, into: &requests)
        pump()
    }

    mutating func run() {
        let keys = (0..<20).map { ByteKey([UInt8($0)]) }
        for (number, key) in keys.enumerated() {
            history.append(
                index: LogIndex(number + 1), key: key, chunk: 0,
                bytes: [UInt8](repeating: 1, count: 200))
            history.flush(into: &requests)
            pump()
        }
        let before = disk.files.count
        let copy = history
        history.isHeld = true
        for key in keys.prefix(15) { history.remove(key) }
        history.flush(into: &requests)
        pump()
        #expect(disk.files.count == before)
        for key in keys {
            for case .file(let file, _, _) in copy.pieces(of: key) {
                #expect(disk.files[file] != nil)
            }
        }
        history.isHeld = false
        history.flush(into: &requests)
        pump()
        #expect(disk.files.count < before)
    }

    private mutating func pump() {
        while !requests.isEmpty {
            let request = requests.removeFirst()
            var actions: [HistoryAction] = []
            history.handle(
                disk.perform(request.operation), for: request.ticket, at: .zero, into: &requests,
                actions: &actions)
        }
    }
}
