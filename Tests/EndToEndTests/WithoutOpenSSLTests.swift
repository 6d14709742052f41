import Glibc
import Testing

/// Whether a program can be given a file system of its own, in which libraries are missing.
private let canUnshare: Bool = {
    let scratch = Scratch("unshare")
    return withExtendedLifetime(scratch) {
        (try? run(["unshare", "--mount", "true"], in: scratch).ending) == .exited(0)
    }
}()

extension EndToEnd {
    @Suite("A machine without OpenSSL", .serialized, .enabled(if: canUnshare && canMount))
    struct WithoutOpenSSLTests {
        /// Runs a program where OpenSSL's libraries are empty files.
        private static let wrapper = [
            "unshare", "--mount", "sh", "-c",
            """
            for name in ssl crypto; do
              for file in $(find / -xdev -name "lib$name.so.3" 2>/dev/null); do
                mount --bind /dev/null "$(readlink -f "$file")" || exit 9
              done
            done
            exec "$@"
            """, "sh",
        ]

        @Test("everything works but what needs it, and that says what is missing")
        func start() throws {
            let server = Server("no-openssl")
            server.wrapper = Self.wrapper
            try server.start(within: 30)
            try server.save(shellJob("plain", "echo done"))
            #expect(server.send("POST", "/v1/jobs/plain/run?wait=20")?.status == 200)
            let plain = try server.execution(of: "plain") { $0["state"].string == "success" }
            #expect(plain["output"].string == "done\n")

            try server.save(
                """
                {"name": "safe", "schedule": "@manually", "executor": "http", "executor_config":
                 {"url": "https://127.0.0.1:\(server.httpPort)/", "method": "GET"}}
                """)
            #expect(server.send("POST", "/v1/jobs/safe/run?wait=20")?.status == 200)
            let safe = try server.execution(of: "safe") { $0["state"].string == "failed" }
            let error = safe["error"].string ?? ""
            #expect(error.contains("needs OpenSSL 3, and libssl.so.3 can't be loaded"), "\(error)")
            #expect(error.contains("libssl3"), "\(error)")
        }

        @Test("a node that was told to encrypt does not start, and says why")
        func encrypted() throws {
            let server = Server("no-openssl-key")
            server.wrapper = Self.wrapper
            server.extraArguments = ["--encrypt", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
            try server.launch()
            let hasEnded = eventually(30) { server.process?.poll() != nil }
            #expect(hasEnded && server.process?.ending == .exited(1), "\(server.log)")
            #expect(server.log.contains("needs OpenSSL 3"), "\(server.log)")
        }
    }
}
