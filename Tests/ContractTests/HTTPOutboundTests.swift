// What only real sockets can show.

import Adapters
import Core
import Glibc
import Testing

@testable import Simulator

@Suite("HTTP over sockets", .serialized)
struct HTTPOutboundTests {
    private func isEnded(_ event: CallEvent) -> Bool {
        if case .ended = event { true } else { false }
    }

    private func isStarted(_ event: CallEvent) -> Bool {
        if case .started = event { true } else { false }
    }

    @Test("many requests share few connections, and none is lost")
    func burst() throws {
        var limits = HTTPCaller.Limits()
        limits.connections = 8
        var world = try SocketWorld(limits: limits)
        let count = 1_000
        for number in 1...count {
            world.begin(
                try HTTPContract.call(
                    number, [("url", "http://\(world.server)/?body=x&run=0s"), ("method", "GET")]))
        }
        let news = world.run(for: .seconds(60)) { news in news.count { isEnded($0.1) } == count }
        #expect(news.count { isStarted($0.1) } == count)
        for case .ended(let end) in news.map(\.1) { #expect(end.error == "") }
        #expect(world.outbound.openedCount <= 100, "\(world.outbound.openedCount) connections")
        #expect(world.outbound.callCount == 0)
        world.close()
        #expect(Set(world.loopback.requests.compactMap { $0["dkron-execution-id"] }).count == count)
    }

    @Test("a large body arrives whole, and a large answer too")
    func large() throws {
        var world = try SocketWorld()
        let body = String(repeating: "0123456789", count: 100_000)
        world.begin(
            try HTTPContract.call(
                1,
                [
                    ("url", "http://\(world.server)/?out=3000000"), ("method", "POST"),
                    ("body", body),
                ]))
        let news = world.run(for: .seconds(30)) { $0.contains { isEnded($0.1) } }
        var length = 0
        for case .output(let piece) in news.map(\.1) { length += piece.count }
        #expect(length == 3_000_000)
        guard case .ended(let end) = news.last?.1 else { return }
        #expect(end.error == "")
        world.close()
        #expect(world.loopback.requests.first?.body.count == body.utf8.count)
    }

    @Test("hanging up closes the socket: the server sees the end")
    func hangUp() throws {
        let (listener, port) = listen()
        defer { close(listener) }
        var world = try SocketWorld()
        defer { world.close() }
        world.begin(
            try HTTPContract.call(1, [("url", "http://127.0.0.1:\(port)/"), ("method", "GET")]))
        _ = world.run(for: .milliseconds(100)) { _ in false }
        let client = accept(listener, nil, nil)
        defer { close(client) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        #expect(recv(client, &buffer, buffer.count, 0) > 0)
        world.hangUp(ExecutionID("1-n"))
        #expect(recv(client, &buffer, buffer.count, 0) == 0)
    }

    @Test("a connection that its server has ended costs nothing while it is kept")
    func kept() throws {
        let (listener, port) = listen()
        defer { close(listener) }
        let loop = try EventLoop()
        let outbound = Outbound(
            Keeper(), "keeper", owner: .outbound, asker: .calls, loop: loop,
            log: LogWriter(level: .error), resolver: try Resolver(),
            handshakes: try TLSHandshakes())
        var inputs: [Input] = []
        outbound.begin(port, at: Clocks.now(), into: &inputs)
        close(accept(listener, nil, nil))
        var events: [EventLoop.Event] = []
        func turn(milliseconds: Int32) {
            loop.wait(milliseconds: milliseconds, into: &events)
            for event in events { outbound.handle(event, at: Clocks.now(), into: &inputs) }
        }
        for _ in 0..<100 where inputs.isEmpty { turn(milliseconds: 100) }
        for _ in 0..<3 {
            turn(milliseconds: 10)
            #expect(events.isEmpty)
        }
        #expect(inputs.count == 1, "the end is told once")
    }

    /// A socket that listens on the loopback interface, and its port.
    private func listen() -> (descriptor: Int32, port: UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = LoopbackServer.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size)
                Glibc.listen(listener, 1)
                return getsockname(listener, $0, &size)
            }
        }
        return (listener, UInt16(bigEndian: address.sin_port))
    }
}

/// Opens a connection to a port of this machine and never closes it; tells of its end.
private struct Keeper: OutgoingCalls {
    let count = 1
    let waitingCount = 0
    let openedCount: UInt64 = 1
    let nextDeadline: Instant? = nil

    mutating func begin(_ port: UInt16, at now: Now, into out: inout CallOutput) {
        out.sockets.append(.open(1, address: "127.0.0.1", port: port, tls: nil))
    }

    mutating func take(_ event: SocketEvent, at now: Now, into out: inout CallOutput) {
        guard case .receivedEnd = event else { return }
        out.news.append((ExecutionID("1-n"), .output([])))
    }

    mutating func hangUp(_ id: ExecutionID, at now: Now, into out: inout CallOutput) {}
    mutating func renewFences(ago: Duration, at now: Now) {}
    mutating func deadline(at now: Now, into out: inout CallOutput) {}
}
