internal import CSystem
package import Core
internal import Glibc

/// Runs a plugin in this process: sockets for Core's `PluginServer`, which decides everything, and
/// whoever carries its calls out.
package final class PluginService {
    private final class Connection {
        let socket: StreamSocket
        var outgoing: ArraySlice<UInt8> = []
        var interest: EventLoop.Interest?

        init(_ descriptor: Int32) { socket = StreamSocket(descriptor) }
    }

    /// Numbers of events of this object's own descriptors.
    private enum Source: UInt64 {
        case signals
        case parent
        case prints
    }

    private let loop: EventLoop
    private let log: LogWriter
    private let door: PluginDoor
    private let work: any PluginWork
    private let signals: Int32
    private let parent: Int32
    /// What this process prints; -1 once closed.
    private var prints: Int32
    private var server: PluginServer
    private var actions: [PluginServerAction] = []
    private var connections: [ConnectionNumber: Connection] = [:]
    private var nextAccepted: ConnectionNumber = 1
    private var isOver = false
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// Serves whoever has started this process, until that is over. Returns the exit status.
    /// - Parameter work: makes what carries out the calls.
    package static func run(
        _ kind: PluginKind, level: LogRecord.Level = .debug,
        work: (EventLoop, LogWriter) throws -> any PluginWork
    ) -> Int32 {
        if let refusal = PluginHandshake.refusal(variable: variable) {
            complain(refusal)
            return 1
        }
        do {
            // Before any thread is made.
            let signals = try PluginLifeline.watchSignals()
            let parent = PluginLifeline.watchParent()
            let loop = try EventLoop()
            let log = LogWriter(level: level, form: .hclog)
            let work = try work(loop, log)
            let door = try PluginDoor()
            defer { door.remove() }
            let prints = try door.announce(kind)
            let service = PluginService(
                kind, loop: loop, log: log, door: door, work: work, signals: signals,
                parent: parent, prints: prints)
            service.serve()
            return 0
        } catch {
            complain("The plugin can't be served: \(error).")
            return 1
        }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private static func complain(_ sentence: String) {
        let line = Array((sentence + "\n").utf8)
        _ = Glibc.write(STDERR_FILENO, line, line.count)
    }

    private init(
        _ kind: PluginKind, loop: EventLoop, log: LogWriter, door: PluginDoor,
        work: any PluginWork, signals: Int32, parent: Int32, prints: Int32
    ) {
        self.loop = loop
        self.log = log
        self.door = door
        self.work = work
        self.signals = signals
        self.parent = parent
        self.prints = prints
        server = PluginServer(
            kind, takesErrors: PluginHandshake.allowsRefusals(variable: Self.variable),
            at: Clocks.monotonic())
        loop.watch(door.descriptor, for: .read, as: .init(.listener))
        for (descriptor, source) in [
            (signals, Source.signals), (parent, .parent), (prints, .prints),
        ] where descriptor >= 0 {
            loop.watch(descriptor, for: .read, as: .init(.plugins, source.rawValue))
        }
    }

    deinit { buffer.deallocate() }

    private func serve() {
        var events: [EventLoop.Event] = []
        while !isOver {
            let now = Clocks.monotonic()
            var deadline = server.nextDeadline ?? .distantFuture
            deadline = min(deadline, work.nextDeadline ?? .distantFuture)
            loop.wait(milliseconds: Driver.milliseconds(deadline - now), into: &events)
            for event in events where !isOver { handle(event, at: Clocks.now()) }
            expire(at: Clocks.now())
        }
        // Of what was printed.
        fflush(nil)
        work.close()
    }

    private func expire(at now: Now) {
        if let due = work.nextDeadline, due <= now.monotonic { work.expire(at: now) }
        settle(at: now)
        if let due = server.nextDeadline, due <= now.monotonic {
            server.expire(at: now.monotonic, into: &actions)
            settle(at: now)
        }
    }

    // MARK: What happens

    private func handle(_ event: EventLoop.Event, at now: Now) {
        switch event.token.owner {
        case .listener: accept(at: now)
        case .connection: handle(event, event.token.number, at: now)
        case .plugins:
            switch Source(rawValue: event.token.number) {
            case .signals: told("it was sent a signal", signals, at: now)
            case .parent: told("the process that started it has ended", parent, at: now)
            case .prints: readPrints(at: now)
            case nil: break
            }
        default: work.handle(event, at: now)
        }
        settle(at: now)
    }

    private func told(_ reason: String, _ descriptor: Int32, at now: Now) {
        loop.forget(descriptor)
        take(.stop(reason), at: now)
    }

    private func take(_ event: PluginServerEvent, at now: Now) {
        server.take(event, at: now.monotonic, into: &actions)
    }

    private func accept(at now: Now) {
        let accepted = dkron_unix_accept(door.descriptor)
        guard accepted >= 0 else { return }
        let number = nextAccepted
        nextAccepted += 2
        open(number, accepted)
        take(.accepted(number), at: now)
    }

    private func open(_ number: ConnectionNumber, _ descriptor: Int32) {
        let connection = Connection(descriptor)
        connections[number] = connection
        watch(number, connection)
    }

    private func handle(_ event: EventLoop.Event, _ number: ConnectionNumber, at now: Now) {
        guard let connection = connections[number] else { return }
        if event.writable, let event = transmit(number, connection) { take(event, at: now) }
        guard event.readable || event.broken, connections[number] != nil else { return }
        switch connection.socket.receive(into: buffer) {
        case .bytes(let count): take(.received(number, Array(buffer[..<count])), at: now)
        case .end: take(.receivedEnd(number), at: now)
        case .failed(let reason): take(.failed(number, reason: reason), at: now)
        case .blocked: break
        }
    }

    private func readPrints(at now: Now) {
        let count = retryingInterrupted { read(prints, buffer.baseAddress, buffer.count) }
        if count > 0 { return take(.printed(Array(buffer[..<count])), at: now) }
        if count < 0, errno == EAGAIN { return }
        loop.forget(prints)
        close(prints)
        prints = -1
    }

    // MARK: Carrying out

    /// Does what the server wants, and what follows from that.
    private func settle(at now: Now) {
        while !isOver {
            for event in work.takeNews() { take(event, at: now) }
            guard !actions.isEmpty else { return }
            let wanted = actions
            actions.removeAll(keepingCapacity: true)
            for action in wanted {
                if let event = perform(action, at: now) { take(event, at: now) }
            }
        }
    }

    private func perform(_ action: PluginServerAction, at now: Now) -> PluginServerEvent? {
        switch action {
        case .connect(let number, let address): return connect(number, address)
        case .send(let number, let bytes):
            guard let connection = connections[number] else { return nil }
            connection.outgoing += bytes
            return transmit(number, connection)
        case .close(let number):
            guard let connection = connections.removeValue(forKey: number) else { return nil }
            loop.forget(connection.socket.descriptor)
        case .begin(let call): work.begin(call, at: now)
        case .cancel(let number): work.cancel(number, at: now)
        case .log(let record): log.write(record, at: now.wall)
        case .exit: isOver = true
        }
        return nil
    }

    /// Where a call's updates are taken: on this machine, so it is quick or fails.
    private func connect(
        _ number: ConnectionNumber, _ address: PluginAddress
    ) -> PluginServerEvent? {
        do {
            switch address {
            case .local(let path): open(number, try LocalSocket.connect(to: path))
            case .tcp(let host, let port):
                // Numeric: nobody is asked.
                let found = try SocketAddress.resolve(Endpoint(host: host, port: port))
                guard let first = found.first else {
                    return .failed(number, reason: "it has no address")
                }
                open(number, try ConnectingSocket(to: first).descriptor)
            }
            return .opened(number)
        } catch let error as SystemError {
            return .failed(number, reason: error.reason)
        } catch {
            return .failed(number, reason: "\(error)")
        }
    }

    private func transmit(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> PluginServerEvent? {
        let sent = connection.socket.transmit(&connection.outgoing)
        watch(number, connection)
        return sent > 0 ? .wrote(number, count: sent) : nil
    }

    private func watch(_ number: ConnectionNumber, _ connection: Connection) {
        let interest: EventLoop.Interest = connection.outgoing.isEmpty ? .read : [.read, .write]
        guard interest != connection.interest else { return }
        connection.interest = interest
        loop.watch(connection.socket.descriptor, for: interest, as: .init(.connection, number))
    }
}
