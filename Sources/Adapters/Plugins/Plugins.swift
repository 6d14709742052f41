internal import CSystem
package import Core
internal import Glibc

/// Processes and sockets of plugins, for Core's `PluginHost`, which decides everything. Nothing
/// here blocks.
package final class Plugins {
    private final class Connection {
        let socket: StreamSocket
        var isOpen: Bool
        var outgoing: ArraySlice<UInt8> = []
        var interest: EventLoop.Interest?

        init(_ descriptor: Int32, isOpen: Bool) {
            socket = StreamSocket(descriptor)
            self.isOpen = isOpen
        }
    }

    /// What an event's number names: two bits, and the number itself above them.
    private enum Source: UInt64 {
        case launcher
        case connection
        case listener
        /// A pipe: the process's life, and one bit that is set for its standard error.
        case pipe
    }

    private let loop: EventLoop
    private let log: LogWriter
    private let launcher: PluginLauncher
    private let environment: [[UInt8]]
    private let openFiles: UInt64
    private let directory: String
    private var host: PluginHost
    private var out = PluginOutput()
    /// Those whose launch has no outcome yet.
    private var launching: [PluginLife: PluginStart] = [:]
    private var processes: [PluginLife: PluginProcess] = [:]
    private var connections: [ConnectionNumber: Connection] = [:]
    private var listeners: [PluginListener: Int32] = [:]
    private var nextAccepted: ConnectionNumber = 1
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// - Parameters:
    ///   - files: those to run.
    ///   - directory: for sockets; see `PluginDirectories.sockets`.
    ///   - environment: of this process, as `NAME=value`.
    /// - Parameter openFiles: the soft limit of open files that plugins get; 0: this process's own.
    package init(
        _ files: [PluginFile], directory: String, environment: [String], openFiles: UInt64 = 0,
        limits: PluginHost.Limits = PluginHost.Limits(), loop: EventLoop, log: LogWriter,
        at now: Now
    ) throws(SystemError) {
        self.loop = loop
        self.log = log
        self.directory = directory
        self.openFiles = openFiles
        let own =
            PluginHandshake.environment
            + [EnvironmentEntry(name: PluginHandshake.socketDirectoryVariable, value: directory)]
        self.environment =
            environment.filter { entry in !own.contains { entry.hasPrefix("\($0.name)=") } }
            .map { Array($0.utf8) } + own.map { Array("\($0.name)=\($0.value)".utf8) }
        launcher = try PluginLauncher()
        host = PluginHost(files, directory: directory, limits: limits, at: now.monotonic)
        loop.watch(launcher.fileDescriptor, for: .read, as: token(.launcher, 0))
    }

    deinit {
        for listener in listeners.values { Glibc.close(listener) }
        for process in processes.values { closePipes(process) }
        buffer.deallocate()
    }

    package var nextDeadline: Instant? { host.nextDeadline }
    /// No process is left.
    package var isStopped: Bool { host.isStopped }

    // MARK: What the node wants

    package func start(at now: Now, into inputs: inout [Input]) {
        host.start(at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    /// Asks all plugins to end.
    package func stop(at now: Now, into inputs: inout [Input]) {
        host.stop(at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    /// The process ends: the directory of a temporary kind goes.
    package func close() { rmdir(directory) }

    package func begin(_ call: PluginCall, at now: Now, into inputs: inout [Input]) {
        host.begin(call, at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    /// Has an execution processed; see `takeProcessed`.
    package func process(_ call: ProcessorCall, at now: Now, into inputs: inout [Input]) {
        host.process(call, at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    /// Calls of processors that have ended since the last time: one for each `process`.
    package func takeProcessed() -> [(number: UInt64, outcome: PluginOutcome)] {
        defer { out.processed.removeAll(keepingCapacity: true) }
        return out.processed
    }

    package func hangUp(_ id: ExecutionID, at now: Now, into inputs: inout [Input]) {
        host.hangUp(id, at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    package func renewFences(ago: Duration, at now: Now) { host.renewFences(ago: ago, at: now) }

    package func expire(at now: Now, into inputs: inout [Input]) {
        host.deadline(at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    // MARK: What happens

    /// Takes an event of a descriptor.
    package func handle(_ event: EventLoop.Event, at now: Now, into inputs: inout [Input]) {
        let number = event.token.number >> 2
        switch Source(rawValue: event.token.number & 3) {
        case .launcher:
            receiveLaunches(at: now)
            // The signal of one that ended at once may have come before.
            collectEnded(at: now)
        case .connection: handle(event, connection: number, at: now)
        case .listener: accept(number, at: now)
        case .pipe: read(number >> 1, errors: number & 1 == 1, at: now)
        case nil: break
        }
        drain(at: now, into: &inputs)
    }

    /// Whether this child is a plugin's process, or is about to be known as one. Nobody else may
    /// collect it: its end would be missed, and its number be killed when it is a stranger's.
    package func holds(_ process: Int32) -> Bool {
        launching.values.contains { $0.processID == process }
            || processes.values.contains { $0.identifier == process }
    }

    /// A child of this process has ended: perhaps a plugin.
    package func collectChildren(at now: Now, into inputs: inout [Input]) {
        receiveLaunches(at: now)
        collectEnded(at: now)
        drain(at: now, into: &inputs)
    }

    /// What a plugin has started ends with it.
    private func collectEnded(at now: Now) {
        for life in processes.keys.sorted() {
            guard let process = processes[life] else { continue }
            let state = dkron_has_ended(process.identifier)
            guard state != 0 else { continue }
            // Before it is collected, while its number can't be another's.
            if state > 0 { kill(-process.identifier, SIGKILL) }
            var ended = dkron_exit()
            let isKnown = dkron_reap_one(process.identifier, &ended) == 1
            for isError in [false, true] {
                while read(life, errors: isError, at: now) {}
            }
            if let left = processes.removeValue(forKey: life) { closePipes(left) }
            let exit: PluginExit =
                !isKnown ? .unknown : ended.code >= 0 ? .code(ended.code) : .signal(ended.signal)
            host.take(.exited(life, exit), at: now, into: &out)
        }
    }

    private func receiveLaunches(at now: Now) {
        for answer in launcher.receive() {
            launching[answer.life] = nil
            switch answer.outcome {
            case .success(let process):
                processes[answer.life] = process
                loop.watch(process.output, for: .read, as: pipe(answer.life, errors: false))
                loop.watch(process.errors, for: .read, as: pipe(answer.life, errors: true))
                host.take(.launched(answer.life), at: now, into: &out)
            case .failure(let refusal):
                host.take(.refused(answer.life, reason: refusal.reason), at: now, into: &out)
            }
        }
    }

    // MARK: Pipes

    /// Reads once; false if there is nothing now.
    @discardableResult
    private func read(_ life: PluginLife, errors isError: Bool, at now: Now) -> Bool {
        guard let process = processes[life] else { return false }
        let descriptor = isError ? process.errors : process.output
        guard descriptor >= 0 else { return false }
        let count = retryingInterrupted { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
        guard count > 0 else {
            if count < 0, errno == EAGAIN { return false }
            loop.forget(descriptor)
            Glibc.close(descriptor)
            if isError { processes[life]?.errors = -1 } else { processes[life]?.output = -1 }
            return false
        }
        let bytes = Array(buffer[..<count])
        host.take(isError ? .complained(life, bytes) : .printed(life, bytes), at: now, into: &out)
        return true
    }

    private func closePipes(_ process: PluginProcess) {
        for descriptor in [process.output, process.errors] where descriptor >= 0 {
            loop.forget(descriptor)
            Glibc.close(descriptor)
        }
    }

    // MARK: Carrying out

    private func drain(at now: Now, into inputs: inout [Input]) {
        while !out.actions.isEmpty {
            let actions = out.actions
            out.actions.removeAll(keepingCapacity: true)
            for action in actions {
                if let event = perform(action, at: now) { host.take(event, at: now, into: &out) }
            }
        }
        for (execution, event) in out.news { inputs.append(.call(execution, event)) }
        out.news.removeAll(keepingCapacity: true)
    }

    private func perform(_ action: PluginAction, at now: Now) -> PluginEvent? {
        switch action {
        case .launch(let life, let file):
            let start = PluginStart()
            launching[life] = start
            launcher.submit(
                .init(
                    life: life, path: file.path, environment: environment, start: start,
                    openFiles: openFiles))
        case .kill(let life):
            // Not collected yet, so the number still names this very process and its group.
            if let process = processes[life] { kill(-process.identifier, SIGKILL) }
        case .connect(let number, let address): return connect(number, address)
        case .send(let number, let bytes):
            guard let connection = connections[number] else { return nil }
            connection.outgoing += bytes
            return transmit(number, connection)
        case .close(let number):
            guard let connection = connections.removeValue(forKey: number) else { return nil }
            loop.forget(connection.socket.descriptor)
        case .listen(let listener, let path): return listen(listener, path)
        case .unlisten(let listener, let path):
            guard let descriptor = listeners.removeValue(forKey: listener) else { return nil }
            loop.forget(descriptor)
            Glibc.close(descriptor)
            PluginDirectories.removeSocket(path)
        case .remove(let path): PluginDirectories.removeSocket(path)
        case .log(let record): log.write(record, at: now.wall)
        }
        return nil
    }

    // MARK: Sockets

    private func connect(
        _ number: ConnectionNumber, _ address: PluginAddress
    ) -> PluginEvent? {
        do {
            switch address {
            case .local(let path):
                return opened(number, try LocalSocket.connect(to: path), isOpen: true)
            case .tcp(let host, let port):
                // Numeric: nobody is asked.
                let found = try SocketAddress.resolve(Endpoint(host: host, port: port))
                guard let first = found.first else {
                    return .failed(number, reason: "it has no address")
                }
                let socket = try ConnectingSocket(to: first)
                return opened(number, socket.descriptor, isOpen: socket.isOpen)
            }
        } catch let error as SystemError {
            return .failed(number, reason: error.reason)
        } catch {
            return .failed(number, reason: "\(error)")
        }
    }

    private func opened(
        _ number: ConnectionNumber, _ descriptor: Int32, isOpen: Bool
    ) -> PluginEvent? {
        let connection = Connection(descriptor, isOpen: isOpen)
        connections[number] = connection
        watch(number, connection)
        return isOpen ? .opened(number) : nil
    }

    private func listen(_ listener: PluginListener, _ path: String) -> PluginEvent? {
        do throws(SystemError) {
            let descriptor = try LocalSocket.listen(at: path)
            listeners[listener] = descriptor
            loop.watch(descriptor, for: .read, as: token(.listener, listener))
            return nil
        } catch {
            return .listenFailed(listener, reason: error.description)
        }
    }

    private func accept(_ listener: PluginListener, at now: Now) {
        guard let descriptor = listeners[listener] else { return }
        let accepted = dkron_unix_accept(descriptor)
        guard accepted >= 0 else {
            // Else whoever waits there would keep the loop busy; the call gets an answer instead.
            if errno != EAGAIN, errno != EINTR, errno != ECONNABORTED {
                let reason = errorText(errno)
                host.take(.listenFailed(listener, reason: reason), at: now, into: &out)
            }
            return
        }
        let number = nextAccepted
        nextAccepted += 2
        _ = opened(number, accepted, isOpen: true)
        host.take(.accepted(listener, number), at: now, into: &out)
    }

    private func handle(
        _ event: EventLoop.Event, connection number: ConnectionNumber, at now: Now
    ) {
        guard let connection = connections[number] else { return }
        if !connection.isOpen {
            if let reason = ConnectingSocket.failure(of: connection.socket.descriptor) {
                return host.take(.failed(number, reason: reason), at: now, into: &out)
            }
            connection.isOpen = true
            watch(number, connection)
            return host.take(.opened(number), at: now, into: &out)
        }
        if event.writable, let event = transmit(number, connection) {
            host.take(event, at: now, into: &out)
        }
        guard event.readable || event.broken, connections[number] != nil else { return }
        switch connection.socket.receive(into: buffer) {
        case .bytes(let count):
            host.take(.received(number, Array(buffer[..<count])), at: now, into: &out)
        case .end: host.take(.receivedEnd(number), at: now, into: &out)
        case .failed(let reason): host.take(.failed(number, reason: reason), at: now, into: &out)
        case .blocked: break
        }
    }

    private func transmit(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> PluginEvent? {
        let sent = connection.isOpen ? connection.socket.transmit(&connection.outgoing) : 0
        watch(number, connection)
        return sent > 0 ? .wrote(number, count: sent) : nil
    }

    private func watch(_ number: ConnectionNumber, _ connection: Connection) {
        var interest: EventLoop.Interest = connection.isOpen ? .read : .write
        if !connection.outgoing.isEmpty { interest.insert(.write) }
        guard interest != connection.interest else { return }
        connection.interest = interest
        loop.watch(connection.socket.descriptor, for: interest, as: token(.connection, number))
    }

    // MARK: Tokens

    private func token(_ source: Source, _ number: UInt64) -> EventLoop.Token {
        .init(.plugins, number << 2 | source.rawValue)
    }

    private func pipe(_ life: PluginLife, errors: Bool) -> EventLoop.Token {
        token(.pipe, life << 1 | (errors ? 1 : 0))
    }
}
