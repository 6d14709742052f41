package import Core

/// What `dkron agent` was told.
package struct AgentOptions: Sendable {
    package var isServer = false
    /// The host's name when nil.
    package var nodeName: String?
    package var bindAddress: Endpoint?
    /// Both loopback addresses on port 8080 when nil.
    package var httpAddress: Endpoint?
    package var rpcPort: UInt16 = 6868
    package var dataDirectory = "dkron.data"
    package var tags: [TagEntry] = []
    package var region = "global"
    package var datacenter = "dc1"
    package var logLevel = LogRecord.Level.info
    package var shutdownTimeout = Duration.seconds(60)
    /// The host's zone when nil.
    package var defaultZone: String?
    package var startPaused = false
    package var hideEnvironment: [String] = []
    package var maxRunning: Int?
    /// To be logged at the start: what was accepted without effect.
    package var warnings: [String] = []

    /// Reads a command line. Returns nil when it asks for help.
    package static func parse(
        _ arguments: [String], environment: [String] = []
    ) throws(UsageError) -> AgentOptions? {
        let parsed = try ParsedArguments(arguments, against: table)
        if parsed.wantsHelp { return nil }
        if let word = parsed.positional.first {
            throw UsageError("\"\(word)\" is not an option of agent; options begin with --")
        }
        var options = AgentOptions()
        for (option, value) in parsed.options { try options.take(option, value) }
        try options.noteEnvironment(environment)
        guard options.isServer else {
            throw UsageError(
                "an agent without --server needs a cluster to join, which this version can't; "
                    + "add --server")
        }
        return options
    }

    private mutating func take(
        _ option: CommandLineOption, _ value: String
    ) throws(UsageError) {
        switch option.name {
        case "server": isServer = value == "true"
        case "node-name": nodeName = try Self.checkedNodeName(value)
        case "bind-addr": bindAddress = try Self.endpoint(option, value, defaultPort: 8946)
        case "http-addr": httpAddress = try Self.endpoint(option, value, defaultPort: 8080)
        case "rpc-port": rpcPort = UInt16(try Self.number(option, value, 1...65_535))
        case "data-dir": dataDirectory = value
        case "bootstrap-expect": try Self.checkBootstrapExpect(option, value)
        case "tag": for item in try commaSeparated(value) { tags.append(try Self.tag(item)) }
        case "region": region = value
        case "datacenter": datacenter = value
        case "log-level": logLevel = try Self.level(value)
        case "shutdown-timeout": shutdownTimeout = try Self.duration(option, value)
        case "default-timezone":
            do { try ZoneName.check(value) } catch {
                throw UsageError("--default-timezone: \(error)")
            }
            defaultZone = value
        case "start-paused": startPaused = value == "true"
        case "hide-env": hideEnvironment += try commaSeparated(value).filter { !$0.isEmpty }
        case "max-running": maxRunning = Int(try Self.number(option, value, 1...1_000_000))
        case "backend":
            guard value == "boltdb" else {
                throw UsageError(
                    "--backend \(value): jobs are kept in the data directory, no other store is "
                        + "available in this version; leave the option out")
            }
        default: warn(option.name, prefix: "--")
        }
    }

    private mutating func warn(_ name: String, prefix: String) {
        let text = "option \(prefix)\(name) has no effect yet"
        if !warnings.contains(text) { warnings.append(text) }
    }

    /// Settings in the environment are not read in this version: say so, and stop where going on
    /// would leave a door open that was meant to be shut.
    private mutating func noteEnvironment(_ environment: [String]) throws(UsageError) {
        for entry in environment {
            guard entry.hasPrefix("DKRON_"), let end = entry.firstIndex(of: "=") else { continue }
            let variable = entry[..<end]
            let name = String(variable.dropFirst(6).lowercased().map { $0 == "_" ? "-" : $0 })
            guard let option = Self.table.first(where: { $0.name == name }) else { continue }
            if case .refused(let why) = option.standing {
                throw UsageError("environment variable \(variable): \(why)")
            }
            warnings.append("environment variable \(variable) has no effect yet; use --\(name)")
        }
    }

    // MARK: Values

    private static func level(_ value: String) throws(UsageError) -> LogRecord.Level {
        switch value.lowercased() {
        case "trace", "debug": return .debug
        case "info": return .info
        case "warn", "warning": return .warning
        case "error", "fatal", "panic": return .error
        default:
            throw UsageError("--log-level must be debug, info, warn or error, not \"\(value)\"")
        }
    }

    private static func endpoint(
        _ option: CommandLineOption, _ value: String, defaultPort: UInt16
    ) throws(UsageError) -> Endpoint {
        do { return try Endpoint(value, defaultPort: defaultPort) } catch {
            throw UsageError("--\(option.name): \(error.message)")
        }
    }

    private static func number(
        _ option: CommandLineOption, _ value: String, _ range: ClosedRange<Int64>
    ) throws(UsageError) -> Int64 {
        guard let number = Int64(value), range.contains(number) else {
            throw UsageError(
                "--\(option.name) must be a number from \(range.lowerBound) to "
                    + "\(range.upperBound), not \"\(value)\"")
        }
        return number
    }

    private static func duration(
        _ option: CommandLineOption, _ value: String
    ) throws(UsageError) -> Duration {
        let duration: Duration
        do { duration = try DurationText.parse(value) } catch {
            throw UsageError("--\(option.name): \(error)")
        }
        guard duration >= .zero else {
            throw UsageError("--\(option.name) must not be negative, as \"\(value)\" is")
        }
        return duration
    }

    private static func checkBootstrapExpect(
        _ option: CommandLineOption, _ value: String
    ) throws(UsageError) {
        guard try number(option, value, 0...1_000) <= 1 else {
            throw UsageError(
                "--bootstrap-expect \(value): this version runs one server alone; use 1, or leave "
                    + "the option out")
        }
    }

    private static func checkedNodeName(_ value: String) throws(UsageError) -> String {
        let isPlain = value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }
        guard (1...128).contains(value.utf8.count), isPlain else {
            throw UsageError(
                "--node-name must be 1 to 128 bytes without white space and slashes, not "
                    + "\"\(value)\"")
        }
        return value
    }

    private static func tag(_ item: String) throws(UsageError) -> TagEntry {
        guard let mark = item.firstIndex(of: "="), mark != item.startIndex else {
            throw UsageError("--tag must have the form name=value, not \"\(item)\"")
        }
        return TagEntry(
            name: String(item[..<mark]), value: String(item[item.index(after: mark)...]))
    }
}
