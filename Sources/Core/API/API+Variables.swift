// The node's counters as one object, for whoever looks by hand.

extension API {
    /// Holds nothing of jobs, commands or settings, which may be secrets.
    func variables(_ call: Call, _ metrics: Metrics, _ gauges: Gauges) -> Answer {
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        writer.member("version", config.version)
        writer.member("node", config.nodeName.text)
        writer.member("started_at", time: gauges.startedAt)
        writer.member("uptime_seconds", gauges.uptime.wholeSeconds)
        writer.member("leader", gauges.isLeading)
        writer.member("scheduler_started", gauges.isLeading ? 1 : 0)
        writer.member("term", gauges.term)
        writer.member("commit_index", gauges.commitIndex)
        writer.member("applied_index", gauges.appliedIndex)
        writer.member("jobs", gauges.jobs)
        writer.member("active_groups", gauges.activeGroups)
        writer.member("running_executions", gauges.running)
        writer.member("run_queue", gauges.waiting)
        writer.member("held_executions", gauges.held)
        writer.member("proposals_in_flight", gauges.proposalsInFlight)
        writer.member("held_edits", gauges.heldEdits)
        writer.member("apply_queue", gauges.applyQueue)
        writer.member("pending_requests", pending.count)
        writer.member("entries_committed", metrics.entriesCommitted)
        writer.member("storage_failures", metrics.storageFailures)
        writer.key("disk_bytes")
        writer.beginObject()
        for (directory, bytes) in gauges.disk { writer.member(directory.name, bytes) }
        writer.endObject()
        writer.key("executions")
        writer.beginObject()
        for (state, count) in metrics.endings { writer.member(state.text, count) }
        writer.endObject()
        writer.key("events")
        writer.beginObject()
        for mark in Mark.allCases { writer.member(mark.name, metrics.events[Int(mark.rawValue)]) }
        writer.endObject()
        writer.endObject()
        return Answer(200, writer)
    }
}
