/// One attempt by an executor that is built in, as whoever carries it out needs it.
package enum BuiltInCall {
    /// A command, for the supervisor.
    case start(RunSpec)
    case call(HTTPCall)
    case converse(ConversationCall)
}

/// The executors of this release.
package enum BuiltInExecutor: String, CaseIterable, Sendable {
    case shell
    case http
    case nats
    case rabbitmq
    case grpc
    case kafka
    case gcppubsub
    case docker
    case ecs

    package static let names = allCases.map(\.rawValue).sorted()

    /// Its settings, for those who draw forms.
    var table: [SettingKey] {
        switch self {
        case .shell: ShellCommand.table
        case .http: HTTPJob.table
        case .nats: NATSJob.table
        case .rabbitmq: AMQPJob.table
        case .grpc: GRPCJob.table
        case .kafka: KafkaJob.table
        case .gcppubsub: PubSubJob.table
        case .docker: DockerJob.table
        case .ecs: ECSJob.table
        }
    }

    /// Refuses settings that it could not run with. What a secret is part of is checked by the node
    /// that has it. Linear in their size.
    func check(_ config: [Setting]) throws(ExecutorSettingError) {
        try SecretReference.check(config) { () throws(ExecutorSettingError) in
            try read(config.map { ($0.name, $0.value) })
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

    /// One attempt with settings whose secrets are filled in. Throws what `check` would.
    /// - Parameters:
    ///   - identity: what tells the attempt from others: a command's environment, a request's
    ///     headers.
    ///   - grace: between the polite signal to a command and the deadly one.
    ///   - fence: see `RunSpec.fence`.
    ///   - isResumed: see `ConversationCall.isResumed`.
    package func call(
        _ config: [(key: String, value: String)], execution: ExecutionID, job: JobName,
        identity: [EnvironmentEntry], grace: Duration, fence: Duration?, isResumed: Bool = false
    ) throws(ExecutorSettingError) -> BuiltInCall {
        switch self {
        case .shell:
            return .start(
                try ShellCommand.parse(config).spec(
                    execution: execution, jobName: job, environment: identity, grace: grace,
                    fence: fence))
        default:
            if let task = try task(config) {
                return .converse(
                    ConversationCall(
                        execution: execution, task: task, identity: identity, fence: fence,
                        isResumed: isResumed))
            }
            return .call(
                try HTTPJob.parse(config).call(
                    execution: execution, identity: identity, fence: fence))
        }
    }

    /// What is to be said to a server; nil for executors that do not converse.
    private func task(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> ConversationTask? {
        switch self {
        case .shell, .http: nil
        case .nats: .nats(try NATSJob.parse(config))
        case .rabbitmq: .rabbitmq(try AMQPJob.parse(config))
        case .grpc: .grpc(try GRPCJob.parse(config))
        case .kafka: .kafka(try KafkaJob.parse(config))
        case .gcppubsub: .gcppubsub(try PubSubJob.parse(config))
        case .docker: .docker(try DockerJob.parse(config))
        case .ecs: .ecs(try ECSJob.parse(config))
        }
    }
}

/// By what a run is carried out.
enum RunCarrier {
    /// A command, by the supervisor.
    case process
    /// A call over the network, by the agent itself.
    case network
    /// Something that another program runs, told over the network: it goes on without the agent,
    /// and an agent that comes back finds it again.
    case elsewhere
    /// A call of a plugin: of every executor that this program does not have itself.
    case plugin

    init(executor: String) {
        switch BuiltInExecutor(rawValue: executor) {
        case .shell: self = .process
        case .docker, .ecs: self = .elsewhere
        case nil: self = .plugin
        default: self = .network
        }
    }

    /// Nobody goes on with it when the agent's process ends.
    var endsWithAgent: Bool {
        switch self {
        case .process, .elsewhere: false
        case .network, .plugin: true
        }
    }

    /// What goes on when the agent lets go of it.
    var caveat: String {
        switch self {
        case .process: ""
        case .network: "; the connection was closed, but the server may carry the request out"
        case .elsewhere: "; what it had started may go on"
        case .plugin: "; the call was cancelled, but what the plugin has started may go on"
        }
    }

    /// What nobody knows of it after the agent has ended.
    var unknown: String {
        switch self {
        case .process, .network, .elsewhere:
            "the agent ended while the request was under way; whether the server carried it out is "
                + "not known"
        case .plugin:
            "the agent ended, and with it the plugin, while this was under way; how far it got is "
                + "not known"
        }
    }
}
