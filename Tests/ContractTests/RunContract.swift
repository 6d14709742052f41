// What `RunSpec` promises, asked of the simulator's supervisor and of the real one with real
// processes. Each case says what a run is to do in both languages and what is to be heard of it.

import Adapters
import Core
import Glibc
import Testing

@testable import Simulator

struct RunCase: CustomTestStringConvertible, Sendable {
    enum Act: Sendable {
        case stop, release
        /// The agent dies, and another one comes.
        case restart
        case adopt
    }

    var name: String
    /// The command of the model, and the same as a script; nil for a program that is missing.
    var model: String
    var script: String?
    var timeout: Duration?
    var grace = Duration.seconds(10)
    var fence: Duration?
    var isStarted = true
    /// What the agent does, so long after the start.
    var acts: [(after: Duration, act: Act)] = []
    /// What the last agent hears.
    var heard: String

    var testDescription: String { name }

    static let all = [
        RunCase(
            name: "success", model: "sim run=50ms out=300",
            script: "sleep 0.05; head -c 300 /dev/zero",
            heard: "started, 300 bytes, finished with 0"),
        RunCase(
            name: "failure", model: "sim run=10ms fail=1", script: "exit 7",
            heard: "started, finished with another status"),
        RunCase(
            name: "a signal", model: "sim run=10ms signal=1", script: "kill -11 $$",
            heard: "started, finished by a signal"),
        RunCase(name: "no such program", model: "sim refuse=1", script: nil, heard: "refused"),
        RunCase(
            name: "time-out", model: "sim run=forever", script: "sleep 60",
            timeout: .milliseconds(200), heard: "started, timedOut"),
        RunCase(
            name: "time-out of one that is deaf to the polite signal",
            model: "sim run=forever ignoreterm=1",
            script: "trap '' TERM; sleep 60 & wait; sleep 60",
            timeout: .milliseconds(200), grace: .milliseconds(300), heard: "started, timedOut"),
        RunCase(
            name: "stopped", model: "sim run=forever", script: "sleep 60",
            acts: [(.milliseconds(300), .stop)], heard: "started, stopped"),
        RunCase(
            name: "a fence that nobody renews", model: "sim run=forever", script: "sleep 60",
            fence: .milliseconds(300), heard: "started, fenced"),
        RunCase(
            name: "an agent that comes back while it runs", model: "sim run=1s out=100",
            script: "sleep 1; head -c 100 /dev/zero",
            acts: [(.milliseconds(300), .restart), (.milliseconds(400), .adopt)],
            heard: "started, 100 bytes, finished with 0"),
        RunCase(
            name: "an agent that comes back after the end", model: "sim run=100ms out=100",
            script: "head -c 100 /dev/zero",
            acts: [(.milliseconds(300), .restart), (.milliseconds(800), .adopt)],
            heard: "started, 100 bytes, finished with 0"),
        RunCase(
            name: "released and forgotten", model: "sim run=100ms", script: "true",
            acts: [
                (.milliseconds(500), .release), (.milliseconds(600), .restart),
                (.milliseconds(700), .adopt),
            ], heard: "vanished"),
        RunCase(
            name: "a run that was never started", model: "sim", script: "true", isStarted: false,
            acts: [(.zero, .adopt)], heard: "vanished"),
        RunCase(
            name: "a background child that holds the output for a while",
            model: "sim run=10ms hold=1s", script: "sleep 1 &",
            heard: "started, finished with 0"),
        RunCase(
            name: "a background child that holds the output for long",
            model: "sim run=10ms hold=20s", script: "sleep 20 &",
            heard: "started, finished with 0, output held open"),
    ]

    var execution: ExecutionID { ExecutionID("1-contract") }

    func spec(_ arguments: [String]) -> RunSpec {
        RunSpec(
            execution: execution, command: RunSpec.Command(arguments: arguments),
            timeout: timeout, grace: grace, fence: fence)
    }
}

/// What was heard, in words; pieces of output are one.
private func words(_ events: [RunEvent]) -> String {
    var words: [String] = []
    var bytes = 0
    func flush() {
        if bytes > 0 { words.append("\(bytes) bytes") }
        bytes = 0
    }
    for event in events {
        if case .output(let piece, let skipped) = event {
            bytes += piece.count + Int(skipped)
            continue
        }
        flush()
        switch event {
        case .started: words.append("started")
        case .output: break
        case .refused: words.append("refused")
        case .vanished: words.append("vanished")
        case .ended(let end):
            switch (end.cause, end.exitCode, end.signal) {
            case (.finished, 0?, nil): words.append("finished with 0")
            case (.finished, _?, nil): words.append("finished with another status")
            case (.finished, nil, _?): words.append("finished by a signal")
            default: words.append("\(end.cause)")
            }
            if end.outputHeldOpen { words.append("output held open") }
        }
    }
    flush()
    return words.joined(separator: ", ")
}

private func isOver(_ events: [RunEvent]) -> Bool {
    switch events.last {
    case .ended, .refused, .vanished: true
    case .started, .output, nil: false
    }
}

@Suite("Runs: one contract for the model and the real supervisor")
struct RunContractTests {
    @Test("the model", arguments: RunCase.all)
    func model(test: RunCase) {
        var supervisor = Simulator.Supervisor(
            node: 0, draws: Draws(seed: 1), spawnMean: .milliseconds(3))
        let clock = Simulator.Clock(epoch: WallTime(seconds: 1_700_000_000))
        var log = RunLog()
        var out = Simulator.Supervisor.Output()
        var steps: [(time: TrueTime, run: Int, step: SupervisorStep)] = []
        var heard: [(time: TrueTime, event: RunEvent)] = []
        var acts = test.acts[...]
        var now = TrueTime.zero
        func collect() {
            steps += out.later
            heard += out.news.map { (now + $0.delay, $0.event) }
            out = Simulator.Supervisor.Output()
        }
        if test.isStarted {
            let arguments = test.model.split(separator: " ").map(String.init)
            supervisor.start(test.spec(arguments), at: now, into: &out)
            collect()
        }
        while now < .seconds(90) {
            let next = steps.indices.min { steps[$0].time < steps[$1].time }
            if let act = acts.first, next.map({ act.after <= steps[$0].time }) ?? true {
                acts.removeFirst()
                now = max(now, act.after)
                switch act.act {
                case .stop: supervisor.stop(test.execution, at: now, into: &out)
                case .release: supervisor.release(test.execution)
                case .restart:
                    supervisor.agentDied()
                    heard = []
                case .adopt: supervisor.adopt(test.execution, at: now, into: &out)
                }
            } else if let next {
                let step = steps.remove(at: next)
                now = max(now, step.time)
                supervisor.step(
                    step.run, step.step, at: now, clock: clock, agentLife: 1, log: &log, into: &out)
            } else {
                break
            }
            collect()
        }
        #expect(words(heard.map(\.event)) == test.heard)
    }

    @Test("real processes", arguments: RunCase.all)
    func real(test: RunCase) throws {
        let folder = try Folder()
        let directory = folder.path
        func connect() throws -> SupervisorClient {
            try SupervisorClient(
                dataDirectory: directory, executable: binary, hideEnvironment: [])
        }
        var client = try connect()
        let began = Clocks.monotonic()
        if test.isStarted {
            let command = test.script.map { ["/bin/sh", "-c", $0] } ?? ["/nowhere/program"]
            client.start(test.spec(command))
        }
        var heard: [RunEvent] = []
        var acts = test.acts[...]
        while Clocks.monotonic() - began < .seconds(30), !(acts.isEmpty && isOver(heard)) {
            if let act = acts.first, Clocks.monotonic() - began >= act.after {
                acts.removeFirst()
                switch act.act {
                case .stop: client.stop(test.execution)
                case .release: client.release(test.execution)
                case .restart:
                    client.flush()
                    client = try connect()
                    heard = []
                case .adopt: client.adopt(test.execution, nil)
                }
            }
            var state = pollfd(fd: client.fileDescriptor, events: Int16(POLLIN), revents: 0)
            poll(&state, 1, 20)
            let news = client.receive() + client.tick(now: Clocks.monotonic())
            heard += news.filter { $0.0 == test.execution }.map(\.1)
        }
        #expect(words(heard) == test.heard)
        client.endAll()
        let end = Clocks.monotonic() + .seconds(15)
        while Clocks.monotonic() < end, access("\(directory)/supervisor.sock", F_OK) == 0 {
            _ = client.receive()
            _ = client.tick(now: Clocks.monotonic())
            usleep(20_000)
        }
    }

    /// The program beside these tests.
    private var binary: String {
        if let given = getenv("DKRON_BINARY") { return String(cString: given) }
        guard let bundle = realpath("/proc/self/exe", nil) else { return "dkron" }
        defer { free(bundle) }
        return String(cString: bundle).split(separator: "/").dropLast().map { "/" + $0 }.joined()
            + "/dkron"
    }
}
