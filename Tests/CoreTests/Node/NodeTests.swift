import Testing

@testable import Core

@Suite struct NodeTests {
    private static let dateJob = """
        {"name": "job1", "schedule": "@every 10s", "tags": {"dkron_server": "true:1"}, \
        "concurrency": "allow", "executor": "shell", "executor_config": {"command": "date"}}
        """

    private func harness(_ tunables: Tunables = Tunables()) -> NodeHarness {
        NodeHarness(tunables: tunables)
    }

    @Test func anEmptyDirectoryBecomesAClusterOfOne() {
        var harness = harness()
        #expect(harness.node.phase == .running)
        #expect(harness.node.raft.isLeading)
        let ready = harness.ask(.get, "/ready")
        #expect(ready.status == 200, "\(ready)")
        #expect(harness.halted == nil)
    }

    @Test func aJobFiresAndItsOutputIsRead() {
        var harness = harness()
        let created = harness.ask(.post, "/v1/jobs", Self.dateJob)
        #expect(created.status == 201, "\(created)")
        harness.advance(.seconds(35))
        #expect(harness.started.count == 3)
        #expect(harness.released.count == 3)
        let list = harness.ask(.get, "/v1/jobs/job1/executions")
        #expect(list.status == 200)
        #expect(list.body.contains("\"output\":\"hello\\n\""), "\(list.body)")
        let ticks = harness.ask(.get, "/v1/jobs/job1/ticks")
        #expect(ticks.status == 200)
        #expect(ticks.body.contains("ran"), "\(ticks.body)")
        #expect(harness.node.runner.heldCount == 0)
    }

    @Test func aRequestOverHTTPIsACallAndItsAnswerTheResult() {
        var harness = harness()
        let created = harness.ask(
            .post, "/v1/jobs",
            #"""
            {"name": "job2", "schedule": "@every 10s", "executor": "http",
             "executor_config": {"url": "http://h/x", "method": "GET"}}
            """#)
        #expect(created.status == 201, "\(created)")
        harness.advance(.seconds(35))
        #expect(harness.called.count == 3)
        #expect(harness.started.isEmpty && harness.released.isEmpty)
        #expect(harness.called[0].exchange.openHeaders["Dkron-Job-Name"] == "job2")
        let list = harness.ask(.get, "/v1/jobs/job2/executions")
        #expect(list.body.contains("\"output\":\"hello\\n\""), "\(list.body)")
        #expect(list.body.contains("\"state\":\"success\""), "\(list.body)")
        #expect(harness.node.runner.heldCount == 0)
    }

    @Test func attemptsAreToldWhereTheyAreMadeAndNewTagsFromTheNextOneOn() throws {
        var harness = NodeHarness(name: "n-1")
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        _ = harness.ask(
            .post, "/v1/jobs",
            #"""
            {"name": "job2", "schedule": "@manually", "executor": "http",
             "executor_config": {"url": "http://h/x", "method": "GET"}}
            """#)
        /// The tags that a command and a request were told.
        func attempt() throws -> [String: String] {
            #expect(harness.ask(.post, "/v1/jobs/job1/run").status == 200)
            #expect(harness.ask(.post, "/v1/jobs/job2/run").status == 200)
            let variables = harness.started.last?.command.environment ?? []
            let headers = harness.called.last?.exchange.openHeaders ?? [:]
            func variable(_ name: String) -> String? { variables.first { $0.name == name }?.value }
            #expect(variable("DKRON_NODE") == "n-1" && headers["Dkron-Node"] == "n-1")
            let text = try #require(variable("DKRON_TAGS"))
            #expect(headers["Dkron-Tags"] == text)
            let document = try JSONDocument(Array(text.utf8))
            var tags: [String: String] = [:]
            for name in ["role", "rack", "region", "server"] {
                tags[name] = document.text(name, of: document.root)
            }
            return tags
        }
        #expect(try attempt() == ["role": "dkron", "region": "global", "server": "true"])
        let tags = [
            TagEntry(name: "role", value: "a \"b\""), TagEntry(name: "rack", value: "é"),
        ]
        harness.feed(.control(.reload(tags: tags, notifications: nil)))
        let expected = ["role": "a \"b\"", "rack": "é", "region": "global", "server": "true"]
        #expect(try attempt() == expected)
        harness.feed(.control(.reload(tags: [], notifications: nil)))
        #expect(try attempt() == ["role": "dkron", "region": "global", "server": "true"])
        #expect(harness.started.count == 3 && harness.called.count == 3)
    }

    @Test func nothingIsLostByARestart() {
        var harness = harness()
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(35))
        let before = harness.ask(.get, "/v1/jobs/job1/executions").body
        let hash = harness.node.store.hash
        harness.restart()
        #expect(harness.node.phase == .running)
        #expect(harness.node.store.hash == hash)
        #expect(harness.ask(.get, "/v1/jobs/job1/executions").body == before)
        harness.advance(.seconds(10))
        #expect(harness.started.count == 4)
    }

    /// What was due meanwhile is not caught up with either.
    @Test func aCopyComesUpPausedIfItIsToldTo() {
        var harness = harness()
        _ = harness.ask(
            .post, "/v1/jobs",
            #"""
            {"name": "job1", "schedule": "@every 10s", "catch_up": "all", "executor": "shell",
             "executor_config": {"command": "date"}}
            """#)
        harness.advance(.seconds(35))
        #expect(harness.started.count == 3)
        harness.now.wall = harness.now.wall + .seconds(60)
        harness.now.monotonic = harness.now.monotonic + .seconds(60)
        harness.restart { $0.startPaused = true }
        harness.advance(.seconds(60))
        #expect(harness.node.store.cluster.isPaused)
        #expect(harness.started.count == 3)
        #expect(harness.logs.contains { $0.message.contains("--start-paused") })
        #expect(harness.ask(.post, "/v1/unpause").status == 200)
        harness.advance(.seconds(10))
        #expect(harness.started.count == 4)
        #expect(harness.ask(.get, "/v1/jobs/job1/ticks").body.contains("the cluster was paused"))
    }

    @Test func snapshotsAndSmallSegmentsKeepEverything() {
        var tunables = Tunables()
        tunables.snapshotBytes = 4_000
        tunables.snapshotSlice = 512
        tunables.journal.segmentSize = 4_096
        var harness = harness(tunables)
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(1_000))
        #expect(harness.started.count == 100)
        let hash = harness.node.store.hash
        let logBytes = harness.files.filter { $0.key.directory == .log }.values.map(\.count)
        #expect(logBytes.reduce(0, +) < 60_000, "\(logBytes)")
        #expect(harness.files.keys.contains { $0.directory == .snapshots })
        harness.restart()
        #expect(harness.node.store.hash == hash)
        let list = harness.ask(.get, "/v1/jobs/job1/executions")
        #expect(list.body.contains("\"output\":\"hello\\n\""))
    }

    @Test func aRunThatIsUnknownAfterARestartIsLostAndNotStartedAgain() {
        var harness = harness()
        harness.exitCode = nil
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(11))
        #expect(harness.started.count == 1)
        harness.restart()
        #expect(harness.adopted == [harness.started[0].execution])
        let list = harness.ask(.get, "/v1/jobs/job1/executions")
        #expect(list.body.contains("\"state\":\"lost\""), "\(list.body)")
        #expect(harness.started.count == 1)
    }

    @Test func lateTicksAfterAGapFollowThePolicy() {
        var harness = harness()
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(5))
        let later = Instant(nanoseconds: harness.now.monotonic.nanoseconds + 100_000_000_000)
        harness.now = Now(
            monotonic: later,
            wall: WallTime(nanoseconds: harness.now.wall.nanoseconds + 100_000_000_000))
        harness.restart()
        harness.settle()
        let ticks = harness.ask(.get, "/v1/jobs/job1/ticks")
        #expect(ticks.body.contains("superseded"), "\(ticks.body)")
        #expect(harness.started.count == 2, "one late launch and one on time")
    }

    @Test func inputsThatFollowEachOtherShareOneWrite() {
        var harness = harness()
        var written: [Int] = []
        let all = 5
        for number in 1...all {
            let body = Self.dateJob.replacing("job1", with: "job\(number)")
            let request = HTTPRequest(
                method: .post, target: "/v1/jobs", headers: [:], body: Array(body.utf8),
                clientAddress: NodeHarness.client)
            var out = Outbox()
            harness.node.step(
                .request(RequestID(UInt64(1_000 + number)), request), isFollowed: number < all,
                at: harness.now, into: &out)
            written.append(
                out.effects.count {
                    if case .store(_, .append(let file, _, _)) = $0 {
                        file.directory == .log
                    } else {
                        false
                    }
                })
        }
        #expect(written == [0, 0, 0, 0, 1])
    }

    @Test func everythingDueIsDecidedBeforeAnythingStarts() {
        var harness = harness()
        let jobs = 1_000
        for number in 0..<jobs {
            let body = Self.dateJob.replacing("job1", with: "job\(number)")
                .replacing("@every 10s", with: "@at 2023-11-14T22:13:50Z")
            _ = harness.ask(.post, "/v1/jobs", body)
        }
        harness.advance(.seconds(60))
        #expect(harness.started.count == jobs)
        #expect(harness.dueAtStarts.allSatisfy { $0 == nil })
    }

    @Test func manyDueTicksDoNotHoldUpWhatIsCommittedForEver() {
        var harness = harness()
        for number in 0..<1_000 {
            let body = Self.dateJob.replacing("job1", with: "job\(number)")
                .replacing("@every 10s", with: "@at 2023-11-14T22:13:50Z")
            _ = harness.ask(.post, "/v1/jobs", body)
        }
        // Each step takes this machine half as long as decisions may hold up the rest.
        harness.stepTime = Duration(nanoseconds: Node.decisionsFirst.nanoseconds / 2)
        harness.advance(.seconds(60))
        #expect(harness.started.count == 1_000)
        #expect(harness.dueAtStarts.first ?? nil != nil, "a start while others are due")
    }

    @Test func anEditThatChangesNoScheduleLeavesWaitingTicksInTheirTurn() {
        var harness = harness()
        harness.exitCode = nil
        let job = { (more: String) in
            #"{"name":"a","schedule":"@every 10s","executor":"shell","concurrency":"forbid","#
                + #""executor_config":{"command":"/bin/true"},"catch_up":"all"\#(more)}"#
        }
        _ = harness.ask(.post, "/v1/jobs", job(""))
        harness.advance(.seconds(35))
        #expect(harness.started.count == 1)
        _ = harness.ask(.post, "/v1/jobs", job(#","owner":"ops""#))
        harness.end(harness.started[0].execution)
        harness.settle()
        harness.advance(.seconds(1))
        // The second of three ticks had its turn; none was written off.
        #expect(harness.started.count == 2)
        let ticks = harness.ask(.get, "/v1/jobs/a/ticks").body
        #expect(!ticks.contains("overlap"), "\(ticks)")
    }

    @Test func anAlmostFullDiskKeepsLittleOfEachOutput() throws {
        var harness = harness()
        harness.output = Array(String(repeating: "0123456789", count: 2_000).utf8)
        harness.space = DiskSpace(free: 4, total: 100)
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(15))
        let low = harness.ask(.get, "/v1/jobs/job1/executions").body
        #expect(low.contains(#""output_truncated":true"#), "\(low.suffix(500))")
        #expect(low.count < 8_000)
        #expect(harness.logs.contains { $0.message.contains("less than 5 %") })
        harness.space = DiskSpace(free: 50, total: 100)
        harness.advance(.seconds(30))
        let list = harness.ask(.get, "/v1/jobs/job1/executions?_end=1").body
        #expect(list.contains(#""output_truncated":false"#))
        #expect(list.count > 20_000)
    }

    @Test func requestsLookAtTheDiskAsCommandsDo() {
        var harness = harness()
        _ = harness.ask(
            .post, "/v1/jobs",
            #"{"name":"web","schedule":"@every 10s","executor":"http","executor_config":"#
                + #"{"method":"GET","url":"http://127.0.0.1:9/"}}"#)
        harness.space = DiskSpace(free: 4, total: 100)
        #expect(!harness.logs.contains { $0.message.contains("less than 5 %") })
        harness.advance(.seconds(15))
        #expect(harness.logs.contains { $0.message.contains("less than 5 %") })
    }

    @Test func retriesWaitAndThenRun() {
        var harness = harness()
        harness.exitCode = 3
        _ = harness.ask(
            .post, "/v1/jobs",
            """
            {"name": "r", "schedule": "@manually", "retries": 2, "executor": "shell", \
            "executor_config": {"command": "false"}}
            """)
        let run = harness.ask(.post, "/v1/jobs/r/run?wait=0")
        #expect(run.status == 202 || run.status == 200, "\(run)")
        harness.advance(.seconds(10))
        #expect(harness.started.count == 3)
        let list = harness.ask(.get, "/v1/jobs/r/executions")
        #expect(list.body.contains("exit status 3"), "\(list.body)")
        #expect(harness.node.store.state(JobName("r"))!.status == .failed)
    }

    @Test func stoppingWaitsForRunsAndThenEndsThem() {
        var harness = harness()
        harness.exitCode = nil
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(11))
        harness.feed(.control(.stop))
        #expect(!harness.hasExited)
        harness.advance(.seconds(30))
        #expect(harness.started.count == 1, "no tick is decided any more")
        harness.end(harness.started[0].execution)
        #expect(harness.hasExited)
    }

    @Test func aStopEndsWhatStillRunsAfterItsTimeOut() {
        var harness = harness()
        harness.exitCode = nil
        _ = harness.ask(.post, "/v1/jobs", Self.dateJob)
        harness.advance(.seconds(11))
        harness.feed(.control(.stop))
        harness.advance(.seconds(61))
        #expect(harness.stopped == [harness.started[0].execution])
        let end = RunEnd(
            cause: .stopped, exitCode: nil, signal: 15, cpuTime: .zero, peakMemory: 0,
            at: harness.now.wall)
        harness.feed(.run(harness.started[0].execution, .ended(end)))
        #expect(harness.hasExited)
        harness.restart()
        let list = harness.ask(.get, "/v1/jobs/job1/executions")
        #expect(list.body.contains("killed: node stopped"), "\(list.body)")
    }

    @Test func aRestoreThatNobodyFinishedIsTakenBackAtTheNextStart() {
        var harness = harness()
        harness.propose(.restorePart(id: 9, jobs: []))
        #expect(harness.node.store.stagedRestores == [9])
        harness.restart()
        #expect(harness.node.store.stagedRestores.isEmpty)
    }

    @Test func anIdleNodeSleeps() {
        var harness = harness()
        _ = harness.ask(
            .post, "/v1/jobs",
            """
            {"name": "m", "schedule": "@manually", "executor": "shell", \
            "executor_config": {"command": "true"}}
            """
        )
        harness.advance(.seconds(5))
        #expect(harness.node.nextDeadline == nil)
    }
}
