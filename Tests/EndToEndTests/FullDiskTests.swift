import Glibc
import Testing

extension EndToEnd {
    @Suite("A full disk", .serialized)
    struct FullDiskTests {
        @Test(
            "the server stops acknowledging, says why, and loses nothing acknowledged",
            .enabled(if: canMount, "needs the right to mount a small disk"))
        func fill() throws {
            let server = Server("full")
            let disk = try Mount(server.scratch.path("disk"), size: "6m")
            server.extraArguments = ["--data-dir", disk.path + "/data"]
            try server.start()

            var acknowledged: [String] = []
            var refusal: Answer?
            let padding = String(repeating: "x", count: 60_000)
            for number in 0..<400 where refusal == nil {
                let name = "job\(number)"
                let job = shellJob(name, "true", more: #", "metadata": {"a": "\#(padding)"}"#)
                let answer = server.send("POST", "/v1/jobs", job, timeout: 10)
                if answer?.status == 201 { acknowledged.append(name) } else { refusal = answer }
                if server.process?.poll() != nil { break }
            }
            #expect(acknowledged.count >= 10)
            #expect(acknowledged.count < 400, "the disk did not get full")
            if let refusal {
                #expect([503, 507].contains(refusal.status), "\(refusal.text)")
                #expect(refusal.json["code"].string != nil)
            }
            let saysWhy = eventually(5) {
                let log = server.log.lowercased()
                return log.contains("no space") || log.contains("full")
            }
            #expect(saysWhy, "\(server.log.suffix(3_000))")

            // A start on the full disk either serves what is there or says what it lacks.
            server.crash()
            try server.launch()
            _ = eventually(10) { server.process?.poll() != nil || server.isServing }
            if let ending = server.process?.poll() {
                #expect([.exited(1), .exited(2)].contains(ending), "\(server.log.suffix(2_000))")
                #expect(server.log.suffix(2_000).contains("No space left"))
            }

            // Room is made, as a person would: everything acknowledged is still there.
            server.crash()
            let roomy = try Mount(server.scratch.path("roomy"), size: "64m")
            let (ending, output) = try run(
                ["cp", "-a", disk.path + "/data", roomy.path + "/data"], in: server.scratch)
            #expect(ending == .exited(0), "\(output)")
            server.extraArguments = ["--data-dir", roomy.path + "/data"]
            try server.start()
            let missing = acknowledged.filter { server.get("/v1/jobs/\($0)")?.status != 200 }
            #expect(missing == [])
            server.crashWithSupervisor()
            withExtendedLifetime((disk, roomy)) {}
        }
    }
}
