internal import Adapters
internal import Core

/// Starts a node in the foreground and runs it until it is told to stop.
func runAgentCommand(_ arguments: [String]) -> Int32 {
    let options: AgentOptions
    do {
        guard let parsed = try AgentOptions.parse(arguments, environment: HostProcess.environment)
        else {
            printOut(agentHelp)
            return 0
        }
        options = parsed
    } catch {
        printError("dkron agent: \(error)\nTry: dkron agent --help")
        return 1
    }
    do {
        return try startAgent(options).run()
    } catch {
        printError("dkron agent: \(error)")
        return 1
    }
}

/// Takes what the node needs from the machine, or throws an error that says what is missing.
private func startAgent(_ options: AgentOptions) throws -> Driver {
    let log = LogWriter(level: options.logLevel)
    for warning in options.warnings { log.write(.warning, "agent: \(warning)") }
    HostProcess.limitAllocatorArenas()
    let signals = try Signals()
    // Nothing is made on the disk before the options are understood.
    var config = try configuration(options)
    let directory = try DataDirectory(options.dataDirectory)
    config.dataID = directory.id
    log.write(.info, "agent: data directory", [.init("path", directory.path)])
    let loop = try EventLoop()
    let listener = HTTPListener(loop: loop, log: log, mostConnections: connectionLimit())
    try listen(listener, options, log)
    let zone = LogRecord.Field("zone", config.defaultZone)
    log.write(.info, "agent: default time zone of a new cluster", [zone])
    let supervisor = try SupervisorClient(
        dataDirectory: directory.path, executable: "/proc/self/exe",
        hideEnvironment: options.hideEnvironment)
    return Driver(
        config: config, directory: directory, loop: loop, listener: listener,
        storage: try FileStorage(dataDirectory: directory.path), supervisor: supervisor,
        signals: signals, log: log)
}

/// Everything but the id that is kept in the data directory.
private func configuration(_ options: AgentOptions) throws -> Config {
    var config = Config(
        nodeName: NodeName(try nodeName(options)), dataID: 0, incarnation: Entropy.number(),
        version: productVersion)
    config.isServer = options.isServer
    config.region = options.region
    config.datacenter = options.datacenter
    config.tags = options.tags
    let bind = options.bindAddress ?? Endpoint(host: "127.0.0.1", port: 8946)
    let address = try advertisedAddress(bind)
    (config.gossipAddress, config.gossipPort) = (address, bind.port)
    (config.rpcAddress, config.rpcPort) = (address, options.rpcPort)
    if let zone = options.defaultZone {
        guard ZoneFiles.load(zone) != nil else {
            throw UsageError(
                "--default-timezone \(zone): there is no such zone below /usr/share/zoneinfo; "
                    + "install the time zone data, or name another zone such as Europe/Madrid")
        }
    }
    config.defaultZone = options.defaultZone ?? ZoneFiles.hostZone()
    config.startPaused = options.startPaused
    config.shutdownTimeout = options.shutdownTimeout
    config.logLevel = options.logLevel
    if let maxRunning = options.maxRunning { config.tunables.maxRunning = maxRunning }
    return config
}

/// The IP text under which others would reach an address to bind to.
private func advertisedAddress(_ bind: Endpoint) throws -> String {
    guard !bind.isEveryInterface else { return "127.0.0.1" }
    do {
        return try SocketAddress.resolve(bind).first?.host ?? bind.host
    } catch {
        throw UsageError("--bind-addr \(bind): \(error.reason)")
    }
}

private func nodeName(_ options: AgentOptions) throws -> String {
    if let name = options.nodeName { return name }
    guard let name = HostProcess.hostName else {
        throw UsageError("this host has no name; give the node one with --node-name")
    }
    return name
}

/// Opens the API's listeners and says where they are.
private func listen(_ listener: HTTPListener, _ options: AgentOptions, _ log: LogWriter) throws {
    guard let endpoint = options.httpAddress else {
        let addresses =
            try bind(listener, Endpoint(host: "127.0.0.1", port: 8080), mustExist: true)
            + bind(listener, Endpoint(host: "::1", port: 8080), mustExist: false)
        announce(addresses, log)
        log.write(
            .info, "http: only this machine can connect; --http-addr HOST:PORT changes that")
        return
    }
    announce(try bind(listener, endpoint, mustExist: true), log)
    if !endpoint.isLoopback {
        log.write(
            .warning,
            "http: ANYBODY who reaches this address can run commands on this machine: the API has "
                + "no authentication; --http-addr 127.0.0.1:\(endpoint.port) keeps it local",
            [.init("address", endpoint.description)])
    }
}

private func bind(
    _ listener: HTTPListener, _ endpoint: Endpoint, mustExist: Bool
) throws -> [SocketAddress] {
    do {
        return try listener.listen(on: endpoint)
    } catch {
        if !mustExist && error.isMissingHere { return [] }
        throw UsageError("--http-addr: \(error); stop what uses it, or give another address")
    }
}

private func announce(_ addresses: [SocketAddress], _ log: LogWriter) {
    for address in addresses {
        log.write(.info, "http: listening", [.init("url", "http://\(address.description)")])
    }
}

/// Leaves descriptors for files and the supervisor within what the process may open.
private func connectionLimit() -> Int { max(16, min(1_024, HostProcess.openFileLimit - 128)) }

private let agentHelp: String = {
    var lines = [
        "Usage: dkron agent --server [OPTIONS]", "",
        "Starts a node in the foreground. SIGTERM stops it: it waits for running jobs, a second",
        "signal ends them. SIGUSR2 stops it at once and leaves running jobs to the next start.", "",
    ]
    for option in AgentOptions.table {
        guard case .used = option.standing else { continue }
        let form = "--\(option.name)" + (option.placeholder.isEmpty ? "" : " \(option.placeholder)")
        let padding = String(repeating: " ", count: max(1, 28 - form.utf8.count))
        lines.append("  \(form)\(padding)\(option.help)")
    }
    lines += [
        "", "Other options of Dkron are accepted with a warning, or refused with the reason.",
    ]
    return lines.joined(separator: "\n")
}()
