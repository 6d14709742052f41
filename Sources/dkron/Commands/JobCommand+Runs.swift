internal import Adapters
internal import Core
internal import Glibc

// Running jobs, and what became of it.

/// An execution as a command tells of it.
struct ShownExecution {
    let json: JSONView

    var id: String { json["id"]?.string ?? "" }
    var node: String { json["node_name"]?.string ?? "" }
    var state: String { json["state"]?.string ?? "" }
    var attempt: Int64 { json["attempt"]?.integer ?? 1 }
    /// What the id begins with; it rises from one execution to the next.
    var number: Int64? { id.split(separator: "-").first.flatMap { Int64($0) } }
    var hasEnded: Bool { !["pending", "running"].contains(state) }
    var output: [UInt8] { json["output"].flatMap { $0.document.stringBytes($0.value) } ?? [] }
    var startedAt: WallTime? { json["started_at"]?.time }

    /// How long it took, or takes so far.
    var length: String {
        guard let startedAt else { return "-" }
        if hasEnded, json["finished_at"]?.time == nil { return "-" }
        return RelativeTime.length((json["finished_at"]?.time ?? Clocks.wall()) - startedAt)
    }

    /// Why it did not succeed; empty if it did, or has not ended.
    var reason: String {
        if let error = json["error"]?.text { return error }
        if let signal = json["signal"]?.integer { return "signal \(signal)" }
        if let code = json["exit_code"]?.integer, code != 0 { return "exit code \(code)" }
        return ""
    }

    /// `failed after 12s: exit code 3`.
    var summary: String {
        let took = length == "-" ? "" : " after \(length)"
        return "\(state)\(took)\(reason.isEmpty ? "" : ": \(reason)")"
    }
}

func listExecutions(_ call: RemoteCall) throws(CommandFailure) {
    var query = call.layout
    if !call.wantsJSON { query.append(Query("output_size_limit", "0")) }
    let limit = try call.number("--limit") ?? 20
    if limit > 0 { query.append(Query("_end", "\(limit)")) }
    let path = ["v1", "jobs", call.operands[0], "executions"]
    let reply = try call.client.get(path, query)
    if call.printed(reply) { return }
    let executions = try reply.value().elements.map { ShownExecution(json: $0) }
    if executions.isEmpty {
        return call.console.note("The job \"\(call.operands[0])\" has not run yet.")
    }
    var table = Table(["EXECUTION", "STATE", "STARTED", "TOOK", "NODE", "ATTEMPT", "REASON"])
    for execution in executions {
        table.add(
            Table.Cell(execution.id), Table.Cell(execution.state, tone(ofState: execution.state)),
            Table.Cell(call.console.when(execution.startedAt)), Table.Cell(execution.length),
            Table.Cell(execution.node), Table.Cell(execution.json["attempt"]?.shown ?? ""),
            Table.Cell(execution.reason))
    }
    call.console.print(table)
    noteRest(call, shown: executions.count, of: reply)
}

func listTicks(_ call: RemoteCall) throws(CommandFailure) {
    var query = call.layout
    for option in ["--from", "--to"] {
        if let time = call.options[option] { query.append(Query("\(option.dropFirst(2))", time)) }
    }
    let limit = try call.number("--limit") ?? 20
    if limit > 0 { query.append(Query("_end", "\(limit)")) }
    let reply = try call.client.get(["v1", "jobs", call.operands[0], "ticks"], query)
    if call.printed(reply) { return }
    let rows = try reply.value().elements
    if rows.isEmpty { return call.console.note("There are no ticks to show.") }
    var table = Table(["TICK", "WHEN", "OUTCOME"])
    for row in rows {
        guard let from = row["from"]?.time, let to = row["to"]?.time else { continue }
        var tick = call.console.exact(from)
        if from != to { tick += " to \(call.console.exact(to))" }
        table.add(
            Table.Cell(tick), Table.Cell(call.console.when(to)),
            Table.Cell(row["text"]?.string ?? "", tone(ofState: row["outcome"]?.string ?? "")))
    }
    call.console.print(table)
    noteRest(call, shown: rows.count, of: reply)
}

func killExecution(_ call: RemoteCall) throws(CommandFailure) {
    let path = ["v1", "jobs", call.operands[0], "executions", call.operands[1], "kill"]
    let reply = try call.client.send(.post, path, call.layout)
    if call.printed(reply) { return }
    printOut("\(call.operands[0]): \(call.operands[1]) is being ended")
}

// MARK: Running

func runJob(_ call: RemoteCall) throws(CommandFailure) {
    let job = call.operands[0]
    // The key makes asking again ask for the same run, so that a wait may be longer than one
    // request and no lost answer runs a job twice.
    let key: HTTPHeaders = ["Idempotency-Key": "cli-\(String(Entropy.number(), radix: 16))"]
    if call.has("--wait") { return try awaitRun(call, key) }
    let reply = try call.client.send(
        .post, ["v1", "jobs", job, "run"], call.layout + [Query("wait", "0")], headers: key)
    if call.printed(reply) { return }
    let group = reply.head.headers["X-Execution-Group"] ?? ""
    printOut("\(job): started group \(group); `dkron job logs \(job) -f` follows it")
}

/// Starts a run and waits for its end.
private func awaitRun(_ call: RemoteCall, _ key: HTTPHeaders) throws(CommandFailure) {
    let job = call.operands[0]
    // An answer without the job can't tell why it is gone.
    var isEphemeral =
        try call.client.get(["v1", "jobs", job]).value()["ephemeral"]?.isTrue ?? false
    // Half of what counts as silence.
    let longest = min(20_000, max(1, call.client.timeout.wholeMilliseconds / 2))
    let query = call.layout + [Query("wait", "\(longest)ms")]
    var hasBegun = false
    while true {
        let reply = try call.client.exchange(
            .post, ["v1", "jobs", job, "run"], query, headers: key)
        // Between two requests it may go as well as during one.
        if hasBegun, reply.status == 404 { return try tellDeletion(call, isEphemeral) }
        let answer = try call.client.accepted(reply).value()
        if reply.status == 202 {
            hasBegun = true
            isEphemeral = answer["ephemeral"]?.isTrue ?? isEphemeral
        } else if answer["deleted"]?.isTrue == true {
            _ = call.printed(reply)
            return try tellDeletion(call, isEphemeral)
        } else {
            let group = reply.head.headers["X-Execution-Group"] ?? ""
            let executions = try executions(of: group, call)
            if !call.printed(reply) { try printOutputs(of: executions, call) }
            return try judge(executions)
        }
    }
}

/// An ephemeral job goes with its first success. One that somebody deletes takes along what its run
/// has come to, and nobody may rely on that.
private func tellDeletion(_ call: RemoteCall, _ isEphemeral: Bool) throws(CommandFailure) {
    guard isEphemeral else {
        throw .refused(
            "\(call.operands[0]): somebody deleted the job while it ran; nothing tells any more how"
                + " the run ended.")
    }
    call.console.note(
        "\(call.operands[0]): ended, and was deleted with its output, as ephemeral jobs are after a"
            + " success")
}

/// The executions of a group without their outputs, the newest first.
private func executions(
    of group: String, _ call: RemoteCall
) throws(CommandFailure) -> [ShownExecution] {
    let path = ["v1", "jobs", call.operands[0], "executions"]
    let size = 1_000
    var found: [ShownExecution] = []
    var start = 0
    while true {
        let bounds = [Query("_start", "\(start)"), Query("_end", "\(start + size)")]
        let list = try call.client.get(path, [Query("output_size_limit", "0")] + bounds)
        let page = try list.value().elements.map { ShownExecution(json: $0) }
        found += page.filter { $0.json["group_id"]?.string == group }
        // Numbers rise, and a group's own comes before those of its executions.
        guard page.count == size, let last = page.last?.number, last > Int64(group) ?? 0 else {
            return found
        }
        start += size
    }
}

/// Prints what the executions of a group that has ended have printed.
private func printOutputs(
    of executions: [ShownExecution], _ call: RemoteCall
) throws(CommandFailure) {
    let path = ["v1", "jobs", call.operands[0], "executions"]
    for execution in executions.reversed() {
        let whole = ShownExecution(json: try call.client.get(path + [execution.id]).value())
        if executions.count > 1 {
            call.console.note("== \(whole.node), attempt \(whole.attempt): \(whole.summary)")
        }
        printOutput(of: whole, call.console)
    }
}

/// Fails unless the last attempt of each target succeeded. Attempts of one target may be on several
/// nodes, so they are counted: each target has one first attempt, and one success at most, because
/// nothing follows a success.
private func judge(_ executions: [ShownExecution]) throws(CommandFailure) {
    let targets = executions.count { $0.attempt == 1 }
    let succeeded = executions.count { $0.state == "success" }
    guard let newest = executions.first else {
        throw .refused(
            "The run ended before anything of it began, as one does that waits when another"
                + " replaces it, or its executions are deleted already.")
    }
    if targets > 0, succeeded == targets { return }
    let reason =
        targets == 1
        ? "\(newest.node): \(newest.summary)"
        : "\(targets - succeeded) of \(targets) targets failed"
    throw .refused("The run did not succeed. \(reason).")
}

// MARK: Output

/// Everything of an execution's output that is kept.
private func printOutput(of execution: ShownExecution, _ console: Console) {
    if let problem = execution.json["output_error"]?.text {
        console.note("The output can't be shown: \(problem)")
    }
    if execution.json["output_truncated"]?.isTrue == true {
        console.note("(the beginning of the output is not kept)")
    }
    console.write(execution.output)
}

func showOutput(_ call: RemoteCall) throws(CommandFailure) {
    let job = call.operands[0]
    let path = ["v1", "jobs", job, "executions"]
    let id: String
    if call.operands.count > 1 {
        id = call.operands[1]
    } else {
        let list = try call.client.get(path, [Query("_end", "1"), Query("output_size_limit", "0")])
        guard let newest = try list.value().elements.first else {
            throw .refused("The job \"\(job)\" has not run yet.")
        }
        id = ShownExecution(json: newest).id
    }
    if call.has("--follow") && !call.wantsJSON { return try follow(call, path + [id]) }
    let reply = try call.client.get(path + [id], call.layout)
    if call.printed(reply) { return }
    let execution = ShownExecution(json: try reply.value())
    printOutput(of: execution, call.console)
    if !execution.hasEnded { call.console.note("(it is still \(execution.state); -f follows it)") }
}

/// Prints what is printed, as it is printed, until the execution has ended.
private func follow(_ call: RemoteCall, _ path: [String]) throws(CommandFailure) {
    let state = [Query("output_size_limit", "0")]
    try call.client.stream(path + ["output"], [Query("follow", "true")]) { head in
        if head.headers["X-Dkron-Output-Truncated"] == "true" {
            call.console.note("(the beginning of the output is not kept)")
        }
    } body: { bytes in
        call.console.write(bytes)
    } whenSilent: { () throws(CommandFailure) in
        // A command may print nothing for days; a server that is gone prints nothing either.
        _ = try call.client.get(path, state)
    }
    let execution = ShownExecution(json: try call.client.get(path, state).value())
    call.console.note("\(call.operands[0]): \(execution.summary)")
}
