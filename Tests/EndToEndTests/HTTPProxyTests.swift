import Glibc
import Testing

/// A real proxy that wants a password.
private final class Tinyproxy {
    static let isInstalled = access("/usr/bin/tinyproxy", X_OK) == 0

    let port = freePort()
    private let process: ChildProcess
    private let log: String

    init(in scratch: Scratch) throws {
        log = scratch.path("tinyproxy.log")
        let settings = """
            Port \(port)
            Listen 127.0.0.1
            Allow 127.0.0.1
            BasicAuth me open-sesame
            LogLevel Connect

            """
        let file = scratch.path("tinyproxy.conf")
        writeText(settings, to: file)
        process = try ChildProcess(["/usr/bin/tinyproxy", "-d", "-c", file], log: log)
        let port = port
        let isListening = eventually(10) { Connection(port: port, timeout: 1) != nil }
        try #require(isListening, "\(readText(log))")
    }

    deinit { process.destroy() }

    /// The requests that it has seen, as it tells them.
    var requests: [String] {
        readText(log).split(separator: "\n").filter { $0.contains("Request (") }.map(String.init)
    }
}

extension EndToEnd {
    @Suite(
        "Executor http through a proxy", .serialized,
        .enabled(if: Tinyproxy.isInstalled, "needs tinyproxy"))
    struct HTTPProxyTests {
        private func run(
            _ server: Server, _ name: String, _ url: String, proxy: String, _ more: String = ""
        ) throws -> JSON {
            try server.save(
                """
                {"name": "\(name)", "schedule": "@manually", "executor": "http", "executor_config":
                 {"url": "\(url)", "method": "GET", "expectCode": "200",
                  "proxy": "\(proxy)"\(more)}}
                """)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("requests go through it, those to https unread, and a wrong password is told")
        func proxy() throws {
            let certificates = Certificates(scratch: Scratch("http-proxy"))
            try certificates.makeAuthority("authority")
            try certificates.make("server", by: "authority")
            let plain = Server("http-proxy-plain")
            try plain.start()
            let peer = try Tinyproxy(in: certificates.scratch)
            let proxy = "http://me:open-sesame@127.0.0.1:\(peer.port)"
            let web = "http://127.0.0.1:\(plain.httpPort)/health"

            let seen = try run(plain, "plain", web, proxy: proxy)
            #expect(seen["state"].string == "success", "\(seen["error"].string ?? "")")
            #expect(peer.requests.last?.contains("GET \(web)") == true, "\(peer.requests)")

            let secret = try TLSWebServer(certificates)
            let safe = "https://localhost:\(secret.port)/"
            let roots = #", "tlsRootCAsFile": "\#(certificates.certificate("authority"))""#
            let hidden = try run(plain, "safe", safe, proxy: proxy, roots)
            #expect(hidden["state"].string == "success", "\(hidden["error"].string ?? "")")
            #expect(peer.requests.last?.contains("CONNECT localhost:\(secret.port)") == true)

            let wrong = "http://me:wrong@127.0.0.1:\(peer.port)"
            let refused = try run(plain, "refused", safe, proxy: wrong, roots)
            let error = refused["error"].string ?? ""
            #expect(error.contains("the proxy 127.0.0.1:\(peer.port) makes no tunnel"), "\(error)")
            #expect(error.contains("407") || error.contains("401"), "\(error)")
            let stranger = try run(plain, "stranger", safe, proxy: proxy)
            let reason = stranger["error"].string ?? ""
            #expect(
                reason.contains("localhost:\(secret.port) through the proxy"), "\(reason)")
        }
    }
}

/// `openssl s_server`, which answers every request with a page about the connection.
private final class TLSWebServer {
    let port = freePort()
    private let process: ChildProcess

    init(_ certificates: Certificates) throws {
        let log = certificates.scratch.path("s_server.log")
        process = try ChildProcess(
            [
                "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-www", "-cert",
                certificates.certificate("server"), "-key", certificates.key("server"),
            ], log: log)
        let isReady = eventually(10) { readText(log).contains("ACCEPT") }
        try #require(isReady, "\(readText(log))")
    }

    deinit { process.destroy() }
}
