import Core
import Glibc
import Testing

@testable import Adapters

/// A program that ends at once, as a plugin, and a loop that has not heard of its start yet.
private final class Brief {
    let plugins: Plugins
    let child: Int32
    private let loop: EventLoop
    private let folder = TemporaryDirectory()
    private var inputs: [Input] = []

    init() throws {
        loop = try EventLoop()
        folder.write("#!/bin/sh\necho too bad >&2\nexit 3\n", to: "dkron-executor-brief")
        let path = folder.path + "/dkron-executor-brief"
        chmod(path, 0o700)
        folder.write("", to: "log")
        var limits = PluginHost.Limits()
        limits.shortestPause = .milliseconds(10)
        plugins = try Plugins(
            [try #require(PluginFile(path: path))], directory: folder.path + "/sockets",
            environment: HostProcess.environment, limits: limits, loop: loop,
            log: LogWriter(
                level: .debug, descriptor: open(folder.path + "/log", O_WRONLY | O_APPEND)),
            at: Clocks.now())
        plugins.start(at: Clocks.now(), into: &inputs)
        var ended: Int32?
        for _ in 0..<1_000 where ended == nil {
            usleep(10_000)
            ended =
                ProcessTable.read().entries.first { [plugins] entry in
                    entry.isGone && plugins.holds(entry.processID)
                }?.processID
        }
        child = try #require(ended)
    }

    var log: String { folder.text(of: "log") ?? "" }

    /// Serves sockets and pipes; signals of ended children are those of before.
    func serve(until isDone: () -> Bool) -> Bool {
        var events: [EventLoop.Event] = []
        let end = Clocks.monotonic() + .seconds(10)
        while !isDone(), Clocks.monotonic() < end {
            loop.wait(milliseconds: 20, into: &events)
            for event in events { plugins.handle(event, at: Clocks.now(), into: &inputs) }
        }
        return isDone()
    }

    func isStartedAgain() -> Bool {
        plugins.expire(at: Clocks.now(), into: &inputs)
        return serve { log.split(separator: "too bad").count > 2 }
    }

    func stop() {
        plugins.stop(at: Clocks.now(), into: &inputs)
        let isStopped = serve {
            plugins.collectChildren(at: Clocks.now(), into: &inputs)
            return plugins.isStopped
        }
        #expect(isStopped)
    }
}

/// Plugins whose program ends before anybody hears that it was started.
@Suite struct PluginProcessTests {
    @Test func itIsHeldUntilItsEndIsHeardOf() throws {
        let brief = try Brief()
        #expect(brief.plugins.holds(brief.child))
        #expect(brief.serve { brief.log.contains("it ended with exit status 3") }, "\(brief.log)")
        #expect(!brief.plugins.holds(brief.child))
        // Collected: no child of this number is left.
        #expect(waitpid(brief.child, nil, WNOHANG) == -1)
        usleep(20_000)
        #expect(brief.isStartedAgain(), "\(brief.log)")
        brief.stop()
    }

    @Test func itsEndIsHeardOfWhoeverCollectsIt() throws {
        let brief = try Brief()
        #expect(waitpid(brief.child, nil, 0) == brief.child)
        #expect(brief.serve { brief.log.contains("is not running") }, "\(brief.log)")
        #expect(!brief.plugins.holds(brief.child))
        brief.stop()
    }
}
