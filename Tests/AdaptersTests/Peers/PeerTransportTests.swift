import Core
import Glibc
import Testing

@testable import Adapters

@Suite("Messages between nodes, on real sockets", .serialized)
struct PeerTransportTests {
    static let key = [UInt8](repeating: 7, count: 16)

    private func heartbeat(_ round: UInt64) -> [UInt8] {
        let body = RaftMessage.Body.heartbeat(round: round, commit: 1)
        return PeerMessage.raft(RaftMessage(term: 1, body: body)).encoded
    }

    private func bytes(_ count: Int, _ seed: UInt8) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) }
    }

    @Test(arguments: ["127.0.0.1", "::1"], [[], [key]])
    func `messages come whole and in order, from whom they say`(
        host: String, keys: [[UInt8]]
    ) throws {
        let (a, b) = (
            try PeerBench(1, host: host, keys: keys), try PeerBench(2, host: host, keys: keys)
        )
        a.reach(b)
        b.reach(a)
        let sizes = [1, 0, 5, 16 << 10, (16 << 10) + 1, 100_000, 500_000, 2]
        let sent = sizes.enumerated().map { bytes($1, UInt8($0)) }
        for message in sent { a.send(message, to: b) }
        for message in sent.reversed() { b.send(message, to: a) }
        #expect(
            PeerBench.turn(a, b) {
                a.received.count == sent.count && b.received.count == sent.count
            })
        // Not shown when it fails: there is too much of it.
        let isWhole = b.messages(from: a) == sent && a.messages(from: b) == sent.reversed()
        #expect(isWhole)
        // One in each direction, however they were opened.
        #expect(a.transport.connectionCount == 2)
        #expect(b.transport.connectionCount == 2)
        #expect(a.transport.lostCount == 0)
        #expect(a.log == "" && b.log == "", "\(a.log)\(b.log)")
    }

    @Test func `two that open at the same moment do not collide, over and over`() throws {
        let (a, b) = (try PeerBench(1, keys: [Self.key]), try PeerBench(2, keys: [Self.key]))
        for round in 0..<20 {
            a.reach(b)
            b.reach(a)
            a.send([1, UInt8(round)], to: b)
            b.send([2, UInt8(round)], to: a)
            #expect(
                PeerBench.turn(a, b) {
                    a.received.count == round + 1 && b.received.count == round + 1
                })
            a.reach(b.id, at: nil)
            b.reach(a.id, at: nil)
            #expect(PeerBench.turn(a, b) { a.transport.connectionCount == 0 })
            #expect(PeerBench.turn(a, b) { b.transport.connectionCount == 0 })
        }
        #expect(a.messages(from: b).map { $0[1] } == Array(0..<20))
    }

    @Test func `a heartbeat goes ahead of what waits, and entries keep their order`() throws {
        let (a, b) = (try PeerBench(1), try PeerBench(2))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        let large = (0..<8).map { bytes(2_000_000, UInt8($0)) }
        for message in large { a.send(message, to: b) }
        a.send(heartbeat(9), to: b)
        func arrived() -> [[UInt8]] {
            b.messages(from: a).filter { $0.count > 100 || $0 == heartbeat(9) }
        }
        #expect(PeerBench.turn(a, b) { arrived().count == 9 })
        let order = arrived()
        let place = try #require(order.firstIndex(of: heartbeat(9)))
        #expect(place < 4, "behind \(place) messages of 2 MB")
        // Not shown when it fails: there is too much of it.
        let isInOrder = order.filter { $0.count > 100 } == large
        #expect(isInOrder)
    }

    @Test func `another cluster is refused, and both say so`() throws {
        let (a, b) = (try PeerBench(1, cluster: "north"), try PeerBench(2, cluster: "south"))
        a.reach(b)
        #expect(!PeerBench.connect(a, b, seconds: 1))
        #expect(b.received.isEmpty)
        #expect(a.log.contains("another cluster (south) than this node (north)"), "\(a.log)")
        #expect(b.log.contains("another cluster (north) than this node (south)"), "\(b.log)")
        #expect(b.log.split(separator: "\n").count == 1, "once, not at every attempt")
    }

    @Test func `a cluster that becomes known loses no message`() throws {
        let (a, b) = (try PeerBench(1, cluster: ""), try PeerBench(2, cluster: ""))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        let before = b.received.count
        for number in 0..<100 {
            a.send([UInt8(number)], to: b)
            if number == 30 { a.transport.belong(to: "north", at: Clocks.monotonic()) }
            if number == 60 { b.transport.belong(to: "north", at: Clocks.monotonic()) }
        }
        #expect(PeerBench.turn(a, b) { b.received.last?.message == [99] })
        #expect(b.received[before...].suffix(100).map { $0.message[0] } == Array(0..<100))
        #expect(a.log == "" && b.log == "", "\(a.log)\(b.log)")
    }

    @Test(arguments: [["north", "south"], ["south", "north"]])
    func `one that turns out to be of another cluster is refused`(clusters: [String]) throws {
        let (a, b) = (try PeerBench(1, cluster: ""), try PeerBench(2, cluster: ""))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        a.transport.belong(to: clusters[0], at: Clocks.monotonic())
        // Only one of the two knows: they may still speak.
        #expect(PeerBench.connect(a, b))
        b.transport.belong(to: clusters[1], at: Clocks.monotonic())
        let before = b.received.count
        #expect(!PeerBench.connect(a, b, seconds: 1))
        #expect(b.received.count == before)
        #expect(b.log.contains("another cluster (\(clusters[0]))"), "\(b.log)")
    }

    @Test func `a node that meant another one is refused`() throws {
        let (a, b) = (try PeerBench(1), try PeerBench(2))
        a.reach(3, at: b.address)
        #expect(
            PeerBench.turn(a, b, seconds: 10) {
                a.send([1], to: 3)
                return a.log.contains("another node than the expected one")
            })
        #expect(b.received.isEmpty)
        a.reach(3, at: a.address)
        #expect(
            PeerBench.turn(a, b, seconds: 10) {
                a.send([1], to: 3)
                return a.log.contains("has reached itself")
            })
        #expect(a.received.isEmpty)
    }

    @Test func `without the key there is no way in, and each kind of it is told`() throws {
        let sealed = try PeerBench(1, keys: [Self.key])
        let open = try PeerBench(2)
        let other = try PeerBench(3, keys: [[UInt8](repeating: 8, count: 32)])
        open.reach(sealed)
        #expect(!PeerBench.connect(open, sealed, seconds: 1))
        #expect(open.log.contains("this node has no key (--encrypt)"), "\(open.log)")
        #expect(sealed.log.contains("it does not encrypt"), "\(sealed.log)")
        other.reach(sealed)
        #expect(!PeerBench.connect(other, sealed, seconds: 1))
        #expect(other.log.contains("none of this node's keys opens"), "\(other.log)")
        #expect(sealed.log.contains("none of this node's keys opens"), "\(sealed.log)")
        #expect(sealed.received.isEmpty)
    }

    @Test func `keys change node by node, and a removed one ends its connections`() throws {
        let new = [UInt8](repeating: 9, count: 32)
        let (a, b) = (try PeerBench(1, keys: [Self.key]), try PeerBench(2, keys: [Self.key]))
        a.reach(b)
        b.reach(a)
        #expect(PeerBench.connect(a, b) && PeerBench.connect(b, a))
        let now = Clocks.monotonic()
        // Installed at both, used by one, then by the other, then the old one goes.
        a.transport.use(try GossipKeyRing([Self.key, new]), at: now)
        #expect(PeerBench.connect(a, b) && PeerBench.connect(b, a))
        b.transport.use(try GossipKeyRing([new, Self.key]), at: now)
        a.reach(b.id, at: nil)
        a.reach(b)
        #expect(PeerBench.connect(a, b) && PeerBench.connect(b, a))
        a.transport.use(try GossipKeyRing([new]), at: now)
        #expect(PeerBench.connect(a, b) && PeerBench.connect(b, a))
        b.transport.use(try GossipKeyRing([new]), at: now)
        #expect(PeerBench.connect(a, b) && PeerBench.connect(b, a))
        #expect(!a.log.contains("refused") && !b.log.contains("refused"), "\(a.log)\(b.log)")
        // One that has kept the old key only is outside now.
        let late = try PeerBench(3, keys: [Self.key])
        late.reach(a)
        #expect(!PeerBench.connect(late, a, seconds: 1))
    }

    @Test func `after a loss the next messages open it again`() throws {
        let a = try PeerBench(1)
        var b: PeerBench? = try PeerBench(2)
        let address = b!.address
        a.reach(b!)
        #expect(PeerBench.connect(a, b!))
        b = nil
        for _ in 0..<20 {
            a.send([1], to: 2)
            a.turn()
        }
        #expect(a.transport.connectionCount == 0)
        #expect(a.transport.lostCount > 0, "nobody to bring them to")
        let again = try PeerBench(2, port: address.port)
        #expect(PeerBench.connect(a, again, seconds: 5))
    }

    /// Its own connection shows that it is back, or somebody says so.
    @Test(arguments: [false, true])
    func `a node that comes back is spoken to at once, whatever was to be waited for`(
        isAnnounced: Bool
    ) throws {
        var limits = PeerBench.quick
        limits.firstRetry = .seconds(60)
        limits.longestRetry = .seconds(60)
        let a = try PeerBench(1, limits: limits)
        let gone = try RawListener().address
        a.reach(2, at: gone)
        #expect(
            PeerBench.turn(a) {
                a.send([1], to: 2)
                return a.transport.lostCount > 1
            })
        let b = try PeerBench(2, port: gone.port)
        b.reach(a)
        #expect(!PeerBench.connect(a, b, seconds: 1))
        if isAnnounced {
            a.reach(b)
        } else {
            #expect(PeerBench.connect(b, a))
        }
        #expect(PeerBench.connect(a, b, seconds: 5))
        // Said of one that is spoken to, it changes nothing.
        let count = a.transport.connectionCount
        a.reach(b)
        #expect(a.transport.connectionCount == count)
    }

    @Test func `another address is used from the next message on`() throws {
        let (a, old, new) = (try PeerBench(1), try PeerBench(2), try PeerBench(2))
        a.reach(old)
        #expect(PeerBench.connect(a, old))
        a.reach(new)
        #expect(PeerBench.connect(a, new))
        #expect(PeerBench.turn(a, old, new) { old.transport.connectionCount == 0 })
    }

    @Test func `one that is forgotten and found again in one turn gets what is said then`() throws {
        let (a, b) = (try PeerBench(1), try PeerBench(2))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        a.send([1], to: b)
        a.reach(b.id, at: nil)
        a.reach(b)
        // The new connection may have the number of the old one's descriptor.
        a.send([2], to: b)
        #expect(PeerBench.turn(a, b, seconds: 5) { b.messages(from: a).contains([2]) })
        #expect(a.transport.connectionCount == 1)
        #expect(a.log == "" && b.log == "", "\(a.log)\(b.log)")
    }

    @Test func `a newer connection of a node takes the place of the older`() throws {
        let receiver = try PeerBench(1)
        let (first, second) = (try PeerBench(2), try PeerBench(2))
        first.reach(receiver)
        #expect(PeerBench.connect(first, receiver))
        second.reach(receiver)
        #expect(PeerBench.connect(second, receiver))
        #expect(PeerBench.turn(first, receiver) { receiver.transport.connectionCount == 1 })
    }

    @Test func `one that is not used ends, and is opened again when it is needed`() throws {
        var limits = PeerBench.quick
        limits.idle = .milliseconds(200)
        let (a, b) = (try PeerBench(1, limits: limits), try PeerBench(2, limits: limits))
        a.reach(b)
        #expect(PeerBench.connect(a, b))
        #expect(PeerBench.turn(a, b, seconds: 5) { b.transport.connectionCount == 0 })
        #expect(a.transport.connectionCount == 0)
        #expect(PeerBench.connect(a, b))
        #expect(a.log == "", "\(a.log)")
    }
}
