// Calls of executors, their status updates, and what plugins print.

extension PluginHost {
    // MARK: Calls

    package mutating func begin(
        _ call: PluginCall, at now: Now, into out: inout PluginOutput
    ) {
        invariant(numbers[call.execution] == nil, "an execution makes one call")
        let plugin = plugins.firstIndex {
            $0.file.kind == .executor && $0.file.name == call.plugin
        }
        guard let plugin else {
            let error = "executor \"\(call.plugin)\" is not available on this node"
            let end = CallEnd(cause: .finished, error: error, at: now.wall)
            return out.news.append((call.execution, .ended(end)))
        }
        let number = takeAttempt()
        numbers[call.execution] = number
        attempts[number] = Attempt(
            call: call, plugin: plugin, patience: now.monotonic + limits.patience)
        startWaiting(at: now, into: &out)
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
        let listener = takeListener()
        let path = socketPath(listener)
        listeners[listener] = number
        runningCount += 1
        attempts.update(number) {
            $0.isRunning = true
            $0.startedAt = now.monotonic
            $0.listener = listener
        }
        var request = ExecuteRequest()
        request.job = attempt.call.job.text
        request.config = attempt.call.config
        request.statusServer = plugins[attempt.plugin].nextService
        plugins[attempt.plugin].nextService += 1
        out.news.append((attempt.call.execution, .started(at: now.wall)))
        // The socket is there before the plugin hears of it.
        out.actions.append(.listen(listener, path: path))
        plugins[attempt.plugin].link?.execute(
            number, request, identity: attempt.call.identity, socket: path, at: now.monotonic)
        drain(attempt.plugin, at: now, into: &out)
    }

    private func socketPath(_ listener: PluginListener) -> String { "\(directory)/s\(listener)" }

    mutating func executed(
        _ number: UInt64, _ result: Result<ExecuteResponse, GRPCStatus>, at now: Now,
        into out: inout PluginOutput
    ) {
        guard let execution = attempts[number]?.call.execution else { return }
        switch result {
        case .success(let response):
            // It holds what was told meanwhile, if that was part of the output at all.
            if !response.output.isEmpty {
                out.news.append((execution, .wholeOutput(response.output)))
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
        guard let attempt = attempts.remove(number) else { return }
        numbers[attempt.call.execution] = nil
        if let listener = attempt.listener {
            listeners[listener] = nil
            out.actions.append(.unlisten(listener, path: socketPath(listener)))
        }
        for connection in attempt.connections {
            if statusServers.remove(connection) != nil { out.actions.append(.close(connection)) }
        }
        out.news.append((attempt.call.execution, .ended(end)))
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
        let execution = attempts[server.call]?.call.execution
        for piece in pieces {
            if let execution { out.news.append((execution, .output(piece))) }
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
