/// The text format of Prometheus, version 0.0.4.
package struct MetricsText {
    package private(set) var bytes: [UInt8] = []

    package enum Kind: String { case counter, gauge, histogram }
    package typealias Label = (name: String, value: String)

    package init() {}

    package mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    /// Begins a metric; its samples follow, all of them together.
    package mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        bytes += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n".utf8
    }

    package mutating func sample(_ name: String, _ labels: [Label], _ value: String) {
        bytes += name.utf8
        if !labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            for (index, label) in labels.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes += "\(label.name)=\"".utf8
                appendEscaped(label.value)
                bytes.append(UInt8(ascii: "\""))
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes += " \(value)\n".utf8
    }

    package mutating func sample(
        _ name: String, _ labels: [Label], _ value: some FixedWidthInteger
    ) {
        sample(name, labels, "\(value)")
    }

    /// A metric of one sample.
    package mutating func single(
        _ name: String, _ kind: Kind, _ help: String, _ value: some FixedWidthInteger
    ) {
        family(name, kind, help)
        sample(name, [], value)
    }

    package mutating func histogram(_ name: String, _ labels: [Label], _ value: Histogram) {
        var below: UInt64 = 0
        for (bound, count) in zip(value.bounds, value.counts) {
            below += count
            sample("\(name)_bucket", labels + [("le", Self.seconds(bound.nanoseconds))], below)
        }
        sample("\(name)_bucket", labels + [("le", "+Inf")], value.count)
        sample("\(name)_sum", labels, Self.seconds(value.sum.nanoseconds))
        sample("\(name)_count", labels, value.count)
    }

    /// Nanoseconds as decimal seconds, without zeros at the end.
    package static func seconds(_ nanoseconds: Int64) -> String {
        let (whole, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        let sign = nanoseconds < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(whole)" }
        let digits = "\(rest)"
        var fraction = String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while fraction.utf8.last == UInt8(ascii: "0") { fraction.removeLast() }
        return "\(sign)\(whole).\(fraction)"
    }

    private mutating func appendEscaped(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            default: bytes.append(byte)
            }
        }
    }
}

extension MetricsText {
    /// Everything but what is told of single jobs.
    package mutating func write(
        _ metrics: Metrics, _ gauges: Gauges, version: String, node: String
    ) {
        family("dkron_build_info", .gauge, "Always 1; which program this is.")
        sample("dkron_build_info", [("version", version), ("node_name", node)], 1)
        family("process_start_time_seconds", .gauge, "When this process started, Unix time.")
        sample("process_start_time_seconds", [], Self.seconds(gauges.startedAt.nanoseconds))
        write(gauges)
        writeLedger(metrics)
        writeLog(metrics)
        family(
            "dkron_notifications_total", .counter,
            "Notifications that this server delivered, or gave up, while it led.")
        for (place, channel) in NotificationChannels.each.enumerated() {
            for (result, count) in [
                ("delivered", metrics.notified[place]),
                ("given_up", metrics.notifyingGivenUp[place]),
            ] {
                sample(
                    "dkron_notifications_total",
                    [("channel", channel.name), ("result", result)], count)
            }
        }
        family("dkron_events_total", .counter, "Rare situations that occurred.")
        for mark in Mark.allCases {
            sample(
                "dkron_events_total", [("event", mark.name)], metrics.events[Int(mark.rawValue)])
        }
        family("dkron_http_responses_total", .counter, "Answers by the class of their status.")
        for digit in 2...5 {
            sample("dkron_http_responses_total", [("code", "\(digit)xx")], metrics.answers[digit])
        }
    }

    private mutating func write(_ gauges: Gauges) {
        single(
            "dkron_leader", .gauge, "Whether this server leads its cluster.",
            gauges.isLeading ? 1 : 0)
        single("dkron_term", .gauge, "The term of this server.", gauges.term)
        single("dkron_commit_index", .gauge, "The last committed log index.", gauges.commitIndex)
        single("dkron_applied_index", .gauge, "The last applied log index.", gauges.appliedIndex)
        single("dkron_jobs", .gauge, "Jobs of the cluster.", gauges.jobs)
        single(
            "dkron_active_groups", .gauge, "Runs of jobs that have not ended.",
            gauges.activeGroups)
        single(
            "dkron_stored_executions", .gauge, "Executions that are kept.",
            gauges.storedExecutions)
        single(
            "dkron_notifications_waiting", .gauge,
            "Executions and ticks of which somebody is still to be told.", gauges.notices)
        single(
            "dkron_running_executions", .gauge, "Commands that run on this node.", gauges.running)
        single(
            "dkron_run_queue", .gauge, "Commands that wait for a place on this node.",
            gauges.waiting)
        single(
            "dkron_held_executions", .gauge,
            "Executions of this node whose result the cluster does not have yet.", gauges.held)
        single(
            "dkron_proposals_in_flight", .gauge, "Log entries that are not committed yet.",
            gauges.proposalsInFlight)
        single(
            "dkron_held_edits", .gauge, "Edits that wait for a time zone being read.",
            gauges.heldEdits)
        single(
            "dkron_apply_queue", .gauge, "Committed log entries that are not applied yet.",
            gauges.applyQueue)
        family("dkron_disk_bytes", .gauge, "Bytes of the files below the data directory.")
        for (directory, bytes) in gauges.disk {
            sample("dkron_disk_bytes", [("kind", directory.name)], bytes)
        }
    }

    private mutating func writeLedger(_ metrics: Metrics) {
        let decisions = "dkron_ledger_decisions_total"
        family(
            decisions, .counter,
            "Outcomes written to the ledger; one may stand for a range of ticks.")
        sample(decisions, [("outcome", "ran"), ("reason", "")], metrics.ran)
        for reason in SkipReason.allCases {
            sample(
                decisions, [("outcome", "skipped"), ("reason", reason.text)],
                metrics.skipped[Int(reason.rawValue)])
        }
        for reason in MissReason.allCases {
            sample(
                decisions, [("outcome", "missed"), ("reason", reason.text)],
                metrics.missed[Int(reason.rawValue)])
        }
        family("dkron_executions_total", .counter, "Executions that ended, by state.")
        for (state, count) in metrics.endings {
            sample("dkron_executions_total", [("state", state.text)], count)
        }
        family(
            "dkron_decision_lateness_seconds", .histogram,
            "From a tick to the decision to run it.")
        histogram("dkron_decision_lateness_seconds", [], metrics.decisionLateness)
        family(
            "dkron_start_lateness_seconds", .histogram,
            "From when an execution was due to its start, first attempts only.")
        histogram("dkron_start_lateness_seconds", [], metrics.startLateness)
    }

    private mutating func writeLog(_ metrics: Metrics) {
        single(
            "dkron_entries_committed_total", .counter, "Log entries committed.",
            metrics.entriesCommitted)
        family(
            "dkron_commit_seconds", .histogram, "From the proposal of a log entry to its commit.")
        histogram("dkron_commit_seconds", [], metrics.commitTime)
        family("dkron_fsync_seconds", .histogram, "How long syncs of files took.")
        for directory in StorageDirectory.allCases {
            histogram(
                "dkron_fsync_seconds", [("kind", directory.name)],
                metrics.syncTime[Int(directory.rawValue)])
        }
        single(
            "dkron_storage_failures_total", .counter, "Operations on files that failed.",
            metrics.storageFailures)
    }
}

extension Metrics {
    /// Executions that ended, by state.
    package var endings: [(state: Execution.State, count: UInt64)] {
        [(.success, succeeded), (.failed, failed), (.killed, killed), (.lost, lost)]
    }
}

extension Mark {
    /// The case's name with underscores: `torn_tail_cut`.
    package var name: String {
        var name = ""
        for letter in "\(self)".unicodeScalars {
            if ("A"..."Z").contains(letter) {
                name += "_\(letter.properties.lowercaseMapping)"
            } else {
                name.unicodeScalars.append(letter)
            }
        }
        return name
    }
}
