internal import Core

/// Reads the configuration of a running node again, from the same places as at its start.
///
/// Tags, the log level and how people are told take effect at once; whatever else has changed is
/// named in a warning, because it takes a restart. Of a configuration with anything wrong nothing
/// is taken.
package final class Reloader {
    private let arguments: [String]
    private let host: @Sendable () -> ConfigurationHost
    /// What everything else still follows.
    private let started: AgentOptions

    private static let reloadable =
        ["tag", "tags", "log-level"] + AgentOptions.notificationNames

    /// - Parameter arguments: those after `agent`.
    package init(
        _ arguments: [String], started: AgentOptions,
        host: @escaping @Sendable () -> ConfigurationHost
    ) {
        self.arguments = arguments
        self.started = started
        self.host = host
    }

    /// What holds from now on, or nil when the old values stay. The log gets its new level, and
    /// tells what came of the attempt: an error for each thing that is wrong, with its file and
    /// line.
    package func reload(_ log: LogWriter) -> AgentOptions? {
        let options: AgentOptions
        do {
            guard let read = try AgentOptions.read(arguments, host: host()) else { return nil }
            options = read
        } catch {
            refuse([error.message], log)
            return nil
        }
        guard options.problems.isEmpty else {
            refuse(options.problems, log)
            return nil
        }
        log.level = options.logLevel
        for warning in options.warnings where !started.warnings.contains(warning) {
            log.write(.warning, "agent: \(warning)")
        }
        let waiting = options.names(differingFrom: started).filter {
            !Self.reloadable.contains($0)
        }
        if !waiting.isEmpty {
            log.write(
                .warning, "agent: these options have changed and take effect at the next start",
                [.init("options", waiting.joined(separator: ","))])
        }
        log.write(
            .info, "agent: configuration read again",
            [
                .init("path", options.configurationFile ?? "none"),
                .init("log_level", options.logLevel.word),
            ])
        return options
    }

    private func refuse(_ problems: [String], _ log: LogWriter) {
        for problem in problems {
            log.write(
                .error, "agent: the configuration is not taken, what held before goes on to hold",
                [.init("error", problem)])
        }
    }
}

extension AgentOptions {
    /// The options in use whose values are others, in the order of the table.
    func names(differingFrom other: AgentOptions) -> [String] {
        Self.table.compactMap { option in
            guard case .used = option.standing,
                value(of: option) != other.value(of: option)
            else { return nil }
            return option.name
        }
    }

    /// What holds, as texts. An address template counts as what it came to.
    private func value(of option: CommandLineOption) -> [String] {
        guard let setting = settings.first(where: { $0.option.name == option.name }) else {
            return option.standard.isEmpty ? [] : [option.standard]
        }
        return setting.evaluated.map { [$0] } ?? setting.values.map(\.text)
    }
}
