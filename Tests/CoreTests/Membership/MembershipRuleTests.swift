// The rules of what is believed, one by one.

import Testing

@testable import Core

@Suite struct MembershipRuleTests {
    // MARK: alive

    @Test func onlyAHigherIncarnationIsNews() {
        var bench = MembershipBench()
        bench.alive("a", 5, [MemberTag("v", "1")])
        bench.alive("a", 5, [MemberTag("v", "2")])
        bench.alive("a", 4, [MemberTag("v", "3")])
        #expect(bench.machine.member(NodeName("a"))?.tag("v") == "1")
        bench.alive("a", 6, [MemberTag("v", "4")])
        #expect(bench.machine.member(NodeName("a"))?.tag("v") == "4")
        #expect(bench.events.count == 2)
        bench.alive("b", 0)
        #expect(bench.state("b") == nil)
    }

    @Test func anEqualIncarnationDoesNotEndASuspicion() {
        var bench = MembershipBench()
        bench.alive("a", 5)
        bench.suspect("a", 5)
        bench.alive("a", 5)
        #expect(bench.state("a") == .suspect)
        bench.alive("a", 6)
        #expect(bench.state("a") == .alive)
        #expect(bench.machine.suspicions.isEmpty)
        bench.dead("a", 6)
        bench.alive("a", 6)
        #expect(bench.state("a") == .dead)
        bench.alive("a", 7)
        #expect(bench.state("a") == .alive)
    }

    @Test func versionsThatWouldStopOthersAreRefused() {
        for versions: [UInt8] in [[0, 5, 2, 2, 5, 4], [6, 5, 2, 2, 5, 4]] {
            var bench = MembershipBench()
            bench.hear(
                .alive(
                    GossipAlive(
                        incarnation: 1, node: NodeName("a"), address: MembershipBench.address(2),
                        meta: [],
                        versions: GossipVersions(versions[...])!)))
            #expect(bench.state("a") == nil)
        }
    }

    @Test func anAddressIsFreeWhenItsOwnerIsLongDead() {
        var bench = MembershipBench()
        bench.alive("a", 1, at: 50)
        bench.alive("a", 2, at: 51)
        #expect(bench.machine.member(NodeName("a"))?.address == MembershipBench.address(50))
        #expect(bench.events.contains { if case .conflict = $0 { true } else { false } })
        bench.dead("a", 2)
        bench.alive("a", 3, at: 51)
        #expect(bench.state("a") == .dead)
        bench.pass(.seconds(40))
        bench.alive("a", 3, at: 51)
        #expect(bench.state("a") == .alive)
        #expect(bench.machine.member(NodeName("a"))?.address == MembershipBench.address(51))
        // One that has left is not waited for.
        bench.dead("a", 3, from: "a")
        bench.alive("a", 4, at: 52)
        #expect(bench.machine.member(NodeName("a"))?.address == MembershipBench.address(52))
    }

    @Test func namesAndMembersHaveBounds() {
        var bench = MembershipBench { $0.mostMembers = 10 }
        bench.alive(String(repeating: "x", count: 513), 1)
        bench.alive("", 1)
        bench.alive("a", 1, [MemberTag("a", String(repeating: "x", count: 600))])
        let long = NodeName(String(repeating: "y", count: 513))
        bench.hear(.leave(SerfIntent(time: 9, node: long)))
        #expect(bench.machine.members.count == 1)
        #expect(bench.machine.earlyIntents.isEmpty)
        for number in 0..<50 { bench.alive("node-\(number)", 1) }
        #expect(bench.machine.members.count == 10)
        for number in 0..<10_000 {
            bench.hear(.join(SerfIntent(time: 5, node: NodeName("early-\(number)"))))
        }
        #expect(bench.machine.earlyIntents.count == Membership.mostEarlyIntents)
        bench.machine.checkInvariants()
        bench.pass(.seconds(400))
        #expect(bench.machine.earlyIntents.isEmpty)
    }

    // MARK: ourselves

    @Test func weContradictWhatIsSaidOfUs() {
        var bench = MembershipBench()
        bench.alive("x", 1, at: 77)
        bench.suspect("me", 1)
        #expect(bench.incarnation("me") == 2)
        // To the accuser's face.
        let alive = bench.sent().filter { $0.to == MembershipBench.address(77) }.flatMap(\.messages)
        #expect(
            alive.contains { if case .alive(let me) = $0 { me.incarnation == 2 } else { false } })
        bench.suspect("me", 1)
        #expect(bench.incarnation("me") == 2, "that is contradicted already")
        bench.dead("me", 40)
        #expect(bench.incarnation("me") == 41)
        bench.alive("me", 41, at: 1, [MemberTag("dc", "dc1")])
        #expect(bench.incarnation("me") == 41, "that is what we said")
        bench.alive("me", 41, at: 1, [MemberTag("dc", "other")])
        #expect(bench.incarnation("me") == 42)
        bench.alive("me", 99, at: 1)
        #expect(bench.incarnation("me") == 100)
        #expect(bench.state("me") == .alive)
        #expect(bench.machine.awareness == 4)
        bench.suspect("me", .max)
        #expect(bench.incarnation("me") == .max)
    }

    /// Else it holds us to be suspect until our time is over, though it hears our acks.
    @Test func whomOurWordPassedByHearsItAgain() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.suspect("me", 1)
        #expect(bench.incarnation("me") == 2)
        let awareness = bench.machine.awareness
        for isDead in [false, true] {
            _ = bench.sent()
            if isDead { bench.dead("me", 1, from: "a") } else { bench.suspect("me", 1, from: "a") }
            let told = bench.sent().filter {
                $0.to == MembershipBench.address(Character("a").asciiValue!)
            }
            #expect(
                told.flatMap(\.messages).contains {
                    if case .alive(let me) = $0 { me.incarnation == 2 } else { false }
                })
        }
        #expect(bench.incarnation("me") == 2)
        #expect(bench.machine.awareness == awareness, "we are not the slower for it")
    }

    @Test func tagsHaveALimit() {
        var bench = MembershipBench()
        let long = [MemberTag("a", String(repeating: "x", count: 600))]
        #expect(throws: MemberTagsError(bytes: 607)) {
            try bench.machine.setTags(long, into: &bench.actions)
        }
        #expect(bench.incarnation("me") == 1)
        #expect(throws: Never.self) {
            try bench.machine.setTags([MemberTag("a", "1")], into: &bench.actions)
        }
        #expect(bench.incarnation("me") == 2)
        #expect(throws: Never.self) {
            try bench.machine.setTags([MemberTag("a", "1")], into: &bench.actions)
        }
        #expect(bench.incarnation("me") == 2, "the same tags are no news")
    }

    // MARK: suspect and dead

    @Test func confirmationsShortenASuspicion() {
        var bench = MembershipBench()
        for node in ["a", "b", "c", "d", "e"] { bench.alive(node, 1) }
        bench.suspect("a", 1, from: "b")
        let first = bench.machine.suspicions[NodeName("a")]!.endsAt
        #expect(first - bench.now == .seconds(24))
        bench.suspect("a", 1, from: "b")
        #expect(bench.machine.suspicions[NodeName("a")]!.endsAt == first)
        bench.suspect("a", 1, from: "c")
        let second = bench.machine.suspicions[NodeName("a")]!.endsAt
        #expect(second < first)
        bench.suspect("a", 1, from: "d")
        let third = bench.machine.suspicions[NodeName("a")]!.endsAt
        #expect(third - bench.now == .seconds(4))
        bench.suspect("a", 1, from: "e")
        #expect(bench.machine.suspicions[NodeName("a")]!.endsAt == third)
        bench.pass(.milliseconds(3_999))
        #expect(bench.state("a") == .suspect)
        bench.pass(.milliseconds(1))
        #expect(bench.state("a") == .dead)
        #expect(bench.status("a") == .failed)
    }

    @Test func olderRumoursChangeNothing() {
        var bench = MembershipBench()
        bench.alive("a", 5)
        bench.suspect("a", 4)
        bench.dead("a", 4)
        #expect(bench.state("a") == .alive)
        bench.dead("b", 9)
        #expect(bench.state("b") == nil)
        bench.dead("a", 5)
        bench.suspect("a", 6)
        #expect(bench.state("a") == .dead)
    }

    @Test func aDeadWordOfItsOwnMeansLeft() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.alive("b", 1)
        bench.dead("a", 1, from: "a")
        #expect(bench.state("a") == .left)
        // Without an intent it is a failure all the same.
        #expect(bench.status("a") == .failed)
        bench.hear(.leave(SerfIntent(time: 7, node: NodeName("b"))))
        #expect(bench.status("b") == .leaving)
        bench.dead("b", 1, from: "b")
        #expect(bench.status("b") == .left)
    }

    // MARK: intents

    @Test func aStaleIntentCountsForNothing() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.hear(.join(SerfIntent(time: 10, node: NodeName("a"))))
        bench.hear(.leave(SerfIntent(time: 10, node: NodeName("a"))))
        #expect(bench.status("a") == .alive)
        bench.hear(.leave(SerfIntent(time: 11, node: NodeName("a"))))
        #expect(bench.status("a") == .leaving)
        bench.hear(.join(SerfIntent(time: 12, node: NodeName("a"))))
        #expect(bench.status("a") == .alive)
        #expect(bench.machine.clock.time == 13)
    }

    @Test func anIntentMayComeBeforeItsMember() {
        var bench = MembershipBench()
        bench.hear(.leave(SerfIntent(time: 4, node: NodeName("a"))))
        bench.hear(.join(SerfIntent(time: 3, node: NodeName("a"))))
        bench.alive("a", 1)
        #expect(bench.status("a") == .leaving)
    }

    /// One that is about to leave is held to be gone for a while, or one that was is here again.
    @Test func whoReturnsMeansToLeaveUntilItSaysOtherwise() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.hear(.leave(SerfIntent(time: 5, node: NodeName("a"))))
        bench.dead("a", 1)
        #expect(bench.status("a") == .left)
        bench.alive("a", 2)
        #expect(bench.status("a") == .leaving)
        guard case .state(let state) = bench.machine.serfState() else {
            Issue.record("no state")
            return
        }
        #expect(state.left == [NodeName("a")], "or it would never hear that it has to object")
        bench.hear(.join(SerfIntent(time: 6, node: NodeName("a"))))
        #expect(bench.status("a") == .alive)
        // Of two words that come in the other order the later one counts as well.
        bench.hear(.leave(SerfIntent(time: 7, node: NodeName("a"))))
        bench.dead("a", 2, from: "a")
        bench.hear(.join(SerfIntent(time: 8, node: NodeName("a"))))
        bench.alive("a", 3)
        #expect(bench.status("a") == .alive)
    }

    /// States of others tell that somebody has left, but not since when. However often that is
    /// passed on, the word of one that comes back counts.
    @Test func hearsayOfALeaveDoesNotGrow() {
        func state(of bench: MembershipBench) -> SerfState {
            guard case .state(let state) = bench.machine.serfState() else { return SerfState() }
            return state
        }
        var told = SerfState()
        told.time = 8
        told.statuses = [.init(node: NodeName("a"), time: 7)]
        told.left = [NodeName("a")]
        for _ in 0..<5 {
            var bench = MembershipBench()
            bench.alive("a", 1)
            bench.dead("a", 1)
            bench.machine.mergeSerf(told, at: bench.now, into: &bench.actions)
            bench.machine.mergeSerf(told, at: bench.now, into: &bench.actions)
            #expect(bench.status("a") == .left)
            told = state(of: bench)
            #expect(told.left == [NodeName("a")])
        }
        #expect(told.statuses.first { $0.node.text == "a" }?.time == 7)
        // One whose word comes before the news that it lives is said to have left by nobody.
        var early = MembershipBench()
        early.alive("a", 1)
        early.dead("a", 1)
        early.machine.mergeSerf(told, at: early.now, into: &early.actions)
        early.hear(.join(SerfIntent(time: 8, node: NodeName("a"))))
        #expect(early.status("a") == .left)
        #expect(state(of: early).left.isEmpty)
        early.alive("a", 2)
        #expect(early.status("a") == .alive)
        var bench = MembershipBench()
        bench.machine.mergeSerf(told, at: bench.now, into: &bench.actions)
        bench.alive("a", 2)
        #expect(bench.status("a") == .leaving)
        // Whoever is here hears from this that a later word is needed.
        #expect(state(of: bench).statuses.first { $0.node.text == "a" }?.time == 8)
        bench.hear(.join(SerfIntent(time: 9, node: NodeName("a"))))
        #expect(bench.status("a") == .alive)
        bench.machine.mergeSerf(told, at: bench.now, into: &bench.actions)
        #expect(bench.status("a") == .alive)
        told.statuses = [.init(node: NodeName("a"), time: 9)]
        bench.machine.mergeSerf(told, at: bench.now, into: &bench.actions)
        #expect(bench.status("a") == .leaving)
        #expect(state(of: bench).statuses.first { $0.node.text == "a" }?.time == 10)
    }

    @Test func aFailedMemberCanBeSaidToHaveLeft() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.dead("a", 1)
        #expect(bench.status("a") == .failed)
        bench.hear(.leave(SerfIntent(time: 4, node: NodeName("a"))))
        #expect(bench.status("a") == .left)
        bench.hear(.leave(SerfIntent(time: 5, node: NodeName("a"), isPrune: true)))
        #expect(bench.status("a") == nil)
    }

    @Test func weDoNotLeaveBecauseOthersSaySo() {
        var bench = MembershipBench()
        bench.alive("x", 1)
        bench.hear(.leave(SerfIntent(time: 20, node: NodeName("me"))))
        #expect(bench.status("me") == .alive)
        bench.pass(.seconds(1))
        let intents = Self.intents(&bench)
        #expect(intents.contains(.join(SerfIntent(time: 21, node: NodeName("me")))))
        #expect(!intents.contains { if case .leave = $0 { true } else { false } })
    }

    /// Whoever hears of us again may take the last word of our life before for a leave.
    @Test func aWordOfOurLifeBeforeIsOutdoneByALaterOne() {
        var bench = MembershipBench()
        bench.alive("x", 1)
        bench.hear(.join(SerfIntent(time: 20, node: NodeName("me"))))
        bench.pass(.seconds(1))
        #expect(Self.intents(&bench).contains(.join(SerfIntent(time: 21, node: NodeName("me")))))
        bench.hear(.join(SerfIntent(time: 21, node: NodeName("me"))))
        #expect(bench.machine.peers[NodeName("me")]?.intentTime == 21)
    }

    private static func intents(_ bench: inout MembershipBench) -> [SerfMessage] {
        bench.sent().flatMap(\.messages).compactMap { message in
            if case .user(let bytes) = message { try? SerfMessage(bytes[...]) } else { nil }
        }
    }

    @Test func aLeaveIsLaterThanTheJoinBeforeIt() throws {
        var bench = MembershipBench()
        bench.alive("x", 1)
        let joined = try #require(bench.machine.peers[NodeName("me")]?.intentTime)
        bench.machine.leave(at: bench.now, into: &bench.actions)
        bench.pass(.seconds(1))
        let times = Self.intents(&bench).compactMap { intent in
            if case .leave(let leave) = intent, leave.node == NodeName("me") {
                return leave.time
            }
            return nil
        }
        #expect(!times.isEmpty)
        #expect(times.allSatisfy { $0 > joined })
    }

    /// Others may have something for whoever waits before it goes.
    @Test func whoIsAboutToLeaveIsStillHere() throws {
        var bench = MembershipBench()
        bench.alive("x", 1)
        bench.machine.leave(at: bench.now, isHeld: true, into: &bench.actions)
        let first = try #require(bench.machine.peers[NodeName("me")]?.intentTime)
        bench.suspect("me", 1)
        #expect(bench.incarnation("me") == 2)
        bench.dead("me", 5)
        #expect(bench.incarnation("me") == 6)
        #expect(bench.status("me") == .leaving)
        bench.hear(.leave(SerfIntent(time: first + 9, node: NodeName("x"))))
        bench.pass(.seconds(1))
        #expect(!bench.machine.hasLeft)
        _ = bench.sent()
        // Those who held it for gone hear once more that it leaves, after that it is here.
        bench.machine.release(at: bench.now, into: &bench.actions)
        bench.pass(.seconds(20))
        #expect(bench.machine.hasLeft)
        let last = SerfIntent(time: first + 10, node: NodeName("me"))
        #expect(Self.intents(&bench).contains(.leave(last)))
        #expect(bench.machine.peers[NodeName("me")]?.intentTime == first + 10)
        bench.dead("me", 9)
        #expect(bench.incarnation("me") == 6, "who has gone does not object")
    }

    /// Whoever has lost its name must not take the other with it.
    @Test func aLostNameIsNotTakenAlong() {
        var bench = MembershipBench { config in
            config.identityTag = "id"
            config.tags = [MemberTag("id", "m")]
        }
        bench.alive("x", 1)
        bench.alive("me", 1, at: 99, [MemberTag("id", "a")])
        #expect(bench.events.contains { if case .nameLost = $0 { true } else { false } })
        bench.suspect("me", 1)
        bench.dead("me", 7)
        #expect(bench.incarnation("me") == 1)
        bench.machine.leave(at: bench.now, into: &bench.actions)
        #expect(bench.events.last == .hasLeft)
        bench.pass(.seconds(5))
        #expect(Self.intents(&bench).isEmpty)
    }

    /// Whoever loses its name is told so at the place where it was known.
    @Test func theLoserOfANameIsTold() {
        var bench = MembershipBench { $0.identityTag = "id" }
        bench.alive("x", 1, at: 50, [MemberTag("id", "z")])
        _ = bench.sent()
        bench.alive("x", 1, at: 51, [MemberTag("id", "a")])
        let told = bench.sent().filter { $0.to == MembershipBench.address(50) }
        #expect(told.count == 1)
        #expect(bench.machine.member(NodeName("x"))?.address == MembershipBench.address(51))
    }

    /// Old news of us from before we moved is not another process that is us.
    @Test func aProcessWithOurIdentityIsNoticed() throws {
        let tag = [MemberTag("id", "m")]
        var bench = MembershipBench { config in
            config.identityTag = "id"
            config.tags = tag
        }
        func isDoubled(_ bench: MembershipBench) -> Bool {
            bench.events.contains { if case .doubled = $0 { true } else { false } }
        }
        bench.alive("me", 40, at: 99, tag)
        for _ in 0..<20 { bench.alive("me", 40, at: 99, tag) }
        #expect(!isDoubled(bench))
        for _ in 0..<4 {
            let own = try #require(bench.incarnation("me"))
            bench.alive("me", own + 1, at: 99, tag)
        }
        #expect(isDoubled(bench))
    }

    private static func group(_ name: String) -> [MemberTag] { [MemberTag("group", name)] }

    private static func strangers(_ bench: MembershipBench) -> [String] {
        bench.events.compactMap { if case .stranger(let one) = $0 { one.name.text } else { nil } }
    }

    @Test func aMemberOfAnotherGroupIsNotTakenIn() {
        var bench = MembershipBench { $0.groupTag = "group" }
        bench.alive("a", 1, Self.group("north"))
        bench.alive("b", 1, Self.group("south"))
        bench.alive("c", 1)
        #expect(bench.machine.members.count == 4, "nobody is a stranger to one without a group")
        _ = bench.sent()
        bench.machine.belong(to: "north", into: &bench.actions)
        bench.machine.checkInvariants()
        #expect(Self.strangers(bench) == ["b"])
        let told = bench.sent().map(\.to)
        #expect(told == [MembershipBench.address(98)], "it may forget us, too")
        #expect(bench.status("b") == nil)
        bench.alive("b", 7, Self.group("south"))
        bench.alive("d", 1, Self.group("north"))
        bench.alive("me", 9, at: 77, Self.group("south"))
        #expect(Self.strangers(bench) == ["b", "me"])
        #expect(bench.incarnation("me") == 1)
        #expect(bench.status("d") == .alive)
        // One without a group joins another one later.
        bench.alive("c", 2, Self.group("south"))
        #expect(bench.status("c") == nil)
        // A namesake elsewhere concerns none of ours.
        bench.alive("a", 9, at: 78, Self.group("south"))
        #expect(bench.status("a") == .alive)
        #expect(bench.incarnation("a") == 1)
        bench.machine.checkInvariants()
    }

    @Test func aTimeAtTheEndOfTimeIsRefused() {
        var bench = MembershipBench()
        bench.alive("a", 1)
        bench.hear(.leave(SerfIntent(time: .max, node: NodeName("a"))))
        #expect(bench.status("a") == .alive)
        #expect(bench.machine.clock.time == 1)
    }

    // MARK: hostile packets

    @Test func noBytesStopTheMachine() {
        var bench = MembershipBench()
        bench.alive("x", 1)
        var random = PRNG(seed: 3)
        let seeds = GossipPacketTests.messages.map { $0.encode() }
        for _ in 0..<20_000 {
            var bytes = seeds[random.int(in: 0..<seeds.count)]
            for _ in 0..<random.int(in: 1...4) where !bytes.isEmpty {
                bytes[random.int(in: 0..<bytes.count)] = UInt8(random.int(in: 0...255))
            }
            bench.machine.packet(
                from: MembershipBench.address(9), bytes[...], at: bench.now, into: &bench.actions)
            bench.machine.request(
                1, from: MembershipBench.address(9), bytes[...], at: bench.now, into: &bench.actions
            )
            bench.now = bench.now + .milliseconds(20)
            bench.machine.deadline(at: bench.now, into: &bench.actions)
            bench.actions.removeAll()
        }
        bench.machine.checkInvariants()
    }
}
