import Adapters
import Core
import Glibc
import Testing

@Suite("Reading the configuration again")
struct ReloaderTests {
    private static let path = "/etc/dkron/dkron.yml"

    /// A node that was started on a file; its log goes to another.
    private final class Bench {
        let directory = TemporaryDirectory()
        let log: LogWriter
        private let descriptor: Int32
        private let reloader: Reloader

        init(_ text: String, environment: [String] = [], arguments: [String] = []) throws {
            directory.write(text, to: "dkron.yml")
            let directory = directory
            let host = ConfigurationHost(
                environment: environment,
                read: { path in
                    guard path == ReloaderTests.path else { return nil }
                    return directory.text(of: "dkron.yml").map { Array($0.utf8) }
                })
            descriptor = open(directory.path + "/log", O_RDWR | O_CREAT | O_APPEND, 0o600)
            log = LogWriter(level: .info, descriptor: descriptor)
            let started = try #require(try AgentOptions.parse(arguments, host: host))
            reloader = Reloader(arguments, started: started, host: { host })
        }

        deinit { close(descriptor) }

        func reload(_ text: String) -> AgentOptions? {
            directory.write(text, to: "dkron.yml")
            return reloader.reload(log)
        }

        var lines: [Substring] {
            (directory.text(of: "log") ?? "").split(separator: "\n")
        }
    }

    @Test("tags and the log level are taken, by the same precedence as at the start")
    func takes() throws {
        let bench = try Bench(
            "server: true\nlog-level: info\ntags: {role: web}\n",
            environment: ["DKRON_DATACENTER=dc7"], arguments: ["--log-format", "json"])
        let options = try #require(
            bench.reload("server: true\nlog-level: debug\ntags: {role: db, rack: 7}\n"))
        #expect(
            options.tags == [
                TagEntry(name: "role", value: "db"), TagEntry(name: "rack", value: "7"),
            ])
        #expect(bench.log.level == .debug)
        #expect(bench.lines.count == 1)
        #expect(bench.lines.first?.contains("configuration read again") == true)

        let stronger = try Bench(
            "server: true\nlog-level: info\n", environment: ["DKRON_TAG=role=env"],
            arguments: ["--log-level", "error"])
        let kept = try #require(
            stronger.reload("server: true\nlog-level: debug\ntags: {role: x}\n"))
        #expect(kept.tags == [TagEntry(name: "role", value: "env")])
        #expect(stronger.log.level == .error)
    }

    @Test("how people are told is taken")
    func takesNotifications() throws {
        let bench = try Bench("server: true\n")
        let text = "server: true\ncronitor-endpoint: http://h/geheim\n"
        let options = try #require(bench.reload(text))
        #expect(options.notifications.channels == [.cronitorStart, .cronitorEnd])
        #expect(bench.lines.count == 1 && !bench.lines[0].contains("geheim"))
        #expect(bench.reload("server: true\ncronitor-endpoint: geheim\n") == nil)
        #expect(bench.lines.count == 2 && !bench.lines[1].contains("geheim"), "\(bench.lines)")
    }

    @Test("what needs a restart is named in one warning, as long as it differs from the start")
    func restarts() throws {
        let bench = try Bench("server: true\nmax-running: 10\n")
        #expect(bench.reload("server: true\nmax-running: 11\nregion: eu\nhide-env: [A]\n") != nil)
        let warnings = bench.lines.filter { $0.contains("level=warning") }
        #expect(warnings.count == 1, "\(bench.lines)")
        #expect(warnings.first?.contains(#"options="max-running,hide-env,region""#) == true)
        #expect(bench.reload("server: true\nmax-running: 11\n") != nil)
        #expect(bench.lines.filter { $0.contains("options=max-running") }.count == 1)
        // Back to what holds, also where a default is written out.
        let before = bench.lines.count
        #expect(bench.reload("server: true\nmax-running: 10\nregion: global\n") != nil)
        #expect(bench.lines[before...].allSatisfy { !$0.contains("level=warning") })
    }

    @Test(
        "of a bad file nothing is taken, and an error names file and line",
        arguments: [
            ("server: true\ntags: {role: db}\nno-such-option: 1\n", ":3: there is no option"),
            ("server: true\ntags: {role: db\n", "/etc/dkron/dkron.yml"),
            ("server: true\ntags: {role: db}\nlog-level: loud\n", ":3: log-level must be"),
            ("tags: {role: db}\nserver: true\nencrypt: s3cret\n", ":3: encrypt"),
        ])
    func refuses(text: String, expected: String) throws {
        let bench = try Bench("server: true\nlog-level: info\n")
        #expect(bench.reload(text) == nil)
        #expect(bench.log.level == .info)
        let errors = bench.lines.filter { $0.contains("level=error") }
        #expect(errors.count == 1, "\(bench.lines)")
        #expect(errors.first?.contains(expected) == true, "\(errors)")
        #expect(errors.first?.contains("what held before goes on to hold") == true)
        #expect(!bench.lines.joined().contains("s3cret"))
    }
}
