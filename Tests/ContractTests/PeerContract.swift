// What `send`, `reach` and `belong` promise, asked of the simulator's nodes and of real sockets:
// which messages come, whole, and from whom they say; and which must not come. A message may be
// lost by either, so what is to come is said until it is heard.

import Core
import Glibc
import Testing

@testable import Adapters
@testable import Simulator

/// Three nodes, each at a place of its own, which may change their identities.
protocol PeerWorld {
    mutating func belong(_ node: Int, to cluster: String)
    mutating func reach(_ id: DataID, at place: Int?, by node: Int)
    mutating func send(_ bytes: [UInt8], to id: DataID, by node: Int)
    /// A new process takes the node's place; it has this data directory.
    mutating func restart(_ node: Int, as id: DataID)
    /// What has come since the last call, after some time for it.
    mutating func hear(_ node: Int) -> [(from: DataID, bytes: [UInt8])]
}

private struct ModelPeers: PeerWorld {
    private var ends = (1...3).map { PeerEnd(identity: DataID($0)) }
    private var heard: [[(from: DataID, bytes: [UInt8])]] = [[], [], []]
    private var network = Network(
        nodes: 3, draws: Draws(seed: 1),
        weather: Network.Weather(
            least: .milliseconds(1), mean: .milliseconds(1), tailOneIn: 0, loss: 0,
            duplication: 0, reorders: false))
    private var queue = EventQueue<(PeerEnvelope, to: Int)>(ties: Draws(seed: 1).stream("order"))
    private var time = TrueTime.zero

    mutating func belong(_ node: Int, to cluster: String) { ends[node].belong(to: cluster) }

    mutating func reach(_ id: DataID, at place: Int?, by node: Int) {
        ends[node].reach(id, at: place)
    }

    mutating func send(_ bytes: [UInt8], to id: DataID, by node: Int) {
        guard let place = ends[node].position(of: id) else { return }
        for arrival in network.pass(from: node, to: place, on: .peers, at: time).arrivals {
            queue.push((ends[node].envelope(bytes, to: id), to: place), at: arrival, lane: 0)
        }
    }

    mutating func restart(_ node: Int, as id: DataID) {
        ends[node].restart()
        ends[node].identity = id
    }

    mutating func hear(_ node: Int) -> [(from: DataID, bytes: [UInt8])] {
        while let (at, event) = queue.pop() {
            time = at
            guard ends[event.to].takes(event.0) else { continue }
            heard[event.to].append((event.0.from, event.0.bytes))
        }
        defer { heard[node].removeAll() }
        return heard[node]
    }
}

/// Nodes on sockets of the loopback interface, turned by hand.
private final class RealPeers: PeerWorld {
    private struct End {
        let loop: EventLoop
        let transport: PeerTransport
        let address: GossipAddress
        var heard: [(from: DataID, bytes: [UInt8])] = []

        init(_ id: DataID, port: UInt16) throws {
            var limits = PeerLimits()
            limits.firstRetry = .milliseconds(5)
            limits.longestRetry = .milliseconds(20)
            loop = try EventLoop()
            let quiet = LogWriter(level: .error, descriptor: 2)
            transport = PeerTransport(
                loop: loop, log: quiet, id: id, incarnation: Entropy.number(), ring: nil,
                limits: limits)
            let place = Endpoint(host: "127.0.0.1", port: port)
            address = try transport.listen(on: place).gossip!
        }
    }

    private var ends: [End]

    init() throws { ends = try (1...3).map { try End(DataID($0), port: 0) } }

    deinit { for end in ends { end.transport.close() } }

    func belong(_ node: Int, to cluster: String) {
        ends[node].transport.belong(to: cluster, at: Clocks.monotonic())
    }

    func reach(_ id: DataID, at place: Int?, by node: Int) {
        let address = place.map { ends[$0].address }
        ends[node].transport.reach(id, at: address, now: Clocks.monotonic())
    }

    func send(_ bytes: [UInt8], to id: DataID, by node: Int) {
        ends[node].transport.send(bytes, to: id, at: Clocks.monotonic())
    }

    func restart(_ node: Int, as id: DataID) {
        let port = ends[node].address.port
        ends[node].transport.close()
        // The port is free: nothing but this test listens there, and it is the first to ask.
        if let next = try? End(id, port: port) { ends[node] = next }
    }

    func hear(_ node: Int) -> [(from: DataID, bytes: [UInt8])] {
        let end = Clocks.monotonic() + .milliseconds(40)
        while Clocks.monotonic() < end { for node in ends.indices { turn(node) } }
        defer { ends[node].heard.removeAll() }
        return ends[node].heard
    }

    private func turn(_ node: Int) {
        let transport = ends[node].transport
        var (ready, inputs): ([EventLoop.Event], [Input]) = ([], [])
        transport.flush(at: Clocks.monotonic())
        ends[node].loop.wait(milliseconds: 1, into: &ready)
        for event in ready { transport.handle(event, at: Clocks.monotonic(), into: &inputs) }
        transport.expire(at: Clocks.monotonic())
        for case .peer(let id, let message) in inputs { ends[node].heard.append((id, message)) }
    }
}

/// What happens between the nodes 0, 1 and 2, which have the identities 1, 2 and 3 at first.
struct PeerCase: CustomTestStringConvertible, Sendable {
    enum Act: Sendable {
        case belong(Int, String)
        case reach(Int, DataID, at: Int?)
        case restart(Int, as: DataID)
        /// Says something new to an identity until that node has heard it.
        case heard(Int, DataID, by: Int)
        /// Says something new ten times, and no node hears it.
        case lost(Int, DataID)
    }

    var name: String
    var acts: [Act]
    var testDescription: String { name }

    static let all = [
        PeerCase(
            name: "who was told where hears, and answers when it is told too",
            acts: [
                .lost(0, 2), .reach(0, 2, at: 1), .heard(0, 2, by: 1), .lost(1, 1),
                .reach(1, 1, at: 0), .heard(1, 1, by: 0), .heard(0, 2, by: 1),
            ]),
        PeerCase(
            name: "nothing goes to whom it was told to forget",
            acts: [
                .reach(0, 2, at: 1), .reach(0, 3, at: 2), .heard(0, 2, by: 1),
                .reach(0, 2, at: nil), .lost(0, 2), .heard(0, 3, by: 2), .reach(0, 2, at: 1),
                .heard(0, 2, by: 1),
            ]),
        PeerCase(
            name: "nothing comes to another data directory than the one that is meant",
            acts: [
                .reach(0, 2, at: 1), .heard(0, 2, by: 1), .restart(1, as: 12), .lost(0, 2),
                .reach(0, 12, at: 1), .heard(0, 12, by: 1), .lost(0, 2),
            ]),
        PeerCase(
            name: "an address of somebody else is of no use",
            acts: [
                .reach(0, 2, at: 2), .lost(0, 2), .reach(0, 2, at: 1), .heard(0, 2, by: 1),
                .reach(0, 2, at: 2), .lost(0, 2),
            ]),
        PeerCase(
            name: "a new process with the old data directory hears what is said to it",
            acts: [
                .reach(0, 2, at: 1), .heard(0, 2, by: 1), .restart(1, as: 2), .heard(0, 2, by: 1),
                .lost(1, 1),
            ]),
        PeerCase(
            name: "a new process has to be told again where others are",
            acts: [
                .reach(0, 2, at: 1), .heard(0, 2, by: 1), .restart(0, as: 1), .lost(0, 2),
                .reach(0, 2, at: 1), .heard(0, 2, by: 1),
            ]),
        PeerCase(
            name: "clusters do not speak to each other",
            acts: [
                .belong(0, "north"), .belong(1, "south"), .reach(0, 2, at: 1),
                .reach(1, 1, at: 0), .lost(0, 2), .lost(1, 1), .belong(2, "north"),
                .reach(0, 3, at: 2), .heard(0, 3, by: 2),
            ]),
        PeerCase(
            name: "who knows its cluster speaks to who does not know it yet, until it does",
            acts: [
                .reach(0, 2, at: 1), .reach(1, 1, at: 0), .belong(0, "north"),
                .heard(0, 2, by: 1), .heard(1, 1, by: 0), .belong(1, "north"),
                .heard(0, 2, by: 1), .restart(1, as: 2), .reach(1, 1, at: 0),
                .heard(1, 1, by: 0), .belong(1, "south"), .lost(1, 1), .lost(0, 2),
            ]),
    ]
}

@Suite("Messages between nodes: one contract for the model and the real sockets", .serialized)
struct PeerContractTests {
    @Test(arguments: PeerCase.all)
    func model(_ peerCase: PeerCase) {
        var world = ModelPeers()
        #expect(play(peerCase, in: &world) == nil)
    }

    @Test(arguments: PeerCase.all)
    func sockets(_ peerCase: PeerCase) throws {
        var world = try RealPeers()
        #expect(play(peerCase, in: &world) == nil)
    }

    @Test("messages of every size come whole, once and in order")
    func whole() throws {
        var (model, sockets) = (ModelPeers(), try RealPeers())
        let sizes = [1, 0, 5, 16 << 10, (16 << 10) + 1, 100_000, 500_000, 2]
        let messages = sizes.enumerated().map { number, size in
            (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
        }
        #expect(bring(messages, in: &model))
        #expect(bring(messages, in: &sockets))
    }

    private func bring(_ messages: [[UInt8]], in world: inout some PeerWorld) -> Bool {
        world.reach(2, at: 1, by: 0)
        for message in messages { world.send(message, to: 2, by: 0) }
        var came: [[UInt8]] = []
        for _ in 0..<250 where came.count < messages.count {
            came += world.hear(1).map(\.bytes)
        }
        return came == messages && world.hear(1).isEmpty
    }

    /// - Returns: what was not as it should be.
    private func play(_ peerCase: PeerCase, in world: inout some PeerWorld) -> String? {
        var identities: [DataID] = [1, 2, 3]
        for (number, act) in peerCase.acts.enumerated() {
            let bytes = Array("\(peerCase.name), \(number)".utf8)
            switch act {
            case .belong(let node, let cluster): world.belong(node, to: cluster)
            case .reach(let node, let id, let place): world.reach(id, at: place, by: node)
            case .restart(let node, let id):
                world.restart(node, as: id)
                identities[node] = id
            case .heard(let node, let id, let receiver):
                var came: [(from: DataID, bytes: [UInt8])] = []
                for _ in 0..<250 where !came.contains(where: { $0.bytes == bytes }) {
                    world.send(bytes, to: id, by: node)
                    came += world.hear(receiver)
                }
                guard let word = came.first(where: { $0.bytes == bytes }) else {
                    return "\(act): was not heard"
                }
                guard word.from == identities[node] else { return "\(act): from \(word.from)" }
            case .lost(let node, let id):
                for _ in 0..<10 { world.send(bytes, to: id, by: node) }
                for receiver in 0..<3
                where world.hear(receiver).contains(where: { $0.bytes == bytes }) {
                    return "\(act): was heard by \(receiver)"
                }
            }
        }
        return nil
    }
}
