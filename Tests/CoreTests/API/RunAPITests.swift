import Testing

@testable import Core

@Suite("API: runs by hand")
struct RunAPITests {
    private func node(_ more: String = "") -> APIHarness {
        var node = APIHarness()
        node.put(
            #"{"name":"a","schedule":"@daily","executor":"shell","#
                + #""executor_config":{"command":"date"}\#(more)}"#)
        return node
    }

    @Test("waits for the end and answers with the job")
    func waits() {
        var node = node()
        let id = node.begin(.post, "/v1/jobs/a/run")
        #expect(node.replies[id] == nil)
        #expect(node.lastLog == "run requested")
        node.wait(.seconds(29))
        node.end(node.launched[0])
        let reply = node.replies[id]
        #expect(reply?.status == 200)
        #expect(reply?["success_count"] == "1")
        #expect(reply?["status"] == #""success""#)
        #expect(reply?.headers["X-Execution-Group"] == "\(node.launched[0].group)")
        #expect(reply?.headers["Location"] == "/v1/jobs/a/run")
        #expect(node.api.pendingRequests == 0)
        #expect(node.api.nextDeadline == nil)
    }

    @Test("answers 202 when the run goes on")
    func goesOn() {
        var node = node()
        let id = node.begin(.post, "/v1/jobs/a")
        node.wait(.seconds(30))
        #expect(node.replies[id]?.status == 202)
        #expect(node.replies[id]?["running"] == "1")
        #expect(node.send(.post, "/v1/jobs/a/run?wait=0")?.status == 202)
        #expect(node.launched.count == 2)
        let short = node.begin(.post, "/v1/jobs/a/run?wait=1500ms")
        node.wait(.seconds(1))
        #expect(node.replies[short] == nil)
        node.wait(.seconds(1))
        #expect(node.replies[short]?.status == 202)
        for wait in ["x", "-1", "99999", "1000000000000"] {
            let reply = node.send(.post, "/v1/jobs/a/run?wait=\(wait)")
            #expect(reply?.status == 400)
            #expect(reply?["field"] == #""wait""#)
        }
    }

    @Test("an idempotency key makes the repeated request the same")
    func idempotency() {
        var node = node()
        let key: HTTPHeaders = ["Idempotency-Key": "k1"]
        let first = node.send(.post, "/v1/jobs/a/run?wait=0", headers: key)
        let again = node.begin(.post, "/v1/jobs/a/run", headers: key)
        #expect(node.launched.count == 1)
        node.end(node.launched[0])
        #expect(node.replies[again]?.status == 200)
        #expect(
            node.replies[again]?.headers["X-Execution-Group"]
                == first?.headers["X-Execution-Group"])
        let late = node.send(.post, "/v1/jobs/a/run", headers: key)
        #expect(late?.status == 200)
        #expect(node.launched.count == 1)
        #expect(
            node.send(.post, "/v1/jobs/a/run", headers: ["Idempotency-Key": ""])?.status == 400)
    }

    @Test("refuses with distinct codes")
    func refusals() {
        var node = node(#","concurrency":"forbid","tags":{"role":"dkron"}"#)
        #expect(node.send(.post, "/v1/jobs/b/run")?.code == "unknown_job")
        node.send(.post, "/v1/jobs/a/run?wait=0")
        let overlap = node.send(.post, "/v1/jobs/a/run?wait=0")
        #expect(overlap?.status == 409)
        #expect(overlap?.code == "overlap")
        node.put(#"{"name":"c","schedule":"@daily","tags":{"role":"web"}}"#)
        let lonely = node.send(.post, "/v1/jobs/c/run")
        #expect(lonely?.status == 409)
        #expect(lonely?.code == "no_target")
        node.send(.post, "/v1/pause")
        #expect(node.send(.post, "/v1/jobs/a/run")?.code == "paused")
        node.send(.post, "/v1/pause?edits=allow")
        #expect(node.send(.post, "/v1/jobs/a/run")?.code == "overlap")
    }

    @Test("a target that vanishes on the way is told as such")
    func vanishedTarget() {
        var node = node()
        node.interference = { $0.members = [] }
        #expect(node.send(.post, "/v1/jobs/a/run")?.code == "no_target")
    }

    @Test("disabled jobs run by hand")
    func disabled() {
        var node = node(#","disabled":true"#)
        #expect(node.send(.post, "/v1/jobs/a/run?wait=0")?.status == 202)
    }

    @Test("a job that is gone when its run ends is told as such")
    func gone() {
        var node = node(#","ephemeral":true"#)
        let id = node.begin(.post, "/v1/jobs/a/run")
        node.end(node.launched[0])
        #expect(node.replies[id]?.status == 200)
        #expect(node.replies[id]?.text == #"{"name":"a","deleted":true}"#)
    }

    @Test("a client that goes away leaves nothing behind")
    func abandoned() {
        var node = node()
        let id = node.begin(.post, "/v1/jobs/a/run")
        node.abandon(id)
        #expect(node.api.pendingRequests == 0)
        #expect(node.api.nextDeadline == nil)
        node.end(node.launched[0])
        #expect(node.replies[id] == nil)
    }

    @Test("kills an execution, and says when there is nothing to kill")
    func kill() {
        var node = node()
        node.send(.post, "/v1/jobs/a/run?wait=0")
        let id = node.launched[0].id
        let reply = node.send(.post, "/v1/jobs/a/executions/\(id)/kill")
        #expect(reply?.status == 202)
        #expect(reply?["id"] == "\"\(id)\"")
        #expect(node.killed == [node.launched[0].key])
        node.end(node.launched[0], .killed)
        #expect(node.send(.post, "/v1/jobs/a/executions/\(id)/kill")?.code == "execution_ended")
        #expect(node.send(.post, "/v1/jobs/a/executions/1-n1/kill")?.code == "unknown_execution")
        #expect(node.send(.post, "/v1/jobs/a/executions/x/kill")?.status == 404)
        #expect(node.send(.post, "/v1/jobs/z/executions/x/kill")?.code == "unknown_job")
    }

    @Test("gives up an execution whose machine is dead")
    func lost() {
        var node = node()
        node.send(.post, "/v1/jobs/a/run?wait=0")
        let id = node.launched[0].id
        let reply = node.send(.post, "/v1/jobs/a/executions/\(id)/lost")
        #expect(reply?.status == 200)
        #expect(reply?["state"] == #""lost""#)
        #expect(reply?["error"]?.contains("10.0.0.9") == true)
        #expect(node.get("/v1/jobs/a")["running"] == "0")
        #expect(node.send(.post, "/v1/jobs/a/executions/\(id)/lost")?.code == "execution_ended")
    }
}
