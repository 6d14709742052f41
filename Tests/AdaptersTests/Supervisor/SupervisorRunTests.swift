import Core
import Glibc
import Testing

@testable import Adapters

/// How single runs start, print, end and are accounted for.
@Suite struct SupervisorRunTests {
    @Test(arguments: [0, 1, 3, 255] as [Int32])
    func exitCodes(code: Int32) throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(bench.shell("exit \(code)"))
        #expect(outcome.end?.exitCode == code)
        #expect(outcome.end?.signal == nil)
        #expect(outcome.end?.cause == .finished)
        #expect(outcome.isOrdered)
    }

    @Test func signals() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(bench.shell("kill -SEGV $$"))
        #expect(outcome.end?.signal == SIGSEGV)
        #expect(outcome.end?.exitCode == nil)
        #expect(outcome.end?.cause == .finished)
    }

    @Test func accounting() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(
            bench.shell(
                "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; "
                    + "head -c 30000000 /dev/zero | tail -c 30000000 | wc -c"
            ))
        let end = try #require(outcome.end)
        #expect(end.cpuTime > .milliseconds(20))
        #expect(end.peakMemory > 25_000_000)
        #expect(end.peakMemory < 500_000_000)
        #expect(outcome.text == "30000000\n")
    }

    @Test func manyAtOnceAreEachCollectedOnce() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        var specs: [RunSpec] = []
        for number in 0..<300 {
            var spec = bench.shell("")
            // Some end sooner than the supervisor hears that they were started.
            spec.command.arguments = number % 3 == 0 ? ["/bin/true"] : ["/bin/sh", "-c", "exit 7"]
            specs.append(spec)
            bench.client.start(spec)
        }
        for (number, spec) in specs.enumerated() {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.end?.exitCode == (number % 3 == 0 ? 0 : 7), "\(outcome)")
            #expect(outcome.isOrdered)
        }
    }

    @Test func outputInOrderOfArrival() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(bench.shell("echo a; echo b >&2; echo c; echo d >&2"))
        #expect(outcome.text == "a\nb\nc\nd\n")
        #expect(outcome.skipped == 0)
    }

    @Test func outputComesWhileTheRunLasts() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("echo early; read x < /dev/zero & sleep 30; echo late", grace: .zero)
        bench.client.start(spec)
        let isEarly = bench.waitUntil(seconds: 10) {
            bench.outcome(of: spec.execution).text == "early\n"
        }
        #expect(isEarly)
        #expect(!bench.outcome(of: spec.execution).isOver)
        bench.client.stop(spec.execution)
        #expect(bench.wait(for: spec.execution).end?.cause == .stopped)
    }

    /// The tail is kept, and what is missing is counted.
    @Test func hugeOutput() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("yes 0123456789abcde | head -c 64000000; printf END")
        bench.client.start(spec)
        // An agent that does not listen must not make the job wait.
        #expect(bench.waitUntil(seconds: 10) { bench.outcome(of: spec.execution).identity != nil })
        let supervisor = try #require(bench.supervisorID)
        var isDone = false
        for _ in 0..<500 where !isDone {
            usleep(20_000)
            isDone = ProcessTable.read().entries.allSatisfy { $0.parent != supervisor }
        }
        #expect(isDone)
        let outcome = bench.wait(for: spec.execution)
        #expect(outcome.end?.exitCode == 0)
        #expect(outcome.skipped + UInt64(outcome.output.count) == 64_000_003)
        #expect(outcome.output.count >= 256_000)
        #expect(outcome.output.suffix(19).elementsEqual("0123456789abcde\nEND".utf8))
        #expect(outcome.isOrdered)
    }

    @Test func payloadOfTenMegabytes() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let payload = (0..<10_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let spec = bench.shell("cksum", payload: payload)
        let outcome = bench.run(spec)
        #expect(outcome.text.hasSuffix(" 10000000\n"))
        #expect(outcome.end?.exitCode == 0)
    }

    @Test func payloadThatNobodyReads() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let outcome = bench.run(
            bench.shell("exit 7", payload: [UInt8](repeating: 1, count: 1_000_000)))
        #expect(outcome.end?.exitCode == 7)
    }

    @Test func noPayloadIsEndOfFile() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        #expect(bench.run(bench.shell("cat; echo end")).text == "end\n")
    }

    @Test func environment() throws {
        setenv("DKRON_ENCRYPT", "secret", 1)
        setenv("PLUGIN_MIN_PORT", "1", 1)
        setenv("HIDE_ME", "secret", 1)
        setenv("SHOW_ME", "from the node", 1)
        let bench = try SupervisorBench(hide: ["HIDE_ME"])
        defer { bench.finish() }
        var spec = bench.shell("env")
        spec.command.environment = [
            EnvironmentEntry(name: "A", value: "first"),
            EnvironmentEntry(name: "SHOW_ME", value: "from the job"),
            EnvironmentEntry(name: "A", value: "second"),
            EnvironmentEntry(name: "DKRON_ATTEMPT", value: "1"),
        ]
        let lines = bench.run(spec).text.split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("A=") } == ["A=second"])
        #expect(lines.filter { $0.hasPrefix("SHOW_ME=") } == ["SHOW_ME=from the job"])
        #expect(lines.contains("DKRON_ATTEMPT=1"))
        #expect(lines.contains("DKRON_EXECUTION_ID=\(spec.execution.text)"))
        #expect(!lines.contains { $0.hasSuffix("=secret") || $0.hasPrefix("PLUGIN_MIN_PORT") })
        #expect(lines.contains { $0.hasPrefix("PATH=") })
    }

    @Test func refusals() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        func reason(_ arguments: [String], directory: String? = nil, user: String? = nil) -> String?
        {
            let spec = RunSpec(
                execution: bench.newID(),
                command: RunSpec.Command(
                    arguments: arguments, workingDirectory: directory, user: user))
            let outcome = bench.run(spec)
            #expect(outcome.identity == nil)
            return outcome.refused
        }
        #expect(reason(["no-such"]) == "exec: \"no-such\": executable file not found in $PATH")
        #expect(reason(["/no/such"]) == "fork/exec /no/such: no such file or directory")
        #expect(reason(["/etc/passwd"]) == "fork/exec /etc/passwd: permission denied")
        #expect(reason(["true"], directory: "/y") == "chdir /y: no such file or directory")
        #expect(reason(["true"], user: "nobody-such") == "su: unknown user \"nobody-such\"")
        #expect(
            reason(["true"], user: "root:nobody-such") == "su: unknown group \"nobody-such\"")
        #expect(reason([]) == "the command is empty")
        #expect(reason(["a\0b"])?.contains("zero byte") == true)
        let script = bench.directory + "/script"
        let descriptor = open(script, O_CREAT | O_WRONLY, 0o755)
        let line = Array("#!/no/such/interpreter\n".utf8)
        write(descriptor, line, line.count)
        close(descriptor)
        #expect(reason([script])?.contains("interpreter") == true)
        unlink(script)
    }

    @Test func workingDirectoryAndPath() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = RunSpec(
            execution: bench.newID(),
            command: RunSpec.Command(arguments: ["pwd"], workingDirectory: "/usr"))
        #expect(bench.run(spec).text == "/usr\n")
    }

    @Test(.enabled(if: getuid() == 0, "needs root"))
    func otherUser() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        var spec = bench.shell(
            "id -un; id -gn; id -G | wc -w; cat /proc/self/status | grep -c NoNewPrivs")
        spec.command.user = "nobody"
        let lines = bench.run(spec).text.split(separator: "\n")
        #expect(lines.prefix(3) == ["nobody", "nogroup", "1"])
        spec.execution = bench.newID()
        spec.command.user = "nobody:daemon"
        #expect(bench.run(spec).text.split(separator: "\n").prefix(2) == ["nobody", "daemon"])
    }

    /// Nothing but the three standard descriptors reaches a program, no blocked and no ignored
    /// signal (but for 32 and 33, which are the C library's own).
    @Test func cleanStart() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let list = RunSpec(
            execution: bench.newID(), command: RunSpec.Command(arguments: ["ls", "/proc/self/fd"]))
        // The fourth is the directory that is being listed.
        #expect(bench.run(list).text == "0\n1\n2\n3\n")
        let spec = RunSpec(
            execution: bench.newID(),
            command: RunSpec.Command(arguments: ["cat", "/proc/self/status"]))
        for line in bench.run(spec).text.split(separator: "\n") {
            guard line.hasPrefix("SigIgn:") || line.hasPrefix("SigBlk:") else { continue }
            let mask = try #require(UInt64(line.dropFirst(8), radix: 16))
            #expect(mask & ~0x1_8000_0000 == 0, "\(line)")
        }
    }

    @Test func secondStartIsTheSameRun() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("echo once; sleep 0.3")
        bench.client.start(spec)
        bench.client.start(spec)
        let outcome = bench.wait(for: spec.execution)
        #expect(outcome.text.hasPrefix("once\n"))
        usleep(200_000)
        #expect(bench.wait(for: spec.execution).end?.exitCode == 0)
    }

    @Test func dataDirectoryWithALongPath() throws {
        let bench = try SupervisorBench(depth: 3)
        defer { bench.finish() }
        #expect(bench.run(bench.shell("echo fine")).text == "fine\n")
        bench.crashAgent()
        try bench.connect()
        #expect(bench.run(bench.shell("echo again")).text == "again\n")
    }
}
