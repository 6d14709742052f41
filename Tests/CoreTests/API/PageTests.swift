import Testing

@testable import Core

@Suite("API: the page")
struct PageTests {
    @Test(
        "the root leads browsers to the page, and has nothing for others",
        arguments: [
            (nil, 303), ("text/html", 303), ("text/*;q=0.5", 303), ("*/*", 303),
            ("application/xml, TEXT/HTML ; q=0.9", 303), ("application/json", 404),
            ("text/plain", 404), ("text/html;q=0", 404), ("text/html; q=0.000, image/png", 404),
            ("", 404),
        ] as [(String?, Int)])
    func root(_ accept: String?, _ status: Int) {
        var node = APIHarness()
        var headers = HTTPHeaders()
        if let accept { headers.append("Accept", accept) }
        let reply = node.send(.get, "/", headers: headers)
        #expect(reply?.status == status)
        #expect(reply?.headers["Location"] == (status == 303 ? "/ui/" : nil))
        #expect(reply?.headers["X-Whom"] == "n1")
        if status == 303 {
            #expect(reply?.text == "<a href=\"/ui/\">See Other</a>.\n\n")
        } else {
            #expect(reply?.code == "unknown_path")
        }
    }

    @Test("every path below /ui/ is the page, with links that lead to the API from there")
    func places() {
        var node = APIHarness()
        let short = node.get("/ui?pretty")
        #expect(short.status == 301)
        #expect(short.headers["Location"] == "/ui/?pretty")
        for (path, root) in [
            ("/ui/", "../"), ("/ui/index.html", "../"), ("/ui/jobs/a", "../../"),
            ("/ui/jobs/a/", "../../../"), ("/ui//", "../../"),
        ] {
            let reply = node.get(path)
            #expect(reply.status == 200, "\(path)")
            #expect(reply.headers["Content-Type"] == "text/html; charset=utf-8")
            #expect(
                reply.text.contains("<a href=\"\(root)v1/jobs?_end=100&amp;pretty\">"), "\(path)")
        }
        #expect(node.send(.head, "/ui/")?.status == 200)
        #expect(node.send(.post, "/ui/")?.headers["Allow"] == "GET, HEAD, OPTIONS")
        #expect(node.get("/uix").status == 404)
    }

    @Test("it tells how the node is, and counts without what is half read")
    func facts() {
        var node = APIHarness()
        node.put(
            #"{"name":"a","schedule":"@daily","executor":"shell","#
                + #""executor_config":{"command":"x"}}"#)
        node.send(.post, "/v1/jobs/a/run?wait=0")
        var text = node.get("/ui/").text
        for fact in [
            "<title>dkron on n1</title>", "<dt>Version</dt><dd>1.0</dd>",
            "<dt>This server</dt><dd>ready, leads the cluster</dd>",
            "<dt>Leader</dt><dd>n1</dd>", "<dt>Jobs</dt><dd>1</dd>",
            "<dt>Active runs</dt><dd>1</dd>", "<dt>Nodes</dt><dd>1, 1 of them alive</dd>",
            "<dt>Ticks</dt><dd>on</dd>", "<dt>Default time zone</dt><dd>UTC</dd>",
        ] {
            #expect(text.contains(fact), "\(fact)")
        }
        node.send(.post, "/v1/pause")
        #expect(node.get("/ui/").text.contains("<dt>Ticks</dt><dd>paused</dd>"))
        node.role = .follower(leader: NodeName("n2"))
        #expect(node.get("/ui/").text.contains("<dt>Leader</dt><dd>n2</dd>"))
        node.role = .recovering("half way")
        text = node.get("/ui/").text
        #expect(text.contains("not ready: it is still reading its data: half way"))
        #expect(text.contains("<dt>Leader</dt><dd>none</dd>"))
        #expect(!text.contains("<dt>Jobs</dt>"))
    }

    @Test("whatever has a name is only text on the page")
    func escaping() {
        #expect(
            HTML.escaped("a<b>&\"c'\u{0}\u{1b}\u{85}ü\n") == "a&lt;b&gt;&amp;&#34;c&#39;"
                + "\u{fffd}\u{fffd}\u{fffd}ü\n")
        var node = APIHarness()
        let name = "</title><script>alert('1')</script>&\""
        node.config = Config(
            nodeName: NodeName(name), dataID: 7, incarnation: 3, version: "<i>1</i>")
        node.role = .follower(leader: NodeName("<b onclick=\"x\">"))
        let text = node.get("/ui/").text
        for tag in ["<script", "<i>", "<b ", "'1'"] { #expect(!text.contains(tag), "\(tag)") }
        #expect(text.contains("<h1>dkron on &lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)"))
        #expect(text.contains("<dd>&lt;b onclick=&#34;x&#34;&gt;</dd>"))
        node.role = .halted("<em>disk</em>")
        #expect(!node.get("/ui/").text.contains("<em>"))
        let redirect = node.get("/v1/jobs/<b>\"'&/?a=<c>")
        #expect(redirect.status == 301)
        #expect(
            redirect.text
                == "<a href=\"/v1/jobs/&lt;b&gt;&#34;&#39;&amp;?a=&lt;c&gt;\">Moved Permanently</a>"
                + ".\n\n")
    }

    @Test("it loads nothing, runs nothing, and its one style is the one that is allowed")
    func policy() throws {
        var node = APIHarness()
        let reply = node.get("/ui/")
        let text = reply.text
        for part in ["<script", "<link", "<img", "<iframe", "src=", "style=", "://", "url("] {
            #expect(!text.contains(part), "\(part)")
        }
        let policy = try #require(reply.headers["Content-Security-Policy"])
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
        #expect(policy.contains("frame-ancestors 'none'"))
        #expect(reply.headers["X-Content-Type-Options"] == "nosniff")
        let style = try #require(
            text.split(separator: "<style>").last?.split(separator: "</style>").first)
        let digest = SHA256.digest(Array(style.utf8))
        #expect(policy.contains("'sha256-\(SHA256.base64(digest))'"))
        #expect(reply.body.count < 8_192)
        for part in [
            "<!doctype html>", "<html lang=\"en\">", "name=\"color-scheme\" content=\"light dark\"",
            "name=\"viewport\"", "<main>", "<h1>", "<th scope=\"col\">",
        ] {
            #expect(text.contains(part), "\(part)")
        }
        for route in Route.table {
            #expect(text.contains("<code>\(route.pattern)</code>"), "\(route.pattern)")
        }
    }

    @Test(
        "the digest is SHA-256",
        arguments: [
            ("", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            ("abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
            (String(repeating: "a", count: 119), "MeulHDE6XAgiat8Y1KNZz9/Y0ugWsT9K+VL36mWE3Ps="),
        ])
    func digest(_ text: String, _ expected: String) {
        #expect(SHA256.base64(SHA256.digest(Array(text.utf8))) == expected)
    }
}

/// FIPS 180-4, written plainly: browsers know a style by it.
private enum SHA256 {
    static func digest(_ message: [UInt8]) -> [UInt8] {
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        padded += withUnsafeBytes(of: UInt64(message.count * 8).bigEndian, Array.init)
        var state = primes.prefix(8).map { fraction(of: Double($0).squareRoot()) }
        for start in stride(from: 0, to: padded.count, by: 64) {
            add(padded[start..<start + 64], to: &state)
        }
        return state.flatMap { withUnsafeBytes(of: $0.bigEndian, Array.init) }
    }

    private static func add(_ block: ArraySlice<UInt8>, to state: inout [UInt32]) {
        var w = stride(from: block.startIndex, to: block.endIndex, by: 4).map { at in
            block[at..<at + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for t in 16..<64 {
            let s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3
            let s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10
            w.append(w[t - 16] &+ s0 &+ w[t - 7] &+ s1)
        }
        var v = state
        for t in 0..<64 {
            let s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)
            let choice = v[4] & v[5] ^ ~v[4] & v[6]
            let first = v[7] &+ s1 &+ choice &+ constants[t] &+ w[t]
            let s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)
            let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
            v = [first &+ s0 &+ majority] + v.dropLast()
            v[4] = v[4] &+ first
        }
        for index in 0..<8 { state[index] = state[index] &+ v[index] }
    }

    private static func turn(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }

    /// The first 32 bits behind the binary point.
    private static func fraction(of root: Double) -> UInt32 {
        UInt32((root - root.rounded(.down)) * 4_294_967_296)
    }

    private static let primes = (2...311).filter { n in (2..<n).allSatisfy { n % $0 != 0 } }

    private static let constants = primes.map { prime in
        // The cube root, by Newton's method.
        var root = 7.0
        for _ in 0..<60 { root -= (root * root * root - Double(prime)) / (3 * root * root) }
        return fraction(of: root)
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let three = bytes[start..<min(start + 3, bytes.count)]
            let bits = three.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - three.count))
            for place in 0..<4 {
                text.append(
                    place <= three.count ? letters[bits >> (18 - 6 * place) & 63] : "=")
            }
        }
        return text
    }
}
