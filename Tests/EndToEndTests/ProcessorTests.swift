import Glibc
import Testing

extension EndToEnd {
    @Suite("Processors", .serialized)
    struct ProcessorTests {
        private func job(_ name: String, _ command: String, _ processors: String) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "shell",
             "executor_config": {"command": "\(command)"}, "processors": {\(processors)}}
            """
        }

        /// Runs a job and gives the execution that came of it, after its processors.
        private func run(_ server: Server, _ job: String, _ name: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) { $0["processing"].bool != true }
        }

        @Test("log and files keep the output, in the order of the document")
        func logAndFiles() throws {
            let server = Server("processors")
            try server.start()
            let folder = server.scratch.path("a/b c")
            let ended = try run(
                server,
                job(
                    "both", "echo hello",
                    #""log": {"forward": true}, "files": {"log_dir": "\#(folder)"}"#), "both")
            let identifier = ended["id"].string ?? ""
            #expect(ended["output"].string == "\(folder)/\(identifier).log")
            #expect(readText("\(folder)/\(identifier).log") == "hello\n")
            let block =
                "----- BEGIN OUTPUT job=both execution=\(identifier) -----\nhello\n\n"
                + "----- END OUTPUT -----\n"
            #expect(server.log.contains(block), "\(server.log)")
            var status = stat()
            #expect(stat("\(folder)/\(identifier).log", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o644)
            // What was written is what a start reads.
            server.crash()
            try server.start()
            #expect(
                server.executions(of: "both").first?["output"].string
                    == "\(folder)/\(identifier).log")
        }

        @Test("files: the oldest go when there are too many, and what can't be written is noted")
        func rotation() throws {
            let server = Server("processors-files")
            try server.start()
            let folder = server.scratch.path("kept")
            let text = job(
                "many", "echo hello", #""files": {"log_dir": "\#(folder)", "max_files": 2}"#)
            mkdir(folder, 0o755)
            writeText("mine", to: "\(folder)/notes.log")
            for _ in 0..<5 {
                _ = try run(server, text, "many")
                pause(0.2)
            }
            let (_, listing) = try EndToEndTests.run(["ls", folder], in: server.scratch)
            let names = listing.split(separator: "\n")
            #expect(names.count == 3 && names.contains("notes.log"), "\(listing)")
            let newest = server.executions(of: "many").compactMap { $0["id"].string }.max() ?? "-"
            #expect(names.contains { $0 == "\(newest).log" })

            writeText("", to: server.scratch.path("file"))
            let failed = try run(
                server,
                job(
                    "failed", "echo hello",
                    #""files": {"log_dir": "\#(server.scratch.path("file"))/x"}, "nobody": {}"#),
                "failed")
            #expect(failed["state"].string == "success")
            #expect(failed["output"].string == "hello\n", "it stays as it was")
            let notes = failed["notes"].elements.compactMap(\.string)
            #expect(notes.count == 2, "\(notes)")
            #expect(notes.first?.hasPrefix("processor files: ") == true)
            #expect(notes.last == "processor nobody: this server has no processor \"nobody\"")
        }

        @Test("syslog: this machine's, and another one over UDP, TCP and TLS")
        func syslog() throws {
            let server = Server("processors-syslog")
            try server.start()
            let certificates = Certificates(scratch: server.scratch)
            try certificates.makeAuthority("authority")
            try certificates.make("log", by: "authority")
            let path = server.scratch.path("socket")
            let ports = (0..<4).map { _ in freePort() }
            let local = try PythonListener(
                PythonListener.syslog, ["unix", path], in: server.scratch)
            let udp = try PythonListener(
                PythonListener.syslog, ["udp", "\(ports[0])"], in: server.scratch)
            let tcp = try PythonListener(
                PythonListener.syslog, ["tcp", "\(ports[1])"], in: server.scratch)
            let tls = try PythonListener(
                PythonListener.syslog,
                ["tls", "\(ports[2])", certificates.certificate("log"), certificates.key("log")],
                in: server.scratch)
            let closing = try PythonListener(
                PythonListener.syslog, ["closing", "\(ports[3])"], in: server.scratch)
            func ended(_ name: String, _ address: String, _ more: String = "") throws -> JSON {
                try run(
                    server,
                    job(
                        name, "echo hello \(name)",
                        #""syslog": {"address": "\#(address)"\#(more)}"#), name)
            }
            #expect(try ended("unix", path)["output"].string == "Output in syslog")
            #expect(eventually(5) { local.heard.contains(#"[dkron]: hello unix\n'"#) })
            #expect(local.heard.contains("b'<78>"))
            _ = try ended("udp", "udp://127.0.0.1:\(ports[0])")
            #expect(eventually(5) { udp.heard.contains(#"] hello udp\n'"#) })
            #expect(udp.heard.contains("b'<78>1 20") && udp.heard.contains(#"job="udp""#))
            #expect(try ended("tcp", "tcp://127.0.0.1:\(ports[1])")["notes"].elements.isEmpty)
            #expect(eventually(5) { tcp.heard.contains(#"] hello tcp\n'"#) })
            let roots = #", "tlsRootCAsFile": "\#(certificates.certificate("authority"))""#
            #expect(
                try ended("tls", "tls://localhost:\(ports[2])", roots)["output"].string
                    == "Output in syslog")
            #expect(eventually(5) { tls.heard.contains(#"] hello tls\n'"#) })

            let stranger = try ended("stranger", "tls://localhost:\(ports[2])")
            #expect(stranger["output"].string == "hello stranger\n")
            #expect(stranger["notes"].elements.first?.string?.contains("certificate") == true)
            let cut = try ended("cut", "tcp://127.0.0.1:\(ports[3])")
            #expect(cut["output"].string == "hello cut\n", "nothing is claimed")
            #expect(cut["notes"].elements.count == 1)
            withExtendedLifetime(closing) {}
        }

        @Test(
            "email: plain, and with STARTTLS and a password",
            .enabled(if: PythonListener.knows("aiosmtpd"), "needs aiosmtpd"))
        func email() throws {
            let server = Server("processors-mail")
            try server.start()
            let certificates = Certificates(scratch: server.scratch)
            try certificates.makeAuthority("authority")
            try certificates.make("mail", by: "authority")
            let (plainPort, safePort) = (freePort(), freePort())
            let plain = try PythonListener(
                PythonListener.mail, ["\(plainPort)"], in: server.scratch)
            let safe = try PythonListener(
                PythonListener.mail,
                ["\(safePort)", certificates.certificate("mail"), certificates.key("mail")],
                in: server.scratch)
            func ended(_ name: String, _ command: String, _ more: String) throws -> JSON {
                try run(
                    server,
                    job(
                        name, command,
                        #""email": {"from": "a@b.c", "to": "x@y.z, v@w.x", "on_success": true"#
                            + more + "}"), name)
            }
            let first = try ended(
                "plain", #"printf '.dot\\n..\\n'"#, #", "host": "127.0.0.1", "port": \#(plainPort)"#
            )
            #expect(first["notes"].elements.isEmpty, "\(first["notes"].elements)")
            #expect(first["output"].string == ".dot\n..\n", "a mail leaves the output as it is")
            #expect(eventually(5) { plain.heard.contains("body '.dot\\n..\\n'") }, "\(plain.heard)")
            #expect(plain.heard.contains("mail a@b.c ['x@y.z', 'v@w.x'] False"))
            #expect(plain.heard.contains("subject Success plain execution report"))

            let roots = #", "tlsRootCAsFile": "\#(certificates.certificate("authority"))""#
            let place = #", "host": "localhost", "port": \#(safePort), "tls": "required""#
            let secret = #", "username": "me", "password": "geheim", "subject_prefix": "[ü] ""#
            let second = try ended("safe", "false", place + roots + secret)
            #expect(second["state"].string == "failed")
            #expect(second["notes"].elements.isEmpty, "\(second["notes"].elements)")
            #expect(
                eventually(5) { safe.heard.contains("subject [ü] Failed safe execution report") },
                "\(safe.heard)")
            #expect(safe.heard.contains("True me"))
            let wrong = try ended(
                "wrong", "true", place + roots + #", "username": "me", "password": "falsch""#)
            #expect(
                wrong["notes"].elements.first?.string?.contains("refuses the user me") == true)
            #expect(!server.log.contains("geheim") && !server.log.contains("falsch"))
        }

        @Test("webhook: what is not delivered is noted, and one that hangs holds nothing up")
        func webhook() throws {
            let server = Server("processors-hook")
            try server.start()
            let port = freePort()
            let peer = try PythonListener(PythonListener.hook, ["\(port)"], in: server.scratch)
            let url = "http://127.0.0.1:\(port)"
            let told = try run(
                server, job("told", "echo hello", #""webhook": {"url": "\#(url)/a"}"#), "told")
            #expect(told["output"].string == "hello\n" && told["notes"].elements.isEmpty)
            #expect(peer.heard.contains("hook /a told {"), "\(peer.heard)")
            #expect(peer.heard.contains(#""output":"hello\n""#))
            let payload = #", "payload": "{{.JobName}}={{.Success}}""#
            let broken = try run(
                server,
                job("broken", "true", #""webhook": {"url": "\#(url)/broken"\#(payload)}"#),
                "broken")
            #expect(peer.heard.contains("hook /broken broken broken=true"))
            #expect(
                broken["notes"].elements.first?.string?.contains("500") == true,
                "\(broken["notes"].elements)")
            let began = uptime()
            let silent = try run(
                server,
                job(
                    "silent", "true",
                    #""webhook": {"url": "\#(url)/silent", "timeout": "2s"}"#), "silent")
            #expect(silent["state"].string == "success")
            #expect(
                silent["notes"].elements.first?.string?.contains("within the time-out of 2s")
                    == true, "\(silent["notes"].elements)")
            #expect(uptime() - began < 15)
        }

        @Test("a job whose processors can't be run is refused, and the offers say what they know")
        func validation() throws {
            let server = Server("processors-check")
            try server.start()
            let refused = server.send(
                "POST", "/v1/jobs", job("x", "true", #""files": {"logdir": "/tmp"}"#))
            #expect(refused?.status == 400)
            let text = refused?.text ?? ""
            #expect(text.contains("processors.files.logdir"), "\(text)")
            #expect(text.contains("forward, log_dir, max_age"), "\(text)")
            let unknown = server.send("POST", "/v1/jobs", job("y", "true", #""zzz": {"a": 1}"#))
            #expect(unknown?.status == 201)
            let offers = server.get("/v1/processors")?.text ?? ""
            #expect(offers.contains(#""name":"log_dir","type":"text","required":false"#))
            #expect(server.get("/v1/executors")?.text.contains(#""name":"shell""#) == true)
        }
    }
}
