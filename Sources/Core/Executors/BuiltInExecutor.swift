/// The executors of this release.
enum BuiltInExecutor: String, CaseIterable {
    case shell
    case http
    case nats

    static let names = allCases.map(\.rawValue).sorted()

    /// The agent itself makes a call over the network: it does not outlive the agent.
    var isCall: Bool { self != .shell }

    /// Its settings, for those who draw forms; none for what is not described yet.
    var table: [SettingKey] {
        switch self {
        case .shell: ShellCommand.table
        case .http: HTTPJob.table
        case .nats: NATSJob.table
        }
    }

    /// Refuses settings that it could not run with. Linear in their size.
    func check(
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
        }
    }
}
