// The messages of Serf, which travel as memberlist's user messages: intents to join and to leave,
// ordered by a Lamport clock, and events and queries that are passed on.

/// A logical clock's time (Lamport, 1978).
package typealias LamportTime = UInt64

/// That a node means to join or to leave.
package struct SerfIntent: Hashable, Sendable {
    package var time: LamportTime
    package var node: NodeName
    /// The member is to be forgotten at once. Of a leave only.
    package var isPrune: Bool

    package init(time: LamportTime, node: NodeName, isPrune: Bool = false) {
        self.time = time
        self.node = node
        self.isPrune = isPrune
    }
}

/// A name and a payload for everybody.
package struct SerfEvent: Hashable, Sendable {
    package var time: LamportTime
    package var name: String
    package var payload: [UInt8]
    /// Receivers may merge it with others of its name.
    package var isCoalesced: Bool

    package init(time: LamportTime, name: String, payload: [UInt8], isCoalesced: Bool = false) {
        self.time = time
        self.name = name
        self.payload = payload
        self.isCoalesced = isCoalesced
    }
}

/// A question to everybody, or to those who match all filters.
package struct SerfQuery: Hashable, Sendable {
    package enum Filter: Hashable, Sendable {
        /// One of these.
        case nodes([String])
        /// A tag whose value matches a regular expression.
        case tag(name: String, pattern: String)
        /// Of a kind that came later; nobody matches.
        case unknown
    }

    package var time: LamportTime
    package var id: UInt32
    /// Where answers go.
    package var source: GossipAddress
    package var sourceNode: String
    package var filters: [Filter]
    package var flags: UInt32
    /// Answers also go by so many other nodes.
    package var relayFactor: UInt8
    /// In nanoseconds.
    package var timeout: Int64
    package var name: String
    package var payload: [UInt8]

    package var wantsAck: Bool { flags & 1 != 0 }
    package var isPassedOn: Bool { flags & 2 == 0 }
}

package struct SerfQueryResponse: Hashable, Sendable {
    package var time: LamportTime
    package var id: UInt32
    package var from: NodeName
    /// It only says that the query arrived.
    package var isAck: Bool
    package var payload: [UInt8]

    package init(answering query: SerfQuery, from: NodeName, isAck: Bool, payload: [UInt8]) {
        time = query.time
        id = query.id
        self.from = from
        self.isAck = isAck
        self.payload = payload
    }
}

/// Serf's part of a push/pull.
package struct SerfState: Hashable, Sendable {
    package struct Status: Hashable, Sendable {
        package var node: NodeName
        package var time: LamportTime

        package init(node: NodeName, time: LamportTime) {
            self.node = node
            self.time = time
        }
    }

    package var time: LamportTime = 0
    /// Of each member the time of its last intent, in order of their names.
    package var statuses: [Status] = []
    /// Members that have left.
    package var left: [NodeName] = []
    package var eventTime: LamportTime = 0
    package var events: [SerfEvent] = []
    package var queryTime: LamportTime = 0

    package init() {}
}

/// A member as the answer to a question about a name tells it.
package struct SerfMember: Hashable, Sendable {
    package var name: NodeName
    package var address: GossipAddress
    package var tags: [MemberTag]
    /// As `GossipMember.Status` numbers them.
    package var status: UInt8
    package var versions: GossipVersions

    package init(
        name: NodeName, address: GossipAddress, tags: [MemberTag], status: UInt8,
        versions: GossipVersions
    ) {
        self.name = name
        self.address = address
        self.tags = tags
        self.status = status
        self.versions = versions
    }
}

package enum SerfMessage: Hashable, Sendable {
    case leave(SerfIntent)
    case join(SerfIntent)
    case state(SerfState)
    case event(SerfEvent)
    case query(SerfQuery)
    case queryResponse(SerfQueryResponse)
    /// The payload of an answer to `_serf_conflict`.
    case conflictResponse(SerfMember)
    case keyRequest(key: [UInt8])
    case keyResponse(SerfKeyResponse)
    /// A message to be handed on to somebody else.
    case relay(to: GossipAddress, node: String, message: [UInt8])
}

/// The payload of an answer to a query about keys.
package struct SerfKeyResponse: Hashable, Sendable {
    package var succeeded: Bool
    package var message: String
    /// In base64.
    package var keys: [String]
    package var primaryKey: String

    package init(succeeded: Bool, message: String, keys: [String], primaryKey: String) {
        self.succeeded = succeeded
        self.message = message
        self.keys = keys
        self.primaryKey = primaryKey
    }
}
