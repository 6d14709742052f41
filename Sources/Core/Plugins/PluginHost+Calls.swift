// Calls of executors, their status updates, and what plugins print.

extension PluginHost {
    // MARK: Calls

    package mutating func begin(
        _ call: PluginCall, at now: Now, into out: inout PluginOutput
    ) {
        invariant(numbers[call.execution] == nil, "an execution makes one call")
        numbers[call.execution] = begin(.execute(call), endsAt: nil, at: now, into: &out)
        startWaiting(at: now, into: &out)
    }

    /// Has an execution processed; answered once in `PluginOutput.processed`, within its time-out.
    package mutating func process(
        _ call: ProcessorCall, at now: Now, into out: inout PluginOutput
    ) {
        let end = now.monotonic + call.timeout
        _ = begin(.process(call), endsAt: end, at: now, into: &out)
        startWaiting(at: now, into: &out)
    }

    private mutating func begin(
        _ order: PluginOrder, endsAt: Instant?, at now: Now, into out: inout PluginOutput
    ) -> UInt64? {
        let found = plugins.firstIndex {
            $0.file.kind == order.kind && $0.file.name == order.plugin
        }
        guard let found else {
            let kind = order.kind.rawValue
            let error = "\(kind) \"\(order.plugin)\" is not available on this node"
            tell(order, CallEnd(cause: .finished, error: error, at: now.wall), into: &out)
            return nil
        }
        let number = takeAttempt()
        attempts[number] = Attempt(
            order: order, plugin: found, askedAt: now.monotonic,
            patience: now.monotonic + limits.patience, endsAt: endsAt ?? .distantFuture)
        return number
    }

    /// Ends a call; one that has ended already is none.
    package mutating func hangUp(
        _ id: ExecutionID, at now: Now, into out: inout PluginOutput
    ) {
        guard let number = numbers[id] else { return }
        end(number, CallEnd(cause: .stopped, at: now.wall), at: now, into: &out)
    }

    /// Starts what can be started, the oldest first.
    mutating func startWaiting(at now: Now, into out: inout PluginOutput) {
        guard runningCount < attempts.count else { return }
        for (number, attempt) in attempts where !attempt.isRunning {
            guard runningCount < limits.calls else { return }
            if plugins[attempt.plugin].phase == .ready {
                start(number, attempt, at: now, into: &out)
            }
        }
    }

    private mutating func start(
        _ number: UInt64, _ attempt: Attempt, at now: Now, into out: inout PluginOutput
    ) {
        runningCount += 1
        attempts.update(number) { $0.isRunning = true }
        var socket: PluginSocket?
        if case .execute(let call) = attempt.order {
            let listener = takeListener()
            listeners[listener] = number
            attempts.update(number) {
                $0.listener = listener
                if let timeout = call.timeout { $0.endsAt = now.monotonic + timeout }
            }
            let path = socketPath(listener)
            socket = PluginSocket(service: plugins[attempt.plugin].nextService, path: path)
            plugins[attempt.plugin].nextService += 1
            out.news.append((call.execution, .started(at: now.wall)))
            // The socket is there before the plugin hears of it.
            out.actions.append(.listen(listener, path: path))
        }
        plugins[attempt.plugin].link?.begin(
            number, attempt.order, socket: socket, at: now.monotonic)
        drain(attempt.plugin, at: now, into: &out)
    }

    private func socketPath(_ listener: PluginListener) -> String { "\(directory)/s\(listener)" }

    mutating func executed(
        _ number: UInt64, _ result: Result<ExecuteResponse, GRPCStatus>, at now: Now,
        into out: inout PluginOutput
    ) {
        guard case .execute(let call)? = attempts[number]?.order else { return }
        switch result {
        case .success(let response):
            // It holds what was told meanwhile, if that was part of the output at all.
            if !response.output.isEmpty {
                out.news.append((call.execution, .wholeOutput(response.output)))
            }
            fail(number, Self.oneLine(response.error), at: now, into: &out)
        case .failure(let status):
            let error = "rpc error: code = \(status.code.shortName) desc = \(status.message)"
            fail(number, error, at: now, into: &out)
        }
    }

    private static func oneLine(_ error: String) -> String {
        String(error.reversed().drop { $0.isNewline || $0 == " " }.reversed())
    }

    /// Ends a call by itself: a sentence without the full stop, or nothing for a success.
    mutating func fail(
        _ number: UInt64, _ error: String, at now: Now, into out: inout PluginOutput
    ) {
        end(
            number, CallEnd(cause: .finished, error: error, at: now.wall), at: now, into: &out)
    }

    mutating func end(
        _ number: UInt64, _ end: CallEnd, at now: Now, into out: inout PluginOutput
    ) {
        guard let attempt = remove(number, into: &out) else { return }
        tell(attempt.order, end, into: &out)
        goOn(after: number, attempt, at: now, into: &out)
    }

    /// Ends the call of a processor.
    mutating func end(
        _ number: UInt64, _ outcome: PluginOutcome, at now: Now, into out: inout PluginOutput
    ) {
        guard let attempt = remove(number, into: &out) else { return }
        if case .process(let call) = attempt.order {
            out.processed.append((call.number, outcome))
        }
        goOn(after: number, attempt, at: now, into: &out)
    }

    private func tell(_ order: PluginOrder, _ end: CallEnd, into out: inout PluginOutput) {
        switch order {
        case .execute(let call): out.news.append((call.execution, .ended(end)))
        case .process(let call): out.processed.append((call.number, .failed(end.error)))
        }
    }

    private mutating func remove(
        _ number: UInt64, into out: inout PluginOutput
    ) -> Attempt? {
        guard let attempt = attempts.remove(number) else { return nil }
        if case .execute(let call) = attempt.order { numbers[call.execution] = nil }
        if let listener = attempt.listener {
            listeners[listener] = nil
            out.actions.append(.unlisten(listener, path: socketPath(listener)))
        }
        for connection in attempt.connections {
            if statusServers.remove(connection) != nil { out.actions.append(.close(connection)) }
        }
        return attempt
    }

    private mutating func goOn(
        after number: UInt64, _ attempt: Attempt, at now: Now, into out: inout PluginOutput
    ) {
        guard attempt.isRunning else { return }
        runningCount -= 1
        plugins[attempt.plugin].link?.cancel(number, at: now.monotonic)
        drain(attempt.plugin, at: now, into: &out)
        startWaiting(at: now, into: &out)
    }

    // MARK: Status updates

    /// Connections of one call for its status updates.
    private static let mostConnections = 4

    mutating func accepted(
        _ listener: PluginListener, _ connection: ConnectionNumber, at now: Now,
        into out: inout PluginOutput
    ) {
        guard let number = listeners[listener], let attempt = attempts[number],
            attempt.connections.count < Self.mostConnections
        else { return out.actions.append(.close(connection)) }
        attempts.update(number) { $0.connections.append(connection) }
        statusServers[connection] = StatusServer(connection, of: number, at: now.monotonic)
        drainStatus(connection, at: now, into: &out)
    }

    mutating func drainStatus(
        _ connection: ConnectionNumber, at now: Now, into out: inout PluginOutput
    ) {
        guard var server = statusServers[connection] else { return }
        let pieces = server.drain(at: now.monotonic, into: &out)
        if case .execute(let call)? = attempts[server.call]?.order {
            for piece in pieces { out.news.append((call.execution, .output(piece))) }
        }
        guard server.isOver else {
            statusServers[connection] = server
            return
        }
        statusServers.remove(connection)
        attempts.update(server.call) { $0.connections.removeAll { $0 == connection } }
        out.actions.append(.close(connection))
    }

    // MARK: What plugins print

    /// Over the connection.
    mutating func relay(
        _ index: Int, _ bytes: [UInt8], isError: Bool, at now: Now, into out: inout PluginOutput
    ) {
        let lines =
            isError
            ? plugins[index].errors.feed(bytes) : plugins[index].prints.feed(bytes)
        for line in lines { log(index, line, usual: .info, at: now, into: &out) }
    }

    /// On its standard error.
    mutating func complained(
        _ index: Int, _ bytes: [UInt8], at now: Now, into out: inout PluginOutput
    ) {
        for line in plugins[index].complaints.feed(bytes) {
            log(index, line, usual: .debug, at: now, into: &out)
        }
    }

    mutating func log(
        _ index: Int, _ line: [UInt8], usual: LogRecord.Level, at now: Now,
        into out: inout PluginOutput
    ) {
        // What follows the first words of a panic is where it happened.
        let isPanic = plugins[index].log.isPanic
        let record = plugins[index].log.record(line, of: plugins[index].file, usual: usual)
        if !isPanic { plugins[index].lastWords = record.message }
        guard plugins[index].lines.spend(at: now.monotonic) else {
            plugins[index].droppedLines += 1
            return
        }
        if plugins[index].droppedLines > 0 {
            out.actions.append(
                .log(
                    LogRecord(
                        .warning, "plugin: lines were dropped, there were too many",
                        [
                            .init("plugin", plugins[index].file.description),
                            .init("lines", "\(plugins[index].droppedLines)"),
                        ])))
            plugins[index].droppedLines = 0
        }
        out.actions.append(.log(record))
    }
}
