import Testing

@testable import Core

@Suite("Plugins: files, handshakes, lines")
struct PluginTextTests {
    @Test(
        "a plugin's kind and name are those of its file",
        arguments: [
            ("/a/dkron-executor-foo-bar", "executor foo-bar"),
            ("/a/dkron-processor-x.exe", "processor x"), ("dkron-executor-a", "executor a"),
            ("/dkron-executor-a/b", nil), ("/a/dkron-executor-", nil), ("/a/dkron", nil),
            ("/a/dkron-executor-.exe", nil), ("", nil),
        ] as [(String, String?)])
    func names(_ path: String, _ expected: String?) {
        #expect(PluginFile(path: path)?.description == expected)
    }

    @Test("the last of a name is started, and none that is built in")
    func choice() {
        let paths = [
            "/e/dkron-executor-b", "/e/dkron-executor-shell", "/e/dkron-processor-b",
            "/x/dkron-executor-a", "/x/dkron-executor-b",
        ]
        let (files, notes) = PluginFile.chosen(paths.compactMap { PluginFile(path: $0) }) {
            $0.builtInNames
        }
        #expect(
            files.map(\.path)
                == ["/x/dkron-executor-a", "/x/dkron-executor-b", "/e/dkron-processor-b"])
        #expect(
            notes.map(\.message) == [
                "plugin: executor shell is not started: this program has it built in",
                "plugin: executor b is not started: /x/dkron-executor-b takes its place",
            ])
    }

    @Test(
        "lines that are handshakes",
        arguments: [
            ("1|1|unix|/tmp/plugin1|grpc|", PluginKind.executor, "/tmp/plugin1"),
            (" 1|1|unix|/tmp/plugin1|grpc\r", .executor, "/tmp/plugin1"),
            ("1|1|tcp|127.0.0.1:1234|grpc|x|true|more", .executor, "127.0.0.1:1234"),
            ("1|1|tcp|[::1]:1|grpc", .executor, "::1:1"),
            ("1|1|unix|/tmp/p", .processor, "/tmp/p"),
            ("1|1|unix|/tmp/p|netrpc|", .processor, "/tmp/p"),
        ])
    func handshakes(_ line: String, _ kind: PluginKind, _ address: String) throws {
        let handshake = try PluginHandshake(line: Array(line.utf8), of: kind)
        #expect(handshake.address.description == address)
    }

    @Test(
        "lines that are none say what is wrong",
        arguments: [
            ("", "no handshake of a plugin: \"\""), ("hello", "\"hello\""),
            ("1|1|unix", "no handshake"), ("2|1|unix|/p|grpc", "version \"2\" of the handshake"),
            ("1|7|unix|/p|grpc", "version \"7\" of the protocol"),
            ("1|1|unix|/p|netrpc", "speaks \"netrpc\"; executors speak grpc"),
            ("1|1|unix|/p", "speaks \"netrpc\""), ("1|1|pipe|/p|grpc", "unix and tcp are known"),
            ("1|1|unix|p|grpc", "not the whole path"), ("1|1|tcp|8.8.8.8:1|grpc", "this machine"),
            ("1|1|tcp|127.0.0.1|grpc", "HOST:PORT"), ("1|1|tcp|127.0.0.1:0|grpc", "HOST:PORT"),
            ("1|1|unix|/\(String(repeating: "x", count: 107))|grpc", "not the whole path"),
        ])
    func refusals(_ line: String, _ reason: String) {
        let error = #expect(throws: PluginHandshakeError.self) {
            try PluginHandshake(line: Array(line.utf8), of: .executor)
        }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test("lines are cut at their ends, in whatever pieces they come")
    func lines() {
        var lines = PluginLines()
        #expect(lines.feed(Array("a\r\n\nb".utf8)) == [Array("a".utf8)])
        #expect(lines.feed(Array("c\nd".utf8)) == [Array("bc".utf8)])
        #expect(lines.rest() == [Array("d".utf8)])
        #expect(lines.rest() == [])
        let long = lines.feed(Array(repeating: 0x78, count: 10_000) + [0x0a])
        #expect(long.map(\.count) == [PluginLines.longest + 3])
    }

    @Test("a line says how important it is")
    func levels() throws {
        let file = try #require(PluginFile(path: "dkron-executor-a"))
        var log = PluginLog()
        func words(_ line: String) -> String {
            let record = log.record(Array(line.utf8), of: file, usual: .debug)
            let fields = record.fields.map { " \($0.name)=\($0.value)" }.joined()
            return "\(record.level) \(record.message)\(fields)"
        }
        #expect(words("plain") == "debug plain plugin=executor a")
        #expect(words("[WARN]  careful") == "warning careful plugin=executor a")
        #expect(words("[TRACE] x") == "debug x plugin=executor a")
        #expect(
            words(#"{"@level":"info","@message":"m","@timestamp":"t","n":1,"@module":"k"}"#)
                == "info m plugin=executor a n=1 module=k")
        #expect(words(#"{"@level":"info"}"#).hasPrefix(#"debug {"@level""#))
        #expect(words("{broken").hasPrefix("debug {broken"))
        #expect(words("panic: oh") == "error panic: oh plugin=executor a")
        #expect(words("goroutine 1") == "error goroutine 1 plugin=executor a")
    }
}
