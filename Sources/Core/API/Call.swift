// A request on its way through the API, and the making of its answer.

struct Call: Sendable {
    let id: RequestID
    let request: HTTPRequest
    let route: Route
    /// What stood for the pattern's variables, decoded.
    let parameters: [String]
    let query: HTTPQuery

    /// The name in the path.
    var job: JobName { JobName(parameters.first ?? "") }
    var isHead: Bool { request.method == .head }
    /// The presence of the parameter counts, not its value.
    var isPretty: Bool { query.contains("pretty") }
    var layout: JSONWriter.Layout { isPretty ? .pretty : .compact }

    /// A bound of a list: not negative, and not beyond what is there (clamped by the list).
    func bound(_ name: String) throws(APIError) -> Int? {
        guard let text = query[name], !text.isEmpty else { return nil }
        guard let number = Int(text) else {
            throw .parameter(name, "The parameter \(name) is a whole number, not \"\(text)\".")
        }
        return max(0, number)
    }

    /// `_order`, of either case; nil without the parameter.
    func isDescending() throws(APIError) -> Bool? {
        guard let text = query["_order"], !text.isEmpty else { return nil }
        if HTTPHeaders.equal(text, "DESC") { return true }
        if HTTPHeaders.equal(text, "ASC") { return false }
        throw .parameter("_order", "The parameter _order is ASC or DESC, not \"\(text)\".")
    }

    /// A time as RFC 3339 or as a UTC minute.
    func time(_ name: String) throws(APIError) -> WallTime? {
        guard let written = query[name], !written.isEmpty else { return nil }
        // A plus sign that was not escaped arrives as a space.
        let text = String(decoding: written.utf8.map { $0 == 0x20 ? 0x2b : $0 }, as: UTF8.self)
        if let minute = try? RFC3339.parseMinute(text) { return minute }
        do throws(TextError) {
            return try RFC3339.parse(text)
        } catch {
            throw .parameter(name, "The parameter \(name) is not a time: \(error).")
        }
    }
}

/// An answer before the headers that all answers have.
struct Answer: Sendable {
    var status: Int
    var headers: HTTPHeaders = [:]
    var body: HTTPBody

    init(_ status: Int, _ writer: consuming JSONWriter) {
        self.status = status
        headers.append("Content-Type", Self.json)
        body = .bytes(writer.take())
    }

    init(_ status: Int, stream: Void = ()) {
        self.status = status
        headers.append("Content-Type", Self.json)
        body = .stream
    }

    init(_ status: Int, streamOf contentType: String) {
        self.status = status
        headers.append("Content-Type", contentType)
        body = .stream
    }

    init(_ status: Int, text: String) {
        self.status = status
        headers.append("Content-Type", "text/plain; charset=utf-8")
        body = .bytes(Array(text.utf8))
    }

    init(_ error: APIError, layout: JSONWriter.Layout) {
        var writer = JSONWriter(layout)
        error.write(to: &writer)
        self.init(error.status, writer)
        if let seconds = error.retryAfter { headers.append("Retry-After", "\(seconds)") }
        if let allow = error.allow { headers.append("Allow", allow) }
    }

    private static let json = "application/json; charset=utf-8"

    init(_ status: Int, html: String) {
        self.status = status
        headers.append("Content-Type", "text/html; charset=utf-8")
        body = .bytes(Array(html.utf8))
    }

    /// Leads to another address; reads also as a page with a link, for who doesn't follow.
    static func redirect(_ status: Int, to location: String) -> Answer {
        let reason = HTTPResponse.reason(status)
        let link = "<a href=\"\(HTML.escaped(location))\">\(reason)</a>.\n\n"
        var answer = status == 307 ? Answer(status, text: "") : Answer(status, html: link)
        if status == 307 { answer.headers = [:] }
        answer.headers.append("Location", location)
        return answer
    }

    /// Adds what every answer carries, and hands over the response.
    ///
    /// - Parameter isKnown: the path is one of the API's; `/health` and unknown paths don't tell
    ///   who answered.
    func response(
        to request: HTTPRequest, isKnown: Bool, _ context: APIContext, index: LogIndex? = nil
    ) -> HTTPResponse {
        var headers = headers
        if isKnown {
            headers.append("X-Whom", context.config.nodeName.text)
            if let origin = request.headers["Origin"], !Self.isSameHost(origin, request) {
                headers.append("Access-Control-Allow-Origin", "*")
                headers.append("Access-Control-Expose-Headers", "*")
            }
        }
        // While a node reads its files, the index says nothing about what it will know.
        let index = index ?? context.store.appliedIndex
        if index > 0, !context.isRecovering { headers.append("X-Dkron-Index", "\(index)") }
        return HTTPResponse(status: status, headers: headers, body: body)
    }

    /// Whether an `Origin` names the host that the request was sent to.
    private static func isSameHost(_ origin: String, _ request: HTTPRequest) -> Bool {
        guard let host = request.headers["Host"] else { return false }
        return HTTPHeaders.equal(origin, "http://\(host)")
            || HTTPHeaders.equal(origin, "https://\(host)")
    }
}

extension Answer {
    /// The answer to `OPTIONS` on any path, which browsers ask before they send what is not plain.
    static func preflight(_ request: HTTPRequest) -> Answer {
        var answer = Answer(request.headers.contains("Origin") ? 204 : 200, text: "")
        answer.headers = ["Allow": "HEAD,GET,POST,PUT,PATCH,DELETE,OPTIONS"]
        guard request.headers.contains("Origin") else { return answer }
        answer.headers.append("Access-Control-Allow-Origin", "*")
        answer.headers.append(
            "Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS")
        answer.headers.append(
            "Access-Control-Allow-Headers",
            "Origin,Content-Length,Content-Type,Authorization,If-Match,If-None-Match,"
                + "Idempotency-Key")
        answer.headers.append("Access-Control-Max-Age", "43200")
        return answer
    }
}
