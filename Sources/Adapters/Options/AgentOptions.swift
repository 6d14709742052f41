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
    /// 0 when not given.
    package var bootstrapExpect = 0
    package var cluster = ClusterOptions()
    package internal(set) var notifications = NotificationSettings()
    package var dataDirectory = "dkron.data"
    package var tags: [TagEntry] = []
    package var region = "global"
    package var datacenter = "dc1"
    package var logLevel = LogRecord.Level.info
    /// Nil: the API is spoken in the clear.
    package private(set) var httpTLS: TLSServerSettings?
    private var httpTLSFiles: (certificate: String?, key: String?, clientRoots: String?)
    package var logForm = LogWriter.Form.text
    package var shutdownTimeout = Duration.seconds(60)
    /// The host's zone when nil.
    package var defaultZone: String?
    package var startPaused = false
    package var hideEnvironment: [String] = []
    /// Where files with secrets lie; nil: only the environment has some.
    package var secretsDirectory: String?
    /// By which executors alone this node runs jobs; nil: all.
    package var allowedExecutors: [String]?
    package var maxRunning: Int?
    package var metricsMaxJobs: Int?
    package var historyMaxBytes: UInt64?
    /// Only says what the settings are.
    package var checksConfiguration = false
    /// The configuration file that was read.
    package var configurationFile: String?
    /// To be logged at the start: what was accepted without effect.
    package var warnings: [String] = []
    /// What stood somewhere, with its place.
    package private(set) var settings: [Setting] = []
    /// What is wrong, a sentence each. Nothing may be started if there is anything.
    package internal(set) var problems: [String] = []

    /// Reads command line, environment and configuration file. Returns nil when help is asked for.
    ///
    /// Errors: everything that is wrong, a line each.
    package static func parse(
        _ arguments: [String], host: ConfigurationHost = ConfigurationHost()
    ) throws(UsageError) -> AgentOptions? {
        guard let options = try read(arguments, host: host) else { return nil }
        if !options.problems.isEmpty {
            throw UsageError(options.problems.joined(separator: "\n"))
        }
        return options
    }

    /// As `parse`, but leaves what is wrong in `problems` unless the command line itself is
    /// malformed.
    package static func read(
        _ arguments: [String], host: ConfigurationHost
    ) throws(UsageError) -> AgentOptions? {
        let parsed = try ParsedArguments(
            arguments, against: table.filter { $0.places.contains(.commandLine) })
        if parsed.wantsHelp { return nil }
        if let word = parsed.positional.first {
            throw UsageError("\"\(word)\" is not an option of agent; options begin with --")
        }
        var settings = Settings()
        let given = parsed.options.last { $0.option.name == "config" }?.value
        settings.readFile(given: given, host, table)
        settings.readEnvironment(host.environment, table)
        settings.read(parsed.options)
        settings.settleTags()
        var options = AgentOptions()
        options.configurationFile = settings.filePath
        options.warnings = settings.warnings
        options.problems = settings.problems
        options.settle(settings.all, host)
        options.settleTLS()
        options.settleNotifications()
        options.settleCluster(host)
        return options
    }

    private mutating func settle(_ settings: [Setting], _ host: ConfigurationHost) {
        for var setting in settings {
            do throws(UsageError) {
                if case .refused(let why) = setting.option.standing, !setting.isOff {
                    throw UsageError("\(setting.subject): \(why)")
                }
                if !setting.isMalformed { try take(&setting, host) }
            } catch {
                problems.append(error.message)
            }
            self.settings.append(setting)
        }
    }

    /// How a message names an option: by the place where it stands, or as on the command line.
    package func subject(_ name: String) -> String {
        settings.first { $0.option.name == name }?.subject ?? "--\(name)"
    }

    private mutating func take(
        _ setting: inout Setting, _ host: ConfigurationHost
    ) throws(UsageError) {
        let value = setting.text
        let subject = setting.subject
        switch setting.option.name {
        case "server": isServer = value == "true"
        case "config": break
        case "check-config": checksConfiguration = value == "true"
        case "node-name": nodeName = try Self.checkedNodeName(value, subject)
        case "bind-addr": bindAddress = try Self.endpoint(&setting, host, defaultPort: 8946)
        case "http-addr": httpAddress = try Self.endpoint(&setting, host, defaultPort: 8080)
        case "http-tls-cert": httpTLSFiles.certificate = value
        case "http-tls-key": httpTLSFiles.key = value
        case "http-tls-client-ca": httpTLSFiles.clientRoots = value
        case "rpc-port": rpcPort = UInt16(value) ?? rpcPort
        case "data-dir":
            guard !value.isEmpty else { throw UsageError("\(subject) must name a directory") }
            dataDirectory = value
        case "bootstrap-expect":
            bootstrapExpect = Int(value) ?? 0
        case "tag", "tags":
            for item in setting.values {
                tags.append(try Self.tag(item.text, setting.subject(item.origin)))
            }
        case "region": region = value
        case "datacenter": datacenter = value
        case "log-format": logForm = LogWriter.Form(rawValue: value) ?? logForm
        case "log-level": logLevel = try Self.level(value, subject)
        case "shutdown-timeout":
            do { shutdownTimeout = try DurationText.parse(value) } catch {
                throw UsageError("\(subject): \(error)")
            }
        case "default-timezone":
            do { try ZoneName.check(value) } catch { throw UsageError("\(subject): \(error)") }
            defaultZone = value
        case "start-paused": startPaused = value == "true"
        case "executors": allowedExecutors = try Self.executors(setting)
        case "secrets-dir": secretsDirectory = value.isEmpty ? nil : value
        case "hide-env": hideEnvironment = setting.values.map(\.text).filter { !$0.isEmpty }
        case "max-running": maxRunning = Int(value)
        case "metrics-max-jobs": metricsMaxJobs = Int(value)
        case "history-max-bytes": historyMaxBytes = UInt64(value)
        case "backend":
            guard value == "boltdb" else {
                throw UsageError(
                    "\(subject) \(value): jobs are kept in the data directory, no other store is "
                        + "available in this version; leave the option out")
            }
        default:
            guard case .used = setting.option.standing else { return warn(setting) }
            if Self.notificationNames.contains(setting.option.name) { return }
            try takeCluster(&setting, host)
        }
    }

    private static func executors(_ setting: Setting) throws(UsageError) -> [String] {
        let names = setting.values.map(\.text).filter { !$0.isEmpty }
        guard !names.isEmpty else {
            throw UsageError(
                "\(setting.subject) must name executors, such as shell,http; a node that is to run "
                    + "nothing is one that no job's tags match")
        }
        return names
    }

    private mutating func settleTLS() {
        switch (httpTLSFiles.certificate, httpTLSFiles.key) {
        case (nil, nil):
            guard httpTLSFiles.clientRoots != nil else { return }
            problems.append(
                "\(subject("http-tls-client-ca")) needs a certificate of the API's own: give "
                    + "--http-tls-cert and --http-tls-key too")
        case (let file?, let keyFile?):
            httpTLS = TLSServerSettings(
                certificate: .init(file: file, keyFile: keyFile),
                clientRootsFile: httpTLSFiles.clientRoots)
        case (_, nil):
            problems.append("\(subject("http-tls-cert")) needs the key too: give --http-tls-key")
        case (nil, _):
            problems.append(
                "\(subject("http-tls-key")) needs the certificate too: give --http-tls-cert")
        }
    }

    private mutating func warn(_ setting: Setting) {
        switch setting.origin {
        case .environment: warnings.append("\(setting.subject) has no effect yet")
        case .commandLine: warnings.append("option --\(setting.option.name) has no effect yet")
        case .file:
            warnings.append("option \(setting.option.name) (\(setting.place)) has no effect yet")
        }
    }

    // MARK: Values

    private static func level(
        _ value: String, _ subject: String
    ) throws(UsageError) -> LogRecord.Level {
        switch value.lowercased() {
        case "trace", "debug": return .debug
        case "info": return .info
        case "warn", "warning": return .warning
        case "error", "fatal", "panic": return .error
        default:
            throw UsageError("\(subject) must be debug, info, warn or error, not \"\(value)\"")
        }
    }

    static func endpoint(
        _ setting: inout Setting, _ host: ConfigurationHost, defaultPort: UInt16
    ) throws(UsageError) -> Endpoint {
        var text = setting.text
        do {
            if AddressTemplate.isTemplate(text) {
                text = try AddressTemplate.evaluate(text, over: host.addresses())
                let endpoint = try Endpoint(text, defaultPort: defaultPort)
                setting.evaluated = endpoint.description
                return endpoint
            }
            return try Endpoint(text, defaultPort: defaultPort)
        } catch {
            throw UsageError("\(setting.subject): \(error.message)")
        }
    }

    private static func checkedNodeName(
        _ value: String, _ subject: String
    ) throws(UsageError) -> String {
        let isPlain = value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }
        guard (1...128).contains(value.utf8.count), isPlain else {
            throw UsageError(
                "\(subject) must be 1 to 128 bytes without white space and slashes, not "
                    + "\"\(value)\"")
        }
        return value
    }

    private static func tag(_ item: String, _ subject: String) throws(UsageError) -> TagEntry {
        guard let mark = item.firstIndex(of: "="), mark != item.startIndex else {
            throw UsageError("\(subject) must have the form name=value, not \"\(item)\"")
        }
        return TagEntry(
            name: String(item[..<mark]), value: String(item[item.index(after: mark)...]))
    }
}
