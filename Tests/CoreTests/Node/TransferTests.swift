import Testing

@testable import Core

/// A server that the log can't help any more gets the live state and the outputs.
@Suite struct TransferTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1s","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    /// Everything is small, so that little work makes much of it.
    static var small: Tunables {
        var tunables = Tunables()
        tunables.snapshotBytes = 3_000
        tunables.snapshotSlice = 600
        tunables.journal.segmentSize = 3_000
        tunables.raft.cacheBytes = 2_000
        return tunables
    }

    /// Three servers, one of which was cut off until the others had forgotten what it needs.
    static func behind() throws -> (cluster: ClusterHarness, left: Int) {
        var cluster = ClusterHarness(3, tunables: small)
        for position in cluster.servers.indices {
            cluster.servers[position].output = Array(
                String(repeating: "s\(position) ", count: 90).utf8)
        }
        let leader = try #require(cluster.leader)
        let left = try #require(cluster.followers.first)
        same(cluster.ask(leader, .post, "/v1/jobs", job).status, 201)
        cluster.advance(.milliseconds(4_500))
        cluster.isolated = [left]
        cluster.advance(.seconds(25))
        let last = cluster.servers[left].node.raft.lastIndex
        #expect(cluster.servers[leader].node.raft.memoryBase > last, "it needs a snapshot")
        #expect(cluster.servers[left].node.store.appliedIndex > 0)
        return (cluster, left)
    }

    /// The outputs that a server shows of its own state.
    static func outputs(_ cluster: inout ClusterHarness, _ position: Int) -> [String: String] {
        let list = cluster.ask(position, .get, "/v1/jobs/a/executions?stale").body
        var found: [String: String] = [:]
        for piece in list.components(after: #""id":""#) {
            let target = "/v1/jobs/a/executions/\(piece)/output?stale"
            let answer = cluster.ask(position, .get, target)
            found[piece] = "\(answer.status) \(answer.body)"
        }
        return found
    }

    static func expectEqualOutputs(_ cluster: inout ClusterHarness, _ position: Int) {
        // Nothing new comes in between the questions to the two.
        _ = cluster.ask(cluster.leader!, .post, "/v1/pause")
        cluster.advance(.seconds(2))
        let agree = cluster.agrees()
        #expect(agree)
        let leaders = outputs(&cluster, cluster.leader!)
        let own = outputs(&cluster, position)
        #expect(leaders.count > 20)
        #expect(own == leaders)
        // What is meant for a server that is away has printed nothing yet.
        #expect(leaders.values.allSatisfy { $0.hasPrefix("200 ") })
        #expect(leaders.values.count { $0.hasPrefix("200 s") } > 40)
    }

    @Test func aFollowerThatStartsAgainForgetsTheOutputsOfWhatWasDeletedBefore() throws {
        var tunables = Self.small
        tunables.journal.segmentSize = 20_000
        var cluster = ClusterHarness(3, tunables: tunables)
        let leader = try #require(cluster.leader)
        let follower = try #require(cluster.followers.first)
        same(cluster.ask(leader, .post, "/v1/jobs", Self.job).status, 201)
        cluster.advance(.seconds(10))
        same(cluster.ask(leader, .post, "/v1/jobs/a/toggle").status, 200)
        cluster.advance(.seconds(2))
        #expect(cluster.servers[follower].node.history.keyCount >= 9)
        same(cluster.ask(leader, .delete, "/v1/jobs/a/executions").status, 200)
        cluster.advance(.seconds(1))
        let deleted = cluster.servers[follower].node.store.appliedIndex
        #expect(cluster.servers[follower].node.history.keyCount == 0)
        // A snapshot, after which the log does not tell of the deletion again.
        for number in 0..<40 {
            let job = Self.job.replacing(#""a""#, with: #""b\#(number)""#)
                .replacing("@every 1s", with: "@manually")
            same(cluster.ask(leader, .post, "/v1/jobs", job).status, 201)
        }
        cluster.advance(.seconds(2))
        cluster.restart(follower)
        #expect(cluster.servers[follower].node.recovery.snapshot?.index ?? 0 > deleted)
        #expect(cluster.servers[follower].node.role != .leader)
        #expect(cluster.servers[follower].node.history.keyCount == 0)
    }

    @Test func aServerThatWasAwayGetsStateAndOutputs() throws {
        var (cluster, left) = try Self.behind()
        cluster.isolated = []
        cluster.advance(.seconds(4))
        let agree = cluster.agrees()
        #expect(agree)
        let events = cluster.servers[left].node.metrics.events
        #expect(events[Int(Mark.snapshotInstalled.rawValue)] == 1)
        Self.expectEqualOutputs(&cluster, left)
        cluster.servers[left].node.history.checkInvariants()
        // What it has outlives it.
        cluster.restart(left)
        #expect(cluster.servers[left].halted == nil)
        cluster.advance(.seconds(3))
        Self.expectEqualOutputs(&cluster, left)
    }

    @Test func aNewServerHasCaughtUpWithStateAndOutputs() throws {
        var (cluster, _) = try Self.behind()
        cluster.isolated = []
        try cluster.addLearner(tunables: Self.small)
        let leader = try #require(cluster.leader)
        let id = cluster.servers[3].id
        #expect(!cluster.servers[leader].node.raft.hasCaughtUp(id))
        var isIn = false
        for _ in 0..<8_000 where !isIn {
            cluster.advance(.milliseconds(1))
            isIn = cluster.servers[leader].node.raft.hasCaughtUp(id)
            if isIn {
                let node = cluster.servers[3].node
                #expect(node.store.counters.jobs == 1)
                #expect(node.history.keyCount >= 20)
            }
        }
        #expect(isIn)
        cluster.servers[leader].change(.promote(id))
        cluster.advance(.seconds(1))
        #expect(cluster.servers[3].node.raft.configuration.isVoter(id))
        Self.expectEqualOutputs(&cluster, 3)
    }

    // MARK: Faults

    /// What the disk of a server that is being brought up to date holds after each operation, as a
    /// process that starts again would find it, and as a machine would.
    private static func disks(
        of left: Int, in cluster: inout ClusterHarness
    ) -> [NodeHarness.Files] {
        let disk = cluster.servers[left].disk
        let platter = Platter(disk.files)
        var found: [NodeHarness.Files] = []
        disk.observe = { operation in
            platter.observe(operation)
            switch operation {
            case .list, .read: break
            default: found += [disk.files, platter.survivors]
            }
        }
        cluster.isolated = []
        let installed = Int(Mark.snapshotInstalled.rawValue)
        for _ in 0..<4_000 where cluster.servers[left].node.metrics.events[installed] == 0 {
            cluster.advance(.milliseconds(1))
        }
        // The log begins anew behind it.
        cluster.advance(.milliseconds(20))
        disk.observe = { _ in }
        return found
    }

    @Test func aCrashAtAnyInstantLeavesTheOldOrTheNew() throws {
        var (cluster, left) = try Self.behind()
        var old = cluster.servers[left]
        old.disk = old.disk.copy()
        old.restart()
        let before = old.node.store
        let term = old.node.raft.hardState.term
        var later = cluster.copy()
        let disks = Self.disks(of: left, in: &cluster)
        #expect(disks.count > 100)
        var new: Store?
        for (number, files) in disks.enumerated() {
            var server = later.servers[left]
            server.disk = NodeHarness.Disk()
            server.disk.files = files
            server.restart()
            #expect(server.halted == nil && server.node.phase == .running, "at \(number)")
            #expect(server.node.raft.hardState.term >= term)
            server.node.history.checkInvariants()
            let store = server.node.store
            if store.appliedIndex == before.appliedIndex {
                #expect(store.hash == before.hash && server.node.history.keyCount < 20)
            } else {
                #expect(new == nil || new!.hash == store.hash)
                #expect(server.node.raft.lastIndex >= store.appliedIndex)
                #expect(server.node.history.keyCount > 20)
                new = store
            }
            guard number % (disks.count / 6) == 0 || number == disks.count - 1 else { continue }
            // Either goes on from there.
            var copy = later.copy()
            copy.servers[left].disk.files = files
            copy.restart(left)
            copy.isolated = []
            copy.advance(.seconds(4))
            Self.expectEqualOutputs(&copy, left)
        }
        #expect(new != nil)
        later.isolated = []
    }

    @Test func aNewLeaderBeginsAnew() throws {
        var (cluster, left) = try Self.behind()
        let first = try #require(cluster.leader)
        // The first one gets half of it through.
        var parts = 0
        cluster.isolated = []
        for _ in 0..<4_000 where parts < 12 {
            cluster.loses = { message in
                guard case .transfer(let transfer) = message, case .part = transfer.body else {
                    return false
                }
                parts += 1
                return parts > 12
            }
            cluster.advance(.milliseconds(1))
        }
        #expect(cluster.servers[left].node.transfers.receiver.ownsSnapshot)
        cluster.isolated = [first]
        cluster.loses = { _ in false }
        cluster.advance(.seconds(4))
        #expect(cluster.leader != first && cluster.leader != nil)
        cluster.isolated = []
        cluster.advance(.seconds(6))
        Self.expectEqualOutputs(&cluster, left)
        let events = cluster.servers[left].node.metrics.events
        #expect(events[Int(Mark.snapshotInstalled.rawValue)] == 1)
        #expect(events[Int(Mark.transferDropped.rawValue)] == 1)
        #expect(
            cluster.servers[left].files.keys.allSatisfy { !$0.name.hasSuffix(".tmp") },
            "nothing half received stays")
    }

    @Test func lostMessagesCostTimeOnly() throws {
        var (cluster, left) = try Self.behind()
        cluster.isolated = []
        var count = 0
        cluster.loses = { message in
            guard case .transfer = message else { return false }
            count += 1
            return count % 3 == 0
        }
        cluster.advance(.seconds(20))
        let isInstalled = cluster.servers[left].node.metrics.events[
            Int(Mark.snapshotInstalled.rawValue)]
        #expect(isInstalled >= 1)
        cluster.loses = { _ in false }
        Self.expectEqualOutputs(&cluster, left)
    }

    @Test func outputsOfWhatWasDeletedMeanwhileGo() throws {
        var (cluster, left) = try Self.behind()
        let keys = cluster.servers[left].node.history.keyCount
        #expect(keys > 3)
        let leader = try #require(cluster.leader)
        same(cluster.ask(leader, .delete, "/v1/jobs/a").status, 200)
        cluster.advance(.seconds(12))
        cluster.isolated = []
        cluster.advance(.seconds(5))
        let agree = cluster.agrees()
        #expect(agree)
        #expect(cluster.servers[left].node.history.keyCount == 0)
        #expect(cluster.servers[left].node.transfers.discarded.isEmpty)
    }
}

extension NodeHarness.Disk {
    fileprivate func copy() -> NodeHarness.Disk {
        let copy = NodeHarness.Disk()
        copy.files = files
        return copy
    }
}

extension ClusterHarness {
    /// The same once more, with disks of its own.
    fileprivate func copy() -> ClusterHarness {
        var copy = self
        for position in servers.indices {
            copy.servers[position].disk = servers[position].disk.copy()
        }
        return copy
    }
}

extension String {
    /// What follows each `mark`, up to the next quotation mark.
    fileprivate func components(after mark: String) -> [String] {
        let bytes = Array(utf8)
        let mark = Array(mark.utf8)
        return bytes.indices.filter { bytes[$0...].starts(with: mark) }.map { start in
            let text = bytes[(start + mark.count)...].prefix { $0 != UInt8(ascii: "\"") }
            return String(decoding: text, as: UTF8.self)
        }
    }
}
