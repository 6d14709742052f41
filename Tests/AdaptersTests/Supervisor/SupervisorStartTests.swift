import Core
import Glibc
import Testing

@testable import Adapters

/// A program that nobody can open until it is released. Whoever opens a file under a write lease
/// waits for its holder, as on a silent network.
private final class SilentProgram {
    let path: String
    private var holder: Int32

    init(_ bench: SupervisorBench) throws {
        signal(SIGIO, SIG_IGN)
        path = bench.directory + "/slow"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o700)
        let script = Array("#!/bin/sh\nsleep 0.1\necho ran\n".utf8)
        #expect(write(file, script, script.count) == script.count)
        close(file)
        // A descriptor for writing would make the program busy.
        holder = open(path, O_RDONLY | O_CLOEXEC)
        // F_SETLEASE, which Glibc's module hides.
        #expect(fcntl(holder, 1024, F_WRLCK) == 0, "a lease: \(errno)")
    }

    func spec(
        _ bench: SupervisorBench, timeout: Duration? = nil, grace: Duration, fence: Duration? = nil
    ) -> RunSpec {
        var spec = bench.shell("", timeout: timeout, grace: grace, fence: fence)
        spec.command.arguments = [path]
        return spec
    }

    func release() {
        guard holder >= 0 else { return }
        #expect(fcntl(holder, 1024, F_UNLCK) == 0)
        close(holder)
        holder = -1
    }

    func remove() {
        release()
        unlink(path)
    }
}

/// Starts that take long, and those that are taken back.
@Suite struct SupervisorStartTests {
    @Test func aStartThatTakesLongHoldsUpNoOther() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let program = try SilentProgram(bench)
        defer { program.remove() }
        let slow = (0..<10).map { _ in program.spec(bench, grace: .zero) }
        for spec in slow { bench.client.start(spec) }
        // Some wait in the kernel, some for a thread.
        let stopped = [slow[0], slow[9]]
        for spec in stopped { bench.client.stop(spec.execution) }
        #expect(bench.run(bench.shell("echo quick")).text == "quick\n")
        let early = slow.dropFirst().dropLast().filter { bench.outcome(of: $0.execution).isOver }
        #expect(early.isEmpty)
        program.release()
        for spec in slow.dropFirst().dropLast() {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.text == "ran\n", "\(outcome)")
            #expect(outcome.isOrdered)
        }
        for spec in stopped {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.refused != nil || outcome.end?.cause == .stopped, "\(outcome)")
        }
    }

    /// Nothing but its end frees a thread whose start hangs, and grace has no meaning for it.
    @Test func aStartThatHangsCanBeEnded() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let program = try SilentProgram(bench)
        defer { program.remove() }
        let stopped = program.spec(bench, grace: .seconds(60))
        let late = program.spec(bench, timeout: .seconds(1), grace: .seconds(60))
        let fenced = program.spec(bench, grace: .milliseconds(500), fence: .milliseconds(1_500))
        for spec in [stopped, late, fenced] { bench.client.start(spec) }
        // So that they hang in the kernel.
        _ = bench.waitUntil(seconds: 1) { false }
        bench.client.stop(stopped.execution)
        let causes: [(RunSpec, RunEnd.Cause)] = [
            (stopped, .stopped), (late, .timedOut), (fenced, .fenced),
        ]
        for (spec, cause) in causes {
            let outcome = bench.wait(for: spec.execution, seconds: 6)
            #expect(outcome.end?.cause == cause, "\(outcome)")
            #expect(outcome.end?.signal == SIGKILL)
            #expect(outcome.text.isEmpty)
            #expect(outcome.isOrdered)
        }
        #expect(bench.run(bench.shell("echo on")).text == "on\n")
    }

    /// Stopped at every moment of their start: each ends, with its cause, and its grace if it ran.
    @Test func startsThatAreStoppedAtOnce() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let specs = (0..<200).map { _ in bench.shell("sleep 20", grace: .seconds(60)) }
        for (index, spec) in specs.enumerated() {
            bench.client.start(spec)
            bench.client.flush()
            usleep(useconds_t(index * 37 % 3_000))
            bench.client.stop(spec.execution)
        }
        for spec in specs {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.refused != nil || outcome.end?.cause == .stopped, "\(outcome)")
            #expect(outcome.refused?.hasSuffix("a stop was asked for") != false, "\(outcome)")
        }
        #expect(bench.survivors().isEmpty)
    }

    /// When all threads are held up by starts that hang, people are told, and an end frees them.
    @Test func startsThatHoldUpAllThreads() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let program = try SilentProgram(bench)
        defer { program.remove() }
        let hanging = (0..<64).map { _ in program.spec(bench, grace: .seconds(60)) }
        for spec in hanging { bench.client.start(spec) }
        let quick = bench.shell("echo quick")
        bench.client.start(quick)
        let isTold = bench.waitUntil(seconds: 40) {
            bench.supervisorLog.contains("no command can be started")
        }
        #expect(isTold)
        #expect(!bench.outcome(of: quick.execution).isOver)
        for spec in hanging { bench.client.stop(spec.execution) }
        #expect(bench.wait(for: quick.execution, seconds: 10).text == "quick\n")
        for spec in hanging {
            #expect(bench.wait(for: spec.execution).end?.cause == .stopped)
        }
    }
}
