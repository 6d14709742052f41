@testable import Core

/// Nodes that find each other by gossip, on perfect machines and a network that the test cuts.
struct TownHarness {
    var nodes: [NodeHarness] = []
    /// Positions of nodes that nobody reaches.
    var isolated: Set<Int> = []
    /// Pairs of positions that do not reach each other, the smaller one first.
    var cut: Set<[Int]> = []
    /// Pairs of positions: what the first one says never comes to the second.
    var deaf: Set<[Int]> = []
    /// Nothing comes over on the gossip port, as behind a wall that knows only the other one.
    var isGossipCut = false
    /// Exchanges under way: the answer to a request goes back to its asker.
    private var asking: [GossipRequest: (node: Int, exchange: GossipExchange)] = [:]
    private var nextRequest: GossipRequest = 1

    static func address(_ position: Int) -> GossipAddress {
        GossipAddress(IPAddress([10, 0, 0, UInt8(position + 1)])!, 8946)
    }

    /// Adds a node that is told to join those at these positions.
    /// - Returns: its position.
    @discardableResult
    mutating func add(
        server: Bool = true, expect: Int = 0, joining: [Int] = [], name: String? = nil,
        id: ServerID? = nil, configure: (inout Config) -> Void = { _ in }
    ) -> Int {
        let position = nodes.count
        let host = Self.address(position).ip.description
        let node = NodeHarness(
            name: name ?? "n\(position + 1)", id: id ?? ServerID(position + 101)
        ) { config in
            config.isServer = server
            config.bootstrapExpect = expect
            config.gossipAddress = host
            config.rpcAddress = host
            var gossip = GossipSettings()
            gossip.profile = .local
            gossip.retryJoin = joining.map {
                JoinAddress(host: Self.address($0).ip.description, port: 8946)
            }
            config.gossip = gossip
            configure(&config)
        }
        nodes.append(node)
        exchange()
        return position
    }

    var leader: Int? {
        nodes.indices.filter {
            nodes[$0].node.role == .leader && !isolated.contains($0) && nodes[$0].halted == nil
        }.max { nodes[$0].node.raft.hardState.term < nodes[$1].node.raft.hardState.term }
    }

    mutating func advance(_ duration: Duration) {
        let step: Int64 = 10
        for _ in 0..<(duration.wholeMilliseconds / step) {
            for position in nodes.indices { nodes[position].advance(.milliseconds(step)) }
            exchange()
        }
    }

    /// Lets time pass until the condition holds; false if it does not for so long.
    mutating func advance(
        atMost limit: Duration, until condition: (TownHarness) -> Bool
    ) -> Bool {
        var passed = Duration.zero
        while passed < limit {
            if condition(self) { return true }
            advance(.milliseconds(50))
            passed = passed + .milliseconds(50)
        }
        return condition(self)
    }

    /// Brings everything until nobody has anything to say.
    mutating func exchange() {
        var rounds = 0
        while nodes.contains(where: { !$0.outgoing.isEmpty || !$0.gossip.isEmpty }) {
            rounds += 1
            precondition(rounds < 10_000, "the nodes do not stop talking")
            for from in nodes.indices {
                let (messages, gossip) = (nodes[from].outgoing, nodes[from].gossip)
                (nodes[from].outgoing, nodes[from].gossip) = ([], [])
                for message in messages { bring(message.bytes, to: message.to, from: from) }
                for effect in gossip { bring(effect, from: from) }
            }
        }
    }

    private func reaches(_ from: Int, _ to: Int) -> Bool {
        !isolated.contains(from) && !isolated.contains(to) && nodes[to].halted == nil
            && !nodes[to].hasExited && !cut.contains([min(from, to), max(from, to)])
            && !deaf.contains([from, to])
    }

    private func gossips(_ from: Int, _ to: Int) -> Bool { !isGossipCut && reaches(from, to) }

    /// A message goes where the sender was told that its receiver is.
    private mutating func bring(_ bytes: [UInt8], to id: ServerID, from: Int) {
        guard let address = nodes[from].reached[id],
            let to = nodes.indices.first(where: {
                Self.address($0).ip == address.ip && nodes[$0].id == id
            }), reaches(from, to),
            // As a connection would.
            PeerRefusal(
                ours: nodes[from].node.clusterID ?? "", theirs: nodes[to].node.clusterID ?? "")
                == nil
        else { return }
        nodes[to].feed(.peer(nodes[from].id, bytes))
    }

    private mutating func bring(_ effect: Effect, from: Int) {
        let source = Self.address(from)
        switch effect {
        case .packet(let address, let bytes):
            guard let to = position(address), gossips(from, to) else { return }
            nodes[to].feed(.packet(from: source, bytes))
        case .exchange(let exchange, let address, let bytes):
            guard let to = position(address), gossips(from, to) else {
                return nodes[from].feed(.exchange(exchange, .failed("connection refused")))
            }
            asking[nextRequest] = (from, exchange)
            nextRequest += 1
            nodes[to].feed(.exchangeRequest(nextRequest - 1, from: source, bytes))
        case .answerExchange(let request, let bytes):
            guard let asker = asking.removeValue(forKey: request) else { return }
            let end: ExchangeEnd = bytes.map { .answered($0) } ?? .failed("closed")
            nodes[asker.node].feed(.exchange(asker.exchange, end))
        case .resolve(let host):
            nodes[from].feed(.resolved(host: host, [], problem: "no such host"))
        default: break
        }
    }

    private func position(_ address: GossipAddress) -> Int? {
        nodes.indices.first { Self.address($0) == address }
    }

    /// A request to one node, whose answer the others may have to help with.
    mutating func ask(
        _ position: Int, _ method: HTTPMethod, _ target: String, _ body: String = ""
    ) -> (status: Int, body: String) {
        let id = nodes[position].send(method, target, body)
        exchange()
        var waited: Int64 = 0
        while nodes[position].answers[id] == nil, waited < 60_000 {
            advance(.milliseconds(100))
            waited += 100
        }
        return (nodes[position].answers[id]?.status ?? 0, nodes[position].text(id))
    }
}
