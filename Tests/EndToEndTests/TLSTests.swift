import Glibc
import Testing

/// Takes connections without a word.
private final class SilentListener {
    private let descriptor: Int32

    init(_ port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(port)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        try #require(isBound && listen(descriptor, 8) == 0)
    }

    deinit { close(descriptor) }

    /// Waits for clients, and closes each after its first bytes.
    func takeAndClose(count: Int) {
        for _ in 0..<count {
            let client = accept(descriptor, nil, nil)
            var bytes = [UInt8](repeating: 0, count: 1_024)
            _ = recv(client, &bytes, bytes.count, 0)
            close(client)
        }
    }
}

extension EndToEnd {
    /// TLS against the programs `openssl` and `curl`, and against ourselves.
    @Suite("TLS", .serialized)
    struct TLSTests {
        private func certificates(_ name: String) throws -> Certificates {
            let certificates = Certificates(scratch: Scratch(name))
            try certificates.makeAuthority("authority")
            try certificates.make("server", by: "authority")
            return certificates
        }

        /// A server whose API speaks https, perhaps only to those with a certificate, such as the
        /// one named `client`.
        private func start(
            _ name: String, _ certificates: Certificates, clients: String? = nil
        ) throws -> Server {
            let server = Server(name, in: certificates.scratch)
            server.extraArguments = [
                "--http-tls-cert", certificates.certificate("server"), "--http-tls-key",
                certificates.key("server"),
            ]
            if let clients {
                server.extraArguments += [
                    "--http-tls-client-ca", certificates.certificate(clients),
                ]
            }
            let probe =
                clients == nil
                ? []
                : [
                    "--cert", certificates.certificate("client"), "--key",
                    certificates.key("client"),
                ]
            try server.launch()
            let isListening = try eventually(15) {
                try curl(server, ["--insecure", "--fail"] + probe, path: "/ready").ending
                    == .exited(0)
            }
            try #require(isListening, "\(server.log)")
            return server
        }

        private func curl(
            _ server: Server, _ arguments: String..., path: String = "/health"
        ) throws -> (ending: ChildProcess.Ending?, output: String) {
            try curl(server, arguments, path: path)
        }

        private func curl(
            _ server: Server, _ arguments: [String], path: String
        ) throws -> (ending: ChildProcess.Ending?, output: String) {
            let url = "https://localhost:\(server.httpPort)\(path)"
            return try run(
                ["curl", "--silent", "--show-error", "--ipv4", "--max-time", "10"] + arguments
                    + [url], in: server.scratch)
        }

        // MARK: The API

        @Test("the API speaks https to curl, openssl and our own commands, 1.2 and 1.3")
        func servesHTTPS() throws {
            let made = try certificates("https")
            let server = try start("https", made)
            let authority = made.certificate("authority")
            for version in ["--tlsv1.3", "--tls-max=1.2"] {
                let options = version.split(separator: "=").map(String.init)
                let answer = try run(
                    ["curl", "--silent", "--ipv4", "--cacert", authority] + options
                        + ["https://localhost:\(server.httpPort)/v1/jobs"], in: made.scratch)
                #expect(answer.output == "[]", "\(version): \(answer.output)")
            }
            let (_, session) = try run(
                [
                    "sh", "-c",
                    """
                    printf 'GET /health HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' |
                    openssl s_client -quiet -verify_return_error -CAfile '\(authority)' \
                        -servername localhost -connect 127.0.0.1:\(server.httpPort) 2>&1
                    """,
                ], in: made.scratch)
            #expect(session.contains("HTTP/1.1 200"), "\(session)")
            let old = try curl(server, "--cacert", authority, "--tlsv1.1", "--tls-max", "1.1")
            #expect(old.ending != .exited(0), "\(old.output)")
            let address = ["--address", "https://localhost:\(server.httpPort)"]
            let status = try run(
                [binary, "status", "--tls-ca", authority] + address, in: made.scratch)
            #expect(status.ending == .exited(0), "\(status.output)")
            let blind = try run([binary, "status"] + address, in: made.scratch)
            #expect(blind.ending == .exited(3), "\(blind.output)")
            #expect(blind.output.contains("authority that is not trusted"), "\(blind.output)")
            #expect(!server.log.contains("ANYBODY"))
        }

        @Test("a large answer and a large request pass, whole, and plain http is told apart")
        func carriesMuch() throws {
            let made = try certificates("https-large")
            let server = try start("https-large", made)
            let authority = made.certificate("authority")
            let body = made.scratch.path("jobs.json")
            let jobs = (0..<3_000).map {
                shellJob("job-\($0)", "echo \(String(repeating: "x", count: 500))")
            }
            writeText("[" + jobs.joined(separator: ",") + "]", to: body)
            let restored = try curl(
                server, "--cacert", authority, "--form", "file=@\(body)", path: "/v1/restore")
            #expect(restored.ending == .exited(0), "\(restored.output.prefix(300))")
            let listed = try curl(server, "--cacert", authority, path: "/v1/jobs?_end=5000")
            #expect(JSON(Array(listed.output.utf8)).elements.count == 3_000)
            // Several requests on one connection.
            let several = try curl(
                server, "--cacert", authority, "https://localhost:\(server.httpPort)/ready")
            #expect(several.ending == .exited(0), "\(several.output)")
            let plain = server.get("/health")
            #expect(plain?.status == 400)
            #expect(plain?.text.contains("speaks https") == true)
        }

        @Test("clients without a certificate of the right authority are not served")
        func asksForCertificates() throws {
            let made = try certificates("https-mutual")
            try made.makeAuthority("clients")
            try made.make("client", by: "clients")
            try made.make("stranger", by: "authority")
            let server = try start("https-mutual", made, clients: "clients")
            let authority = made.certificate("authority")
            func ask(as name: String?) throws -> (ending: ChildProcess.Ending?, output: String) {
                guard let name else { return try curl(server, "--cacert", authority) }
                return try curl(
                    server, "--cacert", authority, "--cert", made.certificate(name), "--key",
                    made.key(name))
            }
            let friend = try ask(as: "client")
            #expect(friend.ending == .exited(0), "\(friend.output)")
            #expect(try ask(as: nil).ending != .exited(0))
            #expect(try ask(as: "stranger").ending != .exited(0))
            let log = server.log
            #expect(log.contains("peer did not return a certificate"), "\(log)")
            let ours = try run(
                [
                    binary, "members", "--address", "https://localhost:\(server.httpPort)",
                    "--tls-ca", authority, "--tls-cert", made.certificate("client"), "--tls-key",
                    made.key("client"),
                ], in: made.scratch)
            #expect(ours.ending == .exited(0), "\(ours.output)")
        }

        @Test("SIGHUP takes a new certificate, and none that can't be used")
        func renewsCertificates() throws {
            let made = try certificates("https-reload")
            let server = try start("https-reload", made)
            try made.makeAuthority("next")
            func serves(_ authority: String) throws -> Bool {
                try curl(server, "--cacert", made.certificate(authority)).ending == .exited(0)
            }
            #expect(try serves("authority"))
            #expect(try !serves("next"))
            writeText("no certificate\n", to: made.certificate("server"))
            server.process?.signal(SIGHUP)
            #expect(
                eventually(5) { server.log.contains("the new certificate is not taken") },
                "\(server.log)")
            #expect(try serves("authority"))
            try made.make("server", by: "next")
            server.process?.signal(SIGHUP)
            #expect(try eventually(5) { try serves("next") }, "\(server.log)")
            #expect(try !serves("authority"))
        }

        @Test("a start with files that can't work says which and why")
        func refusesFiles() throws {
            let made = try certificates("https-refused")
            try made.make("other", by: "authority")
            func check(_ certificate: String, _ key: String?, _ words: String) throws {
                let server = Server("refused\(made.scratch.unique())", in: made.scratch)
                let keyArguments = key.map { ["--http-tls-key", $0] } ?? []
                let (ending, output) = try run(
                    server.arguments + ["--http-tls-cert", certificate] + keyArguments,
                    in: made.scratch)
                #expect(ending == .exited(1) || ending == .exited(2), "\(output)")
                #expect(output.contains(words), "\(output)")
            }
            let (certificate, key) = (made.certificate("server"), made.key("server"))
            try check(certificate, nil, "give --http-tls-key")
            try check(made.scratch.path("none"), key, "can't be read: No such file")
            try check(key, key, "holds no certificate in PEM form")
            try check(certificate, certificate, "holds no private key in PEM form")
            try check(certificate, made.key("other"), "is not that of the certificate")
        }

        // MARK: The executor http

        @Test("requests of jobs verify whom they reach, and say what is wrong")
        func verifiesServers() throws {
            let made = try certificates("https-jobs")
            try made.makeAuthority("another")
            try made.make("expired", by: "authority", days: -1)
            try made.make("elsewhere", by: "authority", for: "DNS:elsewhere.example")
            let server = Server("https-jobs", in: made.scratch)
            try server.start()
            let roots = #", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            try ask(server, "server", made, roots, expecting: nil)
            try ask(server, "server", made, "", expecting: "an authority that is not trusted")
            try ask(server, "server", made, #", "tlsNoVerifyPeer": "true""#, expecting: nil)
            try ask(server, "expired", made, roots, expecting: "has expired")
            try ask(server, "elsewhere", made, roots, expecting: "is for another name than")
            try ask(server, "authority", made, "", expecting: "is signed by itself")
            let others = #", "tlsRootCAsFile": "\#(made.certificate("another"))""#
            try ask(server, "server", made, others, expecting: "an authority that is not trusted")
            let missing = #", "tlsRootCAsFile": "/nowhere/roots.pem""#
            try ask(server, "server", made, missing, expecting: "/nowhere/roots.pem can't be read")
            // The right certificate is shown only to who names the host.
            let named = [
                "-servername", "localhost", "-cert2", made.certificate("server"), "-key2",
                made.key("server"),
            ]
            try ask(server, "elsewhere", made, roots, peer: named, expecting: nil)
            // A server that speaks no TLS at all.
            let plain = "https://127.0.0.1:\(server.httpPort)/health"
            try save(server, "plain", plain, "")
            let failure = try outcome(server, "plain")
            #expect(failure.contains("does not speak TLS"), "\(failure)")
        }

        @Test("requests of jobs show a certificate, and go on from http to https")
        func showsCertificates() throws {
            let made = try certificates("https-client")
            try made.makeAuthority("clients")
            try made.make("client", by: "clients")
            let api = try start("https-client", made, clients: "clients")
            let runner = Server("https-runner", in: made.scratch)
            try runner.start()
            let url = "https://localhost:\(api.httpPort)/health"
            let roots = #", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            let shown = """
                , "tlsCertificateFile": "\(made.certificate("client"))",
                 "tlsCertificateKeyFile": "\(made.key("client"))"
                """
            try save(runner, "shown", url, roots + shown)
            #expect(try outcome(runner, "shown") == "")
            try save(runner, "hidden", url, roots)
            let refused = try outcome(runner, "hidden")
            #expect(refused.contains("asks for a certificate"), "\(refused)")
            let half = runner.send(
                "POST", "/v1/jobs",
                job("half", url, #", "tlsCertificateFile": "/x.pem""#))
            #expect(half?.status == 400)
            #expect(half?.json["field"].string == "executor_config.tlsCertificateKeyFile")
        }

        @Test("a server that never agrees, or goes away in the middle, holds nothing up")
        func givesUp() throws {
            let server = Server("https-silent")
            try server.start()
            let port = freePort()
            let listener = try SilentListener(port)
            try save(server, "silent", "https://127.0.0.1:\(port)/", #", "timeout": "2""#)
            let silent = try outcome(server, "silent")
            #expect(silent.contains("within the time-out of 2s"), "\(silent)")
            try save(server, "left", "https://127.0.0.1:\(port)/", "")
            // The first one's connection stands before it.
            listener.takeAndClose(count: 2)
            let left = try outcome(server, "left")
            #expect(left.contains("127.0.0.1:\(port)"), "\(left)")
            #expect(left.contains("closed the connection") || left.contains("reset"), "\(left)")
        }

        @Test("many requests at once, on connections that are used again")
        func reusesConnections() throws {
            let made = try certificates("https-many")
            let api = try start("https-many", made)
            let runner = Server("https-many-runner", in: made.scratch)
            try runner.start()
            let roots = #", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            let url = "https://localhost:\(api.httpPort)/health"
            for number in 0..<40 { try save(runner, "many-\(number)", url, roots) }
            for number in 0..<40 {
                #expect(runner.send("POST", "/v1/jobs/many-\(number)/run")?.status == 200)
            }
            for number in 0..<40 { #expect(try outcome(runner, "many-\(number)") == "") }
        }

        // MARK: Jobs

        private func job(_ name: String, _ url: String, _ more: String) -> String {
            """
            {"name": "\(name)", "schedule": "@manually", "executor": "http", "executor_config":
             {"method": "GET", "expectCode": "200", "url": "\(url)"\(more)}}
            """
        }

        private func save(
            _ server: Server, _ name: String, _ url: String, _ more: String
        ) throws {
            try server.save(job(name, url, more))
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=0")?.status == 202)
        }

        /// What an execution that has ended says of its failure; nothing is a success.
        private func outcome(_ server: Server, _ name: String) throws -> String {
            let ended = try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
            return ended["error"].string ?? ""
        }

        /// Runs a job against the program `openssl` that serves with a certificate.
        private func ask(
            _ server: Server, _ certificate: String, _ made: Certificates, _ more: String,
            peer arguments: [String] = [], expecting words: String?,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let port = freePort()
            let log = made.scratch.path("s_server-\(port)")
            let peer = try ChildProcess(
                [
                    "openssl", "s_server", "-www", "-accept", "127.0.0.1:\(port)", "-cert",
                    made.certificate(certificate), "-key", made.key(certificate),
                ] + arguments, log: log)
            defer { peer.destroy() }
            #expect(eventually(10) { readText(log).contains("ACCEPT") })
            let name = "ask-\(port)"
            try save(server, name, "https://localhost:\(port)/", more)
            let error = try outcome(server, name)
            if let words {
                #expect(error.contains(words), sourceLocation: sourceLocation)
                #expect(error.contains("localhost:\(port)"), sourceLocation: sourceLocation)
            } else {
                #expect(error == "", sourceLocation: sourceLocation)
            }
        }
    }
}
