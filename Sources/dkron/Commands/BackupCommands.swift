internal import Adapters
internal import Core

// `dkron backup` and `dkron restore`: a running server to and from a file.

let backupCommands: [RemoteCommand] = [
    RemoteCommand(
        "backup", "FILE", 1...1,
        summary: "Save a copy of everything a server holds, while it runs",
        details: """
            The file holds jobs, settings, the ledger, executions and their outputs, all of one
            moment. It replaces an older file of that name once it is whole; what an interrupted
            one leaves is called FILE.….partial. `dkron recover` makes a data directory of it;
            `dkron restore` imports its jobs into a running server.
            """,
        examples: ["dkron backup /var/backups/dkron.backup"], run: takeBackup),
    RemoteCommand(
        "restore", "FILE", 1...1,
        summary: "Import the jobs of a backup or an export, all or none",
        details: """
            FILE is a backup, or a JSON array of jobs such as GET /v1/jobs answers; `-` reads
            standard input. Jobs of the same name are replaced, others stay. Ledger and executions
            are not imported; `dkron recover` is for those. A schedule of five fields is a crontab
            line here and in our files; Dkron 1 took the first for seconds, so that a job of another
            file is imported disabled until you say `--fields crontab`, or write six.
            """,
        options: [
            RemoteOption("--dry-run", "change nothing; tell what would happen"),
            RemoteOption("--strict", "refuse the file where a job would be imported disabled"),
            RemoteOption("--paused", "stop ticks before anything is imported"),
            RemoteOption(
                "--fields", "crontab",
                "take five fields for a crontab line, in a file of Dkron's too"),
        ],
        examples: [
            "dkron restore --dry-run /var/backups/dkron.backup",
            "curl -s http://OLD:8080/v1/jobs | dkron restore -",
            "dkron restore --fields crontab jobs.json",
        ], run: restoreJobs),
]

// MARK: Backup

private func takeBackup(_ call: RemoteCall) throws(CommandFailure) {
    let path = call.operands[0]
    var sink = BackupSink()
    do throws(SystemError) { sink.file = try OutputFile(path) } catch {
        throw .refused("The backup can't be written: \(error).")
    }
    try call.client.stream(["v1", "backup"], []) { _ in
    } body: { bytes in
        sink.take(bytes)
    } whenSilent: { () throws(CommandFailure) in
        throw .unreachable(
            "The server at \(call.client.address) has been silent for too long; there is no backup."
        )
    }
    if let problem = sink.problem {
        throw .refused("There is no backup: \(problem). What was at \(path) is untouched.")
    }
    guard let head = sink.head, sink.isWhole else {
        throw .refused(
            "There is no backup: the server broke off after \(sink.byteCount) bytes; its log tells"
                + " why. What was at \(path) is untouched.")
    }
    do throws(SystemError) { try sink.file?.commit() } catch {
        throw .refused("The backup can't be written: \(error).")
    }
    call.console.note(
        "\(path): \(head.jobs) jobs of \(head.node) at index \(head.index),"
            + " \(call.console.exact(head.stamp)); \(sink.byteCount) bytes")
}

/// Checks a backup as it comes in, and saves it.
private struct BackupSink {
    var file: OutputFile?
    var head: BackupHead?
    var isWhole = false
    var problem: String?
    var byteCount = 0
    private var audit = BackupAudit()

    mutating func take(_ bytes: [UInt8]) {
        guard problem == nil else { return }
        byteCount += bytes.count
        do throws(BackupFault) {
            try audit.feed(bytes)
        } catch {
            problem = "what the server sent is damaged: \(error)"
        }
        (head, isWhole) = (audit.head, audit.isWhole)
        do throws(SystemError) { try file?.write(bytes) } catch { problem = "\(error)" }
    }
}

// MARK: Restore

private func restoreJobs(_ call: RemoteCall) throws(CommandFailure) {
    let path = call.operands[0]
    let query = try restoreQuery(call)
    let jobs = try export(path)
    let boundary = "dkron-\(String(Entropy.number(), radix: 16))"
    var body = Array(
        ("--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; filename=\"jobs.json\""
            + "\r\nContent-Type: application/json\r\n\r\n").utf8)
    body += jobs
    body += "\r\n--\(boundary)--\r\n".utf8
    let reply = try call.client.send(
        .post, ["v1", "restore"], query,
        headers: [
            "Content-Type": "multipart/form-data; boundary=\(boundary)",
            "Accept": "application/json",
        ], body: body)
    if call.printed(reply) { return }
    let result = try reply.value()
    func count(_ name: String) -> String { result[name]?.shown ?? "0" }
    let verb = call.has("--dry-run") ? "would be " : ""
    printOut(
        "\(verb)created: \(count("created")), \(verb)updated: \(count("updated")),"
            + " unchanged: \(count("unchanged"))")
    for job in result["invalid"]?.elements ?? [] {
        let reason = job["invalid_reason"]?.shown ?? ""
        call.console.note("\(job["name"]?.shown ?? ""): \(verb)imported disabled: \(reason)")
    }
    for job in result["moved_slots"]?.elements ?? [] {
        let schedule = job["schedule"]?.shown ?? ""
        call.console.note(
            "\(job["name"]?.shown ?? ""): the ~ of \"\(schedule)\" stands for another instant here"
                + " than under Dkron")
    }
}

private func restoreQuery(_ call: RemoteCall) throws(CommandFailure) -> [Query] {
    var query = call.layout
    if call.has("--dry-run") { query.append(Query("dry_run", "true")) }
    if call.has("--strict") { query.append(Query("strict", "true")) }
    if call.has("--paused") { query.append(Query("paused", "true")) }
    if let fields = call.options["--fields"] {
        guard fields == "crontab" else {
            throw .usage("--fields knows only \"crontab\", not \"\(fields)\".")
        }
        query.append(Query("fields", fields))
    }
    return query
}

/// The jobs that a file holds, as an export.
private func export(_ path: String) throws(CommandFailure) -> [UInt8] {
    do throws(BackupFault) {
        let source = try BackupSource(path)
        guard source.isBackup else { return try source.readAll() }
        var store = Store()
        let audit = try source.audit { step throws(BackupFault) in
            guard case .slice(let records) = step else { return }
            do throws(ByteError) { try store.restore(slice: records) } catch {
                throw BackupFault(description: "its records can't be read")
            }
        }
        store.finishRestoring(at: audit.head?.index ?? 0)
        return store.exportedJobs()
    } catch {
        throw .usage("\(path) can't be used: \(error).")
    }
}
