/// The executors of this release.
enum BuiltInExecutor: String, CaseIterable {
    case shell
    case http
    case nats

    static let names = allCases.map(\.rawValue).sorted()

    /// The agent itself makes a call over the network: it does not outlive the agent.
    var isCall: Bool { self != .shell }

    /// Refuses settings that it could not run with. Linear in their size.
    func check(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) {
        switch self {
        case .shell: _ = try ShellCommand.parse(config)
        case .http: _ = try HTTPJob.parse(config)
        case .nats: _ = try NATSJob.parse(config)
        }
    }
}
