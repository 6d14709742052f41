// What programs of plugins do with what they are told.

import Core

extension PluginModel {
    // MARK: Connections

    /// Bytes of the host arrive at a program.
    mutating func arrive(
        _ number: ConnectionNumber, _ bytes: [UInt8], at time: TrueTime,
        _ out: inout OutsideOutput
    ) {
        let instant = Self.instant(time)
        if let life = links[number]?.life {
            guard let program = programs[life], !program.isFrozen, program.nature != .mute,
                program.nature != .raves
            else { return }
            links[number]?.server.http.receive(bytes.span, at: instant)
            move(number, at: time, &out)
        } else if let life = tellers[number]?.life {
            guard let program = programs[life], !program.isFrozen else { return }
            tellers[number]?.client.http.receive(bytes.span, at: instant)
            moveTeller(number, at: time, &out)
        }
    }

    /// Serves what has come, and sends what there is to say.
    mutating func move(_ number: ConnectionNumber, at time: TrueTime, _ out: inout OutsideOutput) {
        let instant = Self.instant(time)
        while let event = links[number]?.server.nextEvent(at: instant) {
            serve(event, number, at: time, &out)
        }
        // What was sent makes room for more.
        while let bytes = links[number].map({ Array($0.server.http.outgoing) }), !bytes.isEmpty {
            links[number]?.last = bytes
            links[number]?.server.http.didSend(bytes.count, at: instant)
            out.later.append((time + Self.local, .plugin(.deliver(number, bytes))))
        }
        guard let link = links[number] else { return }
        if link.server.http.isClosed || link.server.http.wantsShutdown {
            links[number] = nil
            out.later.append((time + Self.local, .plugin(.ended(number))))
        }
    }

    private mutating func moveTeller(
        _ number: ConnectionNumber, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        let instant = Self.instant(time)
        while tellers[number]?.client.nextEvent(at: instant) != nil {}
        while let bytes = tellers[number].map({ Array($0.client.http.outgoing) }), !bytes.isEmpty {
            tellers[number]?.client.http.didSend(bytes.count, at: instant)
            out.later.append((time + Self.local, .plugin(.deliver(number, bytes))))
        }
    }

    private mutating func serve(
        _ event: GRPCServerEvent, _ number: ConnectionNumber, at time: TrueTime,
        _ out: inout OutsideOutput
    ) {
        guard let life = links[number]?.life else { return }
        switch event {
        case .request(let call, let method, let metadata, let message):
            if method.hasSuffix("/StreamStdio") {
                programs[life]?.prints = call
            } else if method.hasSuffix("/Shutdown") {
                links[number]?.server.answer(call, [], at: Self.instant(time))
                out.later.append((time + .milliseconds(1), .plugin(.die(life, .code(0)))))
            } else {
                begin(call, metadata, message, on: number, life, at: time, &out)
            }
        case .message(_, let bytes):
            guard let info = PluginRequest.connection(bytes) else { return }
            programs[life]?.services[info.service] = info.path
        case .ended(let call, _):
            let own = tasks.first { $0.value.connection == number && $0.value.call == call }
            guard let own else { return }
            out.mark(.pluginCallCancelled)
            tasks[own.key] = nil
        case .opened, .halfClosed, .writable, .closed: break
        }
    }

    // MARK: Calls

    private mutating func begin(
        _ call: UInt64, _ metadata: GRPCMetadata, _ message: [UInt8],
        on number: ConnectionNumber, _ life: PluginLife, at time: TrueTime,
        _ out: inout OutsideOutput
    ) {
        let name = metadata["dkron-execution-id"] ?? "no execution"
        let id = ExecutionID(name)
        guard let request = PluginRequest(message) else {
            return out.complain(.X22, "a plugin is called for \(name) with what is no request")
        }
        // It may be over before the program hears of it.
        guard let run = live[id] else { return }
        let isTold =
            request.config
            == Dictionary(
                run.call.config.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        live[id]?.isCalled = true
        if !isTold || request.job != run.call.job.text || run.isCalled {
            out.complain(.X22, "a plugin is called for \(name) with something else, or again")
        }
        var draws = draws.stream("plugin/run/\(id.text)")
        let key = draws.next()
        let task = PluginTask(
            request, of: id, on: number, call: call, life: life,
            socket: programs[life]?.services[request.service], key: key, &draws)
        tasks[nextTask] = task
        out.later.append((time + task.pause, .plugin(.work(nextTask))))
        nextTask += 1
    }

    /// Tells what was put out, or ends the call.
    mutating func work(
        _ number: UInt64, _ moment: Moment, _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        guard let task = tasks[number], let program = programs[task.life], program.isUp,
            !program.isFrozen
        else { return }
        if task.floods {
            flood(number, task, moment, &log, &out)
            out.later.append((moment.time + .milliseconds(50), .plugin(.work(number))))
        } else if task.toldUpdates < task.updates {
            let piece = tasks[number]?.nextPiece() ?? []
            tell(number, task, piece, moment, &log, &out)
            out.later.append((moment.time + task.pause, .plugin(.work(number))))
        } else {
            // One that hangs or crashes is still at it.
            if task.end != .hangs, task.end != .crashes { tasks[number] = nil }
            finish(task, at: moment.time, &out)
        }
    }

    private mutating func tell(
        _ number: UInt64, _ task: PluginTask, _ piece: [UInt8], _ moment: Moment,
        _ log: inout RunLog, _ out: inout OutsideOutput
    ) {
        if task.teller == nil, let socket = task.socket {
            let teller = tell(socket, task.life, moment, &log, &out)
            tasks[number]?.teller = teller
        }
        guard let teller = tasks[number]?.teller, var client = tellers[teller]?.client,
            client.openCalls < 4
        else { return }
        let instant = Self.instant(moment.time)
        let method =
            task.life % 2 == 0
            ? "/types.v1.StatusHelperService/Update" : "/types.StatusHelper/Update"
        if let call = try? client.call(method, at: instant) {
            client.send(call, PluginRequest.update(piece), last: true, at: instant)
        }
        tellers[teller]?.client = client
        moveTeller(teller, at: moment.time, &out)
    }

    /// Much of everything: updates, and lines on every way that there is.
    private mutating func flood(
        _ number: UInt64, _ task: PluginTask, _ moment: Moment, _ log: inout RunLog,
        _ out: inout OutsideOutput
    ) {
        out.mark(.pluginFlooded)
        let piece = [UInt8](repeating: 0x66, count: 8_192)
        tell(number, task, piece, moment, &log, &out)
        let lines = Array(String(repeating: "[ERROR] no rest for the wicked\n", count: 20).utf8)
        take(.complained(task.life, lines), moment, &log, &out)
        take(.printed(task.life, lines), moment, &log, &out)
        guard let prints = programs[task.life]?.prints,
            links[task.connection]?.server.hasRoom(prints) ?? false
        else { return }
        let instant = Self.instant(moment.time)
        links[task.connection]?.server.send(prints, PluginRequest.printed(lines), at: instant)
        move(task.connection, at: moment.time, &out)
    }

    private mutating func finish(
        _ task: PluginTask, at time: TrueTime, _ out: inout OutsideOutput
    ) {
        let instant = Self.instant(time)
        let (number, call) = (task.connection, task.call)
        let output = task.isWhole ? task.output : []
        let good = PluginRequest.answer(output, error: "")
        switch task.end {
        case .answers, .repeats:
            live[task.execution]?.hasSucceeded = true
            live[task.execution]?.words = output.isEmpty && task.updates > 0 ? nil : output
            links[number]?.server.answer(call, good, at: instant)
            out.mark(.pluginAnswered)
        case .fails:
            let bad = PluginRequest.answer(output, error: "no such luck\n")
            links[number]?.server.answer(call, bad, at: instant)
        case .crashes:
            out.later.append((time, .plugin(.die(task.life, .signal(11)))))
        case .hangs: out.mark(.pluginHung)
        case .refuses:
            out.mark(.pluginRefusedCall)
            let status = GRPCStatus(.internalError, "the plugin is not in the mood")
            links[number]?.server.finish(call, status, at: instant)
        case .garbage:
            out.mark(.pluginAnsweredGarbage)
            links[number]?.server.answer(call, [0x0a, 0xff, 0xff], at: instant)
        case .twice:
            out.mark(.pluginAnsweredTwice)
            links[number]?.server.send(call, good, at: instant)
            links[number]?.server.answer(call, good, at: instant)
        }
        move(number, at: time, &out)
        if task.end == .repeats, let bytes = links[number]?.last {
            out.mark(.pluginRepeatedBytes)
            out.later.append((time + Self.local * 2, .plugin(.deliver(number, bytes))))
        }
    }
}
