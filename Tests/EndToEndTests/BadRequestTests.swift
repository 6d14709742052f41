import Testing

/// A request that must be refused, and what the refusal must tell.
struct BadRequest {
    let method: String
    let path: String
    let body: String
    let headers: [(String, String)]
    let status: Int
    /// The member at fault, when one is.
    let field: String?
    /// Pieces of the sentence: what is wrong, where, and what to do instead.
    let words: [String]

    init(
        _ status: Int, _ method: String, _ path: String, body: String = "",
        headers: [(String, String)] = [], field: String? = nil, says words: String...
    ) {
        self.method = method
        self.path = path
        self.body = body
        self.headers = headers
        self.status = status
        self.field = field
        self.words = words
    }

    /// A job whose only fault is in the given members.
    init(job members: String, field: String, says words: String...) {
        let needsSchedule = !members.contains("\"schedule\"")
        method = "POST"
        path = "/v1/jobs"
        body =
            "{\"name\": \"bad\", " + (needsSchedule ? "\"schedule\": \"@daily\", " : "") + members
            + "}"
        headers = []
        status = 400
        self.field = field
        self.words = words
    }

    /// What is wrong with the answer; empty when it is as it must be.
    func faults(of answer: Answer?) -> [String] {
        let request = "\(method) \(path) \(body.prefix(120))"
        guard let answer else { return ["\(request): no answer"] }
        var faults: [String] = []
        if answer.status != status { faults.append("status \(answer.status), not \(status)") }
        let sentence = answer.json["error"].string ?? ""
        if sentence.isEmpty { faults.append("no sentence") }
        let code = answer.json["code"].string ?? ""
        if code.isEmpty || !code.allSatisfy({ $0.isLowercase || $0 == "_" }) {
            faults.append("code \"\(code)\"")
        }
        if let field, answer.json["field"].string != field {
            faults.append("field \(answer.json["field"].string ?? "none"), not \(field)")
        }
        for word in words where !sentence.lowercased().contains(word.lowercased()) {
            faults.append("no \"\(word)\" in it")
        }
        return faults.isEmpty ? [] : ["\(request): \(faults): \(answer.text.prefix(400))"]
    }
}

extension EndToEnd {
    @Suite("Requests that are refused", .serialized)
    struct BadRequestTests {
        static let documents: [BadRequest] = [
            .init(400, "POST", "/v1/jobs", body: "{", says: "line 1", "column"),
            .init(400, "POST", "/v1/jobs", body: "", says: "empty"),
            .init(400, "POST", "/v1/jobs", body: "null", says: "name"),
            .init(400, "POST", "/v1/jobs", body: "[1]", says: "object"),
            .init(
                400, "POST", "/v1/jobs", body: "{\"name\": \"a\",\n \"x\" 1}", says: "line 2",
                "column"),
            .init(
                400, "POST", "/v1/jobs", body: #"{"name": "a", "schedule": "@daily"} x"#,
                says: "line 1", "column"),
            .init(
                400, "POST", "/v1/jobs", body: String(repeating: "[", count: 9_000), says: "deep"),
            .init(
                413, "POST", "/v1/jobs",
                body: #"{"name": "a", "x": ""# + String(repeating: "y", count: 1_100_000) + "\"}",
                says: "1048576"),
            .init(
                400, "POST", "/v1/jobs", body: #"{"schedule": "@daily"}"#, field: "name",
                says: "name"),
            .init(
                400, "POST", "/v1/jobs", body: #"{"name": "My job", "schedule": "@daily"}"#,
                field: "name", says: "\"M\"", "lower-case"),
            .init(
                400, "POST", "/v1/jobs", body: #"{"name": 7, "schedule": "@daily"}"#,
                field: "name"),
            .init(
                400, "PUT", "/v1/jobs/a", body: #"{"name": "b", "schedule": "@daily"}"#,
                field: "name"),
            .init(404, "PATCH", "/v1/jobs/none", body: #"{"retries": 1}"#, says: "none"),
            .init(
                400, "PUT", "/v1/settings", body: #"{"bananas": 1}"#, field: "bananas",
                says: "bananas"),
            .init(400, "POST", "/v1/restore", body: "hello", says: "file"),
        ]

        static let jobs: [BadRequest] = [
            .init(job: #""scheduel": "@daily""#, field: "scheduel", says: "scheduel"),
            .init(job: #""schedule": """#, field: "schedule"),
            .init(job: #""schedule": "* * *""#, field: "schedule", says: "field", "6"),
            .init(
                job: #""schedule": "0 61 * * * *""#, field: "schedule", says: "61", "minute",
                "column"),
            .init(
                job: #""schedule": "0 0 0 30 2 *""#, field: "schedule", says: "none of these days",
                "column 7"),
            .init(job: #""schedule": "@every soon""#, field: "schedule", says: "column 8", "90s"),
            .init(job: #""schedule": "@dayly""#, field: "schedule", says: "@dayly"),
            .init(job: #""schedule": "@at 2001-02-03T04:05:06Z""#, field: "schedule", says: "past"),
            .init(job: #""timezone": "Mars/Base""#, field: "timezone", says: "Mars/Base"),
            .init(job: #""timezone": "../../etc/passwd""#, field: "timezone"),
            .init(job: #""concurrency": "maybe""#, field: "concurrency", says: "allow", "forbid"),
            .init(job: #""retries": -1"#, field: "retries", says: "-1"),
            .init(job: #""retries": 1.5"#, field: "retries", says: "1.5"),
            .init(job: #""retries": "2""#, field: "retries", says: "number"),
            .init(job: #""disabled": "yes""#, field: "disabled", says: "true"),
            .init(
                job: #""starts_at": "yesterday""#, field: "starts_at",
                says: "2006-01-02T15:04:05Z"),
            .init(job: #""catch_up": "sometimes""#, field: "catch_up", says: "latest"),
            .init(job: #""catch_up_window": "x""#, field: "catch_up_window", says: "90s"),
            .init(job: #""lost_after": "5s""#, field: "lost_after", says: "30s"),
            .init(job: #""dst": "twice""#, field: "dst", says: "once", "literal"),
            .init(job: #""parent_job": "bad""#, field: "parent_job", says: "own parent"),
            .init(
                job: #""tags": {"role": "web:0"}"#, field: "tags.role", says: "\"0\"",
                "1 to 2147483647"),
            .init(
                job: #""tags": {"role": "web:-1"}"#, field: "tags.role", says: "\"-1\"",
                "1 to 2147483647"),
            .init(job: #""tags": ["a"]"#, field: "tags", says: "object"),
            .init(
                job: shell(#""comand": "date""#), field: "executor_config.comand", says: "comand"),
            .init(job: shell(#""shell": "true""#), field: "executor_config.command"),
            .init(
                job: shell(#""command": "echo a; echo b""#), field: "executor_config.command",
                says: ";", "shell"),
            .init(
                job: shell(#""command": "echo 'a""#), field: "executor_config.command",
                says: "quote"),
            .init(
                job: shell(#""command": "date", "timeout": "soon""#),
                field: "executor_config.timeout", says: "timeout", "90s"),
            .init(
                job: shell(#""command": "date", "mem_limit": "lots""#),
                field: "executor_config.mem_limit", says: "mem_limit", "512MB"),
            .init(
                job: shell(#""command": "cat", "payload": "?""#), field: "executor_config.payload",
                says: "base64"),
            .init(
                job: shell(#""command": "date", "shell": "perhaps""#),
                field: "executor_config.shell", says: "perhaps"),
        ]

        static let paths: [BadRequest] = [
            .init(404, "GET", "/nope", says: "/nope"),
            .init(404, "GET", "/v1/nope", says: "/v1/nope"),
            .init(404, "GET", "/v1/jobs/none", says: "none"),
            .init(404, "DELETE", "/v1/jobs/none", says: "none"),
            .init(404, "POST", "/v1/jobs/none/run", says: "none"),
            .init(404, "POST", "/v1/jobs/none/toggle", says: "none"),
            .init(404, "GET", "/v1/jobs/none/executions", says: "none"),
            .init(404, "DELETE", "/v1/jobs/none/executions", says: "none"),
            .init(404, "GET", "/v1/jobs/none/ticks", says: "none"),
            .init(404, "GET", "/v1/jobs/good/executions/17-x", says: "17-x"),
            .init(404, "POST", "/v1/jobs/good/executions/17-x/kill", says: "17-x"),
            .init(405, "DELETE", "/v1/members", says: "GET"),
            .init(405, "POST", "/v1/leader", says: "GET"),
            .init(405, "GET", "/v1/restore", says: "POST"),
            .init(400, "GET", "/v1/jobs/%zz", says: "'%'"),
            .init(400, "GET", "/v1/jobs?_sort=banana", field: "_sort", says: "banana", "name"),
            .init(
                400, "GET", "/v1/jobs/good/executions?_sort=banana", field: "_sort",
                says: "banana"),
            .init(
                400, "GET", "/v1/jobs/good/ticks?from=yesterday", field: "from", says: "from",
                "2006-01-02T15:04:05Z"),
            .init(400, "POST", "/v1/jobs/good/run?wait=banana", field: "wait", says: "banana"),
            .init(
                412, "PUT", "/v1/jobs/good", body: #"{"schedule": "@daily"}"#,
                headers: [("If-Match", "\"999\"")]),
            .init(
                412, "PUT", "/v1/jobs/good", body: #"{"schedule": "@daily"}"#,
                headers: [("If-None-Match", "*")]),
            .init(409, "DELETE", "/v1/jobs/good", says: "child"),
        ]

        private static func shell(_ members: String) -> String {
            #""executor": "shell", "executor_config": {"# + members + "}"
        }

        @Test("each is told what, where and what to do instead; nothing is saved")
        func table() throws {
            let server = Server("refused")
            try server.start()
            try server.save(shellJob("good", "true"))
            try server.save(
                shellJob("child", "true", schedule: "", more: #", "parent_job": "good""#))
            var faults: [String] = []
            for request in Self.documents + Self.jobs + Self.paths {
                let answer = server.send(
                    request.method, request.path, request.body, headers: request.headers)
                faults += request.faults(of: answer)
                if request.status == 405, answer?.header("allow") == nil {
                    faults.append("\(request.method) \(request.path): no Allow")
                }
            }
            #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
            let names = server.get("/v1/jobs")?.json.elements.compactMap { $0["name"].string }
            #expect(names == ["child", "good"])
        }

        @Test("bytes that are no proper request are answered or cut off, and harm nobody")
        func rawBytes() throws {
            let server = Server("raw")
            try server.start()
            var faults: [String] = []
            for (name, bytes, statuses) in Self.raw {
                let connection = try #require(Connection(port: server.httpPort, timeout: 5))
                connection.send(bytes)
                connection.finish()
                let received = connection.receiveAll()
                guard let answer = Answer(received) else {
                    if !statuses.isEmpty || !received.isEmpty {
                        faults.append("\(name): \(received.count) bytes, no answer")
                    }
                    continue
                }
                if !statuses.contains(answer.status) {
                    faults.append("\(name): status \(answer.status), not \(statuses)")
                }
                if answer.status >= 400, answer.json["error"].string == nil {
                    faults.append("\(name): no sentence: \(answer.text)")
                }
            }
            #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
            #expect(server.isServing)
            #expect(server.process?.poll() == nil)
        }

        /// An empty list of statuses: the connection just ends.
        static let raw: [(name: String, bytes: [UInt8], statuses: [Int])] = [
            ("nothing", [], []),
            ("half a request", text("GET /v1/jobs HTT"), []),
            (
                "half a body",
                text("POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"), []
            ),
            ("zeros", [UInt8](repeating: 0, count: 64), [400]),
            ("noise", noise + text("\r\n\r\n"), [400]),
            ("a TLS greeting", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3] + noise, [400]),
            ("no version", text("GET /v1/jobs\r\n\r\n"), [400]),
            ("version 2", text("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), [505]),
            ("no host", text("GET /v1 HTTP/1.1\r\n\r\n"), [400]),
            ("two hosts", text("GET /v1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), [400]),
            ("a header without colon", get("what is this"), [400]),
            ("a blank before the colon", get("Accept : x"), [400]),
            ("a folded header", get("Accept: x\r\n y"), [400]),
            ("a null in a header", get("Accept: \0"), [400]),
            ("a length in letters", get("Content-Length: ten"), [400]),
            ("a negative length", get("Content-Length: -1"), [400]),
            ("two lengths", get("Content-Length: 1\r\nContent-Length: 2"), [400]),
            (
                "a length and chunks",
                get("Content-Length: 1\r\nTransfer-Encoding: chunked"), [400]
            ),
            ("an unknown coding", get("Transfer-Encoding: gzip"), [400, 501]),
            ("chunked twice", get("Transfer-Encoding: chunked, chunked"), [400]),
            ("a chunk in letters", get("Transfer-Encoding: chunked") + text("xyz\r\n"), [400]),
            (
                "a chunk beyond all bounds",
                get("Transfer-Encoding: chunked") + text("ffffffffffffffff\r\n"), [400, 413]
            ),
            ("an unknown expectation", get("Expect: miracles"), [417]),
            ("a very long header", get("A: " + String(repeating: "a", count: 200_000)), [431]),
            (
                "a very long path",
                text("GET /" + String(repeating: "a", count: 200_000) + " HTTP/1.1\r\n\r\n"), [414]
            ),
            ("very many headers", get(manyHeaders), [431]),
        ]

        private static let manyHeaders = (0..<5_000).map { "a\($0): b" }.joined(separator: "\r\n")
        private static let noise = (0..<200).map {
            UInt8(truncatingIfNeeded: $0 &* 193 &+ 7) | 0x80
        }

        private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

        private static func get(_ header: String) -> [UInt8] {
            text("GET /v1 HTTP/1.1\r\nHost: a\r\n\(header)\r\n\r\n")
        }
    }
}
