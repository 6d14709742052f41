import Testing

@testable import Core

/// A machine with variables, whose signatures are words.
private struct WordyHost: ExecutorHost {
    var variables: [String: String] = [:]

    func digest(_ kind: DigestKind, of bytes: [UInt8]) throws(ExecutorHostError) -> [UInt8] {
        [UInt8](repeating: UInt8(bytes.count & 255), count: 32)
    }
    func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [0xab] }
    func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [] }
    func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8] { [] }
    func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8] { [] }
    func variable(_ name: String) -> String? { variables[name] }
    func file(_ path: String) throws(ExecutorHostError) -> [UInt8]? { nil }
}

private let keys = ["AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"]

/// A dialogue whose service is the test.
private struct ServiceFixture {
    var dialogue: ECSDialogue
    var now = Now(monotonic: Instant(nanoseconds: 0), wall: WallTime(seconds: 1_700_000_000))
    var exchange: HTTPExchange?

    init(
        _ settings: [(String, String)], isResumed: Bool = false,
        variables: [String: String] = keys
    ) throws {
        let all = [("taskdefName", "f"), ("region", "eu-central-1")] + settings
        let job = try ECSJob.parse(all.map { (key: $0.0, value: $0.1) })
        let call = ConversationCall(
            execution: ExecutionID("17-n"), task: .ecs(job),
            identity: [EnvironmentEntry(name: "DKRON_GROUP", value: "1")], fence: nil,
            isResumed: isResumed)
        dialogue = ECSDialogue(job, call, on: WordyHost(variables: variables))
    }

    mutating func begin() -> String { told(dialogue.next(at: now)) }

    mutating func answer(_ body: String, status: Int = 200) -> String {
        told(dialogue.answered(HTTPResponseHead(status: status), Array(body.utf8), at: now))
    }

    mutating func wait(_ time: Duration) -> String {
        now.monotonic = now.monotonic + time
        return told(dialogue.next(at: now))
    }

    mutating func interrupt() -> String { told(dialogue.interrupted(.stopped, at: now)) }
    mutating func fail() -> String { told(dialogue.failed("gone", at: now)) }

    private mutating func told(_ step: HTTPDialogueStep) -> String {
        switch step {
        case .ask(let exchange, _, _):
            self.exchange = exchange
            let action = exchange.headers["X-Amz-Target"]?.split(separator: ".").last
            return action.map(String.init) ?? "\(exchange.method) \(exchange.url.display)"
        case .wait(let time): return "wait \(time.wholeMilliseconds)"
        case .goOn: return "go on"
        case .print(let bytes, let next):
            return "print \(String(decoding: bytes, as: UTF8.self)); \(told(next))"
        case .conclude(let error, let code, let next):
            return "conclude \(error) \(code.map { "\($0)" } ?? "-"); \(told(next))"
        case .end(_, let error): return "end \(error)"
        }
    }

    var body: String { String(decoding: exchange?.body ?? [], as: UTF8.self) }
}

private let definition = """
    {"taskDefinition":{"taskDefinitionArn":"d:1","containerDefinitions":[
     {"name":"main","logConfiguration":{"logDriver":"awslogs","options":
      {"awslogs-group":"g","awslogs-stream-prefix":"p"}}},
     {"name":"side","essential":false}]}}
    """

private func task(_ status: String, main: String = #""exitCode":0"#) -> String {
    """
    {"tasks":[{"taskArn":"a/c/t1","taskDefinitionArn":"d:1","lastStatus":"\(status)",
    "stoppedReason":"why","containers":[{"name":"main",\(main)},{"name":"side","exitCode":137}]}]}
    """
}

@Suite("Executor ecs")
struct ECSTests {
    @Test("a definition is found, a task run, watched and its output read")
    func runs() throws {
        var f = try ServiceFixture([
            ("env", "A=1"), ("subnet", "s1, s2"),
            ("overrides", #"{"cpu":"256","containerOverrides":[{"name":"main","cpu":1}]}"#),
        ])
        #expect(f.begin() == "DescribeTaskDefinition")
        #expect(f.exchange?.url.display == "https://ecs.eu-central-1.amazonaws.com/")
        #expect(f.exchange?.headers["Authorization"]?.hasPrefix("AWS4-HMAC-SHA256 ") == true)
        #expect(f.answer(definition) == "RunTask")
        let token = "dkron-" + String(repeating: "04", count: 14)
        let environment =
            #"[{"name":"A","value":"1"},{"name":"DKRON_GROUP","value":"1"}]"#
        #expect(
            f.body == #"{"cluster":"default","taskDefinition":"d:1","count":1,"#
                + #""clientToken":"\#(token)","startedBy":"\#(token)","#
                + #""networkConfiguration":{"awsvpcConfiguration":{"subnets":["s1","s2"],"#
                + #""assignPublicIp":"DISABLED"}},"overrides":{"cpu":"256","containerOverrides":"#
                + #"[{"name":"main","cpu":1,"environment":\#(environment)},"#
                + #"{"name":"side","environment":\#(environment)}]}}"#, "\(f.body)")
        #expect(f.answer(task("PENDING")) == "print task a/c/t1\n; wait 1000")
        #expect(f.wait(.seconds(1)) == "DescribeTasks")
        #expect(f.answer(task("RUNNING")) == "wait 2000")
        #expect(f.wait(.seconds(2)) == "DescribeTasks")
        // The one that is not essential was ended with the task.
        #expect(f.answer(task("STOPPED")) == "conclude  0; GetLogEvents")
        #expect(f.body == #"{"logGroupName":"g","logStreamName":"p/main/t1"}"#)
        #expect(f.answer(#"{"events":[]}"#) == "wait 2000")
        #expect(f.wait(.seconds(2)) == "GetLogEvents")
        #expect(
            f.answer(#"{"events":[{"message":"one"},{"message":"two"}]}"#)
                == "print one\ntwo\n; end ")
    }

    @Test(
        "what a task came to",
        arguments: [
            (
                #""exitCode":3,"reason":"OutOfMemory""#,
                "exit status 3 of container main: OutOfMemory", 3
            ),
            (#""reason":"CannotPull""#, "container main has not run: CannotPull", nil),
            (#""x":0"#, "container main has not run: why", nil),
        ] as [(String, String, Int32?)])
    func verdicts(main: String, error: String, code: Int32?) throws {
        let document = try JSONDocument(Array(task("STOPPED", main: main).utf8))
        let verdict = ECSTask(document)?.verdict(counting: ["main"])
        #expect(verdict?.error == error)
        #expect(verdict?.exitCode == code)
    }

    @Test("a token makes a second RunTask the same; what is refused is not asked again")
    func again() throws {
        var f = try ServiceFixture([])
        _ = f.begin()
        _ = f.answer(definition)
        let first = f.body
        #expect(f.fail() == "wait 250")
        #expect(f.wait(.milliseconds(250)) == "RunTask")
        #expect(f.body == first)
        #expect(f.answer(#"{"__type":"a#ThrottlingException"}"#, status: 400) == "wait 500")
        #expect(
            f.answer(#"{"__type":"a#AccessDeniedException","message":"no"}"#, status: 400)
                == "end RunTask: AccessDeniedException: no (status 400)")
        var g = try ServiceFixture([])
        _ = g.begin()
        _ = g.answer(definition)
        #expect(
            g.answer(#"{"tasks":[],"failures":[{"reason":"RESOURCE:CPU","detail":"x"}]}"#)
                == "end the task can't be placed: RESOURCE:CPU: x")
    }

    @Test("an end from outside stops the task, also one whose answer has not come")
    func ends() throws {
        var f = try ServiceFixture([])
        _ = f.begin()
        #expect(f.interrupt() == "end no task was started")
        var g = try ServiceFixture([])
        _ = g.begin()
        _ = g.answer(definition)
        #expect(g.interrupt() == "go on")
        #expect(g.fail() == "ListTasks")
        #expect(g.answer(#"{"taskArns":["a/c/t1"]}"#) == "StopTask")
        #expect(g.answer("{}") == "DescribeTasks")
        #expect(g.answer(task("RUNNING")) == "wait 2000")
        _ = g.wait(.seconds(2))
        #expect(g.answer(task("STOPPED")) == "end the task was stopped")
        var h = try ServiceFixture([], isResumed: true)
        #expect(h.begin() == "ListTasks")
        #expect(h.answer(#"{"taskArns":["a/c/t1"]}"#) == "DescribeTasks")
        #expect(h.answer(task("STOPPED")) == "DescribeTaskDefinition")
        #expect(h.answer(definition) == "DescribeTasks")
        #expect(h.answer(task("STOPPED")) == "conclude  0; GetLogEvents")
        var i = try ServiceFixture([], isResumed: true)
        _ = i.begin()
        #expect(i.answer(#"{"taskArns":[]}"#).contains("how far it got is not known"))
    }

    @Test("keys are looked for where Amazon's own clients look, and renewed")
    func credentials() throws {
        var f = try ServiceFixture([], variables: [:])
        let base = "http://169.254.169.254/latest/"
        let role = "meta-data/iam/security-credentials/"
        #expect(f.begin() == "PUT \(base)api/token")
        #expect(f.answer("tok") == "GET \(base)\(role)")
        #expect(f.exchange?.headers["X-aws-ec2-metadata-token"] == "tok")
        #expect(f.answer("worker\n") == "GET \(base)\(role)worker")
        let answer = #"{"AccessKeyId":"i","SecretAccessKey":"s","Token":"t"}"#
        #expect(f.answer(answer) == "DescribeTaskDefinition")
        #expect(f.exchange?.headers["X-Amz-Security-Token"] == "t")
        _ = f.answer(definition)
        _ = f.answer(task("RUNNING"))
        #expect(f.wait(.minutes(5)) == "PUT \(base)api/token")
        for (variables, words) in [
            (["AWS_ACCESS_KEY_ID": "i"], "but not AWS_SECRET_ACCESS_KEY"),
            (["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://far.example/k"], "without https"),
            (["AWS_CONTAINER_CREDENTIALS_FULL_URI": "x"], "which is no URL"),
            (["AWS_EC2_METADATA_DISABLED": "true"], "there are no keys"),
        ] {
            var g = try ServiceFixture([], variables: variables)
            let end = g.begin()
            #expect(end.hasPrefix("end ") && end.contains(words), "\(end)")
        }
        var h = try ServiceFixture(
            [], variables: ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"])
        #expect(h.begin() == "GET http://169.254.170.2/v2/x")
        #expect(h.answer("{}").hasSuffix("its answer holds no keys"))
    }

    @Test(
        "settings that can't work are refused with their key",
        arguments: [
            ("taskdefName", "", "required"), ("taskdefBody", "{}", "both"),
            ("region", "Mars!", "eu-central-1"), ("fargate", "maybe", "neither"),
            ("securityGroup", "sg", "subnet"), ("env", "x", "NAME=value"),
            ("overrides", "[]", "object"), ("overrides", "{", "not JSON"),
            ("maxAttempts", "0", "too few"), ("propagateTags", "ALL", "SERVICE"),
            ("accessKeyId", "a", "both"), ("sessionToken", "t", "says nothing"),
            ("endpoint", "ftp://h", "http or https"), ("timeout", "-1s", "negative"),
            ("taskdef", "x", "no setting"),
        ])
    func refusals(key: String, value: String, words: String) {
        let settings = [("taskdefName", "f")].filter { $0.0 != key } + [(key, value)]
        let error = #expect(throws: ExecutorSettingError.self) {
            try ECSJob.parse(settings.map { (key: $0.0, value: $0.1) })
        }
        let place = ["accessKeyId": "secretAccessKey", "securityGroup": "subnet"][key] ?? key
        #expect(error?.key == place)
        #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }
}
