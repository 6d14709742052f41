// Calls of executions on top of the HTTP client: which answer is a success, and what is output.
// Both drivers run it: production over sockets, the simulator over its model of a network.

package struct HTTPCalls: OutgoingCalls {
    private struct State {
        let call: HTTPCall
        var search: PatternSearch?
        var status = 0
        var reason = ""
    }

    private var caller: HTTPCaller
    private var calls: [HTTPCallNumber: State] = [:]
    private var numbers: [ExecutionID: HTTPCallNumber] = [:]
    private var nextNumber: HTTPCallNumber = 1

    package init(limits: HTTPCaller.Limits = HTTPCaller.Limits()) {
        caller = HTTPCaller(limits: limits)
    }

    /// Calls that have not ended.
    package var count: Int { calls.count }
    /// Those of them that wait for others to end, because all connections are in use.
    package var waitingCount: Int { caller.waitingCount }
    /// Connections kept open for later calls.
    package var keptCount: Int { caller.keptCount }
    /// Connections opened so far.
    package var openedCount: UInt64 { caller.openedCount }
    package var nextDeadline: Instant? { caller.nextDeadline }

    // MARK: Events

    package mutating func begin(_ call: HTTPCall, at now: Now, into out: inout CallOutput) {
        invariant(numbers[call.execution] == nil, "an execution makes one call")
        let number = nextNumber
        nextNumber += 1
        numbers[call.execution] = number
        calls[number] = State(call: call, search: call.expectedBody.map { PatternSearch($0) })
        perform(at: now, into: &out) {
            $0.begin(
                number, call.exchange, timeout: call.timeout, fence: call.fence,
                at: now.monotonic, into: &$1)
        }
    }

    /// Ends a call; one that has ended already is none.
    package mutating func hangUp(_ id: ExecutionID, at now: Now, into out: inout CallOutput) {
        guard let number = numbers[id] else { return }
        perform(at: now, into: &out) { $0.cancel(number, at: now.monotonic, into: &$1) }
    }

    package mutating func renewFences(ago: Duration, at now: Now) {
        caller.renewFences(ago: ago, at: now.monotonic)
    }

    package mutating func take(_ event: SocketEvent, at now: Now, into out: inout CallOutput) {
        perform(at: now, into: &out) { $0.take(event, at: now.monotonic, into: &$1) }
    }

    package mutating func deadline(at now: Now, into out: inout CallOutput) {
        perform(at: now, into: &out) { $0.deadline(at: now.monotonic, into: &$1) }
    }

    private mutating func perform(
        at now: Now, into out: inout CallOutput,
        _ body: (inout HTTPCaller, inout [HTTPCaller.Action]) -> Void
    ) {
        var actions: [HTTPCaller.Action] = []
        body(&caller, &actions)
        for action in actions {
            switch action {
            case .socket(let action): out.sockets.append(action)
            case .news(let number, let news): take(news, of: number, at: now, into: &out)
            }
        }
    }

    // MARK: News of a call

    private mutating func take(
        _ news: HTTPCaller.News, of number: HTTPCallNumber, at now: Now, into out: inout CallOutput
    ) {
        guard let call = calls[number]?.call else { return }
        func tell(_ event: CallEvent) { out.news.append((call.execution, event)) }
        switch news {
        case .started: tell(.started(at: now.wall))
        case .sending(let exchange):
            if call.isVerbose { tell(.output(Self.words(exchange))) }
        case .redirected(let head):
            if call.isVerbose { tell(.output(Self.words(head))) }
        case .head(let head):
            calls[number]?.status = head.status
            calls[number]?.reason = String(head.reason.prefix(100))
            if call.isVerbose { tell(.output(Self.words(head))) }
        case .body(let bytes):
            calls[number]?.search?.feed(bytes)
            tell(.output(bytes))
        case .ended(let ending):
            let end = end(of: number, ending, at: now.wall)
            numbers[call.execution] = nil
            calls[number] = nil
            tell(.ended(end))
        }
    }

    private mutating func end(
        of number: HTTPCallNumber, _ ending: HTTPCaller.Ending, at wall: WallTime
    ) -> CallEnd {
        switch ending {
        case .answered: CallEnd(cause: .finished, error: verdict(on: number), at: wall)
        case .failed(let sentence): CallEnd(cause: .finished, error: sentence, at: wall)
        case .timedOut(let sentence): CallEnd(cause: .timedOut, error: sentence, at: wall)
        case .fenced: CallEnd(cause: .fenced, at: wall)
        case .cancelled: CallEnd(cause: .stopped, at: wall)
        }
    }

    /// What the job finds wrong with the answer; empty if nothing.
    private mutating func verdict(on number: HTTPCallNumber) -> String {
        guard let call = calls[number] else { return "" }
        let expected = call.call.expectedStatuses
        if !expected.isEmpty, !expected.contains(call.status) {
            let reason = call.reason.isEmpty ? "" : " \(call.reason)"
            let list = expected.map { "\($0)" }.joined(separator: ",")
            return "the server answered with status \(call.status)\(reason); expectCode is \(list)"
        }
        if call.search != nil, calls[number]?.search?.finish() == false {
            return "expectBody matches nowhere in the body of the answer "
                + "(status \(call.status))"
        }
        return ""
    }

    // MARK: Debugging

    private static func words(_ exchange: HTTPExchange) -> [UInt8] {
        let query = exchange.url.target.utf8.contains(0x3f) ? "?(hidden)" : ""
        let proxy = exchange.proxy.map { " through the proxy \($0.authority)" } ?? ""
        var lines = ["> \(exchange.method) \(exchange.url.display)\(query)\(proxy)"]
        lines += fields(exchange.headers, "> ") + fields(exchange.openHeaders, "> ")
        if !exchange.body.isEmpty { lines.append("> (\(exchange.body.count) bytes of body)") }
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    private static func words(_ head: HTTPResponseHead) -> [UInt8] {
        let lines = ["< HTTP/1.\(head.minorVersion) \(head.status) \(head.reason)"]
        return Array(((lines + fields(head.headers, "< ")).joined(separator: "\n") + "\n").utf8)
    }

    /// Whoever may read an output need not know the job's credentials: of headers that the job or
    /// the server made up, names only.
    private static func fields(_ headers: HTTPHeaders, _ mark: String) -> [String] {
        headers.fields.map { field in
            let isPlain = plain.contains { HTTPHeaders.equal($0, field.name) }
            return "\(mark)\(field.name): \(isPlain ? field.value : "(hidden)")"
        }
    }

    private static let plain = [
        "Accept", "Accept-Language", "Cache-Control", "Connection", "Content-Encoding",
        "Content-Language", "Content-Length", "Content-Type", "Date", "Dkron-Attempt",
        "Dkron-Execution-Id", "Dkron-Group", "Dkron-Job-Name", "Dkron-Node", "Dkron-Scheduled-At",
        "Host", "Keep-Alive", "Retry-After", "Server", "Transfer-Encoding", "User-Agent",
    ]
}
