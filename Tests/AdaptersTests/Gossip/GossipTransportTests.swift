import Core
import Glibc
import Testing

@testable import Adapters

@Suite("Gossip on real sockets", .serialized)
struct GossipTransportTests {
    @Test(arguments: ["127.0.0.1", "::1"], [nil, [UInt8](repeating: 5, count: 16)])
    func membersFindEachOther(host: String, key: [UInt8]?) throws {
        let benches = try ["a", "b", "c"].map {
            try GossipBench($0, host: host, tags: [MemberTag("name", $0)], key: key)
        }
        for bench in benches.dropFirst() {
            bench.with { $0.join([benches[0].address], at: $1, into: &$2) }
        }
        #expect(
            GossipBench.turn(benches) {
                benches.allSatisfy { bench in
                    bench.machine.members.map { $0.tag("name") } == ["a", "b", "c"]
                }
            })
        benches[1].with { $0.leave(at: $1, into: &$2) }
        #expect(GossipBench.turn(benches) { benches[1].events.last == .hasLeft })
        #expect(benches[0].status("b") == .left)
        #expect(benches[2].status("b") == .left)
        #expect(benches.allSatisfy { $0.transport.connectionCount == 0 })
    }

    @Test func nobodyThereIsAFailureWithItsReason() throws {
        let bench = try GossipBench("a")
        let gone = try GossipBench("b")
        gone.transport.close()
        bench.with { $0.join([gone.address], at: $1, into: &$2) }
        #expect(GossipBench.turn([bench]) { !bench.events.isEmpty })
        guard case .joinEnded(let result) = bench.events.last else {
            Issue.record("no end of the join")
            return
        }
        #expect(result.failures.map(\.reason) == ["Connection refused"])
    }

    /// Bytes that are no message, or none at all, hold nothing for long and harm nobody.
    @Test func strangersAreSentAway() throws {
        let bench = try GossipBench("a")
        let strangers = (0..<5).map { _ in connect(to: bench.address) }
        defer { for descriptor in strangers { Glibc.close(descriptor) } }
        for (number, bytes) in [
            [], [99], Array("GET / HTTP/1.1\r\n\r\n".utf8), [6, 0x80],
            [10, 0xff, 0xff, 0xff, 0xff],
        ].enumerated() as EnumeratedSequence<[[UInt8]]> where !bytes.isEmpty {
            _ = Glibc.send(strangers[number], bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
        #expect(GossipBench.turn([bench]) { bench.transport.connectionCount >= 1 })
        // The one that says nothing goes when its time is over.
        #expect(GossipBench.turn([bench], seconds: 5) { bench.transport.connectionCount == 0 })
        #expect(bench.machine.members.count == 1)
        var byte: UInt8 = 0
        for descriptor in strangers.prefix(1) {
            #expect(recv(descriptor, &byte, 1, 0) == 0)
        }
    }

    @Test func anAnswerComesToOneWhoHasClosedItsSide() throws {
        let bench = try GossipBench("a")
        let client = connect(to: bench.address)
        defer { Glibc.close(client) }
        let ping = GossipStreamMessage.ping(GossipPing(sequence: 7, node: "a")).encode()
        _ = Glibc.send(client, ping, ping.count, Int32(MSG_NOSIGNAL))
        shutdown(client, Int32(SHUT_WR))
        var buffer = [UInt8](repeating: 0, count: 100)
        var count = 0
        let isAnswered = GossipBench.turn([bench]) {
            count = recv(client, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            return count > 0
        }
        #expect(isAnswered)
        #expect(
            try GossipStreamMessage(buffer[..<count]) == .ack(sequence: 7, payload: []))
    }

    @Test func manyStrangersAtOnceHaveABound() throws {
        let bench = try GossipBench("a")
        let strangers = (0..<200).map { _ in connect(to: bench.address) }
        defer { for descriptor in strangers { Glibc.close(descriptor) } }
        for _ in 0..<50 { bench.turn() }
        #expect(bench.transport.connectionCount <= 128)
        #expect(GossipBench.turn([bench], seconds: 5) { bench.transport.connectionCount == 0 })
    }

    private func connect(to address: GossipAddress) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let target = SocketAddress(address, family: AF_INET)!
        let result = target.withSocketAddress { Glibc.connect(descriptor, $0, $1) }
        precondition(result == 0)
        return descriptor
    }
}
