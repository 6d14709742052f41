/// What a job's `executor_config` says when its executor is `http`: one request, and which answer
/// is a success.
///
/// | key | value |
/// | --- | --- |
/// | `url` | required; `http://host[:port]/path?query` or `https:`, perhaps with `user:password@` |
/// | `method` | required; `GET`, `POST` … |
/// | `headers` | JSON list of `"Name: value"` |
/// | `body` | sent as it is, with any method |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 30 |
/// | `expectCode` | `200,201`; nothing is any status |
/// | `expectBody` | regular expression that matches somewhere in the body (see `Pattern`) |
/// | `debug` | request and head of the answer go in front of the output |
/// | `proxy` | `http://[user:password@]host[:port]`; nothing is none |
/// | `tlsNoVerifyPeer` | true: whoever answers is believed |
/// | `tlsRootCAsFile` | PEM, the authorities instead of the system's |
/// | `tlsCertificateFile`, `tlsCertificateKeyFile` | PEM, what the client shows of itself |
///
/// Files are those of the node that sends the request.
///
/// An empty value is the same as none.
package struct HTTPJob: Hashable, Sendable {
    package private(set) var exchange: HTTPExchange
    /// Greater than zero.
    package private(set) var timeout: Duration?
    /// Sorted; none stands for every status.
    package private(set) var expectedStatuses: [Int] = []
    package private(set) var expectedBody: Pattern?
    package private(set) var isVerbose = false

    /// Reads and checks the settings. Linear in their size, but for the expression, which is
    /// bounded.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> HTTPJob {
        let settings = try ExecutorSettings(config, of: "http", allowing: keys)
        let url = try url(settings["url"])
        let method = try method(settings["method"])
        var headers = try headers(settings["headers"])
        if let user = url.userInformation, !headers.contains("Authorization") {
            headers.append("Authorization", "Basic \(Base64Text.encode(user))")
        }
        if !headers.contains("User-Agent") { headers.append("User-Agent", "dkron") }
        var job = HTTPJob(
            exchange: HTTPExchange(
                method: method, url: url, headers: headers,
                body: Array((settings["body"] ?? "").utf8)))
        job.timeout = try settings.timeout()
        job.expectedStatuses = try statuses(settings["expectCode"])
        if let text = settings["expectBody"] {
            do throws(TextError) { job.expectedBody = try Pattern(text) } catch {
                throw ExecutorSettingError(key: "expectBody", message: error.description)
            }
        }
        job.isVerbose = settings.isVerbose
        if let text = settings["proxy"] {
            do throws(TextError) { job.exchange.proxy = try HTTPProxy(text) } catch {
                throw ExecutorSettingError(key: "proxy", message: error.description)
            }
        }
        job.exchange.tls = try TLSSettingKeys.parse(settings)
        return job
    }

    private init(exchange: HTTPExchange) { self.exchange = exchange }

    /// One attempt to do it. `identity` (what tells the attempt from others) goes into headers.
    package func call(
        execution: ExecutionID, identity: [EnvironmentEntry], fence: Duration?
    ) -> HTTPCall {
        var exchange = exchange
        for entry in identity {
            exchange.openHeaders.append(entry.headerName, entry.value)
        }
        return HTTPCall(
            execution: execution, exchange: exchange, timeout: timeout,
            expectedStatuses: expectedStatuses, expectedBody: expectedBody, isVerbose: isVerbose,
            fence: fence)
    }

    // MARK: Settings

    private static func url(_ text: String?) throws(ExecutorSettingError) -> HTTPURL {
        guard let text else {
            throw ExecutorSettingError(
                key: "url", message: "a URL is required, such as \"http://example.com/path\"")
        }
        do throws(TextError) { return try HTTPURL(text) } catch {
            throw ExecutorSettingError(key: "url", message: error.description)
        }
    }

    private static func method(_ text: String?) throws(ExecutorSettingError) -> HTTPMethod {
        guard let text else {
            throw ExecutorSettingError(
                key: "method", message: "a method is required, such as \"GET\" or \"POST\"")
        }
        guard text.utf8.allSatisfy(HTTPSyntax.isToken) else {
            throw ExecutorSettingError(
                key: "method", message: "\"\(text)\" is not a method, such as GET or POST")
        }
        let upper = text.uppercased()
        guard upper != "CONNECT" else {
            throw ExecutorSettingError(
                key: "method", message: "CONNECT opens a tunnel, which a job can't use")
        }
        // Methods are told apart by case; of the usual ones nobody means another.
        let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        return HTTPMethod(usual.contains(upper) ? upper : text)
    }

    private static func headers(_ text: String?) throws(ExecutorSettingError) -> HTTPHeaders {
        let headers = try HeaderListText.parse(text, key: "headers")
        func refusal(_ message: String) -> ExecutorSettingError {
            ExecutorSettingError(key: "headers", message: message)
        }
        for (index, field) in headers.fields.enumerated() {
            guard !reserved.contains(where: { HTTPHeaders.equal($0, field.name) }) else {
                throw refusal(
                    "entry \(index + 1): \(field.name) is set by the connection itself; leave it "
                        + "out")
            }
            guard !field.name.lowercased().hasPrefix("dkron-") else {
                throw refusal(
                    "entry \(index + 1): headers that begin with Dkron- are set by dkron")
            }
        }
        guard headers.count(of: "Host") <= 1 else { throw refusal("Host stands there twice") }
        return headers
    }

    /// What the connection needs is not for a job to say.
    private static let reserved = [
        "Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade",
    ]

    private static func statuses(_ text: String?) throws(ExecutorSettingError) -> [Int] {
        guard let text else { return [] }
        var result: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let digits = part.utf8.drop { $0 == 0x20 }.reversed().drop { $0 == 0x20 }.reversed()
            let word = String(decoding: Array(digits), as: UTF8.self)
            guard word.utf8.count == 3, let status = Int(word), status >= 200 else {
                throw ExecutorSettingError(
                    key: "expectCode",
                    message: "\"\(word)\" is not a status; a list of statuses from 200 to 999 "
                        + "with commas is allowed, such as 200,201")
            }
            result.insert(status)
        }
        return result.sorted()
    }

    static let table =
        [
            SettingKey("url", .text, isRequired: true, "where the request goes"),
            SettingKey("method", .text, isRequired: true, "GET, POST and so on"),
            SettingKey("headers", .json, "a list of \"Name: value\""),
            SettingKey("body", .text, "sent as it is"),
            SettingKey("timeout", .duration, standard: "30s", "for the whole; 0 is none"),
            SettingKey("expectCode", .list, "the statuses that are a success; nothing is all"),
            SettingKey("expectBody", .text, "an expression that the answer's body must match"),
            SettingKey("proxy", .text, "http://host:port that the request goes through"),
            SettingKey("debug", .boolean, standard: "false", "requests and heads in the output"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)
}
