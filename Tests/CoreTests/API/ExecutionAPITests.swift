import Testing

@testable import Core

@Suite("API: executions and ticks")
struct ExecutionAPITests {
    /// Three runs: a success, a failure, one under way.
    private func node() -> APIHarness {
        var node = APIHarness()
        node.put(
            #"{"name":"a","schedule":"@daily","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#)
        for index in 0..<3 {
            node.send(.post, "/v1/jobs/a/run?wait=0")
            node.start(node.launched[index])
            node.wait(.milliseconds(1_500))
            if index == 0 { node.end(node.launched[0], exitCode: 0) }
            if index == 1 { node.end(node.launched[1], .failed, exitCode: 3) }
        }
        return node
    }

    @Test("an execution has Dkron's fields in Dkron's order, then ours")
    func shape() {
        var node = node()
        let assignment = node.launched[0]
        let reply = node.get("/v1/jobs/a/executions/\(assignment.id)")
        #expect(
            reply.text == #"{"id":"\#(assignment.id)","job_name":"a","#
                + #""started_at":"2023-11-14T22:13:20Z","finished_at":"2023-11-14T22:13:21.5Z","#
                + #""success":true,"node_name":"n1","group":\#(assignment.group),"attempt":1,"#
                + #""output_truncated":false,"state":"success","group_id":"\#(assignment.group)","#
                + #""scheduled_at":"2023-11-14T22:13:20Z","exit_code":0}"#)
        #expect(node.get("/v1/jobs/a/executions/1-n1").code == "unknown_execution")
        #expect(node.get("/v1/jobs/z/executions/1-n1").code == "unknown_job")
        let other = "\(assignment.key.number)-n2"
        #expect(node.get("/v1/jobs/a/executions/\(other)").status == 404)
    }

    @Test("lists the newest first, pages and sorts")
    func list() {
        var node = node()
        let ids = node.launched.map(\.id.text)
        let reply = node.get("/v1/jobs/a/executions")
        #expect(reply.each("id") == ids.reversed())
        #expect(reply.headers["X-Total-Count"] == "3")
        #expect(reply.each("state") == ["running", "failed", "success"])
        #expect(reply.each("finished_at")[0] == "0001-01-01T00:00:00Z")
        func listed(_ query: String) -> [String] {
            node.get("/v1/jobs/a/executions?\(query)").each("id")
        }
        #expect(listed("_order=asc") == ids)
        #expect(listed("_start=1&_end=2") == [ids[1]])
        #expect(listed("_start=9") == [])
        #expect(listed("_sort=started_at&_order=ASC") == ids)
        #expect(listed("_sort=finished_at&_order=ASC") == [ids[2], ids[0], ids[1]])
        #expect(node.get("/v1/jobs/a/executions?_sort=output").status == 400)
        #expect(node.get("/v1/jobs/a/executions?output_size_limit=x").status == 400)
        #expect(node.get("/v1/jobs/b/executions").code == "unknown_job")
    }

    @Test("shows what a run under way has printed, cut at a whole character")
    func liveOutput() {
        var node = node()
        node.prints(node.launched[2], Array("abcö".utf8))
        #expect(node.get("/v1/jobs/a/executions/\(node.launched[2].id)")["output"] == #""abcö""#)
        let cut = node.get("/v1/jobs/a/executions?output_size_limit=1&_end=1")
        #expect(cut.each("output") == [""])
        #expect(cut.each("output_truncated") == ["true"])
        #expect(
            node.get("/v1/jobs/a/executions?output_size_limit=3&_end=1").each("output") == ["cö"])
    }

    @Test("shows stored output, from memory and from files, and reads no more than it shows")
    func storedOutput() {
        var node = APIHarness()
        node.put(#"{"name":"o","schedule":"@daily"}"#)
        node.send(.post, "/v1/jobs/o/run?wait=0")
        let run = node.launched[0]
        node.start(run)
        node.output(run, ["one <&>", " two\n", "three\u{0}"])
        node.end(run)
        let path = "/v1/jobs/o/executions/\(run.id)"
        let shown = #""one <&> two\nthree\u0000""#
        #expect(node.get(path)["output"] == shown)
        #expect(node.get(path).text.contains(#"one \u003c\u0026\u003e two"#))
        #expect(node.reads == 0)
        node.writeHistory()
        #expect(node.get(path)["output"] == shown)
        #expect(node.get(path)["output_truncated"] == "false")
        #expect(node.reads == 6)
        let list = node.get("/v1/jobs/o/executions?output_size_limit=4")
        #expect(list.each("output") == ["ree\u{0}"])
        #expect(list.each("output_truncated") == ["true"])
        #expect(node.reads == 7)
        let none = node.get("/v1/jobs/o/executions?output_size_limit=0")
        #expect(none.each("output") == [""])
        #expect(none.each("output_truncated") == ["true"])
        #expect(node.reads == 7)
    }

    @Test("an output that can't be read is told as such")
    func damagedOutput() {
        var node = APIHarness()
        node.put(#"{"name":"o","schedule":"@daily"}"#)
        node.send(.post, "/v1/jobs/o/run?wait=0")
        let run = node.launched[0]
        node.start(run)
        node.output(run, ["one", "two"])
        node.end(run)
        node.writeHistory()
        for file in node.disk.names(in: .history) { node.disk.delete(file) }
        let reply = node.get("/v1/jobs/o/executions/\(run.id)")
        #expect(reply.status == 200)
        #expect(reply["output_error"]?.contains("can't be read") == true)
        #expect(node.get("/v1/jobs/o/executions").status == 200)
        #expect(node.api.pendingRequests == 0)
    }

    @Test("outputs beyond one piece stream, and a client that goes away ends the reading")
    func largeOutputs() {
        var node = APIHarness()
        node.put(#"{"name":"o","schedule":"@daily"}"#)
        let line = String(repeating: "x", count: 60_000)
        for number in 0..<4 {
            node.send(.post, "/v1/jobs/o/run?wait=0")
            let run = node.launched[number]
            node.start(run)
            node.output(run, [line, line])
            node.end(run)
        }
        node.writeHistory()
        let reply = node.get("/v1/jobs/o/executions")
        #expect(reply.pieces == 4)
        #expect(reply.each("output").allSatisfy { $0.utf8.count == 120_000 })
        node.isStalled = true
        let id = node.begin(.get, "/v1/jobs/o/executions")
        #expect(node.replies[id]?.pieces == 1)
        node.abandon(id)
        #expect(node.api.pendingRequests == 0)
    }

    @Test("lists what is running anywhere")
    func busy() {
        var node = node()
        let reply = node.get("/v1/busy")
        #expect(reply.each("id") == [node.launched[2].id.text])
        #expect(reply.headers["X-Total-Count"] == "1")
        node.end(node.launched[2])
        #expect(node.get("/v1/busy").text == "[]")
    }

    @Test("deletes ended executions and resets the counters")
    func delete() {
        var node = node()
        let reply = node.send(.delete, "/v1/jobs/a/executions")
        #expect(reply?.status == 200)
        #expect(reply?["success_count"] == "0")
        #expect(reply?["last_error"] == "null")
        #expect(node.get("/v1/jobs/a/executions").each("id") == [node.launched[2].id.text])
        #expect(node.send(.delete, "/v1/jobs/b/executions")?.status == 404)
    }

    @Test("deleting a job with kill ends its runs")
    func deleteJob() {
        var node = node()
        #expect(node.send(.delete, "/v1/jobs/a?kill=true")?["running"] == "1")
        #expect(node.killed == [node.launched[2].key])
    }

    // MARK: Ticks

    private func tick(
        _ node: inout APIHarness, _ from: Int64, _ to: Int64, _ verdict: JobDecision.Verdict
    ) {
        let state = node.store.state(JobName("t"))!
        let ticks = JobDecision.Ticks(
            from: WallTime(seconds: from), to: WallTime(seconds: to), verdict: verdict)
        let decision = JobDecision(
            job: JobName("t"), generation: state.generation, revision: state.revision,
            ticks: [ticks])
        var events: [StoreEvent] = []
        let command = Command(
            stamp: WallTime(seconds: to + 2), decisions: [decision], body: .decide)
        _ = node.store.apply(command, at: node.store.appliedIndex + 1, into: &events)
        node.tell(events)
    }

    @Test("tells the outcome of each tick, newest first, in words")
    func ticks() {
        var node = APIHarness()
        node.put(#"{"name":"t","schedule":"0 * * * * *"}"#)
        let start: Int64 = 1_700_000_040
        tick(&node, start, start, .run(targets: [NodeName("n1")]))
        tick(&node, start + 60, start + 120, .miss(.window))
        tick(&node, start + 180, start + 180, .skip(.noTarget))
        let reply = node.get("/v1/jobs/t/ticks")
        #expect(reply.each("outcome") == ["skipped", "missed", "ran"])
        #expect(reply.each("reason") == ["no_target", "window", ""])
        #expect(reply.each("late")[2] == "2s")
        #expect(reply.each("trigger") == ["schedule", "schedule", "schedule"])
        #expect(reply.each("text")[2] == "ran 2s late")
        #expect(reply.each("text")[0].hasPrefix("skipped: no node"))
        #expect(reply.headers["X-Total-Count"] == "3")
        #expect(reply.each("from")[1] == "2023-11-14T22:15:00Z")
        #expect(reply.each("to")[1] == "2023-11-14T22:16:00Z")
        #expect(node.get("/v1/jobs/t/ticks?_start=1&_end=2").each("outcome") == ["missed"])
        let from = "from=2023-11-14T22:15:30Z"
        #expect(node.get("/v1/jobs/t/ticks?\(from)").each("outcome") == ["skipped", "missed"])
        let to = "to=2023-11-14T23:15:30+01:00"
        #expect(node.get("/v1/jobs/t/ticks?\(to)").each("outcome") == ["missed", "ran"])
        #expect(node.get("/v1/jobs/t/ticks?from=x").status == 400)
        #expect(
            node.get("/v1/jobs/t/ticks?from=2024-01-01T00:00&to=2023-01-01T00:00").status == 400)
        #expect(node.get("/v1/jobs/u/ticks").code == "unknown_job")
    }

    @Test("runs without a tick are rows too")
    func causes() {
        var node = APIHarness()
        node.put(#"{"name":"p","schedule":"@manually"}"#)
        node.send(.post, "/v1/jobs/p/run?wait=0", headers: ["Idempotency-Key": "k"])
        let reply = node.get("/v1/jobs/p/ticks")
        #expect(reply.each("trigger") == ["request"])
        #expect(reply.each("request_id") == ["key:k"])
        #expect(reply.each("text") == ["ran on request"])
    }

    @Test("ticks of a pause show before they are written down")
    func paused() {
        var node = APIHarness()
        node.put(#"{"name":"t","schedule":"0 * * * * *"}"#)
        node.send(.post, "/v1/pause")
        node.wait(.seconds(180))
        let reply = node.get("/v1/jobs/t/ticks")
        #expect(reply.each("reason") == ["paused"])
        #expect(reply.each("from") == ["2023-11-14T22:14:00Z"])
        #expect(reply.each("to") == ["2023-11-14T22:16:00Z"])
        #expect(reply.headers["X-Total-Count"] == "1")
    }

    @Test("in a pause the next tick is one that is still to come")
    func nextInPause() {
        var node = APIHarness()
        node.put(#"{"name":"t","schedule":"0 * * * * *"}"#)
        node.put(#"{"name":"u","schedule":"0 0 * * * *"}"#)
        #expect(node.get("/v1/jobs/t")["next"] == #""2023-11-14T22:14:00Z""#)
        node.send(.post, "/v1/pause")
        // The last tick that shows as skipped is that of this very moment.
        node.wait(WallTime(seconds: 1_700_000_160) - node.now.wall)
        #expect(node.get("/v1/jobs/t/ticks").each("to") == ["2023-11-14T22:16:00Z"])
        let next = "2023-11-14T22:17:00Z"
        #expect(node.get("/v1/jobs/t")["next"] == "\"\(next)\"")
        #expect(node.get("/v1/jobs").each("next") == [next, "2023-11-14T23:00:00Z"])
        node.wait(.seconds(3_500))
        #expect(
            node.get("/v1/jobs?_sort=next").each("next")
                == ["2023-11-14T23:15:00Z", "2023-11-15T00:00:00Z"])
        node.send(.post, "/v1/unpause")
        #expect(node.get("/v1/jobs/t")["next"] == #""2023-11-14T23:15:00Z""#)
    }
}
