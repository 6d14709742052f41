/// What a job's `executor_config` says when its executor is `docker`: one container, run to its
/// end.
///
/// | key | value |
/// | --- | --- |
/// | `image` | required |
/// | `command`, `entrypoint` | words, or a JSON list of strings; nothing is what the image says |
/// | `env` | `NAME=value`, several with commas, or a JSON list |
/// | `volumes` | `source:target[:options]`, several with commas, or a JSON list |
/// | `network`, `user`, `workdir` | as of `docker run` |
/// | `memory`, `cpus` | limits: bytes, or a number with a unit; a number, `0.5` |
/// | `init` | true: a process of the engine's is the container's first |
/// | `pull` | `always`, `missing`, `never` |
/// | `registry.username`, `registry.password`, `registry.address` | to pull with |
/// | `host` | `unix:///path`, `tcp://host:port` or `https://host:port` |
/// | `stop_timeout` | from the polite signal to the deadly one |
/// | `timeout` | whole seconds, or a Go duration; nothing is none |
/// | `tlsRootCAsFile` … | as of executor `http` |
///
/// An empty value is the same as none.
package struct DockerJob: ConversationJob {
    package enum Pull: Hashable, Sendable {
        case always
        case missing
        case never
    }

    package struct Registry: Hashable, Sendable {
        package var user: String
        package var password: String
        package var address: String?
    }

    package private(set) var image = ""
    package private(set) var command: [String]?
    package private(set) var entrypoint: [String]?
    package private(set) var environment: [EnvironmentEntry] = []
    package private(set) var volumes: [String] = []
    package private(set) var network: String?
    package private(set) var user: String?
    package private(set) var workingDirectory: String?
    /// In bytes.
    package private(set) var memory: UInt64?
    /// In billionths of a processor.
    package private(set) var processors: UInt64?
    package private(set) var hasInit = false
    package private(set) var pull = Pull.missing
    package private(set) var registry: Registry?
    /// Nil: what the environment of the node says.
    package private(set) var host: DockerHost?
    package private(set) var tls = TLSSettings()
    /// 0 ... 5 minutes.
    package private(set) var grace = Duration.seconds(10)
    /// Greater than zero.
    package private(set) var timeout: Duration?

    static let table =
        [
            SettingKey("image", .text, isRequired: true, "name, with a tag or a digest"),
            SettingKey("command", .text, "words, or a JSON list; nothing is the image's"),
            SettingKey("entrypoint", .text, "words, or a JSON list; nothing is the image's"),
            SettingKey("env", .list, "NAME=value, several with commas"),
            SettingKey("volumes", .list, "source:target[:options], several with commas"),
            SettingKey("network", .text, "bridge, none, host, or a network's name"),
            SettingKey("user", .text, "name or number, and :group"),
            SettingKey("workdir", .text, "the working directory in the container"),
            SettingKey("memory", .size, "beyond which the container is killed"),
            SettingKey("cpus", .text, "how many processors it may use, such as 0.5"),
            SettingKey(
                "init", .boolean, standard: "false", "run a small init as its first process"),
            SettingKey("pull", .text, standard: "missing", "always, missing or never"),
            SettingKey("registry.username", .text, "who pulls the image"),
            SettingKey("registry.password", .secret, "of the one who pulls the image"),
            SettingKey("registry.address", .text, "the registry that these are for"),
            SettingKey(
                "host", .text, "unix:///path or tcp://host:port; nothing: the node's DOCKER_HOST"),
            SettingKey(
                "stop_timeout", .duration, standard: "10s", "from the stop signal to the kill"),
            SettingKey("timeout", .duration, "after which it is stopped; nothing is never"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> DockerJob {
        let settings = try ExecutorSettings(config, of: "docker", allowing: keys)
        var job = DockerJob()
        job.image = try image(settings.required("image", "such as \"alpine:3\""))
        job.command = try words(settings["command"], "command")
        job.entrypoint = try words(settings["entrypoint"], "entrypoint")
        job.environment = try SettingList.environment(settings["env"], key: "env")
        job.volumes = try volumes(settings["volumes"])
        job.network = settings["network"]
        job.user = settings["user"]
        job.workingDirectory = settings["workdir"]
        job.memory = try settings.size("memory")
        job.processors = try processors(settings["cpus"])
        job.hasInit = try settings.flag("init")
        let pulls: [(word: String, value: Pull)] = [
            ("always", .always), ("missing", .missing), ("never", .never),
        ]
        job.pull = try settings.choice("pull", pulls) ?? .missing
        job.registry = try registry(settings)
        job.tls = try TLSSettingKeys.parse(settings)
        if let text = settings["host"] {
            let isSecure = TLSSettingKeys.all.contains { settings[$0] != nil }
            do throws(TextError) { job.host = try DockerHost(text, isSecure: isSecure) } catch {
                throw ExecutorSettingError(key: "host", message: error.description)
            }
        }
        job.grace = try grace(settings["stop_timeout"])
        job.timeout = try TimeoutText.parse(settings["timeout"], key: "timeout")
        return job
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        HTTPConversation(DockerDialogue(self, attempt, on: host))
    }

    // MARK: Settings

    private static func image(_ text: String) throws(ExecutorSettingError) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: "._-/:@".utf8.contains(byte)
            }
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard isPlain, text.utf8.count <= 512,
            parts.allSatisfy({ !$0.isEmpty && $0.contains { $0 != "." } })
        else {
            throw ExecutorSettingError(
                key: "image",
                message: "\"\(text)\" is no image; a name is wanted, perhaps with a registry "
                    + "before it and a tag or a digest behind it, such as host:5000/team/tool:1.2")
        }
        return text
    }

    private static func words(
        _ text: String?, _ key: String
    ) throws(ExecutorSettingError) -> [String]? {
        guard let text, !ShellWords.isBlank(text) else { return nil }
        if text.utf8.first == UInt8(ascii: "[") { return try SettingList.json(text, key: key) }
        let remedy = #"write ["sh", "-c", "…"]"#
        do throws(TextError) { return try ShellWords.split(text, remedy: remedy) } catch {
            throw ExecutorSettingError(key: key, message: error.description)
        }
    }

    private static func volumes(_ text: String?) throws(ExecutorSettingError) -> [String] {
        let volumes = try SettingList.words(text, key: "volumes")
        for volume in volumes {
            let parts = volume.split(separator: ":", omittingEmptySubsequences: false)
            guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }),
                parts[1].utf8.first == UInt8(ascii: "/")
            else {
                throw ExecutorSettingError(
                    key: "volumes",
                    message: "\"\(volume)\" has not the form source:target or "
                        + "source:target:options, such as /srv/data:/data:ro")
            }
        }
        return volumes
    }

    /// A decimal number, as billionths.
    private static func processors(_ text: String?) throws(ExecutorSettingError) -> UInt64? {
        guard let text else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let digits = parts.joined()
        let fraction = parts.count > 1 ? parts[1].utf8.count : 0
        guard parts.count <= 2, !digits.isEmpty, fraction <= 9, digits.utf8.count <= 14,
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            var value = UInt64(digits), value > 0
        else {
            throw ExecutorSettingError(
                key: "cpus",
                message: "\"\(text)\" is no number of processors; one greater than 0 is wanted, "
                    + "such as 0.5 or 2")
        }
        for _ in fraction..<9 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow, product < 1 << 62 else {
                throw ExecutorSettingError(key: "cpus", message: "\(text) processors are too many")
            }
            value = product
        }
        return value
    }

    private static func registry(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> Registry? {
        let names = ["registry.username", "registry.password"]
        switch (settings[names[0]], settings[names[1]]) {
        case (nil, nil):
            guard settings["registry.address"] == nil else {
                throw ExecutorSettingError(
                    key: "registry.address", message: "it says nothing without \(names[0])")
            }
            return nil
        case (let user?, let password?):
            return Registry(user: user, password: password, address: settings["registry.address"])
        case (let user, _):
            throw ExecutorSettingError(
                key: user == nil ? names[0] : names[1],
                message: "to pull with credentials takes both \(names[0]) and \(names[1])")
        }
    }

    private static func grace(_ text: String?) throws(ExecutorSettingError) -> Duration {
        guard let text else { return .seconds(10) }
        // Here 0 is a time, and means none is given.
        let grace = try TimeoutText.parse(text, key: "stop_timeout") ?? .zero
        guard grace <= .minutes(5) else {
            throw ExecutorSettingError(
                key: "stop_timeout", message: "\(text) is too long; at most 5m are allowed")
        }
        return grace
    }
}
