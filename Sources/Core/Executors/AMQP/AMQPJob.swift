/// What a job's `executor_config` says when its executor is `rabbitmq`: one message for one queue,
/// or for an exchange that knows the queues.
///
/// | key | value |
/// | --- | --- |
/// | `url` | required; `amqp://[user:password@]host[:port][/virtualhost]`, several with commas |
/// | `queue.name` | required; the queue, and the routing key |
/// | `queue.create` | any text but a written false: the queue is declared |
/// | `queue.durable`, `queue.auto_delete`, `queue.exclusive` | how it is declared |
/// | `queue.bind` | true: the queue is bound to the exchange |
/// | `exchange` | nothing is the default one, which knows every queue by its name |
/// | `exchange.type` | `direct` …: the exchange is declared |
/// | `exchange.durable`, `exchange.auto_delete` | how it is declared |
/// | `message.body` or `message.base64Body` | |
/// | `message.content_type` | nothing is `text/plain` |
/// | `message.delivery_mode` | 2: survives a restart of the server |
/// | `message.messageId` | nothing is the execution's id |
/// | `message.headers` | JSON list of `"Name: value"` |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 30 |
/// | `tlsRootCAsFile` … | as of executor `http` |
///
/// `queue` with `text` or `base64`, of old, is a queue that is declared. An empty value is the same
/// as none.
package struct AMQPJob: ConversationJob {
    package struct Server: Hashable, Sendable {
        package var place: ConversationServer
        package var user: String
        package var password: String
        package var virtualHost: String
    }

    package struct Queue: Hashable, Sendable {
        package var name: String
        package var isDeclared = false
        package var isDurable = false
        package var isAutoDeleted = false
        package var isExclusive = false
        package var isBound = false
    }

    package struct Exchange: Hashable, Sendable {
        package var name = ""
        /// Nil: it is not declared.
        package var kind: String?
        package var isDurable = false
        package var isAutoDeleted = false
    }

    package struct Message: Hashable, Sendable {
        package var body: [UInt8] = []
        package var contentType = "text/plain"
        /// 0: the server's choice.
        package var deliveryMode: UInt8 = 0
        package var id: String?
        package var headers: HTTPHeaders = [:]
    }

    package private(set) var servers: [Server]
    package private(set) var queue: Queue
    package private(set) var exchange: Exchange
    package private(set) var message: Message
    /// Greater than zero.
    package private(set) var timeout: Duration?

    static let table =
        [
            SettingKey(
                "url", .list, isRequired: true, "amqp:// or amqps://, host:port, one or several"),
            SettingKey(
                "queue.name", .text, isRequired: true, "the queue, which is the routing key too"),
            SettingKey("queue.create", .boolean, standard: "false", "the queue is declared"),
            SettingKey(
                "queue.durable", .boolean, standard: "false", "outlives a restart of the server"),
            SettingKey(
                "queue.auto_delete", .boolean, standard: "false", "goes with its last consumer"),
            SettingKey(
                "queue.exclusive", .boolean, standard: "false", "it goes with the connection"),
            SettingKey(
                "queue.bind", .boolean, standard: "false", "the queue is bound to the exchange"),
            SettingKey("exchange", .text, "nothing is the one that knows every queue"),
            SettingKey("exchange.type", .text, "direct, fanout, topic …: it is declared"),
            SettingKey(
                "exchange.durable", .boolean, standard: "false",
                "it outlives a restart of the server"),
            SettingKey(
                "exchange.auto_delete", .boolean, standard: "false", "it goes with its last queue"),
            SettingKey("message.body", .text, "sent as it is"),
            SettingKey("message.base64Body", .text, "bytes to send, in base64"),
            SettingKey(
                "message.content_type", .text, standard: "text/plain", "told to the consumer"),
            SettingKey(
                "message.delivery_mode", .number, "2: kept over a restart of the server"),
            SettingKey("message.messageId", .text, "nothing is the execution's id"),
            SettingKey("message.headers", .json, "a list of \"Name: value\""),
            SettingKey("timeout", .duration, standard: "30s", "for the whole; 0 is none"),
            SettingKey("queue", .text, "of Dkron 3: queue.name, and the queue is declared"),
            SettingKey("text", .text, "of Dkron 3: message.body"),
            SettingKey("base64", .text, "of Dkron 3: message.base64Body"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> AMQPJob {
        let settings = try ExecutorSettings(config, of: "rabbitmq", allowing: keys)
        let servers = try servers(
            settings.required("url", "such as \"amqp://user:password@host:5672/\""),
            try TLSSettingKeys.parse(settings))
        let exchange = try exchange(settings)
        return AMQPJob(
            servers: servers, queue: try queue(settings, exchange), exchange: exchange,
            message: try message(settings), timeout: try settings.timeout())
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        AMQPConversation(self, attempt.execution)
    }

    /// What is asked for, in this order, before the message is sent to this server.
    func requests(_ server: Server) -> [AMQPRequest] {
        var requests: [AMQPRequest] = [.open(host: server.virtualHost), .openChannel, .confirm]
        if let kind = exchange.kind {
            requests.append(
                .declareExchange(
                    name: exchange.name, kind: kind, isDurable: exchange.isDurable,
                    isAutoDeleted: exchange.isAutoDeleted))
        }
        if queue.isDeclared {
            requests.append(
                .declareQueue(
                    name: queue.name, isDurable: queue.isDurable, isExclusive: queue.isExclusive,
                    isAutoDeleted: queue.isAutoDeleted))
        }
        if queue.isBound { requests.append(.bind(queue: queue.name, exchange: exchange.name)) }
        return requests
    }

    // MARK: Settings

    private static let schemes = [
        URLScheme("amqp", isSecure: false, port: 5672),
        URLScheme("amqps", isSecure: true, port: 5671),
    ]

    private static func servers(
        _ text: String, _ tls: TLSSettings
    ) throws(ExecutorSettingError) -> [Server] {
        var servers: [Server] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            func refusal(_ message: String) -> ExecutorSettingError {
                ExecutorSettingError(key: "url", message: "server \(servers.count + 1): \(message)")
            }
            let url: HTTPURL
            do throws(TextError) {
                url = try HTTPURL(String(part.drop { $0 == " " }), schemes: schemes)
            } catch { throw refusal(error.description) }
            let place = ConversationServer(
                host: url.host, port: url.port,
                tls: url.isSecure ? TLSPeer(host: url.host, settings: tls) : nil)
            guard !servers.contains(where: { $0.place == place }) else {
                throw refusal("\(place.name) stands there twice")
            }
            let (user, password) = url.credentials ?? ("guest", "guest")
            let host = try virtualHost(url, refusal)
            guard user.utf8.count + (password ?? "").utf8.count <= 1_000 else {
                throw refusal("user and password have at most 1000 bytes")
            }
            servers.append(
                Server(place: place, user: user, password: password ?? "", virtualHost: host))
        }
        return servers
    }

    /// What stands behind the first slash of the path, with its escapes resolved; nothing is `/`.
    /// The server chooses among virtual hosts by name, so `a/b` is one.
    private static func virtualHost(
        _ url: HTTPURL, _ refusal: (String) -> ExecutorSettingError
    ) throws(ExecutorSettingError) -> String {
        let parts = url.target.split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path: HTTPPath
        do throws(HTTPTargetError) {
            path = try HTTPPath(String(parts[0]))
            for item in try HTTPQuery(parts.count == 2 ? String(parts[1]) : "").items
            where !tuning.contains(item.name) {
                throw HTTPTargetError(
                    message: "\"\(item.name)\" can't be set in the URL; TLS has the settings "
                        + TLSSettingKeys.all.joined(separator: ", "))
            }
        } catch { throw refusal(error.description) }
        var name = path.segments.joined(separator: "/")
        if path.hasTrailingSlash, !path.segments.isEmpty { name += "/" }
        guard name.utf8.count <= 255 else {
            throw refusal("a virtual host's name has at most 255 bytes")
        }
        return name.isEmpty ? "/" : name
    }

    /// Parameters of URLs that say nothing of what is to be done: passed over.
    private static let tuning = ["channel_max", "connection_timeout", "frame_max", "heartbeat"]

    private static func short(
        _ settings: ExecutorSettings, _ key: String
    ) throws(ExecutorSettingError) -> String? {
        guard let text = settings[key] else { return nil }
        guard text.utf8.count <= 255 else {
            throw ExecutorSettingError(
                key: key, message: "it has \(text.utf8.count) bytes; at most 255 are allowed")
        }
        return text
    }

    /// The newer of two keys for the same, or the older one.
    private static func either(
        _ settings: ExecutorSettings, _ key: String, or older: String
    ) throws(ExecutorSettingError) -> String? {
        guard let value = settings[older] else { return settings[key] }
        guard settings[key] == nil else {
            throw ExecutorSettingError(
                key: older, message: "\(older) and \(key) mean the same; leave one of them out")
        }
        return value
    }

    private static func queue(
        _ settings: ExecutorSettings, _ exchange: Exchange
    ) throws(ExecutorSettingError) -> Queue {
        let isOld = settings["queue"] != nil
        guard try either(settings, "queue.name", or: "queue") != nil,
            let name = try short(settings, isOld ? "queue" : "queue.name")
        else {
            throw ExecutorSettingError(
                key: "queue.name", message: "a queue's name is required, such as \"orders\"")
        }
        var queue = Queue(name: name)
        // Of old the queue was always declared.
        queue.isDeclared =
            settings["queue.create"] == nil ? isOld : settings.isOn("queue.create")
        queue.isDurable = try settings.flag("queue.durable")
        queue.isAutoDeleted = try settings.flag("queue.auto_delete")
        queue.isExclusive = try settings.flag("queue.exclusive")
        queue.isBound = try settings.flag("queue.bind")
        guard !queue.isBound || !exchange.name.isEmpty else {
            throw ExecutorSettingError(
                key: "queue.bind",
                message: "only to an exchange with a name can a queue be bound; set exchange")
        }
        return queue
    }

    private static func exchange(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> Exchange {
        var exchange = Exchange()
        exchange.name = try short(settings, "exchange") ?? ""
        exchange.kind = try short(settings, "exchange.type")
        exchange.isDurable = try settings.flag("exchange.durable")
        exchange.isAutoDeleted = try settings.flag("exchange.auto_delete")
        guard exchange.kind == nil || !exchange.name.isEmpty else {
            throw ExecutorSettingError(
                key: "exchange.type",
                message: "only an exchange with a name can be declared; set exchange")
        }
        return exchange
    }

    private static func message(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> Message {
        var message = Message()
        let text = try either(settings, "message.body", or: "text")
        let base64 = try either(settings, "message.base64Body", or: "base64")
        if let base64 {
            let key = settings["base64"] == nil ? "message.base64Body" : "base64"
            guard text == nil else {
                throw ExecutorSettingError(
                    key: key, message: "a text and a base64 body can't be given both")
            }
            do throws(TextError) { message.body = try Base64Text.decode(base64) } catch {
                throw ExecutorSettingError(key: key, message: error.description)
            }
        } else {
            message.body = Array((text ?? "").utf8)
        }
        message.contentType = try short(settings, "message.content_type") ?? message.contentType
        if let mode = settings["message.delivery_mode"] {
            guard let number = UInt8(mode) else {
                throw ExecutorSettingError(
                    key: "message.delivery_mode",
                    message: "\"\(mode)\" is no mode; 1 (kept in memory) and 2 (kept over a "
                        + "restart of the server) are, any number up to 255 is allowed")
            }
            message.deliveryMode = number
        }
        message.id = try short(settings, "message.messageId")
        message.headers = try HeaderListText.parse(
            settings["message.headers"], key: "message.headers")
        guard message.headers.fields.allSatisfy({ $0.name.utf8.count <= 255 }) else {
            throw ExecutorSettingError(
                key: "message.headers", message: "a header's name has at most 255 bytes")
        }
        return message
    }
}
