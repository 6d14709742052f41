/// What a job's `executor_config` says when its executor is `nats`: one message for one subject.
///
/// | key | value |
/// | --- | --- |
/// | `url` | required; `nats://[user:password@]host[:port]` or `tls://…`, several with commas |
/// | `subject` | required |
/// | `message` | sent as it is |
/// | `headers` | JSON list of `"Name: value"` |
/// | `userName`, `password`, `token` | credentials; they win over those of the URL |
/// | `jetstream` | true: a stream must have stored the message |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 30 |
/// | `tlsRootCAsFile` … | as of executor `http` |
/// | `debug` | the server's greeting goes in front of the output |
///
/// An empty value is the same as none.
package struct NATSJob: ConversationJob {
    package struct Server: Hashable, Sendable {
        package var host: String
        package var port: UInt16
        /// TLS is wanted even if the server does without.
        package var isSecure: Bool
        package var user: String?
        package var password: String?
    }

    package private(set) var servers: [Server] = []
    package private(set) var subject = ""
    package private(set) var message: [UInt8] = []
    package private(set) var headers: HTTPHeaders = [:]
    package private(set) var user: String?
    package private(set) var password: String?
    package private(set) var token: String?
    package private(set) var wantsStream = false
    package private(set) var tls = TLSSettings()
    package private(set) var isVerbose = false
    /// Greater than zero.
    package private(set) var timeout: Duration?

    private static let schemes = [
        URLScheme("nats", isSecure: false, port: 4222),
        URLScheme("tls", isSecure: true, port: 4222),
    ]
    static let table =
        [
            SettingKey(
                "url", .list, isRequired: true, "nats:// or tls:// and host:port, one or several"),
            SettingKey("subject", .text, isRequired: true, "where the message goes"),
            SettingKey("message", .text, "sent as it is"),
            SettingKey("headers", .json, "a list of \"Name: value\""),
            SettingKey("userName", .text, "wins over that of the URL"),
            SettingKey("password", .secret, "wins over that of the URL"),
            SettingKey("token", .secret, "in place of a user and a password"),
            SettingKey(
                "jetstream", .boolean, standard: "false", "a stream must have stored the message"),
            SettingKey("timeout", .duration, standard: "30s", "for the whole; 0 is none"),
            SettingKey("debug", .boolean, standard: "false", "the server's greeting in the output"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> NATSJob {
        let settings = try ExecutorSettings(config, of: "nats", allowing: keys)
        var job = NATSJob()
        job.servers = try servers(settings.required("url", "such as \"nats://host:4222\""))
        job.subject = try subject(settings.required("subject", "such as \"orders.new\""))
        job.message = Array((settings["message"] ?? "").utf8)
        job.headers = try HeaderListText.parse(settings["headers"], key: "headers")
        (job.user, job.password) = (settings["userName"], settings["password"])
        job.token = settings["token"]
        guard job.token == nil || job.user == nil else {
            throw ExecutorSettingError(
                key: "token", message: "a token and a user name can't be given both")
        }
        job.wantsStream = try settings.flag("jetstream")
        job.tls = try TLSSettingKeys.parse(settings)
        job.timeout = try settings.timeout()
        job.isVerbose = settings.isVerbose
        return job
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        NATSConversation(self, attempt.execution)
    }

    // MARK: Settings

    private static func servers(_ text: String) throws(ExecutorSettingError) -> [Server] {
        var servers: [Server] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let blanks = part.drop { $0 == " " }
            do throws(TextError) {
                let url = try HTTPURL(String(blanks), schemes: schemes)
                var server = Server(host: url.host, port: url.port, isSecure: url.isSecure)
                (server.user, server.password) = url.credentials.map { ($0, $1) } ?? (nil, nil)
                servers.append(server)
            } catch {
                throw ExecutorSettingError(
                    key: "url", message: "server \(servers.count + 1): \(error.description)")
            }
        }
        return servers
    }

    /// Words between dots, none empty, without blanks; `*` and `>` are for those who listen.
    private static func subject(_ text: String) throws(ExecutorSettingError) -> String {
        let words = text.split(separator: ".", omittingEmptySubsequences: false)
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
        guard isPlain, words.allSatisfy({ !$0.isEmpty && $0 != "*" && $0 != ">" }) else {
            throw ExecutorSettingError(
                key: "subject",
                message: "\"\(text)\" is no subject for a message; words between dots are wanted, "
                    + "without blanks, * and >")
        }
        return text
    }
}
