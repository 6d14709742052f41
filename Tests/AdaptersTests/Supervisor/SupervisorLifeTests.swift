import Core
import Glibc
import Testing

@testable import Adapters

/// Deaths of the agent and of the supervisor, and many runs at once.
@Suite struct SupervisorLifeTests {
    @Test func agentComesBack() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let ended = bench.shell("echo result; exit 5")
        #expect(bench.run(ended).end?.exitCode == 5)
        let running = bench.shell("echo before; sleep 2; echo after; exit 6")
        let missing = RunSpec(
            execution: bench.newID(), command: RunSpec.Command(arguments: ["no-such"]))
        let fenced = bench.shell("sleep 30", grace: .milliseconds(100), fence: .seconds(1))
        bench.client.start(running)
        bench.client.start(fenced)
        _ = bench.run(missing)
        #expect(
            bench.waitUntil(seconds: 10) { bench.outcome(of: running.execution).text == "before\n" }
        )
        let identity = bench.outcome(of: running.execution).identity
        let supervisor = bench.supervisorID
        bench.crashAgent()
        usleep(1_500_000)
        try bench.connect()
        for spec in [ended, running, missing, fenced] { bench.client.adopt(spec.execution, nil) }
        let first = bench.wait(for: ended.execution)
        #expect(first.end?.exitCode == 5)
        #expect(first.text == "result\n")
        let second = bench.wait(for: running.execution)
        #expect(second.identity == identity)
        #expect(second.text == "before\nafter\n")
        #expect(second.end?.exitCode == 6)
        #expect(bench.wait(for: missing.execution).refused != nil)
        #expect(bench.wait(for: fenced.execution).end?.cause == .fenced)
        #expect(bench.supervisorID == supervisor)
        #expect([first, second].allSatisfy { $0.isOrdered })
    }

    @Test func releasedResultsAreForgotten() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("true")
        #expect(bench.run(spec).end?.exitCode == 0)
        bench.client.release(spec.execution)
        bench.crashAgent()
        try bench.connect()
        bench.client.adopt(spec.execution, nil)
        #expect(bench.wait(for: spec.execution).vanished != nil)
    }

    @Test func leavesWhenNobodyNeedsIt() throws {
        let bench = try SupervisorBench()
        let spec = bench.shell("true")
        _ = bench.run(spec)
        bench.client.release(spec.execution)
        let supervisor = try #require(bench.supervisorID)
        bench.client.detach()
        usleep(1_000_000)
        #expect(SupervisorBench.isAlive(supervisor))
        #expect(bench.waitUntil(seconds: 5) { !SupervisorBench.isAlive(supervisor) })
        #expect(access(bench.directory + "/supervisor.sock", F_OK) != 0)
        bench.crashAgent()
        bench.finish()
    }

    @Test func staysForUnreleasedResults() throws {
        let bench = try SupervisorBench()
        let spec = bench.shell("echo kept")
        _ = bench.run(spec)
        let supervisor = try #require(bench.supervisorID)
        bench.crashAgent()
        usleep(3_000_000)
        #expect(SupervisorBench.isAlive(supervisor))
        try bench.connect()
        bench.client.adopt(spec.execution, nil)
        #expect(bench.wait(for: spec.execution).text == "kept\n")
        bench.finish()
    }

    @Test func supervisorKilled() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let ended = bench.shell("true")
        _ = bench.run(ended)
        let specs = [
            bench.shell("sleep 60 & setsid sleep 60 & sleep 60"),
            bench.shell("env -i sh -c 'trap \"\" TERM HUP; sleep 60; sleep 60' & wait"),
        ]
        for spec in specs { bench.client.start(spec) }
        #expect(
            bench.waitUntil(seconds: 10) {
                bench.survivors().count >= 5
                    && specs.allSatisfy { bench.outcome(of: $0.execution).identity != nil }
            })
        let session = try #require(bench.outcome(of: specs[1].execution).identity?.processID)
        usleep(200_000)
        kill(try #require(bench.supervisorID), SIGKILL)
        for spec in specs {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.vanished?.hasPrefix("the supervisor died") == true)
        }
        #expect(bench.waitUntil(seconds: 2) { bench.survivors().isEmpty })
        let left = ProcessTable.read().entries.filter { $0.session == session && !$0.isGone }
        #expect(left.isEmpty)
        // The ended one was reported before, and a new supervisor serves.
        #expect(bench.outcome(of: ended.execution).vanished == nil)
        #expect(bench.run(bench.shell("echo on")).text == "on\n")
    }

    /// Neither end lives: the next agent finds and ends what is left.
    @Test func bothKilled() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("sleep 60 & sleep 60")
        bench.client.start(spec)
        #expect(
            bench.waitUntil(seconds: 10) {
                bench.survivors().count >= 3 && bench.outcome(of: spec.execution).identity != nil
            })
        let identity = try #require(bench.outcome(of: spec.execution).identity)
        let supervisor = try #require(bench.supervisorID)
        bench.crashAgent()
        kill(supervisor, SIGKILL)
        try bench.connect()
        bench.client.adopt(spec.execution, identity)
        #expect(bench.wait(for: spec.execution).vanished != nil)
        #expect(bench.waitUntil(seconds: 2) { bench.survivors().isEmpty })
    }

    @Test func hungSupervisorIsReplaced() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let spec = bench.shell("sleep 60")
        bench.client.start(spec)
        #expect(bench.waitUntil(seconds: 10) { bench.outcome(of: spec.execution).identity != nil })
        let supervisor = try #require(bench.supervisorID)
        bench.crashAgent()
        kill(supervisor, SIGSTOP)
        try bench.connect()
        let next = bench.shell("echo next")
        #expect(bench.run(next, seconds: 20).text == "next\n")
        #expect(!SupervisorBench.isAlive(supervisor))
        bench.client.adopt(spec.execution, nil)
        #expect(bench.wait(for: spec.execution).vanished != nil)
        #expect(bench.waitUntil(seconds: 2) { bench.survivors().isEmpty })
    }

    @Test func secondAgentIsTurnedAway() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        #expect(bench.run(bench.shell("true")).end != nil)
        let other = try SupervisorClient(
            dataDirectory: bench.directory, executable: try SupervisorBench.executable(),
            hideEnvironment: [])
        for _ in 0..<10 {
            usleep(20_000)
            _ = other.receive()
            _ = other.tick(now: Clocks.monotonic())
        }
        #expect(bench.run(bench.shell("echo mine")).text == "mine\n")
        other.detach()
    }

    @Test func missingExecutable() throws {
        let bench = try SupervisorBench(depth: 1)
        defer { bench.finish() }
        #expect(throws: SupervisorError.self) {
            _ = try SupervisorClient(
                dataDirectory: "/tmp", executable: "/no/such/dkron", hideEnvironment: [])
        }
        #expect(throws: SupervisorError.self) {
            _ = try SupervisorClient(
                dataDirectory: "/no/such", executable: "/bin/true", hideEnvironment: [])
        }
    }

    /// An agent that is restarted while its predecessor's runs are still being ended.
    @Test func agentComesWhileTheLastOneEnds() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let deaf = bench.shell(
            "trap '' TERM; while :; do sleep 0.1; done", grace: .milliseconds(1_500))
        bench.client.start(deaf)
        #expect(bench.waitUntil(seconds: 10) { bench.outcome(of: deaf.execution).identity != nil })
        usleep(100_000)
        bench.client.endAll()
        bench.crashAgent()
        try bench.connect()
        #expect(bench.run(bench.shell("echo next")).text == "next\n")
        bench.client.adopt(deaf.execution, nil)
        #expect(bench.wait(for: deaf.execution).end?.cause == .stopped)
    }

    @Test func supervisorDiesAgainAndAgain() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        var killed: [Int32] = []
        for round in 0..<6 {
            // Handed over before anybody noticed the death: lost, but never without an answer.
            let outcome = bench.run(bench.shell("echo \(round)"))
            #expect(outcome.vanished != nil || outcome.text == "\(round)\n")
            _ = bench.run(bench.shell("true"))
            let supervisor = try #require(bench.supervisorID)
            kill(supervisor, SIGKILL)
            killed.append(supervisor)
        }
        // A process that is dead and not collected still has its number.
        let areCollected = bench.waitUntil(seconds: 10) { killed.allSatisfy { kill($0, 0) != 0 } }
        #expect(areCollected, "supervisors are collected")
    }

    @Test func manyAtOnce() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let supervisor = try #require(bench.supervisorID ?? waitForID(bench))
        _ = bench.run(bench.shell("true"))
        let before = try descriptors(of: supervisor)
        let specs = (0..<200).map { bench.shell("echo \($0); exit \($0 % 100)") }
        for spec in specs { bench.client.start(spec) }
        for (index, spec) in specs.enumerated() {
            let outcome = bench.wait(for: spec.execution, seconds: 60)
            #expect(outcome.text == "\(index)\n")
            #expect(outcome.end?.exitCode == Int32(index % 100))
            #expect(outcome.isOrdered)
            bench.client.release(spec.execution)
        }
        // Everything before this one has been dealt with when it is answered.
        _ = bench.run(bench.shell("true"))
        #expect(try descriptors(of: supervisor) == before)
        let zombies = ProcessTable.read().entries.filter { $0.parent == supervisor && $0.isGone }
        #expect(zombies.isEmpty)
    }

    /// More news than one turn may have, of runs to which nothing happens any more.
    @Test func manyResultsAtOnce() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let large = (0..<8).map { _ in bench.shell("head -c 32768 /dev/zero") }
        let specs = large + (0..<20).map { _ in bench.shell("echo small") }
        for spec in specs { _ = bench.run(spec) }
        try bench.letOthersGoFirst()
        // Until then it has something of its own to do.
        usleep(3_300_000)
        for _ in 0..<150 {
            bench.crashAgent()
            try bench.connect()
            for spec in specs { bench.client.adopt(spec.execution, nil) }
            let end = Clocks.monotonic() + .seconds(5)
            // What reads goes first, so that the supervisor finds room for all that it has.
            while bench.events.values.count(where: Self.isTold) < specs.count {
                guard Clocks.monotonic() < end else { break }
                bench.serve(milliseconds: 20)
            }
            for spec in specs { #expect(bench.outcome(of: spec.execution).end?.exitCode == 0) }
        }
    }

    /// What an agent that does not listen is not told yet waits for room, and for nothing else.
    @Test func waitingNewsCostNothing() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        let specs = (0..<6).map { _ in bench.shell("head -c 200000 /dev/zero; sleep 4") }
        for spec in specs { bench.client.start(spec) }
        let isHeard = bench.waitUntil(seconds: 10) {
            bench.outcome(of: specs[0].execution).identity != nil
        }
        #expect(isHeard)
        let supervisor = try #require(bench.supervisorID)
        usleep(1_000_000)
        let before = try processorTime(of: supervisor)
        usleep(1_000_000)
        // In clock ticks, a hundred a second.
        #expect(try processorTime(of: supervisor) - before < 20)
        for spec in specs {
            let outcome = bench.wait(for: spec.execution)
            #expect(outcome.output.count == 200_000)
            #expect(outcome.isOrdered)
        }
    }

    /// Orphans that die under the supervisor are collected, and its output pipes too.
    @Test func orphansAreCollected() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        _ = bench.run(bench.shell("(sleep 0.5 &) ; (setsid sleep 0.5 &) >/dev/null 2>&1"))
        let supervisor = try #require(bench.supervisorID)
        let isEmpty = bench.waitUntil(seconds: 5) {
            ProcessTable.read().entries.allSatisfy { $0.parent != supervisor }
        }
        #expect(isEmpty)
    }

    @Test func terminalSignalsDoNotEndIt() throws {
        let bench = try SupervisorBench()
        defer { bench.finish() }
        _ = bench.run(bench.shell("true"))
        let supervisor = try #require(bench.supervisorID)
        // The last two are sent to agents, by name too, which the supervisor shares.
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2] {
            kill(supervisor, signal)
        }
        #expect(bench.run(bench.shell("echo here")).text == "here\n")
        #expect(bench.supervisorID == supervisor)
        #expect(getsid(supervisor) == supervisor)
    }

    private static func isTold(_ events: [RunEvent]) -> Bool {
        if case .ended = events.last { true } else { false }
    }

    private func waitForID(_ bench: SupervisorBench) -> Int32? {
        _ = bench.waitUntil(seconds: 5) { bench.supervisorID != nil }
        return bench.supervisorID
    }

    private func processorTime(of process: Int32) throws -> UInt64 {
        let bytes = try #require(ProcFile.read("/proc/\(process)/stat", atMost: 1_024))
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last ?? ""
        // Counted as in proc(5), the third field is the first one here.
        let numbers = fields.split(separator: " ").map { UInt64($0) ?? 0 }
        return numbers[14 - 3] + numbers[15 - 3]
    }

    private func descriptors(of process: Int32) throws -> Int {
        let directory = try #require(opendir("/proc/\(process)/fd"))
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }
}
