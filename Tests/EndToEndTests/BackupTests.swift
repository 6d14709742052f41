import Glibc
import Testing

extension EndToEnd {
    @Suite("Backup, recovery and restore", .serialized)
    struct BackupTests {
        private func dkron(
            _ scratch: Scratch, _ arguments: [String], status: Int32 = 0,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> String {
            let (ending, output) = try run([binary] + arguments, in: scratch, seconds: 60)
            #expect(
                ending == .exited(status), "\(arguments): \(output)",
                sourceLocation: sourceLocation)
            return output
        }

        @Test("a copy taken under load becomes a server that goes on from there")
        func recover() throws {
            let server = Server("origin")
            try server.start()
            try server.save(
                #"""
                {"name":"beat","schedule":"@every 1s","executor":"shell",
                "executor_config":{"command":"echo beat; head -c 30000 /dev/zero","shell":"true"}}
                """#)
            for number in 0..<50 {
                try server.save(shellJob("job\(number)", "true"))
            }
            _ = eventually(15) { server.executions(of: "beat").count >= 4 }
            let file = server.scratch.path("copy.backup")
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            let taken = try dkron(server.scratch, ["backup", file] + address)
            #expect(taken.contains("51 jobs of origin"), "\(taken)")
            // Goes on changing while it is read: what was copied stays of one moment.
            let seen = server.executions(of: "beat").count
            server.crashWithSupervisor()

            let copy = Server("copy", in: server.scratch)
            let made = try dkron(
                server.scratch, ["recover", file, "--data-dir", copy.dataDirectory])
            #expect(made.contains("51 jobs"), "\(made)")
            let twin = try dkron(
                server.scratch, ["recover", file, "--data-dir", server.scratch.path("twin")])
            func name(_ text: String) -> Substring? {
                text.split(separator: "in a new cluster ").last?.prefix { $0 != "." }
            }
            #expect(name(made) != name(twin), "each copy is a cluster of its own")
            try copy.start()
            #expect(copy.get("/v1/jobs/job49")?.status == 200)
            let cluster = try #require(name(made))
            #expect(copy.get("/v1")?.json["cluster"]["id"].string == String(cluster))
            let kept = copy.executions(of: "beat")
            #expect(kept.count >= 3 && kept.count <= seen + 5, "\(kept.count)")
            let id = try #require(kept.last?["id"].string)
            let output = copy.get("/v1/jobs/beat/executions/\(id)/output")
            #expect(output?.text.hasPrefix("beat\n") ?? false)
            let before = kept.count
            #expect(eventually(15) { copy.executions(of: "beat").count > before + 1 })

            // Never into what holds something, and never from half a file.
            let again = try dkron(
                server.scratch, ["recover", file, "--data-dir", copy.dataDirectory], status: 1)
            #expect(again.contains("is not empty"), "\(again)")
            let half = server.scratch.path("half.backup")
            _ = try run(["sh", "-c", "head -c 5000 \(file) > \(half)"], in: server.scratch)
            let fresh = server.scratch.path("fresh")
            let cut = try dkron(
                server.scratch, ["recover", half, "--data-dir", fresh], status: 1)
            #expect(cut.contains("cut short"), "\(cut)")
            #expect(access(fresh, F_OK) != 0, "nothing was made of it")
            copy.crashWithSupervisor()
        }

        @Test("jobs of a backup or an export go into a running server")
        func restore() throws {
            let server = Server("restore")
            try server.start()
            try server.save(shellJob("one", "true"))
            try server.save(shellJob("two", "true"))
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            let file = server.scratch.path("jobs.backup")
            _ = try dkron(server.scratch, ["backup", file] + address)
            #expect(server.send("DELETE", "/v1/jobs/two")?.status == 200)
            let dry = try dkron(server.scratch, ["restore", "--dry-run", file] + address)
            #expect(dry.contains("would be created: 1"), "\(dry)")
            #expect(server.get("/v1/jobs/two")?.status == 404)
            let real = try dkron(server.scratch, ["restore", file] + address)
            #expect(real.hasPrefix("created: 1, updated: 0, unchanged: 1"), "\(real)")
            #expect(server.get("/v1/jobs/two")?.status == 200)

            let export = server.scratch.path("jobs.json")
            writeText(server.get("/v1/jobs")?.text ?? "", to: export)
            let same = try dkron(server.scratch, ["restore", export] + address)
            #expect(same.hasPrefix("created: 0, updated: 0, unchanged: 2"), "\(same)")
            writeText("not jobs", to: export)
            let refused = try dkron(server.scratch, ["restore", export] + address, status: 1)
            #expect(!refused.isEmpty)
            let missing = try dkron(
                server.scratch, ["restore", "/nowhere/jobs.json"] + address, status: 2)
            #expect(missing.contains("No such file"), "\(missing)")
            server.crashWithSupervisor()
        }

        @Test("five fields and ~: what a restore says of them")
        func doubtful() throws {
            let server = Server("doubtful")
            try server.start()
            let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
            func restore(_ more: String..., status: Int32 = 0) throws -> String {
                let file = server.scratch.path("jobs.json")
                return try dkron(
                    server.scratch, ["restore", file] + more + address, status: status)
            }
            let jobs = server.scratch.path("jobs.json")
            writeText(
                #"[{"name":"five","schedule":"30 2 * * *"},"#
                    + #"{"name":"any","schedule":"0 ~ 4 * * *"}]"#,
                to: jobs)
            let five = try restore()
            #expect(five.contains(#"five: imported disabled: The schedule "30 2 * * *" has"#))
            #expect(five.contains(#"any: the ~ of "0 ~ 4 * * *" stands for another"#), "\(five)")
            let lines = try restore("--fields", "crontab")
            #expect(lines == "created: 0, updated: 1, unchanged: 1\n", "\(lines)")
            #expect(server.get("/v1/jobs/five")?.json["disabled"].bool == false)

            writeText(server.get("/v1/jobs")?.text ?? "", to: jobs)
            for _ in 0..<2 {
                let same = try restore("--strict")
                #expect(same == "created: 0, updated: 0, unchanged: 2\n", "\(same)")
            }
            let wrong = try restore("--fields", "dkron", status: 2)
            #expect(wrong.contains("--fields knows only"), "\(wrong)")
            server.crashWithSupervisor()
        }
    }
}
