import Testing

@testable import Core

@Suite("API: lists")
struct ListAPITests {
    private func node() -> APIHarness {
        var node = APIHarness()
        let jobs = [
            #"{"name":"alpha","schedule":"@manually","metadata":{"team":"ops","x":"1"},"#
                + #""displayname":"zulu"}"#,
            #"{"name":"bravo","schedule":"@hourly","metadata":{"team":"ops"},"#
                + #""displayname":"Yankee"}"#,
            #"{"name":"charlie","schedule":"@daily","disabled":true,"tags":{"role":"web:2"},"#
                + #""displayname":"xray"}"#,
        ]
        for job in jobs { node.put(job) }
        return node
    }

    @Test("shows all jobs by name, with their number")
    func all() {
        var node = node()
        let reply = node.get("/v1/jobs")
        #expect(reply.status == 200)
        #expect(reply.headers["X-Total-Count"] == "3")
        #expect(reply.each("name") == ["alpha", "bravo", "charlie"])
        #expect(reply.text.hasPrefix("[{\"id\":\"alpha\"") && reply.text.hasSuffix("}]"))
        #expect(APIHarness().api.pendingRequests == 0)
        var empty = APIHarness()
        #expect(empty.get("/v1/jobs").text == "[]")
        #expect(empty.get("/v1/jobs").headers["X-Total-Count"] == "0")
    }

    @Test(
        "filters",
        arguments: [
            ("metadata[team]=ops", ["alpha", "bravo"]),
            ("metadata[team]=ops&metadata[x]=1", ["alpha"]),
            ("metadata[team]=dev", []), ("metadata=x", ["alpha", "bravo", "charlie"]),
            ("metadata[]=x", ["alpha", "bravo", "charlie"]),
            ("tags[role]=web:2", ["charlie"]), ("tags[role]=web", []),
            ("q=zul", ["alpha"]), ("q=rav", ["bravo"]), ("q=RAV", []),
            ("disabled=true", ["charlie"]), ("disabled=false", ["alpha", "bravo"]),
            ("status=untriggered", ["alpha", "bravo", "charlie"]), ("status=failed", []),
            ("metadata%5Bteam%5D=ops&_order=desc", ["bravo", "alpha"]),
        ])
    func filters(_ query: String, _ names: [String]) {
        var node = node()
        let reply = node.get("/v1/jobs?\(query)")
        #expect(reply.each("name") == names)
        #expect(reply.headers["X-Total-Count"] == "\(names.count)")
    }

    @Test(
        "sorts and pages, clamped",
        arguments: [
            ("_order=DESC", ["charlie", "bravo", "alpha"]),
            ("_order=desc&_sort=name", ["charlie", "bravo", "alpha"]),
            ("_sort=displayname", ["charlie", "bravo", "alpha"]),
            ("_sort=next", ["alpha", "charlie", "bravo"]),
            ("_sort=next&_order=desc", ["bravo", "charlie", "alpha"]),
            ("_sort=", ["alpha", "bravo", "charlie"]),
            ("_sort=success_count&_order=ASC", ["alpha", "bravo", "charlie"]),
            ("_start=1", ["bravo", "charlie"]), ("_end=1", ["alpha"]),
            ("_start=1&_end=2", ["bravo"]), ("_start=50&_end=75", []),
            ("_start=-5&_end=2", ["alpha", "bravo"]), ("_end=-1", []), ("_start=2&_end=1", []),
            ("_sort=schedule&_start=1&_end=2", ["bravo"]),
            ("_order=DESC&_start=1&_end=9", ["bravo", "alpha"]),
        ])
    func orders(_ query: String, _ names: [String]) {
        var node = node()
        let reply = node.get("/v1/jobs?\(query)")
        #expect(reply.each("name") == names)
        #expect(reply.headers["X-Total-Count"] == "3")
    }

    @Test(
        "refuses what it can't do",
        arguments: [
            ("_sort=started_at", "_sort"), ("_sort=owner", "_sort"), ("_order=up", "_order"),
            ("_start=x", "_start"), ("_end=1.5", "_end"), ("disabled=maybe", "disabled"),
        ])
    func refusals(_ query: String, _ field: String) {
        var node = node()
        let reply = node.get("/v1/jobs?\(query)")
        #expect(reply.status == 400)
        #expect(reply.code == "invalid_parameter")
        #expect(reply["field"] == "\"\(field)\"")
    }

    @Test("sorts by times that are missing last, and by those that are there")
    func times() {
        var node = node()
        for name in ["bravo", "alpha"] {
            node.send(.post, "/v1/jobs/\(name)/run?wait=0")
            node.wait(.seconds(1))
            node.end(node.launched[node.launched.count - 1])
        }
        #expect(
            node.get("/v1/jobs?_sort=last_success").each("name") == ["bravo", "alpha", "charlie"])
        #expect(node.get("/v1/jobs?status=success").each("name") == ["alpha", "bravo"])
    }

    @Test("a long list streams in pieces and shows one moment")
    func streams() {
        var node = APIHarness()
        for number in 0..<1_500 {
            let name = "job-" + String(10_000 + number)
            node.applyDirectly(.putJob(PutJob(document: Self.document(name))))
        }
        for query in ["", "?_sort=schedule", "?pretty&_order=DESC", "?q=job"] {
            let reply = node.get("/v1/jobs\(query)")
            #expect(reply.pieces > 3, "\(query)")
            #expect(reply.each("name").count == 1_500)
        }
        node.isStalled = true
        let id = node.begin(.get, "/v1/jobs")
        #expect(node.api.pendingRequests == 1)
        node.applyDirectly(.deleteJob(JobName("job-11499"), .none, kill: false))
        node.isStalled = false
        node.run { $0.drained(id, $1, into: &$2) }
        #expect(node.replies[id]?.each("name").last == "job-11499")
        #expect(node.api.pendingRequests == 0)
        #expect(node.get("/v1/jobs?_start=1490").each("name").count == 9)
    }

    private static func document(_ name: String) -> JobDocument {
        var document = JobDocument(name: JobName(name))
        document.schedule = "@daily"
        return document
    }

    @Test("the work of a long list is done in slices, and ends with its client")
    func slices() {
        var node = APIHarness()
        for number in 0..<2_000 {
            node.applyDirectly(.putJob(PutJob(document: Self.document("job-\(number)"))))
        }
        node.maxStepsOfWork = 1
        let id = node.begin(.get, "/v1/jobs?q=job-1")
        #expect(node.replies[id] == nil)
        #expect(node.api.nextDeadline == node.now.monotonic)
        node.abandon(id)
        #expect(node.api.pendingRequests == 0)
        node.maxStepsOfWork = 100
        node.settle()
        #expect(node.api.nextDeadline == nil)
        #expect(node.replies[id] == nil)
    }

    @Test("HEAD answers with the header of a list of any length")
    func head() {
        var node = APIHarness()
        for number in 0..<500 {
            node.applyDirectly(.putJob(PutJob(document: Self.document("job-\(number)"))))
        }
        let reply = node.send(.head, "/v1/jobs")
        #expect(reply?.status == 200)
        #expect(reply?.headers["X-Total-Count"] == "500")
        #expect(node.api.pendingRequests == 0)
    }

    @Test("lists under way are bounded")
    func bound() {
        var node = APIHarness()
        for number in 0..<500 {
            node.applyDirectly(.putJob(PutJob(document: Self.document("job-\(number)"))))
        }
        node.isStalled = true
        for _ in 0..<API.Limit.streams { _ = node.begin(.get, "/v1/jobs") }
        #expect(node.get("/v1/jobs").code == "busy")
        #expect(node.get("/v1/jobs/job-1").status == 200)
    }

    @Test("a list by next ticks keeps its order while a pause goes on")
    func orderInPause() {
        var node = APIHarness()
        for number in 0..<600 {
            node.put(#"{"name":"j\#(number)","schedule":"@every \#(number % 97 + 60)s"}"#)
        }
        node.send(.post, "/v1/pause")
        node.maxStepsOfWork = 0
        let id = node.begin(.get, "/v1/jobs?_sort=next")
        node.maxStepsOfWork = 1
        for _ in 0..<20 { node.wait(.seconds(100)) }
        let next = node.replies[id]?.each("next") ?? []
        #expect(next.count == 600)
        #expect(next == next.sorted())
    }
}
