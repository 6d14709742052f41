import Glibc
import Testing

private func kafkaJob(_ name: String, _ brokers: String, _ settings: String) -> String {
    """
    {"name": "\(name)", "schedule": "@manually", "executor": "kafka", "executor_config":
     {"brokerAddress": "\(brokers)", \(settings)}}
    """
}

/// Runs a job and gives the execution that came of it.
private func outcome(_ server: Server, _ name: String, _ job: String) throws -> JSON {
    try server.save(job)
    #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30", timeout: 60)?.status == 200)
    return try server.execution(of: name) { ["success", "failed"].contains($0["state"].string) }
}

/// Runs a job so many times, and gives how many of them succeeded; all have ended.
private func claims(
    _ server: Server, _ name: String, runs: Int, _ before: (Int) throws -> Void = { _ in }
) throws -> Int {
    for number in 0..<runs {
        try before(number)
        #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=0")?.status == 202)
    }
    var counts = (claimed: 0, failed: 0)
    let isOver = eventually(120) {
        let job = server.get("/v1/jobs/\(name)")?.json
        counts.claimed = Int(job?["success_count"].integer ?? 0)
        counts.failed = Int(job?["error_count"].integer ?? 0)
        return counts.claimed + counts.failed >= runs
    }
    #expect(isOver, "\(counts)")
    return counts.claimed
}

extension EndToEnd {
    @Suite(
        "Executor kafka with librdkafka's brokers", .serialized,
        .enabled(if: MockCluster.isInstalled, "needs kcat and python3"))
    struct KafkaClusterTests {
        @Test("key, message and headers arrive byte by byte, in the partition of other clients")
        func arrives() throws {
            let server = Server("kafka")
            let cluster = try MockCluster(in: server.scratch)
            try cluster.order("topic orders 4")
            try server.start()
            let text = #"a:b,c \"d\" é\n%s"#
            var keys = ""
            for (number, key) in ["k", "key-2", "über", "12345678", "a:b"].enumerated() {
                let sent = try outcome(
                    server, "job\(number)",
                    kafkaJob(
                        "job\(number)", cluster.brokers,
                        #""topic": "orders", "key": "\#(key)", "message": "\#(text)", "#
                            + #""headers": "[\"Kind: x:y\", \"n: 1\"]", "debug": "true""#))
                #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
                let output = sent["output"].string ?? ""
                #expect(output.contains("< topic orders: 4 partitions; "))
                #expect(
                    output.contains(
                        "Result: successfully produced the message on Kafka broker\nPartition "))
                keys += "\(key)\t\(key)\n"
            }
            let bytes = "a:b,c \"d\" é\n%s"
            let ours = try cluster.stored("orders", "%p|%k|%h|%S|%s|%o\u{1}")
            let messages = ours.split(separator: "\u{1}")
            #expect(messages.count == 5)
            for message in messages {
                #expect(
                    message.contains("|Kind=x:y,n=1|\(bytes.utf8.count)|\(bytes)|"), "\(message)")
            }
            // The same keys, as librdkafka spreads them in the manner of the Java client.
            try cluster.order("topic others 4")
            writeText(keys, to: server.scratch.path("keys"))
            let (ending, output) = try run(
                [
                    "kcat", "-P", "-b", cluster.brokers, "-t", "others", "-K", "\t", "-X",
                    "topic.partitioner=murmur2", "-l", server.scratch.path("keys"),
                ], in: server.scratch)
            #expect(ending == .exited(0), "\(output)")
            let theirs = try cluster.stored("others", "%p|%k\u{1}").split(separator: "\u{1}")
            let places = messages.map { $0.split(separator: "|").prefix(2).joined(separator: "|") }
            #expect(Set(places) == Set(theirs.map(String.init)))
        }

        @Test("a leader that changes, brokers that refuse for a while, a partition by number")
        func passing() throws {
            let server = Server("kafka-passing")
            let cluster = try MockCluster(in: server.scratch)
            try cluster.order("topic orders 2")
            try server.start()
            // NOT_LEADER, a coordinator that loads, replicas that are late: of Produce and others.
            try cluster.order("errors 0 6 7 19")
            try cluster.order("errors 22 14 15")
            try cluster.order("leader orders 1 3")
            let settings = #""topic": "orders", "message": "x", "partition": "1""#
            let sent = try outcome(server, "job", kafkaJob("job", cluster.brokers, settings))
            #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            #expect(sent["output"].string?.contains("Partition 1, offset 0") == true)
            #expect(try cluster.stored("orders", "%p %s,") == "1 x,")
            let nowhere = try outcome(
                server, "nowhere",
                kafkaJob(
                    "nowhere", cluster.brokers, #""topic": "orders", "partition": "7""#))
            #expect(
                nowhere["error"].string?.contains("has no partition 7, but 0 to 1") == true,
                "\(nowhere["error"].string ?? "")")
            try cluster.order("errors 0 10")
            let refused = try outcome(
                server, "refused", kafkaJob("refused", cluster.brokers, settings))
            #expect(
                refused["error"].string?.contains("MESSAGE_TOO_LARGE") == true,
                "\(refused["error"].string ?? "")")
        }

        @Test("1,000 messages, while brokers go down and come back: none is claimed in vain")
        func thousand() throws {
            let server = Server("kafka-thousand")
            let cluster = try MockCluster(in: server.scratch)
            try cluster.order("topic orders 3")
            try server.start()
            let settings = #""topic": "orders", "message": "one, two: \"three\"""#
            try server.save(kafkaJob("job", cluster.brokers, settings))
            let claimed = try claims(server, "job", runs: 1_000) { number in
                if number == 300 { try cluster.order("down 1") }
                if number == 450 { try cluster.order("up 1") }
                if number == 600 { for broker in 1...3 { try cluster.order("down \(broker)") } }
                if number == 700 { for broker in 1...3 { try cluster.order("up \(broker)") } }
            }
            let stored = try cluster.stored("orders", "%s\n").split(separator: "\n")
            #expect(stored.allSatisfy { $0 == #"one, two: "three""# })
            #expect(claimed >= 900 && stored.count >= claimed, "\(stored.count) of \(claimed)")
        }
    }

    @Suite("Executor kafka with one broker", .serialized)
    struct KafkaBrokerTests {
        private func broker(
            _ scratch: Scratch, _ options: [String: String]
        ) throws -> (port: Int, program: PythonProgram, stored: () -> [Substring]) {
            let port = freePort()
            let log = scratch.path("stored-\(port)")
            let fields =
                options.map { #""\#($0.key)": \#($0.value)"# }
                + [#""port": \#(port)"#, #""log": "\#(log)""#]
            let program = try PythonProgram(
                KafkaPrograms.broker, "{\(fields.joined(separator: ", "))}", in: scratch)
            return (port, program, { readText(log).split(separator: "\n") })
        }

        @Test("connections that break before and after a message is stored: each is stored once")
        func once() throws {
            let server = Server("kafka-once")
            let (port, program, stored) = try broker(
                server.scratch, ["lose": "7", "drop": "10"])
            try server.start()
            let settings = #""topic": "orders", "key": "k", "message": "m""#
            try server.save(kafkaJob("job", "127.0.0.1:\(port)", settings))
            let claimed = try claims(server, "job", runs: 1_000)
            #expect(claimed == 1_000)
            #expect(stored().count == 1_000)
            #expect(stored().allSatisfy { $0 == #"{"key": "k", "value": "m", "headers": []}"# })
            #expect(!readText(program.log).contains("refused"), "\(readText(program.log))")
        }

        @Test(
            "every mechanism, over TLS",
            arguments: [
                ("PLAIN", "plain"), ("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-512", "sha512"),
            ])
        func login(mechanism: String, word: String) throws {
            let server = Server("kafka-login")
            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("broker", by: "authority")
            let (port, program, stored) = try broker(
                server.scratch,
                [
                    "mechanism": #""\#(mechanism)""#, "user": #""me,=""#, "password": #""pa:ss""#,
                    "certificate": #""\#(made.certificate("broker"))""#,
                    "key": #""\#(made.key("broker"))""#,
                ])
            try server.start()
            func settings(_ password: String, _ word: String) -> String {
                #""topic": "t", "message": "m", "tlsEnable": "true", "timeout": "5s", "#
                    + #""tlsRootCAsFile": "\#(made.certificate("authority"))", "#
                    + #""saslUsername": "me,=", "saslPassword": "\#(password)", "#
                    + #""saslMechanism": "\#(word)""#
            }
            let place = "localhost:\(port)"
            let sent = try outcome(server, "job", kafkaJob("job", place, settings("pa:ss", word)))
            #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            #expect(stored().count == 1)
            let wrong = try outcome(
                server, "wrong", kafkaJob("wrong", place, settings("secret", word)))
            #expect(
                wrong["error"].string?.contains("user name or password is wrong") == true,
                "\(wrong["error"].string ?? "")")
            let other = word == "plain" ? "sha256" : "plain"
            let unknown = try outcome(
                server, "unknown", kafkaJob("unknown", place, settings("pa:ss", other)))
            #expect(
                unknown["error"].string?.contains("does not offer") == true
                    && unknown["error"].string?.contains(mechanism) == true,
                "\(unknown["error"].string ?? "")")
            #expect(!server.log.contains("pa:ss") && !server.log.contains("secret"))
            let plain = try outcome(
                server, "plain", kafkaJob("plain", place, #""topic": "t", "timeout": "2s""#))
            #expect(plain["state"].string == "failed")
            #expect(stored().count == 1, "\(readText(program.log))")
        }

        @Test("a server that only pretends to know the password is found out")
        func liar() throws {
            let server = Server("kafka-liar")
            let (port, program, stored) = try broker(
                server.scratch,
                [
                    "mechanism": #""SCRAM-SHA-256""#, "user": #""me""#, "password": #""right""#,
                    "liar": "true",
                ])
            try server.start()
            let settings =
                #""topic": "t", "saslUsername": "me", "saslPassword": "right", "#
                + #""saslMechanism": "sha256""#
            let sent = try outcome(server, "job", kafkaJob("job", "127.0.0.1:\(port)", settings))
            #expect(
                sent["error"].string?.contains("does not prove that it knows the password")
                    == true, "\(sent["error"].string ?? "")")
            #expect(stored().isEmpty, "\(readText(program.log))")
        }

        @Test("peers that are no brokers, and settings that can't work")
        func failures() throws {
            let server = Server("kafka-failures")
            try server.start()
            let nobody = try outcome(
                server, "nobody", kafkaJob("nobody", "127.0.0.1:\(freePort())", #""topic": "t""#))
            #expect(
                nobody["error"].string?.contains("can't connect to 127.0.0.1:") == true,
                "\(nobody["error"].string ?? "")")
            for (kind, words) in [
                ("silent", "within the time-out of 2s"), ("half", "closed the connection"),
                ("garbage", "does not speak Kafka"), ("empty", "takes no version of Metadata"),
                ("forever", "within the time-out of 2s"),
            ] {
                let port = freePort()
                let peer = try PythonProgram(
                    KafkaPrograms.badPeer, "\(kind) \(port)", in: server.scratch)
                defer { peer.process.destroy() }
                let job = kafkaJob(
                    kind, "127.0.0.1:\(port)", #""topic": "t", "timeout": "2s""#)
                let ended = try outcome(server, kind, job)
                #expect(ended["state"].string == "failed")
                #expect(
                    ended["error"].string?.contains(words) == true,
                    "\(kind): \(ended["error"].string ?? "")")
            }
            let bad = server.send(
                "POST", "/v1/jobs", kafkaJob("bad", "h", #""topic": "t", "saslUsername": "x""#))
            #expect(bad?.status == 400)
            #expect(
                bad?.json["field"].string == "executor_config.saslPassword", "\(bad?.text ?? "")")
        }
    }
}
