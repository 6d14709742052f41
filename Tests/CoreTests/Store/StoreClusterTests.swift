import Testing

@testable import Core

/// What concerns the cluster as a whole: levels, nodes, recovery, rewinding.
@Suite struct StoreClusterTests {
    private func fixture(level: UInt32 = FeatureLevel.newest) -> StoreFixture {
        var fixture = StoreFixture()
        fixture.apply(.raiseLevel(level))
        return fixture
    }

    @Test func aStateOfTheFirstLevelIsWrittenAsServersOfThatLevelDo() throws {
        let fixture = StoreFixture()
        let first = try #require(fixture.store.bytes(Key.cluster))
        #expect(first.first == 1)
        var raised = fixture
        raised.apply(.raiseLevel(FeatureLevel.second))
        let second = try #require(raised.store.bytes(Key.cluster))
        #expect(second.first == 2)
        #expect(ClusterState(stored: first).featureLevel == FeatureLevel.first)
        #expect(ClusterState(stored: second).featureLevel == FeatureLevel.second)
        raised.apply(.raiseLevel(FeatureLevel.first))
        #expect(raised.store.cluster.featureLevel == FeatureLevel.second, "it never goes back")
        #expect(raised.store.refusal(knowing: FeatureLevel.second) == nil)
        #expect(raised.store.refusal(knowing: FeatureLevel.first)?.contains("level 2") ?? false)
    }

    @Test func drainedNodesAreInOrderAndEachOnce() {
        var fixture = fixture()
        for name in ["b", "a", "c", "a"] { fixture.apply(.drain(NodeName(name), true)) }
        #expect(fixture.store.cluster.drained.map(\.text) == ["a", "b", "c"])
        fixture.apply(.drain(NodeName("b"), false))
        fixture.apply(.drain(NodeName("x"), false))
        #expect(fixture.store.cluster.drained.map(\.text) == ["a", "c"])
    }

    @Test func nodesAreRememberedUntilTheyAreGone() {
        var fixture = fixture()
        let tags = [Setting(name: "kind", value: "worker")]
        let nodes = ["b", "a"].enumerated().map {
            KnownNode(name: NodeName($1), id: DataID($0), tags: tags)
        }
        fixture.apply(.nodes(nodes, gone: []))
        #expect(fixture.store.knownNodes.map(\.name.text) == ["a", "b"])
        #expect(fixture.store.knownNode(NodeName("b"))?.tag("kind") == "worker")
        fixture.apply(.nodes([], gone: [NodeName("a"), NodeName("never")]))
        #expect(fixture.store.knownNodes.map(\.name.text) == ["b"])
    }

    @Test func whatWasDecidedForAnotherDataDirectoryIsToldApart() {
        var fixture = fixture()
        let name = NodeName("n1")
        func node(_ id: DataID) -> KnownNode { KnownNode(name: name, id: id, tags: []) }
        func run(at second: Int64) -> ExecutionKey {
            fixture.decide("a", [(second, fixture.run)])
            return fixture.launched[0].key
        }
        fixture.put("a", schedule: "@every 1s")
        fixture.apply(.nodes([node(1)], gone: []))
        let first = run(at: 1_000_001)
        #expect(!fixture.store.isOfFormerJournal(first, on: name))
        // It was away, and is the same.
        fixture.apply(.nodes([], gone: [name]))
        fixture.apply(.nodes([node(1)], gone: []))
        #expect(!fixture.store.isOfFormerJournal(first, on: name))
        fixture.apply(.nodes([], gone: [name]))
        #expect(fixture.store.knownNode(name) == nil)
        fixture.apply(.nodes([node(2)], gone: []))
        #expect(fixture.store.isOfFormerJournal(first, on: name))
        let second = run(at: 1_000_002)
        #expect(!fixture.store.isOfFormerJournal(second, on: name))
        // Who is gone for long is forgotten.
        fixture.apply(.nodes([], gone: [name]))
        fixture.wait(KnownNode.memory + .seconds(1))
        fixture.apply(.nodes([], gone: []))
        #expect(fixture.store.rememberedNode(name) == nil)
    }

    @Test func anOldClusterRemembersNodesAsItDid() {
        var fixture = fixture(level: FeatureLevel.second)
        let name = NodeName("n1")
        fixture.apply(.nodes([KnownNode(name: name, id: 1, tags: [])], gone: []))
        fixture.apply(.nodes([KnownNode(name: name, id: 2, tags: [])], gone: []))
        #expect(fixture.store.rememberedNode(name)?.lastFormerNumber == 0)
        fixture.apply(.nodes([], gone: [name]))
        #expect(fixture.store.rememberedNode(name) == nil)
    }

    @Test func aClusterIsSucceededByWhatCameOutOfItAndByNothingElse() {
        let first = ClusterSuccession.successor(of: "c", salt: 1)
        let other = ClusterSuccession.successor(of: "c", salt: 2)
        let second = ClusterSuccession.successor(of: first, salt: 3)
        #expect(ClusterSuccession.isSuccessor(first, of: "c"))
        #expect(ClusterSuccession.isSuccessor(second, of: "c"))
        #expect(ClusterSuccession.isSuccessor(second, of: first))
        #expect(!ClusterSuccession.isSuccessor("c", of: first))
        #expect(!ClusterSuccession.isSuccessor(first, of: other), "two recoveries of one")
        #expect(!ClusterSuccession.isSuccessor(first, of: "d"))
        #expect(second.utf8.count <= PeerHello.mostClusterBytes)
        var fixture = StoreFixture()
        fixture.apply(.succeed(clusterID: ClusterSuccession.successor(of: "d", salt: 1)))
        #expect(fixture.store.cluster.clusterID == "c")
        fixture.apply(.succeed(clusterID: first))
        #expect(fixture.store.cluster.clusterID == first)
        #expect(fixture.store.cluster.featureLevel == FeatureLevel.second)
    }

    // MARK: Rewinding

    private func ticks(_ fixture: StoreFixture, of name: String) -> [LedgerRow] {
        fixture.store.ledger(of: fixture.state(name).generation, limit: 1_000).map(\.row)
    }

    @Test func cursorsAheadGoBackAndTheirTicksAreDecidedOnceMore() {
        var fixture = fixture()
        fixture.put("ahead", schedule: "@every 1m")
        fixture.put("here", schedule: "@every 1m")
        let now = fixture.stamp
        fixture.stamp = now + .hours(1)
        fixture.decide("ahead", [(1_000_060, fixture.run), (1_000_120, fixture.run)])
        let revision = fixture.state("ahead").revision
        #expect(
            fixture.apply(.rewind(Rewind(time: now))) == .rewound(jobs: 1, next: nil))
        #expect(fixture.store.cluster.lastStamp == now, "new jobs begin at the present")
        #expect(fixture.state("ahead").cursor == now)
        #expect(fixture.state("ahead").revision == revision + 1)
        #expect(fixture.state("here").revision == 1)
        // What was decided stays, and the same instants get another row.
        #expect(ticks(fixture, of: "ahead").count == 2)
        fixture.stamp = now + .seconds(60)
        fixture.decide("ahead", [(1_000_060, .skip(.noTarget))])
        let rows = ticks(fixture, of: "ahead")
        #expect(rows.count == 3)
        #expect(rows.count { $0.from == WallTime(seconds: 1_000_060) } == 2)
        #expect(fixture.state("ahead").ledgerRows == 3)
        // Decisions of the revision before are void.
        fixture.decide("ahead", [(1_000_120, fixture.run)], revision: revision)
        #expect(ticks(fixture, of: "ahead").count == 3)
    }

    @Test func aLittleAheadIsRewoundOnlyByName() {
        var fixture = fixture()
        fixture.put("a", schedule: "@every 1s")
        let now = fixture.stamp
        fixture.stamp = now + .seconds(30)
        fixture.decide("a", [(1_000_030, fixture.run)])
        #expect(fixture.apply(.rewind(Rewind(time: now))) == .rewound(jobs: 0, next: nil))
        let named = Rewind(time: now, job: JobName("a"))
        #expect(fixture.apply(.rewind(named)) == .rewound(jobs: 1, next: nil))
        let unknown = Rewind(time: now, job: JobName("b"))
        #expect(fixture.apply(.rewind(unknown)) == .rejected(.unknownJob))
    }

    @Test func pausesThatWereAheadEndAtThePresent() {
        var fixture = fixture()
        let now = fixture.stamp
        fixture.stamp = now + .hours(24)
        fixture.apply(.pause(editsAllowed: false))
        fixture.stamp = now + .hours(25)
        fixture.apply(.unpause)
        fixture.stamp = now + .hours(26)
        fixture.apply(.pause(editsAllowed: true))
        fixture.apply(.rewind(Rewind(time: now)))
        #expect(fixture.store.cluster.pauses == [PauseInterval(from: now, to: nil)])
        #expect(fixture.store.cluster.isPaused)
    }

    @Test func manyJobsAreRewoundASliceAtATime() {
        var fixture = fixture()
        let now = fixture.stamp
        fixture.stamp = now + .hours(1)
        for number in 0..<1_200 { fixture.put("job\(number)", schedule: "@every 1m") }
        var (total, slices) = (UInt32(0), 0)
        var rewind = Rewind(time: now)
        while case .rewound(let jobs, let next) = fixture.apply(.rewind(rewind)) {
            total += jobs
            slices += 1
            guard let next else { break }
            rewind.after = next
        }
        #expect(total == 1_200)
        #expect(slices == 3)
    }
}
