// The messages of memberlist, which spreads what nodes know of each other (Das, Gupta and Motivala:
// SWIM, 2002; Dadgar, Phillips and Currey: Lifeguard, 2017). Byte formats are in `+Coding`.

/// Ranges and current versions of the two protocols that a node speaks, memberlist and, above it,
/// Serf.
package struct GossipVersions: Hashable, Sendable {
    package var protocolMin: UInt8 = 1
    package var protocolMax: UInt8 = 5
    package var protocolCurrent: UInt8 = 2
    package var delegateMin: UInt8 = 2
    package var delegateMax: UInt8 = 5
    package var delegateCurrent: UInt8 = 4

    /// What this program speaks.
    package init() {}

    /// Six bytes; nil for any other number of them.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count == 6 else { return nil }
        let start = bytes.startIndex
        (protocolMin, protocolMax) = (bytes[start], bytes[start + 1])
        (protocolCurrent, delegateMin) = (bytes[start + 2], bytes[start + 3])
        (delegateMax, delegateCurrent) = (bytes[start + 4], bytes[start + 5])
    }

    var bytes: [UInt8] {
        [protocolMin, protocolMax, protocolCurrent, delegateMin, delegateMax, delegateCurrent]
    }

    /// A member with other versions would make every later push/pull of Go nodes fail.
    package var isUsable: Bool { protocolMin > 0 && protocolMin <= protocolMax }
}

/// "Are you there?"
package struct GossipPing: Hashable, Sendable {
    package var sequence: UInt32
    /// Whom it is meant for; empty for whoever gets it.
    package var node: String
    /// Where the ack goes; nil: to where the ping came from.
    package var source: GossipAddress?
    package var sourceNode: String

    package init(
        sequence: UInt32, node: String, source: GossipAddress? = nil, sourceNode: String = ""
    ) {
        self.sequence = sequence
        self.node = node
        self.source = source
        self.sourceNode = sourceNode
    }
}

/// "Ask that node whether it is there, for me."
package struct GossipIndirectPing: Hashable, Sendable {
    /// The sequence number of the one who asks; acks and nacks carry it.
    package var ping: GossipPing
    package var target: GossipAddress
    /// A nack is wanted when the target doesn't answer.
    package var wantsNack: Bool

    package init(_ ping: GossipPing, target: GossipAddress, wantsNack: Bool) {
        self.ping = ping
        self.target = target
        self.wantsNack = wantsNack
    }
}

/// That a node is suspected, or dead, or (when it says so of itself) has left.
package struct GossipRumour: Hashable, Sendable {
    package var incarnation: UInt32
    package var node: NodeName
    package var from: NodeName

    package init(incarnation: UInt32, node: NodeName, from: NodeName) {
        self.incarnation = incarnation
        self.node = node
        self.from = from
    }
}

/// What a node says of itself.
package struct GossipAlive: Hashable, Sendable {
    package var incarnation: UInt32
    package var node: NodeName
    package var address: GossipAddress
    /// Opaque to memberlist; Serf's tags.
    package var meta: [UInt8]
    package var versions: GossipVersions

    package init(
        incarnation: UInt32, node: NodeName, address: GossipAddress, meta: [UInt8],
        versions: GossipVersions = GossipVersions()
    ) {
        self.incarnation = incarnation
        self.node = node
        self.address = address
        self.meta = meta
        self.versions = versions
    }
}

/// One message of a packet.
package enum GossipMessage: Hashable, Sendable {
    case ping(GossipPing)
    case indirectPing(GossipIndirectPing)
    case ack(sequence: UInt32, payload: [UInt8])
    /// The target of an indirect ping does not answer.
    case nack(sequence: UInt32)
    case suspect(GossipRumour)
    case alive(GossipAlive)
    case dead(GossipRumour)
    /// A message of Serf.
    case user([UInt8])
}

/// What a node knows of another, as it tells in a push/pull.
package struct GossipNode: Hashable, Sendable {
    package enum State: UInt8, Sendable {
        case alive, suspect, dead, left
    }
    package var record: GossipAlive
    package var state: State

    package init(_ record: GossipAlive, _ state: State) {
        self.record = record
        self.state = state
    }
}

/// The one message that each side says on a stream.
package enum GossipStreamMessage: Hashable, Sendable {
    case ping(GossipPing)
    case ack(sequence: UInt32, payload: [UInt8])
    case user([UInt8])
    case pushPull(GossipPushPull)
    /// The answer of a node that could not make sense of the request.
    case error(String)
}

/// The first byte of a message.
enum GossipType: UInt8 {
    case ping, indirectPing, ack, suspect, alive, dead, pushPull, compound, user, compressed
    case encrypted, nack, checksum, error
    case label = 244
}
