package import Core
internal import Glibc

/// The sockets of membership: packets by UDP, exchanges by TCP, both on one port. It seals what
/// leaves and opens what comes, so that Core sees plain bytes; with keys, what is not sealed is
/// refused, and without, what is.
///
/// Nothing blocks. What a member does wrong ends its connection or drops its packet, and is logged
/// at most once in ten seconds.
package final class GossipTransport {
    /// Nil: nothing is sealed.
    package var seal: GossipSeal?
    private let loop: EventLoop
    private let log: LogWriter
    private let streamTimeout: Duration
    private let mostAsked: Int
    private var packets: PacketSocket?
    private let acceptor: Acceptor
    /// By serial numbers, which are never used twice.
    private var connections: [UInt64: GossipConnection] = [:]
    private var asking: [GossipExchange: UInt64] = [:]
    private var askedCount = 0
    private var nextSerial = firstSerial
    /// Bytes of unfinished messages, of all connections together.
    private var heldBytes = 0
    /// No connection ends before this.
    private var earliestEnd = Instant.distantFuture
    private var complaints = PeerComplaints()
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// - Parameter mostAsked: requests of others that may be under way.
    package init(
        loop: EventLoop, log: LogWriter, seal: GossipSeal?, streamTimeout: Duration,
        mostAsked: Int = mostAsked
    ) {
        self.loop = loop
        acceptor = Acceptor(loop, .gossip, firstToken: Self.listenerToken)
        self.log = log
        self.seal = seal
        self.streamTimeout = streamTimeout
        self.mostAsked = mostAsked
    }

    deinit {
        close()
        buffer.deallocate()
    }

    // MARK: Listening

    /// Starts to receive on the first address of an endpoint that this machine has; port 0 takes
    /// one that is free for both kinds. Returns the address with its port.
    @discardableResult
    package func listen(on endpoint: Endpoint) throws(AddressError) -> SocketAddress {
        try endpoint.first(draws: Self.mostPortDraws, bind)
    }

    private func bind(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
        let listener = try ListeningSocket(address)
        do throws(SystemError) {
            packets = try PacketSocket(listener.address)
        } catch {
            Glibc.close(listener.descriptor)
            throw error
        }
        acceptor.add(listener)
        if let packets {
            loop.watch(packets.descriptor, for: .read, as: .init(.gossip, Self.packetToken))
        }
        return listener.address
    }

    /// Ends everything; nothing more is told.
    package func close() {
        for connection in connections.values {
            loop.forget(connection.descriptor)
            Glibc.close(connection.descriptor)
        }
        connections = [:]
        asking = [:]
        (askedCount, heldBytes) = (0, 0)
        if let packets {
            loop.forget(packets.descriptor)
            Glibc.close(packets.descriptor)
        }
        packets = nil
        acceptor.close()
    }

    package var connectionCount: Int { connections.count }

    // MARK: What membership wants

    package func send(_ packet: [UInt8], to address: GossipAddress, at now: Instant) {
        guard let packets else { return }
        guard let target = SocketAddress(address, family: packets.family) else {
            return complain("packets can't be sent", address, "this node speaks IPv4 only", now)
        }
        let bytes: [UInt8]
        do throws(CryptographyError) {
            bytes = try seal?.seal(packet) ?? packet
        } catch {
            return complain("packets can't be sent", address, error.description, now)
        }
        let count = bytes.withUnsafeBytes { bytes in
            target.withSocketAddress { name, size in
                retryingInterrupted {
                    sendto(
                        packets.descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL),
                        name, size)
                }
            }
        }
        // A full buffer loses packets as a network does.
        if count < 0, errno != EAGAIN, errno != EWOULDBLOCK {
            complain("packets can't be sent", address, errorText(errno), now)
        }
    }

    /// Begins an exchange: `Input.exchange` tells of its end, unless it is closed before.
    package func open(
        _ exchange: GossipExchange, to address: GossipAddress, _ message: [UInt8],
        into inputs: inout [Input]
    ) {
        let family = address.ip.isIPv4 ? AF_INET : AF_INET6
        guard let target = SocketAddress(address, family: family) else { return }
        let socket: ConnectingSocket
        do throws(SystemError) {
            socket = try ConnectingSocket(to: target)
        } catch {
            return inputs.append(.exchange(exchange, .failed(error.reason)))
        }
        let connection = GossipConnection(
            socket.descriptor, nextSerial, address, .asking(exchange), isOpen: socket.isOpen,
            endsAt: .distantFuture)
        nextSerial += 1
        connections[connection.serial] = connection
        asking[exchange] = connection.serial
        submit(message, on: connection, into: &inputs)
    }

    package func close(_ exchange: GossipExchange) {
        if let serial = asking[exchange], let connection = connections[serial] {
            drop(connection)
        }
    }

    /// Answers a request; the connection ends when the answer has left, or at once without one.
    package func answer(
        _ request: GossipRequest, _ message: [UInt8]?, into inputs: inout [Input]
    ) {
        guard let connection = connections[request], connection.outgoing.isEmpty else { return }
        guard let message else { return drop(connection) }
        connection.isAnswered = true
        submit(message, on: connection, into: &inputs)
    }

    private func submit(
        _ message: [UInt8], on connection: GossipConnection, into inputs: inout [Input]
    ) {
        do throws(CryptographyError) {
            connection.outgoing = (try seal?.sealStream(message) ?? message)[...]
        } catch {
            return fail(connection, error.description, into: &inputs)
        }
        if connection.isOpen { transmit(connection, into: &inputs) } else { watch(connection) }
    }

    // MARK: What happens

    package func handle(_ event: EventLoop.Event, at now: Instant, into inputs: inout [Input]) {
        switch event.token.number {
        case Self.packetToken: receivePackets(at: now, into: &inputs)
        case Self.listenerToken: accept(at: now)
        default:
            guard let connection = connections[event.token.number] else { return }
            if !connection.isOpen {
                finishOpening(connection, into: &inputs)
            } else {
                if event.writable { transmit(connection, into: &inputs) }
                guard connections[connection.serial] != nil else { return }
                if connection.isAtEnd {
                    if event.broken { drop(connection) }
                } else if event.readable || event.broken {
                    receive(connection, at: now, into: &inputs)
                }
            }
        }
    }

    /// When `expire` has something to do if nothing else happens.
    package var nextDeadline: Instant? {
        let deadline = min(earliestEnd, acceptor.nextDeadline)
        return deadline == .distantFuture ? nil : deadline
    }

    /// Ends connections that others opened and that take too long.
    package func expire(at now: Instant) {
        acceptor.expire(at: now)
        guard earliestEnd <= now else { return }
        earliestEnd = .distantFuture
        for connection in connections.values {
            if connection.endsAt <= now {
                drop(connection)
            } else {
                earliestEnd = min(earliestEnd, connection.endsAt)
            }
        }
    }

    // MARK: Packets

    private func receivePackets(at now: Instant, into inputs: inout [Input]) {
        guard let packets else { return }
        // Bounded, so that a flood leaves time for everything else.
        for _ in 0..<Self.mostPacketsAtOnce {
            var source = SocketAddress()
            let count = withUnsafeMutablePointer(to: &source.storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                    retryingInterrupted {
                        recvfrom(
                            packets.descriptor, buffer.baseAddress, buffer.count, 0, name,
                            &source.length)
                    }
                }
            }
            // An error here is of a packet that we sent.
            guard count >= 0 else { return }
            guard let from = source.gossip else { continue }
            let bytes = Array(UnsafeBufferPointer(rebasing: buffer[..<count]))
            do throws(GossipSealError) {
                inputs.append(.packet(from: from, try seal?.open(bytes[...]) ?? bytes))
            } catch {
                complain("a packet was refused", from, error.description, now)
            }
        }
    }

    // MARK: Connections

    private func accept(at now: Instant) {
        let failure = acceptor.accept(Self.listenerToken, at: now) { descriptor, address in
            guard askedCount < mostAsked, let peer = address.gossip else {
                Glibc.close(descriptor)
                return
            }
            let connection = GossipConnection(
                descriptor, nextSerial, peer, .asked, isOpen: true, endsAt: now + streamTimeout)
            nextSerial += 1
            askedCount += 1
            connections[connection.serial] = connection
            earliestEnd = min(earliestEnd, connection.endsAt)
            watch(connection)
        }
        if let failure { complain("connections can't be taken for now", nil, failure, now) }
    }

    private func finishOpening(_ connection: GossipConnection, into inputs: inout [Input]) {
        if let reason = ConnectingSocket.failure(of: connection.descriptor) {
            return fail(connection, reason, into: &inputs)
        }
        connection.isOpen = true
        transmit(connection, into: &inputs)
    }

    private func transmit(_ connection: GossipConnection, into inputs: inout [Input]) {
        while !connection.outgoing.isEmpty {
            let count = connection.outgoing.withUnsafeBytes { bytes in
                retryingInterrupted {
                    Glibc.send(
                        connection.descriptor, bytes.baseAddress, bytes.count,
                        Int32(MSG_NOSIGNAL))
                }
            }
            if count > 0 {
                connection.outgoing.removeFirst(count)
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                break
            } else {
                return fail(connection, errorText(errno), into: &inputs)
            }
        }
        // One that was asked has read everything, so the close is no reset.
        if connection.isAnswered, connection.outgoing.isEmpty { return drop(connection) }
        watch(connection)
    }

    private func receive(
        _ connection: GossipConnection, at now: Instant, into inputs: inout [Input]
    ) {
        let count = retryingInterrupted {
            recv(connection.descriptor, buffer.baseAddress, buffer.count, 0)
        }
        guard count != 0 else {
            // Somebody who has asked may close its side and still wait for the answer.
            if connection.frame.isComplete {
                connection.isAtEnd = true
                return watch(connection)
            }
            return fail(connection, "it closed the connection without an answer", into: &inputs)
        }
        guard count > 0 else {
            if errno == EAGAIN || errno == EWOULDBLOCK { return }
            return fail(connection, errorText(errno), into: &inputs)
        }
        // Whoever goes on after the message says nothing that we heed.
        guard !connection.frame.isComplete, !connection.isAnswered else { return }
        let before = connection.frame.count
        do throws(ByteError) {
            try connection.frame.receive(UnsafeBufferPointer(rebasing: buffer[..<count]))
        } catch {
            return refuse(connection, error.description, at: now, into: &inputs)
        }
        heldBytes += connection.frame.count - before
        guard heldBytes <= Self.mostHeldBytes else {
            return refuse(connection, "too much is being received", at: now, into: &inputs)
        }
        if case .asking = connection.role, let text = refusal(in: connection.frame) {
            return fail(connection, "it says: \(text)", into: &inputs)
        }
        do throws(GossipSealError) {
            try checkSeal(connection)
            guard let frame = connection.frame.message else { return }
            let message = try seal?.openStream(frame) ?? Array(frame)
            switch connection.role {
            case .asked:
                inputs.append(
                    .exchangeRequest(connection.serial, from: connection.peer, message))
            case .asking(let exchange):
                inputs.append(.exchange(exchange, .answered(message)))
                drop(connection)
            }
        } catch {
            complain("a stream was refused", connection.peer, error.description, now)
            guard case .asked = connection.role else {
                return fail(connection, error.description, into: &inputs)
            }
            // In the open, because nothing else would be understood: whoever gave the node a wrong
            // key looks into its log, not into ours.
            connection.outgoing = GossipStreamMessage.error(error.answer).encode()[...]
            connection.isAnswered = true
            transmit(connection, into: &inputs)
        }
    }

    /// Does not wait for the end of a message that will be refused.
    private func checkSeal(_ connection: GossipConnection) throws(GossipSealError) {
        let isSealed = connection.frame.isSealed
        if seal != nil, !isSealed { throw .notSealed }
        if seal == nil, isSealed { throw .sealed }
    }

    /// Why the other side refuses to answer, if that is what it says, in the open.
    private func refusal(in frame: GossipFrame) -> String? {
        guard !frame.isSealed, let message = frame.message,
            case .error(let text) = try? GossipStreamMessage(message)
        else { return nil }
        return text
    }

    private func refuse(
        _ connection: GossipConnection, _ reason: String, at now: Instant,
        into inputs: inout [Input]
    ) {
        complain("a stream was refused", connection.peer, reason, now)
        fail(connection, reason, into: &inputs)
    }

    private func fail(
        _ connection: GossipConnection, _ reason: String, into inputs: inout [Input]
    ) {
        if case .asking(let exchange) = connection.role {
            inputs.append(.exchange(exchange, .failed(reason)))
        }
        drop(connection)
    }

    private func drop(_ connection: GossipConnection) {
        guard connections.removeValue(forKey: connection.serial) != nil else { return }
        heldBytes -= connection.frame.count
        switch connection.role {
        case .asking(let exchange): asking[exchange] = nil
        case .asked: askedCount -= 1
        }
        loop.forget(connection.descriptor)
        Glibc.close(connection.descriptor)
    }

    private func watch(_ connection: GossipConnection) {
        var interest: EventLoop.Interest = []
        if !connection.isOpen || !connection.outgoing.isEmpty { interest.insert(.write) }
        if connection.isOpen, !connection.isAtEnd { interest.insert(.read) }
        guard interest != connection.interest else { return }
        connection.interest = interest
        loop.watch(connection.descriptor, for: interest, as: .init(.gossip, connection.serial))
    }

    private func complain(
        _ what: String, _ peer: GossipAddress?, _ reason: String, _ now: Instant
    ) {
        // Of several ports of one machine the same is said once: a stream has a new one each time.
        let host = peer?.ip.description ?? ""
        guard complaints.admits("\(what) \(host) \(reason)", at: now) else { return }
        log.write(
            .warning, "gossip: \(what)",
            [.init("peer", peer?.description ?? "any"), .init("reason", reason)])
    }

    // MARK: Constants

    private static let packetToken: UInt64 = 0
    private static let listenerToken: UInt64 = 1
    private static let firstSerial: UInt64 = 2
    private static let mostPacketsAtOnce = 128
    /// Requests of others that are under way.
    package static let mostAsked = 128
    private static let mostHeldBytes = 64 << 20
    private static let mostPortDraws = 16
}
