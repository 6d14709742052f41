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
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = LoopbackServer.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size)
                listen(listener, 1)
                return getsockname(listener, $0, &size)
            }
        }
        let port = UInt16(bigEndian: address.sin_port)
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
}
