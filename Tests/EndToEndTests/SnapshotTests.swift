import Glibc
import Testing

extension EndToEnd {
    @Suite("A log that outgrows its bound", .serialized)
    struct SnapshotTests {
        @Test(
            "becomes a snapshot, old segments go, and a kill loses nothing",
            .enabled(if: getenv("DKRON_BINARY") != nil, "writes 50 MB, for an optimised build"))
        func outgrow() throws {
            let server = Server("snapshot")
            try server.start()
            try server.save(shellJob("ticker", "echo tick", schedule: "@every 1s"))
            let padding = String(repeating: "x", count: 60_000)
            var owners: [String: Int] = [:]
            for number in 0..<850 {
                let name = "job\(number % 100)"
                try server.save(
                    shellJob(
                        name, "true",
                        more: #", "owner": "\#(number)", "metadata": {"a": "\#(padding)"}"#))
                owners[name] = number
            }
            let (_, listing) = try run(
                ["ls", server.dataDirectory + "/snapshots", server.dataDirectory + "/journal"],
                in: server.scratch)
            #expect(listing.contains(".snap"), "\(listing)")
            #expect(!listing.contains("0000000000000001.log"), "\(listing)")
            server.crash()
            try server.start()
            for (name, number) in owners {
                let owner = server.get("/v1/jobs/\(name)")?.json["owner"].string
                #expect(owner == "\(number)", "\(name)")
            }
            pause(1.5)
            #expect(Ledger(of: "ticker", on: server).gaps(every: 1) == [])
            let outputs = server.executions(of: "ticker").filter {
                $0["state"].string == "success" && $0["output"].string != "tick\n"
            }
            #expect(outputs.isEmpty)
        }
    }
}
