import Testing

@testable import Core

@Suite struct ShellCommandTests {
    private func parse(_ config: KeyValuePairs<String, String>) throws(ExecutorSettingError)
        -> ShellCommand
    {
        try ShellCommand.parse(config.map { (key: $0.key, value: $0.value) })
    }

    private func refusal(_ config: KeyValuePairs<String, String>) -> ExecutorSettingError? {
        do throws(ExecutorSettingError) {
            try ShellCommand.validate(config.map { (key: $0.key, value: $0.value) })
            return nil
        } catch {
            return error
        }
    }

    // MARK: Words

    private static let words: [(String, [String])] = [
        ("date", ["date"]),
        ("  echo   a\tb\n c ", ["echo", "a", "b", "c"]),
        ("echo 'a  b' \"c  d\"", ["echo", "a  b", "c  d"]),
        ("echo 'it is \"so\"' \"it's\"", ["echo", "it is \"so\"", "it's"]),
        ("echo a\\ b \\' \\\"", ["echo", "a b", "'", "\""]),
        ("echo 'a\\b' \"a\\\\b\" \"a\\\"b\"", ["echo", "a\\b", "a\\b", "a\"b"]),
        ("echo \"\" '' x''y", ["echo", "", "", "xy"]),
        ("echo $HOME * ~ `date` #", ["echo", "$HOME", "*", "~", "`date`", "#"]),
        ("echo ';' \"&|\" \\< '(x)'", ["echo", ";", "&|", "<", "(x)"]),
        ("/opt/größe --ünï='çode ☃'", ["/opt/größe", "--ünï=çode ☃"]),
    ]

    @Test(arguments: words)
    func splits(text: String, expected: [String]) throws {
        #expect(try parse(["command": text]).arguments == expected)
    }

    private static let badWords: [(String, Int, String)] = [
        ("echo a; echo b", 7, "\";\" needs a shell; set \"shell\": \"true\", or quote it"),
        ("a & b", 3, "\"&\" needs a shell"),
        ("größe | x", 7, "\"|\" needs a shell"),
        ("a < b", 3, "\"<\" needs a shell"),
        ("a >b", 3, "\">\" needs a shell"),
        ("a $(b)", 4, "\"(\" needs a shell"),
        ("a b)", 4, "\")\" needs a shell"),
        ("echo 'a", 6, "the quote that opens here is never closed"),
        ("echo \"a\\", 6, "the quote that opens here is never closed"),
        ("echo x\\", 7, "a backslash stands before nothing"),
    ]

    @Test(arguments: badWords)
    func refusesWords(text: String, column: Int, message: String) {
        let error = refusal(["command": text])
        #expect(error?.key == "command")
        #expect(error?.message.hasPrefix("column \(column): \(message)") == true, "\(error as Any)")
    }

    @Test(arguments: ["", " ", "\t\n"])
    func commandIsRequired(text: String) {
        #expect(refusal(["command": text])?.key == "command")
        #expect(refusal(["command": text, "shell": "true"])?.key == "command")
        #expect(refusal([:])?.key == "command")
    }

    @Test func throughAShell() throws {
        let text = "echo a; echo \"$HOME\" | wc > /dev/null &"
        for word in ["1", "t", "T", "TRUE", "true", "True"] {
            #expect(
                try parse(["command": text, "shell": word]).arguments == ["/bin/sh", "-c", text])
        }
        for word in ["", "0", "f", "F", "FALSE", "false", "False"] {
            #expect(try parse(["command": "a b", "shell": word]).arguments == ["a", "b"])
        }
        for word in ["yes", "tRUE", " true", "2"] {
            #expect(refusal(["command": "a", "shell": word])?.key == "shell")
        }
    }

    // MARK: Environment

    private static let environments: [(String, [String])] = [
        ("", []),
        ("A=1", ["A=1"]),
        ("A=1,B=2", ["A=1", "B=2"]),
        ("A=1, B=2 ,", ["A=1", "B=2 "]),
        (",,A=1,,", ["A=1"]),
        ("A=", ["A="]),
        ("A=,B=x=y", ["A=", "B=x=y"]),
        ("A=\"a,b\",B='c,d'", ["A=a,b", "B=c,d"]),
        ("A=a\\,b,B=c\\\\,C=\\n\\", ["A=a,b", "B=c\\", "C=\\n\\"]),
        ("A=\"x\\\"y\\\\z\\n\" , B='\\'", ["A=x\"y\\z\\n", "B=\\"]),
        ("M=it's fine,N=say \"hi\"", ["M=it's fine", "N=say \"hi\""]),
        ("A=\"\",B=''", ["A=", "B="]),
    ]

    @Test(arguments: environments)
    func environment(text: String, expected: [String]) throws {
        let entries = try parse(["command": "x", "env": text]).environment
        #expect(entries.map { "\($0.name)=\($0.value)" } == expected)
    }

    private static let badEnvironments: [(String, Int)] = [
        ("A", 1), ("A=1,B", 5), ("A=1,=2", 5), ("A=\"x", 3), ("A='x,B=1", 3), ("A=\"x\"y", 6),
        ("é=1,B", 5),
    ]

    @Test(arguments: badEnvironments)
    func refusesEnvironment(text: String, column: Int) {
        let error = refusal(["command": "x", "env": text])
        #expect(error?.key == "env")
        #expect(error?.message.hasPrefix("column \(column): ") == true, "\(error as Any)")
    }

    // MARK: Bounds

    private static let timeouts: [(String, Duration?)] = [
        ("", nil), ("0", nil), ("0s", nil), ("000", nil), ("30", .seconds(30)),
        ("10s", .seconds(10)), ("1h30m", .minutes(90)), ("1.5s", .milliseconds(1500)),
        ("9223372036", .seconds(9_223_372_036)),
    ]

    @Test(arguments: timeouts)
    func timeout(text: String, expected: Duration?) throws {
        #expect(try parse(["command": "x", "timeout": text]).timeout == expected)
    }

    @Test(arguments: ["-1s", "-1", "1x", "abc", " 1s", "9223372037", "99999999999999999999", "1d"])
    func refusesTimeout(text: String) {
        #expect(refusal(["command": "x", "timeout": text])?.key == "timeout")
    }

    private static let sizes: [(String, UInt64?)] = [
        ("", nil), ("1", 1), ("1048576", 1_048_576), ("1024B", 1024), ("10bytes", 10),
        ("1k", 1024), ("1Kb", 1024), ("512mB", 512 << 20), ("1.5G", 3 << 29), (".5K", 512),
        ("2.M", 2 << 20), ("1TB", 1 << 40), ("0.0009765625k", 1), ("1.9B", 1),
        ("9223372036854775807", 1 << 63 - 1),
        ("0.1234567890123456789012345T", 135_742_175_046),
    ]

    @Test(arguments: sizes)
    func memoryLimit(text: String, expected: UInt64?) throws {
        let limit = try parse(["command": "x", "mem_limit": text]).memoryLimit
        #expect(limit == expected)
    }

    private static let badSizes = [
        "0", "0.5", "0.1B", "-1", "1 MB", "MB", ".", "1.2.3K", "1PB", "1e3", "9223372036854775808",
        "8388608T", "99999999999999999999999", "0x10",
    ]

    @Test(arguments: badSizes)
    func refusesMemoryLimit(text: String) {
        let error = refusal(["command": "x", "mem_limit": text])
        #expect(error?.key == "mem_limit")
        #expect(error?.message.hasPrefix("column ") == true)
    }

    // MARK: Payload

    private static let payloads: [(String, String)] = [
        ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"),
        ("Zm9vYmE=", "fooba"), ("Zm9vYmFy", "foobar"), ("Zm9v\nYmFy\r\n", "foobar"),
        ("Zh==", "f"),
    ]

    @Test(arguments: payloads)
    func payload(text: String, expected: String) throws {
        let payload = try parse(["command": "x", "payload": text]).payload
        #expect(payload == Array(expected.utf8))
    }

    private static let badPayloads: [(String, Int)] = [
        ("Z", 2), ("Zg", 3), ("Zg=", 4), ("Z===", 2), ("====", 1), ("Zg===", 5), ("Zg==Zg==", 5),
        ("Zm9-", 4), ("Zm 9v", 3), ("Zm9v=", 5), ("Zg=v", 4),
    ]

    @Test(arguments: badPayloads)
    func refusesPayload(text: String, column: Int) {
        let error = refusal(["command": "x", "payload": text])
        #expect(error?.key == "payload")
        #expect(error?.message.hasPrefix("column \(column): ") == true, "\(error as Any)")
    }

    @Test func allBytesSurviveBase64() throws {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        for length in 0..<70 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ length) }
            var text = ""
            for start in stride(from: 0, to: length, by: 3) {
                let group = (0..<3).map { start + $0 < length ? Int(bytes[start + $0]) : 0 }
                let bits = group[0] << 16 | group[1] << 8 | group[2]
                let count = min(3, length - start)
                for place in 0..<4 {
                    text.append(place <= count ? alphabet[bits >> (18 - 6 * place) & 63] : "=")
                }
            }
            #expect(try Base64Text.decode(text) == bytes)
        }
    }

    // MARK: The rest

    @Test func unknownSetting() {
        let error = refusal(["command": "x", "comand": "y"])
        #expect(error?.key == "comand")
        #expect(
            error?.message
                == "the shell executor has no setting \"comand\"; it has command, cwd, env, "
                + "mem_limit, payload, shell, su, timeout")
    }

    @Test(arguments: ["command", "cwd", "env", "su"])
    func zeroBytes(key: String) {
        #expect(refusal(["command": "x", key: "a\0b"])?.key == key)
    }

    @Test(arguments: [":", "a:", ":b", "a:b:c"])
    func refusesUser(text: String) {
        #expect(refusal(["command": "x", "su": text])?.key == "su")
    }

    @Test func spec() throws {
        let command = try parse([
            "command": "backup --all", "env": "A=1,DKRON_JOB_NAME=forged", "cwd": "/srv",
            "su": "web:www", "mem_limit": "1K", "timeout": "5", "payload": "Zm9v",
        ])
        let spec = command.spec(
            execution: ExecutionID("7-node"), jobName: JobName("nightly"),
            environment: [EnvironmentEntry(name: "DKRON_ATTEMPT", value: "2")],
            grace: .seconds(3), fence: .minutes(48))
        #expect(
            spec
                == RunSpec(
                    execution: ExecutionID("7-node"),
                    command: RunSpec.Command(
                        arguments: ["backup", "--all"],
                        environment: [
                            EnvironmentEntry(name: "A", value: "1"),
                            EnvironmentEntry(name: "DKRON_JOB_NAME", value: "forged"),
                            EnvironmentEntry(name: "DKRON_ATTEMPT", value: "2"),
                            EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: "7-node"),
                            EnvironmentEntry(name: "DKRON_JOB_NAME", value: "nightly"),
                            EnvironmentEntry(name: "ENV_JOB_NAME", value: "nightly"),
                        ], workingDirectory: "/srv", user: "web:www", memoryLimit: 1024,
                        payload: Array("foo".utf8)),
                    timeout: .seconds(5), grace: .seconds(3), fence: .minutes(48)))
    }
}
