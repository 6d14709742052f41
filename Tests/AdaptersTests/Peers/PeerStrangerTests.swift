import Core
import Glibc
import Testing

@testable import Adapters

@Suite("Strangers and broken nodes on the RPC port", .serialized)
struct PeerStrangerTests {
    private static let key = [UInt8](repeating: 7, count: 16)

    /// Turns the node until it has ended the stranger's connection; what it said to it.
    private func ending(
        of stranger: RawSocket, at bench: PeerBench, seconds: Int64 = 5
    ) -> [UInt8]? {
        var said: [UInt8] = []
        var isEnded = false
        _ = PeerBench.turn(bench, seconds: seconds) {
            while !isEnded {
                guard let bytes = stranger.receive() else {
                    isEnded = true
                    break
                }
                if bytes.isEmpty { break }
                said += bytes
            }
            return isEnded
        }
        return isEnded ? said : nil
    }

    private func hello(
        from id: ServerID, to bench: PeerBench, versions: ClosedRange<UInt8> = 1...1
    ) -> PeerHello {
        var hello = PeerHello(
            id: id, addressee: bench.id, incarnation: 5, nonce: Entropy.bytes(32), cluster: "c1",
            isSealed: false)
        hello.versions = versions
        return hello
    }

    @Test func `an HTTP client is told in its language`() throws {
        let bench = try PeerBench(1)
        let client = RawSocket(to: bench.address)
        client.send(Array("GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        let said = String(decoding: ending(of: client, at: bench) ?? [], as: UTF8.self)
        #expect(said.hasPrefix("HTTP/1.1 400 "), "\(said)")
        #expect(said.contains("--http-addr"))
        #expect(bench.log.contains("an HTTP client has come to the port"), "\(bench.log)")
    }

    @Test(arguments: [
        (Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), "gRPC"),
        ([0x16, 3, 1, 0, 200], "TLS"), ([UInt8](repeating: 0, count: 40), "protocol between nodes"),
        (Array("hello".utf8), "protocol between nodes"),
    ])
    func `whoever speaks another protocol is sent away`(start: [UInt8], word: String) throws {
        let bench = try PeerBench(1)
        let client = RawSocket(to: bench.address)
        client.send(start)
        #expect(ending(of: client, at: bench) == [])
        #expect(bench.log.contains(word), "\(bench.log)")
        #expect(bench.transport.connectionCount == 0)
    }

    @Test func `a program of other versions hears who this is, and both know why`() throws {
        let bench = try PeerBench(1)
        let client = RawSocket(to: bench.address)
        client.send(hello(from: 2, to: bench, versions: 7...9).encoded)
        let said = try #require(ending(of: client, at: bench))
        #expect(try PeerHello.read(said[...])?.0.id == 1)
        #expect(bench.log.contains("it speaks versions 7 to 9"), "\(bench.log)")
        #expect(bench.log.contains("this program version 1"), "\(bench.log)")
    }

    @Test func `a claim alone brings no message in where there is a key`() throws {
        let bench = try PeerBench(1, keys: [Self.key])
        let client = RawSocket(to: bench.address)
        var hello = hello(from: 2, to: bench)
        hello.isSealed = true
        let frames =
            PeerFrame(.ready, length: 0).checked([])
            + PeerFrame(.message, length: 3).checked([1, 2, 3])
        client.send(hello.encoded + frames + [UInt8](repeating: 0, count: 64))
        #expect(ending(of: client, at: bench) != nil)
        #expect(bench.received.isEmpty)
        #expect(bench.log.contains("none of this node's keys"), "\(bench.log)")
    }

    @Test func `a key that goes in the middle of a handshake opens nothing any more`() throws {
        let new = [UInt8](repeating: 9, count: 32)
        let bench = try PeerBench(1, keys: [new, Self.key])
        let client = RawSocket(to: bench.address)
        var hello = hello(from: 2, to: bench)
        hello.isSealed = true
        client.send(hello.encoded)
        #expect(PeerBench.turn(bench) { client.receive() != [] })
        #expect(bench.transport.connectionCount == 1)
        bench.transport.use(try GossipKeyRing([new]), at: Clocks.monotonic())
        #expect(bench.transport.connectionCount == 0)
    }

    @Test func `messages before the handshake's end, damaged ones and endless ones are refused`()
        throws
    {
        let ready = PeerFrame(.ready, length: 0).checked([])
        var damaged = PeerFrame(.message, length: 3).checked([1, 2, 3])
        damaged[6] ^= 1
        let long = PeerFrame(.part, length: 1_000).checked([UInt8](repeating: 0, count: 1_000)[...])
        var limits = PeerBench.quick
        limits.messageBytes = 1_500
        for wrong in [
            PeerFrame(.message, length: 1).checked([1]), ready + damaged, ready + ready,
            ready + PeerFrame(.lastPart, length: 1).checked([1]), ready + long + long,
            ready + [0xff, 0xff, 0xff, 0xff, 1],
        ] {
            let bench = try PeerBench(1, limits: limits)
            let client = RawSocket(to: bench.address)
            client.send(hello(from: 2, to: bench).encoded + wrong)
            #expect(ending(of: client, at: bench) != nil)
            #expect(bench.received.isEmpty)
            #expect(bench.transport.connectionCount == 0)
        }
    }

    @Test func `what was recorded says nothing a second time`() throws {
        let (a, b) = (try PeerBench(1, keys: [Self.key]), try PeerBench(2, keys: [Self.key]))
        // Between the two sits one who listens.
        let middle = try RawListener()
        a.reach(b.id, at: middle.address)
        a.send([1, 2, 3], to: b)
        a.turn()
        let near = try #require(middle.accept())
        let far = RawSocket(to: b.address)
        var recorded: [UInt8] = []
        #expect(
            PeerBench.turn(a, b) {
                let bytes = near.receive() ?? []
                recorded += bytes
                if !bytes.isEmpty { far.send(bytes) }
                let answer = far.receive() ?? []
                if !answer.isEmpty { near.send(answer) }
                return b.received.count == 1
            })
        let again = RawSocket(to: b.address)
        again.send(recorded)
        #expect(ending(of: again, at: b) != nil)
        // Nor do its own words convince the one who said them.
        let mirror = RawSocket(to: a.address)
        mirror.send(recorded)
        #expect(ending(of: mirror, at: a) != nil)
        #expect(b.received.count == 1)
        #expect(a.received.isEmpty)
    }

    @Test func `one that accepts and is silent costs a moment, not the node`() throws {
        let silent = try RawListener()
        let a = try PeerBench(1)
        a.reach(2, at: silent.address)
        a.send([1], to: 2)
        #expect(PeerBench.turn(a, seconds: 5) { a.log.contains("does not answer the greeting") })
        #expect(a.transport.connectionCount == 0)
        #expect(a.transport.lostCount == 1)
        let b = try PeerBench(2)
        a.reach(b)
        #expect(PeerBench.connect(a, b))
    }

    @Test func `strangers are few, and go when their time is over`() throws {
        var limits = PeerBench.quick
        limits.strangers = 8
        let bench = try PeerBench(1, limits: limits)
        let clients = (0..<40).map { _ in RawSocket(to: bench.address) }
        for _ in 0..<50 { bench.turn() }
        #expect(bench.transport.connectionCount == 8)
        #expect(PeerBench.turn(bench, seconds: 5) { bench.transport.connectionCount == 0 })
        withExtendedLifetime(clients) {}
        let node = try PeerBench(2)
        node.reach(bench)
        #expect(PeerBench.connect(node, bench))
    }

    @Test func `one that takes nothing has a bounded queue, and its connection ends`() throws {
        var limits = PeerBench.quick
        limits.queuedBytes = 4 << 20
        limits.stall = .milliseconds(500)
        let (a, b) = (try PeerBench(1, limits: limits), try PeerBench(2))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        let message = [UInt8](repeating: 1, count: 1 << 20)
        // Only one of the two is turned from here on.
        for _ in 0..<200 { a.send(message, to: b) }
        #expect(a.transport.lostCount >= 190)
        #expect(a.log.contains("too many wait"), "\(a.log)")
        #expect(PeerBench.turn(a, seconds: 10) { a.log.contains("it takes nothing any more") })
        #expect(PeerBench.connect(a, b))
    }
}
