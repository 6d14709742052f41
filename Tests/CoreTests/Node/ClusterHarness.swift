@testable import Core

/// Several servers on perfect machines, joined by a network that the test cuts.
struct ClusterHarness {
    var servers: [NodeHarness]
    /// Positions of servers that nobody reaches.
    var isolated: Set<Int> = []
    /// How many messages were brought.
    var delivered = 0

    /// Whether a message is lost.
    var loses: (PeerMessage) -> Bool = { _ in false }

    init(_ count: Int, tunables: Tunables = Tunables()) {
        let ids = (1...count).map { ServerID($0 + 100) }
        servers = ids.enumerated().map { position, id in
            NodeHarness(tunables: tunables, name: "s\(position + 1)", id: id, among: ids)
        }
        introduce()
        advance(.seconds(3))
    }

    /// Lets all know all.
    mutating func introduce() {
        let members = servers.map { harness in
            harness.node.members.first { $0.id == harness.id }!
        }
        for position in servers.indices { servers[position].node.members = members }
    }

    /// Ends a server's life and starts another on the same files.
    mutating func restart(_ position: Int) {
        servers[position].outgoing = []
        servers[position].restart()
        introduce()
    }

    /// Starts a server that belongs to nobody yet, on an empty disk, and has the leader take it in.
    mutating func addLearner(
        tunables: Tunables = Tunables(), configure: (inout Config) -> Void = { _ in }
    ) throws {
        let number = servers.count + 1
        var learner = NodeHarness(
            tunables: tunables, name: "s\(number)", id: ServerID(number + 100), among: [],
            configure: configure)
        let leader = leader!
        learner.advance(servers[leader].now.monotonic - learner.now.monotonic)
        servers.append(learner)
        introduce()
        servers[leader].change(.addLearner(learner.id))
    }

    /// The server that leads and has been ready for it.
    var leader: Int? {
        servers.indices.filter { servers[$0].node.role == .leader && !isolated.contains($0) }
            .max { servers[$0].node.raft.hardState.term < servers[$1].node.raft.hardState.term }
    }

    /// Commands started on servers that are not cut off.
    var reachableStarts: Int {
        servers.indices.filter { !isolated.contains($0) }.map { servers[$0].started.count }
            .reduce(0, +)
    }

    var followers: [Int] { servers.indices.filter { $0 != leader && !isolated.contains($0) } }

    /// Lets time pass, a millisecond at a time on all machines, with all messages.
    mutating func advance(_ duration: Duration) {
        for _ in 0..<duration.wholeMilliseconds {
            for position in servers.indices { servers[position].advance(.milliseconds(1)) }
            exchange()
        }
    }

    /// Brings messages until nobody has anything to say.
    mutating func exchange() {
        var rounds = 0
        while servers.contains(where: { !$0.outgoing.isEmpty }), rounds < 1_000 {
            rounds += 1
            for from in servers.indices {
                let messages = servers[from].outgoing
                servers[from].outgoing = []
                for message in messages {
                    guard let to = servers.firstIndex(where: { $0.id == message.to }),
                        !isolated.contains(from), !isolated.contains(to),
                        (try? PeerMessage(decoding: message.bytes)).map({ !loses($0) }) ?? true
                    else { continue }
                    delivered += 1
                    servers[to].feed(.peer(servers[from].id, message.bytes))
                }
            }
        }
        precondition(rounds < 1_000, "the servers do not stop talking")
    }

    /// Whether all servers have applied the same at some instant of the next second: what was
    /// committed a moment ago is known to the leader first.
    mutating func agrees() -> Bool {
        for _ in 0..<1_000 {
            let stores = servers.map(\.node.store)
            if stores.allSatisfy({
                $0.appliedIndex == stores[0].appliedIndex && $0.hash == stores[0].hash
            }) {
                return true
            }
            advance(.milliseconds(1))
        }
        return false
    }

    /// A request to one server, whose answer the others may have to help with.
    mutating func ask(
        _ position: Int, _ method: HTTPMethod, _ target: String, _ body: String = ""
    ) -> (status: Int, body: String) {
        let id = servers[position].send(method, target, body)
        exchange()
        var waited = 0
        while servers[position].answers[id] == nil, waited < 60_000 {
            advance(.milliseconds(100))
            waited += 100
        }
        return (servers[position].answers[id]?.status ?? 0, servers[position].text(id))
    }
}
