// The agent's end of the connection to its supervisor.
//
// The supervisor is another process and may die, hang, or be left over from an earlier release; the
// client hides all of that behind the contract of `RunSpec`: whatever was handed over gets its
// answer. Requests wait here until a supervisor has said `welcome`, so that one which leaves at the
// very moment at which we connect loses nothing. Files by aspect: `+Connection` (finding or
// starting a supervisor), `+Loss` (what happens when it is gone).

internal import CSystem
package import Core
internal import Glibc

/// A supervisor that can't be reached or started, in a sentence.
package struct SupervisorError: Error, Sendable, CustomStringConvertible {
    package var description: String
}

/// Hands runs to the supervisor and brings news of them. Nothing here blocks.
///
/// Use: watch `fileDescriptor` for reading only; when it is readable, or `nextDeadline` has passed,
/// call `receive` and `tick` and hand their events to the node.
package final class SupervisorClient {
    /// Stable for the life of the client, over deaths of the supervisor too: a poll set, readable
    /// when there is something to receive and when what waits to be written can go on.
    package let fileDescriptor: Int32

    let dataDirectory: String
    let executable: String
    /// What runs inherit, as `NAME=value`.
    let environment: [[UInt8]]
    let openFiles: UInt64
    let directory: Int32

    var connection: Connection?
    /// Frames for the next supervisor that says `welcome`.
    var waiting: [Waiting] = []
    /// Runs that were handed over and are not yet released.
    var known: [ExecutionID: Known] = [:]
    /// The supervisors that this client started, until they are collected.
    var children: [pid_t] = []
    var retry = Retry()
    /// Events that came up outside `receive`.
    var pending: [(ExecutionID, RunEvent)] = []
    var log: [LogRecord] = []
    /// The agent is going; a lost connection is no accident any more.
    var isLeaving = false
    /// See `bind`.
    var isBound = false

    struct Connection {
        var descriptor: Int32
        var processID: pid_t?
        var incoming = FrameReader()
        var outgoing = WriteQueue()
        var isWelcome = false
        var waitsForRoom = false
        /// When a supervisor that has not said `welcome` is taken for dead.
        var patienceEnds: Instant
    }

    struct Waiting {
        var id: ExecutionID?
        var frame: [UInt8]
    }

    struct Known {
        var identity: ProcessIdentity?
        /// `ended`, `refused` or `vanished` was reported.
        var isOver = false
        /// It was handed to the present supervisor.
        var isSent = false
    }

    struct Retry {
        var at: Instant?
        var failures = 0
        /// What went wrong last.
        var reason = ""
    }

    /// Takes up the supervisor that still serves the directory, or starts one. `executable` is this
    /// program's own file. Throws when neither works.
    /// - Parameter openFiles: the soft limit of open files that runs get; 0: this process's own.
    package init(
        dataDirectory: String, executable: String, hideEnvironment: [String], openFiles: UInt64 = 0
    ) throws {
        self.dataDirectory = dataDirectory
        self.executable = executable
        self.openFiles = openFiles
        environment = ProcessLauncher.inheritable(Self.ownEnvironment(), hiding: hideEnvironment)
        directory = open(dataDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else {
            let reason = errorText(errno)
            throw SupervisorError(
                description: "open the data directory \(dataDirectory): \(reason)")
        }
        fileDescriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard fileDescriptor >= 0 else {
            let reason = errorText(errno)
            close(directory)
            throw SupervisorError(description: "make a poll set: \(reason)")
        }
        try connect(now: Clocks.monotonic())
    }

    deinit {
        if let connection { close(connection.descriptor) }
        close(fileDescriptor)
        close(directory)
    }

    // MARK: Requests

    package func start(_ spec: RunSpec) {
        known[spec.execution] = Known()
        send(.start(spec), for: spec.execution)
    }

    package func adopt(_ id: ExecutionID, _ identity: ProcessIdentity?) {
        known[id] = Known(identity: identity)
        send(.adopt(id, identity), for: id)
    }

    package func stop(_ id: ExecutionID) { send(.stop(id), for: id) }

    package func release(_ id: ExecutionID) {
        known[id] = nil
        send(.release(id), for: id)
    }

    package func renewFences(ago: Duration) {
        // One that waited would count from the wrong moment; the next comes soon.
        guard connection?.isWelcome == true else { return }
        send(.renewFences(ago: ago), for: nil)
    }

    /// Ends every run that is left (politely, then after its grace), and the supervisor when the
    /// last is over. The agent may go meanwhile; what became of the runs nobody learns.
    package func endAll() {
        isLeaving = true
        send(.endAll, for: nil)
        flushPatiently()
    }

    /// Binds every run to this client: when it goes, in whatever way, they are ended, and the
    /// supervisor and the directory go with the last of them.
    package func bind() {
        isBound = true
        if connection?.isWelcome == true { send(.bind, for: nil) }
    }

    /// Leaves the supervisor and its runs to the next agent. Nothing may be asked afterwards.
    package func detach() {
        isLeaving = true
        flushPatiently()
        guard let connection else { return }
        close(connection.descriptor)
        self.connection = nil
    }

    private func send(_ request: SupervisorRequest, for id: ExecutionID?) {
        let frame = SupervisorWire.frame(request)
        guard connection?.isWelcome == true else {
            waiting.append(Waiting(id: id, frame: frame))
            return
        }
        hand(frame, of: id)
        flush()
    }

    func hand(_ frame: [UInt8], of id: ExecutionID?) {
        connection?.outgoing.append(frame)
        if let id { known[id]?.isSent = true }
    }

    // MARK: News

    /// Something waits to be written. Informational: `fileDescriptor` becomes readable for it.
    package var wantsWrite: Bool { connection.map { !$0.outgoing.isEmpty } ?? false }

    /// Writes what the connection takes. Called by every request and by `receive` as well.
    package func flush() {
        guard var connection else { return }
        // Taken out meanwhile, so that the queue has one owner and is not copied.
        self.connection = nil
        connection.outgoing.drain { bytes in
            while true {
                let count = dkron_send(connection.descriptor, bytes.baseAddress!, bytes.count)
                if count >= 0 { return count }
                // A broken connection shows when it is read, where its last words are too.
                if errno != EINTR { return nil }
            }
        }
        if connection.waitsForRoom != !connection.outgoing.isEmpty {
            connection.waitsForRoom.toggle()
            var event = epoll_event()
            event.events = EPOLLIN.rawValue | (connection.waitsForRoom ? EPOLLOUT.rawValue : 0)
            epoll_ctl(fileDescriptor, EPOLL_CTL_MOD, connection.descriptor, &event)
        }
        self.connection = connection
    }

    /// What happened to runs since the last call. Takes a bounded amount; if there is more,
    /// `fileDescriptor` stays readable.
    package func receive() -> [(ExecutionID, RunEvent)] {
        flush()
        var budget = 8
        while budget > 0, let descriptor = connection?.descriptor {
            budget -= 1
            let count = withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                if count > 0 {
                    connection?.incoming.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
                return count
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            guard count > 0 else {
                lose("the supervisor died", now: Clocks.monotonic())
                break
            }
            do {
                while let body = try connection?.incoming.next() {
                    take(try SupervisorWire.news(body))
                }
            } catch {
                lose("the supervisor sent damaged data (\(error))", now: Clocks.monotonic())
            }
        }
        defer { pending.removeAll() }
        return pending
    }

    private func take(_ news: SupervisorNews) {
        switch news {
        case .welcome(let version, let processID): welcome(version, processID)
        case .busy:
            disconnect()
            postpone("another agent is connected to its supervisor", now: Clocks.monotonic())
        case .log(let record): log.append(record)
        case .event(let id, let event):
            // Released meanwhile: nobody waits for it.
            guard known[id] != nil else { return }
            switch event {
            case .started(let identity, _): known[id]?.identity = identity
            case .ended, .refused, .vanished: known[id]?.isOver = true
            case .output: break
            }
            pending.append((id, event))
        }
    }

    /// What the supervisor and this client have to say since the last call.
    package func takeLog() -> [LogRecord] {
        defer { log.removeAll() }
        return log
    }

    // MARK: Time

    /// When `tick` should be called at the latest; nil when nothing is due without news.
    package func nextDeadline(now: Instant) -> Instant? {
        if !pending.isEmpty { return now }
        if let at = retry.at { return at }
        if let connection, !connection.isWelcome { return connection.patienceEnds }
        return nil
    }

    /// Does what is due. Early and repeated calls are harmless.
    package func tick(now: Instant) -> [(ExecutionID, RunEvent)] {
        collectChildren()
        if let connection, !connection.isWelcome, now >= connection.patienceEnds {
            lose("the supervisor does not answer", now: now)
        }
        if let at = retry.at, now >= at { reconnect(now: now) }
        defer { pending.removeAll() }
        return pending
    }

    /// Waits a moment for the connection to take what is left, because nobody will come back to it.
    private func flushPatiently() {
        for _ in 0..<50 {
            flush()
            guard let connection, !connection.outgoing.isEmpty else { return }
            var state = pollfd(fd: connection.descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&state, 1, 10)
        }
    }

    private static func ownEnvironment() -> [[UInt8]] {
        var entries: [[UInt8]] = []
        var next = environ
        while let entry = next.pointee {
            entries.append(
                Array(
                    UnsafeBufferPointer(start: entry, count: strlen(entry)).map(
                        UInt8.init(bitPattern:))))
            next += 1
        }
        return entries
    }
}
