import Testing

@testable import Core

private let address = GossipAddress(IPAddress([10, 0, 0, 1])!, 8946)
private let six = GossipAddress(
    IPAddress([0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])!, 7946)

@Suite struct GossipPacketTests {
    static let messages: [GossipMessage] = [
        .ping(GossipPing(sequence: 7, node: "a")),
        .ping(GossipPing(sequence: .max, node: "a", source: six, sourceNode: "b")),
        .indirectPing(
            GossipIndirectPing(
                GossipPing(sequence: 9, node: "c", source: address, sourceNode: "b"),
                target: six, wantsNack: true)),
        .ack(sequence: 300, payload: []), .ack(sequence: 70_000, payload: [1, 2, 3]),
        .nack(sequence: 1),
        .suspect(GossipRumour(incarnation: 3, node: NodeName("a"), from: NodeName("b"))),
        .dead(GossipRumour(incarnation: 4, node: NodeName("a"), from: NodeName("a"))),
        .alive(
            GossipAlive(
                incarnation: 5, node: NodeName("é"), address: address,
                meta: MemberTags.encode([MemberTag("b", "2"), MemberTag("a", "1")]))),
        .user([1, 2, 3]), .user([]),
    ]

    @Test func everyMessageComesBack() {
        for message in Self.messages {
            #expect(GossipPacket(message.encode()[...]).messages == [message])
        }
        let all = GossipPacket.encode(Self.messages.map { $0.encode() }, withChecksum: true)
        #expect(GossipPacket(all[...]).messages == Self.messages)
    }

    @Test func aTruncatedCompoundKeepsItsWholeParts() {
        let all = GossipPacket.encode(Self.messages.map { $0.encode() }, withChecksum: false)
        let header = 2 + 2 * Self.messages.count
        for length in 0..<all.count {
            let packet = GossipPacket(all[..<length])
            #expect(packet.messages == Array(Self.messages.prefix(packet.messages.count)))
            #expect(!packet.problems.isEmpty || packet.messages.count == Self.messages.count)
            if length < header { #expect(packet.messages.isEmpty) }
        }
    }

    @Test func oneBadPartDoesNotSpoilTheOthers() {
        let good = GossipMessage.nack(sequence: 5)
        let packet = GossipPacket.encode(
            [[99], good.encode(), [0, 0xc1]], withChecksum: false)
        #expect(GossipPacket(packet[...]).messages == [good])
        #expect(GossipPacket(packet[...]).problems.count == 2)
    }

    @Test func damageIsFoundByTheChecksum() {
        let packet = GossipPacket.encode([Self.messages[0].encode()], withChecksum: true)
        for position in packet.indices.dropFirst() {
            var damaged = packet
            damaged[position] ^= 4
            #expect(GossipPacket(damaged[...]).messages.isEmpty)
        }
    }

    @Test func labelsAndUnknownTypesAreRefused() {
        for first: UInt8 in [6, 10, 13, 14, 99, 244] {
            let packet = GossipPacket([first, 1, 65] + Self.messages[0].encode())
            #expect(packet.messages.isEmpty)
            #expect(packet.problems.count == 1)
        }
    }

    /// Zeros shrink a thousandfold: a packet may not make gigabytes of them.
    @Test func compressedPartsHaveOneBudget() {
        func compressed(_ inner: [UInt8]) -> [UInt8] {
            GossipMessage.bytes(.compressed) { writer in
                writer.field("Algo", 0 as UInt8)
                writer.field("Buf", LZW.compress(inner[...]))
            }
        }
        let user = GossipMessage.user([UInt8](repeating: 0, count: 60_000))
        let part = compressed(user.encode())
        #expect(GossipPacket(part[...]).messages == [user])
        let many = GossipPacket.encode(
            [[UInt8]](repeating: part, count: 200), withChecksum: false)
        #expect(GossipPacket(many[...]).messages == [user, user])
        #expect(GossipPacket(many[...]).problems.count == 198)
        var deep = GossipMessage.nack(sequence: 1).encode()
        for _ in 0..<10 { deep = compressed(deep) }
        #expect(GossipPacket(deep[...]).messages.isEmpty)
    }

    @Test func unknownFieldsAreSkippedAndMissingOnesAreZero() {
        let bytes = GossipMessage.bytes(.ping) { writer in
            writer.field("Later") { writer in
                writer.array(2)
                writer.fields { $0.field("x", "y") }
                writer.signed(-70_000)
            }
            writer.field("Node", "a")
        }
        #expect(
            GossipPacket(bytes[...]).messages == [.ping(GossipPing(sequence: 0, node: "a"))])
    }
}

@Suite struct GossipStreamTests {
    static let messages: [GossipStreamMessage] = [
        .ping(GossipPing(sequence: 7, node: "a", source: address, sourceNode: "b")),
        .ack(sequence: 7, payload: []), .user([]), .user([9, 8]), .error("not today"),
        .pushPull(GossipPushPull(isJoin: true, nodes: [], userState: [])),
        .pushPull(
            GossipPushPull(
                isJoin: false,
                nodes: (0..<300).map { number in
                    GossipNode(
                        GossipAlive(
                            incarnation: number, node: NodeName("node-\(number)"),
                            address: address, meta: MemberTags.encode([MemberTag("dc", "dc1")])),
                        [.alive, .suspect, .dead, .left][Int(number) % 4])
                },
                userState: [1, 2, 3])),
    ]

    @Test func everyMessageComesBackHoweverItIsCut() throws {
        var random = PRNG(seed: 1)
        for message in Self.messages {
            let bytes = message.encode()
            for cuts in [0, 1, 5] {
                var frame = GossipFrame()
                var position = 0
                for _ in 0..<cuts {
                    let next = random.int(in: position...bytes.count - 1)
                    try frame.receive(bytes[position..<next])
                    #expect(!frame.isComplete)
                    position = next
                }
                // What follows is not part of it.
                try frame.receive(bytes[position...] + [0, 1, 2])
                let whole = try #require(frame.message)
                #expect(Array(whole) == bytes)
                #expect(try GossipStreamMessage(whole) == message)
            }
        }
    }

    @Test func aStateHoldsWhatWasPutIntoIt() throws {
        let nodes = (0..<20).map { number in
            GossipNode(
                GossipAlive(
                    incarnation: number, node: NodeName("node-\(number)"), address: address,
                    meta: [1]),
                [.alive, .suspect, .dead, .left][Int(number) % 4])
        }
        let state = GossipPushPull(isJoin: true, nodes: nodes, userState: [9])
        let contents = try state.contents()
        #expect(contents.nodes == nodes)
        #expect(contents.userState == [9])
        let bytes = GossipStreamMessage.pushPull(state).encode()
        for length in 30..<bytes.count where bytes.first == 6 {
            guard case .pushPull(let part) = try GossipStreamMessage(bytes[..<length]) else {
                continue
            }
            #expect(throws: ByteError.self) { try part.contents() }
        }
    }

    @Test func longStatesAreCompressed() {
        #expect(Self.messages.last!.encode().first == 9)
        #expect(Self.messages.last!.encode().count < 12_000)
    }

    @Test func aSealedMessageEndsWhereItsLengthSays() throws {
        var frame = GossipFrame()
        try frame.receive([10, 0, 0, 0, 3, 1, 2])
        #expect(!frame.isComplete)
        try frame.receive([3, 4])
        #expect(frame.message == [10, 0, 0, 0, 3, 1, 2, 3])
    }

    @Test func whatIsTooLongIsRefusedEarly() {
        for bytes: [UInt8] in [
            [10, 0xff, 0xff, 0xff, 0xff], [8] + GossipStreamTests.map("UserMsgLen", 101),
            [6] + GossipStreamTests.map("Nodes", 101),
            [6] + GossipStreamTests.map("UserStateLen", 101),
            [0] + [UInt8](repeating: 0x91, count: 101), [0, 0xdd, 0xff, 0xff, 0xff, 0xff],
        ] {
            var frame = GossipFrame(limit: 100)
            #expect(throws: ByteError.self, "\(bytes)") { try frame.receive(bytes) }
        }
    }

    @Test func onlyMessagesOfStreamsBegin() {
        for first: UInt8 in [1, 3, 4, 5, 7, 11, 12, 14, 99, 244] {
            var frame = GossipFrame()
            #expect(throws: ByteError.self) { try frame.receive([first, 0x80]) }
            #expect(throws: ByteError.self) { try GossipStreamMessage([first, 0x80]) }
        }
    }

    private static func map(_ key: String, _ value: UInt64) -> [UInt8] {
        var writer = MessagePackWriter()
        writer.fields { $0.field(key, value) }
        return writer.output
    }
}
