// Any bytes as what Amazon's services answer, one answer for each request, behind a beginning that
// the first byte chooses: a task is begun once at most, and the dialogue comes to an end.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzECS(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2, let job else { return 0 }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let call = ConversationCall(
        execution: ExecutionID("1-n"), task: .ecs(job), fence: nil, isResumed: input[0] & 1 == 1)
    var dialogue = ECSDialogue(job, call, on: FuzzHost())
    var now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var answers = beginnings[Int(input[0] >> 1) % beginnings.count]
    // A task that goes on for ever is given up by whoever holds the dialogue.
    let more = input[2...].split(separator: 0, maxSplits: 30, omittingEmptySubsequences: false)
    answers += more.map(Array.init)
    answers.reverse()
    let status = [200, 400, 500, 404][Int(input[1]) % 4]
    var step = dialogue.next(at: now)
    var started: [[UInt8]] = []
    for _ in 0..<500 {
        switch step {
        case .ask(let exchange, let isRepeatable, _):
            invariant(isRepeatable, "each request may be asked twice")
            if exchange.headers["X-Amz-Target"]?.hasSuffix("RunTask") == true {
                invariant(!call.isResumed, "what is resumed is not begun")
                invariant(started.allSatisfy { $0 == exchange.body }, "one task at most")
                started.append(exchange.body)
            }
            guard let answer = answers.popLast() else {
                step = dialogue.failed("the input is over", at: now)
                continue
            }
            let isLast = answers.isEmpty
            step = dialogue.answered(
                HTTPResponseHead(status: isLast ? status : 200), answer, at: now)
        case .wait(let time):
            now.monotonic = Instant(
                nanoseconds: now.monotonic.nanoseconds + time.nanoseconds)
            step = dialogue.next(at: now)
        case .print(_, let next), .conclude(_, _, let next): step = next
        case .goOn: invariantFailure("nothing is streamed")
        case .end: return 0
        }
    }
    invariantFailure("it comes to an end")
}

private func invariantFailure(_ what: String) -> Never {
    invariant(false, what)
    fatalError(what)
}

private let job = try? ECSJob.parse([
    (key: "taskdefName", value: "f"), (key: "region", value: "r"), (key: "service", value: "s"),
    (key: "maxAttempts", value: "20"), (key: "accessKeyId", value: "i"),
    (key: "secretAccessKey", value: "s"),
    (key: "overrides", value: #"{"containerOverrides":[{"name":"m"}]}"#),
])

private let beginnings: [[[UInt8]]] = {
    let log =
        #"{"logDriver":"awslogs","options":{"awslogs-group":"g","awslogs-stream-prefix":"p"}}"#
    let definition = Array(
        (#"{"taskDefinition":{"taskDefinitionArn":"d","containerDefinitions":[{"name":"m","#
            + #""logConfiguration":\#(log)}]}}"#).utf8)
    let service = Array(#"{"services":[{"launchType":"EC2"}]}"#.utf8)
    let task = Array(#"{"tasks":[{"taskArn":"t","lastStatus":"RUNNING"}]}"#.utf8)
    return [[], [definition], [definition, service], [definition, service, task]]
}()

/// Signs with zeros.
private struct FuzzHost: ExecutorHost {
    func digest(_ kind: DigestKind, of bytes: [UInt8]) throws(ExecutorHostError) -> [UInt8] {
        [UInt8](repeating: 0, count: kind.size)
    }
    func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [UInt8](repeating: 0, count: kind.size) }
    func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] { [] }
    func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8] { [] }
    func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8] { [] }
    func variable(_ name: String) -> String? { nil }
    func file(_ path: String) throws(ExecutorHostError) -> [UInt8]? { nil }
}
