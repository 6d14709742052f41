import Testing

@testable import Core

/// Whole servers that form a cluster, without the faults that are the simulator's matter.
@Suite struct ClusterTests {
    private static let job =
        #"{"name":"a","schedule":"@every 1s","executor":"shell","#
        + #""executor_config":{"command":"date"}}"#

    @Test func threeServersElectOneAndHoldTheSame() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        #expect(cluster.servers.count { $0.node.isLeading } == 1)
        same(cluster.ask(leader, .post, "/v1/jobs", Self.job).status, 201)
        cluster.advance(.milliseconds(3_300))
        let agree = cluster.agrees()
        #expect(agree)
        #expect(cluster.servers[leader].started.count >= 2, "the leader runs it")
    }

    @Test func anyServerAnswersAnyRequest() throws {
        var cluster = ClusterHarness(3)
        let follower = try #require(cluster.followers.first)
        same(cluster.ask(follower, .post, "/v1/jobs", Self.job).status, 201)
        let shown = cluster.ask(follower, .get, "/v1/jobs/a")
        #expect(shown.status == 200)
        #expect(shown.body.contains(#""name":"a""#))
        // A list is a stream, handed on piece by piece.
        let list = cluster.ask(follower, .get, "/v1/jobs")
        cluster.advance(.milliseconds(100))
        same(list.status, 200)
        same(cluster.ask(follower, .get, "/v1/jobs/none").status, 404)
        same(cluster.ask(follower, .get, "/v1/jobs/a?stale").status, 200)
        #expect(cluster.ask(follower, .get, "/v1/leader").body.contains("s\(cluster.leader! + 1)"))
        let ran = cluster.ask(follower, .post, "/v1/jobs/a/run")
        same(ran.status, 200)
    }

    /// A piece of a forwarded answer that is lost on the way: the client must not take what it has
    /// for the whole.
    @Test func anAnswerThatLacksAPieceIsCutOff() throws {
        var cluster = ClusterHarness(3)
        let follower = try #require(cluster.followers.first)
        for number in 1...600 {
            let job =
                #"{"name":"job-\#(number)","schedule":"@yearly","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#
            same(cluster.ask(follower, .post, "/v1/jobs", job).status, 201)
        }
        let whole = cluster.ask(follower, .get, "/v1/jobs?_end=600")
        same(whole.status, 200)
        #expect(whole.body.hasSuffix("]\n") || whole.body.hasSuffix("]"))
        for lost in [UInt64(0), 1] {
            cluster.loses = {
                guard case .responseChunk(_, number: lost, _, last: _) = $0 else { return false }
                return true
            }
            let id = cluster.servers[follower].send(.get, "/v1/jobs?_end=600")
            cluster.advance(.seconds(1))
            cluster.loses = { _ in false }
            cluster.advance(.seconds(46))
            #expect(cluster.servers[follower].aborted.contains(id), "without piece \(lost)")
        }
    }

    @Test func aNewLeaderGoesOnWithTheNextTick() throws {
        var cluster = ClusterHarness(3)
        let first = try #require(cluster.leader)
        same(cluster.ask(first, .post, "/v1/jobs", Self.job).status, 201)
        cluster.advance(.milliseconds(2_500))
        cluster.isolated = [first]
        cluster.advance(.seconds(4))
        let second = try #require(cluster.leader)
        #expect(second != first)
        #expect(!cluster.servers[first].node.isLeading, "it knows that it leads nobody")
        // What the first one was told to run stays with it until it is lost; later ticks run here.
        let before = cluster.reachableStarts
        cluster.advance(.milliseconds(3_500))
        #expect(cluster.reachableStarts > before)
        same(cluster.ask(second, .get, "/v1/jobs/a").status, 200)
        // Alone it refuses what it can't know.
        let refused = cluster.ask(first, .get, "/v1/jobs/a")
        same(refused.status, 503)
        #expect(refused.body.contains("stale"))
        same(cluster.ask(first, .get, "/v1/jobs/a?stale").status, 200)
        cluster.isolated = []
        cluster.advance(.seconds(2))
        let agree = cluster.agrees()
        #expect(agree)
    }

    @Test func withoutAMajorityNothingIsAcknowledged() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        cluster.isolated = Set(cluster.followers)
        let id = cluster.servers[leader].send(.post, "/v1/jobs", Self.job)
        cluster.advance(.seconds(3))
        let answer = try #require(cluster.servers[leader].answers[id])
        same(answer.status, 503)
        #expect(cluster.servers[leader].text(id).contains("outcome_unknown"))
        cluster.isolated = []
        cluster.advance(.seconds(3))
        #expect(cluster.leader != nil)
        let agree = cluster.agrees()
        #expect(agree)
    }

    private static let transfers: [TransferMessage.Body] = [
        .offer, .ready(outputsThrough: 7), .taken(8), .over,
        .part(0, .head(SnapshotHead(index: 9, term: 3, meta: [1, 2]))),
        .part(1, .slice([3])), .part(2, .outputs([[4], [], [5, 6]])),
        .part(3, .end(RecordHash(value: 1 << 100))),
    ]

    @Test func messagesSurviveTheirEncoding() throws {
        let request = HTTPRequest(
            method: .other("X"), target: "/a?b", headers: ["A": "b"], body: [1, 2],
            clientAddress: "10.0.0.1:1")
        let id = ForwardID(incarnation: 3, request: RequestID(4))
        let key = ExecutionKey(generation: 5, number: 6)
        let heartbeat = Heartbeat(incarnation: 8, sentAt: Instant(nanoseconds: 9))
        let messages: [PeerMessage] = [
            .raft(RaftMessage(term: 1, body: .timeoutNow)),
            .assignment(.kill(key)), .assignment(.settle(key)),
            .assignment(.leave), .assignment(.farewell), .report(.goodbye),
            .relayedReport(.accepted(key), of: 3), .relayedOrder(.settle(key), to: 4),
            .checkpoint(256, RecordHash(of: [1])), .deviates(256),
            .askTime(Instant(nanoseconds: 4)), .clockIsWrong(by: .seconds(-86_400)),
            .tellTime(WallTime(seconds: 5), askedAt: Instant(nanoseconds: 4)),
            .promise([1, 2, 1 << 100], wantsAnswer: true), .leads(7, cluster: "c"),
            .assignment(.heartbeatHeard(heartbeat)),
            .assignment(.run(RunnerFixture.assignment(9), after: heartbeat)),
            .report(.accepted(key)), .report(.heartbeat(heartbeat)),
            .watchOutput(key, from: 7),
            .printed(PrintedOutput(key: key, total: 9, start: 7, bytes: [1, 2])),
            .report(.news(Report(job: JobName("a"), key: key, news: .lost(reason: "x")))),
            .request(id, request), .requestAbandoned(id), .requestDrained(id, taken: 3),
            .response(id, HTTPResponse(status: 200, headers: ["A": "b"], body: .stream)),
            .response(id, HTTPResponse(status: 503, body: .bytes([7]), close: true)),
            .responseChunk(id, number: 7, [1, 2, 3], last: true),
        ]
        let transfers = Self.transfers.map {
            PeerMessage.transfer(TransferMessage(term: 1, number: 300, body: $0))
        }
        for message in messages + transfers {
            #expect(try PeerMessage(decoding: message.encoded) == message)
            for length in message.encoded.indices {
                #expect(throws: ByteError.self) {
                    try PeerMessage(decoding: Array(message.encoded.prefix(length)))
                }
            }
        }
    }
}

/// Clusters whose states do not agree, which is a bug, or worse.
@Suite struct ClusterStateTests {
    /// Makes the state another one at the same entry.
    private func spoil(_ store: inout Store) throws {
        var other = store
        var events: [StoreEvent] = []
        _ = other.apply(
            Command(stamp: WallTime(seconds: 1_700_000_500), body: .pause(editsAllowed: true)),
            at: store.appliedIndex + 1, into: &events)
        var slices = RecordSlices(of: other)
        var spoiled = Store()
        while let slice = slices.next(limit: 1 << 20) { try spoiled.restore(slice: slice) }
        spoiled.finishRestoring(at: store.appliedIndex)
        store = spoiled
    }

    private func grow(_ cluster: inout ClusterHarness) {
        let leader = cluster.leader ?? 0
        for number in 0..<300 {
            _ = cluster.ask(
                leader, .post, "/v1/jobs",
                #"{"name":"j\#(number)","schedule":"@manually","executor":"shell","#
                    + #""executor_config":{"command":"date"}}"#)
        }
        cluster.advance(.seconds(8))
    }

    /// A job on its way has ticks from now on that nobody sees yet.
    @Test func whatChangesAllJobsWaitsForTheEditsBeforeIt() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        let job =
            #"{"name":"a","schedule":"@every 1s","executor":"shell","#
            + #""executor_config":{"command":"date"}}"#
        let put = cluster.servers[leader].send(.put, "/v1/jobs/a", job)
        let pause = cluster.servers[leader].send(.post, "/v1/pause")
        same(cluster.servers[leader].node.heldEdits.count, 1)
        // What comes behind it keeps its place.
        let delete = cluster.servers[leader].send(.delete, "/v1/jobs/a")
        cluster.advance(.seconds(1))
        #expect(cluster.servers[leader].node.heldEdits.isEmpty)
        same(cluster.servers[leader].answers[put]?.status, 201)
        same(cluster.servers[leader].answers[pause]?.status, 200)
        #expect(cluster.servers[leader].answers[delete] != nil)
        #expect(cluster.servers[leader].node.store.cluster.isPaused)
        let agrees = cluster.agrees()
        #expect(agrees)
    }

    /// Whether its ticks are paused depends on what is on its way for all jobs.
    @Test(arguments: ["/v1/pause", "/v1/unpause"])
    func anEditWaitsForWhatChangesAllJobs(_ change: String) throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        func job(every interval: String) -> String {
            #"{"name":"a","schedule":"@every \#(interval)","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#
        }
        _ = cluster.servers[leader].send(.put, "/v1/jobs/a", job(every: "1s"))
        cluster.advance(.seconds(1))
        if change == "/v1/unpause" {
            _ = cluster.servers[leader].send(.post, "/v1/pause?edits=allow")
            cluster.advance(.seconds(1))
        }
        let first = cluster.servers[leader].send(.post, change)
        let second = cluster.servers[leader].send(.put, "/v1/jobs/a", job(every: "2s"))
        same(cluster.servers[leader].node.heldEdits.count, 1)
        cluster.advance(.seconds(1))
        #expect(cluster.servers[leader].node.heldEdits.isEmpty)
        same(cluster.servers[leader].answers[first]?.status, 200)
        #expect(cluster.servers[leader].answers[second] != nil)
        let agrees = cluster.agrees()
        #expect(agrees)
    }

    @Test func aResultThatIsToldAgainIsInTheLogOnce() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        let key = ExecutionKey(generation: 9, number: 9)
        let result = ExecutionResult(
            state: .success, startedAt: nil, finishedAt: WallTime(seconds: 1), error: "")
        func tell(_ cluster: inout ClusterHarness) -> LogIndex {
            let before = cluster.servers[leader].node.raft.lastIndex
            for news in [.output(chunk: 0, bytes: [1]), .ended(result)] as [Report.News] {
                let report = Report(job: JobName("gone"), key: key, news: news)
                cluster.servers[leader].hear(.news(report), from: "x")
            }
            return cluster.servers[leader].node.raft.lastIndex - before
        }
        // What was printed for a job that is gone is not kept.
        same(tell(&cluster), 1)
        same(tell(&cluster), 0)
        // Once it is applied it may be told for another reason.
        cluster.advance(.seconds(1))
        same(tell(&cluster), 1)
    }

    @Test func aServerThatDiffersFromTheMajorityStops() throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        let wrong = (leader + 1) % 3
        try spoil(&cluster.servers[wrong].node.store)
        grow(&cluster)
        let reason = try #require(cluster.servers[wrong].halted)
        #expect(reason.contains("differs from that of most others"))
        #expect(cluster.servers[leader].halted == nil)
    }

    @Test func aLeaderThatDiffersHandsOverAndStops() throws {
        var cluster = ClusterHarness(3)
        let wrong = try #require(cluster.leader)
        try spoil(&cluster.servers[wrong].node.store)
        grow(&cluster)
        #expect(cluster.servers[wrong].halted != nil)
        cluster.isolated = [wrong]
        cluster.advance(.seconds(3))
        #expect(cluster.leader != nil)
        #expect(cluster.leader != wrong)
    }

    @Test func onlyAMajorityCanTell() {
        var checkpoints = Checkpoints()
        let right = RecordHash(of: [1])
        checkpoints.applied(255, RecordHash(of: [9]))
        checkpoints.applied(256, right)
        func deviants(_ voters: [ServerID]) -> [ServerID]? {
            checkpoints.deviants(at: 256, among: voters, own: 1)
        }
        same(checkpoints.newest?.index, 256)
        same(deviants([1, 2, 3]), nil)
        checkpoints.take(256, RecordHash(of: [2]), of: 2)
        same(deviants([1, 2, 3]), nil)
        same(deviants([1, 2]), nil)
        checkpoints.take(256, right, of: 3)
        same(deviants([1, 2, 3]), [2])
        checkpoints.take(256, RecordHash(of: [2]), of: 3)
        same(deviants([1, 2, 3]), [1])
        // Said of another entry.
        checkpoints.take(512, right, of: 3)
        same(deviants([1, 2, 3]), nil)
    }
}

/// Clusters whose clocks do not agree.
@Suite struct ClusterClockTests {
    @Test func oneWrongClockMovesNothing() throws {
        var cluster = ClusterHarness(3)
        let first = try #require(cluster.leader)
        let right = cluster.servers[first].now.wall
        // The one that leads next is a year ahead.
        let wrong = (first + 1) % 3
        cluster.servers[wrong].now.wall = right + .hours(24 * 365)
        same(cluster.ask(first, .post, "/v1/raft/transfer?to=s\(wrong + 1)").status, 200)
        cluster.advance(.seconds(1))
        same(cluster.leader, wrong)
        // Its stamps follow the two that agree, and it says what is wrong with its own.
        let answer = cluster.ask(
            wrong, .post, "/v1/jobs",
            #"{"name":"a","schedule":"@every 1s","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#)
        same(answer.status, 201)
        let logs = cluster.servers[wrong].logs.filter { $0.level == .warning }
        let warning = try #require(logs.first { $0.message.contains("clock of this") })
        same(warning.fields.first?.value, "8760h0m0s")
        let stamp = cluster.servers[wrong].node.store.cluster.lastStamp
        #expect(stamp - right < .minutes(1))
        #expect(right - stamp < .minutes(1))
    }

    @Test(arguments: [Duration.seconds(50), .hours(5), .seconds(-50)])
    func aStepOfTheLeadersClockMovesNothing(by step: Duration) throws {
        var cluster = ClusterHarness(3)
        let leader = try #require(cluster.leader)
        cluster.advance(.seconds(6))
        let before = cluster.servers[leader].node.time
        cluster.servers[leader].now.wall = cluster.servers[leader].now.wall + step
        // Before anybody has told the time again.
        let answer = cluster.ask(
            leader, .post, "/v1/jobs",
            #"{"name":"a","schedule":"@every 1h","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#)
        same(answer.status, 201)
        let moved = cluster.servers[leader].node.store.cluster.lastStamp - before
        #expect(moved >= .zero && moved < .seconds(1))
    }

    @Test func theMedianIsTheEarlierOfTwo() {
        var clocks = VoterClocks()
        let now = Now(monotonic: Instant(nanoseconds: 9), wall: WallTime(seconds: 1_000))
        func shift(_ voters: [ServerID]) -> Int64? {
            clocks.shift(among: voters, own: 1, at: now)?.wholeSeconds
        }
        same(shift([1]), 0)
        same(shift([1, 2]), nil)
        same(shift([1, 2, 3]), nil)
        clocks.take(now.wall + .seconds(60), of: 2, askedAt: now.monotonic, at: now)
        same(shift([1, 2]), 0)
        same(shift([1, 2, 3]), 0)
        clocks.take(now.wall + .seconds(90), of: 3, askedAt: now.monotonic, at: now)
        same(shift([1, 2, 3]), 60)
        // What was under way for long says nothing.
        let late = Now(monotonic: now.monotonic + .seconds(2), wall: now.wall)
        clocks.take(now.wall + .seconds(5), of: 4, askedAt: now.monotonic, at: late)
        same(shift([1, 4]), nil)
    }
}
