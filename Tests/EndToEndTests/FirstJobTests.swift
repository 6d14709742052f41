import Glibc
import Testing

extension EndToEnd {
    @Suite("First jobs", .serialized)
    struct FirstJobTests {
        @Test("the getting-started job of Dkron fires within its second, its output is readable")
        func gettingStarted() throws {
            let server = Server("getting-started")
            try server.start()
            let saved = try server.save(
                """
                {"name": "job1", "schedule": "@every 1s", "timezone": "Europe/Berlin",
                 "owner": "Platform Team", "owner_email": "platform@example.com",
                 "disabled": false, "tags": {"dkron_server": "true:1"}, "concurrency": "allow",
                 "executor": "shell", "executor_config": {"command": "date"}}
                """)
            #expect(saved["name"].string == "job1")
            #expect(saved["next"].string?.hasPrefix("2") == true)
            let execution = try server.execution(of: "job1", within: 5) {
                $0["state"].string == "success"
            }
            #expect(execution["success"].bool == true)
            #expect(execution["output"].string?.contains(":") == true)
            #expect(execution["node_name"].string == "getting-started")
            let ticks = server.get("/v1/jobs/job1/ticks")?.json.elements ?? []
            #expect(!ticks.isEmpty)
            for tick in ticks { #expect(tick["outcome"].string == "ran") }
        }

        @Test("the classic plugin example: a role of one's own, a top-level command, a processor")
        func classicPluginExample() throws {
            let server = Server("classic", arguments: ["--tag", "role=web"])
            try server.start()
            let folder = server.scratch.path("outputs")
            let answer = try #require(
                server.send(
                    "POST", "/v1/jobs",
                    """
                    {"name": "job1", "schedule": "@every 1s", "tags": {"role": "web"},
                     "command": "/bin/true", "processors":
                     {"files": {"forward": true, "log_dir": "\(folder)"}}}
                    """))
            #expect(answer.status == 201, "\(answer.text)")
            #expect(!answer.text.contains("warning"), "\(answer.text)")
            let execution = try server.execution(of: "job1", within: 5) {
                $0["state"].string == "success" && $0["processing"].bool != true
            }
            #expect(access("\(folder)/\(execution["id"].string ?? "").log", R_OK) == 0)
        }

        @Test("a job runs on no node whose tags do not match, and its ledger says so")
        func noTarget() throws {
            let server = Server("untagged")
            try server.start()
            try server.save(
                shellJob("job1", "true", schedule: "@every 1s", more: #", "tags": {"a": "b"}"#))
            let isSkipped = eventually(5) {
                let ticks = server.get("/v1/jobs/job1/ticks")?.json.elements ?? []
                return ticks.contains { $0["reason"].string == "no_target" }
            }
            #expect(isSkipped, "\(server.get("/v1/jobs/job1/ticks")?.text ?? "")")
            let run = server.send("POST", "/v1/jobs/job1/run")
            #expect(run?.status == 409, "\(run?.text ?? "no answer")")
        }

        @Test("run-now waits for the result, and a repeated key gives the same group")
        func runNow() throws {
            let server = Server("run-now")
            try server.start()
            try server.save(
                shellJob(
                    "greet",
                    "echo hello $DKRON_JOB_NAME $DKRON_ATTEMPT $DKRON_NODE; echo $DKRON_TAGS"))
            let key = [("Idempotency-Key", "once")]
            let first = try #require(server.send("POST", "/v1/jobs/greet/run", headers: key))
            #expect(first.status == 200, "\(first.text)")
            let group = try #require(first.header("x-execution-group"))
            let again = try #require(server.send("POST", "/v1/jobs/greet/run", headers: key))
            #expect(again.header("x-execution-group") == group)
            let executions = server.executions(of: "greet")
            #expect(executions.count == 1)
            let output = executions.first?["output"].string ?? ""
            #expect(output.hasPrefix("hello greet 1 run-now\n{\""))
            #expect(output.contains("\"region\":\"global\""), "\(output)")
            #expect(executions.first?["exit_code"].integer == 0)
        }

        @Test("a failing command tells its exit code, is tried again, and keeps both attempts")
        func retry() throws {
            let server = Server("retry")
            try server.start()
            try server.save(
                shellJob(
                    "flaky", "echo no; exit $((4 - DKRON_ATTEMPT * 2))", more: #", "retries": 1"#))
            let answer = try #require(server.send("POST", "/v1/jobs/flaky/run"))
            #expect(answer.status == 200)
            let executions = server.executions(of: "flaky")
            let codes = executions.map { $0["exit_code"].integer }
            #expect(codes == [0, 2], "\(server.get("/v1/jobs/flaky/executions")?.text ?? "")")
            let job = server.get("/v1/jobs/flaky")?.json
            #expect(job?["status"].string == "success")
        }

        @Test("a run can be killed with everything it started")
        func killTree() throws {
            let server = Server("kill-tree")
            try server.start()
            try server.save(shellJob("tree", "sleep 61 & sleep 62"))
            _ = server.send("POST", "/v1/jobs/tree/run?wait=0")
            let running = try server.execution(of: "tree") { $0["state"].string == "running" }
            let id = try #require(running["id"].string)
            let isUp = eventually(5) {
                server.scratch.processes { $0.hasPrefix("sleep 6") }.count == 2
            }
            #expect(isUp)
            let answer = server.send("POST", "/v1/jobs/tree/executions/\(id)/kill")
            #expect((200...202).contains(answer?.status ?? 0), "\(answer?.text ?? "no answer")")
            _ = try server.execution(of: "tree") { $0["state"].string == "killed" }
            #expect(server.scratch.processes { $0.hasPrefix("sleep 6") }.isEmpty)
        }

        @Test("a time-out ends a run as failed and says so")
        func timeout() throws {
            let server = Server("time-out")
            try server.start()
            try server.save(
                """
                {"name": "slow", "schedule": "@manually", "executor": "shell",
                 "executor_config": {"command": "sleep 63", "timeout": "300ms"}}
                """)
            let answer = try #require(server.send("POST", "/v1/jobs/slow/run"))
            #expect(answer.status == 200)
            let execution = try #require(server.executions(of: "slow").first)
            #expect(execution["state"].string == "failed")
            #expect(execution["error"].string?.contains("timeout") == true)
        }
    }
}
