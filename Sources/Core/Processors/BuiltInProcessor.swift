/// The processors of this release.
package enum BuiltInProcessor: String, CaseIterable, Sendable {
    case log
    case files
    case syslog
    case email
    case webhook

    package static let names = allCases.map(\.rawValue).sorted()

    /// Its settings: what is read, refused and described.
    var table: [SettingKey] {
        let own =
            switch self {
            case .log: [] as [SettingKey]
            case .files: FilesTask.table
            case .syslog: SyslogTask.table
            case .email: MailTask.table
            case .webhook: WebhookTask.table
            }
        return own + [
            SettingKey(
                "forward", .boolean, standard: "\(forwardsByDefault)",
                "leave the output to the processors that follow and to the store"),
            SettingKey(
                "timeout", .duration, standard: "30s", "for the whole, at most 10 minutes"),
            SettingKey("order", .number, "its place among the job's processors"),
        ]
    }

    /// Those that tell of an execution keep its output; those that keep the output elsewhere let
    /// go of it, as they always did.
    private var forwardsByDefault: Bool { self == .email || self == .webhook }

    /// What a processor of a job is to do. A name that is none of ours is that of a plugin, which
    /// knows its own settings.
    package static func task(
        _ processor: ProcessorSettings
    ) throws(ExecutorSettingError) -> ProcessorTask {
        guard let builtIn = BuiltInProcessor(rawValue: processor.name) else {
            return ProcessorTask(.plugin(processor.name, processor.settings))
        }
        let settings = try ExecutorSettings(
            processor.settings, of: processor.name, table: builtIn.table)
        var task = ProcessorTask(try builtIn.work(settings))
        task.forwards = try settings.flag("forward", standard: builtIn.forwardsByDefault)
        guard let timeout = try settings.timeout(), timeout <= ProcessorTask.longestTimeout else {
            throw ExecutorSettingError(
                key: "timeout", message: "a processor has a time-out of at most 10 minutes")
        }
        task.timeout = timeout
        return task
    }

    /// Refuses settings that it could not run with. What a secret is part of is checked by the
    /// server that has it. Linear in their size.
    static func check(_ processor: ProcessorSettings) throws(ExecutorSettingError) {
        try SecretReference.check(processor.settings) { () throws(ExecutorSettingError) in
            _ = try task(processor)
        }
    }

    private func work(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> ProcessorTask.Work {
        switch self {
        case .log: .log
        case .files: .files(try FilesTask(settings))
        case .syslog: .syslog(try SyslogTask(settings))
        case .email: .email(try MailTask(settings))
        case .webhook: .webhook(try WebhookTask(settings))
        }
    }
}
