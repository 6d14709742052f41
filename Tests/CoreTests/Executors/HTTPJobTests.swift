import Testing

@testable import Core

@Suite("Settings of the http executor")
struct HTTPJobTests {
    private func job(_ more: [(String, String)]) throws(ExecutorSettingError) -> HTTPJob {
        let given = more.map(\.0)
        let usual = [("url", "http://h/"), ("method", "GET")].filter { !given.contains($0.0) }
        return try HTTPJob.parse((usual + more).map { (key: $0.0, value: $0.1) })
    }

    @Test("what a job says becomes a request")
    func request() throws {
        let job = try job([
            ("url", "http://me:pw@h:81/p?q"), ("method", "post"), ("body", "x=1"),
            ("headers", #"["X-A: b:c", "Accept:text/plain ", "Empty:"]"#), ("timeout", "5"),
            ("expectCode", "200, 201 ,204"), ("debug", "false"), ("tlsNoVerifyPeer", "false"),
        ])
        #expect(job.exchange.method == .post)
        #expect(job.timeout == .seconds(5))
        #expect(job.expectedStatuses == [200, 201, 204])
        #expect(!job.isVerbose)
        let call = job.call(
            execution: ExecutionID("7-n"),
            identity: [EnvironmentEntry(name: "DKRON_JOB_NAME", value: "a")], fence: nil)
        #expect(
            String(decoding: call.exchange.bytes, as: UTF8.self) == """
                POST /p?q HTTP/1.1\r
                Host: h:81\r
                Connection: close\r
                X-A: b:c\r
                Accept: text/plain\r
                Empty: \r
                Authorization: Basic bWU6cHc=\r
                User-Agent: dkron\r
                Dkron-Job-Name: a\r
                Content-Length: 3\r
                \r
                x=1
                """)
    }

    @Test("what is left out has a default")
    func defaults() throws {
        let job = try job([])
        #expect(job.timeout == .seconds(30))
        #expect(job.expectedStatuses.isEmpty && job.expectedBody == nil && !job.isVerbose)
        #expect(try self.job([("timeout", "0")]).timeout == nil)
        #expect(try self.job([("timeout", "1m30s")]).timeout == .seconds(90))
        #expect(try self.job([("debug", "yes")]).isVerbose)
        #expect(
            try self.job([("headers", #"["Host: other"]"#)]).exchange.headers["Host"] == "other")
    }

    @Test(
        "what is refused names its key",
        arguments: [
            ("url", "", "required"), ("url", "ftp://h/", "must be http or https"),
            ("method", "", "required"), ("method", "GE T", "not a method"),
            ("method", "CONNECT", "tunnel"),
            ("headers", "X: y", "not JSON"), ("headers", "{}", "list"),
            ("headers", "[1]", "entry 1"),
            ("headers", #"["A: b", "nothing"]"#, "entry 2 has no colon"),
            ("headers", #"[": x"]"#, "name"),
            ("headers", #"["A b: c"]"#, "name"), ("headers", #"["A: b\nC: d"]"#, "control"),
            ("headers", #"["content-length: 5"]"#, "connection itself"),
            ("headers", #"["DKRON-Group: 5"]"#, "set by dkron"),
            ("headers", #"["Host: a","host: b"]"#, "twice"),
            ("timeout", "soon", "number"), ("timeout", "-1s", "negative"),
            ("expectCode", "20", "\"20\""),
            ("expectCode", "200,", "\"\""), ("expectCode", "2xx", "2xx"),
            ("expectCode", "100", "100"),
            ("expectBody", "(", "not closed"),
            ("tlsNoVerifyPeer", "maybe", "neither true nor false"),
            ("retries", "1", "no setting"),
        ] as [(String, String, String)])
    func refusals(_ row: (key: String, value: String, words: String)) {
        let error = #expect(throws: ExecutorSettingError.self) {
            try job([(row.key, row.value)])
        }
        #expect(error?.key == row.key)
        #expect(error?.message.contains(row.words) == true, "\(error.map { "\($0)" } ?? "taken")")
    }

    @Test("TLS: whom to believe, and what to show, of which half is nothing")
    func tls() throws {
        #expect(try job([]).exchange.tls == TLSSettings())
        let full = try job([
            ("url", "https://h/"), ("tlsNoVerifyPeer", "true"), ("tlsRootCAsFile", "r"),
            ("tlsCertificateFile", "c"), ("tlsCertificateKeyFile", "k"),
        ])
        let peer = try #require(full.exchange.peer)
        #expect(peer.host == "h" && !peer.settings.verifiesPeer && peer.settings.rootsFile == "r")
        #expect(peer.settings.certificate == .init(file: "c", keyFile: "k"))
        for (given, missing) in [
            ("tlsCertificateFile", "tlsCertificateKeyFile"),
            ("tlsCertificateKeyFile", "tlsCertificateFile"),
        ] {
            let error = #expect(throws: ExecutorSettingError.self) { try job([(given, "x")]) }
            #expect(error?.key == missing && error?.message.contains("needs both") == true)
        }
    }
}
