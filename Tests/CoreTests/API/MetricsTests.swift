import Testing

@testable import Core

@Suite("Metrics")
struct MetricsTests {
    private static let job = """
        {"name": "j", "schedule": "@every 10s", "concurrency": "forbid", "executor": "shell", \
        "executor_config": {"command": "x"}}
        """

    /// The value of a sample; nil if there is none, or more than one.
    private func value(_ sample: String, _ text: String) -> String? {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix(sample + " ") }
        return lines.count == 1 ? String(lines[0].dropFirst(sample.utf8.count + 1)) : nil
    }

    private func scrape(_ node: inout NodeHarness) -> String {
        let answer = node.ask(.get, "/metrics")
        #expect(answer.status == 200)
        return answer.body
    }

    @Test("decisions, starts, ends and commits are counted where they happen")
    func life() {
        var node = NodeHarness()
        _ = node.ask(.post, "/v1/jobs", Self.job)
        let before = scrape(&node)
        #expect(value(#"dkron_ledger_decisions_total{outcome="ran",reason=""}"#, before) == "0")
        #expect(value("dkron_jobs", before) == "1")
        #expect(value("dkron_leader", before) == "1")
        node.advance(.seconds(25))
        node.exitCode = 3
        node.advance(.seconds(10))
        node.exitCode = nil
        node.advance(.seconds(20))
        let text = scrape(&node)
        #expect(value(#"dkron_ledger_decisions_total{outcome="ran",reason=""}"#, text) == "4")
        #expect(
            value(#"dkron_ledger_decisions_total{outcome="skipped",reason="overlap"}"#, text)
                == "1")
        #expect(value(#"dkron_executions_total{state="success"}"#, text) == "2")
        #expect(value(#"dkron_executions_total{state="failed"}"#, text) == "1")
        #expect(value("dkron_running_executions", text) == "1")
        #expect(value("dkron_active_groups", text) == "1")
        #expect(value("dkron_decision_lateness_seconds_count", text) == "4")
        #expect(value("dkron_start_lateness_seconds_count", text) == "4")
        #expect(value(#"dkron_events_total{event="overlap_skipped"}"#, text) == "1")
        #expect(value(#"dkron_http_responses_total{code="2xx"}"#, text) == "2")
        let committed = UInt64(value("dkron_entries_committed_total", text) ?? "") ?? 0
        #expect(committed == node.node.raft.commitIndex)
        // The leader's own first entry is proposed by nobody.
        #expect(value("dkron_commit_seconds_count", text) == "\(committed - 1)")
        #expect(value(#"dkron_fsync_seconds_count{kind="journal"}"#, text) != "0")
        #expect(value(#"dkron_disk_bytes{kind="journal"}"#, text) != "0")
        #expect(
            value(#"dkron_job_executions_succeeded_total{job_name="j"}"#, text) == "2")
        #expect(value(#"dkron_job_executions_failed_total{job_name="j"}"#, text) == "1")
        #expect(
            value(#"dkron_job_last_success_timestamp_seconds{job_name="j"}"#, text)
                == "1700000020")
        #expect(value("process_start_time_seconds", text) == "1700000000")
    }

    @Test("a start counts nothing again of what it reads back")
    func restart() {
        var node = NodeHarness()
        _ = node.ask(.post, "/v1/jobs", Self.job)
        node.advance(.seconds(25))
        node.restart()
        let text = scrape(&node)
        #expect(value(#"dkron_ledger_decisions_total{outcome="ran",reason=""}"#, text) == "0")
        #expect(value("dkron_entries_committed_total", text) == "1")
        #expect(value(#"dkron_job_executions_succeeded_total{job_name="j"}"#, text) == "2")
    }

    @Test("skips, misses, endings, answers and failures each move their own counter")
    func counters() {
        var metrics = Metrics()
        let stamp = WallTime(seconds: 100)
        for (index, reason) in SkipReason.allCases.enumerated() {
            metrics.decided(.skipped(reason), tick: stamp, at: stamp)
            #expect(metrics.skipped[index] == 1)
        }
        for (index, reason) in MissReason.allCases.enumerated() {
            metrics.decided(.missed(reason), tick: stamp, at: stamp)
            #expect(metrics.missed[index] == 1)
        }
        #expect(metrics.decisionLateness.count == 0 && metrics.ran == 0)
        metrics.decided(.ran(group: 1), tick: nil, at: stamp)
        #expect(metrics.decisionLateness.count == 0 && metrics.ran == 1)
        metrics.decided(.ran(group: 1), tick: WallTime(seconds: 97), at: stamp)
        #expect(metrics.decisionLateness.sum == .seconds(3))
        metrics.started(dueAt: stamp, at: WallTime(seconds: 99))
        #expect(metrics.startLateness.sum == .zero && metrics.startLateness.count == 1)
        for state in [Execution.State.pending, .running, .killed, .lost, .lost] {
            metrics.ended(state)
        }
        #expect(metrics.endings.map(\.count) == [0, 0, 1, 2])
        for status in [200, 204, 301, 404, 503] { metrics.answered(status) }
        #expect(metrics.answers == [0, 0, 2, 1, 1, 1])
        for mark in Mark.allCases { metrics.count(mark) }
        #expect(metrics.events == Array(repeating: 1, count: Mark.allCases.count))
    }

    @Test("commits and syncs are timed from their beginning, in any order of answers")
    func times() {
        var metrics = Metrics()
        func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }
        metrics.proposed(5, at: at(0))
        metrics.proposed(6, at: at(4))
        metrics.committed(5, at: at(10))
        metrics.committed(6, at: at(10))
        #expect(metrics.commitTime.sum == .milliseconds(16) && metrics.entriesCommitted == 2)
        func sync(_ number: UInt64, _ directory: StorageDirectory) -> StorageRequest {
            StorageRequest(
                ticket: StorageTicket(owner: .journal, number: number),
                operation: .sync(FileName(directory, "a")))
        }
        metrics.asked(sync(1, .log), at: at(0))
        metrics.asked(sync(2, .runs), at: at(1))
        metrics.performed(sync(2, .runs).ticket, .done, at: at(3))
        metrics.performed(sync(1, .log).ticket, .done, at: at(7))
        metrics.performed(
            sync(9, .log).ticket, .failed(StorageFailure(.inputOutput, "x")), at: at(8))
        #expect(metrics.syncTime[Int(StorageDirectory.log.rawValue)].sum == .milliseconds(7))
        #expect(metrics.syncTime[Int(StorageDirectory.runs.rawValue)].sum == .milliseconds(2))
        #expect(metrics.storageFailures == 1)
    }

    @Test("a histogram counts bounds in, and from below")
    func histogram() {
        var histogram = Histogram(bounds: [.milliseconds(1), .seconds(1)])
        for duration in [.milliseconds(1), .milliseconds(2), .seconds(5)] as [Duration] {
            histogram.observe(duration)
        }
        var text = MetricsText()
        text.histogram("h", [("a", "b")], histogram)
        let expected = """
            h_bucket{a="b",le="0.001"} 1
            h_bucket{a="b",le="1"} 2
            h_bucket{a="b",le="+Inf"} 3
            h_sum{a="b"} 5.003
            h_count{a="b"} 3

            """
        #expect(String(decoding: text.take(), as: UTF8.self) == expected)
    }

    @Test("labels are escaped, seconds are exact")
    func text() {
        var text = MetricsText()
        text.sample("m", [("l", "a\"b\\c\nö")], 1)
        #expect(String(decoding: text.bytes, as: UTF8.self) == "m{l=\"a\\\"b\\\\c\\nö\"} 1\n")
        let cases: [(Int64, String)] = [
            (0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (-20_000_000, "-0.02"),
            (3_000_000_000, "3"),
        ]
        for (nanoseconds, seconds) in cases {
            #expect(MetricsText.seconds(nanoseconds) == seconds)
        }
        #expect(Mark.tornTailCut.name == "torn_tail_cut")
    }

    @Test("of many jobs the first by name are told, in slices, each family together")
    func manyJobs() {
        var node = APIHarness()
        for number in 100..<700 { node.put(#"{"name":"j\#(number)","schedule":"@daily"}"#) }
        node.config.metricsMaxJobs = 550
        node.api = API(config: node.config)
        let reply = node.get("/metrics")
        #expect(reply.pieces > 3, "no step writes them all")
        #expect(node.api.pendingRequests == 0 && node.api.scrapes.isEmpty)
        let lines = reply.text.split(separator: "\n")
        let failed = lines.filter { $0.hasPrefix("dkron_job_executions_failed_total{") }
        #expect(failed.count == 550)
        #expect(failed.first == #"dkron_job_executions_failed_total{job_name="j100"} 0"#)
        #expect(failed.last == #"dkron_job_executions_failed_total{job_name="j649"} 0"#)
        // Lines of a metric stand together, behind their HELP and TYPE.
        var seen: [String] = []
        var family = ""
        for line in lines {
            if line.hasPrefix("# TYPE ") {
                family = String(line.split(separator: " ")[2])
                #expect(!seen.contains(family))
                seen.append(family)
            } else if !line.hasPrefix("#") {
                #expect(line.hasPrefix(family), "\(line)")
            }
        }
        node.isStalled = true
        let id = node.begin(.get, "/metrics")
        #expect(node.api.scrapes.count == 1)
        node.abandon(id)
        #expect(node.api.scrapes.isEmpty && node.api.pendingRequests == 0)
    }
}
