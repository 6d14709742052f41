import Testing

extension EndToEnd {
    @Suite("Bad peers", .serialized, .enabled(if: BadPeer.isInstalled, "needs python3"))
    struct BadPeerTests {
        private static let manners = ["silent", "half-way", "garbage", "forever"]
        private static let web = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"

        /// An executor or a processor, its settings for a peer, and what the protocol's servers may
        /// say at first.
        struct Case: CustomTestStringConvertible {
            let name: String
            let settings: String
            let words: [UInt8]

            init(_ name: String, _ settings: String, _ words: String) {
                self.init(name, settings, Array(words.utf8))
            }

            init(_ name: String, _ settings: String, _ words: [UInt8]) {
                (self.name, self.settings, self.words) = (name, settings, words)
            }

            var testDescription: String { name }
        }

        private static let executors = [
            Case("http", #""url": "http://PEER/", "method": "GET""#, web),
            Case("nats", #""url": "nats://PEER", "subject": "a""#, "INFO {}\r\n"),
            Case(
                "rabbitmq", #""url": "amqp://PEER", "queue": "a""#, [8, 0, 0, 0, 0, 0, 0, 0xce]),
            Case("grpc", #""url": "PEER/s.S/M""#, [0, 0, 0, 4, 0, 0, 0, 0, 0]),
            Case(
                "kafka", #""brokerAddress": "PEER", "topic": "a""#,
                [0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Case(
                "docker", #""host": "tcp://PEER", "image": "a", "stop_timeout": "1s""#, web),
            Case(
                "ecs",
                #""taskdefName": "a", "region": "eu-central-1", "cluster": "c", "#
                    + #""accessKeyId": "A", "secretAccessKey": "s", "endpoint": "http://PEER""#,
                web),
        ]

        @Test(
            "silent, half-way, nonsense, without end: an execution fails in time, and that is all",
            arguments: executors)
        func servers(_ each: Case) throws {
            let server = Server("bad-\(each.name)")
            try server.start()
            let peers = try Self.manners.map { try BadPeer(in: server.scratch, $0, each.words) }
            for (manner, peer) in zip(Self.manners, peers) {
                let settings = each.settings.replacing("PEER", with: "127.0.0.1:\(peer.port)")
                try server.save(
                    """
                    {"name": "\(manner)", "schedule": "@manually", "executor": "\(each.name)",
                     "executor_config": {\(settings), "timeout": "3"}}
                    """)
            }
            for manner in Self.manners {
                #expect(server.send("POST", "/v1/jobs/\(manner)/run?wait=0")?.status == 202)
            }
            try server.requireHealth(each.name)
            for (manner, peer) in zip(Self.manners, peers) {
                // Docker's and Amazon's are asked to clean up, for a while.
                let ended = try server.execution(of: manner, within: 40) {
                    $0["finished_at"].string?.hasPrefix("2") == true
                }
                let error = ended["error"].string ?? ""
                #expect(ended["state"].string == "failed", "\(manner)")
                #expect(error.contains("127.0.0.1:\(peer.port)"), "\(manner): \(error)")
            }
            try server.requireHealth(each.name)
        }

        private static let processors = [
            Case("syslog", #""address": "tcp://PEER""#, "nothing\n"),
            Case("syslog", #""address": "tls://PEER""#, [22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3]),
            Case(
                "email",
                #""host": "127.0.0.1", "port": PORT, "from": "a@b.c", "to": "x@y.z", "#
                    + #""on_success": true"#, "220 mail.example ESMTP\r\n"),
            Case("webhook", #""url": "http://PEER/""#, web),
        ]

        @Test("a processor's peer does not change what a run came to", arguments: processors)
        func receivers(_ each: Case) throws {
            let server = Server("bad-\(each.name)")
            try server.start()
            let peers = try Self.manners.map { try BadPeer(in: server.scratch, $0, each.words) }
            for (manner, peer) in zip(Self.manners, peers) {
                let settings = each.settings.replacing("PEER", with: "127.0.0.1:\(peer.port)")
                    .replacing("PORT", with: "\(peer.port)")
                let own = #""\#(each.name)": {\#(settings), "timeout": "3s"}"#
                try server.save(
                    shellJob(manner, "echo hello", more: #", "processors": {\#(own)}"#))
            }
            let began = uptime()
            for manner in Self.manners {
                #expect(server.send("POST", "/v1/jobs/\(manner)/run?wait=0")?.status == 202)
            }
            try server.requireHealth(each.name)
            for manner in Self.manners {
                let ended = try server.execution(of: manner) {
                    $0["state"].string == "success" && $0["processing"].bool != true
                }
                // Over TCP syslog answers nothing; whoever takes all of it has it.
                if each.settings.contains("tcp://"), manner != "half-way" { continue }
                let notes = ended["notes"].elements.compactMap(\.string)
                #expect(
                    notes.first?.hasPrefix("processor \(each.name): ") == true,
                    "\(manner): \(notes)")
                #expect(ended["output"].string == "hello\n", "\(manner)")
            }
            #expect(uptime() - began < 12)
            try server.requireHealth(each.name)
        }

        @Test("a mail server of any manner delays no result", arguments: manners)
        func mailServers(_ manner: String) throws {
            let scratch = Scratch("bad-mail")
            let peer = try BadPeer(in: scratch, manner, Array("220 mail.example\r\n".utf8))
            let server = Server(
                "bad-mail", in: scratch,
                arguments: [
                    "--mail-host", "127.0.0.1", "--mail-port", "\(peer.port)", "--mail-from", "a@b",
                ])
            try server.start()
            try server.save(shellJob("told", "echo hello", more: #", "owner_email": "x@y.z""#))
            #expect(server.send("POST", "/v1/jobs/told/run?wait=5")?.status == 200)
            let ended = try server.execution(of: "told") { $0["state"].string == "success" }
            #expect(ended["output"].string == "hello\n")
            try server.requireHealth(manner)
            #expect(
                server.get("/metrics")?.text.contains("dkron_notifications_waiting 1\n") == true)
        }
    }
}
