// What people read afterwards: each change has one line that says what, to what, and from where.

import Testing

@testable import Core

@Suite("Log lines")
struct LogLineTests {
    private static let job = """
        {"name": "a", "schedule": "@manually", "executor": "shell", \
        "executor_config": {"command": "date"}}
        """

    /// What a step adds to the log, as `message name=value …`.
    private func lines(
        _ harness: inout NodeHarness, _ body: (inout NodeHarness) -> Void
    ) -> [String] {
        let before = harness.logs.count
        body(&harness)
        return harness.logs[before...].filter { $0.level >= .info }.map { record in
            record.message + record.fields.map { " \($0.name)=\($0.value)" }.joined()
        }
    }

    @Test("every change over the API is exactly one line with the client's address")
    func changes() {
        var harness = NodeHarness()
        harness.exitCode = nil
        let export = "[" + Self.job.replacing("\"a\"", with: "\"b\"") + "]"
        let steps: [(HTTPMethod, String, String, String)] = [
            (.post, "/v1/jobs", Self.job, "job created job=a version=1"),
            (.put, "/v1/jobs/a", Self.job.replacing("date", with: "id"), "job saved job=a"),
            (.patch, "/v1/jobs/a", #"{"retries": 1}"#, "job saved job=a version=3"),
            (.post, "/v1/jobs/a/toggle", "", "job disabled job=a"),
            (.post, "/v1/jobs/a/toggle", "", "job enabled job=a"),
            (.post, "/v1/jobs/a/run?wait=0", "", "run requested job=a group="),
            (
                .post, "/v1/jobs?runoncreate", Self.job.replacing("\"a\"", with: "\"c\""),
                "job created job=c version=1 run=requested"
            ),
            (.delete, "/v1/jobs/a/executions", "", "executions deleted job=a"),
            (.put, "/v1/settings", #"{"group_retention": 50}"#, "settings changed"),
            (.post, "/v1/pause", "", "cluster paused"),
            (.post, "/v1/unpause", "", "cluster resumed"),
            (
                .post, "/v1/restore", export,
                "jobs restored created=1 updated=0 unchanged=0 paused=false"
            ),
            (.delete, "/v1/jobs/b", "", "job deleted job=b"),
        ]
        for (method, target, body, expected) in steps {
            let found = lines(&harness) { $0.send(method, target, body) }
            #expect(found.count == 1, "\(method) \(target): \(found)")
            #expect(found.first?.hasPrefix(expected) == true, "\(method) \(target): \(found)")
            #expect(found.first?.hasSuffix(" client=192.0.2.7:50000") == true, "\(found)")
        }
        // What only reads, and what is refused, changes nothing.
        #expect(lines(&harness) { $0.send(.get, "/v1/jobs") } == [])
        #expect(lines(&harness) { $0.send(.delete, "/v1/jobs/nobody") } == [])
        #expect(lines(&harness) { $0.send(.post, "/v1/jobs", "{") } == [])
    }

    @Test("kills and executions given up are one line each")
    func kills() throws {
        var harness = NodeHarness()
        harness.exitCode = nil
        harness.send(.post, "/v1/jobs", Self.job)
        harness.send(.post, "/v1/jobs/a/run?wait=0")
        harness.send(.post, "/v1/jobs/a/run?wait=0")
        try #require(harness.started.count == 2)
        let (first, second) = (harness.started[0].execution, harness.started[1].execution)
        let killed = lines(&harness) { $0.send(.post, "/v1/jobs/a/executions/\(first)/kill") }
        #expect(
            killed == [
                "kill requested job=a execution=\(first) client=192.0.2.7:50000"
            ])
        let lost = lines(&harness) { $0.send(.post, "/v1/jobs/a/executions/\(second)/lost") }
        #expect(
            lost == [
                "execution given up job=a execution=\(second) client=192.0.2.7:50000"
            ])
    }

    @Test("leading, new tags and the end of an ephemeral job are one line each")
    func withoutClient() {
        var harness = NodeHarness()
        #expect(harness.logs.count { $0.message == "this server leads" } == 1)
        let tags = [TagEntry(name: "role", value: "web")]
        let reload = Input.control(.reload(tags: tags, notifications: nil))
        #expect(lines(&harness) { $0.feed(reload) } == ["member changed member=n1 tags=role=web"])
        #expect(lines(&harness) { $0.feed(reload) } == [])
        #expect(lines(&harness) { $0.feed(.control(.reload(tags: nil, notifications: nil))) } == [])
        let once = Self.job.replacing(
            "\"executor\":", with: #""ephemeral": true, "executor":"#)
        harness.send(.post, "/v1/jobs", once)
        let ended = lines(&harness) { $0.send(.post, "/v1/jobs/a/run") }
        #expect(ended.count == 2, "\(ended)")
        #expect(ended.contains("job deleted job=a reason=ephemeral, and it has succeeded"))
    }

    @Test("new tags show among the members, and choose targets from then on")
    func tags() {
        var harness = NodeHarness()
        let picky = Self.job.replacing(
            "\"executor\":", with: #""tags": {"role": "db"}, "executor":"#)
        harness.send(.post, "/v1/jobs", picky)
        #expect(harness.ask(.post, "/v1/jobs/a/run").status == 409)
        let tags = [TagEntry(name: "role", value: "db")]
        harness.feed(.control(.reload(tags: tags, notifications: nil)))
        #expect(harness.ask(.get, "/v1/members").body.contains(#""role":"db""#))
        #expect(harness.ask(.post, "/v1/jobs/a/run").status == 200)
        #expect(harness.started.count == 1)
        harness.feed(.control(.reload(tags: [], notifications: nil)))
        #expect(harness.ask(.get, "/v1/members").body.contains(#""role":"dkron""#))
        #expect(harness.ask(.post, "/v1/jobs/a/run").status == 409)
    }
}
