/// What a job's `executor_config` says when its executor is `kafka`: one message for one topic.
///
/// | key | value |
/// | --- | --- |
/// | `brokerAddress` | required; `host[:port]`, several with commas; the port is 9092 |
/// | `topic` | required |
/// | `key` | decides over the partition, and is stored with the message |
/// | `message` | sent as it is |
/// | `headers` | JSON list of `"Name: value"` |
/// | `partition` | a number, instead of one by the key |
/// | `saslUsername`, `saslPassword`, `saslMechanism` | `plain`, `sha256` or `sha512`; all or none |
/// | `tlsEnable` | true: over TLS |
/// | `tlsInsecureSkipVerify`, `tlsRootCAsFile` … | as of executor `http` |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 30 |
/// | `debug` | what the brokers tell goes in front of the output |
///
/// An empty value is the same as none.
package struct KafkaJob: ConversationJob {
    package enum Mechanism: String, Hashable, Sendable {
        case plain
        case sha256
        case sha512

        /// As SASL calls it.
        var name: String {
            switch self {
            case .plain: "PLAIN"
            case .sha256: "SCRAM-SHA-256"
            case .sha512: "SCRAM-SHA-512"
            }
        }
    }

    package struct Login: Hashable, Sendable {
        package var mechanism: Mechanism
        package var user: String
        package var password: String
    }

    package private(set) var servers: [ConversationServer] = []
    package private(set) var topic = ""
    /// Nil: the message has none, which is not the same as an empty one.
    package private(set) var key: [UInt8]?
    package private(set) var message: [UInt8] = []
    package private(set) var headers: HTTPHeaders = [:]
    package private(set) var partition: Int32?
    package private(set) var login: Login?
    /// Nil: plain bytes.
    package private(set) var tls: TLSSettings?
    package private(set) var isVerbose = false
    /// Greater than zero.
    package private(set) var timeout: Duration?

    private static let scheme = URLScheme("kafka", isSecure: false, port: 9092)
    static let table =
        [
            SettingKey(
                "brokerAddress", .list, isRequired: true, "host:port of one or several brokers"),
            SettingKey("topic", .text, isRequired: true, "where the message goes"),
            SettingKey("key", .text, "decides over the partition; stored with the message"),
            SettingKey("message", .text, "sent as it is"),
            SettingKey("headers", .json, "a list of \"Name: value\""),
            SettingKey("partition", .number, "instead of one by the key"),
            SettingKey("saslMechanism", .text, "plain, sha256 or sha512"),
            SettingKey("saslUsername", .text, "with saslMechanism"),
            SettingKey("saslPassword", .secret, "with saslMechanism"),
            SettingKey("timeout", .duration, standard: "30s", "for the whole; 0 is none"),
            SettingKey("tlsEnable", .boolean, standard: "false", "the brokers speak TLS"),
            SettingKey(
                "tlsInsecureSkipVerify", .boolean, standard: "false",
                "the same as tlsNoVerifyPeer"),
            SettingKey("debug", .boolean, standard: "false", "the brokers' words in the output"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> KafkaJob {
        let settings = try ExecutorSettings(config, of: "kafka", allowing: keys)
        var job = KafkaJob()
        job.tls = try tls(settings)
        job.servers = try servers(
            settings.required("brokerAddress", "such as \"kafka1:9092,kafka2:9092\""), job.tls)
        job.topic = try topic(settings.required("topic", "such as \"orders\""))
        job.key = settings["key"].map { Array($0.utf8) }
        job.message = Array((settings["message"] ?? "").utf8)
        job.headers = try HeaderListText.parse(settings["headers"], key: "headers")
        job.partition = try partition(settings["partition"])
        job.login = try login(settings)
        job.timeout = try settings.timeout()
        job.isVerbose = settings.isVerbose
        return job
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        KafkaConversation(self, attempt.execution, on: host)
    }

    // MARK: Settings

    private static func servers(
        _ text: String, _ tls: TLSSettings?
    ) throws(ExecutorSettingError) -> [ConversationServer] {
        var servers: [ConversationServer] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let place = String(part.drop { $0 == " " }.prefix { $0 != " " })
            func refusal(_ reason: String) -> ExecutorSettingError {
                ExecutorSettingError(
                    key: "brokerAddress", message: "broker \(servers.count + 1): \(reason)")
            }
            guard !place.isEmpty, !place.utf8.contains(where: { "/@?#".utf8.contains($0) }) else {
                throw refusal("\"\(place)\" is no host and port, such as kafka1:9092")
            }
            do throws(TextError) {
                let url = try HTTPURL("kafka://" + place, schemes: [scheme])
                servers.append(Self.server(url.host, url.port, tls))
            } catch {
                throw refusal("\"\(place)\" is no host and port: \(error.message)")
            }
        }
        return servers
    }

    /// A broker, spoken to as the job says.
    func server(_ host: String, _ port: UInt16) -> ConversationServer {
        Self.server(host, port, tls)
    }

    private static func server(
        _ host: String, _ port: UInt16, _ tls: TLSSettings?
    ) -> ConversationServer {
        ConversationServer(
            host: host, port: port, tls: tls.map { TLSPeer(host: host, settings: $0) })
    }

    /// The names that Kafka allows.
    private static func topic(_ text: String) throws(ExecutorSettingError) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
        guard isPlain, text.utf8.count <= 249, text != ".", text != ".." else {
            throw ExecutorSettingError(
                key: "topic",
                message: "\"\(text)\" is no topic; 1 to 249 letters, digits, dots, hyphens and "
                    + "underscores are allowed")
        }
        return text
    }

    private static func partition(_ text: String?) throws(ExecutorSettingError) -> Int32? {
        guard let text else { return nil }
        guard let number = Int32(text), number >= 0 else {
            throw ExecutorSettingError(
                key: "partition", message: "\"\(text)\" is no partition, a number from 0 on")
        }
        return number
    }

    private static func login(_ settings: ExecutorSettings) throws(ExecutorSettingError) -> Login? {
        let allowed = "plain, sha256 or sha512"
        switch (settings["saslUsername"], settings["saslPassword"], settings["saslMechanism"]) {
        case (nil, nil, nil): return nil
        case (let user?, let password?, let word?):
            guard let mechanism = Mechanism(rawValue: word) else {
                throw ExecutorSettingError(
                    key: "saslMechanism",
                    message: "\"\(word)\" is not known; it must be \(allowed)")
            }
            guard !user.utf8.contains(0), !password.utf8.contains(0) else {
                throw ExecutorSettingError(
                    key: "saslUsername", message: "user name and password can't hold a zero byte")
            }
            return Login(mechanism: mechanism, user: user, password: password)
        case (nil, _, _):
            throw ExecutorSettingError(
                key: "saslUsername",
                message: "saslPassword and saslMechanism need a saslUsername beside them")
        case (_, nil, _):
            throw ExecutorSettingError(
                key: "saslPassword", message: "a saslUsername needs a saslPassword beside it")
        case (_, _, nil):
            throw ExecutorSettingError(
                key: "saslMechanism",
                message: "a saslMechanism is required with saslUsername; it "
                    + "must be \(allowed)")
        }
    }

    private static func tls(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> TLSSettings? {
        var tls = try TLSSettingKeys.parse(settings)
        if try settings.flag("tlsInsecureSkipVerify") { tls.verifiesPeer = false }
        if try settings.flag("tlsEnable") { return tls }
        for key in TLSSettingKeys.all where settings[key] != nil && key != "tlsNoVerifyPeer" {
            throw ExecutorSettingError(
                key: key, message: "\(key) has no effect without tlsEnable, which is not true")
        }
        return nil
    }
}
