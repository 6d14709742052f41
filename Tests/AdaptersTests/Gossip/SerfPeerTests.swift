// Our membership with real agents of Serf: who joins whom, tags, leaves, failures, with and without
// encryption.

import Adapters
import Core
import Glibc
import Testing

@Suite(
    "Gossip with Serf", .serialized, .enabled(if: SerfAgent.isInstalled, "needs the package serf"))
struct SerfPeerTests {
    private static let keyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    private static let key = (0..<32).map { UInt8($0) }

    @Test(arguments: [false, true])
    func weJoinSerf(isEncrypted: Bool) throws {
        let serf = try SerfAgent(
            "serf", host: "127.0.0.21", tags: [MemberTag("colour", "blue")],
            key: isEncrypted ? Self.keyText : nil)
        let ours = try GossipBench(
            "ours", host: "127.0.0.22", tags: [MemberTag("role", "test"), MemberTag("n", "1")],
            key: isEncrypted ? Self.key : nil)
        ours.with { $0.join([serf.address], at: $1, into: &$2) }
        #expect(GossipBench.turn([ours]) { serf.member("ours")?.contains("alive") == true })
        #expect(
            GossipBench.turn([ours]) {
                ours.machine.member(NodeName("serf"))?.tag("colour") == "blue"
            })
        #expect(
            ours.events.contains {
                if case .joinEnded(let result) = $0 {
                    result.failures.isEmpty && result.reached == [serf.address]
                } else {
                    false
                }
            })
        #expect(serf.member("ours")?[1] == ours.address.description)
        #expect(serf.member("ours")?.last?.split(separator: ",").sorted() == ["n=1", "role=test"])

        // Tags that change, on either side.
        try ours.with { machine, _, actions in
            try machine.setTags([MemberTag("n", "2")], into: &actions)
        }
        #expect(GossipBench.turn([ours]) { serf.member("ours")?.last == "n=2" })
        #expect(serf.setTag("colour", "red"))
        #expect(
            GossipBench.turn([ours]) {
                ours.machine.member(NodeName("serf"))?.tag("colour") == "red"
            })

        // It stays so: probes are answered in both directions.
        #expect(
            !GossipBench.turn([ours], seconds: 5) {
                ours.status("serf") != .alive || serf.member("ours")?[2] != "alive"
            })
        #expect(ours.machine.member(NodeName("serf")) != nil)

        ours.with { $0.leave(at: $1, into: &$2) }
        #expect(GossipBench.turn([ours]) { ours.events.last == .hasLeft })
        #expect(serf.member("ours")?[2] == "left")
    }

    @Test(arguments: [false, true])
    func serfJoinsUsAndLeaves(isEncrypted: Bool) throws {
        let serf = try SerfAgent(
            "serf", host: "127.0.0.23", key: isEncrypted ? Self.keyText : nil)
        let ours = try GossipBench(
            "ours", host: "127.0.0.24", key: isEncrypted ? Self.key : nil)
        let join = serf.begin(["join"], [ours.address.description])
        #expect(GossipBench.turn([ours]) { join.isOver })
        #expect(join.succeeded)
        #expect(GossipBench.turn([ours]) { ours.status("serf") == .alive })
        let leave = serf.begin(["leave"])
        #expect(GossipBench.turn([ours]) { leave.isOver && ours.status("serf") == .left })
        let told = ours.events.compactMap { event -> String? in
            switch event {
            case .joined: "joined"
            case .leaving: "leaving"
            case .left: "left"
            case .failed: "failed"
            case .updated, .reaped, .stranger, .joinEnded, .conflict, .nameLost, .doubled, .hasLeft:
                nil
            }
        }
        #expect(told == ["joined", "leaving", "left"])
    }

    /// Three of ours and two of Serf: everybody sees everybody, and sees who is gone.
    @Test func aMixedClusterSeesAFailure() throws {
        let first = try SerfAgent("serf-1", host: "127.0.0.25")
        var second: SerfAgent? = try SerfAgent("serf-2", host: "127.0.0.26")
        let ours = try (1...3).map { try GossipBench("ours-\($0)", host: "127.0.0.27") }
        let join = second!.begin(["join"], [first.address.description])
        #expect(GossipBench.turn(ours) { join.isOver })
        for bench in ours { bench.with { $0.join([first.address], at: $1, into: &$2) } }
        let names = ["ours-1", "ours-2", "ours-3", "serf-1", "serf-2"]
        #expect(
            GossipBench.turn(ours) {
                ours.allSatisfy { bench in
                    bench.machine.members.map(\.name.text) == names
                        && bench.machine.members.allSatisfy { $0.status == .alive }
                } && first.members()?.compactMap(\.first).sorted() == names
            })
        second = nil
        #expect(
            GossipBench.turn(ours, seconds: 40) {
                ours.allSatisfy { $0.status("serf-2") == .failed }
                    && first.member("serf-2")?[2] == "failed"
            })
        // One of ours falls silent.
        let rest = Array(ours.dropLast())
        ours[2].transport.close()
        #expect(
            GossipBench.turn(rest, seconds: 40) {
                rest.allSatisfy { $0.status("ours-3") == .failed }
                    && first.member("ours-3")?[2] == "failed"
            })
    }

    /// A query of Serf's tool reaches us and is acknowledged; an event goes by us to another.
    @Test func queriesAreAcknowledged() throws {
        let serf = try SerfAgent("serf", host: "127.0.0.28")
        let ours = try GossipBench("ours", host: "127.0.0.29")
        ours.with { $0.join([serf.address], at: $1, into: &$2) }
        #expect(GossipBench.turn([ours]) { serf.member("ours")?[2] == "alive" })
        let query = serf.begin(["query", "-timeout=3s"], ["anything"])
        #expect(GossipBench.turn([ours]) { query.isOver })
        #expect(query.output.contains("Ack from 'ours'"))
    }

    /// The key of a running cluster is changed by Serf's own tool.
    @Test func keysAreChangedByQueries() throws {
        let newText = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
        let serf = try SerfAgent("serf", host: "127.0.0.32", key: Self.keyText)
        let ours = try (1...2).map {
            try GossipBench("ours-\($0)", host: "127.0.0.33", key: Self.key)
        }
        for bench in ours { bench.with { $0.join([serf.address], at: $1, into: &$2) } }
        #expect(GossipBench.turn(ours) { serf.members()?.count == 3 })
        for (command, succeeds) in [
            ("-use=\(newText)", false), ("-install=\(newText)", true), ("-use=\(newText)", true),
            ("-remove=\(newText)", false), ("-remove=\(Self.keyText)", true), ("-list", true),
        ] {
            var keys = serf.begin(["keys", command])
            #expect(GossipBench.turn(ours) { keys.isOver })
            // A packet or two carry a query, and both may go to the same node: who asks hears then
            // how few have answered, and asks again.
            for _ in 0..<5 where succeeds && keys.output.contains("nodes reported success") {
                keys = serf.begin(["keys", command])
                #expect(GossipBench.turn(ours) { keys.isOver })
            }
            #expect(keys.succeeded == succeeds, "\(command): \(keys.output)")
            if command == "-list" { #expect(keys.output.contains("[3/3]"), "\(keys.output)") }
        }
        let new = (32..<64).map { UInt8($0) }
        #expect(ours.allSatisfy { $0.transport.seal?.ring.keys == [new] })
        #expect(ours.allSatisfy { $0.status("serf") == .alive })
    }

    /// With another key, or none, nobody gets in, and the reason is told.
    @Test func aWrongKeyIsRefused() throws {
        let serf = try SerfAgent("serf", host: "127.0.0.30", key: Self.keyText)
        for key in [nil, Self.key.map { $0 ^ 1 }] as [[UInt8]?] {
            let ours = try GossipBench("ours", host: "127.0.0.31", key: key)
            ours.with { $0.join([serf.address], at: $1, into: &$2) }
            #expect(
                GossipBench.turn([ours]) {
                    ours.events.contains { event in
                        if case .joinEnded(let result) = event {
                            return result.reached.isEmpty && result.failures.count == 1
                        }
                        return false
                    }
                })
            #expect(serf.member("ours") == nil)
            // Nor does it get in here.
            let join = serf.begin(["join"], [ours.address.description])
            #expect(GossipBench.turn([ours]) { join.isOver })
            #expect(!join.succeeded)
            #expect(ours.machine.members.count == 1)
        }
    }
}
