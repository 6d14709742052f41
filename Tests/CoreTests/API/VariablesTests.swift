import Testing

@testable import Core

@Suite("API: variables")
struct VariablesTests {
    @Test("counters as JSON, and nothing of what jobs do")
    func variables() throws {
        var node = NodeHarness()
        _ = node.ask(
            .post, "/v1/jobs",
            #"{"name":"secret-job","schedule":"@every 10s","executor":"shell","#
                + #""executor_config":{"command":"use hunter2"}}"#)
        node.advance(.seconds(25))
        let answer = node.ask(.get, "/debug/vars")
        #expect(answer.status == 200)
        let json = try JSONDocument(Array(answer.body.utf8))
        func number(_ name: String) -> Int64? {
            json.member(named: name, of: json.root).flatMap { json.int64($0) }
        }
        #expect(number("uptime_seconds") == 25)
        #expect(number("jobs") == 1)
        #expect(number("scheduler_started") == 1)
        #expect(number("entries_committed") == Int64(node.node.raft.commitIndex))
        #expect(answer.body.contains(#""version":"1.0""#))
        #expect(answer.body.contains(#""executions":{"success":2,"failed":0"#))
        #expect(!answer.body.contains("hunter2") && !answer.body.contains("secret-job"))
    }

    @Test("it is answered while the node still reads its data")
    func recovering() {
        var node = APIHarness()
        node.role = .recovering("reading")
        #expect(node.get("/debug/vars").status == 200)
    }
}
