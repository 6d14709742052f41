internal import Adapters
internal import Core

/// Starts a node in the foreground and runs it until it is told to stop.
func runAgentCommand(_ arguments: [String]) -> Int32 {
    let options: AgentOptions
    do {
        guard let read = try AgentOptions.read(arguments, host: .current) else {
            printOut(agentHelp)
            return 0
        }
        options = read
    } catch {
        return refuse([error.message])
    }
    if options.checksConfiguration { return checkConfiguration(options) }
    guard options.problems.isEmpty else { return refuse(options.problems) }
    do {
        return try startAgent(options, arguments).run()
    } catch {
        printError("dkron agent: \(error)")
        return 1
    }
}

private func refuse(_ problems: [String]) -> Int32 {
    printProblems(problems)
    printError("Try: dkron agent --help")
    return 1
}

private func printProblems(_ problems: [String]) {
    for problem in problems { printError("dkron agent: \(problem)") }
}

/// Prints what holds, warnings, and what is wrong. Starts nothing and makes nothing on the disk.
private func checkConfiguration(_ options: AgentOptions) -> Int32 {
    printOut(options.report)
    for warning in options.warnings { printError("dkron agent: warning: \(warning)") }
    var problems = options.problems
    if problems.isEmpty {
        do {
            _ = try configuration(options)
            if let settings = options.httpTLS { _ = try TLSContext(settings) }
        } catch {
            problems.append("\(error)")
        }
    }
    printProblems(problems)
    return problems.isEmpty ? 0 : 1
}

/// Takes what the node needs from the machine, or throws an error that says what is missing.
private func startAgent(_ options: AgentOptions, _ arguments: [String]) throws -> Driver {
    // Before the environment is handed on: its socket is meant for this process only.
    let manager = ServiceManager.takeFromEnvironment()
    let log = LogWriter(level: options.logLevel, form: options.logForm)
    if let file = options.configurationFile {
        log.write(.info, "agent: configuration file", [.init("path", file)])
    }
    for warning in options.warnings { log.write(.warning, "agent: \(warning)") }
    HostProcess.limitAllocatorArenas()
    // Commands and plugins get what was there before.
    let openFiles = HostProcess.raiseOpenFileLimit()
    let budget = DescriptorBudget(limit: HostProcess.openFileLimit)
    let signals = try Signals()
    // Nothing is made on the disk before the options are understood.
    var config = try configuration(options)
    let directory = try DataDirectory(options.dataDirectory)
    config.dataID = directory.id
    if let space = directory.space { config.tunables = Tunables(diskOf: space.total) }
    if let maxRunning = options.maxRunning { config.tunables.maxRunning = maxRunning }
    config.tunables.raft.multiplyTimes(by: options.cluster.raftMultiplier)
    log.write(.info, "agent: data directory", [.init("path", directory.path)])
    if let notice = directory.notice { log.write(notice, at: Clocks.wall()) }
    let keys = try KeyStore(directory: directory.path, given: options.cluster.key)
    if let notice = keys.notice { log.write(notice, at: Clocks.wall()) }
    if keys.ring != nil { config.gossip?.sealBytes = GossipSeal.overhead }
    let loop = try EventLoop()
    let handshakes = try TLSHandshakes()
    let listener = HTTPListener(
        loop: loop, log: log, handshakes: handshakes, mostConnections: budget.clients)
    if let settings = options.httpTLS {
        do { try listener.useTLS(settings) } catch { throw UsageError(error.description) }
    }
    try listen(listener, options, log)
    let resolver = try Resolver()
    let cluster = try ClusterSockets(
        loop: loop, log: log, config: config, keys: keys, resolver: resolver, budget: budget)
    try listen(cluster, options, log)
    if options.isServer {
        let zone = LogRecord.Field("zone", config.defaultZone)
        log.write(.info, "agent: default time zone of a new cluster", [zone])
    }
    let supervisor = try SupervisorClient(
        dataDirectory: directory.path, executable: "/proc/self/exe",
        hideEnvironment: options.hideEnvironment, openFiles: openFiles)
    let requests = Outbound(
        HTTPCalls(limits: budget.requestLimits), "http executor", owner: .outbound, asker: .calls,
        loop: loop, log: log, resolver: resolver, handshakes: handshakes)
    let conversations = Outbound(
        Conversations(limits: budget.conversationLimits, on: SystemHost()), "executors",
        owner: .conversations,
        asker: .conversations, loop: loop, log: log, resolver: resolver, handshakes: handshakes)
    let plugins = try plugins(options, directory, openFiles, budget, loop, log)
    config.executors = offers(plugins, options, log)
    config.pluginProcessors = plugins.names(of: .processor)
    return Driver(
        config: config, directory: directory, loop: loop, listener: listener,
        storage: try FileStorage(dataDirectory: directory.path), supervisor: supervisor,
        requests: requests, conversations: conversations, plugins: plugins.host,
        processors: try ProcessorHost(
            loop: loop, log: log, resolver: resolver, handshakes: handshakes,
            connections: budget.processors, plugins: plugins.host, names: config.pluginProcessors),
        cluster: cluster, resolver: resolver,
        handshakes: handshakes,
        signals: signals, log: log,
        reloader: Reloader(arguments, started: options, host: { .current }),
        secrets: SecretFiles(
            directory: options.secretsDirectory,
            environment: ConfigurationHost.current.environment),
        manager: manager)
}

/// By which executors this node runs jobs.
private func offers(
    _ plugins: FoundPlugins, _ options: AgentOptions, _ log: LogWriter
) -> ExecutorOffers {
    var offers = ExecutorOffers()
    offers.plugins = plugins.names(of: .executor)
    offers.allowed = options.allowedExecutors
    for name in options.allowedExecutors ?? [] where !offers.isOffered(name) {
        log.write(
            .warning, "agent: --executors names one that is neither built in nor a plugin",
            [LogRecord.Field("executor", name)])
    }
    return offers
}

/// The plugins that are there, and what runs them, if there are any.
private struct FoundPlugins {
    var host: Plugins?
    var files: [PluginFile] = []

    func names(of kind: PluginKind) -> [String] {
        files.filter { $0.kind == kind }.map(\.name)
    }
}

private func plugins(
    _ options: AgentOptions, _ directory: DataDirectory, _ openFiles: UInt64,
    _ budget: DescriptorBudget, _ loop: EventLoop, _ log: LogWriter
) throws -> FoundPlugins {
    let found = PluginDirectories.search(
        PluginDirectories.list(configurationFile: options.configurationFile))
    // Only servers run processors.
    let wanted = found.files.filter { file in
        switch file.kind {
        case .executor: options.allowedExecutors?.contains(file.name) ?? true
        case .processor: options.isServer
        }
    }
    let (files, notes) = PluginFile.chosen(wanted) { $0.builtInNames }
    for note in found.notes + notes { log.write(note, at: Clocks.wall()) }
    guard !files.isEmpty else { return FoundPlugins() }
    let host = try Plugins(
        files, directory: PluginDirectories.sockets(dataDirectory: directory.path),
        environment: HostProcess.environment, openFiles: openFiles,
        limits: budget.pluginLimits, loop: loop, log: log, at: Clocks.now())
    return FoundPlugins(host: host, files: files)
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
    config.bootstrapExpect = options.bootstrapExpect
    let cluster = options.cluster
    let bind = options.bindEndpoint
    let advertised = cluster.advertiseAddress ?? bind
    let subject = options.subject(cluster.advertiseAddress == nil ? "bind-addr" : "advertise-addr")
    config.gossipAddress = try advertisedAddress(advertised, subject)
    config.gossipPort = advertised.port
    config.rpcAddress = config.gossipAddress
    config.rpcPort = cluster.advertiseRPCPort ?? options.rpcPort
    config.deadServerTimeout = cluster.deadServerTimeout
    config.gossip = gossipSettings(cluster)
    if let zone = options.defaultZone {
        guard ZoneFiles.load(zone) != nil else {
            throw UsageError(
                "\(options.subject("default-timezone")) \(zone): there is no such zone below "
                    + "/usr/share/zoneinfo; install the time zone data, or name another zone such "
                    + "as Europe/Madrid")
        }
    }
    config.defaultZone = options.defaultZone ?? ZoneFiles.hostZone()
    config.isZoneGiven = options.defaultZone != nil
    config.notifications = options.isServer ? options.notifications : NotificationSettings()
    config.startPaused = options.startPaused
    config.shutdownTimeout = options.shutdownTimeout
    config.historyMaxBytes = options.historyMaxBytes
    if let limit = options.metricsMaxJobs { config.metricsMaxJobs = limit }
    return config
}

private func gossipSettings(_ cluster: ClusterOptions) -> GossipSettings {
    var settings = GossipSettings()
    settings.profile = cluster.profile
    settings.reconnectTimeout = cluster.reconnectTimeout
    settings.join = cluster.join
    settings.retryJoin = cluster.retryJoin
    settings.retryInterval = cluster.retryInterval
    settings.retryLimit = cluster.retryLimit
    return settings
}

/// The IP text under which others would reach an endpoint.
private func advertisedAddress(_ endpoint: Endpoint, _ subject: String) throws -> String {
    if endpoint.isEveryInterface {
        let addresses = HostAddress.ofThisMachine().filter { $0.isUp && $0.isForwardable }
        let best =
            addresses.first { $0.isPrivate && $0.isOnDefaultRoute }
            ?? addresses.first { $0.isPrivate } ?? addresses.first { $0.isOnDefaultRoute }
            ?? addresses.first
        return best?.text ?? "127.0.0.1"
    }
    do {
        return try SocketAddress.resolve(endpoint).first?.host ?? endpoint.host
    } catch {
        throw UsageError("\(subject) \(endpoint): \(error.reason)")
    }
}

private func nodeName(_ options: AgentOptions) throws -> String {
    if let name = options.nodeName { return name }
    guard let name = HostProcess.hostName else {
        throw UsageError("this host has no name; give the node one with --node-name")
    }
    return name
}

/// Opens what other nodes connect to and says where it is.
private func listen(
    _ cluster: ClusterSockets, _ options: AgentOptions, _ log: LogWriter
) throws {
    func opened(
        _ subject: String, _ open: () throws(AddressError) -> SocketAddress
    ) throws(UsageError) -> String {
        do throws(AddressError) { return try open().description } catch {
            throw UsageError("\(subject): \(error); stop what uses it, or give another address")
        }
    }
    let bind = options.bindEndpoint
    let gossip = try opened(options.subject("bind-addr")) { () throws(AddressError) in
        try cluster.listen(forGossip: bind)
    }
    let rpc = try opened(options.subject("rpc-port")) { () throws(AddressError) in
        try cluster.listen(forPeers: Endpoint(host: bind.host, port: options.rpcPort))
    }
    log.write(
        .info, "agent: listening for other nodes",
        [.init("gossip", gossip), .init("messages", rpc)])
}

/// Opens the API's listeners and says where they are.
private func listen(_ listener: HTTPListener, _ options: AgentOptions, _ log: LogWriter) throws {
    guard options.isServer else {
        // A node that is no server has no API, and tells its metrics only if it was asked to.
        guard let endpoint = options.cluster.metricsAddress else { return }
        let subject = options.subject("metrics-addr")
        return announce(try bind(listener, endpoint, mustExist: true, subject), options, log)
    }
    let subject = options.subject("http-addr")
    guard let endpoint = options.httpAddress else {
        let addresses =
            try bind(listener, Endpoint(host: "127.0.0.1", port: 8080), mustExist: true, subject)
            + bind(listener, Endpoint(host: "::1", port: 8080), mustExist: false, subject)
        announce(addresses, options, log)
        log.write(
            .info, "http: only this machine can connect; --http-addr HOST:PORT changes that")
        return
    }
    announce(try bind(listener, endpoint, mustExist: true, subject), options, log)
    if !endpoint.isLoopback, options.httpTLS?.clientRootsFile == nil {
        log.write(
            .warning,
            "http: ANYBODY who reaches this address can run commands on this machine: the API has "
                + "no authentication; --http-addr 127.0.0.1:\(endpoint.port) keeps it local",
            [.init("address", endpoint.description)])
    }
}

private func bind(
    _ listener: HTTPListener, _ endpoint: Endpoint, mustExist: Bool, _ subject: String
) throws -> [SocketAddress] {
    do {
        return try listener.listen(on: endpoint)
    } catch {
        if !mustExist && error.isMissingHere { return [] }
        throw UsageError("\(subject): \(error); stop what uses it, or give another address")
    }
}

private func announce(
    _ addresses: [SocketAddress], _ options: AgentOptions, _ log: LogWriter
) {
    let scheme = options.httpTLS == nil ? "http" : "https"
    for address in addresses {
        log.write(.info, "http: listening", [.init("url", "\(scheme)://\(address.description)")])
    }
}

private let agentHelp: String = {
    var lines = [
        "Usage: dkron agent --server [OPTIONS]",
        "       dkron agent --retry-join HOST:PORT [OPTIONS]",
        "       dkron agent --check-config [OPTIONS]",
        "",
        "Starts a node in the foreground. SIGTERM stops it: it waits for running jobs, a second",
        "signal ends them. SIGUSR2 stops it at once and leaves running jobs to the next start.",
        "SIGHUP reads tags, log level, how people are told, certificates and zone files again.", "",
    ]
    lines += AgentOptions.helpLines
    lines += [
        "", "Each is also a key of the configuration file, without the dashes, and a variable of",
        "the environment: DKRON_HTTP_ADDR. The command line is stronger than the environment,",
        "the environment is stronger than the file. docs/configuration.md tells more.",
    ]
    return lines.joined(separator: "\n")
}()

extension RaftTunables {
    fileprivate mutating func multiplyTimes(by factor: Int64) {
        heartbeat = heartbeat * factor
        electionMinimum = electionMinimum * factor
        electionMaximum = electionMaximum * factor
    }
}
