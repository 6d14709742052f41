import Testing

extension EndToEnd {
    @Suite(
        "Executor rabbitmq", .serialized,
        .enabled(if: RabbitServer.isInstalled, "needs rabbitmq-server and pika"))
    struct RabbitMQExecutorTests {
        private func job(_ name: String, _ settings: String) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "rabbitmq",
             "executor_config": {\(settings)}}
            """
        }

        /// Runs a job and gives the execution that came of it.
        private func run(_ server: Server, _ name: String, _ settings: String) throws -> JSON {
            try server.save(job(name, settings))
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a message arrives as it was written, by the new keys and by the old ones")
        func arrives() throws {
            let server = Server("rabbit")
            let peer = try RabbitServer(in: server.scratch)
            try server.start()
            let url = #""url": "amqp://127.0.0.1:\#(peer.port)""#
            let text = #"a:b,c \"d\" é\r\n"#
            let new = try run(
                server, "new",
                url + #", "queue.name": "new", "queue.create": "true", "queue.durable": "true","#
                    + #" "message.body": "\#(text)", "message.delivery_mode": "2","#
                    + #" "message.content_type": "text/x", "message.messageId": "7","#
                    + #" "message.headers": ["Kind: x:y"]"#)
            #expect(new["state"].string == "success", "\(new["error"].string ?? "")")
            let hex = hexadecimal("a:b,c \"d\" é\r\n")
            #expect(
                try peer.messages(in: "new") == ["text/x|2|7|{'Kind': 'x:y'}|\(hex)"])

            let old = try run(server, "old", url + #", "queue": "old", "base64": "AP8KzgE=""#)
            #expect(old["state"].string == "success", "\(old["error"].string ?? "")")
            let id = try #require(old["id"].string)
            #expect(try peer.messages(in: "old") == ["text/plain|None|\(id)|None|00ff0ace01"])

            // More than the largest frame that this server takes.
            let long = String(repeating: "0123456789", count: 50_000)
            let large = try run(
                server, "large", url + #", "queue.name": "old", "message.body": "\#(long)""#)
            #expect(large["state"].string == "success", "\(large["error"].string ?? "")")
            let empty = try run(server, "empty", url + #", "queue.name": "old""#)
            #expect(empty["state"].string == "success", "\(empty["error"].string ?? "")")
            let found = try peer.messages(in: "old")
            #expect(found.count == 2 && found[0].hasSuffix("|500000") && found[1].hasSuffix("|"))

            let bound = try run(
                server, "bound",
                url + #", "queue.name": "key", "queue.create": "1", "exchange": "letters","#
                    + #" "exchange.type": "topic", "queue.bind": "true", "message.body": "x""#)
            #expect(bound["state"].string == "success", "\(bound["error"].string ?? "")")
            #expect(try peer.messages(in: "key").count == 1)
        }

        @Test("what can't be delivered is a failure that says who, and why")
        func failures() throws {
            let server = Server("rabbit-failures")
            let peer = try RabbitServer(in: server.scratch)
            try server.start()
            _ = try peer.ask(
                """
                channel.queue_declare("kept", durable=True)
                channel.queue_declare("full", arguments={"x-max-length": 1,
                                                        "x-overflow": "reject-publish"})
                channel.basic_publish("", "full", b"first")
                """)
            let place = "127.0.0.1:\(peer.port)"
            let cases: [(String, String, String)] = [
                ("nobody", "amqp://\(place)", #""queue.name": "nobody""#),
                ("full", "amqp://\(place)", #""queue.name": "full""#),
                ("kept", "amqp://\(place)", #""queue": "kept""#),
                ("where", "amqp://\(place)", #""queue.name": "kept", "exchange": "nowhere""#),
                ("who", "amqp://guest:secret@\(place)", #""queue.name": "kept""#),
                ("host", "amqp://\(place)/elsewhere", #""queue.name": "kept""#),
            ]
            let reasons = [
                "no queue took the message for the queue \"nobody\": NO_ROUTE (312)",
                "the server could not keep the message for the queue \"full\"",
                "can't declare the queue \"kept\": PRECONDITION_FAILED",
                "the exchange \"nowhere\" and the key \"kept\": NOT_FOUND - no exchange 'nowhere'",
                "the server refuses the user \"guest\": ACCESS_REFUSED",
                "can't open the virtual host \"elsewhere\": NOT_ALLOWED",
            ]
            for ((name, url, settings), reason) in zip(cases, reasons) {
                let failed = try run(server, name, #""url": "\#(url)", \#(settings)"#)
                let error = failed["error"].string ?? ""
                #expect(error.hasPrefix("\(place): ") && error.contains(reason), "\(error)")
            }
            let gone = freePort()
            let silent = try run(
                server, "silent",
                #""url": "amqp://127.0.0.1:\#(gone),amqp://\#(place)", "queue.name": "kept""#)
            #expect(silent["state"].string == "success", "\(silent["error"].string ?? "")")
            let http = try run(
                server, "http",
                #""url": "amqp://127.0.0.1:\#(server.httpPort)", "queue.name": "q""#)
            #expect(http["error"].string?.contains("does not speak AMQP") == true)
            #expect(!server.log.contains("secret"))
            let bad = server.send(
                "POST", "/v1/jobs", job("bad", #""url": "amqp://h", "queue.nme": "x""#))
            #expect(bad?.status == 400)
            #expect(bad?.json["field"].string == "executor_config.queue.nme")
        }

        @Test("over TLS, with a certificate of ours")
        func secure() throws {
            let server = Server("rabbit-tls")
            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("server", by: "authority")
            try made.make("client", by: "authority")
            let peer = try RabbitServer(in: server.scratch, made)
            try server.start()
            let url = #""url": "amqps://localhost:\#(peer.securePort)", "queue": "q""#
            let roots = #", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            let own =
                #", "tlsCertificateFile": "\#(made.certificate("client"))","#
                + #" "tlsCertificateKeyFile": "\#(made.key("client"))""#
            let sent = try run(server, "sent", url + roots + own)
            #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            let blind = try run(server, "blind", url + own)
            #expect(blind["error"].string?.contains("an authority that is not trusted") == true)
            let bare = try run(server, "bare", url + roots)
            #expect(bare["state"].string == "failed")
            #expect(try peer.messages(in: "q").count == 1)
        }

        @Test("what is claimed has arrived, also when the server is killed in between")
        func survives() throws {
            let server = Server("rabbit-kill")
            let peer = try RabbitServer(in: server.scratch)
            try server.start()
            _ = try peer.ask(#"channel.queue_declare("orders", durable=True)"#)
            try server.save(
                job(
                    "order",
                    #""url": "amqp://127.0.0.1:\#(peer.port)", "queue.name": "orders","#
                        + #" "message.body": "hello", "message.delivery_mode": "2""#))
            for number in 0..<1_000 {
                if number == 500 {
                    peer.kill()
                    try peer.start()
                }
                #expect(server.send("POST", "/v1/jobs/order/run?wait=0")?.status == 202)
            }
            // Only the newest executions are kept; the job counts all.
            var counts = (claimed: 0, failed: 0)
            let isOver = eventually(120) {
                let job = server.get("/v1/jobs/order")?.json
                counts.claimed = Int(job?["success_count"].integer ?? 0)
                counts.failed = Int(job?["error_count"].integer ?? 0)
                return counts.claimed + counts.failed >= 1_000
            }
            #expect(isOver, "\(counts)")
            let found = try peer.messages(in: "orders").map { $0.split(separator: "|") }
            let hello = hexadecimal("hello")
            #expect(found.allSatisfy { $0.count == 5 && $0[1] == "2" && $0[4] == hello })
            #expect(counts.claimed >= 400, "\(counts)")
            // One whose confirmation was lost has arrived and is not claimed.
            #expect(
                found.count >= counts.claimed && found.count <= 1_000, "\(found.count) \(counts)")
            let arrived = Set(found.map { String($0[2]) })
            #expect(arrived.count == found.count)
            for execution in server.executions(of: "order")
            where execution["state"].string == "success" {
                #expect(arrived.contains(execution["id"].string ?? ""))
            }
        }
    }
}
