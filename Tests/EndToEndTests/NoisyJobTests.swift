import Glibc
import Testing

extension EndToEnd {
    @Suite("A noisy job on a small disk", .serialized)
    struct NoisyJobTests {
        @Test(
            "outputs give way before the log does: the disk never gets full",
            .enabled(if: canMount, "needs the right to mount a small disk"))
        func noise() throws {
            let server = Server("noisy")
            let disk = try Mount(server.scratch.path("disk"), size: "40m")
            server.extraArguments = ["--data-dir", disk.path + "/data"]
            try server.start()
            for number in 0..<6 {
                try server.save(
                    """
                    {"name":"noise\(number)","schedule":"@every 1s","executor":"shell",
                    "executor_config":{"shell":"true",
                    "command":"head -c 240000 /dev/urandom | base64 -w 0; echo; echo the end"}}
                    """)
            }
            let used = { () -> Double in
                var status = statvfs()
                guard statvfs(disk.path, &status) == 0 else { return 1 }
                return 1 - Double(status.f_bavail) / Double(status.f_blocks)
            }
            var most = 0.0
            let end = uptime() + 25
            while uptime() < end {
                most = max(most, used())
                pause(0.2)
            }
            #expect(most < 0.95, "\(most)")
            #expect(!server.log.contains("No space left"), "\(server.log.suffix(2_000))")
            #expect(server.log.contains("the oldest outputs were dropped"))
            #expect(server.send("POST", "/v1/jobs", shellJob("last", "true"))?.status == 201)

            // The newest are there to read, the oldest say what became of them.
            let executions = server.executions(of: "noise0").filter {
                $0["state"].string == "success"
            }
            #expect(executions.count > 10)
            let newest = try #require(executions.first?["id"].string)
            let output = server.get("/v1/jobs/noise0/executions/\(newest)/output")
            #expect(output?.text.hasSuffix("the end\n") ?? false)
            let oldest = try #require(executions.last?["id"].string)
            let gone = server.get("/v1/jobs/noise0/executions/\(oldest)/output")
            #expect(gone?.status == 410, "\(gone?.text.prefix(200) ?? "")")
            server.crashWithSupervisor()
            withExtendedLifetime(disk) {}
        }
    }
}
