// What a cluster promises about its members, on networks of many nodes in virtual time.

import Testing

@testable import Core

private func name(_ number: Int) -> NodeName { GossipNetwork.name(number) }

@Suite struct MembershipNetworkTests {
    @Test(arguments: [2, 3, 10, 50])
    func nodesFindEachOther(count: Int) throws {
        var network = GossipNetwork(seed: UInt64(count))
        network.cluster(of: count)
        #expect(network.run(atMost: .seconds(30)) { $0.isWhole } != nil)
        for node in network.nodes {
            let tags = node.machine.members.map { $0.tag("number") }
            #expect(Set(tags).count == count)
            let joins = node.events.compactMap { $0.event.joinedMember?.name }
            #expect(
                joins.sorted() == (0..<count).map(name).filter { $0 != node.machine.name }.sorted())
        }
        network.checkInvariants()
    }

    /// G1 and G2: nobody believes anything about a node that it did not say, and what is believed
    /// never gets older.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func incarnationsGrowAndAreTheirOwners(seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.weather.loss = 200
        network.weather.doubled = 300
        network.cluster(of: 8)
        var known: [[UInt32]] = Array(repeating: Array(repeating: 0, count: 8), count: 8)
        for round in 0..<600 {
            network.run(.milliseconds(100))
            if round % 100 == 50 { network.sides[round / 100] = 1 }
            if round % 100 == 80 { network.sides = Array(repeating: 0, count: 8) }
            for observer in 0..<8 {
                for number in 0..<8 {
                    guard let peer = network.nodes[observer].machine.peers[name(number)] else {
                        continue
                    }
                    let own = network.nodes[number].machine.peers[name(number)]
                    #expect(peer.record.incarnation >= known[observer][number])
                    #expect(peer.record.incarnation <= own?.record.incarnation ?? 0)
                    known[observer][number] = peer.record.incarnation
                }
            }
        }
        network.checkInvariants()
        #expect(known[0].contains { $0 > 1 }, "nobody ever had to contradict")
    }

    /// G3: whoever is down is failed everywhere within the time of two rounds of probes and of the
    /// longest suspicion; and nobody is declared dead before the shortest is over.
    @Test(arguments: [3, 10, 50])
    func whoeverIsDownIsFailedInTime(count: Int) throws {
        var network = GossipNetwork(seed: 7)
        network.cluster(of: count)
        network.run(.seconds(30))
        network.crash(1)
        let start = network.now
        let profile = MembershipProfile.lan
        let shortest = Suspicion.shortest(profile, members: count)
        let bound =
            profile.probeInterval * Int64(2 * count)
            + shortest * profile.suspicionMaxFactor + .seconds(2)
        #expect(network.run(atMost: bound) { $0.allSee(1, as: .failed) } != nil)
        for node in network.nodes where node.isUp {
            let failures = node.events.filter { $0.event.failedMember != nil }
            #expect(failures.map { $0.event.failedMember?.name } == [name(1)])
            #expect(failures.allSatisfy { $0.at - start >= shortest })
        }
    }

    /// G4: with some loss and nobody paused, nobody who lives is declared dead.
    @Test(arguments: 1...2 as ClosedRange<UInt64>)
    func nobodyIsDeclaredDeadInCalm(seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.weather.loss = 50
        network.cluster(of: 20)
        network.run(.seconds(300))
        #expect(network.nodes.allSatisfy { !$0.events.contains { $0.event.failedMember != nil } })
        #expect(network.isWhole)
    }

    /// A node that is cut off for a moment is suspected, contradicts, and is nobody's failure.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func aSuspectContradicts(seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.cluster(of: 10)
        network.run(.seconds(30))
        network.sides[3] = 1
        let suspected = network.run(atMost: .seconds(20)) { network in
            network.nodes.contains { $0.machine.suspicions.contains(name(3)) }
        }
        #expect(suspected != nil)
        network.sides[3] = 0
        network.run(.seconds(20))
        #expect(network.told(\.failedMember, of: 3) == 0)
        #expect(network.isWhole)
        #expect(network.nodes[0].machine.peers[name(3)]?.record.incarnation ?? 0 > 1)
        #expect(network.nodes.allSatisfy { $0.machine.suspicions.isEmpty })
    }

    /// G5: two halves that could not see each other find back, however long it took.
    @Test(arguments: [(5, 1), (60, 2), (600, 3)] as [(Int64, UInt64)])
    func halvesFindBack(seconds: Int64, seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.cluster(of: 12)
        network.run(.seconds(10))
        for number in 0..<5 { network.sides[number] = 1 }
        network.run(.seconds(seconds))
        if seconds > 30 {
            #expect(network.allSee(0, as: .failed) == false)
            #expect((5..<12).allSatisfy { network.status(of: 0, at: $0) == .failed })
            #expect((5..<12).allSatisfy { network.status(of: 6, at: $0) == .alive })
        }
        for number in 0..<5 { network.sides[number] = 0 }
        #expect(network.run(atMost: .seconds(150)) { $0.isWhole } != nil)
        network.checkInvariants()
    }

    /// G6: whoever says goodbye has left and is nobody's failure.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aLeaveIsALeaveEverywhere(seed: UInt64) throws {
        var network = GossipNetwork(seed: seed)
        network.weather.loss = seed > 3 ? 100 : 0
        network.cluster(of: 9)
        network.run(.seconds(20))
        network.with(4) { $0.leave(at: $1, into: &$2) }
        let start = network.now
        #expect(network.run(atMost: .seconds(15)) { $0.allSee(4, as: .left) } != nil)
        network.run(.seconds(60))
        #expect(network.allSee(4, as: .left))
        #expect(network.told(\.leftMember, of: 4) == 8)
        #expect(network.told(\.failedMember, of: 4) == 0)
        let ended = try #require(network.nodes[4].events.last)
        #expect(ended.event == .hasLeft)
        #expect(ended.at - start <= .seconds(11))
        #expect(network.nodes[4].machine.nextDeadline == nil)
        // And it may come back.
        network.restart(4)
        network.join(4, 0)
        #expect(network.run(atMost: .seconds(20)) { $0.isWhole } != nil)
        network.checkInvariants()
    }

    @Test func aNodeThatIsAloneLeavesAtOnce() {
        var network = GossipNetwork(seed: 1)
        network.add()
        #expect(network.nodes[0].machine.nextDeadline == nil, "nothing to do alone")
        network.with(0) { $0.leave(at: $1, into: &$2) }
        #expect(network.nodes[0].events.map(\.event) == [.hasLeft])
    }

    /// G7: of two nodes of one name the one with the older identity keeps it, wherever each of them
    /// was heard of first.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func theOlderOfTwoNodesKeepsTheName(seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.cluster(of: 6) { config in
            config.identityTag = "id"
            config.tags.append(MemberTag("id", "m"))
        }
        network.run(.seconds(5))
        let isOlder = seed % 2 == 0
        let twin = network.add { config in
            config.name = name(3)
            config.identityTag = "id"
            config.tags = [MemberTag("id", isOlder ? "a" : "z")]
        }
        network.join(twin, 1)
        network.run(.seconds(60))
        let winner = isOlder ? twin : 3
        let loser = isOlder ? 3 : twin
        for (number, node) in network.nodes.enumerated() where number != loser {
            #expect(node.machine.member(name(3))?.address == network.nodes[winner].address)
            #expect(node.machine.member(name(3))?.status == .alive)
        }
        let losses = network.nodes.map { node in
            node.events.count { if case .nameLost = $0.event { true } else { false } }
        }
        #expect(losses == network.nodes.indices.map { $0 == loser ? 1 : 0 })
        // No flapping: each of the others has changed its mind at most once, and not lately.
        let late = network.now + .nanoseconds(-30_000_000_000)
        for (number, node) in network.nodes.enumerated() where number != loser {
            let changes = node.events.filter { event in
                if case .updated = event.event { true } else { false }
            }
            #expect(changes.count <= 1)
            #expect(changes.allSatisfy { $0.at < late })
        }
        #expect(network.told(\.failedMember, of: 3) == 0)
    }

    /// Without identities the one that is known keeps the name, as in memberlist, and lives on.
    @Test func aNameWithoutIdentityStaysWhereItWas() {
        var network = GossipNetwork(seed: 2)
        network.cluster(of: 5)
        network.run(.seconds(5))
        let twin = network.add { $0.name = name(3) }
        network.join(twin, 1)
        network.run(.seconds(60))
        for number in 0..<5 {
            let member = network.nodes[number].machine.member(name(3))
            #expect(member?.address == GossipNetwork.address(3))
            #expect(member?.status == .alive)
        }
        #expect(
            network.nodes.contains { node in
                node.events.contains { if case .conflict = $0.event { true } else { false } }
            })
    }

    /// A node with an identity may come back at another address, at once.
    @Test func aNodeMovesToAnotherAddress() {
        var network = GossipNetwork(seed: 3)
        network.cluster(of: 6) { config in
            config.identityTag = "id"
            config.tags.append(MemberTag("id", config.name.text))
        }
        network.run(.seconds(10))
        network.crash(2)
        network.restart(2) { $0.address = GossipNetwork.address(200) }
        network.join(2, 0)
        #expect(network.run(atMost: .seconds(20)) { $0.isWhole } != nil)
        #expect(
            network.nodes[5].machine.member(name(2))?.address == GossipNetwork.address(200))
        #expect(network.told(\.failedMember, of: 2) == 0)
    }

    /// G8: whoever is gone for long is forgotten, once, and old packets do not bring it back.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func theForgottenStayForgotten(seed: UInt64) {
        var network = GossipNetwork(seed: seed)
        network.weather.doubled = 300
        network.cluster(of: 6) { $0.reconnectTimeout = .seconds(60) }
        network.run(.seconds(20))
        guard let old = network.nodes[0].machine.peers[name(5)]?.record else { return }
        network.crash(5)
        network.run(.seconds(50))
        #expect(network.allSee(5, as: .failed))
        // Its memory is free, and still an old word of it counts for nothing.
        let packet = GossipMessage.alive(old).encode()
        let source = network.nodes[1].address
        network.with(0) { $0.packet(from: source, packet[...], at: $1, into: &$2) }
        network.run(.seconds(5))
        #expect(network.allSee(5, as: .failed))
        network.run(.seconds(60))
        #expect(network.allSee(5, as: nil))
        #expect(network.told(\.joinedMember, of: 5) == 5)
        #expect(network.told(\.failedMember, of: 5) == 5)
        #expect(network.told(\.reapedMember, of: 5) == 5)
        network.checkInvariants()
    }

    /// One that comes back long after it was given up, and knows nobody, is believed at once.
    @Test func aForgottenNodeIsBelievedWhenItLives() {
        var network = GossipNetwork(seed: 4)
        network.cluster(of: 5)
        network.run(.seconds(10))
        network.crash(4)
        network.run(.seconds(120))
        network.restart(4) { $0.tags = [MemberTag("dc", "dc2")] }
        network.join(4, 2)
        #expect(network.run(atMost: .seconds(10)) { $0.isWhole } != nil)
        #expect(network.nodes[0].machine.member(name(4))?.tag("dc") == "dc2")
    }

    @Test func aQuickRestartIsAnUpdate() {
        var network = GossipNetwork(seed: 5)
        network.cluster(of: 5)
        network.run(.seconds(10))
        network.crash(4)
        network.restart(4) { $0.tags = [MemberTag("version", "2")] }
        network.join(4, 0)
        #expect(network.run(atMost: .seconds(10)) { $0.isWhole } != nil)
        #expect(network.nodes[1].machine.member(name(4))?.tags == [MemberTag("version", "2")])
        #expect(network.told(\.failedMember, of: 4) == 0)
    }

    @Test func newTagsAreSeenEverywhere() throws {
        var network = GossipNetwork(seed: 6)
        network.cluster(of: 30)
        network.run(.seconds(20))
        let tags = [MemberTag("a", "1"), MemberTag("b", "2")]
        network.with(7) { machine, _, actions in try? machine.setTags(tags, into: &actions) }
        let time = network.run(atMost: .seconds(5)) { network in
            network.nodes.allSatisfy { $0.machine.member(name(7))?.tags == tags }
        }
        #expect(time != nil)
    }

    /// A failed member that is expelled has left, everywhere; pruned, it is forgotten.
    @Test(arguments: [false, true])
    func whoeverIsExpelledHasLeft(prune: Bool) {
        var network = GossipNetwork(seed: 8)
        network.cluster(of: 7)
        network.run(.seconds(10))
        network.crash(6)
        network.run(.seconds(60))
        network.with(0) { $0.expel(name(6), prune: prune, at: $1, into: &$2) }
        network.run(.seconds(5))
        #expect(network.allSee(6, as: prune ? nil : .left))
        #expect(network.told(\.leftMember, of: 6) == 6)
        network.checkInvariants()
    }

    /// Churn: nodes crash, come back, leave; packets are lost and doubled. All tables stay within
    /// their bounds, and when it is over everybody agrees.
    @Test func fiftyNodesInBadWeather() {
        var network = GossipNetwork(seed: 1)
        var random = PRNG(seed: 1)
        network.weather.loss = 100
        network.weather.doubled = 100
        network.cluster(of: 50)
        var leaving: [Int] = []
        for _ in 0..<40 {
            network.run(.seconds(5))
            let number = random.int(in: 1..<50)
            if leaving.contains(number) { continue }
            if !network.nodes[number].isUp {
                network.restart(number)
                network.join(number, 0)
            } else if random.chance(1, 8) {
                leaving.append(number)
                network.with(number) { $0.leave(at: $1, into: &$2) }
            } else {
                network.crash(number)
            }
            network.checkInvariants()
        }
        network.weather.loss = 0
        for number in leaving { network.crash(number) }
        // The first node has seen it all.
        let wanted = network.nodes.enumerated().map { number, node in
            leaving.contains(number) ? GossipMember.Status.left : node.isUp ? .alive : .failed
        }
        let time = network.run(atMost: .seconds(200)) { network in
            network.isConverged
                && wanted.indices.allSatisfy { network.status(of: $0, at: 0) == wanted[$0] }
        }
        #expect(time != nil)
        network.run(.seconds(60))
        #expect(network.nodes.allSatisfy { !$0.isUp || !$0.machine.hasRumours })
    }

    /// Equal seeds, equal worlds.
    @Test func aRunIsDecidedByItsSeed() {
        func run() -> (Int, Int, [[MembershipEvent]]) {
            var network = GossipNetwork(seed: 11)
            network.weather.loss = 100
            network.cluster(of: 10)
            network.run(.seconds(30))
            network.crash(2)
            network.run(.seconds(30))
            return (
                network.packetCount, network.packetBytes,
                network.nodes.map { $0.events.map(\.event) }
            )
        }
        let (first, second) = (run(), run())
        #expect(first == second)
    }

    /// Calm costs a constant amount per node: a ping, an ack, now and then a stream.
    @Test func calmIsCheap() {
        var network = GossipNetwork(seed: 12)
        network.cluster(of: 50)
        network.run(.seconds(60))
        let before = (network.packetCount, network.stepCount)
        network.run(.seconds(60))
        let nodeSeconds = 60 * 50
        #expect(network.packetCount - before.0 < 3 * nodeSeconds)
        #expect(network.stepCount - before.1 < 5 * nodeSeconds)
    }
}
