/// The executors of this release.
enum BuiltInExecutor: String, CaseIterable {
    case shell
    case http
    case nats
    case rabbitmq
    case grpc
    case kafka
    case gcppubsub

    static let names = allCases.map(\.rawValue).sorted()

    /// Its settings, for those who draw forms; none for what is not described yet.
    var table: [SettingKey] {
        switch self {
        case .shell: ShellCommand.table
        case .http: HTTPJob.table
        case .nats: NATSJob.table
        case .rabbitmq, .grpc, .kafka, .gcppubsub: []
        }
    }

    /// Refuses settings that it could not run with. What a secret is part of is checked by the node
    /// that has it. Linear in their size.
    func check(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) {
        for (key, value) in config {
            do throws(TextError) { _ = try SecretReference.names(in: value) } catch {
                throw ExecutorSettingError(key: key, message: error.description)
            }
        }
        do throws(ExecutorSettingError) { try read(config) } catch {
            let value = config.last { $0.key == error.key }?.value ?? ""
            guard SecretReference.occurs(in: value) else { throw error }
        }
    }

    private func read(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) {
        switch self {
        case .shell: _ = try ShellCommand.parse(config)
        case .http: _ = try HTTPJob.parse(config)
        default: _ = try task(config)
        }
    }

    /// What is to be said to a server; nil for executors that do not converse.
    func task(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> ConversationTask? {
        switch self {
        case .shell, .http: nil
        case .nats: .nats(try NATSJob.parse(config))
        case .rabbitmq: .rabbitmq(try AMQPJob.parse(config))
        case .grpc: .grpc(try GRPCJob.parse(config))
        case .kafka: .kafka(try KafkaJob.parse(config))
        case .gcppubsub: .gcppubsub(try PubSubJob.parse(config))
        }
    }
}

/// By what a run is carried out.
enum RunCarrier {
    /// A command, by the supervisor.
    case process
    /// A call over the network, by the agent itself.
    case network
    /// A call of a plugin: of every executor that this program does not have itself.
    case plugin

    init(executor: String) {
        switch BuiltInExecutor(rawValue: executor) {
        case .shell: self = .process
        case nil: self = .plugin
        default: self = .network
        }
    }

    /// What goes on when the agent lets go of it.
    var caveat: String {
        switch self {
        case .process: ""
        case .network: "; the connection was closed, but the server may carry the request out"
        case .plugin: "; the call was cancelled, but what the plugin has started may go on"
        }
    }

    /// What nobody knows of it after the agent has ended.
    var unknown: String {
        switch self {
        case .process, .network:
            "the agent ended while the request was under way; whether the server carried it out is "
                + "not known"
        case .plugin:
            "the agent ended, and with it the plugin, while this was under way; how far it got is "
                + "not known"
        }
    }
}
