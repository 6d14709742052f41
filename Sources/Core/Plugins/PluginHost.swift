// Runs plugins and calls them: everything but the processes and sockets themselves.
//
//   launching ─► greeting ─► connecting ─► opening ─► ready
//       ▲           │             │           │         │ died, or fell silent
//       │           └─────────────┴───────────┴─────────┤
//       └── waiting (1 s, doubled up to 60 s) ◄── ending ◄──┘ killed; its end is awaited
//
// A plugin that does not start, or dies, is started again and again; nothing else comes of it but
// lines of the log, and that what it was doing has failed. Calls wait a moment for a plugin that is
// on its way.

package struct PluginHost: Sendable {
    package struct Limits: Hashable, Sendable {
        /// Calls at a time; each has a socket of its own for status updates, with a connection.
        package var calls = 256
        /// From the start of a program to its handshake.
        package var greeting = Duration.seconds(60)
        /// For the connection, and for the first words in its protocol.
        package var opening = Duration.seconds(10)
        /// How long a call waits for a plugin that is not ready.
        package var patience = Duration.seconds(10)
        /// Between the request to end and the deadly signal.
        package var farewell = Duration.seconds(2)
        /// Before a plugin is started again: the first time, and at most.
        package var shortestPause = Duration.seconds(1)
        package var longestPause = Duration.seconds(60)
        /// After so long the past of a plugin is forgiven.
        package var probation = Duration.seconds(60)
        /// Lines of one plugin in the log.
        package var lines = HTTP2Rate(burst: 1_000, perSecond: 100)

        package init() {}
    }

    enum Phase: Hashable {
        case launching
        case greeting
        case connecting
        case opening
        case ready
        /// The process is about to end; then it is started again, or not.
        case ending(reason: String)
        /// It was asked to end.
        case leaving
        case waiting
        case stopped
    }

    struct Plugin {
        let file: PluginFile
        var phase = Phase.stopped
        var phaseEndsAt = Instant.distantFuture
        var life: PluginLife = 0
        /// In a row.
        var failures = 0
        var readyAt = Instant.distantFuture
        /// Why it is not running.
        var reason = "it is on its way"
        var address: PluginAddress?
        var greeting: [UInt8] = []
        var link: (any PluginLink)?
        var complaints = PluginLines()
        var prints = PluginLines()
        var errors = PluginLines()
        var log = PluginLog()
        var lines: HTTP2Allowance
        var droppedLines = 0
        /// The last line on its standard error.
        var lastWords = ""
        var nextService: UInt32 = 1
    }

    struct Attempt {
        let order: PluginOrder
        let plugin: Int
        var isRunning = false
        /// From when the fence counts at the earliest: it may end a call that still waits.
        let askedAt: Instant
        /// How long it waits for a plugin that is not ready.
        var patience: Instant
        /// When its time-out is over; one of an executor begins with the call.
        var endsAt = Instant.distantFuture
        var listener: PluginListener?
        /// Those of its status updates.
        var connections: [ConnectionNumber] = []
    }

    let limits: Limits
    let directory: String
    var plugins: [Plugin]
    var attempts = SortedMap<UInt64, Attempt>()
    var numbers: [ExecutionID: UInt64] = [:]
    var listeners: [PluginListener: UInt64] = [:]
    var statusServers = SortedMap<ConnectionNumber, StatusServer>()
    var runningCount = 0
    private var isStopping = false
    var fencesFrom = Instant.zero
    private var nextAttempt: UInt64 = 1
    private var nextConnection: ConnectionNumber = 2
    private var nextListener: PluginListener = 1
    private var nextLife: PluginLife = 1

    /// - Parameters:
    ///   - files: as `PluginFile.chosen` gives them.
    ///   - directory: where sockets are made; short enough for a socket's path.
    package init(
        _ files: [PluginFile], directory: String, limits: Limits = Limits(), at now: Instant
    ) {
        self.limits = limits
        self.directory = directory
        plugins = files.map {
            Plugin(file: $0, lines: HTTP2Allowance(limits.lines, at: now))
        }
    }

    /// Calls that have not ended.
    package var count: Int { attempts.count }
    /// Plugins that take calls.
    package var readyCount: Int { plugins.count { $0.phase == .ready } }
    /// No process is left.
    package var isStopped: Bool { plugins.allSatisfy { $0.phase == .stopped } }

    // MARK: Life

    /// Starts all plugins at once.
    package mutating func start(at now: Now, into out: inout PluginOutput) {
        for index in plugins.indices { launch(index, at: now.monotonic, into: &out) }
    }

    /// Asks all plugins to end, and sees to it a little later.
    package mutating func stop(at now: Now, into out: inout PluginOutput) {
        isStopping = true
        for index in plugins.indices {
            switch plugins[index].phase {
            case .ready:
                plugins[index].phase = .leaving
                plugins[index].phaseEndsAt = now.monotonic + limits.farewell
                plugins[index].link?.shutDown(at: now.monotonic)
                drain(index, at: now, into: &out)
            case .launching, .greeting, .connecting, .opening:
                lose(index, "the node stops", at: now, into: &out)
            case .waiting: plugins[index].phase = .stopped
            case .ending, .leaving, .stopped: break
            }
        }
    }

    mutating func launch(
        _ index: Int, at now: Instant, into out: inout PluginOutput
    ) {
        plugins[index].life = nextLife
        nextLife += 1
        plugins[index].phase = .launching
        plugins[index].phaseEndsAt = now + limits.greeting
        plugins[index].greeting = []
        plugins[index].lastWords = ""
        plugins[index].log = PluginLog()
        out.actions.append(.launch(plugins[index].life, plugins[index].file))
    }

    func index(of life: PluginLife) -> Int? { plugins.firstIndex { $0.life == life } }

    private func index(linkedBy connection: ConnectionNumber) -> Int? {
        plugins.firstIndex { $0.link?.connection == connection }
    }

    // MARK: Events

    package mutating func take(
        _ event: PluginEvent, at now: Now, into out: inout PluginOutput
    ) {
        switch event {
        case .launched(let life):
            guard let index = index(of: life) else { return }
            if plugins[index].phase == .launching {
                plugins[index].phase = .greeting
            } else {
                out.actions.append(.kill(life))
            }
        case .refused(let life, let reason):
            guard let index = index(of: life) else { return }
            ended(index, "it can't be started: \(reason)", at: now, into: &out)
        case .printed(let life, let bytes):
            guard let index = index(of: life) else { return }
            printed(index, bytes, at: now, into: &out)
        case .complained(let life, let bytes):
            guard let index = index(of: life) else { return }
            complained(index, bytes, at: now, into: &out)
        case .exited(let life, let exit):
            guard let index = index(of: life) else { return }
            exited(index, exit, at: now, into: &out)
        case .listenFailed(let listener, let reason):
            guard let number = listeners[listener] else { return }
            let error = "no socket for the status updates of the plugin: \(reason)"
            fail(number, error, at: now, into: &out)
        case .accepted(let listener, let connection):
            accepted(listener, connection, at: now, into: &out)
        case .opened, .wrote, .received, .receivedEnd, .failed:
            takeSocket(event, at: now, into: &out)
        }
    }

    private mutating func takeSocket(
        _ event: PluginEvent, at now: Now, into out: inout PluginOutput
    ) {
        let monotonic = now.monotonic
        switch event {
        case .opened(let connection):
            guard let index = index(linkedBy: connection) else { return }
            plugins[index].phase = .opening
            drain(index, at: now, into: &out)
        case .wrote(let connection, let count):
            move(connection, at: now, into: &out) {
                $0.wrote(count, at: monotonic)
            } update: {
                $0.wrote(count, at: monotonic)
            }
        case .received(let connection, let bytes):
            move(connection, at: now, into: &out) {
                $0.received(bytes, at: monotonic)
            } update: {
                $0.received(bytes, at: monotonic)
            }
        case .receivedEnd(let connection):
            move(connection, at: now, into: &out) {
                $0.receivedEnd(at: monotonic)
            } update: {
                $0.receivedEnd(at: monotonic)
            }
        case .failed(let connection, let reason):
            if let index = index(linkedBy: connection), plugins[index].phase == .connecting {
                let address = plugins[index].address?.description ?? ""
                return lose(index, "can't connect to \(address): \(reason)", at: now, into: &out)
            }
            move(connection, at: now, into: &out) {
                $0.failed(reason)
            } update: {
                $0.failed(reason)
            }
        default: break
        }
    }

    /// Hands something to the owner of a connection: a plugin, or the status updates of a call.
    private mutating func move(
        _ connection: ConnectionNumber, at now: Now, into out: inout PluginOutput,
        link: (inout any PluginLink) -> Void, update: (inout StatusServer) -> Void
    ) {
        if let index = index(linkedBy: connection) {
            guard plugins[index].link != nil else { return }
            link(&plugins[index].link!)
            drain(index, at: now, into: &out)
        } else if statusServers.update(connection, update) != nil {
            drainStatus(connection, at: now, into: &out)
        }
    }

    /// What came of the connection with a plugin.
    mutating func drain(_ index: Int, at now: Now, into out: inout PluginOutput) {
        var news: [PluginNews] = []
        plugins[index].link?.drain(at: now.monotonic, into: &out, &news)
        for piece in news {
            switch piece {
            case .ready:
                guard plugins[index].phase == .opening else { continue }
                plugins[index].phase = .ready
                plugins[index].phaseEndsAt = .distantFuture
                plugins[index].readyAt = now.monotonic
                out.actions.append(
                    .log(
                        LogRecord(
                            .info, "plugin: \(plugins[index].file.description) is ready",
                            [.init("path", plugins[index].file.path)])))
                startWaiting(at: now, into: &out)
            case .printed(let bytes, let isError):
                relay(index, bytes, isError: isError, at: now, into: &out)
            case .executed(let number, let result):
                executed(number, result, at: now, into: &out)
            case .processed(let number, let outcome):
                end(number, outcome, at: now, into: &out)
            case .lost(let reason): lose(index, reason, at: now, into: &out)
            }
        }
    }

    // MARK: The handshake

    private mutating func printed(
        _ index: Int, _ bytes: [UInt8], at now: Now, into out: inout PluginOutput
    ) {
        // Once the handshake is over whatever else comes this way is nobody's.
        guard plugins[index].phase == .greeting else { return }
        let end = bytes.firstIndex(of: 0x0a)
        plugins[index].greeting += bytes[..<(end ?? bytes.endIndex)]
        let line = plugins[index].greeting
        guard end != nil || line.count > PluginHandshake.longestLine else { return }
        plugins[index].greeting = []
        do throws(PluginHandshakeError) {
            let kind = plugins[index].file.kind
            let handshake = try PluginHandshake(
                line: line.prefix(PluginHandshake.longestLine), of: kind)
            plugins[index].address = handshake.address
            plugins[index].phase = .connecting
            plugins[index].phaseEndsAt = now.monotonic + limits.opening
            let connection = nextConnection
            nextConnection += 2
            plugins[index].link =
                switch kind {
                case .executor:
                    ExecutorLink(connection, calls: limits.calls, at: now.monotonic)
                case .processor: ProcessorLink(connection, at: now.monotonic)
                }
            out.actions.append(.connect(connection, handshake.address))
        } catch {
            lose(index, error.message, at: now, into: &out)
        }
    }

    // MARK: Ends

    /// The plugin is of no use any more: its end is seen to.
    mutating func lose(
        _ index: Int, _ reason: String, at now: Now, into out: inout PluginOutput
    ) {
        if case .ending = plugins[index].phase { return }
        if let connection = plugins[index].link?.connection {
            out.actions.append(.close(connection))
        }
        plugins[index].link = nil
        // One that was asked to end has its time for that.
        if plugins[index].phase == .leaving { return }
        let isLaunched = plugins[index].phase != .launching
        plugins[index].phase = .ending(reason: reason)
        plugins[index].phaseEndsAt = .distantFuture
        // Else it is killed as soon as it is there.
        if isLaunched { out.actions.append(.kill(plugins[index].life)) }
    }

    private mutating func exited(
        _ index: Int, _ exit: PluginExit, at now: Now, into out: inout PluginOutput
    ) {
        for line in plugins[index].complaints.rest() {
            log(index, line, usual: .debug, at: now, into: &out)
        }
        let words = plugins[index].lastWords
        let suffix = words.isEmpty ? "" : "; its last words: \(PluginHandshake.quoted(words))"
        switch plugins[index].phase {
        case .ending(let reason) where exit == .killed:
            ended(index, reason + suffix, at: now, into: &out)
        case .greeting:
            ended(
                index, "it ended with \(exit) before its handshake\(suffix)", at: now, into: &out)
        default: ended(index, "it ended with \(exit)\(suffix)", at: now, into: &out)
        }
    }

    /// The process is gone, or never was.
    private mutating func ended(
        _ index: Int, _ reason: String, at now: Now, into out: inout PluginOutput
    ) {
        let file = plugins[index].file
        if let connection = plugins[index].link?.connection {
            out.actions.append(.close(connection))
        }
        plugins[index].link = nil
        if case .local(let path) = plugins[index].address {
            out.actions.append(.remove(socket: path))
        }
        plugins[index].address = nil
        plugins[index].reason = reason
        // Before calls end: what waits for their places is not for a plugin that is gone.
        plugins[index].phase = .ending(reason: reason)
        for (number, attempt) in attempts where attempt.plugin == index {
            if attempt.isRunning {
                fail(
                    number, "the plugin \(file.name) did not finish: \(reason)", at: now,
                    into: &out)
            } else if plugins[index].readyAt != .distantFuture {
                // They waited for others to end.
                attempts.update(number) { $0.patience = now.monotonic + limits.patience }
            }
        }
        guard !isStopping else {
            plugins[index].phase = .stopped
            plugins[index].phaseEndsAt = .distantFuture
            return
        }
        if now.monotonic >= plugins[index].readyAt + limits.probation {
            plugins[index].failures = 0
        }
        plugins[index].readyAt = .distantFuture
        let factor = Int64(1) << min(Int64(plugins[index].failures), 20)
        let pause = min(limits.shortestPause * factor, limits.longestPause)
        plugins[index].failures += 1
        plugins[index].phase = .waiting
        plugins[index].phaseEndsAt = now.monotonic + pause
        out.actions.append(
            .log(
                LogRecord(
                    .error, "plugin: \(file.description) is not running: \(reason)",
                    [
                        .init("path", file.path),
                        .init("started_again_in", DurationText.print(pause)),
                    ])))
    }

    // MARK: Numbers

    mutating func takeListener() -> PluginListener {
        defer { nextListener += 1 }
        return nextListener
    }

    mutating func takeAttempt() -> UInt64 {
        defer { nextAttempt += 1 }
        return nextAttempt
    }
}
