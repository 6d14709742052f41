import Testing

@testable import Core

@Suite("Scheduler: targets")
struct TargetSelectionTests {
    private func member(_ name: String, _ tags: (String, String)...) -> Member {
        Member(
            name: NodeName(name), address: "10.0.0.1", port: 8946,
            tags: tags.map { Setting(name: $0.0, value: $0.1) })
    }

    private func tags(_ tags: (String, String)...) -> [Setting] {
        tags.map { Setting(name: $0.0, value: $0.1) }
    }

    @Test(
        "a count is what follows the last colon, if that is a number",
        arguments: [
            ("web", "web", nil), ("web:2", "web", 2), ("a:b:2", "a:b", 2), ("web:+3", "web", 3),
            ("web:x", "web:x", nil), ("http://h", "http://h", nil), ("web:", "web:", nil),
            (":1", "", 1), ("web:-", "web:-", nil), ("web:2147483647", "web", 2_147_483_647),
        ] as [(String, String, Int?)])
    func selectors(_ text: String, _ value: String, _ limit: Int?) throws {
        let selector = try TagSelector(name: "t", value: text)
        #expect(selector.value == value)
        #expect(selector.limit == limit)
    }

    @Test(
        "counts that are none are refused",
        arguments: ["web:0", "web:-1", "web:+0", "web:2147483648", "web:99999999999999999999"])
    func refused(_ text: String) {
        #expect(throws: TagError.self) { try TagSelector(name: "t", value: text) }
    }

    @Test("all tags must be carried, the smallest count holds")
    func matching() {
        let members = [
            member("a", ("r", "web"), ("z", "a")), member("b", ("r", "web"), ("z", "a")),
            member("c", ("r", "web"), ("z", "b")), member("d", ("r", "db"), ("z", "a")),
        ]
        func names(_ tags: [Setting]) -> [String] {
            TargetSelection.matching(tags, members).candidates.map(\.name.text)
        }
        #expect(names([]) == ["a", "b", "c", "d"])
        #expect(names(tags(("r", "web"))) == ["a", "b", "c"])
        #expect(names(tags(("r", "web:2"), ("z", "a:1"))) == ["a", "b"])
        #expect(TargetSelection.matching(tags(("r", "web:2"), ("z", "a:1")), members).limit == 1)
        #expect(TargetSelection.matching(tags(("r", "web")), members).limit == nil)
        #expect(names(tags(("r", "Web"))) == [])
        #expect(names(tags(("x", ""))) == [])
        #expect(names(tags(("r", "web:0"))) == [])
    }

    @Test("only members that are alive are candidates")
    func alive() {
        var members = [member("a"), member("b"), member("c")]
        members[1].status = .failed
        members[2].status = .leaving
        #expect(TargetSelection.matching([], members).candidates.map(\.name.text) == ["a"])
    }

    @Test("v1's word for servers matches servers")
    func v1Servers() {
        let members = [member("s", ("server", "true")), member("a")]
        let found = TargetSelection.matching(tags(("dkron_server", "true:1")), members)
        #expect(found.candidates.map(\.name.text) == ["s"])
        #expect(found.limit == 1)
    }

    @Test(
        "v1's other reserved tags mean today's, unless a node carries them itself",
        arguments: [
            ("dkron_version", "1.2.5", ["new"]), ("dkron_rpc_addr", "10.0.0.1:6868", ["new"]),
            ("dkron_version", "mine", ["own"]), ("dkron_region", "global", []),
        ])
    func v1Tags(_ name: String, _ value: String, _ expected: [String]) {
        let members = [
            member("new", ("version", "1.2.5"), ("rpc_addr", "10.0.0.1:6868")),
            member("own", ("version", "1.2.5"), ("dkron_version", "mine")),
        ]
        // The count keeps the port from being read as one.
        let tag = tags((name, value.contains(":") ? value + ":1" : value))
        let found = TargetSelection.matching(tag, members)
        #expect(found.candidates.map(\.name.text) == expected)
    }

    @Test("an attempt whose node is gone goes to any other that fits, equally likely")
    func replacement() {
        let members = ["d", "b", "a", "c"].map { member($0, ("r", "web")) }
        let taken = [NodeName("a"), NodeName("x")]
        var counts: [String: Int] = [:]
        var generator = PRNG(seed: 1)
        for _ in 0..<3_000 {
            let chosen = TargetSelection.replacement(
                tags(("r", "web:2")), members, besides: taken, using: &generator)
            counts[chosen?.text ?? "", default: 0] += 1
        }
        #expect(counts.keys.sorted() == ["b", "c", "d"])
        #expect(counts.values.allSatisfy { 850..<1_150 ~= $0 })
        let all = members.map(\.name)
        func choice(_ tag: String, _ taken: [NodeName]) -> NodeName? {
            TargetSelection.replacement(
                tags(("r", tag)), members, besides: taken, using: &generator)
        }
        #expect(choice("web", all) != nil, "one that has a part already is better than none")
        #expect(choice("db", []) == nil)
    }

    @Test("every choice is equally likely, and does not depend on the members' order")
    func uniform() {
        let members = ["d", "b", "a", "c"].map { member($0, ("r", "web")) }
        let wanted = tags(("r", "web:2"))
        var counts: [String: Int] = [:]
        var generator = PRNG(seed: 1)
        for _ in 0..<6_000 {
            let chosen = TargetSelection.choose(wanted, members, using: &generator)
            #expect(chosen.count == 2 && chosen == chosen.sorted())
            counts[chosen.map(\.text).joined(), default: 0] += 1
        }
        #expect(counts.count == 6)
        #expect(counts.values.allSatisfy { 850..<1_150 ~= $0 })
        var first = PRNG(seed: 9)
        var second = PRNG(seed: 9)
        #expect(
            TargetSelection.choose(wanted, members, using: &first)
                == TargetSelection.choose(wanted, members.reversed(), using: &second))
        var none = PRNG(seed: 9)
        #expect(
            TargetSelection.choose([], members, using: &none).map(\.text) == ["a", "b", "c", "d"])
    }
}
