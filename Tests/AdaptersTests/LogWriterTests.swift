import Adapters
import Core
import Glibc
import Testing

/// The two ends of a pipe.
private final class Pipe {
    let reading: Int32
    let writing: Int32

    init() {
        var ends: [Int32] = [0, 0]
        pipe(&ends)
        (reading, writing) = (ends[0], ends[1])
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(reading)
        close(writing)
    }

    func read() -> String {
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        let count = Glibc.read(reading, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}

@Suite("Log lines")
struct LogWriterTests {
    private let time = WallTime(seconds: 1_704_164_645)

    @Test func `a line has time, level, message and fields`() {
        let pipe = Pipe()
        let log = LogWriter(level: .info, descriptor: pipe.writing)
        log.write(
            LogRecord(.info, "agent: up", [.init("node", "n1"), .init("job", "a b")]), at: time)
        let line =
            "time=\"2024-01-02T03:04:05Z\" level=info msg=\"agent: up\" node=n1 job=\"a b\"\n"
        #expect(pipe.read() == line)
    }

    @Test func `what is below the level is not written`() {
        let pipe = Pipe()
        let log = LogWriter(level: .warning, descriptor: pipe.writing)
        for level in LogRecord.Level.allCases { log.write(LogRecord(level, "x"), at: time) }
        #expect(
            pipe.read().split(separator: "\n").map { $0.split(separator: " ")[1] }
                == ["level=warning", "level=error"])
    }

    @Test(arguments: [
        ("plain-1.2_3/a@b^c+d:e", "plain-1.2_3/a@b^c+d:e"), ("", "\"\""), ("a=b", "\"a=b\""),
        ("say \"hi\"", #""say \"hi\"""#), (#"c:\x"#, #""c:\\x""#),
        ("one\ntwo\r\tthree", #""one\ntwo\r\tthree""#), ("\u{1B}[31m\u{7}", #""\x1b[31m\x07""#),
        ("\u{85}", #""\u0085""#), ("größer", "\"größer\""),
    ])
    func `values can't break out of their place`(value: String, written: String) {
        let pipe = Pipe()
        let log = LogWriter(level: .info, descriptor: pipe.writing)
        log.write(LogRecord(.info, "m", [.init("k", value)]), at: time)
        #expect(pipe.read() == "time=\"2024-01-02T03:04:05Z\" level=info msg=m k=\(written)\n")
    }

    @Test(arguments: ["x", "é", "€"])
    func `a long line is cut at a character and marked`(letter: String) {
        let pipe = Pipe()
        let log = LogWriter(level: .info, descriptor: pipe.writing)
        log.write(LogRecord(.info, String(repeating: letter, count: 9_000)), at: time)
        let line = pipe.read()
        #expect(line.utf8.count <= 4_096)
        #expect(line.utf8.count > 4_080)
        #expect(line.hasSuffix(" …(cut)\n"))
        #expect(!line.contains("\u{FFFD}"))
    }

    @Test func `a line of JSON has the same members`() {
        let pipe = Pipe()
        let log = LogWriter(level: .info, form: .json, descriptor: pipe.writing)
        log.write(
            LogRecord(.warning, "agent: \"up\"", [.init("job", "a\nb"), .init("node", "ü")]),
            at: time)
        let line =
            #"{"time":"2024-01-02T03:04:05Z","level":"warning","msg":"agent: \"up\"","#
            + #""job":"a\nb","node":"ü"}"# + "\n"
        #expect(pipe.read() == line)
    }

    @Test(arguments: ["x", "€", "\u{1}", "\""])
    func `a long line of JSON is cut inside its values`(letter: String) throws {
        let pipe = Pipe()
        let log = LogWriter(level: .info, form: .json, descriptor: pipe.writing)
        let long = String(repeating: letter, count: 5_000)
        log.write(LogRecord(.info, long, [.init("k", long), .init("short", "s")]), at: time)
        let line = pipe.read()
        #expect(line.utf8.count <= 4_096)
        #expect(line.hasSuffix("\"short\":\"s\"}\n"))
        #expect(line.contains("…(cut)") && !line.contains("\u{FFFD}"))
        _ = try JSONDocument(Array(line.utf8))
    }

    @Test func `a reader that stands still costs lines, not time, and hears how many`() {
        let pipe = Pipe()
        let log = LogWriter(level: .info, descriptor: pipe.writing)
        let start = Clocks.monotonic()
        for _ in 0..<5_000 {
            log.write(LogRecord(.info, String(repeating: "x", count: 100)), at: time)
        }
        #expect(Clocks.monotonic() - start < .seconds(2))
        let written = pipe.read().split(separator: "\n").count
        #expect(written < 5_000)
        log.write(LogRecord(.info, "after"), at: time)
        let lines = pipe.read().split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasSuffix("lines=\(5_000 - written)"))
        #expect(lines[1].hasSuffix("msg=after"))
    }
}

@Suite("Zone files")
struct ZoneFilesTests {
    @Test func `a zone's file begins with its magic`() throws {
        let bytes = try #require(ZoneFiles.load("Europe/Madrid"))
        #expect(bytes.prefix(4).elementsEqual("TZif".utf8))
    }

    @Test(arguments: [
        "", "Nowhere/Atlantis", "../zoneinfo/UTC", "/etc/passwd", "Europe", "posix/UTC",
        "right/UTC",
        "Europe/../UTC", "zone.tab", "a b",
    ])
    func `what names no zone loads nothing`(name: String) {
        #expect(ZoneFiles.load(name) == nil)
    }

    @Test func `the host's zone can be loaded`() {
        #expect(ZoneFiles.load(ZoneFiles.hostZone()) != nil)
    }
}
