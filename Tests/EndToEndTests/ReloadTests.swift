import Glibc
import Testing

extension EndToEnd {
    @Suite("Reading the configuration again", .serialized)
    struct ReloadTests {
        /// A server with a configuration file, and the file's path.
        private func server(_ name: String, _ text: String) throws -> (Server, String) {
            let server = Server(name)
            let path = server.scratch.path("dkron.yml")
            writeText(text, to: path)
            server.extraArguments = ["--config", path]
            try server.start()
            return (server, path)
        }

        private func role(_ server: Server) -> String? {
            server.get("/v1/members")?.json.elements.first?["Tags"]["role"].string
        }

        @Test("SIGHUP takes tags and log level; what needs a restart is named")
        func takes() throws {
            let (server, path) = try server("reload", "tags: {role: web}\n")
            #expect(role(server) == "web")
            try server.save(
                shellJob("picky", "echo here", more: #", "tags": {"role": "db"}"#))
            #expect(server.send("POST", "/v1/jobs/picky/run")?.status == 409)
            try server.save(shellJob("tags", "echo $DKRON_TAGS"))
            func told() throws -> String? {
                #expect(server.send("POST", "/v1/jobs/tags/run")?.status == 200)
                return server.executions(of: "tags").first?["output"].string
            }
            #expect(try told()?.contains(#""role":"web""#) == true)
            writeText("tags: {role: db}\nlog-level: warn\nmax-running: 7\n", to: path)
            server.process?.signal(SIGHUP)
            #expect(eventually(5) { role(server) == "db" }, "\(server.log)")
            #expect(server.send("POST", "/v1/jobs/picky/run")?.status == 200)
            let output = try told()
            #expect(output?.contains(#""role":"db""#) == true, "\(output ?? "")")
            let warning = "these options have changed and take effect at the next start"
            #expect(server.log.contains("\(warning)\" options=max-running"), "\(server.log)")
            // No line of level info any more.
            let log = server.log
            let change = try #require(log.firstRange(of: warning))
            #expect(!log[change.upperBound...].contains("run requested"), "\(log)")
        }

        @Test("a bad file changes nothing, and the log names file and line")
        func refuses() throws {
            let (server, path) = try server("reload-bad", "tags: {role: web}\n")
            writeText("tags: {role: db}\n\nrole: db\n", to: path)
            server.process?.signal(SIGHUP)
            #expect(eventually(5) { server.log.contains("\(path):3: there is no option") })
            #expect(role(server) == "web")
            writeText("tags: {role: db}\n", to: path)
            server.process?.signal(SIGHUP)
            #expect(eventually(5) { role(server) == "db" }, "\(server.log)")
            #expect(server.process?.poll() == nil)
        }

        @Test("the service manager hears of start, reload and stop, and commands don't hear of it")
        func tells() throws {
            let server = Server("notify")
            let path = server.scratch.path("notify")
            let manager = try NotifySocket(path)
            server.environment = ["NOTIFY_SOCKET": path]
            try server.start()
            #expect(manager.receive() == "READY=1")
            server.process?.signal(SIGHUP)
            #expect(manager.receive()?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true)
            #expect(manager.receive() == "READY=1")
            try server.save(shellJob("env", "env; echo done"))
            #expect(server.send("POST", "/v1/jobs/env/run")?.status == 200)
            let output = try server.execution(of: "env") { $0["state"].string == "success" }
            #expect(output["output"].string?.contains("done") == true)
            #expect(output["output"].string?.contains("NOTIFY_SOCKET") == false)
            server.process?.signal(SIGTERM)
            #expect(manager.receive() == "STOPPING=1")
            #expect(server.process?.wait(5) == .exited(0))
        }
    }
}

/// What a service manager listens on.
private final class NotifySocket {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(code == 0)
    }

    deinit { close(descriptor) }

    /// The next message; nil if none comes within a few seconds.
    func receive() -> String? {
        var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&event, 1, 5_000) == 1 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 1_000)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }
}
