import Glibc
import Testing

/// An engine without containers that goes wrong as its images say.
private final class PaperEngine {
    let log: String
    let program: PythonProgram

    init(_ place: String, in scratch: Scratch) throws {
        log = scratch.path("engine-\(scratch.unique())")
        program = try PythonProgram(
            DockerPrograms.engine, #"{"log": "\#(log)", \#(place)}"#, in: scratch)
    }

    /// What was asked of the container of an execution, in order.
    func asked(_ id: String) -> [String] {
        readText(log).split(separator: "\n").filter { $0.contains("dkron-\(id)") }.map {
            String($0.prefix { $0 != " " })
        }
    }

    var lines: [Substring] { readText(log).split(separator: "\n") }
}

extension EndToEnd {
    @Suite("Peers of executor docker", .serialized)
    struct DockerPeerTests {
        private func job(_ image: String, _ host: String, _ more: String = "") -> String {
            """
            {"name": "\(image)", "schedule": "@manually", "executor": "docker", "executor_config":
             {"host": "\(host)", "image": "\(image)"\(more)}}
            """
        }

        /// Starts jobs for these images at the same time, and gives what came of each.
        private func run(
            _ server: Server, _ images: [String], _ host: String, _ more: String = ""
        ) throws -> [String: JSON] {
            for image in images {
                try server.save(job(image, host, more))
                #expect(server.send("POST", "/v1/jobs/\(image)/run?wait=0")?.status == 202)
            }
            var ended: [String: JSON] = [:]
            for image in images {
                ended[image] = try server.execution(of: image, within: 60) {
                    ["success", "failed", "killed"].contains($0["state"].string)
                }
            }
            return ended
        }

        @Test("images are pulled when the job says so, with credentials; errors in between count")
        func pulls() throws {
            let server = Server("docker-pulls")
            let socket = server.scratch.path("e.sock")
            let engine = try PaperEngine(#""socket": "\#(socket)""#, in: server.scratch)
            server.environment = [
                "DOCKER_HOST": "unix://\(socket)", "DKRON_SECRET_REGISTRY": "top-secret",
            ]
            try server.start()
            let images = [
                "there", "absent-team", "absent-nowhere", "absent-odd", "exit5", "oom-exit137",
            ]
            let more = """
                , "registry.username": "me", "registry.password": "${secret:registry}"
                """
            // The node's environment tells where the engine is.
            let ended = try run(server, images, "", more)
            #expect(ended["there"]?["state"].string == "success")
            #expect(ended["there"]?["output"].string == "one\ntwo\nthree\n")
            #expect(ended["absent-team"]?["state"].string == "success")
            #expect(
                ended["absent-nowhere"]?["error"].string
                    == "can't pull the image absent-nowhere: manifest unknown")
            #expect(
                ended["absent-odd"]?["error"].string
                    == "can't pull the image absent-odd: what answers tells the progress in no "
                    + "form of Docker's")
            #expect(ended["exit5"]?["error"].string == "exit status 5")
            #expect(ended["exit5"]?["exit_code"].integer == 5)
            #expect(
                ended["oom-exit137"]?["error"].string?.contains("more memory than its limit")
                    == true)
            #expect(
                engine.lines.contains(
                    #"pull absent-team latest {"username": "me", "password": "top-secret"}"#),
                "\(engine.lines)")
            #expect(!server.log.contains("top-secret"))
            try server.save(job("refused", "unix://\(socket)", #", "pull": "always""#))
            #expect(server.send("POST", "/v1/jobs/refused/run?wait=30")?.status == 200)
            let refused = try server.execution(of: "refused") { $0["state"].string == "failed" }
            #expect(
                refused["error"].string
                    == "the container can't be created: invalid volume specification (status 400)")
            #expect(engine.lines.contains { $0.hasPrefix("pull refused latest") })
        }

        @Test("whatever an engine does, the attempt ends and says so, and no container runs twice")
        func troubles() throws {
            let server = Server("docker-troubles")
            let socket = server.scratch.path("e.sock")
            let engine = try PaperEngine(#""socket": "\#(socket)""#, in: server.scratch)
            try server.start()
            let more = #", "timeout": "3s", "stop_timeout": "1s""#
            let places = ["image", "create", "start", "logs", "inspect"]
            let kinds = ["silent", "half", "garbage", "forever", "error"]
            let images = kinds.flatMap { kind in places.map { "\(kind)-\($0)" } }
            let ended = try run(server, images, "unix://\(socket)", more)
            for image in images {
                let error = ended[image]?["error"].string ?? ""
                if ["error-logs", "half-logs", "garbage-logs"].contains(image) {
                    // What a container came to is known without its output.
                    #expect(ended[image]?["state"].string == "success", "\(error)")
                    #expect(
                        ended[image]?["output"].string?.hasPrefix(
                            "(the output of the container can't be read: ") == true,
                        "\(ended[image]?["output"].string ?? "")")
                    continue
                }
                #expect(ended[image]?["state"].string == "failed", "\(image)")
                #expect(!error.isEmpty, "\(image)")
                let id = ended[image]?["id"].string ?? ""
                let asked = engine.asked(id)
                #expect(asked.count { $0 == "start" } <= 4, "\(image): \(asked)")
                if !["image", "create"].contains(where: image.hasSuffix) {
                    #expect(asked.last == "delete", "\(image): \(asked)")
                }
            }
            #expect(
                ended["silent-create"]?["error"].string
                    == "\(socket) did not answer within the time-out of 3s; there was no container "
                    + "to be removed", "\(ended["silent-create"]?["error"].string ?? "")")
            #expect(
                ended["garbage-image"]?["error"].string
                    == "\(socket): what answers does not speak HTTP/1",
                "\(ended["garbage-image"]?["error"].string ?? "")")
            #expect(
                ended["error-start"]?["error"].string
                    == "the container can't be started: the start went wrong (status 500)")
            #expect(
                ended["forever-logs"]?["error"].string
                    == "the container did not end within the time-out of 3s; the container was "
                    + "stopped and removed", "\(ended["forever-logs"]?["error"].string ?? "")")
            #expect(
                ended["silent-inspect"]?["error"].string?.hasPrefix(
                    "the container did not end within the time-out of 3s") == true)
        }

        @Test("answers that get lost are asked for again, and change nothing; garbled output")
        func lost() throws {
            let server = Server("docker-lost")
            let socket = server.scratch.path("e.sock")
            let engine = try PaperEngine(#""socket": "\#(socket)""#, in: server.scratch)
            try server.start()
            let images = [
                "lost-image", "lost-create", "lost-start", "lost-logs", "lost-inspect",
                "lost-delete", "broken", "garbled", "error-delete", "error-stop",
            ]
            let ended = try run(server, images, "unix://\(socket)")
            for image in images {
                let execution = ended[image]
                #expect(
                    execution?["state"].string == "success",
                    "\(image): \(execution?["error"].string ?? "")")
                let asked = engine.asked(execution?["id"].string ?? "")
                #expect(asked.count { $0 == "create" } == 1, "\(image): \(asked)")
                let output = execution?["output"].string ?? ""
                switch image {
                case "garbled":
                    #expect(
                        output
                            == "(the output of the container can't be read: what answers sends it "
                            + "in no form of Docker's)\n", "\(output)")
                case "error-delete":
                    #expect(output.hasPrefix("one\ntwo\nthree\n(the container dkron-"))
                    #expect(
                        output.hasSuffix(" was not removed: the delete went wrong (status 500))\n"),
                        "\(output)")
                default: #expect(output == "one\ntwo\nthree\n", "\(image): \(output)")
                }
            }
        }

        @Test("a kill ends, also where the engine does not stop or remove the container")
        func kills() throws {
            let server = Server("docker-kills")
            let socket = server.scratch.path("e.sock")
            let engine = try PaperEngine(#""socket": "\#(socket)""#, in: server.scratch)
            try server.start()
            let images = ["long", "long-ignores", "longerror-stop", "long-nothing"]
            for image in images {
                try server.save(
                    job(image, "unix://\(socket)", #", "stop_timeout": "1s""#))
                #expect(server.send("POST", "/v1/jobs/\(image)/run?wait=0")?.status == 202)
                let id = try #require(
                    try server.execution(of: image) { $0["state"].string == "running" }["id"]
                        .string)
                #expect(eventually(15) { engine.asked(id).contains("logs") })
                let answer = server.send("POST", "/v1/jobs/\(image)/executions/\(id)/kill")
                #expect(answer?.json["error"].exists == false, "\(answer?.text ?? "")")
                let killed = try server.execution(of: image) { $0["state"].string == "killed" }
                #expect(
                    killed["error"].string
                        == "killed by request; the container was stopped and removed",
                    "\(killed["error"].string ?? "")")
                #expect(engine.asked(id).suffix(3) == ["stop", "logs", "delete"])
            }
        }

        @Test("over TLS, with a certificate of the client; nobody there; settings that can't be")
        func places() throws {
            let server = Server("docker-places")
            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("server", by: "authority")
            try made.make("client", by: "authority")
            let port = freePort()
            let engine = try PaperEngine(
                """
                "port": \(port), "certificate": "\(made.certificate("server"))",
                "key": "\(made.key("server"))", "authority": "\(made.certificate("authority"))"
                """, in: server.scratch)
            try server.start()
            let tls = """
                , "tlsRootCAsFile": "\(made.certificate("authority"))",
                "tlsCertificateFile": "\(made.certificate("client"))",
                "tlsCertificateKeyFile": "\(made.key("client"))"
                """
            let there = try run(server, ["there"], "tcp://localhost:\(port)", tls)
            #expect(
                there["there"]?["state"].string == "success",
                "\(there["there"]?["error"].string ?? "")")
            let blind = try run(server, ["blind"], "https://localhost:\(port)")
            #expect(
                blind["blind"]?["error"].string?.contains("an authority that is not trusted")
                    == true, "\(blind["blind"]?["error"].string ?? "")")
            #expect(engine.lines.contains { $0.hasPrefix("create dkron-") })
            let nowhere = server.scratch.path("nowhere")
            let none = try run(server, ["none"], "unix://\(nowhere)")
            #expect(
                none["none"]?["error"].string
                    == "can't connect to \(nowhere): No such file or directory",
                "\(none["none"]?["error"].string ?? "")")
            for (settings, key, words) in [
                (#", "imgae": "x""#, "imgae", "it has command, cpus, entrypoint"),
                (#", "volumes": "/a""#, "volumes", "source:target"),
                (#", "cpus": "many""#, "cpus", "such as 0.5 or 2"),
                (#", "pull": "maybe""#, "pull", "always, missing, never"),
                (#", "command": "a; b""#, "command", "needs a shell"),
            ] {
                let answer = server.send("POST", "/v1/jobs", job("bad", "tcp://h", settings))
                #expect(answer?.status == 400)
                #expect(answer?.json["field"].string == "executor_config.\(key)")
                #expect(answer?.text.contains(words) == true, "\(answer?.text ?? "")")
            }
            let table = server.get("/v1/executors")?.text ?? ""
            #expect(table.contains("registry.password"), "\(table)")
        }
    }
}
