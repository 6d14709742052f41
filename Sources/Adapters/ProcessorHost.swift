package import Core
internal import Glibc

/// Runs processors: those that speak with servers over sockets of their own, so that they can never
/// take a job's connection away, and those that write on threads of their own, because a disk or a
/// reader that stands still can block them for as long as it likes.
///
/// Each run is answered once, unless it is abandoned before.
package final class ProcessorHost {
    private let calls: Outbound<HTTPCalls>
    private let conversations: Outbound<Conversations>
    private let files: WorkerPool<ProcessorRun, Answer>
    private let plugins: Plugins?
    private let pluginNames: [String]
    /// Runs that are with plugins.
    private var asked: [ProcessorRunID: ProcessorRun] = [:]
    /// One thread: outputs of several executions don't mix.
    private let prints: WorkerPool<ProcessorRun, Answer>

    struct Answer: Sendable {
        var run: ProcessorRunID
        var outcome: ProcessorOutcome
    }

    /// Connections of each kind at most; there are no more pipelines and notifications than that.
    package static let mostConnections = 64
    private static let mostPending = 256

    /// - Parameters:
    ///   - connections: of each kind, at most.
    ///   - plugins: what runs those of plugins, if there are any.
    ///   - names: the processors that these bring.
    package init(
        loop: EventLoop, log: LogWriter, resolver: Resolver, handshakes: TLSHandshakes,
        connections: Int = mostConnections, plugins: Plugins?, names: [String]
    ) throws(SystemError) {
        self.plugins = plugins
        pluginNames = names
        var httpLimits = HTTPCaller.Limits()
        httpLimits.connections = connections
        calls = Outbound(
            HTTPCalls(limits: httpLimits), "processors", owner: .processorCalls,
            asker: .processorCalls, loop: loop, log: log, resolver: resolver,
            handshakes: handshakes, tell: Self.input)
        var limits = Conversations.Limits()
        limits.connections = connections
        conversations = Outbound(
            Conversations(limits: limits), "processors", owner: .processorConversations,
            asker: .processorConversations, loop: loop, log: log, resolver: resolver,
            handshakes: handshakes, tell: Self.input)
        let writer = FileProcessor()
        files = try WorkerPool(
            threads: 4, pending: Self.mostPending,
            carryOut: { Answer(run: $0.id, outcome: writer.carryOut($0, at: Clocks.wall())) },
            refuse: Self.refuse)
        prints = try WorkerPool(
            threads: 1, pending: Self.mostPending,
            carryOut: { Answer(run: $0.id, outcome: OutputPrinter.carryOut($0)) },
            refuse: Self.refuse)
        loop.watch(files.fileDescriptor, for: .read, as: .init(.processors, 0))
        loop.watch(prints.fileDescriptor, for: .read, as: .init(.processors, 1))
    }

    private static func refuse(
        _ run: ProcessorRun, _ refusal: WorkerPool<ProcessorRun, Answer>.Refusal
    ) -> Answer {
        let reason =
            switch refusal {
            case .full(let limit): "more than \(limit) processors wait for a disk that stands still"
            case .noThread(let reason): "no thread for it: \(reason)"
            }
        return Answer(run: run.id, outcome: .failed(reason))
    }

    package var nextDeadline: Instant? {
        switch (calls.nextDeadline, conversations.nextDeadline) {
        case (let a?, let b?): min(a, b)
        case (let a, let b): a ?? b
        }
    }

    // MARK: What the node wants

    package func begin(_ run: ProcessorRun, at now: Now, into inputs: inout [Input]) {
        switch run.task.work {
        case .log: prints.submit(run)
        case .files: files.submit(run)
        case .syslog(let task):
            guard case .stream(let server) = task.target else { return files.submit(run) }
            let message = task.message(run.output[...], of: run.execution, at: now.wall)
            let delivery = SyslogDelivery(
                server: server, message: message, timeout: run.task.timeout)
            converse(.syslog(delivery), run, at: now, into: &inputs)
        case .email(let task):
            let delivery = task.delivery(
                of: run.execution, run.output, at: now.wall, timeout: run.task.timeout)
            converse(.mail(delivery), run, at: now, into: &inputs)
        case .webhook(let task):
            let call = task.call(of: run.execution, run.output, as: Self.name(of: run.id))
            calls.begin(call, at: now, into: &inputs)
        case .plugin(let name, let settings):
            guard let plugins, pluginNames.contains(name) else {
                let reason = "this server has no processor \"\(name)\""
                return inputs.append(.processed(run.id, .failed(reason)))
            }
            asked[run.id] = run
            plugins.process(Self.call(run, name, settings), at: now, into: &inputs)
            takeAnswers(into: &inputs)
        }
    }

    private static func call(
        _ run: ProcessorRun, _ name: String, _ settings: [Core.Setting]
    ) -> ProcessorCall {
        var config = settings.map { (key: $0.name, value: $0.value) }
        config.append(("reporting_node", run.execution.reportingNode.text))
        let execution = run.execution
        return ProcessorCall(
            number: run.id, plugin: name,
            execution: PluginExecution(
                job: execution.job.text, isSuccess: execution.state == .success,
                output: run.output, node: execution.node.text, group: execution.group,
                attempt: execution.attempt, startedAt: execution.startedAt,
                finishedAt: execution.finishedAt),
            config: config, timeout: run.task.timeout)
    }

    /// Takes what plugins have answered since the last time.
    package func takeAnswers(into inputs: inout [Input]) {
        for (number, outcome) in plugins?.takeProcessed() ?? [] {
            guard let run = asked.removeValue(forKey: number) else { continue }
            switch outcome {
            case .failed(let reason): inputs.append(.processed(number, .failed(reason)))
            case .processed(let execution):
                let output = execution.output == run.output ? nil : execution.output
                let isOverruled = run.execution.state == .success && !execution.isSuccess
                let failure = isOverruled ? "a processor judged the run a failure" : nil
                inputs.append(.processed(number, .done(output: output, failure: failure)))
            }
        }
    }

    private func converse(
        _ task: ConversationTask, _ run: ProcessorRun, at now: Now, into inputs: inout [Input]
    ) {
        let call = ConversationCall(execution: Self.name(of: run.id), task: task, fence: nil)
        conversations.begin(call, at: now, into: &inputs)
    }

    /// What a thread is at goes on; its answer goes nowhere.
    package func abandon(_ run: ProcessorRunID, at now: Now, into inputs: inout [Input]) {
        asked[run] = nil
        calls.hangUp(Self.name(of: run), at: now, into: &inputs)
        conversations.hangUp(Self.name(of: run), at: now, into: &inputs)
    }

    // MARK: What happens

    package func handle(_ event: EventLoop.Event, at now: Now, into inputs: inout [Input]) {
        switch event.token.owner {
        case .processorCalls: calls.handle(event, at: now, into: &inputs)
        case .processorConversations: conversations.handle(event, at: now, into: &inputs)
        default:
            for answer in files.receive() + prints.receive() {
                inputs.append(.processed(answer.run, answer.outcome))
            }
        }
    }

    package func resolved(_ answer: Resolver.Answer, at now: Now, into inputs: inout [Input]) {
        if case .processorCalls = answer.asker {
            calls.resolved(answer, at: now, into: &inputs)
        } else {
            conversations.resolved(answer, at: now, into: &inputs)
        }
    }

    package func advanced(
        _ answer: TLSHandshakes.Answer, at now: Now, into inputs: inout [Input]
    ) {
        if case .processorCalls = answer.token.owner {
            calls.advanced(answer, at: now, into: &inputs)
        } else {
            conversations.advanced(answer, at: now, into: &inputs)
        }
    }

    package func expire(at now: Now, into inputs: inout [Input]) {
        calls.expire(at: now, into: &inputs)
        conversations.expire(at: now, into: &inputs)
    }

    // MARK: Names

    /// Under which a call of a run is known.
    private static func name(of run: ProcessorRunID) -> ExecutionID {
        ExecutionID("\(run)-processor")
    }

    private static func input(_ id: ExecutionID, _ event: CallEvent) -> Input? {
        guard let number = id.number, case .ended(let end) = event else { return nil }
        let run = ProcessorRunID(number)
        switch end.cause {
        case .finished, .timedOut:
            return .processed(
                run, end.error.isEmpty ? .done(output: nil) : .failed(end.error))
        case .stopped, .fenced: return nil
        }
    }
}
