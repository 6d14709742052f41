import Core
import Glibc
import Testing

@testable import Adapters

/// A processor in Go on the library of Dkron's own plugins, built once.
private enum GoProcessor {
    static let isThere =
        isFile("/usr/share/gocode/src/github.com/hashicorp/go-plugin/plugin.go")
        && (isFile("/usr/bin/go") || isFile("/usr/local/go/bin/go"))

    private static func isFile(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// Beside the program that holds these tests.
    private static let folder: String = {
        guard let bundle = realpath("/proc/self/exe", nil) else { return "/tmp" }
        defer { free(bundle) }
        let parts = String(cString: bundle).split(separator: "/").dropLast()
        let folder = parts.map { "/" + $0 }.joined() + "/go-processor"
        mkdir(folder, 0o755)
        return folder
    }()

    /// The program's path; empty, with the compiler's words, if it can't be built.
    static let built: (path: String, words: String) = {
        let tests = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let path = folder + "/dkron-processor-go"
        let command =
            "GOPATH=\(tests)/EndToEndTests/Plugins:/usr/share/gocode GO111MODULE=off "
            + "GOCACHE=\(folder)/cache go build -trimpath -o \(path) processor 2>&1"
        guard let pipe = popen(command, "r") else { return ("", "no shell") }
        var words = ""
        var line = [CChar](repeating: 0, count: 4_096)
        while fgets(&line, Int32(line.count), pipe) != nil {
            words += String(
                decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return pclose(pipe) == 0 ? (path, words) : ("", words)
    }()
}

/// The adapter with one plugin, and a loop of its own.
private final class Harness {
    let loop: EventLoop
    let plugins: Plugins
    let log = TemporaryDirectory()
    private var inputs: [Input] = []
    private var events: [EventLoop.Event] = []
    private(set) var outcomes: [UInt64: PluginOutcome] = [:]

    init(_ change: (inout PluginHost.Limits) -> Void = { _ in }) throws {
        try #require(!GoProcessor.built.path.isEmpty, "\(GoProcessor.built.words)")
        loop = try EventLoop()
        log.write("", to: "log")
        let descriptor = open(log.path + "/log", O_WRONLY | O_APPEND)
        var limits = PluginHost.Limits()
        change(&limits)
        let file = try #require(PluginFile(path: GoProcessor.built.path))
        plugins = try Plugins(
            [file], directory: PluginDirectories.sockets(dataDirectory: log.path),
            environment: HostProcess.environment, limits: limits, loop: loop,
            log: LogWriter(level: .debug, descriptor: descriptor), at: Clocks.now())
        plugins.start(at: Clocks.now(), into: &inputs)
    }

    func process(_ number: UInt64, _ settings: [(String, String)], _ execution: PluginExecution) {
        let call = ProcessorCall(
            number: number, plugin: "go", execution: execution,
            config: settings.map { (key: $0.0, value: $0.1) }, timeout: .seconds(15))
        plugins.process(call, at: Clocks.now(), into: &inputs)
    }

    func run(_ time: Duration, until isDone: () -> Bool) -> Bool {
        let end = Clocks.monotonic() + time
        while !isDone(), Clocks.monotonic() < end {
            loop.wait(milliseconds: 20, into: &events)
            let now = Clocks.now()
            for event in events { plugins.handle(event, at: now, into: &inputs) }
            plugins.collectChildren(at: now, into: &inputs)
            plugins.expire(at: now, into: &inputs)
            for (number, outcome) in plugins.takeProcessed() { outcomes[number] = outcome }
        }
        return isDone()
    }

    /// Asks once and waits for the answer.
    func ask(
        _ number: UInt64, _ settings: [(String, String)], _ execution: PluginExecution
    ) throws -> PluginOutcome {
        process(number, settings, execution)
        _ = run(.seconds(20)) { outcomes[number] != nil }
        return try #require(outcomes[number], "\(log.text(of: "log") ?? "")")
    }

    func stop() -> Bool {
        plugins.stop(at: Clocks.now(), into: &inputs)
        return run(.seconds(5)) { plugins.isStopped }
    }
}

private func execution(_ output: [UInt8] = [], at seconds: Int64? = nil) -> PluginExecution {
    PluginExecution(
        job: "backup", isSuccess: true, output: output, node: "n1",
        group: 1_795_328_601_189_006_808,
        attempt: 2, startedAt: seconds.map { WallTime(seconds: $0) + .nanoseconds(7) },
        finishedAt: seconds.map { WallTime(seconds: $0 + 1) })
}

@Suite("A processor in Go", .serialized, .enabled(if: GoProcessor.isThere, "needs go-plugin"))
struct ProcessorPeerTests {
    @Test("it sees the execution, and what it changes comes back")
    func values() throws {
        let harness = try Harness()
        let settings = [("do", "describe"), ("reporting_node", "n2")]
        var expected = execution([1, 2, 3], at: 1_700_000_000)
        expected.output = Array(
            ("backup true 3 n1 1795328601189006808 2 1700000000.7 1700000001.0\ndo=describe\n"
                + "reporting_node=n2\n").utf8)
        #expect(
            try harness.ask(1, settings, execution([1, 2, 3], at: 1_700_000_000))
                == .processed(expected))
        // Without times, and with outputs of all kinds and sizes.
        for (index, output) in [
            [], [0, 255, 10], (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0) },
        ]
        .enumerated() {
            #expect(
                try harness.ask(UInt64(10 + index), [], execution(output))
                    == .processed(execution(output)))
        }
        #expect(
            try harness.ask(20, [("do", "refuse")], execution())
                == .failed("the processor refused: no such thing"))
        guard case .processed(let failed) = try harness.ask(21, [("do", "fail")], execution())
        else { throw SystemError("judge", code: EINVAL) }
        #expect(!failed.isSuccess && failed.output == Array("judged a failure\n".utf8))
        _ = try harness.ask(22, [("do", "print")], execution())
        let isLogged = harness.run(.seconds(5)) {
            let text = harness.log.text(of: "log") ?? ""
            return text.contains("level=info msg=\"printed by the processor\"")
                && text.contains("level=warning msg=\"complained by the processor\"")
        }
        #expect(isLogged, "\(harness.log.text(of: "log") ?? "")")
        #expect(harness.stop())
    }

    @Test("many calls at a time, one of which crashes it; it comes back")
    func crash() throws {
        let harness = try Harness { $0.shortestPause = .milliseconds(100) }
        for number in 0..<50 {
            harness.process(UInt64(number), [("do", "wait"), ("count", "1")], execution([9]))
        }
        #expect(harness.run(.seconds(20)) { harness.outcomes.count == 50 })
        #expect(harness.outcomes.values.allSatisfy { $0 == .processed(execution([9])) })
        harness.process(100, [("do", "wait"), ("count", "10")], execution())
        let crashed = try harness.ask(101, [("do", "crash")], execution())
        let reason =
            "the plugin go did not finish: it ended with exit status 2; its last words: "
            + "\"panic: nothing works\""
        #expect(crashed == .failed(reason))
        #expect(harness.outcomes[100] == .failed(reason))
        #expect(try harness.ask(102, [], execution()) == .processed(execution()))
        #expect(harness.stop())
        #expect(harness.log.names == ["log", "plugins"])
    }

    @Test("it stays through an idle time with pings")
    func idle() throws {
        let harness = try Harness()
        #expect(try harness.ask(1, [], execution()) == .processed(execution()))
        _ = harness.run(.seconds(42)) { false }
        #expect(try harness.ask(2, [], execution()) == .processed(execution()))
        #expect(harness.log.text(of: "log")?.contains("is not running") == false)
        #expect(harness.stop())
    }
}
