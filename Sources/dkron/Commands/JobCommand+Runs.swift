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
    // Half of what counts as silence.
    let longest = min(20_000, max(1, call.client.timeout.wholeMilliseconds / 2))
    var reply: Reply
    repeat {
        let wait = call.has("--wait") ? "\(longest)ms" : "0"
        reply = try call.client.send(
            .post, ["v1", "jobs", job, "run"], call.layout + [Query("wait", wait)], headers: key)
    } while call.has("--wait") && reply.status == 202
    let group = reply.head.headers["X-Execution-Group"] ?? ""
    guard call.has("--wait") else {
        if call.printed(reply) { return }
        return printOut("\(job): started group \(group); `dkron job logs \(job) -f` follows it")
    }
    if call.printed(reply) { return }
    if reply.json?["deleted"]?.isTrue == true {
        return call.console.note(
            "\(job): ended, and was deleted with its output, as ephemeral jobs are after a success")
    }
    try report(call, group: group)
}

/// Prints what the executions of a group that has ended have printed, and fails when the last
/// attempt on any node failed.
private func report(_ call: RemoteCall, group: String) throws(CommandFailure) {
    let path = ["v1", "jobs", call.operands[0], "executions"]
    let list = try call.client.get(
        path, [Query("output_size_limit", "0"), Query("_end", "1000")])
    let mine = try list.value().elements.map { ShownExecution(json: $0) }
        .filter { $0.json["group_id"]?.string == group }
    var last: [ShownExecution] = []
    // The list has the newest first.
    for execution in mine.reversed() {
        let whole = ShownExecution(json: try call.client.get(path + [execution.id]).value())
        if mine.count > 1 {
            let attempt = whole.json["attempt"]?.shown ?? "1"
            call.console.note("== \(whole.node), attempt \(attempt): \(whole.summary)")
        }
        printOutput(of: whole, call.console)
        last.removeAll { $0.node == whole.node }
        last.append(whole)
    }
    let failed = last.filter { $0.state != "success" }
    guard failed.isEmpty else {
        let reasons = failed.map { "\($0.node): \($0.summary)" }.joined(separator: "; ")
        throw .refused("The run did not succeed. \(reasons).")
    }
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
