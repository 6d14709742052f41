/// Runs a task and watches it to its end.
///
///     keys ─► definition ─► service? ─► RunTask ─► DescribeTasks … STOPPED ─► its output ─► ended
///                                          │              │
///      an end from outside: ListTasks ◄────┘   StopTask ◄─┘
///
/// RunTask carries a token made of the execution's id: asked twice, it gives the same task. What an
/// earlier life of the agent began is looked for by that token, and watched on. Keys that are good
/// for a while are asked for again in between.
struct ECSDialogue: HTTPDialogue {
    private enum State {
        /// Looks for what an earlier life began, or what a request without an answer did.
        case finding
        case defining
        case sharing(String)
        case starting
        case watching
        case stopping
        /// Of the container with this place in the definition.
        case reading(Int)
    }

    private let requests: ECSRequests?
    private let host: any ExecutorHost
    private let isResumed: Bool
    /// Why nobody can be asked.
    private var mistake = ""
    private var keyring: AWSKeyring?
    /// The answer that comes next is the keyring's.
    private var isGettingKeys = false
    private var state: State
    private var definition: ECSDefinition?
    private var service: ECSService?
    private var task: ECSTask?
    /// Looks at the task so far.
    private var looks = 0
    /// Attempts in vain, of what is done now.
    private var tries = 0
    /// Why it was ended from outside.
    private var cut: CallEnd.Cause?
    private var verdict: (error: String, exitCode: Int32?) = ("", nil)

    private static let mostTries = 6
    /// While a task runs, more patience is due: minutes.
    private static let mostWatchingTries = 30
    private static let longestInterval = 6

    init(_ job: ECSJob, _ attempt: ConversationCall, on host: any ExecutorHost) {
        self.host = host
        isResumed = attempt.isResumed
        state = isResumed ? .finding : .defining
        do throws(ExecutorHostError) {
            keyring = AWSKeyring(try AWSCredentials.find(job.keys, on: host))
            requests = try ECSRequests(job, attempt, on: host)
        } catch {
            requests = nil
            mistake = error.description
        }
    }

    /// A megabyte of output is longer as JSON.
    var mostBody: Int { 8 << 20 }
    /// Containers have half a minute for their end.
    var farewell: Duration { .seconds(60) }

    var pending: String? {
        if case .watching = state { "the task did not end" } else { nil }
    }

    var remains: String {
        task.map { "the task \($0.arn) was told to stop, and may go on" }
            ?? "a task may have been started, and go on"
    }

    // MARK: Steps

    mutating func next(at now: Now) -> HTTPDialogueStep {
        guard let requests else { return .fail(mistake) }
        isGettingKeys = false
        do throws(TextError) {
            if let request = try keyring?.request(at: now) {
                isGettingKeys = true
                return .ask(request, isRepeatable: true)
            }
        } catch {
            return .fail(error.description)
        }
        switch state {
        case .finding: return signed(requests.find, at: now)
        case .defining:
            let found = task.map { requests.describeDefinition($0.definition) }
            return signed(found ?? requests.define, at: now)
        case .sharing(let name): return signed(requests.describeService(name), at: now)
        case .starting:
            guard let definition else { return .fail("there is no task definition") }
            return signed(requests.run(definition, service), at: now)
        case .watching: return signed(requests.look(task?.arn ?? ""), at: now)
        case .stopping:
            let reason = "dkron: \(cut == .timedOut ? "the job's time-out" : "ended by request")"
            return signed(requests.stop(task?.arn ?? "", reason), at: now)
        case .reading(let place):
            guard let container = definition?.containers[place], let log = container.log,
                let task
            else { return read(from: place + 1, at: now) }
            return signed(requests.output(log, container.name, task.arn), at: now)
        }
    }

    private func signed(_ exchange: HTTPExchange, at now: Now) -> HTTPDialogueStep {
        guard let keys = keyring?.keys, let requests else { return .fail("there are no keys") }
        var exchange = exchange
        let signature = AWSSignature(
            keys: keys, region: requests.region, service: ECSRequests.service(of: exchange))
        do throws(ExecutorHostError) {
            try signature.sign(&exchange, at: now.wall, on: host)
        } catch {
            return .fail(error.description)
        }
        exchange.headers.append("User-Agent", "dkron")
        return .ask(exchange, isRepeatable: true)
    }

    private mutating func go(_ next: State, at now: Now) -> HTTPDialogueStep {
        state = next
        tries = 0
        return self.next(at: now)
    }

    mutating func interrupted(_ cause: CallEnd.Cause, at now: Now) -> HTTPDialogueStep {
        cut = cause
        switch state {
        case .defining where task == nil, .sharing:
            return .end(output: [], error: "no task was started")
        case .defining, .watching: return go(.stopping, at: now)
        // The answer tells what there is to be stopped, or that it was.
        case .finding, .starting, .stopping: return .goOn
        case .reading: return .end(output: [], error: "the task had ended")
        }
    }

    // MARK: Answers

    mutating func answered(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep {
        if isGettingKeys {
            let reason = head.status == 200 ? keyring?.take(body, at: now) : "status \(head.status)"
            guard let reason else { return next(at: now) }
            return head.status >= 500 ? failed(reason, at: now) : .fail(keyFailure(reason))
        }
        guard head.status == 200,
            let document = try? JSONDocument(body, limits: JSONLimits(bytes: mostBody))
        else {
            let problem = ECSProblem(head, body)
            return problem.isPassing ? failed(problem.text, at: now) : refused(problem, at: now)
        }
        switch state {
        case .finding: return found(document, at: now)
        case .defining:
            guard let definition = ECSDefinition(body) else { return nonsense() }
            self.definition = definition
            if task != nil { return go(.watching, at: now) }
            if let name = requests?.job.service { return go(.sharing(name), at: now) }
            return go(.starting, at: now)
        case .sharing(let name):
            guard let service = ECSService(body) else {
                return .fail("there is no service \(name) in the cluster")
            }
            self.service = service
            return go(.starting, at: now)
        case .starting: return started(document, at: now)
        case .watching: return looked(document, at: now)
        case .stopping: return go(.watching, at: now)
        case .reading(let place): return read(document, place, at: now)
        }
    }

    mutating func failed(_ reason: String, at now: Now) -> HTTPDialogueStep {
        tries += 1
        var most = Self.mostTries
        if case .watching = state { most = Self.mostWatchingTries }
        // The answer may have been lost; who is to stop it needs to know whether there is a task.
        if case .starting = state, cut != nil { return go(.finding, at: now) }
        guard tries < most else { return give(up: reason, at: now) }
        return .wait(.milliseconds(250) * Int64(1 << min(tries - 1, 5)))
    }

    /// - Parameter isRefused: the service says that it has not done it.
    private mutating func give(
        up reason: String, isRefused: Bool = false, at now: Now
    ) -> HTTPDialogueStep {
        if isGettingKeys { return .fail(keyFailure(reason)) }
        switch state {
        case .finding where cut != nil: return .fail(remains)
        case .finding, .defining, .sharing: return .fail(failure(reason))
        case .starting: return .fail(failure(reason) + (isRefused ? "" : Conversations.caveat))
        case .watching, .stopping:
            return .fail("\(failure(reason)); the task \(task?.arn ?? "") may go on")
        case .reading(let place): return read(failed: reason, place, at: now)
        }
    }

    private mutating func refused(_ problem: ECSProblem, at now: Now) -> HTTPDialogueStep {
        if case .reading(let place) = state { return read(failed: problem.text, place, at: now) }
        return give(up: problem.text, isRefused: true, at: now)
    }

    private mutating func found(_ document: JSONDocument, at now: Now) -> HTTPDialogueStep {
        let first = document.member(named: "taskArns", of: document.root).flatMap { list in
            document.elements(of: list).first { _ in true }.flatMap { document.string($0) }
        }
        guard let first else {
            if cut != nil { return .end(output: [], error: "no task of it runs") }
            return .fail(
                "the agent ended while this was under way, and how far it got is not known: no "
                    + "task of it runs any more")
        }
        task = ECSTask(arn: first)
        return go(cut == nil ? .watching : .stopping, at: now)
    }

    private mutating func started(_ document: JSONDocument, at now: Now) -> HTTPDialogueStep {
        guard let task = ECSTask(document) else {
            let failures = document.member(named: "failures", of: document.root)
            let first = failures.flatMap { document.elements(of: $0).first { _ in true } }
            guard let first else { return nonsense() }
            let words = ["reason", "detail"].compactMap { document.text($0, of: first) }
            return .fail("the task can't be placed: \(words.joined(separator: ": "))")
        }
        self.task = task
        if cut != nil { return go(.stopping, at: now) }
        let note = "task \(task.arn)\n"
        state = .watching
        tries = 0
        return .print(Array(note.utf8), then: .wait(.seconds(1)))
    }

    private mutating func looked(_ document: JSONDocument, at now: Now) -> HTTPDialogueStep {
        guard let found = ECSTask(document) else {
            // It takes a moment until a new task is known everywhere.
            return failed("the task is not known", at: now)
        }
        tries = 0
        task = found
        guard found.isStopped else { return lookAgain(at: now) }
        guard cut == nil else { return .end(output: [], error: "the task was stopped") }
        // Found after a restart, it has brought no definition along.
        guard let definition else { return go(.defining, at: now) }
        let counted =
            requests?.job.container.map { [$0] }
            ?? definition.containers.filter(\.isEssential).map(\.name)
        verdict = found.verdict(counting: counted)
        return .conclude(
            error: verdict.error, exitCode: verdict.exitCode, then: read(from: 0, at: now))
    }

    private mutating func lookAgain(at now: Now) -> HTTPDialogueStep {
        looks += 1
        if let most = requests?.job.mostLooks, looks >= most, cut == nil {
            cut = .timedOut
            return .conclude(
                error: "the task did not end within \(most) looks at it", exitCode: nil,
                then: go(.stopping, at: now))
        }
        let longest = cut == nil ? Self.longestInterval : 2
        return .wait(.seconds(Int64(min(looks + 1, longest))))
    }

    // MARK: Output

    private mutating func read(from place: Int, at now: Now) -> HTTPDialogueStep {
        let containers = definition?.containers ?? []
        let rest = containers[min(place, containers.count)...]
        guard let next = rest.firstIndex(where: { $0.log != nil }) else {
            return .end(output: [], error: "")
        }
        return go(.reading(next), at: now)
    }

    private mutating func read(
        _ document: JSONDocument, _ place: Int, at now: Now
    ) -> HTTPDialogueStep {
        guard let events = document.member(named: "events", of: document.root) else {
            return read(failed: "the answer has no events", place, at: now)
        }
        var output: [UInt8] = []
        for event in document.elements(of: events) {
            let message = document.member(named: "message", of: event)
            output += message.flatMap { document.stringBytes($0) } ?? []
            output.append(0x0a)
        }
        if output.isEmpty, tries < 2 {
            // What was printed last may be on its way to the logs.
            tries += 1
            return .wait(.seconds(2))
        }
        return .print(output, then: read(from: place + 1, at: now))
    }

    /// The outcome does not depend on it.
    private mutating func read(
        failed reason: String, _ place: Int, at now: Now
    ) -> HTTPDialogueStep {
        let name = definition?.containers[place].name ?? ""
        let note = "(the output of container \(name) can't be read: \(reason))\n"
        return .print(Array(note.utf8), then: read(from: place + 1, at: now))
    }

    // MARK: Words

    private func failure(_ reason: String) -> String {
        let action =
            switch state {
            case .finding: "ListTasks"
            case .defining:
                if case .body? = requests?.job.definition, task == nil {
                    "RegisterTaskDefinition"
                } else {
                    "DescribeTaskDefinition"
                }
            case .sharing: "DescribeServices"
            case .starting: "RunTask"
            case .watching: "DescribeTasks"
            case .stopping: "StopTask"
            case .reading: "GetLogEvents"
            }
        return "\(action): \(reason)"
    }

    private func keyFailure(_ reason: String) -> String {
        "no keys of \(keyring?.source.name ?? "the node"): \(reason)"
    }

    private func nonsense() -> HTTPDialogueStep {
        .fail(failure("the answer of \(requests?.place ?? "") has another form than Amazon's"))
    }
}

/// What the services say of a failure.
struct ECSProblem: Sendable {
    var text: String
    /// The same may be taken a little later.
    var isPassing: Bool

    init(_ head: HTTPResponseHead, _ body: [UInt8]) {
        let document = try? JSONDocument(body)
        func word(_ names: [String]) -> String? {
            guard let document else { return nil }
            return names.lazy.compactMap { document.text($0, of: document.root) }
                .first { !$0.isEmpty }
        }
        let kind = word(["__type", "code"]).map { text in
            text.split(separator: "#").last.map(String.init) ?? text
        }
        let message = word(["message", "Message"])
        let words = [kind, message.map { String($0.prefix(400)) }].compactMap { $0 }
        text =
            head.status == 200
            ? "the answer is not JSON"
            : (words.isEmpty ? ["no reason is given"] : words).joined(separator: ": ")
                + " (status \(head.status))"
        let passing = [
            "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
            "ServerException", "ServiceUnavailableException", "InternalFailure",
        ]
        isPassing =
            head.status == 429 || head.status >= 500 || passing.contains { $0 == kind }
    }
}
