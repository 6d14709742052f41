// Beginnings, ends, time, and those who mean harm.

import Testing

@testable import Core

@Suite("HTTP/2: ends and floods")
struct HTTP2LifeTests {
    @Test("6.8 a server says goodbye in two steps, and finishes what is under way")
    func serverShutdown() {
        let bench = HTTP2Bench()
        bench.push(.headers(1, plainRequest, ends: true))
        bench.connection.beginShutdown(at: .zero)
        let frames = bench.sent()
        #expect(frames.map(\.kind) == [7, 6])
        #expect(readUInt32(frames[0].payload, at: 0) == 0x7fff_ffff)
        // A request that was on its way is still taken, one that comes later isn't.
        bench.push(.headers(3, plainRequest, ends: true))
        bench.push(.ping(ack: true, frames[1].payload))
        #expect(bench.sent().map { readUInt32($0.payload, at: 0) } == [3])
        bench.push(.headers(5, plainRequest, ends: true))
        #expect(bench.told().count == 2)
        #expect(bench.respond(1, ends: true))
        #expect(bench.connection.wantsRead && !bench.connection.wantsShutdown)
        #expect(bench.respond(3, ends: true))
        #expect(bench.sent().map(\.kind) == [1, 1, 7])
        #expect(bench.told() == [.closed(nil)])
        #expect(bench.connection.wantsShutdown)
        bench.connection.receiveEnd(at: .zero)
        #expect(bench.connection.isClosed)
    }

    @Test("6.8 a client finishes its streams, and is told of those that were not taken")
    func clientGoAway() throws {
        let bench = HTTP2Bench(.client)
        for _ in 0..<3 { _ = try bench.open(ends: true) }
        bench.push(.goAway(3, .noError, "bye"))
        let failure = HTTP2Failure(.noError, "the other side ends the connection: bye")
        #expect(
            bench.told() == [
                .goAway(failure),
                .reset(stream: 5, HTTP2Reset(failure, isOurs: false, isUnprocessed: true)),
            ])
        #expect(!bench.connection.canOpen)
        bench.push(.headers(1, plainAnswer, ends: true), .headers(3, plainAnswer, ends: true))
        #expect(bench.told().count == 3)
        #expect(bench.sent().last?.kind == 7)
        #expect(bench.connection.wantsShutdown)
    }

    @Test("what comes behind the end is not read, whether it comes at once or later")
    func behindTheEnd() throws {
        let (whole, cut) = (HTTP2Bench(.client), HTTP2Bench(.client))
        for bench in [whole, cut] { _ = try bench.open(ends: true) }
        whole.push(.goAway(0), .ping())
        cut.push(.goAway(0))
        cut.push(.ping())
        #expect(whole.told() == cut.told())
        let frames = whole.sent()
        #expect(frames == cut.sent())
        #expect(frames.map(\.kind) == [1, 7])
    }

    @Test("a client that shuts down opens nothing and closes when it is done")
    func clientShutdown() throws {
        let bench = HTTP2Bench(.client)
        _ = try bench.open(ends: true)
        bench.connection.beginShutdown(at: .zero)
        #expect(!bench.connection.canOpen)
        bench.push(.headers(1, plainAnswer, ends: true))
        #expect(bench.told().last == .closed(nil))
    }

    @Test("a connection that breaks tells what was under way")
    func cutOff() throws {
        var bench = HTTP2Bench(.client)
        _ = try bench.open(ends: true)
        bench.connection.receiveEnd(at: .zero)
        guard case .closed(let failure?)? = bench.told().last else {
            Issue.record("the end is not told")
            return
        }
        #expect(failure.reason == "the other side closed the connection with 1 streams open")
        #expect(bench.connection.isClosed)
        bench = HTTP2Bench(.client)
        bench.connection.receiveEnd(at: .zero)
        #expect(bench.told() == [.closed(nil)])
        bench = HTTP2Bench(.client, greeted: false)
        bench.connection.receiveEnd(at: .zero)
        guard case .closed(_?)? = bench.told().last else {
            Issue.record("a server that says nothing is no HTTP/2")
            return
        }
        bench = HTTP2Bench(.client)
        bench.connection.abort("the socket failed")
        #expect(bench.told() == [.closed(HTTP2Failure(.cancel, "the socket failed"))])
        #expect(!bench.connection.hasOutgoing)
    }

    @Test("6.5.3 SETTINGS must come and be acknowledged in time")
    func settingsTimeout() {
        for frames in [[], [RawFrame.settings()]] {
            let bench = HTTP2Bench(.client, greeted: false)
            bench.push(frames.flatMap(\.bytes))
            _ = bench.sent()
            #expect(bench.connection.deadline == Instant.zero + .seconds(10))
            bench.wait(.seconds(9))
            #expect(bench.connection.isReading)
            bench.wait(.seconds(1))
            #expect(bench.failure()?.code == .settingsTimeout)
            bench.wait(.seconds(2))
            #expect(bench.connection.isClosed)
        }
        #expect(HTTP2Bench(.client).connection.deadline == nil)
    }

    @Test("a silent peer is asked, and given up when it does not answer")
    func keepAlive() {
        var timeouts = HTTP2Timeouts()
        timeouts.ping = .seconds(30)
        let bench = HTTP2Bench(.client, timeouts: timeouts)
        bench.wait(.seconds(30))
        let ping = bench.sent()
        #expect(ping.map(\.kind) == [6])
        bench.wait(.seconds(10))
        bench.push(.ping(ack: true, ping[0].payload))
        #expect(bench.connection.deadline == Instant.zero + .seconds(70))
        bench.wait(.seconds(30))
        _ = bench.sent()
        bench.wait(.seconds(20))
        #expect(bench.connection.isClosed)
        guard case .closed(let failure?)? = bench.told().last else { return }
        #expect(failure.reason.contains("silent"))
    }

    @Test("a peer that takes nothing is given up, and an idle one is sent home")
    func stalls() throws {
        var timeouts = HTTP2Timeouts()
        timeouts.idle = .minutes(5)
        var bench = HTTP2Bench(timeouts: timeouts)
        bench.wait(.minutes(4))
        bench.push(.headers(1, plainRequest, ends: true))
        bench.wait(.minutes(4))
        #expect(bench.connection.isReading)
        #expect(bench.respond(1, ends: true))
        _ = bench.sent()
        bench.wait(.minutes(5))
        #expect(bench.sent().first?.kind == 7)
        bench = HTTP2Bench(.client)
        _ = try bench.open()
        bench.wait(.seconds(60))
        #expect(bench.connection.isClosed)
    }

    @Test("rapid reset")
    func rapidReset() {
        let bench = HTTP2Bench()
        var stream: UInt32 = 1
        while bench.connection.isReading, stream < 10_000 {
            bench.push(.headers(stream, plainRequest, ends: true), .reset(stream))
            stream += 2
        }
        #expect(bench.failure()?.code == .enhanceYourCalm)
        #expect(stream == 2_003)
        // Slowly it is nobody's business.
        let slow = HTTP2Bench()
        for index in 0..<3_000 as Range<UInt32> {
            slow.now = slow.now + .milliseconds(10)
            slow.push(.headers(index * 2 + 1, plainRequest, ends: true), .reset(index * 2 + 1))
        }
        #expect(slow.connection.isReading)
    }

    @Test(
        "floods of frames that carry nothing on",
        arguments: [
            RawFrame.ping(), .ping(ack: true), .settings(), .ack, .data(1, ""), .goAway(0),
            RawFrame(kind: 2, stream: 9, payload: [0, 0, 0, 0, 0]), RawFrame(kind: 50),
            .headers(1, [HTTP2Field(":status", "103")]),
        ])
    func floods(frame: RawFrame) throws {
        let isAnswer = frame.kind == 1
        let bench = HTTP2Bench(isAnswer ? .client : .server)
        if isAnswer { _ = try bench.open() } else { bench.push(.headers(1, plainRequest)) }
        let many = Array(repeatElement(frame.bytes, count: 100).joined())
        var rounds = 0
        while bench.connection.openStreams == 1, rounds < 200 {
            bench.push(many)
            _ = bench.sent()
            rounds += 1
        }
        #expect(rounds <= 101)
        #expect(bench.connection.openStreams == 0)
    }

    @Test("answers that are asked for and not read")
    func unread() {
        var limits = HTTP2Limits()
        limits.idleFrames = HTTP2Rate(burst: 1_000_000, perSecond: 1)
        let bench = HTTP2Bench(limits: limits)
        let many = Array(repeatElement(RawFrame.ping().bytes, count: 1_000).joined())
        for _ in 0..<100 { bench.push(many) }
        #expect(!bench.connection.isReading)
        #expect(bench.connection.outgoing.count < 2 << 20)
        guard case .closed(let failure?)? = bench.told().last else {
            Issue.record("the flood was taken")
            return
        }
        #expect(failure.code == .enhanceYourCalm)
    }

    @Test("CONTINUATION without end, with and without contents", arguments: [0, 8_000])
    func continuations(size: Int) {
        let bench = HTTP2Bench()
        bench.push(.headers(1, plainRequest, last: false))
        for _ in 0..<16 {
            bench.push(RawFrame(kind: 9, stream: 1, payload: .init(repeating: 0x82, count: size)))
        }
        #expect(bench.failure()?.code == .enhanceYourCalm)
    }

    @Test("a bomb: few bytes that stand for a long list")
    func bomb() {
        let bench = HTTP2Bench()
        var encoder = HPACKEncoder()
        var block: [UInt8] = []
        encoder.encode([HTTP2Field("a", String(repeating: "\u{1}", count: 1_900))], to: &block)
        block += [UInt8](repeating: 0xbe, count: 14_000)
        bench.push(RawFrame(kind: 1, flags: 5, stream: 1, payload: block))
        #expect(bench.resetCode(1) == .enhanceYourCalm)
        #expect(bench.connection.isReading)
    }
}
