import Glibc
import Testing

extension EndToEnd {
    @Suite("Notifications", .serialized)
    struct NotificationTests {
        private func job(_ name: String, _ command: String, _ more: String = "") -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "shell",
             "executor_config": {"command": "\(command)"}\(more)}
            """
        }

        private func run(_ server: Server, _ job: String, _ name: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                $0["finished_at"].string?.hasPrefix("2") == true
            }
        }

        private func count(_ text: String, in heard: String) -> Int {
            heard.components(separatedByText: text)
        }

        @Test(
            "mail: to all of owner_email, of failures or of everything, and once behind retries",
            .enabled(if: PythonListener.knows("aiosmtpd"), "needs aiosmtpd"))
        func mail() throws {
            let port = freePort()
            let server = Server(
                "notify-mail",
                arguments: [
                    "--mail-host", "127.0.0.1", "--mail-port", "\(port)", "--mail-from",
                    "Cron <cron@b.c>", "--mail-subject-prefix", "[x] ",
                ])
            let peer = try PythonListener(PythonListener.mail, ["\(port)"], in: server.scratch)
            try server.start()
            let owner = #", "owner_email": "x@y.z, V W <v@w.x>""#
            _ = try run(server, job("good", "echo fine", owner), "good")
            #expect(eventually(10) { peer.heard.contains("body 'fine\\n'") }, "\(peer.heard)")
            #expect(peer.heard.contains("mail cron@b.c ['x@y.z', 'v@w.x'] False"))
            #expect(peer.heard.contains("subject [x] Success good execution report"))

            let rule = owner + #", "notify_on": "failure""#
            _ = try run(server, job("quiet", "echo silence", rule), "quiet")
            try server.save(job("bad", "exit 3", rule + #", "retries": 2"#))
            _ = server.send("POST", "/v1/jobs/bad/run?wait=0")
            #expect(
                eventually(20) { peer.heard.contains("subject [x] Failed bad execution report") },
                "\(peer.heard)")
            #expect(server.executions(of: "bad").count == 3, "it is told of the last attempt")
            pause(1)
            #expect(count("subject [x] Failed bad", in: peer.heard) == 1)
            #expect(!peer.heard.contains("quiet") && !peer.heard.contains("silence"))
            #expect(server.get("/v1/jobs/bad")?.text.contains(#""notify_on":"failure""#) == true)
            #expect(server.get("/v1/jobs/good")?.text.contains("notify_on") == false)

            let refused = server.send("POST", "/v1/jobs", job("z", "true", #", "notify_on": "x""#))
            #expect(refused?.status == 400 && refused?.text.contains("always and failure") == true)
            let wrong = try run(server, job("wrong", "true", #", "owner_email": "me""#), "wrong")
            let noted = try server.execution(of: "wrong") { !$0["notes"].elements.isEmpty }
            #expect(wrong["state"].string == "success")
            #expect(
                noted["notes"].elements.first?.string?.contains("\"me\" is none") == true,
                "\(noted["notes"].elements)")
            let metrics = server.get("/metrics")?.text ?? ""
            #expect(
                metrics.contains(
                    #"dkron_notifications_total{channel="mail",result="delivered"} 2"#))
            #expect(metrics.contains(#"channel="mail",result="given_up"} 1"#))
            #expect(metrics.contains("dkron_notifications_waiting 0"))
        }

        @Test("web hooks and Cronitor hear of start and end, with headers that keep their colons")
        func hooks() throws {
            let port = freePort()
            let server = Server("notify-hooks")
            let place = "http://127.0.0.1:\(port)"
            let file = server.scratch.path("dkron.yml")
            writeText(
                """
                webhook-url: \(place)/twice
                webhook-payload: >-
                  {{.JobName}} {{ .Success }} {{.StartTime.Format "2006"}} {{.Output}}
                webhook-headers:
                  - "X-Where: http://a.b:80/c"
                  - "Host: other.example"
                pre-webhook-endpoint: \(place)/start
                pre-webhook-payload: "begins {{.JobName}}"
                cronitor-endpoint: \(place)/ping/
                """, to: file)
            server.extraArguments = ["--config", file]
            let peer = try PythonListener(PythonListener.hook, ["\(port)"], in: server.scratch)
            try server.start()
            let ended = try run(server, job("told", "sleep 1"), "told")
            // The first two answers are 503.
            #expect(
                eventually(20) {
                    count("hook /twice told told true 20", in: peer.heard) == 3
                }, "\(peer.heard)")
            #expect(peer.heard.contains("header http://a.b:80/c other.example"))
            #expect(peer.heard.contains("hook /start told begins told"))
            let series = ended["id"].string ?? "-"
            let begun =
                "host=notify-hooks&message=Job%20run%20by%20Dkron&series=\(series)&state=run"
            #expect(peer.heard.contains("/ping/told?\(begun)"), "\(peer.heard)")
            #expect(
                eventually(10) {
                    peer.heard.contains(
                        "message=Job%20complete%20by%20Dkron&series=\(series)&state=complete")
                })
            #expect(ended["notes"].elements.isEmpty)
            #expect(!server.log.contains("/twice"), "addresses are secret: \(server.log)")

            // A reload takes other settings at once.
            writeText("cronitor-endpoint: \(place)/other\n", to: file)
            kill(server.processID, SIGHUP)
            #expect(server.logs("configuration read again"))
            pause(0.5)
            try server.save(job("later", "false", #", "retries": 1"#))
            _ = server.send("POST", "/v1/jobs/later/run?wait=0")
            #expect(eventually(10) { peer.heard.contains("state=fail") }, "\(peer.heard)")
            // Both attempts are one run, which begins once and ends once.
            let attempts = server.executions(of: "later")
            #expect(attempts.count == 2)
            let first = attempts.last?["id"].string ?? "-"
            for state in ["run", "fail"] {
                #expect(count("&series=\(first)&state=\(state)", in: peer.heard) == 1)
            }
            #expect(count("/other/later?", in: peer.heard) == 2, "\(peer.heard)")
            #expect(!peer.heard.contains("hook /twice later"))
        }

        @Test("a receiver that hangs, breaks off, talks nonsense or never ends delays no result")
        func badReceivers() throws {
            for path in ["silent", "cut", "garbage", "endless"] {
                let port = freePort()
                let server = Server(
                    "notify-\(path)",
                    arguments: [
                        "--webhook-endpoint", "http://127.0.0.1:\(port)/\(path)",
                        "--webhook-payload", "{{.JobName}}",
                    ])
                let peer = try PythonListener(PythonListener.hook, ["\(port)"], in: server.scratch)
                try server.start()
                let began = uptime()
                let ended = try run(server, job("a", "echo hello"), "a")
                #expect(ended["output"].string == "hello\n" && uptime() - began < 10)
                #expect(eventually(10) { peer.heard.contains("hook /\(path) a a") })
                #expect(server.get("/v1/jobs/a")?.text.contains(#""status":"success""#) == true)
                let second = try run(server, job("b", "echo hello"), "b")
                #expect(second["state"].string == "success")
            }
        }

        @Test("what was not confirmed is sent again after the leader was killed")
        func killed() throws {
            let port = freePort()
            let server = Server(
                "notify-killed",
                arguments: [
                    "--webhook-endpoint", "http://127.0.0.1:\(port)/silent",
                    "--webhook-payload", "{{.JobName}} {{.ExecutionID}}",
                ])
            let peer = try PythonListener(PythonListener.hook, ["\(port)"], in: server.scratch)
            try server.start()
            let ended = try run(server, job("a", "echo hello"), "a")
            let line = "hook /silent a a \(ended["id"].string ?? "-")"
            #expect(eventually(10) { peer.heard.contains(line) }, "\(peer.heard)")
            server.crash()
            server.extraArguments[1] = "http://127.0.0.1:\(port)/fine"
            try server.start()
            let again = "hook /fine a a \(ended["id"].string ?? "-")"
            #expect(eventually(10) { peer.heard.contains(again) }, "\(peer.heard)")
            #expect(
                eventually(10) {
                    server.get("/metrics")?.text.contains("dkron_notifications_waiting 0") == true
                })
            pause(1)
            #expect(count(again, in: peer.heard) == 1)
        }

        @Test("options that can't be used are refused with their place")
        func refusals() throws {
            func problems(_ arguments: [String]) throws -> String {
                let scratch = Scratch("notify-check")
                return try EndToEndTests.run(
                    [binary, "agent", "--server", "--check-config"] + arguments, in: scratch
                ).1
            }
            let text = try problems(["--webhook-payload", "a\nb {{.Nothing}}"])
            #expect(text.contains("--webhook-payload: column 3: (line 2)"), "\(text)")
            #expect(text.contains(".JobName") && text.contains(".Format"))
            let hook = ["--webhook-payload", "x", "--webhook-endpoint"]
            #expect(try problems(hook + ["ftp://geheim"]).contains("not an http or https URL"))
            #expect(!(try problems(hook + ["ftp://geheim"]).contains("geheim")))
            let headers = try problems(hook + ["http://h/", "--webhook-headers", "none"])
            #expect(headers.contains("--webhook-headers: entry 1 has no colon"), "\(headers)")
            let halves = try problems(["--mail-host", "h"])
            #expect(halves.contains("--mail-host has no effect without mail-port"), "\(halves)")
        }
    }
}

extension String {
    /// How often a text stands here.
    fileprivate func components(separatedByText text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
