import Adapters
import Core
import Testing

@testable import dkron

@Suite("Commands for a server")
struct RemoteCommandTests {
    private static func command(_ name: String) throws -> RemoteCommand {
        try #require(RemoteCommand.all.first { $0.name == name })
    }

    private static func refusal(_ arguments: [String], of name: String) throws -> CommandFailure? {
        let command = try command(name)
        do throws(CommandFailure) {
            _ = try RemoteArguments(arguments, of: command)
            return nil
        } catch {
            return error
        }
    }

    @Test("every command has its help, with an example of itself")
    func help() {
        for command in RemoteCommand.all {
            #expect(command.help.hasPrefix("Usage: dkron \(command.name)"))
            #expect(command.examples.contains { $0.contains("dkron \(command.name)") })
            #expect(command.help.contains("Example"))
            #expect(command.help.split(separator: "\n").allSatisfy { $0.count <= 100 })
        }
        #expect(Set(RemoteCommand.all.map(\.name)).count == RemoteCommand.all.count)
    }

    @Test("every example is a command line that is understood")
    func examples() throws {
        for command in RemoteCommand.all {
            for example in command.examples {
                let line = example.split(separator: "|").last ?? ""
                let words = line.split(separator: " ").map(String.init)
                try #require(words.first == "dkron")
                let group = RemoteCommand.all.filter { $0.words[0] == words[1] }
                let found = RemoteCommand.find(in: group, Array(words.dropFirst(2)))
                let (named, rest) = try #require(found)
                #expect(named.name == command.name)
                #expect(throws: Never.self) { _ = try RemoteArguments(rest, of: named) }
            }
        }
    }

    @Test("options stand anywhere behind the command, with their values in either form")
    func options() throws {
        let logs = try Self.command("job logs")
        let parsed = try #require(
            try RemoteArguments(
                ["-f", "backup", "--timeout=5s", "--address", "a:1", "--", "-x"], of: logs))
        #expect(parsed.operands == ["backup", "-x"])
        #expect(
            parsed.options == ["--follow": "", "--timeout": "5s", "--address": "a:1"])
        #expect(try RemoteArguments(["--help"], of: logs) == nil)
        #expect(try RemoteArguments(["a", "b", "-h"], of: logs) == nil)
        let apply = try Self.command("job apply")
        #expect(try RemoteArguments(["-"], of: apply)?.operands == ["-"])
    }

    @Test(
        "wrong usage",
        arguments: [
            ("job show", [], "missing"), ("job show", ["a", "b"], "too many"),
            ("job show", [""], "empty"), ("job list", ["--limt", "1"], "--limit"),
            ("job list", ["--limit"], "needs a value"), ("job list", ["--json=x"], "no value"),
            ("job kill", ["a"], "missing"), ("members", ["-x"], "not an option"),
        ] as [(String, [String], String)])
    func usage(name: String, arguments: [String], words: String) throws {
        let refusal = try Self.refusal(arguments, of: name)
        guard case .usage(let message)? = refusal else {
            Issue.record("\(arguments): \(String(describing: refusal))")
            return
        }
        #expect(message.contains(words), "\(message)")
    }

    @Test(
        "addresses",
        arguments: [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"), ("HTTP://host", "host:8080"),
            ("host:1/", "host:1"), ("http://[::1]:9", "[::1]:9"), (":81", "127.0.0.1:81"),
            ("https://host", "host:8080"), ("HTTPS://host:8443", "host:8443"), ("ftp://host", nil),
            ("http://host/v1", nil), ("http://me@host", nil), ("host:99999", nil), ("", nil),
            ("http://a b", nil),
        ] as [(String, String?)])
    func addresses(text: String, endpoint: String?) {
        #expect((try? Client.endpoint(text, of: "--address"))?.description == endpoint)
    }

    @Test("names and values are escaped")
    func target() {
        let target = Client.target(
            ["v1", "jobs", "a/b?c d"], [Query("pretty"), Query("q", "é&=")])
        #expect(target == "/v1/jobs/a%2Fb%3Fc%20d?pretty&q=%C3%A9%26%3D")
    }
}

@Suite("Files of jobs")
struct FileJobTests {
    private static func read(_ text: String) throws(CommandFailure) -> [FileJob] {
        try FileJob.read(Array(text.utf8), file: "jobs.json")
    }

    @Test("one job, or an array of them")
    func read() throws {
        let one = try Self.read(#" {"Name": "a", "parent_job": "b"} "#)
        #expect(one.map(\.name) == ["a"] && one.map(\.parent) == ["b"])
        let two = try Self.read(#"[{"name": "a"}, {"x": 1}]"#)
        #expect(two.map(\.name) == ["a", ""])
        #expect(two.map { String(decoding: $0.json, as: UTF8.self) }.last == #"{"x": 1}"#)
    }

    @Test(
        "what is no file of jobs",
        arguments: [
            ("", "line 1"), ("{", "line 1"), ("[]", "no job"), ("[{},\n1]", "line 2"),
            ("3", "a number"), ("{} {}", "column"),
        ])
    func malformed(text: String, words: String) {
        do throws(CommandFailure) {
            _ = try Self.read(text)
            Issue.record("\(text) is taken")
        } catch {
            #expect(error.status == 2 && error.message.hasPrefix("jobs.json: "))
            #expect(error.message.contains(words), "\(error.message)")
        }
    }

    @Test("parents come before their children, everything else keeps its order")
    func parents() {
        func sorted(_ jobs: [(String, String)]) -> [String] {
            FileJob.parentsFirst(jobs.map { FileJob(name: $0.0, parent: $0.1, json: []) })
                .map(\.name)
        }
        #expect(sorted([("c", "b"), ("x", ""), ("b", "a"), ("a", "")]) == ["a", "b", "c", "x"])
        #expect(sorted([("b", "elsewhere"), ("a", "")]) == ["b", "a"])
        #expect(sorted([("a", "b"), ("b", "a"), ("c", "")]).sorted() == ["a", "b", "c"])
        #expect(sorted([("a", "a")]) == ["a"])
        #expect(sorted([("a", ""), ("a", "")]) == ["a", "a"])
        let chain = (0..<10_000).map { ("\($0)", $0 == 9_999 ? "" : "\($0 + 1)") }
        #expect(sorted(chain) == chain.map(\.0).reversed())
    }
}
