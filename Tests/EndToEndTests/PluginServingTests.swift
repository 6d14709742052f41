import Glibc
import Testing

extension EndToEnd {
    /// Our executors and processors under a host on HashiCorp's library, as Dkron's is.
    @Suite("Plugins for a Go host", .serialized, .enabled(if: GoPlugins.isThere, "needs go-plugin"))
    struct PluginServingTests {
        private let scratch = Scratch("serving")

        private var host: GoHost { GoHost(scratch: scratch) }

        private var isClean: Bool {
            eventually(15) { scratch.processes().isEmpty }
        }

        @Test("the shell executor runs commands, tells updates and ends with Shutdown")
        func shell() throws {
            for generation in 0...2 {
                let (ending, lines) = try host(
                    "executor", "shell", ["generation=\(generation)"],
                    [
                        "shell=true", "env=A=b",
                        "command=echo one; sleep 0.5; echo $A $ENV_JOB_NAME; sleep 0.5; exit 3",
                    ])
                #expect(ending == .exited(0))
                if generation < 2 {
                    #expect(lines.contains(#"update false "one\n""#), "\(lines)")
                    #expect(lines.contains(#"update false "b job\n""#))
                }
                #expect(lines.contains(#"output "one\nb job\n""#), "\(lines)")
                #expect(lines.contains(#"error "exit status 3""#))
                #expect(lines.last == "ended true in time true")
                // Its lines of the log are read as what they are.
                #expect(lines.contains { $0.contains("[DEBUG]") && $0.contains("plugin ends:") })
            }
            #expect(isClean)
            #expect(socketsLeft == [])
        }

        @Test("commands get neither the handshake nor options of the node")
        func environment() throws {
            let (_, lines) = try host(
                "executor", "shell", [], ["command=env"],
                environment: ["DKRON_ENCRYPT": "secret", "KEPT": "yes"])
            let output = try #require(lines.first { $0.hasPrefix("output ") })
            #expect(output.contains("DKRON_JOB_NAME=job\\n"))
            #expect(output.contains("KEPT=yes\\n"))
            for name in ["COOKIE", "PLUGIN_", "DKRON_ENCRYPT"] {
                #expect(!output.contains(name), "\(output)")
            }
        }

        @Test("a call that is cancelled, and a host that leaves or dies, end the command")
        func ends() throws {
            for (number, option) in ["cancel=700", "leave=700", "die=700"].enumerated() {
                let (ending, lines) = try host(
                    "executor", "shell", [option], ["command=sleep 30\(number)"])
                #expect(ending == .exited(option == "die=700" ? 7 : 0), "\(lines)")
                #expect(isClean, "\(option): \(scratch.processes().map(commandLine))")
            }
        }

        @Test("a plugin that is killed takes its commands along, and their folder")
        func killed() throws {
            let link = scratch.path("dkron-executor-shell")
            symlink(binary, link)
            let log = scratch.path("killed")
            let process = try ChildProcess(
                [try GoPlugins.program("host"), "executor", link, "--", "command=sleep 400"],
                log: log, environment: host.variables)
            #expect(eventually(15) { !scratch.processes { $0 == "sleep 400 " }.isEmpty })
            for plugin in scratch.processes(where: { $0.hasPrefix(link) }) {
                kill(plugin, SIGKILL)
            }
            #expect(process.wait(20) == .exited(0))
            #expect(readText(log).contains("failed rpc error: code = Unavailable"))
            #expect(isClean)
            let isRemoved = eventually(5) {
                let names = readNames(scratch.folder)
                return !names.contains { $0.hasPrefix("dkron-") && $0 != "dkron-executor-shell" }
            }
            #expect(isRemoved, "\(readNames(scratch.folder))")
        }

        @Test("a hundred calls at a time, and outputs of any length")
        func many() throws {
            let (_, lines) = try host(
                "executor", "shell", ["calls=100"], ["command=echo hi"])
            #expect(lines.count { $0 == #"output "hi\n""# } == 100, "\(lines.suffix(5))")
            let (_, long) = try host(
                "executor", "shell", [], ["command=head -c 3000000 /dev/zero"])
            #expect(long.contains("output of 262144 bytes"))
        }

        @Test("settings that are wrong, and executors over the network, fail with their sentence")
        func failures() throws {
            let (_, wrong) = try host("executor", "shell", [], ["comand=true"])
            #expect(wrong.contains { $0.hasPrefix("error ") && $0.contains("comand") }, "\(wrong)")
            let (_, http) = try host(
                "executor", "http", [], ["method=GET", "url=http://127.0.0.1:1/"])
            #expect(
                http.contains(#"error "can't connect to 127.0.0.1:1: Connection refused""#),
                "\(http)")
            let (_, nats) = try host(
                "executor", "nats", [], ["url=nats://127.0.0.1:1", "subject=x", "message=y"])
            #expect(nats.contains { $0.hasPrefix("error ") && $0.contains("refused") }, "\(nats)")
        }

        @Test("what was cleaned up behind a cancelled call is told, in the log and in its error")
        func cleaning() throws {
            let asked = scratch.path("asked")
            let engine = try PythonProgram(
                DockerPrograms.engine,
                #"{"log": "\#(asked)", "socket": "\#(scratch.path("e.sock"))"}"#, in: scratch)
            let settings = ["host=unix://\(scratch.path("e.sock"))", "image=long"]
            let outcome = "the container was stopped and removed"
            // Here the host has hung up.
            let (_, cancelled) = try host(
                "executor", "docker", ["cancel=2000", "linger=2000"], settings)
            #expect(cancelled.contains { $0.hasPrefix("failed ") }, "\(cancelled)")
            #expect(
                cancelled.contains {
                    $0.contains("[INFO]") && $0.contains("a call that was cancelled has ended")
                        && $0.contains(outcome)
                }, "\(cancelled)")
            #expect(readText(asked).contains("delete dkron-"))

            // Here the plugin is to end while the host waits for the answer.
            writeText("", to: asked)
            let link = scratch.path("dkron-executor-docker")
            let log = scratch.path("ended")
            let process = try ChildProcess(
                [try GoPlugins.program("host"), "executor", link, "--"] + settings, log: log,
                environment: host.variables)
            #expect(eventually(20) { readText(asked).contains("logs dkron-") })
            for plugin in scratch.processes(where: { $0.hasPrefix(link) }) {
                kill(plugin, SIGTERM)
            }
            #expect(process.wait(20) == .exited(0))
            #expect(
                readText(log).contains(#"error "the call was cancelled; \#(outcome)""#),
                "\(readText(log))")
            #expect(engine.process.poll() == nil)
        }

        @Test("processors of ours change executions, and never refuse to a host of Dkron's kind")
        func processors() throws {
            let (ending, files) = try host(
                "processor", "files", [], ["log_dir=\(scratch.folder)", "reporting_node=n2"])
            #expect(ending == .exited(0))
            let path = scratch.path("1700000000000000007-n1.log")
            #expect(files.contains("output \"\(path)\""), "\(files)")
            #expect(readText(path) == "printed\n")
            #expect(
                files.contains("execution job true n1 1795328601189006808 2 1700000000.7 true"))
            #expect(files.last == "ended true in time true")
            let (_, log) = try host(
                "processor", "log", ["calls=20"], ["forward=true", "size=200000"])
            #expect(log.count { $0 == "output of 200000 bytes" } == 20)
            #expect(log.contains { $0.hasPrefix("stdout ") })
            let (_, wrong) = try host("processor", "files", [], ["logdir=/tmp"])
            #expect(wrong.contains(#"output "printed\n""#), "\(wrong)")
            #expect(
                wrong.contains { $0.contains("[ERROR]") && $0.contains("could not do its work") },
                "\(wrong)")
            #expect(isClean)
        }

        @Test("by hand and under a wrong name it says what it is")
        func byHand() throws {
            let link = scratch.path("dkron-executor-shell")
            symlink(binary, link)
            let alone = try run([link], in: scratch)
            #expect(alone.ending == .exited(1))
            #expect(alone.output.hasPrefix("This program is a plugin of dkron"))
            let other = scratch.path("dkron-executor-nope")
            symlink(binary, other)
            let wrong = try run([other], in: scratch)
            #expect(wrong.ending == .exited(2))
            #expect(
                wrong.output.contains("no executor \"nope\"; it has docker, ecs, gcppubsub, grpc"))
            let word = try run([binary, "shell"], in: scratch)
            #expect(word.output == alone.output)
        }

        private var socketsLeft: [String] {
            readNames(scratch.folder).filter { $0.hasPrefix("plugin") }
        }
    }
}

extension EndToEnd {
    /// The examples of docs/plugins.md, under the real agent.
    @Suite("Documented plugins", .serialized)
    struct DocumentedPluginTests {
        private func server(_ name: String, plugin file: String, as link: String) throws -> Server {
            let scratch = Scratch(name)
            let folder = scratch.path("etc/plugins")
            mkdir(scratch.path("etc"), 0o755)
            mkdir(folder, 0o755)
            writeText("log-level: debug\n", to: scratch.path("etc/dkron.yml"))
            symlink(file, "\(folder)/\(link)")
            let server = Server(
                name, in: scratch, arguments: ["--config", scratch.path("etc/dkron.yml")])
            try server.start()
            return server
        }

        private func execute(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(#"{"name": "\#(name)", "schedule": "@manually", \#(job)}"#)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test(
            "the executor in Swift",
            .enabled(if: DocumentedPlugins.hasCompiler, "needs swiftc in PATH"))
        func executor() throws {
            let name = "dkron-executor-greet"
            let server = try server(
                "greet", plugin: DocumentedPlugins.program(name), as: name)
            let done = try execute(
                server, "one",
                #""executor": "greet", "executor_config": {"name": "Ada", "times": "2"}"#)
            #expect(done["state"].string == "success", "\(server.log.suffix(2_000))")
            #expect(done["output"].string == "hello, Ada (1)\nhello, Ada (2)\n")
            let id = done["id"].string ?? "?"
            #expect(server.logs("level=info msg=greeted plugin=\"executor greet\""))
            #expect(server.logs("attempt=\(id)"))
            let failed = try execute(server, "two", #""executor": "greet", "executor_config": {}"#)
            #expect(failed["state"].string == "failed")
            #expect(failed["error"].string == "the setting \"name\" is missing: whom to greet")

            try server.save(
                #"{"name": "long", "schedule": "@manually", "executor": "greet","#
                    + #" "executor_config": {"name": "Bob", "times": "60"}}"#)
            #expect(server.send("POST", "/v1/jobs/long/run?wait=0")?.status == 202)
            let running = try server.execution(of: "long") { $0["state"].string == "running" }
            #expect(
                eventually(10) {
                    server.executions(of: "long").first?["output"].string?
                        .hasPrefix("hello, Bob (1)\n") == true
                })
            let id2 = try #require(running["id"].string)
            _ = server.send("POST", "/v1/jobs/long/executions/\(id2)/kill")
            _ = try server.execution(of: "long") { $0["state"].string == "killed" }

            // The agent dies without a word, and the plugin with it.
            server.crash()
            #expect(eventually(10) { server.scratch.processes { $0.contains(name) }.isEmpty })
        }

        @Test(
            "the processor in Swift",
            .enabled(if: DocumentedPlugins.hasCompiler, "needs swiftc in PATH"))
        func processor() throws {
            let name = "dkron-processor-redact"
            let server = try server(
                "redact", plugin: DocumentedPlugins.program(name), as: name)
            let command =
                #""executor": "shell", "executor_config": {"command": "echo the key is abc"}, "#
            let done = try execute(
                server, "one", command + #""processors": {"redact": {"word": "abc"}}"#)
            #expect(done["state"].string == "success", "\(server.log.suffix(2_000))")
            #expect(done["output"].string == "the key is ***\n")
            let judged = try execute(
                server, "two",
                command + #""processors": {"redact": {"word": "abc", "forbidden": "key"}}"#)
            #expect(judged["state"].string == "failed")
            let refused = try execute(server, "three", command + #""processors": {"redact": {}}"#)
            #expect(refused["output"].string == "the key is abc\n")
            #expect(
                refused["notes"].elements.compactMap(\.string) == [
                    "processor redact: the processor refused: the setting \"word\" is missing: "
                        + "what to hide"
                ])
        }

        @Test(
            "the executor in Python",
            .enabled(if: DocumentedPlugins.hasPython, "needs grpcio and protobuf"))
        func python() throws {
            let scratch = Scratch("python-plugin")
            let file = scratch.path("count.py")
            writeText(try DocumentedPlugins.code("dkron-executor-count"), to: file)
            chmod(file, 0o755)
            let server = try server("count", plugin: file, as: "dkron-executor-count")
            let done = try execute(
                server, "one", #""executor": "count", "executor_config": {"to": "3"}"#)
            #expect(done["state"].string == "success", "\(server.log.suffix(2_000))")
            #expect(done["output"].string == "1\n2\n3\n")
            let failed = try execute(
                server, "two", #""executor": "count", "executor_config": {"to": "x"}"#)
            #expect(failed["error"].string == "the setting \"to\" is not a number")
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(20) == .exited(0))
            #expect(server.scratch.processes { $0.contains("count") }.isEmpty)
        }
    }
}
