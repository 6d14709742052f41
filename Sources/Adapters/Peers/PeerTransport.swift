package import Core
internal import Glibc

/// The sockets of messages between nodes, on the RPC port. What it takes is brought over, whole and
/// once, or lost; what it tells came from the node that it names, as far as a common key can show
/// that, or as the other side claims where there is none.
///
/// A connection is opened when something is to be said, and carries what its opener says; so two
/// nodes that speak to each other have two. Nothing blocks. What is sent between two calls of
/// `flush` leaves together.
package final class PeerTransport {
    let loop: EventLoop
    let log: LogWriter
    let limits: PeerLimits
    var identity: PeerIdentity
    let acceptor: Acceptor
    var links: [ServerID: PeerLink] = [:]
    /// By serial numbers, which are never used twice.
    var connections: [UInt64: PeerConnection] = [:]
    /// The connection that each node has opened last, once it has shown who it is.
    var accepted: [ServerID: UInt64] = [:]
    /// Accepted connections that have not.
    var strangerCount = 0
    var heldBytes = 0
    /// Nodes with something to send.
    private var dirty: [PeerLink] = []
    /// No connection ends before this. Ends mostly move away again, so it is only brought up to
    /// date when it is reached.
    private var earliestEnd = Instant.distantFuture
    private var nextSerial = firstSerial
    var complaints = PeerComplaints()
    /// Messages that were not brought over because there was no room or no connection.
    package private(set) var lostCount: UInt64 = 0
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// - Parameter ring: nil: nothing is sealed.
    package init(
        loop: EventLoop, log: LogWriter, id: ServerID, incarnation: UInt64, ring: GossipKeyRing?,
        limits: PeerLimits = PeerLimits()
    ) {
        self.loop = loop
        acceptor = Acceptor(loop, .peers, firstToken: Self.listenerToken)
        self.log = log
        self.limits = limits
        identity = PeerIdentity(id: id, incarnation: incarnation, ring: ring)
    }

    deinit {
        close()
        buffer.deallocate()
    }

    // MARK: What the node wants

    /// Every later greeting names the cluster; connections from before it learn it, and those with
    /// nodes of others end.
    package func belong(to cluster: String, at now: Instant) {
        invariant(
            (1...PeerHello.mostClusterBytes).contains(cluster.utf8.count), "a cluster has an id")
        guard identity.cluster != cluster else { return }
        identity.cluster = cluster
        for connection in connections.values.sorted(by: { $0.serial < $1.serial }) {
            if let refusal = PeerRefusal(ours: cluster, theirs: connection.otherCluster) {
                fail(connection, .refused(refusal), at: now)
                continue
            }
            do throws(PeerFailure) { try connection.name(cluster: cluster) } catch {
                fail(connection, error, at: now)
                continue
            }
            if connection.pendingCount > 0, connection.isOpen { transmit(connection, at: now) }
        }
    }

    /// Seals with other keys; connections that rest on one that is gone are opened anew.
    package func use(_ ring: GossipKeyRing, at now: Instant) {
        identity.ring = ring
        reopen(at: now) { connection in
            connection.origins.contains { !ring.keys.contains($0) }
        }
    }

    package func reach(_ id: ServerID, at address: GossipAddress?, now: Instant) {
        guard id != identity.id else { return }
        guard let address else {
            links[id]?.isForgotten = true
            // Its link is found by its name there, and is to forget the connection too.
            if let connection = links[id]?.connection { drop(connection) }
            links[id] = nil
            if let connection = accepted[id].flatMap({ connections[$0] }) { drop(connection) }
            return
        }
        guard let link = links[id] else { return links[id] = PeerLink(id, address) }
        link.retry.reset()
        if link.address != address {
            link.address = address
            if let connection = link.connection { drop(connection) }
        }
        openIfWanted(link, at: now)
    }

    package func send(_ message: [UInt8], to id: ServerID, at now: Instant) {
        guard let link = links[id], message.count <= limits.messageBytes,
            link.connection != nil || link.retry.isDue(at: now)
        else { return lose(1) }
        guard link.queue.append(message, limits) else {
            lose(1)
            return complain(
                "messages are lost, because too many wait for this node",
                "\(link.address)", "\(link.queue.byteCount) bytes wait", now)
        }
        if link.connection == nil { return open(link, at: now) }
        guard !link.isDirty else { return }
        link.isDirty = true
        dirty.append(link)
    }

    /// Sends what has been taken since the last call.
    package func flush(at now: Instant) {
        guard !dirty.isEmpty else { return }
        let batch = dirty
        dirty.removeAll(keepingCapacity: true)
        for link in batch {
            link.isDirty = false
            // The number of a descriptor that was closed may be another one's by now.
            guard let connection = link.connection, connections[connection.serial] != nil,
                connection.isOpen
            else { continue }
            transmit(connection, at: now)
        }
    }

    /// Ends everything; nothing more is told.
    package func close() {
        for connection in connections.values {
            loop.forget(connection.descriptor)
            Glibc.close(connection.descriptor)
        }
        connections = [:]
        links = [:]
        accepted = [:]
        acceptor.close()
    }

    package var connectionCount: Int { connections.count }

    func lose(_ count: Int) { lostCount += UInt64(count) }

    // MARK: What happens

    package func handle(_ event: EventLoop.Event, at now: Instant, into inputs: inout [Input]) {
        if event.token.number == Self.listenerToken { return accept(at: now) }
        guard let connection = connections[event.token.number] else { return }
        if case .connecting = connection.phase {
            return finishOpening(connection, at: now)
        }
        if event.readable || event.broken { receive(connection, at: now, into: &inputs) }
        if event.writable, connections[connection.serial] != nil {
            transmit(connection, at: now)
        }
    }

    /// When `expire` has something to do if nothing else happens.
    package var nextDeadline: Instant? {
        let deadline = min(earliestEnd, acceptor.nextDeadline)
        return deadline == .distantFuture ? nil : deadline
    }

    /// Ends connections whose time is over. Linear in their number, once per shortest time.
    package func expire(at now: Instant) {
        acceptor.expire(at: now)
        guard earliestEnd <= now else { return }
        earliestEnd = .distantFuture
        for connection in connections.values.sorted(by: { $0.serial < $1.serial }) {
            guard connection.endsAt <= now else {
                earliestEnd = min(earliestEnd, connection.endsAt)
                continue
            }
            switch connection.phase {
            case .connecting: fail(connection, .lost("Connection timed out"), at: now)
            case .greeting, .proving:
                fail(connection, .lost("it does not answer the greeting"), at: now)
            case .open where isWaiting(connection):
                fail(connection, .lost("it takes nothing any more"), at: now)
            case .open: drop(connection)
            }
        }
    }

    func setEnd(_ connection: PeerConnection, _ end: Instant) {
        connection.endsAt = end
        earliestEnd = min(earliestEnd, end)
    }

    func makeConnection(
        _ descriptor: Int32, _ role: PeerConnection.Role, _ address: String,
        isConnecting: Bool, at now: Instant
    ) -> PeerConnection {
        Self.configure(descriptor, limits)
        let end = now + limits.handshake
        let connection = PeerConnection(
            descriptor, nextSerial, role, address,
            phase: isConnecting ? .connecting : .greeting, endsAt: end, limits: limits)
        nextSerial += 1
        connections[connection.serial] = connection
        earliestEnd = min(earliestEnd, end)
        return connection
    }

    /// Frames leave as they are; a machine that vanished without a word is found in the time in
    /// which one that stalls is; and little enough waits in the kernel for an urgent message to
    /// come soon.
    private static func configure(_ descriptor: Int32, _ limits: PeerLimits) {
        let tcp = Int32(IPPROTO_TCP)
        let patience = Int32(clamping: limits.stall.wholeMilliseconds)
        for (level, option, value) in [
            (tcp, TCP_NODELAY, Int32(1)), (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, 15),
            (tcp, TCP_KEEPINTVL, 5), (tcp, TCP_KEEPCNT, 3), (tcp, TCP_USER_TIMEOUT, patience),
            (tcp, TCP_NOTSENT_LOWAT, 64 << 10),
        ] {
            var value = value
            setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    // MARK: Words

    /// - Parameter host: of several ports the same is said once.
    func complain(
        _ what: String, _ peer: String, host: String? = nil, _ reason: String, _ now: Instant
    ) {
        guard complaints.admits("\(host ?? peer) \(reason)", at: now) else { return }
        log.write(.warning, "peers: \(what)", [.init("peer", peer), .init("reason", reason)])
    }

    static let listenerToken: UInt64 = 0
    private static let firstSerial: UInt64 = 1
}

/// Another node, as it is spoken to.
final class PeerLink {
    let id: ServerID
    var address: GossipAddress
    var queue = PeerQueue()
    var connection: PeerConnection?
    var retry = PeerRetry()
    var isDirty = false
    var isForgotten = false

    init(_ id: ServerID, _ address: GossipAddress) {
        self.id = id
        self.address = address
    }
}

/// When a node that could not be reached is tried again.
struct PeerRetry {
    private var failures = 0
    private var at: Instant?

    func isDue(at now: Instant) -> Bool { at.map { $0 <= now } ?? true }

    mutating func reset() { self = PeerRetry() }

    /// Between three and five quarters of the time, so that many nodes that lost one do not come
    /// back to it together.
    mutating func failed(at now: Instant, _ limits: PeerLimits) {
        let doublings = min(failures, 20)
        let delay = min(limits.longestRetry, limits.firstRetry * (1 << doublings))
        failures += 1
        let jitter = Int64(Entropy.number() % 512) + 768
        at = now + .nanoseconds(delay.nanoseconds / 1_024 * jitter)
    }
}

/// Says the same only once in a while, and not too much at all.
struct PeerComplaints {
    private var recent: [(text: String, at: Instant)] = []

    mutating func admits(_ text: String, at now: Instant) -> Bool {
        recent.removeAll { now - $0.at >= Self.pause }
        guard recent.count < Self.most, !recent.contains(where: { $0.text == text }) else {
            return false
        }
        recent.append((text, now))
        return true
    }

    private static let pause = Duration.seconds(60)
    private static let most = 64
}
