import Glibc
import Testing

/// Google's services, as far as one message needs them.
private final class PubSubService {
    let port = freePort()
    let keys: String
    private let log: String
    private let scratch: Scratch
    private var program: PythonProgram?

    init(in scratch: Scratch) throws {
        self.scratch = scratch
        keys = scratch.path("keys.json")
        log = scratch.path("published")
        try start()
    }

    func start() throws {
        program = try PythonProgram(
            PubSubPrograms.service,
            #"{"port": \#(port), "keys": "\#(keys)", "log": "\#(log)"}"#, in: scratch)
    }

    func kill() { program?.process.destroy() }

    var published: [Substring] { readText(log).split(separator: "\n") }
    var url: String { "http://127.0.0.1:\(port)" }
}

extension EndToEnd {
    @Suite("Executor gcppubsub", .serialized)
    struct PubSubExecutorTests {
        private func job(
            _ name: String, topic: String = "orders", project: String = "p",
            _ more: String
        ) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "gcppubsub",
             "executor_config": {"project": "\(project)", "topic": "\(topic)"\(more)}}
            """
        }

        private let data = #", "data": "aGVsbG8=""#

        /// Runs a job and gives the execution that came of it.
        private func run(_ server: Server, _ name: String, _ job: String) throws -> JSON {
            try server.save(job)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30", timeout: 60)?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("a service account: its signed claim is right, and the message arrives")
        func serviceAccount() throws {
            let server = Server("pubsub")
            let service = try PubSubService(in: server.scratch)
            server.environment = ["GOOGLE_APPLICATION_CREDENTIALS": service.keys]
            try server.start()
            let endpoint = #", "endpoint": "\#(service.url)""#
            let attributes = #", "attributes": {"kind": "a:b,c", "n": "é\"x"}"#
            let sent = try run(server, "full", job("full", data + attributes + endpoint))
            #expect(sent["state"].string == "success", "\(sent["error"].string ?? "")")
            #expect(sent["output"].string == "1")
            let bare = try run(
                server, "bare", job("bare", topic: "a+b%2F~c", attributes + endpoint))
            #expect(bare["output"].string == "2", "\(bare["error"].string ?? "")")
            let words =
                #"{"attributes": {"kind": "a:b,c", "n": "\u00e9\"x"}"#
            #expect(
                service.published == [
                    #"["p", "orders", "account", \#(words), "data": "aGVsbG8="}]"#[...],
                    #"["p", "a+b%2F~c", "account", \#(words)}]"#[...],
                ], "\(service.published)")
            let missing = try run(
                server, "missing", job("missing", topic: "missing", data + endpoint))
            #expect(
                missing["error"].string
                    == "publish message to topic \"missing\": NOT_FOUND: Resource not found "
                    + "(resource=missing). (status 404)", "\(missing["error"].string ?? "")")
            let flaky = try run(server, "flaky", job("flaky", topic: "flaky", data + endpoint))
            #expect(flaky["state"].string == "success", "\(flaky["error"].string ?? "")")
            // A key that is not the one that the service knows.
            writeText(
                readText(service.keys).replacing("robot@p.example", with: "other@p.example"),
                to: service.keys)
            let other = try run(server, "other", job("other", data + endpoint))
            #expect(
                other["error"].string?.hasPrefix(
                    "no access token of the service account other@p.example: invalid_grant")
                    == true, "\(other["error"].string ?? "")")
            #expect(!server.log.contains("PRIVATE KEY") && !server.log.contains("secret"))
        }

        @Test("an emulator, the metadata server, a user's credentials")
        func otherCredentials() throws {
            let scratch = Scratch("pubsub-ways")
            let service = try PubSubService(in: scratch)
            let place = "127.0.0.1:\(service.port)"
            let endpoint = #", "endpoint": "\#(service.url)""#
            let emulated = Server("pubsub-emulator", in: scratch)
            emulated.environment = ["PUBSUB_EMULATOR_HOST": place]
            try emulated.start()
            let first = try run(
                emulated, "job", job("job", project: "emulated", data))
            #expect(first["output"].string == "1", "\(first["error"].string ?? "")")
            let machine = Server("pubsub-machine", in: scratch)
            machine.environment = ["GCE_METADATA_HOST": place, "HOME": scratch.path("nowhere")]
            try machine.start()
            let second = try run(machine, "job", job("job", data + endpoint))
            #expect(second["output"].string == "2", "\(second["error"].string ?? "")")
            let user = Server("pubsub-user", in: scratch)
            user.environment = ["CLOUDSDK_CONFIG": scratch.folder]
            let path = scratch.path("application_default_credentials.json")
            func write(_ token: String) {
                writeText(
                    """
                    {"type": "authorized_user", "client_id": "me", "client_secret": "s&s",
                     "refresh_token": "\(token)", "token_uri": "\(service.url)/token"}
                    """, to: path)
            }
            write("re/fresh+ me=")
            try user.start()
            let third = try run(user, "job", job("job", data + endpoint))
            #expect(third["output"].string == "3", "\(third["error"].string ?? "")")
            write("old")
            let old = try run(user, "old", job("old", data + endpoint))
            #expect(
                old["error"].string?.contains("invalid_grant: Token has been expired") == true,
                "\(old["error"].string ?? "")")
            let kinds = service.published.map { $0.split(separator: "\"")[5] }
            #expect(kinds == ["nobody", "machine", "user"], "\(service.published)")
        }

        @Test("peers that keep silent, break off, talk nonsense, or never end; no credentials")
        func failures() throws {
            let server = Server("pubsub-failures")
            let service = try PubSubService(in: server.scratch)
            server.environment = ["GOOGLE_APPLICATION_CREDENTIALS": service.keys]
            try server.start()
            let more = data + #", "endpoint": "\#(service.url)", "timeout": "3s""#
            let peers = [
                ("silent", "within the time-out of 3s"), ("half", "before the answer was complete"),
                ("garbage", "does not speak HTTP/1"), ("forever", "longer than the"),
            ]
            for (topic, _) in peers {
                try server.save(job(topic, topic: topic, more))
                #expect(server.send("POST", "/v1/jobs/\(topic)/run?wait=0")?.status == 202)
            }
            try server.requireHealth("pubsub")
            for (topic, words) in peers {
                let ended = try server.execution(of: topic) {
                    ["success", "failed"].contains($0["state"].string)
                }
                #expect(ended["state"].string == "failed")
                let error = ended["error"].string ?? ""
                #expect(error.contains(words), "\(topic): \(error)")
                #expect(
                    error.hasSuffix("it may have carried out what it was asked for"), "\(error)")
            }
            writeText("{}", to: service.keys)
            let empty = try run(server, "empty", job("empty", more))
            #expect(
                empty["error"].string?.hasSuffix(
                    "keys.json holds no credentials: there is no "
                        + "\"type\"") == true, "\(empty["error"].string ?? "")")
            unlink(service.keys)
            let gone = try run(server, "gone", job("gone", more))
            #expect(
                gone["error"].string?.contains("which does not exist") == true,
                "\(gone["error"].string ?? "")")
            let bad = server.send("POST", "/v1/jobs", job("bad", #", "data": "a b""#))
            #expect(bad?.status == 400)
            #expect(bad?.json["field"].string == "executor_config.data", "\(bad?.text ?? "")")
        }

        @Test("1,000 messages, the service restarted: none claimed in vain, none sent twice")
        func thousand() throws {
            let server = Server("pubsub-thousand")
            let service = try PubSubService(in: server.scratch)
            let place = "127.0.0.1:\(service.port)"
            server.environment = ["PUBSUB_EMULATOR_HOST": place]
            try server.start()
            try server.save(job("job", topic: "lossy", project: "emulated", data))
            for number in 0..<1_000 {
                if number == 500 {
                    service.kill()
                    try service.start()
                }
                #expect(server.send("POST", "/v1/jobs/job/run?wait=0")?.status == 202)
            }
            var counts = (claimed: 0, failed: 0)
            let isOver = eventually(60) {
                let job = server.get("/v1/jobs/job")?.json
                counts.claimed = Int(job?["success_count"].integer ?? 0)
                counts.failed = Int(job?["error_count"].integer ?? 0)
                return counts.claimed + counts.failed >= 1_000
            }
            #expect(isOver, "\(counts)")
            let published = service.published
            #expect(
                published.allSatisfy {
                    $0 == #"["emulated", "lossy", "nobody", {"data": "aGVsbG8="}]"#
                })
            // One whose answer was lost is there and not claimed.
            #expect(counts.claimed >= 400 && counts.failed > 0, "\(counts)")
            #expect(
                published.count >= counts.claimed && published.count <= 1_000,
                "\(published.count) published, \(counts)")
        }
    }
}
