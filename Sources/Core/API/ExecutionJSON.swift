// Executions, rows of the ledger and members as the API prints them.

extension JSONWriter {
    mutating func execution(_ execution: Execution, of job: JobName, _ output: ShownOutput) {
        beginObject()
        member("id", execution.id.text)
        member("job_name", job.text)
        member("started_at", time: execution.startedAt)
        member("finished_at", time: execution.finishedAt)
        member("success", execution.state == .success)
        if !output.bytes.isEmpty {
            key("output")
            string(output.bytes)
        }
        member("node_name", execution.node.text)
        member("group", execution.group)
        member("attempt", execution.attempt)
        member("output_truncated", execution.isOutputTruncated || output.isCut)
        member("state", execution.state.text)
        member("group_id", "\(execution.group)")
        member("scheduled_at", time: execution.scheduledAt)
        if !execution.error.isEmpty { member("error", execution.error) }
        if let exitCode = execution.exitCode { member("exit_code", exitCode) }
        if let signal = execution.signal { member("signal", signal) }
        if let cpuTime = execution.cpuTime { member("cpu_time", DurationText.print(cpuTime)) }
        if let peakMemory = execution.peakMemory { member("peak_memory", peakMemory) }
        if let lateResult = execution.lateResult { member("late_result", lateResult.text) }
        if execution.isProcessing { member("processing", true) }
        if !execution.notes.isEmpty {
            key("notes")
            beginArray()
            for note in execution.notes { string(note) }
            endArray()
        }
        if let problem = output.problem { member("output_error", problem.rawValue) }
        endObject()
    }

    mutating func ledgerRow(_ row: LedgerRow) {
        beginObject()
        member("from", time: row.from)
        member("to", time: row.to)
        switch row.outcome {
        case .ran(let group):
            member("outcome", "ran")
            member("group", group)
            member("group_id", "\(group)")
            if row.cause == nil { member("late", DurationText.print(row.decidedAt - row.from)) }
        case .skipped(let reason):
            member("outcome", "skipped")
            member("reason", reason.text)
        case .missed(let reason):
            member("outcome", "missed")
            member("reason", reason.text)
        }
        member("decided_at", time: row.decidedAt)
        member("revision", row.revision)
        switch row.cause {
        case nil, .tick: member("trigger", "schedule")
        case .request(let id):
            member("trigger", "request")
            member("request_id", id)
        case .parent(let job, let group):
            member("trigger", "parent")
            member("parent_job", job.text)
            member("parent_group_id", "\(group)")
        }
        member("text", row.words)
        endObject()
    }

    /// Field names with capitals, as Dkron's clients know them.
    mutating func member(_ member: Member, isListed: Bool, isDrained: Bool = false) {
        beginObject()
        self.member("Name", member.name.text)
        self.member("Addr", member.address)
        self.member("Port", member.port)
        key("Tags")
        settings(member.tags)
        self.member("Status", member.status.rawValue)
        self.member("ProtocolMin", 1)
        self.member("ProtocolMax", 5)
        self.member("ProtocolCur", 2)
        self.member("DelegateMin", 2)
        self.member("DelegateMax", 5)
        self.member("DelegateCur", 4)
        if isListed {
            self.member("id", member.name.text)
            self.member("statusText", member.status.text)
            if isDrained { self.member("drained", true) }
        }
        endObject()
    }
}
