import Testing

@testable import Core

private func frame(
    _ kind: UInt8, _ flags: UInt8, _ stream: UInt8, _ length: Int, _ body: [UInt8] = []
) -> [UInt8] {
    [0, kind, 0, flags, 0, 0, 0, stream]
        + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + body
}

private func data(_ stream: UInt8, _ body: [UInt8], flags: UInt8 = 0) -> [UInt8] {
    frame(0, flags, stream, body.count, body)
}

@Suite("Plugins: yamux")
struct YamuxTests {
    @Test("streams have odd numbers and are opened by a window update")
    func opening() {
        var session = YamuxSession(at: .zero)
        #expect(session.open() == 1)
        #expect(session.open() == 3)
        #expect(session.takeOutput() == frame(1, 1, 1, 0) + frame(1, 1, 3, 0))
        session.send(3, [9, 8])
        #expect(session.takeOutput() == data(3, [9, 8]))
        session.receive(frame(1, 2, 3, 0) + data(3, [1, 2, 3]), at: .zero)
        #expect(session.takeEvents() == [.received(3, [1, 2, 3])])
    }

    @Test("bytes come in any pieces")
    func pieces() {
        var session = YamuxSession(at: .zero)
        _ = session.open()
        var found: [UInt8] = []
        for byte in data(1, [1, 2], flags: 2) + data(1, []) + data(1, [3]) {
            session.receive([byte], at: .zero)
            for case .received(1, let bytes) in session.takeEvents() { found += bytes }
        }
        #expect(found == [1, 2, 3])
    }

    @Test("windows are kept, and given back when half of them is used")
    func windows() {
        var session = YamuxSession(at: .zero)
        _ = session.open()
        _ = session.takeOutput()
        session.send(1, [UInt8](repeating: 1, count: 300_000))
        var sent = session.takeOutput()
        #expect(sent.count == 262_144 + 8 * 12)
        session.receive(frame(1, 0, 1, 100_000), at: .zero)
        sent = session.takeOutput()
        #expect(sent.count == 300_000 - 262_144 + 2 * 12)
        session.receive(data(1, [UInt8](repeating: 2, count: 131_071)), at: .zero)
        #expect(session.takeOutput() == [])
        session.receive(data(1, [2]), at: .zero)
        #expect(session.takeOutput() == frame(1, 0, 1, 131_072))
        session.receive(frame(0, 0, 1, 262_145), at: .zero)
        #expect(session.takeEvents().last == .failed("it sends more than it was told to (yamux)"))
    }

    @Test("pings are answered, and asked; silence ends a session")
    func pings() {
        var session = YamuxSession(at: .zero)
        session.receive(frame(2, 1, 0, 77), at: .zero)
        #expect(session.takeOutput() == frame(2, 2, 0, 77))
        #expect(session.deadline == .zero + .seconds(30))
        session.expire(at: .zero + .seconds(30))
        #expect(session.takeOutput() == frame(2, 1, 0, 1))
        session.receive(frame(2, 2, 0, 1), at: .zero + .seconds(31))
        #expect(session.deadline == .zero + .seconds(61))
        session.expire(at: .zero + .seconds(61))
        session.expire(at: .zero + .seconds(71))
        #expect(session.takeEvents() == [.failed("it has fallen silent: it answers no ping")])
        #expect(session.deadline == .distantFuture)
    }

    @Test("ends of streams and of sessions; strange streams are refused")
    func ends() {
        var session = YamuxSession(at: .zero)
        _ = session.open()
        _ = session.open()
        _ = session.takeOutput()
        session.close(1)
        #expect(session.takeOutput() == frame(0, 4, 1, 0))
        session.receive(data(1, [5], flags: 4) + frame(1, 8, 3, 0), at: .zero)
        #expect(session.takeEvents() == [.received(1, [5]), .ended(1), .ended(3)])
        session.receive(data(2, [1], flags: 1), at: .zero)
        #expect(session.takeOutput() == frame(1, 8, 2, 0))
        session.receive(frame(3, 0, 0, 0), at: .zero)
        session.receive(data(1, [1]), at: .zero)
        session.receiveEnd()
        #expect(session.takeEvents() == [.failed("it takes no more calls")])
        for garbage in [[1] + frame(0, 0, 1, 0).dropFirst(), frame(4, 0, 0, 0)] {
            var other = YamuxSession(at: .zero)
            other.receive(garbage, at: .zero)
            #expect(
                other.takeEvents() == [.failed("what it says is not of its protocol (yamux)")])
        }
    }
}
