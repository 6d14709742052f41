// Every packet and stream that two Go nodes of Dkron 4.0.9 exchanged, from the first push/pull
// until one of them suspects the other, which has stopped.

import Testing

@testable import Core

/// One row of a recording.
struct RecordedGossip {
    var transport: String
    var from: String
    var bytes: [UInt8]

    static func rows(_ table: String) throws -> [RecordedGossip] {
        try CalendarFixture.tableLines(table).filter { !$0.hasPrefix("#") }.map { line in
            let cells = CalendarFixture.columns(line)
            return RecordedGossip(
                transport: cells[0], from: cells[2], bytes: Self.bytes(cells[4]))
        }
    }

    private static func bytes(_ text: String) -> [UInt8] {
        let digits = text.utf8.compactMap { hexadecimalDigit($0) }
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            digits[$0] << 4 | digits[$0 + 1]
        }
    }
}

extension GossipPushPull {
    /// All that it holds.
    func contents() throws(ByteError) -> (nodes: [GossipNode], userState: [UInt8]) {
        var reader = reader
        var nodes: [GossipNode] = []
        while let node = try reader.next() { nodes.append(node) }
        return (nodes, Array(try reader.userState()))
    }
}

@Suite struct GossipVectorTests {
    @Test func packetsKeepTheirMeaning() throws {
        var kinds: [String: Int] = [:]
        let rows = try RecordedGossip.rows("gossip-plain.tsv").filter { $0.transport == "udp" }
        #expect(rows.count == 25)
        for row in rows {
            let packet = GossipPacket(row.bytes[...])
            #expect(packet.problems == [])
            #expect(!packet.messages.isEmpty)
            for withChecksum in [false, true] {
                let again = GossipPacket.encode(
                    packet.messages.map { $0.encode() }, withChecksum: withChecksum)
                #expect(GossipPacket(again[...]).messages == packet.messages)
            }
            for message in packet.messages {
                var kind = String(String(describing: message).prefix { $0 != "(" })
                if case .user(let bytes) = message {
                    let serf = try SerfMessage(bytes[...])
                    #expect(try SerfMessage(serf.encode()[...]) == serf)
                    kind = "serf " + String(describing: serf).prefix { $0 != "(" }
                }
                kinds[kind, default: 0] += 1
            }
        }
        #expect(kinds == ["alive": 17, "ping": 7, "ack": 5, "suspect": 5, "serf join": 8])
    }

    @Test func pushPullsKeepTheirMeaning() throws {
        let rows = try RecordedGossip.rows("gossip-plain.tsv").filter { $0.transport != "udp" }
        #expect(rows.count == 2)
        for (row, name) in zip(rows, ["agt", "srv"]) {
            var frame = GossipFrame()
            for (index, byte) in row.bytes.enumerated() {
                #expect(!frame.isComplete, "complete after \(index) of \(row.bytes.count) bytes")
                try frame.receive(CollectionOfOne(byte))
            }
            let whole = try #require(frame.message)
            let message = try GossipStreamMessage(whole)
            guard case .pushPull(let state) = message else {
                Issue.record("not a push/pull: \(message)")
                continue
            }
            #expect(state.isJoin)
            let (nodes, userState) = try state.contents()
            #expect(nodes.map(\.record.node.text) == [name])
            #expect(nodes[0].record.versions == GossipVersions())
            let tags = try MemberTags.decode(nodes[0].record.meta)
            #expect(tags.contains(MemberTag("role", "dkron")))
            #expect(try MemberTags.decode(MemberTags.encode(tags)) == tags)
            #expect(try GossipStreamMessage(message.encode()[...]) == message)
            let again = GossipPushPull(isJoin: true, nodes: nodes, userState: userState)
            let (sameNodes, sameState) = try again.contents()
            #expect(sameNodes == nodes)
            #expect(sameState == userState)
            guard case .state(let serf) = try SerfMessage(userState[...]) else {
                Issue.record("not a state of Serf")
                continue
            }
            #expect(serf.statuses.map(\.node.text) == [name])
            #expect(try SerfMessage(SerfMessage.state(serf).encode()[...]) == .state(serf))
        }
    }
}
