import Glibc
import Testing

/// A browser with nobody before it, in a folder of its own.
private struct Chromium {
    static let isInstalled: Bool = {
        let scratch = Scratch("chromium")
        return ["chromium", "certutil"].allSatisfy {
            (try? run(["sh", "-c", "command -v \($0)"], in: scratch))?.ending == .exited(0)
        }
    }()

    private let scratch: Scratch
    private let home: String
    /// What it did on the network, as it tells itself.
    let networkLog: String

    /// - Parameter authority: the file with a certificate that it trusts besides those it has.
    init(in scratch: Scratch, trusting authority: String? = nil) throws {
        self.scratch = scratch
        home = scratch.path("home-\(scratch.unique())")
        networkLog = home + "/network.json"
        let store = home + "/.pki/nssdb"
        _ = try run(["mkdir", "-p", store], in: scratch)
        guard let authority else { return }
        let take = ["-A", "-n", "ours", "-t", "C,,", "-i", authority]
        for words in [["-N", "--empty-password"], take] {
            let made = try run(["certutil", "-d", "sql:\(store)"] + words, in: scratch)
            try #require(made.ending == .exited(0), "\(made.output)")
        }
    }

    /// The page as it is once it has been read, and what the browser complains of.
    func visit(_ url: String, _ options: String...) throws -> String {
        let log = scratch.path("chromium-\(scratch.unique())")
        let browser = try ChildProcess(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--user-data-dir=\(home)/data", "--log-net-log=\(networkLog)", "--dump-dom",
            ] + options + [url], log: log,
            environment: scratch.mark.merging(["HOME": home]) { $1 })
        let ending = browser.wait(40)
        browser.destroy()
        #expect(ending == .exited(0), "\(readText(log))")
        return readText(log)
    }

    /// With how many connections it came to an agreement on a version of TLS.
    func agreements(on version: String) -> Int {
        readText(networkLog).ranges(of: #""version":"\#(version)""#).count
    }
}

extension EndToEnd {
    @Suite(
        "TLS with a browser", .serialized,
        .enabled(if: Chromium.isInstalled, "needs chromium and certutil"))
    struct ChromiumTests {
        private func start(_ certificates: Certificates) throws -> Server {
            let server = Server("browser", in: certificates.scratch)
            server.extraArguments = [
                "--http-tls-cert", certificates.certificate("server"), "--http-tls-key",
                certificates.key("server"),
            ]
            try server.launch()
            let isListening = server.logs("msg=scheduling")
            try #require(isListening, "\(server.log)")
            return server
        }

        private func certificates() throws -> Certificates {
            let certificates = Certificates(scratch: Scratch("browser"))
            try certificates.makeAuthority("authority")
            try certificates.make("server", by: "authority")
            return certificates
        }

        @Test("a page is shown, 1.2 and 1.3, and twenty pages share few connections")
        func shows() throws {
            let made = try certificates()
            let server = try start(made)
            let url = "https://localhost:\(server.httpPort)/ui/"
            for (version, options) in [("1.3", []), ("1.2", ["--ssl-version-max=tls1.2"])] {
                let browser = try Chromium(
                    in: made.scratch, trusting: made.certificate("authority"))
                let page =
                    options.isEmpty
                    ? try browser.visit(url) : try browser.visit(url, options[0])
                #expect(page.contains("<h1>dkron on browser</h1>"), "\(page)")
                #expect(page.contains("ready, leads the cluster"), "\(page)")
                #expect(browser.agreements(on: "TLS \(version)") > 0, "\(version)")
            }

            let browser = try Chromium(in: made.scratch, trusting: made.certificate("authority"))
            let frames = made.scratch.path("frames.html")
            writeText(
                """
                <html><body><p id="told">begun</p><script>
                let left = 20;
                function next() {
                  if (left-- === 0) {
                    document.getElementById("told").textContent = "twenty " + "pages";
                    return;
                  }
                  const frame = document.createElement("iframe");
                  frame.onload = next;
                  frame.src = "\(url)?" + left;
                  document.body.append(frame);
                }
                next();
                </script></body></html>
                """, to: frames)
            let page = try browser.visit("file://\(frames)", "--virtual-time-budget=20000")
            #expect(page.contains("twenty pages"), "\(page)")
            let connections = browser.agreements(on: "TLS 1.3")
            #expect(1...4 ~= connections, "\(connections) connections")
            #expect(!server.log.contains("was not understood"), "\(server.log)")
        }

        @Test("certificates that are not to be trusted are refused, and harm nobody")
        func refuses() throws {
            let made = try certificates()
            let server = try start(made)
            let url = "https://localhost:\(server.httpPort)/ui/"
            func isRefused(_ browser: Chromium, _ reason: String) throws {
                let page = try browser.visit(url)
                #expect(page.contains("net::\(reason)"), "\(page)")
                #expect(!page.contains("dkron on browser"), "\(page)")
            }
            try isRefused(try Chromium(in: made.scratch), "ERR_CERT_AUTHORITY_INVALID")
            #expect(server.logs("certificate unknown"), "\(server.log)")
            let trusting = try Chromium(in: made.scratch, trusting: made.certificate("authority"))
            func renew(_ names: String, days: Int = 2) throws {
                try made.make("server", by: "authority", for: names, days: days)
                func readings() -> Int { server.log.ranges(of: "configuration read again").count }
                let before = readings()
                server.process?.signal(SIGHUP)
                let isTaken = eventually(10) { readings() > before }
                #expect(isTaken, "\(server.log)")
            }
            try renew("DNS:elsewhere.example")
            try isRefused(trusting, "ERR_CERT_COMMON_NAME_INVALID")
            try renew("DNS:localhost", days: -1)
            try isRefused(trusting, "ERR_CERT_DATE_INVALID")
            try renew("DNS:localhost")
            #expect(try trusting.visit(url).contains("<h1>dkron on browser</h1>"))
        }
    }
}
