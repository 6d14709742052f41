import Glibc
import Testing

/// A real RabbitMQ server for one test, on ports and in folders of its own.
final class RabbitServer {
    private static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    /// Whether there are a server, and a client of others to look at what it has.
    static let isInstalled: Bool = {
        guard access(program, X_OK) == 0 else { return false }
        let scratch = Scratch("pika")
        return (try? run(["python3", "-c", "import pika"], in: scratch))?.ending == .exited(0)
    }()

    let port = freePort()
    let securePort = freePort()
    private let distributionPort = freePort()
    private let mapperPort = freePort()
    private let scratch: Scratch
    private var process: ChildProcess?

    /// - Parameter certificates: with one for `server`, by `authority`: it speaks TLS, too.
    init(in scratch: Scratch, _ certificates: Certificates? = nil) throws {
        self.scratch = scratch
        writeText("[].", to: scratch.path("rabbit-plugins"))
        var settings = "loopback_users = none\n"
        if let certificates {
            settings += """
                listeners.ssl.default = 127.0.0.1:\(securePort)
                ssl_options.cacertfile = \(certificates.certificate("authority"))
                ssl_options.certfile = \(certificates.certificate("server"))
                ssl_options.keyfile = \(certificates.key("server"))
                ssl_options.verify = verify_peer
                ssl_options.fail_if_no_peer_cert = true

                """
        }
        writeText(settings, to: scratch.path("rabbit.conf"))
        try start()
    }

    deinit { kill() }

    func start() throws {
        let log = scratch.path("rabbit-\(scratch.unique())")
        let own = [
            "HOME": scratch.folder, "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": "\(port)",
            "RABBITMQ_DIST_PORT": "\(distributionPort)",
            "RABBITMQ_MNESIA_BASE": scratch.path("rabbit-data"),
            "RABBITMQ_LOG_BASE": scratch.path("rabbit-log"), "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": scratch.path("rabbit.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": scratch.path("rabbit-plugins"),
            "RABBITMQ_CONFIG_FILE": scratch.path("rabbit"),
            "RABBITMQ_CONF_ENV_FILE": scratch.path("rabbit-none"),
            "ERL_EPMD_PORT": "\(mapperPort)", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        process = try ChildProcess(
            [Self.program], log: log, environment: own.merging(scratch.mark) { $1 })
        let isReady = eventually(60) { readText(log).contains("Server startup complete") }
        try #require(isReady, "\(readText(log).suffix(3_000))")
    }

    /// Ends it the hard way, and what it has started.
    func kill() {
        for number in scratch.processes(where: Self.isOurs) { _ = Glibc.kill(number, SIGKILL) }
        process?.destroy()
        _ = eventually(10) { scratch.processes(where: Self.isOurs).isEmpty }
    }

    private static func isOurs(_ commandLine: String) -> Bool { commandLine.contains("/erlang/") }

    /// Has another client do something with a `channel`; what it prints.
    func ask(_ program: String) throws -> String {
        let source = """
            import pika
            connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", \(port)))
            channel = connection.channel()
            \(program)
            connection.close()
            """
        let (ending, output) = try run(["python3", "-c", source], in: scratch, seconds: 60)
        try #require(ending == .exited(0), "\(output)")
        return output
    }

    /// What another client takes out of a queue: a line for each message.
    func messages(in queue: String) throws -> [Substring] {
        let lines = try ask(
            """
            while True:
                method, p, body = channel.basic_get("\(queue)", auto_ack=True)
                if method is None:
                    break
                print(p.content_type, p.delivery_mode, p.message_id, p.headers,
                      body.hex() if len(body) < 1000 else len(body), sep="|")
            """)
        return lines.split(separator: "\n")
    }
}

func hexadecimal(_ text: String) -> String {
    text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
