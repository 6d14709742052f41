// Numbers: time-outs, intervals, and the queue of rumours.

import Glibc
import Testing

@testable import Core

@Suite struct MembershipTableTests {
    @Test func logarithmsAgreeWithTheLibrary() {
        let large = [4_095, 4_096, 65_537, 1_000_000, 1 << 40, (1 << 62) + 1]
        for number in Array(1...2_000) + large {
            let exact = log2(Double(number)) * 65_536
            #expect(abs(Double(Logarithm.base2(UInt64(number))) - exact) < 1.5, "\(number)")
            let decimal = log10(Double(number)) * 65_536
            #expect(abs(Double(Logarithm.base10(UInt64(number))) - decimal) < 2, "\(number)")
        }
    }

    /// max(min, max − log(c+1)/log(k+1) × (max − min)), with min = factor × log₁₀ n × interval.
    @Test func suspicionsLastAsLongAsTheyShould() {
        for (profile, wanted) in [
            (MembershipProfile.lan, 2), (.wan, 4), (.local, 1),
        ] as [(MembershipProfile, Int)] {
            for members in [2, 3, 4, 5, 6, 7, 10, 11, 100, 1_000, 16_000] {
                let interval = Double(profile.probeInterval.nanoseconds) / 1e9
                let shortest =
                    Double(profile.suspicionFactor) * max(1, log10(Double(members))) * interval
                let longest = 6 * shortest
                var suspicion = Suspicion(
                    profile, members: members, from: NodeName("0"), at: .zero)
                let needed = members - 2 < wanted ? 0 : wanted
                for count in 0...6 {
                    if count > 0 {
                        let isNew = suspicion.confirm(from: NodeName("\(count)"))
                        #expect(isNew == (count <= needed))
                    }
                    let isNewAgain = suspicion.confirm(from: NodeName("0"))
                    #expect(!isNewAgain)
                    let counted = min(count, needed)
                    let expected =
                        needed == 0
                        ? shortest
                        : max(
                            shortest,
                            longest - log(Double(counted + 1)) / log(Double(needed + 1))
                                * (longest - shortest))
                    let actual = Double(suspicion.endsAt.nanoseconds) / 1e9
                    #expect(abs(actual - expected) < 0.01, "\(members) members, \(count)")
                }
            }
        }
    }

    @Test func largeClustersTellEverythingLessOften() {
        let lan = MembershipProfile.lan
        for (members, factor) in [
            (1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (129, 4), (1_024, 6),
        ] as [(Int, Int64)] {
            #expect(lan.pushPullInterval(members: members) == .seconds(30) * factor)
        }
        for (members, times) in [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (9_999, 16)] {
            #expect(lan.retransmissions(members: members) == times)
        }
        #expect(MembershipProfile.named("wan") == .wan)
        #expect(MembershipProfile.named("local") == .local)
        #expect(MembershipProfile.named("LAN") == nil)
    }

    // MARK: Rumours

    private func take(
        _ queue: inout BroadcastQueue, room: Int, parts: Int = 255, limit: Int = 3
    ) -> [[UInt8]] {
        var room = room
        var parts = parts
        var taken: [[UInt8]] = []
        queue.take(room: &room, overhead: 2, parts: &parts, limit: limit, into: &taken)
        queue.checkInvariants()
        return taken
    }

    private func rumour(_ byte: UInt8, _ count: Int) -> [UInt8] {
        [UInt8](repeating: byte, count: count)
    }

    @Test func whatWasToldLeastGoesFirstThenTheLongestThenTheNewest() {
        var queue = BroadcastQueue(capacity: 100)
        queue.insert(rumour(1, 20))
        queue.insert(rumour(2, 30))
        queue.insert(rumour(3, 20))
        #expect(take(&queue, room: 1_000).map(\.first) == [2, 3, 1])
        queue.insert(rumour(4, 10))
        #expect(take(&queue, room: 1_000).map(\.first) == [4, 2, 3, 1])
        #expect(take(&queue, room: 40).map(\.first) == [4, 3])
        // The 3 is done after three times, and now so are the others.
        #expect(take(&queue, room: 1_000).map(\.first) == [2, 1, 4])
        #expect(queue.isEmpty)
    }

    @Test func newsReplacesOlderNewsOfTheSameNode() {
        var queue = BroadcastQueue(capacity: 100)
        queue.insert(rumour(1, 20), about: NodeName("a"))
        queue.insert(rumour(2, 20), about: NodeName("b"))
        queue.insert(rumour(3, 10), about: NodeName("a"))
        #expect(queue.count == 2)
        #expect(take(&queue, room: 1_000, limit: 1).map(\.first) == [2, 3])
        #expect(!queue.contains(NodeName("a")))
    }

    @Test func aQueueHasABound() {
        var queue = BroadcastQueue(capacity: 5)
        for number in 0..<100 as Range<UInt8> {
            queue.insert(rumour(number, 10), about: NodeName("\(number)"))
            queue.checkInvariants()
        }
        #expect(queue.count == 5)
        #expect(take(&queue, room: 1_000, parts: 2).map(\.first) == [99, 98])
    }
}
