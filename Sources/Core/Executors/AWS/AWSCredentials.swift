/// Where a node's keys for Amazon's services are, and what is asked to get them.
///
///     settings ─► environment ─► endpoint of a container ─► metadata service of a machine (IMDSv2)
enum AWSCredentials: Sendable {
    case keys(AWSSignature.Keys)
    /// One request whose answer has the keys.
    case endpoint(HTTPURL, token: String?)
    /// A token, the name of a role, and its keys.
    case machine(HTTPURL)

    /// After this long they are asked for again: they are good for an hour at least when they are
    /// given out, and always for five minutes.
    static let life = Duration.minutes(4)

    static func find(
        _ given: AWSSignature.Keys?, on host: any ExecutorHost
    ) throws(ExecutorHostError) -> AWSCredentials {
        if let given { return .keys(given) }
        if let id = host.variable("AWS_ACCESS_KEY_ID") {
            guard let secret = host.variable("AWS_SECRET_ACCESS_KEY") else {
                throw ExecutorHostError(
                    "AWS_ACCESS_KEY_ID is set in the node's environment, but not "
                        + "AWS_SECRET_ACCESS_KEY")
            }
            return .keys(
                AWSSignature.Keys(
                    id: id, secret: secret, token: host.variable("AWS_SESSION_TOKEN")))
        }
        if let path = host.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            let name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
            return .endpoint(try url("http://169.254.170.2\(path)", of: name), token: nil)
        }
        if let text = host.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            let name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
            let url = try url(text, of: name)
            guard url.isSecure || isNear(url.host) else {
                throw ExecutorHostError(
                    "\(name) is \(url.display); without https only this machine and the addresses "
                        + "169.254.170.2, 169.254.170.23 and fd00:ec2::23 are believed")
            }
            return .endpoint(url, token: try token(on: host))
        }
        guard host.variable("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else {
            throw ExecutorHostError(
                "there are no keys: neither in the settings nor in the node's environment, and "
                    + "AWS_EC2_METADATA_DISABLED is true")
        }
        let base = host.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
        return .machine(try url(base, of: "AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    }

    private static func url(
        _ text: String, of name: String
    ) throws(ExecutorHostError) -> HTTPURL {
        do throws(TextError) { return try HTTPURL(text) } catch {
            throw ExecutorHostError("\(name) is \"\(text)\", which is no URL: \(error.message)")
        }
    }

    private static func isNear(_ host: String) -> Bool {
        ["localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(host)
            || (host.hasPrefix("127.") && IPAddress(text: host) != nil)
    }

    private static func token(on host: any ExecutorHost) throws(ExecutorHostError) -> String? {
        if let path = host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            guard let bytes = try host.file(path) else {
                throw ExecutorHostError(
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names \(path), which does not exist")
            }
            return String(decoding: bytes.filter { $0 > 0x20 && $0 < 0x7f }, as: UTF8.self)
        }
        return host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    }

    /// For messages.
    var name: String {
        switch self {
        case .keys: "the keys"
        case .endpoint(let url, _): "the credentials' endpoint \(url.display)"
        case .machine(let url):
            "the machine's metadata service \(url.authority) (there are no keys in the settings, "
                + "and no AWS_ACCESS_KEY_ID)"
        }
    }
}

/// The requests that end in keys.
struct AWSKeyring: Sendable {
    let source: AWSCredentials
    private(set) var keys: AWSSignature.Keys?
    private var keptUntil = Instant.distantFuture
    private var token: String?
    private var role: String?

    init(_ source: AWSCredentials) {
        self.source = source
        if case .keys(let keys) = source { self.keys = keys }
    }

    /// The next request that it takes to have keys; nil if they are there.
    mutating func request(at now: Now) throws(TextError) -> HTTPExchange? {
        if keys != nil, now.monotonic < keptUntil { return nil }
        var headers: HTTPHeaders = ["User-Agent": "dkron"]
        switch source {
        case .keys: return nil
        case .endpoint(let url, let token):
            if let token { headers.append("Authorization", token) }
            return HTTPExchange(method: .get, url: url, headers: headers)
        case .machine(let base):
            guard let token else {
                headers.append("X-aws-ec2-metadata-token-ttl-seconds", "300")
                return HTTPExchange(
                    method: .put, url: try base.resolving("/latest/api/token"), headers: headers)
            }
            headers.append("X-aws-ec2-metadata-token", token)
            let path = "/latest/meta-data/iam/security-credentials/" + (role ?? "")
            return HTTPExchange(method: .get, url: try base.resolving(path), headers: headers)
        }
    }

    /// Takes the answer to it.
    /// - Returns: what is wrong with it; nil: nothing.
    mutating func take(_ body: [UInt8], at now: Now) -> String? {
        if case .machine = source, token == nil || role == nil {
            let line = String(decoding: body.prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self)
            guard !line.isEmpty, line.utf8.count <= 4_096,
                line.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
            else { return token == nil ? "it gives no token" : "the machine has no role" }
            if token == nil { token = line } else { role = line }
            return nil
        }
        let document = try? JSONDocument(body)
        guard let document,
            let id = document.text("AccessKeyId", of: document.root),
            let secret = document.text("SecretAccessKey", of: document.root)
        else { return "its answer holds no keys" }
        keys = AWSSignature.Keys(
            id: id, secret: secret, token: document.text("Token", of: document.root))
        keptUntil = now.monotonic + AWSCredentials.life
        // The next time all is asked anew.
        (token, role) = (nil, nil)
        return nil
    }
}
