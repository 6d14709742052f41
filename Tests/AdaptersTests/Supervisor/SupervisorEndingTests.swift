import Core
import Glibc
import Testing

@testable import Adapters

/// Time-outs, stops, fences, limits: who is ended, when, and what is reported.
@Suite struct SupervisorEndingTests {
    private static let stubborn = "trap '' TERM; while :; do sleep 0.1; done"

    @Test func timeOutIsPoliteFirst() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(
            bench.shell(
                "trap 'echo bye; exit 4' TERM; while :; do sleep 0.1; done",
                timeout: .milliseconds(300)))
        #expect(outcome.end?.cause == .timedOut)
        #expect(outcome.end?.exitCode == 4)
        // The shell may remark that its child was ended.
        #expect(outcome.text.hasSuffix("bye\n"))
    }

    @Test func timeOutOfAStubbornCommand() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let start = Clocks.monotonic()
        let outcome = bench.run(
            bench.shell(Self.stubborn, timeout: .milliseconds(200), grace: .milliseconds(500)))
        #expect(outcome.end?.cause == .timedOut)
        #expect(outcome.end?.signal == SIGKILL)
        let took = Clocks.monotonic() - start
        #expect(took >= .milliseconds(700) && took < .seconds(4))
        #expect(bench.supervisorLog.contains("its time is over"))
    }

    /// Grandchildren, one in a session of its own, one that became a daemon (no parent, no session,
    /// no output), all deaf to the polite signal.
    @Test(arguments: [true, false])
    func wholeTree(leaderGoesFirst: Bool) throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let deaf = "trap \"\" TERM; while :; do sleep 0.1; done"
        let leader = leaderGoesFirst ? "while :; do sleep 0.1; done" : Self.stubborn
        let spec = bench.shell(
            """
            sh -c '\(deaf)' & sh -c "sh -c '\(deaf)' & wait" &
            setsid sh -c '\(deaf)' &
            (setsid sh -c 'exec >/dev/null 2>&1; \(deaf)' &) &
            \(leader)
            """, grace: .milliseconds(500))
        bench.client.start(spec)
        #expect(bench.waitUntil(seconds: 10) { bench.survivors().count >= 6 })
        bench.client.stop(spec.execution)
        let outcome = bench.wait(for: spec.execution)
        #expect(outcome.end?.cause == .stopped)
        #expect(outcome.end?.outputHeldOpen == false)
        // Over means over.
        #expect(bench.survivors().isEmpty)
    }

    /// A second signal would make many programs leave their work as it is. Two that come close
    /// together are often taken for one, hence the many commands.
    @Test func politeSignalComesOnce() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let command = """
            trap 'echo asked' TERM
            for i in 1 2 3; do (trap '' TERM; exec sleep 20) & done
            echo ready; while :; do wait; done
            """
        let specs = (0..<60).map { _ in bench.shell(command, grace: .milliseconds(700)) }
        for spec in specs { bench.client.start(spec) }
        let areReady = bench.waitUntil(seconds: 20) {
            specs.allSatisfy { bench.outcome(of: $0.execution).text == "ready\n" }
        }
        #expect(areReady)
        try bench.letOthersGoFirst()
        for spec in specs { bench.client.stop(spec.execution) }
        for spec in specs {
            #expect(bench.wait(for: spec.execution).text == "ready\nasked\n")
        }
    }

    @Test func stoppedProcessesHearToo() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("trap 'exit 3' TERM; kill -STOP $$; exit 9")
        bench.client.start(spec)
        #expect(bench.waitUntil(seconds: 10) { bench.outcome(of: spec.execution).identity != nil })
        usleep(200_000)
        bench.client.stop(spec.execution)
        #expect(bench.wait(for: spec.execution, seconds: 5).end?.exitCode == 3)
    }

    /// After a normal exit nothing is killed; a descendant with the output holds the run open for
    /// five seconds, and may go on writing afterwards.
    @Test func backgroundChildHoldsTheOutput() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let mark = bench.directory + "/mark"
        let start = Clocks.monotonic()
        let outcome = bench.run(
            bench.shell("(sleep 6; echo x; echo y; sleep 0.2; touch \(mark)) & echo done; exit 2"))
        let took = Clocks.monotonic() - start
        #expect(outcome.end?.cause == .finished)
        #expect(outcome.end?.exitCode == 2)
        #expect(outcome.end?.outputHeldOpen == true)
        #expect(outcome.text == "done\n")
        #expect(took >= .seconds(5) && took < .seconds(6))
        #expect(bench.waitUntil(seconds: 5) { access(mark, F_OK) == 0 })
        unlink(mark)
    }

    @Test func backgroundChildWithoutTheOutputHoldsNothing() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let start = Clocks.monotonic()
        let outcome = bench.run(bench.shell("sleep 2 >/dev/null 2>&1 & echo done"))
        #expect(Clocks.monotonic() - start < .seconds(2))
        #expect(outcome.end?.outputHeldOpen == false)
        #expect(bench.survivors().count == 1)
        #expect(bench.waitUntil(seconds: 5) { bench.survivors().isEmpty })
    }

    @Test func memoryLimit() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let greedy = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); sleep 20"
        let outcome = bench.run(bench.shell("\(greedy) & wait", memoryLimit: 30_000_000))
        #expect(outcome.end?.cause == .outOfMemory)
        let modest = bench.run(bench.shell("sleep 1.2", memoryLimit: 30_000_000))
        #expect(modest.end?.cause == .finished)
    }

    @Test func fenceWithoutRenewal() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let start = Clocks.monotonic()
        let spec = bench.shell(Self.stubborn, grace: .milliseconds(400), fence: .seconds(2))
        let plain = bench.shell("sleep 3; echo plain")
        bench.client.start(plain)
        let outcome = bench.run(spec)
        let took = Clocks.monotonic() - start
        #expect(outcome.end?.cause == .fenced)
        // Grace included.
        #expect(took >= .milliseconds(1_950) && took < .milliseconds(2_600))
        #expect(bench.supervisorLog.contains("not being renewed"))
        #expect(bench.wait(for: plain.execution).end?.cause == .finished)
    }

    @Test func fenceWithRenewal() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("sleep 3", grace: .milliseconds(200), fence: .seconds(1))
        let stale = bench.shell("sleep 3", grace: .milliseconds(200), fence: .seconds(1))
        bench.client.start(spec)
        for _ in 0..<16 {
            bench.serve(milliseconds: 1)
            usleep(200_000)
            bench.client.renewFences(ago: .milliseconds(50))
        }
        #expect(bench.wait(for: spec.execution).end?.cause == .finished)
        // A renewal as old as the fence is none.
        bench.client.start(stale)
        for _ in 0..<8 {
            bench.serve(milliseconds: 1)
            usleep(200_000)
            bench.client.renewFences(ago: .seconds(2))
        }
        #expect(bench.wait(for: stale.execution).end?.cause == .fenced)
    }

    @Test func endAll() throws {
        let bench = try SupervisorBench()
        let polite = bench.shell("trap 'exit 0' TERM; while :; do sleep 0.1; done")
        let deaf = bench.shell(Self.stubborn, grace: .milliseconds(300))
        bench.client.start(polite)
        bench.client.start(deaf)
        #expect(
            bench.waitUntil(seconds: 10) {
                bench.outcome(of: polite.execution).identity != nil
                    && bench.outcome(of: deaf.execution).identity != nil
            })
        bench.finish()
    }
}
