import Testing

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
            let text = #"a:b,c \"d\" é\r\nPING\r\n"#
            try server.save(job("order", url, #", "jetstream": "true""#, message: text))
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
            let stored = try peer.stored("ORDERS")
            #expect(counts.claimed >= 400, "\(counts)")
            // One whose answer was lost is stored and not claimed.
            #expect(
                stored.count >= counts.claimed && stored.count <= 1_000,
                "\(stored.count) stored, \(counts)")
            #expect(stored.allSatisfy { $0.text == "a:b,c \"d\" é\r\nPING\r\n" })
            let arrived = Set(stored.map(\.identifier))
            #expect(arrived.count == stored.count)
            for execution in server.executions(of: "order")
            where execution["state"].string == "success" {
                #expect(arrived.contains(execution["id"].string?[...] ?? ""))
            }
        }
    }
}
