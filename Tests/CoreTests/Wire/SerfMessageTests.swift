import Testing

@testable import Core

@Suite struct SerfMessageTests {
    private static let address = GossipAddress(IPAddress([127, 0, 0, 2])!, 7946)

    private static func query(_ filters: [SerfQuery.Filter]) -> SerfQuery {
        SerfQuery(
            time: 4, id: 99, source: address, sourceNode: "a", filters: filters, flags: 1,
            relayFactor: 2, timeout: -5, name: "_serf_conflict", payload: [65])
    }

    static var messages: [SerfMessage] {
        var state = SerfState()
        (state.time, state.eventTime, state.queryTime) = (9, 8, 7)
        state.statuses = [
            .init(node: NodeName("a"), time: 3), .init(node: NodeName("b"), time: .max),
        ]
        state.left = [NodeName("b")]
        state.events = [SerfEvent(time: 5, name: "deploy", payload: [1])]
        let query = query([
            .nodes(["a", "b"]), .tag(name: "role", pattern: "^web$"), .unknown,
        ])
        return [
            .leave(SerfIntent(time: 1, node: NodeName("a"), isPrune: true)),
            .join(SerfIntent(time: 300, node: NodeName("é"))), .state(state),
            .state(SerfState()),
            .event(SerfEvent(time: 2, name: "x", payload: [], isCoalesced: true)),
            .query(query), .query(Self.query([])),
            .queryResponse(
                SerfQueryResponse(
                    answering: query, from: NodeName("c"), isAck: false, payload: [1, 2])),
            .conflictResponse(
                SerfMember(
                    name: NodeName("a"), address: address, tags: [MemberTag("dc", "dc1")],
                    status: 1, versions: GossipVersions())),
            .keyRequest(key: [1, 2, 3]),
            .keyResponse(
                SerfKeyResponse(succeeded: true, message: "", keys: ["k"], primaryKey: "k")),
            .relay(to: address, node: "a", message: [5, 0x80]),
        ]
    }

    @Test func everyMessageComesBack() throws {
        for message in Self.messages {
            #expect(try SerfMessage(message.encode()[...]) == message)
        }
    }

    @Test func everyTruncationIsAnError() {
        for message in Self.messages {
            let bytes = message.encode()
            // A relayed message is whatever follows.
            let end = if case .relay = message { bytes.count - 2 } else { bytes.count }
            for length in 0..<end {
                #expect(throws: ByteError.self) { try SerfMessage(bytes[..<length]) }
            }
        }
    }

    /// The state of Go holds an array of 512 places for events, most of them nil.
    @Test func placesWithoutEventsAreSkipped() throws {
        var writer = MessagePackWriter([2])
        writer.fields { writer in
            writer.field("Events") { writer in
                writer.array(512)
                for _ in 0..<512 { writer.array(0) }
            }
        }
        let bytes = writer.output.map { $0 == 0x90 ? 0xc0 : $0 }
        #expect(try SerfMessage(bytes[...]) == .state(SerfState()))
    }

    @Test func tagsAreOrderedBytes() throws {
        let tags = [MemberTag("b", "2"), MemberTag("a", "0"), MemberTag("a", "1")]
        let bytes = MemberTags.encode(tags)
        #expect(bytes == [255, 0x82, 0xa1, 97, 0xa1, 49, 0xa1, 98, 0xa1, 50])
        #expect(try MemberTags.decode(bytes) == [MemberTag("a", "1"), MemberTag("b", "2")])
        #expect(try MemberTags.decode([]) == [])
        #expect(try MemberTags.decode(Array("web".utf8)) == [MemberTag("role", "web")])
        #expect(throws: ByteError.self) { try MemberTags.decode([255, 0x81, 0xa1]) }
    }

    @Test func addressesAsText() {
        #expect(IPAddress([10, 1, 2, 3])?.description == "10.1.2.3")
        #expect(IPAddress([UInt8](repeating: 0, count: 16))?.description == "::")
        let mapped = [UInt8](repeating: 0, count: 10) + [255, 255, 10, 1, 2, 3]
        #expect(IPAddress(mapped) == IPAddress([10, 1, 2, 3]))
        #expect(IPAddress(mapped)?.bytes == [10, 1, 2, 3])
        #expect(IPAddress([1, 2, 3]) == nil)
        let cases: [([UInt16], String)] = [
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], "2001:db8::1"),
            ([0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], "2001:db8:0:1:1:1:1:1"),
            ([0x2001, 0, 0, 1, 0, 0, 0, 1], "2001:0:0:1::1"),
            ([0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], "2001:db8::1:0:0:1"),
            ([0, 0, 0, 0, 0, 0, 0, 1], "::1"), ([0xfe80, 0, 0, 0, 0, 0, 0, 0], "fe80::"),
        ]
        for (groups, text) in cases {
            let bytes = groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
            #expect(IPAddress(bytes)?.description == text)
        }
        #expect(Self.address.description == "127.0.0.2:7946")
    }
}
