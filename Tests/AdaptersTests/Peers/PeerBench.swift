import Core
import Glibc

@testable import Adapters

/// Some nodes on real sockets of the loopback interface, turned by hand on the test's thread.
final class PeerBench {
    let id: ServerID
    let transport: PeerTransport
    let address: GossipAddress
    /// What came, with its sender.
    private(set) var received: [(from: ServerID, message: [UInt8])] = []
    private let loop: EventLoop
    private let logPath: String
    private var ready: [EventLoop.Event] = []

    init(
        _ id: ServerID, host: String = "127.0.0.1", port: UInt16 = 0, keys: [[UInt8]] = [],
        cluster: String = "c1", limits: PeerLimits = PeerBench.quick
    ) throws {
        self.id = id
        loop = try EventLoop()
        var template = Array("/tmp/dkron-peers-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        precondition(descriptor >= 0)
        logPath = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        transport = PeerTransport(
            loop: loop, log: LogWriter(level: .info, descriptor: descriptor), id: id,
            incarnation: Entropy.number(), ring: keys.isEmpty ? nil : try GossipKeyRing(keys),
            limits: limits)
        address = try transport.listen(on: Endpoint(host: host, port: port)).gossip!
        if !cluster.isEmpty { transport.belong(to: cluster, at: Clocks.monotonic()) }
    }

    deinit {
        transport.close()
        unlink(logPath)
    }

    /// Limits under which a test need not wait for long.
    static let quick: PeerLimits = {
        var limits = PeerLimits()
        limits.handshake = .seconds(1)
        limits.firstRetry = .milliseconds(20)
        limits.longestRetry = .milliseconds(100)
        return limits
    }()

    func reach(_ other: PeerBench) { reach(other.id, at: other.address) }

    func reach(_ id: ServerID, at address: GossipAddress?) {
        transport.reach(id, at: address, now: Clocks.monotonic())
    }

    func send(_ message: [UInt8], to other: PeerBench) { send(message, to: other.id) }

    func send(_ message: [UInt8], to id: ServerID) {
        transport.send(message, to: id, at: Clocks.monotonic())
    }

    /// One round of what a driver does.
    func turn(milliseconds: Int32 = 1) {
        transport.flush(at: Clocks.monotonic())
        loop.wait(milliseconds: milliseconds, into: &ready)
        var inputs: [Input] = []
        for event in ready { transport.handle(event, at: Clocks.monotonic(), into: &inputs) }
        if let deadline = transport.nextDeadline, deadline <= Clocks.monotonic() {
            transport.expire(at: Clocks.monotonic())
        }
        for case .peer(let id, let message) in inputs { received.append((id, message)) }
    }

    func messages(from other: PeerBench) -> [[UInt8]] {
        received.filter { $0.from == other.id }.map(\.message)
    }

    /// Everything that was logged.
    var log: String {
        var text: [UInt8] = []
        let descriptor = open(logPath, O_RDONLY)
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 {
            text += buffer[..<count]
        }
        close(descriptor)
        return String(decoding: text, as: UTF8.self)
    }

    /// Turns all of them until the condition holds; false after `seconds` without.
    static func turn(
        _ benches: PeerBench..., seconds: Int64 = 20, until condition: () -> Bool
    ) -> Bool {
        let start = Clocks.monotonic()
        while Clocks.monotonic() - start < .seconds(seconds) {
            if condition() { return true }
            for bench in benches { bench.turn() }
        }
        return condition()
    }

    /// Has `sender` say something over and over until `receiver` has heard it.
    static func connect(_ sender: PeerBench, _ receiver: PeerBench, seconds: Int64 = 20) -> Bool {
        let word = Array("hello \(Entropy.number())".utf8)
        return turn(sender, receiver, seconds: seconds) {
            sender.send(word, to: receiver)
            return receiver.messages(from: sender).contains(word)
        }
    }
}

/// A socket in a test's own hand.
final class RawSocket {
    let descriptor: Int32

    init(to address: GossipAddress) {
        let target = SocketAddress(address, family: address.ip.isIPv4 ? AF_INET : AF_INET6)!
        descriptor = socket(target.family, Int32(SOCK_STREAM.rawValue), 0)
        let result = target.withSocketAddress { Glibc.connect(descriptor, $0, $1) }
        precondition(result == 0)
    }

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }

    func send(_ bytes: [UInt8]) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// What is there; nil when the other side has ended the connection and all is read.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 { return Array(buffer[..<count]) }
        return count == 0 || errno == ECONNRESET ? nil : []
    }
}

/// A listener in a test's own hand.
final class RawListener {
    private let socket: ListeningSocket
    var address: GossipAddress { socket.address.gossip! }

    init() throws {
        let loopback = try SocketAddress.resolve(Endpoint(host: "127.0.0.1", port: 0))
        socket = try ListeningSocket(loopback[0])
    }

    deinit { close(socket.descriptor) }

    /// Somebody who waits to be accepted, if there is one.
    func accept() -> RawSocket? {
        let descriptor = Glibc.accept(socket.descriptor, nil, nil)
        return descriptor < 0 ? nil : RawSocket(descriptor)
    }
}
