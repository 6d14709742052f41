// Whole runs: the plans that are kept, a small sweep, and the determinism of both.

import Core
import Glibc
import Testing

@testable import Simulator

@Suite("Runs")
struct RunTests {
    static let regressions = folder(above: #filePath) + "/Regressions/"
    static let plans = names(in: regressions).filter { $0.hasSuffix(".plan") }.sorted()

    @Test("there are plans") func exist() { #expect(Self.plans.count >= 8) }

    @Test("kept plans hold", arguments: plans)
    func regression(name: String) throws {
        let result = Running.run(try Self.plan(name), RunOptions(samplesReplay: true))
        #expect(result.violation == nil, "\(result.line)")
    }

    @Test("a small sweep holds", arguments: UInt64(1_000)..<1_012)
    func sweep(seed: UInt64) {
        var plan = PlanGenerator.plan(seed: seed)
        // Without optimisation long horizons take minutes.
        plan.horizon = min(plan.horizon, .minutes(10))
        let result = Running.run(plan, RunOptions(samplesReplay: true))
        #expect(result.violation == nil, "\(result.line)")
    }

    @Test("a small sweep of clusters holds", arguments: UInt64(1_000)..<1_004)
    func clusters(seed: UInt64) {
        var plan = PlanGenerator.plan(seed: seed, isCluster: true)
        plan.horizon = min(plan.horizon, .minutes(2))
        let result = Running.run(plan, RunOptions(samplesReplay: true))
        #expect(result.violation == nil, "\(result.line)")
    }

    @Test("a cluster of many nodes holds")
    func manyNodes() {
        var plan = PlanGenerator.plan(seed: 3, isCluster: true, nodes: 40)
        #expect(plan.servers + plan.agents == 40)
        plan.horizon = min(plan.horizon, .minutes(1))
        let result = Running.run(plan, RunOptions())
        #expect(result.violation == nil, "\(result.line)")
    }

    @Test("the same plan gives the same trace twice", arguments: plans.prefix(4))
    func repeated(name: String) throws {
        let options = RunOptions(keepsCheckpoints: true)
        let first = Running.run(try Self.plan(name), options)
        let second = Running.run(try Self.plan(name), options)
        #expect(first.hash == second.hash && first.checkpoints == second.checkpoints)
    }

    @Test("other draws give another trace")
    func otherSeed() throws {
        var plan = try Self.plan("chains.plan")
        let first = Running.run(plan, RunOptions())
        plan.seed += 1
        #expect(Running.run(plan, RunOptions()).hash != first.hash)
    }

    /// Another process has other hash seeds: what leaks the order of a hash table shows here.
    @Test("the same seed gives the same trace in another process", arguments: [UInt64(2), 5])
    func otherProcess(seed: UInt64) throws {
        guard let simulator = Self.simulator else { return }
        let plan = PlanGenerator.plan(seed: seed)
        let here = Running.run(plan, RunOptions(samplesReplay: false))
        let there = try #require(Self.output(of: simulator, ["--seed", "\(seed)"]))
        #expect(there.contains("hash=\(String(here.hash, radix: 16))"), "\(there)")
    }

    @Test("a canary sings")
    func canary() {
        let result = Running.run(PlanGenerator.plan(seed: 107), RunOptions(), canary: true)
        #expect(result.violation?.id == .canary)
        #expect(result.line.hasPrefix("FAIL canary: seed 107"))
    }

    @Test("a sweep adds up what its children say")
    func tally() throws {
        let result = Running.run(try Self.plan("held-pipe.plan"), RunOptions())
        var tally = Tally()
        #expect(tally.take("B 5", from: 1) == nil && tally.begun[1] == 5)
        #expect(tally.take(result.record, from: 1) == nil && tally.begun[1] == nil)
        #expect(tally.runs == 1 && tally.statistics.steps == result.statistics.steps)
        #expect(tally.hashes[result.seed] == result.hash)
    }

    // MARK: Files and processes

    static func plan(_ name: String) throws -> Plan {
        let source = try #require(text(of: regressions + name))
        return try Plan(parsing: source, name: name)
    }

    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// The built program, beside the tests.
    static var simulator: String? {
        var buffer = [CChar](repeating: 0, count: 4_096)
        guard readlink("/proc/self/exe", &buffer, 4_095) > 0 else { return nil }
        // SwiftPM's test runner lives elsewhere; the bundle's folder is in its arguments.
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            let path = folder(above: String(argument.prefix { $0 != "=" })) + "/Simulator"
            if access(path, X_OK) == 0 { return path }
        }
        let beside =
            folder(
                above: String(
                    decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            ) + "/Simulator"
        return access(beside, X_OK) == 0 ? beside : nil
    }

    static func output(of program: String, _ arguments: [String]) -> String? {
        let quoted = ([program] + arguments).map { "'\($0)'" }.joined(separator: " ")
        guard let pipe = popen(quoted + " 2>/dev/null", "r") else { return nil }
        defer { pclose(pipe) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = fread(&chunk, 1, chunk.count, pipe)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}
