package import Core

/// Everything that a node says to other nodes: gossip, messages, the keys that seal both, and the
/// names of those that it should join.
package final class ClusterSockets {
    private let loop: EventLoop
    private let keys: KeyStore
    private let resolver: Resolver
    private let gossip: GossipTransport
    private let peers: PeerTransport

    /// - Throws: when there are keys, and this machine has no cryptography.
    package init(
        loop: EventLoop, log: LogWriter, config: Config, keys: KeyStore, resolver: Resolver,
        budget: DescriptorBudget
    ) throws(CryptographyError) {
        self.loop = loop
        self.keys = keys
        self.resolver = resolver
        let seal = try keys.ring.map { (ring) throws(CryptographyError) in try GossipSeal(ring) }
        gossip = GossipTransport(
            loop: loop, log: log, seal: seal,
            streamTimeout: (config.gossip?.profile ?? .lan).streamTimeout,
            mostAsked: budget.gossip)
        peers = PeerTransport(
            loop: loop, log: log, id: config.dataID, incarnation: config.incarnation,
            ring: keys.ring, limits: budget.peerLimits)
    }

    /// Starts to take packets and exchanges of gossip.
    @discardableResult
    package func listen(forGossip endpoint: Endpoint) throws(AddressError) -> SocketAddress {
        try gossip.listen(on: endpoint)
    }

    /// Starts to take messages.
    @discardableResult
    package func listen(forPeers endpoint: Endpoint) throws(AddressError) -> SocketAddress {
        try peers.listen(on: endpoint)
    }

    // MARK: What the node wants

    package func send(_ message: [UInt8], to id: ServerID, at now: Instant) {
        peers.send(message, to: id, at: now)
    }

    package func reach(_ id: ServerID, at address: GossipAddress?, now: Instant) {
        peers.reach(id, at: address, now: now)
    }

    package func belong(to cluster: String, at now: Instant) {
        peers.belong(to: cluster, at: now)
    }

    package func packet(_ bytes: [UInt8], to address: GossipAddress, at now: Instant) {
        gossip.send(bytes, to: address, at: now)
    }

    package func exchange(
        _ exchange: GossipExchange, with address: GossipAddress, _ message: [UInt8],
        into inputs: inout [Input]
    ) {
        gossip.open(exchange, to: address, message, into: &inputs)
    }

    package func close(_ exchange: GossipExchange) { gossip.close(exchange) }

    package func answer(
        _ request: GossipRequest, _ message: [UInt8]?, into inputs: inout [Input]
    ) {
        gossip.answer(request, message, into: &inputs)
    }

    package func changeKeys(
        _ request: GossipKeyRequest, at now: Instant, into inputs: inout [Input]
    ) {
        let response = keys.perform(request)
        if let ring = keys.ring, ring != gossip.seal?.ring {
            gossip.seal?.ring = ring
            peers.use(ring, at: now)
        }
        inputs.append(.keysChanged(request, response))
    }

    package func resolve(_ host: String) { resolver.resolve(host, for: .node) }

    /// Sends what is collected to leave together.
    package func flush(at now: Instant) { peers.flush(at: now) }

    // MARK: What happens

    package func handle(_ event: EventLoop.Event, at now: Instant, into inputs: inout [Input]) {
        if event.token.owner == .peers {
            peers.handle(event, at: now, into: &inputs)
        } else {
            gossip.handle(event, at: now, into: &inputs)
        }
    }

    package var nextDeadline: Instant? {
        let deadline = min(
            gossip.nextDeadline ?? .distantFuture, peers.nextDeadline ?? .distantFuture)
        return deadline == .distantFuture ? nil : deadline
    }

    package func expire(at now: Instant) {
        gossip.expire(at: now)
        peers.expire(at: now)
    }
}
