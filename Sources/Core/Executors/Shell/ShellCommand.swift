/// What a job's `executor_config` says when its executor is `shell`: one command, how to start it,
/// and what bounds it.
///
/// | key | value |
/// | --- | --- |
/// | `command` | required; words (see `ShellWords`), or with `shell` a text for `/bin/sh -c` |
/// | `shell` | Go's words for a Boolean: `1 t T TRUE true True`, `0 f F FALSE false False` |
/// | `env` | `NAME=value,NAME=value` (see `ShellEnvironment`) |
/// | `cwd` | working directory |
/// | `timeout` | whole seconds, or a Go duration; 0 is none |
/// | `mem_limit`, `memory_limit` | bytes, or a number with a unit (`1.5GB`, powers of 1024) |
/// | `su` | `user` or `user:group` |
/// | `payload` | standard base64 of what the command reads on its standard input |
///
/// An empty value is the same as none.
package struct ShellCommand: Hashable, Sendable {
    package private(set) var arguments: [String] = []
    /// From `env`, in its order.
    package private(set) var environment: [EnvironmentEntry] = []
    package private(set) var workingDirectory: String?
    package private(set) var user: String?
    /// In bytes, greater than 0.
    package private(set) var memoryLimit: UInt64?
    /// Greater than zero.
    package private(set) var timeout: Duration?
    package private(set) var payload: [UInt8] = []

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> ShellCommand {
        var settings: [String: String] = [:]
        for (name, value) in config {
            let key = name == "memory_limit" ? "mem_limit" : name
            guard keys.contains(key) else { throw unknown(key) }
            guard !value.utf8.contains(0) else {
                throw ExecutorSettingError(key: key, message: "a zero byte cannot be passed on")
            }
            settings[key] = value.isEmpty ? nil : value
        }
        var command = ShellCommand()
        command.arguments = try arguments(settings["command"], shell: settings["shell"])
        command.environment = try within("env") { () throws(TextError) in
            try ShellEnvironment.parse(settings["env"] ?? "")
        }
        command.workingDirectory = settings["cwd"]
        command.user = try user(settings["su"])
        command.timeout = try TimeoutText.parse(settings["timeout"], key: "timeout")
        command.memoryLimit = try within("mem_limit") { () throws(TextError) in
            try settings["mem_limit"].map(ByteCountText.parse)
        }
        command.payload = try within("payload") { () throws(TextError) in
            try Base64Text.decode(settings["payload"] ?? "")
        }
        return command
    }

    /// Says whether `parse` would accept the settings, by throwing what it would.
    package static func validate(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) {
        _ = try parse(config)
    }

    /// One attempt to run it. `environment` (what the execution adds) comes after the job's own,
    /// and the names of the job and the execution come last, so that nothing can replace them.
    package func spec(
        execution: ExecutionID, jobName: JobName, environment added: [EnvironmentEntry],
        grace: Duration, fence: Duration?
    ) -> RunSpec {
        let identity = [
            EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: execution.text),
            EnvironmentEntry(name: "DKRON_JOB_NAME", value: jobName.text),
            EnvironmentEntry(name: "ENV_JOB_NAME", value: jobName.text),
        ]
        return RunSpec(
            execution: execution,
            command: RunSpec.Command(
                arguments: arguments, environment: environment + added + identity,
                workingDirectory: workingDirectory, user: user, memoryLimit: memoryLimit,
                payload: payload),
            timeout: timeout, grace: grace, fence: fence)
    }

    // MARK: Settings

    private static func arguments(
        _ command: String?, shell: String?
    ) throws(ExecutorSettingError) -> [String] {
        let throughShell = try flag(shell)
        guard let command, !ShellWords.isBlank(command) else {
            throw ExecutorSettingError(
                key: "command", message: "a command is required, such as \"date\"")
        }
        if throughShell { return ["/bin/sh", "-c", command] }
        return try within("command") { () throws(TextError) in try ShellWords.split(command) }
    }

    private static func flag(_ text: String?) throws(ExecutorSettingError) -> Bool {
        switch text {
        case nil, "0", "f", "F", "FALSE", "false", "False": return false
        case "1", "t", "T", "TRUE", "true", "True": return true
        case let text?:
            throw ExecutorSettingError(
                key: "shell", message: "\"\(text)\" is neither \"true\" nor \"false\"")
        }
    }

    private static func user(_ text: String?) throws(ExecutorSettingError) -> String? {
        guard let text else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            throw ExecutorSettingError(
                key: "su", message: "\"\(text)\" has not the form user or user:group")
        }
        return text
    }

    private static func unknown(_ key: String) -> ExecutorSettingError {
        let names = keys.joined(separator: ", ")
        return ExecutorSettingError(
            key: key, message: "the shell executor has no setting \"\(key)\"; it has \(names)")
    }

    /// Names the setting in which a text is wrong.
    private static func within<Value>(
        _ key: String, _ read: () throws(TextError) -> Value
    ) throws(ExecutorSettingError) -> Value {
        do throws(TextError) {
            return try read()
        } catch {
            throw ExecutorSettingError(key: key, message: error.description)
        }
    }

    static let table = [
        SettingKey("command", .text, isRequired: true, "words, or with shell a text for /bin/sh"),
        SettingKey("cwd", .text, "the working directory"),
        SettingKey("env", .list, "NAME=value, several with commas"),
        SettingKey("mem_limit", .size, "of resident memory; memory_limit is the same"),
        SettingKey("payload", .text, "Base64 of what the command reads on its input"),
        SettingKey("shell", .boolean, standard: "false", "start the command with /bin/sh -c"),
        SettingKey("su", .text, "user or user:group"),
        SettingKey("timeout", .duration, "after which the command is ended; nothing is never"),
    ]
    private static let keys = table.map(\.name)
}
