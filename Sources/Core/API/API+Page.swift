// The page that a browser finds: who this node is, how it is, and where the API is.

extension API {
    /// Leads whoever reads pages to the page; there is nothing here for others.
    func root(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard call.acceptsHTML else {
            throw APIError(
                404, "unknown_path",
                "There is only a page for browsers here, at /ui/; the API's paths begin with /v1.")
        }
        respond(call, Answer.redirect(303, to: "/ui/"), context, &actions)
    }

    func page(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let page = StatusPage(
            context, leader: leaderName(context), isBelow: call.depthOfFolder)
        var answer = Answer(200, html: page.text)
        answer.headers.append("Content-Security-Policy", StatusPage.policy)
        answer.headers.append("X-Content-Type-Options", "nosniff")
        answer.headers.append("Referrer-Policy", "no-referrer")
        answer.headers.append("Cache-Control", "no-cache")
        respond(call, answer, context, &actions)
    }
}

extension Call {
    /// Whether an answer may be a page: no `Accept`, or one of its ranges admits it (RFC 9110,
    /// section 12.5.1).
    fileprivate var acceptsHTML: Bool {
        guard request.headers.contains("Accept") else { return true }
        return request.headers.list("Accept").contains { item in
            var parts = item.split(separator: ";").map { part in
                String(part.filter { $0 != " " && $0 != "\t" })
            }
            let range = parts.isEmpty ? "" : parts.removeFirst()
            let admits = ["text/html", "text/*", "*/*"].contains {
                HTTPHeaders.equal($0, range)
            }
            let isRefused = parts.contains { part in
                let weight = part.utf8.dropFirst(2)
                return HTTPHeaders.equal(String(part.prefix(2)), "q=")
                    && weight.allSatisfy { $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: ".") }
            }
            return admits && !isRefused
        }
    }

    /// How many folders the path is below the root, as browsers resolve relative links.
    fileprivate var depthOfFolder: Int {
        max(0, request.path.utf8.count { $0 == UInt8(ascii: "/") } - 1)
    }
}

/// One page without scripts and without anything from elsewhere. Its links are relative, so that it
/// works behind a proxy that serves it below another path.
struct StatusPage {
    let text: String

    init(_ context: APIContext, leader: NodeName?, isBelow depth: Int) {
        let title = "dkron on \(HTML.escaped(context.config.nodeName.text))"
        let root = String(repeating: "../", count: depth)
        text = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title)</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            <main>
            <h1>\(title)</h1>
            <dl>
            \(Self.facts(context, leader: leader))
            </dl>
            <h2>Look</h2>
            <ul>
            \(Self.links(root))
            </ul>
            <h2>The API</h2>
            <p>Each path is described in <code>docs/api.md</code>, each option of the server in
            <code>docs/configuration.md</code>, both beside the program's source. <code>dkron
            help</code> lists the commands.</p>
            <table>
            <thead><tr><th scope="col">Method</th><th scope="col">Path</th>\
            <th scope="col">Does</th></tr></thead>
            <tbody>
            \(Self.routes)
            </tbody>
            </table>
            </main>
            </body>
            </html>

            """
    }

    /// Nothing is loaded, run, sent or framed; the one style is known by its digest.
    static let policy =
        "default-src 'none'; style-src '\(styleDigest)'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'"

    static let style = """
        body{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;\
        overflow-wrap:anywhere}\
        dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem}\
        dt{font-weight:600}dd{margin:0}\
        table{border-collapse:collapse}\
        th,td{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0}
        """

    /// SHA-256 of the style, in the form of Content Security Policy.
    private static let styleDigest = "sha256-MME5YSw5iemKqmOy/OT4962u1me537sQE0LqLNnh/nM="

    private static func facts(_ context: APIContext, leader: NodeName?) -> String {
        let cluster = context.store.cluster
        var facts: [(String, String)] = [
            ("Version", context.config.version),
            ("This server", state(of: context)),
            ("Leader", leader?.text ?? "none"),
        ]
        // What is known while the data is read is only a part.
        if !context.isRecovering {
            let alive = context.members.count { $0.status == .alive }
            facts += [
                ("Ticks", cluster.isPaused ? "paused" : "on"),
                ("Jobs", "\(context.store.counters.jobs)"),
                ("Active runs", "\(context.store.counters.activeGroups)"),
                ("Nodes", "\(context.members.count), \(alive) of them alive"),
                ("Default time zone", cluster.settings.defaultTimezone),
                ("Cluster time", RFC3339.print(context.stamp)),
            ]
        }
        return facts.map { "<dt>\($0.0)</dt><dd>\(HTML.escaped($0.1))</dd>" }
            .joined(separator: "\n")
    }

    private static func state(of context: APIContext) -> String {
        if let hindrance = context.hindrance { return "not ready: \(hindrance)" }
        return context.role == .leader ? "ready, leads the cluster" : "ready"
    }

    private static func links(_ root: String) -> String {
        [
            ("v1/jobs?_end=100&pretty", "Jobs, the first hundred"),
            ("v1/busy?_end=100&pretty", "Executions that have not ended"),
            ("v1/members?pretty", "Nodes"), ("v1/settings?pretty", "Settings of the cluster"),
            ("v1?pretty", "This node"), ("metrics", "Metrics"),
        ]
        .map { "<li><a href=\"\(root)\(HTML.escaped($0.0))\">\($0.1)</a></li>" }.joined(
            separator: "\n")
    }

    private static let routes = Route.table.map { route in
        "<tr><td>\(route.method)</td><td><code>\(HTML.escaped(route.pattern))</code></td>"
            + "<td>\(HTML.escaped(route.summary))</td></tr>"
    }.joined(separator: "\n")
}
