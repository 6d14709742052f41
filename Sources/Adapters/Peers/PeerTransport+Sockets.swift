internal import Core
internal import Glibc

// Connections: how they begin, what moves on them, how they end.

extension PeerTransport {
    // MARK: Listening

    /// Starts to take connections on the first address of an endpoint that this machine has.
    /// Returns the address with its port.
    @discardableResult
    package func listen(on endpoint: Endpoint) throws(AddressError) -> SocketAddress {
        try endpoint.first { address throws(SystemError) in
            let listener = try ListeningSocket(address)
            acceptor.add(listener)
            return listener.address
        }
    }

    func accept(at now: Instant) {
        let failure = acceptor.accept(Self.listenerToken, at: now) { descriptor, address in
            guard strangerCount < limits.strangers, accepted.count < limits.accepted else {
                Glibc.close(descriptor)
                return
            }
            let connection = makeConnection(
                descriptor, .accepter, address.description, isConnecting: false, at: now)
            strangerCount += 1
            watch(connection)
        }
        if let failure { complain("connections can't be taken for now", "any", failure, now) }
    }

    // MARK: Opening

    func openIfWanted(_ link: PeerLink, at now: Instant) {
        if link.connection == nil, !link.queue.isEmpty, !link.isForgotten { open(link, at: now) }
    }

    func open(_ link: PeerLink, at now: Instant) {
        let family = link.address.ip.isIPv4 ? AF_INET : AF_INET6
        guard let target = SocketAddress(link.address, family: family) else { return }
        let socket: ConnectingSocket
        do throws(SystemError) {
            socket = try ConnectingSocket(to: target)
        } catch {
            return unreachable(link, error.reason, at: now)
        }
        let connection = makeConnection(
            socket.descriptor, .opener(to: link.id), "\(link.address)", isConnecting: true, at: now)
        link.connection = connection
        watch(connection)
    }

    /// What waits is lost: until the node can be reached it would be outdated.
    private func unreachable(_ link: PeerLink, _ reason: String, at now: Instant) {
        link.retry.failed(at: now, limits)
        lose(link.queue.count)
        link.queue.removeAll()
        complain("a node can't be reached", "\(link.address)", reason, now)
    }

    func finishOpening(_ connection: PeerConnection, at now: Instant) {
        if let reason = ConnectingSocket.failure(of: connection.descriptor) {
            return fail(connection, .lost(reason), at: now)
        }
        connection.connected(identity)
        transmit(connection, at: now)
    }

    // MARK: Sending

    func transmit(_ connection: PeerConnection, at now: Instant) {
        let wasWaiting = isWaiting(connection)
        var hasMoved = false
        for _ in 0..<Self.mostSendsAtOnce {
            do throws(PeerFailure) { try fill(connection) } catch {
                return fail(connection, error, at: now)
            }
            guard connection.pendingCount > 0 else { break }
            let count = sendOnce(connection)
            guard count > 0 else {
                if errno == EAGAIN || errno == EWOULDBLOCK { break }
                return fail(connection, .lost(errorText(errno)), at: now)
            }
            connection.sent(count)
            hasMoved = true
        }
        if connection.isOpen, connection.role != .accepter {
            if !isWaiting(connection) {
                setEnd(connection, now + limits.idle)
            } else if hasMoved || !wasWaiting {
                setEnd(connection, now + limits.stall)
            }
        }
        watch(connection)
    }

    /// There is more to send, now or when the socket takes it.
    func isWaiting(_ connection: PeerConnection) -> Bool {
        if connection.pendingCount > 0 { return true }
        guard connection.isOpen, case .opener(let id) = connection.role else { return false }
        return links[id].map { !$0.queue.isEmpty } ?? false
    }

    private func sendOnce(_ connection: PeerConnection) -> Int {
        connection.output.withUnsafeBytes { bytes in
            let rest = bytes[connection.sentCount...]
            return retryingInterrupted {
                Glibc.send(
                    connection.descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress,
                    rest.count, Int32(MSG_NOSIGNAL))
            }
        }
    }

    /// Takes from the queue only what is about to leave, so that what is urgent comes first.
    private func fill(_ connection: PeerConnection) throws(PeerFailure) {
        guard connection.isOpen, case .opener(let id) = connection.role, let link = links[id] else {
            return
        }
        while connection.pendingCount < Self.mostPending, let next = link.queue.next() {
            try connection.write(next.frame, next.payload)
        }
    }

    func watch(_ connection: PeerConnection) {
        var interest: EventLoop.Interest = .read
        if case .connecting = connection.phase {
            interest = .write
        } else if isWaiting(connection) {
            interest.insert(.write)
        }
        guard interest != connection.interest else { return }
        connection.interest = interest
        loop.watch(connection.descriptor, for: interest, as: .init(.peers, connection.serial))
    }

    // MARK: Receiving

    func receive(
        _ connection: PeerConnection, at now: Instant, into inputs: inout [Input]
    ) {
        for _ in 0..<Self.mostReadsAtOnce {
            let count = retryingInterrupted {
                recv(connection.descriptor, buffer.baseAddress, buffer.count, 0)
            }
            guard count > 0 else {
                if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { break }
                let failure = count == 0 ? connection.ending : .lost(errorText(errno))
                return fail(connection, failure, at: now)
            }
            var news: [PeerConnection.News] = []
            let before = connection.heldBytes
            var failure: PeerFailure?
            do throws(PeerFailure) {
                let bytes = UnsafeBufferPointer(rebasing: buffer[..<count])
                try connection.receive(bytes, as: identity, into: &news)
            } catch {
                failure = error
            }
            heldBytes += connection.heldBytes - before
            for item in news { tell(item, of: connection, at: now, into: &inputs) }
            if failure == nil, heldBytes > limits.heldBytes {
                failure = .lost("too much is being received")
            }
            if let failure { return fail(connection, failure, at: now) }
            guard connections[connection.serial] != nil else { return }
            if count < buffer.count { break }
        }
        if connection.isOpen, connection.role == .accepter {
            setEnd(connection, now + limits.idle * 2)
        }
        // The answer to a greeting, or what has waited for it.
        if connection.pendingCount > 0 || connection.openedAt == now {
            transmit(connection, at: now)
        }
    }

    private func tell(
        _ news: PeerConnection.News, of connection: PeerConnection, at now: Instant,
        into inputs: inout [Input]
    ) {
        switch news {
        case .message(let message):
            guard let other = connection.other else { return }
            inputs.append(.peer(other.hello.id, message))
        case .opened(let id):
            connection.openedAt = now
            guard connection.role == .accepter else { return }
            strangerCount -= 1
            // What the node had opened before is of an earlier life, or broken.
            if let old = accepted[id].flatMap({ connections[$0] }) { drop(old) }
            accepted[id] = connection.serial
            // It lives, so it can be spoken to.
            links[id]?.retry.reset()
        }
    }

    // MARK: Ending

    func fail(_ connection: PeerConnection, _ failure: PeerFailure, at now: Instant) {
        if case .greeting(.http) = failure { connection.write(Self.refusalForHTTP) }
        // The other side reads from our greeting why it is refused.
        if connection.pendingCount > 0 { _ = sendOnce(connection) }
        let wasOpen = connection.isOpen
        drop(connection)
        guard case .opener(let id) = connection.role, let link = links[id] else {
            // Nodes stop, and load balancers look whether somebody listens.
            guard !failure.isLoss || !wasOpen && connection.other != nil else { return }
            let address = connection.address
            let host = address.lastIndex(of: ":").map { String(address[..<$0]) }
            return complain(
                "a connection was refused", address, host: host, failure.description, now)
        }
        guard let openedAt = connection.openedAt else {
            return unreachable(link, failure.description, at: now)
        }
        // Of a node that was stopped, the next attempt tells.
        if !failure.isOrderly {
            complain("a connection was lost", connection.address, failure.description, now)
        }
        // One that ends as soon as it is open would be opened over and over.
        if now - openedAt >= Self.shortLife {
            link.retry.reset()
            openIfWanted(link, at: now)
        } else {
            link.retry.failed(at: now, limits)
            lose(link.queue.count)
            link.queue.removeAll()
        }
    }

    /// Ends the connections that satisfy the condition, and opens those that are needed again.
    func reopen(at now: Instant, where condition: (PeerConnection) -> Bool) {
        for connection in connections.values.sorted(by: { $0.serial < $1.serial })
        where condition(connection) {
            drop(connection)
            if case .opener(let id) = connection.role, let link = links[id] {
                openIfWanted(link, at: now)
            }
        }
    }

    func drop(_ connection: PeerConnection) {
        guard connections.removeValue(forKey: connection.serial) != nil else { return }
        heldBytes -= connection.heldBytes
        switch connection.role {
        case .accepter:
            if !connection.isOpen {
                strangerCount -= 1
            } else if let id = connection.other?.hello.id, accepted[id] == connection.serial {
                accepted[id] = nil
            }
        case .opener(let id):
            links[id]?.connection = nil
            links[id]?.queue.restart()
        }
        loop.forget(connection.descriptor)
        Glibc.close(connection.descriptor)
    }

    // MARK: Constants

    /// So that one node that says much leaves time for the others.
    private static let mostReadsAtOnce = 4
    private static let mostSendsAtOnce = 16
    /// Bytes taken from the queue ahead of what the socket takes.
    private static let mostPending = 64 << 10
    private static let shortLife = Duration.seconds(1)

    private static let refusalForHTTP: String = {
        let body =
            #"{"error":"this port is for other nodes; the API is at --http-addr","#
            + #""code":"wrong_port"}"#
        let head = [
            "HTTP/1.1 400 Bad Request", "Content-Type: application/json; charset=utf-8",
            "Content-Length: \(body.utf8.count)", "Connection: close", "", "",
        ]
        return head.joined(separator: "\r\n") + body
    }()
}
