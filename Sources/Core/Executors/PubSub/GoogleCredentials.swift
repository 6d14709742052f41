/// Credentials of a node for Google's services, where their own clients look for them ("application
/// default credentials"), and how they become an access token.
enum GoogleCredentials: Sendable {
    case serviceAccount(ServiceAccount)
    case user(User)
    case metadataServer(HTTPURL)

    struct ServiceAccount: Sendable {
        var email: String
        var keyID: String?
        /// PEM
        var key: String
        var tokenURL: HTTPURL
        /// The URL as the file has it: for whom the claim is made.
        var audience: String
    }

    struct User: Sendable {
        var clientID: String
        var clientSecret: String
        var refreshToken: String
        var tokenURL: HTTPURL
    }

    /// For messages.
    var name: String {
        switch self {
        case .serviceAccount(let account): "the service account \(account.email)"
        case .user: "the user's credentials"
        case .metadataServer:
            "the metadata server (GOOGLE_APPLICATION_CREDENTIALS is not set, and there is no file "
                + "of gcloud's)"
        }
    }

    // MARK: Finding

    static func find(on host: any ExecutorHost) throws(ExecutorHostError) -> GoogleCredentials {
        if let path = host.variable("GOOGLE_APPLICATION_CREDENTIALS") {
            guard let bytes = try host.file(path) else {
                throw ExecutorHostError(
                    "GOOGLE_APPLICATION_CREDENTIALS names \(path), which does not exist")
            }
            return try read(bytes, path)
        }
        let folder =
            host.variable("CLOUDSDK_CONFIG")
            ?? host.variable("HOME").map { "\($0)/.config/gcloud" }
        if let path = folder.map({ "\($0)/application_default_credentials.json" }),
            let bytes = try host.file(path)
        {
            return try read(bytes, path)
        }
        let name = host.variable("GCE_METADATA_HOST") ?? "metadata.google.internal"
        do throws(TextError) { return .metadataServer(try HTTPURL("http://\(name)")) } catch {
            throw ExecutorHostError(
                "GCE_METADATA_HOST is \"\(name)\", which is no host: \(error.message)")
        }
    }

    /// Reads a file as the Cloud Console and gcloud write it. Nothing of it gets into an error.
    static func read(
        _ bytes: [UInt8], _ path: String
    ) throws(ExecutorHostError) -> GoogleCredentials {
        guard let document = try? JSONDocument(bytes),
            document.kind(of: document.root) == .object
        else { throw ExecutorHostError("\(path) holds no credentials: it is no JSON object") }
        func text(_ name: String) throws(ExecutorHostError) -> String {
            guard let value = document.text(name, of: document.root), !value.isEmpty else {
                throw ExecutorHostError("\(path) holds no credentials: there is no \"\(name)\"")
            }
            return value
        }
        let usual = "https://oauth2.googleapis.com/token"
        let audience = document.text("token_uri", of: document.root) ?? usual
        let tokenURL: HTTPURL
        do throws(TextError) { tokenURL = try HTTPURL(audience) } catch {
            throw ExecutorHostError("\(path): \"token_uri\" is no URL: \(error.message)")
        }
        switch try text("type") {
        case "service_account":
            return .serviceAccount(
                ServiceAccount(
                    email: try text("client_email"),
                    keyID: document.text("private_key_id", of: document.root),
                    key: try text("private_key"), tokenURL: tokenURL, audience: audience))
        case "authorized_user":
            return .user(
                User(
                    clientID: try text("client_id"), clientSecret: try text("client_secret"),
                    refreshToken: try text("refresh_token"), tokenURL: tokenURL))
        case let type:
            throw ExecutorHostError(
                "\(path) holds credentials of the type \"\(type.prefix(40))\"; service_account "
                    + "and authorized_user are understood")
        }
    }

    // MARK: Tokens

    /// The request whose answer holds `access_token`.
    func request(
        scope: String, at wall: WallTime, on host: any ExecutorHost
    ) throws(ExecutorHostError) -> HTTPExchange {
        switch self {
        case .serviceAccount(let account):
            let assertion = try Self.assertion(account, scope: scope, at: wall, on: host)
            return Self.form(
                account.tokenURL,
                [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", assertion),
                ])
        case .user(let user):
            return Self.form(
                user.tokenURL,
                [
                    ("grant_type", "refresh_token"), ("client_id", user.clientID),
                    ("client_secret", user.clientSecret), ("refresh_token", user.refreshToken),
                ])
        case .metadataServer(let base):
            let path = "/computeMetadata/v1/instance/service-accounts/default/token"
            do throws(TextError) {
                return HTTPExchange(
                    method: .get, url: try base.resolving(path),
                    headers: ["Metadata-Flavor": "Google", "User-Agent": "dkron"])
            } catch {
                throw ExecutorHostError(error.message)
            }
        }
    }

    /// A signed claim to be the account (RFC 7519, RFC 7523), good for an hour.
    static func assertion(
        _ account: ServiceAccount, scope: String, at wall: WallTime, on host: any ExecutorHost
    ) throws(ExecutorHostError) -> String {
        var head = JSONWriter()
        head.beginObject()
        head.member("alg", "RS256")
        head.member("typ", "JWT")
        if let keyID = account.keyID { head.member("kid", keyID) }
        head.endObject()
        var claims = JSONWriter()
        claims.beginObject()
        claims.member("iss", account.email)
        claims.member("scope", scope)
        claims.member("aud", account.audience)
        claims.member("iat", wall.seconds)
        claims.member("exp", wall.seconds + 3_600)
        claims.endObject()
        let signed = "\(Self.urlBase64(head.bytes)).\(Self.urlBase64(claims.bytes))"
        let signature = try host.sign(Array(signed.utf8), pem: account.key)
        return "\(signed).\(Self.urlBase64(signature))"
    }

    /// Base64 for URLs, without padding (RFC 7515 section 2).
    private static func urlBase64(_ bytes: [UInt8]) -> String {
        String(Base64Text.encodeForURL(bytes).prefix { $0 != "=" })
    }

    private static func form(_ url: HTTPURL, _ fields: [(String, String)]) -> HTTPExchange {
        let body = HTTPEscapes.parameters(fields)
        return HTTPExchange(
            method: .post, url: url,
            headers: [
                "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "dkron",
            ], body: Array(body.utf8))
    }
}

extension JSONDocument {
    /// The text of an object's member; nil if there is none, or it is something else.
    func text(_ name: String, of value: JSONValue) -> String? {
        member(named: name, of: value).flatMap { string($0) }
    }
}
