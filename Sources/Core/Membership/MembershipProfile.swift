// How patient a node is with the others: memberlist's three profiles, as a table.

package struct MembershipProfile: Hashable, Sendable {
    /// For a whole exchange on a stream.
    package var streamTimeout: Duration
    /// One member is probed in each interval; without an ack after the time-out others are asked.
    package var probeInterval: Duration
    package var probeTimeout: Duration
    /// How many others are asked.
    package var indirectProbes: Int
    /// Of the time until a suspect is declared dead; see `Suspicion`.
    package var suspicionFactor: Int64
    package var suspicionMaxFactor: Int64
    /// How often a rumour is told, times the number of decimal digits of the number of members.
    package var retransmitFactor: Int
    /// Between two exchanges of everything with one random member. Longer in large clusters.
    package var pushPullInterval: Duration
    package var gossipInterval: Duration
    /// Members that rumours are told to in each interval.
    package var gossipNodes: Int
    /// For so long the dead are told rumours, their addresses are theirs, and others hear of them.
    package var gossipToTheDead: Duration

    package static let lan = MembershipProfile(
        streamTimeout: .seconds(10), probeInterval: .seconds(1), probeTimeout: .milliseconds(500),
        indirectProbes: 3, suspicionFactor: 4, suspicionMaxFactor: 6, retransmitFactor: 4,
        pushPullInterval: .seconds(30), gossipInterval: .milliseconds(200), gossipNodes: 3,
        gossipToTheDead: .seconds(30))

    package static let wan = MembershipProfile(
        streamTimeout: .seconds(30), probeInterval: .seconds(5), probeTimeout: .seconds(3),
        indirectProbes: 3, suspicionFactor: 6, suspicionMaxFactor: 6, retransmitFactor: 4,
        pushPullInterval: .seconds(60), gossipInterval: .milliseconds(500), gossipNodes: 4,
        gossipToTheDead: .seconds(60))

    package static let local = MembershipProfile(
        streamTimeout: .seconds(1), probeInterval: .seconds(1), probeTimeout: .milliseconds(200),
        indirectProbes: 1, suspicionFactor: 3, suspicionMaxFactor: 6, retransmitFactor: 2,
        pushPullInterval: .seconds(15), gossipInterval: .milliseconds(100), gossipNodes: 3,
        gossipToTheDead: .seconds(15))

    /// By the name that the settings use; nil for any other.
    package static func named(_ name: String) -> MembershipProfile? {
        switch name {
        case "lan": .lan
        case "wan": .wan
        case "local": .local
        default: nil
        }
    }

    /// How often each rumour is told among `members`.
    func retransmissions(members: Int) -> Int {
        retransmitFactor * String(max(members, 1)).utf8.count
    }

    /// Doubled above 32 members, tripled above 64, and so on: everything is told to a constant
    /// part of a large cluster.
    func pushPullInterval(members: Int) -> Duration {
        guard members > 32 else { return pushPullInterval }
        let doublings = Int.bitWidth - (members - 1).leadingZeroBitCount - 5
        return pushPullInterval * Int64(doublings + 1)
    }
}

/// What a node is in a cluster and how it behaves there.
package struct MembershipConfig: Sendable {
    package var name: NodeName
    /// Where the others reach it.
    package var address: GossipAddress
    /// At most `MemberTags.mostBytes` bytes when encoded.
    package var tags: [MemberTag]
    package var profile: MembershipProfile
    /// A failed member is forgotten after this time.
    package var reconnectTimeout = Duration.hours(24)
    /// So is one that has left.
    package var tombstoneTimeout = Duration.hours(24)
    /// The tag that tells apart two processes of one name: of two different values the lower, which
    /// is the older, keeps the name; equal values are one process that has moved to another
    /// address. Without it, or between members without the tag, whoever is known first keeps it.
    package var identityTag: String?
    /// The tag in which a member names the group that it belongs to, if it belongs to one; see
    /// `Membership.belong`.
    package var groupTag: String?
    /// The most bytes of a packet, before it is sealed.
    package var packetBytes = 1_400
    /// More members than this are not taken in.
    package var mostMembers = 16_384

    package init(
        name: NodeName, address: GossipAddress, tags: [MemberTag] = [],
        profile: MembershipProfile = .lan
    ) {
        self.name = name
        self.address = address
        self.tags = tags
        self.profile = profile
    }
}
