import Glibc
import Testing

/// Our executors over the network, served as plugins, against the servers that they are for.
extension EndToEnd {
    @Suite(
        "Messages by plugins for a Go host", .serialized,
        .enabled(if: GoPlugins.isThere, "needs go-plugin"))
    struct PluginDeliveryTests {
        @Test("http: requests, many at a time, over TLS; judged, refused and cancelled")
        func http() throws {
            let server = Server("plugin-http")
            let host = GoHost(scratch: server.scratch)
            try server.start()
            let url = "url=http://127.0.0.1:\(server.httpPort)"
            let (ending, many) = try host(
                "executor", "http", ["calls=200"],
                ["method=GET", url + "/ready", "expectCode=200", "expectBody=."])
            #expect(ending == .exited(0))
            #expect(many.count { $0 == #"error """# } == 200, "\(many.suffix(5))")
            #expect(many.last == "ended true in time true")
            let (_, judged) = try host(
                "executor", "http", [], ["method=GET", url + "/v1/jobs/nobody", "expectCode=200"])
            #expect(judged.contains { $0.hasPrefix("error ") && $0.contains("status 404") })
            #expect(judged.contains { $0.hasPrefix("output ") && $0.contains("nobody") })

            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("server", by: "authority")
            let port = freePort()
            let log = made.scratch.path("s_server")
            let peer = try ChildProcess(
                [
                    "openssl", "s_server", "-www", "-accept", "127.0.0.1:\(port)", "-cert",
                    made.certificate("server"), "-key", made.key("server"),
                ], log: log)
            defer { peer.destroy() }
            #expect(eventually(10) { readText(log).contains("ACCEPT") })
            let safe = ["method=GET", "url=https://localhost:\(port)/", "expectCode=200"]
            let (_, trusted) = try host(
                "executor", "http", [],
                safe + ["tlsRootCAsFile=\(made.certificate("authority"))"])
            #expect(trusted.contains(#"error """#), "\(trusted)")
            let (_, blind) = try host("executor", "http", [], safe)
            #expect(
                blind.contains { $0.contains("an authority that is not trusted") }, "\(blind)")

            try server.save(shellJob("sleeper", "sleep 30"))
            let began = uptime()
            let (_, cancelled) = try host(
                "executor", "http", ["cancel=700"],
                ["method=POST", url + "/v1/jobs/sleeper/run?wait=25", "timeout=0"])
            #expect(cancelled.contains { $0.hasPrefix("failed ") && $0.contains("Canceled") })
            #expect(uptime() - began < 10)
        }

        @Test(
            "nats: what is claimed is stored, by however many plugins",
            .enabled(if: NATSServer.isInstalled, "needs nats-server"))
        func nats() throws {
            let scratch = Scratch("plugin-nats")
            let host = GoHost(scratch: scratch)
            let peer = try NATSServer(in: scratch)
            _ = try peer.ask(
                api: "STREAM.CREATE.ORDERS",
                #"{"name":"ORDERS","subjects":["orders.>"],"storage":"file"}"#)
            let settings = [
                "url=nats://127.0.0.1:\(peer.port)", "subject=orders.new", "message=a b=c, é",
                "jetstream=true",
            ]
            for _ in 0..<2 {
                let (_, lines) = try host("executor", "nats", ["calls=100"], settings)
                #expect(lines.count { $0 == #"error """# } == 100, "\(lines.suffix(5))")
            }
            let stored = try peer.stored("ORDERS")
            #expect(stored.count == 200 && stored.allSatisfy { $0.text == "a b=c, é" })
            #expect(Set(stored.map(\.identifier)).count == 200)

            let silent = try BadPeer(in: scratch, "silent", [])
            let place = "url=nats://127.0.0.1:\(silent.port)"
            let (_, late) = try host(
                "executor", "nats", [], [place, "subject=a", "timeout=2"])
            #expect(late.contains { $0.contains("within the time-out of 2s") }, "\(late)")
            let (_, cancelled) = try host(
                "executor", "nats", ["cancel=500"], [place, "subject=a"])
            #expect(cancelled.contains { $0.hasPrefix("failed ") && $0.contains("Canceled") })
        }

        @Test(
            "kafka: what is claimed is stored, as it was sent",
            .enabled(if: MockCluster.isInstalled, "needs kcat and python3"))
        func kafka() throws {
            let scratch = Scratch("plugin-kafka")
            let cluster = try MockCluster(in: scratch)
            try cluster.order("topic orders 3")
            let (_, lines) = try GoHost(scratch: scratch)(
                "executor", "kafka", ["calls=100"],
                [
                    "brokerAddress=\(cluster.brokers)", "topic=orders", "key=k",
                    "message=a b=c, é", #"headers=["Kind: x:y"]"#,
                ])
            #expect(lines.count { $0 == #"error """# } == 100, "\(lines.suffix(5))")
            let stored = try cluster.stored("orders", "%k|%s|%h\n").split(separator: "\n")
            #expect(stored.count == 100)
            #expect(stored.allSatisfy { $0 == "k|a b=c, é|Kind=x:y" }, "\(stored.prefix(2))")
        }

        @Test(
            "rabbitmq: what is claimed is in the queue",
            .enabled(if: RabbitServer.isInstalled, "needs rabbitmq-server and pika"))
        func rabbitmq() throws {
            let scratch = Scratch("plugin-rabbit")
            let peer = try RabbitServer(in: scratch)
            let (_, lines) = try GoHost(scratch: scratch)(
                "executor", "rabbitmq", ["calls=100"],
                [
                    "url=amqp://127.0.0.1:\(peer.port)", "queue.name=orders", "queue.create=true",
                    "message.body=hello",
                ])
            #expect(lines.count { $0 == #"error """# } == 100, "\(lines.suffix(5))")
            let found = try peer.messages(in: "orders").map { $0.split(separator: "|") }
            #expect(found.count == 100)
            #expect(found.allSatisfy { $0.last == hexadecimal("hello")[...] })
            #expect(Set(found.map { $0[2] }).count == 100, "each has an id of its own")
        }
    }

    @Suite(
        "Our executors as plugins of our agent", .serialized,
        .enabled(if: NATSServer.isInstalled, "needs nats-server"))
    struct OwnPluginTests {
        @Test("a conversation in a plugin: success, failure, kill, and the agent's end")
        func nats() throws {
            let server = Server("relay")
            let scratch = server.scratch
            for folder in ["etc", "etc/plugins", "links"] { mkdir(scratch.path(folder), 0o755) }
            writeText("log-level: debug\n", to: scratch.path("etc/dkron.yml"))
            server.extraArguments = ["--config", scratch.path("etc/dkron.yml")]
            // The agent has an executor nats itself, so the plugin's goes by another name.
            let link = scratch.path("links/dkron-executor-nats")
            symlink(binary, link)
            let plugin = scratch.path("etc/plugins/dkron-executor-relay")
            writeText("#!/bin/sh\nexec \(link)\n", to: plugin)
            chmod(plugin, 0o755)
            let peer = try NATSServer(in: scratch)
            _ = try peer.ask(
                api: "STREAM.CREATE.ORDERS",
                #"{"name":"ORDERS","subjects":["orders.>"],"storage":"file"}"#)
            try server.start()
            func save(_ name: String, _ port: Int, _ more: String = "") throws {
                try server.save(
                    """
                    {"name": "\(name)", "schedule": "@manually", "executor": "relay",
                     "executor_config": {"url": "nats://127.0.0.1:\(port)",
                      "subject": "orders.new", "message": "hello", "jetstream": "true"\(more)}}
                    """)
            }
            func run(_ name: String) throws -> JSON {
                #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
                return try server.execution(of: name) {
                    ["success", "failed"].contains($0["state"].string)
                }
            }
            try save("sent", peer.port)
            for _ in 0..<50 {
                let sent = try run("sent")
                #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            }
            let stored = try peer.stored("ORDERS")
            #expect(stored.count == 50 && stored.allSatisfy { $0.text == "hello" })
            let known = Set(server.executions(of: "sent").compactMap { $0["id"].string?[...] })
            #expect(known == Set(stored.map(\.identifier)), "the attempt's id goes along")

            try save("nowhere", freePort())
            #expect(try run("nowhere")["error"].string?.contains("can't connect to") == true)
            try save("wrong", peer.port, #", "sbject": "x""#)
            #expect(try run("wrong")["error"].string?.contains("sbject") == true)
            let silent = try BadPeer(in: scratch, "silent", [])
            try save("silent", silent.port)
            #expect(server.send("POST", "/v1/jobs/silent/run?wait=0")?.status == 202)
            let running = try server.execution(of: "silent") { $0["state"].string == "running" }
            let id = try #require(running["id"].string)
            _ = server.send("POST", "/v1/jobs/silent/executions/\(id)/kill")
            _ = try server.execution(of: "silent") { $0["state"].string == "killed" }
            #expect(server.isServing)
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(20) == .exited(0))
            #expect(eventually(5) { scratch.processes { $0.contains("nats ") }.isEmpty })
        }
    }
}
