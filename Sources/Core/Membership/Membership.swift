// Who is there. Every node runs this: it probes the others one by one, has those that do not answer
// probed by others, suspects them, and declares them dead when nobody objects; it tells rumours to
// a few random members at a time, and now and then exchanges everything with one. The protocol is
// that of memberlist and, above it, of Serf, so their nodes are members like ours.
//
//   packet ─────────► messages ─► merge rules ─► events, rumours
//   exchange … ─────► push/pull ─────┘                 │
//   deadline ─► probe · suspicion · gossip ◄───────────┘
//
// Invariants: only a node itself raises its incarnation; news of an incarnation below the known one
// changes nothing; each accepted change is told on; a node hears of its own death only by name and
// then contradicts.
//
// A value without clock, socket or key: packets and streams are plain here, the adapter seals them.

/// Names an exchange that we begin; never used twice.
package typealias GossipExchange = UInt64
/// Names an exchange that somebody else began; the adapter's numbers.
package typealias GossipRequest = UInt64

package struct Membership: Sendable {
    package enum Action: Hashable, Sendable {
        /// One packet; it may be lost.
        case send(to: GossipAddress, [UInt8])
        /// Connect, send the message, receive one: ends with `exchangeAnswered` or
        /// `exchangeFailed`, unless it is closed before.
        case open(GossipExchange, to: GossipAddress, [UInt8])
        /// Nothing more is heard of it.
        case close(GossipExchange)
        /// The answer to a request; the connection ends behind it.
        case answer(GossipRequest, [UInt8])
        /// The request gets no answer; the connection ends.
        case drop(GossipRequest)
        /// Do it to the key ring; then `keysAnswered`.
        case keys(GossipKeyRequest)
        case event(MembershipEvent)
        case log(LogRecord)
    }

    /// What is known of a member, ourselves included.
    struct Peer: Sendable {
        /// As it last spoke of itself.
        var record: GossipAlive
        var tags: [MemberTag]
        /// What memberlist says of it.
        var state: GossipNode.State
        /// When `state` came about.
        var changedAt: Instant
        /// What Serf says of it: a death after an intent to leave is a leave.
        var status: GossipMember.Status
        /// The time of its last intent.
        var intentTime: LamportTime
        /// It has left, and its last word is a later one: that it is here again.
        var hasComeBack = false
        /// It is in `ring`.
        var isInRing = false

        var isGone: Bool { state == .dead || state == .left }

        /// Gone for so long that others are no longer told of it, and its address is free.
        func isForgotten(_ profile: MembershipProfile, at now: Instant) -> Bool {
            isGone && now - changedAt > profile.gossipToTheDead
        }

        var member: GossipMember {
            GossipMember(
                name: record.node, address: record.address, tags: tags, status: status,
                versions: record.versions)
        }
    }

    /// How far a leave has come.
    enum Life: Sendable {
        case running
        /// The others are told that we mean to leave.
        case announcing(until: Instant)
        /// The others are told that we are gone.
        case parting(until: Instant)
        /// What was told spreads among them, and we still answer.
        case lingering(until: Instant)
        case left
    }

    /// Something to look at when its time comes. Never updated: what is outdated is passed over.
    struct Look: Comparable, Sendable {
        enum Kind: Hashable, Sendable {
            case suspicion(NodeName)
            case relay(UInt32)
            case exchange(GossipExchange)
        }
        var at: Instant
        /// Of looks of one time the first that was asked for comes first.
        var number: UInt64
        var kind: Kind

        static func < (a: Look, b: Look) -> Bool { (a.at, a.number) < (b.at, b.number) }
        static func == (a: Look, b: Look) -> Bool { a.number == b.number }
    }

    package let config: MembershipConfig
    var random: PRNG
    var life = Life.running
    /// The others know that we mean to leave, and we stay until `release`.
    var isHeld = false
    /// Somebody had to be told that we are still here since we said that we mean to leave.
    var isDoubted = false
    /// Somebody with an older claim has our name.
    var isNameLost = false
    /// How often somebody with our identity has contradicted us from another address, and when
    /// last.
    var contradictions: (count: Int, at: Instant) = (0, .zero)
    /// Members of other groups are strangers; nil as long as we belong to none.
    var group: String?

    var peers = SortedMap<NodeName, Peer>()
    /// The members that are probed and told rumours, in the order of probing; without ourselves.
    var ring: [NodeName] = []
    var ringPosition = 0
    /// Members that are failed or left.
    var goneCount = 0

    /// 0, when all is well here, to 7: how much longer probes take because we seem to be slow.
    var awareness = 0
    var sequence: UInt32 = 0
    var probe: Probe?
    var nextProbeAt = Instant.distantFuture
    /// Pings that we sent for others, by our sequence numbers.
    var relays = SortedMap<UInt32, Relay>()
    var suspicions = SortedMap<NodeName, Suspicion>()
    var looks = MinHeap<Look>()
    var nextLook: UInt64 = 1

    var rumours: BroadcastQueue
    var intents: BroadcastQueue
    var queries = BroadcastQueue(capacity: Self.mostPassedOn)
    var events = BroadcastQueue(capacity: Self.mostPassedOn)
    var lastGossipAt: Instant

    var exchanges = SortedMap<GossipExchange, Exchange>()
    var nextExchange: GossipExchange = 1
    var merges = RingBuffer<Merge>()
    var joins = SortedMap<UInt64, Join>()
    var nextJoin: UInt64 = 1
    var nextPushPullAt = Instant.distantFuture

    var clock = LamportClock()
    var passedEvents = PassedOn()
    var passedQueries = PassedOn()
    /// Intents of nodes that are not members yet.
    var earlyIntents = SortedMap<NodeName, EarlyIntent>()
    var nextReapAt: Instant
    var nextReconnectAt: Instant
    var warnedAt: Instant?
    var conflictToldAt: Instant?

    /// A node that knows nobody.
    /// - Throws: if the tags take too many bytes.
    package init(
        _ config: MembershipConfig, seed: Seed, at now: Instant
    ) throws(MemberTagsError) {
        let meta = try Self.meta(config.tags)
        self.config = config
        random = PRNG(seed: seed)
        rumours = BroadcastQueue(capacity: config.mostMembers)
        intents = BroadcastQueue(capacity: config.mostMembers)
        lastGossipAt = now
        nextReapAt = now + Self.reapInterval
        nextReconnectAt = now + Self.reconnectInterval
        let record = GossipAlive(
            incarnation: 1, node: config.name, address: config.address, meta: meta)
        peers[config.name] = Peer(
            record: record, tags: Self.tags(of: record), state: .alive, changedAt: now,
            status: .alive, intentTime: clock.time)
    }

    // MARK: Queries

    package var name: NodeName { config.name }

    /// Every member that is not forgotten, ourselves included, in order of their names. O(n).
    package var members: [GossipMember] { peers.map { $0.value.member } }

    package func member(_ name: NodeName) -> GossipMember? { peers[name]?.member }

    /// What is believed of one member, as judges compare it.
    package struct Belief: Hashable, Sendable {
        package var name: NodeName
        package var incarnation: UInt32
        package var state: GossipNode.State
        package var status: GossipMember.Status
    }

    /// Every member that is not forgotten, in order of their names. O(n).
    package var beliefs: [Belief] {
        peers.map { name, peer in
            Belief(
                name: name, incarnation: peer.record.incarnation, state: peer.state,
                status: peer.status)
        }
    }

    /// How often we had to contradict, and one.
    package var ownIncarnation: UInt32 { peers[name]?.record.incarnation ?? 0 }

    /// Ourselves and all others, dead ones included until nobody is told of them any more.
    var knownCount: Int { ring.count + 1 }

    /// When `deadline` has something to do if nothing else happens before; a moment that is over
    /// for what can be done at once.
    package var nextDeadline: Instant? {
        var next = looks.first?.at ?? .distantFuture
        switch life {
        case .running: break
        case .announcing(let until):
            if !isHeld { next = min(next, intents.contains(name) ? until : lastGossipAt) }
        case .parting(let until): next = min(next, rumours.contains(name) ? until : lastGossipAt)
        case .lingering(let until): next = min(next, until)
        case .left: return nil
        }
        if !merges.isEmpty { next = min(next, lastGossipAt) }
        if let probe { next = min(next, probe.nextStepAt) }
        if !ring.isEmpty {
            if probe == nil { next = min(next, nextProbeAt) }
            next = min(next, nextPushPullAt)
            if hasRumours { next = min(next, lastGossipAt + config.profile.gossipInterval) }
        }
        if goneCount > 0 { next = min(next, nextReconnectAt) }
        if goneCount > 0 || !earlyIntents.isEmpty { next = min(next, nextReapAt) }
        return next == .distantFuture ? nil : next
    }

    // MARK: Time

    /// Does what is due. Early, late and repeated calls are harmless.
    package mutating func deadline(at now: Instant, into actions: inout [Action]) {
        guard !hasLeft else { return }
        while let look = looks.first, look.at <= now {
            _ = looks.popFirst()
            switch look.kind {
            case .suspicion(let name): expireSuspicion(of: name, at: now, into: &actions)
            case .relay(let sequence): expireRelay(sequence, at: now, into: &actions)
            case .exchange(let number): expireExchange(number, at: now, into: &actions)
            }
        }
        stepMerges(at: now, into: &actions)
        stepProbe(at: now, into: &actions)
        if !ring.isEmpty {
            if now >= nextPushPullAt { beginPushPull(at: now, into: &actions) }
            if hasRumours, now >= lastGossipAt + config.profile.gossipInterval {
                gossip(at: now, into: &actions)
            }
        }
        if now >= nextReconnectAt { reconnect(at: now, into: &actions) }
        if now >= nextReapAt { reap(at: now, into: &actions) }
        stepLife(at: now, into: &actions)
    }

    mutating func look(at instant: Instant, _ kind: Look.Kind) {
        looks.insert(Look(at: instant, number: nextLook, kind: kind))
        nextLook += 1
    }

    // MARK: Packets

    /// Takes a plain packet.
    package mutating func packet(
        from source: GossipAddress, _ bytes: ArraySlice<UInt8>, at now: Instant,
        into actions: inout [Action]
    ) {
        guard !hasLeft else { return }
        let packet = GossipPacket(bytes)
        if let problem = packet.problems.first {
            complain("a packet can't be read", problem, from: source, at: now, into: &actions)
        }
        for message in packet.messages {
            receive(message, from: source, at: now, into: &actions)
        }
    }

    private mutating func receive(
        _ message: GossipMessage, from source: GossipAddress, at now: Instant,
        into actions: inout [Action]
    ) {
        switch message {
        case .ping(let ping): answer(ping, from: source, at: now, into: &actions)
        case .indirectPing(let request):
            relay(request, from: source, at: now, into: &actions)
        case .ack(let sequence, _): receiveAck(sequence, at: now, into: &actions)
        case .nack(let sequence): receiveNack(sequence)
        case .suspect(let rumour): suspect(rumour, at: now, into: &actions)
        case .alive(let record): alive(record, at: now, into: &actions)
        case .dead(let rumour): dead(rumour, at: now, into: &actions)
        case .user(let bytes): receiveSerf(bytes, from: source, at: now, into: &actions)
        }
    }

    /// Logs what somebody sent that makes no sense.
    mutating func complain(
        _ what: String, _ error: ByteError, from source: GossipAddress, at now: Instant,
        into actions: inout [Action]
    ) {
        let fields = [
            LogRecord.Field("from", source.description),
            LogRecord.Field("error", error.description),
        ]
        warn("gossip: \(what)", fields, at: now, into: &actions)
    }

    /// Logs at most once in ten seconds: what others do wrong they may do a thousand times.
    mutating func warn(
        _ message: String, _ fields: [LogRecord.Field], at now: Instant,
        into actions: inout [Action]
    ) {
        if let last = warnedAt, now - last < Self.warningInterval { return }
        warnedAt = now
        actions.append(.log(LogRecord(.warning, message, fields)))
    }

    // MARK: Constants

    static let mostAwareness = 7
    static let reapInterval = Duration.seconds(15)
    static let reconnectInterval = Duration.seconds(30)
    /// For so long an intent of a node that is not a member is remembered.
    static let earlyIntentLife = Duration.minutes(5)
    static let mostEarlyIntents = 4_096
    /// How long a leave waits for its rumour to be told often enough, twice.
    static let broadcastTimeout = Duration.seconds(5)
    /// How long it waits for the others to tell it on.
    static let propagation = Duration.seconds(1)
    static let mostPassedOn = 512
    static let mostRelays = 1_024
    static let mostExchanges = 128
    static let mostMerges = 8
    /// Members of others' states that are merged in one step: about a millisecond.
    static let mergeSlice = 250
    static let warningInterval = Duration.seconds(10)
    /// What was said of us before we moved here comes back once or twice; another process goes on.
    static let mostContradictions = 5
    /// Nodes with longer names are not taken in.
    static let mostNameBytes = 512
}

/// Tags that do not fit into a member's record.
package struct MemberTagsError: Error, Hashable, Sendable, CustomStringConvertible {
    package var bytes: Int

    package var description: String {
        "the tags take \(bytes) bytes and may take \(MemberTags.mostBytes): every packet about "
            + "this node carries them"
    }
}
