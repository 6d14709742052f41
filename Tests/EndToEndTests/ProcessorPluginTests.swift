import Glibc
import Testing

extension EndToEnd {
    @Suite("Processor plugins", .serialized, .enabled(if: GoPlugins.isThere, "needs go-plugin"))
    struct ProcessorPluginTests {
        private func server(_ name: String) throws -> Server {
            let scratch = Scratch(name)
            let folder = scratch.path("etc/plugins")
            mkdir(scratch.path("etc"), 0o755)
            mkdir(folder, 0o755)
            writeText("log-level: debug\n", to: scratch.path("etc/dkron.yml"))
            symlink(try GoPlugins.program("processor"), folder + "/dkron-processor-go")
            // A name that is built in is not looked for.
            symlink(try GoPlugins.program("processor"), folder + "/dkron-processor-log")
            return Server(
                name, in: scratch, arguments: ["--config", scratch.path("etc/dkron.yml")])
        }

        private func run(_ server: Server, _ name: String, _ processors: String) throws -> JSON {
            let saved = try server.save(
                """
                {"name": "\(name)", "schedule": "@manually", "executor": "shell",
                 "executor_config": {"command": "echo printed"}, "processors": {\(processors)}}
                """)
            #expect(saved["warnings"].elements.isEmpty, "the plugin is known")
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a processor in Go changes outputs, judges runs, and comes back after a crash")
        func unmodified() throws {
            let server = try server("go-processor")
            try server.start()
            let seen = try run(server, "seen", #""go": {"do": "describe", "k": "a:b,c"}"#)
            #expect(seen["state"].string == "success", "\(server.log.suffix(2_000))")
            let lines = (seen["output"].string ?? "").split(separator: "\n").map(String.init)
            #expect(lines.first?.hasPrefix("seen true 8 go-processor ") == true, "\(lines)")
            #expect(lines.contains("k=a:b,c"))
            #expect(lines.contains("reporting_node=go-processor"))

            let judged = try run(server, "judged", #""go": {"do": "fail"}"#)
            #expect(judged["state"].string == "failed")
            #expect(judged["output"].string == "printed\njudged a failure\n")

            let refused = try run(server, "refused", #""go": {"do": "refuse"}"#)
            #expect(refused["state"].string == "success")
            #expect(refused["output"].string == "printed\n")
            #expect(
                refused["notes"].elements.compactMap(\.string)
                    == ["processor go: the processor refused: no such thing"])

            let crashed = try run(server, "crashed", #""go": {"do": "crash"}"#)
            #expect(crashed["state"].string == "success")
            #expect(crashed["output"].string == "printed\n")
            let note = crashed["notes"].elements.first?.string ?? ""
            #expect(note.contains("did not finish: it ended with exit status 2"), "\(note)")
            #expect(server.isServing, "the server does not mind")
            let again = try run(server, "again", #""go": {"do": "fail"}"#)
            #expect(again["state"].string == "failed", "it was started again")
        }
    }
}
