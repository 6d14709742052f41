import Testing

@testable import Core

@Suite("HTTP targets, headers and dates")
struct HTTPTargetTests {
    /// Path, segments, trailing slash.
    @Test(
        arguments: [
            ("/", [], true), ("/v1", ["v1"], false), ("/v1/", ["v1"], true),
            ("/v1/jobs/a%2Fb", ["v1", "jobs", "a/b"], false),
            ("//a//b", ["", "a", "", "b"], false),
            ("/a+b/%2B%20", ["a+b", "+ "], false), ("/%c3%b1/ñ", ["ñ", "ñ"], false),
            ("/./..", [".", ".."], false), ("/%25", ["%"], false), ("*", ["*"], false),
        ] as [(String, [String], Bool)])
    func paths(_ text: String, _ segments: [String], _ trailing: Bool) throws {
        let path = try HTTPPath(text)
        #expect(path.segments == segments)
        #expect(path.hasTrailingSlash == trailing)
    }

    @Test(arguments: ["/%", "/%2", "/%zz", "/a%2", "/%0g", "/%00", "/%ff", "/%c3", "/a/%c3%28"])
    func badPaths(_ text: String) {
        #expect(throws: HTTPTargetError.self) { try HTTPPath(text) }
        let query = HTTPRequest(method: .get, target: "/?" + text.dropFirst())
        #expect(throws: HTTPTargetError.self) { try query.decodedQuery() }
    }

    @Test func queries() throws {
        let text =
            "pretty&_sort=name&a=&q=a+b%2Bc%26&a=2&&=x&metadata[team]=ops&metadata%5Bk%5D=v=w"
        let query = try HTTPRequest(method: .get, target: "/v1/jobs?" + text).decodedQuery()
        #expect(query.contains("pretty"))
        #expect(query["pretty"] == "")
        #expect(query["_sort"] == "name")
        #expect(query["q"] == "a b+c&")
        #expect(query.values(of: "a") == ["", "2"])
        #expect(query[""] == "x")
        #expect(query["missing"] == nil)
        #expect(query.keyed("metadata").map(\.key) == ["team", "k"])
        #expect(query.keyed("metadata").map(\.value) == ["ops", "v=w"])
        #expect(query.keyed("meta").isEmpty)
        #expect(query.items.count == 8)
        #expect(query.items.first == HTTPQuery.Item(name: "pretty", value: nil))
        #expect(try HTTPRequest(method: .get, target: "/").decodedQuery().items.isEmpty)
        #expect(try HTTPRequest(method: .get, target: "/?").decodedQuery().items.isEmpty)
    }

    @Test func headers() {
        var headers: HTTPHeaders = ["A": "1", "B": "x, y,,\tZ ", "a": "2"]
        #expect(headers["a"] == "1")
        #expect(headers.values(of: "A") == ["1", "2"])
        #expect(headers.list("b") == ["x", "y", "Z"])
        #expect(headers.list("b", contains: "z"))
        #expect(!headers.list("b", contains: "q"))
        headers.append("C", "3")
        headers.set("a", "4")
        #expect(headers.fields.map(\.name) == ["A", "B", "C"])
        #expect(headers["A"] == "4")
        headers.set("D", "5")
        headers.remove("b")
        #expect(headers.fields.map(\.name) == ["A", "C", "D"])
        #expect(!headers.contains("B"))
    }

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (-9_223_372_036, "Tue, 21 Sep 1677 00:12:44 GMT"),
            (9_223_372_036, "Fri, 11 Apr 2262 23:47:16 GMT"),
        ] as [(Int64, String)])
    func dates(_ seconds: Int64, _ text: String) {
        #expect(HTTPDate.text(WallTime(seconds: seconds)) == text)
    }

    @Test func everyStatusHasItsReason() {
        for status in [
            200, 201, 202, 204, 301, 304, 307, 400, 401, 403, 404, 405, 408, 409, 412,
            413, 414, 417, 422, 429, 431, 500, 501, 503, 505,
        ] {
            #expect(!HTTPResponse.reason(status).isEmpty)
        }
        #expect(HTTPResponse.reason(299) == "")
    }

    @Test func methods() {
        for text in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "LIST"] {
            #expect(HTTPMethod(text).description == text)
        }
        #expect(HTTPMethod("GET") == .get)
        #expect(HTTPMethod("get") == .other("get"))
    }
}
