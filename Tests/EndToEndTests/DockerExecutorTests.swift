import Glibc
import Testing

extension EndToEnd {
    @Suite(
        "Executor docker", .serialized,
        .enabled(if: ContainerEngine.isInstalled, "needs podman, runc and busybox"))
    struct DockerExecutorTests {
        private func job(
            _ name: String, _ engine: ContainerEngine, _ settings: String, more: String = ""
        ) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "docker"\(more),
             "executor_config": {"host": "unix://\(engine.socket)", "image": "test:1",
             "network": "none", "pull": "never", \(settings)}}
            """
        }

        /// Runs a job and gives the execution that came of it.
        private func run(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30", timeout: 60)?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a container runs with what the job says, its output and exit status are the job's")
        func runs() throws {
            let server = Server("docker")
            let engine = try ContainerEngine(in: server.scratch)
            try server.start()
            let folder = server.scratch.path("shared")
            mkdir(folder, 0o777)
            writeText("from outside", to: folder + "/in")
            let script = """
                echo \\"$A-$DKRON_JOB_NAME\\"; pwd; id -u; cat /data/in; echo; \
                echo $DKRON_EXECUTION_ID > /data/out; echo wrong >&2
                """
            let full = try run(
                server, "full",
                job(
                    "full", engine,
                    """
                    "command": ["sh", "-c", "\(script)"], "env": "A=1,B=2", "workdir": "/bin",
                    "user": "0:0", "volumes": "\(folder):/data", "memory": "64M", "cpus": "0.5"
                    """))
            #expect(full["state"].string == "success", "\(full["error"].string ?? "")")
            #expect(full["exit_code"].integer == 0)
            let lines = full["output"].string?.split(separator: "\n").sorted()
            #expect(
                lines == ["/bin", "0", "1-full", "from outside", "wrong"],
                "\(full["output"].string ?? "")")
            #expect(readText(folder + "/out") == "\(full["id"].string ?? "")\n")
            let other = try run(
                server, "other",
                job("other", engine, #""entrypoint": "sh -c", "command": ["echo out; exit 3"]"#))
            #expect(other["state"].string == "failed")
            #expect(other["error"].string == "exit status 3")
            #expect(other["exit_code"].integer == 3)
            #expect(other["output"].string == "out\n")
            let absent = try run(
                server, "absent",
                job("absent", engine, #""image": "none:2", "command": "date""#)
                    .replacing(#""image": "test:1","#, with: ""))
            #expect(
                absent["error"].string?.hasPrefix("the container can't be created: ") == true,
                "\(absent["error"].string ?? "")")
            let unknown = try run(server, "unknown", job("unknown", engine, #""command": "nix""#))
            #expect(
                unknown["error"].string?.hasPrefix("the container can't be started: ") == true,
                "\(unknown["error"].string ?? "")")
            let pull = try run(
                server, "pull",
                """
                {"name": "pull", "schedule": "@manually", "executor": "docker", "executor_config":
                 {"host": "unix://\(engine.socket)", "image": "127.0.0.1:\(freePort())/a/b:1"}}
                """)
            #expect(
                pull["error"].string?.hasPrefix("can't pull the image 127.0.0.1:") == true
                    && pull["error"].string?.contains("connection refused") == true,
                "\(pull["error"].string ?? "")")
            #expect(try engine.containers() == [])
        }

        @Test("output comes while it runs; a kill and a time-out stop the container and remove it")
        func ends() throws {
            let server = Server("docker-ends")
            let engine = try ContainerEngine(in: server.scratch)
            try server.start()
            let script = #"trap 'echo asked; exit 0' TERM; echo begun; while :; do sleep 0.1; done"#
            let polite = #""command": ["sh", "-c", "\#(script)"]"#
            try server.save(job("polite", engine, polite))
            #expect(server.send("POST", "/v1/jobs/polite/run?wait=0")?.status == 202)
            let running = try server.execution(of: "polite") { $0["state"].string == "running" }
            let id = try #require(running["id"].string)
            let path = "/v1/jobs/polite/executions/\(id)/output"
            #expect(eventually(15) { server.get(path)?.text.contains("begun") == true })
            #expect(try engine.containers() == ["dkron-\(id)"])
            let answer = server.send("POST", "/v1/jobs/polite/executions/\(id)/kill")
            #expect(answer?.json["error"].exists == false, "\(answer?.text ?? "")")
            let killed = try server.execution(of: "polite") { $0["state"].string == "killed" }
            #expect(
                killed["error"].string
                    == "killed by request; the container was stopped and removed",
                "\(killed["error"].string ?? "")")
            #expect(killed["output"].string == "begun\nasked\n")
            let deaf = #""command": "sleep 60", "timeout": "1s", "stop_timeout": "1s""#
            let late = try run(server, "late", job("late", engine, deaf))
            #expect(late["state"].string == "failed")
            #expect(
                late["error"].string
                    == "the container did not end within the time-out of 1s; the container was "
                    + "stopped and removed", "\(late["error"].string ?? "")")
            #expect(try engine.containers() == [])
        }

        @Test("an agent that comes back after a crash watches the same container to its end")
        func crash() throws {
            let server = Server("docker-crash")
            let engine = try ContainerEngine(in: server.scratch)
            try server.start()
            let folder = server.scratch.path("shared")
            mkdir(folder, 0o777)
            let script =
                "echo one; echo x >> /data/runs; until cat /data/go; do sleep 0.1; done; exit 4"
            let settings = """
                "command": ["sh", "-c", "\(script) 2>&1"], "volumes": ["\(folder):/data"]
                """
            try server.save(job("long", engine, settings))
            try server.save(
                job("fenced", engine, settings, more: #", "concurrency": "forbid""#))
            for name in ["long", "fenced"] {
                #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=0")?.status == 202)
            }
            #expect(eventually(20) { readText(folder + "/runs") == "x\nx\n" })
            server.crash()
            #expect(try engine.containers().count == 2)
            try server.start()
            let fenced = try server.execution(of: "fenced", within: 30) {
                $0["state"].string == "failed"
            }
            #expect(
                fenced["error"].string
                    == "the agent ended while it had this under way, so its lease may have run "
                    + "out; the container was removed", "\(fenced["error"].string ?? "")")
            #expect(eventually(10) { (try? engine.containers().count) == 1 })
            writeText("gone on\n", to: folder + "/go")
            let ended = try server.execution(of: "long", within: 30) {
                $0["state"].string == "failed"
            }
            #expect(ended["error"].string == "exit status 4", "\(ended["error"].string ?? "")")
            let output = ended["output"].string ?? ""
            #expect(output.hasPrefix("one\n") && output.hasSuffix("gone on\n"), "\(output)")
            #expect(readText(folder + "/runs") == "x\nx\n")
            #expect(try engine.containers() == [])
        }

        @Test("an engine that goes away and comes back is asked again")
        func restart() throws {
            let server = Server("docker-restart")
            let engine = try ContainerEngine(in: server.scratch)
            try server.start()
            let script = "echo one; sleep 3; echo two"
            try server.save(job("job", engine, #""command": ["sh", "-c", "\#(script)"]"#))
            #expect(server.send("POST", "/v1/jobs/job/run?wait=0")?.status == 202)
            let id = try #require(
                try server.execution(of: "job") { $0["state"].string == "running" }["id"].string)
            let path = "/v1/jobs/job/executions/\(id)/output"
            #expect(eventually(15) { server.get(path)?.text == "one\n" })
            engine.kill()
            pause(1)
            try engine.start()
            let ended = try server.execution(of: "job", within: 30) {
                ["success", "failed"].contains($0["state"].string)
            }
            #expect(ended["state"].string == "success", "\(ended["error"].string ?? "")")
            #expect(ended["output"].string == "one\ntwo\n")
            #expect(try engine.containers() == [])
        }
    }
}
