// What lies between a machine and the servers that it asks: names, connections, delays. Who asks is
// production's own state machine; who answers is a model.

import Core

/// The instant at which a machine acts or hears something.
struct Moment: Sendable {
    var time: TrueTime
    /// By the machine's clocks.
    var now: Now
    /// Which life of the agent it is.
    var agentLife: UInt64
}

/// What happens between a machine and servers. `Word` is what a server says.
enum WireStep<Word: Sendable>: Sendable {
    case event(SocketEvent)
    /// Bytes of a client get to the server.
    case arrive(ConnectionNumber, [UInt8])
    /// Something of a server gets to the client.
    case deliver(ConnectionNumber, Word)
    case deadline(Instant)
}

struct Wires: Sendable {
    struct Connection: Sendable {
        var address: String
        /// What the server sends on it arrives in order.
        var busyUntil: TrueTime
    }

    /// Those that are open, at least for their servers.
    private(set) var connections: [ConnectionNumber: Connection] = [:]
    private(set) var delays: DrawStream
    private let latency: Duration

    private static let refusing = "10.0.0.8"
    private static let silent = "10.0.0.9"
    /// Hosts by name; any other has no address.
    static let addresses = [
        "peer.sim": ["10.0.0.1"], "other.sim": ["10.0.0.2"], "refusing.sim": [refusing],
        "half.sim": [refusing, "10.0.0.1"], "silent.sim": [silent],
    ]

    init(delays: DrawStream, latency: Duration) {
        self.delays = delays
        self.latency = latency
    }

    /// Does what a client wants of its sockets, and says what comes of it.
    mutating func perform<Word>(
        _ action: SocketAction, at time: TrueTime,
        into later: inout [(time: TrueTime, step: WireStep<Word>)]
    ) {
        let delay = delays.exponential(latency)
        switch action {
        case .resolve(let host):
            guard host != "mute.sim" else { return }
            let addresses = Self.addresses[host] ?? []
            let problem = addresses.isEmpty ? "Name or service not known" : ""
            let event = SocketEvent.resolved(host: host, addresses: addresses, problem: problem)
            later.append((time + delay, .event(event)))
        case .open(let number, let address, _, _):
            guard address != Self.silent else { return }
            guard address != Self.refusing else {
                let event = SocketEvent.failed(number, reason: "Connection refused")
                return later.append((time + delay, .event(event)))
            }
            connections[number] = Connection(address: address, busyUntil: time + delay)
            later.append((time + delay, .event(.opened(number))))
        case .secure(let number, _): later.append((time + delay, .event(.opened(number))))
        case .send(let number, let bytes):
            let first = delays.int(0...bytes.count)
            for (part, at) in [(first, delay), (bytes.count - first, delay * 2)] where part > 0 {
                later.append((time + at, .event(.wrote(number, count: part))))
            }
            later.append((time + delay * 2, .arrive(number, bytes)))
        case .close(let number): connections[number] = nil
        }
    }

    /// When something that a server says after a pause arrives, behind what it has said before.
    mutating func arrival(
        on number: ConnectionNumber, after pause: Duration, at time: TrueTime
    ) -> TrueTime {
        let busyUntil = connections[number]?.busyUntil ?? time
        let at = max(time, busyUntil) + pause + delays.exponential(latency)
        connections[number]?.busyUntil = at
        return at
    }

    mutating func closeAll() { connections.removeAll() }
}
