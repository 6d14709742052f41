internal import CSystem
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
    private var packets: PacketSocket?
    private var listener: ListeningSocket?
    /// By serial numbers, which are never used twice.
    private var connections: [UInt64: GossipConnection] = [:]
    private var asking: [GossipExchange: UInt64] = [:]
    private var askedCount = 0
    private var nextSerial = firstSerial
    /// Bytes of unfinished messages, of all connections together.
    private var heldBytes = 0
    /// No connection ends before this.
    private var earliestEnd = Instant.distantFuture
    private var complaintLoggedAt: Instant?
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    package init(loop: EventLoop, log: LogWriter, seal: GossipSeal?, streamTimeout: Duration) {
        self.loop = loop
        self.log = log
        self.seal = seal
        self.streamTimeout = streamTimeout
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
        var found = try SocketAddress.resolve(endpoint)
        // Without a host: the IPv6 socket, which takes IPv4 as well.
        if endpoint.host.isEmpty {
            found = found.filter { $0.family == AF_INET6 } + found.filter { $0.family == AF_INET }
        }
        var lastError: SystemError?
        for address in found {
            for _ in 0..<(endpoint.port == 0 ? Self.mostPortDraws : 1) {
                do throws(SystemError) {
                    return try bind(address)
                } catch {
                    lastError = error
                }
            }
            guard lastError?.code == EADDRNOTAVAIL || lastError?.code == EAFNOSUPPORT else {
                break
            }
        }
        throw AddressError(endpoint, lastError?.reason ?? "it has no address")
    }

    private func bind(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
        let listener = try ListeningSocket(address)
        do throws(SystemError) {
            packets = try PacketSocket(listener.address)
        } catch {
            Glibc.close(listener.descriptor)
            throw error
        }
        self.listener = listener
        watchSockets()
        return listener.address
    }

    private func watchSockets() {
        if let packets {
            loop.watch(packets.descriptor, for: .read, as: .init(.gossip, Self.packetToken))
        }
        if let listener {
            loop.watch(listener.descriptor, for: .read, as: .init(.gossip, Self.listenerToken))
        }
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
        for descriptor in [packets?.descriptor, listener?.descriptor] {
            guard let descriptor else { continue }
            loop.forget(descriptor)
            Glibc.close(descriptor)
        }
        packets = nil
        listener = nil
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
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard let target = SocketAddress(address, family: family) else { return }
        let descriptor = socket(family, flags, 0)
        guard descriptor >= 0 else {
            return inputs.append(.exchange(exchange, .failed(errorText(errno))))
        }
        let result = target.withSocketAddress { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS || errno == EINTR else {
            let reason = errorText(errno)
            Glibc.close(descriptor)
            return inputs.append(.exchange(exchange, .failed(reason)))
        }
        let connection = GossipConnection(
            descriptor, nextSerial, address, .asking(exchange), isOpen: result == 0,
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
        earliestEnd == .distantFuture ? nil : earliestEnd
    }

    /// Ends connections that others opened and that take too long.
    package func expire(at now: Instant) {
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
        guard let listener else { return }
        for _ in 0..<Self.mostAcceptedAtOnce {
            var address = SocketAddress()
            let descriptor = csystem_accept(listener.descriptor, &address.storage)
            guard descriptor >= 0 else {
                // Out of descriptors: the client waits, and a later round takes it.
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            guard askedCount < Self.mostAsked, let peer = address.gossip else {
                Glibc.close(descriptor)
                continue
            }
            let connection = GossipConnection(
                descriptor, nextSerial, peer, .asked, isOpen: true, endsAt: now + streamTimeout)
            nextSerial += 1
            askedCount += 1
            connections[connection.serial] = connection
            earliestEnd = min(earliestEnd, connection.endsAt)
            watch(connection)
        }
    }

    private func finishOpening(_ connection: GossipConnection, into inputs: inout [Input]) {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(connection.descriptor, SOL_SOCKET, SO_ERROR, &code, &size) != 0 {
            code = errno
        }
        guard code == 0 else { return fail(connection, errorText(code), into: &inputs) }
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
        guard !connection.frame.isComplete else { return }
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
            refuse(connection, error.description, at: now, into: &inputs)
        }
    }

    /// Does not wait for the end of a message that will be refused.
    private func checkSeal(_ connection: GossipConnection) throws(GossipSealError) {
        let isSealed = connection.frame.isSealed
        if seal != nil, !isSealed { throw .notSealed }
        if seal == nil, isSealed { throw .noKeyFits }
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
        _ what: String, _ peer: GossipAddress, _ reason: String, _ now: Instant
    ) {
        if let last = complaintLoggedAt, now - last < .seconds(10) { return }
        complaintLoggedAt = now
        log.write(
            .warning, "gossip: \(what)",
            [.init("peer", peer.description), .init("reason", reason)])
    }

    // MARK: Constants

    private static let packetToken: UInt64 = 0
    private static let listenerToken: UInt64 = 1
    private static let firstSerial: UInt64 = 2
    private static let mostPacketsAtOnce = 128
    private static let mostAcceptedAtOnce = 16
    /// Requests of others that are under way.
    private static let mostAsked = 128
    private static let mostHeldBytes = 64 << 20
    private static let mostPortDraws = 16
}
