import Glibc
import Testing

extension EndToEnd {
    @Suite("Commands without a server", .serialized)
    struct CommandLineTests {
        private func output(_ arguments: [String], status: Int32 = 0) throws -> String {
            let scratch = Scratch("command")
            let (ending, output) = try run([binary] + arguments, in: scratch)
            #expect(ending == .exited(status), "\(arguments): \(output)")
            return output
        }

        @Test("version")
        func version() throws {
            let text = try output(["version"])
            #expect(text.contains("Version"), "\(text)")
        }

        @Test("keygen prints the key alone")
        func keygen() throws {
            let keys = try (0..<3).map { _ in try output(["keygen"]) }
            for key in keys {
                #expect(key.utf8.count == 25 && key.hasSuffix("==\n"), "16 bytes: \(key)")
            }
            #expect(Set(keys).count == 3)
        }

        @Test("help, with every command")
        func help() throws {
            for arguments in [[], ["--help"], ["help"]] {
                let text = try output(arguments)
                for command in ["agent", "version", "schedule", "job list", "settings"] {
                    #expect(text.contains(command), "\(arguments): \(text)")
                }
            }
        }

        @Test("schedule next")
        func scheduleNext() throws {
            let text = try output([
                "schedule", "next", "0 30 2 * * *", "--timezone", "Europe/Berlin", "--from",
                "2026-03-28T00:00:00Z", "--count", "3",
            ])
            let lines = text.split(separator: "\n")
            #expect(lines.count == 3, "\(text)")
            // 02:30 does not exist on 29 March: the first instant after the gap.
            for (line, tick) in zip(
                lines, ["2026-03-28T02:30", "2026-03-29T03:00", "2026-03-30T02:30"])
            {
                #expect(line.contains(tick), "\(text)")
            }
        }

        @Test("schedule next --batch")
        func batch() throws {
            let scratch = Scratch("batch")
            let input =
                "@daily\tUTC\t2026-01-01T00:00:00Z\n99 * * * * *\tUTC\t2026-01-01T00:00:00Z\n"
            writeText(input, to: scratch.path("input"))
            let command = "'\(binary)' schedule next --batch < '\(scratch.path("input"))'"
            let (ending, text) = try run(["/bin/sh", "-c", command], in: scratch)
            #expect(ending == .exited(0), "\(text)")
            let lines = text.split(separator: "\n").map { $0.split(separator: "\t") }
            #expect(lines.count == 2, "\(text)")
            #expect(
                lines.first?.dropFirst(3).map(String.init)
                    == (2...6).map {
                        "2026-01-0\($0)T00:00:00Z"
                    })
            #expect(lines.last?.contains("ERROR") == true)
        }

        @Test("agent --check-config")
        func checkConfig() throws {
            let scratch = Scratch("check")
            let file = scratch.path("dkron.yml")
            let command = [binary, "agent", "--check-config", "--config", file]
            writeText("server: true\ndata-dir: '\(scratch.path("data"))'\n", to: file)
            let (ending, text) = try run(command + ["--region", "eu"], in: scratch)
            #expect(ending == .exited(0), "\(text)")
            let lines = text.split(separator: "\n")
            #expect(lines.contains { $0.hasPrefix("server ") && $0.hasSuffix("\(file):1") })
            #expect(lines.contains { $0.hasPrefix("region  ") && $0.hasSuffix("--region") })
            #expect(access(scratch.path("data"), F_OK) != 0)
            writeText("server: true\nregoin: eu\nencrypt: swordfish\n", to: file)
            let (refusal, problems) = try run(command, in: scratch)
            #expect(refusal == .exited(1))
            #expect(problems.contains("\(file):2: there is no option called \"regoin\""))
            #expect(problems.contains("\(file):3: encrypt: "))
            #expect(!problems.contains("swordfish"), "\(problems)")
        }

        @Test("a wrong schedule shows where")
        func wrongSchedule() throws {
            let text = try output(["schedule", "next", "0 61 * * * *"], status: 1)
            #expect(text.contains("61") && text.contains("column"), "\(text)")
        }
    }
}
