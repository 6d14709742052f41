import Glibc
import Testing

/// Amazon's services, as far as one task needs them.
private final class TaskService {
    static let isInstalled: Bool = {
        let scratch = Scratch("moto")
        let script = "import moto.moto_server.werkzeug_app, moto.ecs, moto.logs, botocore"
        return (try? run(["python3", "-c", script], in: scratch))?.ending == .exited(0)
    }()

    let port = freePort()
    let log: String
    private let go: String
    private var program: PythonProgram?

    init(in scratch: Scratch) throws {
        log = scratch.path("asked")
        go = scratch.path("go")
        program = try PythonProgram(
            ECSPrograms.service, #"{"port": \#(port), "go": "\#(go)", "log": "\#(log)"}"#,
            in: scratch)
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var lines: [Substring] { readText(log).split(separator: "\n") }
    /// What was asked of one cluster, in order.
    func asked(_ cluster: String) -> [String] {
        lines.filter { $0.split(separator: " ").dropFirst().first == cluster[...] }
            .map { String($0.prefix { $0 != " " }) }
    }
    /// Lets tasks come to their end.
    func letGo() { writeText("", to: go) }
}

extension EndToEnd {
    @Suite(
        "Executor ecs", .serialized, .enabled(if: TaskService.isInstalled, "needs moto for ecs"))
    struct ECSExecutorTests {
        private let keys = #""accessKeyId": "AKIDTEST", "secretAccessKey": "${secret:aws}""#

        /// Of a task in a cluster of the job's name.
        private func job(
            _ name: String, _ service: TaskService, _ more: String = "",
            image: String = "busybox", keys: String? = nil, concurrency: String = "allow"
        ) -> String {
            let definition = """
                {"family": "f", "networkMode": "bridge", "containerDefinitions": [
                 {"name": "main", "image": "\(image)", "memory": 64, "logConfiguration":
                  {"logDriver": "awslogs", "options": {"awslogs-group": "group",
                   "awslogs-stream-prefix": "pre", "awslogs-region": "eu-central-1"}}}]}
                """
            return """
                {"name": "\(name)", "schedule": "@manually", "executor": "ecs",
                 "concurrency": "\(concurrency)", "executor_config":
                 {"taskdefBody": \(definition), "region": "eu-central-1", "cluster": "\(name)",
                  "fargate": "yes", "endpoint": "\(service.url)", \(keys ?? self.keys)\(more)}}
                """
        }

        private func server(_ name: String) -> Server {
            let server = Server(name)
            server.environment = ["DKRON_SECRET_AWS": "top/secret+key"]
            return server
        }

        /// Runs a job and gives the execution that came of it.
        private func run(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30", timeout: 60)?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a task runs with what the job says, and its exit status is the job's")
        func runs() throws {
            let server = server("ecs")
            let service = try TaskService(in: server.scratch)
            try server.start()
            let more = #"""
                , "env": "A=1,B=x y", "subnet": "subnet-1", "securityGroup": "sg-1,sg-2",
                "assignPublicIp": true, "overrides": {"cpu": "256", "containerOverrides":
                 [{"name": "main", "command": ["date"], "environment":
                   [{"name": "C", "value": "3"}]}]}
                """#
            let done = try run(server, "full", job("full", service, more))
            #expect(done["state"].string == "success", "\(done["error"].string ?? "")")
            #expect(done["exit_code"].integer == 0)
            let output = done["output"].string?.split(separator: "\n") ?? []
            #expect(output.first?.hasPrefix("task arn:aws:ecs:eu-central-1:") == true)
            #expect(output.dropFirst() == ["first line", "zweite Zeile: ü"], "\(output)")
            let asked = service.lines.first { $0.hasPrefix("RunTask full AKIDTEST eu-central-1 ") }
            let text = try #require(asked).drop { $0 != "{" }
            let request = JSON(Array(text.utf8))
            #expect(request["launchType"].string == "FARGATE")
            let network = request["networkConfiguration"]["awsvpcConfiguration"]
            #expect(network["securityGroups"].elements.map(\.string) == ["sg-1", "sg-2"])
            #expect(network["assignPublicIp"].string == "ENABLED")
            #expect(request["overrides"]["cpu"].string == "256")
            let main = request["overrides"]["containerOverrides"].elements.first
            #expect(main?["command"].elements.map(\.string) == ["date"])
            let names = main?["environment"].elements.map { $0["name"].string ?? "" } ?? []
            #expect(names.starts(with: ["C", "A", "B", "DKRON_EXECUTION_ID"]), "\(names)")
            #expect(names.contains("DKRON_JOB_NAME"), "\(names)")
            let failed = try run(server, "three", job("three", service, image: "exit3"))
            #expect(failed["error"].string == "exit status 3 of container main")
            #expect(failed["exit_code"].integer == 3)
            let named = job("named", service).replacing(
                #/"taskdefBody": .*"region"/#.dotMatchesNewlines(),
                with: #""taskdefName": "f:1", "region""#)
            let again = try run(server, "named", named)
            #expect(again["state"].string == "success", "\(again["error"].string ?? "")")
            let other = try run(
                server, "other", job("other", service, #", "container": "side""#))
            #expect(
                other["error"].string?.hasPrefix("none of the task's containers (main) counts")
                    == true)
            #expect(!server.log.contains("top/secret"))
        }

        @Test("keys of the environment, of a container's endpoint, of a machine's role; wrong ones")
        func credentials() throws {
            let scratch = Scratch("ecs-keys")
            let service = try TaskService(in: scratch)
            let ways: [(String, [String: String], String)] = [
                (
                    "variables",
                    ["AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "top/secret+key"],
                    "AKIDTEST"
                ),
                (
                    "container",
                    [
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(service.url)/task-keys",
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let-me-in",
                    ], "ASIATASK"
                ),
                ("machine", ["AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url], "ASIAROLE"),
            ]
            for (name, variables, id) in ways {
                let server = Server(name, in: scratch)
                server.environment = variables
                try server.start()
                let done = try run(
                    server, name, job(name, service, keys: #""timeout": "30""#))
                #expect(done["state"].string == "success", "\(done["error"].string ?? "")")
                #expect(service.lines.contains { $0.hasPrefix("RunTask \(name) \(id) ") })
                guard name == "container" else { continue }
                let wrong = #""accessKeyId": "AKIDTEST", "secretAccessKey": "mistyped""#
                let refused = try run(server, "wrong", job("wrong", service, keys: wrong))
                #expect(
                    refused["error"].string
                        == "RegisterTaskDefinition: InvalidSignatureException: The request "
                        + "signature we calculated does not match (status 403)",
                    "\(refused["error"].string ?? "")")
            }
            let server = Server("none", in: scratch)
            server.environment = ["AWS_EC2_METADATA_DISABLED": "true"]
            try server.start()
            let none = try run(server, "none", job("none", service, keys: #""timeout": "30""#))
            #expect(
                none["error"].string?.hasPrefix("there are no keys: ") == true,
                "\(none["error"].string ?? "")")
        }

        @Test("a kill, a time-out and too many looks stop the task")
        func ends() throws {
            let server = server("ecs-ends")
            let service = try TaskService(in: server.scratch)
            try server.start()
            try server.save(job("long", service))
            #expect(server.send("POST", "/v1/jobs/long/run?wait=0")?.status == 202)
            let id = try #require(
                try server.execution(of: "long") { $0["state"].string == "running" }["id"].string)
            #expect(eventually(20) { service.asked("long").contains("DescribeTasks") })
            let answer = server.send("POST", "/v1/jobs/long/executions/\(id)/kill")
            #expect(answer?.json["error"].exists == false, "\(answer?.text ?? "")")
            let killed = try server.execution(of: "long", within: 30) {
                $0["state"].string == "killed"
            }
            #expect(killed["error"].string == "killed by request; the task was stopped")
            #expect(service.asked("long").contains("StopTask"))
            let late = try run(
                server, "longtime", job("longtime", service, #", "timeout": "2s""#))
            #expect(
                late["error"].string
                    == "the task did not end within the time-out of 2s; the task was stopped",
                "\(late["error"].string ?? "")")
            let looks = try run(
                server, "longlooks", job("longlooks", service, #", "maxAttempts": "2""#))
            #expect(
                looks["error"].string
                    == "the task did not end within 2 looks at it; the task was stopped",
                "\(looks["error"].string ?? "")")
        }

        @Test("an agent that comes back after a crash watches the same task to its end")
        func crash() throws {
            let server = server("ecs-crash")
            let service = try TaskService(in: server.scratch)
            try server.start()
            try server.save(job("long", service, image: "exit7"))
            try server.save(job("longfence", service, concurrency: "forbid"))
            for name in ["long", "longfence"] {
                #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=0")?.status == 202)
                #expect(eventually(20) { service.asked(name).contains("DescribeTasks") })
            }
            server.crash()
            try server.start()
            let fenced = try server.execution(of: "longfence", within: 30) {
                $0["state"].string == "failed"
            }
            #expect(
                fenced["error"].string?.hasSuffix("may have run out; the task was stopped") == true,
                "\(fenced["error"].string ?? "")")
            service.letGo()
            let ended = try server.execution(of: "long", within: 30) {
                $0["state"].string == "failed"
            }
            #expect(
                ended["error"].string == "exit status 7 of container main",
                "\(ended["error"].string ?? "")")
            for name in ["long", "longfence"] {
                #expect(service.asked(name).count { $0 == "RunTask" } == 1)
            }
        }

        @Test("whatever the service does, the attempt ends and says so, and no task is run twice")
        func troubles() throws {
            let server = server("ecs-troubles")
            let service = try TaskService(in: server.scratch)
            try server.start()
            let kinds = ["silent", "half", "garbage", "forever", "error", "odd"]
            let names = kinds.flatMap { kind in
                ["runtask", "describetasks"].map { "\(kind)-\($0)" }
            }
            let passing = ["lost-runtask", "throttled-runtask", "throttled-describetasks"]
            for name in names + passing {
                let more = #", "timeout": "\#(passing.contains(name) ? "60s" : "4s")""#
                try server.save(job(name, service, more))
                #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=0")?.status == 202)
            }
            func ended(_ name: String) throws -> JSON {
                try server.execution(of: name, within: 90) {
                    ["success", "failed"].contains($0["state"].string)
                }
            }
            for name in passing {
                let done = try ended(name)
                #expect(done["state"].string == "success", "\(done["error"].string ?? "")")
            }
            for name in names {
                let failed = try ended(name)
                let error = failed["error"].string ?? ""
                #expect(failed["state"].string == "failed" && !error.isEmpty, "\(name): \(error)")
                let started = service.asked(name).count { $0 == "RunTask" }
                #expect(name.hasSuffix("runtask") || started == 1, "\(name): \(started)")
            }
            let error = try ended("error-runtask")["error"].string
            #expect(
                error == "RunTask: ClientException: RunTask went wrong (status 400)",
                "\(error ?? "")")
            let silent = try ended("silent-runtask")["error"].string
            #expect(
                silent?.contains("within the time-out of 4s") == true
                    && silent?.hasSuffix("no task of it runs") == true, "\(silent ?? "")")
            let absent = try run(server, "absent", job("absent", service))
            #expect(
                absent["error"].string?.contains("ClusterNotFoundException") == true,
                "\(absent["error"].string ?? "")")
            let europe = job("bad", service).replacing("eu-central-1", with: "Europe")
            #expect(
                server.send("POST", "/v1/jobs", europe)?.json["field"].string
                    == "executor_config.region")
            for (settings, key, words) in [
                (#", "taskdefName": "x""#, "taskdefBody", "can't be given both"),
                (#", "securityGroup": "sg""#, "subnet", "need a subnet"),
                (#", "fargat": "yes""#, "fargat", "fargate"),
                (#", "maxAttempts": "many""#, "maxAttempts", "whole number"),
            ] {
                let answer = server.send("POST", "/v1/jobs", job("bad", service, settings))
                #expect(answer?.status == 400)
                #expect(answer?.json["field"].string == "executor_config.\(key)")
                #expect(answer?.text.contains(words) == true, "\(answer?.text ?? "")")
            }
        }
    }
}
