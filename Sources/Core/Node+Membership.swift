// Who is there, as gossip tells it: members, the addresses of peers, and what each says of itself.

/// Asking others to take this node in.
struct Joining {
    /// The first attempts follow each other quickly: nodes are often started together.
    static let firstWait = Duration.seconds(1)

    var nextAttempt = Instant.distantFuture
    var wait = Joining.firstWait
    var attempts = 0
    /// Names whose addresses are being looked up, and addresses found so far.
    var unresolved: [JoinAddress] = []
    var addresses: [GossipAddress] = []
    /// Why the last attempt reached nobody.
    var problems: [String] = []
    /// Of another cluster, as the last attempt showed.
    var stranger: GossipMember?
    /// Nobody was there when the last attempt began.
    var beganAlone = false
    /// Nothing has to be asked any more; see `Node.isSettled`.
    var isDone = false
    /// There was somebody once, so that giving up ends nothing any more.
    var hasJoined = false
}

extension Node {
    /// The tags of gossip that tell our nodes from others: the identity of the data directory, and
    /// that of the cluster, once it is known.
    static var idTag: String { "dkron_id" }
    static var clusterTag: String { "dkron_cluster" }

    // MARK: Start

    mutating func beginMembership(_ out: inout Outbox) {
        guard let settings = config.gossip, let ip = IPAddress(text: config.gossipAddress) else {
            return
        }
        var own = MembershipConfig(
            name: config.nodeName, address: GossipAddress(ip, config.gossipPort),
            tags: gossipTags, profile: settings.profile)
        own.reconnectTimeout = settings.reconnectTimeout
        own.packetBytes -= settings.sealBytes
        own.identityTag = Self.idTag
        own.groupTag = Self.clusterTag
        own.groupScope = MemberTag("region", config.region)
        var random = random.split(label: "membership")
        let seed = random.next()
        do throws(MemberTagsError) {
            membership = try Membership(own, seed: seed, at: now.monotonic)
        } catch {
            halt("\(error); give this node fewer or shorter tags", &out)
        }
    }

    /// Once the data directory is read: who knows its cluster must not meet others as a stranger
    /// to every one.
    mutating func beginJoining() {
        if membership != nil, config.joinsOthers { joining.nextAttempt = now.monotonic }
    }

    /// This node's own tags as gossip carries them.
    private var gossipTags: [MemberTag] {
        guard let own = member(named: config.nodeName) else { return [] }
        var tags = own.tags.filter { $0.name != "role" || $0.value != Member.standardRole }
            .map { MemberTag($0.name, $0.value) }
        tags.append(MemberTag(Self.idTag, Hexadecimal.text(ofIdentity: config.dataID)))
        if let clusterID { tags.append(MemberTag(Self.clusterTag, clusterID)) }
        if config.featureLevel > FeatureLevel.first {
            tags.append(MemberTag(Self.levelTag, "\(config.featureLevel)"))
        }
        return tags
    }

    /// Tells the others what has changed about this node.
    mutating func tellOwnTags(_ out: inout Outbox) {
        let tags = gossipTags
        var problem: MemberTagsError?
        withMembership(&out) { membership, actions in
            do throws(MemberTagsError) {
                try membership.setTags(tags, into: &actions)
            } catch {
                problem = error
            }
        }
        if let problem { out.log(.error, "the other nodes keep the tags from before: \(problem)") }
    }

    // MARK: Belonging

    /// What is in the log tells the cluster. A start has to know it before anything is committed.
    mutating func belongToCluster(_ out: inout Outbox) {
        let cluster = store.cluster
        belong(to: cluster.clusterID, &out)
        reportOtherZone(&out)
        guard cluster.featureLevel >= FeatureLevel.second, phase != .recovering(.logs) else {
            return
        }
        withRaft(&out) { $0.remember(cluster: cluster.clusterID, into: &$1) }
    }

    /// The cluster is known: of others nothing is wanted.
    mutating func belong(to cluster: String, _ out: inout Outbox) {
        guard !cluster.isEmpty,
            clusterID.map({ ClusterSuccession.isSuccessor(cluster, of: $0) }) ?? true
        else { return }
        clusterID = cluster
        if let own = members.firstIndex(where: { $0.name == config.nodeName }) {
            members[own].clusterID = cluster
        }
        guard membership != nil else { return }
        out.emit(.belong(to: cluster))
        tellOwnTags(&out)
        withMembership(&out) { $0.belong(to: cluster, into: &$1) }
    }

    // MARK: Inputs

    mutating func withMembership(
        _ out: inout Outbox, _ body: (inout Membership, inout [Membership.Action]) -> Void
    ) {
        guard membership != nil else { return }
        var actions: [Membership.Action] = []
        body(&membership!, &actions)
        for action in actions where !isHalted { perform(action, &out) }
    }

    private mutating func perform(_ action: Membership.Action, _ out: inout Outbox) {
        switch action {
        case .send(let address, let bytes): out.emit(.packet(to: address, bytes))
        case .open(let exchange, let address, let bytes):
            out.emit(.exchange(exchange, to: address, bytes))
        case .close(let exchange): out.emit(.closeExchange(exchange))
        case .answer(let request, let bytes): out.emit(.answerExchange(request, bytes))
        case .drop(let request): out.emit(.answerExchange(request, nil))
        case .keys(let request): out.emit(.changeKeys(request))
        case .event(let event): heard(event, &out)
        case .log(let record): out.emit(.log(record))
        }
    }

    mutating func ended(
        _ exchange: GossipExchange, _ end: ExchangeEnd, _ out: inout Outbox
    ) {
        let monotonic = now.monotonic
        withMembership(&out) {
            switch end {
            case .answered(let bytes):
                $0.exchangeAnswered(exchange, bytes[...], at: monotonic, into: &$1)
            case .failed(let reason):
                $0.exchangeFailed(exchange, reason, at: monotonic, into: &$1)
            }
        }
    }

    mutating func asked(
        _ request: GossipRequest, _ bytes: [UInt8], from source: GossipAddress,
        _ out: inout Outbox
    ) {
        let monotonic = now.monotonic
        guard membership != nil else { return out.emit(.answerExchange(request, nil)) }
        withMembership(&out) {
            $0.request(request, from: source, bytes[...], at: monotonic, into: &$1)
        }
    }

    // MARK: Events

    private mutating func heard(_ event: MembershipEvent, _ out: inout Outbox) {
        switch event {
        case .joined(let member), .updated(let member), .leaving(let member), .left(let member),
            .failed(let member):
            changed(member, &out)
        case .reaped(let member):
            if let known = self.member(named: member.name) { forget(known, &out) }
        case .stranger(let member): met(member, &out)
        case .joinEnded(let result): joinEnded(result, &out)
        case .conflict(let name, let known, let other):
            out.log(
                .error,
                "two nodes use one name: the one whose data directory is the older keeps it, the "
                    + "other one stops; give that one another name with --node-name",
                [
                    .init("name", name.text), .init("older", "\(known)"),
                    .init("other", "\(other)"),
                ])
        case .nameLost(let other):
            halt(
                "the node at \(other.address) has the name \(config.nodeName.text) too, and its "
                    + "data directory is older than this one's; give this node another name with "
                    + "--node-name, or stop that one first", &out)
        case .doubled(let address):
            // Nobody can tell which is the copy, and one server must not vote twice.
            halt(
                "another process, at \(address), runs on a copy of this node's data directory; "
                    + "both stop. Start the original only, and give the other one an empty "
                    + "--data-dir and a --node-name of its own", &out)
        case .hasLeft: hasLeft(&out)
        }
    }

    private mutating func changed(_ gossip: GossipMember, _ out: inout Outbox) {
        guard gossip.name != config.nodeName else { return }
        guard let member = Member(gossip) else {
            guard gossip.tag("role") == Member.standardRole, gossip.tag("server") != nil else {
                return
            }
            return halt(
                "\(gossip.name.text) at \(gossip.address) belongs to a cluster of Dkron itself, "
                    + "which this server can't join; move over by export and restore: GET "
                    + "/v1/jobs there, POST /v1/restore here", &out)
        }
        let before = self.member(named: member.name)
        guard before != member else { return }
        if let before, before.id != member.id { reach(before, at: nil, &out) }
        if let place = members.firstIndex(where: { $0.name >= member.name }) {
            if members[place].name == member.name {
                members[place] = member
            } else {
                members.insert(member, at: place)
            }
        } else {
            members.append(member)
        }
        // Gossip holds nodes to be failed that are not. If messages to them ended then, rumours of
        // a leader's failure would end its lead.
        let isReached = member.status != .left && isOfRegion(member)
        let isBack = member.isThere && before?.isThere == false
        reach(member, at: isReached ? Self.peerAddress(of: member) : nil, isBack: isBack, &out)
        announce(member, before, &out)
        memory.isStale = true
        let isNews = before?.status != .alive || before?.clusterID != member.clusterID
        if member.isThere, isNews { tellLeadership(to: member, &out) }
        if !member.isThere {
            dispatcher.lostContact(member.name)
            joinAgainIfLost()
        }
        if member.status == .left, isLeading {
            let store = store
            withDispatcher(&out) { $0.departed(member.name, saidGoodbye: false, store, into: &$1) }
        }
    }

    /// A server shows that the cluster was recovered elsewhere. Agents go along; a server may have
    /// in its log what the recovered cluster does not have, and must not decide anything any more.
    /// - Returns: whether that is so.
    private mutating func follow(_ member: Member, _ out: inout Outbox) -> Bool {
        guard let theirs = member.clusterID, let clusterID, member.isServer, isOfRegion(member),
            ClusterSuccession.isSuccessor(theirs, of: clusterID)
        else { return false }
        guard config.isServer else {
            out.log(
                .warning, "the cluster was recovered; this agent goes along",
                [.init("by", member.name.text), .init("cluster", theirs)])
            heardLeader = nil
            belong(to: theirs, &out)
            return true
        }
        halt(
            "this cluster was recovered without this server: \(member.name.text) at "
                + "\(member.address):\(member.port) goes on as cluster \(theirs). "
                + "What is in this server's data directory and not "
                + "there is not part of the cluster any more. To bring this server back, move its "
                + "data directory away and start it again with an empty one: it is taken in and "
                + "gets everything", &out)
        return true
    }

    /// A node of another cluster was heard of.
    private mutating func met(_ stranger: GossipMember, _ out: inout Outbox) {
        if let member = Member(stranger), follow(member, &out) { return }
        joining.stranger = stranger
        guard now.monotonic >= nextStrangerReport, let clusterID else { return }
        nextStrangerReport = now.monotonic + Self.strangerInterval
        out.log(
            .warning,
            "a node of another cluster is left alone; if the two were meant to be one, save the "
                + "jobs of one (GET /v1/jobs), start its servers anew on empty data directories "
                + "with --retry-join addresses of the other, and restore the jobs there (POST "
                + "/v1/restore)",
            [
                .init("member", stranger.name.text), .init("address", "\(stranger.address)"),
                .init("cluster", stranger.tag(Self.clusterTag) ?? ""),
                .init("own_cluster", clusterID),
            ])
    }

    /// Strangers may be heard of every few seconds.
    static let strangerInterval = Duration.minutes(1)

    private mutating func announce(_ member: Member, _ before: Member?, _ out: inout Outbox) {
        let what =
            before?.status == member.status ? "member changed" : "member \(member.status.text)"
        out.log(
            member.status == .failed ? .warning : .info, what,
            [.init("member", member.name.text), .init("address", member.address)])
    }

    /// Where a node takes messages of others, as it says itself.
    private static func peerAddress(of member: Member) -> GossipAddress? {
        member.tag("rpc_addr").flatMap { GossipAddress(text: $0) }
    }

    private mutating func forget(_ member: Member, _ out: inout Outbox) {
        guard member.name != config.nodeName else { return }
        reach(member, at: nil, &out)
        members.removeAll { $0.name == member.name }
        memory.isStale = true
        dispatcher.lostContact(member.name)
        joinAgainIfLost()
    }

    private mutating func reach(
        _ member: Member, at address: GossipAddress?, isBack: Bool = false, _ out: inout Outbox
    ) {
        guard let id = member.id, addresses[id] != address || isBack else { return }
        addresses[id] = address
        out.emit(.reach(id, at: address))
    }

    // MARK: Joining

    mutating func continueJoining(_ out: inout Outbox) {
        guard now.monotonic >= joining.nextAttempt, let settings = config.gossip else { return }
        joining.nextAttempt = .distantFuture
        // Whoever joined us was as good.
        if hasCompany { joining.hasJoined = true }
        if isSettled {
            joining.isDone = true
            return
        }
        joining.attempts += 1
        (joining.addresses, joining.problems, joining.stranger) = ([], [], nil)
        joining.beganAlone = !hasCompany
        let hosts = settings.join + settings.retryJoin
        joining.unresolved = hosts.filter { IPAddress(text: $0.host) == nil }
        for host in hosts {
            if let ip = IPAddress(text: host.host) {
                joining.addresses.append(GossipAddress(ip, host.port))
            }
        }
        var asked: [String] = []
        for host in joining.unresolved.map(\.host) where !asked.contains(host) {
            asked.append(host)
            out.emit(.resolve(host))
        }
        joinIfResolved(&out)
    }

    private var hasCompany: Bool {
        members.contains { $0.status == .alive && $0.name != config.nodeName }
    }

    /// Whether this node has found its cluster: somebody is there, and so is the one who leads.
    /// Whom it met before that may be as lost as itself: a few nodes that know each other only,
    /// beside the rest of the cluster, which does not know them either.
    private var isSettled: Bool {
        guard hasCompany, let leader = leaderID else { return false }
        return member(leader)?.status == .alive
    }

    /// All others are gone, or who led is. They may come back under other addresses and know
    /// nothing of this node: then only the addresses and names that it was given lead to them.
    private mutating func joinAgainIfLost() {
        guard joining.isDone, !isSettled else { return }
        joining = Joining(
            nextAttempt: now.monotonic + Joining.firstWait, hasJoined: joining.hasJoined)
    }

    mutating func resolved(
        _ host: String, _ found: [IPAddress], _ problem: String, _ out: inout Outbox
    ) {
        let wanted = joining.unresolved.filter { $0.host == host }
        guard !wanted.isEmpty else { return }
        joining.unresolved.removeAll { $0.host == host }
        if found.isEmpty { joining.problems.append("\(host): \(problem)") }
        for address in wanted {
            joining.addresses += found.map { GossipAddress($0, address.port) }
        }
        joinIfResolved(&out)
    }

    private mutating func joinIfResolved(_ out: inout Outbox) {
        guard joining.unresolved.isEmpty else { return }
        let known = members.filter { $0.status == .alive && $0.name != config.nodeName }
            .compactMap { member in
                IPAddress(text: member.address).map { GossipAddress($0, member.port) }
            }
        let addresses = joining.addresses.filter { !known.contains($0) }
        let monotonic = now.monotonic
        withMembership(&out) { $0.join(addresses, at: monotonic, into: &$1) }
    }

    private mutating func joinEnded(_ result: JoinResult, _ out: inout Outbox) {
        guard let settings = config.gossip, !joining.isDone else { return }
        lookedForCluster()
        if hasCompany {
            joining.hasJoined = true
            if joining.beganAlone {
                out.log(.info, "joined", [.init("nodes", "\(result.reached.count)")])
            }
        }
        if isSettled {
            joining.isDone = true
            return
        }
        var problems =
            joining.problems + result.failures.map { "\($0.address): \($0.reason)" }
        if let stranger = joining.stranger, let clusterID, !result.reached.isEmpty {
            let reached = result.reached.map(\.description).joined(separator: ", ")
            problems.append(
                "\(reached): another cluster (\(stranger.tag(Self.clusterTag) ?? "")) is there "
                    + "than the one to which the data directory of this node belongs "
                    + "(\(clusterID)); name nodes of its own cluster, or give it an empty "
                    + "--data-dir to join that one")
        }
        // Nobody but itself was named: there is nothing wrong with that.
        if !problems.isEmpty {
            out.log(
                .warning,
                hasCompany
                    ? "no leader is known yet, and not every node named could be joined"
                    : "no node could be joined yet",
                [
                    .init("attempt", "\(joining.attempts)"),
                    .init("problems", problems.joined(separator: "; ")),
                ])
        }
        if settings.join.isEmpty, let limit = settings.retryLimit, joining.attempts > limit,
            !joining.hasJoined
        {
            return halt(
                "no node could be joined in \(joining.attempts) attempts: "
                    + problems.joined(separator: "; "), &out)
        }
        joining.nextAttempt = now.monotonic + joining.wait
        joining.wait = min(joining.wait + joining.wait, settings.retryInterval)
    }
}

extension Member {
    /// A member of gossip that is one of our nodes; nil for anybody else, such as an agent of Serf.
    init?(_ gossip: GossipMember) {
        guard let id = gossip.tag(Node.idTag).flatMap(Hexadecimal.identity) else { return nil }
        let own = [Node.idTag, Node.clusterTag, Node.levelTag]
        var tags = gossip.tags.filter { !own.contains($0.name) }
            .map { Setting(name: $0.name, value: $0.value) }
        if gossip.tag("role") == nil {
            tags.append(Setting(name: "role", value: Self.standardRole))
        }
        self.init(
            name: gossip.name, id: id, clusterID: gossip.tag(Node.clusterTag),
            address: gossip.address.ip.description, port: gossip.address.port, tags: tags,
            status: Status(gossip.status))
        featureLevel = gossip.tag(Node.levelTag).flatMap { UInt32($0) } ?? FeatureLevel.first
    }
}

extension Member.Status {
    fileprivate init(_ status: GossipMember.Status) {
        switch status {
        case .none: self = .none
        case .alive: self = .alive
        case .leaving: self = .leaving
        case .left: self = .left
        case .failed: self = .failed
        }
    }
}
