// What is answered, asked and passed on.

import Testing

@testable import Core

@Suite struct MembershipProbeTests {
    private static func pings(_ packet: (to: GossipAddress, messages: [GossipMessage]))
        -> [GossipPing]
    {
        packet.messages.compactMap { if case .ping(let ping) = $0 { ping } else { nil } }
    }

    @Test func aPingIsAckedToItsSource() {
        var bench = MembershipBench()
        bench.hear(.ping(GossipPing(sequence: 7, node: "me")), from: 20)
        bench.hear(.ping(GossipPing(sequence: 8, node: "")), from: 20)
        bench.hear(.ping(GossipPing(sequence: 9, node: "else")), from: 20)
        bench.hear(
            .ping(GossipPing(sequence: 10, node: "me", source: MembershipBench.address(30))),
            from: 20)
        let acks = bench.sent()
        #expect(acks.map(\.to) == [20, 20, 30].map(MembershipBench.address))
        #expect(
            acks.flatMap(\.messages)
                == [7, 8, 10].map { .ack(sequence: $0, payload: []) })
    }

    /// Ping, after half a second others and a stream, after a second suspicion.
    @Test func aProbeGoesItsWay() throws {
        var bench = MembershipBench()
        for node in ["a", "b", "c", "d", "e"] { bench.alive(node, 1) }
        while bench.machine.probe == nil { bench.pass(.milliseconds(1)) }
        let probe = try #require(bench.machine.probe)
        let target = try #require(bench.machine.member(probe.target))
        let first = bench.sent()
        #expect(first.contains { $0.to == target.address && !Self.pings($0).isEmpty })
        bench.pass(.milliseconds(600))
        let opened = bench.actions.compactMap { action in
            if case .open(let number, let address, _) = action, address == target.address {
                return number
            }
            return nil
        }
        let asked = bench.sent().flatMap { packet in
            packet.messages.compactMap { message in
                if case .indirectPing(let request) = message { return (packet.to, request) }
                return nil
            }
        }
        let isAloneAlive = bench.machine.peers.contains { entry in
            entry.value.state == .alive && entry.key != probe.target && entry.key.text != "me"
        }
        #expect(opened.count == 1)
        #expect(asked.isEmpty != isAloneAlive)
        #expect(asked.allSatisfy { $0.1.target == target.address && $0.1.wantsNack })
        #expect(asked.allSatisfy { $0.0 != target.address })
    }

    @Test func anAckEndsAProbe() throws {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.machine.changeAwareness(by: 3)
        while bench.machine.probe == nil { bench.pass(.milliseconds(1)) }
        let probe = try #require(bench.machine.probe)
        #expect(probe.endsAt - bench.now > .milliseconds(3_990), "a slow node waits longer")
        bench.hear(.ack(sequence: probe.sequence &+ 1, payload: []))
        #expect(bench.machine.probe != nil)
        bench.hear(.ack(sequence: probe.sequence, payload: [1, 2]))
        #expect(bench.machine.probe == nil)
        #expect(bench.machine.awareness == 2)
    }

    /// Packets are blocked, streams are not: the member lives.
    @Test func aStreamSavesAMember() throws {
        var bench = MembershipBench()
        bench.alive("a", 1)
        for _ in 0..<20 {
            bench.pass(.milliseconds(100))
            for action in bench.actions {
                guard case .open(let number, _, let bytes) = action,
                    case .ping(let ping) = try GossipStreamMessage(bytes[...])
                else { continue }
                let ack = GossipStreamMessage.ack(sequence: ping.sequence, payload: [])
                bench.machine.exchangeAnswered(
                    number, ack.encode()[...], at: bench.now, into: &bench.actions)
            }
            bench.actions.removeAll { if case .open = $0 { true } else { false } }
        }
        #expect(bench.state("a") == .alive)
        let warned = bench.actions.contains { action in
            if case .log(let record) = action { record.message.contains("UDP") } else { false }
        }
        #expect(warned)
    }

    @Test func aRelayedPingIsAckedOrNot() {
        var bench = MembershipBench()
        bench.alive("t", 1, at: 60)
        _ = bench.sent()
        let request = GossipMessage.indirectPing(
            GossipIndirectPing(
                GossipPing(sequence: 77, node: "t", source: MembershipBench.address(40)),
                target: MembershipBench.address(60), wantsNack: true))
        bench.hear(request)
        let ping = bench.sent().first { $0.to == MembershipBench.address(60) }.flatMap {
            Self.pings($0).first
        }
        #expect(ping?.sequence != 77)
        #expect(ping?.node == "t")
        bench.hear(.ack(sequence: ping?.sequence ?? 0, payload: []))
        var answers = bench.sent().filter { $0.to == MembershipBench.address(40) }.flatMap(
            \.messages)
        #expect(answers.contains(.ack(sequence: 77, payload: [])))
        bench.hear(request)
        _ = bench.sent()
        bench.pass(.milliseconds(500))
        answers = bench.sent().filter { $0.to == MembershipBench.address(40) }.flatMap(\.messages)
        #expect(answers.contains(.nack(sequence: 77)))
        for _ in 0..<5_000 { bench.hear(request) }
        bench.machine.checkInvariants()
    }

    @Test func aPingToASuspectTellsIt() throws {
        var bench = MembershipBench()
        bench.alive("a", 3)
        bench.suspect("a", 3)
        _ = bench.sent()
        while bench.machine.probe == nil { bench.pass(.milliseconds(1)) }
        let packet = try #require(bench.sent().first { !Self.pings($0).isEmpty })
        #expect(
            packet.messages.contains(.suspect(MembershipBench.rumour("a", 3, "me"))))
    }
}

@Suite struct MembershipSerfTests {
    private static func query(_ name: String, _ payload: String, flags: UInt32 = 0, id: UInt32 = 1)
        -> SerfQuery
    {
        SerfQuery(
            time: 5, id: id, source: MembershipBench.address(33), sourceNode: "", filters: [],
            flags: flags,
            relayFactor: 0, timeout: 0, name: name, payload: Array(payload.utf8))
    }

    private static func responses(_ bench: inout MembershipBench) throws -> [SerfQueryResponse] {
        try bench.sent().filter { $0.to == MembershipBench.address(33) }.flatMap(\.messages)
            .compactMap {
                guard case .user(let bytes) = $0,
                    case .queryResponse(let response) = try SerfMessage(bytes[...])
                else { return nil }
                return response
            }
    }

    @Test func weBearWitnessAboutOthersNames() throws {
        var bench = MembershipBench()
        bench.alive("a", 1, at: 44, [MemberTag("k", "v")])
        bench.hear(.query(Self.query("_serf_conflict", "a")))
        let response = try #require(try Self.responses(&bench).first)
        guard case .conflictResponse(let member) = try SerfMessage(response.payload[...]) else {
            Issue.record("not an answer about a name")
            return
        }
        #expect(member.name == NodeName("a"))
        #expect(member.address == MembershipBench.address(44))
        #expect(member.tags == [MemberTag("k", "v")])
        #expect(member.status == 1)
        for name in ["me", "nobody"] {
            bench.hear(.query(Self.query("_serf_conflict", name, id: 9)))
            #expect(try Self.responses(&bench).isEmpty)
        }
    }

    @Test func queriesAndEventsGoRoundOnce() throws {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.pass(.seconds(30))
        _ = bench.sent()
        for _ in 0..<3 {
            bench.hear(.query(Self.query("x", "y", flags: 1)))
            bench.hear(.event(SerfEvent(time: 3, name: "deploy", payload: [])))
        }
        #expect(bench.machine.queries.count + bench.machine.events.count <= 2)
        let responses = try Self.responses(&bench)
        #expect(responses.map(\.isAck) == [true])
        // A query that is not to be passed on, and one from long ago.
        bench.hear(.query(Self.query("x", "z", flags: 2, id: 8)))
        bench.hear(.event(SerfEvent(time: 9_000, name: "deploy", payload: [])))
        let count = bench.machine.events.count
        bench.hear(.event(SerfEvent(time: 8_000, name: "late", payload: [])))
        #expect(bench.machine.events.count == count)
        for time in 0..<3_000 as Range<UInt64> {
            bench.hear(.event(SerfEvent(time: 9_000 + time, name: "flood", payload: [])))
        }
        bench.machine.checkInvariants()
        #expect(bench.machine.passedEvents.count < 600)
    }

    @Test func requestsAboutKeysAreHandedOn() throws {
        var bench = MembershipBench()
        let payload = SerfMessage.keyRequest(key: [1, 2, 3]).encode()
        let names = ["install", "use", "remove", "list"].map { "_serf_\($0)-key" }
        for (number, name) in (names.dropLast() + ["_serf_list-keys"]).enumerated() {
            var query = Self.query(name, "", id: UInt32(number))
            if number < 3 { query.payload = payload }
            bench.hear(.query(query))
        }
        let requests = bench.actions.compactMap { action in
            if case .keys(let request) = action { request } else { nil }
        }
        #expect(requests.map(\.operation) == [.install, .use, .remove, .list])
        #expect(requests.map(\.key) == [[1, 2, 3], [1, 2, 3], [1, 2, 3], []])
        _ = bench.sent()
        let keys = (0..<60).map { "key-\($0)-of-some-length" }
        let response = SerfKeyResponse(
            succeeded: true, message: "", keys: keys, primaryKey: keys[0])
        bench.machine.keysAnswered(requests[3], response, into: &bench.actions)
        let payloads = try Self.responses(&bench).map(\.payload)
        guard payloads.count == 1,
            case .keyResponse(let told) = try SerfMessage(payloads[0][...])
        else {
            Issue.record("not one answer about keys")
            return
        }
        #expect(told.keys == Array(keys.prefix(told.keys.count)))
        #expect((20..<60).contains(told.keys.count))
        #expect(told.message == "only \(told.keys.count) of 60 keys are told")
        // What can't be understood is nobody's wish.
        var query = Self.query("_serf_use-key", "x", id: 77)
        query.payload = [9]
        bench.hear(.query(query))
        #expect(!bench.actions.contains { if case .keys = $0 { true } else { false } })
    }

    @Test func filtersDecideWhoAnswers() throws {
        var bench = MembershipBench()
        for (filters, isMeant) in [
            ([.nodes(["other"])], false), ([.nodes(["other", "me"])], true),
            ([.tag(name: "dc", pattern: ".*")], false), ([.unknown], false), ([], true),
        ] as [([SerfQuery.Filter], Bool)] {
            var query = Self.query("x", "y", flags: 1, id: UInt32(bench.now.nanoseconds % 1_000))
            query.filters = filters
            bench.hear(.query(query))
            #expect(try Self.responses(&bench).count == (isMeant ? 1 : 0))
            bench.now = bench.now + .nanoseconds(1)
        }
    }

    @Test func messagesAreHandedOnToMembersOnly() {
        var bench = MembershipBench()
        bench.alive("a", 1, at: 44)
        _ = bench.sent()
        let inner: [UInt8] = [5, 0x80]
        for (address, node, goes) in [
            (MembershipBench.address(44), "a", true), (MembershipBench.address(44), "", true),
            (MembershipBench.address(45), "a", false), (MembershipBench.address(45), "", false),
            (MembershipBench.address(44), "b", false),
        ] {
            bench.hear(.relay(to: address, node: node, message: inner))
            let messages = bench.sent().filter { $0.to == address }.flatMap(\.messages)
            #expect(messages.contains(.user(inner)) == goes)
        }
    }
}
