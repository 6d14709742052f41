import Glibc
import Testing

/// A real NATS server for one test.
private final class NATSServer {
    static let isInstalled = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].contains {
        access($0 + "/nats-server", X_OK) == 0
    }

    let port = freePort()
    private let scratch: Scratch
    private let options: [String]
    private var process: ChildProcess?

    init(in scratch: Scratch, _ options: String...) throws {
        self.scratch = scratch
        self.options = options
        try start()
    }

    deinit { process?.destroy() }

    func start() throws {
        let log = scratch.path("nats-\(scratch.unique())")
        process = try ChildProcess(
            [
                "nats-server", "-a", "127.0.0.1", "-p", "\(port)", "-js", "-sd",
                scratch.path("jetstream"),
            ] + options, log: log)
        let isReady = eventually(10) { readText(log).contains("Server is ready") }
        try #require(isReady, "\(readText(log))")
    }

    func kill() {
        process?.signal(SIGKILL)
        process?.wait(10)
    }

    /// Says something and gives what is answered within a moment.
    func ask(_ text: String, seconds: Int = 1) throws -> String {
        let connection = try #require(Connection(port: port, timeout: seconds))
        connection.send("CONNECT {\"headers\":true}\r\n" + text)
        return String(decoding: connection.receiveAll(), as: UTF8.self)
    }

    /// A request to the server's own interface for streams.
    func ask(api subject: String, _ body: String = "") throws -> String {
        try ask(
            "SUB answer 1\r\nPUB $JS.API.\(subject) answer \(body.utf8.count)\r\n\(body)\r\n")
    }
}

extension EndToEnd {
    @Suite("Executor nats", .serialized, .enabled(if: NATSServer.isInstalled, "needs nats-server"))
    struct NATSExecutorTests {
        private func job(
            _ name: String, _ url: String, _ more: String = "", message: String = "hello"
        ) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "nats", "executor_config":
             {"url": "\(url)", "subject": "orders.new", "message": "\(message)"\(more)}}
            """
        }

        /// Runs a job and gives the execution that came of it.
        private func run(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a message arrives as it was written, with its headers")
        func arrives() throws {
            let server = Server("nats")
            let peer = try NATSServer(in: server.scratch)
            try server.start()
            let listener = try #require(Connection(port: peer.port, timeout: 2))
            listener.send("CONNECT {\"headers\":true}\r\nSUB orders.* 1\r\nPING\r\n")
            pause(0.2)
            let url = "nats://127.0.0.1:\(peer.port)"
            let text = #"a:b,c \"d\" é\r\nPING\r\n"#
            let sent = try run(
                server, "plain", job("plain", url, #", "debug": "true""#, message: text))
            #expect(sent["state"].string == "success")
            #expect(
                sent["output"].string?.hasSuffix("Result: Message successfully sent\n") == true)
            let headed = try run(
                server, "headed", job("headed", url, #", "headers": "[\"Kind: x:y\"]""#))
            #expect(headed["state"].string == "success")
            let heard = String(decoding: listener.receiveAll(), as: UTF8.self)
            let bytes = "a:b,c \"d\" é\r\nPING\r\n"
            #expect(heard.contains("MSG orders.new 1 \(bytes.utf8.count)\r\n\(bytes)\r\n"))
            #expect(heard.contains("NATS/1.0\r\nKind: x:y\r\n\r\nhello\r\n"), "\(heard)")
        }

        @Test("what can't be sent is a failure that says who, and why")
        func failures() throws {
            let server = Server("nats-failures")
            let peer = try NATSServer(in: server.scratch, "--user", "me", "--pass", "secret")
            try server.start()
            let url = "127.0.0.1:\(peer.port)"
            let refused = try run(server, "refused", job("refused", "nats://\(url)"))
            #expect(refused["state"].string == "failed")
            #expect(refused["error"].string?.contains("\(url): the server refuses") == true)
            let known = try run(server, "known", job("known", "nats://me:secret@\(url)"))
            #expect(known["state"].string == "success", "\(known["error"].string ?? "")")
            let settings = #", "userName": "me", "password": "secret", "jetstream": "true""#
            let nowhere = try run(server, "nowhere", job("nowhere", "nats://\(url)", settings))
            #expect(
                nowhere["error"].string?.contains("no stream stores messages of the subject")
                    == true, "\(nowhere["error"].string ?? "")")
            let gone = freePort()
            let silent = try run(server, "silent", job("silent", "nats://127.0.0.1:\(gone)"))
            #expect(silent["error"].string?.contains("can't connect to 127.0.0.1:\(gone)") == true)
            let http = try run(
                server, "http",
                job("http", "nats://127.0.0.1:\(server.httpPort)", #", "timeout": "2""#))
            #expect(http["error"].string?.contains("within the time-out of 2s") == true)
            #expect(!server.log.contains("secret"))
            let bad = server.send("POST", "/v1/jobs", job("bad", "nats://h", #", "sbject": "x""#))
            #expect(bad?.status == 400)
            #expect(bad?.json["field"].string == "executor_config.sbject")
        }

        @Test("over TLS, which the server asks for")
        func secure() throws {
            let server = Server("nats-tls")
            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("server", by: "authority")
            let peer = try NATSServer(
                in: server.scratch, "--tls", "--tlscert", made.certificate("server"), "--tlskey",
                made.key("server"))
            try server.start()
            let roots = #", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            for scheme in ["tls", "nats"] {
                let url = "\(scheme)://localhost:\(peer.port)"
                let sent = try run(server, scheme, job(scheme, url, roots))
                #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            }
            let blind = try run(server, "blind", job("blind", "tls://localhost:\(peer.port)"))
            #expect(blind["error"].string?.contains("an authority that is not trusted") == true)
        }

        @Test("what is said to be stored is stored, also when the server is killed in between")
        func survives() throws {
            let server = Server("nats-kill")
            let peer = try NATSServer(in: server.scratch)
            try server.start()
            let created = try peer.ask(
                api: "STREAM.CREATE.ORDERS",
                #"{"name":"ORDERS","subjects":["orders.>"],"storage":"file"}"#)
            #expect(created.contains(#""name":"ORDERS""#), "\(created)")
            let url = "nats://127.0.0.1:\(peer.port)"
            try server.save(job("order", url, #", "jetstream": "true""#))
            for number in 0..<1_000 {
                if number == 500 {
                    peer.kill()
                    try peer.start()
                }
                #expect(server.send("POST", "/v1/jobs/order/run?wait=0")?.status == 202)
            }
            // Only the newest executions are kept; the job counts all.
            var counts = (claimed: 0, failed: 0)
            let isOver = eventually(60) {
                let job = server.get("/v1/jobs/order")?.json
                counts.claimed = Int(job?["success_count"].integer ?? 0)
                counts.failed = Int(job?["error_count"].integer ?? 0)
                return counts.claimed + counts.failed >= 1_000
            }
            #expect(isOver, "\(counts)")
            let info = try peer.ask(api: "STREAM.INFO.ORDERS")
            let stored = info.firstMatch(of: /"messages":([0-9]+)/).flatMap { Int($0.1) } ?? -1
            #expect(counts.claimed >= 400, "\(counts)")
            // One whose answer was lost is stored and not claimed.
            #expect(stored >= counts.claimed && stored <= 1_000, "\(stored) stored, \(counts)")
        }
    }
}
