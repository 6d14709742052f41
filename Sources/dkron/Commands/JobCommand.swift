internal import Core

/// The commands below `dkron job`.
let jobCommands: [RemoteCommand] = [
    RemoteCommand(
        "job list", summary: "List the jobs, how their last run went and when they fire next",
        options: [
            RemoteOption("--search", "TEXT", "jobs with this text in their name or display name"),
            RemoteOption(
                "--status", "STATUS", "success, failed, partially_failed or untriggered"),
            RemoteOption("--tag", "KEY=VALUE", "jobs with this tag"),
            RemoteOption("--disabled", "jobs that are switched off"),
            RemoteOption("--limit", "N", "at most so many"),
        ],
        examples: ["dkron job list --status failed"], run: listJobs),
    RemoteCommand(
        "job show", "NAME", 1...1, summary: "Show a job with its settings and counters",
        examples: ["dkron job show backup"], run: showJob),
    RemoteCommand(
        "job create", "FILE", 1...1,
        summary: "Create the job, or the array of jobs, of a JSON file",
        details: """
            FILE is - for standard input. A job that exists is left alone, and the command fails;
            `dkron job apply` changes it. Parents are created before their children.
            """,
        options: [RemoteOption("--run", "also run each job once, at once")],
        examples: ["dkron job create backup.json"], run: createJobs),
    RemoteCommand(
        "job apply", "FILE", 1...1,
        summary: "Create or update the job, or the array of jobs, of a file",
        details: """
            FILE is - for standard input. What a job in the file leaves out goes back to its
            default. Jobs that are not in the file are left alone.
            """,
        examples: [
            "dkron job apply jobs.json", "dkron job show backup --json | dkron job apply -",
        ],
        run: applyJobs),
    RemoteCommand(
        "job run", "NAME", 1...1, summary: "Run a job now",
        details: """
            With --wait the command ends with the run and prints its output; the exit status is 0
            when the last attempt on each target succeeded, and 1 when not, when the run was ended
            before it began, or when somebody deleted the job.
            """,
        options: [RemoteOption("--wait", "wait for the end and print the output (-w)")],
        examples: ["dkron job run backup --wait"], run: runJob),
    RemoteCommand(
        "job delete", "NAME", 1...1, summary: "Delete a job with its executions and its ledger",
        options: [RemoteOption("--kill", "also end what it runs")],
        examples: ["dkron job delete backup"], run: deleteJob),
    RemoteCommand(
        "job toggle", "NAME", 1...1, summary: "Switch a job off, or on again",
        examples: ["dkron job toggle backup"], run: toggleJob),
    RemoteCommand(
        "job executions", "NAME", 1...1, summary: "List a job's executions, the newest first",
        options: [RemoteOption("--limit", "N", "at most so many, 0 for all (default: 20)")],
        examples: ["dkron job executions backup --limit 5"], run: listExecutions),
    RemoteCommand(
        "job ticks", "NAME", 1...1,
        summary: "List the instants at which a job was due, and what became of each",
        options: [
            RemoteOption("--from", "TIME", "not before this RFC 3339 time"),
            RemoteOption("--to", "TIME", "not after this RFC 3339 time"),
            RemoteOption("--limit", "N", "at most so many, 0 for all (default: 20)"),
        ],
        examples: ["dkron job ticks backup --from 2027-03-27T00:00:00Z"], run: listTicks),
    RemoteCommand(
        "job logs", "NAME [EXECUTION]", 1...2,
        summary: "Print the output of a job's last execution, or of the one named",
        options: [RemoteOption("--follow", "go on until the execution ends (-f)")],
        examples: ["dkron job logs backup", "dkron job logs backup -f"], run: showOutput),
    RemoteCommand(
        "job kill", "NAME EXECUTION", 2...2, summary: "End an execution with everything it started",
        details: "`dkron job executions NAME` tells the names of executions.",
        examples: ["dkron job kill backup 1785542400000000000-1-node1"], run: killExecution),
]

/// What the state of an execution, or the status of a job, should look like.
func tone(ofState state: String) -> Tone {
    switch state {
    case "success", "alive", "ran": .good
    case "failed", "partially_failed", "killed", "lost", "missed": .bad
    case "running", "pending", "skipped", "leaving": .active
    default: .plain
    }
}

// MARK: Showing

private func listJobs(_ call: RemoteCall) throws(CommandFailure) {
    var query = call.layout
    if let text = call.options["--search"] { query.append(Query("q", text)) }
    if let status = call.options["--status"] { query.append(Query("status", status)) }
    if call.has("--disabled") { query.append(Query("disabled", "true")) }
    if let tag = call.options["--tag"] {
        let parts = tag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw .usage("--tag is KEY=VALUE, not \"\(tag)\".")
        }
        query.append(Query("tags[\(parts[0])]", String(parts[1])))
    }
    if let limit = try call.number("--limit"), limit > 0 { query.append(Query("_end", "\(limit)")) }
    let reply = try call.client.get(["v1", "jobs"], query)
    if call.printed(reply) { return }
    let jobs = try reply.value().elements
    var table = Table(["NAME", "STATUS", "LAST RUN", "NEXT", "SCHEDULE"])
    for job in jobs {
        let running = job["running"]?.integer ?? 0
        let status = job["status"]?.text ?? "-"
        let last = [job["last_success"]?.time, job["last_error"]?.time].compactMap(\.self).max()
        table.add(
            Table.Cell(job["name"]?.string ?? ""),
            running > 0
                ? Table.Cell("running", .active) : Table.Cell(status, tone(ofState: status)),
            Table.Cell(call.console.when(last)), next(of: job, call.console),
            Table.Cell(job["schedule"]?.text ?? ""))
    }
    if jobs.isEmpty { return call.console.note("There are no such jobs.") }
    call.console.print(table)
    noteRest(call, shown: jobs.count, of: reply)
}

/// Says on a terminal that a list is not complete.
func noteRest(_ call: RemoteCall, shown: Int, of reply: Reply) {
    guard call.console.isTerminal, let total = reply.total, total > shown else { return }
    call.console.note("\(shown) of \(total) are shown; --limit changes that.")
}

private func next(of job: JSONView, _ console: Console) -> Table.Cell {
    if job["disabled"]?.isTrue == true { return Table.Cell("disabled", .faint) }
    if let parent = job["parent_job"]?.text { return Table.Cell("after \(parent)") }
    return Table.Cell(console.when(job["next"]?.time))
}

private func showJob(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.get(["v1", "jobs", call.operands[0]], call.layout)
    if call.printed(reply) { return }
    let job = try reply.value()
    var table = Table()
    func add(_ name: String, _ text: String?, _ tone: Tone = .plain) {
        if let text { table.add(Table.Cell(name, .faint), Table.Cell(text, tone)) }
    }
    func add(_ name: String, time: JSONView?) {
        add(name, time?.time.map { call.console.timeAndDistance($0) })
    }
    add("name", job["name"]?.text)
    add("display name", job["displayname"]?.text)
    add("schedule", job["schedule"]?.text)
    add("timezone", job["timezone"]?.text)
    add("parent", job["parent_job"]?.text)
    if job["disabled"]?.isTrue == true { add("next", "disabled", .active) }
    add("next", time: job["next"])
    let status = job["status"]?.text
    add("status", status ?? "has not run yet", tone(ofState: status ?? ""))
    if let running = job["running"]?.integer, running > 0 { add("running", "\(running)", .active) }
    add("last success", time: job["last_success"])
    add("last failure", time: job["last_error"])
    let counts = (job["success_count"]?.integer ?? 0, job["error_count"]?.integer ?? 0)
    add("runs", "\(counts.0) succeeded, \(counts.1) failed")
    add("invalid", job["invalid_reason"]?.text, .bad)
    add("executor", job["executor"]?.text)
    for (name, value) in job["executor_config"]?.members ?? [] { add("  \(name)", value.shown) }
    for (name, value) in job["processors"]?.members ?? [] {
        add("processor", "\(name) \(value.shown)")
    }
    for (name, value) in job["tags"]?.members ?? [] { add("tag", "\(name)=\(value.shown)") }
    for (name, value) in job["metadata"]?.members ?? [] {
        add("metadata", "\(name)=\(value.shown)")
    }
    add("children", job["dependent_jobs"]?.elements.map(\.shown).joined(separator: ", "))
    add("concurrency", job["concurrency"]?.text)
    if let retries = job["retries"]?.integer, retries > 0 { add("retries", "\(retries)") }
    add("starts at", time: job["starts_at"])
    add("expires at", time: job["expires_at"])
    if job["ephemeral"]?.isTrue == true { add("ephemeral", "deleted after its first success") }
    let owner = [job["owner"]?.text, job["owner_email"]?.text].compactMap(\.self)
    if !owner.isEmpty { add("owner", owner.joined(separator: ", ")) }
    add("version", job["version"]?.shown)
    call.console.print(table)
}

// MARK: Changing

private func deleteJob(_ call: RemoteCall) throws(CommandFailure) {
    var query = call.layout
    if call.has("--kill") { query.append(Query("kill", "true")) }
    let reply = try call.client.send(.delete, ["v1", "jobs", call.operands[0]], query)
    if !call.printed(reply) { printOut("\(call.operands[0]): deleted") }
}

private func toggleJob(_ call: RemoteCall) throws(CommandFailure) {
    let path = ["v1", "jobs", call.operands[0], "toggle"]
    let reply = try call.client.send(.post, path, call.layout)
    if call.printed(reply) { return }
    let job = try reply.value()
    guard job["disabled"]?.isTrue != true else {
        return printOut("\(call.operands[0]): disabled")
    }
    let next = job["next"]?.time.map { ", fires \(call.console.timeAndDistance($0))" } ?? ""
    printOut("\(call.operands[0]): enabled\(next)")
}
