package import Core

/// The processors of this program as what a plugin does.
package final class BuiltInProcessorWork: PluginWork {
    private struct Run {
        var task: ProcessorTask
        var execution: PluginExecution
        var id: ExecutionID
        var endsAt: Instant
    }

    private let processor: BuiltInProcessor
    private let resolver: Resolver
    private let handshakes: TLSHandshakes
    private let host: ProcessorHost
    private var runs: [UInt64: Run] = [:]
    private var news: [PluginServerEvent] = []
    private var inputs: [Input] = []

    package init(_ processor: BuiltInProcessor, loop: EventLoop, log: LogWriter) throws {
        self.processor = processor
        resolver = try Resolver()
        handshakes = try TLSHandshakes()
        host = try ProcessorHost(
            loop: loop, log: log, resolver: resolver, handshakes: handshakes, plugins: nil,
            names: [])
        loop.watch(resolver.fileDescriptor, for: .read, as: .init(.names))
        loop.watch(handshakes.fileDescriptor, for: .read, as: .init(.handshakes))
    }

    package var nextDeadline: Instant? {
        let ends = runs.values.map(\.endsAt).min()
        return [host.nextDeadline, ends].compactMap { $0 }.min()
    }

    package func begin(_ call: PluginServerCall, at now: Now) {
        guard case .process(let execution, let config) = call.work else { return }
        var settings = config.map { Core.Setting(name: $0.key, value: $0.value) }
        let reporter = settings.first { $0.name == "reporting_node" }?.value ?? execution.node
        settings.removeAll { $0.name == "reporting_node" }
        do throws(ExecutorSettingError) {
            let task = try BuiltInProcessor.task(
                ProcessorSettings(name: processor.rawValue, settings: settings))
            let began = execution.startedAt?.nanoseconds ?? now.wall.nanoseconds
            // The key that Dkron itself makes of the two.
            let id = ExecutionID("\(began)-\(execution.node)")
            let processed = ProcessedExecution(
                id: id, job: JobName(execution.job), group: execution.group,
                attempt: execution.attempt, node: NodeName(execution.node),
                reportingNode: NodeName(reporter), isSuccess: execution.isSuccess,
                startedAt: execution.startedAt, finishedAt: execution.finishedAt)
            guard !task.isNotFor(processed) else {
                return news.append(.finished(call.number, .processed(execution)))
            }
            runs[call.number] = Run(
                task: task, execution: execution, id: id,
                endsAt: now.monotonic + task.timeout)
            host.begin(
                ProcessorRun(
                    id: call.number, task: task, execution: processed, output: execution.output),
                at: now, into: &inputs)
        } catch {
            news.append(.finished(call.number, .refused(error.description)))
        }
        drain()
    }

    package func cancel(_ number: UInt64, at now: Now) {
        guard runs.removeValue(forKey: number) != nil else { return }
        host.abandon(number, at: now, into: &inputs)
        news.append(.finished(number, .refused("the call was cancelled")))
        drain()
    }

    package func handle(_ event: EventLoop.Event, at now: Now) {
        switch event.token.owner {
        case .names:
            for answer in resolver.receive() { host.resolved(answer, at: now, into: &inputs) }
        case .handshakes:
            for answer in handshakes.receive() { host.advanced(answer, at: now, into: &inputs) }
        default: host.handle(event, at: now, into: &inputs)
        }
        drain()
    }

    package func expire(at now: Now) {
        host.expire(at: now, into: &inputs)
        drain()
        for (number, run) in runs where run.endsAt <= now.monotonic {
            runs[number] = nil
            host.abandon(number, at: now, into: &inputs)
            let time = DurationText.print(run.task.timeout)
            let reason = "it was not done within its time-out of \(time)"
            news.append(.finished(number, .refused(reason)))
        }
        drain()
    }

    package func takeNews() -> [PluginServerEvent] {
        defer { news.removeAll(keepingCapacity: true) }
        return news
    }

    package func close() {}

    private func drain() {
        for case .processed(let number, let outcome) in inputs {
            guard let run = runs.removeValue(forKey: number) else { continue }
            switch outcome {
            case .failed(let reason): news.append(.finished(number, .refused(reason)))
            case .done(let output, let failure):
                var execution = run.execution
                if let output = output ?? run.task.replacement(for: run.id) {
                    execution.output = output
                }
                if failure != nil { execution.isSuccess = false }
                news.append(.finished(number, .processed(execution)))
            }
        }
        inputs.removeAll(keepingCapacity: true)
    }
}
