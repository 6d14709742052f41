import Testing

@testable import Core

@Suite("Notifications: sent by the leader until they are taken or given up")
struct NotificationSenderTests {
    private static func settings(
        _ change: (inout NotificationSettings.Texts) -> Void
    ) throws -> NotificationSettings {
        var texts = NotificationSettings.Texts()
        change(&texts)
        return try NotificationSettings(texts)
    }

    private static func hook(_ texts: inout NotificationSettings.Texts) {
        texts.webhookEndpoint = "http://h/end"
        texts.webhookPayload = "{{.JobName}}: {{.Output}}"
    }

    private static func starts(_ texts: inout NotificationSettings.Texts) {
        hook(&texts)
        texts.preWebhookEndpoint = "http://h/start"
        texts.preWebhookPayload = "begins"
    }

    private func harness(
        attempts: Int = 15, _ change: (inout NotificationSettings.Texts) -> Void = hook
    ) throws -> NodeHarness {
        let settings = try Self.settings(change)
        var tunables = Tunables()
        tunables.notificationAttempts = attempts
        return NodeHarness(tunables: tunables) { $0.notifications = settings }
    }

    private static let job = """
        {"name": "a", "schedule": "@manually", "executor": "shell", "owner_email": "x@y, z@w",
         "executor_config": {"command": "x"}}
        """

    private func run(_ h: inout NodeHarness) {
        #expect(h.ask(.post, "/v1/jobs", Self.job).status == 201)
        #expect(h.ask(.post, "/v1/jobs/a/run?wait=0").status == 202)
        h.settle()
    }

    private func call(_ run: ProcessorRun) -> HTTPExchange? {
        guard case .webhook(let task) = run.task.work else { return nil }
        return task.call(of: run.execution, run.output, as: run.execution.id).exchange
    }

    private func targets(_ h: NodeHarness) -> [String] {
        h.processed.compactMap { call($0)?.url.target }
    }

    @Test func anEndIsToldOnceWithItsOutput() throws {
        var h = try harness()
        run(&h)
        #expect(h.processed.count == 1)
        let sent = try #require(call(h.processed[0]))
        #expect(String(decoding: sent.body, as: UTF8.self) == "a: hello\n")
        #expect(h.node.store.counters.notices == 0)
        h.restart()
        #expect(h.processed.count == 1)
        #expect(
            h.ask(.get, "/metrics").body.contains(
                #"dkron_notifications_total{channel="webhook",result="delivered"} 0"#))
    }

    @Test func whatFailsIsTriedAgainAndGivenUpInTheEnd() throws {
        var h = try harness(attempts: 3)
        h.process = { _ in .failed("it answered with status 503") }
        run(&h)
        #expect(h.processed.count == 1)
        h.advance(.milliseconds(999))
        #expect(h.processed.count == 1)
        h.advance(.milliseconds(1))
        #expect(h.processed.count == 2)
        h.advance(.seconds(2))
        #expect(h.processed.count == 3)
        #expect(h.node.store.counters.notices == 0)
        let list = h.ask(.get, "/v1/jobs/a/executions").body
        #expect(
            list.contains("notification by webhook given up: it answered with status 503"),
            "\(list)")
        #expect(list.contains(#""state":"success""#))
        #expect(h.logs.contains { $0.message == "a notification is given up" })
        h.advance(.hours(1))
        #expect(h.processed.count == 3)
    }

    @Test func oneThatHangsIsAbandonedAndHoldsUpNothingElse() throws {
        var h = try harness()
        h.process = { _ in nil }
        run(&h)
        for number in 0..<20 {
            #expect(h.ask(.post, "/v1/jobs/a/run?wait=0").status == 202, "\(number)")
        }
        #expect(h.processed.count == NotificationSender.places)
        #expect(h.ask(.get, "/v1/jobs/a").body.contains(#""success_count":21"#))
        h.advance(.seconds(32))
        #expect(h.abandoned.count >= NotificationSender.places)
        h.process = { _ in .done(output: nil) }
        h.advance(.minutes(3))
        #expect(h.node.store.counters.notices == 0)
        #expect(Set(h.processed.map(\.execution.id)).count == 21)
    }

    @Test func whatWasNotConfirmedIsSentAgainAfterAStart() throws {
        var h = try harness()
        h.process = { _ in nil }
        run(&h)
        #expect(h.processed.count == 1)
        h.process = { _ in .done(output: nil) }
        h.restart()
        #expect(h.processed.count == 2)
        #expect(h.processed[0].execution.id == h.processed[1].execution.id)
        #expect(h.processed[1].output == Array("hello\n".utf8), "the output is read again")
        #expect(h.node.store.counters.notices == 0)
    }

    @Test func aStartIsToldBeforeItsEndOrNotAtAll() throws {
        var h = try harness(Self.starts)
        h.exitCode = nil
        run(&h)
        #expect(targets(h) == ["/start"])
        let id = h.started[0].execution
        h.end(id)
        #expect(targets(h) == ["/start", "/end"])

        // The start fails; at the end it is given up.
        var g = try harness(Self.starts)
        g.exitCode = nil
        g.process = { _ in .failed("refused") }
        run(&g)
        g.advance(.seconds(1))
        #expect(targets(g) == ["/start", "/start"])
        g.process = { _ in .done(output: nil) }
        g.end(g.started[0].execution)
        #expect(targets(g) == ["/start", "/start", "/end"])
        #expect(
            g.ask(.get, "/v1/jobs/a/executions").body.contains(
                "notification by pre_webhook given up: the execution was over before"))
        #expect(g.node.store.counters.notices == 0)

        // The start hangs; the end waits until that is given up.
        var k = try harness(Self.starts)
        k.exitCode = nil
        k.process = { _ in nil }
        run(&k)
        k.end(k.started[0].execution)
        #expect(targets(k) == ["/start"])
        k.process = { _ in .done(output: nil) }
        k.advance(.seconds(32))
        #expect(targets(k) == ["/start", "/end"])
    }

    @Test func mailsGoToAllOfTheList() throws {
        var h = try harness {
            ($0.mailHost, $0.mailPort, $0.mailFrom) = ("m", 25, "Cron <cron@b.c>")
        }
        run(&h)
        guard case .email(let mail)? = h.processed.first?.task.work else {
            Issue.record("no mail: \(h.processed)")
            return
        }
        #expect(mail.recipients == ["x@y", "z@w"] && mail.sender == "cron@b.c")
        #expect(MailTask.addresses(in: " a@b ,, A <c@d>,x,a@b").valid == ["a@b", "c@d"])
        #expect(MailTask.addresses(in: " a@b ,, A <c@d>,x,a@b").others == ["x"])
    }

    @Test func pingsOfCronitor() throws {
        var h = try harness { $0.cronitorEndpoint = "http://c/p/" }
        h.exitCode = 1
        run(&h)
        let id = h.started[0].execution.text
        #expect(
            targets(h) == [
                "/p/a?host=n1&message=Job%20run%20by%20Dkron&series=\(id)&state=run",
                "/p/a?host=n1&message=Job%20complete%20by%20Dkron&series=\(id)&state=fail",
            ])
        #expect(call(h.processed[0])?.body.isEmpty == true)
    }

    @Test func allAttemptsAreOneRunToCronitor() throws {
        let job = Self.job.replacing(#""name""#, with: #""retries": 1, "name""#)
        var h = try harness { $0.cronitorEndpoint = "http://c" }
        h.exitCode = 1
        #expect(h.ask(.post, "/v1/jobs", job).status == 201)
        #expect(h.ask(.post, "/v1/jobs/a/run?wait=0").status == 202)
        h.settle()
        #expect(targets(h).count == 1)
        h.advance(.seconds(2))
        let id = h.started[0].execution.text
        #expect(h.started.count == 2)
        #expect(
            targets(h) == [
                "/a?host=n1&message=Job%20run%20by%20Dkron&series=\(id)&state=run",
                "/a?host=n1&message=Job%20complete%20by%20Dkron&series=\(id)&state=fail",
            ])

        // A start that hangs is given up before the end of another attempt is told.
        var g = try harness { $0.cronitorEndpoint = "http://c" }
        g.exitCode = 1
        g.process = { _ in nil }
        #expect(g.ask(.post, "/v1/jobs", job).status == 201)
        #expect(g.ask(.post, "/v1/jobs/a/run?wait=0").status == 202)
        g.advance(.seconds(2))
        #expect(g.started.count == 2 && targets(g).count == 1)
        g.process = { _ in .done(output: nil) }
        g.advance(.seconds(30))
        #expect(targets(g).count == 2 && targets(g).last?.hasSuffix("state=fail") == true)
        #expect(g.node.store.counters.notices == 0)
        #expect(
            g.ask(.get, "/v1/jobs/a/executions").body.contains(
                "notification by cronitor_start given up"))
    }

    @Test func aReloadChangesWhatIsOwedFromThenOn() throws {
        var h = try harness()
        run(&h)
        h.feed(.control(.reload(tags: nil, notifications: NotificationSettings())))
        #expect(h.node.store.cluster.notifying == [])
        _ = h.ask(.post, "/v1/jobs/a/run?wait=0")
        #expect(h.processed.count == 1)
        let settings = try Self.settings(Self.hook)
        h.feed(.control(.reload(tags: nil, notifications: settings)))
        #expect(h.node.store.cluster.notifying == .webhook)
        _ = h.ask(.post, "/v1/jobs/a/run?wait=0")
        #expect(h.processed.count == 2)
    }

    @Test func whatNobodyHasSettingsForAnyMoreIsGivenUp() throws {
        var h = try harness()
        h.process = { _ in nil }
        run(&h)
        h.restart { $0.notifications = NotificationSettings() }
        #expect(h.node.store.counters.notices == 0)
        #expect(
            h.ask(.get, "/v1/jobs/a/executions").body.contains(
                "given up: the leader has no settings for it"))
    }

    @Test func settingsThatCantBeUsedNameTheirOption() {
        func mistake(
            _ change: (inout NotificationSettings.Texts) -> Void
        ) -> NotificationSettings.Mistake? {
            do throws(NotificationSettings.Mistake) {
                var texts = NotificationSettings.Texts()
                change(&texts)
                _ = try NotificationSettings(texts)
                return nil
            } catch { return error }
        }
        let payload = mistake {
            ($0.mailHost, $0.mailPort, $0.mailPayload) = ("h", 1, "x\n {{.No}}")
        }
        #expect(payload?.option == "mail-payload")
        #expect(payload?.message.hasPrefix("column 2: (line 2) ") == true, "\(payload as Any)")
        #expect(mistake { ($0.mailHost, $0.mailPort) = ("h", 1) }?.option == "mail-from")
        #expect(mistake { $0.mailHost = "h" } == nil, "no port, no mail")
        let pair = mistake { ($0.mailHost, $0.mailPort, $0.mailUser) = ("h", 1, "u") }
        #expect(pair?.option == "mail-password")
        let url = mistake { $0.webhookEndpoint = "htp://secret" }
        #expect(url?.option == "webhook-endpoint" && url?.message.contains("secret") == false)
        let header = mistake {
            Self.hook(&$0)
            $0.webhookHeaders = ["a: b:c", "nothing"]
        }
        #expect(header?.option == "webhook-headers")
        #expect(header?.message.hasPrefix("entry 2 has no colon") == true, "\(header as Any)")
        #expect(mistake { $0.cronitorEndpoint = "http://c/?x" }?.option == "cronitor-endpoint")
    }

    // MARK: Templates

    @Test func timesArePrintedByLayouts() throws {
        // Tuesday.
        let time = WallTime(nanoseconds: 1_699_999_509_120_000_000)
        func text(_ layout: String) -> String { TimeLayout(layout).text(time) }
        #expect(text("2006-01-02T15:04:05Z07:00") == "2023-11-14T22:05:09Z")
        #expect(text("Mon, 02 Jan 2006 15:04:05 MST") == "Tue, 14 Nov 2023 22:05:09 UTC")
        #expect(text("Monday, 2 January 06, 3:04PM") == "Tuesday, 14 November 23, 10:05PM")
        #expect(text("Jan _2 002 15.4.5 pm 1/2") == "Nov 14 318 22.5.9 pm 11/14")
        #expect(text("05.000 05.999999 05,00") == "09.120 09.12 09,12")
        #expect(text("-0700 -07:00 -07 Z0700") == "+0000 +00:00 +00 Z")
        #expect(text("Month of _2006") == "Month of _2023")
        #expect(TimeLayout("2006-01-02 Mon").text(nil) == "0001-01-01 Mon")
        let first = WallTime(seconds: 1_704_067_199)
        #expect(TimeLayout("02.01.2006 03:04:05 Mon").text(first) == "31.12.2023 11:59:59 Sun")
    }

    @Test func templatesHaveLayoutsAndErrorsTheirLine() throws {
        var execution = Execution(
            number: 1, node: NodeName("n"), group: 7, attempt: 1,
            scheduledAt: WallTime(seconds: 0))
        execution.startedAt = WallTime(seconds: 1_704_067_199)
        var processed = ProcessedExecution(
            execution, of: JobName("a"), reportedBy: NodeName("s"))
        processed.siblings = [
            .init(node: NodeName("m"), startedAt: nil, finishedAt: nil, isSuccess: false)
        ]
        func fill(_ text: String) throws -> String {
            String(decoding: try ReportTemplate(text).filled(processed, []), as: UTF8.self)
        }
        #expect(try fill(#"{{ .StartTime.Format "2006" }}!"#) == "2023!")
        #expect(try fill("{{.StartTime.Format `15:04`}}") == "23:59")
        #expect(try fill("{{.Report}}").contains("\t[Node]: m [Start]: 0001-01-01 00:00:00 "))
        for text in [
            "{{.JobName.Format \"2006\"}}", "{{.StartTime.Format}}", "{{.StartTime.Format 2006}}",
            "{{.StartTime.Unix}}", "{{.StartTime.Format \"}}",
        ] {
            #expect(throws: TextError.self, "\(text)") { try ReportTemplate(text) }
        }
        do throws(TextError) { _ = try ReportTemplate("é {{.JobName}}\nü {{x}}") } catch {
            #expect(error.column == 3 && error.message.hasPrefix("(line 2) \"{{x}}\""))
            #expect(error.message.contains(".Report, .JobName"))
        }
    }

    // MARK: Secrets

    @Test func secretsOfProcessorsAreReadWhereTheyRunAndHidden() throws {
        var h = NodeHarness()
        h.secrets = ["token": "geheim"]
        h.process = { run in
            guard case .plugin(_, let settings) = run.task.work else { return .done(output: nil) }
            return .failed("no \(settings.first?.value ?? "")")
        }
        let job = """
            {"name": "a", "schedule": "@manually", "executor": "shell",
             "executor_config": {"command": "x"}, "processors": {
             "p": {"key": "is ${secret:token}"}, "q": {"key": "${secret:other}"}, "log": {}}}
            """
        #expect(h.ask(.post, "/v1/jobs", job).status == 201)
        #expect(h.ask(.post, "/v1/jobs/a/run?wait=0").status == 202)
        h.settle()
        let list = h.ask(.get, "/v1/jobs/a/executions").body
        #expect(h.processed.count == 2, "the second had no secret")
        #expect(list.contains("processor p: no is ***"), "\(list)")
        #expect(list.contains("processor q: "))
        #expect(!list.contains("geheim"))
        #expect(!h.logs.contains { $0.fields.contains { $0.value.contains("geheim") } })
        #expect(!h.ask(.get, "/v1/jobs/a").body.contains("geheim"))
        let bad = job.replacing("${secret:token}", with: "${secret:to ken}")
        #expect(h.ask(.post, "/v1/jobs", bad).status == 400)
    }
}
