import Testing

@testable import Core

@Suite("Store: reading jobs")
struct JobReaderTests {
    private func read(
        _ text: String, name: String? = nil, from source: JobReader.Source = .submission
    ) throws -> JobInput {
        let json = try JSONDocument(Array(text.utf8))
        return try JobReader.read(
            json.root, of: json, name: name.map { JobName($0) }, from: source)
    }

    private func message(_ text: String) -> String {
        do {
            _ = try read(text)
            return ""
        } catch {
            return (error as? JobError)?.message ?? "\(error)"
        }
    }

    private func value(_ settings: [Setting], _ name: String) -> String? {
        settings.first { $0.name == name }?.value
    }

    @Test("settings may be booleans, numbers, lists and objects, kept as text")
    func settingTexts() throws {
        let document = try read(
            #"{"name":"a","schedule":"@daily","executor":"http","executor_config":"#
                + #"{"b":true,"n":1.50,"l":["x", 1],"o":{ "k" : null },"s":"t","z":null},"#
                + #""tags":{"count":2},"metadata":{"x":false}}"#
        ).document
        #expect(value(document.executorConfig, "b") == "true")
        #expect(value(document.executorConfig, "n") == "1.50")
        #expect(value(document.executorConfig, "l") == #"["x",1]"#)
        #expect(value(document.executorConfig, "o") == #"{"k":null}"#)
        #expect(value(document.executorConfig, "z") == "")
        #expect(document.executorConfig.map(\.name) == ["b", "l", "n", "o", "s", "z"])
        #expect(document.tags == [Setting(name: "count", value: "2")])
        #expect(document.metadata == [Setting(name: "x", value: "false")])
    }

    @Test("an environment may be a list or an object")
    func environment() throws {
        func env(_ json: String) throws -> String? {
            value(
                try read(
                    #"{"name":"a","schedule":"@daily","executor":"shell","#
                        + #""executor_config":{"command":"x","env":\#(json)}}"#
                ).document.executorConfig, "env")
        }
        #expect(try env(#"["A=1","B=x,\"y\""]"#) == #"A=1,B="x,\"y\"""#)
        #expect(try env(#"{"A":1,"B":"b"}"#) == "A=1,B=b")
        #expect(try env(#""A=1""#) == "A=1")
        let text = try #require(try env(#"["A=1","B=x,\"y\""]"#))
        let command = try ShellCommand.parse([("command", "x"), ("env", text)])
        #expect(command.environment.map(\.value) == ["1", #"x,"y""#])
    }

    @Test("fields of the first releases become settings of shell")
    func olderFields() throws {
        let document = try read(
            #"{"name":"a","schedule":"@daily","command":"echo $A","shell":true,"#
                + #""environment_variables":["A=1","B=2"],"run_as_user":"app"}"#
        ).document
        #expect(document.executor == "shell")
        #expect(
            document.executorConfig == [
                Setting(name: "command", value: "echo $A"),
                Setting(name: "env", value: "A=1,B=2"), Setting(name: "shell", value: "true"),
                Setting(name: "su", value: "app"),
            ])
        #expect(
            message(#"{"name":"a","schedule":"@daily","command":"x","executor":"http"}"#)
                .contains("belong to the executor shell"))
        #expect(
            message(
                #"{"name":"a","schedule":"@daily","command":"x","executor":"shell","#
                    + #""executor_config":{"command":"y"}}"#
            ).contains("differ"))
        let ignored = try read(
            #"{"name":"a","schedule":"@daily","command":"x","executor":"http"}"#, from: .export)
        #expect(ignored.document.executorConfig.isEmpty)
    }

    @Test(
        "older fields that are empty say nothing",
        arguments: [
            (#""executor":"http","executor_config":{"url":"u"}"#, "http", ["url"]),
            (
                #""executor":"shell","executor_config":{"command":"x","shell":"true"}"#, "shell",
                ["command", "shell"]
            ),
            (#""executor":"""#, "", []),
        ] as [(String, String, [String])])
    func emptyOlderFields(_ more: String, _ executor: String, _ keys: [String]) throws {
        // A whole job as release 1.0 printed it.
        let document = try read(
            #"{"name":"a","timezone":"","schedule":"@daily","shell":false,"command":"","#
                + #""environment_variables":null,"owner":"","owner_email":"","success_count":3,"#
                + #""error_count":0,"last_success":"2016-06-06T20:25:36Z","#
                + #""last_error":"0001-01-01T00:00:00Z","disabled":false,"#
                + #""tags":{"dkron_server":"true:1"},"retries":2,"dependent_jobs":["b"],"#
                + #""parent_job":"","processors":{"files":{"forward":true}},"#
                + #""concurrency":"allow","status":"success",\#(more)}"#
        ).document
        #expect(document.executor == executor)
        #expect(document.executorConfig.map(\.name) == keys)
        #expect(document.processors.first?.settings == [Setting(name: "forward", value: "true")])
        let none = try read(
            #"{"name":"a","schedule":"@daily","environment_variables":[],"run_as_user":"","#
                + #"\#(more)}"#
        ).document
        #expect(none.executor == executor)
    }

    @Test("processors keep the order of the text unless they name one")
    func processorOrder() throws {
        func order(_ json: String) throws -> [String] {
            try read(#"{"name":"a","schedule":"@daily","processors":\#(json)}"#)
                .document.processors.map(\.name)
        }
        #expect(try order(#"{"z":{},"a":{"forward":true},"m":null}"#) == ["z", "a", "m"])
        #expect(
            try order(#"{"z":{},"a":{"order":-1},"m":{"order":"9"},"b":{}}"#) == [
                "a", "z", "b", "m",
            ])
        #expect(
            message(#"{"name":"a","schedule":"@daily","processors":{"x":{"order":"y"}}}"#)
                .contains("not a whole number"))
        #expect(
            message(#"{"name":"a","schedule":"@daily","processors":{"x":"y"}}"#)
                .contains("must be an object"))
    }

    @Test("of duplicates the last counts, maps are merged, null is the default")
    func duplicates() throws {
        let document = try read(
            #"{"name":"x","NAME":"a","schedule":"@daily","tags":{"a":"1","b":"1"},"#
                + #""Tags":{"b":"2"},"metadata":{"a":"1"},"metadata":null,"retries":null,"#
                + #""owner":null,"fence":null,"dst":null,"concurrency":null}"#
        ).document
        #expect(document.name == JobName("a"))
        #expect(
            document.tags == [Setting(name: "a", value: "1"), Setting(name: "b", value: "2")])
        #expect(document.metadata.isEmpty)
        #expect(document.concurrency == .allow && !document.concurrencyIsEmpty)
    }

    @Test("settings are sorted by the bytes of their names, few and many alike")
    func sorting() throws {
        for count in [3, 16, 17, 18, 100] {
            let names = (0..<count).map { "k\($0 * 37 % count)" }
            let members = (names + ["k1", "k0"]).enumerated().map { index, name in
                #""\#(name)":\#(index)"#
            }
            let document = try read(
                #"{"name":"a","schedule":"@daily","tags":{\#(members.joined(separator: ","))}}"#
            ).document
            #expect(document.tags.map(\.name) == Set(names).sorted())
            #expect(value(document.tags, "k0") == "\(count + 1)")
            #expect(value(document.tags, "k1") == "\(count)")
        }
    }

    @Test("times have two forms, and the zero time is none")
    func times() throws {
        let document = try read(
            #"{"name":"a","schedule":"@daily","starts_at":"2030-01-02T03:04","#
                + #""expires_at":"2030-01-02T05:04:05.5+02:00"}"#
        ).document
        #expect(document.startsAt == WallTime(seconds: 1_893_553_440))
        #expect(
            document.expiresAt
                == WallTime(seconds: 1_893_553_445) + .milliseconds(500))
        let zero = try read(
            #"{"name":"a","schedule":"@daily","expires_at":"0001-01-01T00:00:00Z"}"#)
        #expect(zero.document.expiresAt == nil)
    }

    @Test(
        "times that can't be kept become the nearest that can",
        arguments: [
            ("9999-12-31T00:00:00Z", Int64.max), ("9999-12-31T00:00", .max),
            ("2300-01-01T00:00:00+14:00", .max), ("2262-04-11T23:47:16.854775807Z", .max),
            ("1600-01-01T00:00:00Z", .min), ("0001-01-01T00:00", .min),
            ("1677-09-21T00:12:43.145224192Z", .min),
        ])
    func farTimes(_ text: String, _ nanoseconds: Int64) throws {
        for field in ["starts_at", "expires_at"] {
            let document = try read(#"{"name":"a","schedule":"@daily","\#(field)":"\#(text)"}"#)
                .document
            let time = field == "starts_at" ? document.startsAt : document.expiresAt
            #expect(time == WallTime(nanoseconds: nanoseconds))
        }
    }

    @Test("what is no time stays refused", arguments: ["9999-13-01T00:00:00Z", "9999-12-31", ""])
    func noTimes(_ text: String) {
        #expect(message(#"{"name":"a","schedule":"@daily","expires_at":"\#(text)"}"#) != "")
    }

    @Test(
        "names",
        arguments: [
            ("backup-2", true), ("_x", true), ("-", true), ("7", true), ("straße", true),
            ("łódź", true), ("Backup", false), ("my job", false), ("a.b", false), ("a/b", false),
            ("a:b", false), ("日本", false), ("x²", false), ("e\u{301}", false), ("", false),
            ("a\u{0}", false), ("\u{202e}a", false),
        ])
    func names(_ name: String, _ isAllowed: Bool) throws {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("name", name)
        writer.member("schedule", "@daily")
        writer.endObject()
        let text = String(decoding: writer.bytes, as: UTF8.self)
        #expect(message(text).isEmpty == isAllowed)
        if !name.isEmpty {
            let input = try read(text, from: .export)
            #expect(input.violations.isEmpty == isAllowed)
            #expect(input.document.isDisabled != isAllowed)
        }
    }

    @Test("an export's broken rules are noted, its counters taken")
    func export() throws {
        let input = try read(
            #"{"id":"a","name":"a","schedule":"nonsense","concurrency":"odd","retries":5000,"#
                + #""success_count":7,"error_count":2,"last_success":"2030-01-01T00:00:00Z","#
                + #""last_error":null,"every_anchor":"2029-01-01T00:00:00Z","next":"soon","#
                + #""dependent_jobs":["x","x"],"status":"success","unheard_of":[1]}"#,
            from: .export)
        #expect(input.violations.map(\.field) == ["schedule", "concurrency", "retries"])
        #expect(input.document.invalidReason?.contains("concurrency") == true)
        #expect(input.successCount == 7)
        #expect(input.errorCount == 2)
        #expect(input.lastSuccess == WallTime(seconds: 1_893_456_000))
        #expect(input.lastError == nil)
        #expect(input.everyAnchor == WallTime(seconds: 1_861_920_000))
    }

    @Test("run-time fields of a submission are ignored, whatever they hold")
    func runTime() throws {
        let input = try read(
            #"{"name":"a","schedule":"@daily","success_count":"x","next":5,"status":{},"#
                + #""last_error":"never","version":null,"warnings":[]}"#)
        #expect(input.successCount == 0)
        #expect(input.violations.isEmpty)
    }

    @Test("what is too large is refused")
    func limits() {
        let long = String(repeating: "a", count: 256)
        #expect(message(#"{"name":"\#(long)","schedule":"@daily"}"#).contains("256 bytes"))
        let longer = String(repeating: "a", count: 2_000)
        #expect(
            message(#"{"name":"a","schedule":"@daily","owner":"\#(longer)"}"#)
                .contains("owner has 2000 bytes"))
        let tags = (0..<300).map { #""t\#($0)":"x""# }.joined(separator: ",")
        #expect(
            message(#"{"name":"a","schedule":"@daily","tags":{\#(tags)}}"#)
                .contains("more than 256"))
        #expect(message(#"{"name":"a","schedule":"@daily","retries":1001}"#).contains("1000"))
        #expect(
            message(#"{"name":"a","schedule":"@daily","retries":4294967296}"#)
                .contains("whole number"))
    }
}
