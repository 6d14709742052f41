import Testing

@testable import Core

@Suite("Processors: run by the leader, one after the other")
struct PipelineTests {
    private func job(_ processors: String, _ more: String = "") -> String {
        """
        {"name": "a", "schedule": "@manually", "executor": "shell", "executor_config":
         {"command": "x"}, "processors": {\(processors)}\(more)}
        """
    }

    private func run(_ harness: inout NodeHarness) -> String {
        let answer = harness.ask(.post, "/v1/jobs/a/run?wait=0")
        #expect(answer.status == 202, "\(answer)")
        harness.settle()
        return harness.ask(.get, "/v1/jobs/a/executions").body
    }

    @Test func inTheOrderOfTheDocumentEachWithWhatTheOneBeforeLeft() {
        var h = NodeHarness()
        h.process = { run in
            guard case .plugin(let name, _) = run.task.work else { return .done(output: nil) }
            return .done(output: run.output + " \(name)".utf8)
        }
        let answer = h.ask(
            .post, "/v1/jobs",
            job(#""z": {"x": 1}, "log": {"forward": "true"}, "b": {}, "a": {"order": 0}"#))
        #expect(answer.status == 201, "\(answer)")
        let list = run(&h)
        #expect(list.contains(#""output":"hello\n z a b""#), "\(list)")
        #expect(list.contains(#""state":"success""#))
        #expect(!list.contains("notes") && !list.contains("processing"))
        #expect(
            h.processed.map { String(decoding: $0.output, as: UTF8.self) } == [
                "hello\n", "hello\n z", "hello\n z a", "hello\n z a",
            ])
        #expect(h.processed[0].execution.reportingNode.text == "n1")
        #expect(h.released.count == 1)
    }

    @Test func anOutputThatIsNotForwardedGivesWayToANote() {
        var h = NodeHarness()
        _ = h.ask(.post, "/v1/jobs", job(#""log": {}"#))
        #expect(run(&h).contains(#""output":"Output in dkron log""#))
        h.restart()
        #expect(
            h.ask(.get, "/v1/jobs/a/executions").body.contains("Output in dkron log"),
            "it is read again after a start")
    }

    @Test func oneThatFailsLeavesTheOutputAndIsNoted() {
        var h = NodeHarness()
        h.process = { run in
            if case .log = run.task.work { return .failed("no room") }
            return .done(output: run.output + "!".utf8)
        }
        _ = h.ask(.post, "/v1/jobs", job(#""log": {}, "p": {}"#))
        let list = run(&h)
        #expect(list.contains(#""output":"hello\n!""#), "\(list)")
        #expect(list.contains(#""notes":["processor log: no room"]"#), "\(list)")
        #expect(list.contains(#""state":"success""#))
    }

    @Test func oneThatHangsIsGivenUp() {
        var h = NodeHarness()
        h.process = { run in
            if case .log = run.task.work { return nil }
            return .done(output: nil)
        }
        _ = h.ask(.post, "/v1/jobs", job(#""log": {"timeout": "5s"}, "p": {}"#))
        #expect(run(&h).contains(#""processing":true"#))
        #expect(h.released.isEmpty, "the agent keeps its copy")
        h.advance(.seconds(5))
        #expect(h.abandoned.isEmpty)
        h.advance(.seconds(2))
        let list = h.ask(.get, "/v1/jobs/a/executions").body
        #expect(list.contains("processor log: it did not answer in time"), "\(list)")
        #expect(h.abandoned == [h.processed[0].id] && h.processed.count == 2)
        #expect(h.released.count == 1)
        // An answer that comes now is too late.
        h.feed(.processed(h.processed[0].id, .done(output: [1])))
        #expect(h.ask(.get, "/v1/jobs/a/executions").body == list)
    }

    @Test func whatWasNotConfirmedRunsAgainAfterAStart() {
        var h = NodeHarness()
        h.process = { _ in nil }
        _ = h.ask(.post, "/v1/jobs", job(#""log": {}"#))
        #expect(run(&h).contains(#""processing":true"#))
        #expect(h.processed.count == 1)
        h.process = { _ in .done(output: nil) }
        h.restart()
        #expect(h.processed.count == 2)
        #expect(h.processed[1].execution.id == h.processed[0].execution.id)
        #expect(h.ask(.get, "/v1/jobs/a/executions").body.contains("Output in dkron log"))
        #expect(h.node.store.counters.processing == 0)
    }

    @Test func aDeletedJobEndsWhatIsAtWork() {
        var h = NodeHarness()
        h.process = { _ in nil }
        _ = h.ask(.post, "/v1/jobs", job(#""log": {}"#))
        _ = run(&h)
        #expect(h.ask(.delete, "/v1/jobs/a").status == 200)
        #expect(h.abandoned.count == 1)
        #expect(h.released.count == 1)
        #expect(h.node.processors.nextDeadline == nil)
    }

    @Test func aProcessorMakesAFailureOfASuccess() {
        var h = NodeHarness()
        h.process = { _ in .done(output: nil, failure: "the output says ERROR") }
        _ = h.ask(.post, "/v1/jobs", job(#""p": {}, "q": {}"#))
        let list = run(&h)
        #expect(list.contains(#""state":"failed""#), "\(list)")
        #expect(list.contains("the output says ERROR"))
        #expect(h.processed[1].execution.state == .failed)
        #expect(h.ask(.get, "/v1/jobs/a").body.contains(#""status":"failed""#))
    }

    @Test func noMoreThanTheLimitRunTogetherAndAllGetTheirTurn() {
        var h = NodeHarness()
        h.process = { _ in nil }
        _ = h.ask(.post, "/v1/jobs", job(#""log": {}"#))
        for number in 1...50 {
            let id = h.send(
                .post, "/v1/jobs/a/run?wait=0", headers: ["Idempotency-Key": "k\(number)"])
            #expect(h.answers[id]?.status == 202)
        }
        #expect(h.processed.count == ProcessorPipelines.limit)
        for _ in 0..<50 where h.processed.count < 50 || h.node.store.counters.processing > 0 {
            for run in h.processed { h.feed(.processed(run.id, .done(output: nil))) }
        }
        #expect(h.processed.count == 50)
        #expect(h.node.store.counters.processing == 0)
    }

    @Test func outputsThatAreTooLongAreCutAndSayLongNotesToo() {
        var tunables = Tunables()
        tunables.outputLimit = 1_000
        var h = NodeHarness(tunables: tunables)
        h.process = { run in
            if case .plugin("p", _) = run.task.work {
                return .done(output: [UInt8](repeating: 0x61, count: 5_000))
            }
            return .failed(String(repeating: "é", count: 5_000))
        }
        _ = h.ask(.post, "/v1/jobs", job(#""p": {}, "q": {}"#))
        let list = run(&h)
        #expect(list.contains(#""output_truncated":true"#))
        #expect(list.contains("\"\(String(repeating: "a", count: 1_000))\""))
        #expect(list.contains(" …\"]") && list.utf8.count < 5_000)
    }
}
