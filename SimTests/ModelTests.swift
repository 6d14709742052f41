// The models keep the contracts that Core relies on.

import Core
import Testing

@testable import Simulator

@Suite("Models")
struct ModelTests {
    static let file = FileName(.log, "a")

    private func disk(seed: UInt64 = 1) -> Disk {
        Disk(draws: Draws(seed: seed), path: "disk/1", meanSync: .milliseconds(1), stallOneIn: 0)
    }

    @Test("what was synced is there after any power loss", arguments: TearMode.allCases)
    func synced(mode: TearMode) {
        for seed in UInt64(1)...50 {
            var disk = disk(seed: seed)
            #expect(disk.perform(.create(Self.file)) == .done)
            #expect(disk.perform(.append(Self.file, offset: 0, bytes: [1, 2, 3])) == .done)
            #expect(disk.perform(.sync(Self.file)) == .done)
            #expect(disk.perform(.syncDirectory(.log)) == .done)
            let more = [UInt8](repeating: 7, count: 2_000)
            #expect(disk.perform(.append(Self.file, offset: 3, bytes: more)) == .done)
            disk.powerLoss(mode)
            guard
                case .bytes(let bytes) = disk.perform(
                    .read(Self.file, offset: 0, length: 10_000))
            else {
                Issue.record("the file is gone")
                return
            }
            #expect(bytes.prefix(3) == [1, 2, 3])
            #expect(bytes.count <= 2_003)
            if mode == .lost { #expect(bytes.count == 3) }
            if mode == .kept { #expect(bytes.count == 2_003) }
        }
    }

    @Test("names are durable after their directory was synced")
    func names() {
        var disk = disk()
        #expect(disk.perform(.create(Self.file)) == .done)
        #expect(disk.perform(.sync(Self.file)) == .done)
        disk.powerLoss(.lost)
        #expect(disk.listing(.log).isEmpty)
        #expect(disk.perform(.create(Self.file)) == .done)
        #expect(disk.perform(.syncDirectory(.log)) == .done)
        #expect(disk.perform(.rename(Self.file, to: FileName(.log, "b"))) == .done)
        disk.powerLoss(.lost)
        #expect(disk.listing(.log).map(\.name) == ["a"])
    }

    @Test("a process's death loses nothing that was performed")
    func processDeath() {
        var disk = disk()
        #expect(disk.perform(.create(Self.file)) == .done)
        #expect(disk.perform(.append(Self.file, offset: 0, bytes: [9])) == .done)
        disk.processDeath()
        #expect(disk.perform(.read(Self.file, offset: 0, length: 9)) == .bytes([9]))
    }

    @Test("a failed sync forgets the pages, and a second one proves nothing")
    func failedSync() {
        var disk = disk()
        #expect(disk.perform(.create(Self.file)) == .done)
        #expect(disk.perform(.syncDirectory(.log)) == .done)
        #expect(disk.perform(.append(Self.file, offset: 0, bytes: [1])) == .done)
        disk.faults.failingSyncs[.log] = 1
        guard case .failed = disk.perform(.sync(Self.file)) else {
            Issue.record("the sync should have failed")
            return
        }
        #expect(disk.perform(.sync(Self.file)) == .done)
        disk.powerLoss(.kept)
        #expect(disk.perform(.read(Self.file, offset: 0, length: 9)) == .bytes([]))
    }

    @Test("one directory keeps its order")
    func order() {
        var disk = disk()
        var last = TrueTime.zero
        for _ in 0..<200 {
            let time = disk.performanceTime(of: .sync(Self.file), asked: .zero)
            #expect(time >= last)
            last = time
        }
    }

    @Test("the monotonic clock and its inverse")
    func clock() {
        var clock = Clock(epoch: WallTime(seconds: 1_700_000_000))
        for rate in [Int64(0), 200, -200, 50_000, -50_000] {
            clock.ratePPM = rate
            for seconds in [Int64(0), 1, 59, 3_600, 86_400, 2_000_000] {
                let time = TrueTime.seconds(seconds) + .nanoseconds(123)
                let back = clock.trueTime(of: clock.monotonic(at: time))
                let distance = (back - time).nanoseconds
                #expect(distance > -2_000 && distance < 2_000, "\(rate) \(seconds) \(distance)")
            }
        }
    }

    @Test("exponential draws have their mean")
    func exponential() {
        var stream = Draws(seed: 5).stream("x")
        var sum: Int64 = 0
        for _ in 0..<20_000 { sum += stream.exponential(.milliseconds(10)).nanoseconds }
        let mean = sum / 20_000
        #expect(mean > 9_700_000 && mean < 10_300_000, "\(mean)")
    }

    @Test("draws of one address do not move those of another")
    func addresses() {
        let draws = Draws(seed: 9)
        var a = draws.stream("a")
        var b = draws.stream("b")
        let first = b.next()
        for _ in 0..<10 { _ = a.next() }
        b = draws.stream("b")
        #expect(b.next() == first)
        #expect(draws.stream("a").child(1).counter == 0)
    }

    @Test("events come in order of time, and of arrival within a lane")
    func queue() {
        var queue = EventQueue<Int>(ties: Draws(seed: 1).stream("order"))
        for number in 0..<1_000 {
            queue.push(number, at: .seconds(Int64(number % 7)), lane: UInt64(number % 3))
        }
        var last: [UInt64: Int] = [:]
        var time = TrueTime.zero
        while let (at, number) = queue.pop() {
            #expect(at >= time)
            let lane = UInt64(number % 3)
            if at == time, let before = last[lane] { #expect(before < number) }
            if at > time { last.removeAll() }
            time = at
            last[lane] = number
        }
    }

    @Test("a supervisor keeps runs for an agent that comes back")
    func adoption() {
        var supervisor = Supervisor(node: 0, draws: Draws(seed: 1), spawnMean: .milliseconds(1))
        var log = RunLog()
        var out = Supervisor.Output()
        let clock = Clock(epoch: WallTime(seconds: 1_700_000_000))
        let id = ExecutionID("17-s1")
        let command = RunSpec.Command(
            arguments: ["sim", "run=5s", "out=100"],
            environment: [EnvironmentEntry(name: "DKRON_JOB_NAME", value: "a")])
        supervisor.start(RunSpec(execution: id, command: command), at: .zero, into: &out)
        var pending = out.later
        supervisor.agentDied()
        while !pending.isEmpty {
            pending.sort { $0.time < $1.time }
            let next = pending.removeFirst()
            out = Supervisor.Output()
            supervisor.step(
                next.run, next.step, at: next.time, clock: clock, agentLife: 1, log: &log,
                into: &out)
            #expect(out.news.isEmpty)
            pending += out.later
        }
        #expect(log.runs.count == 1 && log.runs[0].isSuccess)
        out = Supervisor.Output()
        supervisor.adopt(id, at: .seconds(20), into: &out)
        guard out.news.count == 3, case .started = out.news[0].event,
            case .output(let bytes, 0) = out.news[1].event, case .ended(let end) = out.news[2].event
        else {
            Issue.record("adoption told \(out.news)")
            return
        }
        #expect(bytes.count == 100 && end.exitCode == 0)
        supervisor.release(id)
        #expect(supervisor.heldRuns == 0)
        out = Supervisor.Output()
        supervisor.adopt(id, at: .seconds(30), into: &out)
        guard case .vanished = out.news.first?.event else {
            Issue.record("a released run is unknown")
            return
        }
    }
}
