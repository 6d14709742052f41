import Testing

@testable import Core

@Suite("Processors: settings and messages")
struct ProcessorSettingsTests {
    private func task(
        _ name: String, _ settings: [(String, String)]
    ) throws(ExecutorSettingError) -> ProcessorTask {
        try BuiltInProcessor.task(
            ProcessorSettings(
                name: name, settings: settings.map { Setting(name: $0.0, value: $0.1) }))
    }

    private func refusal(_ name: String, _ settings: [(String, String)]) -> String {
        do throws(ExecutorSettingError) { _ = try task(name, settings) } catch {
            return error.description
        }
        return ""
    }

    static var execution: ProcessedExecution {
        var execution = Execution(
            number: 1_700_000_000_000_000_001, node: NodeName("a/../b"), group: 7, attempt: 2,
            scheduledAt: WallTime(seconds: 1_700_000_000))
        execution.state = .success
        execution.startedAt = WallTime(seconds: 1_700_000_000)
        execution.finishedAt = WallTime(seconds: 1_700_000_001)
        return ProcessedExecution(
            execution, of: JobName("back\"up"), reportedBy: NodeName("s1"))
    }

    @Test func unknownKeysAndWrongValuesNameTheKeyAndWhatIsAllowed() {
        #expect(
            refusal("log", [("colour", "red")])
                == "colour: the log processor has no setting \"colour\"; it has forward, order, "
                + "timeout")
        #expect(refusal("log", [("forward", "maybe")]).contains("neither true nor false"))
        #expect(refusal("log", [("timeout", "11m")]).hasPrefix("timeout: "))
        #expect(refusal("log", [("timeout", "0")]).hasPrefix("timeout: "))
        #expect(refusal("files", [("log_dir", "var/log")]).hasPrefix("log_dir: "))
        #expect(refusal("files", [("log_dir", "/var/../etc")]).hasPrefix("log_dir: "))
        #expect(refusal("files", [("max_files", "0")]).hasPrefix("max_files: "))
        #expect(refusal("files", [("max_files", "-1")]).hasPrefix("max_files: "))
        #expect(refusal("files", [("max_size", "big")]).hasPrefix("max_size: "))
        #expect(refusal("syslog", [("facility", "cronn")]).contains("none of kern, user"))
        #expect(refusal("syslog", [("address", "http://h")]).hasPrefix("address: "))
        #expect(refusal("syslog", [("tag", "a b")]).hasPrefix("tag: "))
        #expect(refusal("email", []).hasPrefix("host: a host is required"))
        let mail = [("host", "h"), ("from", "a@b"), ("to", "c@d")]
        #expect(refusal("email", mail) == "")
        #expect(refusal("email", mail + [("username", "u")]).hasPrefix("password: "))
        #expect(
            refusal("email", [("host", "h"), ("from", "ab"), ("to", "c@d")]).contains("from: "))
        #expect(
            refusal("email", [("host", "h"), ("from", "a@b"), ("to", "c@d\r\nDATA")])
                .hasPrefix("to: "))
        #expect(refusal("webhook", []).hasPrefix("url: a url is required"))
        #expect(refusal("webhook", [("url", "ftp://h")]).hasPrefix("url: "))
        #expect(
            refusal("webhook", [("url", "http://h"), ("payload", "{{.Nothing}}")])
                .contains("allowed are .Report, .JobName"))
        #expect(
            refusal("webhook", [("url", "http://h"), ("expect_code", "1")])
                .hasPrefix("expect_code: "))
    }

    @Test func settingsMeanWhatTheySay() throws {
        #expect(try task("log", []).forwards == false)
        #expect(try task("log", [("forward", "true"), ("order", "3")]).forwards)
        #expect(try task("webhook", [("url", "http://h")]).forwards)
        #expect(try task("log", [("timeout", "90")]).timeout == .seconds(90))
        guard
            case .files(let files) = try task(
                "files",
                [
                    ("log_dir", "/tmp//x/./y"), ("max_files", "3"), ("max_age", "24h"),
                    ("max_size", "1MB"),
                ]
            ).work
        else {
            Issue.record("not files")
            return
        }
        #expect(files.directory == "/tmp/x/y" && files.mostFiles == 3)
        #expect(files.mostAge == .hours(24) && files.mostBytes == 1 << 20)
        #expect(
            files.path(of: Self.execution.id)
                == "/tmp/x/y/1700000000000000001-a%2f..%2fb.log")
        #expect(FilesTask.number(ofFile: "1700000000000000001-a.log") == 1_700_000_000_000_000_001)
        #expect(FilesTask.number(ofFile: "notes.log") == nil)
        #expect(FilesTask.number(ofFile: "17-a.txt") == nil)
    }

    @Test func aPluginKeepsItsSettings() throws {
        let settings = [("x", "1"), ("forward", "perhaps")]
        guard case .plugin("mine", let kept) = try task("mine", settings).work else {
            Issue.record("not a plugin")
            return
        }
        #expect(kept.map(\.name) == ["x", "forward"])
        #expect(try task("mine", settings).replacement(for: Self.execution.id) == nil)
    }

    @Test func everyKeyOfATableIsReadAndEveryTableIsDescribed() throws {
        for processor in BuiltInProcessor.allCases {
            let names = processor.table.map(\.name)
            #expect(Set(names).count == names.count)
            for key in processor.table {
                #expect(!key.meaning.isEmpty && !key.meaning.hasSuffix("."))
                if key.kind == .boolean { #expect(key.standard != nil) }
            }
        }
    }

    // MARK: Syslog

    private func syslog(_ settings: [(String, String)]) throws -> SyslogTask {
        guard case .syslog(let task) = try task("syslog", settings).work else {
            throw ExecutorSettingError(key: "", message: "not syslog")
        }
        return task
    }

    @Test func messagesOfRFC5424AndOfTheLocalSocket() throws {
        let task = try syslog([("address", "udp://h"), ("facility", "local3"), ("severity", "err")])
        #expect(task.target == .datagram(host: "h", port: 514))
        let message = task.message(
            Array("out\nput".utf8)[...], of: Self.execution, at: WallTime(seconds: 1_700_000_002))
        #expect(
            String(decoding: message, as: UTF8.self)
                == "<155>1 2023-11-14T22:13:22Z s1 dkron - 1700000000000000001-a/../b "
                + "[dkron@32473 job=\"back\\\"up\" execution=\"1700000000000000001-a/../b\" "
                + "node=\"a/../b\" state=\"success\"] out\nput")
        let local = try syslog([])
        #expect(local.target == .local("/dev/log"))
        let text = local.localMessage(
            [0x61, 0, 0x62], at: WallTime(seconds: 1_699_315_200))
        #expect(String(decoding: text, as: UTF8.self) == "<78>Nov  7 00:00:00 [dkron]: a b")
        #expect(
            try syslog([("address", "tls://[::1]:99")]).target
                == .stream(ConversationServer(host: "::1", port: 99, tls: TLSPeer(host: "::1"))))
    }

    @Test func longOutputsTakeSeveralDatagramsAndNothingIsLost() {
        let lines = (0..<20_000).map { "line \($0)\n" }.joined()
        let bytes = Array(lines.utf8)
        let pieces = SyslogTask.pieces(bytes)
        #expect(pieces.count > 4 && Array(pieces.joined()) == bytes)
        #expect(pieces.allSatisfy { $0.count <= 32 << 10 })
        #expect(pieces.dropLast().allSatisfy { $0.last == 0x0a })
        let solid = [UInt8](repeating: 1, count: 100_000)
        #expect(Array(SyslogTask.pieces(solid).joined()) == solid)
        #expect(SyslogTask.pieces([]).count == 1)
    }

    // MARK: Mail and templates

    @Test func aMailIsTextInBase64() throws {
        let settings = [
            ("host", "h"), ("from", "a@b"), ("to", "c@d, e@f"), ("subject_prefix", "[é] "),
        ]
        guard case .email(let mail) = try task("email", settings).work else {
            Issue.record("no mail")
            return
        }
        #expect(mail.port == 25 && mail.recipients == ["c@d", "e@f"] && !mail.tellsSuccess)
        let delivery = mail.delivery(
            of: Self.execution, Array("hi".utf8), at: WallTime(seconds: 784_111_777),
            timeout: .seconds(1))
        let text = String(decoding: delivery.message, as: UTF8.self)
        #expect(text.contains("From: <a@b>\r\nTo: <c@d>,\r\n <e@f>\r\n"))
        #expect(text.contains("Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"))
        #expect(text.contains("Subject: =?utf-8?B?"))
        #expect(text.hasSuffix("\r\n\r\naGk=\r\n"))
        #expect(text.split(separator: "\r\n").allSatisfy { $0.utf8.count < 100 })
        #expect(MailText.encodedWord("plain") == "plain")
        #expect(MailText.encodedWord("a\r\nBcc: x").hasPrefix("=?utf-8?B?"))
    }

    @Test func templatesAreFilledIn() throws {
        func fill(_ text: String) throws -> String {
            String(
                decoding: try ReportTemplate(text).filled(Self.execution, Array("o{{.x}}".utf8)),
                as: UTF8.self)
        }
        #expect(try fill("{{.JobName}} {{ .Success }}") == "back\"up true")
        #expect(try fill("a {{- .NodeName -}} b") == "aa/../bb")
        #expect(try fill("{{.Output}}") == "o{{.x}}")
        #expect(try fill("{{.StartTime}}") == "2023-11-14 22:13:20 +0000 UTC")
        #expect(try fill("plain } { text") == "plain } { text")
        #expect(try fill("{{.JSON}}").contains(#""job_name":"back\"up""#))
        #expect(try fill("{{.Report}}").hasPrefix("Executed: back\"up\nReporting node: s1\n"))
        #expect(throws: TextError.self) { try ReportTemplate("{{.JobName") }
        #expect(throws: TextError.self) { try ReportTemplate("{{if .Success}}x{{end}}") }
        #expect(throws: TextError.self) { try ReportTemplate("{{}}") }
    }
}
