import Testing

@testable import Core

@Suite("API: methods, paths and headers")
struct TransportAPITests {
    @Test(
        "unknown paths",
        arguments: [
            "/nope", "/v1/nope", "/v1/jobs/a/b", "/V1/jobs", "//v1/jobs", "/v1//jobs",
            "/v1/jobs//run", "/v1/jobs/a/executions/b/c", "/dashboard/", "/v2/jobs",
        ])
    func unknown(_ path: String) {
        var node = APIHarness()
        let reply = node.get(path)
        #expect(reply.status == 404)
        #expect(reply.code == "unknown_path")
        #expect(reply.headers["X-Whom"] == nil)
        #expect(reply.headers["X-Dkron-Index"] == "1")
    }

    @Test("a known path with another method says which it takes")
    func methods() {
        var node = APIHarness()
        let reply = node.send(.delete, "/v1/jobs")
        #expect(reply?.status == 405)
        #expect(reply?.code == "method_not_allowed")
        #expect(reply?.headers["Allow"] == "GET, HEAD, POST, PATCH, OPTIONS")
        #expect(node.send(.get, "/v1/jobs/a/run")?.headers["Allow"] == "POST, OPTIONS")
        #expect(node.send(.other("BREW"), "/v1")?.status == 405)
        #expect(node.send(.head, "/v1/leave")?.status == 405)
    }

    @Test("a last slash leads to the form without it")
    func slash() {
        var node = APIHarness()
        var reply = node.send(.get, "/v1/jobs/?pretty")
        #expect(reply?.status == 301)
        #expect(reply?.headers["Location"] == "/v1/jobs?pretty")
        #expect(reply?.text == "<a href=\"/v1/jobs?pretty\">Moved Permanently</a>.\n\n")
        reply = node.send(.post, "/v1/jobs/")
        #expect(reply?.status == 307)
        #expect(reply?.headers["Location"] == "/v1/jobs")
        #expect(node.get("/health/").headers["Location"] == "/health")
        #expect(node.get("/v1/").status == 200)
        #expect(node.get("/").status == 303)
    }

    @Test("malformed addresses")
    func malformed() {
        var node = APIHarness()
        for target in ["/v1/jobs/%zz", "/v1/jobs/%00", "/v1/jobs/%ff", "/v1/jobs?q=%zz"] {
            let reply = node.get(target)
            #expect(reply.status == 400)
            #expect(reply.code == "malformed_target")
        }
        #expect(node.get("/v1/jobs/a%2Fb").code == "unknown_job")
    }

    @Test("OPTIONS answers a browser's preflight on every path")
    func options() {
        var node = APIHarness()
        let plain = node.send(.options, "/v1/whatever")
        #expect(plain?.status == 200)
        #expect(plain?.headers["Allow"] == "HEAD,GET,POST,PUT,PATCH,DELETE,OPTIONS")
        let preflight = node.send(.options, "/v1/jobs", headers: ["Origin": "http://x"])
        #expect(preflight?.status == 204)
        #expect(preflight?.headers["Access-Control-Allow-Origin"] == "*")
        #expect(preflight?.headers["Access-Control-Allow-Methods"]?.contains("PATCH") == true)
        #expect(preflight?.headers["Access-Control-Max-Age"] == "43200")
    }

    @Test("another origin may read, the same one is not told so")
    func origins() {
        var node = APIHarness()
        let host = HTTPHeaders.Field("Host", "here:8080")
        var headers = HTTPHeaders()
        headers.append(host.name, host.value)
        headers.append("Origin", "http://there")
        #expect(
            node.send(.get, "/v1", headers: headers)?.headers["Access-Control-Allow-Origin"]
                == "*")
        headers.set("Origin", "http://here:8080")
        #expect(
            node.send(.get, "/v1", headers: headers)?.headers["Access-Control-Allow-Origin"]
                == nil)
    }

    @Test("the presence of pretty indents, whatever its value")
    func pretty() {
        var node = APIHarness()
        #expect(node.get("/v1/pause?pretty=false").text == "{\n    \"paused\": false\n}")
        #expect(node.get("/v1/jobs/x?pretty").text.contains("\n    \"code\": \"unknown_job\""))
    }

    @Test("every error has a sentence and a stable word")
    func shape() {
        var node = APIHarness()
        for route in Route.table {
            let path = route.pattern.replacing(":job", with: "nope").replacing(
                ":execution", with: "1-x")
            let reply = node.send(route.method, path)
            #expect(reply != nil, "\(route.pattern)")
            guard let reply, reply.status >= 400 else { continue }
            #expect(reply.fieldNames.prefix(2) == ["error", "code"], "\(route.pattern)")
            #expect(reply.error.last == ".", "\(reply.error)")
            #expect(reply.status < 500, "\(route.pattern)")
        }
        #expect(node.api.pendingRequests == 0)
    }
}

extension String {
    /// All occurrences of a text replaced by another.
    fileprivate func replacing(_ text: String, with other: String) -> String {
        var result = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(text) {
                result += other
                rest = rest.dropFirst(text.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }
}
