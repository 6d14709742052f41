package import Core
internal import Glibc

/// Makes calls of executions: sockets, name lookups and time for Core's `HTTPCalls` or
/// `Conversations`, which decide everything. Nothing here blocks.
package final class Outbound<Calls: OutgoingCalls> {
    private final class Connection {
        enum Phase {
            case connecting
            /// About TLS; another thread may be at work with it.
            case agreeing
            case open
        }

        let socket: StreamSocket
        var phase = Phase.connecting
        var outgoing: ArraySlice<UInt8> = []
        /// The other side says nothing more.
        var isAtEnd = false
        /// What the loop watches for; nil: nothing.
        var interest: EventLoop.Interest?

        init(_ socket: StreamSocket) { self.socket = socket }
    }

    private let loop: EventLoop
    private let log: LogWriter
    private let resolver: Resolver
    private let handshakes: TLSHandshakes
    private let owner: EventLoop.Token.Owner
    private let asker: Resolver.Asker
    private let what: String
    private let tell: (ExecutionID, CallEvent) -> Input?
    private var calls: Calls
    private var connections: [ConnectionNumber: Connection] = [:]
    private var out = CallOutput()
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 16 << 10)
    private var saturationLoggedAt: Instant?

    /// - Parameters:
    ///   - calls: their limits must leave descriptors for everything else.
    ///   - owner: of the sockets' events.
    ///   - asker: for whom names are looked up.
    ///   - what: the calls, for messages.
    ///   - tell: what the node hears of a call; those of executions are told as they are.
    package init(
        _ calls: Calls, _ what: String, owner: EventLoop.Token.Owner, asker: Resolver.Asker,
        loop: EventLoop, log: LogWriter, resolver: Resolver, handshakes: TLSHandshakes,
        tell: @escaping (ExecutionID, CallEvent) -> Input? = { .call($0, $1) }
    ) {
        self.loop = loop
        self.log = log
        self.tell = tell
        self.calls = calls
        self.what = what
        self.owner = owner
        self.asker = asker
        self.resolver = resolver
        self.handshakes = handshakes
    }

    deinit { buffer.deallocate() }

    package var nextDeadline: Instant? { calls.nextDeadline }
    /// Calls that have not ended.
    package var callCount: Int { calls.count }
    /// Connections opened so far.
    package var openedCount: UInt64 { calls.openedCount }

    // MARK: What the node wants

    package func begin(_ call: Calls.Attempt, at now: Now, into inputs: inout [Input]) {
        calls.begin(call, at: now, into: &out)
        drain(at: now, into: &inputs)
        reportSaturation(at: now.monotonic)
    }

    package func hangUp(_ id: ExecutionID, at now: Now, into inputs: inout [Input]) {
        calls.hangUp(id, at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    package func renewFences(ago: Duration, at now: Now) { calls.renewFences(ago: ago, at: now) }

    private func reportSaturation(at now: Instant) {
        guard calls.waitingCount > 0 else { return }
        if let last = saturationLoggedAt, now - last < .seconds(10) { return }
        saturationLoggedAt = now
        log.write(
            .warning, "\(what): all connections are in use, further requests wait",
            [
                .init("under_way", "\(calls.count - calls.waitingCount)"),
                .init("waiting", "\(calls.waitingCount)"),
            ])
    }

    // MARK: What happens

    /// Takes the answer to a lookup.
    package func resolved(_ answer: Resolver.Answer, at now: Now, into inputs: inout [Input]) {
        take(
            .resolved(host: answer.host, addresses: answer.addresses, problem: answer.problem),
            at: now)
        drain(at: now, into: &inputs)
    }

    /// Takes an event of a socket.
    package func handle(_ event: EventLoop.Event, at now: Now, into inputs: inout [Input]) {
        if let connection = connections[event.token.number] {
            let number = event.token.number
            switch connection.phase {
            case .connecting:
                if let event = finishOpening(number, connection) { take(event, at: now) }
            case .agreeing: agree(number, connection)
            case .open:
                if event.writable, let event = transmit(number, connection) {
                    take(event, at: now)
                }
                if event.readable || event.broken, connections[number] != nil, !connection.isAtEnd,
                    let event = receive(number, connection)
                {
                    take(event, at: now)
                }
            }
        }
        drain(at: now, into: &inputs)
    }

    /// Takes the answer to a step of a handshake.
    package func advanced(
        _ answer: TLSHandshakes.Answer, at now: Now, into inputs: inout [Input]
    ) {
        let number = answer.token.number
        guard let connection = connections[number] else { return }
        switch answer.step {
        case .waits(let interest): watch(number, connection, for: interest)
        case .failed(let reason): take(failure(number, reason), at: now)
        case .done:
            connection.phase = .open
            watch(number, connection)
            take(.opened(number), at: now)
        }
        drain(at: now, into: &inputs)
    }

    package func expire(at now: Now, into inputs: inout [Input]) {
        calls.deadline(at: now, into: &out)
        drain(at: now, into: &inputs)
    }

    private func take(_ event: SocketEvent, at now: Now) {
        calls.take(event, at: now, into: &out)
        perform(at: now)
    }

    private func drain(at now: Now, into inputs: inout [Input]) {
        perform(at: now)
        for (execution, event) in out.news {
            if let input = tell(execution, event) { inputs.append(input) }
        }
        out.news.removeAll(keepingCapacity: true)
    }

    /// Does what the calls want, and what follows from that.
    private func perform(at now: Now) {
        while !out.sockets.isEmpty {
            let actions = out.sockets
            out.sockets.removeAll(keepingCapacity: true)
            for action in actions {
                if let event = perform(action) { calls.take(event, at: now, into: &out) }
            }
        }
    }

    private func perform(_ action: SocketAction) -> SocketEvent? {
        switch action {
        case .resolve(let host):
            resolver.resolve(host, for: asker)
            return nil
        case .open(let number, let address, let port, let peer):
            return open(number, address, port, peer)
        case .send(let number, let bytes):
            guard let connection = connections[number] else { return nil }
            connection.outgoing += bytes
            return transmit(number, connection)
        case .secure(let number, let peer):
            guard let connection = connections[number] else { return nil }
            connection.socket.secure(as: .client(peer))
            return opened(number, connection)
        case .close(let number):
            guard let connection = connections.removeValue(forKey: number) else { return nil }
            loop.forget(connection.socket.descriptor)
            return nil
        }
    }

    // MARK: One connection

    private func open(
        _ number: ConnectionNumber, _ address: String, _ port: UInt16, _ peer: TLSPeer?
    ) -> SocketEvent? {
        if address.utf8.first == UInt8(ascii: "/") { return open(number, path: address, peer) }
        let target: SocketAddress
        do throws(AddressError) {
            // Numeric: nobody is asked.
            let found = try SocketAddress.resolve(Endpoint(host: address, port: port))
            guard let first = found.first else { return failure(number, "it has no address") }
            target = first
        } catch {
            return failure(number, error.reason)
        }
        let socket: ConnectingSocket
        do throws(SystemError) {
            socket = try ConnectingSocket(to: target)
        } catch {
            return failure(number, error.reason)
        }
        Self.configure(socket.descriptor)
        let connection = Connection(
            StreamSocket(socket.descriptor, tls: peer.map { .client($0) }))
        connections[number] = connection
        if socket.isOpen { return opened(number, connection) }
        watch(number, connection)
        return nil
    }

    /// A socket in the file system answers at once.
    private func open(
        _ number: ConnectionNumber, path: String, _ peer: TLSPeer?
    ) -> SocketEvent? {
        do throws(SystemError) {
            let socket = try LocalSocket.connect(to: path)
            let connection = Connection(StreamSocket(socket, tls: peer.map { .client($0) }))
            connections[number] = connection
            return opened(number, connection)
        } catch {
            return failure(number, error.reason)
        }
    }

    /// Requests are whole when they are sent, so nothing is gained by waiting for more; and a peer
    /// that vanished without a word is found within two minutes, however long an answer may take.
    private static func configure(_ descriptor: Int32) {
        let tcp = Int32(IPPROTO_TCP)
        for (level, option, value) in [
            (tcp, TCP_NODELAY, Int32(1)), (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, 60),
            (tcp, TCP_KEEPINTVL, 15), (tcp, TCP_KEEPCNT, 4),
        ] {
            var value = value
            setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private func finishOpening(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> SocketEvent? {
        if let reason = ConnectingSocket.failure(of: connection.socket.descriptor) {
            return failure(number, reason)
        }
        return opened(number, connection)
    }

    private func opened(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> SocketEvent? {
        guard connection.socket.session == nil else {
            connection.phase = .agreeing
            agree(number, connection)
            return nil
        }
        connection.phase = .open
        watch(number, connection)
        return .opened(number)
    }

    private func agree(_ number: ConnectionNumber, _ connection: Connection) {
        loop.forget(connection.socket.descriptor)
        connection.interest = nil
        handshakes.advance(connection.socket, as: .init(owner, number))
    }

    private func transmit(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> SocketEvent? {
        let sent = connection.socket.transmit(&connection.outgoing)
        watch(number, connection)
        return sent > 0 ? .wrote(number, count: sent) : nil
    }

    private func receive(
        _ number: ConnectionNumber, _ connection: Connection
    ) -> SocketEvent? {
        switch connection.socket.receive(into: buffer) {
        case .bytes(let count): return .received(number, Array(buffer[..<count]))
        case .end:
            connection.isAtEnd = true
            watch(number, connection)
            return .receivedEnd(number)
        case .failed(let reason): return failure(number, reason)
        case .blocked: return nil
        }
    }

    private func failure(
        _ number: ConnectionNumber, _ reason: String
    ) -> SocketEvent {
        .failed(number, reason: reason)
    }

    private func watch(
        _ number: ConnectionNumber, _ connection: Connection
    ) {
        var interest: EventLoop.Interest = connection.phase == .connecting ? .write : .read
        if connection.isAtEnd { interest.remove(.read) }
        if !connection.outgoing.isEmpty { interest.insert(.write) }
        watch(number, connection, for: interest)
    }

    private func watch(
        _ number: ConnectionNumber, _ connection: Connection,
        for interest: EventLoop.Interest
    ) {
        guard interest != connection.interest else { return }
        connection.interest = interest
        // The loop tells of a broken socket without being asked, over and over.
        guard !interest.isEmpty else { return loop.forget(connection.socket.descriptor) }
        loop.watch(connection.socket.descriptor, for: interest, as: .init(owner, number))
    }
}
