import Glibc
import Testing

extension EndToEnd {
    @Suite("Limits of open files", .serialized)
    struct OpenFilesTests {
        @Test("the agent takes what it may, and what it starts gets what there was before")
        func raised() throws {
            let scratch = Scratch("open-files")
            let folder = scratch.path("etc/plugins")
            mkdir(scratch.path("etc"), 0o755)
            mkdir(folder, 0o755)
            writeText("log-level: debug\n", to: scratch.path("etc/dkron.yml"))
            let plugin = "\(folder)/dkron-executor-mute"
            let limit = scratch.path("limit")
            writeText("#!/bin/sh\nulimit -Sn > \(limit)\nexec sleep 62\n", to: plugin)
            chmod(plugin, 0o755)
            let server = Server(
                "open-files", in: scratch, arguments: ["--config", scratch.path("etc/dkron.yml")])
            server.wrapper = ["sh", "-c", "ulimit -Sn 300; exec \"$@\"", "sh"]
            try server.start()
            let limits = readText("/proc/\(server.processID)/limits").split(separator: "\n")
            let line = try #require(limits.first { $0.hasPrefix("Max open files") })
            let words = line.split(separator: " ")
            #expect(words[3] == words[4], "the soft one is the hard one: \(line)")
            try server.save(shellJob("asks", "ulimit -Sn"))
            #expect(server.send("POST", "/v1/jobs/asks/run")?.status == 200)
            let execution = try server.execution(of: "asks") { $0["state"].string == "success" }
            #expect(execution["output"].string == "300\n")
            #expect(eventually(5) { readText(limit) == "300\n" }, "\(readText(limit))")
        }
    }
}
